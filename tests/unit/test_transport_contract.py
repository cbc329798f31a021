"""What the batching transport relies on inside Faust 0.15 and aiokafka 0.14, and what it does with it.

These libraries are pinned. When a new version fails here, read its code at the named place before changing a test.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any, cast

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CommitFailedError, UnknownError
from aiokafka.producer.sender import SendProduceReqHandler
from aiokafka.structs import TopicPartition
from faust._cython.streams import StreamIterator  # type: ignore[import-not-found]  # compiled, without types
from faust.events import Event
from faust.streams import Stream
from faust.transport.consumer import Consumer
from faust.types import TP, Message

from streams import transport
from streams.fetches import Fetches, batch_of
from streams.journal import Span
from streams.transport import (
    BatchConsumer,
    BatchScheduler,
    BatchThread,
    batch_topic,
    install,
    take_group_error,
)


class Known:
    """Offsets as a journal would give them."""

    def __init__(self) -> None:
        self.read: dict[TP, int] = {}
        self.done: dict[TP, int] = {}
        self.failed: list[Exception] = []

    def positions(self) -> Mapping[TP, int]:
        """Where reading goes on."""
        return self.read

    def committable(self) -> Mapping[TP, int]:
        """What is through."""
        return self.done

    def commit_failed(self, error: Exception) -> None:
        """Remember."""
        self.failed.append(error)


class ThreadDouble:
    """Stands in for the consumer's thread, which needs a broker."""

    def __init__(self, *assigned: TP) -> None:
        self.assigned = set(assigned)
        self.sought: list[Mapping[TP, int]] = []
        self.committed: list[Mapping[TP, int]] = []
        self.error: Exception | None = None

    def assignment(self) -> set[TP]:
        """What the group gave us."""
        return self.assigned

    async def seek_wait(self, offsets: Mapping[TP, int]) -> None:
        """Remember."""
        self.sought.append(offsets)

    async def commit_now(self, offsets: Mapping[TP, int]) -> None:
        """Remember, or fail."""
        if self.error is not None:
            raise self.error
        self.committed.append(dict(offsets))


@pytest.fixture
def known() -> Known:
    """The offsets of the app below."""
    return Known()


@pytest.fixture
async def app(known: Known, tmp_path: Any) -> faust.App:
    """A Faust app with the transport; nothing is connected."""
    made = faust.App("contract", broker="kafka://127.0.0.1:1", store="memory://", web_enabled=False, datadir=tmp_path)
    install(made, known)
    return made


@pytest.fixture
async def consumer(app: faust.App) -> AsyncIterator[BatchConsumer]:
    """Its consumer, whose thread has an event loop but does not run."""
    made = app.consumer
    assert isinstance(made, BatchConsumer)
    loop = made._thread.thread_loop
    yield made
    loop.close()


def record(offset: int) -> Any:
    """A record as aiokafka gives it, as far as it matters."""
    return SimpleNamespace(offset=offset, timestamp=1500, timestamp_type=0)


def test_the_versions_are_those_that_were_read() -> None:
    """Most of this file looks at protected names."""
    assert version("faust-streaming").startswith("0.15.")
    assert version("aiokafka").startswith("0.14.")


def _c_acks(stream: Stream[Any], event: Event) -> None:
    StreamIterator(stream).after(event, True, None)


def _python_acks(_: Stream[Any], event: Event) -> None:
    event.ack()


# ------------------------------------------------------------------ batches


