"""The demo's recount: compare the numbers on the board with those that one gets by counting all events anew.

The same events go through floorpulse's own synchronous driver, in one batch with one partition, without Kafka, journal, worker or
board; then every cell of the interval tables, by queue and channel and by group, is compared. For a comparison the board's numbers
must be those of a known set of events, so the source is held back until the worker has counted, relayed and published all of them.
Two things are left out, since they depend on when one looks: first contact resolution, which settles a day after the fact, and the
percentiles of quarter-hours that are older than `retention.sketches`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from time import monotonic, sleep
from typing import Final, NamedTuple

from schemas.readings import Reading, ReadingKey
from schemas.rules import HOUR_MS, Rules
from sinks.board import Board
from sinks.merge import Merge
from sinks.table import Choice, Slices, interval_table
from streams.app import Ownership
from streams.core.driver import Driver
from streams.demo_story import Sent, Story

SETTLE_S: Final = 6.0
"""So long the source is held back at most."""
CHUNK: Final = 1000
SETTLED_LATER: Final = "fcr_"
"""Beginning of the parts that are booked by the watermark, not by events."""
SKETCHED: Final = "~"
"""What the names of a sketch's parts have."""
_LOOK_S: Final = 0.1
_STILL_S: Final = 1.0
"""So long nothing must move before it counts as settled: two flushes."""

Cells = Mapping[tuple[tuple[str, ...], int], Mapping[str, int]]


class Verdict(NamedTuple):
    """What a recount has found: of how many events, how many cells there are, how many differ, at what time of the floor."""

    events: int
    cells: int
    differing: int
    at_ms: int

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return self.differing == 0


async def recount(story: Story, board: Board, ownership: Ownership, rules: Rules, *, rest: float = 2.0) -> Verdict | None:
    """Compare the board with a recount; None where it could not be done. `rest`: pauses, as multiples of the work."""
    story.pause()
    try:
        if not story.whole or not await _settled(story, board, ownership):
            return None
        events, now = list(story.sent), story.now_ms()
        shown = await board.alone(lambda: cells_of(board.merge, now))
    finally:
        story.go_on()
    counted = await asyncio.to_thread(counted_anew, events, rules, now, rest)
    differing = sum(shown.get(key) != counted.get(key) for key in shown.keys() | counted.keys())
    return Verdict(len(events), sum(map(len, counted.values())), differing, now)


async def _settled(story: Story, board: Board, ownership: Ownership) -> bool:
    """Wait until all that was sent is counted, relayed and published, and nothing has moved for a moment."""
    until = monotonic() + SETTLE_S
    state: object = None
    since = monotonic()
    while monotonic() < until:
        await asyncio.sleep(_LOOK_S)
        counted = sum(sum(outcomes.values()) for outcomes in board.snapshot.health.events.values())
        owned = ownership.owned.values()
        found = counted, [(p.pending, tuple(p.next.values())) for p in owned]
        relayed = all(p.next["relay"] == (ownership.end("relay", p.number) or 0) for p in owned)
        if found != state or counted != story.count or not relayed or any(p.pending for p in owned):
            state, since = found, monotonic()
        elif monotonic() > since + _STILL_S:
            return True
    return False


def counted_anew(events: Sequence[Sent], rules: Rules, now: int, rest: float = 0.0) -> Cells:
    """Count events in one go, as they would be at `now`; may rest between chunks, so that others get their turn."""
    driver = Driver(1, rules)
    latest: dict[ReadingKey, Reading] = {}
    for begin in range(0, len(events), CHUNK):
        began = monotonic()
        driver.apply(events[begin : begin + CHUNK], now)
        if rest:
            sleep(rest * (monotonic() - began))
    while driver.flush(now):
        pass
    driver.flush(now)
    latest.update((reading.key, reading) for reading in driver.take())
    merge = Merge(rules)
    merge.put_readings(latest.values())
    merge.settle()
    return cells_of(merge, now)


def cells_of(merge: Slices, now: int) -> Cells:
    """Return every part of the interval tables at `now` that is not 0 and not about to be dropped."""
    found: dict[tuple[tuple[str, ...], int], Mapping[str, int]] = {}
    sketched_since = now - merge.rules.sketches_kept_ms + HOUR_MS
    for choice in (Choice(by="queue,channel"), Choice(by="group")):
        for row in interval_table(merge, now, choice).rows:
            parts = {part: value for part, value in row.parts.items() if value and not part.startswith(SETTLED_LATER)}
            if row.start < sketched_since:
                parts = {part: value for part, value in parts.items() if SKETCHED not in part}
            if parts:
                found[(choice.by, *row.names), row.start] = parts
    return found


__all__ = ["Verdict", "cells_of", "counted_anew", "recount"]
