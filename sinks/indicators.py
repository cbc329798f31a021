"""Metric families of the indicators over windows, each with its numerator and denominator.

The unit ends the name: `_seconds`, `_ratio`, `_in_window` for counts, nothing for plain numbers. Numerator and denominator are
scaled for people (s, hours, units of money), so that one over the other is the value. What is 0/0 has no series.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from prometheus_client.core import GaugeMetricFamily, Metric

from schemas.columns import Span
from schemas.kpis import BY_ID, CATALOGUE, PERCENTILES, Kpi, Terms, derived, peak_in, total_of, turnover_of, variant_terms
from schemas.metric_names import IN_WINDOW, PANEL_WINDOWS, PREFIX, QUEUE_LABELS, value_suffix
from schemas.parts import REVIEWER_DAYS
from sinks.series import Bounds
from sinks.snapshot import Snapshot
from sinks.views import NO_PARTS, View
from sinks.windows import DAY_WINDOWS

_STATS: Final = ("mean", *PERCENTILES, "max")
_BY_WHOLE_QUEUE: Final = frozenset({"consultation_rate"})
"""Ratios whose parts lie on different channels of a queue: their parts are exported for every place, to be added up by queue."""
_ONCE_ON_THE_FLOOR: Final = BY_ID["reviews_per_reviewer_day"]


class Window(NamedTuple):
    """One window of one queue, group or agent: its labels, and the parts behind its indicators."""

    labels: tuple[str, ...]
    view: View
    parts: Span


@dataclass(frozen=True, slots=True)
class Subject:
    """Who the series are about: the views, what bounds them, the beginning of names, and the labels."""

    kind: str
    views: Sequence[View]
    names: tuple[str, ...]
    prefix: str = ""


def gauge(name: str, text: str, labels: Sequence[str]) -> GaugeMetricFamily:
    """Return an empty family of gauges."""
    return GaugeMetricFamily(PREFIX + name, text, labels=labels)


def title(kpi_id: str) -> str:
    """Return the help text of an indicator."""
    return f"{BY_ID[kpi_id].title}: {BY_ID[kpi_id].definition}"


def window_families(snapshot: Snapshot, bounds: Bounds, labels: Sequence[str]) -> Iterator[Metric]:
    """Yield the families of all indicators over the windows in `labels`, and turnover."""
    queues = Subject("queue", snapshot.queues, QUEUE_LABELS)
    wide = Subject("wide", snapshot.wide_queues, QUEUE_LABELS)
    groups = Subject("group", snapshot.groups, ("group",))
    for kpi in CATALOGUE:
        if kpi.form == "turnover":
            yield from _turnover(kpi, bounds.shown("group", snapshot.groups, 1))
        elif kpi.form != "state":
            subject = groups if kpi.dimension == "group" else wide if kpi.wide else queues
            of_panels = [label for label in PANEL_WINDOWS.get(kpi.id, ()) if label in snapshot.labels]
            yield from _families(kpi, subject, bounds, tuple(dict.fromkeys((*labels, *of_panels))), snapshot.currencies)
    yield from _floor_once(snapshot, labels)
    if snapshot.agents:
        agents = Subject("agent", snapshot.agents, ("agent",), "agent_")
        for kpi in CATALOGUE:
            if kpi.section == "agents" and not kpi.days:
                yield from _families(kpi, agents, bounds, labels, ())


def _families(kpi: Kpi, subject: Subject, bounds: Bounds, labels: Sequence[str], currencies: Sequence[str]) -> Iterator[Metric]:
    wanted = [label for label in labels if label in DAY_WINDOWS or not kpi.days]
    variants = (kpi.variants[1] or currencies) if kpi.variants else ()
    width = max(1, len(wanted)) * max(len(_STATS) if kpi.series else 1, len(variants))
    windows = [
        Window((*(view.name, view.channel)[: len(subject.names)], label), view, view.parts(label))
        for view in bounds.shown(subject.kind, subject.views, width)
        for label in wanted
    ]
    names = (*subject.names, "window")
    if kpi.form == "peak":
        yield _peaks(kpi, subject.prefix, names, windows)
        return
    yield from _Family(kpi, subject.prefix, names, variants).of(windows)


def _peaks(kpi: Kpi, prefix: str, names: tuple[str, ...], windows: Iterable[Window]) -> Metric:
    family = gauge(prefix + kpi.id, title(kpi.id), names)
    for window in windows:
        peak = peak_in(window.parts)
        if peak is not None:
            family.add_metric(window.labels, peak)
    return family


class _Family:
    """Maker of one indicator's families."""

    def __init__(self, kpi: Kpi, prefix: str, names: tuple[str, ...], variants: Sequence[str]) -> None:
        self._kpi, self._variants, self._subject = kpi, variants, prefix
        self._prefix = prefix + kpi.id
        extra = (kpi.variants[0],) if kpi.variants else ("formula",) if kpi.id == "service_level" else ()
        self._names = (*names, *extra)
        self._stat = ("mean",) if kpi.form == "mean" else ()
        self._value = gauge(self._prefix + value_suffix(kpi), title(kpi.id), (*self._names, *(("stat",) if self._stat else ())))
        self._top = gauge(self._prefix + "_numerator", f"{kpi.title}, its numerator", self._names)
        self._bottom = gauge(self._prefix + "_denominator", f"{kpi.title}, its denominator", self._names)

    def of(self, windows: Sequence[Window]) -> Iterator[Metric]:
        """Yield the families over some windows."""
        kpi = self._kpi
        for window in windows:
            if kpi.dimension == "queue" and not (kpi.wide or window.view.has_sessions):
                self._add_parts_only(window)
                continue
            for labels, terms in self._cases(window):
                self._add(labels, terms, window.parts)
            if kpi.series:
                self._add_percentiles(window, kpi.series)
        yield self._value
        if kpi.form in ("ratio", "mean"):
            yield from (self._top, self._bottom)
        if kpi.share:
            yield from self._shares(kpi.share, windows)
        for part, text in kpi.beside:
            yield self._counts(part, text, windows)

    def _cases(self, window: Window) -> Iterator[tuple[tuple[str, ...], tuple[Terms, Terms]]]:
        """Yield (labels, terms) in a window: one, or one of each variant."""
        kpi, rules = self._kpi, window.view.rules
        assert kpi.terms is not None
        if kpi.variants:
            for value in self._variants:
                yield (*window.labels, value), variant_terms(kpi, value, rules)
        elif kpi.id == "service_level":
            yield (*window.labels, rules.service_level), kpi.terms(rules)
        else:
            yield window.labels, kpi.terms(rules)

    def _add(self, labels: tuple[str, ...], terms: tuple[Terms, Terms], parts: Span) -> None:
        kpi, (top, bottom) = self._kpi, terms
        numerator, denominator = total_of(top, parts), total_of(bottom, parts)
        value = derived(kpi, terms, numerator, denominator)
        if value is not None:
            self._value.add_metric((*labels, *self._stat), value)
        if kpi.form in ("ratio", "mean"):
            top_scale, bottom_scale = kpi.scales(top, bottom)
            self._top.add_metric(labels, numerator / top_scale)
            self._bottom.add_metric(labels, denominator / bottom_scale)

    def _add_parts_only(self, window: Window) -> None:
        """Add what a place without sessions has to give to the sum over its queue."""
        kpi = self._kpi
        if kpi.id in _BY_WHOLE_QUEUE:
            for labels, (top, bottom) in self._cases(window):
                numerator, denominator = total_of(top, window.parts), total_of(bottom, window.parts)
                if numerator or denominator:
                    self._top.add_metric(labels, numerator)
                    self._bottom.add_metric(labels, denominator)

    def _add_percentiles(self, window: Window, series: str) -> None:
        for stat, value in window.parts.stats(series).items():
            if value is not None:
                self._value.add_metric([*window.labels, stat], value / 1000)

    def _shares(self, part: str, windows: Sequence[Window]) -> Iterator[Metric]:
        """Yield the share within target of a mean."""
        kpi = self._kpi
        assert kpi.terms is not None
        family = gauge(f"{self._prefix}_share_ratio", f"{kpi.title}, share within target", self._names)
        parts_of = [gauge(f"{self._prefix}_share_{which}", f"{kpi.title}, share within target, its {which}", self._names)
                    for which in ("numerator", "denominator")]  # fmt: skip
        for window in windows:
            if not window.view.has_sessions:
                continue
            within, of = window.parts.get(part, 0), total_of(kpi.terms(window.view.rules)[1], window.parts)
            if of > 0:
                family.add_metric(window.labels, within / of)
            parts_of[0].add_metric(window.labels, within)
            parts_of[1].add_metric(window.labels, of)
        yield from (family, *parts_of)

    def _counts(self, part: str, text: str, windows: Sequence[Window]) -> Metric:
        """Return the counts of one part."""
        family = gauge(self._subject + part + IN_WINDOW, f"{self._kpi.title}, {part.replace('_', ' ')}: {text}", self._names)
        for window in windows:
            if window.view.has_sessions:
                family.add_metric(window.labels, window.parts.get(part, 0))
        return family


