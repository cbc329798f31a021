"""Dead letters sent again after a fix.

Theory of operation. `replay` sends the original bytes under the original key to the original topic, into the partition where
`kafka.partitioner` puts the key; a relay record, or one without a key, into its own. What was sent is noted in the
dead-letter topic itself by a receipt: it is as durable as the letters, every operator sees it, and it goes when they go. So
a replay that broke off goes on where it was. What was sent and not noted yet is sent twice then; that changes nothing,
since the second one is a duplicate of the first.

A replayed record carries the header `replayed`, and so does the letter if it is rejected again: it is not sent once more unless
that is asked for. Only inputs and relay of the configured prefix are ever written to, whatever a header says.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.config import Config
from schemas.errors import FloorpulseError, KafkaUnreachable
from schemas.partitioner import PARTITIONERS
from streams.connection import aiokafka_options
from streams.deadletters import RECEIPT, Letter, Wanted, letter_of, receipt_of, remember
from streams.journal.letters import REPLAYED
from streams.progress import no_progress
from streams.scan import Layout, Scan
from streams.topics import INPUTS

TARGETS: Final = (*INPUTS, "relay")
BATCH: Final = 500
"""Letters sent before they are noted as sent."""
_REQUEST_BYTES: Final = 8 << 20


@dataclass
class Replay:
    """What a replay sends, or would send: letters by reason, and those left out by cause."""

    by_reason: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def letters(self) -> int:
        """How many are sent."""
        return self.by_reason.total()


LEFT_OUT: Final = {
    "sent before": "sent again before",
    "copy": "copies of another letter",
    "rejected again": "rejected again after a replay (--again sends them once more)",
    "cut": "kept only in part",
    "foreign": "not from an input of this kafka.topic_prefix",
}
"""Why a letter is not sent, in a person's words."""


async def replay(config: Config, wanted: Wanted, *, really: bool, progress: Callable[[int], None] = no_progress) -> Replay:
    """Send letters again, or only count them; raises `FloorpulseError` where the broker refuses one: start it again to go on."""
    layout = Layout.of(config, ["dead-letters", *TARGETS])
    scan = await Scan.of(config, layout.names["dead-letters"], layout.counts["dead-letters"], wanted.since_ms)
    sent: set[tuple[int, int]] = set()
    async with aclosing(scan.records(progress)) as records:
        async for record in records:  # receipts stand behind their letters, so a first pass finds them
            for offset in receipt_of(record) or ():
                remember(sent, (record.partition, offset))
    done = Replay()
    async with aclosing(_chosen(scan, wanted, layout, sent, done, progress)) as chosen:
        if not really:
            async for letter in chosen:
                done.by_reason[letter.reason] += 1
            return done
        async with _Post(config, layout) as post:
            async for letter in chosen:
                await post.send(letter)
                done.by_reason[letter.reason] += 1
            await post.note()
    return done


async def _chosen(scan: Scan, wanted: Wanted, layout: Layout, sent: set[tuple[int, int]], done: Replay,
                  progress: Callable[[int], None]) -> AsyncGenerator[Letter]:  # fmt: skip
    allowed = {layout.names[short]: layout.counts[short] for short in TARGETS}
    seen: set[tuple[str, int, int]] = set()
    async with aclosing(scan.records(progress)) as records:
        async for record in records:
            if receipt_of(record) is not None or not wanted.takes(letter := letter_of(record)):
                continue
            cause = _cause(letter, wanted, allowed, sent, seen)
            remember(seen, letter.origin)
            if cause is None:
                yield letter
            else:
                done.left_out[cause] += 1


def _cause(letter: Letter, wanted: Wanted, allowed: Mapping[str, int], sent: set[tuple[int, int]],
           seen: set[tuple[str, int, int]]) -> str | None:  # fmt: skip
    """Return why a letter is not to be sent, a key of `LEFT_OUT`; None if it is."""
    topic, partition, offset = letter.origin
    if not 0 <= partition < allowed.get(topic, 0) or offset < 0:
        return "foreign"
    if letter.ref in sent:
        return "sent before"
    if letter.origin in seen:
        return "copy"
    if letter.cut:
        return "cut"
    return "rejected again" if letter.replays and not wanted.again else None


class _Post:
    """Sends letters to where they came from, and notes every batch that is acknowledged."""

    def __init__(self, config: Config, layout: Layout) -> None:
        self._partition_of = PARTITIONERS[config.kafka.partitioner]
        self._layout = layout
        self._counts = {layout.names[short]: layout.counts[short] for short in TARGETS}
        self._waiting: list[tuple[Letter, Any]] = []
        self._producer = AIOKafkaProducer(
            **aiokafka_options(config.kafka), acks="all", enable_idempotence=True, linger_ms=5, max_request_size=_REQUEST_BYTES
        )

    async def __aenter__(self) -> Self:
        try:
            await self._producer.start()
        except (KafkaError, OSError) as error:
            await self._producer.stop()
            raise KafkaUnreachable(f"cannot write to Kafka (kafka.bootstrap): {error!r}") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def send(self, letter: Letter) -> None:
        """Send one; every so many are awaited and noted."""
        headers = [(REPLAYED, str(letter.replays + 1).encode())]
        try:
            future = await self._producer.send(
                letter.origin[0], letter.value, key=letter.key, partition=self._target(letter), headers=headers
            )
        except KafkaError as error:
            raise _refused(letter, error) from error
        self._waiting.append((letter, future))
        if len(self._waiting) >= BATCH:
            await self.note()

    async def note(self) -> None:
        """Wait for what is under way, and write the receipts."""
        noted: dict[int, list[int]] = {}
        refused: FloorpulseError | None = None
        for letter, future in self._waiting:
            try:
                await future
            except KafkaError as error:
                refused = refused or _refused(letter, error)
            else:
                noted.setdefault(letter.ref[0], []).append(letter.ref[1])
        self._waiting = []
        topic = self._layout.names["dead-letters"]
        for partition, offsets in noted.items():
            value = json.dumps(offsets, separators=(",", ":")).encode()
            try:
                await self._producer.send_and_wait(topic, value, partition=partition, headers=[(RECEIPT, b"replayed")])
            except KafkaError as error:
                raise FloorpulseError(
                    f"{len(offsets)} letters of partition {partition} were sent, but Kafka refused to note that in topic {topic}: "
                    f"{error!r}. Start the command again: it sends them a second time, which changes nothing"
                ) from error
        if refused is not None:
            raise refused

    def _target(self, letter: Letter) -> int:
        topic, partition, _ = letter.origin
        if letter.key and topic != self._layout.names["relay"]:
            return self._partition_of(letter.key, self._counts[topic])
        return partition


def _refused(letter: Letter, error: Exception) -> FloorpulseError:
    return FloorpulseError(
        f"Kafka refused letter {letter.name} for topic {letter.origin[0]}: {error!r}. What was sent before is noted; the same "
        "command goes on from there"
    )


__all__ = ["LEFT_OUT", "TARGETS", "Replay", "replay"]
