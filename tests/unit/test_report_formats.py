"""`floorpulse report` and `explain` from the command line: Parquet, comparison, a running board, errors in one line."""

from __future__ import annotations

import csv
import io
import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow.parquet
import pytest

from schemas.rules import Rules
from sinks.describe import as_bytes
from sinks.explain import Explainer, Question
from sinks.merge import Merge
from sinks.snapshot import Snapshots
from sinks.table import choose, interval_table
from streams import cli
from tests.builders import T0, Publisher, feed

WEEK = 7 * 86_400_000
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Return a function that runs a command line in an empty folder: status, output, errors."""
    monkeypatch.chdir(tmp_path)

    def run_it(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["floorpulse", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert isinstance(stop.value.code, int)
        return stop.value.code, *capsys.readouterr()

    return run_it


class _Board(BaseHTTPRequestHandler):
    """As much of a board as the command line asks."""

    server_version, sys_version = "floorpulse", ""

    def version_string(self) -> str:
        return "floorpulse"

    def do_GET(self) -> None:
        merge = feed(Merge(Rules(live=True)), _worker().records)
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        status = 200
        if self.path.startswith("/api/v1/intervals"):
            choice = choose(query["interval"], query["by"], query.get("zone"), query.get("compare"))
            table = interval_table(merge, T0, choice)
            text = io.StringIO()
            table.write_csv(text)
            body = as_bytes(table.as_json()) if query["format"] == "json" else text.getvalue().encode()
        elif query["kpi"] != "answered":
            status, body = 404, b"unknown kpi 'x': the nearest is 'y'\n"
        else:
            snapshots = Snapshots(merge, (300_000,))
            snapshot = snapshots.take(T0, ready=True, readings_age_ms={0: 10})
            body = as_bytes(Explainer(merge, snapshots.windows, snapshot).explain(Question(**query)))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name is the library's
        del format, args


def _worker() -> Publisher:
    worker = Publisher().count("orders", T0 - WEEK, answered=4).count("orders", T0, answered=5)
    worker.flush(T0)
    return worker


@pytest.fixture
def board() -> Iterator[str]:
    """The address of something that answers as a board does."""
    server = HTTPServer(("127.0.0.1", 0), _Board)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def write_events(at: int, count: int, name: str) -> None:
    """Write a file of waits that were answered."""
    lines = []
    for number in range(count):
        session, when = f"{at}-{number}", at + 1000 * number
        lines.append({"id": f"{session}e", "type": "queue.entered", "at": when, "session_id": session, "queue": "orders"})
        lines.append({"id": f"{session}l", "type": "queue.left", "at": when + 500, "session_id": session, "queue": "orders",
                      "outcome": "answered"})  # fmt: skip
    Path(name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def test_a_report_of_files_is_compared_with_the_week_before(run: Run) -> None:
    """Ten answered, eight a week ago at the same time."""
    write_events(T0 - WEEK, 8, "a.jsonl")
    write_events(T0, 10, "b.jsonl")
    status, out, _ = run("report", "a.jsonl", "b.jsonl", "--compare", "week")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert (status, rows[-1]["answered"], rows[-1]["answered_change"]) == (0, "10", "0.250000")


def test_a_report_can_be_parquet(run: Run) -> None:
    """The same table with types, to a file."""
    write_events(T0, 3, "a.jsonl")
    status, _, err = run("report", "a.jsonl", "--format", "parquet", "--out", "t.parquet")
    assert status == 0, err
    (row,) = pyarrow.parquet.read_table("t.parquet").to_pylist()
    assert (row["queue"], row["answered"], row["speed_of_answer"]) == ("orders", 3, 0.5)


def test_a_live_report_is_compared_and_written_as_parquet(run: Run, board: str) -> None:
    """What the board answers, as CSV or with the types that it tells."""
    status, out, err = run("report", "--live", board, "--compare", "week")
    assert status == 0, err
    assert list(csv.DictReader(io.StringIO(out)))[-1]["answered_change"] == "0.250000"
    status, _, err = run("report", "--live", board, "--compare", "week", "--format", "parquet", "--out", "t.parquet")
    assert status == 0, err
    last = pyarrow.parquet.read_table("t.parquet").to_pylist()[-1]
    assert (last["answered"], last["answered_change"], last["ring_time"]) == (5, 0.25, None)


def test_parquet_without_its_library_is_told_with_the_remedy(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is read: what, and how to get it."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    status, _, err = run("report", "nowhere.jsonl", "--format", "parquet", "--out", "t.parquet")
    remedy = "--format parquet needs pyarrow, which is not installed: pip install 'floorpulse[parquet]'"
    assert (status, err) == (2, f"floorpulse report: {remedy}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "xlsx"], "--format 'xlsx' is not one of csv, parquet"),
        (["--compare", "month"], "compare 'month' is not week"),
    ],
)
def test_wrong_choices_of_a_report_are_wrong_use(run: Run, arguments: list[str], message: str) -> None:
    """One line, status 2."""
    status, _, err = run("report", "a.jsonl", *arguments)
    assert (status, err) == (2, f"floorpulse report: {message}\n")


def test_a_number_is_explained_on_the_console(run: Run, board: str) -> None:
    """In words, in numbers, by partition; or as JSON."""
    status, out, err = run("explain", "--url", board, "--kpi", "answered", "--queue", "orders", "--window", "7d")
    assert status == 0, err
    assert "value       5\n" in out
    assert "part        answered = 5 = 5 (p0)\n" in out
    assert max(map(len, out.splitlines())) <= 80
    status, out, _ = run("explain", "--url", board, "--kpi", "answered", "--queue", "orders", "--json")
    assert (status, json.loads(out)["value"]) == (0, 5)


def test_what_the_board_does_not_know_is_wrong_use(run: Run, board: str) -> None:
    """The board's line, status 2."""
    status, _, err = run("explain", "--url", board, "--kpi", "x")
    assert (status, err) == (2, "floorpulse explain: unknown kpi 'x': the nearest is 'y'\n")


def test_a_board_that_does_not_answer_is_told(run: Run) -> None:
    """One line with the remedy, status 1; an address that is none, status 2."""
    status, _, err = run("explain", "--url", "http://127.0.0.1:1", "--kpi", "answered")
    assert status == 1
    assert "cannot ask the board at http://127.0.0.1:1/api/v1/explain" in err
    assert err.count("\n") == 1
    status, _, err = run("explain", "--url", "ftp://x", "--kpi", "answered")
    assert status == 2
    assert "--url 'ftp://x' is not an http or https address" in err
