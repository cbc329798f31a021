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

from tests.kafka import RealKafka

PARTITIONS: Final = 4
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


__all__ = ["COUNTED", "PARTITIONS", "floorpulse", "free_address", "kafka", "metric"]
