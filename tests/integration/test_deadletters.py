"""Dead letters on a real Kafka: listed, shown, sent again after a fix, without end only where somebody insists."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from schemas.config import Config
from schemas.config_file import load
from schemas.errors import FloorpulseError, TopicError, UnknownName
from schemas.partitioner import PARTITIONERS
from schemas.rules import Rules
from streams import replay as replaying
from streams.connection import admin_options, aiokafka_options
from streams.deadletters import Wanted, listing, one
from streams.journal.log import reading, span
from streams.letterview import shown
from streams.purge import COPIES, DELETABLE, STATE, Needle, delete, find, kept_for, told
from streams.replay import replay
from streams.topics import create, plan
from tests.builders import T0
from tests.integration.test_worker import DEADLINE_S, PARTITIONS, Cells, Rig, cells_of, rig
from tests.kafka import RealKafka
from tests.settings import KafkaSection

__all__ = ["rig"]  # a fixture

STATUSES = 7
SHORTS = ("sessions", "status", "dead-letters", "late", "relay", "journal")
NASTY = b'{"type":"\x1b]0;owned\x07agent.status","at":\xff'


def status_of(number: int) -> bytes:
    """An agent goes to lunch, by a word that nobody knows yet."""
    event = {"id": f"e{number}", "type": "agent.status", "at": T0 + number, "agent_id": f"a{number}", "status": "lunch"}
    return json.dumps(event).encode()


def config_of(rig: Rig) -> Config:
    """The rig's configuration, as a command reads it."""
    return load(rig.config)


async def until_counted(rig: Rig, outcome: str, count: int) -> None:
    """Wait until so many events came out like that, and are published."""
    until = time.monotonic() + DEADLINE_S
    while (await rig.outcomes()).get(outcome, 0) < count:
        assert time.monotonic() < until, f"{await rig.outcomes()}\n{rig.log.read_text()[-3000:]}"
        await asyncio.sleep(0.2)


async def everything(rig: Rig, short: str) -> list[Any]:
    """All records of a topic, by partition and offset."""
    return sorted([record async for record in rig.read(short)], key=lambda record: (record.partition, record.offset))


@pytest.mark.timeout(240)
async def test_from_rejection_to_replay(rig: Rig) -> None:
    """Listed and shown; a replay without the fix is rejected once and not repeated; after the fix everything is applied."""
    config = config_of(rig)
    sent = [("status", f"a{number}".encode(), status_of(number)) for number in range(STATUSES)]
    with rig.worker() as worker:
        await rig.feed([*sent, ("sessions", b"s", NASTY)])
        await until_counted(rig, "invalid", STATUSES + 1)

        found = await listing(config, Wanted(), 5)
        assert (found.letters, found.copies, found.by_reason) == (STATUSES + 1, 0, {"status": STATUSES, "unparsable": 1})
        assert found.by_topic == {rig.layout.name("status"): STATUSES, rig.layout.name("sessions"): 1}
        assert len(found.newest) == 5
        assert [each.at_ms for each in found.newest] == sorted((each.at_ms for each in found.newest), reverse=True)
        (nasty,) = (await listing(config, Wanted(frozenset({"unparsable"})), 5)).newest
        assert (await one(config, nasty.name)).value == NASTY
        assert not any(ord(char) < 32 or ord(char) == 127 for line in shown(nasty) for char in line)

        only = Wanted(frozenset({"status"}))
        assert (await replay(config, only, really=False)).by_reason == {"status": STATUSES}
        assert len(await everything(rig, "status")) == STATUSES, "a dry run sends nothing"
        assert (await replay(config, only, really=True)).by_reason == {"status": STATUSES}
        await until_counted(rig, "invalid", 2 * STATUSES + 1)
        twice = await replay(config, only, really=True)
        assert (twice.letters, twice.left_out) == (0, {"sent before": STATUSES, "rejected again": STATUSES})
        worker.terminate()
        worker.wait(30)

    rig.config.write_text(rig.config.read_text() + "agents: {statuses: {lunch: meal}}\n")
    again = Wanted(frozenset({"status"}), again=True)
    assert (await replay(config_of(rig), again, really=True)).letters == STATUSES
    with rig.worker():
        await until_counted(rig, "applied", STATUSES)
        assert await rig.outcomes() == {"applied": STATUSES, "duplicate": 0, "late": 0, "invalid": 2 * STATUSES + 1}
    records = await everything(rig, "status")
    assert len(records) == 3 * STATUSES
    for number in range(STATUSES):
        same = [record for record in records if record.key == f"a{number}".encode()]
        assert {record.value for record in same} == {status_of(number)}
        assert len({record.partition for record in same}) == 1
        assert [dict(record.headers).get("replayed") for record in same] == [None, b"1", b"2"]


