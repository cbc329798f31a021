"""One owned partition on in-memory ports under whatever schedule of crashes."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from schemas.errors import Replaced
from streams import partition as module
from streams.journal import Cut, Delta, Span, decode
from streams.journal.follow import Follow
from tests.partition_world import NAMES, TOPICS, Broken, Log, Owner, Rec, World, turns


async def schedule(seed: int, log: Callable[[World], Log] = Log) -> World:
    """Feed a world to a row of owners that are killed, stopped, fail, sleep, or run on as zombies, as the seed says."""
    rng = random.Random(seed)
    world = World(lambda: rng.choice((0, 0, 1, 2, 5)))
    for topic in TOPICS:
        offsets = sorted(rng.sample(range(60), 40))  # the log has holes of its own
        world.inputs[topic] = [Rec(offset, rng.choice((b"a", b"b", b"bad"))) for offset in offsets]
    zombies: list[asyncio.Future[Any]] = []
    sleepers: list[Owner] = []
    for _ in range(rng.randint(1, 5)):
        world.fails = lambda: False
        folded = await world.claim()
        world.fails = lambda: rng.random() < 0.01
        owner = Owner(world, folded, log(world), flush_events=rng.randint(1, 9), backlog_events=20)
        zombies += await live_and_end(owner, rng, sleepers)
    world.fails = lambda: False
    last = Owner(world, await world.claim(), log(world), flush_events=5, heartbeat_s=0.0)
    running = [asyncio.ensure_future(last.partition.run()), asyncio.ensure_future(deliver(last, rng))]
    ends = {topic: log[-1].offset + 1 for topic, log in world.inputs.items()}
    await turns(8_000, lambda: last.partition.committable == ends or any(task.done() for task in running))
    for sleeper in sleepers:
        sleeper.ledger.awake.set()
    busy = [sleeper.partition._flushing for sleeper in sleepers]
    await turns(2_000, lambda: not any(flush.locked() for flush in busy) and world.compacted() == wanted(world))
    for task in [*running, *zombies]:
        task.cancel()
    results = await asyncio.gather(*running, *zombies, return_exceptions=True)
    unexpected = [each for each in results if not isinstance(each, Replaced | Broken | asyncio.CancelledError | None)]
    world.violations += [repr(each) for each in unexpected]
    if last.partition.committable != ends:
        world.violations.append(f"stopped at {last.partition.committable} of {ends}")
    return world


async def live_and_end(owner: Owner, rng: random.Random, sleepers: list[Owner]) -> list[asyncio.Future[Any]]:
    """Let an owner work for a while and come to some end; returns what runs on of it."""
    running: list[asyncio.Future[Any]]
    running = [asyncio.ensure_future(owner.partition.run()), asyncio.ensure_future(deliver(owner, rng))]
    await turns(rng.randint(0, 150), lambda: False)
    if sleepers and rng.random() < 0.3:
        rng.choice(sleepers).ledger.awake.set()
    end = rng.choice(("kill", "kill", "zombie", "stop", "sleeper"))
    if end == "sleeper":  # stopped with one foot between its journal and its readings
        owner.ledger.awake.clear()
        sleepers.append(owner)
    if end in ("zombie", "sleeper"):
        return running
    if end == "stop":
        await asyncio.gather(asyncio.ensure_future(owner.partition.finish()), return_exceptions=True)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    return []


async def deliver(owner: Owner, rng: random.Random) -> None:
    """Deliver batches for ever, with losses and repetitions; the client does not always say what it has read."""
    while not owner.partition.closed:
        topic = rng.choice(TOPICS)
        log, at = owner.world.inputs[topic], owner.inputs.at
        begin = max(0, at[topic] - rng.choice((0, 0, 0, 4)))
        batch = [record for record in log if record.offset >= begin][: rng.randint(1, 8)]
        if batch:
            at[topic] = end = batch[-1].offset + 1
            if rng.random() < 0.2:
                batch = batch[rng.randrange(len(batch)) :]
                begin = batch[0].offset
            span = Span(begin, end) if rng.random() < 0.5 else None
            await owner.partition.receive(topic, batch, span)
        await asyncio.sleep(0)


def wanted(world: World) -> dict[str, int]:
    """What lies in the inputs."""
    return Counter(f"{topic} {r.value.decode()}" for topic in TOPICS for r in world.inputs[topic] if r.value not in (None, b"bad"))


def faults(world: World) -> list[str]:
    """Compare what was published, for those who were there and for one who comes after compaction, with the inputs."""
    want = wanted(world)
    bad = {(NAMES[topic], r.offset) for topic in TOPICS for r in world.inputs[topic] if r.value == b"bad"}
    found = list(world.violations)
    if world.latest() != want:
        found.append(f"published {world.latest()} instead of {dict(want)}")
    if world.compacted() != want:
        found.append(f"compaction leaves {world.compacted()} instead of {dict(want)}")
    if world.letters().keys() != bad:
        found.append(f"dead letters {world.letters()} instead of {bad}")
    return found


SEEDS = [pytest.param(range(250), id="250"), pytest.param(range(250, 10_250), id="10000", marks=pytest.mark.deep)]


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.timeout(900)
async def test_any_schedule_publishes_every_record_exactly_once(seeds: Iterable[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing ahead of the journal, each cell right, each dead letter at least once."""
    monkeypatch.setattr(module, "HEALING_S", 0.0)
    assert {seed: found for seed in seeds if (found := faults(await schedule(seed)))} == {}


class Blind(Log):
    """A journal that never tells that somebody else has written."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.last: int | None = None

    async def append(self, partition: int, value: bytes | bytearray) -> int:
        """Pretend."""
        await super().append(partition, value)
        record = decode(value)
        assert isinstance(record, Delta)
        self.last = (record.epoch if self.last is None else self.last) + 1
        return self.last


class Hasty(Blind):
    """A journal that acknowledges before it has written."""

    async def append(self, partition: int, value: bytes | bytearray) -> int:
        """Write later."""
        record = decode(value)
        assert isinstance(record, Delta)
        self.last = (record.epoch if self.last is None else self.last) + 1
        self.writing = asyncio.ensure_future(Log.append(self, partition, value))
        return self.last


@pytest.mark.parametrize("log", [Blind, Hasty])
async def test_a_broken_journal_is_found_out(log: Callable[[World], Log], monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: without the fence, or with readings before the journal, the schedules show it."""
    monkeypatch.setattr(module, "HEALING_S", 0.0)
    assert any([faults(await schedule(seed, log)) for seed in range(60)])


async def test_readings_that_nobody_follows_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: without looking behind, a sleeper's old values outlive compaction."""
    monkeypatch.setattr(module, "HEALING_S", 0.0)
    monkeypatch.setattr(Follow, "must_look", lambda *_: False)
    found = [fault for seed in range(40) for fault in faults(await schedule(seed))]
    assert any(fault.startswith("compaction") for fault in found)
    assert all(fault.startswith("compaction") for fault in found), "readers that were there keep the highest"


async def test_unwatched_offsets_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: without contiguity, losses and repetitions of delivery reach the numbers."""
    monkeypatch.setattr(module, "cut", lambda _, offsets, __: Cut(0, len(offsets), False))
    assert any([faults(await schedule(seed)) for seed in range(6)])
