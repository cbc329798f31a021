"""What thresholds look at: the judged indicators of one snapshot, each over the windows of its limits.

Over means and ratios, `n` is the denominator; by group it is the agents who are staffed, since the denominator is a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from schemas.columns import Span
from schemas.kpis import BY_ID, Kpi, Terms, peak_in, total_of, turnover_of, value_of, variant_terms
from schemas.rules import FLOOR
from schemas.thresholds import Limit, Threshold, Thresholds
from sinks.gauges import OLDEST
from sinks.levels import Judgement, Measured
from sinks.snapshot import Snapshot
from sinks.standing import Subject
from sinks.views import Lazy, View, added

SLOTS: Final = frozenset({"capacity", "slots_used", "slots_free"})
"""What a queue has once for all of its channels, and is judged under the configured channel or "any"."""
_WHOLE_QUEUE: Final = "consultation_rate"
"""Its parts lie on different channels of a queue."""
_NO_TERMS: Final[tuple[Terms, Terms]] = ((), ())


class Measurer:
    """Measures snapshots; thresholds are looked up once per subject that is there, unchanged windows are not measured again."""

    def __init__(self, thresholds: Thresholds, zone: str) -> None:
        """Take the thresholds, and the zone of groups."""
        self._thresholds, self._zone = thresholds, zone
        self._kpis = thresholds.judged()
        self._memory: dict[tuple[Subject, int], tuple[object, Measured]] = {}
        self._found: dict[Subject, Threshold | None] = {}

    def judgements(self, snapshot: Snapshot) -> Iterator[Judgement]:
        """Yield what is judged in a snapshot."""
        now = snapshot.now or 0
        before, self._memory = self._memory, {}
        found, self._found = self._found, {}
        for kpi in self._kpis:
            for subject, view, zone in self._subjects(kpi, snapshot):
                threshold = self._found[subject] = found[subject] if subject in found else self._of(subject)
                if threshold is not None:
                    measured = tuple(self._measured(subject, threshold, limit, view, now, before) for limit in threshold.limits)
                    yield Judgement(subject, threshold, measured, any(span.holds(zone, now) for span in threshold.quiet))

    def _of(self, subject: Subject) -> Threshold | None:
        return self._thresholds.of(subject.kpi, queue=subject.queue, channel=subject.channel, group=subject.group)

    def _subjects(self, kpi: Kpi, snapshot: Snapshot) -> Iterator[tuple[Subject, View, str]]:
        """Yield (subject, view, zone) of all that an indicator is defined for."""
        if kpi.dimension != "queue":
            for view in snapshot.groups:
                if view.name != FLOOR or FLOOR in self._thresholds.groups:
                    yield Subject(kpi.id, group=view.name), view, self._zone
        if kpi.dimension != "group":
            for view in self._queues(kpi, snapshot):
                yield Subject(kpi.id, view.name, view.channel), view, view.rules.zone

    def _queues(self, kpi: Kpi, snapshot: Snapshot) -> Iterable[View]:
        if kpi.wide:
            return snapshot.wide_queues
        if kpi.id in SLOTS:
            return snapshot.slots
        return _whole(snapshot) if kpi.id == _WHOLE_QUEUE else snapshot.session_queues

    def _measured(
        self, subject: Subject, threshold: Threshold, limit: Limit, view: View, now: int,
        before: Mapping[tuple[Subject, int], tuple[object, Measured]],
    ) -> Measured:  # fmt: skip
        kpi = BY_ID[threshold.kpi]
        if kpi.form in ("state", "turnover"):
            return state_of(kpi, threshold, view, now)
        parts, key = view.parts(limit.window), (subject, limit.level)
        known = before.get(key)
        found = known[1] if known is not None and known[0] is parts else over_window(kpi, threshold, view, parts)
        self._memory[key] = (parts, found)
        return found


def _whole(snapshot: Snapshot) -> Iterator[View]:
    """Yield each place of sessions with the windows of all channels of its queue."""
    by_name: dict[str, list[View]] = {}
    for view in snapshot.queues:
        by_name.setdefault(view.name, []).append(view)
    for view in snapshot.session_queues:
        windows = Lazy(view.windows, partial(_added, by_name[view.name]))
        yield replace(view, windows=windows)


def _added(views: Iterable[View], label: str) -> Mapping[str, int]:
    return added(view.parts(label) for view in views)


def state_of(kpi: Kpi, threshold: Threshold, view: View, now: int) -> Measured:
    """Measure a state of now."""
    if kpi.form == "turnover":
        left, roster_ms, covered_ms = view.roster or (0, 0, 0)
        heads = round(roster_ms / covered_ms) if covered_ms > 0 else 0
        return Measured(turnover_of(left, roster_ms, covered_ms)[2], heads, left)
    if kpi.id == "oldest_wait":
        return Measured(max(0, now - view.now.get(OLDEST, now)) / 1000)
    if kpi.id == "expected_wait":
        return Measured(view.expected_wait_s)
    if kpi.id == "agents":
        number = view.staffed if threshold.variant == "staffed" else view.now.get(f"status_{threshold.variant}", 0)
        return Measured(number, view.staffed)
    return Measured(view.now.get(kpi.id, 0), view.staffed if kpi.dimension == "group" else 0)


def over_window(kpi: Kpi, threshold: Threshold, view: View, parts: Span) -> Measured:
    """Measure an indicator over one window."""
    by_group = kpi.dimension == "group"
    if kpi.form == "peak":
        return Measured(peak_in(parts), view.staffed)
    terms = _terms(kpi, threshold, view)
    top, bottom = total_of(terms[0], parts), total_of(terms[1], parts)
    if threshold.stat == "share" and kpi.share is not None:
        within = parts.get(kpi.share, 0)
        return Measured(within / bottom if bottom > 0 else None, bottom, within)
    n = view.staffed if by_group else bottom
    if threshold.stat != "mean" and kpi.series is not None:
        found = parts.stats(kpi.series)[threshold.stat]
        return Measured(None if found is None else found / 1000, n, n)
    value = value_of(kpi, terms, parts)
    return Measured(value, n if kpi.form != "count" else top, top)


def _terms(kpi: Kpi, threshold: Threshold, view: View) -> tuple[Terms, Terms]:
    if threshold.variant:
        return variant_terms(kpi, threshold.variant, view.rules)
    return kpi.terms(view.rules) if kpi.terms is not None else _NO_TERMS


__all__ = ["SLOTS", "Measurer", "state_of"]
