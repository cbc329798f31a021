"""What the wall-screens show at one instant, as entries that can be compared: queues, groups, the floor, quality.

Theory. `contents` derives the entries of one `Variant` (the window that ratios are shown over, and whether single agents are)
from a snapshot. An entry holds nothing that changes by the passing of time alone: waits are told by the instant of entry, and the
screen counts on. So entries that are equal need not be sent again, and `sinks.feed` sends only those that differ.

Colours come from `snapshot.standings` alone; what is judged once for a whole queue colours each of its channels. Ratios and means
are [numerator, denominator], durations in ms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from schemas.kpis import BY_ID, total_of
from schemas.rules import FLOOR, STATUSES
from sinks.gauges import OLDEST
from sinks.measured import SLOTS
from sinks.snapshot import ANY_CHANNEL, Snapshot
from sinks.standing import Standing, Subject
from sinks.turns import give_way
from sinks.views import COMPLAINTS, View

Entry = dict[str, Any]
Key = tuple[str, ...]

SHOWN: Final = ("service_level", "abandonment", "speed_of_answer", "first_response")
"""Indicators of a queue that a screen shows over its window."""
QUALITY: Final = ("satisfaction", "survey_response", "first_contact_resolution")
QUALITY_WINDOWS: Final = ("today", "7d")
GOALS: Final = {"satisfaction": 0.97, "survey_response": 0.5, "first_contact_resolution": 0.85}
"""The catalogue's targets, for the page of quality where no threshold says otherwise."""
FEWEST_STAFFED: Final = 3
"""A group with fewer agents shows no occupancy: it would be that of a person."""
MOST_AGENTS: Final = 300
"""Single agents that a screen gets; more cannot be shown."""
_NAMED: Final = 8
_DEFAULT_WINDOW: Final = "30m"


class Variant(NamedTuple):
    """What a screen asks for: the window of its ratios, and single agents, where the settings allow them."""

    window: str
    agents: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """What screens are told that is no number: fixed while a board runs."""

    title: str = ""
    zone: str = "UTC"
    build: str = ""
    speech: frozenset[str] = frozenset({"voice", "video"})
    ranks: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Places of the configured (queue, channel), channel "" = any, in the order of the configuration."""
    agents: bool = False
    """Whether single agents may be shown."""


@dataclass(slots=True)
class Contents:
    """The entries of one frame, by section and key."""

    single: dict[str, Entry | None] = field(default_factory=dict)
    """`head`, `floor`, `quality`."""
    many: dict[str, dict[Key, Entry]] = field(default_factory=dict)
    """`queues`, `groups`, `agents`."""


def shown_window(labels: Sequence[str], wanted: str | None = None) -> str:
    """Return the window that is shown: the wanted one, where there is such a one."""
    for label in (wanted, _DEFAULT_WINDOW, *labels):
        if label is not None and label in labels:
            return label
    return _DEFAULT_WINDOW


def contents(snapshot: Snapshot, variant: Variant, setting: Setting) -> Contents:
    """Return what a frame holds."""
    by_place, by_group = _sorted_standings(snapshot.standings)
    single: dict[str, Entry | None] = {"head": _head(snapshot, variant, setting), "floor": None, "quality": None}
    if not snapshot.ready:
        return Contents(single, {"queues": {}, "groups": {}, "agents": {}})
    single["floor"] = _floor(snapshot, variant.window)
    single["quality"] = _quality(snapshot)
    capacities = {view.name: view.now.get("capacity", 0) for view in snapshot.slots}
    queues: dict[Key, Entry] = {
        (view.name, view.channel): _queue(
            view, variant.window, setting, _standings_at(view, by_place, snapshot.channels), capacities.get(view.name)
        )
        for view in snapshot.session_queues
    }
    groups: dict[Key, Entry] = {
        (view.name,): _group(view, variant.window, by_group.get(view.name, {})) for view in snapshot.groups if view.name != FLOOR
    }
    agents: dict[Key, Entry] = {}
    if variant.agents and setting.agents:
        agents = {(view.name,): _agent(view) for view in _shown_agents(snapshot)}
    return Contents(single, {"queues": queues, "groups": groups, "agents": agents})


def _head(snapshot: Snapshot, variant: Variant, setting: Setting) -> Entry:
    return {
        "build": setting.build,
        "ready": snapshot.ready,
        "live": snapshot.live,
        "title": setting.title,
        "zone": setting.zone,
        "windows": snapshot.labels,
        "window": variant.window,
        "agents_allowed": setting.agents,
    }


def _sorted_standings(
    standings: Mapping[Subject, Standing],
) -> tuple[dict[tuple[str, str], dict[str, Standing]], dict[str, dict[str, Standing]]]:
    by_place: dict[tuple[str, str], dict[str, Standing]] = {}
    by_group: dict[str, dict[str, Standing]] = {}
    for subject, standing in standings.items():
        if subject.group:
            by_group.setdefault(subject.group, {})[subject.kpi] = standing
        else:
            by_place.setdefault((subject.queue, subject.channel), {})[subject.kpi] = standing
    return by_place, by_group


def _standings_at(
    view: View, by_place: Mapping[tuple[str, str], Mapping[str, Standing]], channels: Mapping[str, str]
) -> dict[str, Standing]:
    """Return what is judged of one channel of a queue, and of the whole queue, which is judged under one channel for all."""
    whole = by_place.get((view.name, channels.get(view.name, ANY_CHANNEL)), {})
    of_all = {kpi: standing for kpi, standing in whole.items() if kpi in SLOTS}
    return {**of_all, **by_place.get((view.name, view.channel), {})}


def is_of_the_tile(kpi: str) -> bool:
    """Tell whether an indicator colours its queue's tile: those of quality, which stay for a day, have a page of their own."""
    return kpi in BY_ID and BY_ID[kpi].section != "quality"


