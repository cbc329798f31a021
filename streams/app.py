"""The Faust app of a worker, and which partitions are its own.

Theory of operation. All inputs (sessions, queues, status, business, relay) have the same number of partitions and one
Faust topic reads them all, so that whoever is assigned partition p is assigned it of each. Faust's one processor only
hands batches to the `Partition` they belong to. `Ownership` follows the rebalances:

* revoked: nothing more is taken, all partitions flush for the last time, offsets are committed, partitions are parked;
* assigned: each partition is claimed in the journal. If the claim comes right behind our own last record, nobody
  else had the partition meanwhile and the parked one goes on; otherwise the journal is folded, what may not have been
  published is sent again, and reading starts at the journal's offsets. Only then Faust lets records flow.
* replaced (somebody else wrote the journal): the partition is dropped. If the group still says after a session timeout
  that it is ours, the other one has gone, and it is claimed again.

An error that none of this covers ends the worker: it is reported by `failure`, and a restart begins at the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

import faust
import structlog
from aiokafka.errors import IllegalStateError, KafkaError
from faust.exceptions import ConsumerNotStarted
from faust.types import TP

from schemas.errors import JournalMismatch, Replaced, TopicError
from streams.behind import POLL_RECORDS
from streams.journal import Folded, Journal, Outlet, offsets_from
from streams.journal.log import begin_of, records_from
from streams.journal.ports import Floor, Ports, Record
from streams.logs import told
from streams.memory import collector_off, settle_memory
from streams.partition import Limits, Partition, Tally
from streams.transport import batch_topic, install

INPUTS: Final = ("sessions", "queues", "status", "business", "relay")
"""Short names of the topics that a worker reads."""
OUTPUTS: Final = ("readings", "relay", "dead-letters", "late")
"""Short names of the topics that a worker writes, besides the journal."""
RELEASE_S: Final = 5.0
"""How long the last flushes may take; what they cannot finish, the next owner makes good."""
COMMIT_S: Final = 3.0
"""How long the commit after them may take; the journal knows the offsets anyway."""
SILENT_S: Final = 1e9
"""Faust's own watch over commits cries wolf under load, since it does not see ours: `/livez` and the deadline watch instead."""

_log = structlog.get_logger(__name__)


class Thaw(Protocol):
    """Make the floor of a partition: `streams.core.floor.Floor.thaw` with the rules filled in."""

    def __call__(self, partition: int, partitions: int, entries: Mapping[str, Any], unpublished: Collection[str]) -> Floor:
        """Return the floor that the entries describe."""


