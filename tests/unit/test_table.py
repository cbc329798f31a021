"""The interval table: local intervals, levels by integration, CSV that is safe to open."""

from __future__ import annotations

import csv
import io
import random
from datetime import UTC, datetime

import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import UsageError
from schemas.readings import QUARTER_MS, SLICE_MS
from schemas.rules import Rules
from schemas.zones import check_zone, interval_start
from sinks.merge import Merge
from sinks.parquet import write_parquet
from sinks.table import INTERVALS_MS, By, Choice, Frozen, Table, choose, interval_table
from tests.builders import T0, Publisher, feed, level_integral
from tests.oracle import zones as slow_zones

HOUR = 3_600_000
BOTH: tuple[By, ...] = ("queue", "group")
BERLIN_LONG_DAY = 1_792_879_200_000
"""2026-10-25 00:00 +02:00; at 03:00 the clock goes back to 02:00."""


def rows_of(table: Table) -> list[dict[str, str]]:
    """Return what a CSV reader sees."""
    file = io.StringIO()
    table.write_csv(file)
    return list(csv.DictReader(io.StringIO(file.getvalue())))


def test_a_worked_example() -> None:
    """Two partitions, two quarter-hours of one hour: sums add up, indicators come from the sums."""
    merge = Merge(Rules())
    golden = {"answered": 600, "answered_within": 500, "left": 640, "abandoned": 40, "abandoned_within": 12}
    feed(merge, Publisher(0).count("orders", T0, offered=700, short_abandoned=6, **golden).flush(T0))
    more = {"answered": 400, "answered_within": 360, "abandoned": 20, "abandoned_within": 8, "short_abandoned": 4}
    feed(merge, Publisher(1).count("orders", T0 + QUARTER_MS, left=420, queue_time_ms=1_234_567, **more).flush(T0))
    (row,) = rows_of(interval_table(merge, T0 + HOUR, Choice(HOUR)))
    assert (row["queue"], row["interval_start"]) == ("orders", "2026-11-21T14:00:00+00:00")
    assert row["answered"] == "1000"
    assert row["service_level"] == "0.819048"
    assert row["formula"] == "sl_no_short"
    assert row["queue_time_s"] == "1234.567"
    assert row["queue_time"] == "1.165"
    assert row["speed_of_answer"] == "0"
    assert row["ring_time"] == ""
    assert row["wait_answered_s"] == "0"
    assert "channel" not in row


def test_quarters_later_than_now_are_left_out() -> None:
    """A fact from a slice that has not begun waits."""
    merge = feed(Merge(Rules()), Publisher().count("orders", T0 + QUARTER_MS, offered=1).flush(T0))
    assert rows_of(interval_table(merge, T0, Choice())) == []
    assert len(rows_of(interval_table(merge, T0 + QUARTER_MS, Choice()))) == 1


