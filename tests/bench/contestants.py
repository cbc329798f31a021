"""Who takes part: floorpulse and its peers, how each is started, when it is done, and what it came to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from confluent_kafka import Consumer, TopicPartition

from schemas.readings import SLICE_MS, decode_key, decode_value
from streams.native import is_made
from tests.bench.environments import PROJECT, Unavailable, java_classpath, python_with
from tests.bench.ground import PARTITIONS, Filled, Ground, Progress
from tests.bench.recount import WIDTHS_MS, Sums, Window, read_result
from tests.bench.running import free_address, metric

PARTS: Final = ("answered", "abandoned", "wait_answered_ms", "wait_abandoned_ms", "first_response_n", "first_response_ms")


@dataclass(frozen=True)
class Place:
    """Where one run takes place."""

    ground: Ground
    filled: Filled
    run: str
    folder: Path


@dataclass(frozen=True)
class Contestant:
    """One who takes part.

    `commands` makes ready and returns the processes to start; it raises `Unavailable`. `ends`: the process ends by itself when
    the input does. `slow`: it reads a shorter input. `slack`: see `Progress`.
    """

    name: str
    title: str
    state: str
    commands: Callable[[Place], list[list[str]]]
    result: Callable[[Place], dict[Window, Sums]]
    inputs: tuple[str, ...] = ("sessions", "queues")
    ends: bool = False
    slow: bool = False
    slack: int = 0
    also_done: Callable[[Place], bool] = field(default=lambda _: True)

    def progress(self, place: Place) -> Progress:
        """Return what tells when a run is done."""
        topics = [place.filled.prefix + topic for topic in self.inputs]
        return Progress(place.ground, place.run, topics, slack=self.slack)


def start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start one process of a contestant from the project's folder, its output in a file."""
    with log.open("ab") as out:
        return subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)


def _python(environment: str, module: str) -> Callable[[Place], list[list[str]]]:
    def commands(place: Place) -> list[list[str]]:
        program = [str(python_with(environment)), "-m", f"tests.bench.peers.{module}"]
        return [[*program, place.ground.bootstrap, place.filled.prefix, place.run, str(place.folder)]]

    return commands


def _java(guarantee: str) -> Callable[[Place], list[list[str]]]:
    def commands(place: Place) -> list[list[str]]:
        java = ["java", "-Xmx1g", "-cp", java_classpath(), "floorpulse.bench.Main"]
        return [[*java, place.ground.bootstrap, place.filled.prefix, place.run, str(place.folder), guarantee]]

    return commands


def _transport(place: Place) -> list[list[str]]:
    return [[sys.executable, "-m", "tests.bench.counting", place.ground.bootstrap, place.filled.prefix, place.run]]


def _nothing(place: Place) -> dict[Window, Sums]:
    return place.filled.expected


def _left(place: Place) -> dict[Window, Sums]:
    return read_result(place.folder / "result.jsonl")


def _ours(*roles: str, core: str = "python") -> Callable[[Place], list[list[str]]]:
    def commands(place: Place) -> list[list[str]]:
        config = _ready(place, core)
        listening = {role: free_address() for role in roles}
        (place.folder / "board").write_text(listening.get("board", ""))
        program = ["env", f"FLOORPULSE_WORKER__CORE={core}", sys.executable, "-m", "streams.cli"]
        return [[*program, role, "--listen", listening[role], "--config", config] for role in roles]

    return commands


def _lean(core: str) -> Callable[[Place], list[list[str]]]:
    def commands(place: Place) -> list[list[str]]:
        config = _ready(place, core)
        settings = [f"FLOORPULSE_WORKER__CORE={core}", f"FLOORPULSE_WORKER__LISTEN={free_address()}"]
        return [["env", *settings, sys.executable, "-m", "tests.bench.lean", config]]

    return commands


def _ready(place: Place, core: str) -> str:
    """Make topics anew, and return the name of a configuration."""
    if core == "compiled" and not is_made():
        raise Unavailable("the compiled core is not made (make native)")
    place.ground.made_anew(place.filled)
    return str(place.ground.config(place.filled.prefix, place.run))


