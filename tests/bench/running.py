"""Floorpulse's own processes on a real Kafka of this machine, and what they say of themselves."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from confluent_kafka import Producer

from schemas.partitioner import PARTITIONERS
from streams.lines import read_lines
from tests.kafka import RealKafka

PARTITIONS: Final = 4
MURMUR2: Final = PARTITIONERS["murmur2"]
COUNTED: Final = r"floorpulse_worker_events_total\{.*\}"
"""Matches what a worker has counted, by outcome."""


def free_address() -> str:
    """Return an address on loopback that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{found.getsockname()[1]}"


@contextmanager
def floorpulse(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command of floorpulse meanwhile."""
    process = subprocess.Popen([sys.executable, "-m", "streams.cli", *arguments], stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def metric(address: str, pattern: str) -> float:
    """Return the sum of the series that match on /metrics, 0 where there are none or nobody answers."""
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    except OSError:
        return 0.0
    return sum(float(value) for value in re.findall(rf"^{pattern} (\S+)$", text, re.MULTILINE))


@contextmanager
def kafka(partitions: int = PARTITIONS) -> Iterator[str]:
    """Start a broker with the topics made; gives the name of a configuration file."""
    with RealKafka() as broker, tempfile.TemporaryDirectory(prefix="floorpulse-bench-") as folder:
        config = Path(folder) / "floorpulse.yaml"
        config.write_text(f'kafka: {{bootstrap: ["{broker.bootstrap}"]}}\n')
        create = ("topics", "--create", "--partitions", str(partitions), "--config", str(config))
        subprocess.run([sys.executable, "-m", "streams.cli", *create], check=True, stdout=subprocess.DEVNULL)
        yield str(config)


QUEUED: Final = 500_000
"""How many events may wait to be sent, of the million that the producer takes."""


def fill(bootstrap: str, prefix: str, file: Path, partitions: int = PARTITIONS) -> int:
    """Send a file's events as fast as it goes (`floorpulse produce` takes its time to check them); return how many."""
    sent, failed = 0, []
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 50, "queue.buffering.max.messages": 1_000_000})
    for batch in read_lines(file):
        for topic, key, value, _ in batch:
            place = MURMUR2(key, partitions)
            producer.produce(
                prefix + topic, value, key, place, on_delivery=lambda error, _: failed.append(error) if error else None
            )
            sent += 1
        while len(producer) > QUEUED:
            producer.poll(0.1)
    producer.flush()
    if failed:
        raise RuntimeError(f"{len(failed)} of {sent} events were not taken, the first: {failed[0]}")
    return sent


__all__ = ["COUNTED", "PARTITIONS", "fill", "floorpulse", "free_address", "kafka", "metric"]
