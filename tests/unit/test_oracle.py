"""The oracle against examples worked out by hand, and against the real calls of the bank."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.centres import centre, interleaved, shuffled, with_duplicates
from tests.oracle import (
    QUEUE_COLUMNS,
    QueueSettings,
    Settings,
    by_group,
    by_queue,
    clean,
    newest,
    now_gauges,
    parse_at,
    percentile,
    percentile_inputs,
    ratios,
    today,
    window,
)
from tests.oracle.zones import interval_bounds, local_midnight

Event = dict[str, Any]
DAY = 1_772_409_600_000  # 2026-03-02T00:00:00Z
QUARTER = 900_000
HOUR = 3_600_000
NUMBERS = count()


def ev(type_: str, at_s: float, **fields: Any) -> Event:
    """Build an event at so many seconds into the day; of session `s` unless it says otherwise."""
    if type_.split(".")[0] in ("session", "queue"):
        fields = {"session_id": "s", **fields}
    return {"id": f"e{next(NUMBERS):06}", "type": type_, "at": DAY + round(at_s * 1000), **fields}


def started(at_s: float, **fields: Any) -> Event:
    """Build a start, in a chat unless it says otherwise."""
    return ev("session.started", at_s, **{"channel": "chat", **fields})


def connected(at_s: float, agent: str = "ann", **fields: Any) -> Event:
    """Build a connect."""
    return ev("session.connected", at_s, agent_id=agent, **fields)


def ended(at_s: float, **fields: Any) -> Event:
    """Build an end."""
    return ev("session.ended", at_s, ended_by="customer", **fields)


def wrapped(at_s: float, agent: str = "ann") -> Event:
    """Build a wrap-up."""
    return ev("session.wrapped_up", at_s, agent_id=agent)


def says(at_s: float, sender: str, **fields: Any) -> Event:
    """Build a message."""
    return ev("session.message", at_s, sender=sender, **fields)


def status(at_s: float, name: str, agent: str = "ann", **fields: Any) -> Event:
    """Build an agent's status."""
    return ev("agent.status", at_s, agent_id=agent, status=name, **fields)


def stay(at_s: float, wait_s: float, outcome: str, queue: str = "q", **fields: Any) -> list[Event]:
    """Build an entry and its leaving."""
    return [
        ev("queue.entered", at_s, queue=queue, **fields),
        ev("queue.left", at_s + wait_s, queue=queue, outcome=outcome, **fields),
    ]


def stays_of(n: int, wait_s: float, outcome: str) -> Iterator[Event]:
    """Build the waits of n sessions."""
    for _ in range(n):
        yield from stay(0, wait_s, outcome, session_id=f"s{next(NUMBERS)}")


def columns(events: list[Event], queue: str = "q", settings: Settings | None = None) -> Counter[str]:
    """Return the non-zero columns of a queue over all time."""
    total: Counter[str] = Counter()
    for (name, _, _), row in by_queue(clean(events), settings or Settings(), QUARTER, None, False).items():
        if name == queue:
            total.update({column: value for column, value in row.items() if value})
    return total


