"""The core equals the slow oracle: tables, windows, today, gauges, percentiles and the report's CSV.

Centres are seeded and messy. Records go through the synchronous driver in a random interleaving, with duplicates, in batches
and flushes of any size, over 1 to 5 partitions, with floors frozen and thawed on the way; readings reach the merge as bytes.
The tests marked `deep` take as many centres as the hypothesis profile says.
"""

from __future__ import annotations

import csv
import io
import random
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from schemas.events import INPUT_TOPICS
from schemas.kpis import PERCENTILES, currencies_in, peak_in
from schemas.parts import COST, LEVELS, REVIEWER_DAYS, buckets_in, is_bucket
from schemas.readings import QUARTER_MS, SLICE_MS, encode_key, encode_value
from schemas.rules import DAY_MS, ONLINE_STATUSES, STATUSES, QueueRules, Rules
from schemas.sketch import largest, quantile
from sinks.merge import OLDEST, Merge
from sinks.snapshot import Snapshot, Snapshots
from sinks.table import INTERVALS_MS, By, Choice, interval_table
from sinks.windows import TODAY, window_label
from streams.core.driver import Driver, record_of
from streams.core.floor import Floor
from streams.report import report
from tests import centres
from tests.builders import feed
from tests.oracle import (
    GROUP_COLUMNS,
    QUEUE_COLUMNS,
    QueueSettings,
    Settings,
    Sums,
    by_group,
    by_queue,
    clean,
    newest,
    now_gauges,
    percentile,
    percentile_inputs,
    ratios,
    today,
    window,
    window_values,
)

CENTRES: Final = 120
REPORTS: Final = 200
KEPT_MS: Final = 400 * DAY_MS
WINDOWS_MS: Final = (300_000, 900_000, 3_600_000)
SHIFTS: Final = (
    ("Europe/Berlin", 1_774_746_000_000),  # 2026-03-29T01:00:00Z: 02:00 becomes 03:00
    ("Europe/Berlin", 1_792_890_000_000),  # 2026-10-25T01:00:00Z: 03:00 becomes 02:00
    ("Australia/Lord_Howe", 1_775_314_800_000),  # 2026-04-04T15:00:00Z: 02:00 becomes 01:30
    ("Asia/Kathmandu", centres.START_MS),  # +05:45, no shift
)
Row = dict[str, int]


@dataclass(frozen=True)
class Delivery:
    """How records reach the floors: `nearly` in order of time, as a watermark wants them, or keeping each key's order only."""

    seed: int
    partitions: int
    batch: int
    freeze: bool
    nearly: bool
    altered: bool

    def arrived(self, events: list[centres.Event]) -> list[centres.Event]:
        """Return the events as they arrive, with duplicates."""
        if self.nearly:
            return centres.shuffled(centres.with_duplicates(events, self.seed), self.seed)
        return centres.with_duplicates(centres.interleaved(events, self.seed), self.seed, altered=self.altered)


@dataclass(frozen=True)
class Made:
    """Which centre; a failing example shows these instead of all its events."""

    seed: int
    sessions: int
    queues: int
    agents: int
    mess: bool

    def events(self) -> list[centres.Event]:
        """Return its events; at least one."""
        kind = {"sessions": self.sessions, "queues": self.queues, "agents": self.agents, "mess": self.mess}
        events = centres.centre(self.seed, **kind)  # type: ignore[arg-type]
        assume(events)
        return events


deliveries = st.builds(
    Delivery,
    seed=st.integers(0, 2**32 - 1),
    partitions=st.integers(1, 5),
    batch=st.sampled_from([1, 7, 40, 1000]),
    freeze=st.booleans(),
    nearly=st.booleans(),
    altered=st.booleans(),
)
made = st.builds(
    Made,
    seed=st.integers(0, 2**32 - 1),
    sessions=st.integers(0, 25),
    queues=st.integers(1, 4),
    agents=st.integers(1, 6),
    mess=st.sampled_from([True, True, True, False]),
)

