"""The batching transport: Faust's consumer, but a batch of a partition's records travels as one message.

Theory of operation. Faust spends some 70 µs on each message: four asyncio tasks, sensors, acknowledgements. Here a
message is a `Batch`, up to `BATCH_RECORDS` raw records of one partition in offset order, so that this is spent once per
batch. `BatchScheduler` cuts what was fetched into batches, in turns over the partitions; `_to_message` wraps one;
`BatchSchema` hands it to the processor undecoded. Offsets are not Faust's business any more: where to read on and what
may be committed is asked of `Offsets` (the journal), Faust's read guard and its bookkeeping of acknowledged offsets are
off, and holes are looked for by the partition itself. Back pressure is the bounded queue of the topic alone.

Only committed transactions are read. Each batch says which offsets it covers, and `passed` tells when a log's end holds
nothing more to read (`streams.fetches`).

Faust seeks at the end of a rebalance, after its signal `on_rebalance_complete` and before it lets records flow;
`seek_to_committed` answers that seek with the journal's offsets. A commit is advice (it shows the lag to monitoring
tools), so one that fails is counted and tried again.

What this relies on inside Faust 0.15 and aiokafka 0.14 is held by `tests/unit/test_transport_contract.py`.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, Protocol, cast

import faust
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP, ConsumerMessage
from faust.types.tuples import Message

from schemas.errors import FloorpulseError
from streams.fetches import Batch, Fetches, Slab, Tap

BATCH_RECORDS: Final = 2_000
"""The most records in a batch: some milliseconds of work, so that partitions and heartbeats get their turn."""
QUEUED_BATCHES: Final = 8
"""The most batches that wait for the processor."""
FETCH_WAIT_MS: Final = 50
"""How long a broker may hold a fetch back for want of records; Faust's own 1500 ms would delay busy partitions."""


class Offsets(Protocol):
    """Who knows where the inputs are read: full topic names."""

    def positions(self) -> Mapping[TP, int]:
        """Return where reading goes on, for every input whose partition is loaded."""

    def committable(self) -> Mapping[TP, int]:
        """Return up to where everything is journalled and published."""

    def commit_failed(self, error: Exception) -> None:
        """Note that a commit failed; the next one tries again."""


class BatchScheduler(DefaultSchedulingStrategy):
    """Cut fetched records into batches, one from each partition in turn."""

    def iterate(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, Batch | Slab]]:
        """Yield the batches; `BatchThread` has made them."""
        waiting = deque((tp, cast(Batch | Slab, fetched), 0) for tp, fetched in records.items() if fetched)
        while waiting:
            tp, fetched, begin = waiting.popleft()
            end = begin + BATCH_RECORDS
            yield tp, fetched.piece(begin, end)
            if end < len(fetched):
                waiting.append((tp, fetched, end))


class BatchSchema(faust.Schema[None, Batch | Slab]):
    """Hand the batch over as it is."""

    def compile(self, app: Any, **_: Any) -> Callable[..., Awaitable[Any]]:
        """Return the decoder that Faust's conductor calls."""
        create_event = app.create_event

        async def decode(message: Message, *, propagate: bool = False) -> Any:  # noqa: ARG001  # Faust passes it
            return create_event(None, message.value, message.headers, message)

        return decode


class _Unguarded(dict[TP, int | None]):
    """Faust's map of read offsets, always empty: with entries it would drop what a seek back delivers again."""

    def __getitem__(self, tp: TP) -> None:
        return None

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        pass

    def update(self, *_: Any, **__: Any) -> None:
        pass


class _Forgetful(defaultdict[TP, Any]):
    """Faust's map of acknowledged offsets, always empty: only its own way of committing takes any out again.

    Emptied here and not in `Consumer.ack`, as Faust's compiled stream iterator has the body of that method in its own.
    """

    def __missing__(self, tp: TP) -> Any:
        assert self.default_factory is not None
        return self.default_factory()


class BatchThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread: short fetch wait, committed records only, an assignor that keeps partitions together."""

    fetches: Fetches | None = None

    async def on_start(self) -> None:
        """Start the client, and watch what it fetches."""
        await super().on_start()
        fetcher = self._ensure_consumer()._fetcher  # noqa: SLF001  # no public way to what was skipped
        assert not fetcher._records, "nothing can be fetched before the first assignment"  # noqa: SLF001
        self.fetches = fetcher._records = Fetches()  # noqa: SLF001
        if cast(BatchTransport, cast(driver.Consumer, self.consumer).transport).slabs:
            fetcher._client = Tap(fetcher._client, self.fetches)  # noqa: SLF001

    async def _fetch_records(self, consumer: Any, active_partitions: Any, timeout: float | None = None,  # noqa: ASYNC109
                             max_records: int | None = None) -> Any:  # fmt: skip
        drained = await super()._fetch_records(consumer, active_partitions, timeout=timeout, max_records=max_records)
        assert self.fetches is not None
        return self.fetches.spanned(drained)

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"  # noqa: SLF001  # Faust offers it with its own transactions only
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001  # hard-coded in Faust, no setting
        # Without tables Faust takes round robin, which tears partition p of two topics apart.
        consumer._partition_assignment_strategy = [RangePartitionAssignor]  # noqa: SLF001  # the same
        return consumer

    async def commit_now(self, offsets: Mapping[TP, int]) -> None:
        """Commit, and let errors through: Faust's own way ends the app on any of them."""
        consumer = self._ensure_consumer()
        wanted = {TopicPartition(*tp): OffsetAndMetadata(offset, "") for tp, offset in offsets.items()}
        await self.call_thread(consumer.commit, wanted)


