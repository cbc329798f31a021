"""`floorpulse report` on the command line: what it reads, what it writes, what it says of bad lines."""

from __future__ import annotations

import gzip
import os
import threading
from pathlib import Path

import pytest

from tests.builders import T0
from tests.command_line import Event, Run, call, is_one_line, lines_of, rows_of


def test_report_writes_the_table_to_standard_output(run: Run) -> None:
    """And what it read to stderr."""
    Path("e.jsonl").write_bytes(lines_of([*call("s", 5_000), *call("t", 21_000)]))
    done = run("report", "e.jsonl", "--zone", "Asia/Shanghai")
    assert done.status == 0
    (row,) = rows_of(done.out)
    assert (row["queue"], row["interval_start"]) == ("orders", "2026-11-21T22:00:00+08:00")
    assert (row["offered"], row["answered_within"], row["service_level"]) == ("2", "1", "0.500000")
    assert done.err == "4 lines read: 4 applied, 0 duplicate, 0 late, 0 invalid; 1 rows\n"


def test_a_report_does_not_write_over_what_it_reads(run: Run) -> None:
    """By whatever name the file is called; elsewhere what is there is replaced."""
    events = lines_of(call("s", 5_000))
    Path("e.jsonl").write_bytes(events)
    Path("link").symlink_to("e.jsonl")
    for name in ("e.jsonl", "./e.jsonl", "link"):
        done = run("report", "e.jsonl", "--out", name)
        assert (done.status, done.out, is_one_line(done.err)) == (2, "", True)
        assert f"--out {Path(name)} is one of the files that are read" in done.err.replace("./", "")
        assert Path("e.jsonl").read_bytes() == events
    Path("t.csv").write_text("old", encoding="utf-8")
    assert run("report", "e.jsonl", "--out", "t.csv").status == 0
    assert Path("t.csv").read_text(encoding="utf-8").startswith("queue,")


@pytest.mark.parametrize(
    ("by", "start"),
    [
        ("queue", "queue,interval_start,"),
        ("queue,channel", "queue,channel,interval_start,"),
        ("queue, channel", "queue,channel,interval_start,"),
        ("group", "group,interval_start,"),
    ],
)
def test_report_by_what_is_asked_for(run: Run, by: str, start: str) -> None:
    """Into a file, with the columns in order."""
    Path("e.jsonl").write_bytes(lines_of(call("s", 5_000)))
    done = run("report", "e.jsonl", "--by", by, "--out", "t.csv", "--interval", "60m")
    assert (done.status, done.out) == (0, "")
    assert Path("t.csv").read_text(encoding="utf-8").startswith(start)


def test_report_reads_several_files_compressed_or_not(run: Run) -> None:
    """As one input; empty lines are left out."""
    Path("a.jsonl").write_bytes(b"\n\n" + lines_of(call("s", 5_000)))
    Path("b.jsonl.gz").write_bytes(gzip.compress(lines_of([event | {"id": event["type"]} for event in call("t", 5_000)])))
    done = run("report", "a.jsonl", "b.jsonl.gz")
    assert rows_of(done.out)[0]["answered"] == "2"
    assert done.err.startswith("4 lines read: 4 applied")


def test_report_counts_bad_lines_and_says_what_is_wrong_with_the_first(run: Run) -> None:
    """They change nothing in the table."""
    naive = call("t", 5_000)[0] | {"at": "2026-11-21T14:00:00"}
    Path("e.jsonl").write_bytes(lines_of(call("s", 5_000)) + b"{nope\n5\n" + lines_of([naive]))
    done = run("report", "e.jsonl")
    assert done.status == 0
    assert [row["queue"] for row in rows_of(done.out)] == ["orders"]
    summary, *complaints = done.err.splitlines()
    assert summary == "5 lines read: 2 applied, 0 duplicate, 0 late, 3 invalid; 1 rows"
    assert sorted(complaint.split(": ")[1] for complaint in complaints) == ["naive_timestamp", "unparsable", "unparsable"]
    assert sorted(complaint.split(":")[0] for complaint in complaints) == [f"  e.jsonl line {number}" for number in (3, 4, 5)]


@pytest.mark.parametrize("extra", [{"agent_id": 12}, {"complaint_id": {"x": 1}}, {"queue": ["a"]}, {"type ": "x"}])
def test_report_ignores_unknown_fields_whatever_they_hold(run: Run, extra: Event) -> None:
    """A field that the event's type does not have is unknown, also where another type has one of that name."""
    ended = {"type": "session.ended", "session_id": "s", "ended_by": "agent", "at": T0 + 9_000}
    Path("e.jsonl").write_bytes(lines_of([*call("s", 5_000), ended | extra]))
    done = run("report", "e.jsonl")
    assert done.err.splitlines()[0].startswith("3 lines read: 3 applied")
    assert rows_of(done.out)[0]["ended"] == "1"


@pytest.mark.parametrize("core", ["python", "auto"])
def test_a_report_has_no_limit_of_a_sessions_events(run: Run, monkeypatch: pytest.MonkeyPatch, core: str) -> None:
    """Which is a worker's: `limits.milestones`."""
    monkeypatch.setenv("FLOORPULSE_LIMITS__MILESTONES", "10")
    monkeypatch.setenv("FLOORPULSE_WORKER__CORE", core)
    about = {"type": "session.message", "session_id": "s", "sender": "customer"}
    ended = {"type": "session.ended", "session_id": "s", "ended_by": "agent", "at": T0 + 9_000}
    Path("e.jsonl").write_bytes(lines_of([*call("s", 5_000), *[about] * 30, ended]))
    (row,) = rows_of(run("report", "e.jsonl").out)
    assert (row["messages_customer"], row["ended"]) == ("30", "1")


