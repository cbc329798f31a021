"""The demo: embedded broker, simulated contact centre, worker and board in one process.

The last 90 minutes are poured in first, as fast as it goes, with their true event times; from then on the centre runs in real
time (`streams.demo_story`). Everything in between is the same code that runs against a real Kafka. Now and then, and when a demo
ends by itself, all numbers are compared with a recount of the very same events (`streams.recount`).
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from time import monotonic
from typing import Final

from rich.console import Console
from rich.live import Live

from schemas.config import Config, Limits
from schemas.errors import FloorpulseError
from sinks.address import split_address
from sinks.board import Board
from streams.connection import aiokafka_options
from streams.demo_story import HORIZON_MS, Story
from streams.demo_view import Screen, can_draw, history_line, intro, last_line, plain_line
from streams.embedded import EmbeddedBroker
from streams.logs import silence_logs, told
from streams.recount import recount
from streams.run import thaw_of, topic_names, worker_settings
from streams.sender import Sender
from streams.simulator import Centre
from streams.worker import Worker

START_S: Final = 60.0
"""So long worker and board may take to show the first number."""
STOP_S: Final = 15.0
FINALE_S: Final = 30.0
"""So long the end waits for the first number, so that it can be compared."""
RECOUNTS_S: Final = (30.0, 240.0)
"""When the first recount is made, and the time between two."""
REFRESH_S: Final = 0.5
LOOK_S: Final = 0.05
PLAIN_S: Final = 10.0


def run_demo(config: Config, *, duration_ms: int | None, speed: float, queues: int, agents: int | None, seed: int) -> None:
    """Run the demo until ctrl-C or for `duration_ms`; raises what any of its parts could not do."""
    silence_logs()
    centre = Centre.default(queues=queues, agents=agents, seed=seed)
    with EmbeddedBroker() as broker:
        listen = _free_unless(config.worker.listen)
        settings = config.model_copy(
            update={
                "kafka": config.kafka.model_copy(update={"bootstrap": [broker.bootstrap], "partitioner": "murmur2"}),
                "time": config.time.model_copy(update={"mode": "live"}),
                "worker": config.worker.model_copy(update={"listen": listen}),
                "limits": _accepting_earlier_days(config),
            }
        )
        broker.create(topic_names(settings).values())
        asyncio.run(_Demo(settings, centre, speed, broker.bootstrap).run(duration_ms))


def _accepting_earlier_days(config: Config) -> Limits:
    limits = config.limits
    keys = ("session_horizon", "agent_horizon")
    return limits.model_copy(update={key: max(HORIZON_MS, getattr(limits, key)) for key in keys})


def _free_unless(listen: str) -> str:
    """Return the address if nobody listens there, else one with a free port: another worker's health must not stop a demo."""
    host, port = split_address(listen, "worker.listen")
    for wanted in (port, 0):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, wanted))
            except OSError:
                continue
            found = probe.getsockname()[1]
            return f"[{host}]:{found}" if ":" in host else f"{host}:{found}"
    return listen


class _Demo:
    """The parts of a running demo."""

    def __init__(self, config: Config, centre: Centre, speed: float, broker: str) -> None:
        self._config = config
        self._broker = broker
        self._centre = centre
        self._speed = speed
        self._stop = asyncio.Event()
        self._by_itself = False
        self._console = Console()

    async def run(self, duration_ms: int | None) -> None:
        """Start everything, show it, end it."""
        self._story = story = Story(self._centre, self._speed)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        if duration_ms is not None:
            loop.call_later(duration_ms / 1000, self._end_by_itself)
        config = self._config
        self._board = Board(config, aiokafka_options(config.kafka), clock_ms=story.now_ms)
        self._worker = Worker(worker_settings(config), thaw_of(config), clock_ms=story.now_ms)
        self._screen = Screen(story)
        await self._board.start()
        work = (self._worker.run(), self._play(), self._show(), self._recounts())
        tasks = [asyncio.create_task(each, name=f"demo-{n}") for n, each in enumerate(work)]
        try:
            ending = asyncio.create_task(self._stop.wait(), name="demo-end")
            await asyncio.wait([*tasks, ending], return_when=asyncio.FIRST_COMPLETED)
            ending.cancel()
            failed = [task for task in tasks if task.done()]  # what breaks off while all is stopped did not fail
            self._stop.set()
            story.stop()
            if self._by_itself and not any(task.done() for task in tasks[:2]):
                await self._finale()
            for task in (tasks[1], tasks[3]):
                task.cancel()
            self._worker.stop()
            await asyncio.wait(tasks, timeout=STOP_S)
        finally:
            await self._board.stop()
        for task in failed:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error if isinstance(error, FloorpulseError) else FloorpulseError(f"the demo failed: {told(error)}") from error

    def _end_by_itself(self) -> None:
        self._by_itself = True
        self._stop.set()

    async def _play(self) -> None:
        story, seen = self._story, self._worker.ownership.tally.seen
        await asyncio.to_thread(story.pour_history, self._config, lambda: seen.events)
        async with Sender(self._config) as sender, asyncio.TaskGroup() as group:
            group.create_task(story.send(sender))
            await self._until(self._complete)
            group.create_task(asyncio.to_thread(story.pour_earlier_days, self._config, lambda: seen.events))

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that happens in a thread or on the board."""
        while not condition():  # noqa: ASYNC110  neither tells anybody
            await asyncio.sleep(LOOK_S)

    async def _recounts(self) -> None:
        """Compare with a recount now and then; the last result is shown."""
        first, then = RECOUNTS_S
        await asyncio.sleep(first)
        while not self._stop.is_set():
            await self._until(lambda: self._story.all_poured)
            if self._complete():
                self._screen.verdict = await recount(self._story, self._board, self._worker.ownership, self._config.rules())
            await asyncio.sleep(then)

    async def _finale(self) -> None:
        """Compare once more, with everything that was sent."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._until(self._complete), FINALE_S)
        if not self._complete():
            self._say("it ended before the first number: give it a longer --duration, or fewer --queues")
        else:
            found = await recount(self._story, self._board, self._worker.ownership, self._config.rules(), rest=0.0)
            if found is not None:
                self._say(last_line(found))

    def _complete(self) -> bool:
        """Tell whether all that has been is on the board."""
        events = self._board.snapshot.health.events.values()
        counted = sum(sum(outcomes.values()) for outcomes in events)
        return self._board.snapshot.ready and 0 < self._story.history_events <= counted

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True)

    async def _show(self) -> None:
        """Show addresses, then the queues: a live panel where one can be drawn, else a line each 10 s."""
        for line in intro(version("floorpulse"), self._broker, self._board.url, self._config.worker.listen, self._centre):
            self._say(line)
        began = monotonic()
        while not self._stop.is_set() and not self._complete():
            if monotonic() - began > START_S:
                raise FloorpulseError(f"no number after {START_S:.0f} s; floorpulse --debug demo shows more")
            await self._pause(LOOK_S)
        if self._complete():
            self._say(history_line(self._story, monotonic() - began))
        if not can_draw(self._console):
            while not self._stop.is_set():
                self._say(plain_line(self._board.snapshot, self._story))
                await self._pause(PLAIN_S)
            return
        with Live(console=self._console, auto_refresh=False, screen=False) as live:
            while not self._stop.is_set():
                live.update(self._screen.panel(self._board.snapshot), refresh=True)
                await self._pause(REFRESH_S)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return


__all__ = ["run_demo"]