def _turnover(kpi: Kpi, groups: Sequence[View]) -> Iterator[Metric]:
    texts = {"_numerator": "; its numerator", "_denominator": "; its denominator", "_ratio": ""}
    families = [gauge(kpi.id + suffix, title(kpi.id) + more, ("group",)) for suffix, more in texts.items()]
    for view in groups:
        if view.roster is not None:
            for family, value in zip(families, turnover_of(*view.roster), strict=True):
                if value is not None:
                    family.add_metric([view.name], value)
    yield from families


def _floor_once(snapshot: Snapshot, labels: Sequence[str]) -> Iterator[Metric]:
    """Yield what cannot be added up over queues, since who is in two of them counts once."""
    if not snapshot.session_queues:
        return
    windows = []
    for label in (label for label in labels if label in DAY_WINDOWS):
        reviews = sum(view.parts(label).get("reviews", 0) for view in snapshot.queues)
        parts = Span({"reviews": reviews, REVIEWER_DAYS: snapshot.once.get(label, NO_PARTS).get(REVIEWER_DAYS, 0)})
        windows.append(Window((label,), snapshot.session_queues[0], parts))
    yield from _Family(_ONCE_ON_THE_FLOOR, "floor_", ("window",), ()).of(windows)


__all__ = ["PREFIX", "Subject", "Window", "gauge", "title", "window_families"]
