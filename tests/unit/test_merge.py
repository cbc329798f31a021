"""Merging readings: the highest stamp wins, flushes take effect whole, partitions add up."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.readings import DATE_MS, QUARTER_MS, ROSTER_MS, SLICE_MS, Published, ReadingKey, encode_key, encode_value
from schemas.rules import DAY_MS, Rules
from sinks.cells import Parts, Place
from sinks.merge import Merge
from tests.builders import T0, Publisher, Record, feed, slices_of

ORDERS = Place("queue", "orders", "voice")


def merged(merge: Merge, place: Place = ORDERS, length: int = SLICE_MS) -> dict[int, Parts]:
    """Return start → parts of one place."""
    cells = merge.short if length == SLICE_MS else merge.quarters
    return {start: parts for start, found, parts in cells.between(0, 1 << 50) if found == place}


def test_partitions_add_up() -> None:
    """Two partitions' counts of one slice are added."""
    merge = Merge(Rules())
    feed(merge, Publisher(0).count("orders", T0, offered=2).flush(T0))
    feed(merge, Publisher(1).count("orders", T0, offered=3, answered=1).flush(T0))
    assert merged(merge) == {T0: {"offered": 5, "answered": 1}}
    assert merged(merge, length=QUARTER_MS) == {T0: {"offered": 5, "answered": 1}}


def test_a_flush_takes_effect_with_its_heartbeat() -> None:
    """Nothing of a flush shows before its heartbeat, everything after it."""
    merge = Merge(Rules())
    *readings, beat = Publisher().count("orders", T0, offered=1).now("queue", "orders", "voice", waiting=1).flush(T0)
    feed(merge, readings)
    assert merged(merge) == {}
    assert merge.gauge(ORDERS).parts == {}
    feed(merge, [beat])
    assert merged(merge) == {T0: {"offered": 1}}
    assert merge.gauge(ORDERS).parts == {"waiting": 1}


def test_settle_applies_what_is_held_back() -> None:
    """A reader at the end of what there is need not wait for a heartbeat."""
    merge = Merge(Rules())
    feed(merge, Publisher().count("orders", T0, offered=1).flush(T0)[:-1])
    merge.settle()
    assert merged(merge) == {T0: {"offered": 1}}


def test_publishing_twice_changes_nothing() -> None:
    """The same records again, and the same values under a new epoch, leave all sums."""
    worker = Publisher().count("orders", T0, offered=1).total("orders", offered=1)
    merge = feed(Merge(Rules()), worker.flush(T0))
    feed(merge, worker.records)
    worker.epoch = 9
    feed(merge, worker.again().flush(T0 + 1))
    assert merged(merge) == {T0: {"offered": 1}}
    assert merge.totals(ORDERS) == {"offered": 1}


def test_older_stamps_are_dropped_and_counted() -> None:
    """A stopped owner that woke up cannot set values back, nor close the new owner's flush."""
    merge = Merge(Rules())
    old, new = Publisher(epoch=5), Publisher(epoch=8)
    feed(merge, old.count("orders", T0, offered=1).now("queue", "orders", "voice", waiting=4).flush(T0))
    feed(merge, new.count("orders", T0, offered=2).now("queue", "orders", "voice", waiting=0).flush(T0 + 500))
    *readings, beat = new.count("orders", T0, offered=5).flush(T0 + 1000)
    feed(merge, readings)
    feed(merge, old.count("orders", T0, offered=9).now("queue", "orders", "voice", waiting=7).flush(T0 + 700))
    assert merged(merge) == {T0: {"offered": 2}}
    assert merge.gauge(ORDERS).parts == {"waiting": 0}
    feed(merge, [beat])
    assert merged(merge) == {T0: {"offered": 7}}
    assert merge.gauge(ORDERS).parts == {"waiting": 0}
    assert merge.ignored["older"] > 0
    assert merge.heartbeats[0].epoch == 8


def test_tombstones_subtract() -> None:
    """A tombstone takes one partition's value off, and a correction may come back."""
    merge = Merge(Rules())
    changes: list[Parts] = []
    merge.observe(lambda _place, length, _start, delta: changes.append(delta) if length == SLICE_MS else None)
    first, second = Publisher(0).count("orders", T0, offered=2), Publisher(1).count("orders", T0, offered=3)
    feed(merge, [*first.flush(T0), *second.flush(T0)])
    feed(merge, first.bury("queue", "orders", "voice", SLICE_MS, T0).flush(T0 + 1))
    assert merged(merge) == {T0: {"offered": 3}}
    feed(merge, second.bury("queue", "orders", "voice", SLICE_MS, T0).flush(T0 + 1))
    assert merged(merge) == {}
    assert changes == [{"offered": 2}, {"offered": 3}, {"offered": -2}, {"offered": -3}]
    feed(merge, first.count("orders", T0, offered=1).flush(T0 + 2))
    assert merged(merge) == {T0: {"offered": 1}}


