"""One board: reads readings, makes snapshots, serves the page, the API and `/metrics`.

Any number of boards may run; each reads everything and none keeps anything. `Board` is for a program that has an
event loop of its own (the demo), `serve` for one that only is a board.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

import structlog
from aiohttp import web

from schemas.config import Config
from schemas.errors import BoardError
from sinks.address import cannot_listen, split_address
from sinks.alert_log import AlertLog, Look, Place
from sinks.alerts import page_of
from sinks.collector import Exposition, FloorCollector
from sinks.door import Door
from sinks.judge import Judge
from sinks.level_families import alert_families
from sinks.loop import forget_what_is_old, tune_process
from sinks.merge import Merge
from sinks.reader import Reader, wall_ms
from sinks.routes import Routes
from sinks.security import add_headers, build_of, credentials, guard, load_assets, server_tls
from sinks.snapshot import Snapshot, Snapshots
from sinks.stream import Screens
from sinks.trend import Trends
from sinks.wall import Setting, ranks_of
from sinks.windows import Windows

log = structlog.get_logger()

SHUTDOWN_S: Final = 2.0
"""So long answers that are under way may take at the end."""
SOONEST_S: Final = 0.1
"""Least time between two snapshots, however much comes in."""
SPARE: Final = 4.0
"""A snapshot is followed by a pause so many times as long: news takes a fifth of a core at most, whatever a snapshot costs."""
LATE_FACTOR: Final = 20
"""A snapshot that is so many refreshes late (and 10 s at least) means that the board hangs."""
FIRST_S: Final = 600.0
"""So long the first snapshot may take, which reads all slices: about 5 us each."""
IDLE_S: Final = 75.0
"""A connection that asks nothing for so long, or never ends its question, is closed."""
SEND_BYTES: Final = 131_072
"""What the kernel takes in advance for each connection, twice; by default up to 4 MB."""
MAX_REQUEST_BYTES: Final = 16_384
_Found = TypeVar("_Found")


class _Stopping(Exception):
    """The board is about to stop: what is under way for it need not be finished."""


class Board:
    """A board in this event loop: `await start()`, later `await stop()`."""

    def __init__(
        self, config: Config, kafka: Mapping[str, Any], *, topic: str | None = None, clock_ms: Callable[[], int] = wall_ms
    ) -> None:
        """Prepare; `kafka` are aiokafka's arguments (servers, security), `clock_ms` is what counts as the wall clock."""
        self._clock_ms = clock_ms
        self.title, self.zone = config.board.title, config.zone
        self.host, self.port = split_address(config.board.listen)
        self._refresh_s = config.board.refresh / 1000
        self._tls, self._credentials = server_tls(config.board), credentials(config.board)
        self._windows_ms = tuple(sorted({*config.windows, *config.thresholds.windows_ms()}))
        self._configured = [(name, queue.channel or "") for name, queue in config.queues.items()]
        exported = [label for label in config.exported_windows if label in config.known_windows]
        self._exported = tuple(dict.fromkeys((*exported, *config.thresholds.windows())))
        self._judge = Judge(config)
        self._alerts = self._alert_log(config, kafka)
        self._max_series = config.board.max_series
        self._reader = Reader(config.rules(), kafka, topic or config.kafka.topic_prefix + "readings")
        self._reader.on_new_merge = self._use
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self._doors: list[Door] = []
        self._routes: Routes | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._reading_since: float | None = None
        self._trends = Trends()
        self._ranks, self._agent_series = ranks_of(self._configured), config.agents.series
        self._snapshot = Snapshot(0, None, clock_ms())
        self._use(self._reader.merge)

    def _alert_log(self, config: Config, kafka: Mapping[str, Any]) -> AlertLog | None:
        if not (config.alerts.enabled and config.thresholds.enabled):
            return None
        place = Place(config.kafka.topic_prefix + "alerts", config.kafka.group + "-alerts", kafka)
        webhooks = config.alerts.webhooks if config.time.mode == "live" else []  # a replay of last year wakes nobody
        address = config.alerts.board_url
        return AlertLog(place, webhooks, self._looked, lambda subject: page_of(address or self.url, subject), self._clock_ms)

    def _looked(self) -> Look | None:
        """Return what alerts are made from; None: not ready, or old."""
        snapshot = self._snapshot
        if not snapshot.ready or snapshot.now is None or self._judge.is_stale(snapshot):
            return None
        now = snapshot.now
        return Look(snapshot.number, now, snapshot.standings, lambda subject: self._judge.is_quiet(subject, now))

    @property
    def snapshot(self) -> Snapshot:
        """The present snapshot."""
        return self._snapshot

    @property
    def merge(self) -> Merge:
        """The present merge."""
        return self._reader.merge

    @property
    def windows(self) -> Windows:
        """The windows over the present merge."""
        return self._snapshots.windows

    @property
    def channels(self) -> Mapping[str, str]:
        """The configured channel of each queue that has one."""
        return self._snapshots.channels

    @property
    def closing(self) -> bool:
        """Whether the board is about to stop."""
        return self._closing

    @property
    def alive(self) -> bool:
        """Whether snapshots are being made."""
        now = time.monotonic()
        if self._reading_since is not None:
            return now - self._reading_since < FIRST_S
        return now - self._snapshot.taken_s < max(10.0, LATE_FACTOR * self._refresh_s)

    @property
    def url(self) -> str:
        """Address of the page."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self._tls is None else 'https'}://{host}:{self.port}/"

    def _use(self, merge: Merge) -> None:
        self._snapshots = Snapshots(merge, self._windows_ms, self._configured, after=self._snapshot.number)
        self._snapshots.windows.between = self._go_on
        self._judge.begin_anew()

    def _go_on(self) -> None:
        """End the first reading of all slices, which may take long, when the board is told to stop."""
        if self._closing:
            raise _Stopping

    async def start(self) -> None:
        """Listen, then begin to read; raises `BoardError` when the address is taken."""
        guards = [] if self._credentials is None else [guard(self._credentials)]
        app = web.Application(client_max_size=MAX_REQUEST_BYTES, middlewares=guards)
        app.on_response_prepare.append(add_headers)
        exposition = Exposition(FloorCollector(self._exported, self._max_series, lambda: alert_families(self._alerts)))
        assets = load_assets()
        self._routes = Routes(self, exposition, assets, Screens(self, lambda: self._setting(build_of(assets)), self._trends))
        self._routes.add_to(app)
        app.on_shutdown.append(self._say_goodbye)
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_S, keepalive_timeout=IDLE_S
        )
        await self._runner.setup()
        try:
            await self._listen(self._runner)
        except OSError as error:
            await self._shut()
            scheme = "http" if self._tls is None else "https"
            raise BoardError(await cannot_listen(error, self.host, self.port, "board.listen", scheme)) from None
        self._reader.start()
        if self._alerts is not None:
            self._alerts.start()
        self._task = asyncio.create_task(self._refresh(), name="floorpulse-board-refresh")
        log.info("board.listening", url=self.url)

    async def _listen(self, runner: web.AppRunner) -> None:
        loop = asyncio.get_running_loop()
        protocol = runner.server
        assert protocol is not None
        found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, number, _, address in dict.fromkeys(found):
            listener = socket.socket(family, kind, number)
            door = Door(listener, protocol, self._tls)
            self._doors.append(door)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)  # its connections inherit it
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
            door.open()
        self.port = self._doors[0].port

    async def _shut(self) -> None:
        """Take no more connections, then let go of those who are there."""
        for door in self._doors:
            await door.close()
        self._doors.clear()
        if self._runner is not None:
            await self._runner.cleanup()

    async def stop(self) -> None:
        """Stop listening and reading."""
        self._closing = True
        await self._shut()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._routes is not None:
            await self._routes.stop()
        if self._alerts is not None:
            await self._alerts.stop()
        await self._reader.stop()

    async def next_snapshot(self, after: int) -> Snapshot:
        """Wait for a snapshot with a higher number, or for the end."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._closing or self._snapshot.number > after)
        return self._snapshot

    async def _say_goodbye(self, _: web.Application) -> None:
        """Let open streams end, so that the server can."""
        self._closing = True
        async with self._changed:
            self._changed.notify_all()

    async def _refresh(self) -> None:
        """Make a snapshot whenever a flush of a worker has come in, and when none has for the longest time between two."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self._reader.flushed.clear()
            try:
                self._snapshot = await self.alone(self._take)
                async with self._changed:
                    self._changed.notify_all()
            except _Stopping:
                return
            except Exception:  # the boundary: one bad snapshot must not end the board; /livez tells when none succeeds
                log.exception("snapshot.failed")
            spared_s = min(self._refresh_s, max(SOONEST_S, SPARE * (loop.time() - began)))
            await asyncio.sleep(spared_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._reader.flushed.wait(), self._refresh_s - spared_s)

    async def alone(self, work: Callable[[], _Found]) -> _Found:
        """Run something in a thread while nobody else changes or reads merge and windows."""
        return await self._reader.alone(work)

    def _take(self) -> Snapshot:
        reader, now = self._reader, self._clock_ms()
        self._reading_since = time.monotonic() if reader.ready and self._snapshots.windows.now is None else None
        try:
            taken = self._snapshots.take(now, ready=reader.ready, readings_age_ms=reader.ages_ms(), delays=reader.delays)
            standings, quiet = self._judge.standings(taken), self._judge.quiet_places(taken)
            snapshot = replace(taken, standings=standings, quiet=quiet, left_out=self._judge.left_out)
        finally:
            self._reading_since = None
        self._trends.take(snapshot)
        return snapshot

    def _setting(self, build: str) -> Setting:
        return Setting(self.title, self.zone, build, self.merge.rules.speech_channels, self._ranks, self._agent_series)


async def _settle(board: Board) -> None:
    """Take what has been read out of the collector's sight: walking through it all again would take some 100 ms."""
    while not board.snapshot.ready and not board.closing:
        await board.next_snapshot(board.snapshot.number)
    forget_what_is_old()


async def serve(config: Config, kafka: Mapping[str, Any], stop: asyncio.Event, *, topic: str | None = None) -> None:
    """Run a board until `stop` is set."""
    tune_process()
    board = Board(config, kafka, topic=topic)
    await board.start()
    settling = asyncio.create_task(_settle(board), name="floorpulse-board-settle")
    try:
        await stop.wait()
    finally:
        settling.cancel()
        await board.stop()


__all__ = ["Board", "serve"]
