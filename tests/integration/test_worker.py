"""Workers as processes: killed, stopped, put to sleep; what they publish equals what the synchronous driver computes.

The driver runs the same core without Kafka, so a difference is the shell's fault. The accounting shows what the core
would forgive: a record that was read twice is a duplicate there.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka import TopicPartition as AdminTopicPartition

from schemas.partitioner import PARTITIONERS
from schemas.readings import Published, ReadingKey, decode_key, decode_value
from schemas.rules import Rules
from streams.connection import admin_options, aiokafka_options, open_admin
from streams.core.driver import Driver, Record, record_of
from streams.embedded import EMBEDDED_API_VERSION, EMBEDDED_PARTITIONS, EmbeddedBroker
from streams.journal import Delta, Journal, Rolling, encode
from streams.journal.log import reading, span
from streams.journal.record import VERSION
from streams.partition import RECEIVED
from streams.topics import create, plan
from tests.centres import centre
from tests.kafka import RealKafka
from tests.settings import KafkaSection

PARTITIONS: Final = EMBEDDED_PARTITIONS
SESSION_TIMEOUT_S: Final = 6
DEADLINE_S: Final = 60.0
UNCHECKED: Final = """
import sys
from schemas.config_file import load
from streams.run import thaw_of, worker_settings
from streams.worker import run_worker
config = load(sys.argv[1])
run_worker(worker_settings(config), thaw_of(config))
"""
"""A worker that does not check the topics: the embedded broker has no admin requests."""
INPUTS: Final = ("sessions", "queues", "status", "business")

Cells = dict[ReadingKey, dict[str, int]]


def records(seed: int, sessions: int) -> list[Record]:
    """The events of a seeded centre as records, in event time order."""
    events = centre(seed, sessions=sessions, agents=12, span_ms=1_800_000)
    return [record_of(event, json.dumps(event).encode()) for event in events]


def expected(of: list[Record]) -> Cells:
    """What the driver publishes for them: the slices; totals count first bookings, they depend on the batches."""
    driver = Driver(PARTITIONS, Rules())
    driver.apply(of)
    while driver.flush():
        pass
    driver.flush()
    return cells_of({key: body["parts"] for key, body in driver.take() if body is not None and "parts" in body})


def cells_of(parts: dict[ReadingKey, dict[str, int]]) -> Cells:
    """Slices without zeros, which only say that something was corrected on the way."""
    found = {key: {part: value for part, value in of.items() if value} for key, of in parts.items() if key.kind == "slice"}
    return {key: of for key, of in found.items() if of}


class Rig:
    """The topics of one test, workers on them, and what these publish."""

    def __init__(self, bootstrap: str, prefix: str, folder: Path, *, unchecked: bool = False) -> None:
        self.unchecked = unchecked
        self.section = KafkaSection(bootstrap=bootstrap)
        self.connection = aiokafka_options(self.section)
        self.layout = plan(prefix, PARTITIONS)
        self.folder = folder
        self.log = folder / "log"
        self.config = folder / "floorpulse.yaml"
        self.config.write_text(
            f"""
