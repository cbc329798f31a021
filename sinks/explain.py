"""How a number came about: formula, parts by partition, window, settings in force, so that anyone can check it.

The arithmetic in `with_numbers` stands for the value: computing it gives the digit that is shown elsewhere, before rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from schemas.errors import UsageError
from schemas.kpis import BY_ID, Kpi, Terms, peak_in, turnover_of, value_of, variant_terms
from schemas.parts import ROSTER_LEVEL
from schemas.rules import FLOOR, ONLINE_STATUSES, STATUSES, QueueRules
from sinks.cells import Parts, Place
from sinks.evidence import ByPartition, gauge_evidence, roster_evidence, window_evidence
from sinks.gauges import OLDEST, ROSTER_SINCE
from sinks.merge import Merge
from sinks.names import known_name
from sinks.quantiles import explained_quantile
from sinks.settings import bounds_of_window, settings_in_force
from sinks.snapshot import ANY_CHANNEL, Snapshot
from sinks.spans import Stretch
from sinks.views import EXPECTED_WAIT_MS, added
from sinks.windows import DAY_WINDOWS, FLOOR_PLACE, Windows, window_label

PARAMETERS: Final = ("kpi", "queue", "channel", "group", "window", "stat", "variant")
_SLOTS: Final = frozenset({"capacity", "slots_used", "slots_free"})
_ALWAYS_A_VARIANT: Final = frozenset({"status_share", "cost_per_contact", "message_ratio", "agents"})
_DEFAULT_WINDOW: Final = "30m"


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants explained; None where he did not say."""

    kpi: str
    queue: str | None = None
    channel: str | None = None
    group: str | None = None
    window: str | None = None
    stat: str | None = None
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """Where the number is from: its places, and by what it is counted."""

    places: tuple[Place, ...]
    labels: Mapping[str, Any]
    rules: QueueRules


@dataclass(frozen=True, slots=True)
class Answer:
    """A value with its arithmetic, in words and in numbers, and the parts that it is made of."""

    value: float | None
    formula: str
    with_numbers: str
    evidence: ByPartition
    more: Mapping[str, Any]


