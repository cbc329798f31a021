"""The floor: confluent-kafka and plain dicts, one slice of each minute, windows added up at the end; nothing is durable."""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType
from typing import Any

import orjson
from confluent_kafka import Consumer

from tests.bench.peers import job


def main(bootstrap: str, prefix: str, run: str, folder: str) -> None:
    """Read until SIGTERM."""
    going = True

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal going
        going = False

    signal.signal(signal.SIGTERM, stop)
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": run, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    )
    consumer.subscribe([f"{prefix}sessions", f"{prefix}queues"])
    queues = f"{prefix}queues"
    visits: dict[bytes | None, Any] = {}
    talks: dict[bytes | None, Any] = {}
    slices: dict[tuple[str, int], list[int]] = {}
    committed, dirty = time.monotonic(), False
    while going:
        for record in consumer.consume(10_000, 0.1):
            key, event, dirty = record.key(), orjson.loads(record.value() or b""), True
            states, take = (visits, job.waited) if record.topic() == queues else (talks, job.responded)
            state, fact = take(states.get(key), event)
            if state is None:
                states.pop(key, None)
            else:
                states[key] = state
            if fact is not None:
                place = (fact["queue"], fact["at"] // job.STEP_MS)
                slices[place] = job.add(slices.get(place, job.NOTHING), fact["totals"])
        if dirty and time.monotonic() > committed + 0.5:
            consumer.commit(asynchronous=False)
            committed, dirty = time.monotonic(), False
    windows: dict[tuple[str, int, int], list[int]] = {}
    for (queue, minute), totals in slices.items():
        for length_ms in job.LENGTHS_MS:
            for number in range(length_ms // job.STEP_MS):
                window = (queue, length_ms, (minute - number) * job.STEP_MS)
                windows[window] = job.add(windows.get(window, job.NOTHING), totals)
    job.write_result(folder, ((*window, totals) for window, totals in windows.items()))
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
