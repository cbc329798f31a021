"""Comparisons with yesterday, a week ago and the week before: worked numbers, levels, days on which the clock shifts."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.errors import UnknownName
from schemas.readings import QUARTER_MS
from schemas.rules import Rules
from schemas.zones import at_local_time, date_number, local_text, local_time
from sinks.comparisons import chosen, described, gather
from sinks.days import sides_at
from sinks.merge import Merge
from sinks.snapshot import Snapshots
from tests.builders import T0, Publisher, feed

DAY = 86_400_000
HOUR = 3_600_000
NOW = T0 + 7 * 60_000
"""14:07 on 2026-11-21 in UTC: Q is 14:00."""
SHORT_DAY = 1_774_738_800_000
"""2026-03-29 00:00 +01:00 in Berlin; at 02:00 the clock goes forward to 03:00."""
LONG_DAY = 1_792_879_200_000
"""2026-10-25 00:00 +02:00; at 03:00 the clock goes back to 02:00."""


def compared(worker: Publisher, rules: Rules | None = None, channels: dict[str, str] | None = None) -> dict[str, Any]:
    """Return all comparisons of what one worker published."""
    merge = feed(Merge(rules or Rules(live=True)), worker.flush(NOW))
    snapshots = Snapshots(merge, (300_000,))
    snapshots.take(NOW, ready=True, readings_age_ms={})
    return described(gather(snapshots.windows, merge, channels or {}))


def test_both_sides_end_at_the_last_quarter_hour_that_has_passed() -> None:
    """14:07: today and yesterday count up to 14:00, whatever came at 14:00 or later on either."""
    worker = Publisher()
    for at, count in ((T0 - 1, 10), (T0, 100), (T0 - DAY - 1, 8), (T0 - DAY, 1000), (T0 - 7 * DAY - 1, 5)):
        worker.count("orders", at, answered=count, abandoned=2)
    body = compared(worker)
    (orders,) = body["queues"]
    assert orders["kpis"]["answered"]["today/yesterday"] == {"value": 10, "base": 8, "change": 0.25}
    assert orders["kpis"]["answered"]["today/week_ago"] == {"value": 10, "base": 5, "change": 1.0}
    assert orders["kpis"]["abandonment"]["today/yesterday"] == {"value": 0.166667, "base": 0.2, "change": -0.033333}
    assert body["zones"]["UTC"]["today"] == ["2026-11-21T00:00:00+00:00", "2026-11-21T14:00:00+00:00"]
    assert body["zones"]["UTC"]["yesterday"] == ["2026-11-20T00:00:00+00:00", "2026-11-20T14:00:00+00:00"]
    assert body["zones"]["UTC"]["before"] == ["2026-11-08T00:00:00+00:00", "2026-11-14T14:00:00+00:00"]


def test_seven_days_are_compared_with_the_seven_before() -> None:
    """The last seven dates up to now's Q, the seven before up to the same time: each instant lies in one of them or none."""
    worker = Publisher()
    midnight = T0 - 14 * HOUR
    for days_ago in range(14):
        worker.count("orders", midnight - days_ago * DAY, offered=1, handled=1, talk_ms=60_000 if days_ago < 7 else 40_000)
    worker.count("orders", T0 - 7 * DAY, offered=50)  # after the cut of the earlier side, before the later one begins
    worker.count("orders", midnight - 13 * DAY - 1, offered=50)
    kpis = compared(worker)["queues"][0]["kpis"]
    assert kpis["offered"]["7d/before"] == {"value": 7, "base": 7, "change": 0}
    assert kpis["talk_time"]["7d/before"] == {"value": 60, "base": 40, "change": 0.5}
    assert not {"queue_time_p50", "queue_time_max", "waiting", "formula", "answered_within"} & kpis.keys()


def test_a_change_needs_a_base() -> None:
    """Nothing before: the count's base is 0, the mean's is absent, and there is no change."""
    kpis = compared(Publisher().count("orders", T0 - 1, answered=1, wait_answered_ms=7_000))["queues"][0]["kpis"]
    assert kpis["answered"]["today/yesterday"] == {"value": 1, "base": 0, "change": None}
    assert kpis["speed_of_answer"]["today/yesterday"] == {"value": 7, "base": None, "change": None}