class Letters:
    """Topics without a worker, and letters as one would have set them aside."""

    def __init__(self, kafka: RealKafka, prefix: str) -> None:
        section = KafkaSection(bootstrap=kafka.bootstrap)
        self.layout, self.connection = plan(prefix, PARTITIONS), aiokafka_options(section)
        self.admin = admin_options(section)
        create(self.admin, self.layout)
        self.config = Config(kafka={"bootstrap": [kafka.bootstrap], "topic_prefix": prefix})

    async def put(self, where: int, key: bytes | None, value: bytes, /, **headers: str) -> None:
        """Set a record aside."""
        stated: Mapping[str, str] = {"reason": "status", "topic": self.layout.name("status"), "partition": "0", **headers}
        producer = AIOKafkaProducer(**self.connection)
        await producer.start()
        encoded = [(name, text.encode()) for name, text in stated.items()]
        await producer.send_and_wait(self.layout.name("dead-letters"), value, key=key, partition=where, headers=encoded)
        await producer.stop()

    async def values(self, short: str) -> list[tuple[int, bytes]]:
        """Partition and value of all records of a topic."""
        found: list[tuple[int, bytes]] = []
        async with reading(self.connection) as consumer:
            _, ends = await span(consumer, self.layout.name(short), range(PARTITIONS))
            while sum(ends.values()) > len(found):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found += [(record.partition, record.value) for record in records]
        return found


@pytest.fixture
def letters(kafka: RealKafka, prefix: str) -> Letters:
    """Topics of its own."""
    return Letters(kafka, prefix)