def test_a_tombstone_for_nothing_is_harmless() -> None:
    """Burying what was never published changes nothing."""
    merge = feed(Merge(Rules()), Publisher().bury("queue", "orders", "voice", SLICE_MS, T0).flush(T0))
    assert merged(merge) == {}


def test_oldest_entry_is_the_least() -> None:
    """Gauges add up, the oldest entry is the least over those partitions where anybody waits."""
    merge = Merge(Rules())
    feed(merge, Publisher(0).now("queue", "orders", "voice", waiting=2, oldest_entered_at=T0 - 5000).flush(T0))
    feed(merge, Publisher(1).now("queue", "orders", "voice", waiting=0).flush(T0))
    feed(merge, Publisher(2).now("queue", "orders", "voice", waiting=1, oldest_entered_at=T0 - 9000).flush(T0))
    assert merge.gauge(ORDERS).parts == {"waiting": 3, "oldest_entered_at": T0 - 9000}


def test_the_start_of_the_roster_is_the_least() -> None:
    """Headcount adds up, the instant from which the roster is known is the earliest."""
    merge = Merge(Rules())
    feed(merge, Publisher(0).now("group", "all", roster=2, roster_since=T0 - 5).flush(T0))
    feed(merge, Publisher(1).now("group", "all", roster=3, roster_since=T0 - 9).flush(T0))
    everybody = Place("group", "all", "")
    assert merge.gauge(everybody).parts == {"roster": 5, "roster_since": T0 - 9}
    assert {partition: gauge.parts["roster"] for partition, gauge in merge.gauges(everybody).items()} == {0: 2, 1: 3}


@pytest.mark.parametrize(("length", "kept"), [(ROSTER_MS, 31), (DATE_MS, 15)])
def test_hours_of_the_roster_and_dates_have_their_own_retention(length: int, kept: int) -> None:
    """31 days for the roster, as long as quarter-hours for the sketches of dates."""
    merge = Merge(Rules())
    start = T0 // length * length
    feed(merge, Publisher().put("group", "all", "", length, start, {"agents_left": 1}).flush(T0))
    cells = merge.hours if length == ROSTER_MS else merge.dates
    feed(merge, Publisher(1).flush(start + 40 * DAY_MS))
    merge.advance(start + kept * DAY_MS)
    assert len(cells) == 1
    merge.advance(start + kept * DAY_MS + 1)
    assert len(cells) == 0


def test_agents_and_the_floor_are_places_of_their_own() -> None:
    """Readings of single agents and of the floor are taken, each by its dimension."""
    worker = Publisher().put("floor", "all", "", QUARTER_MS, T0, {"reviewer_days": 2}).now("agent", "anna", online=1)
    merge = feed(Merge(Rules()), worker.flush(T0))
    assert merged(merge, Place("floor", "all", ""), QUARTER_MS) == {T0: {"reviewer_days": 2}}
    assert merge.places("agent") == [Place("agent", "anna", "")]
    assert merge.ignored["foreign"] == 0


def test_levels_leave_out_steps_still_to_come() -> None:
    """A level at an instant is the total less the steps after that instant, over all partitions."""
    merge = Merge(Rules())
    feed(merge, Publisher(0).step("north", T0, "online", 4).step("north", T0 + 700, "online", -1, ahead=True).flush(T0))
    feed(merge, Publisher(1).step("north", T0, "online", 2).flush(T0))
    gauge = merge.gauge(Place("group", "north", ""))
    assert gauge.at(T0)["online"] == 6
    assert gauge.at(T0 + 699)["online"] == 6
    assert gauge.at(T0 + 700)["online"] == 5


