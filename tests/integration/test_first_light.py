"""The whole path on a real Kafka: produce, two workers of which one is killed, a board, the live table against the oracle."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from tests.kafka import RealKafka
from tests.oracle import Settings, by_group, by_queue, clean, newest

ZONE = "Asia/Jerusalem"
PARTITIONS = 4
HEAD_LINES = 2_000
"""Some hours of the first day, fewer than make a session late."""
DEADLINE_S = 100


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def _config(folder: Path, kafka: RealKafka, prefix: str) -> Path:
    file = folder / "floorpulse.yaml"
    file.write_text(
        f"""
zone: {ZONE}
kafka: {{bootstrap: ["{kafka.bootstrap}"], topic_prefix: "{prefix}", group: "{prefix}workers"}}
time: {{mode: replay}}
worker: {{session_timeout: 6s, flush_interval: 200ms, flush_events: 2000}}
"""
    )
    return file


def _floorpulse(*arguments: str, timeout: float = DEADLINE_S) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", *arguments], capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def _running(log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen([sys.executable, "-m", "streams.cli", *arguments], stdout=output, stderr=output)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(25)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _cut(events: Path, folder: Path) -> tuple[Path, Path]:
    """Cut the input in two, since a topic that is still empty does not hold a replay's watermark back.

    Were all sent at once, one topic's first batch could come when the partition has read two days of another's: late, rightly.
    """
    lines = events.read_text().splitlines(keepends=True)
    head, rest = folder / "head.jsonl", folder / "rest.jsonl"
    head.write_text("".join(lines[:HEAD_LINES]))
    rest.write_text("".join(lines[HEAD_LINES:]))
    return head, rest


def _snapshot(board: str) -> dict[str, object]:
    try:
        with urllib.request.urlopen(f"{board}/api/v1/snapshot", timeout=5) as answer:
            found: dict[str, object] = json.load(answer)
            return found
    except OSError:
        return {}


def _events_counted(board: str) -> int:
    events = _snapshot(board).get("events", {})
    assert isinstance(events, dict)
    return sum(sum(outcomes.values()) for outcomes in events.values())


def _owned(workers: Sequence[tuple[str, ...]]) -> list[int]:
    """Return how many partitions each worker says it owns."""
    found = []
    for worker in workers:
        try:
            with urllib.request.urlopen(f"http://{worker[2]}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            lines = []
        found += [int(float(line.split()[1])) for line in lines if line.startswith("floorpulse_worker_partitions ")]
    return found


def _wait(what: str, condition: object, deadline_s: float = DEADLINE_S) -> None:
    assert callable(condition)
    until = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < until, f"{what} did not come in {deadline_s} s"
        time.sleep(0.2)  # polling another process, with a deadline


def _differing_queue_cells(table: str, events: list[dict[str, object]]) -> list[str]:
    wanted = by_queue(events, Settings(zone=ZONE), 900_000, ZONE, False)
    rows = {(row["queue"], _ms(row["interval_start"])): row for row in csv.DictReader(io.StringIO(table))}
    differing = []
    for (queue, _, start), cells in wanted.items():
        row = rows.pop((queue, start), None)
        for part, value in cells.items():
            column = part.removesuffix("_ms") + "_s" if part.endswith("_ms") else part
            if row is not None and column not in row:
                continue
            got = 0.0 if row is None else float(row[column]) * (1000 if part.endswith("_ms") else 1)
            if round(got) != value:
                differing.append(f"{queue} {start} {part}: wanted {value}, got {got}")
    return differing + [f"extra row {key}" for key, row in rows.items() if row["offered"] != "0"]


def _differing_group_cells(table: str, events: list[dict[str, object]]) -> list[str]:
    wanted = by_group(events, Settings(zone=ZONE), 900_000, ZONE, newest(events))
    rows = {(row["group"], _ms(row["interval_start"])): row for row in csv.DictReader(io.StringIO(table))}
    differing = []
    for (group, start), cells in wanted.items():
        row = rows.get((group, start), {})
        for column in ("in_hand_s", "available_idle_s", "online_s", "sessions_in_hand_s", "slots_s", "taken"):
            value = cells[column.removesuffix("_s") + "_ms" if column.endswith("_s") else column]
            got = float(row.get(column, 0)) * (1000 if column.endswith("_s") else 1)
            if round(got) != value:
                differing.append(f"{group} {start} {column}: wanted {value}, got {got}")
    return differing


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.timeout(280)
def test_live_table_equals_the_oracle_though_a_worker_was_killed(
    kafka: RealKafka, prefix: str, bank_events_file: Path, tmp_path: Path
) -> None:
    """Every cell of the live table is the oracle's, after 84,647 real events and a kill -9 on the way."""
    events = clean([json.loads(line) for line in bank_events_file.read_text().splitlines()])
    config = str(_config(tmp_path, kafka, prefix))
    _floorpulse("topics", "--create", "--partitions", str(PARTITIONS), "--config", config)
    board = f"http://127.0.0.1:{_free_port()}"
    log = tmp_path / "log"
    common = ("--config", config)
    workers = [("worker", "--listen", f"127.0.0.1:{_free_port()}", *common) for _ in range(2)]
    with (
        _running(log, "board", "--listen", board.removeprefix("http://"), *common),
        _running(log, *workers[0]) as first,
        _running(log, *workers[1]),
    ):
        _wait("both workers", lambda: _owned(workers) == [2, 2], 60)
        head, rest = _cut(bank_events_file, tmp_path)
        _floorpulse("produce", str(head), "--speed", "max", *common)
        _wait("the first events", lambda: _events_counted(board) >= HEAD_LINES)
        with _running(log, "produce", str(rest), "--speed", "max", *common) as producer:
            _wait("a part of the events", lambda: _events_counted(board) > 5_000)
            at_the_kill = _events_counted(board)
            os.kill(first.pid, signal.SIGKILL)
            assert producer.wait(DEADLINE_S) == 0, log.read_text()[-3000:]
        assert at_the_kill < len(events), "the kill came too late to mean anything"
        try:
            _wait("all events", lambda: _events_counted(board) >= len(events))
            end = newest(events)
            _wait("the end of the input", lambda: _snapshot(board).get("now") == end, 30)
            _wait("what was relayed", lambda: not _group_differences(board, events), 30)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{log.read_text()[-6000:]}") from None
        live = _floorpulse("report", "--live", board, "--interval", "15m", "--zone", ZONE)
    assert _differing_queue_cells(live, events) == []


def _group_differences(board: str, events: list[dict[str, object]]) -> list[str]:
    table = _floorpulse("report", "--live", board, "--interval", "15m", "--by", "group", "--zone", ZONE)
    return _differing_group_cells(table, events)
