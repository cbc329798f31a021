"""Two weeks of a real call centre: the report comes to the published totals, to the byte, whatever the order of its lines.

The records are Technion's "Anonymous Bank" (Israel, February 1999); set `FLOORPULSE_BANK_DATA` to the folder they lie in.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import random
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import pytest

from schemas.columns import Span
from schemas.instants import parse_instant
from schemas.rules import QueueRules, Rules
from sinks.snapshot import added
from sinks.table import By, Choice, Table, interval_table
from streams.native import Core, is_made
from streams.report import count

ZONE: Final = "Asia/Jerusalem"
BYS: Final[tuple[By, ...]] = ("queue", "queue,channel", "group")
GROUP_HOURS: Final = "group hours"
HOURS: Final = "hours"
"""Names of two more tables: of whole hours, by group and by queue."""
EVENTS: Final = 84_647
TOTALS: Final = {
    "offered": 17_456,
    "answered": 14_405,
    "answered_within": 9_163,
    "abandoned": 2_908,
    "abandoned_within": 1_674,
    "short_abandoned": 1_153,
    "closed": 143,
    "left": 17_456,
    "left_late": 3_504,
    "wait_answered_s": 495_609,
    "wait_abandoned_s": 108_111,
    "session_s": 2_387_587,
}
"""T = 20 s, short-abandon limit 5 s, placement limit 60 s, all queues together."""
RATIOS: Final = {"service_level": 0.567017, "abandonment": 0.167966, "speed_of_answer": 34.405345}


class Tables:
    """All tables of one count, and how it went."""

    def __init__(self, file: Path, partitions: int, jobs: int = 1, core: Core = "python") -> None:
        """Count once; all tables are made of the same merge."""
        self.counted = count([file], Rules(), ("queue", "group"), partitions=partitions, jobs=jobs, core=core)
        self.table = self._table(900_000, "queue")
        self.csv: dict[str, str] = {by: self._csv(900_000, by) for by in BYS}
        self.csv |= {name: self._csv(3_600_000, by) for name, by in ((HOURS, BYS[0]), (GROUP_HOURS, BYS[2]))}

    def _table(self, interval_ms: int, by: By) -> Table:
        return interval_table(self.counted.merge, self.counted.now, Choice(interval_ms, by, ZONE))

    def _csv(self, interval_ms: int, by: By) -> str:
        text = io.StringIO()
        self._table(interval_ms, by).write_csv(text)
        return text.getvalue()

    def rows(self, by: By = "queue") -> list[dict[str, str]]:
        """Return a table's rows."""
        return list(csv.DictReader(io.StringIO(self.csv[by])))


def column_sum(rows: list[dict[str, str]], column: str) -> float:
    """Return the sum of one column."""
    return sum(float(row[column]) for row in rows)


@pytest.fixture(scope="module")
def tables_of() -> Callable[[Path, int], Tables]:
    """Return a function that runs the report over a file with so many partitions."""
    return Tables


@pytest.fixture(scope="module")
def straight(bank_events_file: Path, tables_of: Callable[[Path, int], Tables]) -> Tables:
    """The file as it is, in one partition."""
    return tables_of(bank_events_file, 1)


