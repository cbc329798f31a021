"""`floorpulse simulate` on the command line: a file of valid events, the same for the same seed."""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

import pytest

from schemas.codec import decode_batch
from schemas.config import Config
from schemas.errors import FloorpulseError, InvalidEvent
from streams import simulation
from tests.command_line import Run, rows_of

ROOT = Path(__file__).resolve().parents[2]


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


def test_simulated_history_comes_before_the_start(run: Run) -> None:
    """As long as asked for; a length that is none is a usage error."""
    first = decode_batch(simulated(run, "--history", "20m").splitlines())[0]
    assert not isinstance(first, InvalidEvent)
    assert first.at < decode_batch(simulated(run).splitlines())[0].at - 19 * 60_000
    done = run("simulate", "--out", "e.jsonl", "--duration", "1m", "--history", "soon")
    assert done.status == 2
    assert "--history 'soon' is not a duration" in done.err


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


def test_simulate_packs_a_file_that_is_named_so(run: Run) -> None:
    """Which `report` would refuse otherwise; the same seed gives the same bytes, whatever the file's name."""
    for name in ("e.jsonl", "e.jsonl.gz", "f.jsonl.gz"):
        assert run("simulate", "--out", name, "--duration", "1m", "--start", "2026-11-21T08:00:00Z").status == 0
    assert gzip.decompress(Path("e.jsonl.gz").read_bytes()) == Path("e.jsonl").read_bytes()
    assert Path("e.jsonl.gz").read_bytes() == Path("f.jsonl.gz").read_bytes()


class Taking:
    """Stands in for the connection to Kafka: with the third record the command is stopped, or Kafka is away."""

    sent = taken = 0
    stops = True

    def __init__(self, config: Config) -> None:
        self.servers = config.kafka.bootstrap

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        return None

    async def send(self, *_: object) -> None:
        """Take a record; the third one is too much."""
        self.taken += 1
        if self.taken == 3 and self.stops:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.get_running_loop().create_future()
        if self.taken == 3:
            raise FloorpulseError("Kafka is away")

    async def flush(self) -> None:
        """Have all acknowledged."""
        self.sent = self.taken


@pytest.mark.parametrize("stops", [True, False])
def test_simulate_to_kafka_says_how_many_it_sent_when_it_is_stopped(run: Run, monkeypatch: pytest.MonkeyPatch, stops: bool) -> None:
    """By SIGTERM as by Ctrl-C, which is how it ends without a duration; of a failure the error says more."""
    monkeypatch.setattr(simulation, "Sender", Taking)
    monkeypatch.setattr(Taking, "stops", stops)
    before = signal.signal(signal.SIGTERM, lambda *_: pytest.fail("SIGTERM was left to its default"))
    try:
        done = run("simulate", "--rate", "100")
    finally:
        signal.signal(signal.SIGTERM, before)
    told = (130, "3 events sent to 127.0.0.1:9092\n") if stops else (1, "floorpulse simulate: Kafka is away\n")
    assert (done.status, done.err) == told


def test_simulate_into_a_folder_is_wrong_use(run: Run) -> None:
    """Told before anything is simulated."""
    Path("folder").mkdir()
    for command in (["simulate", "--duration", "1s"], ["rules"]):
        done = run(*command, "--out", "folder")
        assert (done.status, done.out) == (2, "")
        assert "'folder' is a directory" in done.err
