"""The simulated contact centre: same bytes, right order, right queueing, right events."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice, pairwise
from math import exp
from statistics import fmean

import pytest

from schemas.errors import InvalidEvent
from schemas.events import INPUT_TOPICS, KEY_OF, MODEL_OF, TOPIC_OF, parse_event
from streams.simulator import (
    Agent,
    Centre,
    Habits,
    Mess,
    Queue,
    Record,
    Scenario,
    demo_scenario,
    encode,
    simulate,
)
from streams.simulator.people import BANK_HAZARD, People

START_MS = 1_795_269_600_000  # 2026-11-21T14:00:00Z
MIN_MS = 60_000
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def records() -> list[Record]:
    """An hour and a half of the default centre."""
    return list(simulate(Centre.default(), START_MS, 90 * MIN_MS))


def small(**changes: object) -> Centre:
    """Two voice queues and a chat, two agents each, always there."""
    queues = (Queue(name="A", per_minute=1), Queue(name="B", per_minute=1), Queue(name="C", channel="chat"))
    agents = tuple(
        Agent(id=f"{queue.name}{n}", queues=(queue.name,), groups=("g",), capacity=8 if queue.name == "C" else 1)
        for queue in queues
        for n in range(2)
    )
    return Centre(**({"queues": queues, "agents": agents} | changes))  # type: ignore[arg-type]  # builder


def bytes_of(records: Iterable[Record]) -> bytes:
    """What a file of the records would hold, with topics and keys."""
    return b"\n".join(f"{at} {topic} {key} ".encode() + encode(event) for at, topic, key, event in records)


def by_session(records: Iterable[Record]) -> dict[str, list[tuple[int, str]]]:
    """Times and types of each session's events."""
    sessions: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for at, topic, key, event in records:
        if topic in ("sessions", "queues"):
            sessions[key].append((at, event["type"]))
    return sessions


def waits(records: Iterable[Record], queue: str) -> list[tuple[int, int, str]]:
    """Entry, wait and outcome of each stay in a queue, in order of leaving."""
    entered: dict[str, int] = {}
    found = []
    for at, _, key, event in records:
        if event.get("queue") == queue:
            if event["type"] == "queue.entered":
                entered[key] = at
            elif event["type"] == "queue.left":
                found.append((entered[key], at - entered.pop(key), event["outcome"]))
    return found


# ---- the stream ----


def test_same_seed_gives_same_bytes() -> None:
    """Nothing but the arguments decides what comes out."""
    centre = Centre.default(seed=7)
    first = bytes_of(simulate(centre, START_MS, 10 * MIN_MS, demo_scenario(START_MS + 5 * MIN_MS)))
    assert first == bytes_of(simulate(centre, START_MS, 10 * MIN_MS, demo_scenario(START_MS + 5 * MIN_MS)))


def test_other_seed_gives_other_events() -> None:
    """A seed is a centre's luck."""
    one, two = (bytes_of(simulate(Centre.default(seed=seed), START_MS, 5 * MIN_MS)) for seed in (1, 2))
    assert one != two


def test_events_come_in_order_of_their_times(records: list[Record]) -> None:
    """The first field never goes back."""
    assert all(before[0] <= after[0] for before, after in pairwise(records))


def test_endless_simulation_is_lazy() -> None:
    """Without a duration events come one by one for as long as one asks."""
    stream = simulate(Centre.default(), START_MS)
    assert len(list(islice(stream, 5_000))) == 5_000


def test_endless_simulation_goes_on_over_shift_changes() -> None:
    """After ten hours the agents are others, and calls are still answered."""
    records = list(simulate(small(), START_MS, 2 * HOUR_MS)) + list(
        simulate(Centre.default(queues=1, agents=6), START_MS, 10 * HOUR_MS, drain=False)
    )
    last_hour = [event for at, _, _, event in records if at > START_MS + 9 * HOUR_MS]
    assert Counter(event["type"] for event in last_hour)["session.connected"] > 20


def test_ids_are_unique_over_runs_of_one_seed(records: list[Record]) -> None:
    """Histories of several days go into the same topics."""
    yesterday = simulate(Centre.default(), START_MS - 24 * HOUR_MS, 5 * MIN_MS)
    ids = [event["id"] for _, _, _, event in (*records, *yesterday)]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("times", ["rfc3339", "ms"])