# ---- the same settings for both sides

PLAIN: Final = (Rules(quarters_kept_ms=KEPT_MS, sketches_kept_ms=KEPT_MS, slices_kept_ms=KEPT_MS), Settings())
TUNED: Final = (
    Rules(
        queue_default=QueueRules(answer_ms=60_000, placement_ms=19_999, first_response_ms=30_000, response_ms=5_000),
        queues={
            "sales": {"answer_ms": 19_999, "short_ms": 1, "service_level": "sl_short_credit", "zone": "Asia/Kathmandu"},
            "support": {"service_level": "sl_late_abandons", "short_in_abandonment": False, "placement_ms": 5_000},
            "vip": {"service_level": "sl_all_within", "zone": "America/New_York"},
            "Störung": {"service_level": "sl_answered"},
        },
        queue_channels={
            ("sales", "chat"): {"first_response_ms": 100_000, "response_ms": 50_000},
            ("vip", "email"): {"response_ms": 1_000_000},
        },
        zone="Europe/Berlin",
        speech_channels=frozenset({"voice", "social"}),
        wrap_up_ms_by_channel={"voice": 120_000, "chat": 45_000, "email": 0},
        default_capacity=3,
        quarters_kept_ms=KEPT_MS,
        sketches_kept_ms=KEPT_MS,
        slices_kept_ms=KEPT_MS,
    ),
    Settings(
        default=QueueSettings(threshold_ms=60_000, placement_ms=19_999, first_response_target_ms=30_000, response_target_ms=5_000),
        queues={
            "sales": QueueSettings(
                threshold_ms=19_999, short_ms=1, placement_ms=19_999, formula="sl_short_credit", zone="Asia/Kathmandu",
                first_response_target_ms=30_000, channel_first_response_target_ms={"chat": 100_000},
                response_target_ms=5_000, channel_response_target_ms={"chat": 50_000},
            ),
            "support": QueueSettings(
                threshold_ms=60_000, placement_ms=5_000, formula="sl_late_abandons", short_in_abandonment=False,
                first_response_target_ms=30_000, response_target_ms=5_000,
            ),
            "vip": QueueSettings(
                threshold_ms=60_000, placement_ms=19_999, formula="sl_all_within", zone="America/New_York",
                first_response_target_ms=30_000, response_target_ms=5_000, channel_response_target_ms={"email": 1_000_000},
            ),
            "Störung": QueueSettings(
                threshold_ms=60_000, placement_ms=19_999, formula="sl_answered",
                first_response_target_ms=30_000, response_target_ms=5_000,
            ),
        },
        zone="Europe/Berlin",
        speech_channels=frozenset({"voice", "social"}),
        wrap_up_limits={"voice": 120_000, "chat": 45_000, "email": 0},
        default_capacity=3,
    ),
)  # fmt: skip
COUNTED_BY: Final = {"plain": PLAIN, "tuned": TUNED}
counted_by = st.sampled_from(sorted(COUNTED_BY))


# ---- the core


def delivered(events: list[centres.Event], rules: Rules, how: Delivery) -> tuple[Merge, int]:
    """Drive the events through the core to the end of the input; return the merge of all readings, and now."""
    rng = random.Random(how.seed)
    driver, merge = Driver(how.partitions, rules), Merge(rules)
    records = [record_of(event, centres.to_jsonl_bytes(event)) for event in events]
    seq = 0

    def publish() -> None:
        nonlocal seq
        seq += 1
        feed(merge, [(encode_key(key), encode_value(body, 1, seq)) for key, body in driver.take()])

    while records:
        size = rng.randint(1, how.batch)
        driver.apply(records[:size])
        del records[:size]
        if rng.random() < 0.5:
            driver.flush(at_end=INPUT_TOPICS if how.nearly else ())
            publish()
            if how.freeze and rng.random() < 0.3:
                driver.floors = [refrozen(floor) for floor in driver.floors]
    assert driver.rejects == []
    now = newest(events)
    driver.finish(now)
    publish()
    assert merge.ignored == {}
    assert not merge._held
    return merge, now


