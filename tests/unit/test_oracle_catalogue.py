"""The oracle's customers, business, reviewers, roster, days, histories and forgotten sessions, worked out by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from tests.centres import GAPS_MS, interleaved, long_centre, shuffled, with_duplicates
from tests.oracle import (
    QueueSettings,
    Settings,
    agent_days,
    by_group,
    by_queue,
    change,
    clean,
    comparisons,
    levels_by_queue,
    levels_over,
    newest,
    now_gauges,
    parse_at,
    ratios,
    reviewer_days,
    sessions_expired,
    seven_days,
    seven_days_values,
    spans,
    today,
    today_values,
    turnover,
    window,
)
from tests.oracle.sessions import sessions_of
from tests.oracle.zones import midnight, same_time
from tests.unit.test_oracle import DAY, HOUR, QUARTER, columns, connected, ended, ev, floor, says, started, status, stay, wrapped

Event = dict[str, Any]
H = 3600  # an hour in s
D = 24 * H  # a day in s
DAY_MS = 24 * HOUR
BERLIN = Settings(zone="Europe/Berlin")


def contact(sid: str, at_s: float, end_s: float | None, customer: str = "c", queue: str = "q") -> list[Event]:
    """Build a session of a customer; None = it does not end."""
    events = [started(at_s, session_id=sid, customer_id=customer, queue=queue)]
    return [*events, *([ended(end_s, session_id=sid)] if end_s is not None else [])]


def clock(at_s: float) -> Event:
    """Build an event that only moves the newest time on."""
    return ev("site.visits", at_s, count=0, queue="clock")


def visit(at_s: float, count: int, **fields: Any) -> Event:
    """Build visits."""
    return ev("site.visits", at_s, count=count, **fields)


def cost(at_s: float, amount: float, currency: str = "EUR", **fields: Any) -> Event:
    """Build a cost."""
    return ev("cost.booked", at_s, amount=amount, currency=currency, **fields)


def complaint(what: str, at_s: float, name: str = "n1", **fields: Any) -> Event:
    """Build an opening or a closing."""
    return ev(f"complaint.{what}", at_s, complaint_id=name, **fields)


def review(at_s: float, reviewer: str, sid: str = "s") -> Event:
    """Build a review of 98."""
    return ev("session.reviewed", at_s, session_id=sid, agent_id="ann", reviewer_id=reviewer, score=98)


def roster(what: str, at_s: float, agent: str = "ann", **fields: Any) -> Event:
    """Build a hiring or a leaving."""
    return ev(f"agent.{what}", at_s, agent_id=agent, **fields)


# ---- customers


def test_a_contact_follows_up_to_a_day_after_the_end() -> None:
    """Rule 29: three of a customer; the second starts 24 h after the first one's end, the third 1 ms too late."""
    events = [*contact("a", 0, 100), *contact("b", 100 + D, 200 + D), *contact("c", 200 + 2 * D + 0.001, None)]
    row = columns([*events, clock(5 * D)])
    assert (row["known_started"], row["repeat_contacts"], row["fcr_contacts"], row["fcr_resolved"]) == (3, 1, 2, 1)
    assert (ratios.repeat_contact_rate(row), ratios.first_contact_resolution(row)) == (1 / 3, 0.5)


def test_resolution_is_booked_when_its_time_is_up() -> None:
    """Rule 29: at end + 24 h in the queue of the end; a millisecond earlier it counts in neither part."""
    events = [*contact("a", 0, 100), ev("queue.entered", 50, queue="r", session_id="a"), *contact("b", 200, None)]
    due = DAY + 100_000 + DAY_MS
    early = by_queue(clean(events), Settings(), QUARTER, None, False, due - 1)
    assert sum(row["fcr_contacts"] for row in early.values()) == 0
    settled = by_queue(clean(events), Settings(), QUARTER, None, False, due)
    assert (settled["r", None, DAY + DAY_MS]["fcr_contacts"], settled["r", None, DAY + DAY_MS]["fcr_resolved"]) == (1, 0)
    assert settled["q", None, DAY]["repeat_contacts"] == 1


def test_who_has_not_ended_is_followed() -> None:
    """Rule 29: by a start after its start, not by one at the same ms, and only by the same customer."""
    events = [*contact("a", 0, None), *contact("b", 0, None), *contact("x", 5, None, customer="d")]
    assert columns(events)["repeat_contacts"] == 0
    row = columns([*events, *contact("c", 9, None), started(9, session_id="nobody", queue="q")])
    assert (row["known_started"], row["repeat_contacts"], row["started"]) == (4, 1, 5)