def test_every_event_is_valid_and_lies_where_it_should(times: str) -> None:
    """Each validates, at its time, on its type's topic, under its type's key."""
    centre = small(times=times, habits=Habits(complaint=0.05, quits=0.5, transfer=0.1))
    for at, topic, key, event in simulate(centre, START_MS, 2 * HOUR_MS):
        model = parse_event(encode(event))
        assert (model.at, TOPIC_OF[event["type"]], event[KEY_OF[event["type"]]]) == (at, topic, key)


def test_agents_leave_for_good_and_are_replaced() -> None:
    """Who leaves is never heard of again; the successor joins at once."""
    centre = Centre.default(queues=1, agents=8)
    records = list(
        simulate(Centre(queues=centre.queues, agents=centre.agents, habits=Habits(quits=0.5)), 0, 30 * HOUR_MS)
    )
    left = {key: at for at, _, key, event in records if event["type"] == "agent.left"}
    assert left
    assert all(at <= left[key] for at, topic, key, _ in records if topic == "status" and key in left)
    assert sum(event["type"] == "agent.joined" for _, _, _, event in records) == len(centre.agents) + len(left)


# ---- sessions and agents ----


def test_every_session_ends(records: list[Record]) -> None:
    """Each has one start, first, and one end."""
    for events in by_session(records).values():
        kinds = Counter(kind for _, kind in events)
        assert events[0][1] == "session.started"
        assert kinds["session.started"] == kinds["session.ended"] == 1


def test_every_session_has_its_steps_in_order(records: list[Record]) -> None:
    """No duration can be negative: start, entry, leaving, connected, end, wrap-up, survey, rating."""
    steps = ("session.started", "queue.entered", "queue.left", "session.connected", "session.ended")
    after = ("session.ended", "session.survey_sent", "session.rated")
    for events in by_session(records).values():
        for order in (steps, after):
            first = [next((at for at, kind in events if kind == step), None) for step in order]
            times = [at for at in first if at is not None]
            if order is steps and first[1] is not None and first[3] is not None and first[3] < first[1]:
                times = [at for at in (first[0], first[3], first[4]) if at is not None]  # called out, then handed on to a queue
            assert times == sorted(times)


def test_nobody_has_more_sessions_than_capacity(records: list[Record]) -> None:
    """A call at a time, or as many chats as the status says."""
    holder: dict[str, str] = {}
    hands: Counter[str] = Counter()
    capacity: dict[str, int] = {}
    for _, _, key, event in records:
        if event["type"] == "agent.status":
            capacity[key] = event["capacity"]
        elif event["type"] in ("session.ended", "session.transferred") and key in holder:
            hands[holder.pop(key)] -= 1
        elif event["type"] == "session.connected":
            holder[key] = event["agent_id"]
            hands[event["agent_id"]] += 1
            assert hands[event["agent_id"]] <= capacity[event["agent_id"]]
    assert not holder


def test_only_available_agents_are_offered_sessions(records: list[Record]) -> None:
    """Those on a break, away or at home hear nothing ring."""
    status: dict[str, str] = {}
    for _, _, _, event in records:
        if event["type"] == "agent.status":
            status[event["agent_id"]] = event["status"]
        elif event["type"] == "queue.offered":
            assert status[event["agent_id"]] == "available"


def test_all_go_home_in_the_end(records: list[Record]) -> None:
    """The last status of everybody is offline."""
    last = {key: event["status"] for _, _, key, event in records if event["type"] == "agent.status"}
    assert set(last.values()) == {"offline"}


def test_chats_have_about_as_many_messages_of_each_side(records: list[Record]) -> None:
    """Near the catalogue's 3 : 3 : 1: 7 of each side, the customer now and then two in a row, 2 of the system."""
    senders = Counter(event["sender"] for _, _, _, event in records if event["type"] == "session.message")
    assert senders["customer"] / senders["agent"] == pytest.approx(1.07, abs=0.07)
    assert senders["customer"] / senders["system"] == pytest.approx(3.5, abs=0.7)


# ---- a day ----