def test_rows_are_sorted_by_queue_channel_and_start() -> None:
    """The order does not depend on the order of arrival."""
    worker = Publisher()
    keys = [("b", "voice", 1), ("a", "voice", 0), ("b", "chat", 0), ("b", "voice", 0), ("a", "chat", 2)]
    for queue, channel, number in keys:
        worker.count(queue, T0 + number * QUARTER_MS, channel, offered=1)
    table = interval_table(feed(Merge(Rules()), worker.flush(T0)), T0 + HOUR, Choice(by="queue,channel"))
    assert [(*row.names, (row.start - T0) // QUARTER_MS) for row in table.rows] == sorted(keys)
    by_queue = interval_table(feed(Merge(Rules()), worker.records), T0 + HOUR, Choice())
    assert [(row.names, row.parts) for row in by_queue.rows] == [
        (("a",), {"offered": 1}),
        (("a",), {"offered": 1}),
        (("b",), {"offered": 2}),
        (("b",), {"offered": 1}),
    ]


def test_the_long_day_has_two_o_clock_twice() -> None:
    """On the day with 25 h, 02:00 to 03:00 occurs twice, told apart by the offset; 25 hourly rows in all."""
    worker = Publisher()
    for number in range(100):
        worker.count("orders", BERLIN_LONG_DAY + number * QUARTER_MS, offered=1)
    merge = feed(Merge(Rules()), worker.flush(T0))
    rows = rows_of(interval_table(merge, T0, Choice(HOUR, zone="Europe/Berlin")))
    starts = [row["interval_start"] for row in rows]
    assert starts[0] == "2026-10-25T00:00:00+02:00"
    assert starts[2:4] == ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"]
    assert len(starts) == len(set(starts)) == 25
    assert {row["offered"] for row in rows} == {"4"}


def test_an_interval_is_cut_at_a_shift_of_half_an_hour() -> None:
    """Lord Howe shifts by 30 minutes: with an interval of 60 minutes one is cut at the shift."""
    shift = 1_775_314_800_000  # 2026-04-05 02:00 +11:00 becomes 01:30 +10:30
    worker = Publisher()
    for number in range(-4, 6):
        worker.count("orders", shift + number * QUARTER_MS, offered=1)
    rows = rows_of(interval_table(feed(Merge(Rules()), worker.flush(T0)), T0, Choice(HOUR, zone="Australia/Lord_Howe")))
    assert [(row["interval_start"], row["offered"]) for row in rows] == [
        ("2026-04-05T01:00:00+11:00", "4"),
        ("2026-04-05T01:30:00+10:30", "2"),
        ("2026-04-05T02:00:00+10:30", "4"),
    ]


@settings(deadline=None)
@given(
    st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Havana", "Asia/Shanghai"]),
    st.integers(700_000, 2_000_000),
    st.sampled_from(sorted(INTERVALS_MS.values())),
)
def test_starts_equal_the_slow_ones(zone: str, quarter: int, interval: int) -> None:
    """Another reckoning of local intervals, which shares no code, agrees on every quarter-hour."""
    at = quarter * QUARTER_MS
    assert interval_start(zone, at, interval) == slow_zones.interval_start(at, interval, zone)


def test_each_queue_counts_in_its_zone_unless_all_are_replaced() -> None:
    """A queue's own zone aligns its rows; `zone` replaces all zones."""
    merge = Merge(Rules(zone="Asia/Kathmandu", queues={"orders": {"zone": "UTC"}}))
    worker = Publisher().count("orders", T0, offered=1).count("returns", T0, offered=1)
    feed(merge, worker.step("north", T0, "online").flush(T0))
    starts = [row["interval_start"] for row in rows_of(interval_table(merge, T0 + 1, Choice(HOUR)))]
    assert starts == ["2026-11-21T14:00:00+00:00", "2026-11-21T19:00:00+05:45"]
    (row,) = rows_of(interval_table(merge, T0 + 1, Choice(HOUR, by="group")))
    assert row["interval_start"] == "2026-11-21T19:00:00+05:45"
    starts = [row["interval_start"] for row in rows_of(interval_table(merge, T0, Choice(HOUR, zone="Asia/Shanghai")))]
    assert starts == ["2026-11-21T22:00:00+08:00"] * 2


def test_levels_fill_quarters_without_a_step_and_stop_at_now() -> None:
    """Online 14:05 to 15:50, now 15:40: 600, 900 … and 600 s; idle as well, and in hand for one minute."""
    worker = Publisher()
    worker.step("north", T0 + 300_000, "online").step("north", T0 + 300_000, "status_available")
    worker.step("north", T0 + 300_000, "available_idle")
    worker.step("north", T0 + 360_000, "in_hand").step("north", T0 + 360_000, "available_idle", -1)
    worker.step("north", T0 + 420_000, "in_hand", -1).step("north", T0 + 420_000, "available_idle")
    worker.add("group", "north", "", T0 + 360_000, {"taken": 1})
    now = T0 + 6_000_000
    merge = feed(Merge(Rules()), worker.flush(now))
    rows = rows_of(interval_table(merge, now, Choice(by="group")))
    assert [row["online_s"] for row in rows] == ["600", "900", "900", "900", "900", "900", "600"]
    assert rows[0]["in_hand_s"] == "60"
    assert rows[0]["occupancy"] == "0.100000"
    assert rows[1]["occupancy"] == "0.000000"
    assert rows[0]["status_share_available"] == "1.000000"
    assert [row["taken"] for row in rows[:2]] == ["1", "0"]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 30))
