"""Reports in several shares and processes: the same table to the byte, and clear ends."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import pytest

from schemas.errors import FloorpulseError, JobFailed
from schemas.events import INPUT_TOPICS, TOPIC_OF
from schemas.instants import parse_instant
from schemas.rules import DAY_MS, Rules
from sinks.table import By, Choice
from streams import jobs as jobs_module
from streams import lines as lines_module
from streams import report as report_module
from streams.core.floor import Floor
from streams.jobs import BYTES_EACH, Job, Task, job_count
from streams.lines import PARTITIONER, read_lanes
from streams.report import Report, report
from streams.share import Share
from streams.shares import Here, Shares
from streams.simulator import Centre, Mess, encode, simulate
from tests.bench.processes import tree

START_MS: Final = 1_750_000_000_000
EVENTS: Final = 5_000
_TIMEOUT_S: Final = 60.0
_COMMAND: Final = "import signal; signal.signal(2, signal.default_int_handler); from streams.cli import main; main()"
"""A shell starts what it puts into the background with SIGINT ignored; tests may run there."""


@cache
def _lines() -> list[bytes]:
    centre = replace(Centre.default(queues=5, seed=3, rate=20.0), mess=Mess())
    return [encode(event) for _, _, _, event in islice(simulate(centre, START_MS, None), EVENTS)]


def _stretched(line: bytes) -> dict[str, Any] | None:
    """Return an event of a centre whose minutes last for days; None of a line without a time."""
    event: dict[str, Any] = json.loads(line)
    try:
        return {**event, "at": START_MS + (parse_instant(event["at"]) - START_MS) * 6_000}
    except (KeyError, FloorpulseError):
        return None


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A centre's mess in three files, one of them compressed, with lines that are no events."""
    folder = tmp_path_factory.mktemp("jobs")
    lines = list(_lines())
    for number in range(7, len(lines), 350):
        lines[number] = b'{"type":"queue.entered","id":"broken"'
    parts = [lines[: EVENTS // 3], lines[EVENTS // 3 : EVENTS // 2], lines[EVENTS // 2 :]]
    files = [folder / name for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl")]
    for file, part in zip(files, parts, strict=True):
        data = b"\n".join(part) + b"\n\n"
        file.write_bytes(gzip.compress(data) if file.suffix == ".gz" else data)
    return files


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A centre's events over two weeks, a fifth of them up to five days late: some are past their horizon."""
    rng = random.Random(5)
    sent: list[tuple[float, bytes]] = []
    for line in _lines():
        event = _stretched(line)
        if event is None:
            continue
        at = event["at"]
        sent.append((at + (rng.random() < 0.2) * rng.uniform(0, 5 * 86_400_000), json.dumps(event).encode()))
    file = tmp_path_factory.mktemp("long") / "events.jsonl"
    file.write_bytes(b"\n".join(line for _, line in sorted(sent)))
    return file


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many batches and flushes."""
    monkeypatch.setattr(lines_module, "BATCH_LINES", 100)
    monkeypatch.setattr(report_module, "FLUSH_LINES", 400)


def shown(made: Report) -> tuple[str, int, dict[str, int], list[str]]:
    """Return all that a report says."""
    text = io.StringIO()
    made.table.write_csv(text)
    return text.getvalue(), made.read, made.outcomes, made.complaints


def test_processes_come_to_the_same_bytes(files: list[Path]) -> None:
    """Table, outcomes and complaints are those of one process, by queue and channel and by group."""
    for by, jobs in (("queue,channel", 3), ("group", 2)):
        alone = shown(report(files, Rules(), Choice(by=by)))  # type: ignore[arg-type]  # a pair's members are known
        assert shown(report(files, Rules(), Choice(by=by), jobs=jobs)) == alone  # type: ignore[arg-type]
        assert len(alone[0].splitlines()) > 5
        assert alone[2]["invalid"] > 10
        assert alone[2]["duplicate"] > 10


@pytest.mark.parametrize("by", ["queue,channel", "group"])
def test_what_is_late_and_forgotten_does_not_depend_on_the_shares(long_file: Path, by: By) -> None:
    """Two weeks with late events: five shares agree with one on each outcome, and on the table."""
    alone = shown(report([long_file], Rules(), Choice(by=by)))
    assert alone[2]["late"] > 50
    assert shown(report([long_file], Rules(), Choice(by=by), partitions=5)) == alone


@pytest.mark.parametrize("by", ["queue,channel", "group"])
def test_files_that_cover_the_same_days_may_come_in_any_order(tmp_path: Path, by: By) -> None:
    """One file for each topic, of two weeks: whichever is read first nothing is late, and the table is that of one file."""
    events = [event for line in _lines() if (event := _stretched(line)) is not None]
    events.sort(key=itemgetter("at"))
    topics = {topic: [event for event in events if TOPIC_OF.get(event["type"]) == topic] for topic in INPUT_TOPICS}
    files: dict[str, Path] = {}
    for name, chosen in {"all": events, **topics}.items():
        files[name] = tmp_path / f"{name}.jsonl"
        files[name].write_bytes(b"\n".join(json.dumps(event).encode() for event in chosen))
    whole = shown(report([files["all"]], Rules(), Choice(by=by)))
    for order in (INPUT_TOPICS, INPUT_TOPICS[::-1]):
        assert shown(report([files[topic] for topic in order], Rules(), Choice(by=by)))[:3] == whole[:3]
    assert whole[2]["late"] == 0


_OF_2099: Final = b'{"type":"site.visits","id":"v","at":4080000000000,"count":1}'


@pytest.mark.parametrize(("where", "line"), [("first", b"?"), ("last", b"?"), ("first", _OF_2099), ("last", _OF_2099)])
def test_lines_without_a_time_or_with_a_wrong_one_hide_no_time_of_a_file(tmp_path: Path, where: str, line: bytes) -> None:
    """Two files of the same two weeks, the second with such lines where its time is looked for: nothing is late."""
    events = [event for line in _lines() if (event := _stretched(line)) is not None]
    events.sort(key=itemgetter("at"))
    parts = [[json.dumps(event).encode() for event in events[number::2]] for number in (0, 1)]
    second = parts[1]
    if where == "first":
        second[:0] = [line] * (150 if line == b"?" else 1)
    else:
        for place in range(99, len(second), 100):
            second.insert(place, line)
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for file, part in zip(files, parts, strict=True):
        file.write_bytes(b"\n".join(part))
    outcomes = report(files, Rules(), Choice()).outcomes
    assert outcomes["late"] == 0
    assert outcomes["applied"] > 4_000


def test_all_shares_know_the_watermark_that_one_knows(files: list[Path]) -> None:
    """After each flush, though it moves by less than what they announce by themselves: so agents' history closes alike."""
    known: list[list[set[int | None]]] = []
    for number in (1, 4):
        parts = [Share(place, number, Rules(partitioner=PARTITIONER), ("queue", "group"), "python") for place in range(number)]
        shares = Shares([Here(part) for part in parts])
        floors = [part._floor for part in parts if isinstance(part._floor, Floor)]
        marks = []
        for lanes in chain.from_iterable(read_lanes(file, number) for file in files):
            shares.take({place: lane for place, lane in lanes.items() if place[1] in ("sessions", "queues")})
            shares.flush()
            marks.append({floor.expiry.least_mark for floor in floors})
        known.append(marks)
    alone, together = known
    assert together == alone
    assert len({mark for marks in alone for mark in marks}) > 5


def test_limits_of_a_partition_do_not_show(files: list[Path]) -> None:
    """A report has rows for all queues, and knows all ids, whatever a worker's partition may keep."""
    rules = Rules(max_cells=2, max_ids=1_000)
    alone = shown(report(files, Rules(), Choice()))
    assert len({line.split(",")[0] for line in alone[0].splitlines()[1:]} - {"overflow"}) > 3
    assert [shown(report(files, rules, Choice(), partitions=shares)) for shares in (1, 4)] == [alone, alone]


def test_every_ended_session_of_a_customer_settles(tmp_path: Path) -> None:
    """A report resolves or repeats all contacts of an id that many share, where a worker keeps the last few only."""
    file, last = tmp_path / "guest.jsonl", START_MS + 3 * DAY_MS
    events: list[dict[str, Any]] = [{"id": "last", "type": "site.visits", "at": last, "count": 1}]
    for number in range(50):
        at, session = START_MS + number * 20_000, f"s{number}"
        fields = {"channel": "chat", "queue": "orders", "customer_id": "guest"}
        events.append({"id": "a", "type": "session.started", "at": at, "session_id": session, **fields})
        events.append({"id": "b", "type": "session.ended", "at": at + 10_000, "session_id": session, "ended_by": "agent"})
    file.write_bytes(b"\n".join(json.dumps(event).encode() for event in sorted(events, key=itemgetter("at"))))
    text = io.StringIO()
    report([file], Rules(max_contacts=10), Choice()).table.write_csv(text)
    rows = list(csv.DictReader(io.StringIO(text.getvalue())))
    parts = ("known_started", "repeat_contacts", "fcr_contacts", "fcr_resolved")
    assert [sum(int(row[part]) for row in rows) for part in parts] == [50, 49, 50, 1]


def test_complaints_are_the_first_in_the_order_of_the_lines(files: list[Path]) -> None:
    """File and line of each, for any number of shares."""
    complaints = report(files, Rules(), Choice(), partitions=3).complaints
    assert len(complaints) == 10
    places = [(each.split()[0], int(each.split()[2].rstrip(":"))) for each in complaints]
    assert places == sorted(places)
    assert places[0][0] == "a.jsonl"
    assert ("a.jsonl", 8) in places
    with files[0].open("rb") as file:
        lines = file.read().splitlines()
    assert lines[7] == b'{"type":"queue.entered","id":"broken"'


def test_a_file_that_breaks_off_ends_all_processes(files: list[Path], tmp_path: Path) -> None:
    """The error is the one that a single process gives, and no process is left."""
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(files[1].read_bytes()[:-20])
    with pytest.raises(FloorpulseError, match="cannot be read beyond line") as alone:
        report([files[0], cut], Rules(), Choice())
    with pytest.raises(FloorpulseError) as together:
        report([files[0], cut], Rules(), Choice(), jobs=2)
    assert str(together.value) == str(alone.value)
    assert len(tree(os.getpid())) == 1


def test_a_fault_in_a_process_is_told_by_place_and_not_by_value() -> None:
    """Type and place stand in the error, the traceback is its cause."""
    task = Task(1, 2, Rules(), ("no such dimension",), "auto")  # type: ignore[arg-type]  # the fault
    words = r"process 2 of 2 \(--jobs\) failed: unexpected KeyError in share.py:\d+"
    with pytest.raises(JobFailed, match=words) as failed, Job(task) as job:
        Shares([job]).flush()
    assert "no such dimension" not in str(failed.value)
    assert "Traceback" in str(failed.value.__cause__)


def test_few_bytes_are_not_worth_a_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One process for little text, at most one per core for much; compressed text counts for what it is."""
    monkeypatch.setattr(jobs_module, "cores", lambda: 4)
    file, small = tmp_path / "large.jsonl", tmp_path / "small.jsonl"
    with file.open("wb") as large:
        large.truncate(2 * BYTES_EACH)
    small.write_bytes(b"{}\n")
    assert job_count([small]) == 1
    assert job_count([tmp_path / "missing.jsonl"]) == 1
    assert job_count([file, small]) == 2
    assert job_count([file] * 100) == 4
    assert job_count([file.rename(tmp_path / "large.jsonl.gz")]) == 4


@contextmanager
def running(tmp_path: Path, jobs: int) -> Iterator[subprocess.Popen[str]]:
    """Run a report that takes long, up to where its processes have begun."""
    file = tmp_path / "much.jsonl"
    with file.open("wb") as much:
        for _ in range(40):
            much.write(b"\n".join(_lines()) + b"\n")
    command = [sys.executable, "-c", _COMMAND, "report", str(file), "--jobs", str(jobs)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
                               env={**os.environ, "FLOORPULSE_WORKER__CORE": "python"})  # fmt: skip
    deadline = time.monotonic() + _TIMEOUT_S
    while len(tree(process.pid)) <= jobs:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield process
    process.kill()
    process.communicate()


def all_gone(pids: list[int]) -> bool:
    """Tell whether processes end within a while."""
    deadline = time.monotonic() + _TIMEOUT_S
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
class TestEnds:
    """How a report with processes of its own ends early."""

    def test_ctrl_c_ends_all_processes_without_a_word(self, tmp_path: Path) -> None:
        """The terminal's SIGINT goes to the whole group: status 130, nothing on stderr, no process left."""
        with running(tmp_path, 2) as process:
            pids = tree(process.pid)
            os.killpg(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=_TIMEOUT_S)
        assert (process.returncode, out, err) == (130, "", "")
        assert all_gone(pids)

    def test_a_process_that_dies_is_one_line_and_status_1(self, tmp_path: Path) -> None:
        """As the kernel does it where memory is short: who, how, and that there is no table."""
        with running(tmp_path, 2) as process:
            pids = tree(process.pid)
            os.kill(pids[-1], signal.SIGKILL)
            out, err = process.communicate(timeout=_TIMEOUT_S)
        assert (process.returncode, out) == (1, "")
        assert err.startswith("floorpulse report: process ")
        assert "was ended by SIGKILL; no table was made" in err
        assert err.count("\n") == 1
        assert all_gone(pids)

    def test_processes_end_when_their_report_is_killed(self, tmp_path: Path) -> None:
        """Nothing told them to: they read that nobody talks to them any more."""
        with running(tmp_path, 2) as process:
            pids = tree(process.pid)
            process.kill()
            process.wait(_TIMEOUT_S)
            assert all_gone(pids[1:])
            assert process.stderr is not None
            assert process.stderr.read() == ""


def test_a_repeated_id_of_the_next_hour_is_a_repetition(tmp_path: Path) -> None:
    """Its time is asked for long after the flush in which it came, although a report keeps no entries."""
    lines = [b'{"id":"1","type":"queue.entered","at":"2026-11-21T09:59:55Z","session_id":"s","queue":"q"}']
    lines += [b'{"id":"m%d","type":"session.message","at":"2026-11-21T09:59:56Z","session_id":"s","sender":"customer"}' % n
              for n in range(1_000)]  # fmt: skip
    lines.append(lines[0].replace(b"09:59:55", b"10:00:05"))
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(lines))
    for jobs in (1, 2):
        assert report([file], Rules(), Choice(by="queue"), jobs=jobs).outcomes["duplicate"] == 1