@dataclass
class Day:
    """What a day held: types, values of fields by type, contacts of customers, ratings by wait."""

    types: Counter[str] = field(default_factory=Counter)
    values: dict[tuple[str, str], Counter[object]] = field(default_factory=lambda: defaultdict(Counter))
    starts: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    ends: list[tuple[str, int, str]] = field(default_factory=list)
    ratings: list[tuple[int, int]] = field(default_factory=list)


SHOWN = {
    "session.started": ("direction", "channel"),
    "session.message": ("sender", "automatic"),
    "session.transferred": ("kind",),
    "session.ended": ("ended_by", "resolved"),
    "session.reviewed": ("reviewer_id", "live"),
    "queue.left": ("outcome",),
    "agent.status": ("status",),
    "complaint.closed": ("upheld",),
}


@pytest.fixture(scope="module")
def day() -> Day:
    """A day of the default centre, from midnight on."""
    seen, customer, entered, waited = Day(), {}, {}, Counter[str]()
    how: dict[str, str] = {}
    for at, _, key, event in simulate(Centre.default(), START_MS - 14 * HOUR_MS, 24 * HOUR_MS):
        kind = event["type"]
        seen.types[kind] += 1
        if seen.types[kind] <= 50:
            parse_event(encode(event))
        for name in SHOWN.get(kind, ()):
            seen.values[kind, name][event.get(name)] += 1
        if kind == "agent.status":
            seen.values[kind, "groups"][len(event["groups"])] += 1
        elif kind == "session.started" and "customer_id" in event:
            customer[key] = event["customer_id"]
            seen.starts[customer[key]].append(at)
        elif kind == "queue.entered":
            entered[key] = at
        elif kind == "queue.left":
            waited[key] += at - entered[key]
            how[key] = event["outcome"]
        elif kind == "session.ended" and key in customer:
            seen.ends.append((customer[key], at, how.get(key, "")))
        elif kind == "session.rated":
            seen.ratings.append((waited[key], event["score"]))
    return seen


def test_a_day_has_every_type(day: Day) -> None:
    """Each type of the specification, each of the four topics, and each valid."""
    assert day.types.keys() == MODEL_OF.keys()
    assert {TOPIC_OF[kind] for kind in day.types} == set(INPUT_TOPICS)


@pytest.mark.parametrize(
    ("kind", "name", "values"),
    [
        ("queue.left", "outcome",
         "answered abandoned overflowed timed_out transferred callback voicemail closed"),
        ("agent.status", "status", "available busy away break meal training meeting offline"),
        ("session.message", "sender", "customer agent system bot"),
        ("session.started", "direction", "inbound outbound callback"),
        ("session.started", "channel", "voice chat"),
        ("session.transferred", "kind", "blind warm"),
        ("session.ended", "ended_by", "customer agent system"),
        ("session.reviewed", "reviewer_id", "reviewer-1 reviewer-2 reviewer-3 reviewer-4"),
    ],
)  # fmt: skip
def test_a_day_has_every_value(day: Day, kind: str, name: str, values: str) -> None:
    """Outcomes, statuses, senders … of the specification: no more and no less."""
    assert set(day.values[kind, name]) == set(values.split())


@pytest.mark.parametrize(
    ("kind", "name"),
    [("session.message", "automatic"), ("session.ended", "resolved"), ("session.reviewed", "live"), ("complaint.closed", "upheld")],
)
def test_a_day_has_both_sides_of_each_question(day: Day, kind: str, name: str) -> None:
    """Resolved or not, live or not, upheld or not; messages that a person sent and others."""
    assert {bool(value) for value in day.values[kind, name]} == {True, False}


def test_a_day_has_agents_in_two_groups(day: Day) -> None:
    """Newcomers belong to a team as well."""
    assert set(day.values["agent.status", "groups"]) == {1, 2}


def share_back_within_an_hour(day: Day, outcomes: set[str]) -> float:
    """Of the known customers whose session ended so, how many start another one within an hour."""
    ends = [(customer, at) for customer, at, how in day.ends if how in outcomes and at < START_MS + 9 * HOUR_MS]
    return fmean(any(at < start <= at + HOUR_MS for start in day.starts[customer]) for customer, at in ends)