def test_the_scheduler_cuts_batches_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each partition keeps its order."""
    monkeypatch.setattr(transport, "BATCH_RECORDS", 2)
    scheduler: Any = BatchScheduler
    a, b = TP("a", 0), TP("b", 0)
    one, two, three, nine = (record(offset) for offset in (1, 2, 3, 9))
    whole = batch_of([one, two, three], Span(0, 6, {"marker": 3}))
    batches = list(scheduler().iterate({a: whole, b: batch_of([nine]), TP("c", 0): batch_of([])}))
    assert [(tp, list(batch)) for tp, batch in batches] == [(a, [one, two]), (b, [nine]), (a, [three])]
    assert [batch.span for _, batch in batches] == [Span(0, 3), None, Span(3, 6, {"marker": 3})]


async def test_faust_takes_the_scheduler_and_the_consumer(app: faust.App, consumer: BatchConsumer) -> None:
    """By the public setting and the public setter."""
    assert isinstance(consumer.scheduler, BatchScheduler)
    assert isinstance(consumer._thread, BatchThread)
    assert app.transport is consumer.transport


async def test_a_batch_is_one_message_that_the_topic_hands_over_undecoded(app: faust.App, consumer: BatchConsumer) -> None:
    """With the offset of its last record."""
    tp, batch = TP("a", 3), batch_of([record(4), record(5)])
    message = consumer._to_message(tp, batch)
    assert (message.topic, message.partition, message.offset, message.timestamp) == ("a", 3, 5, 1.5)
    channel = batch_topic(app, "a", "b")
    event = await channel.decode(Message.from_message(message, tp), propagate=True)
    assert event.value is batch
    assert event.message.tp == tp
    assert tuple(channel.topics) == ("a", "b")


async def test_the_queue_of_batches_is_bounded(app: faust.App) -> None:
    """`App.topic` loses its parameter `maxsize`; without it 4096 batches would wait."""
    clone = batch_topic(app, "a", "b").clone(is_iterator=True)  # what the agent's stream reads
    assert clone.queue.maxsize == transport.QUEUED_BATCHES


async def test_getmany_delivers_batches_through_these_hooks(consumer: BatchConsumer) -> None:
    """`_wait_next_records`, the scheduler, `highwater`, `_to_message`, in this order."""
    tp = TP("a", 0)
    consumer._active_partitions = {tp}
    consumer._thread = SimpleNamespace(getmany=_fetched({tp: batch_of([record(7), record(8)])}), highwater=lambda _: 9)  # type: ignore[assignment]
    got = [(found, message.value) async for found, message in consumer.getmany(timeout=1.0)]
    assert [(found, [each.offset for each in batch]) for found, batch in got] == [(tp, [7, 8])]  # type: ignore[union-attr]


def _fetched(records: Any) -> Any:
    async def getmany(active: Any, timeout: float) -> Any:  # noqa: ARG001, ASYNC109  # Faust's signature
        return records

    return getmany


async def test_a_full_buffer_does_not_stop_the_fetching(consumer: BatchConsumer) -> None:
    """Faust would take the partition out of the fetch set, and sleep when none is left."""
    consumer._active_partitions = {TP("a", 0)}
    consumer.on_buffer_full(TP("a", 0))
    assert consumer._active_partitions == {TP("a", 0)}


# ------------------------------------------------------------------ the fetching client


async def test_the_client_passes_over_markers_at_the_logs_end(consumer: BatchConsumer) -> None:
    """Only from the very offset up to which everything was handed out."""
    tp = TP("a", 0)
    assert consumer.passed(tp, 3) == 3
    consumer._thread.fetches = Fetches()  # type: ignore[attr-defined]
    consumer._thread.fetches.idle = {TopicPartition("a", 0): (3, 7)}  # type: ignore[attr-defined]
    assert [consumer.passed(tp, offset) for offset in (2, 3, 4, 7)] == [2, 7, 4, 7]


async def test_the_client_fetches_without_delay_and_keeps_partitions_together(consumer: BatchConsumer) -> None:
    """Both values are hard-coded in Faust; aiokafka reads them from these attributes when it starts."""
    client = consumer._thread._create_worker_consumer(consumer.transport)  # type: ignore[arg-type]
    assert isinstance(client, AIOKafkaConsumer)
    assert client._fetch_max_wait_ms == transport.FETCH_WAIT_MS
    assert client._isolation_level == "read_committed"
    assert client._partition_assignment_strategy == [RangePartitionAssignor]
    assert client._check_crcs
    assert client._key_deserializer is client._value_deserializer is None  # they would not be called
    start = inspect.getsource(AIOKafkaConsumer.start)
    assert "fetch_max_wait_ms=self._fetch_max_wait_ms" in start
    assert "assignors=self._partition_assignment_strategy" in start
    assert "isolation_level=self._isolation_level" in start
    client._closed = True  # it never ran


# ------------------------------------------------------------------ offsets


async def test_seeks_go_to_the_journals_offsets(consumer: BatchConsumer, known: Known) -> None:
    """Of what is assigned, also to 0; Faust's seek at the end of a rebalance is this one."""
    a, b = TP("a", 0), TP("b", 0)
    thread = ThreadDouble(a, b)
    consumer._thread = thread  # type: ignore[assignment]
    known.read = {a: 0, b: 17, TP("c", 0): 3}
    await consumer.perform_seek()
    assert thread.sought == [{a: 0, b: 17}]