class Ownership:
    """The partitions that are ours now; `attach` the app before it starts.

    `names` gives the full name of a topic for its short one, `connection` is for aiokafka.
    """

    def __init__(
        self,
        names: Mapping[str, str],
        connection: Mapping[str, Any],
        journal: Journal,
        outlet: Outlet,
        thaw: Thaw,
        *,
        limits: Limits,
        reclaim_s: float,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.owned: dict[int, Partition] = {}
        self.tally = Tally()
        self.rebalances = 0
        self.replaced = 0
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Gets the exception that must end the worker."""
        self._names = names
        self._short = {names[short]: short for short in INPUTS}
        self._connection = connection
        self._journal = journal
        self._outlet = outlet
        self._thaw = thaw
        self._limits = limits
        self._reclaim_s = reclaim_s
        self._ports = Ports(self, journal, outlet, names, clock_ms)
        self._parked: dict[int, Partition] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loads: set[asyncio.Task[None]] = set()
        self._turn = 0
        """Grows with every assignment and revocation."""
        self._dropped = False
        """Whether there is the state of a partition that is not ours any more."""
        self._app: Any = None

    def attach(self, app: faust.App) -> None:
        """Follow the rebalances of an app."""
        self._app = app
        app.on_rebalance_complete.connect(self._on_assigned)
        app.on_partitions_revoked.connect(self._on_revoked)
        app.on_before_shutdown.connect(self._on_shutdown)

    def fail(self, error: BaseException) -> None:
        """Report what must end the worker; the first report counts."""
        if not isinstance(error, Exception):  # a panic of the compiled core is none, and would pass by all boundaries
            error = RuntimeError(f"{type(error).__name__}: {error}")
        if not self.failure.done():
            self.failure.set_exception(error)

    async def take(self, topic: str, partition: int, records: Any) -> None:
        """Give a batch to its partition; what is not ours (any more) is dropped, its owner reads it."""
        ours = self.owned.get(partition)
        if ours is not None:
            await ours.receive(self._short[topic], records, records.span)

    # -- what the transport asks

    def positions(self) -> Mapping[TP, int]:
        """Return where reading goes on, for every input whose partition is loaded."""
        return self._offsets(lambda partition: partition.next)

    def committable(self) -> Mapping[TP, int]:
        """Return up to where everything is journalled and published."""
        return self._offsets(lambda partition: partition.committable)

    def commit_failed(self, error: Exception) -> None:
        """Note that a commit failed; the next one tries again."""
        self.tally.commit_errors += 1
        _log.warning("commit.failed", error=type(error).__name__)  # some texts are essays

    def _offsets(self, which: Callable[[Partition], Mapping[str, int]]) -> dict[TP, int]:
        owned = self.owned.items()
        return {TP(self._names[topic], p): offset for p, ours in owned for topic, offset in which(ours).items()}

    # -- what a partition asks

    def end(self, topic: str, partition: int) -> int | None:
        """Return the log's end as of the newest fetch, None where nothing was fetched yet."""
        try:
            end: int | None = self._app.consumer.highwater(TP(self._names[topic], partition))
        except (AssertionError, AttributeError, KeyError, ConsumerNotStarted):  # not assigned at this moment, or stopping
            return None
        return end

    def passed(self, topic: str, partition: int, offset: int) -> int:
        """Return up to where the client has read on from `offset` without finding a record."""
        try:
            passed: int = self._app.consumer.passed(TP(self._names[topic], partition), offset)
        except (AttributeError, ConsumerNotStarted):  # stopping
            return offset
        return passed

    def holds(self, tp: TP) -> bool:
        """Tell whether the client has fetched records of an input that it has not handed out."""
        try:
            return bool(self._app.consumer.holds(tp))
        except (AttributeError, ConsumerNotStarted):  # stopping
            return False

    async def begin(self, topic: str, partition: int) -> int:
        """Ask the broker for the first offset that the log still holds."""
        return await begin_of(self._connection, self._names[topic], partition)

    async def go_back(self, topic: str, partition: int, offset: int) -> None:
        """Deliver again from `offset` on."""
        try:
            await self._app.consumer.seek_wait({TP(self._names[topic], partition): offset})
        except (KafkaError, IllegalStateError, TimeoutError) as error:  # a rebalance came first, or the broker is away
            _log.warning("partition.no_way_back", topic=topic, partition=partition, offset=offset, error=repr(error))

    async def read_again(self, tp: TP, offset: int, begin: int) -> None:
        """Deliver an input again from where its partition stands, if that has not moved since, or from the log's beginning."""
        ours, topic = self.owned.get(tp.partition), self._short[tp.topic]
        if ours is not None and not ours.closed and ours.next[topic] == offset:
            if not ours.begin_at(topic, begin):
                self.tally.holes["delivery"] += 1
                _log.warning("partition.nothing_came", topic=topic, partition=tp.partition, expected=offset)
            await self.go_back(topic, tp.partition, ours.next[topic])

    def offsets_from(self, topic: str, partition: int, start: int) -> AsyncGenerator[int]:
        """Ask the broker which offsets the log holds from `start` on."""
        return offsets_from(self._connection, self._names[topic], partition, start)

    def readings(self, partition: int, start: int) -> AsyncGenerator[Record]:
        """Read the readings of a partition from `start` on."""
        return records_from(self._connection, self._names["readings"], partition, start)

    # -- rebalances

    async def _on_assigned(self, *_: Any, **__: Any) -> None:
        self.rebalances += 1
        self._turn += 1
        assigned = self._assigned()
        for number in self._parked.keys() - assigned:
            del self._parked[number]
            self._dropped = True
        load = self._spawn(self._adopt(assigned), self._loads)
        await asyncio.wait({load})  # a revocation cancels it; then Faust goes on to the next assignment

    async def _on_revoked(self, *_: Any, **__: Any) -> None:
        await self._release("revoked")

    async def _on_shutdown(self, *_: Any, **__: Any) -> None:
        await self._release("shutdown")

    def _assigned(self) -> set[int]:
        tps: Iterable[TP] = self._app.consumer.assignment()
        by_topic = {self._names[short]: set[int]() for short in INPUTS}
        for tp in tps:
            by_topic[tp.topic].add(tp.partition)
        wanted = set.union(*by_topic.values())
        if any(numbers != wanted for numbers in by_topic.values()):
            layout = ", ".join(f"{topic} {sorted(numbers)}" for topic, numbers in by_topic.items())
            self.fail(TopicError(f"the inputs are not partitioned alike ({layout}): floorpulse topics shows what to do"))
            return set()
        return wanted

    async def _release(self, why: str) -> None:
        self._turn += 1
        loads = list(self._loads)
        for task in loads:
            task.cancel()
        await asyncio.gather(*loads, return_exceptions=True)
        ours = list(self.owned.values())
        if not ours:
            return
        last = [asyncio.wait_for(partition.finish(), RELEASE_S) for partition in ours]
        errors = [told(result) for result in await asyncio.gather(*last, return_exceptions=True) if result is not None]
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()  # one that the last flush could not end
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._app.consumer.force_commit(), COMMIT_S)
        self._parked = {partition.number: partition for partition in ours if partition.clean}
        self._dropped = self._dropped or len(self._parked) < len(ours)
        self.owned.clear()
        _log.info("partitions.released", why=why, partitions=sorted(p.number for p in ours), errors=errors)

    async def _adopt(self, wanted: set[int]) -> None:
        """Claim and load partitions, and let them run."""
        started = time.perf_counter()
        total = await self._journal.partitions()
        kept = {number: partition for number in wanted if (partition := await self._resumed(number, total)) is not None}
        dropped, self._dropped = self._dropped, True  # what a load leaves behind that is cut off
        with collector_off():
            folded = await self._journal.load(wanted - kept.keys()) if wanted - kept.keys() else {}
            made = await self._make(folded, total)
            await self._outlet.send([record for each in folded.values() for record in each.outbox])
        settle_memory(dropped=dropped)
        self._dropped = False
        for partition in [*made, *kept.values()]:
            partition.progress_s = time.monotonic()
            self.owned[partition.number] = partition
            self._spawn(self._keep(partition), self._tasks)
        seconds = round(time.perf_counter() - started, 3)
        _log.info("partitions.loaded", loaded=sorted(folded), kept=sorted(kept), seconds=seconds)

    async def _make(self, folded: Mapping[int, Folded], total: int) -> list[Partition]:
        """Make partitions of what was read, one after the other: others must get their turn, and see that it goes on."""
        begins, ends = await self._spans(folded)
        made = []
        for each in sorted(folded):
            made.append(self._made(each, total, folded[each], begins, ends))
            self._journal.read_s = time.monotonic()
            await asyncio.sleep(0)
        return made

    async def _resumed(self, number: int, total: int) -> Partition | None:
        """Claim a parked partition; None if it was not parked, or somebody else had it meanwhile."""
        parked = self._parked.pop(number, None)
        if parked is not None and parked.partitions == total:
            epoch = await self._journal.claim(number)
            if parked.can_resume(epoch):
                parked.resume(epoch)
                return parked
        self._dropped = self._dropped or parked is not None
        return None

    async def _spans(self, numbers: Iterable[int]) -> tuple[Mapping[TP, int], Mapping[TP, int]]:
        tps = [TP(self._names[topic], number) for number in numbers for topic in (*INPUTS, "readings")]
        if not tps:
            return {}, {}
        consumer = self._app.consumer
        return await consumer.earliest_offsets(*tps), await consumer.highwaters(*tps)

    def _made(self, number: int, total: int, folded: Folded, begins: Mapping[TP, int], ends: Mapping[TP, int]) -> Partition:
        offsets = {}
        for topic in INPUTS:
            tp = TP(self._names[topic], number)
            offsets[topic] = folded.offsets.get(topic, begins[tp])
            if offsets[topic] > ends[tp]:
                raise made_anew(tp, offsets[topic], ends[tp])
        end = ends[TP(self._names["readings"], number)]
        unpublished: Collection[str] = folded.unpublished
        if folded.followed is not None and folded.followed > end:
            _log.warning("readings.made_anew", partition=number, expected=folded.followed, end=end)
            folded, unpublished = replace(folded, followed=end), folded.entries.keys() | unpublished
        floor, ports, limits = self._thaw(number, total, folded.entries, unpublished), self._ports, self._limits
        made = Partition(number, total, floor, folded, offsets, ports, followed=end, limits=limits, tally=self.tally)
        for topic in INPUTS:  # a quiet input might never bring the record that shows the hole
            made.begin_at(topic, begins[TP(self._names[topic], number)])
        return made

    async def _keep(self, partition: Partition) -> None:
        turn = self._turn
        try:
            await partition.run()
        except Replaced as error:
            self.replaced += 1
            _log.warning("partition.replaced", partition=partition.number, error=str(error))
            if turn == self._turn:
                del self.owned[partition.number]
                self._dropped = True
                self._spawn(self._reclaim(partition.number, turn), self._loads)

    async def _reclaim(self, number: int, turn: int) -> None:
        """Take a partition back that is still assigned to us after a while; a rebalance puts an end to this."""
        await asyncio.sleep(self._reclaim_s)
        if turn == self._turn and number in self._assigned():
            await self._adopt({number})
            await self._app.consumer.seek_wait({tp: at for tp, at in self.positions().items() if tp.partition == number})

    def _spawn(self, work: Any, group: set[asyncio.Task[None]]) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        group.add(task)
        task.add_done_callback(group.discard)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)