def floor(events: list[Event], group: str = "all", settings: Settings | None = None, now_s: float = 0) -> Counter[str]:
    """Return the non-zero columns of a group over all time, in seconds; now is the newest event unless given."""
    now = DAY + round(now_s * 1000) if now_s else newest(events)
    total: Counter[str] = Counter()
    for (name, _), row in by_group(clean(events), settings or Settings(), QUARTER, None, now).items():
        if name == group:
            total.update({column: value for column, value in row.items() if value})
    return Counter({name: value // 1000 if name.endswith("_ms") else value for name, value in total.items()})


GOLDEN = {
    "sl_all_within": 0.830189,
    "sl_answered": 0.860000,
    "sl_offered": 0.811321,
    "sl_late_abandons": 0.826923,
    "sl_short_credit": 0.820755,
    "sl_no_short": 0.819048,
}


@pytest.mark.parametrize(("formula", "level"), GOLDEN.items())
def test_golden_service_level(formula: str, level: float) -> None:
    """1000 answered, 860 within T; 60 abandoned, 20 within T, of them 10 short."""
    events = [*stays_of(860, 20, "answered"), *stays_of(140, 20.001, "answered")]
    events += [*stays_of(10, 4.999, "abandoned"), *stays_of(10, 5, "abandoned"), *stays_of(40, 21, "abandoned")]
    value = ratios.service_level(columns(events), formula)
    assert value is not None
    assert round(value, 6) == level


def test_service_level_counts_those_still_waiting_past_t() -> None:
    """Rule 14: the waiting past T now enlarge the denominator."""
    events = [*stay(0, 5, "answered"), ev("queue.entered", 10, queue="q", session_id="w")]
    now = now_gauges(clean(events), Settings(), DAY + 30_001)
    late = now.queues["q", "unassigned"].waiting_past_threshold
    assert ratios.service_level(columns(events), waiting_late=late) == 0.5
    assert now_gauges(clean(events), Settings(), DAY + 30_000).queues["q", "unassigned"].waiting_past_threshold == 0


def test_ratio_of_nothing_is_absent() -> None:
    """0/0 is neither 0 nor 1."""
    assert ratios.service_level(dict.fromkeys(QUEUE_COLUMNS, 0)) is None


def test_times_are_cut_to_milliseconds() -> None:
    """Rule 47: decimals are cut, small letters and a space are accepted."""
    assert parse_at("2026-03-02T02:00:00.0019999+02:00") == DAY + 1
    assert parse_at("2026-03-02t00:00:01z") == parse_at("2026-03-02 00:00:01.0Z") == DAY + 1000


def test_null_in_an_optional_field_is_absent() -> None:
    """Rule 47: a null channel of an entry leaves it to the start."""
    events = [started(0), ev("queue.entered", 1, queue="q", channel=None)]
    assert ("q", "chat", DAY) in by_queue(clean(events), Settings(), QUARTER, None, True)


def test_repetition_is_recognised_within_the_horizon() -> None:
    """Rule 4: by topic, key and id, up to the horizon inclusive; the one read first stands."""
    first = {**ev("queue.entered", 0, queue="q"), "id": "x"}
    other_queue = {**first, "queue": "r", "at": DAY + HOUR}
    beyond = {**first, "at": DAY + HOUR + 1}
    other_key = {**first, "session_id": "t"}
    other_topic = {**started(0), "id": "x"}
    assert [e["at"] - DAY for e in clean([first, other_queue])] == [0]
    assert len(clean([first, beyond, other_key, other_topic])) == 4
    assert clean([other_queue, first])[0]["queue"] == "r"


def test_only_applied_events_claim_an_id() -> None:
    """Rule 4: a third copy is compared with the first, not with the dropped second."""
    copies = [{**ev("queue.entered", at_s, queue="q"), "id": "x"} for at_s in (0, 3000, 6000)]
    assert [e["at"] - DAY for e in clean(copies)] == [0, 6_000_000]


def test_fact_belongs_to_the_latest_entry() -> None:
    """Rules 2 and 10: an entry at the same ms precedes, except a transfer."""
    events = [started(0, queue="z"), ev("queue.entered", 5, queue="q"), ev("queue.entered", 9, queue="r")]
    events += [says(9, "customer"), ev("session.transferred", 9, from_agent="ann")]
    assert columns(events, "r")["messages_customer"] == 1
    assert columns(events, "q")["transferred"] == columns(events, "q")["transferred_blind"] == 1
    assert columns(events, "z") == {"started": 1}


def test_fact_without_preceding_entry_falls_back() -> None:
    """Rule 10: start's queue, first entry, first connect that names one, `unassigned`."""
    message = says(1, "customer")
    entry = ev("queue.entered", 5, queue="q", channel="email")
    named = [connected(6), connected(7, "bob", queue="c")]
    assert columns([started(0, queue="z"), message, entry, *named], "z")["messages_customer"] == 1
    table = by_queue(clean([started(0), message, entry, *named]), Settings(), QUARTER, None, True)
    assert table["q", "email", DAY]["messages_customer"] == 1
    assert columns([started(0), message, *named], "c")["messages_customer"] == 1
    assert by_queue(clean([message]), Settings(), QUARTER, None, True).keys() == {("unassigned", "unassigned", DAY)}


def test_kth_entry_pairs_with_kth_leaving() -> None:
    """Rule 11: per queue; a leaving without an entry counts nothing."""
    events = [*stay(0, 30, "overflowed"), *stay(10, 25, "answered"), *stay(5, 1, "abandoned", "r")]
    events.append(ev("queue.left", 50, queue="q", outcome="closed"))
    row = columns(events)
    assert (row["offered"], row["left"], row["closed"], row["queue_time_ms"]) == (2, 2, 0, 55_000)
    assert (row["answered"], row["answered_within"], row["wait_answered_ms"]) == (1, 0, 25_000)


def test_leaving_is_booked_when_it_happens() -> None:
    """Rule 12: offered in the entry's quarter-hour, the rest in the leaving's; negative waits are 0."""
    table = by_queue(clean(stay(899, 2, "abandoned")), Settings(), QUARTER, None, False)
    assert table["q", None, DAY]["left"] == 0
    assert table["q", None, DAY]["offered"] == table["q", None, DAY + QUARTER]["abandoned"] == 1
    assert columns(stay(10, -3, "answered"))["wait_answered_ms"] == 0


def test_outcomes_and_limits() -> None:
    """Rules 1 and 12: eight outcomes; late is strictly longer than the limit."""
    names = ["answered", "abandoned", "overflowed", "timed_out", "callback", "voicemail", "closed"]
    events = [e for name in [*names, "transferred"] for e in stay(0, 60, name, session_id=name)]
    row = columns([*events, *stay(0, 60.001, "closed", session_id="late")])
    assert [row[name] for name in [*names, "left_transferred", "left", "left_late"]] == [1] * 6 + [2, 1, 9, 1]
    assert ratios.placement(row) == 1 / 9


def test_short_abandonments_can_be_left_out() -> None:
    """Rule 13: out of numerator and denominator."""
    row = columns([*stays_of(6, 1, "answered"), *stays_of(2, 1, "abandoned"), *stays_of(2, 9, "abandoned")])
    assert ratios.abandonment(row) == 0.4
    assert ratios.abandonment(row, short_in_abandonment=False) == 0.25


def test_connect_rate_moves_to_a_later_connect() -> None:
    """Rule 15: an ended session counts as unconnected until a connect is known, even one after the end."""
    events = [started(0, direction="outbound", queue="q"), ended(5)]
    assert ratios.connect_rate(columns(events)) == ratios.connect_rate(columns(events), "outbound") == 0
    row = columns([*events, connected(8)])
    assert (row["connected"], row["connected_outbound"], row["unconnected"], row["handled"]) == (1, 1, 0, 1)
    assert row["session_ms"] == row["talk_ms"] == 0


def test_ring_time_runs_from_the_latest_offer() -> None:
    """Rule 16: offers to that agent after the previous connect; in the queue of the offer."""
    offers = [(1, "ann"), (4, "ann"), (5, "bob"), (20, "ann")]
    events = [ev("queue.offered", at_s, queue="q", agent_id=agent) for at_s, agent in offers]
    events += [ev("queue.missed", 3, queue="q", agent_id="ann"), ev("queue.entered", 6, queue="r")]
    events += [connected(7), connected(9, "bob"), connected(21)]
    row = columns(events)
    assert (row["ring_time_n"], row["ring_time_ms"]) == (2, 3_000 + 1_000)
    assert ratios.missed_offers(row) == 0.25


def test_waiting_ends_with_leaving_end_or_connect() -> None:
    """Rules 11 and 18: the stay's own entry, strictly longer than the limit is late."""
    entries = [ev("queue.entered", 10, queue="q", session_id=sid) for sid in "abcd"]
    gone = [ev("queue.left", 11, queue="q", outcome="closed", session_id="a"), ended(12, session_id="b")]
    gone += [connected(10, session_id="c"), connected(9.999, session_id="d")]
    now = now_gauges(clean([*entries, *gone]), Settings(), DAY + 70_000).queues["q", "unassigned"]
    assert (now.waiting, now.oldest_entered_at, now.waiting_late, now.active_sessions) == (1, DAY + 10_000, 0, 2)
    assert now_gauges(clean(entries), Settings(), DAY + 70_001).queues["q", "unassigned"].waiting_late == 4


def test_first_response_and_reply() -> None:
    """Rules 19 and 20: a greeting is a reply but no response; automatic ones are neither."""
    talk = [says(3, "agent", automatic=True), says(4, "agent"), says(6, "customer"), says(7, "bot"), says(9, "agent")]
    row = columns([started(0, queue="q"), connected(2), *talk])
    assert (row["first_response_n"], row["first_response_ms"], row["first_reply_ms"]) == (1, 3_000, 4_000)
    assert columns([started(0, queue="q"), says(1, "customer"), says(9, "agent")])["first_response_n"] == 0
    late = columns([started(0, queue="q"), says(1, "customer"), connected(8), says(28.001, "agent")])
    assert (late["first_response_ms"], late["first_response_within"]) == (20_001, 0)


def test_turn_runs_from_the_first_unanswered_message() -> None:
    """Rule 21: from the connect at the earliest; unanswered ones do not count; target by channel."""
    talk = [says(1, "customer"), says(8, "agent"), says(9, "agent"), says(10, "customer"), says(12, "customer")]
    events = [started(0, queue="q"), connected(5), *talk, says(40, "agent"), says(50, "customer")]
    row = columns(events)
    assert (row["response_time_n"], row["response_time_ms"], row["response_time_within"]) == (2, 33_000, 1)
    slow = Settings(queues={"q": QueueSettings(channel_response_target_ms={"chat": 30_000})})
    assert columns(events, settings=slow)["response_time_within"] == 2


def test_session_times_are_booked_at_the_end() -> None:
    """Rules 22 and 24: session = talk + hold; wrap-ups of all agents; all in the end's queue."""
    events = [started(0), *stay(1, 4, "answered"), connected(5), ev("session.held", 10, agent_id="ann")]
    events += [ev("session.resumed", 16, agent_id="ann"), ev("session.transferred", 20, from_agent="ann")]
    events += [wrapped(23), *stay(20, 5, "answered", "r"), connected(25, "bob"), ended(45), wrapped(52, "bob")]
    row = columns(events, "r")
    assert [row[f"{name}_ms"] for name in ("session", "hold", "talk", "wrap_up")] == [40_000, 6_000, 34_000, 10_000]
    assert ratios.handle_time(row) == 50
    assert columns(events)["handled"] == 0


def test_hold_lies_within_the_session() -> None:
    """Rule 23: ended by resume, transfer, another's connect or the end; clipped to connected..ended."""
    held = [ev("session.held", at_s, agent_id="ann") for at_s in (1, 11, 21, 31)]
    enders = [connected(5), ev("session.transferred", 13, from_agent="x"), connected(25, "bob"), ended(40)]
    assert columns([started(0, queue="q"), *held, *enders])["hold_ms"] == 2_000 + 4_000 + 9_000


def test_wrap_up_without_holding_is_ignored() -> None:
    """Rule 24: the first after the end of his own holding, before he holds it again."""
    events = [started(0, queue="q"), connected(0), connected(10, "bob"), connected(20), wrapped(25), ended(30)]
    assert (
        columns([*events, wrapped(31, "eve"), wrapped(29, "bob"), wrapped(33), wrapped(34)])["wrap_up_ms"]
        == 9_000 + 3_000
    )


def test_connect_after_the_end_holds_nothing() -> None:
    """Rules 22 and 31: handled, 0 s, no time in hand, but taken."""
    events = [started(0, queue="q"), ended(5), connected(8), wrapped(20)]
    assert columns(events)["wrap_up_ms"] == 0
    assert floor(events) == {"taken": 1}


def test_earliest_milestone_counts() -> None:
    """Rule 3: later starts, connects and ends change nothing."""
    events = [started(0, queue="q"), started(1, queue="z", direction="outbound"), connected(2), connected(4)]
    row = columns([*events, ended(10, resolved=True), ended(12)])
    assert (row["started"], row["connected"], row["ended"], row["ended_inbound"], row["resolved"]) == (1, 1, 1, 1, 1)
    assert row["session_ms"] == 8_000
    assert columns(events, "z") == {}


def test_invalid_by_channel_and_direction() -> None:
    """Rule 26: speech needs a connect, text a manual message of each side; callbacks in the total only."""
    assert columns([started(0, queue="q", channel="voice"), ended(1)])["invalid_inbound"] == 1
    assert columns([started(0, queue="q", channel="voice"), connected(1), ended(1)])["invalid"] == 0
    row = columns([started(0, queue="q", direction="callback"), says(1, "agent"), says(2, "bot"), ended(3)])
    assert (row["invalid"], row["invalid_inbound"], row["invalid_outbound"], row["ended"]) == (1, 0, 0, 1)
    assert columns([started(0, queue="q"), says(1, "agent"), says(2, "customer"), ended(3)])["invalid"] == 0


def test_messages_are_three_counts() -> None:
    """Rule 27: system, bot and automatic are one."""
    talk = [says(1, "customer"), says(2, "agent"), says(3, "agent", automatic=True), says(4, "bot"), says(5, "system")]
    row = columns([started(0, queue="q"), *talk])
    assert [row[f"messages_{side}"] for side in ("customer", "agent", "system")] == [1, 1, 3]


def test_last_rating_counts() -> None:
    """Rules 3, 7 and 30: in its own slice; good from 0.8, bad to 0.4; millionths half to even."""
    ratings = [ev("session.rated", at_s, score=score, scale=5) for at_s, score in ((1, 5), (3, 2))]
    row = columns([started(0, queue="q"), ev("session.survey_sent", 0), *ratings])
    assert (row["rated"], row["rated_bad"], row["score_micro"], row["surveys_sent"]) == (1, 1, 400_000, 1)
    assert columns([started(0, queue="q"), ev("session.rated", 1, score=0.8, scale=1)])["rated_good"] == 1
    row = columns([started(0, queue="q"), ev("session.rated", 1, score=0.5, scale=1_000_000)])
    assert (row["rated_bad"], row["score_micro"]) == (1, 0)


def test_each_review_counts() -> None:
    """Reviews pass from 97 on."""
    scores = ((97, True), (96.5, False))
    extra = {"agent_id": "ann", "reviewer_id": "r"}
    events = [ev("session.reviewed", 1, score=score, live=live, **extra) for score, live in scores]
    row = columns([started(0, queue="q"), *events])
    assert (row["reviews"], row["reviews_live"], ratios.review_pass_rate(row)) == (2, 1, 0.5)


def test_time_in_hand_is_a_union_and_a_sum() -> None:
    """Occupancy, concurrency, slot use: two sessions of one agent overlap by 10 s of 30 s in hand, 20 s idle."""
    events = [status(0, "available", capacity=4), connected(10), ended(30)]
    events += [connected(20, session_id="t"), ended(40, session_id="t"), status(50, "offline")]
    row = floor(events)
    assert (row["in_hand_ms"], row["sessions_in_hand_ms"], row["available_idle_ms"]) == (30, 40, 20)
    assert (row["slots_ms"], row["taken"]) == (200, 2)
    assert (ratios.occupancy(row), ratios.concurrency(row), ratios.slot_use(row)) == (0.6, 40 / 30, 0.2)
    assert (ratios.work_rate(row), ratios.status_share(row, "available")) == (1, 1)


def test_holding_ends_with_own_transfer_or_anothers_connect() -> None:
    """Rules 31 and 37: a repeated connect changes nothing, a transfer by a stranger neither."""
    events = [connected(0), connected(5), ev("session.transferred", 7, from_agent="bob")]
    events += [connected(10, "bob"), ev("session.transferred", 16, from_agent="bob"), ended(30)]
    row = floor(events)
    assert (row["sessions_in_hand_ms"], row["taken"]) == (16, 2)


def test_wrap_up_is_in_hand_once_known() -> None:
    """Rules 24 and 32: uncut by default, cut at the limit (and at once) where the channel expects one."""
    events = [started(0), connected(0), ended(10), status(200, "offline", "bob")]
    assert floor(events)["in_hand_ms"] == 10
    assert floor([*events, wrapped(190)])["in_hand_ms"] == 190
    expects = Settings(wrap_up_limits={"chat": 120_000})
    assert floor(events, settings=expects)["in_hand_ms"] == 130
    assert floor(events[:3], settings=expects, now_s=50)["in_hand_ms"] == 50
    assert floor([*events, wrapped(190)], settings=expects)["in_hand_ms"] == 130
    assert floor([*events, wrapped(40)], settings=expects)["in_hand_ms"] == 40
    assert columns([*events, wrapped(190)], "unassigned", expects)["wrap_up_ms"] == 180_000


def test_only_the_last_holder_wraps_up_in_hand() -> None:
    """Rule 32: after a transfer the former holder's wrap-up is wrap-up time, not time in hand."""
    events = [connected(0), ev("session.transferred", 10, from_agent="ann"), connected(10, "bob"), ended(30)]
    assert floor([*events, wrapped(25), status(60, "offline", "eve")])["sessions_in_hand_ms"] == 30


def test_open_intervals_run_to_now() -> None:
    """Rule 6: status and holding grow to now and no further."""
    events = [status(0, "available"), connected(10)]
    row = floor(events, now_s=100)
    assert (row["online_ms"], row["in_hand_ms"], row["available_idle_ms"]) == (100, 90, 10)


def test_before_the_first_status_and_after_leaving() -> None:
    """Rule 33: not online, but in hand, in `unassigned`, with capacity 1; leaving is like offline."""
    events = [connected(0), status(10, "away", groups=["g"], capacity=3), ev("agent.left", 15, agent_id="ann")]
    events += [ended(20)]
    row = floor(events, "unassigned")
    assert (row["in_hand_ms"], row["slots_ms"], row["online_ms"], row["taken"]) == (10, 10, 0, 1)
    row = floor(events, "g")
    assert (row["in_hand_ms"], row["slots_ms"], row["online_ms"], row["status_away_ms"]) == (10, 30, 5, 5)
    assert now_gauges(clean(events), Settings(), DAY + 20_000).groups == {}


def test_groups_are_those_of_the_moment() -> None:
    """Rule 34: both groups and once in `all`; an omitted list stays, an empty one is `unassigned`."""
    events = [status(0, "available", groups=["g", "h"]), status(10, "busy"), status(30, "busy", groups=[])]
    events += [status(60, "offline")]
    assert floor(events, "g") == floor(events, "h")
    assert floor(events, "g")["online_ms"] == floor(events, "unassigned")["online_ms"] == 30
    assert floor(events)["online_ms"] == 60


def test_agent_time_is_split_over_intervals() -> None:
    """Catalogue 2: exactly at the quarter-hour."""
    events = [status(890, "available"), status(920, "offline")]
    table = by_group(clean(events), Settings(), QUARTER, None, newest(events))
    assert {start - DAY: row["online_ms"] for (group, start), row in table.items() if group == "all"} == {
        0: 10_000,
        QUARTER: 20_000,
    }


def test_slots_are_those_of_the_available() -> None:
    """Rule 35: free slots are never negative; by queue an agent counts in each of its queues."""
    events = [status(0, "available", capacity=1, queues=["q", "r"], groups=["g"]), connected(1)]
    events += [connected(1, session_id="t"), status(0, "available", "bob", capacity=3, queues=["q"])]
    events += [status(0, "busy", "eve", capacity=9, queues=["q"]), connected(1, "eve", session_id="u")]
    now = now_gauges(clean(events), Settings(), DAY + 5_000)
    slots = now.groups["all"].slots
    assert (slots.capacity, slots.slots_used, slots.slots_free) == (4, 2, 3)
    assert now.groups["all"].agents == {"available": 2, "busy": 1}
    assert (now.queue_slots["q"], now.queue_slots["r"].slots_free) == (slots, 0)


def test_window_ends_with_the_open_slice() -> None:
    """Rule 42: 5 min at 00:10:05 begin at 00:05:10."""
    events = [*stays_of(1, 309.999, "answered"), *stays_of(1, 310, "answered"), *stays_of(1, 605, "answered")]
    events += [status(0, "available")]
    sums = window(clean(events), Settings(), DAY + 605_000, 300_000)
    assert sums.queues["q", None]["answered"] == sums.queues["q", "unassigned"]["answered"] == 2
    assert sums.groups["all"]["online_ms"] == 295_000


def test_today_begins_at_local_midnight() -> None:
    """Rules 42 and 44: the queue's zone for the queue, the top-level zone for the groups."""
    settings = Settings(queues={"q": QueueSettings(zone="Asia/Jerusalem")}, zone="Europe/Berlin")
    events = [*stays_of(1, -7200.001, "answered"), *stays_of(1, -7200, "answered"), status(-9000, "available")]
    sums = today(clean(events), settings, DAY + 1_000)
    assert sums.queues["q", None]["answered"] == 1
    assert sums.groups["all"]["online_ms"] == HOUR + 1_000


def test_intervals_follow_the_local_clock() -> None:
    """Rule 43: quarter-hour offsets, the long day's two 01:00, a shift of 30 min cuts hours."""
    assert interval_bounds(DAY, HOUR, "Asia/Kathmandu")[0] == DAY - 2_700_000
    back = parse_at("2026-10-25T01:00:00Z")  # Berlin 03:00 becomes 02:00
    assert [interval_bounds(back + d, HOUR, "Europe/Berlin")[0] - back for d in (-1, 0)] == [-HOUR, 0]
    assert (local_midnight(back + 40_000_000, "Europe/Berlin") - back) == -3 * HOUR
    shift = parse_at("2026-04-04T15:00:00Z")  # Lord Howe 02:00 +11:00 becomes 01:30 +10:30
    lord_howe = "Australia/Lord_Howe"
    assert [b - shift for b in interval_bounds(shift - 1, HOUR, lord_howe)] == [-HOUR, 0]
    assert [b - shift for b in interval_bounds(shift, HOUR, lord_howe)] == [0, HOUR // 2]


def test_percentile_is_the_rank_from_above() -> None:
    """Rule 45: the ⌈q·n⌉-th smallest of the raw values."""
    events = [e for n in range(1, 21) for e in stay(0, n, "answered", session_id=f"p{n}")]
    values = percentile_inputs(clean(events), Settings(), QUARTER, None, False)["q", None, DAY]["queue_time"]
    assert [percentile(values, q) for q in (0.5, 0.9, 0.95, 1)] == [10_000, 18_000, 19_000, 20_000]
    assert percentile([7], 0.5) == 7
    assert percentile([], 0.5) is None


@pytest.mark.parametrize("seed", range(8))
def test_order_and_repetitions_change_nothing(seed: int) -> None:
    """Catalogue 6: on messy centres, for tables of queues and groups and the gauges."""
    events = centre(seed)

    def everything(read: list[Event]) -> list[Any]:
        """Return all tables of the events as read."""
        cleaned = clean(read)
        now = newest(cleaned)
        tables = [by_queue(cleaned, Settings(), QUARTER, None, True), now_gauges(cleaned, Settings(), now)]
        return [*tables, by_group(cleaned, Settings(), QUARTER, None, now)]

    expected = everything(events)
    assert everything(interleaved(events, seed)) == everything(shuffled(events, seed)) == expected
    assert everything(with_duplicates(events, seed, 0.2, altered=True)) == expected


@pytest.mark.parametrize("seed", range(8))
def test_balances_hold_on_messy_centres(seed: int) -> None:
    """Whatever happens: parts add up to their wholes."""
    events = clean(centre(seed))
    total: Counter[str] = Counter()
    for row in by_queue(events, Settings(), QUARTER, None, True).values():
        total.update(row)
    outcomes = "answered abandoned overflowed timed_out callback voicemail closed left_transferred"
    assert total["left"] == sum(total[name] for name in outcomes.split()) > 0
    assert total["ended"] == total["handled"] + total["unconnected"] > 0
    assert total["session_ms"] == total["talk_ms"] + total["hold_ms"] > 0
    assert total["rated"] == total["rated_good"] + total["rated_neutral"] + total["rated_bad"] > 0
    for row in by_group(events, Settings(), QUARTER, None, newest(events)).values():
        assert 0 <= row["in_hand_ms"] <= row["sessions_in_hand_ms"]
        assert row["online_ms"] == sum(value for name, value in row.items() if name.startswith("status_"))


@pytest.fixture(scope="module")
def bank_events() -> list[Event]:
    """Return the bank's calls as cleaned events."""
    place = os.environ.get("FLOORPULSE_BANK_DATA")
    if not place:
        pytest.skip("FLOORPULSE_BANK_DATA is not set: the bank's call records lie beside the project")
    converter = Path(place).parent / "tools" / "bank_to_events.py"
    records = Path(place) / "bank-calls-1999-02-first-half.tsv.gz"
    made = subprocess.run([sys.executable, str(converter), str(records)], capture_output=True, check=True)
    return clean([json.loads(line) for line in made.stdout.splitlines()])


@pytest.mark.timeout(600)
def test_bank_totals(bank_events: list[Event]) -> None:
    """The table of the data's README."""
    total: Counter[str] = Counter()
    for row in by_queue(bank_events, Settings(), HOUR, "Asia/Jerusalem", False).values():
        total.update(row)
    counts = "offered answered answered_within abandoned abandoned_within short_abandoned closed left_late"
    sums = "wait_answered_ms wait_abandoned_ms session_ms"
    assert len(bank_events) == 84_647
    assert [total[name] for name in counts.split()] == [17_456, 14_405, 9_163, 2_908, 1_674, 1_153, 143, 3_504]
    assert [total[name] for name in sums.split()] == [495_609_000, 108_111_000, 2_387_587_000]
    values = [ratios.service_level(total), ratios.abandonment(total), ratios.speed_of_answer(total)]
    assert [round(value, 6) for value in values if value is not None] == [0.567017, 0.167966, 34.405345]


def test_bank_occupancy_by_hour(bank_events: list[Event]) -> None:
    """Every agent's seconds counted one by one: the records have whole seconds."""
    ends = {e["session_id"]: e["at"] // 1000 for e in bank_events if e["type"] == "session.ended"}
    busy: dict[str, set[int]] = {}
    shifts: dict[str, list[int]] = {}
    for e in bank_events:
        if e["type"] == "session.connected":
            busy.setdefault(e["agent_id"], set()).update(range(e["at"] // 1000, ends[e["session_id"]]))
        elif e["type"] == "agent.status":
            shifts.setdefault(e["agent_id"], []).append(e["at"] // 1000)
    in_hand: Counter[int] = Counter()
    idle: Counter[int] = Counter()
    for agent, seconds in busy.items():
        in_hand.update(second // 3600 for second in seconds)
        for start, end in zip(shifts[agent][::2], shifts[agent][1::2], strict=True):
            idle.update(second // 3600 for second in range(start, end) if second not in seconds)
    table = by_group(bank_events, Settings(), HOUR, "Asia/Jerusalem", newest(bank_events))
    floor_rows = {start // HOUR: row for (group, start), row in table.items() if group == "all"}
    assert {hour: row["in_hand_ms"] // 1000 for hour, row in floor_rows.items() if row["in_hand_ms"]} == in_hand
    assert {h: row["available_idle_ms"] // 1000 for h, row in floor_rows.items() if row["available_idle_ms"]} == idle