kafka: {{bootstrap: ["{bootstrap}"], topic_prefix: "{prefix}", group: "{prefix}workers"}}
time: {{mode: replay}}
worker: {{session_timeout: {SESSION_TIMEOUT_S}s, flush_interval: 100ms, flush_events: 500}}
"""
        )

    @contextmanager
    def worker(self, port: int | None = None, program: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
        """A worker process, killed at the end; `program` is Python to run instead of the command."""
        program = UNCHECKED if self.unchecked else program
        command = ["-c", program] if program else ["-m", "streams.cli", "worker", "--config"]
        environment = {**os.environ, "FLOORPULSE_WORKER__LISTEN": f"127.0.0.1:{port or free_port()}"}
        with self.log.open("ab") as out:
            process = subprocess.Popen([sys.executable, *command, self.config], stderr=out, stdout=out, env=environment)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()

    async def feed_in_transactions(self, of: list[Record], size: int, abort: Callable[[int], bool]) -> None:
        """Send records in transactions of so many, some of which are aborted when all their records are in the log."""
        producer = AIOKafkaProducer(**self.connection, transactional_id=self.layout.prefix)
        await producer.start()
        try:
            for number, begin in enumerate(range(0, len(of), size)):
                await producer.begin_transaction()
                for topic, key, value in of[begin : begin + size]:
                    partition = PARTITIONERS["murmur2"](key, PARTITIONS) if key else 0
                    await producer.send(self.layout.name(topic), value, key=key or None, partition=partition)
                await producer.flush()
                await (producer.abort_transaction() if abort(number) else producer.commit_transaction())
        finally:
            await producer.stop()

    async def feed(self, of: list[Record], pause_s: float = 0.0) -> None:
        """Send records; `pause_s` after each hundred. Those without a key go where the driver has them."""
        producer = AIOKafkaProducer(**self.connection, linger_ms=5, enable_idempotence=True)
        await producer.start()
        try:
            for number, (topic, key, value) in enumerate(of):
                partition = PARTITIONERS["murmur2"](key, PARTITIONS) if key else 0
                await producer.send(self.layout.name(topic), value, key=key or None, partition=partition)
                if pause_s and number % 100 == 0:
                    await asyncio.sleep(pause_s)
            await producer.flush()
        finally:
            await producer.stop()

    async def read(self, short: str) -> AsyncIterator[Any]:
        """All records of a topic."""
        async with reading(self.connection) as consumer:
            _, ends = await span(consumer, self.layout.name(short), range(PARTITIONS))
            await consumer.seek_to_beginning()
            left = {partition for partition, end in ends.items() if end > 0}
            while left:
                for messages in (await consumer.getmany(timeout_ms=1000)).values():
                    for message in messages:
                        yield message
                        if message.offset + 1 >= ends[message.partition]:
                            left.discard(message.partition)

    async def published(self) -> dict[ReadingKey, Published]:
        """The newest value of each reading, as a board has it."""
        newest: dict[ReadingKey, Published] = {}
        async for message in self.read("readings"):
            key, value = decode_key(message.key), decode_value(message.value)
            if value is None:
                newest.pop(key, None)
            elif key not in newest or (value.epoch, value.seq) >= (newest[key].epoch, newest[key].seq):
                newest[key] = value
        return newest

    async def last(self) -> dict[ReadingKey, Published]:
        """The last value of each reading in the log: what compaction leaves."""
        found: dict[ReadingKey, Published] = {}
        async for message in self.read("readings"):
            if (value := decode_value(message.value)) is not None:
                found[decode_key(message.key)] = value
        return found

    async def outcomes(self) -> dict[str, int]:
        """The accounting over all partitions, in which nothing may be missing."""
        total: dict[str, int] = {}
        for key, value in (await self.published()).items():
            if key.kind == "heartbeat":
                received = {name.removeprefix(RECEIVED): n for name, n in value.counters.items() if name.startswith(RECEIVED)}
                assert received == {topic: sum(outcomes.values()) for topic, outcomes in value.events.items()}, key
                for outcomes in value.events.values():
                    for outcome, count in outcomes.items():
                        total[outcome] = total.get(outcome, 0) + count
        return total

    async def until_applied(self, count: int) -> None:
        """Wait until so many events have been counted."""
        until = time.monotonic() + DEADLINE_S
        while (await self.outcomes()).get("applied", 0) < count:
            assert time.monotonic() < until, f"{await self.outcomes()}\n{self.log.read_text()[-5000:]}"
            await asyncio.sleep(0.2)

    async def until_equal(self, want: Cells) -> None:
        """Wait until all that is published is what it should be; relayed facts take a moment longer."""
        until = time.monotonic() + DEADLINE_S / 2
        while (got := cells_of({key: of.parts for key, of in (await self.published()).items()})) != want:
            if time.monotonic() > until:
                differing = [(k, got.get(k), want.get(k)) for k in got.keys() | want.keys() if got.get(k) != want.get(k)]
                raise AssertionError(f"{len(differing)} of {len(want)} differ, as {differing[:3]}\n{self.log.read_text()[-3000:]}")
            await asyncio.sleep(0.3)

    async def committed(self) -> tuple[dict[Any, int], dict[Any, int]]:
        """The group's offsets and the ends of the inputs."""
        tps = [TopicPartition(self.layout.name(short), p) for short in (*INPUTS, "relay") for p in range(PARTITIONS)]
        consumer = AIOKafkaConsumer(**self.connection, group_id=f"{self.layout.prefix}workers", enable_auto_commit=False)
        await consumer.start()
        try:
            return {tp: await consumer.committed(tp) or 0 for tp in tps}, await consumer.end_offsets(tps)
        finally:
            await consumer.stop()