def refrozen(floor: Floor) -> Floor:
    """Return a floor made from another's entries, by way of bytes."""
    entries = {key: floor.entry(key) for key in floor.keys()}  # noqa: SIM118  a floor is no mapping
    thawed = msgspec.msgpack.decode(msgspec.msgpack.encode(entries))
    return Floor.thaw(floor.partition, floor.partitions, floor.rules, thawed)


def counted(parts: Mapping[str, int]) -> Row:
    """Return what a cell of a queue counts, in the oracle's words: no sketch, no zeros."""
    words = {"rated_score_e6": "score_micro"}
    left = {REVIEWER_DAYS}
    return {words.get(part, part): value for part, value in parts.items() if value and not is_bucket(part) and part not in left}


def agents_counted(parts: Mapping[str, int]) -> Row:
    """Return what a cell of a group counts, in the oracle's words: the peak instead of its levels."""
    row = {part: value for part, value in parts.items() if part in GROUP_COLUMNS}
    return row | {"peak_concurrency": peak_in(parts) or 0}


def rows_of(pairs: Iterable[tuple[Any, Mapping[str, int]]]) -> dict[Any, Row]:
    """Return key → row without zeros; rows of nothing are left out."""
    rows = {key: {name: value for name, value in row.items() if value} for key, row in pairs}
    return {key: row for key, row in rows.items() if row}


def slices_of(merge: Merge, length: int) -> dict[tuple[str, str, int], Mapping[str, int]]:
    """Return the merged slices of queues by (queue, channel, start)."""
    cells = merge.short if length == SLICE_MS else merge.quarters
    found = [(start, place, parts) for start, place, parts in cells.between(0, 1 << 60) if place.dimension == "queue"]
    return {(place.name, place.channel, start): parts for start, place, parts in found}


def group_table(merge: Merge, now: int, choice: Choice) -> dict[Any, Row]:
    """Return the table's rows by (group, start)."""
    rows = interval_table(merge, now, choice).rows
    return rows_of(((row.names[0], row.start), agents_counted(row.parts)) for row in rows)


def snapshot_of(merge: Merge) -> Snapshot:
    """Return the floor at the merge's own present."""
    return Snapshots(merge, WINDOWS_MS).take(0, ready=True, readings_age_ms={})


# ---- both sides, compared


def check_percentiles(parts: Mapping[str, int], values: Mapping[str, list[int]]) -> None:
    """Compare the sketches of a cell with the raw values: same number, percentiles and maximum within 1 %."""
    for series, raw in values.items():
        buckets = buckets_in(parts, series)
        assert sum(buckets.values()) == len(raw)
        for q in PERCENTILES.values():
            assert_near(quantile(buckets, q), percentile(raw, q))
        assert_near(largest(buckets), max(raw, default=None))


def assert_near(found: int | None, wanted: int | None) -> None:
    """Check a percentile: within 1 %, absent where there is none, exactly 0 for 0."""
    if wanted is None or found is None:
        assert found is wanted
    else:
        assert abs(found - wanted) * 100 <= wanted


def check_slices(merge: Merge, applied: list[centres.Event], expected: Settings) -> None:
    """Compare every column of every slice, of both lengths."""
    for length in (QUARTER_MS, SLICE_MS):
        truth = by_queue(applied, expected, length, "UTC", by_channel=True)
        found = slices_of(merge, length)
        assert rows_of((key, counted(parts)) for key, parts in found.items()) == rows_of(truth.items())
    inputs = percentile_inputs(applied, expected, QUARTER_MS, "UTC", by_channel=True)
    for key, parts in slices_of(merge, QUARTER_MS).items():
        check_percentiles(parts, inputs.get(key, {}))