def test_customers_come_back(day: Day) -> None:
    """Under the same id: about 36 % within the hour after giving up (38 % ever), about 10 % after service."""
    assert share_back_within_an_hour(day, {"abandoned"}) == pytest.approx(0.38 * 0.938, abs=0.05)
    assert share_back_within_an_hour(day, {"answered"}) == pytest.approx(0.10, abs=0.015)


def test_ratings_fall_with_the_wait(day: Day) -> None:
    """Who waited longer than a minute is less content than who hardly waited."""
    soon = fmean(score for wait, score in day.ratings if wait < 20_000)
    late = fmean(score for wait, score in day.ratings if wait > 60_000)
    assert soon - late > 0.1


def test_who_leaves_for_good_has_nothing_in_hand() -> None:
    """One agent of a centre with shifts goes on the first day; the last status is offline."""
    records = list(simulate(Centre.default(queues=3, agents=12), START_MS, 24 * HOUR_MS))
    gone = next(event["agent_id"] for _, _, _, event in records if event["type"] == "agent.left")
    mine = [event for _, _, _, event in records if event.get("agent_id") == gone]
    last = [event for event in mine if event["type"] in ("agent.status", "agent.left")][-2:]
    assert [event["type"] for event in last] == ["agent.status", "agent.left"]
    assert last[0]["status"] == "offline"
    assert mine[-1]["type"] in ("agent.left", "session.rated", "session.reviewed")


def test_overflow_goes_to_a_queue_where_somebody_is_free() -> None:
    """With nobody in B, who waits 45 s there goes over to A and is answered."""
    queues = (Queue(name="A", per_minute=0.1), Queue(name="B", per_minute=0.5, patience_s=1e6, overflow_to="A"))
    agents = tuple(Agent(id=f"a{n}", queues=("A",), groups=("g",)) for n in range(20))
    quiet = Habits(moves=0.0, missed=0.0, transfer=0.0)
    records = list(simulate(Centre(queues=queues, agents=agents, habits=quiet), START_MS, 2 * HOUR_MS))
    left = waits(records, "B")
    assert {(wait, outcome) for _, wait, outcome in left} == {(45_000, "overflowed")}
    answered = Counter(outcome for _, _, outcome in waits(records, "A"))
    assert answered["answered"] > 0.9 * len(left)


# ---- queueing ----


def test_offered_equals_outcomes_plus_waiting() -> None:
    """Cut off in the midst, who is neither answered nor gone still waits."""
    centre = Centre.default()
    events = [event for _, _, _, event in simulate(centre, START_MS, 60 * MIN_MS, demo_scenario(START_MS), drain=False)]
    for queue in centre.queues:
        mine = [event for event in events if event.get("queue") == queue.name]
        entered = Counter(event["session_id"] for event in mine if event["type"] == "queue.entered")
        left = Counter(event["session_id"] for event in mine if event["type"] == "queue.left")
        assert not left - entered
        assert sum(entered.values()) == sum(left.values()) + sum((entered - left).values())
        assert sum((entered - left).values()) < 60


def test_littles_law(records: list[Record]) -> None:
    """The waits add up to the time-integral of the number waiting."""
    total = waiting = 0
    since = START_MS
    for at, _, _, event in records:
        total += waiting * (at - since)
        since = at
        waiting += {"queue.entered": 1, "queue.left": -1}.get(event["type"], 0)
    queues = [queue.name for queue in Centre.default().queues]
    assert total == sum(wait for queue in queues for _, wait, _ in waits(records, queue))


def test_queue_is_first_in_first_out() -> None:
    """Without missed offers the answered are answered in the order in which they came."""
    centre = small(habits=Habits(missed=0.0, ring_s=(1.0, 1.0)))
    answered = [at for at, _, outcome in waits(simulate(centre, START_MS, 3 * HOUR_MS), "A") if outcome == "answered"]
    assert answered == sorted(answered)


def test_patience_has_the_banks_hazard() -> None:
    """As many are still there after 5, 20, 60, 120 and 240 s as the hazard says."""
    people = People(Habits(), "patience")
    drawn = [people.patience(Queue(name="Q")) / 1000 for _ in range(20_000)]
    log_survival = 0.0
    for (start, hazard), (end, _) in pairwise(BANK_HAZARD[:-1]):
        log_survival -= hazard * (end - start) / 1000
        assert fmean(value > end for value in drawn) == pytest.approx(exp(log_survival), abs=0.015)