@pytest.fixture
def rig(kafka: RealKafka, prefix: str, tmp_path: Path) -> Rig:
    """Topics of its own on the real Kafka."""
    made = Rig(kafka.bootstrap, prefix, tmp_path)
    create(admin_options(made.section), made.layout)
    return made


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port


def get(url: str) -> tuple[int, str]:
    """Status and text of an answer; 0 when there is none."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


async def until(condition: Callable[[], object], what: str) -> None:
    """Poll another process."""
    end = time.monotonic() + DEADLINE_S
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < end, f"{what} did not come in {DEADLINE_S} s"
        await asyncio.sleep(0.1)


async def test_a_killed_worker_starts_again_where_its_journal_ends(tmp_path: Path) -> None:
    """On the embedded broker: each event counted once, health told over HTTP, a stop in order."""
    of = records(1, 700)
    with EmbeddedBroker() as broker:
        rig = Rig(broker.bootstrap, "e.", tmp_path, unchecked=True)
        broker.create(topic.name for topic in rig.layout.topics.values())
        feeding = asyncio.ensure_future(rig.feed(of, 0.2))
        with rig.worker() as first:
            await rig.until_applied(len(of) // 10)
            first.kill()
            assert (await rig.outcomes())["applied"] < len(of), "the kill came too late to mean anything"
        port = free_port()
        with rig.worker(port) as second:
            await feeding
            await rig.until_applied(len(of))
            await rig.until_equal(expected(of))
            assert await rig.outcomes() == {"applied": len(of), "duplicate": 0, "late": 0, "invalid": 0}
            assert get(f"http://127.0.0.1:{port}/livez")[0] == get(f"http://127.0.0.1:{port}/readyz")[0] == 200
            assert f"floorpulse_worker_partitions {PARTITIONS}.0" in get(f"http://127.0.0.1:{port}/metrics")[1]
            second.send_signal(signal.SIGTERM)
            assert second.wait(20) == 0


@pytest.mark.timeout(240)
async def test_two_workers_share_the_partitions_and_one_dies(rig: Rig) -> None:
    """A kill -9, a stop in order and a new worker on a real Kafka; at the end the group's offsets are the ends."""
    of = records(2, 1500)
    want = expected(of)
    feeding = asyncio.ensure_future(rig.feed(of, 0.1))
    with rig.worker() as first, rig.worker() as second:
        await rig.until_applied(len(of) // 10)
        first.kill()
        await rig.until_applied(len(of) // 3)
        with rig.worker() as third:
            await rig.until_applied(len(of) // 2)
            second.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(second.wait, 20) == 0
            await feeding
            await rig.until_applied(len(of))
            await rig.until_equal(want)
            assert await rig.outcomes() == {"applied": len(of), "duplicate": 0, "late": 0, "invalid": 0}
            third.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(third.wait, 20) == 0
    committed, ends = await rig.committed()
    assert committed == ends


@pytest.mark.timeout(240)
async def test_a_worker_that_slept_too_long_changes_nothing(rig: Rig) -> None:
    """SIGSTOP beyond the session timeout: another takes over; woken, the old owner notices and joins again."""
    of = records(3, 1500)
    want = expected(of)
    half = len(of) // 2
    port = free_port()
    with rig.worker(port) as sleeper:
        await rig.feed(of[:half])
        await until(lambda: get(f"http://127.0.0.1:{port}/readyz")[0] == 200, "the first worker")
        sleeper.send_signal(signal.SIGSTOP)
        with rig.worker():
            await rig.until_applied(half)
            await rig.feed(of[half:])
            await rig.until_applied(half + 100)
            sleeper.send_signal(signal.SIGCONT)
            await rig.until_applied(len(of))
            await rig.until_equal(want)
            assert await rig.outcomes() == {"applied": len(of), "duplicate": 0, "late": 0, "invalid": 0}
            await until(lambda: "floorpulse_worker_partitions 2.0" in get(f"http://127.0.0.1:{port}/metrics")[1], "its share")
            assert sleeper.poll() is None


@pytest.mark.timeout(180)
async def test_only_committed_transactions_are_counted(rig: Rig) -> None:
    """Aborted records change nothing; markers and aborted records are explained without a question, also at the log's end."""
    of, port = records(7, 400), free_port()
    kept = [record for number, record in enumerate(of) if number // 20 % 3 != 1]
    with rig.worker(port) as worker:
        await rig.feed_in_transactions(of, 20, lambda number: number % 3 == 1)
        await rig.until_applied(len(kept))
        await rig.until_equal(expected(kept))
        assert await rig.outcomes() == {"applied": len(kept), "duplicate": 0, "late": 0, "invalid": 0}

        def skipped_now() -> dict[str, float]:
            lines = get(f"http://127.0.0.1:{port}/metrics")[1].splitlines()
            return {line.split('"')[1]: float(line.split()[1]) for line in lines if "skipped_offsets_total{" in line}

        # those at the very end of each log are passed over, and counted when something comes behind them
        at_the_ends = 20
        await until(lambda: skipped_now().get("aborted", 0) >= len(of) - len(kept) - at_the_ends, "the aborted records")
        skipped, text = skipped_now(), get(f"http://127.0.0.1:{port}/metrics")[1]
        assert skipped["marker"] >= 2 * (len(of) // 20)
        assert skipped["compaction"] == skipped["retention"] == skipped["log"] == 0
        assert all(line.endswith(" 0.0") for line in text.splitlines() if "worker_holes_total{" in line)
        assert worker.poll() is None
        await asyncio.sleep(6)  # a heartbeat: what was read across at the end is journalled, committed, and no lag
        assert "floorpulse_consumer_lag" in text
        committed, ends = await rig.committed()
        assert committed == ends


@pytest.mark.timeout(240)
async def test_what_a_sleeper_publishes_is_answered(rig: Rig) -> None:
    """Old values that come behind the present ones are followed by the present ones: what compaction leaves is right."""
    of = records(8, 300)
    want = expected(of)
    with rig.worker():
        await rig.feed(of[: len(of) // 2])
        await rig.until_applied(len(of) // 4)
    with rig.worker():
        await rig.feed(of[len(of) // 2 :])
        await rig.until_applied(len(of))
        await rig.until_equal(want)
        owners = {key.partition: value.epoch for key, value in (await rig.published()).items() if key.kind == "heartbeat"}
        first: dict[bytes, Any] = {}
        parts: dict[ReadingKey, dict[str, int]] = {}
        async for message in rig.read("readings"):
            value = decode_value(message.value)
            if value is not None and value.epoch < owners[message.partition]:
                first.setdefault(message.key, message)
                parts.setdefault(decode_key(message.key), dict(value.parts))
        # compared beforehand: the owner may answer faster than the topic is read again
        assert any(want.get(key) != old for key, old in cells_of(parts).items())
        producer = AIOKafkaProducer(**rig.connection)
        await producer.start()
        for message in first.values():
            await producer.send(message.topic, message.value, key=message.key, partition=message.partition)
        await producer.stop()  # all of them are in the log now
        end = time.monotonic() + DEADLINE_S
        while cells_of({key: value.parts for key, value in (await rig.last()).items()}) != want:
            assert time.monotonic() < end, rig.log.read_text()[-3000:]
            await asyncio.sleep(0.5)


@pytest.mark.timeout(180)
async def test_a_broker_that_restarts_is_waited_for(rig: Rig, kafka: RealKafka) -> None:
    """Killed and started again on its data: the same worker goes on, and each event is counted once."""
    of = records(6, 300)
    half = len(of) // 2
    with rig.worker() as worker:
        await rig.feed(of[:half])
        await rig.until_applied(half // 2)
        kafka.kill()
        await asyncio.sleep(3)  # long enough for appends and fetches to fail
        await asyncio.to_thread(kafka.start)
        await rig.feed(of[half:])
        await rig.until_applied(len(of))
        await rig.until_equal(expected(of))
        assert await rig.outcomes() == {"applied": len(of), "duplicate": 0, "late": 0, "invalid": 0}
        assert worker.poll() is None


async def test_a_newer_journal_is_refused_and_left_alone(rig: Rig) -> None:
    """One clear line, exit status 1, not even a claim."""
    producer = AIOKafkaProducer(**rig.connection)
    await producer.start()
    try:
        for partition in range(PARTITIONS):
            value = bytes([VERSION + 1]) + b"whatever comes"
            await producer.send_and_wait(rig.layout.name("journal"), value, partition=partition)
    finally:
        await producer.stop()
    with rig.worker() as worker:
        assert await asyncio.to_thread(worker.wait, 30) == 1
    assert f"journal record of version {VERSION + 1}" in rig.log.read_text()
    assert "Traceback" not in rig.log.read_text()
    assert len([message async for message in rig.read("journal")]) == PARTITIONS


async def make_anew(rig: Rig, *shorts: str) -> None:
    """Delete topics and create them again, empty."""
    names = [rig.layout.name(short) for short in shorts]
    with open_admin(admin_options(rig.section)) as admin:
        admin.delete_topics(names)
        end = time.monotonic() + DEADLINE_S
        while set(names) & {each["name"] for each in admin.describe_topics(names) if each["partitions"]}:
            assert time.monotonic() < end
            await asyncio.sleep(0.2)
    create(admin_options(rig.section), rig.layout)


async def test_inputs_that_were_made_anew_are_refused(rig: Rig) -> None:
    """The journal's fence lies beyond their end."""
    of = records(4, 100)
    await rig.feed(of)
    with rig.worker():
        await rig.until_applied(len(of))
    await make_anew(rig, *INPUTS)
    with rig.worker() as worker:
        assert await asyncio.to_thread(worker.wait, 40) == 1
    assert "it was made anew or lost records" in rig.log.read_text()


@pytest.mark.timeout(240)
async def test_inputs_that_are_made_anew_under_a_worker_stop_it(rig: Rig) -> None:
    """What comes then lies at offsets that were read before: it would be left out in silence."""
    of = records(4, 100)
    await rig.feed(of)
    with rig.worker() as worker:
        await rig.until_applied(len(of))
        await make_anew(rig, *INPUTS)
        assert await asyncio.to_thread(worker.wait, 2 * DEADLINE_S) == 1
    told = ("it was made anew or lost records", "the inputs are not partitioned alike")  # the latter while they are away
    assert any(words in rig.log.read_text() for words in told)


@pytest.mark.timeout(180)
async def test_readings_that_were_made_anew_are_published_anew(rig: Rig) -> None:
    """All that the journal holds."""
    of = records(4, 200)
    want = expected(of)
    await rig.feed(of)
    with rig.worker():
        await rig.until_applied(len(of))
        await rig.until_equal(want)
    await make_anew(rig, "readings")
    with rig.worker():
        await rig.until_equal(want)


async def test_old_journal_records_are_deleted_and_the_rest_still_loads(rig: Rig) -> None:
    """Below the third-last whole cycle."""
    name, admin = rig.layout.name("journal"), admin_options(rig.section)
    journal = Journal(name, rig.connection, admin, owner="test", record_bytes=1 << 20)
    await journal.start()
    try:
        folded = (await journal.load([2]))[2]
        rolling = Rolling()
        for seq in range(1, 6):
            piece = rolling.next(lambda: 1, 1)
            state = {"a": seq}
            flush = Delta(folded.epoch, PARTITIONS, seq, seq - 1, {}, state, [], piece.cycle, piece.starts, piece.ends, {})
            assert await journal.append(2, encode(flush)) == seq
        assert (await journal.load([2]))[2].cycles == (3, 4, 5)
        assert await journal.forget({2: 3})
        after = (await journal.load([2]))[2]
    finally:
        await journal.stop()
    assert (after.entries, after.seq, after.counted) == ({"a": 5}, 5, 3)
    assert min([message.offset async for message in rig.read("journal")]) == 3


async def test_a_claim_that_has_been_deleted_was_one(rig: Rig) -> None:
    """A sleeper that wakes when its successor has trimmed the journal beyond its own claim."""
    admin = admin_options(rig.section)
    sleeper, successor = (
        Journal(rig.layout.name("journal"), rig.connection, admin, owner=owner, record_bytes=1 << 20) for owner in "ab"
    )
    await sleeper.start()
    await successor.start()
    try:
        last = await sleeper.append(0, encode(Delta(await sleeper.claim(0), 4, 1, 0, {})))
        epoch = await successor.claim(0)
        for seq in range(2, 8):
            await successor.append(0, encode(Delta(epoch, 4, seq, seq - 1, {})))
        assert await successor.forget({0: epoch + 3})
        woken = await sleeper.append(0, encode(Delta(0, 4, 2, 1, {})))
        assert await sleeper.claimed(0, last + 1, woken)
        assert not await successor.claimed(0, epoch + 4, woken)
    finally:
        await sleeper.stop()
        await successor.stop()


async def test_a_broker_that_cannot_delete_is_not_asked_all_the_time(tmp_path: Path) -> None:
    """The embedded one has no admin requests."""
    with EmbeddedBroker() as broker:
        rig = Rig(broker.bootstrap, "f.", tmp_path)
        broker.create([rig.layout.name("journal")])
        admin = {**admin_options(rig.section), "api_version": EMBEDDED_API_VERSION}
        journal = Journal(rig.layout.name("journal"), rig.connection, admin, owner="test", record_bytes=1 << 20)
        await journal.start()
        try:
            assert await journal.claim(0) == 0
            assert not await journal.forget({0: 1})
            assert not await journal.forget({0: 1})
            assert journal._asked_again_s > time.monotonic()
            assert await journal.claimed(0, 0, 1)
        finally:
            await journal.stop()


async def fed_twice(rig: Rig) -> tuple[list[Record], TopicPartition, int, int]:
    """Records of which a worker that has gone counted the first half; an input with unread ones, from where on, and its end."""
    of = records(15, 400)
    half = len(of) // 2
    await rig.feed(of[:half])
    with rig.worker() as worker:
        await rig.until_applied(half)
        worker.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(worker.wait, 20) == 0
    committed, _ = await rig.committed()
    await rig.feed(of[half:])
    _, ends = await rig.committed()
    name = rig.layout.name("queues")
    tp = max((tp for tp in ends if tp.topic == name), key=lambda tp: ends[tp] - committed[tp])
    assert ends[tp] - committed[tp] > 1
    return of, tp, committed[tp], ends[tp]


async def until_committed(rig: Rig) -> None:
    """Wait until the group's offsets are the ends of the inputs."""
    end = time.monotonic() + DEADLINE_S
    while (offsets := await rig.committed())[0] != offsets[1]:
        assert time.monotonic() < end, f"{offsets}\n{rig.log.read_text()[-3000:]}"
        await asyncio.sleep(0.2)


def delete_before(rig: Rig, tp: TopicPartition, offset: int) -> None:
    """Delete records as retention does."""
    with open_admin(admin_options(rig.section)) as admin:
        admin.delete_records({AdminTopicPartition(tp.topic, tp.partition): offset})


@pytest.mark.timeout(180)
@pytest.mark.parametrize("left", [1, 0])
async def test_records_that_retention_took_are_told_and_counted(rig: Rig, left: int) -> None:
    """Deleted while no worker was there, all but the last one or all: the numbers go on without them, nobody can overlook it."""
    of, tp, start, end = await fed_twice(rig)
    port, gone = free_port(), end - left - start
    delete_before(rig, tp, end - left)
    with rig.worker(port):
        await rig.until_applied(len(of) - gone)
        told = f'floorpulse_worker_skipped_offsets_total{{cause="retention"}} {gone}.0'
        await until(lambda: told in get(f"http://127.0.0.1:{port}/metrics")[1], told)
        await until_committed(rig)
    assert "the broker deleted records before they were counted" in rig.log.read_text()
    assert (await rig.outcomes())["applied"] == len(of) - gone


@pytest.mark.timeout(180)
async def test_records_that_retention_takes_from_a_running_worker_are_told_and_counted(rig: Rig) -> None:
    """It slept meanwhile, and nothing new comes that would show the hole; it does not take its input for stuck."""
    of, port = records(16, 200), free_port()
    half = len(of) // 2
    await rig.feed(of[:half])
    with rig.worker(port) as worker:
        await rig.until_applied(half)
        await until_committed(rig)
        worker.send_signal(signal.SIGSTOP)
        committed, _ = await rig.committed()  # takes longer than the broker keeps a fetch back for want of records
        await rig.feed(of[half:])
        _, ends = await rig.committed()
        tp = max((tp for tp in ends if tp.topic == rig.layout.name("queues")), key=lambda tp: ends[tp] - committed[tp])
        gone = ends[tp] - committed[tp]
        delete_before(rig, tp, ends[tp])
        worker.send_signal(signal.SIGCONT)
        await rig.until_applied(len(of) - gone)
        told = f'floorpulse_worker_skipped_offsets_total{{cause="retention"}} {gone}.0'
        await until(lambda: told in get(f"http://127.0.0.1:{port}/metrics")[1], told)
        await until_committed(rig)
        assert get(f"http://127.0.0.1:{port}/livez")[0] == 200
    assert "worker.stalled" not in rig.log.read_text()
    assert (await rig.outcomes())["applied"] == len(of) - gone