def check_window(snapshot: Snapshot, label: str, truth: Sums) -> None:
    """Compare one window of all queues and groups."""
    queues = rows_of(((view.name, view.channel), counted(view.windows[label])) for view in snapshot.queues)
    assert queues == rows_of((key, row) for key, row in truth.queues.items() if key[1] is not None)
    groups = rows_of((view.name, agents_counted(view.windows[label])) for view in snapshot.groups)
    assert groups == rows_of(truth.groups.items())


def check_gauges(snapshot: Snapshot, applied: list[centres.Event], expected: Settings, now: int) -> None:
    """Compare who waits, who is active, agents by status, slots."""
    truth = now_gauges(applied, expected, now)
    queues = rows_of(((view.name, view.channel), view.now) for view in snapshot.queues)
    assert queues == rows_of(
        (
            key,
            {
                "waiting": row.waiting,
                OLDEST: row.oldest_entered_at or 0,
                "waiting_late": row.waiting_late,
                "waiting_past_answer": row.waiting_past_threshold,
                "active_sessions": row.active_sessions,
                "complaints_open": row.complaints_open,
            },
        )
        for key, row in truth.queues.items()
    )
    wanted = [*(f"status_{status}" for status in STATUSES), "capacity", "slots_used", "slots_free"]
    groups = rows_of((view.name, {name: view.now.get(name, 0) for name in wanted}) for view in snapshot.groups)
    assert groups == rows_of(
        (group, {f"status_{status}": n for status, n in row.agents.items()} | vars(row.slots))
        for group, row in truth.groups.items()
    )
    slots = rows_of((view.name, view.now) for view in snapshot.slots)
    assert slots == rows_of((queue, vars(row)) for queue, row in truth.queue_slots.items())


@settings(max_examples=CENTRES)
@given(made, deliveries, counted_by)
def test_every_number_equals_the_oracle(centre: Made, how: Delivery, counting: str) -> None:
    """Slices, group levels, windows, today, gauges and percentiles, whatever the order and the batches."""
    check_everything(centre, how, counting)


@pytest.mark.deep
@given(made, deliveries, counted_by)
def test_every_number_equals_the_oracle_in_many_centres(centre: Made, how: Delivery, counting: str) -> None:
    """The same, for long."""
    check_everything(centre, how, counting)


def check_everything(centre: Made, how: Delivery, counting: str) -> None:
    """Compare all that the board shows of a centre with the oracle's."""
    rules, expected = COUNTED_BY[counting]
    arrived = how.arrived(centre.events())
    applied = clean(arrived)
    merge, now = delivered(arrived, rules, how)
    assert merge.watermark() == now

    check_slices(merge, applied, expected)
    table = group_table(merge, now, Choice(QUARTER_MS, "group"))
    assert table == rows_of(by_group(applied, expected, QUARTER_MS, None, now).items())
    snapshot = snapshot_of(merge)
    assert snapshot.now == now
    for length in WINDOWS_MS:
        label = window_label(length)
        check_window(snapshot, label, window(applied, expected, now, length))
        inputs = window_values(applied, now, length, expected)
        for view in snapshot.queues:
            check_percentiles(view.windows[label], inputs.get((view.name, view.channel), {}))
    check_window(snapshot, TODAY, today(applied, expected, now))
    check_gauges(snapshot, applied, expected, now)
    if not how.altered:  # a copy that says another time, read when its id is no longer kept, may count as applied (rule 8)
        assert sum(merge.events()[topic]["applied"] for topic in merge.events()) == len(applied)


# ---- the report


