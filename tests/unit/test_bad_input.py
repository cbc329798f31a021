"""Bad input: each kind is counted by its reason, handed back with its place in the batch, and changes nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec
import pytest

from schemas.errors import REASONS
from schemas.events import INPUT_TOPICS
from schemas.instants import LATEST_MS
from schemas.markers import end_of_input
from schemas.partitioner import PARTITIONERS
from schemas.rules import DAY_MS, HOUR_MS, MINUTE_MS, Rules
from streams.core.floor import Floor, Reject
from streams.core.relay import Bundles, Told
from streams.native import Core, core_named, is_made
from tests.builders import T0

PARTITIONS: Final = 4
PARTITION: Final = 1
LIVE: Final = Rules(live=True, max_milestones=4)
NONE: Final = {"applied": 0, "duplicate": 0, "late": 0, "invalid": 0}
Event = dict[str, Any]


def ours(start: str, *, here: bool = True) -> str:
    """Return a key that lies on our partition (or not)."""
    place = PARTITIONERS[LIVE.partitioner]
    names = (f"{start}-{number}" for number in range(1000))
    return next(name for name in names if (place(name.encode(), PARTITIONS) == PARTITION) == here)


SESSION: Final = ours("s")
FULL: Final = ours("full")
OTHER: Final = ours("other")
AGENT: Final = ours("anna")
ELSEWHERE: Final = ours("s", here=False)


def event(type_: str, id_: str, at: Any = T0, **fields: Any) -> Event:
    """Return an event; a session's unless an agent or a complaint is named."""
    named = {} if type_.startswith(("agent.", "complaint.", "site.", "cost.")) else {"session_id": SESSION}
    return {"id": id_, "type": type_, "at": at, **named, **fields}


def raw(what: Event) -> bytes:
    """Return an event's bytes."""
    return json.dumps(what, ensure_ascii=False).encode()


STARTED: Final = event("session.started", "bad", channel="voice")
ENTERED: Final = event("queue.entered", "bad", queue="orders")
STATUS: Final = event("agent.status", "bad", agent_id=AGENT, status="available")


@dataclass(frozen=True)
class Bad:
    """One bad record and the reason that it must be counted under."""

    name: str
    reason: str
    value: bytes | None
    key: bytes | None = SESSION.encode()
    topic: str = "sessions"
    rules: Rules = field(default=LIVE)


