"""Canonical events as JSON Lines: files in, records out."""

from __future__ import annotations

import gzip
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import msgspec

from schemas.errors import FloorpulseError, UsageError
from schemas.events import KEY_OF, TOPIC_OF
from streams.progress import no_progress

BATCH_LINES: Final = 5000


class _Head(msgspec.Struct):
    """The fields of an event that decide where it goes, whatever they hold: of another type they may be anything."""

    type: Any = None
    session_id: Any = None
    agent_id: Any = None
    complaint_id: Any = None
    queue: Any = None


_decode = msgspec.json.Decoder(_Head).decode


class Line(NamedTuple):
    """One line as a record: logical topic, key, value, and where it stood."""

    topic: str
    key: bytes
    value: bytes
    number: int


def line_of(value: bytes, number: int = 0) -> Line:
    """Return the record of a line; one that says nothing of its topic goes to `sessions`, where it is found invalid."""
    try:
        head = _decode(value)
        key = getattr(head, KEY_OF[head.type])
        return Line(TOPIC_OF[head.type], key.encode() if isinstance(key, str) else b"", value, number)
    except (msgspec.MsgspecError, KeyError, TypeError, UnicodeError, RecursionError):
        return Line("sessions", b"", value, number)


def open_lines(path: Path) -> IO[bytes]:
    """Open a .jsonl or .jsonl.gz file; raises `UsageError` when it cannot be read."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    if file.read(2) == b"\x1f\x8b":
        file.close()
        return gzip.open(path, "rb")  # type: ignore[return-value]  # a GzipFile is an IO[bytes] in all that matters
    file.seek(0)
    return file


def read_lines(path: Path, progress: Callable[[int], None] = no_progress) -> Iterator[list[Line]]:
    """Yield a file's lines in batches, empty ones left out; `progress` hears how many bytes of text were read.

    Raises `UsageError` for a file that cannot be opened, `FloorpulseError` for one that breaks off.
    """
    batch: list[Line] = []
    read = number = 0
    with open_lines(path) as file:
        try:
            for number, text in enumerate(file, 1):
                read += len(text)
                value = (text.removeprefix(BOM_UTF8) if number == 1 else text).strip()
                if value:
                    batch.append(line_of(value, number))
                if len(batch) >= BATCH_LINES:
                    yield batch
                    progress(read)
                    batch, read = [], 0
        except (EOFError, OSError, zlib.error) as error:
            raise FloorpulseError(f"{path} cannot be read beyond line {number}: {error}. Is it whole?") from error
        if batch:
            yield batch
        progress(read)


__all__ = ["BATCH_LINES", "Line", "line_of", "open_lines", "read_lines"]