def test_first_start_names_the_customer() -> None:
    """Rule 3: a later start of the same session changes nothing."""
    events = [started(0, queue="q"), started(1, queue="q", customer_id="c")]
    assert columns(events)["known_started"] == 0


def test_the_time_to_come_back_is_a_setting_with_a_history() -> None:
    """Until 01:00 one hour, then two: the end at 00:30 settles at 01:30, the start at 02:15 follows the one at 00:30."""
    settings = Settings(repeat_within_ms=HOUR, changes=((DAY + HOUR, Settings(repeat_within_ms=2 * HOUR)),))
    events = clean([*contact("a", 0, 1800), *contact("b", 2.25 * H, None)])
    table = by_queue(events, settings, QUARTER, None, False)
    resolved = {start - DAY: row["fcr_resolved"] for (_, _, start), row in table.items() if row["fcr_contacts"]}
    assert resolved == {6 * QUARTER: 1}
    assert table["q", None, DAY + 9 * QUARTER]["repeat_contacts"] == 1


# ---- business


def test_visits_and_consultation_rate() -> None:
    """Rule 40: 2 started of 40 visits; a visit counts at the queue and the channel that it names."""
    events = [started(0, queue="q"), started(0, queue="q", session_id="t"), visit(1, 30, queue="q"), visit(2, 10, queue="q")]
    assert ratios.consultation_rate(columns(events)) == 0.05
    table = by_queue(clean([visit(0, 3, channel="chat"), visit(0, 4)]), Settings(), QUARTER, None, True)
    assert {key[:2]: row["visits"] for key, row in table.items()} == {
        ("unassigned", "chat"): 3,
        ("unassigned", "unassigned"): 4,
    }


def test_costs_are_kept_by_currency() -> None:
    """Rules 7 and 40: millionths half to even per event, may be negative; 2 sessions cost 9.50."""
    events = [ended(0, session_id=sid) for sid in "ab"] + [started(0, session_id=sid, queue="q") for sid in "ab"]
    events += [cost(1, 12, queue="q"), cost(2, -2.5, queue="q"), cost(3, 0.1, "ILS", queue="q")]
    events += [cost(4, amount, "USD", queue="q") for amount in (5e-07, 1.5e-06, 2.5e-06)]
    row = columns(events)
    assert (row["cost_EUR_e6"], row["cost_ILS_e6"], row["cost_USD_e6"]) == (9_500_000, 100_000, 0 + 2 + 2)
    assert ratios.cost_per_contact(row, "EUR") == 4.75
    assert ratios.cost_per_contact(row, "CHF") == 0
    assert columns([cost(0, 7)], "unassigned") == {"cost_EUR_e6": 7_000_000}
    assert ratios.cost_per_contact(columns([cost(0, 7)], "unassigned") | {"ended": 0}, "EUR") is None


def test_first_open_and_first_close_of_a_complaint_count() -> None:
    """Rule 41: opened at 10 s, closed at 40 s, both again later; booked in the queue of the opening."""
    events = [complaint("opened", 10, queue="q"), complaint("opened", 20, queue="r")]
    events += [complaint("closed", 40, queue="r"), complaint("closed", 50)]
    row = columns(events)
    assert (row["complaints_opened"], row["complaints_closed"], row["complaint_ms"]) == (1, 1, 30_000)
    assert ratios.complaint_time(row) == 30
    assert columns(events, "r") == {}


def test_complaints_place_and_clock() -> None:
    """Rules 9 and 41: else the closing's queue; closed before opened is 0 s; a close alone is only closed."""
    row = columns([complaint("opened", 10), complaint("closed", 5, queue="q")])
    assert (row["complaint_n"], row["complaint_ms"]) == (1, 0)
    assert columns([complaint("closed", 5)], "unassigned") == {"complaints_closed": 1}


def test_open_complaints() -> None:
    """Opened less closed: of three at q one is closed; one without a queue is open too."""
    events = [complaint("opened", 0, f"n{n}", queue="q") for n in range(3)] + [complaint("opened", 0, "x")]
    events += [complaint("closed", 9, "n1"), complaint("closed", 9, "never-opened", queue="q")]
    now = now_gauges(clean(events), Settings(), DAY + 9_000)
    assert {place: row.complaints_open for place, row in now.queues.items()} == {
        ("q", "unassigned"): 2,
        ("unassigned", "unassigned"): 1,
    }


