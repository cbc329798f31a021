"""The floor at one instant, immutable: what gauges, JSON and the page are made from.

Theory. `Snapshots.take` is called twice a second or oftener: it moves the windows to now and copies what changed; a window's
parts that did not change are the same object as before, so whoever derives indicators from them may remember the
result by identity. Indicators themselves are derived when somebody asks, in any thread, since nothing here changes
any more.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from schemas.columns import Span
from schemas.kpis import BY_ID, Kpi
from schemas.parts import REVIEWER_DAYS
from schemas.rules import FLOOR, QueueRules
from sinks.cells import Parts, Place
from sinks.delays import Delays
from sinks.merge import Merge
from sinks.spans import Stretch
from sinks.standing import Standing, Subject
from sinks.turns import give_way
from sinks.views import EXPECTED_WAIT_MS, NO_PARTS, Lazy, View, added, leveled, own_terms, summed, wide_of
from sinks.windows import DAY_WINDOWS, FLOOR_PLACE, Windows, window_label

ANY_CHANNEL: Final = "any"
_NO_DELAYS: Final = Delays()
_FLOOR_ONCE: Final = Place("floor", FLOOR, "")


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
    agents: tuple[View, ...] = ()
    """Single agents, where workers publish them."""
    slots: tuple[View, ...] = ()
    health: Health = Health()
    live: bool = True
    channels: Mapping[str, str] = field(default_factory=dict)
    """The configured channel of each queue that has one."""
    once: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Per window what the floor has once, whatever the queue."""
    standings: Mapping[Subject, Standing] = field(default_factory=dict)
    """How each subject with a threshold stands."""
    quiet: frozenset[tuple[str, str]] = frozenset()
    """The (queue, channel) that have quiet hours now."""
    left_out: int = 0
    """Subjects with a threshold that are not judged, because there are too many."""
    taken_s: float = field(default_factory=time.monotonic, compare=False)
    """When it was made, by the monotonic clock."""

    @property
    def ready(self) -> bool:
        """Whether everything published so far has been read."""
        return self.health.ready and self.now is not None

    @cached_property
    def session_queues(self) -> tuple[View, ...]:
        """The queues and channels that sessions use."""
        return tuple(view for view in self.queues if view.has_sessions)

    @cached_property
    def wide_queues(self) -> tuple[View, ...]:
        """Each queue with all its channels as one, for the indicators that know no channel."""
        by_name: dict[str, list[View]] = {}
        for view in self.queues:
            by_name.setdefault(view.name, []).append(view)
        return tuple(wide_of(views, self.channels.get(name, ANY_CHANNEL)) for name, views in by_name.items())

    @cached_property
    def currencies(self) -> list[str]:
        """The currencies in which costs were booked."""
        return sorted({currency for view in self.queues for span in view.windows.values() for currency in span.currencies})

    @cached_property
    def floor(self) -> View:
        """The sum over all queues, with the agents of the group that holds each of them once."""
        agents = next((group for group in self.groups if group.name == FLOOR), None)
        total = summed(self.queues, FLOOR, self.queues[0].rules if self.queues else QueueRules())

        sums, once = total.windows, self.once  # not self, which would hold itself and wait for the collector

        def make(label: str) -> Parts:
            parts = {**sums.get(label, NO_PARTS), REVIEWER_DAYS: once.get(label, NO_PARTS).get(REVIEWER_DAYS, 0)}
            return {part: value for part, value in parts.items() if value}

        total = replace(total, windows=Lazy(self.labels, make))
        if agents is None:
            return total
        return replace(total, now={**total.now, **agents.now}, slots_free=agents.now.get("slots_free", 0), roster=agents.roster)

    def floor_terms(self, kpi: Kpi | str, label: str) -> tuple[int, int]:
        """Return numerator and denominator of a queue indicator over all queues, each by its own formula."""
        wanted = BY_ID[kpi] if isinstance(kpi, str) else kpi
        return own_terms(wanted, ((view.rules, view.parts(label)) for view in self.queues))


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
        self._labels = (*(window_label(window) for window in windows_ms), *DAY_WINDOWS)
        self._lately = window_label(EXPECTED_WAIT_MS)
        self._configured = sorted(set(configured))
        self.channels = {queue: channel for queue, channel in self._configured if channel}
        self._copies: dict[tuple[str, Place], Span] = {}
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
        stretches = {label: self.windows.stretch(label, FLOOR_PLACE) for label in self._labels}
        return Snapshot(
            self._number,
            now,
            wall_ms,
            self._labels,
            queues,
            tuple(self._group(place, now, stretches) for place in self._group_places()),
            tuple(self._group(place, now, stretches) for place in self.merge.places("agent")),
            tuple(self._slots(queue, parts) for queue, parts in sorted(slots.items())),
            health,
            live,
            self.channels,
            {label: self._parts(label, _FLOOR_ONCE) for label in self._labels},
        )

    def _health(self, now: int | None) -> Health:
        merge = self.merge
        newest = merge.newest()
        data_age = None if newest is None or now is None else max(0, now - newest)
        ignored = {**merge.ignored, "part": merge.refused_parts}
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

    def _parts(self, label: str, place: Place) -> Span:
        found = self._copies.get((label, place))
        if found is None:
            found = self._copies[label, place] = self.windows.parts(label, place)
        return found

    def _queue(self, place: Place, slots: Mapping[str, Parts]) -> View:
        give_way()
        rules = self.windows.rules.queue(place.name, place.channel)
        now = self.merge.gauge(place).parts
        windows = {label: self._parts(label, place) for label in self._labels}
        late = now.get("waiting_past_answer", 0)
        if rules.count_waiting_late and late:
            windows = {label: parts.plus("waiting_past_answer", late) for label, parts in windows.items()}
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

    def _group(self, place: Place, now: int, stretches: Mapping[str, Stretch]) -> View:
        """Return a group or an agent; levels are integrated when somebody asks."""
        give_way()
        gauge, windows = self.merge.gauge(place), self.windows
        sources = {label: (self._parts(label, place), windows.beyond(label, place), stretches[label]) for label in stretches}
        rules = windows.rules.queue_default
        if place.dimension == "agent":
            return View(place.name, "", rules, gauge.at(now), leveled(sources, gauge, {}), {})
        before = {label: windows.online_before(label, place, gauge) for label in DAY_WINDOWS}
        return View(place.name, "", rules, gauge.at(now), leveled(sources, gauge, before), {}, roster=windows.roster(place))

    def _slots(self, queue: str, parts: Parts) -> View:
        channel = self.channels.get(queue, ANY_CHANNEL)
        return View(queue, channel, self.windows.rules.queue_default, parts, {}, {})


__all__ = ["ANY_CHANNEL", "Health", "Snapshot", "Snapshots", "View", "added", "summed"]
