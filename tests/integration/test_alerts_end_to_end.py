"""From an event on Kafka to a message: worker, two boards, Prometheus, Alertmanager, receivers; all real, times scaled by 0.05."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.alerts import Alert, decode_alert
from schemas.config import Config, Kafka
from streams.connection import admin_options
from streams.rulefile import written
from streams.sender import Sender
from streams.topics import create, plan
from tests.kafka import RealKafka
from tests.promtool import need
from tests.receiver import Got, Receiver
from tests.watchers import alertmanager, free_port, prometheus, running

SCALE: Final = 0.05
"""90 s of waiting breach after 4.5 s, an alert that wants 15 s fires after 0.75 s."""
INTERVAL_MS: Final = 500
AT_START: Final = 'alertname=~"Floorpulse(DataStale|BoardDown|WorkerDown|NoEvents)"'
CALLERS: Final = 6
"""More than 5 who wait are a breach at once: what the latency is measured by."""


def settings(kafka: RealKafka, prefix: str, hook: str) -> dict[str, Any]:
    """Return the configuration of worker and boards."""
    waiting = {"warn": 4, "breach": {"limit": 5, "severity": "page", "alert_after": "0s", "keep_firing": "1m"}, "enter_after": "0s"}
    return {
        "kafka": {"bootstrap": [kafka.bootstrap], "topic_prefix": prefix, "group": f"{prefix}workers"},
        "worker": {"flush_interval": "200ms"},
        "board": {"refresh": "200ms"},
        "queues": {"orders": {"channel": "voice"}},
        "thresholds": {"time_scale": SCALE, "kpis": {"waiting": waiting}},
        "alerts": {"webhooks": [{"name": "own", "url": f"{hook}own"}]},
    }


class Floor:
    """A little centre: callers who enter the queue orders, and are answered when told."""

    def __init__(self, sender: Sender) -> None:
        self._sender, self._number, self.waiting = sender, 0, list[str]()

    async def _send(self, topic: str, key: str, **event: Any) -> None:
        self._number += 1
        body = {"id": f"e{self._number}", "at": time.time_ns() // 1_000_000, **event}
        await self._sender.send(topic, key.encode(), json.dumps(body).encode())

    async def open(self) -> None:
        """Let one agent be there for the queue."""
        about = {"agent_id": "ann", "status": "available", "groups": ["north"], "queues": ["orders"], "capacity": 50}
        await self._send("status", "ann", type="agent.status", **about)
        await self._sender.flush()

    async def enter(self) -> None:
        """Let somebody enter the queue."""
        session = f"s{self._number}"
        self.waiting.append(session)
        await self._send("queues", session, type="queue.entered", session_id=session, queue="orders", channel="voice")
        await self._sender.flush()

    async def answer_all(self) -> None:
        """Let everybody be answered."""
        for session in self.waiting:
            about = {"session_id": session, "queue": "orders", "outcome": "answered"}
            await self._send("queues", session, type="queue.left", **about)
        self.waiting.clear()
        await self._sender.flush()


async def until(what: Callable[[], bool], why: str, within_s: float = 40) -> None:
    """Wait until something is so."""
    try:
        async with asyncio.timeout(within_s):
            while not what():  # noqa: ASYNC110  it comes to be so in another program
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"not within {within_s} s: {why}")


def metric(board: str, name: str) -> float | None:
    """Return the value of a series without labels."""
    with urllib.request.urlopen(f"http://{board}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), None)


def query(url: str, expr: str) -> list[dict[str, Any]]:
    """Ask Prometheus."""
    with urllib.request.urlopen(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': expr})}", timeout=5) as answer:
        found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    return found


def own(got: list[Got]) -> list[tuple[str, str]]:
    """Return (indicator, level) of what the boards themselves posted."""
    return [(each.body["kpi"], each.body["level"]) for each in got if each.path == "/own"]


def notified(got: list[Got], status: str) -> Counter[str]:
    """Return how often Alertmanager told a person about each alert with this status; repetitions of one firing count once."""
    told = [alert for each in got if each.path in ("/page", "/ticket") for alert in each.body["alerts"]]
    alerts = [alert for alert in told if "kpi" in alert["labels"] or alert["status"] == "firing"]
    ids = {(alert["labels"]["alertname"], alert["fingerprint"], alert["startsAt"]) for alert in alerts if alert["status"] == status}
    return Counter(name.removeprefix("Floorpulse") for name, _, _ in ids)


async def records(kafka: RealKafka, prefix: str) -> list[Alert]:
    """Return all of floorpulse.alerts."""
    async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap) as consumer:
        partition = TopicPartition(f"{prefix}alerts", 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        found: list[Alert] = []
        while await consumer.position(partition) < end:
            for record in (await consumer.getmany(timeout_ms=500)).get(partition, []):
                alert = decode_alert(record.value)
                assert alert is not None
                assert record.key == alert.key
                found.append(alert)
    return found


@pytest.mark.timeout(240)
@pytest.mark.alone
async def test_a_surge_is_told_once_and_its_end_too(kafka: RealKafka, prefix: str, tmp_path: Path) -> None:
    """It breaches, fires once with two boards running, reaches both receivers, survives the owner's death, recovers, resolves."""
    need("prometheus")
    create(admin_options(Kafka(bootstrap=[kafka.bootstrap])), plan(prefix, 2))
    async with Receiver() as receiver:
        body = settings(kafka, prefix, receiver.url)
        config, file = Config.model_validate(body), tmp_path / "floorpulse.yaml"
        file.write_text(yaml.safe_dump(body), encoding="utf-8")
        with ExitStack() as stack:
            addresses = [f"127.0.0.1:{free_port()}" for _ in range(3)]
            programs = []
            for name, address in zip(("worker", "board", "board"), addresses, strict=True):
                command = [sys.executable, "-m", "streams.cli", name, f"--config={file}", f"--listen={address}"]
                start = running(tmp_path / f"{address[-5:]}.log", command, f"http://{address}/readyz")
                programs.append(await asyncio.to_thread(stack.enter_context, start))
            boards = addresses[1:]
            async with Sender(config) as sender:
                floor = Floor(sender)
                await floor.open()
                watching = alertmanager(tmp_path, receiver.url, SCALE)
                to = await asyncio.to_thread(stack.enter_context, watching)
                jobs = {"floorpulse-worker": addresses[:1], "floorpulse-board": boards}
                asked = await asyncio.to_thread(
                    stack.enter_context, prometheus(tmp_path, written(config), jobs, to, INTERVAL_MS)
                )
                await until(lambda: sum(metric(board, "floorpulse_alerts_owner") or 0 for board in boards) == 1, "one owner")
                await until(lambda: bool(query(asked, "floor:floorpulse_fresh:bool == 1")), "fresh data in Prometheus")
                # until the first scrape Prometheus knows no board: that is over, and told as over
                await until(lambda: not query(asked, f"ALERTS{{{AT_START}}}"), "nothing fires")
                receiver.got[:] = [each for each in receiver.got if each.path == "/deadman"]
                await _surge(floor, receiver.got, asked)
                owner = next(n for n, board in enumerate(boards) if metric(board, "floorpulse_alerts_owner"))
                programs[1 + owner].kill()
                await asyncio.to_thread(programs[1 + owner].wait, 20)
                await _recovery(floor, receiver.got, asked)
            await asyncio.sleep(2)  # time for a message too many
        _check(receiver.got, await records(kafka, prefix))