CASES: Final = [
    Bad("no JSON", "unparsable", b"{nope"),
    Bad("no object", "unparsable", b"[1, 2]"),
    Bad("no UTF-8", "unparsable", raw(STARTED).replace(b"voice", b"\xff\xfe")),
    Bad("no UTF-8 in a field that nobody reads", "unparsable", raw(STARTED | {"x": "?"}).replace(b"?", b"\xc3")),
    Bad("a null value", "unparsable", None),
    Bad("an empty value", "unparsable", b""),
    Bad("cut off", "unparsable", raw(STARTED)[:-9]),
    Bad("two objects", "unparsable", raw(STARTED) * 2),
    Bad("unknown type", "unknown_type", raw(STARTED | {"type": "session.paused"})),
    Bad("a type that is no text", "unknown_type", raw(STARTED | {"type": 7})),
    Bad("no type", "missing_field", raw({"id": "bad", "at": T0, "session_id": SESSION})),
    Bad("missing field", "missing_field", raw(event("session.started", "bad"))),
    Bad("no id", "missing_field", raw({key: value for key, value in STARTED.items() if key != "id"})),
    Bad("no time", "missing_field", raw({key: value for key, value in STARTED.items() if key != "at"})),
    Bad("mistyped field", "bad_field", raw(STARTED | {"priority": "3"})),
    Bad("unknown choice", "bad_field", raw(STARTED | {"direction": "sideways"})),
    Bad("score above the scale", "bad_field", raw(event("session.rated", "bad", score=6, scale=5))),
    Bad("null where a field is required", "bad_field", raw(STARTED | {"channel": None})),
    Bad("naive time", "naive_timestamp", raw(STARTED | {"at": "2026-11-21T14:00:00"})),
    Bad("a time that is none", "bad_timestamp", raw(STARTED | {"at": "2026-11-31T14:00:00Z"})),
    Bad("a time with decimals", "bad_timestamp", raw(STARTED | {"at": 1.5})),
    Bad("the year 1970", "too_old", raw(STARTED | {"at": "1970-01-01T00:00:00Z"})),
    Bad("1989", "too_old", raw(STARTED | {"at": "1989-12-31T23:59:59.999Z"})),
    Bad("the year 2099", "from_the_future", raw(STARTED | {"at": "2099-01-01T00:00:00Z"})),
    Bad("five minutes and a millisecond ahead", "from_the_future", raw(STARTED | {"at": T0 + 5 * MINUTE_MS + 1})),
    Bad("a queue of 200 characters", "bad_name", raw(ENTERED | {"queue": "q" * 200}), topic="queues"),
    Bad("a queue of 129 characters", "bad_name", raw(ENTERED | {"queue": "ö" * 129}), topic="queues"),
    Bad("an empty name", "bad_name", raw(ENTERED | {"queue": ""}), topic="queues"),
    Bad("a control character", "bad_name", raw(ENTERED | {"queue": "a\x85b"}), topic="queues"),
    Bad("a reserved name", "reserved_name", raw(ENTERED | {"queue": "all"}), topic="queues"),
    Bad("wrong key", "wrong_key", raw(STARTED), key=OTHER.encode()),
    Bad("no key", "wrong_key", raw(STARTED), key=None),
    Bad("an empty key", "wrong_key", raw(STARTED), key=b""),
    Bad("the key of another agent", "wrong_key", raw(STATUS), key=SESSION.encode(), topic="status"),
    Bad("the key of another queue", "wrong_key", raw(event("site.visits", "bad", count=1, queue="a")), b"b", "business"),
    Bad("a key where no queue is named", "wrong_key", raw(event("site.visits", "bad", count=1)), b"b", "business"),
    Bad("wrong partition", "wrong_partition", raw(STARTED | {"session_id": ELSEWHERE}), key=ELSEWHERE.encode()),
    Bad("wrong topic", "wrong_topic", raw(STARTED), topic="queues"),
    Bad("a status event among sessions", "wrong_topic", raw(STATUS), key=AGENT.encode()),
    Bad("a session's event among status events", "wrong_topic", raw(STARTED), topic="status"),
    Bad("a session's event among business events", "wrong_topic", raw(STARTED), topic="business"),
    Bad("visits among sessions", "wrong_topic", raw(event("site.visits", "bad", count=1)), key=b""),
    Bad("a complaint among queues", "wrong_topic", raw(event("complaint.closed", "bad", complaint_id="c")), b"c", "queues"),
    Bad("unmapped status", "status", raw(STATUS | {"status": "gone fishing"}), key=AGENT.encode(), topic="status"),
    Bad("too large", "too_large", raw(STARTED | {"x": "x" * 65_536})),
    Bad("a full session", "session_full", raw(event("session.held", "bad", session_id=FULL, agent_id="a")), key=FULL.encode()),
]
each_case = pytest.mark.parametrize("bad", CASES, ids=[case.name for case in CASES])


def floor_with_something(rules: Rules = LIVE) -> Floor:
    """Return a floor that holds sessions, an agent, a complaint and visits, all flushed."""
    floor = Floor(PARTITION, PARTITIONS, rules)
    full = [event(kind, kind, session_id=FULL, agent_id="a") for kind in ("session.connected", "session.held", "session.resumed")]
    full.append(event("session.ended", "e", session_id=FULL, ended_by="agent"))
    take(floor, "sessions", FULL, *full)
    take(floor, "sessions", OTHER, event("session.started", "o", T0 - 5, session_id=OTHER, channel="chat"))
    take(floor, "queues", OTHER, event("queue.entered", "o", T0 - 4, session_id=OTHER, queue="orders"))
    take(floor, "status", AGENT, event("agent.status", "i", T0 - 9, agent_id=AGENT, status="available", groups=["north"]))
    complaint = ours("c")
    take(floor, "business", complaint, event("complaint.opened", "c", complaint_id=complaint))
    take(floor, "business", "", event("site.visits", "v", count=3))
    flushed = floor.flush(1, T0)
    assert len(flushed.entries) > 15
    return floor


