"""One run of chaos: topics, load, fleet and witness together; the result says what was done and what differs."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from schemas.readings import ReadingKey
from streams.connection import admin_options, aiokafka_options
from streams.topics import create, plan
from tests.chaos.fleet import Fleet
from tests.chaos.load import Load, Parts, make_load, recount
from tests.chaos.watch import Witness
from tests.kafka import RealKafka
from tests.settings import KafkaSection

SESSION_TIMEOUT_S: Final = 3.0
BROKER: Final = {"group.min.session.timeout.ms": "1000", "log.cleaner.enable": "false"}
"""Short sessions, so that there is time for many deaths; no clean-up, so that the witness sees every record."""
CALM_S: Final = 25.0
"""So long without any progress, and the next blow waits for some."""
SETTLE_S: Final = 180.0
_STOPS_IN_LOG: Final = re.compile(rb'"why": "(.*?)", "event": "worker.stopping"')
_EVENTS_IN_LOG: Final = re.compile(rb'"event": "([a-z_.]+)"')


@dataclass(frozen=True)
class Plan:
    """What to do. `pause_s` is the mean time between two blows, `guard` the one that the workers do without."""

    seed: int
    events: int = 1_000_000
    partitions: int = 12
    workers: int = 3
    kills: int = 200
    rebalances: int = 100
    zombies: int = 50
    pause_s: float = 2.0
    guard: str | None = None

    def blows(self, rng: random.Random) -> list[str]:
        """Return all blows in random order."""
        blows = ["kill"] * self.kills + ["rebalance"] * self.rebalances + ["zombie"] * self.zombies
        rng.shuffle(blows)
        return blows


@dataclass
class Result:
    """What was done, and what is wrong: `faults` must be empty."""

    plan: dict[str, Any]
    seconds: float = 0.0
    sent: int = 0
    done: dict[str, int] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    """How often the workers logged what."""
    ended: list[str] = field(default_factory=list)
    """Why workers stopped, where nobody had told them to."""
    readings: int = 0
    stale_readings: int = 0
    cells: int = 0
    differing: int = 0
    differing_after_compaction: int = 0
    published_ahead: int = 0
    accounting: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)

    @property
    def faults(self) -> bool:
        """Tell whether anything is wrong."""
        return bool(self.differing or self.differing_after_compaction or self.published_ahead or self.accounting)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {"exact": not self.faults, **asdict(self)}


class Run:
    """A run under way; `show` is told about its progress."""

    def __init__(self, wanted: Plan, kafka: RealKafka, folder: Path, show: Callable[[str], None] = lambda _: None) -> None:
        self.log = folder / "workers.log"
        self._plan = wanted
        self._show = show
        self._rng = random.Random(wanted.seed)
        section = KafkaSection(bootstrap=kafka.bootstrap)
        self._connection = aiokafka_options(section)
        self._layout = plan(f"chaos{wanted.seed}.{time.time_ns()}.", wanted.partitions)
        create(admin_options(section), self._layout)
        config = folder / "floorpulse.yaml"
        config.write_text(
            f"""