@pytest.fixture(scope="module")
def disturbed_file(bank_events_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file with 5 % of its lines twice, each line delayed by up to 60 s."""
    rng = random.Random(1999)
    lines = bank_events_file.read_bytes().splitlines()
    lines += rng.sample(lines, len(lines) // 20)
    at_of: Callable[[bytes], dict[str, Any]] = msgspec.json.Decoder(dict[str, Any]).decode
    delayed = sorted((parse_instant(at_of(line)["at"]) + rng.randint(0, 60_000), rng.random(), line) for line in lines)
    file = tmp_path_factory.mktemp("disturbed") / "events.jsonl"
    file.write_bytes(b"".join(line + b"\n" for _, _, line in delayed))
    return file


@pytest.fixture(scope="module")
def disturbed(disturbed_file: Path, tables_of: Callable[[Path, int], Tables]) -> Tables:
    """The disturbed file, in four partitions."""
    return tables_of(disturbed_file, 4)


def test_the_report_comes_to_the_published_totals(straight: Tables) -> None:
    """Every column sum, exactly."""
    assert {column: column_sum(straight.rows(), column) for column in TOTALS} == TOTALS


def test_the_published_ratios_follow_from_the_sums(straight: Tables) -> None:
    """Service level, abandonment and speed of answer of all rows together: sums over sums, never a mean of ratios."""
    table = straight.table
    whole = Span(added(row.parts for row in table.rows))
    values = {column.name: column.value(whole, QueueRules()) for column in table.columns if column.name in RATIOS}
    assert {name: round(float(value or 0), 6) for name, value in values.items()} == RATIOS


def test_every_line_is_applied(straight: Tables) -> None:
    """None is late, invalid or taken for a duplicate."""
    assert straight.counted.read == EVENTS
    assert straight.counted.outcomes == {"applied": EVENTS, "duplicate": 0, "late": 0, "invalid": 0}
    assert straight.counted.complaints == []


def test_duplicated_lines_are_recognised(disturbed: Tables) -> None:
    """Each of the 5 % that stand there twice, and nothing else."""
    assert disturbed.counted.outcomes == {"applied": EVENTS, "duplicate": EVENTS // 20, "late": 0, "invalid": 0}


@pytest.mark.parametrize("by", BYS)
def test_a_disturbed_file_in_four_partitions_gives_the_same_bytes(straight: Tables, disturbed: Tables, by: By) -> None:
    """Order, duplicates and partitions leave no trace in any of the tables."""
    assert len(straight.rows(by)) > 1_500
    assert disturbed.csv[by] == straight.csv[by]


def test_a_disturbed_file_in_one_partition_gives_the_same_bytes(
    straight: Tables, disturbed_file: Path, tables_of: Callable[[Path, int], Tables]
) -> None:
    """All three tables again."""
    assert tables_of(disturbed_file, 1).csv == straight.csv


def test_a_disturbed_file_in_two_processes_gives_the_same_bytes(straight: Tables, disturbed_file: Path) -> None:
    """All three tables again, and the same outcomes."""
    together = Tables(disturbed_file, 1, jobs=2)
    assert together.csv == straight.csv
    assert together.counted.outcomes == {"applied": EVENTS, "duplicate": EVENTS // 20, "late": 0, "invalid": 0}


@pytest.mark.skipif(not is_made(), reason="the compiled core is not made (make native needs Rust)")
@pytest.mark.parametrize("jobs", [1, 2])
def test_the_compiled_core_gives_the_same_bytes(straight: Tables, disturbed_file: Path, jobs: int) -> None:
    """The disturbed file, in this process and in two: every table equals the straight one of the core in Python."""
    compiled = Tables(disturbed_file, 1, jobs=jobs, core="compiled")
    assert compiled.csv == straight.csv


def test_by_channel_there_is_only_voice(straight: Tables) -> None:
    """With the channel beside it, each row is the row of its queue."""
    rows = straight.rows("queue,channel")
    assert {row.pop("channel") for row in rows} == {"voice"}
    assert rows == straight.rows("queue")


def test_the_floor_holds_every_agent_once(straight: Tables) -> None:
    """What the agents took is what was answered; they are all in one group, so that is the floor."""
    rows = straight.rows("group")
    assert {row["group"] for row in rows} == {"all", "bank"}
    floor, bank = ([row for row in rows if row["group"] == group] for group in ("all", "bank"))
    assert column_sum(floor, "taken") == TOTALS["answered"]
    assert [row | {"group": ""} for row in floor] == [row | {"group": ""} for row in bank]
    assert column_sum(floor, "sessions_in_hand_s") == TOTALS["session_s"]


def calls_served(records: Path) -> dict[str, list[tuple[datetime, datetime, str]]]:
    """Return per agent (served, done, date) of each call that he took, from the raw records alone."""
    served: dict[str, list[tuple[datetime, datetime, str]]] = {}
    with gzip.open(records, "rt", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        rows.fieldnames = [name.strip() for name in rows.fieldnames or ()]
        for row in rows:
            if row["outcome"] != "AGENT":
                continue

            def at(column: str, after: datetime | None = None, row: dict[str, str] = row) -> datetime:
                found = datetime.strptime(f"19{row['date']} {row[column]}", "%Y%m%d %H:%M:%S").replace(tzinfo=ZoneInfo(ZONE))
                past_midnight = after is not None and found < after - timedelta(hours=12)
                return found + timedelta(days=1) if past_midnight else found

            entry = at("vru_entry")
            exited = at("vru_exit", entry)
            if row["q_start"] != "0:00:00" or row["q_time"] != "0":
                began = at("q_start", entry)
                exited = max(at("q_exit", began), began)
            start = end = exited
            if row["ser_start"] != "0:00:00" or row["ser_time"] != "0":
                start = max(at("ser_start", entry), exited)
                end = max(at("ser_exit", start), start)
            served.setdefault(row["server"], []).append((start, end, row["date"]))
    return served


def split_by_hour(spans: Iterable[tuple[datetime, datetime]]) -> dict[str, float]:
    """Return the seconds of some spans by the hour in which they lie."""
    seconds: dict[str, float] = {}
    for start, end in spans:
        while start < end:
            hour = start.replace(minute=0, second=0)
            until = min(end, hour + timedelta(hours=1))
            seconds[hour.isoformat()] = seconds.get(hour.isoformat(), 0) + (until - start).total_seconds()
            start = until
    return seconds


def joined(spans: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Return spans without overlaps."""
    found: list[tuple[datetime, datetime]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def test_occupancy_by_hour_equals_a_recount_of_the_raw_records(straight: Tables) -> None:
    """Time with a call over that and the time between calls, from an agent's first call of a day to the end of his last."""
    folder = os.environ["FLOORPULSE_BANK_DATA"]
    in_hand: dict[str, float] = {}
    on_duty: dict[str, float] = {}
    for calls in calls_served(Path(folder, "bank-calls-1999-02-first-half.tsv.gz")).values():
        by_date: dict[str, list[tuple[datetime, datetime]]] = {}
        for start, end, date in calls:
            by_date.setdefault(date, []).append((start, end))
        busy = joined((start, end) for start, end, _ in calls)
        shifts = joined((min(start for start, _ in spans), max(end for _, end in spans)) for spans in by_date.values())
        for total, spans in ((in_hand, busy), (on_duty, shifts)):
            for hour, seconds in split_by_hour(spans).items():
                total[hour] = total.get(hour, 0) + seconds
    rows = [row for row in csv.DictReader(io.StringIO(straight.csv[GROUP_HOURS])) if row["group"] == "all"]
    found = {row["interval_start"]: row["occupancy"] for row in rows if row["occupancy"]}
    assert len(found) > 200
    assert found == {hour: f"{in_hand.get(hour, 0) / seconds:.6f}" for hour, seconds in on_duty.items() if seconds}


def test_intervals_of_an_hour_hold_their_quarters(straight: Tables) -> None:
    """Counts of 60-minute rows are the sums of the quarter-hours in them."""
    sums: dict[tuple[str, str], int] = {}
    for row in straight.rows():
        hour = (row["queue"], row["interval_start"][:13])  # the zone's offset is whole hours
        sums[hour] = sums.get(hour, 0) + int(row["offered"])
    hours = list(csv.DictReader(io.StringIO(straight.csv[HOURS])))
    assert {(row["queue"], row["interval_start"][:13]): int(row["offered"]) for row in hours} == sums
