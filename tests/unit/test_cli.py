"""The command line: help, exit statuses, one-line errors, and the commands that need neither Kafka nor a board."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest

from schemas.codec import decode_batch
from schemas.config import Config
from schemas.errors import InvalidEvent
from schemas.kpis import CATALOGUE
from streams import cli, simulation
from streams import produce as produce_module
from tests.builders import T0

COMMANDS = [
    "demo", "worker", "board", "topics", "simulate", "produce", "report", "explain", "check-config", "kpis", "purge", "rebuild",
    "rules", "schema",
]  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]
HELD = {"type": "session.held", "session_id": "s", "agent_id": "a"}
Event = dict[str, Any]


class Done(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Return a function that runs a command line in an empty folder and without settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("FLOORPULSE_"):
            monkeypatch.delenv(name)

    def run_it(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["floorpulse", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        assert isinstance(stop.value.code, int)
        return Done(stop.value.code, out, err)

    return run_it


def lines_of(events: list[Event]) -> bytes:
    """Return JSON Lines of events, which get ids and, where they have none, times."""
    numbered = [{"id": f"e{n}", "at": T0 + n, **event} for n, event in enumerate(events)]
    return b"".join(json.dumps(event, ensure_ascii=False).encode() + b"\n" for event in numbered)


def call(session: str, wait_ms: int, queue: str = "orders") -> list[Event]:
    """Return one answered wait."""
    about = {"session_id": session, "queue": queue}
    return [
        {"type": "queue.entered", "channel": "voice", "at": T0, **about},
        {"type": "queue.left", "outcome": "answered", "at": T0 + wait_ms, **about},
    ]


def is_one_line(text: str) -> bool:
    """Tell whether a text is one line, and no traceback."""
    return text.count("\n") == 1 and text.endswith("\n") and "Traceback" not in text


# ---- help and exit statuses


def test_there_are_the_commands_of_the_specification() -> None:
    """Each once."""
    names = [command.name or (command.callback.__name__ if command.callback else "") for command in cli.app.registered_commands]
    assert sorted(names) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(run: Run, command: str) -> None:
    """With the command's own name; status 0, nothing on stderr."""
    done = run(command, "--help")
    assert (done.status, done.err) == (0, "")
    assert f"Example: floorpulse {command}" in done.out