class BatchConsumer(driver.Consumer):
    """Faust's consumer with the offsets' keeping handed to `BatchTransport.offsets`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = _Unguarded()
        self._acked, self._acked_index = _Forgetful(list), _Forgetful(set)
        self._offered: dict[TP, int] = {}

    @property
    def offsets(self) -> Offsets:
        """Who knows the offsets."""
        return cast(BatchTransport, self.transport).offsets

    def _new_consumer_thread(self) -> BatchThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: TP, batch: Batch | Slab) -> ConsumerMessage:
        last = batch[-1]
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset,
            (last.timestamp or 0) / 1000.0,
            last.timestamp_type,
            [],
            None,
            cast(Any, batch),
            None,
            0,
            len(batch),
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    def passed(self, tp: TP, offset: int) -> int:
        """Return up to where the client has read on from `offset` without finding a record."""
        fetches = self._thread.fetches  # type: ignore[attr-defined]  # a BatchThread
        origin, reached = (-1, -1) if fetches is None else fetches.idle.get(tp, (-1, -1))
        return reached if origin == offset else offset

    def holds(self, tp: TP) -> bool:
        """Tell whether records were fetched that are not handed out yet."""
        fetches = self._thread.fetches  # type: ignore[attr-defined]  # a BatchThread
        return fetches is not None and tp in fetches

    async def verify_all_partitions_active(self) -> None:
        """Do nothing: Faust looks whether records and commits move on, in order to log it, and fails where a position is not known.

        It is not between an assignment, or records that retention took, and the broker's answer: the worker ended. It has a watch
        of its own (`streams.worker`).
        """

    def on_buffer_full(self, tp: TP) -> None:
        """Do nothing: Faust would stop fetching and, once all buffers are full, sleep for a second."""

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002  # Faust's
        """Commit what is journalled and published; Faust calls this by timer and when it stops."""
        assigned = self.assignment()
        offsets = {tp: offset for tp, offset in self.offsets.committable().items() if tp in assigned}
        news = {tp: offset for tp, offset in offsets.items() if self._offered.get(tp) != offset}
        if not news:
            return False
        try:
            await self._thread.commit_now(news)  # type: ignore[attr-defined]  # a BatchThread, see above
        except (KafkaError, IllegalStateError) as error:
            self.offsets.commit_failed(error)
            return False
        self._offered = {tp: offset for tp, offset in (self._offered | news).items() if tp in assigned}
        return True

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek to where the journal says that reading goes on."""
        assigned = self.assignment()
        positions = {tp: offset for tp, offset in self.offsets.positions().items() if tp in assigned}
        if positions:
            await self.seek_wait(positions)
        return positions


class BatchTransport(driver.Transport):
    """Faust's transport for Kafka with `BatchConsumer`; `offsets` must be set before the app starts."""

    Consumer = BatchConsumer
    offsets: Offsets
    slabs = False
    """Whether batches are `Slab`s, for the compiled core."""


def install(app: faust.App, offsets: Offsets, *, slabs: bool = False) -> None:
    """Make an app fetch in batches, as `Slab`s where the compiled core takes them, and take its offsets from `offsets`."""
    app.conf.ConsumerScheduler = BatchScheduler  # type: ignore[assignment]  # a setting's type, as Faust declares it
    transport = BatchTransport(app.conf.broker_consumer, app)
    transport.offsets = offsets
    transport.slabs = slabs
    app.transport = transport


def batch_topic(app: faust.App, *names: str) -> Any:
    """Return one Faust topic over several Kafka topics that delivers batches."""
    topic: Any = app.topic(*names, schema=BatchSchema())
    topic.maxsize = QUEUED_BATCHES  # `App.topic` has such a parameter and loses it
    return topic


def take_group_error(app: faust.App) -> str | None:
    """Take aiokafka's error of the consumer group, if there is one, so that the group goes on; to be called often.

    aiokafka keeps an unexpected error for the next `getmany` and pauses until then. Faust never calls that: the worker
    would live on without partitions, for ever.
    """
    thread = cast(BatchConsumer, app.consumer)._thread  # noqa: SLF001  # no public way to the coordinator
    consumer = thread._consumer  # noqa: SLF001  # the same
    coordinator = getattr(consumer, "_coordinator", None)
    if coordinator is None:
        return None
    error = coordinator._pending_exception  # noqa: SLF001  # the same
    if error is not None:
        thread.thread_loop.call_soon_threadsafe(_drop_error, coordinator)
        return repr(error)
    if coordinator._coordination_task.done() and not app.should_stop:  # noqa: SLF001  # the same
        raise FloorpulseError("the client's group coordination has ended; restart the worker")
    return None


def _drop_error(coordinator: Any) -> None:
    with contextlib.suppress(KafkaError):
        coordinator.check_errors()


__all__ = [
    "BATCH_RECORDS",
    "FETCH_WAIT_MS",
    "QUEUED_BATCHES",
    "BatchConsumer",
    "BatchScheduler",
    "BatchSchema",
    "BatchThread",
    "BatchTransport",
    "Offsets",
    "batch_topic",
    "install",
    "take_group_error",
]
