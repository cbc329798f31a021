"""The alerts topic: which board publishes, what it publishes, and who is told.

Theory of operation. All boards are members of one consumer group on the one-partition topic `floorpulse.alerts`; who is given
partition 0 is its owner. The log decides, and the owner only reads it:

1. Given the partition, it reads the topic from the beginning and folds it: the last record of each subject.
2. At the end of the log it compares them with the board's standings, publishes what is missing, and does not look again until it
   has read back what it sent. Where a record is not acknowledged it begins anew: whether it got in, the log says.
3. A record that people are to be told of goes to the webhooks. The group's committed offset says up to where all
   webhooks are done; the next owner posts from there on. So each is posted at least once, whoever dies when.

Standings that are not ready, or stand still because data is old, say nothing. Another partition than 0 is nobody's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from schemas.alerts import decode_alert
from schemas.notify import Webhook
from sinks.alerts import Book
from sinks.standing import Standing, Subject
from sinks.webhooks import Poster, end, posters

log = structlog.get_logger()

RETRY_S: Final = (1.0, 15.0)
POLL_MS: Final = 100
"""How often the owner looks at the board's standings."""
WAIT_MS: Final = 500
"""How often the others look whether they are the owner."""
SESSION_MS: Final = 10_000
"""Without a sign of life for so long a board is no member any more, and another one takes over."""
ASK_TIMEOUT_S: Final = 10.0
MAX_AGE_MS: Final = 3_600_000
"""Older records are not posted any more: who was down that long has other news."""
METADATA_AGE_MS: Final = 30_000


class Look(NamedTuple):
    """What a board sees at one instant, if it can judge."""

    number: int
    now: int
    standings: Mapping[Subject, Standing]
    is_quiet: Callable[[Subject], bool] = lambda _: False
    """Whether a subject has quiet hours at that instant, also one that is gone."""


class Place(NamedTuple):
    """Where alerts live: the topic, the boards' group, aiokafka's arguments."""

    topic: str
    group: str
    kafka: Mapping[str, Any]


