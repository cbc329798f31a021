"""Run the simulator: into a file at once, or to Kafka in real time."""

from __future__ import annotations

import asyncio
import gzip
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import time
from typing import IO

import typer

from schemas.config import Config
from schemas.errors import FloorpulseError, InvalidEvent, UsageError
from schemas.instants import parse_instant
from streams.outputs import target
from streams.produce import SETTLE_S
from streams.progress import progress_bar
from streams.sender import Sender
from streams.simulator import Centre, Mess, Record, encode
from streams.simulator import simulate as events_of
from streams.stopping import run_until_stopped

WARM_UP_MS = 5 * 60_000
"""A centre at a given rate starts so much earlier, sent at once: sessions need time to unfold."""


@dataclass(frozen=True)
class Plan:
    """What to simulate; `start` RFC 3339, None = now; `duration_ms` None = until stopped.

    `history_ms` before the start come at once: a centre that has been open for a while.
    """

    rate: float | None = None
    duration_ms: int | None = None
    history_ms: int = 0
    queues: int = 6
    agents: int | None = None
    seed: int = 1
    start: str | None = None
    mess: bool = False

    def centre(self) -> Centre:
        """Return the centre to simulate; raises `UsageError` for one that cannot be."""
        try:
            centre = Centre.default(queues=self.queues, agents=self.agents, seed=self.seed, rate=self.rate)
        except ValueError as error:
            raise UsageError(str(error)) from None
        return replace(centre, mess=Mess()) if self.mess else centre

    def start_ms(self) -> int:
        """Return the event time of the start."""
        if self.start is None:
            return int(time() * 1000)
        try:
            return parse_instant(self.start)
        except InvalidEvent as error:
            raise UsageError(f"--start {self.start!r}: {error.detail}") from None


def run_simulation(config: Config, plan: Plan, out: Path | None) -> None:
    """Simulate into a file (`-`: standard output), or to Kafka in real time."""
    if out is None:
        run_until_stopped(_to_kafka(config, plan))
        return
    file = target(out, "events.jsonl")
    if plan.duration_ms is None:
        raise UsageError("--out needs --duration, e.g. --duration 1h: a file must end")
    start_ms, duration_ms = plan.start_ms() - plan.history_ms, plan.duration_ms + plan.history_ms
    count = _to_file(events_of(plan.centre(), start_ms, duration_ms), file, duration_ms, start_ms)
    if file is not None:
        typer.echo(f"{count} events in {out}", err=True)


def _opened(out: Path | None) -> AbstractContextManager[IO[bytes]]:
    if out is None:
        return nullcontext(sys.stdout.buffer)
    if out.suffix != ".gz":
        return out.open("wb")
    file = out.open("wb")
    packed = gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0)  # the same seed, the same bytes
    packed.myfileobj = file  # type: ignore[assignment]  # it closes it in the end, as one that it has opened itself
    return packed  # type: ignore[return-value]  # a GzipFile is an IO[bytes] in all that matters


def _to_file(records: Iterator[Record], out: Path | None, duration_ms: int, start_ms: int) -> int:
    count = 0
    with _opened(out) as file, progress_bar("simulating", duration_ms) as advance:
        told = start_ms
        for at, _, _, event in records:
            file.write(encode(event))
            file.write(b"\n")
            count += 1
            if at - told > duration_ms // 100:
                advance(at - told)
                told = at
    return count


async def _to_kafka(config: Config, plan: Plan) -> None:
    live_ms = plan.start_ms()
    start_ms = live_ms - max(plan.history_ms, WARM_UP_MS if plan.rate else 0)
    duration_ms = None if plan.duration_ms is None else plan.duration_ms + live_ms - start_ms
    sender = Sender(config)
    try:
        async with sender:
            try:
                await _send_in_time(sender, events_of(plan.centre(), start_ms, duration_ms, drain=False), live_ms, plan.duration_ms)
            except asyncio.CancelledError:
                with suppress(FloorpulseError, TimeoutError):
                    await asyncio.wait_for(sender.flush(), SETTLE_S)
                raise
    finally:
        if not isinstance(sys.exception(), Exception):  # what fails says so itself; who stops it wants to know
            typer.echo(f"{sender.sent} events sent to {','.join(config.kafka.bootstrap)}", err=True)


async def _send_in_time(sender: Sender, events: Iterator[Record], live_ms: int, duration_ms: int | None) -> None:
    """Send each event when its time has come, as if `live_ms` were now."""
    with progress_bar("simulating", duration_ms) as advance:
        told = began = time() * 1000
        for at, topic, key, event in events:
            wait_s = (began + at - live_ms - time() * 1000) / 1000
            if wait_s > 0.002:
                await asyncio.sleep(wait_s)
            now = time() * 1000
            if now - told > 500:
                advance(int(now - told))
                told = now
            await sender.send(topic, key.encode(), encode(event))


__all__ = ["Plan", "run_simulation"]
