"""What a sender of events knows of those that Kafka has not taken yet; the producer is one that does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiokafka.errors import KafkaTimeoutError, TopicAuthorizationFailedError

from schemas.config import Config
from schemas.errors import FloorpulseError
from streams import sender as sender_module
from streams.embedded import EmbeddedBroker
from streams.run import topic_names
from streams.sender import Sender


class Producer:
    """Stands in for aiokafka's: a record is acknowledged, or refused, when a test says so; has room for so many."""

    def __init__(self, **_: object) -> None:
        self.futures: list[asyncio.Future[None]] = []
        self.room = 100
        self.quick = False
        self.open = True
        made.append(self)

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Disconnect."""
        self.open = False

    async def partitions_for(self, _: str) -> set[int]:
        """Have two."""
        return {0, 1}

    async def send(self, *_: object, **__: object) -> asyncio.Future[None]:
        """Take a record, or have no room for it; a quick one acknowledges at once."""
        await asyncio.sleep(0)
        if len(self.futures) == self.room:
            raise KafkaTimeoutError
        self.futures.append(asyncio.get_running_loop().create_future())
        if self.quick:
            self.futures[-1].set_result(None)
        return self.futures[-1]


made: list[Producer] = []


@pytest.fixture
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked of a broker."""
    made.clear()
    monkeypatch.setattr(sender_module, "AIOKafkaProducer", Producer)


async def send(sender: Sender, *places: str) -> None:
    """Send a record from each place."""
    for place in places:
        await sender.send("queues", b"s", b"{}", place)


async def acknowledge(*numbers: int) -> None:
    """Acknowledge records, by the order in which they were sent."""
    for number in numbers:
        made[0].futures[number].set_result(None)
    await asyncio.sleep(0)


async def told(work: Callable[[Sender], Awaitable[None]]) -> str:
    """With what error some work with a sender ends."""

    async def connected() -> None:
        async with Sender(Config()) as sender:
            await work(sender)

    with pytest.raises(FloorpulseError) as caught:
        await connected()
    return str(caught.value)


@pytest.mark.usefixtures("_no_broker")
async def test_the_first_record_that_is_not_acknowledged_is_known() -> None:
    """In the order of sending, whatever was acknowledged behind it."""
    async with Sender(Config()) as sender:
        seen = [sender.first_open]
        await send(sender, "line 1", "line 2", "line 3")
        for numbers in ([], [0, 2], [1]):
            await acknowledge(*numbers)
            seen.append(sender.first_open)
    assert (seen, sender.sent) == ([None, "line 1", "line 2", None], 3)


@pytest.mark.usefixtures("_no_broker")
@pytest.mark.parametrize("acknowledged", [1, 2])
async def test_a_refusal_says_from_where_to_go_on(acknowledged: int) -> None:
    """From the first record that was not acknowledged by then, also where a later one was refused."""

    async def work(sender: Sender) -> None:
        await send(sender, "line 1", "line 2", "line 3")
        await acknowledge(*range(acknowledged))
        made[0].futures[2].set_exception(TopicAuthorizationFailedError())
        await asyncio.sleep(0)
        await send(sender, "line 4")

    text = await told(work)
    assert text.startswith("Kafka did not take a record on queues: TopicAuthorizationFailedError")
    assert text.endswith(f". {acknowledged} events were sent; go on from line {acknowledged + 1}")


@pytest.mark.usefixtures("_no_broker")
async def test_a_broker_that_takes_nothing_for_long_is_no_fault_of_ours() -> None:
    """Where aiokafka's buffer stays full, its error is told as one of Kafka's, with the place."""

    async def work(sender: Sender) -> None:
        made[0].quick, made[0].room = True, 1
        await send(sender, "line 1", "line 2")

    text = await told(work)
    assert text.startswith("Kafka did not take a record: KafkaTimeoutError")
    assert text.endswith(". 1 events were sent; go on from line 2")


@pytest.mark.usefixtures("_no_broker")
async def test_who_is_interrupted_while_he_connects_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else aiokafka says so on stderr."""
    connecting = asyncio.Event()

    async def forever(_: Producer) -> None:
        connecting.set()
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(Producer, "start", forever)
    entering = asyncio.create_task(Sender(Config()).__aenter__())
    await connecting.wait()
    entering.cancel()
    await asyncio.wait([entering])
    assert (entering.cancelled(), made[0].open) == (True, False)


@pytest.mark.usefixtures("_no_broker")
async def test_markers_are_no_events() -> None:
    """They are not counted among what was sent, also where one of them has no room."""

    async def work(sender: Sender) -> None:
        made[0].quick, made[0].room = True, 5
        await send(sender, "line 1")
        await sender.end_input(1_795_269_600_000, "line 1")

    assert (await told(work)).endswith(". 1 events were sent; go on from line 1")


async def test_who_is_interrupted_does_not_wait_for_a_broker_that_is_away() -> None:
    """The producer would, until it is back; what is open stays known."""
    going = asyncio.Event()
    with EmbeddedBroker() as broker:
        config = Config(kafka={"bootstrap": broker.bootstrap})
        broker.create(topic_names(config).values())
        sender = Sender(config)

        async def work() -> None:
            async with sender:
                await send(sender, "line 1")
                await sender.flush()
                broker.stop()
                await send(sender, "line 2", "line 3")
                going.set()
                await sender.flush()

        working = asyncio.create_task(work())
        async with asyncio.timeout(30):
            await going.wait()
        assert (sender.sent, sender.first_open) == (1, "line 2")
        working.cancel()
        done, _ = await asyncio.wait([working], timeout=10)
    assert done == {working}
    assert working.cancelled()


async def test_a_broker_that_stays_away_is_told_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what was sent, and the place to go on from; the producer itself would try for ever."""
    monkeypatch.setattr(sender_module, "DELIVERY_S", 1.0)
    with EmbeddedBroker() as broker:
        config = Config(kafka={"bootstrap": broker.bootstrap})
        broker.create(topic_names(config).values())

        async def work() -> None:
            async with Sender(config) as sender:
                await send(sender, "line 1")
                await sender.flush()
                broker.stop()
                await send(sender, "line 2", "line 3")

        async with asyncio.timeout(30):
            with pytest.raises(FloorpulseError) as caught:
                await work()
    assert str(caught.value).startswith("Kafka did not take a record: TimeoutError('no answer for 1 s')")
    assert str(caught.value).endswith(". 1 events were sent; go on from line 2")


@pytest.mark.usefixtures("_no_broker")
async def test_room_is_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where as much is in flight as may be."""
    monkeypatch.setattr(sender_module, "DELIVERY_S", 0.05)
    monkeypatch.setattr(sender_module, "MAX_IN_FLIGHT", 2)

    async def work(sender: Sender) -> None:
        await send(sender, "line 1", "line 2")
        asyncio.get_running_loop().call_soon(made[0].futures[0].set_result, None)
        await send(sender, "line 3", "line 4")

    text = await told(work)
    assert text.startswith("Kafka did not take a record on queues: TimeoutError('no answer for 0.05 s')")
    assert text.endswith(". 1 events were sent; go on from line 2")
