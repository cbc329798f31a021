"""The compiled core equals the other one: the same entries, readings, relay records, rejects and counts, flush by flush.

Centres are those of the other property tests: messy, shuffled, with duplicates and late copies, over several partitions, with
horizons of minutes, so that everything is forgotten within two hours; floors are frozen and thawed on the way, also from one core
to the other. Without Rust the core is not made and these tests skip.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.errors import UsageError
from schemas.events import INPUT_TOPICS, KEY_OF, TOPIC_OF
from schemas.markers import end_of_input
from schemas.readings import encode_key
from schemas.rules import DAY_MS, HOUR_MS, MINUTE_MS, QueueRules, Rules
from streams import native
from streams.core.driver import Driver, record_of
from streams.core.floor import Floor
from streams.core.relay import decode_relay
from streams.native import CompiledFloor, core_named, is_made, look
from streams.report import report_rules
from tests import centres
from tests.garbage import mutated
from tests.property.test_freeze_thaw import HASTY, PATIENT, business

REQUIRED: Final = os.environ.get("FLOORPULSE_REQUIRE_NATIVE") == "1"
needs_it = pytest.mark.skipif(not (is_made() or REQUIRED), reason="the compiled core is not made (make native needs Rust)")

_unpack = msgspec.msgpack.decode
_pack = msgspec.msgpack.encode
TIGHT: Final = replace(HASTY, max_cells=4, max_ids=300, max_milestones=6, max_contacts=2, agent_series=True, max_agents=2,
                       customer_key=b"k", partitioner="crc32", status_map={"pause": "break"})  # fmt: skip
TUNED: Final = Rules(
    queue_default=QueueRules(answer_ms=60_000, placement_ms=19_999, first_response_ms=30_000, response_ms=5_000),
    queues={"sales": {"answer_ms": 19_999, "short_ms": 1, "zone": "Asia/Kathmandu"}, "vip": {"zone": "America/New_York"}},
    queue_channels={("sales", "chat"): {"first_response_ms": 100_000, "response_ms": 50_000}},
    zone="Europe/Berlin",
    speech_channels=frozenset({"voice", "social"}),
    wrap_up_ms_by_channel={"voice": 120_000, "chat": 45_000, "email": 0},
    default_capacity=3,
)
CHANGED: Final = replace(
    HASTY,
    repeat_ms=20 * MINUTE_MS,
    earlier=((centres.START_MS + HOUR_MS // 2, replace(TUNED, repeat_ms=5 * MINUTE_MS)),
             (centres.START_MS + HOUR_MS, replace(PATIENT, default_capacity=2))),
)  # fmt: skip
LIVE: Final = replace(HASTY, live=True, idle_ms=5 * MINUTE_MS)
RULES: Final = {
    "patient": PATIENT, "hasty": HASTY, "tight": TIGHT, "tuned": TUNED, "changed": CHANGED, "live": LIVE,
    "report": report_rules(PATIENT),
}  # fmt: skip


def entries_of(floor: Any) -> dict[str, Any]:
    """Return all entries of a floor in a form whose differences can be read."""
    return {key: _unpack(_pack(floor.entry(key))) for key in floor.keys()}  # noqa: SIM118  a floor is no mapping


def plain(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return entries that were handed out in the same form."""
    return {key: _unpack(_pack(value)) for key, value in entries.items()}


def united(maps: list[Any]) -> dict[str, Any]:
    """Return entries that were handed out in several maps, none of them twice."""
    found = [entry for each in maps for entry in _unpack(each).items()]
    assert len(found) == len(dict(found))
    return dict(found)


def readings_of(flush: Any) -> dict[bytes, Any]:
    """Return a flush's readings by key; what is told twice must be told alike."""
    found: dict[bytes, Any] = {}
    for reading in flush.readings:
        key, body = encode_key(reading.key), msgspec.json.decode(msgspec.json.encode(reading.body))
        assert found.setdefault(key, body) == body
        found[key] = body
    return found


