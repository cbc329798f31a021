"""Dead letters: what was not counted, read from its topic and summed up.

Theory of operation. A letter is named `PARTITION@OFFSET` by its place in the topic; its identity is where the rejected
record stood (headers topic, partition, offset), since a worker may set the same record aside twice. Between the letters lie
*receipts* (header `receipt`): they list the offsets of letters in their partition that `streams.replay` has sent again.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from schemas.config import Config
from schemas.errors import UnknownName, UsageError
from schemas.instants import format_instant
from streams.connection import aiokafka_options
from streams.journal.letters import CUT, KEY_CUT, LETTER_TOPICS, replays_of
from streams.journal.log import records_from
from streams.progress import no_progress
from streams.scan import Layout, Scan

RECEIPT: Final = "receipt"
MOST_LETTERS: Final = 5_000_000
"""Letters remembered by one command (some 100 bytes each); beyond it, choose a time."""
_DIGITS: Final = 20
_MOST_PARTITION: Final = 2**31 - 1
_MOST_OFFSET: Final = 2**63 - 1


class Letter(NamedTuple):
    """One dead letter: `ref` is its partition and offset, `origin` the rejected record's topic, partition and offset.

    `at_ms` is when it was set aside, `replays` how often the record had been sent again before, `cut` whether key or value are
    not whole.
    """

    ref: tuple[int, int]
    origin: tuple[str, int, int]
    at_ms: int
    reason: str
    detail: str
    key: bytes | None
    value: bytes | None
    replays: int
    cut: bool
    headers: Sequence[tuple[str, bytes]]

    @property
    def name(self) -> str:
        """Return `PARTITION@OFFSET`."""
        return f"{self.ref[0]}@{self.ref[1]}"


def letter_of(record: Any) -> Letter:
    """Read a record of the dead-letter topic; foreign ones are letters of an unknown reason."""
    headers = {name: value or b"" for name, value in record.headers}

    def text(name: str) -> str:
        return headers.get(name, b"").decode(errors="backslashreplace")

    def number(name: str) -> int:
        return int(text(name)) if text(name).isascii() and text(name).isdigit() and len(text(name)) < 20 else -1

    return Letter(
        ref=(record.partition, record.offset),
        origin=(text("topic"), number("partition"), number("offset")),
        at_ms=record.timestamp,
        reason=text("reason") or "unknown",
        detail=text("detail"),
        key=record.key,
        value=record.value,
        replays=replays_of(record.headers),
        cut=CUT in headers or KEY_CUT in headers,
        headers=record.headers,
    )


def receipt_of(record: Any) -> list[int] | None:
    """Return the offsets that a receipt notes, None if the record is none."""
    if not any(name == RECEIPT for name, _ in record.headers):
        return None
    try:
        noted = json.loads(record.value or b"")
    except ValueError:
        return []
    return [offset for offset in noted if type(offset) is int] if isinstance(noted, list) else []


@dataclass(frozen=True)
class Wanted:
    """Which letters: by reason (none: all), set aside from `since_ms` on and before `until_ms`; `again`: also rejected ones."""

    reasons: frozenset[str] = frozenset()
    since_ms: int | None = None
    until_ms: int | None = None
    again: bool = False

    def takes(self, letter: Letter) -> bool:
        """Tell whether a letter is among them."""
        after = self.since_ms is None or letter.at_ms >= self.since_ms
        before = self.until_ms is None or letter.at_ms < self.until_ms
        return after and before and (not self.reasons or letter.reason in self.reasons)


@dataclass
class Listing:
    """What a topic of letters holds: counts, time range, the newest ones."""

    topic: str
    letters: int = 0
    copies: int = 0
    replayed: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    by_topic: Counter[str] = field(default_factory=Counter)
    first_ms: int | None = None
    last_ms: int | None = None
    newest: list[Letter] = field(default_factory=list)
    sent: set[tuple[int, int]] = field(default_factory=set)
    """The letters that receipts note."""

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "topic": self.topic,
            "letters": self.letters,
            "copies": self.copies,
            "replayed": self.replayed,
            "first_at": None if self.first_ms is None else format_instant(self.first_ms),
            "last_at": None if self.last_ms is None else format_instant(self.last_ms),
            "by_reason": dict(self.by_reason.most_common()),
            "by_topic": dict(self.by_topic.most_common()),
            "newest": [{**about(each), "sent_again": each.ref in self.sent} for each in self.newest],
        }


async def listing(config: Config, wanted: Wanted, limit: int, *, late: bool = False,
                  progress: Callable[[int], None] = no_progress) -> Listing:  # fmt: skip
    """Read the dead letters (or the late records) and sum them up; `newest` has at most `limit`, the newest first."""
    short = LETTER_TOPICS[1 if late else 0]
    layout = Layout.of(config, [short])
    scan = await Scan.of(config, layout.names[short], layout.counts[short], wanted.since_ms)
    found = Listing(scan.topic)
    heap: list[tuple[int, tuple[int, int], Letter]] = []
    seen: set[tuple[str, int, int]] = set()
    async with aclosing(scan.records(progress)) as records:
        async for record in records:
            if (noted := receipt_of(record)) is not None:
                found.sent |= {(record.partition, offset) for offset in noted}
                continue
            letter = letter_of(record)
            if not wanted.takes(letter):
                continue
            if letter.origin in seen and letter.origin[2] >= 0:
                found.copies += 1
                continue
            remember(seen, letter.origin)
            _count(found, letter)
            if limit:
                (heapq.heappush if len(heap) < limit else heapq.heappushpop)(heap, (letter.at_ms, letter.ref, letter))
    found.newest = [letter for _, _, letter in sorted(heap, key=lambda each: each[:2], reverse=True)]
    return found


async def one(config: Config, name: str, *, late: bool = False) -> Letter:
    """Read the letter `PARTITION@OFFSET`; raises `UsageError` or `UnknownName`."""
    partition, _, offset = name.partition("@")
    if not (_is_number(partition, _MOST_PARTITION) and _is_number(offset, _MOST_OFFSET)):
        raise UsageError(f"{name[:50]!r} is not PARTITION@OFFSET, for example 3@17; floorpulse dead-letters list shows them")
    short = LETTER_TOPICS[1 if late else 0]
    layout = Layout.of(config, [short])
    topic = layout.names[short]
    if int(partition) < layout.counts[short]:
        async with aclosing(records_from(aiokafka_options(config.kafka), topic, int(partition), int(offset))) as records:
            async for record in records:
                if record.offset == int(offset):
                    return letter_of(record)
                break
    raise UnknownName(f"topic {topic} has no record {name} (any more); floorpulse dead-letters list shows what is there")


def _is_number(text: str, most: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) < _DIGITS and int(text) <= most


def remember(known: set[Any], what: Any) -> None:
    """Note what was seen; raises `UsageError` when it is too much."""
    known.add(what)
    if len(known) > MOST_LETTERS:
        raise UsageError(f"more than {MOST_LETTERS} dead letters: choose a time with --from")


def _count(found: Listing, letter: Letter) -> None:
    found.letters += 1
    found.replayed += letter.replays > 0
    found.by_reason[letter.reason] += 1
    found.by_topic[letter.origin[0] or "unknown"] += 1
    found.first_ms = letter.at_ms if found.first_ms is None else min(found.first_ms, letter.at_ms)
    found.last_ms = letter.at_ms if found.last_ms is None else max(found.last_ms, letter.at_ms)


def about(letter: Letter) -> dict[str, Any]:
    """Return what JSON says of a letter, without its bytes."""
    topic, partition, offset = letter.origin
    return {
        "letter": letter.name,
        "at": format_instant(letter.at_ms),
        "reason": letter.reason,
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "detail": letter.detail,
        "bytes": len(letter.value or b""),
        "replays": letter.replays,
    }


__all__ = ["RECEIPT", "Letter", "Listing", "Wanted", "about", "letter_of", "listing", "one", "receipt_of", "remember"]