def take(floor: Floor, topic: str, key: str, *events: Event) -> None:
    """Let a floor take events of one key, all of them good."""
    assert floor.apply(topic, [key.encode()] * len(events), [raw(each) for each in events], T0) == []


def frozen(floor: Floor) -> dict[str, bytes]:
    """Return all entries of a floor as bytes."""
    return {key: msgspec.msgpack.encode(floor.entry(key)) for key in sorted(floor.keys())}


@each_case
def test_it_is_handed_back_and_counted_by_its_reason(bad: Bad) -> None:
    """One Reject that says which record and why; one more invalid event on the topic and under the reason."""
    floor = floor_with_something(bad.rules)
    before, counters = dict(floor.counts.get(bad.topic, NONE)), dict(floor.books.counters)
    (reject,) = floor.apply(bad.topic, [bad.key], [bad.value], T0)
    assert (reject.index, reject.outcome, reject.reason) == (0, "invalid", bad.reason)
    assert reject.detail
    assert "\n" not in reject.detail
    assert len(reject.detail) < 500
    assert floor.counts[bad.topic] == before | {"invalid": 1}
    assert floor.books.counters == counters | {f"invalid.{bad.reason}": 1}


@each_case
def test_it_changes_nothing_else(bad: Bad) -> None:
    """The next flush has nothing but the accounting to say; the clock, too, stands where it stood."""
    floor = floor_with_something(bad.rules)
    before = frozen(floor)
    floor.apply(bad.topic, [bad.key], [bad.value], T0)
    flush = floor.flush(2, T0)
    after = frozen(floor)
    assert set(flush.entries) == {"m"}
    assert [reading.key.kind for reading in flush.readings] == ["heartbeat"]
    assert flush.relay == []
    clock, _, _, *rest = msgspec.msgpack.decode(before.pop("m"))
    new_clock, _, _, *new_rest = msgspec.msgpack.decode(after.pop("m"))
    assert (new_clock, new_rest) == (clock, rest)
    assert after == before


@each_case
def test_its_neighbours_in_the_batch_count_as_without_it(bad: Bad) -> None:
    """Good records before and behind it are taken; its index is its place in the batch."""
    good = {
        "sessions": [event("session.started", "g", T0 + 1, channel="a"), event("session.ended", "h", T0 + 2, ended_by="agent")],
        "queues": [event("queue.entered", "g", T0 + 1, queue="q"), event("queue.left", "h", T0 + 2, queue="q", outcome="closed")],
        "status": [event("agent.status", f"g{n}", T0 + n, agent_id=AGENT, status="busy") for n in (1, 2)],
        "business": [event("site.visits", f"g{n}", T0 + n, count=n) for n in (1, 2)],
    }[bad.topic]
    key = {"status": AGENT, "business": ""}.get(bad.topic, SESSION).encode()
    first, second = raw(good[0]), raw(good[1])
    with_bad, without = floor_with_something(bad.rules), floor_with_something(bad.rules)
    (reject,) = with_bad.apply(bad.topic, [key, bad.key, key], [first, bad.value, second], T0)
    assert reject.index == 1
    assert without.apply(bad.topic, [key, key], [first, second], T0) == []
    one, other = with_bad.flush(2, T0), without.flush(2, T0)
    assert one.readings[:-1] == other.readings[:-1]
    assert frozen(with_bad) | {"m": b""} == frozen(without) | {"m": b""}


def test_every_reason_has_a_case() -> None:
    """So that a new reason cannot be forgotten here."""
    assert {case.reason for case in CASES} == set(REASONS)