@pytest.mark.parametrize("year", [1990, 9987, 9990, 9999])
@pytest.mark.parametrize("by", ["queue", "group"])
def test_whatever_year_is_valid_has_its_rows(run: Run, by: str, year: int) -> None:
    """But for the last hours of the calendar."""
    started = {"type": "session.started", "session_id": "s", "queue": "q", "channel": "chat", "at": f"{year}-12-30T00:00:00Z"}
    status = {"type": "agent.status", "agent_id": "a", "status": "available", "at": f"{year}-12-30T00:00:00Z"}
    ended = {"type": "session.ended", "session_id": "s", "ended_by": "agent", "at": f"{year}-12-30T00:10:00Z"}
    Path("e.jsonl").write_bytes(lines_of([started, status, ended]))
    rows = rows_of(run("report", "e.jsonl", "--by", by, "--zone", "Etc/GMT-14").out)
    assert [row["interval_start"] for row in rows] == [f"{year}-12-30T14:00:00+14:00"] * (1 if by == "queue" else 2)


@pytest.mark.parametrize("wrong", ["2199-06-01T00:00:00Z", "9999-12-31T23:59:59.999Z"])
def test_time_of_more_than_a_hundred_years_is_refused(run: Run, wrong: str) -> None:
    """Who has not gone is there up to the newest event: a clock of the year 9999 would make 280 million rows."""
    status = {"type": "agent.status", "agent_id": "a", "status": "available"}
    Path("e.jsonl").write_bytes(lines_of([status, {"type": "site.visits", "count": 1, "at": wrong}]))
    done = run("report", "e.jsonl", "--by", "group")
    assert (done.status, done.out, is_one_line(done.err)) == (2, "", True)
    assert "from 2026-11-21T14:00:00Z to" in done.err
    assert f"{wrong[:10]}" in done.err
    assert run("report", "e.jsonl").status == 0


def test_report_of_nothing_is_a_header(run: Run) -> None:
    """An empty file is no error."""
    Path("e.jsonl").touch()
    done = run("report", "e.jsonl")
    assert (done.status, len(done.out.splitlines())) == (0, 1)


def test_report_into_a_folder_that_is_not_there_is_wrong_use(run: Run) -> None:
    """Said at the end of the option's value."""
    Path("e.jsonl").write_bytes(lines_of(call("s", 5_000)))
    done = run("report", "e.jsonl", "--out", "nowhere/t.csv")
    assert done.status == 2
    assert "nowhere/t.csv" in done.err


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("source", [["e.jsonl"], ["--live", "http://127.0.0.1:1"]])
@pytest.mark.parametrize("folder", ["folder", "folder/", ""])
def test_report_into_a_folder_is_wrong_use(run: Run, folder: str, source: list[str], form: str) -> None:
    """Told before anything is read or asked for, with the name of a file that would do."""
    Path("e.jsonl").write_bytes(b"{nope\n")
    Path("folder").mkdir()
    done = run("report", *source, "--out", folder, "--format", form)
    assert (done.status, done.out) == (2, "")
    assert done.err == f"floorpulse report: --out {folder!r} is a folder; name a file: --out {Path(folder, f'table.{form}')}\n"
    assert list(Path("folder").iterdir()) == []


@pytest.mark.parametrize("command", ["report", "produce"])
def test_a_file_that_is_named_gz_and_is_none_is_told(run: Run, command: str) -> None:
    """It is what its name says, or wrong use; an empty one has nothing in it either way."""
    Path("e.jsonl.gz").write_bytes(lines_of(call("s", 5_000)))
    done = run(command, "e.jsonl.gz")
    assert (done.status, done.out) == (2, "")
    told = "e.jsonl.gz is named .gz, but it is not gzip. If it is plain text, name it without .gz"
    assert done.err == f"floorpulse {command}: {told}\n"
    Path("e.jsonl.gz").write_bytes(b"")
    assert run("report", "e.jsonl.gz").status == 0


@pytest.mark.parametrize("packed", [False, True])
def test_report_reads_a_pipe(run: Run, packed: bool) -> None:
    """Which cannot go back to its beginning."""
    lines = lines_of(call("s", 5_000))
    Path("e.jsonl").write_bytes(lines)
    os.mkfifo("pipe")
    filling = threading.Thread(target=Path("pipe").write_bytes, args=(gzip.compress(lines) if packed else lines,))
    filling.start()
    done = run("report", "pipe")
    filling.join()
    assert (done.status, done.out) == (0, run("report", "e.jsonl").out)


@pytest.mark.parametrize("name", ["folder", "broken.jsonl.gz"])
def test_report_of_a_file_that_cannot_be_read_is_one_line(run: Run, name: str) -> None:
    """A folder, or a compressed file that is cut off: no traceback."""
    if name == "folder":
        Path(name).mkdir()
    else:
        Path(name).write_bytes(gzip.compress(lines_of(call("s", 5_000)) * 50)[:-30])
    done = run("report", name)
    assert done.status in (1, 2)
    assert is_one_line(done.err)
    assert name in done.err