# ---- reviewers


def test_a_reviewer_counts_once_a_day() -> None:
    """Rule 39: rita on two days at q and on the second at r, rob once: 3 days at q, 1 at r, 3 on the floor."""
    events = [started(0, queue="q"), started(0, queue="r", session_id="t")]
    events += [review(10, "rita"), review(20, "rita"), review(30, "rob"), review(23 * H, "rita")]
    events += [review(23 * H, "rita", "t")]
    settings = Settings(zone="Europe/Berlin")  # 23:00Z is the next day there
    days = reviewer_days(clean(events), settings, spans.days(settings, DAY + 23 * HOUR, 7))
    assert (days["q", "chat"], days["q", None], days["r", None], days["all", None]) == (3, 3, 1, 3)
    assert ratios.reviews_per_reviewer_day(columns(events), 3) == 4 / 3
    last = reviewer_days(clean(events), settings, spans.days(settings, DAY + 23 * HOUR, 1))
    assert last == {("q", "chat"): 1, ("q", None): 1, ("r", "chat"): 1, ("r", None): 1, ("all", None): 1}


# ---- agents


def test_peak_is_the_most_that_one_agent_held() -> None:
    """Rule 36: ann holds 2 at once, bob 1; a handover at the same ms is not 2; the next quarter-hour sees only 1."""
    events = [connected(0, session_id="a"), connected(100, session_id="b"), ended(200, session_id="b")]
    events += [ended(200, session_id="a"), connected(200, session_id="c"), connected(0, "bob", session_id="d")]
    events += [ended(900, session_id="d"), ended(1000, session_id="c"), clock(2000)]
    table = by_group(clean(events), Settings(), QUARTER, None, newest(events))
    assert [table["all", DAY + k * QUARTER]["peak_concurrency"] for k in (0, 1)] == [2, 1]
    assert ratios.peak_concurrency(table["all", DAY]) == 2
    last = window(clean(events), Settings(), DAY + 700_000, 300_000).groups["all"]
    assert ratios.peak_concurrency(last) == 1
    assert ratios.peak_concurrency({"peak_concurrency": 0}) is None


def test_a_zero_length_holding_is_no_peak() -> None:
    """Rule 36: taken, but not at once with another."""
    events = [status(0, "available"), connected(5), connected(9, session_id="t"), ended(9, session_id="t"), ended(20)]
    table = by_group(clean(events), Settings(), QUARTER, None, newest(events))
    assert (table["all", DAY]["peak_concurrency"], table["all", DAY]["taken"]) == (1, 2)


def test_sessions_per_agent_hour() -> None:
    """Rule 37: 3 taken in half an hour online."""
    events = [status(0, "available"), *[connected(9, session_id=sid) for sid in "abc"], status(1800, "offline")]
    total = window(clean(events), Settings(), DAY + 1_800_000, HOUR).groups["all"]
    assert ratios.sessions_per_agent_hour(total) == 6


def test_agent_days_by_group() -> None:
    """Rule 37: ann works over midnight and changes groups on the second day, bob is away an hour, eve never online."""
    events = [status(22 * H, "available", groups=["g"]), status(25 * H, "busy", groups=["h"]), status(26 * H, "offline")]
    events += [status(22 * H, "away", "bob", groups=["g"]), status(23 * H, "offline", "bob"), status(0, "offline", "eve")]
    now = DAY + 30 * HOUR
    week, day = (spans.days(Settings(), now, count) for count in (7, 1))
    assert agent_days(clean(events), Settings(), now, week) == {"g": 3, "h": 1, "all": 3}
    assert agent_days(clean(events), Settings(), now, day) == {"g": 1, "h": 1, "all": 1}
    taken = clean([*events, *[connected(25.5 * H, session_id=sid) for sid in "abcd"]])
    assert ratios.handled_per_agent_day(today(taken, Settings(), now).groups["all"], 1) == 4


