"""Metric families of the indicators, made from the catalogue and one snapshot.

Each indicator `x` is `floorpulse_x` and a unit: `_seconds`, `_ratio`, `_in_window` for counts, nothing for counts
of state. Beside each windowed ratio and mean stand its `_numerator` and `_denominator`; times in seconds. What is
0/0 has no series.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from schemas.kpis import CATALOGUE, PERCENTILES, Kpi, Terms, total_of, value_of, variant_terms
from schemas.parts import HISTOGRAM_LIMITS_MS, SERIES, TOTALS, buckets_in
from schemas.rules import FLOOR, STATUSES
from schemas.sketch import largest, quantile
from sinks.delays import limit_text
from sinks.merge import OLDEST
from sinks.series import Bounds
from sinks.snapshot import Snapshot, View

PREFIX: Final = "floorpulse_"
_QUEUE: Final = ("queue", "channel")
_STATS: Final = ("mean", *PERCENTILES, "max")
_SLOT_STATES: Final = {"capacity": "capacity", "slots_used": "used", "slots_free": "free"}
_NO_PARTS: Final[Mapping[str, int]] = {}


class Window(NamedTuple):
    """One window of one queue or group: its labels, and the parts behind its indicators."""

    labels: tuple[str, ...]
    view: View
    parts: Mapping[str, int]


def indicator_families(snapshot: Snapshot, bounds: Bounds, labels: Sequence[str]) -> Iterator[Metric]:
    """Yield the families of all indicators for the windows in `labels`."""
    yield from _queue_states(snapshot, bounds)
    yield from _agent_states(snapshot, bounds)
    yield from _slot_states(snapshot, bounds)
    for kpi in CATALOGUE:
        if kpi.terms is None:
            continue
        width = len(labels) * max(len(_STATS) if kpi.series else 1, len(kpi.variants[1]) if kpi.variants else 1)
        views = snapshot.groups if kpi.dimension == "group" else snapshot.queues
        shown = bounds.shown(kpi.dimension, views, width)
        yield from _windowed(kpi, [window for view in shown for window in _windows(kpi, view, labels)])
    yield from _totals(bounds.shown("queue", snapshot.session_queues, 1))
    yield from _histograms(bounds.shown("queue", snapshot.session_queues, len(HISTOGRAM_LIMITS_MS) + 3))


def _gauge(name: str, text: str, labels: Sequence[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, labels=labels)


def _title(kpi_id: str) -> str:
    kpi = next(kpi for kpi in CATALOGUE if kpi.id == kpi_id)
    return f"{kpi.title}: {kpi.definition}"


def _queue_states(snapshot: Snapshot, bounds: Bounds) -> Iterator[Metric]:
    views = bounds.shown("queue", snapshot.session_queues, 1)
    for part in ("waiting", "waiting_late", "active_sessions"):
        family = _gauge(part, _title(part), _QUEUE)
        for view in views:
            family.add_metric([view.name, view.channel], view.now.get(part, 0))
        yield family
    now = snapshot.now or 0
    oldest = _gauge("oldest_wait_seconds", _title("oldest_wait") + "; 0 when nobody waits", _QUEUE)
    expected = _gauge("expected_wait_seconds", _title("expected_wait"), _QUEUE)
    for view in views:
        oldest.add_metric([view.name, view.channel], max(0, now - view.now.get(OLDEST, now)) / 1000)
        if view.expected_wait_s is not None:
            expected.add_metric([view.name, view.channel], view.expected_wait_s)
    yield from (oldest, expected)


def _agent_states(snapshot: Snapshot, bounds: Bounds) -> Iterator[Metric]:
    groups = [group for group in snapshot.groups if group.name != FLOOR]
    agents = _gauge("agents", "Agents by group and status; one in two groups stands in both", ("group", "status"))
    for view in bounds.shown("agents", groups, len(STATUSES)):
        for status in STATUSES:
            agents.add_metric([view.name, status], view.now.get(f"status_{status}", 0))
    floor = _gauge("floor_agents", "Agents by status, each once", ("status",))
    for status in STATUSES:
        floor.add_metric([status], snapshot.floor.now.get(f"status_{status}", 0))
    yield from (agents, floor)


def _slot_states(snapshot: Snapshot, bounds: Bounds) -> Iterator[Metric]:
    groups = bounds.shown("agents", [group for group in snapshot.groups if group.name != FLOOR], 1)
    queues = bounds.shown("slots", snapshot.slots, 1)
    floor = _gauge("floor_slots", "Slots of available agents, each agent once", ("state",))
    for part, state in _SLOT_STATES.items():
        family = _gauge(part, _title(part) + "; by group, and by queue that the agents serve", ())
        for view in groups:
            family.add_sample(family.name, {"group": view.name}, view.now.get(part, 0))
        for view in queues:
            family.add_sample(family.name, {"queue": view.name, "channel": view.channel}, view.now.get(part, 0))
        floor.add_metric([state], snapshot.floor.now.get(part, 0))
        yield family
    yield floor


def _windows(kpi: Kpi, view: View, labels: Iterable[str]) -> Iterator[Window]:
    names = (view.name,) if kpi.dimension == "group" else (view.name, view.channel)
    for label in labels:
        yield Window((*names, label), view, view.windows.get(label, _NO_PARTS))


def _label_names(kpi: Kpi) -> tuple[str, ...]:
    names = ("group", "window") if kpi.dimension == "group" else (*_QUEUE, "window")
    if kpi.id == "service_level":
        return (*names, "formula")
    return (*names, kpi.variants[0]) if kpi.variants else names


def _cases(kpi: Kpi, window: Window) -> Iterator[tuple[tuple[str, ...], tuple[Terms, Terms]]]:
    """Yield (labels, terms) of an indicator in a window: one, or one of each variant."""
    assert kpi.terms is not None
    if kpi.variants:
        for value in kpi.variants[1]:
            yield (*window.labels, value), variant_terms(kpi, value, window.view.rules)
    elif kpi.id == "service_level":
        yield (*window.labels, window.view.rules.service_level), kpi.terms(window.view.rules)
    else:
        yield window.labels, kpi.terms(window.view.rules)


def _windowed(kpi: Kpi, windows: Sequence[Window]) -> Iterator[Metric]:
    text, names = f"{kpi.title}: {kpi.definition}", _label_names(kpi)
    suffix = {"count": "_in_window", "mean": "_seconds", "time": "_seconds"}.get(kpi.form, "")
    suffix = "_ratio" if kpi.unit == "ratio" else suffix
    stats = ("stat",) if kpi.form == "mean" else ()
    family = _gauge(kpi.id + suffix, text, (*names, *stats))
    top_family = _gauge(kpi.id + "_numerator", f"{kpi.title}, its numerator", names)
    bottom_family = _gauge(kpi.id + "_denominator", f"{kpi.title}, its denominator", names)
    for window in windows:
        for labels, (top, bottom) in _cases(kpi, window):
            numerator, denominator = total_of(top, window.parts), total_of(bottom, window.parts)
            if kpi.dimension == "queue" and not (numerator or denominator or window.view.has_sessions):
                continue  # costs and visits without a channel have a place of their own, which has no service level
            value = value_of(kpi, (top, bottom), window.parts)
            if value is not None:
                family.add_metric([*labels, *(("mean",) if stats else ())], value)
            top_family.add_metric(labels, numerator / _scale(top))
            bottom_family.add_metric(labels, denominator / _scale(bottom))
        if kpi.series:
            _percentiles(family, window, kpi.series)
    yield family
    if kpi.form in ("ratio", "mean"):
        yield from (top_family, bottom_family)
    if kpi.share:
        yield from _shares(kpi, kpi.share, windows)


def _scale(terms: Terms) -> int:
    """Return 1000 for sums in ms, which are published in seconds."""
    return 1000 if terms and all(part.endswith("_ms") for part, _ in terms) else 1


def _percentiles(family: GaugeMetricFamily, window: Window, series: str) -> None:
    buckets = buckets_in(window.parts, series)
    if not buckets:
        return
    found = {stat: quantile(buckets, q) for stat, q in PERCENTILES.items()} | {"max": largest(buckets)}
    for stat, value in found.items():
        if value is not None:
            family.add_metric([*window.labels, stat], value / 1000)


def _shares(kpi: Kpi, part: str, windows: Sequence[Window]) -> Iterator[Metric]:
    """Yield the share within target of a mean."""
    assert kpi.terms is not None
    names = _label_names(kpi)
    family = _gauge(f"{kpi.id}_share_ratio", f"{kpi.title}, share within target", names)
    parts_of = [_gauge(f"{kpi.id}_share_{which}", f"{kpi.title}, share within target, its {which}", names)
                for which in ("numerator", "denominator")]  # fmt: skip
    for window in windows:
        within, of = window.parts.get(part, 0), total_of(kpi.terms(window.view.rules)[1], window.parts)
        if not (of or window.view.has_sessions):
            continue
        if of > 0:
            family.add_metric(window.labels, within / of)
        parts_of[0].add_metric(window.labels, within)
        parts_of[1].add_metric(window.labels, of)
    yield from (family, *parts_of)


def _totals(views: Sequence[View]) -> Iterator[Metric]:
    for part in TOTALS:
        text = f"{part.replace('_', ' ').capitalize()} since ever, first bookings"
        family = CounterMetricFamily(PREFIX + part, text, labels=_QUEUE)
        for view in views:
            family.add_metric([view.name, view.channel], max(0, view.totals.get(part, 0)))
        yield family


def _histograms(views: Sequence[View]) -> Iterator[Metric]:
    for series in SERIES:
        title = next(kpi.title for kpi in CATALOGUE if kpi.series == series)
        name = f"{PREFIX}{series}_seconds_hist"
        family = HistogramMetricFamily(name, f"{title}, exact counts since ever, first bookings", labels=_QUEUE)
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