async def test_a_stopped_flow_seeks_to_the_journals_offsets_too(consumer: BatchConsumer, known: Known) -> None:
    """Faust does this when a fetch returns after the flow was stopped."""
    tp = TP("a", 0)
    thread = ThreadDouble(tp)

    async def getmany(*_: Any) -> Any:
        consumer.flow_active = False
        return {tp: [record(1)]}

    thread.getmany = getmany  # type: ignore[attr-defined]
    consumer._thread = thread  # type: ignore[assignment]
    consumer._active_partitions = {tp}
    known.read = {tp: 1}
    assert [each async for each in consumer.getmany(timeout=1.0)] == []
    assert thread.sought == [{tp: 1}]


async def test_fausts_read_guard_is_off(consumer: BatchConsumer) -> None:
    """With it, what a seek back delivers again would be dropped; `seek_wait` uses `keys`, `del` and items."""
    guard = consumer._read_offset
    guard[TP("a", 0)] = 5
    guard.update({TP("a", 0): 5})
    assert guard[TP("a", 0)] is None
    assert guard.pop(TP("a", 0), None) is None
    assert TP("a", 0) not in guard.keys()  # noqa: SIM118  # as Faust asks it
    assert "self._read_offset" in inspect.getsource(Consumer._drain_messages)


