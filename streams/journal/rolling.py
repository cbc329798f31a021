"""Rolling snapshot: which entries the next journal record repeats, so that a load never needs the whole log.

Theory of operation. A cycle starts with the list of all entries, which the floor keeps, and hands them out piece by
piece, one piece a flush; entries that come into being meanwhile are in the flushes' own changes. A piece is at least as
large as the flush's changes, so that the log between two cycle starts is at most about twice the state, and at least a
share of the cycle's list, so that a quiet partition finishes a cycle too.

Only whole cycles let the log be trimmed. An owner that finds cycles which were begun and never ended, as in a crash loop, takes
half as long for its first one as the last owner would have, however short their lives are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

CYCLE_FLUSHES: Final = 600
"""The most flushes that a cycle takes: five minutes at two a second."""
FEWEST_FLUSHES: Final = 20
"""The flushes of a first cycle after many that were never ended: ten seconds at two a second."""
LEAST: Final = 20
"""The least entries in a piece."""


class Piece(NamedTuple):
    """How many entries a record repeats, and whether it starts or ends a cycle."""

    cycle: int
    starts: bool
    ends: bool
    size: int


class Rolling:
    """Choose the pieces of one partition; `cycle` is the number of the last cycle that the journal knows.

    `unfinished`: how many cycles were begun since the last one that was ended.
    """

    def __init__(self, cycle: int = 0, cycle_flushes: int = CYCLE_FLUSHES, unfinished: int = 0) -> None:
        self._cycle = cycle
        self._cycle_flushes = cycle_flushes
        self._first_flushes = max(min(FEWEST_FLUSHES, cycle_flushes), cycle_flushes >> unfinished)
        self._left = 0
        self._share = LEAST
        self._running = False

    def next(self, begin: Callable[[], int], changed: int) -> Piece:
        """Return the next piece beside `changed` changes; `begin` begins a cycle and says how many entries there are."""
        starts = not self._running
        if starts:
            self._left = begin()
            self._cycle += 1
            self._share = max(LEAST, -(-self._left // self._first_flushes))
            self._first_flushes = self._cycle_flushes
        size = min(self._left, max(self._share, changed))
        self._left -= size
        self._running = self._left > 0
        return Piece(self._cycle, starts, not self._running, size)


__all__ = ["CYCLE_FLUSHES", "LEAST", "Piece", "Rolling"]
