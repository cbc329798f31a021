"""Windows by differences equal a naive recount, whatever is put and however time goes on."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.columns import queue_columns
from schemas.kpis import peak_in, turnover_of
from schemas.parts import bucket_part
from schemas.readings import DATE_MS, QUARTER_MS, ROSTER_MS, SLICE_MS
from schemas.rules import Rules
from schemas.sketch import bucket_of
from schemas.zones import date_number, date_start
from sinks.cells import Parts, Place
from sinks.days import sides_at
from sinks.gauges import NOTHING
from sinks.merge import Merge
from sinks.windows import TODAY, WEEK, Windows, window_label
from tests.builders import T0, Publisher, day_start, feed, level_integral, next_day, slices_of

ORDERS = Place("queue", "orders", "voice")
NORTH = Place("group", "north", "")
HOUR = 3_600_000


def advanced(merge: Merge, now: int) -> Windows:
    """Return windows over a merge, at an instant."""
    windows = Windows(merge)
    windows.advance(now)
    return windows


def test_a_window_ends_with_the_open_slice() -> None:
    """5 minutes are 30 slices, the one that holds now among them; a later slice waits until now reaches it."""
    worker = Publisher()
    now = T0 + 7_000
    for number in (-30, -29, 0, 1):
        worker.count("orders", T0 + number * SLICE_MS, offered=1)
    windows = advanced(feed(Merge(Rules()), worker.flush(now)), now)
    assert windows.parts("5m", ORDERS) == {"offered": 2}
    windows.advance(T0 + SLICE_MS)
    assert windows.parts("5m", ORDERS) == {"offered": 2}
    windows.advance(T0 + 300_000)
    assert windows.parts("5m", ORDERS) == {"offered": 1}
    windows.advance(T0 + 310_000)
    assert windows.parts("5m", ORDERS) == {}
    assert windows.parts("15m", ORDERS) == {"offered": 4}


def test_windows_must_be_multiples_of_the_slice() -> None:
    """A window that slices cannot make up, or that they are not kept for, is refused."""
    for wrong in (15_000, 299_999, 0, 7_210_000):
        with pytest.raises(ValueError, match="multiples"):
            Windows(Merge(Rules()), [wrong])
    assert [window_label(window) for window in (90_000, 300_000)] == ["90s", "5m"]


@pytest.mark.parametrize(
    ("zone", "noon", "hours"),
    [
        ("Europe/Berlin", 1_774_778_400_000, 23),  # 2026-03-29 12:00 +02:00
        ("Europe/Berlin", 1_792_926_000_000, 25),  # 2026-10-25 12:00 +01:00
        ("Asia/Shanghai", 1_792_900_800_000, 24),
        ("Asia/Kathmandu", 1_792_900_800_000, 24),
        ("America/Havana", 1_793_552_400_000, 25),  # 2026-11-01: the clock goes from 01:00 back to 00:00
        ("Africa/Cairo", 1_777_021_200_000, 23),  # 2026-04-24: 00:00 does not exist
    ],
)
def test_today_is_the_local_day(zone: str, noon: int, hours: int) -> None:
    """Today begins at local midnight, lasts 23, 24 or 25 h, and starts anew at the next one."""
    start, end = day_start(zone, noon), next_day(zone, noon)
    assert end - start == hours * HOUR
    worker = Publisher()
    at = [start - 1, start, noon, end - 1, end]
    for weight, instant in enumerate(at):
        worker.count("orders", instant, offered=10**weight)
    merge = feed(Merge(Rules(zone=zone)), worker.flush(end))
    windows = Windows(merge)
    seen = []
    for now in (start - 1, start, noon, end - 1, end):
        windows.advance(now)
        seen.append(windows.parts(TODAY, ORDERS)["offered"])
    assert seen == [1, 10, 110, 1110, 10000]


def test_each_queue_has_its_own_midnight() -> None:
    """Two queues in two zones start today anew at two instants."""
    rules = Rules(queues={"orders": {"zone": "Asia/Shanghai"}, "returns": {"zone": "UTC"}})
    midnight = day_start("Asia/Shanghai", T0) + 24 * HOUR
    worker = Publisher()
    for queue in ("orders", "returns"):
        worker.count(queue, midnight - 1, offered=1).count(queue, midnight, offered=2)
    windows = advanced(feed(Merge(rules), worker.flush(midnight)), midnight)
    assert windows.parts(TODAY, ORDERS) == {"offered": 2}
    assert windows.parts(TODAY, Place("queue", "returns", "voice")) == {"offered": 3}


def test_percentiles_of_today_come_from_the_sketches() -> None:
    """Bucket counts add up over partitions and quarter-hours; the percentile is that of all values."""
    merge = Merge(Rules())
    values = [1000 * n for n in range(1, 101)]
    workers = [Publisher(0), Publisher(1)]
    for number, value in enumerate(values):
        part = {bucket_part("queue_time", bucket_of(value)): 1, "left": 1, "queue_time_ms": value}
        workers[number % 2].add("queue", "orders", "voice", T0 - number * 60_000, part)
    for worker in workers:
        feed(merge, worker.flush(T0))
    parts = advanced(merge, T0).parts(TODAY, ORDERS)
    found = {column.name: column.value(parts, Rules().queue_default) for column in queue_columns()}
    assert found["left"] == 100
    assert found["queue_time"] == pytest.approx(50.5)
    assert found["queue_time_p50"] == pytest.approx(50, rel=0.01)
    assert found["queue_time_p95"] == pytest.approx(95, rel=0.01)
    assert found["queue_time_max"] == pytest.approx(100, rel=0.01)


def test_levels_grow_while_they_are_open() -> None:
    """An agent who came online 100 s ago has 100 s of online time, and one second more a second later."""
    merge = feed(Merge(Rules()), Publisher().step("north", T0, "online").flush(T0))
    windows = Windows(merge)
    for now in (T0, T0 + 1, T0 + 100_000, T0 + 101_000, T0 + 299_999, T0 + 300_000):
        windows.advance(now)
        levels = windows.levels("5m", NORTH, merge.gauge(NORTH))
        # from T0 + 290 s on the window starts after T0: it holds now's open slice and the 29 before it
        first = (now // SLICE_MS - 29) * SLICE_MS
        assert levels.get("online_ms", 0) == now - max(first, T0)
        assert windows.levels(TODAY, NORTH, merge.gauge(NORTH)).get("online_ms", 0) == now - T0


def test_a_level_without_a_slice_in_the_window_still_has_its_time() -> None:
    """Someone online for hours has all of the window; after a tombstone of the old slice as well."""
    worker = Publisher().step("north", T0, "online", 3)
    merge = feed(Merge(Rules()), worker.flush(T0))
    windows = Windows(merge)
    windows.advance(T0)
    now = T0 + 3 * HOUR + 5_000
    feed(merge, worker.bury("group", "north", "", SLICE_MS, T0).flush(now))
    windows.advance(now)
    assert windows.levels("60m", NORTH, merge.gauge(NORTH))["online_ms"] == 3 * (HOUR - SLICE_MS + 5_000)
    assert windows.levels(TODAY, NORTH, merge.gauge(NORTH))["online_ms"] == 3 * (3 * HOUR + 5_000)


ZONES = ("UTC", "Asia/Kathmandu", "Europe/Berlin")


def naive_window(workers: list[Publisher], place: Place, length: int, first: int, last: int) -> Parts:
    """Add up slices number first..last of a place over what all workers published last."""
    sums: Parts = {}
    for worker in workers:
        for key, parts in slices_of(worker.records).items():
            found = Place(key.dimension, key.name, key.channel)
            if found == place and key.length_ms == length and first <= key.start_ms // length <= last:
                for part, value in parts.items():
                    sums[part] = sums.get(part, 0) + value
    return {part: value for part, value in sums.items() if value}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 30))
def test_windows_equal_a_naive_recount(seed: int) -> None:
    """Random puts, corrections of old slices, tombstones, restarts and leaps of time, back ones too."""
    rng = random.Random(seed)
    rules = Rules(queues={name: {"zone": zone} for name, zone in zip("abc", ZONES, strict=True)})
    merge, workers = Merge(rules), [Publisher(number, live=False) for number in range(3)]
    windows = Windows(merge)
    now = T0 + rng.randrange(24 * HOUR)
    for _ in range(rng.randrange(1, 15)):
        worker = rng.choice(workers)
        _publish(rng, worker, now)
        feed(merge, worker.flush(now))
        if rng.random() < 0.7:
            now += rng.choice([0, 500, 9_999, 10_000, 400_000, HOUR, 5 * HOUR, 30 * HOUR, -20_000])
            windows.advance(now)
    windows.advance(now)
    for name, zone in zip("abc", ZONES, strict=True):
        place = Place("queue", name, "voice")
        for label, count in (("5m", 30), ("15m", 90), ("30m", 180), ("60m", 360)):
            last = now // SLICE_MS
            assert windows.parts(label, place) == naive_window(workers, place, SLICE_MS, last - count + 1, last)
        first = day_start(zone, now) // QUARTER_MS
        assert windows.parts(TODAY, place) == naive_window(workers, place, QUARTER_MS, first, now // QUARTER_MS)
        week = date_start(zone, date_number(zone, now) - 6) // QUARTER_MS
        expected = naive_window(workers, place, QUARTER_MS, week, now // QUARTER_MS)
        assert windows.parts(WEEK, place) == {part: value for part, value in expected.items() if "~" not in part}
        for name, side in sides_at(zone, now).items():
            first, last = side.start_ms // QUARTER_MS, side.end_ms // QUARTER_MS - 1
            expected = naive_window(workers, place, QUARTER_MS, first, last)
            found = windows.days(zone).side(name, place, NOTHING)
            assert found == {part: value for part, value in expected.items() if "~" not in part}, name


def _publish(rng: random.Random, worker: Publisher, now: int) -> None:
    for _ in range(rng.randrange(4)):
        ages = (0, 5_000, 60_000, 1_000_000, 3_500_000, -15_000, -1_000_000, -80 * HOUR, *(n * 24 * HOUR for n in range(1, 14)))
        age = rng.choice(ages)
        part = rng.choice(["offered", "answered", "queue_time~7"])
        worker.add("queue", rng.choice("abc"), "voice", now - age, {part: rng.choice([1, 2, -1])})
    if rng.random() < 0.15:
        start = (now - rng.randrange(100_000)) // SLICE_MS * SLICE_MS
        worker.bury("queue", rng.choice("abc"), "voice", SLICE_MS, start)
    if rng.random() < 0.15:
        worker.epoch += 10
        worker.seq = 0
        worker.again()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 30))
def test_levels_equal_a_naive_integral(seed: int) -> None:
    """Steps of two partitions, some still to come, integrated over each window up to now."""
    rng = random.Random(seed)
    merge, workers = Merge(Rules()), [Publisher(0), Publisher(1)]
    now = T0 + rng.randrange(24 * HOUR)
    steps: list[tuple[int, int]] = []
    for worker in workers:
        for _ in range(rng.randrange(8)):
            ages = (-150_000, -4_000, -1, 0, 1, 3_000, 70_000, 2_000_000, 6_000_000, 30 * HOUR, 150 * HOUR, 200 * HOUR, 330 * HOUR)
            at = now - rng.choice(ages) + rng.randrange(50)
            step = rng.choice([1, 2, -1])
            worker.step("north", at, "in_hand", step, ahead=at > now)
            steps.append((at, step))
        feed(merge, worker.flush(now))
    windows = Windows(merge)
    windows.advance(now - 30_000)
    windows.advance(now)
    gauge = merge.gauge(NORTH)
    assert gauge.at(now).get("in_hand", 0) == sum(step for at, step in steps if at <= now)
    for label, count in (("5m", 30), ("60m", 360)):
        first = (now // SLICE_MS - count + 1) * SLICE_MS
        assert windows.levels(label, NORTH, gauge).get("in_hand_ms", 0) == level_integral(steps, first, now)
    midnight = day_start("UTC", now)
    assert windows.levels(TODAY, NORTH, gauge).get("in_hand_ms", 0) == level_integral(steps, midnight, now)
    assert windows.levels(WEEK, NORTH, gauge).get("in_hand_ms", 0) == level_integral(steps, midnight - 144 * HOUR, now)
    for name, side in sides_at("UTC", now).items():
        found = windows.days("UTC").side(name, NORTH, gauge).get("in_hand_ms", 0)
        assert found == level_integral(steps, side.start_ms, side.end_ms), name


BERLIN_SHORT_DAY = 1_774_738_800_000
"""2026-03-29 00:00 +01:00; at 02:00 the clock goes forward to 03:00."""


def test_seven_days_are_today_and_the_six_before_in_the_local_zone() -> None:
    """A week with a day of 23 h begins 167 h before the midnight that ends it."""
    end = next_day("Europe/Berlin", BERLIN_SHORT_DAY)
    assert end - BERLIN_SHORT_DAY == 23 * HOUR
    worker = Publisher()
    first = end - 167 * HOUR
    for weight, at in enumerate((first - 1, first, BERLIN_SHORT_DAY, end - 1, end)):
        worker.count("orders", at, offered=10**weight)
    windows = Windows(feed(Merge(Rules(zone="Europe/Berlin")), worker.flush(end)))
    seen = []
    for now in (end - 1, end):
        windows.advance(now)
        seen.append(windows.parts(WEEK, ORDERS)["offered"])
    assert seen == [1110, 11100]


def test_percentiles_of_seven_days_come_from_the_sketches_of_dates() -> None:
    """Each date's sketch counts while the date is among the seven; those of quarter-hours do not count again."""
    worker = Publisher()
    today = date_number("UTC", T0)
    for days_ago in range(8):
        bucket = bucket_part("queue_time", bucket_of(1000 * (days_ago + 1)))
        worker.put("queue", "orders", "voice", DATE_MS, (today - days_ago) * DATE_MS, {bucket: 1})
    worker.add("queue", "orders", "voice", T0, {bucket_part("queue_time", bucket_of(1000)): 1, "left": 1})
    windows = advanced(feed(Merge(Rules()), worker.flush(T0)), T0)
    stats = windows.parts(WEEK, ORDERS).stats("queue_time")
    assert windows.parts(WEEK, ORDERS)["left"] == 1
    assert stats["p50"] == pytest.approx(4000, rel=0.01)
    assert stats["max"] == pytest.approx(7000, rel=0.01)
    windows.advance(T0 + 24 * HOUR)
    assert windows.parts(WEEK, ORDERS).stats("queue_time")["max"] == pytest.approx(6000, rel=0.01)