async def test_fausts_look_at_the_partitions_is_off(consumer: BatchConsumer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails where a position is not known, as between an assignment and the broker's answer; its timer ends the worker then."""
    assert "self.verify_all_partitions_active()" in inspect.getsource(Consumer._commit_livelock_detector.fun)
    monkeypatch.setattr(consumer, "assignment", lambda: {TP("sessions", 0)})
    monkeypatch.setattr(consumer, "verify_event_path", lambda *_: pytest.fail("it looks"))
    await consumer.verify_all_partitions_active()


@pytest.mark.parametrize("iterate", [_c_acks, _python_acks])
async def test_an_ack_ends_a_message_and_nothing_else(
    app: faust.App, consumer: BatchConsumer, iterate: Callable[[Stream[Any], Event], None]
) -> None:
    """No list of acknowledged offsets that nobody would ever empty, neither in Faust's Python nor in its compiled iterator."""
    cast(Any, app.topics)._acking_topics.add("a")
    stream = batch_topic(app, "a").stream()
    messages = []
    for offset in (5, 7, 9):
        message = consumer._to_message(TP("a", 0), batch_of([record(offset)]))
        message.refcount = 1
        consumer._unacked_messages.add(message)
        messages.append(message)  # the consumer knows them weakly
        iterate(stream, cast(Event, app.create_event(None, message.value, [], message)))
        assert message.acked
    assert not consumer._unacked_messages
    assert not sum(map(len, consumer._acked.values())) + sum(map(len, consumer._acked_index.values()))


async def test_only_what_is_through_is_committed_and_only_once(consumer: BatchConsumer, known: Known) -> None:
    """Faust's `commit` is called by its timer and ends in `force_commit`."""
    a, b = TP("a", 0), TP("b", 0)
    thread = ThreadDouble(a)
    consumer._thread = thread  # type: ignore[assignment]
    assert not await consumer.commit()
    known.done = {a: 5, b: 6}
    assert await consumer.commit()
    assert not await consumer.commit()
    known.done = {a: 7}
    assert await consumer.commit()
    assert thread.committed == [{a: 5}, {a: 7}]


async def test_a_failed_commit_is_reported_and_tried_again(consumer: BatchConsumer, known: Known) -> None:
    """Faust would end the app; here the journal knows the offsets anyway."""
    tp = TP("a", 0)
    thread = ThreadDouble(tp)
    thread.error = CommitFailedError()
    consumer._thread = thread  # type: ignore[assignment]
    known.done = {tp: 5}
    assert not await consumer.commit()
    thread.error = None
    assert await consumer.commit()
    assert [type(error) for error in known.failed] == [CommitFailedError]


async def test_a_commit_reaches_the_client_in_its_own_types(consumer: BatchConsumer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client, aiokafka, refuses Faust's `TP`."""
    thread, got = consumer._thread, []

    async def commit(offsets: Any) -> None:
        got.append(offsets)

    async def call(function: Any, *args: Any) -> Any:
        return await function(*args)

    monkeypatch.setattr(thread, "_consumer", SimpleNamespace(commit=commit))
    monkeypatch.setattr(thread, "call_thread", call)
    await thread.commit_now({TP("a", 0): 5})  # type: ignore[attr-defined]
    [(tp, meta)] = got[0].items()
    assert (type(tp), tp, meta.offset) == (TopicPartition, ("a", 0), 5)


# ------------------------------------------------------------------ rebalances


async def test_a_load_is_awaited_before_the_seek_and_the_seek_before_the_flow(app: faust.App) -> None:
    """The end of a rebalance in an app without tables."""
    steps: list[str] = []

    def step(name: str, value: Any = None) -> Any:
        def take(*_: Any, **__: Any) -> Any:
            steps.append(name)
            return value

        return take

    async def load(*_: Any, **__: Any) -> None:
        steps.append("load begins")
        await asyncio.sleep(0)
        steps.append("load ends")

    async def seek() -> None:
        steps.append("seek")

    async def fetch() -> None:
        steps.append("fetch")

    app.on_rebalance_complete.connect(load)
    app._consumer = SimpleNamespace(  # type: ignore[assignment]
        assignment=lambda: {TP("a", 0)},
        resume_partitions=step("partitions"),
        perform_seek=seek,
        resume_flow=step("flow"),
    )
    app._fetcher = SimpleNamespace(maybe_start=fetch)  # type: ignore[assignment]
    app.consumer_generation_id = 3
    app.flow_control.resume = step("flow control")  # type: ignore[method-assign]
    await app.tables.recovery._resume_streams(generation_id=3)  # type: ignore[attr-defined]
    assert steps == ["load begins", "load ends", "partitions", "seek", "flow control", "flow", "fetch"]


async def test_a_revocation_is_signalled_while_the_client_still_has_the_partitions(app: faust.App) -> None:
    """So that the last flush and its commit come before the group goes on."""
    source = inspect.getsource(app._on_partitions_revoked)
    assert (
        source.index("consumer.stop_flow")
        < source.index("self.flow_control.clear")
        < source.index("self.on_partitions_revoked.send")
    )
    assert "self.conf.stream_wait_empty" in inspect.getsource(app._consumer_wait_empty)
    stop = inspect.getsource(type(app).on_stop)
    assert stop.index("_stop_consumer") < stop.index("on_before_shutdown.send")


# ------------------------------------------------------------------ aiokafka's own


async def test_a_group_error_is_taken_in_the_clients_thread(consumer: BatchConsumer, app: faust.App) -> None:
    """The client pauses the group until somebody does."""
    assert take_group_error(app) is None  # not connected yet
    loop = asyncio.get_running_loop()
    coordinator = GroupCoordinator.__new__(GroupCoordinator)
    coordinator._coordination_task = loop.create_future()
    coordinator._error_consumed_fut = consumed = loop.create_future()
    coordinator._pending_exception = UnknownError()
    consumer._thread._consumer = SimpleNamespace(_coordinator=coordinator)
    consumer._thread.thread_loop = loop
    assert "UnknownError" in (take_group_error(app) or "")
    await asyncio.sleep(0)
    assert consumed.done()
    assert take_group_error(app) is None
    source = inspect.getsource(GroupCoordinator)
    assert "self._pending_exception = exc" in source
    assert "self._coordination_task = " in source


async def test_a_batch_of_the_producer_says_when_it_is_full() -> None:
    """The outlet fills batches itself; key and value may both be missing, as in a tombstone of a broken producer."""
    producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1", max_batch_size=1000, enable_idempotence=True)
    batch = producer.create_batch()
    assert batch.append(key=None, value=None, timestamp=None, headers=[("a", b"b")]) is not None
    assert batch.append(key=b"k", value=b"x" * 2000, timestamp=None) is None
    large = producer.create_batch()
    assert large.append(key=None, value=b"x" * 2000, timestamp=None) is not None  # the first one always fits
    await producer.stop()


def test_an_idempotent_producer_retries_without_end() -> None:
    """So that an append either has an offset or its writer gave up: nothing in between."""
    source = inspect.getsource(SendProduceReqHandler._can_retry)
    assert "self._sender._txn_manager is None and batch.expired()" in source
