"""Merge of readings over partitions: from absolute values of each partition to one state of the floor.

Theory. Every reading is an absolute value of one partition; the highest (epoch, sequence) per key wins, whatever
the order in which they are read. A partition's readings take effect together, when its heartbeat closes the flush,
so that levels and the slices that they were booked in never disagree. Over partitions everything adds up (instants:
the least). What changed in a slice is told to observers as a difference, so that windows cost
the changes, not their length.

Time is an argument: `advance(now)` expires what is past its retention, whether or not a tombstone came. It is gone for good, so it
must be over by the workers' clocks, too: a clock that is wrong for a moment costs an answer, not the numbers.

While a board reads what stood in the topic (`settled` is False), readings take effect at once: nobody looks yet, and since
compaction leaves the last heartbeat of a partition only, all that it ever said would be held until then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import convert

from schemas.events import CONTROL, MAX_NAME_CHARS
from schemas.readings import (
    DATE_MS,
    QUARTER_MS,
    ROSTER_MS,
    SLICE_MS,
    Published,
    Reading,
    ReadingKey,
    decode_key,
    decode_value,
)
from schemas.rules import Rules
from schemas.zones import LAST_MS
from sinks.cells import Cells, Parts, Place
from sinks.gauges import NOTHING, OLDEST, Gauge, Latest
from sinks.turns import give_way

Observer = Callable[[Place, int, int, Parts], None]
"""Called with (place, length_ms, start_ms, what changed)."""

MAX_PARTITIONS: Final = 4096
"""Partition numbers above it are no input of ours: the key is foreign."""
MAX_AHEAD: Final = 100_000
"""Steps still to come that one gauge may carry: one per agent in wrap-up."""
_FITS: Final = 1 << 62
_DIMENSIONS: Final = frozenset({"queue", "group", "slots", "agent", "floor"})


class Merge:
    """State of the floor from readings; feed it with `put_record` or `put`, in order of each partition."""

    def __init__(self, rules: Rules, *, settled: bool = True) -> None:
        self.rules = rules
        self.short = Cells(SLICE_MS)
        self.quarters = Cells(QUARTER_MS)
        self.hours = Cells(ROSTER_MS)
        """The roster: headcount and who left."""
        self.dates = Cells(DATE_MS)
        """Sketches of local days."""
        self.heartbeats: dict[int, Published] = {}
        self.ignored: Counter[str] = Counter()
        """Records without effect: `foreign` (no reading of ours), `older`, `expired`, `surplus` (too many places)."""
        self._cells = {cells.length_ms: cells for cells in (self.short, self.quarters, self.hours, self.dates)}
        self._kept = {
            SLICE_MS: rules.slices_kept_ms,
            QUARTER_MS: rules.quarters_kept_ms,
            ROSTER_MS: rules.roster_kept_ms,
            DATE_MS: rules.quarters_kept_ms,
        }
        self._now = Latest()
        self._totals = Latest()
        self._settled = settled
        self._held: dict[int, dict[ReadingKey, Published | None]] = {}
        self._begun: dict[int, tuple[int, int]] = {}
        """By partition, before all is settled: the newest flush of which its heartbeat is not there yet."""
        self._places: dict[Place, Place] = {}
        self._max_places = 4 * rules.max_cells
        self._observers: list[Observer] = []
        self._expired_at: int | None = None

    def observe(self, observer: Observer) -> None:
        """Tell an observer of all changes of slices from now on."""
        self._observers.append(observer)

    def put_record(self, key: bytes | None, value: bytes | None) -> ReadingKey | None:
        """Take a Kafka record; returns its key, or None when it has no effect (counted)."""
        give_way()
        try:
            decoded = decode_key(key or b"")
            return decoded if self.put(decoded, decode_value(value)) else None
        except (ValueError, RecursionError):
            self.ignored["foreign"] += 1
            return None

    def put_readings(self, readings: Iterable[Reading], seq: int = 1) -> None:
        """Take readings that never were on Kafka: a driver's in the same process. `seq` must grow from call to call."""
        for key, body in readings:
            self.put(key, None if body is None else convert({"epoch": 1, "seq": seq, **body}, Published))

    def put(self, key: ReadingKey, value: Published | None) -> bool:
        """Take a reading; it takes effect with its partition's next heartbeat. Returns whether it is news, no former owner's."""
        if not self._is_ours(key) or not _is_sane(value):
            self.ignored["foreign"] += 1
            return False
        if key.kind == "heartbeat":
            return self._beat(key.partition, value)
        if not self._settled:
            self._note_begun(key.partition, value)
            self._apply(key, value)
            return True
        held = self._held.setdefault(key.partition, {})
        known = held.get(key)
        if value is None or known is None or (known.epoch, known.seq) <= (value.epoch, value.seq):
            held[key] = value
        else:
            self.ignored["older"] += 1
        last = self.heartbeats.get(key.partition)
        return value is None or last is None or value.epoch >= last.epoch

    def _note_begun(self, partition: int, value: Published | None) -> None:
        if value is not None:
            stamp, last = (value.epoch, value.seq), self.heartbeats.get(partition)
            if last is None or stamp > (last.epoch, last.seq):
                self._begun[partition] = max(stamp, self._begun.get(partition, stamp))

    @property
    def holds_back(self) -> bool:
        """Whether some partition's newest flush is still waiting for its heartbeat."""
        return bool(self._begun) or any(self._held.values())

    def settle(self) -> None:
        """Apply what is held back: for a reader that has reached the end of what there is. Now each flush is held together."""
        self._settled = True
        self._begun.clear()
        for partition in list(self._held):
            self._release(partition, None)

    def _beat(self, partition: int, value: Published | None) -> bool:
        if value is None or value.clock is None:
            return False
        stamp, last = (value.epoch, value.seq), self.heartbeats.get(partition)
        if last is not None and stamp < (last.epoch, last.seq):
            self.ignored["older"] += 1
            return False
        self.heartbeats[partition] = value
        if self._begun.get(partition, stamp) <= stamp:
            self._begun.pop(partition, None)
        self._release(partition, stamp)
        return True

    def _release(self, partition: int, upto: tuple[int, int] | None) -> None:
        """Apply the held readings of flushes up to one; None: all."""
        held = self._held.pop(partition, {})
        for key, value in held.items():
            if upto is not None and value is not None and (value.epoch, value.seq) > upto:
                self._held.setdefault(partition, {})[key] = value
            else:
                self._apply(key, value)

    def _apply(self, key: ReadingKey, value: Published | None) -> None:
        place = self._place(key)
        if place is None:
            self.ignored["surplus"] += 1
        elif key.kind == "slice":
            self._apply_slice(key, place, value)
        else:
            latest = self._now if key.kind == "now" else self._totals
            stamp = latest.stamp(place, key.partition)
            if value is not None and stamp is not None and (value.epoch, value.seq) < stamp:
                self.ignored["older"] += 1
            else:
                latest.set(place, key.partition, value)

    def _apply_slice(self, key: ReadingKey, place: Place, value: Published | None) -> None:
        cells = self._cells[key.length_ms]
        if self._expired_at is not None and key.start_ms < self._expired_at - self._kept[key.length_ms]:
            self.ignored["expired"] += 1
            return
        if value is None:
            delta = cells.remove(place, key.start_ms, key.partition)
        else:
            changed = cells.replace(place, key.start_ms, key.partition, (value.epoch, value.seq), value.parts)
            if changed is None:
                self.ignored["older"] += 1
                return
            delta = changed
        if delta:
            for observer in self._observers:
                observer(place, key.length_ms, key.start_ms, delta)

    def _place(self, key: ReadingKey) -> Place | None:
        place = Place(key.dimension, key.name, key.channel)
        known = self._places.get(place)
        if known is None and len(self._places) < self._max_places:
            known = self._places[place] = place
        return known

    def _is_ours(self, key: ReadingKey) -> bool:
        if not 0 <= key.partition < MAX_PARTITIONS:
            return False
        if key.kind == "heartbeat":
            return True
        if key.dimension not in _DIMENSIONS or not _is_name(key.name) or not _is_name(key.channel):
            return False
        if key.kind != "slice":
            return True
        length, start = key.length_ms, key.start_ms
        return length in self._cells and _are(int, start) and 0 <= start < LAST_MS and start % length == 0

    def places(self, dimension: str) -> list[Place]:
        """Return the places of one dimension that have a gauge or a total now, sorted."""
        return sorted(place for place in {*self._now, *self._totals} if place.dimension == dimension)

    def gauge(self, place: Place) -> Gauge:
        """Return what is the case at a place, added over partitions."""
        return self._now.sum(place)

    def gauges(self, place: Place) -> dict[int, Gauge]:
        """Return what is the case at a place, by partition."""
        return self._now.each(place)

    def totals(self, place: Place) -> Mapping[str, int]:
        """Return the running totals of a place, added over partitions."""
        return self._totals.sum(place).parts

    @property
    def refused_parts(self) -> int:
        """Parts of slices that are none of ours."""
        return sum(cells.refused_parts for cells in self._cells.values())

    def events(self) -> dict[str, dict[str, int]]:
        """Return topic → outcome → events, added over partitions."""
        total: dict[str, Counter[str]] = {}
        for beat in self.heartbeats.values():
            for topic, outcomes in beat.events.items():
                total.setdefault(topic, Counter()).update(outcomes)
        return {topic: dict(outcomes) for topic, outcomes in total.items()}

    def counters(self) -> dict[str, int]:
        """Return the workers' other counters, added over partitions."""
        total: Counter[str] = Counter()
        for beat in self.heartbeats.values():
            total.update(beat.counters)
        return dict(total)

    def advance(self, now: int) -> None:
        """Forget the slices whose retention is over at an instant, by the workers' clocks, too."""
        clocks = [beat.clock.now for beat in self.heartbeats.values() if beat.clock is not None]
        now = min(now, max(clocks, default=now))
        if self._expired_at is None or now > self._expired_at:
            self._expired_at = now
            for length, cells in self._cells.items():
                cells.expire(now - self._kept[length])

    def watermark(self) -> int | None:
        """Return the least watermark over the partitions that have one."""
        clocks = [beat.clock for beat in self.heartbeats.values() if beat.clock is not None]
        return min((clock.watermark for clock in clocks if clock.watermark is not None), default=None)

    def newest(self) -> int | None:
        """Return the newest event time that any partition has seen."""
        clocks = [beat.clock for beat in self.heartbeats.values() if beat.clock is not None]
        return max((clock.newest for clock in clocks if clock.newest is not None), default=None)


def _is_name(name: object) -> bool:
    """Tell whether a decoded name is one that an event could have had."""
    return isinstance(name, str) and len(name) <= MAX_NAME_CHARS and not CONTROL.search(name)


def _are(kind: type, *fields: object) -> bool:
    """Tell whether decoded fields have the type that their annotation promises."""
    return all(isinstance(field, kind) for field in fields)


def _is_sane(value: Published | None) -> bool:
    """Tell whether all numbers fit into 64 bits with room to add them up."""
    if value is None:
        return True
    numbers = (value.epoch, value.seq, *value.parts.values())
    if len(value.ahead) > MAX_AHEAD or min(numbers) <= -_FITS or max(numbers) >= _FITS:
        return False
    return all(0 <= instant < _FITS and -_FITS < step < _FITS for instant, _, step in value.ahead)


__all__ = ["NOTHING", "OLDEST", "Gauge", "Merge", "Observer"]