def test_agents_of_a_day_are_those_who_came_and_those_who_were_there_at_midnight() -> None:
    """Two online since the evening before, one of them until exactly midnight; two more come, one of them twice."""
    midnight = day_start("UTC", T0)
    worker = Publisher().step("north", midnight - HOUR, "online", 2)
    worker.add("group", "north", "", midnight - HOUR, {"agent_days": 2})
    worker.step("north", midnight, "online", -1).add("group", "north", "", midnight, {"agent_days": -1})
    worker.step("north", midnight + HOUR, "online", 2).add("group", "north", "", midnight + HOUR, {"agent_days": 2, "taken": 9})
    merge = feed(Merge(Rules()), worker.flush(T0))
    windows = advanced(merge, T0)
    gauge = merge.gauge(NORTH)
    assert windows.levels(TODAY, NORTH, gauge)["agent_days"] == 2 - 1 + 2
    assert windows.levels(WEEK, NORTH, gauge)["agent_days"] == 2 + 3
    windows.advance(T0 + 48 * HOUR)  # the three who are online count on each of the two days since
    assert windows.levels(TODAY, NORTH, gauge)["agent_days"] == 3
    assert windows.levels(WEEK, NORTH, gauge)["agent_days"] == 2 + 3 + 3 + 3


def test_the_peak_is_the_highest_level_that_lasted_in_the_window() -> None:
    """Three at once an hour ago, two at once now; a level that came and went at once does not count."""
    worker = Publisher()
    for level, start, end in (("in_hand", 3600, 0), ("in_hand_2", 3600, 0), ("in_hand_3", 3600, 3000), ("in_hand_4", 50, 50)):
        worker.step("north", T0 - start * 1000, level).step("north", T0 - end * 1000, level, -1 if end else 0)
    merge = feed(Merge(Rules()), worker.flush(T0))
    windows = advanced(merge, T0)
    gauge = merge.gauge(NORTH)
    assert [peak_in(windows.levels(label, NORTH, gauge)) for label in ("5m", "60m", TODAY, WEEK)] == [2, 3, 3, 3]