def test_help_of_all_lists_every_command(run: Run) -> None:
    """With an example that needs nothing."""
    done = run("--help")
    assert done.status == 0
    assert [command for command in COMMANDS if command not in done.out] == []
    assert "Example: floorpulse demo" in done.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["raport"], ["raport", "See: floorpulse --help"]),
        (["report", "--intervall", "15m"], ["floorpulse report", "--intervall", "See: floorpulse report --help"]),
        (["report"], ["either files or --live"]),
        (["report", "x.jsonl", "--live", "http://127.0.0.1:1"], ["either files or --live"]),
        (["report", "nowhere.jsonl"], ["nowhere.jsonl", "No such file"]),
        (["report", "nowhere.jsonl", "--interval", "7m"], ["'7m'", "15m, 30m, 60m"]),
        (["report", "nowhere.jsonl", "--by", "agent"], ["'agent'", "queue,channel"]),
        (["report", "nowhere.jsonl", "--zone", "Mars"], ["Mars", "IANA"]),
        (["report", "--live", "ftp://x"], ["ftp://x", "http"]),
        (["produce"], ["FILE", "See: floorpulse produce --help"]),
        (["produce", "nowhere.jsonl"], ["nowhere.jsonl"]),
        (["produce", "x", "--speed", "quick"], ["'quick'", "max"]),
        (["simulate", "--out", "e.jsonl"], ["--duration"]),
        (["simulate", "--out", "e.jsonl", "--duration", "soon"], ["--duration", "'soon'", "20s"]),
        (["simulate", "--out", "e.jsonl", "--duration", "1s", "--start", "noon"], ["--start", "'noon'"]),
        (["simulate", "--queues", "0"], ["--queues", "equal to 1"]),
        (["topics", "--partitions", "0"], ["--partitions", "equal to 1"]),
        (["check-config", "--config", "nowhere.yaml"], ["nowhere.yaml"]),
        (["worker", "--config", "nowhere.yaml"], ["nowhere.yaml"]),
        (["demo", "--speed", "0"], ["--speed", "above 0"]),
        (["demo", "--speed", "nan"], ["--speed nan", "above 0"]),
        (["demo", "--speed", "inf"], ["--speed inf", "above 0"]),
        (["demo", "--duration", "0s"], ["--duration '0s'", "10m"]),
        (["simulate", "--duration", "0s"], ["--duration '0s'", "10m"]),
        (["simulate", "--out", "e.jsonl", "--duration", "0.1ms"], ["--duration '0.1ms'", "10m"]),
        (["explain", "--kpi", "waiting", "--url", "http://127.0.0.1:1/ö x"], ["--url", "'/ö x'", "/%C3%B6%20x"]),
        (["explain", "--kpi", "waiting", "--url", "http://a b:1"], ["--url", "'http://a b:1'", "http://127.0.0.1:9464"]),
        (["explain", "--kpi", "waiting", "--url", "http://127.0.0.1:port"], ["--url", "http://127.0.0.1:9464"]),
        (["explain", "--kpi", "waiting", "--url", "http://127.0.0.1:99999"], ["--url", "http://127.0.0.1:9464"]),
        (["explain", "--kpi", "waiting", "--url", "http://\udcff:x@127.0.0.1:1"], ["--url", "http://127.0.0.1:9464"]),
        (["explain", "--kpi", "\udcff"], [r"'\udcff'", "UTF-8"]),
        (["report", "--live", "http://127.0.0.1:1/a b"], ["--live", "'/a b'", "/a%20b"]),
        (["dead-letters", "show", "0@" + "9" * 5000], ["PARTITION@OFFSET", "3@17"]),
        (["dead-letters", "show", "9" * 5000 + "@1"], ["PARTITION@OFFSET", "3@17"]),
        (["dead-letters", "show", "0@9223372036854775808"], ["PARTITION@OFFSET", "3@17"]),
        (["topics", "--create", "--replication", "99999999"], ["--replication", "32767", "See: floorpulse topics --help"]),
        (["purge", "--customer", "\udcff"], ["--customer", r"'\udcff'", "UTF-8"]),
        (["topics", "--prefix", "a b"], ["kafka.topic_prefix", "'a b'"]),
        (["rebuild", "--from", "a", "--prefix", "b/"], ["kafka.topic_prefix", "'b/'"]),
        (["rebuild", "--from", "a b", "--prefix", "c"], ["kafka.topic_prefix", "'a b'"]),
        (["worker", "--listen", "garbage"], ["worker.listen", "'garbage'", "127.0.0.1:9465"]),
        (["worker", "--listen", "host:" + "9" * 5000], ["worker.listen", "127.0.0.1:9465"]),
    ],
)
def test_wrong_use_is_one_line_on_stderr_and_status_2(run: Run, arguments: list[str], words: list[str]) -> None:
    """What, which value, and where to look; nothing on stdout."""
    done = run(*arguments)
    assert (done.status, done.out) == (2, "")
    assert is_one_line(done.err)
    assert done.err.startswith("floorpulse")
    assert [word for word in words if word not in done.err] == []


def test_a_bad_configuration_is_status_2(run: Run) -> None:
    """Of every command that reads one."""
    Path("floorpulse.yaml").write_text("znoe: UTC\n", encoding="utf-8")
    Path("e.jsonl").write_bytes(lines_of(call("s", 5)))
    for command in (["check-config"], ["report", "e.jsonl"]):
        done = run(*command)
        assert (done.status, done.out) == (2, "")
        assert is_one_line(done.err)
        told = "floorpulse: floorpulse.yaml line 1: unknown key znoe; did you mean zone? All keys: floorpulse check-config --keys\n"
        assert done.err == told


def test_a_board_that_does_not_answer_is_status_1(run: Run) -> None:
    """It failed, though it was asked rightly."""
    done = run("report", "--live", "http://127.0.0.1:1")
    assert (done.status, done.out) == (1, "")
    assert is_one_line(done.err)
    assert "http://127.0.0.1:1" in done.err


