"""A snapshot as JSON: all of it, for programs. `sinks.wall` has the little that a wall-screen needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from schemas.codec import encode_json
from schemas.columns import Column, Value, day_columns, group_columns, queue_columns
from schemas.kpis import turnover_of
from schemas.rules import FLOOR, STATUSES
from sinks.collector import product_version
from sinks.gauges import OLDEST
from sinks.snapshot import Snapshot
from sinks.standing import Standing, Subject
from sinks.views import COMPLAINTS, View
from sinks.windows import DAY_WINDOWS
from sinks.written import rounded

_OWN_FORMULA: Final = ("service_level", "abandonment")
_SLOTS: Final = ("capacity", "slots_used", "slots_free")
_GROUP_COLUMNS: Final = tuple(group_columns())
_QUEUE_DAYS: Final = tuple(day_columns("queue"))
_GROUP_DAYS: Final = tuple(day_columns("group"))
Columns = Sequence[Column]


def as_bytes(body: dict[str, Any]) -> bytes:
    """Encode a body as JSON in which nothing can be taken for markup."""
    return encode_json(body).replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026")


def everything(snapshot: Snapshot) -> dict[str, Any]:
    """Return all of a snapshot: gauges, and each window's columns as in the interval table (None: absent).

    `whole_queues` has what knows no channel: open complaints, costs per contact, times of complaints.
    """
    health = snapshot.health
    columns = queue_columns(snapshot.currencies)
    wide = [column for column in columns if column.wide]
    return {
        **_head(snapshot),
        "readings_age_s": {str(partition): age / 1000 for partition, age in health.readings_age_ms.items()},
        "events": health.events,
        "counters": health.counters,
        "readings_ignored": health.ignored,
        "floor": _floor(snapshot, columns) if snapshot.ready else None,
        "queues": [_queue(snapshot, view, columns) for view in snapshot.queues],
        "whole_queues": [_whole_queue(view, wide) for view in snapshot.wide_queues],
        "groups": [{"group": view.name, **_group(view), **_turnover(view)} for view in snapshot.groups],
        "agents": [{"agent": view.name, **_group(view)} for view in snapshot.agents],
        "standings": [_standing(subject, standing) for subject, standing in snapshot.standings.items()],
        "slots": [{"queue": view.name, **{part: view.now.get(part, 0) for part in _SLOTS}} for view in snapshot.slots],
    }


def _standing(subject: Subject, standing: Standing) -> dict[str, Any]:
    value = standing.value
    return {**subject._asdict(), **asdict(standing), "value": None if value is None else round(value, 6)}


def _head(snapshot: Snapshot) -> dict[str, Any]:
    health = snapshot.health
    return {
        "version": product_version(),
        "number": snapshot.number,
        "ready": snapshot.ready,
        "live": snapshot.live,
        "now": snapshot.now,
        "made_at": snapshot.made_at,
        "oldest_reading_ms": health.oldest_reading_ms,
        "data_age_ms": health.data_age_ms,
        "windows": snapshot.labels,
    }


def _queue_now(snapshot: Snapshot, view: View) -> dict[str, Any]:
    oldest = view.now.get(OLDEST)
    expected = view.expected_wait_s
    return {
        "queue": view.name,
        "channel": view.channel,
        "waiting": view.now.get("waiting", 0),
        "oldest_entered_at": oldest,
        "oldest_wait_s": None if oldest is None else max(0, (snapshot.now or 0) - oldest) / 1000,
        "waiting_late": view.now.get("waiting_late", 0),
        "active_sessions": view.now.get("active_sessions", 0),
        "expected_wait_s": None if expected is None else round(expected, 3),
        "slots_free": view.slots_free,
        "answer_s": view.rules.answer_ms / 1000,
        "formula": view.rules.service_level,
    }


def _queue(snapshot: Snapshot, view: View, columns: Columns) -> dict[str, Any]:
    return {**_queue_now(snapshot, view), "windows": _windows(view, columns, _QUEUE_DAYS), "totals": view.totals}


def _whole_queue(view: View, columns: Columns) -> dict[str, Any]:
    windows = {label: _derived(columns, view, label) for label in view.windows}
    return {"queue": view.name, "channel": view.channel, COMPLAINTS: view.now.get(COMPLAINTS, 0), "windows": windows}


def _group(view: View) -> dict[str, Any]:
    return {**_agents(view), "windows": _windows(view, _GROUP_COLUMNS, _GROUP_DAYS)}


def _turnover(view: View) -> dict[str, Any]:
    """Return turnover a year, and what it is made of."""
    left, roster_ms, covered_ms = view.roster or (0, 0, 0)
    value = turnover_of(left, roster_ms, covered_ms)[2]
    return {
        "turnover": None if value is None else round(value, 6),
        "agents_left": left,
        "mean_headcount": round(roster_ms / covered_ms, 6) if covered_ms > 0 else None,
    }


def _agents(view: View) -> dict[str, Any]:
    agents = {status: view.now.get(f"status_{status}", 0) for status in STATUSES}
    return {"agents": agents, "staffed": view.staffed, **{part: view.now.get(part, 0) for part in _SLOTS}}


def _floor_now(snapshot: Snapshot) -> dict[str, Any]:
    floor = snapshot.floor
    now = {part: floor.now.get(part, 0) for part in ("waiting", "waiting_late", "active_sessions")}
    return {**now, "oldest_entered_at": floor.now.get(OLDEST), **_agents(floor)}


def _floor(snapshot: Snapshot, columns: Columns) -> dict[str, Any]:
    """Return the floor; service level and abandonment add up each queue's own formula."""
    floor = snapshot.floor
    windows = _windows(floor, columns, _QUEUE_DAYS)
    formulas = {view.rules.service_level for view in snapshot.queues}
    formula = formulas.pop() if len(formulas) == 1 else None
    for label, derived in windows.items():
        for kpi in _OWN_FORMULA:
            top, bottom = snapshot.floor_terms(kpi, label)
            derived[kpi] = round(top / bottom, 6) if bottom > 0 else None
        derived["formula"] = formula
    return {"name": FLOOR, **_floor_now(snapshot), COMPLAINTS: floor.now.get(COMPLAINTS, 0), **_turnover(floor), "windows": windows}


def _windows(view: View, columns: Columns, days: Columns) -> dict[str, dict[str, Value]]:
    return {label: _derived((*columns, *days) if label in DAY_WINDOWS else columns, view, label) for label in view.windows}


def _derived(columns: Columns, view: View, label: str) -> dict[str, Value]:
    parts = view.parts(label)
    return {column.name: rounded(column, column.value(parts, view.rules)) for column in columns}


__all__ = ["as_bytes", "everything"]