def test_retention_ends_without_a_tombstone() -> None:
    """Slices past their retention go, and do not come back; the clocks of the board and of some worker must both say so."""
    merge = Merge(Rules())
    worker, over = Publisher().count("orders", T0, offered=1), T0 + Rules().slices_kept_ms + 1
    feed(merge, worker.flush(T0))
    merge.advance(over + DAY_MS)
    assert merged(merge) == {T0: {"offered": 1}}
    feed(merge, Publisher(1).flush(over))
    merge.advance(over - 1)
    assert merged(merge) == {T0: {"offered": 1}}
    merge.advance(over)
    assert merged(merge) == {}
    assert merged(merge, length=QUARTER_MS) == {T0: {"offered": 1}}
    feed(merge, worker.count("orders", T0, offered=1).flush(T0 + 1))
    assert merged(merge) == {}
    assert merge.ignored["expired"] == 1
    assert merged(merge, length=QUARTER_MS) == {T0: {"offered": 2}}


FOREIGN: list[Record] = [
    (b"", b"{}"),
    (b"\xff\xfe", None),
    (b'["slice",0,"queue","a"]', b"{}"),
    (b'["slice",0,"queue","a","b",7,0]', b'{"epoch":1,"seq":1,"parts":{"offered":1}}'),
    (b'["slice",0,"queue","a","b",10000,5]', b'{"epoch":1,"seq":1,"parts":{"offered":1}}'),
    (b'["slice",0,"queue","a","b",10000,-10000]', b'{"epoch":1,"seq":1,"parts":{"offered":1}}'),
    (b'["slice",0,"queue","a","b",900000,4611686018427000000]', b'{"epoch":1,"seq":1,"parts":{"offered":1}}'),
    (b'["slice",0,"queue",3,"b",10000,0]', b'{"epoch":1,"seq":1,"parts":{"offered":1}}'),
    (b'["slice",-1,"queue","a","b",10000,0]', b'{"epoch":1,"seq":1,"parts":{"offered":1}}'),
    (b'["slice",0,"colour","a","b",10000,0]', b'{"epoch":1,"seq":1,"parts":{"offered":1}}'),
    (b'["now",0,"queue","a","b"]', b"not json"),
    (b'["now",0,"queue","a","b"]', b'{"epoch":1,"seq":1,"parts":{"waiting":1.5}}'),
    (b'["now",0,"queue","a","b"]', b'{"epoch":1,"seq":1,"parts":{"waiting":1e400}}'),
    (b'["now",0,"queue","a","b"]', b'{"epoch":1,"seq":1,"parts":{"waiting":99999999999999999999999}}'),
    (b'["now",0,"queue","a","b"]', b'{"v":2,"epoch":1,"seq":1,"parts":{"waiting":1}}'),
    (b'["now",0,"queue","a","b"]', b"[" * 5000),
    (b"[" * 100_000, b"{}"),
]


def test_foreign_records_are_counted_and_change_nothing() -> None:
    """Whatever stands on the topic, the merge does not fall over, and says how much it ignored."""
    merge = Merge(Rules())
    feed(merge, FOREIGN)
    feed(merge, Publisher().count("orders", T0, offered=1).flush(T0))
    assert merge.ignored["foreign"] == len(FOREIGN)
    assert merged(merge) == {T0: {"offered": 1}}
    assert merge.places("queue") == []


def test_unknown_buckets_are_refused() -> None:
    """A sketch bucket that does not exist is left out, so that percentiles cannot fail."""
    parts = {"queue_time~5": 1, "queue_time~99999999": 1, "queue_time~x": 1, "queue_time~": 1, "queue_time~-3": 1}
    merge = feed(Merge(Rules()), Publisher().add("queue", "orders", "voice", T0, parts).flush(T0))
    assert merged(merge) == {T0: {"queue_time~5": 1}}
    assert merge.short.refused_parts == 4


def test_places_are_bounded() -> None:
    """More places than the bound are ignored and counted, known ones go on."""
    merge = Merge(Rules(max_cells=2))
    worker = Publisher()
    for number in range(20):
        worker.count(f"queue {number:02}", T0, offered=1)
    feed(merge, worker.flush(T0))
    assert len({place for _, place, _ in merge.short.between(0, 1 << 50)}) == 8
    assert merge.ignored["surplus"] == 24


def test_watermark_is_the_least_and_newest_the_newest() -> None:
    """A partition that has seen nothing does not hold the others back."""
    merge = Merge(Rules())
    feed(merge, Publisher(0).flush(T0, clock={"watermark": T0 - 60_000}))
    feed(merge, Publisher(1).flush(T0, clock={"watermark": T0 - 90_000, "newest": T0 - 30_000}))
    feed(merge, Publisher(2).flush(T0, clock={"watermark": None, "newest": None}))
    assert merge.watermark() == T0 - 90_000
    assert merge.newest() == T0


