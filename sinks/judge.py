"""The judge: from a snapshot to how each subject stands."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.config import Config
from schemas.thresholds import STALE_MS
from sinks.levels import Levels
from sinks.measured import Measurer
from sinks.snapshot import Snapshot
from sinks.standing import Standing, Subject


class Judge:
    """Judges one snapshot after the other."""

    def __init__(self, config: Config) -> None:
        self._thresholds, self._zone, self._rules = config.thresholds, config.zone, config.rules()
        self._max_subjects = max(1, config.board.max_series // 2)  # each has two series of `floorpulse_threshold`
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
        kpi, queue, channel, group = subject
        spans = self._thresholds.quiet_of(kpi, queue=queue, channel=channel, group=group)
        zone = self._zone if group else self._rules.queue(queue, channel).zone
        return any(span.holds(zone, now) for span in spans)


__all__ = ["Judge"]
