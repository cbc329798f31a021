"""A board whose readings come again, come late or stop coming: what it shows meanwhile, and how old it says that is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.config import Config
from schemas.readings import DATE_MS, QUARTER_MS
from schemas.zones import date_number
from sinks import paced
from sinks import reader as reading
from sinks.board import Board
from sinks.collector import Exposition, FloorCollector
from sinks.reader import QUIET_S, Reader, _WentBack
from streams.embedded import EmbeddedBroker
from tests.builders import Publisher, Record
from tests.unit.test_board import NOBODY, config, running, send, wall


class Sent:
    """A record as the client gives it out."""

    def __init__(self, offset: int, record: Record, at: int) -> None:
        self.offset, (self.key, self.value), self.timestamp = offset, record, at


def sent(records: Iterable[Record], first: int, at: int | None = None) -> list[Any]:
    """Return records as they were sent at an instant, by default now."""
    return [Sent(offset, record, wall() if at is None else at) for offset, record in enumerate(records, first)]


class Log:
    """A consumer of partitions whose log reaches from one offset to another."""

    def __init__(self, **reach: tuple[int, int]) -> None:
        self.reach = {TopicPartition("t", int(name[1:])): offsets for name, offsets in reach.items()}
        self.sought: dict[int, int] = {}
        self.answers_after_s = 0.0

    def assignment(self) -> set[TopicPartition]:
        """The partitions."""
        return {*self.reach}

    async def beginning_offsets(self, _: Any) -> dict[TopicPartition, int]:
        """Where the log begins."""
        return {partition: begin for partition, (begin, _) in self.reach.items()}

    async def end_offsets(self, _: Any) -> dict[TopicPartition, int]:
        """Where it ends."""
        await asyncio.sleep(self.answers_after_s)
        return {partition: end for partition, (_, end) in self.reach.items()}

    async def position(self, _: Any) -> int:
        """Nothing was given out."""
        return 0

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Note it."""
        self.sought[partition.partition] = offset


def ready_board(*publishers: Publisher) -> Board:
    """Return a board that has read what publishers said, each from offset 500 of its partition."""
    board = Board(config(), NOBODY)
    board._reader.ready = True
    for publisher in publishers:
        board._reader._take_all({TopicPartition("t", publisher.partition): sent(publisher.flush(wall()), 500)})
    board.merge.settle()
    return board


def waiting(board: Board) -> int:
    """Return how many wait in orders."""
    (orders,) = [view for view in board._take().queues if view.name == "orders"]
    return orders.now.get("waiting", 0)


def four() -> list[Publisher]:
    """Return four partitions with two who wait in each."""
    return [Publisher(number).now("queue", "orders", "voice", waiting=2) for number in range(4)]


async def test_records_that_come_again_where_the_log_still_reaches_cost_nothing() -> None:
    """The client went back by itself: the board goes on from where it was, and shows all the time what it showed."""
    board = ready_board(*four())
    merge, positions = board.merge, dict(board._reader._positions)
    with pytest.raises(_WentBack):
        board._reader._take_all({TopicPartition("t", 2): sent(Publisher(2).flush(wall()), 390)})
    log = Log(p0=(0, 600), p1=(0, 600), p2=(0, 600), p3=(0, 600))
    await board._reader._begin(log)
    assert (board.merge, log.sought, board._reader.ready, waiting(board)) == (merge, positions, True, 8)


@pytest.mark.parametrize("reach", [(0, 400), (550, 600)])
async def test_a_log_that_no_longer_reaches_to_where_the_board_was_is_read_from_its_beginning(reach: tuple[int, int]) -> None:
    """One partition cut short or begun anew: all are read again, and the board is not ready until then."""
    board = ready_board(*four())
    number = board._take().number
    log = Log(p0=(0, 600), p1=(0, 600), p2=reach, p3=(0, 600))
    await board._reader._begin(log)
    assert (log.sought, board._reader._positions, board._reader.ready) == ({}, {}, False)
    assert not board._take().ready
    assert board._looked() is None
    for publisher in four():
        board._reader._take_all({TopicPartition("t", publisher.partition): sent(publisher.flush(wall()), 0)})
    board._reader.ready = True
    assert waiting(board) == 8
    assert board._take().number > number