def test_turnover() -> None:
    """Rule 38: over the 10 days since the roster began two agents, one of whom leaves after five: 1 / 1.5 x 365 / 30."""
    events = [roster("joined", 0, groups=["g"]), roster("joined", 0, "bob", groups=["h"]), roster("left", 5 * D, "bob")]
    found = turnover(clean(events), Settings(), DAY + 10 * DAY_MS)
    assert found["all"] == (1, 15 * DAY_MS, 10 * DAY_MS, Fraction(2, 3) * Fraction(365, 30))
    assert found["h"] == (1, 5 * DAY_MS, 10 * DAY_MS, 2 * Fraction(365, 30))
    assert found["g"] == (0, 10 * DAY_MS, 10 * DAY_MS, Fraction(0))


def test_turnover_covers_720_hours() -> None:
    """D7: now 00:30 of day 40, so from day 10, 01:00; a leaving an hour before does not count, at that ms it does."""
    now = DAY + 40 * DAY_MS + HOUR // 2
    events = [roster("joined", 0), roster("joined", 0, "bob"), roster("left", 10 * D + H - 0.001, "bob")]
    events += [roster("joined", 0, "eve"), roster("left", 10 * D + H, "eve")]
    length = 30 * DAY_MS - HOUR // 2
    assert turnover(clean(events), Settings(), now)["all"] == (1, length, length, Fraction(365, 30))
    assert turnover(clean(events[:2]), Settings(), DAY)["all"].value is None
    assert turnover([], Settings(), DAY)["all"] == (0, 0, 0, None)


def test_stints_on_the_roster() -> None:
    """Rule 38: from joined though a status came before; gone until joined again, whatever the status; then from a status."""
    events = [status(0, "busy"), roster("joined", 10), roster("joined", 15), roster("left", 20), status(30, "busy")]
    events += [roster("left", 35), roster("joined", 40, groups=["g"])]
    found = turnover(clean(events), Settings(), DAY + 100_000)
    assert found["all"][:3] == (1, 70_000, 90_000)
    assert found["unassigned"][:2] == (1, 10_000)
    assert found["g"][:2] == (0, 60_000)
    assert turnover(clean(events[:1]), Settings(), DAY + 100_000)["all"].headcount_ms == 100_000


# ---- days and comparisons


def test_seven_days_begin_at_local_midnight() -> None:
    """Rule 42: today and six before, in the queue's zone; raw values stand beside."""
    settings = Settings(queues={"q": QueueSettings(zone="Asia/Jerusalem")}, zone="Europe/Berlin")
    now = DAY + 6 * DAY_MS  # 2026-03-08T00:00Z, 02:00 in Jerusalem
    edge = -2 * H  # six local midnights before, of 2026-03-02
    events = [*stay(edge - 0.001 - 5, 5, "answered"), *stay(edge - 7, 7, "answered", session_id="t")]
    events += [status(edge - H, "busy"), status(edge + 2 * H, "offline")]
    total = seven_days(clean(events), settings, now)
    assert (total.queues["q", None]["answered"], total.queues["q", None]["wait_answered_ms"]) == (1, 7_000)
    assert total.groups["all"]["online_ms"] == HOUR
    assert seven_days_values(clean(events), settings, now)["q", None]["queue_time"] == [7_000]
    assert today_values(clean(events), settings, now) == {}


def test_both_sides_end_at_the_last_quarter_hour() -> None:
    """D9: at 10:20 today's calls up to 10:15 stand against yesterday's and last Monday's up to 10:15."""
    events = []
    for day, calls in ((0, 4), (6, 2), (7, 3)):
        for n in range(calls):
            events += stay(day * D + 10 * H, 60 + n, "answered", session_id=f"{day}-{n}")
        events += stay(day * D + 10.25 * H, 0, "answered", session_id=f"{day}-late")
    events += [status(7 * D + 10 * H, "available")]
    now = DAY + 7 * DAY_MS + 10 * HOUR + 1_200_000
    found = {name: [side.queues.get(("q", None), {}).get("answered") for side in both] for name, both in
             comparisons(clean(events), Settings(), now).items()}  # fmt: skip
    assert found == {"yesterday": [3, 2], "week_ago": [3, 4], "before": [3 + 2 + 1, 4]}
    assert comparisons(clean(events), Settings(), now)["yesterday"][0].groups["all"]["online_ms"] == QUARTER


def test_change() -> None:
    """Rule 42: 0.8 after 0.75 is 5 points, 90 after 60 is half more; none without a base."""
    assert change(0.75, 0.5, "ratio") == change(0.75, 0.5, "number") == 0.25
    assert change(90, 60, "count") == change(90, 60, "duration") == 0.5
    assert [change(1, base, kind) for base in (None, 0) for kind in ("ratio", "count")] == [None] * 4
    assert change(None, 5, "ratio") is None