def _judged(standings: Mapping[str, Standing]) -> Entry:
    """Return the worst level, and each indicator's; values only where there is something to say."""
    levels = [standing.level for kpi, standing in standings.items() if standing.level is not None and is_of_the_tile(kpi)]
    return {
        "level": max(levels, default=None),
        "standings": {kpi: _standing(kpi, standing) for kpi, standing in sorted(standings.items())},
    }


def _standing(kpi: str, standing: Standing) -> Entry:
    kpi_unit = BY_ID[kpi].unit if kpi in BY_ID else "number"
    entry: Entry = {
        "level": standing.level,
        "warn": standing.warn,
        "breach": standing.breach,
        "window": standing.window,
        "unit": kpi_unit,
        "up": kpi in BY_ID and BY_ID[kpi].better == "up",
    }
    if standing.level:
        entry["since"] = standing.since_ms
        if standing.quiet:
            entry["quiet"] = True
        if standing.window and standing.value is not None:
            entry |= {"value": round(standing.value, 5), "n": standing.n}
    return entry


def _terms(view: View, kpi: str, label: str) -> tuple[int, int]:
    terms = BY_ID[kpi].terms
    assert terms is not None
    top, bottom = terms(view.rules)
    parts = view.parts(label)
    return total_of(top, parts), total_of(bottom, parts)


def _queue(view: View, label: str, setting: Setting, standings: Mapping[str, Standing], capacity: int | None) -> Entry:
    give_way()
    now, expected = view.now, view.expected_wait_s
    rank = setting.ranks.get((view.name, view.channel), setting.ranks.get((view.name, "")))
    return {
        "queue": view.name,
        "channel": view.channel,
        "rank": rank,
        "text": view.channel not in setting.speech and view.channel != "any",
        "waiting": now.get("waiting", 0),
        "oldest": now.get(OLDEST),
        "late": now.get("waiting_late", 0),
        "active": now.get("active_sessions", 0),
        "slots_free": view.slots_free,
        "capacity": capacity,
        "expected_s": None if expected is None else round(expected),
        "answer_s": view.rules.answer_ms / 1000,
        "formula": view.rules.service_level,
        **{kpi: _terms(view, kpi, label) for kpi in SHOWN},
        **_judged(standings),
    }


