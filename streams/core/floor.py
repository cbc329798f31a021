"""The floor: the whole state of one partition.

Theory of operation. `apply` takes raw records in offset order, checks them, and only stores what they say: milestones of
sessions, status changes, relay facts. What was touched is remembered with what it stood for before (`_sessions_before`
…). `flush` then derives each touched thing once more, books new minus old, forgets what is over, and hands out everything
that changed since the last flush: entries for the journal, readings for everyone, relay records for other partitions. A
flush is a function of what was applied, never of how it was batched. `thaw(entries)` of all entries ever handed out gives the
same floor again.

No method waits, logs or asks the time: the shell passes `now_ms`, the wall clock in ms (`replay` mode does not use it).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import msgspec

from schemas.codec import STRUCT_OF, Decoded, decode_batch
from schemas.errors import InvalidEvent
from schemas.markers import read_end_of_input
from schemas.partitioner import PARTITIONERS
from schemas.readings import QUARTER_MS, Reading, ReadingKey, encode_key, encode_value
from schemas.rules import UNASSIGNED, Rules
from streams.core.agentbook import AgentBook
from streams.core.booking import Books
from streams.core.cells import Cell
from streams.core.clock import PartitionClock
from streams.core.complaints import CLOSED, OPENED, Complaints
from streams.core.customers import Customers
from streams.core.expiry import Expiry
from streams.core.ids import Ids
from streams.core.intake import Intake, Reject, check_topic, digest_of, status_of
from streams.core.milestones import MILLION
from streams.core.output import Entries, heartbeat_body, readings_of
from streams.core.relay import TO_AGENT, TO_CUSTOMER, Bundles, RelayRecord, decode_relay
from streams.core.reviewers import Reviewers
from streams.core.roster import JOINED, LEFT, LEFT_STATUS, STATUS, Change
from streams.core.sessionbook import SessionBook
from streams.core.sessionintake import QUICK_TOPICS, SessionIntake

_STATUS = STRUCT_OF["agent.status"]
_LEFT = STRUCT_OF["agent.left"]
_VISITS = STRUCT_OF["site.visits"]
_COST = STRUCT_OF["cost.booked"]
_OPENED = STRUCT_OF["complaint.opened"]

RELAY = "relay"
"""Logical name of the relay topic."""

Quarter = tuple[str, str, str, int, Cell]
"""A quarter-hour: (dimension, name, channel, start in ms, parts)."""
Level = tuple[str, str, str, dict[str, int], list[tuple[int, str, int]]]
"""Levels: (dimension, name, channel, parts, steps that are still to come)."""

_pack: Final = msgspec.msgpack.Encoder().encode


@dataclass
class Flush:
    """What one flush hands out.

    `entries`: changed state, msgpack-able, None = gone; `readings` in order, the heartbeat last; `relay` records; `epoch` and
    `seq` say whose flush it is.
    """

    entries: dict[str, Any | None]
    readings: list[Reading]
    relay: list[RelayRecord]
    epoch: int
    seq: int

    @property
    def packed(self) -> list[msgspec.Raw]:
        """The entries as msgpack of a map, here one, nil for what is gone."""
        return [msgspec.Raw(_pack(self.entries))]

    @property
    def changed(self) -> int:
        """How many entries there are that are not gone."""
        return sum(value is not None for value in self.entries.values())

    @property
    def heartbeat(self) -> dict[str, Any]:
        """The body of the heartbeat."""
        return self.readings[-1].body or {}

    def records(self) -> list[tuple[bytes, bytes | None]]:
        """Return (key, value) of all readings but the heartbeat, encoded; a value of None is a tombstone."""
        return [(encode_key(key), encode_value(body, self.epoch, self.seq)) for key, body in self.readings[:-1]]


class Floor:
    """The state of one partition; see the module's theory of operation."""

    def __init__(self, partition: int, partitions: int, rules: Rules) -> None:
        """Start empty, as `partition` of `partitions`."""
        self.partition = partition
        self.partitions = partitions
        self.rules = rules
        self.customers = Customers(rules)
        self.reviewers = Reviewers(rules)
        self.complaints = Complaints(rules)
        self.ids = Ids(rules.duplicates_horizon_ms, rules.max_ids)
        # a copy of the oldest fact that is not late may be younger by a horizon
        business_kept_ms = rules.business_horizon_ms + rules.duplicates_horizon_ms
        self.business_ids = Ids(rules.duplicates_horizon_ms, rules.max_ids, business_kept_ms)
        self.clock = PartitionClock(rules)
        self.books = Books(rules)
        self.expiry = Expiry(rules, partitions)
        self.counts: dict[str, dict[str, int]] = {}
        self.entries = Entries(self)
        self._intake = Intake(partition, partitions, rules)
        self._session_intake = SessionIntake(rules, self._intake, self.clock, self.expiry, self.ids)
        self.sessions = self._session_intake.sessions
        self._partition_of = PARTITIONERS[rules.partitioner]
        self._book = SessionBook(partition, partitions, rules, self.books)
        self._agent_book = AgentBook(rules, self.books)
        self.agents = self._agent_book.agents

    def tell(self, kinds: Collection[str]) -> None:
        """Relay to these kinds of targets only (`streams.core.relay.KINDS`)."""
        self._book.tells = frozenset(kinds)

    def serve(self, kinds: Collection[str]) -> None:
        """Do without what nobody looks at in a table: journal entries, and relay records to other kinds of targets than these."""
        self.entries.kept = False
        self.tell(kinds)

    # ------------------------------------------------------------------ taking records in

    def apply(self, topic: str, keys: Sequence[bytes | None], values: Sequence[bytes | None], now_ms: int) -> list[Reject]:
        """Take a batch of records of one logical topic, in offset order; return those set aside."""
        if topic == RELAY:
            return self._apply_relay(values)
        latest = self._intake.latest(now_ms)
        counts = self.counts.setdefault(topic, {"applied": 0, "duplicate": 0, "late": 0, "invalid": 0})
        rejects: list[Reject] = []
        events = decode_batch(values)
        quick = self._session_intake if topic in QUICK_TOPICS else None
        self._session_intake.newest = newest = -1
        index = 0
        while True:
            if quick is not None:
                begin, index = index, quick.take_on(events, index, topic, keys, latest)
                counts["applied"] += index - begin
            if index == len(events):
                break
            outcome = self._take(events[index], topic, keys[index], values[index], latest)
            if isinstance(outcome, str):
                counts[outcome] += 1
                if outcome == "late":
                    rejects.append(Reject(index, "late", "late", "older than its horizon"))
                elif outcome == "applied":
                    newest = max(newest, events[index].at)
            elif outcome is not None:
                rejects.append(Reject(index, "invalid", outcome.reason, outcome.detail))
            index += 1
        for reject in rejects:
            if reject.outcome == "invalid":
                counts["invalid"] += 1
                self.books.count(f"invalid.{reject.reason}")
        self.clock.saw(topic, max(newest, self._session_intake.newest), now_ms)
        return rejects

    def _take(self, event: Decoded, topic: str, key: bytes | None, value: bytes | None, latest: int) -> str | InvalidEvent | None:
        """Take one event, with all checks: return what became of it or why it is refused, None for an end-of-input marker."""
        if type(event) is InvalidEvent:
            end = read_end_of_input(value)
            if end is None:
                return event
            self.clock.end(topic, end)
            return None
        try:
            check_topic(event, topic)
            return _HANDLERS.get(topic, Floor._business_event)(self, event, topic, key, latest)
        except InvalidEvent as error:
            return InvalidEvent(error.reason, error.detail)  # not the one that was raised: a traceback would hold all this

    def _session_event(self, event: Decoded, topic: str, key: bytes | None, latest: int) -> str:
        return self._session_intake.take(event, topic, key, latest)

    def _agent_event(self, event: Decoded, topic: str, key: bytes | None, latest: int) -> str:
        agent_id: str = event.agent_id
        self._intake.check(event, key, latest, agent_id in self.agents)
        status = status_of(event, self.rules)
        if self.expiry.agent_is_late(event.at):
            return "late"
        if not self.ids.covers(event.at) and self._agent_book.has(agent_id, event.id, event.at, self.ids.horizon_ms):
            return "duplicate"
        if not self.ids.claim(digest_of(topic, agent_id, event.id), event.at):
            return "duplicate"
        self._agent_book.hear(agent_id, _change_of(event, status))
        return "applied"

    def _business_event(self, event: Decoded, topic: str, key: bytes | None, latest: int) -> str:
        self._intake.check(event, key, latest, known=False)
        if self.expiry.business_is_late(event.at, self.clock.watermark):
            return "late"
        if not self.business_ids.claim(digest_of(topic, (key or b"").decode(), event.id), event.at):
            return "duplicate"
        queue = event.queue or UNASSIGNED
        if type(event) is _VISITS:
            self.books.book([(("queue", queue, event.channel or UNASSIGNED), event.at, "visits", event.count)])
        elif type(event) is _COST:
            self.books.book([(("queue", queue, UNASSIGNED), event.at, f"cost_{event.currency}_e6", millionths(event.amount))])
        else:
            kind = OPENED if type(event) is _OPENED else CLOSED
            self.complaints.file(event.complaint_id, kind, (event.at, event.id, event.queue))
        return "applied"

    def _apply_relay(self, values: Sequence[bytes | None]) -> list[Reject]:
        rejects: list[Reject] = []
        for index, value in enumerate(values):
            try:
                record = decode_relay(value)
            except InvalidEvent as error:
                rejects.append(Reject(index, "invalid", error.reason, error.detail))
                self.books.count("relay_invalid")
                continue
            self.expiry.heard(record.sender, record.watermark)
            for fact in record.all():
                if fact.kind == TO_AGENT:
                    if self._agent_book.held(fact, self.expiry.agents_before):
                        self.entries.touch("h", fact.target, fact.session)
                elif (self.customers if fact.kind == TO_CUSTOMER else self.reviewers).hear(fact):
                    self.entries.touch(fact.kind, fact.target, fact.session)
        return rejects

    # ------------------------------------------------------------------ handing out

    def flush(self, seq: int, now_ms: int, at_end: Collection[str] = (), epoch: int = 0) -> Flush:
        """Book what was touched, forget what is over, and return all that changed since the last flush.

        `seq`: number of this flush, growing over all owners of the partition; `at_end`: logical topics read to their log's end;
        `epoch`: of the owner.
        """
        self.clock.advance(now_ms, at_end)
        now = self.clock.present(now_ms)
        self.books.cells.advance(now if self.rules.live else max(now, self.clock.newest_event or 0))
        over = self._forget()
        relay = self._book_sessions(seq, over)
        self._book_agents()
        self._book_others()
        self.books.settle()
        records = relay.records(range(self.partitions) if self.expiry.announces(self.clock.watermark, self.clock.all_ended) else ())
        gone = self.expiry.cells(self.books.cells, self.clock.watermark)
        dropped = self.entries.drop_ids(self.clock.watermark)
        self.books.counters["ids_evicted"] = self.ids.evicted + self.business_ids.evicted
        readings = readings_of(self.partition, self.books, now, gone)
        entries = self.entries.changed(gone, dropped)
        clock = self.clock
        body = heartbeat_body(now, clock.watermark, clock.newest_event, self.rules.live, self.counts, self.books.counters)
        readings.append(Reading(ReadingKey("heartbeat", self.partition), body))
        return Flush(entries, readings, records, epoch, seq)

    def _forget(self) -> set[str]:
        """Find sessions that are forgotten from now on, and return those that are over."""
        over, silent = self.expiry.due(self.sessions, self.clock.watermark)
        for session_id in (*over, *silent):
            session = self.sessions[session_id]
            session.wake()
            if session_id in self._session_intake.touched or not self._book.changes_nothing(session):
                self._session_intake.touched[session_id] = session
            session.forgotten = True
        return set(over)

    def _book_sessions(self, seq: int, over: set[str]) -> Bundles:
        session_ids, relay = self._book.book(self._session_intake.take_touched(), seq, self.clock.watermark)
        for session_id in over:
            del self.sessions[session_id]
        self.entries.touch_sessions((*session_ids, *over))
        return relay

    def _book_agents(self) -> None:
        for agent_id in self._agent_book.book():
            self.entries.touch("a", agent_id)
        if self.expiry.close_agents():
            agents, holds = self._agent_book.forget(self.expiry.agents_before)
            for agent_id in agents:
                self.entries.touch("a", agent_id)
            for agent_id, session_id in holds:
                self.entries.touch("h", agent_id, session_id)
        self.books.roster_since(self._agent_book.roster_since())

    def restored(self, history: Any | None) -> None:
        """Bring in line what was restored with the settings of now; `history`: the settings by which it had been booked."""
        self._agent_book.restored(history, self.expiry.agents_before)

    def _book_others(self) -> None:
        """Book what customers, reviewers and complaints stand for, and forget what is over of them."""
        mark = self.expiry.least_mark
        gone = self.customers.book(self.books, mark) + self.customers.forget()
        for customer, session_id in gone:
            self.entries.touch("k", customer, session_id)
        self.reviewers.book(self.books)
        if mark is not None:
            for reviewer, session_id in self.reviewers.forget(mark - self.rules.agents_kept_ms):
                self.entries.touch("v", reviewer, session_id)
        complaints = self.complaints.book(self.books) + self.complaints.forget(self.books, self.clock.watermark)
        for complaint_id in complaints:
            self.entries.touch("x", complaint_id)

    # ------------------------------------------------------------------ for a report

    def saw(self, topic: str, newest: int, now_ms: int) -> None:
        """Take note of how far a topic has come elsewhere."""
        self.clock.saw(topic, newest, now_ms)

    def hear(self, sender: int, mark: int) -> None:
        """Take note of a sender's watermark."""
        self.expiry.heard(sender, mark)

    @property
    def newest(self) -> dict[str, int]:
        """The newest event time of each topic in ms."""
        return self.clock.newest

    @property
    def watermark(self) -> int | None:
        """The watermark in ms, None while it is unknown."""
        return self.clock.watermark

    def quarters(self, dimensions: Collection[str]) -> list[Quarter]:
        """Return the quarter-hours of some dimensions."""
        cells = self.books.cells
        ids = (each for each in cells.ids() if each[0] == QUARTER_MS and each[2][0] in dimensions)
        return [(*address, number * length, cells.get((length, number, address)) or {}) for length, number, address in ids]

    def levels(self, dimensions: Collection[str]) -> list[Level]:
        """Return the levels of some dimensions."""
        cells = self.books.cells
        bodies = ((address, cells.levels_body(address)) for address in cells.levels if address[0] in dimensions)
        return [(*address, body["parts"], body.get("ahead", [])) for address, body in bodies]

    # ------------------------------------------------------------------ keeping and restoring

    def keys(self) -> list[str]:
        """Return the keys of all entries."""
        return self.entries.keys()

    def entry(self, key: str) -> Any | None:
        """Return the present value of an entry, msgpack-able; None if it is gone."""
        return self.entries.value(key)

    def begin_cycle(self) -> int:
        """Begin a cycle of the rolling snapshot with all entries that there are; return how many."""
        return self.entries.begin_cycle()

    def piece(self, size: int) -> list[msgspec.Raw]:
        """Return the next entries of the cycle as msgpack of maps, here one, without what is gone or stands in the last flush."""
        return [msgspec.Raw(_pack(self.entries.piece(size)))]

    def record(self, key: ReadingKey, now_ms: int, epoch: int, seq: int) -> tuple[bytes, bytes | None]:
        """Return a reading, encoded, as it is after the last flush; a value of None where what its key names is over."""
        return encode_key(key), encode_value(self.entries.reading(key, now_ms).body, epoch, seq)

    @classmethod
    def thaw(cls, partition: int, partitions: int, rules: Rules, entries: Mapping[str, Any],
             unpublished: Collection[str] = ()) -> Floor:  # fmt: skip
        """Restore a floor from all its entries.

        `unpublished`: keys of entries whose readings may not have gone out; the next flush publishes them again. Where `rules` are
        not those of the entries, they hold from the newest event on that had been counted (`schemas/history.py`).
        """
        floor = cls(partition, partitions, Entries.rules_in(entries, rules))
        floor.entries.restore(entries, unpublished)
        return floor


_HANDLERS: Final[dict[str, Callable[[Floor, Decoded, str, bytes | None, int], str]]] = {
    "sessions": Floor._session_event,  # noqa: SLF001  # a table of its own methods
    "queues": Floor._session_event,  # noqa: SLF001
    "status": Floor._agent_event,  # noqa: SLF001
}


def _change_of(event: Decoded, status: str | None) -> Change:
    kind = type(event)
    groups = None if event.groups is None else tuple(sorted(set(event.groups)))
    if kind is _STATUS:
        queues = None if event.queues is None else tuple(sorted(set(event.queues)))
        return event.at, STATUS, event.id, status, groups, queues, event.capacity
    if kind is _LEFT:
        return event.at, LEFT, event.id, LEFT_STATUS, groups, None, None
    return event.at, JOINED, event.id, None, groups, None, None


def millionths(amount: float) -> int:
    """Return an amount in millionths, rounded half to even (7)."""
    return round(Fraction(repr(amount)) * MILLION)


__all__ = ["RELAY", "Floor", "Flush", "Reject", "RelayRecord", "millionths"]