async def _surge(floor: Floor, got: list[Got], asked: str) -> None:
    """Let callers come until both limits are crossed; print how long the messages took."""
    for _ in range(CALLERS):
        await floor.enter()
    sixth = time.time()
    await until(lambda: ("waiting", "breach") in own(got), "the board's message about those who wait")
    posted = next(each.at for each in got if each.path == "/own")
    await until(lambda: notified(got, "firing")["WaitingBreach"] == 1, "Alertmanager's message about those who wait")
    paged = next(each.at for each in got if each.path == "/page")
    sys.stdout.write(f"\nevent to webhook: board {posted - sixth:.2f} s, Prometheus and Alertmanager {paged - sixth:.2f} s\n")
    await until(lambda: ("oldest_wait", "breach") in own(got), "the board's message about the longest wait")
    await until(lambda: notified(got, "firing")["OldestWaitBreach"] == 1, "Alertmanager's message about the longest wait")
    firing = query(asked, 'ALERTS{alertname="FloorpulseOldestWaitBreach",alertstate="firing"}')
    assert [each["metric"]["queue"] for each in firing] == ["orders"], "once though two boards"


async def _recovery(floor: Floor, got: list[Got], asked: str) -> None:
    """Let everybody be answered; the other board tells it."""
    await floor.answer_all()
    await until(lambda: {("waiting", "good"), ("oldest_wait", "good")} <= set(own(got)), "the board's messages about the end")
    await until(lambda: notified(got, "resolved")["OldestWaitBreach"] == 1, "Alertmanager's message about the end", within_s=60)
    await until(lambda: notified(got, "resolved")["WaitingBreach"] == 1, "Alertmanager's other message about the end", within_s=60)
    assert query(asked, 'ALERTS{alertname="FloorpulseOldestWaitBreach"}') == []


def _check(got: list[Got], log: list[Alert]) -> None:
    """Each change once in the log, each breach and its end once at each receiver, nobody woken by anything else."""
    assert Counter(own(got)) == Counter(
        {("waiting", "breach"): 1, ("waiting", "good"): 1, ("oldest_wait", "breach"): 1, ("oldest_wait", "good"): 1}
    )
    assert notified(got, "firing") == notified(got, "resolved") == Counter({"OldestWaitBreach": 1, "WaitingBreach": 1})
    assert any(each.path == "/deadman" for each in got)
    assert len({alert.id for alert in log}) == len(log)
    told = [(alert.kpi, alert.before, alert.level) for alert in log if alert.kpi == "waiting"]
    assert told[-1] == ("waiting", "breach", "good")
    assert [alert.previous for alert in log if alert.kpi == "waiting"] == [None, *(a.id for a in log if a.kpi == "waiting")][:-1]
    for alert in log:
        assert (alert.queue, alert.channel, alert.group) == ("orders", "voice", "")