class Explainer:
    """Answers questions about one snapshot; reads the merge, so to be used where it is fed."""

    def __init__(self, merge: Merge, windows: Windows, snapshot: Snapshot) -> None:
        assert windows.now is not None
        self._merge, self._windows, self._snapshot = merge, windows, snapshot
        self._now = windows.now

    def explain(self, question: Question) -> dict[str, Any]:
        """Return everything behind a number; raises `UnknownName` or `UsageError` where there is no such number."""
        kpi = BY_ID[known_name("kpi", question.kpi, BY_ID)]
        subject = self._subject(kpi, question)
        variant = self._variant(kpi, question.variant)
        stat = _stat(kpi, question.stat)
        label = self._window(kpi, question.window)
        if kpi.form == "state":
            answer = self._state(kpi, subject, variant)
        elif kpi.form == "turnover":
            answer = self._turnover(subject)
        else:
            answer = self._windowed(kpi, subject, variant, stat, label or _DEFAULT_WINDOW)
        return {
            "kpi": {"id": kpi.id, "title": kpi.title, "definition": kpi.definition, "unit": kpi.unit},
            **subject.labels,
            "variant": variant,
            "window": label,
            "stat": stat,
            "value": answer.value,
            "formula": answer.formula,
            "with_numbers": answer.with_numbers,
            "parts": _parts(answer.evidence),
            "partitions": self._partitions(answer.evidence),
            **answer.more,
            "now": self._now,
            "data_age_ms": self._snapshot.health.data_age_ms,
            "settings": settings_in_force(self._merge.rules, self._now, subject.rules, kpi.dimension == "group"),
            "bounds": None if label is None else self._bounds(self._windows.stretch(label, subject.places[0]), subject),
        }

    def _subject(self, kpi: Kpi, question: Question) -> Subject:
        rules = self._windows.rules
        if kpi.dimension == "group" or (kpi.dimension == "both" and question.queue is None):
            if question.queue is not None or question.channel is not None:
                raise UsageError(f"{kpi.id} is counted by group: give group instead of queue and channel")
            names = [group.name for group in self._snapshot.groups]
            group = FLOOR if question.group is None else known_name("group", question.group, names)
            return Subject((Place("group", group, ""),), {"group": group}, rules.queue_default)
        if question.group is not None:
            raise UsageError(f"{kpi.id} is counted by queue: give queue instead of group")
        if question.queue is None:
            raise UsageError(f"{kpi.id} is counted by queue: give queue")
        queue = known_name("queue", question.queue, (view.name for view in self._snapshot.queues))
        if kpi.id in _SLOTS:
            return Subject((Place("slots", queue, ""),), {"queue": queue}, rules.queue(queue, ""))
        channels = [view.channel for view in self._snapshot.queues if view.name == queue]
        channel = None if question.channel is None else known_name("channel", question.channel, channels)
        with_sessions = [view.channel for view in self._snapshot.session_queues if view.name == queue]
        if channel is None and not kpi.wide and len(with_sessions) == 1:
            channel = with_sessions[0]
        chosen = channels if channel is None else [channel]
        places = tuple(Place("queue", queue, each) for each in chosen)
        labels = {"queue": queue, "channel": channel or ANY_CHANNEL, "channels": chosen}
        return Subject(places, labels, rules.queue(queue, channel or ""))

    def _variant(self, kpi: Kpi, variant: str | None) -> str | None:
        label, values = kpi.variants or ("variant", ())
        if kpi.id == "agents":
            label, values = "status", (*STATUSES, "staffed")
        if kpi.id == "cost_per_contact":
            values = tuple(self._snapshot.currencies)
        if variant is None:
            if kpi.id in _ALWAYS_A_VARIANT:
                raise UsageError(f"{kpi.id} is by {label}: give variant, one of {', '.join(values) or '(none yet)'}")
            return None
        if not values:
            raise UsageError(f"{kpi.id} has no variants")
        return known_name(label, variant, values)

    def _window(self, kpi: Kpi, label: str | None) -> str | None:
        if kpi.form in ("state", "turnover"):
            if label is not None:
                raise UsageError(f"{kpi.id} has no windows: it is what is the case now")
            return None
        known = [each for each in self._snapshot.labels if each in DAY_WINDOWS or not kpi.days]
        if label is None:
            return _DEFAULT_WINDOW if _DEFAULT_WINDOW in known else known[0]
        return known_name("window", label, known)

    def _windowed(self, kpi: Kpi, subject: Subject, variant: str | None, stat: str | None, label: str) -> Answer:
        evidence = window_evidence(self._merge, self._windows, subject.places, label)
        queue_rules = self._windows.rules.queue
        late_places = [place for place in subject.places if queue_rules(place.name, place.channel).count_waiting_late]
        for partition, by_place in gauge_evidence(self._merge, late_places, self._now).items():
            late = sum(parts.get("waiting_past_answer", 0) for parts in by_place.values())
            if late:
                evidence.setdefault(partition, {})["waiting_past_answer"] = late
        parts = added(evidence.values())
        if kpi.form == "peak":
            held = {partition: {p: n for p, n in each.items() if p.startswith("in_hand_")} for partition, each in evidence.items()}
            peak = peak_in(parts)
            return Answer(peak, kpi.formula, "" if peak is None else str(peak), held, {})
        if kpi.series is not None and stat not in ("mean", "share"):
            assert stat is not None
            value, more, sketch = explained_quantile(evidence, kpi.series, stat)
            return Answer(value, f"{stat} of {kpi.series}", more.pop("with_numbers"), sketch, {"percentile": more})
        assert kpi.terms is not None
        rules = replace(subject.rules, count_waiting_late=bool(late_places))
        terms = variant_terms(kpi, variant, rules) if variant else kpi.terms(rules)
        if stat == "share":
            assert kpi.share is not None
            top, bottom = ((kpi.share, 1),), terms[1]
            within, of = parts.get(kpi.share, 0), sum(n * parts.get(part, 0) for part, n in bottom)
            value = within / of if of > 0 else None
            return _arithmetic(value, (top, bottom), (1, 1), parts, evidence)
        scales = kpi.scales(*terms) if kpi.form != "count" else (1, 1)
        return _arithmetic(value_of(kpi, terms, parts), terms, scales, parts, evidence)

    def _state(self, kpi: Kpi, subject: Subject, variant: str | None) -> Answer:
        by_partition = gauge_evidence(self._merge, subject.places, self._now)
        evidence = {partition: added(parts.values()) for partition, parts in by_partition.items()}
        if kpi.id == "oldest_wait":
            entries = {p: min(parts[OLDEST] for parts in each.values() if OLDEST in parts)
                       for p, each in by_partition.items() if any(OLDEST in parts for parts in each.values())}  # fmt: skip
            oldest = min(entries.values(), default=None)
            value = None if oldest is None else max(0, self._now - oldest) / 1000
            numbers = "" if oldest is None else f"({self._now} - {oldest}) / 1000"
            least = {partition: {OLDEST: entry} for partition, entry in entries.items()}
            return Answer(value, "(now - least oldest_entered_at) / 1000", numbers, least, {})
        if kpi.id == "expected_wait":
            return self._expected_wait(subject, evidence)
        part = f"status_{variant}" if kpi.id == "agents" else kpi.id
        wanted = [f"status_{status}" for status in ONLINE_STATUSES] if variant == "staffed" else [part]
        kept = {partition: {part: parts.get(part, 0) for part in wanted} for partition, parts in evidence.items()}
        top: Terms = tuple((part, 1) for part in wanted)
        parts = added(kept.values())
        return _arithmetic(sum(parts.values()), (top, ()), (1, 1), parts, kept)

    def _expected_wait(self, subject: Subject, evidence: ByPartition) -> Answer:
        answered = window_evidence(self._merge, self._windows, subject.places, window_label(EXPECTED_WAIT_MS))
        slots = gauge_evidence(self._merge, [Place("slots", subject.places[0].name, "")], self._now)
        found: ByPartition = {}
        for partition in sorted({*evidence, *answered, *slots}):
            found[partition] = {
                "waiting": evidence.get(partition, {}).get("waiting", 0),
                "answered": answered.get(partition, {}).get("answered", 0),
                "slots_free": sum(parts.get("slots_free", 0) for parts in slots.get(partition, {}).values()),
            }
        total = added(found.values())
        formula = "(waiting + 1) * 900 / answered in the last 15 min; 0 if slots_free > 0"
        if total.get("slots_free", 0) > 0:
            return Answer(0.0, formula, "0", found, {})
        count = total.get("answered", 0)
        if count <= 0:
            return Answer(None, formula, "", found, {})
        waiting = total.get("waiting", 0)
        return Answer((waiting + 1) * 900 / count, formula, f"({waiting} + 1) * 900 / {count}", found, {})

    def _turnover(self, subject: Subject) -> Answer:
        evidence, stretch = roster_evidence(self._merge, subject.places[0], self._now)
        parts = added(evidence.values())
        since = self._merge.gauge(FLOOR_PLACE).parts.get(ROSTER_SINCE, self._now)
        covered = max(0, self._now - max(stretch.start_ms, since))
        left, roster_ms = parts.get("agents_left", 0), parts.get(ROSTER_LEVEL + "_ms", 0)
        value = turnover_of(left, roster_ms, covered)[2]
        numbers = "" if value is None else f"{left} / ({roster_ms} / {covered}) * 365 / 30"
        more = {"roster": {"covered_ms": covered, "since_ms": since, **self._bounds(stretch, subject)}}
        return Answer(value, "agents_left / (roster_ms / covered_ms) * 365 / 30", numbers, evidence, more)

    def _bounds(self, stretch: Stretch, subject: Subject) -> dict[str, Any]:
        return bounds_of_window(stretch, self._windows.zone_of(subject.places[0]))

    def _partitions(self, evidence: ByPartition) -> list[dict[str, Any]]:
        found = []
        for partition in sorted(partition for partition, parts in evidence.items() if any(parts.values())):
            beat = self._merge.heartbeats.get(partition)
            clock = None if beat is None else beat.clock
            found.append({
                "partition": partition,
                "readings_age_ms": self._snapshot.health.readings_age_ms.get(partition),
                "watermark": None if clock is None else clock.watermark,
                "newest": None if clock is None else clock.newest,
            })  # fmt: skip
        return found


