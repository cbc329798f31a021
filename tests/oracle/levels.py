"""Service level and abandonment where the formula has a history: each leaving counts by the formula of its own instant.

A ratio is Σ numerators / Σ denominators over the versions of the settings. Without a history these are the parts that
`ratios` makes of the columns.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import NamedTuple, TypeVar

from tests.oracle import ratios
from tests.oracle.cleaning import Event
from tests.oracle.queue_facts import Fact, queue_facts
from tests.oracle.sessions import sessions_of
from tests.oracle.settings import Settings
from tests.oracle.spans import Spans
from tests.oracle.tables import blank
from tests.oracle.zones import interval_start

K = TypeVar("K", bound=Hashable)


class Levels(NamedTuple):
    """Numerator and denominator of both."""

    service_level: tuple[int, int]
    abandonment: tuple[int, int]


def _facts(events: list[Event], settings: Settings) -> list[Fact]:
    return [found for session in sessions_of(events, settings) for found in queue_facts(session, settings)]


def _levels(keyed: Iterable[tuple[K, Fact]], settings: Settings) -> dict[K, Levels]:
    rows: dict[tuple[K, str, int], dict[str, int]] = {}
    versions: dict[int, Settings] = {}
    for key, (place, at, column, value) in keyed:
        version = settings.at(at)
        versions[id(version)] = version
        rows.setdefault((key, place.queue, id(version)), blank())[column] += value
    result: dict[K, Levels] = {}
    for (key, queue, number), row in rows.items():
        of_queue = versions[number].queue(queue)
        level, before = ratios.service_level_parts(row, of_queue.formula), result.get(key, Levels((0, 0), (0, 0)))
        gone = ratios.abandonment_parts(row, of_queue.short_in_abandonment)
        result[key] = Levels(
            (before.service_level[0] + level[0], before.service_level[1] + level[1]),
            (before.abandonment[0] + gone[0], before.abandonment[1] + gone[1]),
        )
    return result


def levels_by_queue(
    events: list[Event], settings: Settings, interval_ms: int, zone: str | None, by_channel: bool
) -> dict[tuple[str, str | None, int], Levels]:
    """Return both per (queue, channel or None, interval start), as `by_queue` cuts them."""
    return _levels(
        (
            (
                (
                    found.place.queue,
                    found.place.channel if by_channel else None,
                    interval_start(found.at, interval_ms, zone or settings.at(found.at).zone_of(found.place.queue)),
                ),
                found,
            )
            for found in _facts(events, settings)
        ),
        settings,
    )


def levels_over(events: list[Event], settings: Settings, spans: Spans) -> dict[tuple[str, str | None], Levels]:
    """Return both per (queue, channel or None) over the spans."""
    return _levels(
        (
            ((found.place.queue, channel), found)
            for found in _facts(events, settings)
            if spans.has(found.place.queue, found.at)
            for channel in (found.place.channel, None)
        ),
        settings,
    )
