"""Dead letters: a record that was not counted goes aside as it came, with headers that say why and where from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from streams.journal.ports import Record, Reject
from streams.journal.record import Outgoing

LETTER_BYTES: Final = 2 << 20
"""The most of a value that is kept: twice what a broker takes unless told otherwise, a quarter of a journal record."""

KEY_BYTES: Final = 64 << 10
"""The most of a key that is kept; a name has 256 characters. Packed, a broker takes keys that no record of ours could hold."""
SMALL_LETTER_BYTES: Final = 900_000
"""What is kept where the topic takes no more: with its headers it fits a broker's default limit of 1 MiB."""
LETTER_TOPICS: Final = ("dead-letters", "late")
CUT: Final = "truncated"
KEY_CUT: Final = "key_truncated"
REPLAYED: Final = "replayed"
"""Header of a record that `floorpulse dead-letters replay` has sent: how often. A letter that comes of it says so, too."""
_MOST_DIGITS: Final = 4


def cut(record: Outgoing, size: int) -> Outgoing:
    """Return a letter whose value has at most `size` bytes; a header tells the full length."""
    if record.value is None or len(record.value) <= size:
        return record
    headers = [*record.headers, (CUT, str(len(record.value)).encode())]
    return Outgoing(record.topic, record.partition, record.key, record.value[:size], headers)


def replays_of(headers: Iterable[tuple[str, bytes | None]]) -> int:
    """Return how often a record was sent again, as its headers say; whatever else stands there counts as never."""
    said = next((value for name, value in headers if name == REPLAYED and value), b"")
    return int(said) if said.isdigit() and len(said) <= _MOST_DIGITS else 0


def letter(record: Record, reject: Reject, topic: str, partition: int) -> Outgoing:
    """Return what goes to `late` or `dead-letters` for a record of that topic (full name) and partition.

    Key and value are the bytes as they came. Headers: reason, detail, topic, partition, offset, timestamp (ms),
    `replayed` where the record was sent again before, `truncated` with the full length where a value is longer than
    `LETTER_BYTES`, and `key_truncated` where a key is longer than `KEY_BYTES`.
    """
    headers = {
        "reason": reject.reason,
        "detail": reject.detail,
        "topic": topic,
        "partition": str(partition),
        "offset": str(record.offset),
        "timestamp": str(record.timestamp),
    }
    target = LETTER_TOPICS[1] if reject.outcome == "late" else LETTER_TOPICS[0]
    encoded = [(name, text.encode(errors="backslashreplace")) for name, text in headers.items()]
    if (times := replays_of(getattr(record, "headers", ()))) > 0:
        encoded.append((REPLAYED, str(times).encode()))
    key = record.key
    if key is not None and len(key) > KEY_BYTES:
        encoded.append((KEY_CUT, str(len(key)).encode()))
        key = key[:KEY_BYTES]
    return cut(Outgoing(target, partition, key, record.value, encoded), LETTER_BYTES)


__all__ = ["CUT", "KEY_CUT", "LETTER_BYTES", "LETTER_TOPICS", "REPLAYED", "SMALL_LETTER_BYTES", "cut", "letter", "replays_of"]
