"""The floor at one instant, immutable: what gauges, JSON and the page are made from.

Theory. `Snapshots.take` is called twice a second: it moves the windows to now and copies what changed; a window's
parts that did not change are the same object as before, so whoever derives indicators from them may remember the
result by identity. Indicators themselves are derived when somebody asks, in any thread, since nothing here changes
any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from schemas.kpis import BY_ID, Kpi, total_of
from schemas.rules import FLOOR, ONLINE_STATUSES, QueueRules
from sinks.cells import Parts, Place
from sinks.delays import Delays
from sinks.merge import OLDEST, Merge
from sinks.windows import TODAY, Windows, window_label

EXPECTED_WAIT_MS: Final = 900_000
"""`expected_wait` looks at what was answered in the last 15 minutes."""
ANY_CHANNEL: Final = "any"
_BUSINESS: Final = ("cost_", "visits", "complaint")
"""Beginnings of parts that are no facts of sessions; they often name no channel."""
_NO_DELAYS: Final = Delays()
_NO_PARTS: Final[Mapping[str, int]] = {}


@dataclass(frozen=True, slots=True)
class View:
    """One queue on one channel, or one group: its gauges, windows (label → parts) and running totals."""

    name: str
    channel: str
    rules: QueueRules
    now: Mapping[str, int]
    windows: Mapping[str, Mapping[str, int]]
    totals: Mapping[str, int]
    slots_free: int = 0
    """Free slots of the agents who serve this queue."""
    answered_lately: int = 0
    """Answered in the last 15 minutes."""
    configured: bool = False
    """Whether it is shown even when nothing has happened there."""

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
        """Whether sessions are or were here, or may be: not a place that only holds costs or visits."""
        if self.configured or self.totals or any(self.now.values()):
            return True
        return any(not part.startswith(_BUSINESS) for parts in self.windows.values() for part in parts)

    @property
    def empty(self) -> bool:
        """Whether there is nothing (any more): facts were booked here until it became known where they belong."""
        return not (self.has_sessions or any(self.windows.values()))

    @property
    def staffed(self) -> int:
        """Agents in any status but offline."""
        return sum(self.now.get(f"status_{status}", 0) for status in ONLINE_STATUSES)


@dataclass(frozen=True, slots=True)
class Health:
    """How the pipeline is doing; ages in ms on this machine's clock."""

    ready: bool = False
    readings_age_ms: Mapping[int, int] = field(default_factory=dict)
    data_age_ms: int | None = None
    events: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)
    ignored: Mapping[str, int] = field(default_factory=dict)
    delays: Delays = _NO_DELAYS

    @property
    def oldest_reading_ms(self) -> int | None:
        """Age of the last reading of the partition that has been silent longest."""
        return max(self.readings_age_ms.values(), default=None)


@dataclass(frozen=True)
class Snapshot:
    """Everything at one instant. `now` is the floor's clock: the wall's, or a replay's; None: nothing heard yet."""

    number: int
    now: int | None
    made_at: int
    labels: tuple[str, ...] = ()
    queues: tuple[View, ...] = ()
    groups: tuple[View, ...] = ()
    slots: tuple[View, ...] = ()
    health: Health = Health()
    live: bool = True

    @property
    def ready(self) -> bool:
        """Whether everything published so far has been read."""
        return self.health.ready and self.now is not None

    @cached_property
    def session_queues(self) -> tuple[View, ...]:
        """The queues and channels that sessions use."""
        return tuple(view for view in self.queues if view.has_sessions)

    @cached_property
    def floor(self) -> View:
        """The sum over all queues, with the agents of the group that holds each of them once."""
        agents = next((group for group in self.groups if group.name == FLOOR), None)
        total = summed(self.queues, FLOOR, self.queues[0].rules if self.queues else QueueRules())
        if agents is None:
            return total
        return replace(total, now={**total.now, **agents.now}, slots_free=agents.now.get("slots_free", 0))

    def floor_terms(self, kpi: Kpi | str, label: str) -> tuple[int, int]:
        """Return numerator and denominator of a queue indicator over all queues, each by its own formula."""
        terms = (BY_ID[kpi] if isinstance(kpi, str) else kpi).terms
        assert terms is not None
        tops, bottoms = 0, 0
        for view in self.queues:
            top, bottom = terms(view.rules)
            tops += total_of(top, view.windows.get(label, _NO_PARTS))
            bottoms += total_of(bottom, view.windows.get(label, _NO_PARTS))
        return tops, bottoms


def summed(views: Sequence[View], name: str, rules: QueueRules) -> View:
    """Return several views as one: everything added up, of the oldest entries the least."""
    now = added(view.now for view in views)
    oldest = [view.now[OLDEST] for view in views if OLDEST in view.now]
    if oldest:
        now[OLDEST] = min(oldest)
    labels = {label for view in views for label in view.windows}
    windows = {label: added(view.windows.get(label, _NO_PARTS) for view in views) for label in labels}
    return View(
        name,
        name,
        rules,
        now,
        windows,
        added(view.totals for view in views),
        sum(view.slots_free for view in views),
        sum(view.answered_lately for view in views),
    )


