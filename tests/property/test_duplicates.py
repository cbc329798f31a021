"""Repetitions within the horizon change nothing, however many there are."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import INPUT_TOPICS, TOPIC_OF
from schemas.markers import end_of_input
from schemas.readings import ReadingKey
from schemas.rules import HOUR_MS, MINUTE_MS, Rules
from streams.core.driver import Driver, record_of
from streams.core.floor import Floor
from streams.core.sessionintake import SessionIntake
from streams.native import CompiledFloor
from tests.centres import Event, at_ms, centre, with_duplicates
from tests.chaos.load import Parts, cells_of
from tests.property.test_native import needs_it

SHARES: Final = (0.05, 0.10, 0.20)
PARTITIONS: Final = 3


each_core = pytest.mark.parametrize("core", [Floor, pytest.param(CompiledFloor, marks=needs_it)])


def counted(events: list[Event], flush_every: int) -> tuple[dict[ReadingKey, Parts], Counter[str]]:
    """Return the published cells, and what became of the events."""
    driver = Driver(PARTITIONS, Rules(slices_kept_ms=0))  # slices of 10 s are kept, whenever the flush is by which they are over
    for begin in range(0, len(events), flush_every):
        apply(driver, events[begin : begin + flush_every])
    return outcome(driver)


def apply(driver: Driver, events: Sequence[Event]) -> None:
    """Let events be counted."""
    driver.apply([record_of(event, json.dumps(event).encode()) for event in events])
    driver.flush()


def outcome(driver: Driver) -> tuple[dict[ReadingKey, Parts], Counter[str]]:
    """Return the published cells at the end, and what became of the events."""
    while driver.flush(at_end=INPUT_TOPICS):
        pass
    driver.flush(at_end=INPUT_TOPICS)
    bodies = {key: body["parts"] for key, body in driver.take() if body is not None and "parts" in body}
    fates = sum((Counter(of) for floor in driver.floors for of in floor.counts.values()), Counter[str]())
    return dict(cells_of(iter(bodies.items()))), +fates


@settings(max_examples=4)
@given(seed=st.integers(0, 1 << 30), flush_every=st.integers(20, 400))
def test_up_to_a_fifth_of_repetitions_changes_no_cell(seed: int, flush_every: int) -> None:
    """0, 5, 10 and 20 %; each is counted as what it is."""
    events = centre(seed, sessions=15)
    want, fates = counted(events, flush_every)
    assert want
    assert fates["duplicate"] == 0
    for share in SHARES:
        repeated = with_duplicates(events, seed, share)
        got, more = counted(repeated, flush_every)
        assert got == want
        assert more == fates + Counter(duplicate=len(repeated) - len(events))


@pytest.mark.deep
@given(seed=st.integers(0, 1 << 30), share=st.floats(0, 0.2), flush_every=st.integers(20, 400))
def test_any_share_of_repetitions_changes_no_cell(seed: int, share: float, flush_every: int) -> None:
    """As many centres as the hypothesis profile says."""
    events = centre(seed, sessions=25)
    assert counted(with_duplicates(events, seed, share), flush_every)[0] == counted(events, flush_every)[0]


# ---------------------------------------------------------------- copies that are read long after, and say something else


def passing(at: int) -> list[Event]:
    """Return an event of each topic: after them the watermark stands at this time, less the lateness."""
    return [
        {"id": "p0", "type": "session.started", "session_id": "passing", "channel": "voice", "at": at},
        {"id": "p1", "type": "queue.entered", "session_id": "passing", "queue": "passing", "at": at},
        {"id": "p2", "type": "agent.status", "agent_id": "passing", "status": "available", "at": at},
        {"id": "p3", "type": "site.visits", "queue": "passing", "count": 1, "at": at},
    ]


def altered(event: Event, rng: random.Random) -> Event:
    """Return an event of the same id, topic and key that says something else, at most an hour before or after."""
    copy = {**event, "at": at_ms(event) + rng.randint(-HOUR_MS, HOUR_MS)}
    topic = TOPIC_OF[event["type"]]
    if topic == "queues":
        copy["queue"] = rng.choice([event["queue"], "altered"])
    elif topic == "sessions" and rng.random() < 0.5:
        kind = rng.choice(["session.survey_sent", "session.held"])
        copy = {name: copy[name] for name in ("id", "session_id", "at")} | {"type": kind, "agent_id": "altered"}
    elif topic == "status" and rng.random() < 0.5:
        copy = {name: copy[name] for name in ("id", "agent_id", "at")} | {"type": "agent.left"}
    return copy


@each_core
@settings(max_examples=4)
@given(seed=st.integers(0, 1 << 30))
def test_a_copy_changes_nothing_whatever_it_says_and_however_late_it_is_read(core: Any, seed: int) -> None:
    """Three hours after all else, when ids are forgotten: what was applied is still known. Messages: see the next test."""
    rng = random.Random(seed)
    events = centre(seed, sessions=15)
    later = passing(max(map(at_ms, events)) + 3 * HOUR_MS)
    copies = [altered(event, rng) for event in events if event["type"] != "session.message"]
    found = []
    for late in ([], copies):
        driver = Driver(1, Rules(), core)
        apply(driver, events)
        apply(driver, later)
        driver.flush(at_end=INPUT_TOPICS)
        apply(driver, late)
        found.append(outcome(driver))
    (want, fates), (got, more) = found
    assert got == want
    assert more == fates + Counter(duplicate=len(copies))


_START: Final = 1_795_269_600_000  # a full hour
_FIRST: Final[Event] = {"id": "x", "type": "session.held", "session_id": "s", "agent_id": "a", "at": _START + 20 * MINUTE_MS}


@each_core
@pytest.mark.parametrize(
    ("copy", "fate"),
    [
        ({"at": _START - 40 * MINUTE_MS}, "duplicate"),
        ({"at": _START - 40 * MINUTE_MS - 1}, "applied"),
        ({"at": _START + 80 * MINUTE_MS}, "duplicate"),
        ({"at": _START + 80 * MINUTE_MS + 1}, "applied"),
        ({"type": "session.resumed"}, "duplicate"),
        ({"id": "y"}, "applied"),
        ({"session_id": "t"}, "applied"),
        ({"type": "queue.entered", "queue": "q"}, "applied"),
        ({"type": "session.message", "sender": "agent"}, "duplicate"),
        ({"id": "m", "type": "session.message", "sender": "agent", "at": _START + 30 * MINUTE_MS}, "duplicate"),
        # of a message 14 bits of its id are kept: where a copy says something else, and its id is forgotten, it is counted
        ({"id": "m", "type": "session.message", "sender": "agent", "at": _START + 31 * MINUTE_MS}, "applied"),
    ],
)
@pytest.mark.parametrize("rests", [False, True])
def test_what_is_a_copy_of_something_long_ago(core: Any, copy: Event, fate: str, rests: bool) -> None:
    """Topic, key and id are the same, and the times at most the horizon away from each other; also where the session rests."""
    driver = Driver(1, Rules(), core)
    message = {"id": "m", "type": "session.message", "session_id": "s", "sender": "agent", "at": _START + 30 * MINUTE_MS}
    apply(driver, [{"id": "s", "type": "session.started", "session_id": "s", "channel": "chat", "at": _START}, _FIRST, message])
    newest = {**_FIRST, "id": "z", "session_id": "t" if rests else "s", "at": _START + 3 * HOUR_MS}
    apply(driver, [newest])
    apply(driver, passing(_START + 3 * HOUR_MS))
    driver.flush(at_end=INPUT_TOPICS)
    driver.flush(at_end=INPUT_TOPICS)
    before = outcome(driver)[1]
    apply(driver, [{**_FIRST, **copy}])
    assert outcome(driver)[1] == before + Counter({fate: 1})


@each_core
@pytest.mark.parametrize(("topic_key", "kind"), [("session_id", "session.held"), ("agent_id", "agent.joined")])
def test_a_copy_of_now_whose_original_was_just_forgotten_is_one(core: Any, topic_key: str, kind: str) -> None:
    """The first is of the last millisecond of an hour that is forgotten at the end of the next; the copy almost an hour younger."""
    driver = Driver(1, Rules(lateness_ms=0), core)
    first = {"id": "x", "type": kind, "agent_id": "s", topic_key: "s", "at": _START + HOUR_MS - 1}
    apply(driver, [{"id": "a", "type": "session.started", "session_id": "s", "channel": "chat", "at": _START}, first])
    apply(driver, passing(_START + 2 * HOUR_MS))
    driver.flush(at_end=INPUT_TOPICS)
    driver.flush(at_end=INPUT_TOPICS)
    before = outcome(driver)[1]
    apply(driver, [{**first, "at": _START + 2 * HOUR_MS - 2}])
    assert outcome(driver)[1] == before + Counter(duplicate=1)


class Journalled:
    """A partition, its journal folded as it goes."""

    def __init__(self, core: Any, rules: Rules) -> None:
        """Start without anything."""
        self.core = core
        self.floor = core(0, 1, rules)
        self.entries: dict[str, Any] = {}
        self.seq = 0

    def hear(self, *events: Event) -> Counter[str]:
        """Take events in and flush; return what became of them."""
        before = self.fates()
        for event in events:
            topic, key, value = record_of(event, json.dumps(event).encode())
            assert self.floor.apply(topic, [key], [value], 0) == []
        self.seq += 1
        for part in self.floor.flush(self.seq, 0, frozenset(INPUT_TOPICS)).packed:
            for name, entry in msgspec.msgpack.decode(part).items():
                self.entries.pop(name, None) if entry is None else self.entries.__setitem__(name, entry)
        return self.fates() - before

    def fates(self) -> Counter[str]:
        """Return what became of all events so far."""
        return +sum((Counter(of) for of in self.floor.counts.values()), Counter[str]())

    def restart(self, rules: Rules) -> None:
        """Go on from the journal with these rules."""
        self.floor = self.core.thaw(0, 1, rules, self.entries)

    def chunks(self) -> set[str]:
        """Return the keys of the journal's chunks of ids; the floor's own are the same."""
        found = {key for key in self.entries if key[0] in "db"}
        assert found == {key for key in self.floor.keys() if key[0] in "db"}  # noqa: SIM118  a floor is no mapping
        return found


@each_core
@pytest.mark.parametrize(
    ("then_ms", "now_ms"),
    [(HOUR_MS, HOUR_MS), (HOUR_MS, MINUTE_MS), (MINUTE_MS, HOUR_MS), (HOUR_MS, HOUR_MS + 1), (HOUR_MS, 24 * HOUR_MS)],
)
@pytest.mark.parametrize("idle", [False, True])
def test_a_horizon_of_another_length_after_a_restart(core: Any, then_ms: int, now_ms: int, idle: bool) -> None:
    """What was applied is still known, and what is over is forgotten; `idle`: no id of a session was left when it restarted."""
    then, now = (Rules(duplicates_horizon_ms=ms, lateness_ms=0) for ms in (then_ms, now_ms))
    partition = Journalled(core, then)
    times = [_START + n * 10 * MINUTE_MS for n in range(20)]
    visits = [{"id": f"v{at}", "type": "site.visits", "queue": "q", "count": 1, "at": at} for at in times]
    started = {"id": "s", "type": "session.started", "session_id": "s", "channel": "chat", "at": _START}
    partition.hear(started, _FIRST, *visits)
    later = passing(_START + 5 * HOUR_MS)
    partition.hear(*(later[3:] if idle else later))
    if idle:  # the watermark passes without an event of a session
        for topic in ("sessions", "queues", "status"):
            assert partition.floor.apply(topic, [b""], [end_of_input(_START + 5 * HOUR_MS)], 0) == []
    partition.hear()
    assert {key[0] for key in partition.chunks()} == ({"b"} if idle else {"b", "d"})
    partition.restart(now)
    held = {**_FIRST, "at": _FIRST["at"] + min(now_ms, 5 * MINUTE_MS)}
    assert partition.hear(_FIRST, held, *visits) == Counter(duplicate=22)
    assert partition.hear({**_FIRST, "id": "y", "at": _FIRST["at"] + HOUR_MS}) == Counter(applied=1)
    partition.chunks()
    partition.restart(now)
    assert partition.hear(_FIRST, held, *visits) == Counter(duplicate=22)
    partition.hear(*({**event, "id": f"{event['id']}-20d", "at": _START + 20 * 24 * HOUR_MS} for event in passing(0)))
    partition.hear()
    assert len(partition.chunks()) == 2


@each_core
def test_a_copy_of_the_oldest_fact_that_is_not_late_is_one(core: Any) -> None:
    """Facts are accepted for 15 days, and a copy may be younger than the fact by a horizon."""
    partition = Journalled(core, Rules(lateness_ms=0))
    cost = {"id": "c", "type": "cost.booked", "amount": 1, "currency": "EUR", "queue": "q", "at": _START + 50 * MINUTE_MS}
    partition.hear(cost)
    partition.hear(*passing(_START + 15 * 24 * HOUR_MS + 100 * MINUTE_MS))
    partition.hear()
    assert partition.hear({**cost, "at": _START + 110 * MINUTE_MS}) == Counter(duplicate=1)


@each_core
@pytest.mark.parametrize(("then_ms", "now_ms"), [(HOUR_MS, HOUR_MS + 1), (24 * HOUR_MS, 24 * HOUR_MS + 1_000)])
def test_where_one_chunk_of_ids_fits_another_horizon_and_others_do_not(core: Any, then_ms: int, now_ms: int) -> None:
    """Many chunks in a generation, some of which would stay where they are: none is lost at the restart after the next."""
    partition = Journalled(core, Rules(duplicates_horizon_ms=then_ms, lateness_ms=0))
    cost = {"type": "cost.booked", "amount": 1, "currency": "EUR", "queue": "q"}
    costs = [{**cost, "id": f"c{n}", "at": _START + n * then_ms // 20} for n in range(60)]
    for each in costs:
        partition.hear(each)
    partition.restart(Rules(duplicates_horizon_ms=now_ms, lateness_ms=0))
    partition.hear({**cost, "id": "one more", "at": _START + then_ms // 2})
    partition.chunks()
    partition.restart(Rules(duplicates_horizon_ms=now_ms, lateness_ms=0))
    assert partition.hear(*costs) == Counter(duplicate=len(costs))


@each_core
def test_a_chunk_of_ids_is_no_larger_than_what_the_journal_takes(core: Any) -> None:
    """70,000 facts of two hours, put into one generation of a day."""
    partition = Journalled(core, Rules(lateness_ms=0))
    cost = {"type": "cost.booked", "amount": 1, "currency": "EUR", "queue": "q"}
    costs = [{**cost, "id": f"c{n}", "at": _START + n * 100} for n in range(70_000)]
    records = [record_of(each, json.dumps(each).encode()) for each in costs]
    partition.floor.apply("business", [key for _, key, _ in records], [value for _, _, value in records], 0)
    partition.hear()
    partition.restart(Rules(duplicates_horizon_ms=24 * HOUR_MS, lateness_ms=0))
    partition.hear()
    sizes = [len(partition.entries[key]) for key in partition.chunks()]
    assert sorted(sizes) == [16 * (70_000 - 65_536), 16 * 65_536]
    partition.restart(Rules(duplicates_horizon_ms=24 * HOUR_MS, lateness_ms=0))
    assert partition.hear(*costs[::7_000]) == Counter(duplicate=10)


def test_what_is_known_while_ids_are_too_many_is_looked_at_only_where_it_is_older_than_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beyond the limit of ids a session of this hour still takes the quick way, one of the last hour the slow one."""
    driver = Driver(1, Rules(max_ids=10, lateness_ms=0))
    taken: list[str] = []
    slow = SessionIntake.take

    def take(intake: SessionIntake, event: Any, *others: Any) -> str:
        taken.append(event.session_id)
        return slow(intake, event, *others)

    monkeypatch.setattr(SessionIntake, "take", take)
    sessions = [("old", _START - MINUTE_MS), ("young", _START + MINUTE_MS)]
    apply(driver, [{"id": s, "type": "session.started", "session_id": s, "channel": "chat", "at": at} for s, at in sessions])
    for n in range(12):
        many = [{**_FIRST, "id": f"{s}{n}", "session_id": s, "at": _START + (2 + n) * MINUTE_MS} for s, _ in sessions]
        apply(driver, many)
    assert driver.floors[0].ids.evicted
    taken.clear()
    apply(driver, [{**_FIRST, "id": "new", "session_id": s, "at": _START + HOUR_MS - 1} for s, _ in sessions])
    assert taken == ["old"]