def staffing(view: View) -> Entry:
    """Return agents by what they do, each once: free and in session are those who are available."""
    idle = view.now.get("available_idle", 0)
    statuses = {status: view.now.get(f"status_{status}", 0) for status in STATUSES if status != "offline"}
    available = statuses.pop("available")
    return {"free": idle, "in_session": max(0, available - idle), **statuses, "staffed": view.staffed}


def _slots(view: View) -> Entry:
    return {"slots_free": view.now.get("slots_free", 0), "capacity": view.now.get("capacity", 0)}


def _group(view: View, label: str, standings: Mapping[str, Standing]) -> Entry:
    few = view.staffed < FEWEST_STAFFED
    shown = {kpi: standing for kpi, standing in standings.items() if not few or BY_ID[kpi].form == "state"}
    occupancy = None if few else _terms(view, "occupancy", label)
    return {"group": view.name, **staffing(view), **_slots(view), "occupancy": occupancy, **_judged(shown)}


def _shown_agents(snapshot: Snapshot) -> list[View]:
    return [view for view in snapshot.agents if view.staffed][:MOST_AGENTS]


def _agent(view: View) -> Entry:
    status = next((status for status in STATUSES if view.now.get(f"status_{status}", 0) > 0), "offline")
    return {"agent": view.name, "status": status, "sessions": view.now.get("sessions_in_hand", 0)}


def _floor(snapshot: Snapshot, label: str) -> Entry:
    floor = snapshot.floor
    ratios = {kpi: snapshot.floor_terms(kpi, label) for kpi in ("service_level", "abandonment")}
    waiting = {"waiting": floor.now.get("waiting", 0), "active": floor.now.get("active_sessions", 0)}
    return {**waiting, **ratios, **staffing(floor), **_slots(floor)}


def _quality(snapshot: Snapshot) -> Entry:
    windows = [label for label in QUALITY_WINDOWS if label in snapshot.labels]
    ratios = {kpi: {label: _scaled(kpi, snapshot.floor_terms(kpi, label)) for label in windows} for kpi in QUALITY}
    return {
        **ratios,
        COMPLAINTS: sum(view.now.get(COMPLAINTS, 0) for view in snapshot.queues),
        "goals": {kpi: _goal(kpi, snapshot.standings) for kpi in QUALITY},
        "bad": {kpi: _bad(kpi, snapshot.standings) for kpi in (*QUALITY, COMPLAINTS)},
    }


def _scaled(kpi: str, terms: tuple[int, int]) -> tuple[float, int]:
    """Return numerator and denominator such that one over the other is the share: scores are counted in millionths."""
    return (round(terms[0] / 1_000_000, 6) if kpi == "satisfaction" else terms[0]), terms[1]


def _goal(kpi: str, standings: Mapping[Subject, Standing]) -> float | None:
    """Return what all queues' thresholds have as their limit, the catalogue's where there are none or several."""
    limits = {standing.warn for subject, standing in standings.items() if subject.kpi == kpi and standing.warn is not None}
    return limits.pop() if len(limits) == 1 else GOALS.get(kpi)


def _bad(kpi: str, standings: Mapping[Subject, Standing]) -> list[Entry]:
    """Return the queues that do not stand well, the worst first."""
    found = [(subject, standing) for subject, standing in standings.items() if subject.kpi == kpi and standing.level]
    found.sort(key=lambda pair: (-(pair[1].level or 0), pair[0]))
    return [
        {"queue": subject.queue, "channel": subject.channel, "level": standing.level, "value": standing.value}
        for subject, standing in found[:_NAMED]
    ]


def ranks_of(configured: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Return the places of configured (queue, channel) in their order."""
    return {place: number for number, place in enumerate(dict.fromkeys(configured))}


__all__ = [
    "FEWEST_STAFFED", "GOALS", "Contents", "Entry", "Key", "Setting", "Variant", "contents", "is_of_the_tile",
    "ranks_of", "shown_window", "staffing",
]  # fmt: skip
