"""The demo's contact centre on its way to Kafka: what has been, the present as it comes, and what was on earlier days.

The last 90 minutes are poured in first and at once, so that windows are full after seconds; then the present follows. Beside it
the same 90 minutes of yesterday and of a week ago are poured in slowly, so that comparisons have something to compare with: late
events, which correct the days that they belong to. All have their true event times. The embedded broker drops what is older than
5 MiB in a partition, so no more is poured in than the worker is sure to read.
"""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from time import monotonic, sleep, time
from typing import Any, Final, NamedTuple

from schemas.config import Config
from schemas.partitioner import PARTITIONERS
from streams.embedded import EMBEDDED_PARTITIONS
from streams.sender import Sender
from streams.simulator import Centre, Record, Scenario, demo_scenario, encode
from streams.simulator import simulate as events_of

DAY_MS: Final = 86_400_000
HISTORY_MS: Final = 90 * 60_000
LEAST_HISTORY_MS: Final = 10 * 60_000
HISTORY_EVENTS: Final = 80_000
"""What a large centre's history is cut to, about: the worker must have read it before anybody sees a number."""
EVENTS_PER_AGENT_S: Final = 0.1
DAYS_BEFORE: Final = (7, 1)
"""Which days before today have the same stretch of time."""
UNREAD: Final = 80_000
"""So many events at most lie in the broker unread while history is poured in, some 3 MiB in the fullest partition."""
EARLIER_PER_S: Final = 4000
HORIZON_MS: Final = 9 * DAY_MS
"""So late events must be accepted in the demo for the earlier days to count."""
MOST_KEPT: Final = 1_000_000
"""Events that are kept for the recount, some 300 bytes each; a longer demo has no recount any more."""
FLUSH_S: Final = 10.0
_PAUSE_S: Final = 0.02
_FIRST: Final = {"session.started": 0, "session.ended": 1, "queue.left": 2}


class Sent(NamedTuple):
    """One event as it was sent: topic without prefix, key, value."""

    topic: str
    key: bytes
    value: bytes


class Story:
    """The simulated centre; `history_events` were poured in within `history_s`, `behind_s` = how late the newest one went out."""

    def __init__(self, centre: Centre, speed: float, *, live_ms: int | None = None) -> None:
        """Prepare a centre whose present begins now."""
        self.centre = centre
        self.speed = speed
        self.live_ms = int(time() * 1000) if live_ms is None else live_ms
        self.scenario: Scenario = demo_scenario(self.live_ms, centre)
        wanted_ms = round(1000 * HISTORY_EVENTS / (EVENTS_PER_AGENT_S * max(1, centre.on_duty)))
        self.history_ms = min(HISTORY_MS, max(LEAST_HISTORY_MS, wanted_ms // 60_000 * 60_000))
        self.history_events = 0
        self.history_s = 0.0
        self.behind_s = 0.0
        self.sent: list[Sent] = []
        """Everything that was sent, up to `MOST_KEPT`."""
        self.count = 0
        self.lately = 0
        """Events of the present that were sent."""
        self.all_poured = False
        """Whether the earlier days have been sent."""
        self._lock = threading.Lock()
        self._began_s = monotonic() - max(0.0, time() - self.live_ms / 1000)
        self._going = asyncio.Event()
        self._going.set()
        self._over = False
        self._present = events_of(centre, self.live_ms - self.history_ms, None, self.scenario)
        self._next: Record | None = None

    def now_ms(self) -> int:
        """Return the present in event time."""
        return self.live_ms + round((monotonic() - self._began_s) * 1000 * self.speed)

    @property
    def whole(self) -> bool:
        """Whether everything that was sent is still kept."""
        return self.count == len(self.sent)

    def pause(self) -> None:
        """Hold the present back for a moment; it is made up for at `go_on`."""
        self._going.clear()

    def go_on(self) -> None:
        """Send again."""
        self._going.set()

    def stop(self) -> None:
        """End pouring in, from any thread."""
        self._over = True

    def earlier_days(self) -> Iterator[Record]:
        """Yield the same time of earlier days, the centre a little different each time, one whole session after the other."""
        for days in DAYS_BEFORE:
            centre = replace(self.centre, seed=self.centre.seed + 1000 * days)
            yield from whole_sessions(events_of(centre, self.live_ms - days * DAY_MS - self.history_ms, self.history_ms))

    def pour_history(self, config: Config, taken: Callable[[], int]) -> None:
        """Send the last 90 minutes, in a thread; `taken` says how many events the worker has read."""
        began = monotonic()
        self._pour(config, whole_sessions(self._until_now()), taken, None)
        self.history_events, self.history_s = self.count, monotonic() - began

    def pour_earlier_days(self, config: Config, taken: Callable[[], int]) -> None:
        """Send what was on earlier days, in a thread, so slowly that the present is not held up."""
        self._pour(config, self.earlier_days(), taken, EARLIER_PER_S)
        self.all_poured = not self._over

    def _pour(self, config: Config, records: Iterator[Record], taken: Callable[[], int], per_s: int | None) -> None:
        producer = _producer(config)
        began = monotonic()
        for number, record in enumerate(records):
            if self._over:
                break
            while self.count - taken() > UNREAD and not self._over:
                sleep(_PAUSE_S)
            if per_s and number % 100 == 0:
                sleep(max(0.0, began + number / per_s - monotonic()))
            sent = self._keep(record)
            partition = PARTITIONERS["murmur2"](sent.key, EMBEDDED_PARTITIONS) if sent.key else number % EMBEDDED_PARTITIONS
            producer.produce(config.kafka.topic_prefix + sent.topic, sent.value, sent.key, partition=partition)
            producer.poll(0)
        producer.flush(FLUSH_S)

    def _until_now(self) -> Iterator[Record]:
        for record in self._present:
            if record[0] >= self.now_ms():
                self._next = record
                return
            yield record

    def _keep(self, record: Record) -> Sent:
        _, topic, key, event = record
        sent = Sent(topic, key.encode(), encode(event))
        with self._lock:
            self.count += 1
            if len(self.sent) < MOST_KEPT:
                self.sent.append(sent)
        return sent

    async def send(self, sender: Sender) -> None:
        """Send the present as it comes, until cancelled."""
        for record in chain([self._next] if self._next else [], self._present):
            wait_s = (record[0] - self.now_ms()) / 1000 / self.speed
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            await self._going.wait()
            self.behind_s = max(0.0, (self.now_ms() - record[0]) / 1000 / self.speed)
            self.lately += 1
            await sender.send(*self._keep(record))


def whole_sessions(records: Iterable[Record]) -> Iterator[Record]:
    """Yield records session by session, each ended before it is connected, and left before it has entered.

    So nobody is ever seen waiting for a day, or in the hands of an agent, while a late session comes in. The order does not
    matter for what is counted.
    """
    sessions: dict[str, list[Record]] = {}
    others: list[Record] = []
    for record in records:
        if record[1] in ("sessions", "queues"):
            sessions.setdefault(record[2], []).append(record)
        else:
            others.append(record)
    yield from others
    for session in sessions.values():
        yield from sorted(session, key=lambda record: _FIRST.get(record[3]["type"], len(_FIRST)))


def _producer(config: Config) -> Any:
    servers = ",".join(config.kafka.bootstrap)
    settings = {"bootstrap.servers": servers, "linger.ms": 20, "queue.buffering.max.messages": 1_000_000, "log_level": 0}
    return importlib.import_module("confluent_kafka").Producer(settings)


__all__ = ["HISTORY_MS", "HORIZON_MS", "Sent", "Story", "whole_sessions"]