def queue_kpis(row: Row, rules: QueueSettings, currencies: Iterable[str]) -> dict[str, float | str | None]:
    """Return the oracle's indicators of a row by column name."""
    plain = [
        "abandon_time", "speed_of_answer", "queue_time", "placement", "connect_rate", "ring_time", "missed_offers",
        "first_response", "first_response_share", "first_reply", "response_time", "response_time_share", "session_time",
        "talk_time", "hold_time", "wrap_up_time", "handle_time", "transfer_rate", "invalid_rate", "contacts_per_resolution",
        "first_contact_resolution", "repeat_contact_rate", "satisfaction", "survey_response", "live_review_share",
        "review_pass_rate", "consultation_rate", "complaint_time",
    ]  # fmt: skip
    values: dict[str, float | str | None] = {name: getattr(ratios, name)(row) for name in plain}
    values |= {f"connect_rate_{d}": ratios.connect_rate(row, d) for d in ("inbound", "outbound", "callback")}
    values |= {f"invalid_rate_{d}": ratios.invalid_rate(row, d) for d in ("inbound", "outbound")}
    values |= {f"transfer_rate_{kind}": ratios.transfer_rate(row, kind) for kind in ("blind", "warm")}
    values["service_level"] = ratios.service_level(row, rules.formula)
    values["abandonment"] = ratios.abandonment(row, rules.short_in_abandonment)
    values["formula"] = rules.formula
    values |= {f"cost_per_contact_{currency}": ratios.cost_per_contact(row, currency) for currency in currencies}
    return values


def group_kpis(row: Row) -> dict[str, float | str | None]:
    """Return the oracle's agent-time indicators of a row by column name."""
    values: dict[str, float | str | None] = {
        name: getattr(ratios, name)(row)
        for name in ("occupancy", "concurrency", "slot_use", "work_rate", "sessions_per_agent_hour", "peak_concurrency")
    }
    values |= {f"status_share_{status}": ratios.status_share(row, status) for status in ONLINE_STATUSES}
    values["online_time"] = row["online_ms"] / 1000
    return values


def check_cells(cells: Mapping[str, str], row: Row, kpis: Mapping[str, float | str | None]) -> set[str]:
    """Compare the CSV cells of a row, and return the names of the columns that were compared."""
    for name, value in row.items():
        if name.endswith("_ms"):
            if name[:-3] + "_s" in cells:
                assert (name, cells[name[:-3] + "_s"]) == (name, f"{value / 1000:.3f}".rstrip("0").rstrip("."))
        elif name.endswith("_e6"):
            assert abs(float(cells[name[:-3]]) - value / 1_000_000) <= 0.0000005001, name
        elif name in cells and name not in kpis:
            assert (name, cells[name]) == (name, str(value))
    for name, kpi in kpis.items():
        text = cells[name]
        if isinstance(kpi, float):
            assert abs(float(text) - kpi) <= 0.0005001, name
        else:
            assert (name, text) == (name, "" if kpi is None else str(kpi))
    summed = {name[:-3] + "_s" for name in row if name.endswith("_ms")} | {name[:-3] for name in row if name.endswith("_e6")}
    return {*kpis, *row, *summed}


def check_stats(cells: Mapping[str, str], values: Mapping[str, list[int]]) -> set[str]:
    """Compare the percentiles of a row, and return the names of the columns that were compared."""
    names = set()
    for series, raw in values.items():
        wanted = {name: percentile(raw, q) for name, q in PERCENTILES.items()} | {"max": max(raw, default=None)}
        for name, value in wanted.items():
            text = cells[f"{series}_{name}"]
            assert_near(round(float(text) * 1000) if text else None, value)
            names.add(f"{series}_{name}")
    return names