async def test_numbers_do_not_drop_when_the_client_assigns_its_partitions_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One answer of a broker has no such topic, the next has: aiokafka goes back to the beginnings, the board does not."""
    made: list[Any] = []

    class Consumer(AIOKafkaConsumer):  # type: ignore[misc]  # a library without types
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            made.append(self)

    monkeypatch.setattr(reading, "AIOKafkaConsumer", Consumer)
    with EmbeddedBroker() as broker:
        await send(broker, "again", *four())
        async with running(config(), {"bootstrap_servers": broker.bootstrap}, "again") as (board, _):
            await _until(lambda: board.snapshot.ready)
            merge, seen, cluster = board.merge, set(), made[0]._client.cluster
            partitions_of = cluster.partitions_for_topic
            cluster.partitions_for_topic = lambda _: None
            await made[0]._client.force_metadata_update()
            await asyncio.sleep(0.5)
            cluster.partitions_for_topic = partitions_of
            await made[0]._client.force_metadata_update()

            def again() -> bool:
                (orders,) = [view for view in board.snapshot.queues if view.name == "orders"]
                seen.add((board.snapshot.ready, orders.now.get("waiting")))
                return len(made) > 1 and board._reader.connected

            await _until(again)
            assert seen == {(True, 8)}
            assert board.merge is merge


async def _until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not what():  # noqa: ASYNC110  it comes to be so in another task
            await asyncio.sleep(0.02)


async def test_quiet_counts_only_with_a_broker_that_answers() -> None:
    """A broker that was stopped and answers late has sent nothing because it could not."""
    reader, log = Reader(Config().rules(), NOBODY, "t"), Log(p0=(0, 600))
    await reader._begin(log)
    reader._last_record -= QUIET_S
    log.answers_after_s = 1.1
    await reader._look_whether_ready(log, idle=True)
    assert not reader.ready
    log.answers_after_s = 0.0
    await reader._look_whether_ready(log, idle=True)
    assert not reader.ready
    reader._last_record -= QUIET_S
    await reader._look_whether_ready(log, idle=False)
    assert not reader.ready
    await reader._look_whether_ready(log, idle=True)
    assert reader.ready


async def test_what_was_missed_is_as_old_as_it_is_until_all_is_read() -> None:
    """Ten minutes cut off: while the backlog is read nothing is judged by it; with its end data are fresh."""
    board, worker, zero = ready_board(*four()), Publisher(0, epoch=5), TopicPartition("t", 0)
    reader, long_ago = board._reader, wall() - 600_000
    for partition in reader._heard:
        reader._heard[partition] -= 600
    worker.now("queue", "orders", "voice", waiting=1, oldest_entered_at=long_ago)
    reader._take_all({zero: sent(worker.flush(long_ago), 600, long_ago)}, {0: 700})
    assert reader.ages_ms()[0] >= 599_000
    board._snapshot = board._take()
    assert board._looked() is None
    recently = wall() - 20_000  # a worker whose clock is slow by that
    reader._take_all({zero: sent(worker.flush(recently), 690, recently)}, {0: 691})
    assert 19_000 <= reader.ages_ms()[0] < 60_000
    reader._take_all({zero: sent(worker.flush(recently), 691, recently)}, {0: 692})
    assert reader.ages_ms()[0] < 5_000


def test_refused_readings_make_nothing_fresh() -> None:
    """A worker with a lower epoch than was read already: all that it says is refused, and the data grow old."""
    board = ready_board(Publisher(0, epoch=500).now("queue", "orders", "voice", waiting=7))
    board._reader._heard[0] -= 100
    zero = TopicPartition("t", 0)
    for first in (600, 700):
        new = Publisher(0, epoch=3).now("queue", "orders", "voice", waiting=1)
        board._reader._take_all({zero: sent(new.flush(wall()), first)}, {0: first + 3})
    assert waiting(board) == 7
    assert board._reader.ages_ms()[0] >= 100_000


def test_a_clock_that_is_wrong_for_a_moment_costs_no_numbers() -> None:
    """Three hours and sixteen days ahead for one snapshot: then all is there as before, and goes on."""
    clock = [wall()]
    board, worker = Board(config(), NOBODY, clock_ms=lambda: clock[0]), Publisher(0)
    board._reader.ready = True
    board.merge.settle()

    def offered(more: int) -> tuple[int, int]:
        for key, value in worker.count("orders", clock[0], offered=more).flush(clock[0]):
            board.merge.put_record(key, value)
        (orders,) = [view for view in board._take().queues if view.name == "orders"]
        return orders.parts("5m")["offered"], orders.parts("7d")["offered"]

    assert offered(10) == (10, 10)
    for hours in (3, 16 * 24):
        clock[0] += hours * 3_600_000
        board._take()
        clock[0] -= hours * 3_600_000
    assert offered(0) == (10, 10)
    clock[0] += 20_000
    assert offered(7) == (17, 17)


def test_percentiles_of_a_zone_that_appears_with_them_count_once() -> None:
    """A queue with a zone of its own, of which a date's sketch is read before its quarter-hour; or behind it."""
    zone = "Asia/Tokyo"
    queues = {"tokyo": {"channels": {"chat": {"zone": zone}}}}
    for lengths in ((DATE_MS, QUARTER_MS), (QUARTER_MS, DATE_MS)):
        board, now = Board(config(queues=queues), NOBODY), wall()
        board._reader.ready = True
        for record in Publisher(0).count("other", now, offered=1).flush(now):
            board.merge.put_record(*record)
        board._take()
        worker = Publisher(1)
        for length in lengths:
            at, parts = (date_number(zone, now) * DATE_MS, {"queue_time~100": 10}) if length == DATE_MS else (now, {"left": 10})
            worker.put("queue", "tokyo", "chat", length, at, parts)
        for record in worker.flush(now):
            board.merge.put_record(*record)
        (tokyo,) = [view for view in board._take().queues if view.channel == "chat"]
        assert dict(tokyo.parts("7d")) == {"queue_time~100": 10, "left": 10}


