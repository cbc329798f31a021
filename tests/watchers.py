"""A real Prometheus and a real Alertmanager on free loopback ports, with all times scaled, for tests."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from schemas.durations import format_duration, parse_duration
from tests.promtool import need

ROOT: Final = Path(__file__).resolve().parents[1]
_TIMES: Final = re.compile(r"\d+(ms|s|m|h|d)")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def answers(url: str) -> bool:
    """Tell whether somebody answers 200 there."""
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
        return bool(answer.status == 200)
    return False


@contextlib.contextmanager
def running(log: Path, command: Sequence[str], ready: str, within_s: float = 30) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the end of the block; wait until `ready` answers."""
    with log.open("ab") as output, subprocess.Popen(command, stdout=output, stderr=output, cwd=log.parent) as process:
        try:
            until = time.monotonic() + within_s
            while not answers(ready):
                assert process.poll() is None, log.read_text(errors="replace")
                assert time.monotonic() < until, f"{command[0]} is not ready after {within_s} s"
                time.sleep(0.1)  # polling another process, with a deadline
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@contextlib.contextmanager
def prometheus(folder: Path, rules: str, jobs: Mapping[str, Sequence[str]], alertmanager: str, interval_ms: int) -> Iterator[str]:
    """Run Prometheus on rules and targets (job → addresses); returns its address."""
    (folder / "rules.yml").write_text(rules, encoding="utf-8")
    interval = format_duration(interval_ms)
    scrapes = [{"job_name": job, "static_configs": [{"targets": list(targets)}]} for job, targets in jobs.items()]
    config = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": scrapes,
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    command = [
        need("prometheus"), "--config.file=prometheus.yml", f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={address}", "--rules.alert.resend-delay=1s",
    ]  # fmt: skip
    with running(folder / "prometheus.log", command, f"http://{address}/-/ready"):
        yield f"http://{address}"


def scaled(value: Any, factor: float) -> Any:
    """Return an Alertmanager configuration with all durations scaled."""
    if isinstance(value, dict):
        return {key: scaled(inner, factor) for key, inner in value.items()}
    if isinstance(value, list):
        return [scaled(inner, factor) for inner in value]
    if isinstance(value, str) and _TIMES.fullmatch(value):
        return format_duration(max(1, round(parse_duration(value) * factor))) if parse_duration(value) else "0s"
    return value


@contextlib.contextmanager
def alertmanager(folder: Path, receiver: str, factor: float) -> Iterator[str]:
    """Run Alertmanager with compose's routes and inhibition, its receivers posting to `receiver`NAME; returns host:port."""
    config = scaled(yaml.safe_load((ROOT / "compose/alertmanager/alertmanager.yml").read_text()), factor)
    for each in config["receivers"]:
        each["webhook_configs"] = [{"url": f"{receiver}{each['name']}", "send_resolved": True}]
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    command = [
        need("prometheus-alertmanager"), "--config.file=alertmanager.yml", f"--storage.path={folder / 'am'}",
        f"--web.listen-address={address}", "--cluster.listen-address=",
    ]  # fmt: skip
    with running(folder / "alertmanager.log", command, f"http://{address}/-/ready"):
        yield address


__all__ = ["alertmanager", "answers", "free_port", "prometheus", "running", "scaled"]