def reported(events: list[centres.Event], rules: Rules, choice: Choice, partitions: int) -> list[dict[str, str]]:
    """Return the rows of the report's CSV of events in a file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "events.jsonl")
        file.write_bytes(b"\n".join(centres.to_jsonl_bytes(event) for event in events))
        result = report([file], rules, choice, partitions=partitions)
    assert result.read == len(events)
    assert sum(result.outcomes.values()) == len(events)
    text = io.StringIO()
    result.table.write_csv(text)
    return list(csv.DictReader(io.StringIO(text.getvalue())))


def moved(events: list[centres.Event], by_ms: int) -> list[centres.Event]:
    """Return the events some time later."""
    return [{**event, "at": centres.at_ms(event) + by_ms} for event in events]


@settings(max_examples=REPORTS)
@given(
    made,
    st.integers(0, 2**32 - 1),
    st.integers(1, 5),
    counted_by,
    st.sampled_from(sorted(INTERVALS_MS.values())),
    st.sampled_from(["queue", "queue,channel", "group"]),
    st.sampled_from([*SHIFTS, None]),
)
def test_the_report_equals_the_oracle(
    centre: Made, seed: int, partitions: int, counting: str, interval: int, by: By,
    shift: tuple[str, int] | None,
) -> None:  # fmt: skip
    """Every cell of the CSV, in zones whose clock shifts in the middle of the centre's day."""
    rules, expected = COUNTED_BY[counting]
    zone, middle = shift or (None, centres.START_MS + 3_600_000)
    events = moved(centre.events(), middle - centres.START_MS - 3_600_000)
    arrived = centres.with_duplicates(centres.shuffled(events, seed), seed)
    applied, now = clean(arrived), newest(arrived)
    rows = reported(arrived, rules, Choice(interval, by, zone), partitions)
    if by == "group":
        _check_group_rows(rows, by_group(applied, expected, interval, zone, now))
        return
    with_channel = by == "queue,channel"
    truth = by_queue(applied, expected, interval, zone, with_channel)
    inputs = percentile_inputs(applied, expected, interval, zone, with_channel)
    found = {(cells["queue"], cells.get("channel"), start_ms(cells)): cells for cells in rows}
    assert len(found) == len(rows)
    assert found.keys() == {key for key, row in truth.items() if any(row.values())}
    currencies = currencies_in({name: value for name, value in row.items() if value} for row in truth.values())
    for key, cells in found.items():
        row = dict.fromkeys((f"cost_{currency}_e6" for currency in currencies), 0)
        row |= {name: value for name, value in truth[key].items() if name in row or not COST.fullmatch(name)}
        row["rated_score_e6"] = row.pop("score_micro")
        kpis = queue_kpis(truth[key], expected.queue(key[0]), currencies)
        checked = check_cells(cells, row, kpis)
        checked |= check_stats(cells, inputs.get(key, {"queue_time": [], "first_response": [], "response_time": []}))
        assert cells.keys() - checked == {"queue", "interval_start", *(["channel"] if with_channel else [])}


def _check_group_rows(rows: list[dict[str, str]], truth: dict[tuple[str, int], Row]) -> None:
    found = {(cells["group"], start_ms(cells)): cells for cells in rows}
    assert len(found) == len(rows)
    assert found.keys() == truth.keys()
    for key, cells in found.items():
        checked = check_cells(cells, truth[key], group_kpis(truth[key]))
        assert cells.keys() - checked == {"group", "interval_start"}


def start_ms(cells: Mapping[str, str]) -> int:
    """Return the instant that a row's `interval_start` names."""
    return centres.at_ms({"at": cells["interval_start"]})


def test_the_oracle_knows_every_column_of_the_core() -> None:
    """So that nothing is compared by being left out on both sides."""
    assert {*(f"{level}_ms" for level in LEVELS), "taken", "peak_concurrency"} == set(GROUP_COLUMNS)
    in_order = Delivery(7, 2, 40, freeze=False, nearly=True, altered=False)
    merge, _ = delivered(centres.long_centre(7, sessions=250), PLAIN[0], in_order)
    parts = {name for row in slices_of(merge, QUARTER_MS).values() for name in counted(row) if not COST.fullmatch(name)}
    assert parts == set(QUEUE_COLUMNS)