def test_kafka_that_does_not_answer_is_status_1(tmp_path: Path) -> None:
    """With the address that was tried, the setting that it stands in, how often, and why."""
    (tmp_path / "e.jsonl").write_bytes(lines_of(call("s", 5)))
    environment = {**os.environ, "FLOORPULSE_KAFKA__BOOTSTRAP": "127.0.0.1:1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", "produce", "e.jsonl"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert re.fullmatch(
        r"floorpulse produce: cannot reach Kafka at 127\.0\.0\.1:1 \(kafka\.bootstrap; \d+ tries in 3 s: connection refused\)\. "
        r"Check that the broker runs and that its advertised listener is reachable from here\. Without Kafka: floorpulse demo",
        done.stderr.splitlines()[-1],
    )
    assert "Traceback" not in done.stderr


def test_a_fault_of_our_own_is_one_line_without_what_it_was_working_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Type and place, so that it can be reported; an agent's name in a KeyError stays untold. --debug shows all."""

    def fail(*_: object) -> None:
        raise KeyError("anna.lee")

    monkeypatch.setattr(simulation, "run_simulation", fail)
    done = run("simulate", "--out", "e.jsonl", "--duration", "1s")
    assert (done.status, is_one_line(done.err)) == (1, True)
    assert re.match(r"floorpulse simulate: unexpected KeyError in test_cli\.py:\d+ fail: a fault of floorpulse", done.err)
    assert "anna" not in done.err
    shown = run("simulate", "--debug")
    assert (shown.status, shown.err.splitlines()[-1]) == (1, "KeyError: 'anna.lee'")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["report", "nowhere.jsonl"], 2),
        (["report", "--nope"], 2),
        (["check-config", "--config", "nowhere.yaml"], 2),
        (["report", "--live", "http://127.0.0.1:1"], 1),
    ],
)
def test_debug_shows_the_traceback_and_leaves_the_status(run: Run, arguments: list[str], status: int) -> None:
    """Wrong use and bad configuration stay 2, also for scripts that ask for more."""
    done = run("--debug", *arguments)
    assert done.err.startswith("Traceback (most recent call last):\n")
    assert done.status == run(*arguments).status == status


