"""Metric families of one snapshot: gauges of now, indicators over windows, counters and histograms that run on for ever.

Each indicator `x` of the catalogue is `floorpulse_x` and a unit; `sinks.indicators` has those over windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from schemas.kpis import CATALOGUE
from schemas.metric_names import QUEUE_LABELS
from schemas.parts import HISTOGRAM_LIMITS_MS, SERIES, TOTALS
from schemas.rules import FLOOR, STATUSES
from sinks.delays import limit_text
from sinks.gauges import OLDEST
from sinks.indicators import PREFIX, gauge, title, window_families
from sinks.series import Bounds
from sinks.snapshot import Snapshot
from sinks.views import COMPLAINTS, View

_SLOT_STATES: Final = {"capacity": "capacity", "slots_used": "used", "slots_free": "free"}


def indicator_families(snapshot: Snapshot, bounds: Bounds, labels: Sequence[str]) -> Iterator[Metric]:
    """Yield the families of all indicators for the windows in `labels`."""
    yield from _queue_states(snapshot, bounds)
    yield from _agent_states(snapshot, bounds)
    yield from _slot_states(snapshot, bounds)
    yield _complaints(bounds.shown("wide", snapshot.wide_queues, 1))
    yield from window_families(snapshot, bounds, labels)
    yield from _totals(bounds.shown("queue", snapshot.session_queues, 1))
    yield from _histograms(bounds.shown("queue", snapshot.session_queues, len(HISTOGRAM_LIMITS_MS) + 3))


def _queue_states(snapshot: Snapshot, bounds: Bounds) -> Iterator[Metric]:
    views = bounds.shown("queue", snapshot.session_queues, 1)
    for part in ("waiting", "waiting_late", "active_sessions"):
        family = gauge(part, title(part), QUEUE_LABELS)
        for view in views:
            family.add_metric([view.name, view.channel], view.now.get(part, 0))
        yield family
    now = snapshot.now or 0
    oldest = gauge("oldest_wait_seconds", title("oldest_wait") + "; 0 when nobody waits", QUEUE_LABELS)
    expected = gauge("expected_wait_seconds", title("expected_wait"), QUEUE_LABELS)
    for view in views:
        oldest.add_metric([view.name, view.channel], max(0, now - view.now.get(OLDEST, now)) / 1000)
        if view.expected_wait_s is not None:
            expected.add_metric([view.name, view.channel], view.expected_wait_s)
    yield from (oldest, expected)


def _complaints(views: Sequence[View]) -> Metric:
    family = gauge(COMPLAINTS, title(COMPLAINTS), QUEUE_LABELS)
    for view in views:
        family.add_metric([view.name, view.channel], view.now.get(COMPLAINTS, 0))
    return family


def _agent_states(snapshot: Snapshot, bounds: Bounds) -> Iterator[Metric]:
    groups = [group for group in snapshot.groups if group.name != FLOOR]
    agents = gauge("agents", "Agents by group and status; one in two groups stands in both", ("group", "status"))
    for view in bounds.shown("agents", groups, len(STATUSES)):
        for status in STATUSES:
            agents.add_metric([view.name, status], view.now.get(f"status_{status}", 0))
    floor = gauge("floor_agents", "Agents by status, each once", ("status",))
    for status in STATUSES:
        floor.add_metric([status], snapshot.floor.now.get(f"status_{status}", 0))
    yield from (agents, floor)
    if snapshot.agents:
        single = gauge("agent_status", "1 for the status that an agent is in", ("agent", "status"))
        for view in bounds.shown("agent", snapshot.agents, len(STATUSES)):
            for status in STATUSES:
                single.add_metric([view.name, status], view.now.get(f"status_{status}", 0))
        yield single


def _slot_states(snapshot: Snapshot, bounds: Bounds) -> Iterator[Metric]:
    groups = bounds.shown("agents", [group for group in snapshot.groups if group.name != FLOOR], 1)
    queues = bounds.shown("slots", snapshot.slots, 1)
    floor = gauge("floor_slots", "Slots of available agents, each agent once", ("state",))
    for part, state in _SLOT_STATES.items():
        family = gauge(part, title(part) + "; by group, and by queue that the agents serve", ())
        for view in groups:
            family.add_sample(family.name, {"group": view.name}, view.now.get(part, 0))
        for view in queues:
            family.add_sample(family.name, {"queue": view.name, "channel": view.channel}, view.now.get(part, 0))
        floor.add_metric([state], snapshot.floor.now.get(part, 0))
        yield family
    yield floor


def _totals(views: Sequence[View]) -> Iterator[Metric]:
    for part in TOTALS:
        text = f"{part.replace('_', ' ').capitalize()} since ever, first bookings"
        family = CounterMetricFamily(PREFIX + part, text, labels=QUEUE_LABELS)
        for view in views:
            family.add_metric([view.name, view.channel], max(0, view.totals.get(part, 0)))
        yield family


def _histograms(views: Sequence[View]) -> Iterator[Metric]:
    for series in SERIES:
        title = next(kpi.title for kpi in CATALOGUE if kpi.series == series)
        name = f"{PREFIX}{series}_seconds_hist"
        family = HistogramMetricFamily(name, f"{title}, exact counts since ever, first bookings", labels=QUEUE_LABELS)
        for view in views:
            prefix, seen = f"{series}_hist~", 0
            buckets: list[tuple[str, float]] = []
            for limit in HISTOGRAM_LIMITS_MS:
                seen += max(0, view.totals.get(f"{prefix}{limit}", 0))
                buckets.append((limit_text(limit), seen))
            buckets.append(("+Inf", seen + max(0, view.totals.get(f"{prefix}inf", 0))))
            family.add_metric([view.name, view.channel], buckets, max(0, view.totals.get(f"{series}_hist_ms", 0)) / 1000)
        yield family


__all__ = ["PREFIX", "indicator_families"]