def test_levels_by_interval_equal_a_naive_integral(seed: int) -> None:
    """Random steps before and after now, two partitions, each interval against the sum over steps."""
    rng = random.Random(seed)
    merge, now = Merge(Rules()), T0 + rng.randrange(40) * 100_000
    steps = []
    for worker in (Publisher(0), Publisher(1)):
        for _ in range(rng.randrange(6)):
            at, step = now - rng.randrange(-1_000_000, 20_000_000), rng.choice([1, -1, 2])
            worker.step("north", at, "online", step, ahead=at > now)
            steps.append((at, step))
        feed(merge, worker.flush(now))
    interval = rng.choice(list(INTERVALS_MS.values()))
    table = interval_table(merge, now, Choice(interval, by="group"))
    expected: dict[int, int] = {}
    first = min((at for at, _ in steps), default=now) // QUARTER_MS * QUARTER_MS
    for start in range(first, now, QUARTER_MS):
        row = start // interval * interval
        expected[row] = expected.get(row, 0) + level_integral(steps, start, min(start + QUARTER_MS, now))
    found = {row.start: row.parts["online_ms"] for row in table.rows if row.parts.get("online_ms")}
    assert found == {start: total for start, total in expected.items() if total}


def test_a_level_older_than_the_retention_fills_it() -> None:
    """Someone online since before the oldest slice has all the time that is kept."""
    rules = Rules(quarters_kept_ms=4 * QUARTER_MS)
    merge = feed(Merge(rules), Publisher().now("group", "north", online=2).flush(T0))
    rows = rows_of(interval_table(merge, T0 + 60_000, Choice(by="group")))
    assert [row["online_s"] for row in rows] == ["1800", "1800", "1800", "1800", "120"]


def test_the_peak_of_an_interval_is_the_most_that_one_agent_held_in_it() -> None:
    """Two at once from 14:05 to 14:20, three for no time at all, one until 14:50, nothing after."""
    worker = Publisher()
    for level, start, end in (("in_hand", 5, 50), ("in_hand_2", 5, 20), ("in_hand_3", 30, 30)):
        worker.step("north", T0 + start * 60_000, level).step("north", T0 + end * 60_000, level, -1)
    worker.step("north", T0, "online")
    merge = feed(Merge(Rules()), worker.flush(T0 + HOUR))
    rows = rows_of(interval_table(merge, T0 + HOUR + QUARTER_MS, Choice(by="group")))
    assert [row["peak_concurrency"] for row in rows] == ["2", "2", "1", "1", ""]
    assert "handled_per_agent_day" not in rows[0]


def test_who_came_online_for_no_time_at_all_makes_no_row() -> None:
    """Agents of a day are no column of an interval."""
    worker = Publisher().add("group", "north", "", T0, {"agent_days": 1})
    assert rows_of(interval_table(feed(Merge(Rules()), worker.flush(T0)), T0 + 1, Choice(by="group"))) == []


def test_each_row_goes_by_the_settings_in_force_at_its_start() -> None:
    """Until 14:15 another formula and zone: an hour's row that began before keeps its formula."""
    old = Rules(zone="UTC", queues={"orders": {"service_level": "sl_answered"}})
    rules = Rules(zone="Asia/Kathmandu", earlier=((T0 + QUARTER_MS, old),))
    worker = Publisher()
    for number in range(2):
        worker.count("orders", T0 + number * QUARTER_MS, answered=4, answered_within=3, abandoned=2)
    merge = feed(Merge(rules), worker.flush(T0))
    first, second = rows_of(interval_table(merge, T0 + HOUR, Choice()))
    assert (first["interval_start"], first["formula"], first["service_level"]) == (
        "2026-11-21T14:00:00+00:00", "sl_answered", "0.750000",
    )  # fmt: skip
    assert (second["interval_start"], second["formula"], second["service_level"]) == (
        "2026-11-21T20:00:00+05:45", "sl_no_short", "0.500000",
    )  # fmt: skip


def test_each_currency_has_its_columns() -> None:
    """Cost booked and cost per contact, for those currencies only that have rows in the table."""
    worker = Publisher().count("orders", T0, ended=4).count("orders", T0, "unassigned", cost_EUR_e6=10_000_000)
    worker.count("orders", T0 + QUARTER_MS, cost_USD_e6=-2_500_000)
    merge = feed(Merge(Rules()), worker.flush(T0))
    first, second = rows_of(interval_table(merge, T0 + HOUR, Choice()))
    assert (first["cost_EUR"], first["cost_per_contact_EUR"]) == ("10.000000", "2.500000")
    assert first["cost_per_contact_USD"] == "0.000000"
    assert (second["cost_USD"], second["cost_per_contact_USD"]) == ("-2.500000", "")
    (only,) = rows_of(interval_table(merge, T0 + HOUR, Choice(until=T0 + 1)))
    assert "cost_USD" not in only


