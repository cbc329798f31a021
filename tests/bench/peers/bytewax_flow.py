"""Bytewax: a stateful operator per session, sliding windows per queue, snapshots of state in its recovery store.

Windows come out when they close, and they close when the input ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import orjson
from bytewax.connectors.files import FileSink
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.operators.windowing import EventClock, SlidingWindower, fold_window

from tests.bench.peers import job

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def decode(message: Any) -> tuple[str, tuple[str, dict[str, Any]]]:
    """Return session and (topic, event)."""
    return message.key.decode(), (message.topic, orjson.loads(message.value))


def take(state: Any, item: tuple[str, dict[str, Any]]) -> tuple[Any, Iterable[dict[str, Any]]]:
    """Bring a session's state on; the state is a pair: of its waits, and of its responses."""
    visits, talk = state or (None, None)
    topic, event = item
    if topic.endswith("queues"):
        visits, fact = job.waited(visits, event)
    else:
        talk, fact = job.responded(talk, event)
    return (None if visits is None and talk is None else (visits, talk)), (() if fact is None else (fact,))


def time_of(fact: dict[str, Any]) -> datetime:
    """Return a fact's time."""
    return EPOCH + timedelta(milliseconds=fact["at"])


def flow_of(bootstrap: str, prefix: str, folder: str) -> Dataflow:
    """Build the dataflow."""
    flow = Dataflow("bench")
    events = kop.input("in", flow, brokers=[bootstrap], topics=[f"{prefix}sessions", f"{prefix}queues"], tail=False)
    facts = op.stateful_flat_map("sessions", op.map("decode", events.oks, decode), take)
    keyed = op.key_on("by-queue", op.flat_map("values", facts, lambda item: (item[1],)), lambda fact: fact["queue"])
    clock = EventClock(time_of, wait_for_system_duration=timedelta(milliseconds=job.GRACE_MS))
    lines = []
    for length_ms in job.LENGTHS_MS:
        windower = SlidingWindower(timedelta(milliseconds=length_ms), timedelta(milliseconds=job.STEP_MS), EPOCH)
        windows = fold_window(
            f"windows-{length_ms}", keyed, clock, windower, lambda: job.NOTHING,
            lambda totals, fact: job.add(totals, fact["totals"]), job.add, ordered=False,
        )  # fmt: skip
        lines.append(op.map(f"lines-{length_ms}", windows.down, _line(length_ms)))
    op.output("out", op.merge("merge", *lines), FileSink(Path(folder) / "result.jsonl"))
    return flow


def _line(length_ms: int) -> Any:
    def line(item: tuple[str, tuple[int, list[int]]]) -> tuple[str, str]:
        queue, (number, totals) = item
        return queue, orjson.dumps([queue, length_ms, number * job.STEP_MS, *totals]).decode()

    return line


def main(bootstrap: str, prefix: str, run: str, folder: str) -> None:
    """Make the recovery store, and become the process that runs the flow."""
    store = str(Path(folder) / run)
    Path(store).mkdir()
    subprocess.run([sys.executable, "-m", "bytewax.recovery", store, "1"], check=True)
    called = f"tests.bench.peers.bytewax_flow:flow_of({bootstrap!r}, {prefix!r}, {folder!r})"
    os.execv(sys.executable, [sys.executable, "-m", "bytewax.run", called, "-r", store, "-s", "1", "-b", "0"])


if __name__ == "__main__":
    main(*sys.argv[1:])