@pytest.mark.parametrize(("rate", "seconds"), [(20.0, 1200), (300.0, 200)])
def test_rate_is_met(rate: float, seconds: int) -> None:
    """Within 2 % over the whole time, start included."""
    count = sum(1 for _ in simulate(Centre.default(rate=rate), START_MS, seconds * 1000))
    assert count / seconds == pytest.approx(rate, rel=0.02)


# ---- layouts and scenarios ----


@pytest.mark.parametrize(("queues", "agents"), [(1, 1), (2, 1), (3, 5), (6, 64), (30, 300), (300, 20)])
def test_any_size_of_centre_works(queues: int, agents: int) -> None:
    """Names differ, every queue has somebody, as many are on duty as asked for."""
    centre = Centre.default(queues=queues, agents=agents)
    names = {queue.name for queue in centre.queues}
    assert len(names) == queues
    assert {name for agent in centre.agents for name in agent.queues} == names
    assert centre.on_duty == agents
    assert len({agent.id for agent in centre.agents}) == len(centre.agents)
    assert any(event["type"] == "session.started" for _, _, _, event in simulate(centre, START_MS, 10 * MIN_MS))


def test_default_centre_serves_orders_as_designed() -> None:
    """6 calls a minute, about 90 % within 20 s and 2 % lost, over a day of shifts and breaks."""
    centre = Centre.default()
    assert centre.queues[0].per_minute == pytest.approx(6.0, abs=0.1)
    orders = Centre(queues=centre.queues[:1], agents=tuple(a for a in centre.agents if a.queues == ("Orders",)))
    outcomes = waits(simulate(orders, START_MS, 24 * HOUR_MS), "Orders")
    assert len(outcomes) / 1440 == pytest.approx(6.0, rel=0.05)
    within = fmean(outcome == "answered" and wait <= 20_000 for _, wait, outcome in outcomes)
    assert within == pytest.approx(0.90, abs=0.05)
    assert fmean(outcome == "abandoned" for _, _, outcome in outcomes) == pytest.approx(0.02, abs=0.012)