def test_an_invalid_event_claims_no_id() -> None:
    """The same id in a good event afterwards is no duplicate."""
    floor = floor_with_something()
    wrong, right = STARTED | {"at": T0 + HOUR_MS}, STARTED
    floor.apply("sessions", [SESSION.encode()] * 2, [raw(wrong), raw(right)], T0)
    assert floor.counts["sessions"]["applied"] == floor_with_something().counts["sessions"]["applied"] + 1
    assert floor.counts["sessions"]["duplicate"] == 0


def test_exactly_five_minutes_ahead_is_not_the_future() -> None:
    """The limit itself is still good."""
    floor = floor_with_something()
    take(floor, "sessions", SESSION, STARTED | {"at": T0 + 5 * MINUTE_MS})


def test_a_replay_knows_no_future() -> None:
    """2099 is as good as any other year where now is the watermark."""
    floor = Floor(PARTITION, PARTITIONS, replace(LIVE, live=False))
    take(floor, "sessions", SESSION, STARTED | {"at": "2099-01-01T00:00:00Z"})


def test_a_mapped_status_is_good() -> None:
    """A name that the configuration maps stands for its standard status."""
    floor = floor_with_something(replace(LIVE, status_map={"gone fishing": "away"}))
    take(floor, "status", AGENT, STATUS | {"status": "gone fishing"})


def test_business_facts_without_a_queue_may_lie_anywhere() -> None:
    """Neither an empty nor a missing key is wrong where no queue is named, and an empty one is good for any queue."""
    floor = floor_with_something()
    events = [event("site.visits", f"v{n}", count=1, **named) for n, named in enumerate([{}, {}, {"queue": "orders"}])]
    assert floor.apply("business", [b"", None, b""], [raw(each) for each in events], T0) == []


def made(core: Core, rules: Rules) -> Any:
    """Return a floor of one partition with a core; skips where that is not made."""
    if core == "compiled" and not is_made():
        pytest.skip("the compiled core is not made")
    return core_named(core)(0, 1, rules)


@pytest.mark.parametrize("core", ["python", "compiled"])
@pytest.mark.parametrize("at", [-1, LATEST_MS + 1, 1 << 63, -(1 << 63) - 1, 1 << 64])
def test_a_marker_whose_time_no_event_could_have_is_invalid(core: Core, at: int) -> None:
    """Not the end of the world: it once ended the compiled core, again and again."""
    floor = made(core, Rules(live=True))
    (reject,) = floor.apply("sessions", [b""], [end_of_input(at)], T0)
    assert (reject.outcome, reject.reason) == ("invalid", "unknown_type")
    assert floor.counts["sessions"] == NONE | {"invalid": 1}
    floor.flush(1, T0)


@pytest.mark.parametrize("core", ["python", "compiled"])
def test_a_damaged_marker_or_relay_record_is_invalid(core: Core) -> None:
    """Text that is no UTF-8, where a marker or a relay record is looked for."""
    floor = made(core, Rules())
    (reject,) = floor.apply("sessions", [b""], [b'{"type":"floorpulse.end_of_input\xff","at":1}'], T0)
    assert (reject.outcome, reject.reason) == ("invalid", "unparsable")
    bundles = Bundles(0, 1, T0)
    bundles.add(0, ("v", "reviewer"), "session", 0, Told(reviews=((T0, "queue", "voice"),)))
    (record,) = bundles.records()
    (reject,) = floor.apply("relay", [None], [record.value.replace(b"reviewer", b"\xff\xfe\xffiewer")], T0)
    assert (reject.outcome, reject.reason) == ("invalid", "unparsable")