def _stat(kpi: Kpi, stat: str | None) -> str | None:
    known = ["mean"] if kpi.form == "mean" else []
    known += ["p50", "p90", "p95", "max"] if kpi.series is not None else []
    known += ["share"] if kpi.share is not None else []
    if stat is None:
        return known[0] if known else None
    if not known:
        raise UsageError(f"{kpi.id} has no stat")
    return known_name("stat", stat, known)


def _arithmetic(
    value: float | None, terms: tuple[Terms, Terms], scales: tuple[int, int], parts: Parts, evidence: ByPartition
) -> Answer:
    top, bottom = terms
    named = _fraction(_sum(top, None), _sum(bottom, None), scales)
    numbered = _fraction(_sum(top, parts), _sum(bottom, parts), scales) if value is not None else ""
    wanted = [part for part, _ in (*top, *bottom)]
    kept = {partition: {part: each[part] for part in wanted if part in each} for partition, each in evidence.items()}
    return Answer(value, named, numbered, kept, {})


def _sum(terms: Terms, parts: Parts | None) -> str:
    words: list[str] = []
    for part, n in terms:
        words += [("-" if n < 0 else "+"), part if parts is None else str(parts.get(part, 0))]
    text = " ".join(words[1:] if words[:1] == ["+"] else words)
    return text if len(terms) < 2 else f"({text})"


def _fraction(top: str, bottom: str, scales: tuple[int, int]) -> str:
    over = top if scales[0] == 1 else f"{top} / {scales[0]}"
    if not bottom:
        return over
    return f"{over} / {bottom}" if scales[1] == 1 else f"{over} / ({bottom} / {scales[1]})"


def _parts(evidence: ByPartition) -> list[dict[str, Any]]:
    names: Sequence[str] = list(dict.fromkeys(part for parts in evidence.values() for part in parts))
    found = []
    for name in names:
        values = {str(partition): parts[name] for partition, parts in sorted(evidence.items()) if parts.get(name)}
        total = min(values.values(), default=0) if name == OLDEST else sum(values.values())
        found.append({"part": name, "value": total, "partitions": values})
    return found


__all__ = ["PARAMETERS", "Answer", "Explainer", "Question", "Subject"]
