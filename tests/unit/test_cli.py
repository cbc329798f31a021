"""The command line: help, exit statuses, one-line errors, the catalogue and the configuration."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.kpis import CATALOGUE
from streams import cli, simulation
from tests.command_line import Run, call, is_one_line, lines_of

COMMANDS = [
    "demo", "worker", "board", "topics", "simulate", "produce", "report", "explain", "check-config", "kpis", "purge", "rebuild",
    "rules", "schema",
]  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]


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
        (
            ["dead-letters", "list", "--from", "2026-11-02T00:00:00Z", "--to", "2026-11-01T00:00:00Z"],
            ["--from 2026", "not before --to 2026"],
        ),
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


@pytest.mark.parametrize("command", [["check-config"], ["topics"], ["report", "e.jsonl"]])
def test_a_variable_that_names_no_broker_is_status_2(run: Run, monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    """Of every command, as for other wrong settings; not only of those that ask Kafka."""
    monkeypatch.setenv("FLOORPULSE_KAFKA__BOOTSTRAP", "")
    Path("e.jsonl").write_bytes(lines_of(call("s", 5)))
    done = run(*command)
    assert (done.status, done.out) == (2, "")
    told = "kafka.bootstrap: names no broker: write at least one, such as kafka.internal:9092 ('')"
    assert done.err == f"floorpulse: environment FLOORPULSE_KAFKA__BOOTSTRAP: {told}\n"


def test_a_board_that_does_not_answer_is_status_1(run: Run) -> None:
    """It failed, though it was asked rightly."""
    done = run("report", "--live", "http://127.0.0.1:1")
    assert (done.status, done.out) == (1, "")
    assert is_one_line(done.err)
    assert "http://127.0.0.1:1" in done.err


def test_kafka_that_does_not_answer_is_status_1(tmp_path: Path) -> None:
    """With the address that was tried, the setting that it stands in, how often, and why; `produce` says where to begin."""
    (tmp_path / "e.jsonl").write_bytes(lines_of(call("s", 5)))
    environment = {**os.environ, "FLOORPULSE_KAFKA__BOOTSTRAP": "127.0.0.1:1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", "produce", "e.jsonl", "--from-line", "2"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert re.fullmatch(
        r"floorpulse produce: cannot reach Kafka at 127\.0\.0\.1:1 \(kafka\.bootstrap; \d+ tries in 3 s: connection refused\)\. "
        r"Check that the broker runs and that its advertised listener is reachable from here\. Without Kafka: floorpulse demo\. "
        r"Nothing was sent; go on from e\.jsonl --from-line 2",
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
    assert run(*command, "--config", "good.yaml") == run("--config", "good.yaml", *command) == run(*command)
    assert run("--config=bad.yaml", *command) == run(*command, "--config", "bad.yaml")
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