def relay_of(flush: Any) -> list[Any]:
    """Return the facts that a flush relays, by partition, each with its record's watermark, and how many records there are."""
    records = [(each.partition, decode_relay(each.value)) for each in flush.relay]
    heads = sorted((partition, record.format, record.sender, record.watermark) for partition, record in records)
    return [heads, sorted(((p, msgspec.to_builtins(fact)) for p, record in records for fact in record.all()), key=repr)]


@pytest.fixture
def not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nobody had said `make native`."""
    monkeypatch.setattr(native, "_MADE", False)


@pytest.mark.usefixtures("not_made")
def test_without_the_compiled_core_the_other_one_counts() -> None:
    """Unless the compiled one is asked for: then the error says how to make it."""
    assert core_named("auto") is core_named("python") is Floor
    with pytest.raises(UsageError, match="make native"):
        core_named("compiled")


@needs_it
def test_the_compiled_core_counts_where_it_was_made() -> None:
    """Unless the other one is asked for."""
    assert core_named("auto") is core_named("compiled") is CompiledFloor
    assert core_named("python") is Floor


class Both:
    """A floor of each core, told the same; what they say is compared."""

    def __init__(self, partition: int, partitions: int, rules: Rules) -> None:
        """Start with both empty."""
        self.partition, self.partitions, self.rules = partition, partitions, rules
        self.plain: Any = Floor(partition, partitions, rules)
        self.compiled: Any = CompiledFloor(partition, partitions, rules)

    def apply(self, topic: str, keys: Any, values: Any, now_ms: int) -> Any:
        """Let both take a batch."""
        one = self.plain.apply(topic, keys, values, now_ms)
        other = self.compiled.apply(topic, keys, values, now_ms)
        if topic == "relay":  # words about bytes that are no relay record are each core's own
            assert [(each.index, each.reason) for each in other] == [(each.index, each.reason) for each in one]
        else:
            assert other == one
        return one

    def flush(self, seq: int, now_ms: int, at_end: Any = (), epoch: int = 0) -> Any:
        """Flush both."""
        one, other = (floor.flush(seq, now_ms, at_end, epoch) for floor in (self.plain, self.compiled))
        assert plain(other.entries) == plain(one.entries)
        assert readings_of(other) == readings_of(one)
        assert sorted(key for key, _ in other.records()) == sorted(key for key, _ in one.records())
        assert relay_of(other) == relay_of(one)
        assert (other.changed, sorted(united(other.packed))) == (one.changed, sorted(united(one.packed)))
        for reading in one.readings[:: max(1, len(one.readings) // 5)]:
            if reading.key.kind != "heartbeat":
                (key, value), (own_key, own_value) = (
                    floor.record(reading.key, now_ms, epoch, seq) for floor in (self.compiled, self.plain)
                )
                assert (key, msgspec.json.decode(value or b"0")) == (own_key, msgspec.json.decode(own_value or b"0"))
        if seq % 4 == 0:
            self.cycle(one, random.Random(seq))
        return one

    def cycle(self, flush: Any, rng: random.Random) -> None:
        """Let both repeat all their state: whatever stands in the last flush once, the rest in pieces."""
        whole = entries_of(self.plain)
        for floor in (self.plain, self.compiled):
            found, left = plain(flush.entries), floor.begin_cycle()
            assert left == len(whole)
            handed = set(found)
            while left:
                size = rng.randint(1, left)
                piece = united(floor.piece(size))
                assert len(piece) <= size
                assert not handed & piece.keys()
                found |= piece
                handed, left = set(), left - size
            assert {key: value for key, value in found.items() if value is not None} == whole

    def reborn(self, rng: random.Random) -> Both:
        """Return both made anew from what one of them holds."""
        entries = entries_of(self.plain)
        assert entries_of(self.compiled) == entries
        unpublished = rng.sample(sorted(entries), len(entries) // 2)
        rules = replace(self.rules, max_cells=self.rules.max_cells + rng.choice([0, 3]), default_capacity=rng.choice([1, 2]))
        both = Both(self.partition, self.partitions, rules)
        both.plain = Floor.thaw(self.partition, self.partitions, rules, entries, unpublished)
        both.compiled = CompiledFloor.thaw(self.partition, self.partitions, rules, entries, unpublished)
        return both


@needs_it
@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    sessions=st.integers(0, 30),
    partitions=st.integers(1, 3),
    batch=st.sampled_from([3, 20, 100]),
    rules=st.sampled_from(sorted(RULES)),
    mess=st.booleans(),
)
@example(seed=660, sessions=26, partitions=1, batch=20, rules="tight", mess=False)  # levels that come to nothing in one flush
def test_both_cores_say_the_same(seed: int, sessions: int, partitions: int, batch: int, rules: str, mess: bool) -> None:
    """Any centre, delivered in any way, with garbage among it and floors frozen and thawed: equal in all they hand out."""
    rng = random.Random(seed)
    events = centres.centre(seed, sessions=sessions, queues=3, agents=4)
    events += list(business(random.Random(seed), sessions // 2))
    arrived = centres.shuffled(centres.with_duplicates(events, seed, 0.1), seed) if events else []
    for _ in range(len(arrived) // 10):
        arrived.insert(rng.randrange(len(arrived)), rng.choice(arrived))
    driver = Driver(partitions, RULES[rules], Both)
    records = [record_of(event, centres.to_jsonl_bytes(event)) for event in arrived]
    now = centres.START_MS
    while records:
        size = rng.randint(1, batch)
        now = max(now, *map(centres.at_ms, arrived[:size]))
        driver.apply(records[:size], now)
        if mess:
            driver.apply([(topic, key, mutated(rng, value)) for topic, key, value in records[:size]], now)
        del records[:size], arrived[:size]
        if rng.random() < 0.6:
            driver.flush(now, INPUT_TOPICS)
            if rng.random() < 0.2:
                driver.floors = [floor.reborn(rng) for floor in driver.floors]
    for at in (now, now + 10 * MINUTE_MS, now + HOUR_MS, now + 3 * HOUR_MS, now + 30 * HOUR_MS):
        for floor in driver.floors:
            for topic in INPUT_TOPICS:
                floor.apply(topic, [b""], [end_of_input(at)], at)
        driver.flush(at, INPUT_TOPICS)
        driver.flush(at, INPUT_TOPICS)
    for floor in driver.floors:
        assert entries_of(floor.compiled) == entries_of(floor.plain)
        assert floor.compiled.counts == floor.plain.counts


@needs_it
@pytest.mark.parametrize(("more_ms", "duplicates"), [(-1, 1), (0, 1), (1, 0)])
def test_both_cores_draw_the_line_of_repetitions_alike(more_ms: int, duplicates: int) -> None:
    """A copy whose time is the horizon away is one, a millisecond further it is another event."""
    both, at = Both(0, 1, HASTY), centres.START_MS + 1000
    for when in (at, at + HASTY.duplicates_horizon_ms + more_ms):
        held = {"id": "x", "type": "session.held", "at": when, "session_id": "s", "agent_id": "a"}
        both.apply("sessions", [b"s"], [centres.to_jsonl_bytes(held)], 0)
    both.flush(1, 0)
    assert both.plain.counts["sessions"]["duplicate"] == both.compiled.counts["sessions"]["duplicate"] == duplicates


@needs_it
def test_what_the_compiled_core_keeps_for_days_is_counted() -> None:
    """Slices of days: 16 bytes a part at least, with room to grow and tables a few times that; nothing before the first event."""
    driver = Driver(1, PATIENT, Both)
    floor = driver.floors[0].compiled
    assert set(floor.kept().values()) == {0}
    events = [*centres.centre(7, sessions=40, queues=3, agents=4), *business(random.Random(7), 20)]
    driver.apply([record_of(event, centres.to_jsonl_bytes(event)) for event in events], max(map(centres.at_ms, events)))
    for _ in range(2):  # reviewers hear of it by relay
        driver.flush(max(map(centres.at_ms, events)), INPUT_TOPICS)
    parts = sum(len(cell) for *_, cell in floor.quarters(["queue", "group", "floor", "agent", "slots"]))
    kept = floor.kept()
    assert 16 * parts < kept["slices of days"] < 10 * 16 * parts
    assert all(kept.values())


@needs_it
def test_slices_that_are_over_take_a_fraction_and_say_the_same() -> None:
    """Left alone for two minutes of event time, the days of a centre are packed; their numbers are those of the other core."""
    driver = Driver(1, PATIENT, Both)
    both, events = driver.floors[0], centres.centre(7, sessions=40, queues=3, agents=4)
    last = max(map(centres.at_ms, events))
    driver.apply([record_of(event, centres.to_jsonl_bytes(event)) for event in events], last)
    driver.flush(last)
    open_bytes = both.compiled.kept()["slices of days"]
    for at in range(last + DAY_MS, last + DAY_MS + 5 * MINUTE_MS, MINUTE_MS):
        for topic in INPUT_TOPICS:
            both.apply(topic, [b""], [end_of_input(at)], at)
        driver.flush(at, INPUT_TOPICS)
    assert 0 < both.compiled.kept()["slices of days"] < open_bytes / 2
    one, other = ({row[:4]: row[4] for row in floor.quarters(["queue", "floor"])} for floor in (both.plain, both.compiled))
    assert other == one != {}


@needs_it
def test_what_an_agent_did_in_a_day_takes_little_more_than_it_is() -> None:
    """A hundred changes of 96 bytes with an id of 32: room for an eighth more. Doubled, there would be room for 28 more."""
    floor = CompiledFloor(0, 1, PATIENT)
    for minute in range(100):
        at = centres.START_MS + minute * MINUTE_MS
        status = "busy" if minute % 2 else "available"
        event = {"id": f"e{minute}", "type": "agent.status", "at": at, "agent_id": "anna", "status": status}
        floor.apply("status", [b"anna"], [centres.to_jsonl_bytes(event)], at)
        floor.flush(minute, at)
    assert 100 * (96 + 32) < floor.kept()["agents' changes"] < 100 * (96 * 1.15 + 32)


@needs_it
@pytest.mark.parametrize("thawed", [False, True])
def test_a_customer_with_one_contact_takes_little_more_than_it_is(thawed: bool) -> None:
    """A contact of 88 bytes, its session, names, a place in a list of times: 280; with room for three more it was 712."""
    rules, at = replace(PATIENT, partitioner="crc32"), centres.START_MS
    driver = Driver(1, rules, CompiledFloor)
    started = {"type": "session.started", "at": at, "channel": "voice", "direction": "inbound"}
    events = [{**started, "id": f"e{n}", "session_id": f"s{n}", "customer_id": f"c{n}"} for n in range(100)]
    driver.apply([record_of(event, centres.to_jsonl_bytes(event)) for event in events], at)
    while driver.flush(at):
        pass
    floor = driver.floors[0]
    if thawed:
        floor = CompiledFloor.thaw(0, 1, rules, entries_of(floor))
    assert 100 * 200 < floor.kept()["customers with an open contact"] < 100 * 400


@needs_it
def test_who_is_given_up_is_gone_from_slices_that_are_over_too() -> None:
    """With gauges of his own: an agent silent since the day before takes his quarter-hours along, packed as they are."""
    rules = replace(HASTY, agent_series=True, silence_ms=HOUR_MS, quarters_kept_ms=2 * DAY_MS)
    driver, of_anna = Driver(1, rules, Both), "\x1fagent\x1fanna\x1f"
    both = driver.floors[0]
    for minute in range(0, 30 * 60, 10):
        at = centres.START_MS + minute * MINUTE_MS
        for agent in ("anna", "ben") if minute < 60 else ("ben",):
            status = "busy" if minute % 20 else "available"
            event = {"id": f"{agent}{minute}", "type": "agent.status", "at": at, "agent_id": agent, "status": status}
            both.apply("status", [agent.encode()], [centres.to_jsonl_bytes(event)], at)
        driver.flush(at, INPUT_TOPICS)
        if minute == 120:
            assert sum(of_anna in key for key in entries_of(both.compiled)) > 2
    left = entries_of(both.compiled)
    assert left == entries_of(both.plain)
    assert not [key for key in left if of_anna in key]
    assert [key for key in left if of_anna.replace("anna", "ben") in key]


# ---- odd records: the compiled decoder must take and refuse what the models do

SAMPLES: Final[tuple[dict[str, Any], ...]] = (
    {"type": "session.started", "session_id": "s", "channel": "chat", "direction": "inbound", "queue": "q", "customer_id": "c",
     "priority": 1},
    {"type": "session.connected", "session_id": "s", "agent_id": "a", "queue": "q"},
    {"type": "session.message", "session_id": "s", "sender": "agent", "agent_id": "a", "automatic": False},
    {"type": "session.held", "session_id": "s", "agent_id": "a"},
    {"type": "session.resumed", "session_id": "s", "agent_id": "a"},
    {"type": "session.transferred", "session_id": "s", "from_agent": "a", "to_agent": "b", "to_queue": "q", "kind": "warm"},
    {"type": "session.ended", "session_id": "s", "ended_by": "agent", "resolved": True},
    {"type": "session.wrapped_up", "session_id": "s", "agent_id": "a"},
    {"type": "session.survey_sent", "session_id": "s"},
    {"type": "session.rated", "session_id": "s", "score": 4, "scale": 5, "agent_id": "a"},
    {"type": "session.reviewed", "session_id": "s", "agent_id": "a", "reviewer_id": "r", "score": 98.5, "live": True},
    {"type": "queue.entered", "session_id": "s", "queue": "q", "channel": "chat", "priority": 1},
    {"type": "queue.offered", "session_id": "s", "queue": "q", "agent_id": "a"},
    {"type": "queue.missed", "session_id": "s", "queue": "q", "agent_id": "a", "reason": "busy"},
    {"type": "queue.left", "session_id": "s", "queue": "q", "outcome": "answered", "agent_id": "a"},
    {"type": "agent.status", "agent_id": "a", "status": "busy", "groups": ["g", "h"], "queues": ["q"], "capacity": 2},
    {"type": "agent.joined", "agent_id": "a", "groups": ["g"]},
    {"type": "agent.left", "agent_id": "a", "groups": ["g"]},
    {"type": "site.visits", "queue": "q", "count": 3, "channel": "chat"},
    {"type": "cost.booked", "queue": "q", "amount": 1.25, "currency": "EUR"},
    {"type": "complaint.opened", "complaint_id": "x", "queue": "q", "session_id": "s"},
    {"type": "complaint.closed", "complaint_id": "x", "queue": "q", "session_id": "s", "upheld": True},
)  # fmt: skip


def _long(letter: str, length: int) -> str:
    return f'"{letter * length}"'


def _listed(length: int) -> str:
    return "[" + ",".join(['"g"'] * length) + "]"


ODD: Final = (
    *("null", "true", "false", "0", "1", "-1", "-0", "01", "1.0", "1e3", "NaN", "9" * 18, "9" * 19, "9" * 40, "+1", "{}", "[]"),
    *('""', '"x"', '"all"', '"unassigned"', '"All"', '" "', '"a b"', _long("n", 128), _long("n", 129), _long("ü", 128)),
    *(_long("ü", 129), r'"a\"b"', r'"a\\b"', r'"a\/b"', r'"\u0041"', r'"\u0000"', r'"\ud800"', r'"\n"', r'"\x"', '"\x7f"'),
    *('"\x85"', '"\xa0"', '"\t"', '"\u202e\U0001f600"', '"inbound"', '"callback"', '"bot"', '"cold"', '"available"', '"pause"'),
    *('["g"]', '["g","g"]', '["all"]', "[1]", '["g",]', '[["g"]]', r'["\u0041"]', _listed(1000)),
    *(_listed(1001), '"2026-11-21T09:00:00Z"', '"2026-11-21t09:00:00.5z"', '"2026-11-21 09:00:00.1239+08:00"'),
    *('"2026-11-21T09:00:00"', '"2026-02-29T09:00:00Z"', '"2024-02-29T23:59:59.999-23:59"', '"2026-11-21T24:00:00Z"'),
    *('"2026-13-01T00:00:00Z"', '"2026-11-21T09:00:60Z"', '"2026-11-21T09:00:00.Z"', '"2026-11-21T09:00:00+24:00"'),
    *('"0000-01-01T00:00:00Z"', '"0001-01-01T00:00:00Z"', '"1989-12-31T23:59:59.999Z"', '"1990-01-01T00:00:00Z"'),
    *('"9999-12-31T23:59:59.999Z"', '"2026-11-21T09:00:00ZZ"', '"2026-1-21T09:00:00Z"', '"2026-04-31T09:00:00Z"'),
    *("631152000000", "631151999999", "253402300799999", "253402300800000", "1795251600000"),
)
NUMBERS: Final = (
    *("0", "-0", "0.0", "-0.0", "-0.5", "00.5", "-00.5", ".5", "5.", "-.5", "-", "1.2.3", "1..2", "1.-2", "+1.5", "1,5", "0x1"),
    *("1_0", "1e3", "1E3", "1e0", "1.5e0", "1.5e+0", "15e-1", "1e-7", "1.0e", "5e-324", "1e309", "-1e309", "NaN", "Infinity"),
    *('"4.5"', "5", "5.0", "5.00", "4.9", "5.1", "4.0000000000001", "4.00000000000001", "4.000000000000001"),
    *("4.0000000000000001", "1.23456789012345", "0.12345678901234", "0.123456789012345", "0.1234567890123456"),
    *("0.12345678901234567", "123456.789012345", "123456.7890123456", "1234567.1234567890123", "0.30000000000000004", "2.675"),
    *("0.1", "0.7", "3.3", "0.3", "0.003", "2", "3", "7", "0.0000005", "0.0000015", "0.0000025", "0.0000035", "-0.0000005"),
    *("-0.0000015", "-0.0000025", "-0.0000035", "1.0000005", "-1.0000015", "0.00000049999999", "0.00000050000001"),
    *("0.00000149999999", "0.00000250000001", "0.00000000000001", "999999999.999999", "-999999999.999999", "999999999.9999995"),
    *("1000000000", "1000000000.0", "1000000000.000001", "1000000000.0000001", "1000000001", "-1000000000", "-1000000000.0"),
    *("-1000000000.00001", "-1000000001", "99999999999999", "999999999999999", "99999999999999.9", "9007199254740993"),
    *("2.0000000000001", "1.9999999999999", "3.9999999999999", "400000", "1600000.0", "2000000", "97", "97.0"),
    *("96.9999999999999", "96.99999999999999", "96.999999999999999", "97.0000000000001", "100", "100.0", "100.0000000001"),
    *("0." + "0" * 30 + "1", "0." + "0" * 400 + "1", "4." + "0" * 400, "9" * 16 + ".5"),
)  # fmt: skip
"""Numbers on both sides of every bound, of every half, and of what a float tells apart."""
WRAPS: Final = ("%s", " \n%s\t", "%s ", "%sx", "%s%s", "[%s]", "\ufeff%s", "%s\x00")


def odd_records() -> list[tuple[str, bytes, bytes]]:
    """Return each sample with each odd value in the place of each field, without it, with it twice, and wrapped in odd ways."""
    records = []
    for number, sample in enumerate(SAMPLES):
        whole = {"id": f"i{number}", "at": 1_795_251_600_000 + number, "v": 1, **sample}
        plain_fields = {name: msgspec.json.encode(value).decode() for name, value in whole.items()}
        topic, key = TOPIC_OF[sample["type"]], str(whole[KEY_OF[sample["type"]]]).encode()
        texts = []
        for name in (*plain_fields, "further"):
            others = [f'"{other}":{raw}' for other, raw in plain_fields.items() if other != name]
            texts.append("{" + ",".join(others) + "}")
            odd_values = (*ODD, *NUMBERS) if type(whole.get(name, 0)) in (int, float) else ODD
            texts += ["{" + ",".join([*others, f'"{name}":{odd}']) + "}" for odd in odd_values]
            if name in plain_fields:
                texts += ["{" + ",".join([f'"{name}":{odd}', *others, f'"{name}":{plain_fields[name]}']) + "}" for odd in ODD[:8]]
        good = "{" + ",".join(f'"{name}":{raw}' for name, raw in plain_fields.items()) + "}"
        texts += [wrap.replace("%s", good) for wrap in WRAPS]
        records += [(topic, key, text.replace(f'"i{number}"', f'"i{number}-{n}"', 1).encode()) for n, text in enumerate(texts)]
    return records


@needs_it
@pytest.mark.parametrize("rules", ["report", "patient", "tight"])
@pytest.mark.parametrize("seed", range(3))
def test_both_cores_know_the_contacts_of_an_id_that_many_share(rules: str, seed: int) -> None:
    """A hundred sessions of one customer in six days: they come, end, turn out to be another's, and are forgotten."""
    rng = random.Random(seed)
    events: list[centres.Event] = []
    for number in range(100):
        at, session = centres.START_MS + rng.randrange(6 * DAY_MS), f"s{number}"
        fields = {"session_id": session, "channel": "chat", "queue": rng.choice(["sales", "vip"]), "customer_id": "guest"}
        events.append({"id": "a", "type": "session.started", "at": at, **fields})
        if rng.random() < 0.9:
            events.append({"id": "b", "type": "session.ended", "at": at + HOUR_MS, "session_id": session, "ended_by": "agent"})
        if rng.random() < 0.2:
            events.append({"id": "c", "type": "session.started", "at": at - 1, **fields, "customer_id": "another"})
    events.sort(key=centres.at_ms)
    driver = Driver(2, RULES[rules], Both)
    for begin in range(0, len(events), 20):
        some = events[begin : begin + 20]
        driver.apply([record_of(event, centres.to_jsonl_bytes(event)) for event in rng.sample(some, len(some))])
        driver.flush(at_end=INPUT_TOPICS)
    driver.finish(centres.at_ms(events[-1]) + DAY_MS)
    for both in driver.floors:
        assert entries_of(both.compiled) == entries_of(both.plain)


