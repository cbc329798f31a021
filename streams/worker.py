"""One stream worker: its parts started and stopped in order, a watch over them, and its own health over HTTP.

Start: journal and outlet connect, the Faust app joins the group, `Ownership` (see `streams.app`) loads what it is
assigned. Stop, on SIGTERM, SIGINT or a failure: Faust stops fetching, every partition flushes for the last time,
offsets are committed, the group is left; a thread ends the process if that takes longer than the deadline, whatever
state it hangs in. Restarting is always safe: the next owner begins at the journal.

Health, on loopback unless told otherwise: `/metrics`; `/livez` fails when a partition has not brought a flush out, or
has records to read and does not move, or when the worker neither joins nor loads, for `STALL_S`, and after `GIVE_UP_S`
the worker ends; `/readyz` fails while the worker has not joined and loaded.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import faust
import structlog
from aiokafka.errors import KafkaError
from faust.exceptions import ConsumerNotStarted
from faust.types import TP

from schemas.errors import FloorpulseError, KafkaUnreachable
from streams.app import COMMIT_S, OUTPUTS, RELEASE_S, Ownership, Thaw, build_app, made_anew
from streams.behind import Behind
from streams.connection import COMPRESSION
from streams.deadline import Deadline, end_process
from streams.health import serve_health
from streams.journal import Journal, Outlet
from streams.logs import told
from streams.memory import tidy_memory
from streams.notices import Input, Notice, Watch, newest_of
from streams.partition import Limits
from streams.topics import JOURNAL_RECORD_BYTES
from streams.transport import take_group_error

STALL_S: Final = 20.0
"""Without progress for so long a worker is not alive."""
GIVE_UP_S: Final = 60.0
"""Without progress for so long a worker ends."""
APP_STOP_S: Final = RELEASE_S + COMMIT_S + 4.0
PART_STOP_S: Final = 2.0
"""How long parts may take to stop; together less than a usual deadline."""
WATCH_S: Final = 0.5
"""Time between two looks of the watchdog."""
LAG_S: Final = 5.0
"""Time between two questions to the broker about how far the inputs reach."""
AGAIN_S: Final = 9.0
"""An input that has more and does not move for so long is read again from where it stands."""
SPEAK_S: Final = 1.0
"""Time between two looks at what is to be told of the input."""
FIRST_CLEAN_S: Final = 10.0
"""After so long a worker tidies up for the first time: also one that does not live for long, again and again."""
JANITOR_S: Final = 60.0
"""Time between two clean-ups of journal and memory."""
LEFT_OVER_S: Final = 1.0
"""How long after the stop the client's threads may hold the process up: they wait for a broker's answer that nobody needs."""
_RECORD_ROOM: Final = 64 << 10  # what a batch takes beside its record

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class WorkerSettings:
    """All that a worker must be told; durations in seconds.

    `names` gives the full topic name for each short one; `faust`, `aiokafka` and `admin` are what `streams.connection`
    makes of the configuration. `deadline_s` bounds a stop; `listen` is the health server's host and port. The last three
    say how the log speaks of the input: see `streams.notices`.
    """

    names: Mapping[str, str]
    faust: Mapping[str, Any]
    aiokafka: Mapping[str, Any]
    admin: Mapping[str, Any]
    group: str = "floorpulse"
    limits: Limits = field(default_factory=Limits)
    session_timeout_s: float = 10.0
    deadline_s: float = 20.0
    compression: str | None = COMPRESSION
    journal_record_bytes: int = JOURNAL_RECORD_BYTES - _RECORD_ROOM
    listen: tuple[str, int] | None = ("127.0.0.1", 9465)
    topic_prefix: str = "floorpulse."
    max_ahead_ms: int = 300_000
    live: bool = True
    core: str = "python"
    """Which core counts: `compiled` or `python`, as `thaw` makes them."""


class Worker:
    """A worker inside a running event loop; `run` it, `stop` it. `on_stopping` is called when the stop begins."""

    def __init__(
        self,
        settings: WorkerSettings,
        thaw: Thaw,
        *,
        on_stopping: Callable[[], None] = lambda: None,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._settings = settings
        self._on_stopping = on_stopping
        self._stop = asyncio.Event()
        self.journal = Journal(
            settings.names["journal"],
            settings.aiokafka,
            settings.admin,
            owner=secrets.token_hex(8),
            record_bytes=settings.journal_record_bytes,
        )
        self.outlet = Outlet({short: settings.names[short] for short in OUTPUTS}, settings.aiokafka, settings.compression)
        self.ownership = Ownership(
            settings.names,
            settings.aiokafka,
            self.journal,
            self.outlet,
            thaw,
            limits=settings.limits,
            reclaim_s=settings.session_timeout_s,
            clock_ms=clock_ms,
        )
        self.names = settings.names
        self._clock_ms = clock_ms
        self._watch_input = Watch(
            self.ownership.tally.seen, settings.names, settings.topic_prefix, settings.max_ahead_ms, live=settings.live
        )
        self._behind = Behind()
        self._beyond: set[TP] = set()
        self._unready_s: float | None = None
        self._stalled_looks = 0
        self._app: faust.App | None = None

    def stop(self) -> None:
        """Let `run` come to its end."""
        self._stop.set()

    async def run(self) -> None:
        """Work until `stop`; raises what ended the worker otherwise."""
        self._app = app = self._build()
        health = await serve_health(self, self._settings.listen)
        _log.info("worker.started", topics=self._settings.topic_prefix + "*", group=self._settings.group, core=self._settings.core)
        parts = [asyncio.ensure_future(part) for part in self._parts(app)]
        why = "told to"
        try:
            await self._until_over(parts)
        except BaseException as error:
            why = told(error)
            raise
        finally:
            self._on_stopping()
            _log.info("worker.stopping", why=why)
            await _quietly(app.stop(), APP_STOP_S)
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            await _quietly(self.outlet.stop(), PART_STOP_S)
            await _quietly(self.journal.stop(), PART_STOP_S)
            if health is not None:
                await _quietly(health.cleanup(), PART_STOP_S)
            _tell(self._watch_input.last())
            _log.info("worker.stopped")

    def _parts(self, app: faust.App) -> Iterable[Coroutine[Any, Any, None]]:
        return self._start(app), self._watch(app), self._measure(app), self._clean(), self._speak()

    async def _start(self, app: faust.App) -> None:
        await self._connect()
        await app.start()

    async def _connect(self) -> None:
        try:
            await self.journal.start()
            await self.outlet.start()
        except KafkaError as error:
            servers = self._settings.aiokafka["bootstrap_servers"]
            raise KafkaUnreachable(f"cannot work with Kafka at {servers}: {error!r}; see floorpulse topics") from error

    def _build(self) -> faust.App:
        settings = self._settings
        return build_app(
            self.ownership,
            settings.names,
            settings.group,
            slabs=settings.core == "compiled",
            broker_session_timeout=settings.session_timeout_s,
            broker_heartbeat_interval=settings.session_timeout_s / 4,
            broker_request_timeout=max(20.0, settings.session_timeout_s),
            **settings.faust,
        )

    async def _until_over(self, parts: Iterable[asyncio.Future[None]]) -> None:
        stop = asyncio.ensure_future(self._stop.wait())
        over: set[asyncio.Future[Any]] = {stop, self.ownership.failure, *parts}
        while not stop.done():
            done, _ = await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                future.result()
            over -= done

    async def _watch(self, app: faust.App) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            if app.crashed:
                raise FloorpulseError(f"the stream engine has failed: {app.crash_reason!r}")
            if app.started and (error := take_group_error(app)) is not None:
                _log.warning("group.error", error=error)
            self._check_progress()

    async def _clean(self) -> None:
        """Tidy up: the journal, and memory."""
        pause_s = FIRST_CLEAN_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = JANITOR_S
            owned = self.ownership.owned.values()
            await self.journal.forget({p.number: p.forget_before for p in owned if p.forget_before is not None})
            tidy_memory()

    async def _speak(self) -> None:
        """Tell what is to be told of the input; and once each time that the worker becomes ready, or is so no longer."""
        was_ready = False
        while True:
            await asyncio.sleep(SPEAK_S)
            ready, owned = self.ready(), self.ownership.owned.values()
            if ready != was_ready:
                _log.info("worker.ready" if ready else "worker.not_ready", partitions=sorted(p.number for p in owned))
                was_ready = ready
            state = Input(len(owned), sum(self.lag.values()), newest_of([p.heartbeat for p in owned])) if ready else None
            _tell(self._watch_input.due(time.monotonic(), self._clock_ms(), state))

    def _check_progress(self) -> None:
        """Give up when nothing has moved for long; looks are counted, since a process may be stopped and woken."""
        now = time.monotonic()
        self._unready_s = None if self.ready() else self._unready_s or now
        stalls = self.stalls()
        if self._stalled_looks and not stalls:
            _log.info("worker.moves_again")
        self._stalled_looks = self._stalled_looks + 1 if stalls else 0
        if self._stalled_looks == 1:
            _log.warning("worker.stalled", stalls=stalls)
        if self._stalled_looks * WATCH_S > GIVE_UP_S - STALL_S:
            raise no_progress(stalls)

    async def _measure(self, app: faust.App) -> None:
        while True:
            await asyncio.sleep(LAG_S)
            positions = self.ownership.positions()
            try:
                ends = await asyncio.wait_for(app.consumer.highwaters(*positions), LAG_S) if positions else {}
            except (KafkaError, TimeoutError) as error:
                _log.debug("lag.unknown", error=repr(error))
            else:
                self._note_lag(positions, ends)
                await self._read_again(app, positions)

    @property
    def lag(self) -> Mapping[TP, int]:
        """How many records each input has beyond what was read, as last asked."""
        return self._behind.lag

    def _note_lag(self, positions: Mapping[TP, int], ends: Mapping[TP, int]) -> None:
        self._look_for_anew(positions, ends)
        self._behind.look(time.monotonic(), positions, ends, self.ownership.tally.events, self.ownership.holds)

    async def _read_again(self, app: faust.App, positions: Mapping[TP, int]) -> None:
        """Go back for what was lost on its way to us, or deleted, with nothing behind it that would have shown the hole."""
        lost = self._behind.lost(time.monotonic() - AGAIN_S)
        try:
            begins = await asyncio.wait_for(app.consumer.earliest_offsets(*lost), LAG_S) if lost else {}
        except (KafkaError, TimeoutError) as error:
            _log.debug("begin.unknown", error=repr(error))
            begins = {}
        for tp in lost:
            await self.ownership.read_again(tp, positions[tp], begins.get(tp, 0))

    def _look_for_anew(self, positions: Mapping[TP, int], ends: Mapping[TP, int]) -> None:
        """Stop when an input ends before what was read of it; twice, since a new leader may be a moment behind."""
        beyond = {tp for tp, offset in positions.items() if tp in ends and ends[tp] < offset}
        again, self._beyond = self._beyond & beyond, beyond
        for tp in again:
            raise made_anew(tp, positions[tp], ends[tp])

    # -- health

    def stalls(self) -> list[str]:
        """Say what has made no progress for too long."""
        before = time.monotonic() - STALL_S
        found = [f"partition {p.number}: no flush" for p in self.ownership.owned.values() if p.progress_s < before]
        found += [f"{tp.topic} {tp.partition}: not read" for tp in self._behind.stuck(before)]
        if self._unready_s is not None and max(self._unready_s, self.journal.read_s) < before:
            found.append("not joined, or not loaded")
        return found

    def ready(self) -> bool:
        """Tell whether the worker is in the group and has loaded what it was assigned."""
        app = self._app
        if app is None or not app.started or app.rebalancing:
            return False
        try:
            assigned = {tp.partition for tp in app.consumer.assignment()}
        except ConsumerNotStarted:  # Faust says that it has started a little before its consumer has
            return False
        return self.ownership.rebalances > 0 and assigned == self.ownership.owned.keys()


def no_progress(stalls: Iterable[str]) -> FloorpulseError:
    """Return the error for a worker that has not got on for `GIVE_UP_S`."""
    return FloorpulseError(
        f"no progress for {GIVE_UP_S:.0f} s ({'; '.join(stalls)}): Kafka does not answer, or not all of it. "
        "Restart the worker when it does; nothing is lost"
    )


def _tell(notices: Iterable[Notice]) -> None:
    for level, event, message, fields in notices:
        getattr(_log, level)(event, message=message, **fields)


def run_worker(settings: WorkerSettings, thaw: Thaw) -> None:
    """Run one worker as this process until SIGTERM or SIGINT; a stop that takes too long ends the process."""
    asyncio.run(_run(settings, thaw))


async def _run(settings: WorkerSettings, thaw: Thaw) -> None:
    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        worker.stop()
        _log.info("worker.signal", signal=signal.Signals(number).name)

    def on_signal(number: int) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is about to end
            loop.call_soon_threadsafe(stop, number)

    deadline = Deadline(settings.deadline_s, on_signal, partial(_tell_deadline, settings.deadline_s))
    worker = Worker(settings, thaw, on_stopping=deadline.begin)
    try:
        await worker.run()
    except Exception as error:
        _later(LEFT_OVER_S, end_process, 1, partial(_say, f"floorpulse worker: {str(error) or repr(error)}"))
        raise
    _later(LEFT_OVER_S, end_process, 0, _say)


def _later(seconds: float, do: Callable[..., Any], *arguments: Any) -> None:
    timer = threading.Timer(seconds, do, arguments)
    timer.daemon = True
    timer.start()


def _say(*lines: str) -> None:
    for line in lines:
        sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _tell_deadline(deadline_s: float) -> None:
    _log.error("worker.deadline", seconds=deadline_s, remedy="none needed: the next owner starts at the journal")


async def _quietly(stopping: Awaitable[Any], timeout_s: float) -> None:
    """Wait for a part to stop; what it says on its deathbed is logged only, and without a broker it may never die."""
    try:
        await asyncio.wait_for(stopping, timeout_s)
    except Exception as error:  # noqa: BLE001  # the other parts must be stopped too
        _log.warning("worker.stop_failed", error=told(error))


__all__ = ["GIVE_UP_S", "STALL_S", "Worker", "WorkerSettings", "no_progress", "run_worker"]