def test_ages_go_on_where_snapshots_have_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """An alert on old data must fire also where the board makes no snapshot any more."""
    board, exposition = ready_board(*four()), Exposition(FloorCollector(["5m"]))
    snapshot, now = board._take(), time.monotonic()

    def age() -> float:
        text = exposition.render(snapshot, openmetrics=False, zipped=False).decode()
        (line,) = [each for each in text.splitlines() if each.startswith('floorpulse_readings_age_seconds{partition="0"}')]
        return float(line.split()[1])

    assert age() < 1
    monkeypatch.setattr(time, "monotonic", lambda: now + 30)
    assert 29 <= age() < 32
    board._snapshot = snapshot
    assert not board.alive


def test_whether_a_board_lives_is_no_matter_of_the_wall_clock() -> None:
    """A minute or a day forwards or back."""
    clock = [wall()]
    board = Board(config(), NOBODY, clock_ms=lambda: clock[0])
    board._snapshot = board._take()
    for change_s in (60, 86_400, -172_800):
        clock[0] += change_s * 1000
        assert board.alive


async def test_a_stream_that_takes_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection is closed, not only forgotten: what it was sent would wait for it for ever."""
    monkeypatch.setattr(paced, "WRITE_TIMEOUT_S", 0.5)
    publishers = [Publisher(0)]
    with EmbeddedBroker() as broker:
        await send(broker, "stuck", *publishers)
        async with running(config(), {"bootstrap_servers": broker.bootstrap}, "stuck") as (board, _):
            await _until(lambda: board.snapshot.ready)
            reader, writer = await asyncio.open_connection("127.0.0.1", board.port, limit=1024)
            writer.write(b"GET /api/v1/stream HTTP/1.1\r\nHost: board\r\n\r\n")
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport of a socket
            for turn in range(400):
                for queue in range(100):
                    publishers[0].now("queue", f"a queue with a long name {queue}", "voice", waiting=turn + queue)
                await board.alone(lambda: [board.merge.put_record(*record) for record in publishers[0].flush(wall())])
                board._reader.flushed.set()
                await asyncio.sleep(0.1)
                assert board._runner is not None
                assert board._runner.server is not None
                if not board._runner.server.connections:
                    break
            assert turn < 399
            writer.close()
            del reader
