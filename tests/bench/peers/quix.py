"""Quix Streams: sessions in state (RocksDB and changelog), facts re-keyed by `group_by`, hopping windows with current results."""

from __future__ import annotations

import sys
from typing import Any

from quixstreams import Application, State
from quixstreams.dataframe.windows.aggregations import Reduce

from tests.bench.peers import job

Gauges = dict[tuple[Any, ...], list[int]]


def event_time(value: Any, headers: Any, timestamp: float, timestamp_type: Any) -> int:
    """Return an event's own time."""
    return job.milliseconds(value["at"])


def wait(event: dict[str, Any], state: State) -> dict[str, Any] | None:
    """Measure a wait."""
    return _take(event, state, job.waited)


def respond(event: dict[str, Any], state: State) -> dict[str, Any] | None:
    """Measure a first response."""
    return _take(event, state, job.responded)


def _take(event: dict[str, Any], state: State, step: Any) -> dict[str, Any] | None:
    before = state.get("session")
    after, fact = step(before, event)
    if after is not None:
        state.set("session", after)
    elif before is not None:
        state.delete("session")
    result: dict[str, Any] | None = fact
    return result


def main(bootstrap: str, prefix: str, run: str, folder: str) -> None:
    """Run until SIGTERM."""
    app = Application(
        broker_address=bootstrap, consumer_group=run, auto_offset_reset="earliest", state_dir=folder, commit_interval=1.0,
        loglevel="WARNING",
    )  # fmt: skip
    gauges: Gauges = {}
    for topic, step in (("queues", wait), ("sessions", respond)):
        events = app.dataframe(app.topic(f"{prefix}{topic}", timestamp_extractor=event_time))
        facts = events.apply(step, stateful=True).filter(lambda fact: fact is not None)
        facts = facts.group_by("queue").set_timestamp(lambda fact, *_: fact["at"])
        for length_ms in job.LENGTHS_MS:
            window = facts.hopping_window(length_ms, job.STEP_MS, grace_ms=job.GRACE_MS, name=f"{topic}-{length_ms}")
            totals = window.agg(
                totals=Reduce(lambda old, fact: job.add(old, fact["totals"]), lambda fact: fact["totals"])
            ).current()
            totals.update(_setter(gauges, topic), metadata=True)
    app.run()
    merged: Gauges = {}
    for (_, queue, start, end), numbers in gauges.items():
        place = (queue, end - start, start)
        merged[place] = job.add(merged.get(place, job.NOTHING), numbers)
    job.write_result(folder, ((*place, numbers) for place, numbers in merged.items()))


def _setter(gauges: Any, topic: str) -> Any:
    def put(value: Any, key: Any, timestamp: int, headers: Any) -> None:
        gauges[topic, key, value["start"], value["end"]] = value["totals"]

    return put


if __name__ == "__main__":
    main(*sys.argv[1:5])