@pytest.mark.parametrize("core", ["python", "compiled"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Pacific/Kiritimati", "America/New_York"])
def test_the_last_millisecond_of_all_calendars_is_counted(core: Core, zone: str) -> None:
    """Where it is the year 10000 already, the date is the last one that there is."""
    floor = made(core, Rules(zone=zone))
    agent = event("agent.status", "1", LATEST_MS, agent_id="a", status="busy", groups=["g"])
    assert floor.apply("status", [b"a"], [raw(agent)], T0) == []
    said = event("session.message", "2", LATEST_MS, sender="customer")
    reviewed = event("session.reviewed", "3", LATEST_MS, agent_id="a", reviewer_id="r", score=5)
    assert floor.apply("sessions", [SESSION.encode()] * 2, [raw(said), raw(reviewed)], T0) == []
    for seq in range(1, 4):
        relay = floor.flush(seq, T0, INPUT_TOPICS).relay
        assert floor.apply("relay", [None] * len(relay), [record.value for record in relay], T0) == []
    assert floor.counts["sessions"]["applied"] == 2


@pytest.mark.parametrize("core", ["python", "compiled"])
def test_an_agent_who_is_given_up_in_the_flush_that_books_him_stays_away(core: Core) -> None:
    """With series of single agents: ten days on, his session is over and he is forgotten, and nothing of him comes back."""
    floor = made(core, Rules(agent_series=True))
    connected = event("session.connected", "1", T0, agent_id="bob")
    floor.apply("sessions", [SESSION.encode()], [raw(connected)], T0)
    said = []
    for seq in range(1, 7):
        flush = floor.flush(seq, T0, INPUT_TOPICS)
        said += [reading.body for reading in flush.readings if reading.key[:4] == ("now", 0, "agent", "bob")]
        if seq == 1:
            later = event("session.survey_sent", "9", T0 + 10 * DAY_MS, session_id="s2")
            floor.apply("sessions", [b"s2"], [raw(later)], T0)
        floor.apply("relay", [None] * len(flush.relay), [record.value for record in flush.relay], T0)
    assert [body if body is None else body["parts"]["in_hand"] for body in said] == [1, None]
    assert not any("bob" in key for key in [*floor.keys()])


def test_every_record_is_counted_under_one_outcome() -> None:
    """Received = applied + duplicate + late + invalid, on each topic; late ones are handed back, too; markers stand outside."""
    floor = Floor(0, 1, Rules())
    old = T0 - 40 * DAY_MS
    for topic in ("sessions", "queues", "status", "business"):
        floor.apply(topic, [b""], [end_of_input(T0)], T0)
    for seq in range(1, 3):
        flush = floor.flush(seq, T0)
        floor.apply("relay", [None] * len(flush.relay), [record.value for record in flush.relay], T0)
    batches = {
        ("sessions", SESSION): [STARTED, STARTED, STARTED | {"id": "n"}, STARTED | {"v": 0}],
        ("sessions", OTHER): [event("session.started", "o", old, session_id=OTHER, channel="voice")],
        ("queues", SESSION): [ENTERED, ENTERED | {"queue": "all"}, ENTERED],
        ("status", AGENT): [STATUS, STATUS, STATUS | {"status": "?"}, STATUS | {"id": "l", "at": old}],
        ("business", ""): [event("site.visits", str(n), at, count=n) for n, at in enumerate([T0, T0 - DAY_MS, old, T0])],
    }
    rejects: list[Reject] = []
    for (topic, key), events in batches.items():
        rejects += floor.apply(topic, [key.encode()] * len(events), [raw(each) for each in events], T0)
    floor.apply("business", [b""], [end_of_input(T0)], T0)
    assert floor.counts == {
        "sessions": {"applied": 2, "duplicate": 1, "late": 1, "invalid": 1},
        "queues": {"applied": 1, "duplicate": 1, "late": 0, "invalid": 1},
        "status": {"applied": 1, "duplicate": 1, "late": 1, "invalid": 1},
        "business": {"applied": 3, "duplicate": 0, "late": 1, "invalid": 0},
    }
    received = sum(map(len, batches.values()))
    assert sum(sum(outcomes.values()) for outcomes in floor.counts.values()) == received
    assert [reject.outcome for reject in rejects].count("late") == 3
    by_reason = {name: count for name, count in floor.books.counters.items() if name.startswith("invalid.")}
    assert sum(by_reason.values()) == [reject.outcome for reject in rejects].count("invalid") == 3