kafka: {{bootstrap: ["{kafka.bootstrap}"], topic_prefix: "{self._layout.prefix}", group: "{self._layout.prefix}workers"}}
time: {{mode: replay}}
worker: {{session_timeout: {SESSION_TIMEOUT_S}s, flush_interval: 200ms, flush_events: 2000}}
"""
        )
        self._fleet = Fleet(config, self.log, wanted.workers, SESSION_TIMEOUT_S, self._rng, wanted.guard)
        names = {short: self._layout.name(short) for short in ("readings", "journal")}
        self._witness = Witness(self._connection, names, wanted.partitions)
        self._struck = 0
        self._sent = 0
        self._counted = (0, time.monotonic())

    async def result(self) -> Result:
        """Do it all."""
        started = time.monotonic()
        self._show("making the load")
        load = make_load(self._plan.seed, self._plan.events, self._plan.partitions)
        witness = asyncio.ensure_future(self._witness.run())
        try:
            self._fleet.tend()
            sending = asyncio.ensure_future(self._send(load))
            await self._strike(self._plan.blows(self._rng))
            await self._fleet.wake()
            self._struck = 1 << 30
            await sending
            self._fleet.tend()
            self._show("recounting")
            want = await asyncio.to_thread(recount, load)
            await self._settle(load, want)
            return self._judge(load, want, time.monotonic() - started)
        finally:
            self._fleet.close()
            witness.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await witness

    async def _send(self, load: Load) -> None:
        """Send in step with the blows, so that there are events under way until the last of them."""
        blows = max(1, self._plan.kills + self._plan.rebalances + self._plan.zombies)
        producer = AIOKafkaProducer(**self._connection, linger_ms=10, enable_idempotence=True)
        await producer.start()
        try:
            for number, (topic, key, value) in enumerate(load.records):
                if number % 50 == 0:
                    while number > len(load.records) * (self._struck + 1) / (blows + 1):  # noqa: ASYNC110  # and by the way
                        await asyncio.sleep(0.02)
                    await asyncio.sleep(0.005)
                await producer.send(self._layout.name(topic), value, key=key or None, partition=load.partition(key))
                self._sent = number + 1
            await producer.flush()
        finally:
            await producer.stop()

    async def _strike(self, blows: list[str]) -> None:
        await asyncio.sleep(2 * self._plan.pause_s)
        for number, blow in enumerate(blows):
            await getattr(self._fleet, blow)()
            self._struck = number + 1
            await asyncio.sleep(self._rng.expovariate(1 / self._plan.pause_s))
            self._fleet.tend()
            await self._calm()
            self._show(f"{number + 1}/{len(blows)} blows, {self._sent} sent, {self._counted[0]} counted, {dict(self._fleet.done)}")

    async def _calm(self) -> None:
        """Wait for progress if there was none for long: workers that are never left alone bring nothing out."""
        while True:
            count = self._count()
            if count != self._counted[0] or count >= self._sent:
                self._counted = count, time.monotonic()
            if time.monotonic() < self._counted[1] + CALM_S:
                return
            await asyncio.sleep(0.2)
            self._fleet.tend()
            if time.monotonic() > self._counted[1] + SETTLE_S:
                raise TimeoutError(f"nothing was counted for {SETTLE_S:.0f} s\n{self.log.read_text()[-4000:]}")

    def _count(self) -> int:
        return sum(sum(outcomes.values()) for outcomes in self._witness.outcomes()[0].values())

    async def _settle(self, load: Load, want: Mapping[ReadingKey, Parts]) -> None:
        """Wait until all is as it should be, or for as long as that may take."""
        end, before = time.monotonic() + SETTLE_S, -1
        while time.monotonic() < end:
            count = self._count()
            if count != before:
                before, end = count, time.monotonic() + SETTLE_S / 3
            self._show(f"settling: {count} of {len(load.records)} counted")
            if count >= len(load.records) and self._is_over(load, want):
                return
            await asyncio.sleep(1)
            self._fleet.tend()

    def _is_over(self, load: Load, want: Mapping[ReadingKey, Parts]) -> bool:
        witness = self._witness
        return not witness.tell(load) and witness.cells() == want and witness.left_by_compaction() == want

    def _judge(self, load: Load, want: Mapping[ReadingKey, Parts], seconds: float) -> Result:
        got, left = self._witness.cells(), self._witness.left_by_compaction()
        differing = sorted(key for key in got.keys() | want.keys() if got.get(key) != want.get(key))
        afterwards = sorted(key for key in left.keys() | want.keys() if left.get(key) != want.get(key))
        log = self.log.read_bytes()
        outcomes = sum(self._witness.outcomes()[0].values(), Counter[str]())
        return Result(
            plan=asdict(self._plan),
            seconds=round(seconds, 1),
            sent=len(load.records),
            done=dict(self._fleet.done),
            told=dict(Counter(event.decode() for event in _EVENTS_IN_LOG.findall(log))),
            ended=[why.decode() for why in _STOPS_IN_LOG.findall(log) if why != b"told to"],
            readings=self._witness.read,
            stale_readings=self._witness.stale,
            cells=len(want),
            differing=len(differing),
            differing_after_compaction=len(afterwards),
            published_ahead=self._witness.unjournalled(),
            accounting=self._witness.tell(load),
            examples=[
                f"{key}: {_difference(got.get(key), want.get(key))}; published last as {self._witness.trail(key)}"
                for key in differing[:5]
            ],
            outcomes=dict(outcomes),
        )


def _difference(got: Parts | None, want: Parts | None) -> str:
    got, want = got or {}, want or {}
    parts = sorted(part for part in got.keys() | want.keys() if got.get(part) != want.get(part))
    return ", ".join(f"{part} {got.get(part)} instead of {want.get(part)}" for part in parts[:6])


async def chaos(wanted: Plan, show: Callable[[str], None] = lambda _: None) -> Result:
    """Run one plan on a broker of its own."""
    with tempfile.TemporaryDirectory(prefix="floorpulse-chaos-") as folder, RealKafka(options=BROKER) as kafka:
        run = Run(wanted, kafka, Path(folder), show)
        try:
            return await run.result()
        except BaseException:
            show(run.log.read_text()[-3000:] if run.log.exists() else "no worker has said anything")
            raise


__all__ = ["Plan", "Result", "Run", "chaos"]