def test_levels_of_a_past_side_come_from_the_present_backwards() -> None:
    """Two online since 10:00 two days ago, one of them until 13:00 today; one held two sessions for an hour yesterday."""
    worker = Publisher()
    worker.step("north", T0 - 2 * DAY - 4 * HOUR, "online", 2).step("north", T0 - HOUR, "online", -1)
    worker.step("north", T0 - 2 * DAY - 4 * HOUR, "available_idle", 2)
    worker.step("north", T0 - DAY - 3 * HOUR, "in_hand").step("north", T0 - DAY - 2 * HOUR, "in_hand", -1)
    worker.step("north", T0 - DAY - 3 * HOUR, "in_hand_2").step("north", T0 - DAY - 2 * HOUR, "in_hand_2", -1)
    worker.add("group", "north", "", T0 - DAY - HOUR, {"taken": 7})
    (north,) = compared(worker)["groups"]
    assert north["kpis"]["online_time"]["today/yesterday"] == {"value": 27 * 3600, "base": 28 * 3600, "change": -0.035714}
    assert north["kpis"]["online_time"]["today/week_ago"] == {"value": 27 * 3600, "base": 0, "change": None}
    assert north["kpis"]["occupancy"]["today/yesterday"]["base"] == round(1 / 29, 6)
    assert north["kpis"]["peak_concurrency"]["today/yesterday"] == {"value": None, "base": 2, "change": None}
    assert north["kpis"]["handled_per_agent_day"]["today/yesterday"]["base"] == 3.5


@pytest.mark.parametrize(("minutes", "days"), [(-1, 7), (0, 6), (5, 6), (16, 7)])
def test_a_date_that_has_not_begun_by_the_end_has_no_agents_yet(minutes: int, days: int) -> None:
    """Where Q is a midnight, seven days are six dates; two agents are there all the time."""
    midnight = T0 - 14 * HOUR
    now, worker = midnight + minutes * 60_000, Publisher()
    worker.step("north", midnight - 20 * DAY, "online", 2)
    for days_ago in range(1, 14):
        worker.add("group", "north", "", midnight - days_ago * DAY + 12 * HOUR, {"taken": 20})
    merge = feed(Merge(Rules(live=True)), worker.flush(now))
    snapshots = Snapshots(merge, (300_000,))
    snapshots.take(now, ready=True, readings_age_ms={})
    (north,) = gather(snapshots.windows, merge, {}).groups
    assert [north.sides[side]["agent_days"] for side in ("7d", "before")] == [2 * days] * 2


def test_the_floor_adds_up_queues_by_their_own_formula_and_reviewers_once() -> None:
    """Numerators and denominators of both formulas; the reviewer of two queues counts once."""
    rules = Rules(live=True, queues={"returns": {"service_level": "sl_answered"}})
    worker = Publisher()
    for days_ago in (0, 1):
        at = T0 - 1 - days_ago * DAY
        worker.count("orders", at, answered=4, answered_within=3, abandoned=6 - 2 * days_ago, reviews=4, reviewer_days=1)
        worker.count("returns", at, answered=10, answered_within=5, abandoned=7, reviews=2, reviewer_days=1)
        worker.add("floor", "all", "", at, {"reviewer_days": 1})
    floor = compared(worker, rules)["floor"]["kpis"]
    assert floor["service_level"]["today/yesterday"] == {"value": 0.4, "base": 0.444444, "change": -0.044444}
    assert floor["reviews_per_reviewer_day"]["today/yesterday"] == {"value": 6, "base": 6, "change": 0}
    assert floor["answered"]["today/yesterday"]["value"] == 14


