"""Bounds on series: which names have series of their own, and which share one called `overflow`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from schemas.rules import QueueRules
from sinks.views import View, summed

MAX_SERIES: Final = 10_000
"""Series per family by default: what a Prometheus takes from one target without a thought."""
OVERFLOW: Final = "overflow"
_MAX_REMEMBERED: Final = 100_000
"""Names that once overflowed and are remembered, so that the counter counts each once."""

Key = tuple[str, str, str]


class Bounds:
    """Keeps at most `max_series` series per family: first come, first shown; the surplus is one view."""

    def __init__(self, max_series: int = MAX_SERIES) -> None:
        self._max_series = max_series
        self._order: dict[str, dict[Key, None]] = {}
        self._cache: dict[tuple[str, int], tuple[object, list[View]]] = {}
        self._surplus: set[Key] = set()

    @property
    def overflowed(self) -> int:
        """Names that ever were without series of their own."""
        return len(self._surplus)

    def shown(self, kind: str, views: Sequence[View], width: int) -> Sequence[View]:
        """Return the views to show in a family with `width` series per name."""
        room = max(1, self._max_series // width)
        if len(views) <= room:
            return views
        known = self._cache.get((kind, room))
        if known is not None and known[0] is views:
            return known[1]
        order = self._in_order(kind, views)
        own = set(list(order)[: room - 1]) - {(kind, OVERFLOW, OVERFLOW), (kind, OVERFLOW, "")}
        shown = [view for view in views if _key(kind, view) in own]
        rest = [view for view in views if _key(kind, view) not in own]
        if len(self._surplus) < _MAX_REMEMBERED:
            self._surplus.update(_key(kind, view) for view in rest)
        shown.append(summed(rest, OVERFLOW, QueueRules()))
        self._cache[kind, room] = (views, shown)
        return shown

    def _in_order(self, kind: str, views: Iterable[View]) -> dict[Key, None]:
        """Return the present names, those that were there before first."""
        present = {_key(kind, view): None for view in views}
        before = {key: None for key in self._order.get(kind, {}) if key in present}
        self._order[kind] = before | present
        return self._order[kind]


def _key(kind: str, view: View) -> Key:
    return kind, view.name, view.channel


__all__ = ["MAX_SERIES", "OVERFLOW", "Bounds"]
