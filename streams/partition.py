"""One owned partition: what comes in, in order and without holes, and what goes out, journal first.

Theory of operation. `receive` takes batches of an input, looks at every offset (`streams.journal.contiguity`) and hands
the records that follow on to the floor. `flush` is the only way out:

1. capture, without waiting: the floor's changes, rejects, the offsets up to which they hold, all of it bytes by now;
2. append it to the journal and wait; another offset than the one after our last means that somebody else has written:
   if it was a claim, we are `Replaced`, and nothing is published;
3. send dead letters, late records, relay and readings, the heartbeat last, and wait for every acknowledgement;
4. only now the offsets are committable, and the next record says that this flush is published.

A crash before 2 loses nothing, since the input is read again from the journal's offsets; a crash between 2 and 4 is
made good by the next owner, who publishes again what the journal says may be missing. One flush is under way at a
time; processing goes on meanwhile, up to `Limits.backlog_events`.

A former owner that was stopped between 2 and 3 may wake up long after its successor and publish what is old by then.
Readers keep the highest (epoch, sequence), but compaction keeps the last record. So the owner looks where its readings
came to lie (`streams.journal.follow`): what lies between them and is of an older epoch is published again as it is now.

Accounting: the records taken from each input, end-of-input markers left out, are counted here and journalled; they
equal what the floor says it applied, knew, found late or invalid. Both go out with each heartbeat.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, cast

import structlog
from prometheus_client import Histogram

from schemas.errors import KafkaUnreachable, Replaced
from schemas.markers import END_OF_INPUT, read_end_of_input
from schemas.readings import ReadingKey, encode_key, encode_value
from streams.fetches import Slab
from streams.journal.contiguity import Explanation, Finding, Span, cut
from streams.journal.fold import KEPT_CYCLES, Folded
from streams.journal.follow import Follow
from streams.journal.letters import letter
from streams.journal.ports import CompiledFloor, Floor, Landed, Ports, Record, Reject
from streams.journal.record import Delta, Outgoing, encode_within
from streams.journal.rolling import CYCLE_FLUSHES, Rolling
from streams.notices import Seen

BEHIND: Final = 0.125
"""Of the events that make a flush due: with so many still to be read, a second or two of work, nobody needs the news of a part."""
HEALING_S: Final = 5.0
"""How long batches from before a way back are dropped before the broker is asked again."""
RECEIVED: Final = "received."
"""Prefix of the heartbeat's counters that tell how many records were taken from each input."""
FACT_BYTES: Final = 128
"""Of a relay record so many bytes count as an event where work that waits is counted: a fact takes some hundred."""
_MARKER: Final = END_OF_INPUT.encode()
FLUSH_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_ALARMING: Final = {
    "retention": "the broker deleted records before they were counted; lengthen retention.ms of the inputs, and recompute",
    "compaction": "an input must not be compacted: its records are events, not states; set cleanup.policy=delete",
}
"""Causes by which events may have been lost for good, with the remedy."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """When a partition flushes: after `interval_s` if anything came, at once at so many events or bytes of rejects.

    While more than `BEHIND` times `flush_events` wait to be read, it is `catch_up_s` instead: nobody waits for old news.

    At `backlog_events` not yet captured the input waits; `heartbeat_s` is the longest time between two flushes.
    """

    interval_s: float = 0.5
    catch_up_s: float = 5.0
    heartbeat_s: float = 5.0
    flush_events: int = 150_000
    backlog_events: int = 450_000
    reject_bytes: int = 4 << 20
    cycle_flushes: int = CYCLE_FLUSHES


@dataclass(slots=True)
class Tally:
    """What one worker has done, over all its partitions.

    `holes`: how often an offset did not follow on, by cause; `skipped`: offsets that hold no record for us, by cause;
    `repeated`: readings published again because a former owner had published behind us.
    """

    events: int = 0
    readings: int = 0
    repeated: int = 0
    commit_errors: int = 0
    seen: Seen = field(default_factory=Seen)
    holes: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    flush_seconds: Histogram = field(
        default_factory=lambda: Histogram(
            "floorpulse_worker_flush_seconds",
            "From capture to the last acknowledgement",
            buckets=FLUSH_BUCKETS_S,
            registry=None,
        )
    )


class _Captured(NamedTuple):
    """What is left of a flush while it goes out: on a backlog it takes tens of megabytes, four times over until they are let go."""

    seq: int
    offsets: dict[str, int]
    starts: bool
    """It begins a cycle of the rolling snapshot."""
    ends: bool
    records: Iterator[bytearray]
    """Of the journal."""
    outgoing: list[Outgoing]
    readings: int
    heartbeat: Mapping[str, Any]
    answers_up_to: int
    """Below this offset of the readings every stale record is answered once this flush is published."""


class Partition:
    """One partition that this worker owns, from its claim to its loss.

    `offsets` is where each input begins. `followed` is the readings' end where the journal does not say up to where
    stale ones are answered (default: their beginning).
    """

    def __init__(
        self,
        number: int,
        partitions: int,
        floor: Floor,
        folded: Folded,
        offsets: Mapping[str, int],
        ports: Ports,
        *,
        followed: int | None = None,
        limits: Limits | None = None,
        tally: Tally | None = None,
    ) -> None:
        self.number = number
        self.partitions = partitions
        self.epoch = folded.epoch
        self.seq = folded.seq
        self.published = folded.published
        self.next = dict(offsets)
        """The next offset of each input, by short topic name."""
        self.committable: dict[str, int] = {}
        """Up to where everything is journalled and published."""
        self.heartbeat: Mapping[str, Any] = {}
        """The body of the newest published heartbeat."""
        self.progress_s = time.monotonic()
        """When the last flush was through."""
        self.pending = 0
        """Records taken since the last capture, a relay record by its bytes (`FACT_BYTES`)."""
        self.closed = False
        self.clean = True
        """All that was captured is also published."""
        self._floor = floor
        self._ports = ports
        self._limits = limits or Limits()
        self._tally = tally or Tally()
        self.received = _starting_count(folded)
        """Records taken from each input by all owners; None until a journal of an older version says how many."""
        self.unaccounted: dict[str, int] = {}
        """Received less applied, duplicate, late and invalid, by input; anything else than 0 is a fault."""
        self._follow = Follow(number, folded.followed if folded.followed is not None else followed or 0)
        self._last = folded.epoch
        self._rolling = Rolling(folded.cycle, self._limits.cycle_flushes, folded.unfinished)
        self._cycle_start: int | None = None
        self._cycles = list(folded.cycles)
        self._rejects: list[Outgoing] = []
        self._reject_bytes = 0
        self._healing: dict[str, tuple[int, float]] = {}
        self._known_causes: set[tuple[str, str]] = set()
        self._at_end: frozenset[str] = frozenset()
        self._fresh = True
        self._flushing = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._captured = asyncio.Event()

    # -- in

    async def receive(self, topic: str, records: Sequence[Record], span: Span | None = None) -> None:
        """Take a batch of an input in offset order; waits while the flush is too far behind.

        Without a `span` each hole in the batch is asked about.
        """
        if records and not self.closed:
            offsets = records.offsets if isinstance(records, Slab) else [record.offset for record in records]
            begin, end, hole = cut(self.next[topic], offsets, span)
            if end > begin:
                self._healing.pop(topic, None)
                self._apply(topic, records if end - begin == len(records) else records[begin:end])
                self._read_across(topic, None if hole else span)
            if hole:
                await self._explain(topic, records[end:], offsets[end:], span)
        await self._wait_for_room()

    def begin_at(self, topic: str, begin: int) -> bool:
        """Go on at the log's beginning, and tell so, if that lies beyond what was read: the records before it are gone."""
        expected = self.next[topic]
        if begin <= expected:
            return False
        self._tally.holes["retention"] += 1
        self._note_skipped(topic, "retention", begin - expected, expected)
        self.next[topic] = begin
        return True

    def _read_across(self, topic: str, span: Span | None) -> None:
        """Note what the client has read beside the records that were just applied."""
        if span is None:
            return
        self.next[topic] = max(self.next[topic], span.end)
        for cause, count in span.skipped.items():
            self._note_skipped(topic, cause, count)

    def _apply(self, topic: str, records: Sequence[Record]) -> None:
        rejects = self._taken(topic, records)
        self._tally.seen.took(topic, self.number, records, rejects)
        if rejects:
            name = self._ports.names[topic]
            letters = [letter(records[reject.index], reject, name, self.number) for reject in rejects]
            self._rejects += letters
            self._reject_bytes += sum(len(each.key or b"") + len(each.value or b"") for each in letters)
        self.next[topic] = records[-1].offset + 1
        self.pending += len(records)
        self._tally.events += len(records)
        if topic == "relay":  # a record of it holds many facts
            self.pending += _bytes_of(records) // FACT_BYTES
        elif self.received is not None:
            self.received[topic] = self.received.get(topic, 0) + len(records) - _markers_in(records)
        if self.pending >= self._limits.flush_events or self._reject_bytes >= self._limits.reject_bytes:
            self._wanted.set()

    def _taken(self, topic: str, records: Sequence[Record]) -> Sequence[Reject]:
        """Let the floor take a batch; return what it set aside."""
        now_ms = self._ports.clock_ms()
        if isinstance(records, Slab):
            return cast(CompiledFloor, self._floor).apply_records(topic, records.held, now_ms)
        return self._floor.apply(topic, [record.key for record in records], [record.value for record in records], now_ms)

    async def _explain(self, topic: str, records: Sequence[Record], offsets: Sequence[int], span: Span | None) -> None:
        """Find out about the hole before `records`: go back to what was lost, take what the log really follows with."""
        expected = self.next[topic]
        went_back_to, when = self._healing.get(topic, (-1, 0.0))
        if went_back_to == expected and time.monotonic() < when + HEALING_S:
            return  # fetched before reading went back
        try:
            explanation = await self._ask(topic, expected, offsets if span is None else offsets[:1])
            begin = await self._ports.source.begin(topic, self.number) if explanation.lost is None else 0
        except KafkaUnreachable as error:
            _log.warning("partition.hole_unexplained", topic=topic, partition=self.number, expected=expected, error=str(error))
            await self._ports.source.go_back(topic, self.number, expected)
            return
        if self.closed:
            return
        if self.next[topic] != expected:  # `begin_at` has told of the hole meanwhile
            await self._ports.source.go_back(topic, self.number, self.next[topic])
            return
        if explanation.lost is None:
            cause = "retention" if begin > expected else "log"
            skipped = offsets[explanation.good - 1] - expected - explanation.good + 1
            self._tally.holes[cause] += 1
            self._note_skipped(topic, cause, skipped, expected)
        else:
            self._tally.holes["delivery"] += 1
            _log.warning("partition.hole", topic=topic, partition=self.number, expected=expected, found=offsets[0],
                         verdict=f"not delivered: back to {explanation.lost}")  # fmt: skip
        if explanation.good:
            self._apply(topic, records if span is not None else records[: explanation.good])
            self._read_across(topic, span)
        if explanation.lost is not None:
            self.next[topic] = explanation.lost
            self._healing[topic] = explanation.lost, time.monotonic()
            await self._ports.source.go_back(topic, self.number, explanation.lost)

    async def _ask(self, topic: str, expected: int, offsets: Sequence[int]) -> Explanation:
        explanation = Explanation(offsets)
        async with contextlib.aclosing(self._ports.source.offsets_from(topic, self.number, expected)) as found:
            async for offset in found:
                if explanation.see(offset) is not Finding.UNDECIDED:
                    return explanation
        explanation.end()
        return explanation

    def _note_skipped(self, topic: str, cause: str, count: int, expected: int | None = None) -> None:
        """Count offsets without a record; what may have been an event is told each time, a marker once."""
        self._tally.skipped[cause] += count
        known, self._known_causes = (topic, cause) in self._known_causes, self._known_causes | {(topic, cause)}
        details = {"topic": topic, "partition": self.number, "cause": cause, "offsets": count, "expected": expected}
        if cause in _ALARMING:
            _log.error("partition.records_gone", **details, remedy=_ALARMING[cause])
        elif not known:
            _log.info("partition.skipped", **details)

    async def _wait_for_room(self) -> None:
        while not self.closed and self._is_full():
            self._captured.clear()
            self._wanted.set()
            await self._captured.wait()

    def _is_full(self) -> bool:
        return self.pending >= self._limits.backlog_events or self._reject_bytes >= self._limits.reject_bytes

    # -- out

    async def run(self) -> None:
        """Flush when due until closed; raises `Replaced` and whatever the journal and the sender raise."""
        loop = asyncio.get_running_loop()
        while not self.closed:
            started = loop.time()
            self._pass_markers()
            if self._due():
                await self._flush(final=False)
            pause = max(0.0, started + self._limits.interval_s - loop.time())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), pause)

    async def _flush(self, *, final: bool) -> None:
        async with self._flushing:
            if self.closed and not final:
                return
            self.clean = False
            started = time.perf_counter()
            captured = self._capture()
            try:
                await self._append(captured)
                landed = await self._ports.sender.send(captured.outgoing)
            except BaseException:
                self._close()
                raise
            self._follow.answered(captured.answers_up_to)
            self.published = captured.seq
            self.committable = captured.offsets
            self.heartbeat = captured.heartbeat
            self.progress_s = time.monotonic()
            self.clean = True
            self._tally.readings += captured.readings
            del captured
            self._tally.flush_seconds.observe(time.perf_counter() - started)
            place = landed.get(("readings", self.number))
            if place is not None and self._follow.must_look(place) and not final:
                await self._look_behind(place)

    async def _look_behind(self, landed: Landed) -> None:
        """Find out what a former owner has published behind us; it is answered with the next flush."""
        try:
            async with aclosing(self._ports.source.readings(self.number, self._follow.looked)) as records:
                async for record in records:
                    if not self._follow.see(record, self.epoch, landed):
                        break
        except KafkaUnreachable as error:
            _log.warning("readings.not_followed", partition=self.number, error=str(error))  # the next flush looks again
        else:
            self._follow.seen(landed)
        if self._follow.stale:
            _log.info("readings.stale", partition=self.number, readings=len(self._follow.stale))

    async def finish(self) -> None:
        """Take nothing more, and flush what has come in; afterwards `committable` is where the next owner starts."""
        self._close()
        async with self._flushing:
            unfinished = self.clean and (self.pending or self._rejects)
        if unfinished:
            await self._flush(final=True)

    def can_resume(self, claim: int) -> bool:
        """Tell whether a new claim at that offset finds the journal as we left it, so that no load is needed."""
        return self.closed and self.clean and not self.pending and claim == self._last + 1

    def resume(self, claim: int) -> None:
        """Go on after a rebalance that left the partition with us."""
        self.epoch = self._last = claim
        self.closed = False
        self._fresh = True
        self._healing.clear()
        self.progress_s = time.monotonic()

    @property
    def forget_before(self) -> int | None:
        """The journal's records below this offset are no longer needed; None while there are too few cycles."""
        return self._cycles[0] if len(self._cycles) == KEPT_CYCLES else None

    def _close(self) -> None:
        self.closed = True
        self._wanted.set()
        self._captured.set()

    def _due(self) -> bool:
        quiet_s = time.monotonic() - self.progress_s
        if self._is_full():
            return True
        if quiet_s < self._limits.catch_up_s and self.pending < self._limits.flush_events and self._is_behind():
            return False
        news = self.pending or self._rejects or self._fresh or self._follow.stale or self._ends() != self._at_end
        return bool(news) or quiet_s >= self._limits.heartbeat_s

    def _is_behind(self) -> bool:
        """Tell whether so many events wait to be read that fewer, larger flushes get there sooner."""
        ends = ((self._ports.source.end(topic, self.number), offset) for topic, offset in self.next.items())
        return sum(max(0, end - offset) for end, offset in ends if end is not None) > self._limits.flush_events * BEHIND

    def _pass_markers(self) -> None:
        """Move on over what the client has read and what holds no record, as a transaction's marker at the log's end."""
        self.next = {topic: self._ports.source.passed(topic, self.number, offset) for topic, offset in self.next.items()}

    def _ends(self) -> frozenset[str]:
        """Tell which inputs have been read to their end."""
        ends = {topic: self._ports.source.end(topic, self.number) for topic in self.next}
        return frozenset(topic for topic, end in ends.items() if end is not None and self.next[topic] >= end)

    def _capture(self) -> _Captured:
        """Take everything that changed since the last flush, in one go, as bytes; records of the journal are made of them later."""
        self.seq += 1
        self._at_end = self._ends()
        now_ms = self._ports.clock_ms()
        flush = self._floor.flush(self.seq, now_ms, self._at_end, self.epoch)
        heartbeat = self._account(flush.heartbeat)
        records = flush.records()
        repeated = [self._floor.record(key, now_ms, self.epoch, self.seq) for key in self._follow.take(records)]
        piece = self._rolling.next(self._floor.begin_cycle, flush.changed)
        relay = [Outgoing("relay", each.partition, None, each.value) for each in flush.relay]
        delta: Delta[Any] = Delta(
            epoch=self.epoch,
            partitions=self.partitions,
            seq=self.seq,
            published=self.published,
            offsets=dict(self.next),
            entries=flush.packed,
            outbox=self._rejects + relay,
            cycle=piece.cycle,
            starts=piece.starts,
            ends=piece.ends,
            piece=self._floor.piece(piece.size),
            followed=self._follow.followed,
            received=None if self.received is None else dict(self.received),
        )
        closing = encode_key(ReadingKey("heartbeat", self.number)), encode_value(heartbeat, self.epoch, self.seq)
        readings = [Outgoing("readings", self.number, key, value) for key, value in (*repeated, *records, closing)]
        self._tally.repeated += len(repeated)
        journalled = encode_within(delta, self._ports.log.record_bytes)
        self.pending = self._reject_bytes = 0
        self._rejects = []
        self._fresh = False
        self._wanted.clear()
        self._captured.set()
        return _Captured(
            seq=delta.seq,
            offsets=delta.offsets,
            starts=delta.starts,
            ends=delta.ends,
            records=journalled,
            outgoing=delta.outbox + readings,
            readings=len(readings),
            heartbeat=heartbeat,
            answers_up_to=self._follow.looked,
        )

    def _account(self, heartbeat: dict[str, Any]) -> dict[str, Any]:
        """Compare what was received with what the floor says became of it, and say both in the heartbeat."""
        counted = {topic: sum(outcomes.values()) for topic, outcomes in heartbeat.get("events", {}).items()}
        if self.received is None:
            self.received = dict(counted)
        received = self.received
        differing = {topic: received.get(topic, 0) - counted.get(topic, 0) for topic in received.keys() | counted.keys()}
        if any(differing.values()) and differing != self.unaccounted:
            _log.error("partition.unaccounted", partition=self.number, received_less_counted=differing)
        self.unaccounted = differing
        if "counters" in heartbeat:
            heartbeat["counters"] |= {RECEIVED + topic: count for topic, count in received.items()}
        return heartbeat

    async def _append(self, captured: _Captured) -> None:
        offsets = []
        for record in captured.records:
            appending = self._ports.log.append(self.number, record)
            del record  # it may be megabytes, which the log lets go of as soon as it can
            offset = await appending
            if offset != self._last + 1:
                await self._check_foreign(offset)
            self._last = offset
            offsets.append(offset)
        if captured.starts:
            self._cycle_start = offsets[0]
        if captured.ends and self._cycle_start is not None:
            self._cycles = [*self._cycles, self._cycle_start][-KEPT_CYCLES:]

    async def _check_foreign(self, offset: int) -> None:
        """Find out who has written before our record; only a claim makes it void, a former owner's flush is."""
        if offset < 0 or await self._ports.log.claimed(self.number, self._last + 1, offset):
            raise Replaced(
                f"partition {self.number}: the journal's record got offset {offset}, expected {self._last + 1}: another "
                "worker has claimed the partition; nothing of this flush was published"
            )
        _log.warning("journal.zombie", partition=self.number, records=offset - self._last - 1)


def _markers_in(records: Sequence[Record]) -> int:
    """Count the end-of-input markers among records; in nearly every batch one look at all of them finds none."""
    if isinstance(records, Slab):
        return sum(read_end_of_input(value) is not None for value in records.held.holding(_MARKER))
    values = [value for record in records if (value := record.value) is not None]
    if _MARKER not in b"\n".join(values):
        return 0
    return sum(_MARKER in value and read_end_of_input(value) is not None for value in values)


def _bytes_of(records: Sequence[Record]) -> int:
    """Return how many bytes the values of records take."""
    if isinstance(records, Slab):
        return cast(int, records.held.value_bytes())
    return sum(len(record.value or b"") for record in records)


def _starting_count(folded: Folded) -> dict[str, int] | None:
    """Return the records received so far, None where a journal of an older version does not know."""
    if folded.received is None and folded.seq > 0:
        return None
    return dict(folded.received or {})


__all__ = ["RECEIVED", "Limits", "Partition", "Tally"]