def in_a_shell(folder: Path, line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of the shell in which `$floorpulse` is the command line."""
    command = f"{sys.executable} -m streams.cli"
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "floorpulse": command, **environment}
    return subprocess.run(["bash", "-c", line], cwd=folder, env=settings, capture_output=True, check=False)


@pytest.mark.parametrize("command", ["report e.jsonl", "simulate --out - --duration 10s"])
def test_a_closed_output_is_no_fault(tmp_path: Path, command: str) -> None:
    """What would have been written goes nowhere."""
    (tmp_path / "e.jsonl").write_bytes(lines_of(call("s", 5)))
    for closed in (">&-", ">&- 2>&-"):
        done = in_a_shell(tmp_path, f"$floorpulse {command} {closed}")
        assert (done.returncode, b"fault" in done.stderr) == (0, False)


def test_whoever_reads_only_the_beginning_makes_nothing_fail(tmp_path: Path) -> None:
    """As in `| head`: status 0, and silence."""
    done = in_a_shell(tmp_path, "set -o pipefail; $floorpulse simulate --out - --duration 30m | head -c 10 >/dev/null")
    assert (done.returncode, done.stderr) == (0, b"")


def test_tables_are_utf_8_whatever_the_locale_says(tmp_path: Path) -> None:
    """Names are of any script."""
    (tmp_path / "e.jsonl").write_bytes(lines_of(call("s", 5, queue="投诉")))
    done = in_a_shell(tmp_path, "$floorpulse report e.jsonl", PYTHONIOENCODING="latin-1")
    assert done.returncode == 0
    assert done.stdout.decode().splitlines()[1].startswith("投诉,")


# ---- kpis, check-config


def test_kpis_as_json_is_the_catalogue(run: Run) -> None:
    """Each indicator with its definition, unit and target."""
    done = run("kpis", "--json")
    assert (done.status, done.err) == (0, "")
    rows = json.loads(done.out)
    assert [row["id"] for row in rows] == [kpi.id for kpi in CATALOGUE]
    assert all(row["definition"] and row["unit"] for row in rows)
    assert {row["id"]: row["target"] for row in rows}["service_level"] == "0.80 within 20 s"


@pytest.mark.parametrize("columns", ["", "10", "80", "220"])
def test_kpis_as_a_table_cuts_nothing(run: Run, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    """Where it is no terminal each indicator is a line, whatever width the environment names: it can be searched."""
    monkeypatch.setenv("COLUMNS", columns)
    done = run("kpis")
    assert done.status == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.out.splitlines()[3:-1]]
    assert [tuple(row[:2]) for row in rows] == [(kpi.id, kpi.definition) for kpi in CATALOGUE]


def test_kpis_as_a_table_keeps_its_ids_on_a_narrow_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """There the other columns are broken into lines."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    done = run("kpis")
    assert [kpi.id for kpi in CATALOGUE if kpi.id not in done.out] == []
    assert "…" not in done.out


@pytest.mark.parametrize("command", [["kpis"], ["schema"], ["explain", "--kpi", "waiting", "--url", "http://127.0.0.1:1"]])
def test_commands_that_need_no_configuration_take_one_and_check_it(run: Run, command: list[str]) -> None:
    """`--config` is understood everywhere."""
    Path("good.yaml").write_text("zone: UTC\n", encoding="utf-8")
    Path("bad.yaml").write_text("znoe: UTC\n", encoding="utf-8")
    assert run(*command, "--config", "good.yaml") == run(*command)
    done = run(*command, "--config", "bad.yaml")
    assert (done.status, done.out) == (2, "")
    assert "bad.yaml line 1: unknown key znoe" in done.err


def test_check_config_prints_what_holds_with_secrets_masked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """File, environment and defaults together."""
    monkeypatch.setenv("FLOORPULSE_KAFKA__SASL_PASSWORD", "hunter2")
    Path("c.yaml").write_text("zone: Asia/Tokyo\n", encoding="utf-8")
    done = run("check-config", "--config", "c.yaml")
    assert (done.status, done.err) == (0, "")
    assert "zone: Asia/Tokyo" in done.out
    assert "hunter2" not in done.out
    assert "********" in done.out


def test_check_config_lists_all_keys(run: Run) -> None:
    """One a line, with the default."""
    done = run("check-config", "--keys")
    assert done.status == 0
    found = {line.split()[0]: line.split()[1] for line in done.out.splitlines()}
    assert (found["time.lateness"], found["kafka.topic_prefix"]) == ("1m", "floorpulse.")


# ---- report


def rows_of(text: str) -> list[dict[str, str]]:
    """Return the rows of a CSV."""
    return list(csv.DictReader(io.StringIO(text)))


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


# ---- produce


class Collected:
    """Stands in for the connection to Kafka: keeps what would be sent."""

    sent = 0

    def __init__(self, config: Config) -> None:
        self.config = config
        self.records: list[tuple[str, bytes, bytes]] = []
        self.ended_at: int | None = None
        made.append(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        return None

    async def send(self, topic: str, key: bytes, value: bytes) -> None:
        """Keep a record."""
        self.records.append((topic, key, value))
        self.sent += 1

    async def flush(self) -> None:
        """Have nothing in flight."""

    async def end_input(self, at_ms: int) -> None:
        """Keep the time of the markers."""
        self.ended_at = at_ms


made: list[Collected] = []


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Collected]:
    """The connections that `produce` makes, none of them to a broker."""
    made.clear()
    monkeypatch.setattr(produce_module, "Sender", Collected)
    return made


def test_produce_sends_each_line_to_its_topic_under_its_key(run: Run, sent: list[Collected]) -> None:
    """Bytes as they stand in the file; at the end markers with the newest time."""
    events = [*call("s", 5_000), {"type": "agent.status", "agent_id": "a", "status": "away"}, {"type": "site.visits", "count": 1}]
    Path("e.jsonl").write_bytes(lines_of(events))
    done = run("produce", "e.jsonl")
    assert (done.status, done.out) == (0, "")
    lines = Path("e.jsonl").read_bytes().splitlines()
    routes = [("queues", b"s"), ("queues", b"s"), ("status", b"a"), ("business", b"")]
    assert sent[0].records == [(*route, line) for route, line in zip(routes, lines, strict=True)]
    assert sent[0].ended_at == T0 + 5_000
    assert done.err == "4 events sent; last line: e.jsonl --from-line 4\n"


def test_produce_stops_at_the_first_bad_line(run: Run, sent: list[Collected]) -> None:
    """One line: file, number, what is wrong, and how to go on; what came before it is sent, nothing is ended."""
    Path("e.jsonl").write_bytes(lines_of(call("s", 5_000)) + b"\n{nope\n" + lines_of([HELD]))
    done = run("produce", "e.jsonl")
    assert done.status == 1
    assert is_one_line(done.err)
    assert "e.jsonl line 4: " in done.err
    assert "--keep-going puts such lines into e.jsonl.rejected" in done.err
    assert len(sent[0].records) == 2
    assert sent[0].ended_at is None


def test_produce_keeps_going_where_wanted(run: Run, sent: list[Collected]) -> None:
    """Bad lines go into a file of their own, as they are."""
    Path("e.jsonl").write_bytes(b"{nope\n" + lines_of(call("s", 5_000)) + b'{"type":"x"}\n')
    done = run("produce", "e.jsonl", "--keep-going", "--no-end")
    assert done.status == 0
    assert Path("e.jsonl.rejected").read_bytes() == b'{nope\n{"type":"x"}\n'
    assert done.err.startswith("2 events sent, 2 bad lines in e.jsonl.rejected")
    assert sent[0].ended_at is None


def test_produce_resumes_at_a_line(run: Run, sent: list[Collected]) -> None:
    """As the summary of the run before says."""
    Path("e.jsonl").write_bytes(b"{nope\n" + lines_of(call("s", 5_000)))
    assert run("produce", "e.jsonl", "--from-line", "3").status == 0
    assert [record[0] for record in sent[0].records] == ["queues"]


@pytest.mark.parametrize("line", [3, 4])
def test_produce_has_nothing_to_resume_behind_the_last_line(run: Run, sent: list[Collected], line: int) -> None:
    """Neither at an empty last line nor right behind it: the file was wholly sent."""
    Path("e.jsonl").write_bytes(lines_of(call("s", 5_000)) + b"\n")
    done = run("produce", "e.jsonl", "--from-line", str(line))
    assert (done.status, sent[0].records) == (0, [])
    assert done.err.startswith("0 events sent")


def test_produce_cannot_resume_beyond_the_end(run: Run, sent: list[Collected]) -> None:
    """It is another file, or a slip; nothing is sent, of the files behind it neither."""
    Path("e.jsonl").write_bytes(lines_of(call("s", 5_000)) + b"\n")
    Path("f.jsonl").write_bytes(lines_of(call("t", 5_000)))
    for line in ("5", "999"):
        done = run("produce", "e.jsonl", "f.jsonl", "--from-line", line)
        assert (done.status, is_one_line(done.err)) == (2, True)
        assert f"--from-line {line}: e.jsonl has 3 lines" in done.err
    assert all(not connection.records for connection in sent)


@pytest.mark.usefixtures("sent")
def test_produce_resumed_keeps_the_bad_lines_of_the_run_before(run: Run) -> None:
    """They lie beside those that come now; a run from the first line begins anew."""
    Path("e.jsonl").write_bytes(b"{nope\n" + lines_of(call("s", 5_000)) + b'{"type":"x"}\n')
    run("produce", "e.jsonl", "--keep-going")
    run("produce", "e.jsonl", "--keep-going", "--from-line", "4")
    assert Path("e.jsonl.rejected").read_bytes() == b'{nope\n{"type":"x"}\n{"type":"x"}\n'
    run("produce", "e.jsonl", "--keep-going")
    assert Path("e.jsonl.rejected").read_bytes() == b'{nope\n{"type":"x"}\n'


def test_produce_does_not_write_bad_lines_over_a_file_that_it_reads(run: Run, sent: list[Collected]) -> None:
    """The bad lines of one file, mended and sent with it."""
    Path("e.jsonl").write_bytes(b"{nope\n")
    mended = lines_of(call("s", 5_000))
    Path("e.jsonl.rejected").write_bytes(mended)
    done = run("produce", "e.jsonl", "e.jsonl.rejected", "--keep-going")
    assert (done.status, is_one_line(done.err), sent) == (2, True, [])
    assert "e.jsonl.rejected anew, which is one of the files that are read" in done.err
    assert Path("e.jsonl.rejected").read_bytes() == mended


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("line", [1, 3, 4])
def test_produce_reads_a_pipe(run: Run, sent: list[Collected], packed: bool, line: int) -> None:
    """All of it: what a look beforehand takes from a pipe is gone."""
    lines = lines_of(call("s", 5_000))
    os.mkfifo("pipe")
    content = gzip.compress(lines) if packed else lines
    filling = threading.Thread(target=Path("pipe").write_bytes, args=(content,), daemon=True)
    filling.start()
    done = run("produce", "pipe", "--from-line", str(line))
    filling.join()
    assert (done.status, is_one_line(done.err)) == (2 if line == 4 else 0, True)
    assert len(sent[0].records) == max(0, 3 - line)


@pytest.mark.parametrize("away", [False, True])
def test_produce_interrupted_says_where_to_resume(
    run: Run, sent: list[Collected], monkeypatch: pytest.MonkeyPatch, away: bool
) -> None:
    """Ctrl-C: at the line whose turn it was; nowhere if the broker does not say what it has."""
    Path("e.jsonl").write_bytes(lines_of([*call("s", 5_000), *call("t", 600_000)]))

    async def interrupted(_: float) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await forever()

    async def forever(*_: object) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(asyncio, "sleep", interrupted)
    monkeypatch.setattr(produce_module, "SETTLE_S", 0.1)
    if away:
        monkeypatch.setattr(Collected, "flush", forever)
    done = run("produce", "e.jsonl", "--speed", "0.0001")
    assert (done.status, len(sent[0].records), sent[0].ended_at) == (130, 1, None)
    assert done.err == f"1 events sent; last line: {'-' if away else 'e.jsonl --from-line 2'}\n"


@pytest.mark.usefixtures("sent")
def test_produce_says_that_bad_lines_have_no_place(run: Run) -> None:
    """Beside a pipe of the shell, /dev/fd/63, no file can be made."""
    reading, writing = os.pipe()
    os.write(writing, b"{nope\n")
    os.close(writing)
    done = run("produce", f"/dev/fd/{reading}", "--keep-going")
    os.close(reading)
    assert (done.status, is_one_line(done.err)) == (2, True)
    assert f"--keep-going cannot write /dev/fd/{reading}.rejected: No such file or directory" in done.err


@pytest.mark.parametrize("speed", ["0", "-1", "nan", "inf", "-inf"])
def test_produce_refuses_a_pace_that_is_none(run: Run, sent: list[Collected], speed: str) -> None:
    """0 and less, and what is no finite number; before Kafka is asked."""
    Path("e.jsonl").write_bytes(lines_of(call("s", 5_000)))
    done = run("produce", "e.jsonl", "--speed", speed)
    assert (done.status, sent) == (2, [])
    assert is_one_line(done.err)
    assert f"--speed {speed} is no finite number above 0; write --speed 60, or --speed max" in done.err


# ---- simulate


def simulated(run: Run, *more: str) -> bytes:
    """Return the file of ten simulated minutes."""
    done = run("simulate", "--out", "e.jsonl", "--duration", "10m", "--start", "2026-11-21T08:00:00Z", "--queues", "2", *more)
    assert (done.status, done.out) == (0, "")
    data = Path("e.jsonl").read_bytes()
    assert done.err == f"{data.count(bytes([10]))} events in e.jsonl\n"
    return data


def test_simulate_writes_valid_events(run: Run) -> None:
    """Every line is an event that the decoder accepts, and the report can be made of them."""
    lines = simulated(run, "--seed", "3").splitlines()
    assert len(lines) > 200
    assert [event for event in decode_batch(lines) if isinstance(event, InvalidEvent)] == []
    done = run("report", "e.jsonl")
    assert ", 0 invalid; " in done.err
    assert sum(int(row["answered"]) for row in rows_of(done.out)) > 5


def test_the_same_seed_gives_the_same_file(run: Run) -> None:
    """To the byte; another seed gives another."""
    first = simulated(run, "--seed", "3")
    assert simulated(run, "--seed", "3") == first
    assert simulated(run, "--seed", "4") != first


def test_simulate_packs_a_file_that_is_named_so(run: Run) -> None:
    """Which `report` would refuse otherwise; the same seed gives the same bytes, whatever the file's name."""
    for name in ("e.jsonl", "e.jsonl.gz", "f.jsonl.gz"):
        assert run("simulate", "--out", name, "--duration", "1m", "--start", "2026-11-21T08:00:00Z").status == 0
    assert gzip.decompress(Path("e.jsonl.gz").read_bytes()) == Path("e.jsonl").read_bytes()
    assert Path("e.jsonl.gz").read_bytes() == Path("f.jsonl.gz").read_bytes()


def test_simulated_history_comes_before_the_start(run: Run) -> None:
    """As long as asked for; a length that is none is a usage error."""
    first = decode_batch(simulated(run, "--history", "20m").splitlines())[0]
    assert not isinstance(first, InvalidEvent)
    assert first.at < decode_batch(simulated(run).splitlines())[0].at - 19 * 60_000
    done = run("simulate", "--out", "e.jsonl", "--duration", "1m", "--history", "soon")
    assert done.status == 2
    assert "--history 'soon' is no duration" in done.err


def test_simulate_writes_to_standard_output(tmp_path: Path) -> None:
    """`-` as everywhere; nothing else stands between the events. In a process of its own, as it writes bytes."""
    command = [sys.executable, "-m", "streams.cli", "simulate", "--out", "-", "--duration", "2m", "--start", "2026-11-21T08:00:00Z"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLOORPULSE_")}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment | {"PYTHONPATH": str(ROOT)}, capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
    events = decode_batch(done.stdout.splitlines())
    assert len(events) > 20
    assert [event for event in events if isinstance(event, InvalidEvent)] == []
