"""One queue on one channel, one group, one agent, or the sum of some of them, at one instant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.columns import Span
from schemas.kpis import Kpi, total_of
from schemas.parts import AGENT_DAYS
from schemas.rules import ONLINE_STATUSES, QueueRules
from sinks.cells import Parts
from sinks.gauges import OLDEST, Gauge
from sinks.spans import Stretch, integrate

EXPECTED_WAIT_MS: Final = 900_000
"""`expected_wait` looks at what was answered in the last 15 minutes."""
COMPLAINTS: Final = "complaints_open"
_BUSINESS: Final = ("cost_", "visits", "complaint")
"""Beginnings of parts that are no facts of sessions; they often name no channel."""
NO_PARTS: Final = Span({})


class Lazy(Mapping[str, Span]):
    """Windows that are made when somebody asks, each once; `make` may be called in any thread."""

    def __init__(self, labels: Iterable[str], make: Callable[[str], Mapping[str, int]]) -> None:
        """Take the windows' labels and what makes one."""
        self._labels = dict.fromkeys(labels)
        self._make = make
        self._made: dict[str, Span] = {}

    def __getitem__(self, label: str) -> Span:
        found = self._made.get(label)
        if found is None:
            if label not in self._labels:
                raise KeyError(label)
            made = self._make(label)
            found = self._made[label] = made if isinstance(made, Span) else Span(made)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)


Source = tuple[Mapping[str, int], Mapping[str, int], Stretch]
"""What levels of one window are integrated from: sums, sums of steps beyond it, its slices."""


def leveled(sources: Mapping[str, Source], gauge: Gauge, agents_before: Mapping[str, int]) -> Lazy:
    """Return windows whose levels are integrated when somebody asks; `agents_before`: online before the midnights of days."""

    def make(label: str) -> Parts:
        sums, beyond, stretch = sources[label]
        parts = integrate(sums, gauge, stretch, beyond)
        if agents_before.get(label):
            parts[AGENT_DAYS] = parts.get(AGENT_DAYS, 0) + agents_before[label]
        return parts

    return Lazy(sources, make)


@dataclass(frozen=True, slots=True)
class View:
    """One queue on one channel, one group or one agent: its gauges, windows (label → parts) and running totals."""

    name: str
    channel: str
    rules: QueueRules
    now: Mapping[str, int]
    windows: Mapping[str, Span]
    totals: Mapping[str, int]
    slots_free: int = 0
    """Free slots of the agents who serve this queue."""
    answered_lately: int = 0
    """Answered in the last 15 minutes."""
    configured: bool = False
    """Whether it is shown even when nothing has happened there."""
    roster: tuple[int, int, int] | None = None
    """Of a group, over 30 days: who left, the headcount's integral, the time that the roster covers."""

    @property
    def expected_wait_s(self) -> float | None:
        """(waiting + 1) x 900 s / answered in the last 15 min; 0 if a slot is free; None if nobody was answered."""
        if self.slots_free > 0:
            return 0.0
        if self.answered_lately <= 0:
            return None
        return (self.now.get("waiting", 0) + 1) * EXPECTED_WAIT_MS / 1000 / self.answered_lately

    @property
    def has_sessions(self) -> bool:
        """Whether sessions are or were here, or may be: not a place that only holds costs, visits or complaints."""
        if self.configured or any(self.totals.values()) or any(self.now[part] for part in self.now if part != COMPLAINTS):
            return True
        return any(is_of_sessions(parts) for parts in self.windows.values())

    @property
    def empty(self) -> bool:
        """Whether there is nothing (any more): facts were booked here until it became known where they belong."""
        return not (self.has_sessions or self.now.get(COMPLAINTS) or any(self.windows.values()))

    @property
    def staffed(self) -> int:
        """Agents in any status but offline."""
        return sum(self.now.get(f"status_{status}", 0) for status in ONLINE_STATUSES)

    def parts(self, label: str) -> Span:
        """Return the parts of one window."""
        return self.windows.get(label, NO_PARTS)


def is_of_sessions(parts: Mapping[str, int]) -> bool:
    """Tell whether parts hold anything but costs, visits and complaints."""
    return any(not part.startswith(_BUSINESS) for part in parts)


def summed(views: Sequence[View], name: str, rules: QueueRules, channel: str | None = None) -> View:
    """Return several views as one: everything added up, of the oldest entries the least."""
    now = added(view.now for view in views)
    oldest = [view.now[OLDEST] for view in views if OLDEST in view.now]
    if oldest:
        now[OLDEST] = min(oldest)
    labels = {label: None for view in views for label in view.windows}
    rosters = [view.roster for view in views if view.roster is not None]
    return View(
        name,
        name if channel is None else channel,
        rules,
        now,
        Lazy(labels, lambda label: added(view.parts(label) for view in views)),
        added(view.totals for view in views),
        sum(view.slots_free for view in views),
        sum(view.answered_lately for view in views),
        roster=_rosters(rosters) if rosters else None,
    )


def _rosters(rosters: Sequence[tuple[int, int, int]]) -> tuple[int, int, int]:
    return sum(left for left, _, _ in rosters), sum(ms for _, ms, _ in rosters), max(covered for _, _, covered in rosters)


def added(many: Iterable[Mapping[str, int]]) -> Parts:
    """Add up parts."""
    total: Parts = {}
    for parts in many:
        for part, value in parts.items():
            total[part] = total.get(part, 0) + value
    return total


WIDE_COUNTS: Final = ("ended", "complaint_n", "complaint_ms", "complaints_opened", "complaints_closed")
"""Parts of the indicators that are by queue whatever the channel, beside costs."""


def wide_of(views: Sequence[View], channel: str) -> View:
    """Return all channels of one queue as one, with what those indicators need that are by queue whatever the channel."""

    def make(label: str) -> Parts:
        spans = [view.parts(label) for view in views]
        wanted = {*WIDE_COUNTS, *(f"cost_{currency}_e6" for span in spans for currency in span.currencies)}
        return {part: total for part in wanted if (total := sum(span.get(part, 0) for span in spans))}

    labels = {label: None for view in views for label in view.windows}
    complaints = sum(view.now.get(COMPLAINTS, 0) for view in views)
    configured = any(view.has_sessions for view in views)
    return View(views[0].name, channel, views[0].rules, {COMPLAINTS: complaints}, Lazy(labels, make), {}, configured=configured)


def own_terms(kpi: Kpi, rows: Iterable[tuple[QueueRules, Mapping[str, int]]]) -> tuple[int, int]:
    """Return numerator and denominator of a queue indicator over several queues, each by its own formula."""
    assert kpi.terms is not None
    tops, bottoms = 0, 0
    for rules, parts in rows:
        top, bottom = kpi.terms(rules)
        tops += total_of(top, parts)
        bottoms += total_of(bottom, parts)
    return tops, bottoms


__all__ = [
    "COMPLAINTS",
    "EXPECTED_WAIT_MS",
    "NO_PARTS",
    "Lazy",
    "Source",
    "View",
    "added",
    "is_of_sessions",
    "leveled",
    "own_terms",
    "summed",
    "wide_of",
]