def readings(place: Place) -> dict[Window, Sums]:
    """Add up the 10 s slices of all partitions and channels as they stand in the readings, for every window that holds some."""
    last: dict[bytes, dict[str, int]] = {}
    topic = place.filled.prefix + "readings"
    consumer = Consumer({"bootstrap.servers": place.ground.bootstrap, "group.id": "bench", "enable.auto.commit": False})
    ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=20)[1] for p in range(PARTITIONS)}
    consumer.assign([TopicPartition(topic, partition, 0) for partition in ends])
    while any(position.offset < ends[position.partition] for position in consumer.position(consumer.assignment())):
        for record in consumer.consume(10_000, 1.0):
            if record.error() is None:
                value = decode_value(record.value())
                last[record.key() or b""] = dict(value.parts) if value else {}
    consumer.close()
    windows: dict[Window, list[int]] = {}
    for key, parts in last.items():
        found = decode_key(key)
        if (found.kind, found.dimension, found.length_ms) != ("slice", "queue", SLICE_MS):
            continue
        sums = [parts.get(part, 0) for part in PARTS]
        if any(sums):
            spread_over_windows(windows, found.name, found.start_ms, sums)
    return {window: tuple(held) for window, held in windows.items()}


def spread_over_windows(windows: dict[Window, list[int]], queue: str, start_ms: int, sums: list[int]) -> None:
    """Add what lies in one slice of time to every window that holds it."""
    minute = start_ms // 60_000
    for width in WIDTHS_MS:
        for number in range(width // 60_000):
            held = windows.setdefault((queue, width, (minute - number) * 60_000), [0] * len(sums))
            held[:] = [one + other for one, other in zip(held, sums, strict=True)]


def _board_has_all(place: Place) -> bool:
    address = (place.folder / "board").read_text()
    return metric(address, r"floorpulse_events_total\{.*\}") >= place.filled.events


_INPUTS: Final = ("sessions", "queues", "status", "business")
_CONTESTANTS: Final = (
    Contestant("floorpulse", "floorpulse worker, whole catalogue", "journal on Kafka", _ours("worker"), readings, _INPUTS),
    Contestant(
        "floorpulse-board", "floorpulse worker and board", "journal on Kafka", _ours("worker", "board"), readings, _INPUTS,
        also_done=_board_has_all,
    ),
    Contestant(
        "floorpulse-compiled", "floorpulse worker, compiled core", "journal on Kafka", _ours("worker", core="compiled"), readings,
        _INPUTS,
    ),
    Contestant("floorpulse-lean", "floorpulse worker, catalogue off", "journal on Kafka", _lean("python"), readings, _INPUTS),
    Contestant(
        "floorpulse-lean-compiled", "floorpulse worker, catalogue off, compiled core", "journal on Kafka", _lean("compiled"),
        readings, _INPUTS,
    ),
    Contestant("transport", "(its transport alone, nothing decoded)", "none", _transport, _nothing, _INPUTS),
    Contestant("plain", "confluent-kafka, plain dicts", "none", _python("plain", "plain"), _left),
    Contestant("bytewax", "Bytewax", "SQLite, every second", _python("bytewax", "bytewax_flow"), _left, ends=True),
    Contestant("quix", "Quix Streams", "RocksDB, changelog", _python("quix", "quix"), _left),
    Contestant("faust", "Faust, windowed tables", "memory, changelog", _python("faust", "faust_tables"), _left, slow=True),
    Contestant("streams-alo", "Kafka Streams, at least once", "RocksDB, changelog", _java("at_least_once"), _left),
    Contestant("streams-eos", "Kafka Streams, exactly once v2", "RocksDB, changelog", _java("exactly_once_v2"), _left, slack=1),
)  # fmt: skip
CONTESTANTS: Final[Mapping[str, Contestant]] = {each.name: each for each in _CONTESTANTS}

__all__ = ["CONTESTANTS", "PARTS", "Contestant", "Place", "spread_over_windows", "start"]