def test_costs_are_compared_by_whole_queue() -> None:
    """Costs lie on no channel; a place that has nothing but costs is no row of its own."""
    worker = Publisher()
    for days_ago, cost in ((0, 6), (1, 4)):
        at = T0 - 1 - days_ago * DAY
        worker.count("orders", at, ended=2).count("orders", at, "unassigned", cost_EUR_e6=cost * 1_000_000)
    body = compared(worker, channels={"orders": "voice"})
    assert [row["channel"] for row in body["queues"]] == ["voice"]
    (whole,) = body["whole_queues"]
    assert whole["channel"] == "voice"
    assert whole["kpis"]["cost_per_contact_EUR"]["today/yesterday"] == {"value": 3, "base": 2, "change": 1}


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (SHORT_DAY + DAY - HOUR + 2 * HOUR + 30 * 60_000, "2026-03-29T03:00:00+02:00"),  # 02:30 on the 30th: skipped on the 29th
        (SHORT_DAY + DAY - HOUR + 3 * HOUR, "2026-03-29T03:00:00+02:00"),
        (SHORT_DAY + DAY - HOUR + HOUR, "2026-03-29T01:00:00+01:00"),
        (LONG_DAY + DAY + HOUR + 2 * HOUR + 30 * 60_000, "2026-10-25T02:30:00+02:00"),  # 02:30 on the 26th: twice on the 25th
        (LONG_DAY + 3 * HOUR + 30 * 60_000, "2026-10-24T02:30:00+02:00"),  # the second 02:30 of the 25th
        (LONG_DAY + DAY + HOUR, "2026-10-25T00:00:00+02:00"),  # midnight: both sides are empty
    ],
)
def test_yesterday_ends_at_the_same_time_of_the_local_clock(now: int, expected: str) -> None:
    """Where yesterday skipped the time, at the shift; where it had it twice, the first time."""
    side = sides_at("Europe/Berlin", now)["yesterday"]
    assert local_text("Europe/Berlin", side.end_ms) == expected
    assert side.end_ms % QUARTER_MS == 0


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "Africa/Cairo", "America/Havana", "Asia/Kathmandu"])
def test_a_time_of_the_local_clock_is_the_first_instant_that_is_not_before_it(zone: str) -> None:
    """Over a year, against a search through the quarter-hours of each date."""
    for at in range(SHORT_DAY, SHORT_DAY + 365 * DAY, 13 * HOUR + QUARTER_MS):
        number, clock = date_number(zone, at), local_time(zone, at)
        quarters = range(at - 30 * HOUR, at + 30 * HOUR, QUARTER_MS)
        first = next(q for q in quarters if date_number(zone, q) == number and local_time(zone, q) >= clock)
        assert at_local_time(zone, number, clock) == first


def test_nothing_is_derived_anew_until_a_quarter_hour_is_over_or_something_changes() -> None:
    """The key stays while time goes on within the quarter-hour; facts of the open one change nothing; a late one does."""
    worker = Publisher().count("orders", T0 - 1, offered=1).step("north", T0 - DAY, "online")
    merge = feed(Merge(Rules(live=True)), worker.flush(NOW))
    snapshots = Snapshots(merge, (300_000,))

    def key(now: int) -> object:
        snapshots.take(now, ready=True, readings_age_ms={})
        return gather(snapshots.windows, merge, {}).key

    before = key(NOW)
    assert key(NOW + 60_000) == before
    feed(merge, worker.count("orders", T0 + 1, offered=1).step("north", T0 + 1, "online").flush(NOW))
    assert key(NOW + 61_000) == before
    feed(merge, worker.count("orders", T0 - DAY - 1, offered=1).flush(NOW))
    late = key(NOW + 62_000)
    assert late != before
    feed(merge, worker.step("north", T0 - 3 * DAY, "online").flush(NOW))  # earlier than yesterday, and yet online then
    later = key(NOW + 63_000)
    assert later != late
    assert key(T0 + QUARTER_MS) != later


def test_single_comparisons_can_be_asked_for() -> None:
    """By queue, channel, group and indicator; an id stands for its variants too; unknown names are told with the nearest."""
    worker = Publisher().count("orders", T0 - 1, connected=1).count("returns", T0 - 1, "chat", connected=1)
    body = compared(worker.step("north", T0 - HOUR, "online"))
    assert [row["queue"] for row in chosen(body, queue="orders")["queues"]] == ["orders"]
    assert [row["queue"] for row in chosen(body, channel="chat")["queues"]] == ["returns"]
    assert chosen(body, queue="orders")["groups"] == []
    assert chosen(body, queue="orders")["floor"] is None
    assert [row["group"] for row in chosen(body, group="north")["groups"]] == ["north"]
    assert chosen(body, group="north")["queues"] == []
    found = chosen(body, kpi="connect_rate", queue="orders")
    assert list(found["queues"][0]["kpis"]) == [
        "connect_rate", "connect_rate_inbound", "connect_rate_outbound", "connect_rate_callback",
    ]  # fmt: skip
    assert list(chosen(body, kpi="connect_rate_callback")["floor"]["kpis"]) == ["connect_rate_callback"]
    with pytest.raises(UnknownName, match=r"unknown queue 'order': the nearest is 'orders'"):
        chosen(body, queue="order")
    with pytest.raises(UnknownName, match=r"unknown kpi 'conect_rate': the nearest is 'connect_rate'"):
        chosen(body, kpi="conect_rate")
    with pytest.raises(UnknownName, match="unknown group"):
        chosen(body, group="")
