"""Faust with agents and windowed tables: sessions in one pair of tables, facts re-keyed by queue, windows in another pair.

Default store (memory, with a changelog of each table on Kafka), default commits.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import faust

from tests.bench.peers import job

BOOTSTRAP, PREFIX, RUN, FOLDER = sys.argv[1:]
PARTITIONS = 4

app = faust.App(
    RUN,
    broker=f"kafka://{BOOTSTRAP}",
    datadir=FOLDER,
    topic_partitions=PARTITIONS,
    topic_replication_factor=1,
    broker_commit_interval=1.0,
    consumer_auto_offset_reset="earliest",
    web_enabled=False,
)


class Event(faust.Record, serializer="json"):
    """What of an event is needed."""

    type: str
    at: str
    session_id: str
    queue: str | None = None
    outcome: str | None = None
    sender: str | None = None
    automatic: bool = False


class Fact(faust.Record, serializer="json"):
    """What a session adds to its queue."""

    queue: str
    at: float
    totals: list[int]


queue_events = app.topic(f"{PREFIX}queues", key_type=str, value_type=Event)
session_events = app.topic(f"{PREFIX}sessions", key_type=str, value_type=Event)
facts = app.topic(f"{RUN}-facts", key_type=str, value_type=Fact, partitions=PARTITIONS, internal=True)

visits = app.Table("visits", partitions=PARTITIONS)
talks = app.Table("talks", partitions=PARTITIONS)
windows = {
    length_ms: app.Table(f"windows-{length_ms}", default=lambda: job.NOTHING, partitions=PARTITIONS)
    .hopping(
        timedelta(milliseconds=length_ms),
        timedelta(milliseconds=job.STEP_MS),
        expires=timedelta(milliseconds=job.GRACE_MS),
    )
    .relative_to_field(Fact.at)  # type: ignore[arg-type]  # a descriptor on the class
    for length_ms in job.LENGTHS_MS
}


async def take(table: Any, event: Event, step: Any) -> None:
    """Bring a session's state on and send the fact that it gives."""
    before = table.get(event.session_id)
    state, fact = step(before, event.asdict())
    if state is not None:
        table[event.session_id] = state
    elif before is not None:
        del table[event.session_id]
    if fact is not None:
        await facts.send(key=fact["queue"], value=Fact(queue=fact["queue"], at=fact["at"] / 1000, totals=fact["totals"]))


@app.agent(queue_events)
async def wait(events: Any) -> None:
    """Measure waits."""
    async for event in events:
        await take(visits, event, job.waited)


@app.agent(session_events)
async def respond(events: Any) -> None:
    """Measure first responses."""
    async for event in events:
        await take(talks, event, job.responded)


@app.agent(facts)
async def count(stream: Any) -> None:
    """Add facts to their windows."""
    async for fact in stream:
        for table in windows.values():
            table[fact.queue].apply(job.add, fact.totals)


@app.on_before_shutdown.connect
async def leave_result(*_: Any, **__: Any) -> None:
    """Write down what the tables hold."""
    rows = []
    for length_ms, wrapper in windows.items():
        for (queue, (start, _)), totals in wrapper.table.items():
            rows.append((queue, length_ms, round(start * 1000), totals))
    job.write_result(FOLDER, rows)


if __name__ == "__main__":
    sys.argv = [sys.argv[0], "worker", "--loglevel", "warn"]
    app.main()