def test_the_same_time_of_another_day() -> None:
    """D9: Berlin's clock went from 02:00 to 03:00 on 29 March, and from 03:00 to 02:00 on 25 October."""

    def utc(text: str) -> int:
        return parse_at(f"2026-{text}Z")

    zone = "Europe/Berlin"
    assert same_time(utc("03-30T08:00:00"), zone, 1) == utc("03-29T08:00:00")
    assert same_time(utc("03-30T08:00:00"), zone, 2) == utc("03-28T09:00:00")
    assert same_time(utc("03-30T00:30:00"), zone, 1) == utc("03-29T01:00:00")  # 02:30 was skipped
    assert same_time(utc("10-26T01:30:00"), zone, 1) == utc("10-25T00:30:00")  # 02:30 came twice
    assert same_time(utc("10-25T01:30:00"), zone, 1) == utc("10-24T00:30:00")
    assert same_time(utc("10-25T22:00:00"), zone, 1) == utc("10-24T21:00:00")
    assert same_time(utc("10-25T22:00:00"), zone, 0) == utc("10-25T22:00:00")


# ---- settings with a history


def test_each_contribution_uses_its_own_version() -> None:
    """D10: the threshold rises from 20 s to 60 s at 01:00; the leaving's instant decides."""
    then = Settings(default=QueueSettings(threshold_ms=60_000, formula="sl_answered", short_in_abandonment=False))
    settings = Settings(changes=((DAY + HOUR, then),))
    events = [*stay(H - 30.001, 30, "answered"), *stay(H - 30, 30, "answered", session_id="t")]
    assert columns(events, settings=settings)["answered_within"] == 1
    assert (settings.at(DAY + HOUR - 1), settings.at(DAY + HOUR)) == (settings, then)


def test_formulas_have_a_history_too() -> None:
    """Of 1 answered and 2 abandoned (1 short) each: offered counts them all, then answered alone counts the answered."""
    before = QueueSettings(formula="sl_offered")
    after = QueueSettings(formula="sl_answered", short_in_abandonment=False)
    settings = Settings(default=before, changes=((DAY + HOUR, Settings(default=after)),))
    events = []
    for at_s in (0, H):
        events += stay(at_s, 10, "answered", session_id=f"{at_s}a")
        events += stay(at_s, 10, "abandoned", session_id=f"{at_s}b") + stay(at_s, 1, "abandoned", session_id=f"{at_s}c")
    found = levels_by_queue(clean(events), settings, HOUR, None, False)
    assert found["q", None, DAY] == ((1, 3), (2, 3))
    assert found["q", None, DAY + HOUR] == ((1, 1), (1, 2))
    whole = levels_over(clean(events), settings, spans.days(settings, DAY + 2 * HOUR, 1))
    assert whole["q", None] == whole["q", "unassigned"] == ((2, 4), (3, 5))


def test_agent_time_follows_the_history() -> None:
    """D10: status names by the status's instant, wrap-up limits by the end's, the default capacity by each instant."""
    after = Settings(status_map={"ready": "available"}, default_capacity=5, wrap_up_limits={"chat": 60_000})
    settings = Settings(status_map={"ready": "busy"}, default_capacity=2, changes=((DAY + 100_000, after),))
    row = floor([status(0, "ready"), status(100, "ready"), status(150, "offline")], settings=settings)
    assert (row["status_busy_ms"], row["status_available_ms"], row["slots_ms"]) == (100, 50, 250)
    row = floor([connected(90), clock(110)], settings=settings)
    assert row["slots_ms"] == 10 * 2 + 10 * 5
    events = [started(0), connected(0), ended(99), clock(300)]
    assert floor(events, settings=settings)["in_hand_ms"] == 99
    assert floor([started(0), connected(0), ended(100), clock(300)], settings=settings)["in_hand_ms"] == 160