class AlertLog:
    """One board's part in it; `look` answers what the board sees, None while it cannot judge."""

    def __init__(
        self, place: Place, webhooks: Collection[Webhook], look: Callable[[], Look | None], link: Callable[[Subject], str],
        clock_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        """Prepare; raises `ConfigError` where a webhook's secret cannot be read."""
        self._place, self._look, self._link, self._clock_ms = place, look, link, clock_ms
        self._partition = TopicPartition(place.topic, 0)
        self.posters: Mapping[str, Poster] = posters(list(webhooks), self._done, clock_ms)
        self.published = 0
        self._book = Book()
        self._owner = False
        self._caught_up_at = 0
        """Offset up to which the log must have been read before anything is published."""
        self._position = 0
        self._committed = 0
        self._open: dict[int, set[str]] = {}
        """Offset → webhooks that still have to post it."""
        self._seen = -1
        self._task: asyncio.Task[None] | None = None

    @property
    def owner(self) -> bool:
        """Whether this board publishes and posts."""
        return self._owner

    def start(self) -> None:
        """Begin in the background."""
        for poster in self.posters.values():
            poster.start()
        self._task = asyncio.create_task(self._run(), name="floorpulse-alerts")

    async def stop(self) -> None:
        """Leave the group, so that another board takes over at once."""
        if self._task is not None:
            await end(self._task)
            self._task = None
        for poster in self.posters.values():
            await poster.stop()

    async def _run(self) -> None:
        pause = RETRY_S[0]
        while True:
            try:
                await self._take_part()
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("alerts cannot be published, trying again", topic=self._place.topic, error=str(error), in_s=pause)
            except Exception:  # the boundary of this sink: a board outlives whatever its alerts do
                log.exception("alerts failed, starting again", topic=self._place.topic)
            pause = RETRY_S[0] if self._owner else min(2 * pause, RETRY_S[1])
            self.give_back()
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))

    async def _take_part(self) -> None:
        kafka = {**self._place.kafka, "client_id": "floorpulse-alerts"}
        consumer = AIOKafkaConsumer(
            **kafka,
            group_id=self._place.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=SESSION_MS // 5,
            metadata_max_age_ms=METADATA_AGE_MS,
        )
        producer = AIOKafkaProducer(**kafka, acks="all", request_timeout_ms=round(ASK_TIMEOUT_S * 1000))
        consumer.subscribe([self._place.topic], listener=_Listener(self))
        try:
            await consumer.start()
            await producer.start()
            while True:
                await self._turn(consumer, producer)
        finally:
            for client in (consumer, producer):
                with contextlib.suppress(KafkaError, OSError):
                    await client.stop()

    async def _turn(self, consumer: Any, producer: Any) -> None:
        if self._partition not in consumer.assignment():
            self.give_back()
        elif not self._owner:
            await self._take_over(consumer)
        batches = await consumer.getmany(timeout_ms=POLL_MS if self._owner else WAIT_MS)
        if not self._owner:
            return
        for record in batches.get(self._partition, ()):
            self._read(record.offset, record.value)
        self._position = max(self._position, await consumer.position(self._partition))
        await self._commit(consumer)
        if self._position >= self._caught_up_at:
            await self._publish(producer)

    async def _take_over(self, consumer: Any) -> None:
        """Begin as the owner: read everything once more."""
        committed = await asyncio.wait_for(consumer.committed(self._partition), ASK_TIMEOUT_S)
        ends = await asyncio.wait_for(consumer.end_offsets([self._partition]), ASK_TIMEOUT_S)
        await consumer.seek_to_beginning(self._partition)
        self._book, self._open, self._seen = Book(), {}, -1
        self._committed = committed or 0
        self._position, self._caught_up_at = 0, ends[self._partition]
        self._owner = True
        log.info("this board publishes alerts", topic=self._place.topic, records=self._caught_up_at)

    def give_back(self) -> None:
        """End being the owner, if it was: what is pending is the next owner's."""
        if self._owner:
            self._owner = False
            self._open = {}
            for poster in self.posters.values():
                poster.forget()
            log.info("this board publishes no alerts any more", topic=self._place.topic)

    def _read(self, offset: int, value: bytes | None) -> None:
        """Fold one record; hand it to the webhooks if people are to be told and nobody has told them."""
        self._position = max(self._position, offset + 1)
        alert = decode_alert(value)
        before = None if alert is None else self._book.fold(alert)
        if alert is None or before is None or offset < self._committed or self._clock_ms() - alert.at > MAX_AGE_MS:
            return
        wanting = [poster for poster in self.posters.values() if poster.wants(alert, before)]
        if wanting:
            self._open[offset] = {poster.name for poster in wanting}
        for poster in wanting:
            poster.put(offset, alert)

    def _done(self, webhook: str, offset: int) -> None:
        waiting = self._open.get(offset)
        if waiting is not None:
            waiting.discard(webhook)
            if not waiting:
                del self._open[offset]

    async def _commit(self, consumer: Any) -> None:
        """Note up to where every webhook is done."""
        until = min(self._open, default=self._position)
        if until > self._committed:
            await asyncio.wait_for(consumer.commit({self._partition: until}), ASK_TIMEOUT_S)
            self._committed = until

    async def _publish(self, producer: Any) -> None:
        look = self._look()
        if look is None or look.number == self._seen:
            return
        self._seen = look.number
        due = list(self._book.due(look.standings, look.now, self._link, look.is_quiet))
        sent = [await producer.send(self._place.topic, alert.encode(), alert.key, partition=0) for alert in due]
        for done in sent:
            metadata = await asyncio.wait_for(done, ASK_TIMEOUT_S)
            self._caught_up_at = max(self._caught_up_at, metadata.offset + 1)
        self.published += len(due)
        for alert in due:
            where = {key: value for key in ("queue", "channel", "group") if (value := getattr(alert, key))}
            log.info("alert", kpi=alert.kpi, **where, level=alert.level, before=alert.before, id=alert.id)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    """Ends ownership before the group is balanced anew."""

    def __init__(self, alerts: AlertLog) -> None:
        self._alerts = alerts

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:  # noqa: ARG002  the library's signature
        """Give back."""
        self._alerts.give_back()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Leave it to the next turn."""


__all__ = ["AlertLog", "Look", "Place"]
