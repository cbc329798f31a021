"""Dead letters: a record that was not counted goes aside as it came, with headers that say why and where from."""

from __future__ import annotations

from typing import Final

from streams.journal.ports import Record, Reject
from streams.journal.record import Outgoing

LETTER_BYTES: Final = 900_000
"""The most of a value that is kept, so that with its headers it fits a broker's default limit of 1 MiB."""


def letter(record: Record, reject: Reject, topic: str, partition: int) -> Outgoing:
    """Return what goes to `late` or `dead-letters` for a record of that topic (full name) and partition.

    Key and value are the bytes as they came. Headers: reason, detail, topic, partition, offset, timestamp (ms), and
    `truncated` with the full length where a value is longer than `LETTER_BYTES`.
    """
    value = record.value
    headers = {
        "reason": reject.reason,
        "detail": reject.detail,
        "topic": topic,
        "partition": str(partition),
        "offset": str(record.offset),
        "timestamp": str(record.timestamp),
    }
    if value is not None and len(value) > LETTER_BYTES:
        headers["truncated"] = str(len(value))
        value = value[:LETTER_BYTES]
    target = "late" if reject.outcome == "late" else "dead-letters"
    encoded = [(name, text.encode(errors="backslashreplace")) for name, text in headers.items()]
    return Outgoing(target, partition, record.key, value, encoded)


__all__ = ["LETTER_BYTES", "letter"]
