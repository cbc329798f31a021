"""Comparisons: today against yesterday and a week ago, the last seven days against the seven before.

Theory. Both sides end at Q, the last local quarter-hour boundary that has passed (`sinks.days`). `gather` copies what is
compared, in the event loop; `described` derives the indicators from the copy, in any thread. What is gathered has a key that
changes only with a quarter-hour or a late fact, so the derived body can be kept until then. Both sides are read by the
formula that is in force now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from schemas.columns import Column, Span, Value, compared_columns
from schemas.kpis import BY_ID, currencies_in
from schemas.parts import AGENT_DAYS, REVIEWER_DAYS
from schemas.rules import FLOOR, QueueRules
from schemas.zones import local_text
from sinks.cells import Parts, Place
from sinks.days import PAIRS, Days, Side
from sinks.merge import Merge
from sinks.names import known_name
from sinks.snapshot import ANY_CHANNEL
from sinks.views import NO_PARTS, added, is_of_sessions, own_terms
from sinks.windows import Windows
from sinks.written import change_between, rounded

SIDES: Final = tuple(dict.fromkeys(side for pair in PAIRS for side in pair))
_OWN_FORMULA: Final = frozenset({"service_level", "abandonment"})
"""Indicators whose formula is a setting of the queue: the floor adds up each queue's own."""
_INDICATOR_OF: Final = {column.name: column.kpi for column in (*compared_columns("queue"), *compared_columns("group"))}
"""The id of a column that shows a variant: connect_rate_inbound → connect_rate."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One queue on one channel, or one group, with the parts of each side."""

    name: str
    channel: str
    zone: str
    rules: QueueRules
    sides: Mapping[str, Span]

    @property
    def has_sessions(self) -> bool:
        """Whether sessions were here on any side."""
        return any(is_of_sessions(parts) for parts in self.sides.values())


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is compared at an instant; `key` tells whether anything has changed since an earlier one."""

    now: int
    zone: str
    queues: Sequence[Compared]
    groups: Sequence[Compared]
    once: Mapping[str, Mapping[str, int]]
    bounds: Mapping[str, Mapping[str, Side]]
    channels: Mapping[str, str]
    key: object


def gather(windows: Windows, merge: Merge, channels: Mapping[str, str]) -> Gathered:
    """Copy what is compared now; `channels`: the configured channel of each queue that has one."""
    assert windows.now is not None
    rules = windows.rules
    by_zone = {days.zone: days for days in windows.all_days()}
    floor_days = windows.days(rules.zone)
    queues = [
        Compared(place.name, place.channel, days.zone, rules.queue(place.name, place.channel), _sides(days, place))
        for days in by_zone.values()
        for place in days.compared_places("queue")
    ]
    places = {*floor_days.compared_places("group"), *merge.places("group")}
    groups = [
        Compared(place.name, "", rules.zone, rules.queue_default, _group_sides(windows, merge, floor_days, place))
        for place in sorted(places)
    ]
    once = _sides(floor_days, Place("floor", FLOOR, ""))
    bounds = {zone: days.bounds for zone, days in by_zone.items()}
    stepped = tuple(frozenset(parts.items()) for group in groups for parts in group.sides.values())
    versions = tuple((zone, days.version()) for zone, days in by_zone.items())
    key = (id(rules), tuple(sorted(bounds)), [dict(sides) for sides in bounds.values()], versions, stepped)
    ordered = sorted(queues, key=lambda queue: (queue.name, queue.channel))
    return Gathered(windows.now, rules.zone, ordered, groups, once, bounds, channels, key)


def _sides(days: Days, place: Place) -> dict[str, Span]:
    return {name: Span(days.sides[name].sums.get(place, NO_PARTS)) for name in SIDES}


def _group_sides(windows: Windows, merge: Merge, days: Days, place: Place) -> dict[str, Span]:
    gauge = merge.gauge(place)
    sides = {}
    for name in SIDES:
        parts = days.side(name, place, gauge)
        if days.sides[name].first <= days.sides[name].last:
            agents = parts.get(AGENT_DAYS, 0) + windows.online_before(name, place, gauge, compared=True)
            parts = {**parts, AGENT_DAYS: agents} if agents else parts
        sides[name] = Span(parts)
    return sides


def described(found: Gathered) -> dict[str, Any]:
    """Return all comparisons: per queue and channel, whole queue, group and the floor."""
    currencies = currencies_in(parts for queue in found.queues for parts in queue.sides.values())
    columns = compared_columns("queue", currencies)
    narrow = [column for column in columns if not column.wide]
    wide = [column for column in columns if column.wide]
    group_columns = compared_columns("group")
    groups: list[dict[str, Any]] = [
        {"group": group.name, "zone": group.zone, "kpis": _kpis(group_columns, group)} for group in found.groups
    ]
    agents: dict[str, Any] = next((group["kpis"] for group in groups if group["group"] == FLOOR), {})
    return {
        "now": found.now,
        "zones": {zone: _bounds(zone, sides) for zone, sides in sorted(found.bounds.items())},
        "floor": {"name": FLOOR, "zone": found.zone, "kpis": {**_floor_kpis(columns, found), **agents}},
        "queues": [
            {"queue": queue.name, "channel": queue.channel, "zone": queue.zone, "kpis": _kpis(narrow, queue)}
            for queue in found.queues
            if queue.has_sessions
        ],
        "whole_queues": [
            {"queue": queue.name, "channel": queue.channel, "zone": queue.zone, "kpis": _kpis(wide, queue)}
            for queue in _whole_queues(found)
        ],
        "groups": groups,
    }


def _bounds(zone: str, sides: Mapping[str, Side]) -> dict[str, list[str]]:
    return {name: [local_text(zone, side.start_ms), local_text(zone, side.end_ms)] for name, side in sides.items()}


def _whole_queues(found: Gathered) -> list[Compared]:
    by_name: dict[str, list[Compared]] = {}
    for queue in found.queues:
        by_name.setdefault(queue.name, []).append(queue)
    return [
        Compared(name, found.channels.get(name, ANY_CHANNEL), queues[0].zone, queues[0].rules, _sum_of(queues))
        for name, queues in by_name.items()
    ]


def _sum_of(queues: Sequence[Compared]) -> dict[str, Span]:
    return {name: Span(added(queue.sides[name] for queue in queues)) for name in SIDES}


def _kpis(columns: Iterable[Column], place: Compared) -> dict[str, Any]:
    found = {}
    for column in columns:
        values = {name: column.value(parts, place.rules) for name, parts in place.sides.items()}
        found[column.name] = _pairs(column, values)
    return found


def _pairs(column: Column, values: Mapping[str, Value]) -> dict[str, Any]:
    pairs = {}
    for side, base in PAIRS:
        change = change_between(column, values[side], values[base])
        pairs[f"{side}/{base}"] = {
            "value": rounded(column, values[side]),
            "base": rounded(column, values[base]),
            "change": None if change is None else round(change, 6),
        }
    return pairs


def _floor_kpis(columns: Iterable[Column], found: Gathered) -> dict[str, Any]:
    sums: dict[str, Parts] = {name: added(queue.sides[name] for queue in found.queues) for name in SIDES}
    for name, parts in sums.items():
        parts[REVIEWER_DAYS] = found.once[name].get(REVIEWER_DAYS, 0)
    rules = found.queues[0].rules if found.queues else QueueRules()
    whole = Compared(FLOOR, "", found.zone, rules, {name: Span(parts) for name, parts in sums.items()})
    kpis = {}
    for column in columns:
        if column.name in _OWN_FORMULA:
            values: dict[str, Value] = {}
            for name in SIDES:
                top, bottom = own_terms(BY_ID[column.kpi], ((queue.rules, queue.sides[name]) for queue in found.queues))
                values[name] = top / bottom if bottom > 0 else None
        else:
            values = {name: column.value(parts, whole.rules) for name, parts in whole.sides.items()}
        kpis[column.name] = _pairs(column, values)
    return kpis


def chosen(
    body: Mapping[str, Any], *, queue: str | None = None, channel: str | None = None, group: str | None = None,
    kpi: str | None = None, places: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:  # fmt: skip
    """Return those comparisons that were asked for; raises `UnknownName`.

    `places`: (queue, channel) that exist without having anything to compare yet.
    """
    rows = [*body["queues"], *body["whole_queues"]]
    if queue is not None:
        known_name("queue", queue, (*(row["queue"] for row in rows), *(name for name, _ in places)))
    if channel is not None:
        known_name("channel", channel, (*(row["channel"] for row in rows), *(name for _, name in places)))
    if group is not None:
        known_name("group", group, (row["group"] for row in body["groups"]))
    names = {name: _INDICATOR_OF.get(name, name) for row in (body["floor"], *rows, *body["groups"]) for name in row["kpis"]}
    if kpi is not None:
        known_name("kpi", kpi, (*names, *names.values()))

    def fits(row: Mapping[str, Any]) -> bool:
        if group is not None and "group" not in row:
            return False
        if (queue is not None or channel is not None) and "queue" not in row:
            return False
        wanted = (("queue", queue), ("channel", channel), ("group", group))
        return all(value is None or row.get(key) == value for key, value in wanted)

    def cut(row: Mapping[str, Any]) -> dict[str, Any]:
        kpis = row["kpis"]
        kept = kpis if kpi is None else {name: value for name, value in kpis.items() if kpi in (name, names[name])}
        return {**row, "kpis": kept}

    parts = {key: [cut(row) for row in body[key] if fits(row)] for key in ("queues", "whole_queues", "groups")}
    parts = {key: [row for row in rows if row["kpis"]] for key, rows in parts.items()}
    floor = cut(body["floor"]) if queue is None and channel is None and group is None else None
    return {"now": body["now"], "zones": body["zones"], "floor": floor, **parts}


__all__ = ["SIDES", "Compared", "Gathered", "chosen", "described", "gather"]