def test_a_heartbeat_that_is_buried_is_ignored() -> None:
    """A tombstone or a heartbeat without a clock is no heartbeat."""
    merge = feed(Merge(Rules()), [(encode_key(ReadingKey("heartbeat", 0)), None)])
    merge.put(ReadingKey("heartbeat", 0), Published(epoch=1, seq=1))
    assert merge.heartbeats == {}
    assert merge.watermark() is None


@given(st.integers(0, 1 << 30))
def test_the_order_over_partitions_does_not_matter(seed: int) -> None:
    """Any interleaving of partitions gives the same sums, and they are the naive ones."""
    rng = random.Random(seed)
    workers = [Publisher(number) for number in range(3)]
    for _ in range(rng.randrange(1, 12)):
        worker = rng.choice(workers)
        for _ in range(rng.randrange(3)):
            worker.count(rng.choice("ab"), T0 + rng.randrange(30_000), offered=rng.randrange(-2, 5), left=1)
        worker.flush(T0)
    merges = []
    for _ in range(2):
        queues = [list(worker.records) for worker in workers]
        merge = Merge(Rules())
        while any(queues):
            feed(merge, [rng.choice([queue for queue in queues if queue]).pop(0)])
        merges.append(_all(merge))
    naive: dict[tuple[int, Place], Parts] = {}
    for worker in workers:
        for key, parts in slices_of(worker.records).items():
            if key.length_ms == SLICE_MS:
                sums = naive.setdefault((key.start_ms, Place(key.dimension, key.name, key.channel)), {})
                for part, value in parts.items():
                    sums[part] = sums.get(part, 0) + value
    naive = {key: {part: value for part, value in sums.items() if value} for key, sums in naive.items()}
    assert merges[0] == merges[1] == naive


def _all(merge: Merge) -> dict[tuple[int, Place], Parts]:
    found = merge.short.between(0, 1 << 50)
    return {(start, place): {part: value for part, value in parts.items() if value} for start, place, parts in found}


def test_encoded_readings_are_what_the_merge_reads() -> None:
    """The bytes of a reading by hand, as any other consumer would see them."""
    key = ReadingKey("now", 3, "queue", "orders", "voice")
    assert encode_key(key) == b'["now",3,"queue","orders","voice"]'
    assert encode_value({"parts": {"waiting": 2}}, 7, 19) == b'{"v":1,"epoch":7,"seq":19,"parts":{"waiting":2}}'


def test_before_all_is_settled_readings_take_effect_at_once() -> None:
    """A board that starts holds nothing back, but knows whether the newest flush is whole; later it does."""
    merge, worker = Merge(Rules(), settled=False), Publisher()
    *readings, beat = worker.count("orders", T0, offered=1).flush(T0)
    feed(merge, readings)
    assert merged(merge) == {T0: {"offered": 1}}
    assert (merge._held, merge.holds_back) == ({}, True)
    feed(merge, [beat])
    assert not merge.holds_back
    merge.settle()
    *readings, beat = worker.count("orders", T0, offered=1).flush(T0)
    feed(merge, readings)
    assert merged(merge) == {T0: {"offered": 1}}
    feed(merge, [beat])
    assert merged(merge) == {T0: {"offered": 2}}


def test_what_a_former_owner_says_is_no_news() -> None:
    """Neither its heartbeat nor its readings: a journal made anew begins with low epochs, and all that comes is refused."""
    merge = Merge(Rules())
    assert all(merge.put_record(*record) for record in Publisher(epoch=9).now("queue", "orders", waiting=1).flush(T0))
    assert not any(merge.put_record(*record) for record in Publisher(epoch=3).now("queue", "orders", waiting=2).flush(T0))


@pytest.mark.parametrize("part", ["in_hand_\u00b2_step", "~", "resp~", "online_step#", "", "a b"])
def test_a_part_is_a_word_or_a_bucket(part: str) -> None:
    """Anything else is left out and counted: it could not be written to /metrics."""
    merge = Merge(Rules())
    feed(merge, Publisher().put("queue", "orders", "voice", SLICE_MS, T0 // SLICE_MS * SLICE_MS, {part: 1, "offered": 1}).flush(T0))
    assert (*merged(merge).values(),) == ({"offered": 1},)
    assert merge.refused_parts == 1
