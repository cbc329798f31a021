"""The test broker itself: what other tests rely on."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streams.connection import admin_options, open_admin
from streams.topics import create, plan
from tests.kafka import RealKafka
from tests.settings import KafkaSection


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_records_survive_the_end_of_the_broker(kafka: RealKafka, prefix: str, end: str) -> None:
    """In order or not, the address and the data stay."""
    layout = plan(prefix, 1)
    create(admin_options(KafkaSection(bootstrap=kafka.bootstrap)), layout)
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all") as producer:
        await producer.send_and_wait(layout.name("sessions"), b"kept")
    await asyncio.to_thread(getattr(kafka, end))
    assert not kafka.running
    await asyncio.to_thread(kafka.start)
    consumer = AIOKafkaConsumer(
        layout.name("sessions"), bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest"
    )
    async with consumer, asyncio.timeout(30):
        assert (await consumer.getone()).value == b"kept"


def test_no_topic_comes_into_being_by_accident(kafka: RealKafka, prefix: str) -> None:
    """A misspelt name has to fail."""
    with open_admin({"bootstrap_servers": kafka.bootstrap}) as admin:
        admin.describe_topics([f"{prefix}never"])
        assert f"{prefix}never" not in admin.list_topics()


@pytest.mark.usefixtures("kafka")  # for the reason to skip
def test_the_broker_does_not_outlive_the_tests() -> None:
    """Even when they are killed, its process ends."""
    program = (
        "import sys, time\n"
        "from tests.kafka import RealKafka\n"
        "broker = RealKafka().start()\n"
        "print(broker.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        broker = int(process.stdout.readline())
        assert _alive(broker)
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while _alive(broker):
        assert time.monotonic() < deadline, "the broker is still there"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    return "State:\tZ" not in status  # where nobody collects orphans a dead one stays listed