def added(many: Iterable[Mapping[str, int]]) -> Parts:
    """Add up parts."""
    total: Parts = {}
    for parts in many:
        for part, value in parts.items():
            total[part] = total.get(part, 0) + value
    return total


class Snapshots:
    """Maker of snapshots over one merge.

    `configured` = (queue, channel) that are shown even when nothing has happened there; channel "" = any.
    Snapshots are numbered from `after` + 1.
    """

    def __init__(
        self, merge: Merge, windows_ms: Sequence[int], configured: Iterable[tuple[str, str]] = (), *, after: int = 0
    ) -> None:
        self.merge = merge
        self.windows = Windows(merge, sorted({*windows_ms, EXPECTED_WAIT_MS}))
        self._labels = (*(window_label(window) for window in windows_ms), TODAY)
        self._lately = window_label(EXPECTED_WAIT_MS)
        self._configured = sorted(set(configured))
        self._copies: dict[tuple[str, Place], Parts] = {}
        self._number = after

    def take(self, wall_ms: int, *, ready: bool, readings_age_ms: Mapping[int, int], delays: Delays = _NO_DELAYS) -> Snapshot:
        """Return the floor as it stands; before the reader is ready only its health."""
        self._number += 1
        live = self.merge.rules.live
        now = wall_ms if live else self.merge.watermark()
        health = replace(self._health(now), ready=ready, readings_age_ms=dict(readings_age_ms), delays=delays)
        if not ready or now is None:
            return Snapshot(self._number, now, wall_ms, self._labels, health=health, live=live)
        self.windows.advance(now)
        for key in self.windows.take_changed():
            self._copies.pop(key, None)
        slots = {place.name: self.merge.gauge(place).at(now) for place in self.merge.places("slots")}
        views = (self._queue(place, slots) for place in self._queue_places())
        queues = tuple(view for view in views if not view.empty)
        groups = tuple(self._group(place, now) for place in self._group_places())
        by_queue = tuple(self._slots(queue, parts) for queue, parts in sorted(slots.items()))
        return Snapshot(self._number, now, wall_ms, self._labels, queues, groups, by_queue, health, live)

    def _health(self, now: int | None) -> Health:
        merge = self.merge
        newest = merge.newest()
        data_age = None if newest is None or now is None else max(0, now - newest)
        ignored = {**merge.ignored, "part": merge.short.refused_parts + merge.quarters.refused_parts}
        return Health(data_age_ms=data_age, events=merge.events(), counters=merge.counters(), ignored=ignored)

    def _queue_places(self) -> list[Place]:
        places = {*self.merge.places("queue"), *self.windows.places("queue")}
        seen = {place.name for place in places}
        for queue, channel in self._configured:
            if channel or queue not in seen:
                places.add(Place("queue", queue, channel or ANY_CHANNEL))
        return sorted(places)

    def _is_configured(self, place: Place) -> bool:
        channel = "" if place.channel == ANY_CHANNEL else place.channel
        return (place.name, channel) in self._configured

    def _group_places(self) -> list[Place]:
        return sorted({*self.merge.places("group"), *self.windows.places("group")})

    def _parts(self, label: str, place: Place) -> Parts:
        found = self._copies.get((label, place))
        if found is None:
            found = self._copies[label, place] = self.windows.parts(label, place)
        return found

    def _queue(self, place: Place, slots: Mapping[str, Parts]) -> View:
        rules = self.merge.rules.queue(place.name, place.channel)
        now = self.merge.gauge(place).parts
        windows: dict[str, Mapping[str, int]] = {label: self._parts(label, place) for label in self._labels}
        late = now.get("waiting_past_answer", 0)
        if rules.count_waiting_late and late:
            windows = {label: {**parts, "waiting_past_answer": late} for label, parts in windows.items()}
        return View(
            place.name,
            place.channel,
            rules,
            now,
            windows,
            self.merge.totals(place),
            slots.get(place.name, {}).get("slots_free", 0),
            self._parts(self._lately, place).get("answered", 0),
            self._is_configured(place),
        )

    def _group(self, place: Place, now: int) -> View:
        gauge = self.merge.gauge(place)
        windows = {label: self.windows.levels(label, place, gauge) for label in self._labels}
        return View(place.name, "", self.merge.rules.queue_default, gauge.at(now), windows, {})

    def _slots(self, queue: str, parts: Parts) -> View:
        channel = next((channel for name, channel in self._configured if name == queue and channel), ANY_CHANNEL)
        return View(queue, channel, self.merge.rules.queue_default, parts, {}, {})


__all__ = ["ANY_CHANNEL", "Health", "Snapshot", "Snapshots", "View", "added", "summed"]