def made_anew(tp: TP, offset: int, end: int) -> JournalMismatch:
    """Return the error for an input that ends before the offset up to which it was read."""
    return JournalMismatch(
        f"the journal says that topic {tp.topic}, partition {tp.partition}, was read up to offset {offset}, but it ends "
        f"at {end}: it was made anew or lost records. Recompute from the inputs under a new kafka.topic_prefix"
    )


def build_app(ownership: Ownership, names: Mapping[str, str], group: str, *, slabs: bool = False, **settings: Any) -> faust.App:
    """Return the Faust app of a worker: no web server, no tables, no topics made, no leader."""
    app = faust.App(
        group,
        store="memory://",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        stream_recovery_delay=0.1,
        broker_commit_interval=1.0,
        broker_commit_livelock_soft_timeout=SILENT_S,
        stream_processing_timeout=SILENT_S,
        broker_max_poll_records=POLL_RECORDS,
        **settings,
    )
    app._create_directories = lambda: None  # type: ignore[method-assign]  # noqa: SLF001  # nothing is kept there
    install(app, ownership, slabs=slabs)
    ownership.attach(app)

    async def process(stream: Any) -> None:
        try:
            async for event in stream.events():
                message = event.message
                await ownership.take(message.topic, message.partition, event.value)
                await asyncio.sleep(0)
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:  # a processor's boundary: Faust would lose the batch and go on
            ownership.fail(error)
            raise

    app.agent(batch_topic(app, *(names[short] for short in INPUTS)), name="floorpulse.processor")(process)
    return app


__all__ = ["INPUTS", "OUTPUTS", "Ownership", "Thaw", "build_app", "made_anew"]