async def test_a_replay_that_broke_off_goes_on_where_it_was(letters: Letters, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is noted is not sent again; what was under way is, at most a batch."""
    for number in range(10):
        await letters.put(number % 2, b"k", b"%d" % number, offset=str(number))
    monkeypatch.setattr(replaying, "BATCH", 2)
    noting, batches = replaying._Post.note, iter(range(10))

    async def failing(post: Any) -> None:
        if next(batches) == 3:
            raise FloorpulseError("pulled the plug")
        await noting(post)

    monkeypatch.setattr(replaying._Post, "note", failing)
    with pytest.raises(FloorpulseError, match="plug"):
        await replay(letters.config, Wanted(), really=True)
    monkeypatch.setattr(replaying._Post, "note", noting)
    rest = await replay(letters.config, Wanted(), really=True)
    assert (rest.letters, rest.left_out) == (4, {"sent before": 6})
    values = [value for _, value in await letters.values("status")]
    assert sorted(set(values)) == [b"%d" % number for number in range(10)]
    assert len(values) <= 12
    assert (await replay(letters.config, Wanted(), really=True)).letters == 0


async def test_only_inputs_are_written_to(letters: Letters) -> None:
    """Whatever a header says: not the journal, not another prefix, not a partition that is not there."""
    for number, topic in enumerate(("journal", "readings", "dead-letters")):
        await letters.put(0, b"k", b"x", topic=letters.layout.name(topic), offset=str(number))
    await letters.put(0, b"k", b"x", topic="other.status", offset="5")
    await letters.put(0, None, b"x", partition="99", offset="6")
    await letters.put(0, None, b"x", truncated="999", offset="7")
    done = await replay(letters.config, Wanted(), really=True)
    assert (done.letters, done.left_out) == (0, {"foreign": 5, "cut": 1})
    assert await letters.values("journal") == []


async def test_a_letter_goes_where_its_key_belongs(letters: Letters) -> None:
    """Also if it stood elsewhere; without a key, and on the relay, it stays where it was. A copy is sent once."""
    status, relay = letters.layout.name("status"), letters.layout.name("relay")
    await letters.put(1, b"a1", b"keyed", topic=status, partition="0", offset="1", reason="wrong_partition")
    await letters.put(1, b"a1", b"keyed", topic=status, partition="0", offset="1", reason="wrong_partition")
    await letters.put(1, None, b"bare", topic=status, partition="2", offset="1")
    await letters.put(1, b"a1", b"told", topic=relay, partition="3", offset="1")
    done = await replay(letters.config, Wanted(), really=True)
    assert (done.letters, done.left_out) == (3, {"copy": 1})
    where = PARTITIONERS["murmur2"](b"a1", PARTITIONS)
    assert sorted(await letters.values("status")) == sorted([(where, b"keyed"), (2, b"bare")])
    assert await letters.values("relay") == [(3, b"told")]
    found = await listing(letters.config, Wanted(), 9)
    assert (found.letters, found.copies, len(found.sent)) == (3, 1, 3)


async def test_what_is_not_there_is_told(letters: Letters) -> None:
    """A letter, a topic; an empty topic is no error."""
    assert (await listing(letters.config, Wanted(), 9)).letters == 0
    assert (await listing(letters.config, Wanted(since_ms=T0), 9, late=True)).letters == 0
    for name in ("0@0", "99@0"):
        with pytest.raises(UnknownName, match=name):
            await one(letters.config, name)
    elsewhere = letters.config.model_copy(update={"kafka": letters.config.kafka.model_copy(update={"topic_prefix": "no."})})
    with pytest.raises(TopicError, match=r"no\.dead-letters does not exist"):
        await listing(elsewhere, Wanted(), 9)


async def cells_now(rig: Rig) -> Cells:
    """Return what is published of slices."""
    return cells_of({key: value.parts for key, value in (await rig.published()).items()})


@pytest.mark.timeout(180)
async def test_a_customer_is_found_and_purged_where_nobody_counts(rig: Rig) -> None:
    """In the input, the relay, the journal and a dead letter; deleting changes no number, and leaves input and journal alone."""
    config = config_of(rig)
    about = {"type": "session.started", "channel": "voice", "queue": "orders"}
    events = [{"id": f"e{n}", "at": T0 + n, "session_id": f"s{n}", "customer_id": f"c-{n}", **about} for n in range(6)]
    of = [("sessions", str(event["session_id"]).encode(), json.dumps(event).encode()) for event in events]
    bad = ("sessions", b"s", json.dumps({"id": "x", "at": "noon", "customer_id": "c-3"}).encode())
    needle = Needle("c-3", Rules())
    with rig.worker():
        await rig.feed([*of, bad])
        await until_counted(rig, "applied", 6)
        until = time.monotonic() + DEADLINE_S
        found = await find(config, needle, SHORTS)
        while {place.short for place in found} != {"sessions", *COPIES[:1], *STATE}:
            assert time.monotonic() < until, found
            await asyncio.sleep(0.3)
            found = await find(config, needle, SHORTS)
        assert [place.records for place in found if place.short == "sessions"] in ([2], [1, 1])
        before = await cells_now(rig)
        while sum(parts.get("known_started", 0) for parts in before.values()) < 2 * 6:  # by way of the relay
            assert time.monotonic() < until
            await asyncio.sleep(0.3)
            before = await cells_now(rig)
        while {place.short for place in await find(config, needle, DELETABLE)}:
            assert time.monotonic() < until
            await asyncio.sleep(0.3)
            await delete(config, await find(config, needle, SHORTS))
        left = await find(config, needle, SHORTS)
        assert {place.short for place in left} == {"sessions", "journal"}
        lines = [told(place, kept_for(config, [place.topic])) for place in left]
        assert any("for ever" in line for line in lines)  # the test broker's inputs have no retention
        assert any("snapshot cycles" in line for line in lines)
        assert await cells_now(rig) == before
        more = [("sessions", b"s9", json.dumps({**events[0], "id": "e9", "session_id": "s9"}).encode())]
        await rig.feed(more)
        await until_counted(rig, "applied", 7)
    with rig.worker():
        await rig.feed([("sessions", b"s8", json.dumps({**events[0], "id": "e8", "session_id": "s8"}).encode())])
        await until_counted(rig, "applied", 8)


async def test_letters_are_chosen_by_time(letters: Letters) -> None:
    """From an instant on, and before one: when they were set aside."""
    await letters.put(0, b"k", b"first", offset="1")
    first = (await listing(letters.config, Wanted(), 1)).newest[0].at_ms
    await letters.put(1, b"k", b"second", offset="2")
    second = (await listing(letters.config, Wanted(), 1)).newest[0].at_ms
    assert first < second
    assert [each.value for each in (await listing(letters.config, Wanted(since_ms=second), 9)).newest] == [b"second"]
    assert [each.value for each in (await listing(letters.config, Wanted(until_ms=second), 9)).newest] == [b"first"]


def command(letters: Letters, *arguments: str) -> str:
    """Run the command line as a person does, and return what it prints; it must end well and say nothing on stderr."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLOORPULSE_")}
    environment["FLOORPULSE_KAFKA__BOOTSTRAP"] = ",".join(letters.config.kafka.bootstrap)
    environment["FLOORPULSE_KAFKA__TOPIC_PREFIX"] = letters.layout.prefix
    asked = [sys.executable, "-m", "streams.cli", *arguments]
    done = subprocess.run(asked, env=environment, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


async def test_the_commands_say_what_they_did(letters: Letters) -> None:
    """List, show, replay, purge and rebuild, from the outside."""
    await letters.put(1, b"k\x1b", b'{"customer_id":"c-1","x":"\x07"}', offset="4")
    listed = command(letters, "dead-letters", "list")
    assert next(line.split() for line in listed.splitlines() if "  status" in line) == ["1", "status"]
    assert json.loads(command(letters, "dead-letters", "list", "--json"))["newest"][0]["letter"] == "1@0"
    shown_text = command(letters, "dead-letters", "show", "1@0")
    assert "\\x07" in shown_text
    assert all(line.isprintable() for line in shown_text.splitlines())
    assert command(letters, "dead-letters", "show", "1@0", "--raw") == '{"customer_id":"c-1","x":"\x07"}'
    assert json.loads(command(letters, "dead-letters", "show", "1@0", "--json"))["key"] == "k\x1b"
    assert command(letters, "dead-letters", "replay").splitlines()[0] == "1 letters would be sent"
    assert "--yes" in command(letters, "dead-letters", "replay", "--dry-run")
    assert command(letters, "dead-letters", "replay", "--yes").splitlines()[0] == "1 letters sent"
    assert "1  left out: sent again before" in command(letters, "dead-letters", "replay", "--yes")
    found = command(letters, "purge", "--customer", "c-1")
    assert f"{letters.layout.name('dead-letters')}[1]  1 records, offsets 0 to 0; gone between" in found
    assert f"{letters.layout.name('status')}[" in found
    assert "Nothing was deleted" in found
    deleted = command(letters, "purge", "--customer", "c-1", "--yes")
    assert f"deleted {letters.layout.name('dead-letters')}[1] below offset 1" in deleted
    assert "dead-letters" not in command(letters, "purge", "--customer", "c-1")
    assert "occurs in none of" in command(letters, "purge", "--customer", "c-1", "--no-inputs")
    other = plan(f"other{letters.layout.prefix}", PARTITIONS)
    create(letters.admin, other)
    copied = command(letters, "rebuild", "--from", letters.layout.prefix, "--prefix", other.prefix)
    assert f"1  {letters.layout.name('status')} -> {other.name('status')}" in copied