def test_turnover_has_720_hours_with_the_open_one() -> None:
    """Ten on the roster for 10 days, one leaves: 1 / 10 x 365 / 30 where the roster covers 10 days."""
    since = T0 - 10 * 24 * HOUR
    worker, hours = Publisher(), (ROSTER_MS,)
    worker.step("north", since, "roster", 10, lengths=hours).step("all", since, "roster", 10, lengths=hours)
    worker.step("north", T0, "roster", -1, lengths=hours).put("group", "north", "", ROSTER_MS, T0, {"agents_left": 1})
    worker.now("group", "all", roster=9, roster_since=since)
    windows = advanced(feed(Merge(Rules()), worker.flush(T0)), T0)
    left, roster_ms, covered = windows.roster(NORTH)
    assert (left, roster_ms, covered) == (1, 10 * 240 * HOUR, 240 * HOUR)
    assert turnover_of(left, roster_ms, covered)[2] == pytest.approx(365 / 300)
    windows.advance(T0 + 719 * HOUR)
    assert windows.roster(NORTH) == (1, 9 * 719 * HOUR, 719 * HOUR)
    windows.advance(T0 + 720 * HOUR)
    assert windows.roster(NORTH) == (0, 9 * 719 * HOUR, 719 * HOUR)


def test_a_zone_that_changes_makes_the_days_anew() -> None:
    """From the instant on at which other settings are in force, today is that of their zone."""
    change = day_start("UTC", T0) + 3 * HOUR
    rules = Rules(zone="UTC", earlier=((change, Rules(zone="Asia/Shanghai")),))
    worker = Publisher().count("orders", change - 4 * HOUR, offered=1).count("orders", change - HOUR, offered=2)
    worker.count("returns", change - 4 * HOUR, offered=1)
    windows = advanced(feed(Merge(rules), worker.flush(T0)), change - 1)
    assert windows.parts(TODAY, ORDERS) == {"offered": 3}  # midnight in Shanghai was at 16:00 UTC
    windows.take_changed()
    windows.advance(change)
    assert windows.parts(TODAY, ORDERS) == {"offered": 2}
    assert {(TODAY, ORDERS), (TODAY, Place("queue", "returns", "voice"))} <= windows.take_changed()


def test_changed_sums_are_told_once() -> None:
    """What changed is known, so that an unchanged window need not be derived again."""
    merge = feed(Merge(Rules()), Publisher().count("orders", T0, offered=1).flush(T0))
    windows = advanced(merge, T0)
    assert ("5m", ORDERS) in windows.take_changed()
    windows.advance(T0 + SLICE_MS)
    assert windows.take_changed() == set()
    windows.advance(T0 + 300_000)
    assert windows.take_changed() == {("5m", ORDERS)}
