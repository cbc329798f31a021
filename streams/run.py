"""What the commands do: from a configuration to running parts."""

from __future__ import annotations

import asyncio
import signal
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from schemas.config import Config
from schemas.errors import BoardError, TopicError, UsageError
from streams.progress import progress_bar

if TYPE_CHECKING:
    from streams.app import Thaw
    from streams.core.floor import Floor
    from streams.worker import WorkerSettings

LIVE_TIMEOUT_S: Final = 30.0
MAX_TABLE_BYTES: Final = 1 << 30


def topic_names(config: Config) -> dict[str, str]:
    """Return the full name of each topic for its short one."""
    from streams.topics import plan

    layout = plan(config.kafka.topic_prefix)
    return {short: layout.name(short) for short in layout.topics}


def worker_settings(config: Config, *, heartbeat_s: float = 5.0) -> WorkerSettings:
    """Return what a worker must be told."""
    from sinks.board import split_address
    from streams.connection import admin_options, aiokafka_options, faust_options
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
        listen=split_address(worker.listen),
    )  # fmt: skip


def thaw_of(config: Config) -> Thaw:
    """Return how a partition's floor is made under this configuration."""
    from streams.core.floor import Floor

    rules = config.rules()

    def thaw(partition: int, partitions: int, entries: Mapping[str, Any], unpublished: Collection[str]) -> Floor:
        return Floor.thaw(partition, partitions, rules, entries, unpublished)

    return thaw


def run_worker(config: Config) -> None:
    """Run one worker until it is told to stop; the topics are checked first."""
    from streams.logs import configure_logs
    from streams.worker import run_worker as run

    configure_logs()
    _check_topics(config)
    run(worker_settings(config), thaw_of(config))


def _check_topics(config: Config) -> None:
    from streams.connection import admin_options
    from streams.topics import check, plan

    problems = check(admin_options(config.kafka), plan(config.kafka.topic_prefix))
    if problems:
        raise TopicError("; ".join(problems))


def run_board(config: Config) -> None:
    """Run one board until it is told to stop."""
    from streams.logs import configure_logs

    configure_logs()
    asyncio.run(_serve_board(config))


async def _serve_board(config: Config) -> None:
    from sinks.board import serve
    from streams.connection import aiokafka_options

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(config, aiokafka_options(config.kafka), stop)


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
    from streams.produce import produce

    with progress_bar("sending", _sizes(files)) as advance:
        done = asyncio.run(
            produce(config, files, speed=speed, keep_going=keep_going, from_line=from_line, end=end, progress=advance)
        )
    rejected = f", {done.rejected} bad lines in {', '.join(done.rejected_files)}" if done.rejected else ""
    typer.echo(f"{done.sent} events sent{rejected}; last line: {done.resume or '-'}", err=True)


def _sizes(files: Sequence[Path]) -> int | None:
    """Return the files' size in bytes of text, None where one is compressed (its text is longer)."""
    if any(file.suffix == ".gz" or not file.is_file() for file in files):
        return None
    return sum(file.stat().st_size for file in files)


def run_report(
    config: Config, files: Sequence[Path], *, interval: str, zone: str | None, by: str, out: str, live: str | None
) -> None:
    """Write the interval table of files, or of a running board, as CSV."""
    from sinks.table import choose

    choice = choose(interval, by, zone)
    if bool(files) == bool(live):
        raise UsageError("give either files or --live URL, e.g. floorpulse report events.jsonl --out table.csv")
    if live:
        query = {"interval": interval, "by": by, "format": "csv"} | ({"zone": zone} if zone else {})
        text = _fetch(f"{live.rstrip('/')}/api/v1/intervals?{urllib.parse.urlencode(query)}")
        if out == "-":
            sys.stdout.write(text)
        else:
            _write(out).write_text(text, encoding="utf-8")
        return
    from streams.memory import settle_memory
    from streams.report import report

    settle_memory()
    with progress_bar("reading", _sizes(files)) as advance:
        result = report(files, config.rules(zone), choice, advance)
    opened = nullcontext(sys.stdout) if out == "-" else _write(out).open("w", encoding="utf-8", newline="")
    with opened as file:
        result.table.write_csv(file)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in result.outcomes.items())
    typer.echo(f"{result.read} lines read: {counts}; {len(result.table.rows)} rows", err=True)
    for complaint in result.complaints:
        typer.echo(f"  {complaint}", err=True)


def _write(out: str) -> Path:
    path = Path(out)
    if not path.parent.is_dir():
        raise UsageError(f"--out {out}: the folder {path.parent} does not exist")
    return path


def _fetch(url: str) -> str:
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise UsageError(f"--live {url[:200]!r} is no http or https address, e.g. http://127.0.0.1:9464")
    try:
        with urllib.request.urlopen(url, timeout=LIVE_TIMEOUT_S) as answer:
            text: str = answer.read(MAX_TABLE_BYTES).decode()
            return text
    except urllib.error.HTTPError as error:
        raise BoardError(f"the board answered {error.code}: {error.read(500).decode(errors='replace').strip()} ({url})") from None
    except (OSError, ValueError) as error:
        raise BoardError(f"cannot ask the board at {url}: {error}. Is it running? floorpulse board") from None


__all__ = [
    "run_board", "run_produce", "run_report", "run_topics", "run_worker", "thaw_of", "topic_names", "worker_settings",
]  # fmt: skip
