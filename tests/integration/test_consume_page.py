"""The example of docs/consume.md, taken from the page and run on real readings, says what the board says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, Final

import pytest

from schemas.instants import parse_instant
from tests.integration.test_first_light import _config, _floorpulse, _running, _snapshot
from tests.kafka import RealKafka
from tests.watchers import free_port

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "consume.md"
PARTS: Final = ("offered", "answered", "abandoned", "timed_out")
SETTLED_S: Final = 60.0


def example() -> str:
    """The page's one program."""
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return str(program)


def test_the_example_is_short() -> None:
    """A screenful."""
    assert len(example().splitlines()) <= 30


def test_the_example_says_what_the_board_says(kafka: RealKafka, prefix: str, tmp_path: Path) -> None:
    """Waiting, offered, answered, abandoned of every queue, and the ratio, of a simulated quarter of an hour on four partitions."""
    events = tmp_path / "events.jsonl"
    _floorpulse("simulate", "--duration", "15m", "--start", "2026-11-21T09:00:00Z", "--seed", "5", "--out", str(events))
    end = max(parse_instant(json.loads(line)["at"]) for line in events.read_text(encoding="utf-8").splitlines())
    config, board = str(_config(tmp_path, kafka, prefix)), f"127.0.0.1:{free_port()}"
    _zone_of_the_example(Path(config))
    _floorpulse("topics", "--create", "--partitions", "4", "--config", config)
    _floorpulse("produce", str(events), "--speed", "max", "--config", config)
    log = tmp_path / "log"
    with (
        _running(log, "worker", "--config", config, "--listen", f"127.0.0.1:{free_port()}"),
        _running(log, "board", "--config", config, "--listen", board),
    ):
        told = _settled(f"http://{board}", end, log)
        program = tmp_path / "example.py"
        program.write_text(example().replace('"floorpulse.readings"', repr(f"{prefix}readings")), encoding="utf-8")
        environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(
            [sys.executable, program, kafka.bootstrap], capture_output=True, text=True, env=environment, check=False, timeout=60
        )
    assert done.returncode == 0, done.stderr
    said = {row.pop("queue"): row for row in map(json.loads, done.stdout.splitlines())}
    assert said.keys() == told.keys()
    for queue, row in said.items():
        share = row.pop("abandonment")
        assert row == told[queue]
        left = row["answered"] + row["abandoned"] + row["timed_out"]
        assert share == (pytest.approx(row["abandoned"] / left) if left else None)


def _zone_of_the_example(config: Path) -> None:
    config.write_text(re.sub(r"zone: .*", "zone: UTC\ndefaults: {zone: UTC}", config.read_text(encoding="utf-8")), encoding="utf-8")


def _settled(board: str, end_ms: int, log: Path) -> dict[str, Counter[str]]:
    """What the board says of each queue once its clock stands at the end of the input, and nothing moves any more."""
    until = time.monotonic() + SETTLED_S
    before: dict[str, Counter[str]] = {}
    while True:
        snapshot = _snapshot(board)
        told = _by_queue(snapshot)
        if snapshot.get("now") == end_ms and told == before:
            return told
        assert time.monotonic() < until, log.read_text()
        before = told
        time.sleep(1.0)


def _by_queue(snapshot: dict[str, Any]) -> dict[str, Counter[str]]:
    """Counts of each queue over its channels."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for each in snapshot.get("queues", ()):
        found[each["queue"]]["waiting"] += each["waiting"]
        for part in PARTS:
            found[each["queue"]][part] += each["windows"]["today"][part]
    return found
