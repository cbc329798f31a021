"""The demo: embedded broker, simulated contact centre, worker and board in one process.

The last 90 minutes are simulated and sent first, as fast as it goes, with their true event times; from then on the centre runs
in real time. Everything in between is the same code that runs against a real Kafka.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from importlib.metadata import version
from time import monotonic, time
from typing import Final

from rich.console import Console
from rich.live import Live

from schemas.config import Config
from schemas.errors import FloorpulseError
from sinks.board import Board
from streams.connection import aiokafka_options
from streams.demo_view import intro, panel, plain_line
from streams.embedded import EmbeddedBroker
from streams.logs import silence_logs
from streams.run import thaw_of, topic_names, worker_settings
from streams.sender import Sender
from streams.simulator import Centre, Record, Scenario, demo_scenario, encode
from streams.simulator import simulate as events_of
from streams.worker import Worker

HISTORY_MS: Final = 90 * 60_000
START_S: Final = 30.0
"""So long worker and board may take to show the first number."""
STOP_S: Final = 15.0


class Story:
    """The simulated centre on its way to Kafka; `sent` events, `behind_s` = how late the newest one went out."""

    def __init__(self, centre: Centre, speed: float) -> None:
        """Prepare a centre whose present begins now."""
        self.centre = centre
        self.speed = speed
        self.live_ms = int(time() * 1000)
        self.scenario: Scenario = demo_scenario(self.live_ms, centre)
        self.sent = 0
        self.history_events = 0
        self.history_s = 0.0
        self.behind_s = 0.0
        self._records: Iterator[Record] = events_of(centre, self.live_ms - HISTORY_MS, None, self.scenario)

    def now_ms(self) -> int:
        """Return the present in event time."""
        return round(self.live_ms + (time() * 1000 - self.live_ms) * self.speed)

    async def send(self, sender: Sender) -> None:
        """Send the history at once, then the present as it comes, until cancelled."""
        began = monotonic()
        for at, topic, key, event in self._records:
            wait_s = (at - self.now_ms()) / 1000 / self.speed
            if wait_s > 0:
                if not self.history_s:
                    self.history_events, self.history_s = self.sent, monotonic() - began
                await asyncio.sleep(wait_s)
            self.behind_s = max(0.0, -wait_s)
            await sender.send(topic, key.encode(), encode(event))
            self.sent += 1


def run_demo(config: Config, *, duration_ms: int | None, speed: float, queues: int, agents: int | None, seed: int) -> None:
    """Run the demo until ctrl-C or for `duration_ms`; raises what any of its parts could not do."""
    silence_logs()
    centre = Centre.default(queues=queues, agents=agents, seed=seed)
    with EmbeddedBroker() as broker:
        settings = config.model_copy(
            update={
                "kafka": config.kafka.model_copy(update={"bootstrap": [broker.bootstrap], "partitioner": "murmur2"}),
                "time": config.time.model_copy(update={"mode": "live"}),
            }
        )
        broker.create(topic_names(settings).values())
        asyncio.run(_demo(settings, Story(centre, speed), broker.bootstrap, duration_ms))


async def _demo(config: Config, story: Story, broker: str, duration_ms: int | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if duration_ms is not None:
        loop.call_later(duration_ms / 1000, stop.set)
    board = Board(config, aiokafka_options(config.kafka), clock_ms=story.now_ms)
    worker = Worker(worker_settings(config), thaw_of(config), clock_ms=story.now_ms)
    await board.start()
    tasks: list[asyncio.Task[None]] = []
    try:
        async with Sender(config) as sender:
            tasks = [
                asyncio.create_task(worker.run(), name="demo-worker"),
                asyncio.create_task(story.send(sender), name="demo-centre"),
                asyncio.create_task(_show(board, story, broker, stop), name="demo-view"),
            ]
            ending = asyncio.create_task(stop.wait(), name="demo-end")
            await asyncio.wait([*tasks, ending], return_when=asyncio.FIRST_COMPLETED)
            ending.cancel()
            stop.set()
            tasks[1].cancel()
            worker.stop()
            await asyncio.wait(tasks, timeout=STOP_S)
    finally:
        await board.stop()
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            raise error if isinstance(error, FloorpulseError) else FloorpulseError(f"the demo failed: {error!r}") from error


async def _show(board: Board, story: Story, broker: str, stop: asyncio.Event) -> None:
    """Show addresses, then the queues: a live panel on a terminal, else a line each 10 s."""
    console = Console()
    for line in intro(version("floorpulse"), broker, board.url, story.centre):
        console.print(line, highlight=False, soft_wrap=True)
    began = monotonic()
    while not stop.is_set() and not (board.snapshot.ready and board.snapshot.queues):
        if monotonic() - began > START_S:
            raise FloorpulseError(f"no number after {START_S:.0f} s; floorpulse --debug demo shows more")
        await _pause(stop, 0.1)
    shown_s = monotonic() - began
    if story.history_events:
        console.print(
            f"  history    last {HISTORY_MS // 60_000} min sent in {story.history_s:.1f} s ({story.history_events:,} events), "
            f"first numbers after {shown_s:.1f} s",
            highlight=False,
            soft_wrap=True,
        )
    if not console.is_terminal:
        while not stop.is_set():
            console.print(plain_line(board.snapshot, story.sent), highlight=False, soft_wrap=True)
            await _pause(stop, 10.0)
        return
    with Live(console=console, auto_refresh=False, screen=False) as live:
        while not stop.is_set():
            live.update(panel(board.snapshot, story), refresh=True)
            await _pause(stop, 0.5)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


__all__ = ["HISTORY_MS", "Story", "run_demo"]
