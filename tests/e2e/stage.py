"""A board that shows what a test says: fed from memory with a worker's readings, its clock wherever the test wants it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from schemas.config import Config
from schemas.kpis import BY_ID, total_of
from sinks.board import Board
from sinks.gauges import OLDEST
from sinks.snapshot import Snapshot
from sinks.standing import BREACH, GOOD, WARN, Standing, Subject
from sinks.views import View
from tests.builders import Publisher

NOBODY: Final = {"bootstrap_servers": "127.0.0.1:1"}
MINUTE: Final = 60_000
AT: Final = 1_795_241_252_000
"""2026-11-21 14:07:32 in Shanghai: what the clock of a picture shows."""
PULSE_S: Final = 0.3
LIMITS: Final = {"oldest_wait": (60.0, 90.0), "service_level": (0.8, 0.7), "abandonment": (0.05, 0.1), "occupancy": (0.85, 0.9)}
FEWEST: Final = 20
Judge = Callable[[Snapshot], Mapping[Subject, Standing]]


@dataclass(frozen=True, slots=True)
class Line:
    """One queue on one channel: who waits since how many seconds, and its last half hour."""

    name: str
    oldest_s: float | None = None
    waiting: int = 0
    within: int = 48
    answered: int = 50
    abandoned: int = 1
    channel: str = "voice"
    wait_s: int = 12
    free: int = 3
    active: int = 6


TWELVE: Final = (
    Line("Billing", 6, 2, 96, 100, 2, free=5),
    Line("Orders", 107, 17, 61, 92, 13, wait_s=38, free=0, active=22),
    Line("Tech voice", 17, 4, 90, 99, 3),
    Line("Tech chat", 20, 5, 85, 99, 2, channel="chat", free=9),
    Line("Sales chat", 62, 7, 80, 97, 6, channel="chat", free=1),
    Line("Returns", 9, 4, 94, 99, 1),
    Line("VIP line", 14, 4, 92, 97, 3),
    Line("E-mail", 12, 3, 96, 99, 2, channel="email", free=8),
    Line("Delivery", 11, 2, 86, 99, 1),
    Line("Accounts", 23, 4, 86, 96, 4),
    Line("Complaints", None, 0, 95, 99, 1, free=4),
    Line("Night desk", None, 0, 0, 0, 0, free=2, active=0),
)
CHINESE: Final = tuple(
    replace(line, name=name)
    for line, name in zip(
        TWELVE,
        ("账单咨询", "订单查询", "技术支持", "技术在线", "售前咨询", "退换货",
         "贵宾专线", "邮件工单", "物流查询", "账户安全", "投诉受理", "夜间值班"),
        strict=True,
    )
)  # fmt: skip
GROUPS: Final[Mapping[str, Sequence[int]]] = {
    # free, in session, busy, away, break, meal, training, free slots, occupancy in %
    "North voice": (6, 21, 3, 1, 2, 2, 0, 20, 83),
    "South voice": (2, 25, 2, 1, 2, 2, 1, 8, 93),
    "Chat one": (5, 14, 1, 0, 1, 2, 0, 17, 79),
    "Chat two": (4, 16, 2, 1, 0, 3, 0, 14, 87),
    "E-mail": (2, 9, 1, 0, 1, 0, 0, 8, 72),
}


def many(n: int) -> tuple[Line, ...]:
    """Return so many queues, some of which do badly."""
    lines = []
    for number in range(n):
        bad, slow = number % 47 == 7, number % 17 == 5
        oldest = 107 - number % 9 if bad else 61 + number % 6 if slow else 5 + number % 25
        within = 60 if bad else 78 if slow else 92
        lines.append(Line(f"Queue {number + 1}", oldest, 12 if bad else 1 + number % 6, within, 99, 12 if bad else 2))
    return tuple(lines)


def judged(snapshot: Snapshot) -> dict[Subject, Standing]:
    """Return how each queue and group stands by `LIMITS` and the last 30 minutes, at once and without hysteresis."""
    found: dict[Subject, Standing] = {}
    since = snapshot.now or 0
    for view in snapshot.session_queues:
        oldest = view.now.get(OLDEST)
        wait = 0.0 if oldest is None else (since - oldest) / 1000
        found[Subject("oldest_wait", view.name, view.channel)] = _standing("oldest_wait", wait, 0, since // MINUTE * MINUTE)
        for kpi in ("service_level", "abandonment"):
            found[Subject(kpi, view.name, view.channel)] = _ratio(view, kpi, since)
    for group in snapshot.groups:
        found[Subject("occupancy", group=group.name)] = _ratio(group, "occupancy", since)
    return found


def _ratio(view: View, kpi: str, since: int) -> Standing:
    terms = BY_ID[kpi].terms
    assert terms is not None
    top, bottom = (total_of(each, view.parts("30m")) for each in terms(view.rules))
    if bottom < FEWEST:
        return Standing(None, since, None, *LIMITS[kpi], "30m", bottom)
    return _standing(kpi, top / bottom, bottom, since // MINUTE * MINUTE)


def _standing(kpi: str, value: float, n: int, since: int) -> Standing:
    warn, breach = LIMITS[kpi]
    side = -1 if warn > breach else 1
    level = BREACH if side * value > side * breach else WARN if side * value > side * warn else GOOD
    return Standing(level, since, value, warn, breach, "30m" if n else "", n)


class Stage:
    """A running board. `tell` says what is the case; while `pulse` is on, heartbeats follow each other."""

    def __init__(self, board: Board, clock_ms: Clock, judge: Judge | None) -> None:
        self.board, self.clock_ms, self.judge = board, clock_ms, judge
        self.pulse = True
        self.worker = Publisher(0)
        self._offset = 0
        self._standings: Mapping[Subject, Standing] = {}
        take = board._take
        board._take = lambda: self._judged(take())  # type: ignore[method-assign]

    def _judged(self, snapshot: Snapshot) -> Snapshot:
        if self.judge is None:
            return snapshot
        if snapshot.ready and self.pulse:  # what is old is not judged anew
            self._standings = self.judge(snapshot)
        return replace(snapshot, standings=self._standings)

    async def tell(self, *lines: Line, window: bool = True) -> None:
        """Say how queues stand; without `window` only who waits now."""
        now = self.clock_ms()
        for line in lines:
            gauges = {"waiting": line.waiting, "active_sessions": line.active}
            if line.oldest_s is not None:
                gauges[OLDEST] = now - round(line.oldest_s * 1000)
            self.worker.now("queue", line.name, line.channel, **gauges)
            self.worker.now("slots", line.name, capacity=line.free + line.active, slots_used=line.active, slots_free=line.free)
            if window and line.answered + line.abandoned:
                self.worker.count(
                    line.name, now - 5 * MINUTE, line.channel, offered=line.answered + line.abandoned, answered=line.answered,
                    answered_within=line.within, abandoned=line.abandoned, left=line.answered + line.abandoned,
                    wait_answered_ms=1000 * line.wait_s * line.answered, first_response_ms=17_000 * line.answered,
                    first_response_n=line.answered,
                )  # fmt: skip
        await self.flush()

    async def staff(self, groups: Mapping[str, Sequence[int]]) -> None:
        """Say what the agents of groups do, and of the floor as their sum."""
        now = self.clock_ms()
        names = ("available_idle", *(f"status_{name}" for name in ("available", "busy", "away", "break", "meal", "training")))
        total: dict[str, int] = {}
        for name, (free, session, *rest, slots, busy) in groups.items():
            gauges = dict(zip(names, (free, free + session, *rest), strict=True))
            gauges |= {"capacity": slots + session, "slots_used": session, "slots_free": slots}
            total = {part: total.get(part, 0) + value for part, value in gauges.items()}
            self.worker.now("group", name, "", **gauges, in_hand=session)
            wanted = 30 * MINUTE * free * busy // (100 - busy)  # time in hand that makes them so busy
            self.worker.add("group", name, "", now - 5 * MINUTE, {"in_hand_ms": wanted - 30 * MINUTE * session})
        self.worker.now("group", "all", "", **total)
        await self.flush()

    async def quality(self, name: str = "Orders") -> None:
        """Say something of satisfaction, surveys, resolution and complaints of a queue."""
        now = self.clock_ms()
        parts = {"rated": 412, "rated_score_e6": 394_000_000, "surveys_sent": 760, "fcr_contacts": 1830, "fcr_resolved": 1599}
        self.worker.count(name, now - 30 * MINUTE, "voice", **parts)
        before = {"rated": 500, "rated_score_e6": 484_000_000, "surveys_sent": 900, "fcr_contacts": 2000, "fcr_resolved": 1720}
        self.worker.count(name, now - 9 * 24 * 60 * MINUTE, "voice", **before)
        self.worker.now("queue", name, "unassigned", complaints_open=7)
        await self.flush()

    async def remember(self, name: str, channel: str, waits: Sequence[int]) -> None:
        """Let the board have seen these longest waits, one per 10 s, up to now."""
        step = self.clock_ms() // 10_000
        trends = self.board._trends
        trends.take(self.board.snapshot)
        rings = trends._rings_of((name, channel))
        assert rings is not None
        for ago, wait in enumerate(reversed(waits), 1):
            rings[0][(step - ago) % 360] = wait

    def later(self, seconds: float) -> None:
        """Let time pass in which nothing is read."""
        self.clock_ms.ahead_ms += round(1000 * seconds)
        for partition in self.board._reader._heard:
            self.board._reader._heard[partition] -= seconds

    async def flush(self) -> None:
        """Let what was said take effect."""
        records = self.worker.flush(self.clock_ms())
        reader = self.board._reader

        def put() -> None:
            for key, value in records:
                self._offset += 1
                reader._take(0, _Record(self._offset, key, value))

        await self.board.alone(put)
        reader.ready = True

    async def shown(self) -> Snapshot:
        """Wait until a snapshot has what was said."""
        number = self.board.snapshot.number
        return await self.board.next_snapshot(number + 1)

    async def _pulse(self) -> None:
        while True:
            if self.pulse:
                await self.flush()
            await asyncio.sleep(PULSE_S)


class _Record:
    def __init__(self, offset: int, key: bytes, value: bytes | None) -> None:
        self.offset, self.key, self.value, self.timestamp = offset, key, value, time.time_ns() // 1_000_000


def settings(lines: Sequence[Line] = (), **changes: Any) -> Config:
    """Return a board's configuration with these queues, in their order."""
    board = {"listen": "127.0.0.1:0", "refresh": "100ms", **changes.pop("board", {})}
    queues = {line.name: {"channel": line.channel} for line in lines}
    return Config.model_validate({"zone": "Asia/Shanghai", "board": board, "queues": queues, **changes})


