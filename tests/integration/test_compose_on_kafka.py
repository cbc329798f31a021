"""What compose tells floorpulse's containers to run, run here: as another user, on a real Kafka, with its health checks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from tests.compose import FOLDER, ours, services
from tests.kafka import RealKafka
from tests.watchers import free_port

HEALTHY_S: Final = 60.0
AS_THE_IMAGE: Final = ("setpriv", "--reuid=10001", "--regid=10001", "--clear-groups")


def test_every_setting_of_the_broker_is_one(kafka: RealKafka) -> None:
    """A variable KAFKA_A_B of the image stands for the setting a.b; the broker knows them all."""
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    try:
        known = admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, "1")], config_filter="all")["broker"]["1"]
    finally:
        admin.close()
    named = {name for name in services()["kafka"]["environment"] if name.startswith("KAFKA_")} - {"KAFKA_HEAP_OPTS"}
    assert {name.removeprefix("KAFKA_").lower().replace("_", ".") for name in named} - set(known) == set()


class Containers:
    """Stands in for the engine: runs a service's command with its environment, on other addresses."""

    def __init__(self, folder: Path, kafka: RealKafka, prefix: str) -> None:
        self.folder = folder / "etc"
        self.folder.mkdir()
        shutil.copy(FOLDER / "floorpulse.yaml", self.folder)
        for path in (folder, self.folder):
            path.chmod(0o755)
        self.ports = {"9464": str(free_port()), "9465": str(free_port())}
        self._other = {"FLOORPULSE_KAFKA__BOOTSTRAP": kafka.bootstrap, "FLOORPULSE_KAFKA__TOPIC_PREFIX": prefix,
                       "FLOORPULSE_KAFKA__GROUP": f"{prefix}workers"}  # fmt: skip
        self._plain = {key: value for key, value in os.environ.items() if not key.startswith(("FLOORPULSE_", "HOME"))}

    def _moved(self, text: str) -> str:
        for port, free in self.ports.items():
            text = text.replace(f":{port}", f":{free}")
        return text

    def _environment(self, name: str) -> dict[str, str]:
        own = {key: self._moved(value) for key, value in ours()[name]["environment"].items()}
        return {**self._plain, "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1", **own, **self._other}

    def _command(self, name: str) -> list[str]:
        user = AS_THE_IMAGE if os.geteuid() == 0 and shutil.which("setpriv") else ()
        return [*user, sys.executable, "-m", "streams.cli", *ours()[name]["command"]]

    def once(self, name: str) -> str:
        """Run a service that ends."""
        done = subprocess.run(self._command(name), cwd=self.folder, env=self._environment(name), capture_output=True, text=True,
                              check=False, timeout=60)  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        """Run a service that goes on; SIGTERM must end it within its grace period."""
        log = self.folder.parent / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self._command(name), cwd=self.folder, env=self._environment(name), stdout=output, stderr=output
            )
        try:
            yield
            assert process.poll() is None, log.read_text()
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                pytest.fail(f"{name} does not end: {log.read_text()}")

    def healthy(self, name: str) -> bool:
        """Ask a service's health check."""
        kind, program, *arguments = ours()[name]["healthcheck"]["test"]
        assert (kind, program) == ("CMD", "python")
        words = [self._moved(each) for each in arguments]
        return subprocess.run([sys.executable, *words], capture_output=True, check=False, timeout=20).returncode == 0

    def wait_for(self, name: str) -> None:
        """Return when a service is healthy."""
        until = time.monotonic() + HEALTHY_S
        while not self.healthy(name):
            assert time.monotonic() < until, (self.folder.parent / f"{name}.log").read_text()
            time.sleep(0.2)


def test_topics_worker_board_and_simulator_come_up(kafka: RealKafka, prefix: str, tmp_path: Path) -> None:
    """In the order of the file; a health check fails before its service is there; at the end the board shows simulated queues."""
    containers = Containers(tmp_path, kafka, prefix)
    assert "created" in containers.once("topics")
    assert "exist already" in containers.once("topics")
    assert not containers.healthy("worker")
    assert not containers.healthy("board")
    with containers.running("worker"), containers.running("board"), containers.running("simulator"):
        containers.wait_for("worker")
        containers.wait_for("board")
        until = time.monotonic() + HEALTHY_S
        while "floorpulse_waiting{" not in _metrics(containers.ports["9464"]):
            assert time.monotonic() < until
            time.sleep(0.5)
        assert "floorpulse_worker_partitions 4.0" in _metrics(containers.ports["9465"])


def _metrics(port: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read().decode())
