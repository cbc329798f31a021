"""Contiguity: whether each record that arrives is the one that must come next.

Theory of operation. The journal says at which offset of each input the state ends. From there every offset is looked
at: a batch is cut to what comes next without a hole (`cut`). A hole is either a fault of delivery (a rebalance, a lost
buffer), then the records exist and reading goes back to them; or it is the log's own (transaction markers, aborted
records, compaction, retention), then it is explained and counted by cause.

The client sees record batches as they lie in the log, so it knows what stood in a hole that it has read across: a batch
comes with its `Span`. Where two spans do not meet, only the broker knows: the caller reads the log from the hole on and
feeds the offsets that it finds to `Explanation`, which says as early as possible which of the two it is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple


class Cut(NamedTuple):
    """Of a batch, the records `begin:end` follow on; `hole` tells whether another offset than the next is at `end`."""

    begin: int
    end: int
    hole: bool


class Span(NamedTuple):
    """What the client has read in one go: of the offsets `begin:end` every record that the log holds for us is there.

    `skipped` tells how many offsets hold none, by cause: `marker`, `aborted`, `compaction`.
    """

    begin: int
    end: int
    skipped: Mapping[str, int] = {}


def cut(expected: int, offsets: Sequence[int], span: Span | None = None) -> Cut:
    """Find what of a batch (offsets ascending) follows on from `expected`; what was seen before is left out."""
    count = len(offsets)
    following = range(expected, expected + count)
    if offsets == (following if isinstance(offsets, range) else list(following)):
        return Cut(0, count, False)
    begin = end = bisect_left(offsets, expected)
    if span is not None and span.begin <= expected:
        return Cut(begin, count, False)
    while end < count and offsets[end] == expected:
        expected += 1
        end += 1
    return Cut(begin, end, end < count)


class Finding(Enum):
    """What the log says about a hole."""

    UNDECIDED = "undecided"
    LOST = "lost"
    """A record was not delivered: go back."""
    EXPLAINED = "explained"
    """The log holds nothing but what was delivered."""


class Explanation:
    """Compare the offsets that the log holds with those delivered behind a hole.

    `good` tells how many of the delivered ones may be taken; `lost` is the offset to go back to, if there is one.
    """

    def __init__(self, delivered: Sequence[int]) -> None:
        self._delivered = delivered
        self.good = 0
        self.lost: int | None = None

    def see(self, offset: int) -> Finding:
        """Take the next offset that the log holds."""
        delivered = self._delivered
        while self.good < len(delivered) and delivered[self.good] < offset:
            self.good += 1  # delivered, and deleted since
        if self.good < len(delivered) and delivered[self.good] > offset:
            self.lost = offset
            return Finding.LOST
        self.good = min(self.good + 1, len(delivered))
        return Finding.EXPLAINED if self.good == len(delivered) else Finding.UNDECIDED

    def end(self) -> Finding:
        """Note that the log holds no more: what was delivered was there, and may be deleted by now."""
        self.good = len(self._delivered)
        return Finding.EXPLAINED


__all__ = ["Cut", "Explanation", "Finding", "Span", "cut"]