def test_a_week_before_at_the_same_time_of_the_local_clock() -> None:
    """Counts and durations change by a share, ratios by points; nothing where there was nothing, or 0, or no indicator."""
    worker = Publisher()
    worker.count("orders", T0 - 7 * 24 * HOUR, answered=4, answered_within=4, wait_answered_ms=40_000)
    worker.count("orders", T0, answered=5, answered_within=4, wait_answered_ms=100_000, abandoned=1)
    rows = rows_of(interval_table(feed(Merge(Rules()), worker.flush(T0)), T0, Choice(compare="week")))
    row = rows[-1]
    assert row["answered_change"] == "0.250000"
    assert row["service_level_change"] == "-0.333333"  # 4 of 6 against 4 of 4
    assert row["speed_of_answer_change"] == "1.000000"
    assert row["abandoned_change"] == row["abandonment_change"] == row["ring_time_change"] == ""
    assert not {"answered_within_change", "formula_change", "wait_answered_s_change"} & row.keys()
    assert rows[0]["answered_change"] == ""
    without = interval_table(feed(Merge(Rules()), worker.records), T0, Choice())
    assert not any(name.endswith("_change") for name in without.header)


def test_a_week_before_over_a_shift_of_the_clock() -> None:
    """12:00 is compared with 12:00, 169 h before on the long day's week; a time that was skipped has no base."""
    worker = Publisher()
    noon = BERLIN_LONG_DAY + 13 * HOUR  # 12:00 +01:00 of the long day
    worker.count("orders", noon - 7 * 24 * HOUR - HOUR, offered=2).count("orders", noon, offered=3)
    short = 1_774_738_800_000  # 2026-03-29 00:00 +01:00; 02:00 becomes 03:00
    worker.count("returns", short + 2 * HOUR, offered=2).count("returns", short + 7 * 24 * HOUR + HOUR + QUARTER_MS, offered=3)
    merge = feed(Merge(Rules(quarters_kept_ms=1 << 50)), worker.flush(T0))
    rows = {(row["queue"], row["interval_start"]): row["offered_change"]
            for row in rows_of(interval_table(merge, T0, Choice(zone="Europe/Berlin", compare="week")))}  # fmt: skip
    assert rows["orders", "2026-10-25T12:00:00+01:00"] == "0.500000"
    assert rows["returns", "2026-04-05T02:15:00+02:00"] == ""


def test_rows_that_were_not_asked_for_are_still_compared_with() -> None:
    """`since` bounds what is shown, not what it is compared with."""
    worker = Publisher().count("orders", T0 - 7 * 24 * HOUR, offered=4).count("orders", T0, offered=5)
    (row,) = rows_of(interval_table(feed(Merge(Rules()), worker.flush(T0)), T0, Choice(since=T0, compare="week")))
    assert row["offered_change"] == "0.250000"


def test_parquet_holds_the_same_cells_with_types() -> None:
    """Names as strings, the start as an instant in UTC beside its text, counts as integers, all else as floats, absent as null."""
    worker = Publisher().count("=orders", T0, answered=3, wait_answered_ms=10_000)
    table = interval_table(feed(Merge(Rules(zone="Asia/Kathmandu")), worker.flush(T0)), T0, Choice(by="queue,channel"))
    out = io.BytesIO()
    assert write_parquet(table.header, table.units, table.values(), out) == 1
    read = pyarrow.parquet.read_table(io.BytesIO(out.getvalue()))
    types = {field.name: str(field.type) for field in read.schema}
    assert (types["queue"], types["interval_start"], types["formula"]) == ("string", "string", "string")
    assert types["interval_start_utc"] == "timestamp[ms, tz=UTC]"
    assert (types["answered"], types["speed_of_answer"], types["service_level"]) == ("int64", "double", "double")
    assert read.column_names == [*table.header[:3], "interval_start_utc", *table.header[3:]]
    (row,) = read.to_pylist()
    assert row["queue"] == "=orders"  # no spreadsheet computes it here
    assert row["interval_start"] == "2026-11-21T19:45:00+05:45"
    assert row["interval_start_utc"] == datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
    assert (row["answered"], row["speed_of_answer"], row["ring_time"]) == (3, 3.333, None)


