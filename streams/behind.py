"""Which inputs have more to read and do not move: lost or stuck, or only waiting for their turn.

Theory of operation. Between the broker and a partition lie what the client has fetched, up to a megabyte of each input, and what is
handed out, `IN_FLIGHT` records at most; both are served in turn. A backlog on a slow machine takes minutes to go round, and an
input whose records lie there stands still although nothing is wrong. Reading it again would throw away what was fetched and put
it at the end of the line, for ever. So while others are served, an input stands still only from when its turn must have come:
after `IN_FLIGHT` records if the client holds nothing of it, after `ROUND` records for each input if it does. When nobody is
served, all that have more stand still.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from faust.types import TP

from streams.transport import BATCH_RECORDS, QUEUED_BATCHES

POLL_RECORDS: Final = 60_000
"""The most records taken from the fetched data at a time: a fetch is bounded in compressed bytes only.

It is as many as a fetch of uncompressed events holds (16 topics and partitions, a megabyte each): aiokafka asks a broker for more
once all that it sent has been taken, so that the next fetch is under way while this one is counted.
"""
IN_FLIGHT: Final = POLL_RECORDS + (QUEUED_BATCHES + 2) * BATCH_RECORDS
"""Records that may be handed out and not yet served: taken, queued, in the processor's hand."""
ROUND: Final = 50_000
"""Records of one input that the client may hold: a megabyte, well compressed."""


class _Still(NamedTuple):
    offset: int
    since_s: float
    served: int
    held: bool


class Behind:
    """Look every few seconds; times are of a monotonic clock, given by the caller."""

    def __init__(self) -> None:
        self.lag: dict[TP, int] = {}
        """How many records each input has beyond what was read."""
        self._still: dict[TP, _Still] = {}
        self._served = 0

    def look(
        self, now_s: float, positions: Mapping[TP, int], ends: Mapping[TP, int], served: int, holds: Callable[[TP], bool]
    ) -> None:
        """Note where the inputs stand; `served` counts the records of all, `holds` tells what the client has fetched."""
        busy, self._served = served > self._served, served
        self.lag = {tp: max(0, ends[tp] - offset) for tp, offset in positions.items() if tp in ends}
        before, self._still = self._still, {}
        for tp in (tp for tp, records in self.lag.items() if records > 0):
            known, held = before.get(tp), holds(tp)
            if known is None or known.offset != positions[tp]:
                known = _Still(positions[tp], now_s, served, held)
            waits = busy and served < known.served + (ROUND * len(positions) if held else IN_FLIGHT)
            self._still[tp] = known._replace(held=held, since_s=now_s if waits else known.since_s)

    def stuck(self, before_s: float) -> list[TP]:
        """Return the inputs that have stood still since before an instant."""
        return [tp for tp, still in self._still.items() if still.since_s < before_s]

    def lost(self, before_s: float) -> list[TP]:
        """Return those of which the client holds nothing: what it had handed out never came to its partition."""
        return [tp for tp in self.stuck(before_s) if not self._still[tp].held]


__all__ = ["IN_FLIGHT", "POLL_RECORDS", "ROUND", "Behind"]
