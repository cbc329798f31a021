"""What the commands do: from a configuration to running parts."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from schemas.config import Config
from schemas.errors import TopicError
from streams.progress import progress_bar, text_size
from streams.stopping import run_until_stopped

if TYPE_CHECKING:
    from streams.app import Thaw
    from streams.core.floor import Floor
    from streams.native import CompiledFloor
    from streams.produce import Produced
    from streams.worker import WorkerSettings

BOARD_STOP_S: Final = 20.0
"""A board that was told to stop and has not after so long is ended; it has nothing to lose."""
TIDY_S: Final = 60.0
"""Time between two clean-ups of a board's memory; a worker has its own."""


def topic_names(config: Config) -> dict[str, str]:
    """Return the full name of each topic for its short one."""
    from streams.topics import plan

    layout = plan(config.kafka.topic_prefix)
    return {short: layout.name(short) for short in layout.topics}


def worker_settings(config: Config, *, heartbeat_s: float = 5.0) -> WorkerSettings:
    """Return what a worker must be told."""
    from sinks.address import split_address
    from streams.connection import admin_options, aiokafka_options, faust_options
    from streams.native import CompiledFloor, core_named
    from streams.partition import Limits
    from streams.worker import WorkerSettings

    worker = config.worker
    return WorkerSettings(
        names=topic_names(config),
        faust=faust_options(config.kafka),
        aiokafka=aiokafka_options(config.kafka),
        admin=admin_options(config.kafka),
        group=config.kafka.group,
        limits=Limits(interval_s=worker.flush_interval / 1000, heartbeat_s=heartbeat_s, flush_events=worker.flush_events,
                      backlog_events=3 * worker.flush_events),
        session_timeout_s=worker.session_timeout / 1000,
        deadline_s=worker.shutdown_timeout / 1000,
        compression=None if worker.compression == "none" else worker.compression,
        listen=split_address(worker.listen, "worker.listen"),
        topic_prefix=config.kafka.topic_prefix,
        max_ahead_ms=config.time.max_ahead,
        live=config.time.mode == "live",
        core="compiled" if core_named(worker.core) is CompiledFloor else "python",
    )  # fmt: skip


def thaw_of(config: Config) -> Thaw:
    """Return how a partition's floor is made under this configuration."""
    from streams.native import core_named

    core, rules = core_named(config.worker.core), config.rules()

    def thaw(partition: int, partitions: int, entries: Mapping[str, Any], unpublished: Collection[str]) -> Floor | CompiledFloor:
        return core.thaw(partition, partitions, rules, entries, unpublished)

    return thaw


def run_worker(config: Config) -> None:
    """Run one worker until it is told to stop; the topics are checked first."""
    from streams.logs import configure_logs
    from streams.worker import run_worker as run

    thaw, settings = thaw_of(config), worker_settings(config)  # a bad setting is told before Kafka is asked
    configure_logs("floorpulse worker")
    _check_topics(config)
    run(settings, thaw)


def _check_topics(config: Config) -> None:
    from streams.connection import admin_options
    from streams.topics import check, plan

    problems = check(admin_options(config.kafka), plan(config.kafka.topic_prefix))
    if problems:
        raise TopicError("; ".join(problems))


def run_board(config: Config) -> None:
    """Run one board until it is told to stop."""
    from sinks.loop import new_loop
    from streams.logs import configure_logs
    from streams.memory import share_heap

    share_heap()
    configure_logs("floorpulse board")
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve_board(config))


async def _serve_board(config: Config) -> None:
    import structlog

    from sinks.board import serve
    from streams.connection import aiokafka_options
    from streams.deadline import Deadline

    loop, stop, log = asyncio.get_running_loop(), asyncio.Event(), structlog.get_logger()

    def on_signal(_number: int) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is about to end
            loop.call_soon_threadsafe(stop.set)

    Deadline(BOARD_STOP_S, on_signal, partial(log.error, "board.deadline", seconds=BOARD_STOP_S))
    tidying = asyncio.create_task(_tidy(), name="floorpulse-board-tidy")
    try:
        await serve(config, aiokafka_options(config.kafka), stop)
    finally:
        tidying.cancel()


async def _tidy() -> None:
    """Give free memory back now and then, beside the event loop."""
    from streams.memory import give_back

    while True:
        await asyncio.sleep(TIDY_S)
        await asyncio.to_thread(give_back)


def run_topics(config: Config, *, create: bool, partitions: int | None, replication: int) -> list[str]:
    """Create or check the topics; return lines for a person. Raises `TopicError` when something is wrong."""
    from streams.connection import admin_options
    from streams.topics import DEFAULT_PARTITIONS, check, plan
    from streams.topics import create as create_topics

    connection = admin_options(config.kafka)
    wanted = plan(config.kafka.topic_prefix, partitions or DEFAULT_PARTITIONS)
    lines = []
    if create:
        made = create_topics(connection, wanted, replication_factor=replication)
        lines = [f"created {name}" for name in made] or ["all topics exist already"]
    problems = check(connection, wanted)
    if problems:
        raise TopicError("; ".join(problems))
    return [*lines, f"all {len(wanted.topics)} topics are as they should be"]


def run_produce(config: Config, files: Sequence[Path], speed: float | None, *, keep_going: bool, from_line: int, end: bool) -> None:
    """Send files to Kafka, with a progress bar and a summary."""
    from streams.produce import Produced, produce

    done = Produced()
    try:
        with progress_bar("sending", text_size(files)) as advance:
            work = produce(
                config, files, speed=speed, keep_going=keep_going, from_line=from_line, end=end, progress=advance, done=done
            )
            run_until_stopped(work, lambda: done.reading)
    finally:
        if sys.exc_info()[0] in (None, KeyboardInterrupt):  # of what failed the error's line says where
            typer.echo(_summary(done), err=True)


def _summary(done: Produced) -> str:
    rejected = f", {done.rejected} bad lines in {', '.join(done.rejected_files)}" if done.rejected else ""
    return f"{done.sent} events sent{rejected}; last line: {done.resume}"


__all__ = [
    "run_board", "run_produce", "run_topics", "run_worker", "thaw_of", "topic_names", "worker_settings",
]  # fmt: skip
