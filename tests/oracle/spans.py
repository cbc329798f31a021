"""Spans of time that windows and comparisons cover, per queue and for the floor (`rules.md` 42 and 44)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tests.oracle.settings import QUARTER_MS, SLICE_MS, UNASSIGNED, Settings
from tests.oracle.zones import interval_start, midnight, same_time


class Span(NamedTuple):
    """[start, end) in ms."""

    start: int
    end: int


@dataclass(frozen=True)
class Spans:
    """The span of each queue, by its zone, and that of the groups and the floor."""

    of_queue: Callable[[str], Span]

    def has(self, queue: str, at: int) -> bool:
        """Whether an instant lies in a queue's span."""
        start, end = self.of_queue(queue)
        return start <= at < end

    @property
    def floor(self) -> Span:
        """The span of groups and floor: that of `unassigned`, in the top-level zone."""
        return self.of_queue(UNASSIGNED)


def open_end(now_ms: int) -> int:
    """Return the end of the open slice, which contains now."""
    return (now_ms // SLICE_MS + 1) * SLICE_MS


def trailing(now_ms: int, window_ms: int) -> Spans:
    """Return the w/10 s slices that end with the open one."""
    span = Span(open_end(now_ms) - window_ms, open_end(now_ms))
    return Spans(lambda _: span)


def days(settings: Settings, now_ms: int, count: int) -> Spans:
    """Return today and the local days before it, `count` in all, up to the open slice."""

    def of_queue(queue: str) -> Span:
        return Span(midnight(now_ms, settings.at(now_ms).zone_of(queue), count - 1), open_end(now_ms))

    return Spans(of_queue)


def days_cut(settings: Settings, now_ms: int, count: int, before: int) -> Spans:
    """Return `count` local days of which the last lies `before` days before today.

    The last ends at the time of day of the local quarter-hour boundary that has last passed.
    """

    def of_queue(queue: str) -> Span:
        zone = settings.at(now_ms).zone_of(queue)
        end = same_time(interval_start(now_ms, QUARTER_MS, zone), zone, before)
        return Span(midnight(now_ms, zone, before + count - 1), end)

    return Spans(of_queue)