class Clock:
    """A clock that shows `at` now and goes on."""

    def __init__(self, at: int) -> None:
        self._at, self._began = at, time.monotonic_ns()
        self.ahead_ms = 0

    def __call__(self) -> int:
        """Return the time, in ms."""
        return self._at + self.ahead_ms + (time.monotonic_ns() - self._began) // 1_000_000


@asynccontextmanager
async def staged(*lines: Line, at: int = AT, judge: Judge | None = judged, config: Config | None = None) -> AsyncIterator[Stage]:
    """Run a board that knows these queues; without `judge` it judges itself.

    `at`: where its clock begins. Never by the wall clock: half an hour before may be yesterday, and a page tells of today.
    """
    clock = Clock(at)
    board = Board(config or settings(lines), NOBODY, clock_ms=clock)
    stage = Stage(board, clock, judge)
    await board.start()
    pulsing = asyncio.create_task(stage._pulse())
    try:
        await stage.tell(*lines)
        await stage.shown()
        yield stage
    finally:
        pulsing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pulsing
        await board.stop()


__all__ = [
    "AT", "CHINESE", "GROUPS", "LIMITS", "MINUTE", "NOBODY", "TWELVE", "Clock", "Line", "Stage", "judged", "many", "settings",
    "staged",
]  # fmt: skip
