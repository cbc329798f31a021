"""Windows by differences equal a naive recount, whatever is put and however time goes on."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.kpis import queue_columns
from schemas.parts import bucket_part
from schemas.readings import QUARTER_MS, SLICE_MS
from schemas.rules import Rules
from schemas.sketch import bucket_of
from sinks.cells import Parts, Place
from sinks.merge import Merge
from sinks.windows import TODAY, Windows, window_label
from schemas.zones import day_start, next_day
from tests.builders import T0, Publisher, feed, level_integral, slices_of

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
            now += rng.choice([0, 500, 9_999, 10_000, 400_000, HOUR, 5 * HOUR, -20_000])
            windows.advance(now)
    windows.advance(now)
    for name, zone in zip("abc", ZONES, strict=True):
        place = Place("queue", name, "voice")
        for label, count in (("5m", 30), ("15m", 90), ("30m", 180), ("60m", 360)):
            last = now // SLICE_MS
            assert windows.parts(label, place) == naive_window(workers, place, SLICE_MS, last - count + 1, last)
        first = day_start(zone, now) // QUARTER_MS
        assert windows.parts(TODAY, place) == naive_window(workers, place, QUARTER_MS, first, now // QUARTER_MS)


def _publish(rng: random.Random, worker: Publisher, now: int) -> None:
    for _ in range(rng.randrange(4)):
        age = rng.choice([0, 5_000, 60_000, 1_000_000, 3_500_000, -15_000, -1_000_000])
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
            at = now - rng.choice([-150_000, -4_000, -1, 0, 1, 3_000, 70_000, 2_000_000, 6_000_000]) + rng.randrange(50)
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


def test_changed_sums_are_told_once() -> None:
    """What changed is known, so that an unchanged window need not be derived again."""
    merge = feed(Merge(Rules()), Publisher().count("orders", T0, offered=1).flush(T0))
    windows = advanced(merge, T0)
    assert ("5m", ORDERS) in windows.take_changed()
    windows.advance(T0 + SLICE_MS)
    assert windows.take_changed() == set()
    windows.advance(T0 + 300_000)
    assert windows.take_changed() == {("5m", ORDERS)}
