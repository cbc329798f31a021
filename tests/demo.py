"""A running `floorpulse demo` for tests, as a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Self

from tests.watchers import answers, free_port

START_S: Final = 90.0


class Demo:
    """A context manager that is a demo while it is open: `board`, `worker` and `broker` are addresses (host:port)."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self._log = folder / "demo.log"
        self.board, self.worker = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.environment = {
            **os.environ, "FLOORPULSE_BOARD__LISTEN": self.board, "FLOORPULSE_WORKER__LISTEN": self.worker, "COLUMNS": "200",
            **(settings or {}),
        }  # fmt: skip
        self.broker = ""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "streams.cli", "demo"], stdout=log, stderr=log, env=self.environment
            )
        until = time.monotonic() + START_S
        while not answers(f"http://{self.board}/readyz") or not (
            found := re.search(r"broker +(\S+)", self._log.read_text(encoding="utf-8"))
        ):
            said = self._log.read_text(encoding="utf-8")
            assert self._process.poll() is None, said
            assert time.monotonic() < until, said
            time.sleep(0.2)
        self.broker = found[1]
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def send(self, folder: Path, events: Iterable[Mapping[str, Any]]) -> None:
        """Send further events to its broker with `floorpulse produce`."""
        file = folder / "further.jsonl"
        file.write_text("".join(json.dumps(event) + "\n" for event in events))
        environment = {**self.environment, "FLOORPULSE_KAFKA__BOOTSTRAP": self.broker}
        command = [sys.executable, "-m", "streams.cli", "produce", str(file), "--no-end"]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)


__all__ = ["Demo"]