@pytest.mark.parametrize("hours", [0, 5, 9.6, 13.3, 17.9, 22.2])
def test_demo_shows_warning_breach_and_recovery_in_two_minutes(hours: float) -> None:
    """With the default seed at any time of the day: oldest wait past 60 s at 20 s, past 90 s at 50 s, and good again by 90 s."""
    centre = Centre.default()
    start = START_MS + round(hours * HOUR_MS)
    live = start + 90 * MIN_MS
    entered: dict[str, int] = {}
    oldest: dict[int, int] = {}
    clock = live - MIN_MS
    for at, _, key, event in simulate(centre, start, 94 * MIN_MS, demo_scenario(live, centre), drain=False):
        while clock < at:
            oldest[(clock - live) // 1000] = clock - min(entered.values(), default=clock)
            clock += 1000
        if event["type"] == "queue.entered" and event["queue"] == "Orders":
            entered[key] = at
        elif event["type"] == "queue.left" and event["queue"] == "Orders":
            del entered[key]
    warn = next(second for second, wait in oldest.items() if second >= 0 and wait > 60_000)
    breach = next(second for second, wait in oldest.items() if wait > 90_000)
    assert 12 <= warn <= 26
    assert 42 <= breach <= 56
    assert max(wait for second, wait in oldest.items() if 90 <= second < 120) < 60_000


def test_outage_makes_agents_busy_and_stops_offers() -> None:
    """In an outage nobody of the queue is available and nothing rings; then work goes on."""
    start, end = START_MS + 10 * MIN_MS, START_MS + 15 * MIN_MS
    records = list(simulate(small(), START_MS, 30 * MIN_MS, Scenario().outage("A", start, end)))
    offers = [at for at, _, _, event in records if event["type"] == "queue.offered" and event["queue"] == "A"]
    assert not [at for at in offers if start <= at < end]
    assert [at for at in offers if at >= end]
    assert {event["status"] for at, _, key, event in records if at == start and key in ("A0", "A1")} == {"busy"}


def test_surge_multiplies_arrivals() -> None:
    """Three times as many in it, as usual beside it."""
    story = Scenario().surge("A", 3.0, START_MS + HOUR_MS, START_MS + 6 * HOUR_MS)
    starts = [
        at
        for at, _, _, event in simulate(small(habits=Habits.plain()), START_MS, 11 * HOUR_MS, story)
        if event["type"] == "session.started" and event["queue"] == "A"
    ]
    within = sum(START_MS + HOUR_MS <= at < START_MS + 6 * HOUR_MS for at in starts)
    after = sum(at >= START_MS + 6 * HOUR_MS for at in starts)
    assert within / after == pytest.approx(3.0, rel=0.2)


def test_scenario_repeats() -> None:
    """The demo's steps come every 8 min, in words that can be shown."""
    steps = list(islice(demo_scenario(START_MS).steps(START_MS - MIN_MS), 8))
    assert [(step.at_ms - START_MS) // 1000 for step in steps] == [-45, 75, 90, 150, 435, 555, 570, 630]
    assert steps[0].text == "simulated outage: Orders agents cannot take calls"


def test_unknown_queue_in_a_scenario_is_refused_at_once() -> None:
    """A typing error must not look like a scenario without effect."""
    with pytest.raises(ValueError, match="unknown queue 'Order'"):
        simulate(small(), START_MS, MIN_MS, Scenario().outage("Order", 0, 1))


def test_bank_day_is_closed_at_night() -> None:
    """Local time decides: no new session before seven, the most around noon."""
    centre = Centre.default(queues=2, agents=20).bank_day(utc_offset_min=120)
    midnight = START_MS // (24 * HOUR_MS) * 24 * HOUR_MS - 2 * HOUR_MS
    hours: Counter[int] = Counter()
    for at, _, _, event in simulate(centre, midnight, 24 * HOUR_MS):
        hours[(at - midnight) // HOUR_MS] += event["type"] == "session.started" and event["direction"] == "inbound"
    assert sum(hours[hour] for hour in range(2, 7)) == 0
    assert hours[13] > hours[7] > 0


# ---- mess ----


def test_mess_adds_duplicates_and_invalid_events_but_keeps_the_truth() -> None:
    """What is valid is, each once, the clean stream without the lost leavings."""
    clean = {event["id"]: event for _, _, _, event in simulate(small(), START_MS, HOUR_MS)}
    mess = Mess(duplicate=0.05, invalid=0.05, lost_left=0.2, clock_share=0.0)
    valid, invalid, copies = {}, 0, 0
    for _, _, _, event in simulate(small(mess=mess), START_MS, HOUR_MS):
        try:
            parse_event(encode(event))
        except InvalidEvent:
            invalid += 1
            continue
        copies += event["id"] in valid
        valid[event["id"]] = event
    lost = [event["type"] for name, event in clean.items() if name not in valid]
    assert set(lost) == {"queue.left"}
    assert valid == {name: event for name, event in clean.items() if name in valid}
    assert min(invalid, copies) > 0.03 * len(clean)


def test_mess_sends_late_events_in_order_of_sending() -> None:
    """The first field is when an event is sent; a late one has an older time of its own."""
    mess = Mess(late=0.05)
    records = list(simulate(small(mess=mess, times="ms"), START_MS, HOUR_MS))
    delays = [at - event["at"] for at, _, _, event in records if isinstance(event.get("at"), int)]
    assert all(before[0] <= after[0] for before, after in pairwise(records))
    assert 0.03 < fmean(delay > 1_000 for delay in delays) < 0.15


def test_mess_shifts_the_clocks_of_some_agents() -> None:
    """With a share of 1 every event of an agent is 3 s ahead, in either form of time."""
    mess = Mess(duplicate=0, late=0, invalid=0, lost_left=0, clock_share=1.0)
    for _, _, _, event in simulate(small(mess=mess), START_MS, 10 * MIN_MS):
        parse_event(encode(event))
    ahead = {
        event["at"] - at
        for at, _, _, event in simulate(small(mess=mess, times="ms"), START_MS, 10 * MIN_MS)
        if "agent_id" in event
    }
    assert ahead == {3_000}