def test_parquet_of_nothing_is_a_schema() -> None:
    """No rows, all columns."""
    table = interval_table(Merge(Rules()), T0, Choice(by="group"))
    out = io.BytesIO()
    assert write_parquet(table.header, table.units, table.values(), out) == 0
    assert pyarrow.parquet.read_table(io.BytesIO(out.getvalue())).num_rows == 0


@pytest.mark.parametrize("name", ["=1+1", "+49 30 1", "-x", "@sum", '=HYPERLINK("http://x","y")'])
def test_names_cannot_become_formulas(name: str) -> None:
    """A name that a spreadsheet would compute gets a quote in front; the others stay as they are."""
    merge = feed(Merge(Rules()), Publisher().count(name, T0, "=voice", offered=1).flush(T0))
    (row,) = rows_of(interval_table(merge, T0, Choice(by="queue,channel")))
    assert row["queue"] == "'" + name
    assert row["channel"] == "'=voice"


@pytest.mark.parametrize("name", ['a"b,c', "订单查询", "a;b'c", "<b>x</b>", "x\u2028y"])
def test_other_odd_names_survive_the_csv(name: str) -> None:
    """Quotes, commas and any script come back as they were."""
    merge = feed(Merge(Rules()), Publisher().count(name, T0, offered=1).flush(T0))
    (row,) = rows_of(interval_table(merge, T0, Choice()))
    assert row["queue"] == name


def test_json_has_numbers_and_nulls() -> None:
    """The same table for programs."""
    merge = feed(Merge(Rules()), Publisher().count("orders", T0, answered=3, wait_answered_ms=10_000).flush(T0))
    table = interval_table(merge, T0, Choice()).as_json()
    row = dict(zip(table["columns"], table["rows"][0], strict=True))
    assert (row["answered"], row["speed_of_answer"], row["ring_time"]) == (3, 3.333, None)


@pytest.mark.parametrize(
    ("interval", "by", "zone", "message"),
    [
        ("10m", "queue", None, "interval '10m' is not one of 15m, 30m, 60m"),
        ("15m", "agent", None, "by 'agent' is not one of"),
        ("15m", "queue", "Mars/Olympus", "unknown time zone 'Mars/Olympus'"),
        ("15m", "queue", "../../etc/passwd", "unknown time zone"),
        ("15m", "queue", "America", "unknown time zone"),
        ("15m", "queue", "x\0y", "unknown time zone"),
        ("15m", "queue", "U" * 5000, "unknown time zone"),
    ],
)
def test_wrong_choices_are_told(interval: str, by: str, zone: str | None, message: str) -> None:
    """What, which value, and what would be right; in one line."""
    with pytest.raises(UsageError) as error:
        choose(interval, by, zone)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_only_a_week_can_be_compared_with() -> None:
    """Anything else is told."""
    assert choose("15m", "queue", None, "week").compare == "week"
    with pytest.raises(UsageError, match="compare 'month' is not week"):
        choose("15m", "queue", None, "month")


def test_right_choices_are_read() -> None:
    """The three tables, with a space after the comma forgiven."""
    assert choose("15m", "queue, channel", "Asia/Jerusalem") == Choice(900_000, "queue,channel", "Asia/Jerusalem")
    assert choose("60m", "group", "") == Choice(3_600_000, "group", None)
    assert check_zone("UTC") == "UTC"


def test_ten_second_slices_are_no_rows() -> None:
    """The table is made of quarter-hours only: nothing is counted twice."""
    worker = Publisher().count("orders", T0, offered=1)
    worker.bury("queue", "orders", "voice", SLICE_MS, T0)
    (row,) = rows_of(interval_table(feed(Merge(Rules()), worker.flush(T0)), T0, Choice()))
    assert row["offered"] == "1"


def test_a_frozen_merge_gives_the_same_table_whatever_comes_after() -> None:
    """A table that is made in a thread sees one instant."""
    worker = Publisher().count("orders", T0, offered=1).step("north", T0, "online")
    merge = feed(Merge(Rules()), worker.flush(T0))
    before = [rows_of(interval_table(merge, T0 + 60_000, Choice(by=by))) for by in BOTH]
    frozen = Frozen(merge)
    worker.count("orders", T0, offered=5).count("returns", T0, offered=5).step("north", T0, "online", 3)
    feed(merge, worker.flush(T0))
    assert [rows_of(interval_table(frozen, T0 + 60_000, Choice(by=by))) for by in BOTH] == before
    assert rows_of(interval_table(merge, T0 + 60_000, Choice())) != before[0]
