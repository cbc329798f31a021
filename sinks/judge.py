"""The judge: from a snapshot to how each subject stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.config import Config
from schemas.quiet import QuietSpan
from schemas.thresholds import STALE_MS
from sinks.levels import Levels
from sinks.measured import Measurer
from sinks.snapshot import Snapshot
from sinks.standing import Standing, Subject

_OF_A_PLACE: Final = "oldest_wait"
"""The indicator whose quiet hours are those of a queue and channel for what no limit describes, whether it is judged or not."""


class Judge:
    """Judges one snapshot after the other."""

    def __init__(self, config: Config) -> None:
        self._thresholds, self._zone, self._rules = config.thresholds, config.zone, config.rules()
        self._max_subjects = max(1, config.board.max_series // 2)  # each has two series of `floorpulse_threshold`
        self._spans: dict[tuple[str, str], tuple[QuietSpan, ...]] = {}
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget everything: what comes next has nothing to do with what was."""
        self._measurer = Measurer(self._thresholds, self._zone)
        self._levels = Levels(self._max_subjects)

    @property
    def left_out(self) -> int:
        """Subjects that are not judged, because there are too many."""
        return self._levels.left_out

    def is_stale(self, snapshot: Snapshot) -> bool:
        """Tell whether some partition has not been heard of for so long that nothing can be judged."""
        age = snapshot.health.oldest_reading_ms
        return age is not None and age > STALE_MS

    def standings(self, snapshot: Snapshot) -> Mapping[Subject, Standing]:
        """Return how everything stands; while numbers are old, how it stood before."""
        if not snapshot.ready or snapshot.now is None:
            return {}
        clock_ms = round(snapshot.taken_s * 1000) if snapshot.live else snapshot.now  # a wall clock that is set waits for nothing
        if self.is_stale(snapshot):
            self._levels.hold(clock_ms)
            return self._levels.standings
        return self._levels.judge(snapshot.now, self._measurer.judgements(snapshot), clock_ms)

    def is_quiet(self, subject: Subject, now: int) -> bool:
        """Tell whether nobody is to be woken by a subject now, whether it is there and judged or not."""
        spans = self._quiet_of(subject)
        zone = self._zone if subject.group else self._rules.queue(subject.queue, subject.channel).zone
        return any(span.holds(zone, now) for span in spans)

    def quiet_places(self, snapshot: Snapshot) -> frozenset[tuple[str, str]]:
        """Return the (queue, channel) in which nobody is to be woken now, whatever is judged there; at most as many as subjects."""
        if not snapshot.ready or snapshot.now is None:
            return frozenset()
        before, self._spans, quiet = self._spans, {}, set[tuple[str, str]]()
        for view in snapshot.session_queues[: self._max_subjects]:
            place = view.name, view.channel
            spans = self._spans[place] = before[place] if place in before else self._quiet_of(Subject(_OF_A_PLACE, *place))
            if any(span.holds(view.rules.zone, snapshot.now) for span in spans):
                quiet.add(place)
        return frozenset(quiet)

    def _quiet_of(self, subject: Subject) -> tuple[QuietSpan, ...]:
        kpi, queue, channel, group = subject
        return self._thresholds.quiet_of(kpi, queue=queue, channel=channel, group=group)


__all__ = ["Judge"]
