"""A real Prometheus for tests (Debian: prometheus): scrapes every second, answers queries."""

from __future__ import annotations

import json
import math
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import pytest

START_S: Final = 30.0
_REQUIRE: Final = "FLOORPULSE_REQUIRE_KAFKA"
"""In CI nothing may be missing; the same switch as for Kafka."""


def needs(*programs: str) -> None:
    """Skip where an external program is missing; in CI, fail."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        required = os.environ.get(_REQUIRE, "") not in ("", "0")
        (pytest.fail if required else pytest.skip)(
            f"not installed: {', '.join(missing)} (Debian: prometheus, prometheus-alertmanager)"
        )


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port


class Prometheus:
    """A context manager that is a Prometheus while it is open; `targets`: job → addresses, `rules`: files."""

    def __init__(self, folder: Path, targets: Mapping[str, list[str]], rules: list[Path]) -> None:
        self._folder, self._port = folder, free_port()
        jobs = [{"job_name": job, "static_configs": [{"targets": addresses}]} for job, addresses in targets.items()]
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path) for path in rules],
            "scrape_configs": jobs,
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        log = (self._folder / "prometheus.log").open("wb")
        with log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={self._folder / 'prometheus.yml'}", f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self._port}", "--log.level=warn",
                ],
                stdout=log, stderr=log,
            )  # fmt: skip
        until = time.monotonic() + START_S
        while not self._ready():
            assert self._process.poll() is None, (self._folder / "prometheus.log").read_text()
            assert time.monotonic() < until, "Prometheus does not become ready"
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def query(self, expr: str) -> list[float]:
        """The finite values that an instant query answers; raises what Prometheus says to a wrong one."""
        found = self.get("query", query=expr)["result"]
        values = [float(each["value"][1]) for each in found]
        return [value for value in values if math.isfinite(value)]

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer of the HTTP API."""
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None


__all__ = ["Prometheus", "free_port", "needs"]