@needs_it
@pytest.mark.parametrize("rules", ["patient", "tight"])
def test_both_cores_take_and_refuse_the_same_records(rules: str) -> None:
    """Each field of each type with each odd value: the same is taken, with the same meaning, and refused with the same words."""
    both = Both(0, 1, replace(RULES[rules], max_milestones=1_000_000))
    by_topic: dict[str, tuple[list[bytes], list[bytes]]] = {}
    for topic, key, value in odd_records():
        keys, values = by_topic.setdefault(topic, ([], []))
        keys.append(key)
        values.append(value)
    for topic, (keys, values) in by_topic.items():
        assert 100 < len(both.apply(topic, keys, values, 0)) < len(keys) - 100
    for topic in INPUT_TOPICS:
        wrong = [b"", b"other", None, b"\xff"]
        both.apply(topic, wrong, [by_topic[topic][1][-len(WRAPS)]] * len(wrong), 0)
    both.flush(1, 0, INPUT_TOPICS)
    assert entries_of(both.compiled) == entries_of(both.plain)


@needs_it
def test_ordinary_events_of_every_type_are_read_without_a_closer_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but speed would tell that the compiled decoder leaves a type to Python; an exponent shows that this would be seen."""
    looked: list[bytes] = []

    def counted(value: bytes) -> Any:
        looked.append(value)
        return closer(value)

    closer = look.look
    monkeypatch.setattr(look, "look", counted)
    floor = CompiledFloor(0, 1, PATIENT)
    scores = [{**sample, "score": score, "scale": 100} for sample in SAMPLES if "score" in sample for score in (0, 3.75, 100)]
    assert {sample["type"] for sample in SAMPLES} == set(TOPIC_OF)
    for number, sample in enumerate([*SAMPLES, *scores]):
        event = {"id": f"i{number}", "at": "2026-11-21T09:00:00.000Z", "v": 1, **sample}
        topic, key = TOPIC_OF[sample["type"]], str(event[KEY_OF[sample["type"]]]).encode()
        assert floor.apply(topic, [key], [msgspec.json.encode(event)], 0) == []
    assert looked == []
    odd = b'{"type":"cost.booked","id":"e","at":1795251600000,"amount":1e3,"currency":"EUR"}'
    assert floor.apply("business", [b""], [odd], 0) == []
    assert looked == [odd]