def test_the_zone_has_a_history() -> None:
    """D10: an interval is that of the zone at the fact's instant; today is that of now."""
    settings = Settings(changes=((DAY + HOUR, Settings(zone="Asia/Kathmandu")),))
    events = clean([*stay(0, 0, "answered"), *stay(H, 0, "answered", session_id="t")])
    starts = {start - DAY for _, _, start in by_queue(events, settings, HOUR, None, False)}
    assert starts == {0, HOUR - HOUR // 4 * 3}
    assert today(events, settings, DAY + HOUR).queues["q", None]["answered"] == 2


# ---- forgotten sessions


def test_an_open_session_is_forgotten_at_its_age() -> None:
    """D2: exactly 24 h after its newest event; out of waiting and active, in hand until that event."""
    events = clean([connected(0), says(50, "customer"), ev("queue.entered", 50, queue="q", session_id="w")])
    before, at = DAY + 50_000 + DAY_MS - 1, DAY + 50_000 + DAY_MS
    now = now_gauges(events, Settings(), before)
    assert (now.queues["unassigned", "unassigned"].active_sessions, now.queues["q", "unassigned"].waiting) == (1, 1)
    assert now_gauges(events, Settings(), at).queues == {}
    assert [sessions_expired(events, Settings(), instant) for instant in (before, at)] == [0, 2]
    assert by_group(events, Settings(), 7 * DAY_MS, None, before)["all", DAY - 4 * DAY_MS]["in_hand_ms"] == 50_000 + DAY_MS - 1
    assert by_group(events, Settings(), 7 * DAY_MS, None, at)["all", DAY - 4 * DAY_MS]["in_hand_ms"] == 50_000


def test_a_forgotten_session_frees_its_slot() -> None:
    """Rule 35: what is not in hand leaves the slot free."""
    events = clean([status(0, "available"), connected(0)])
    slots = [now_gauges(events, Settings(), DAY + DAY_MS - back).groups["all"].slots for back in (1, 0)]
    assert [(row.slots_used, row.slots_free) for row in slots] == [(1, 0), (0, 1)]


def test_an_ended_session_is_not_forgotten() -> None:
    """Rule 5: its wrap-up stays as it was."""
    events = clean([connected(0), ended(10), wrapped(40)])
    assert sessions_expired(events, Settings(), DAY + 9 * DAY_MS) == 0


def test_the_age_is_set_by_channel() -> None:
    """D2: of the latest entry that names one, else the start's: an hour in voice, else two days here."""
    settings = Settings(session_age_ms=2 * DAY_MS, session_ages={"voice": HOUR})
    chat = [started(0), ev("queue.entered", 1, queue="q")]
    events = clean([*chat, ev("queue.entered", 2, queue="q", channel="voice"), ev("queue.entered", 3, queue="q")])
    assert [sessions_expired(events, settings, DAY + 3_000 + HOUR - back) for back in (1, 0)] == [0, 1]
    assert [sessions_expired(clean(chat), settings, DAY + 1_000 + 2 * DAY_MS - back) for back in (1, 0)] == [0, 1]


def test_an_event_within_the_horizon_revives() -> None:
    """D2: forgotten after an hour, but the end 23 h later belongs to it, and all of the time was in hand."""
    settings = Settings(session_ages={"chat": HOUR})
    events = [started(0, queue="q"), connected(0), ended(23 * H)]
    assert sessions_expired(clean(events[:2]), settings, DAY + 23 * HOUR) == 1
    assert (columns(events, settings=settings)["handled"], floor(events, settings=settings)["in_hand_ms"]) == (1, 23 * H)


@pytest.mark.parametrize(("gap_s", "sessions"), [(D - 0.001, 1), (D, 2)])
def test_a_gap_of_a_day_begins_a_new_session(gap_s: float, sessions: int) -> None:
    """D2: the same id, exactly 24 h after the newest event: not connected, its entry does not pair with the leaving."""
    events = [started(0, queue="q"), connected(0), ev("queue.entered", 10, queue="q")]
    events += [ev("queue.left", 10 + gap_s, queue="q", outcome="answered"), ended(10 + gap_s + 5)]
    assert len(sessions_of(clean(events), Settings())) == sessions
    total = columns(events) + columns(events, "unassigned")
    assert (total["left"], total["handled"], total["unconnected"]) == ((1, 1, 0) if sessions == 1 else (0, 0, 1))
    assert floor(events)["in_hand_ms"] == (10 + int(gap_s + 5) if sessions == 1 else 10)
    assert sessions_expired(clean(events), Settings(), newest(events)) == sessions - 1


def test_a_longer_age_makes_a_longer_life() -> None:
    """D2: an e-mail that lives three days is the same session after two of silence, until its end."""
    settings = Settings(session_ages={"email": 3 * DAY_MS})
    events = [started(0, channel="email", queue="q"), connected(0), ended(2 * D)]
    assert columns(events, settings=settings)["session_ms"] == 2 * DAY_MS
    assert len(sessions_of(clean([*events, says(3 * D - 0.001, "agent")]), settings)) == 1
    assert len(sessions_of(clean([*events, says(3 * D, "agent")]), settings)) == 2


def test_a_day_after_the_end_begins_a_new_session() -> None:
    """D2: 24 h after the end, however recent the newest event: the review is nobody's queue's."""
    events = [started(0, queue="q"), ended(10), wrapped(23 * H), review(10 + D, "rita")]
    assert (columns(events)["reviews"], columns(events, "unassigned")["reviews"]) == (0, 1)
    again = [*contact("a", 0, 10), *contact("a", 10 + D, None)]
    assert (columns(again)["known_started"], columns(again)["repeat_contacts"]) == (2, 1)


# ---- long centres


def everything(read: list[Event]) -> list[Any]:
    """Return all that the oracle says of events as read."""
    events, settings = clean(read), Settings(zone="Europe/Berlin", session_ages={"voice": HOUR, "email": 3 * DAY_MS})
    now = newest(events)
    tables = [by_queue(events, settings, HOUR, None, True), by_group(events, settings, HOUR, None, now)]
    days = spans.days(settings, now, 7)
    agents = agent_days(events, settings, now, days)
    states = [now_gauges(events, settings, now), turnover(events, settings, now), sessions_expired(events, settings, now)]
    windows = [seven_days(events, settings, now), comparisons(events, settings, now)]
    return [*tables, agents, reviewer_days(events, settings, days), *states, *windows]


@pytest.mark.parametrize("seed", range(4))
def test_order_changes_nothing_over_days(seed: int) -> None:
    """Catalogue 6: on centres of several days."""
    events = long_centre(seed, days=4 + 3 * seed, sessions=20)
    expected = everything(events)
    assert everything(interleaved(events, seed)) == everything(shuffled(events, seed)) == expected
    assert everything(with_duplicates(events, seed, 0.2, altered=True)) == expected


@pytest.mark.parametrize("seed", range(4))
def test_balances_hold_over_days(seed: int) -> None:
    """Whatever happens: parts add up to their wholes, and a week is its days."""
    events, settings = clean(long_centre(seed, days=6, sessions=40)), BERLIN
    now = newest(events)
    since = midnight(now, settings.zone, 6)
    week = seven_days(events, settings, now)
    table = by_queue(events, settings, DAY_MS, None, True)
    for (queue, channel), row in week.queues.items():
        days = [found for (q, c, at), found in table.items() if (q, c) == (queue, channel) and at >= since]
        if channel is not None:
            assert {name: sum(day.get(name, 0) for day in days) for name in row} == row
        assert row["fcr_resolved"] <= row["fcr_contacts"]
        assert row["repeat_contacts"] <= row["known_started"] <= row["started"]
        assert row["complaint_n"] <= row["complaints_closed"]
    days_of_agents = agent_days(events, settings, now, spans.days(settings, now, 7))
    levels = by_group(events, settings, DAY_MS, None, now)
    for group, total in week.groups.items():
        daily = [found for (g, at), found in levels.items() if g == group and at >= since]
        assert total["peak_concurrency"] == max(found["peak_concurrency"] for found in daily)
        assert total["taken"] == sum(found["taken"] for found in daily)
        assert days_of_agents.get(group, 0) >= sum(1 for found in daily if found["online_ms"])


def test_long_centres_hold_what_they_promise() -> None:
    """Sessions are cut and forgotten, customers come back, agents leave, in a few centres together."""
    found = [clean(long_centre(seed)) for seed in range(4)]
    sessions = [session for events in found for session in sessions_of(events, Settings())]
    assert sum(session.cut for session in sessions) > 10
    assert sum(sessions_expired(events, Settings(), newest(events)) for events in found) > 10
    weeks = [row for events in found for row in seven_days(events, Settings(), newest(events)).queues.values()]
    for column in ("repeat_contacts", "fcr_resolved", "complaint_n", "visits", "cost_EUR_e6", "cost_ILS_e6"):
        assert any(row.get(column) for row in weeks), column
    assert any(row["fcr_contacts"] > row["fcr_resolved"] for row in weeks)
    assert sum(turnover(events, Settings(), newest(events))["all"].left for events in found) > 2
    assert DAY_MS in GAPS_MS
