"""Canonical events as JSON Lines: files in, records out."""

from __future__ import annotations

import gzip
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import msgspec

from schemas.codec import decode_batch
from schemas.errors import FloorpulseError, InvalidEvent, UsageError
from schemas.events import KEY_OF, TOPIC_OF
from schemas.partitioner import PARTITIONERS
from streams.progress import no_progress

BATCH_LINES: Final = 5000
CLOCKS: Final = 10
"""So many events say what time it is at a place of a file: one with a wrong clock says nothing."""


class _Head(msgspec.Struct):
    """The fields of an event that decide where it goes, whatever they hold: of another type they may be anything."""

    type: Any = None
    session_id: Any = None
    agent_id: Any = None
    complaint_id: Any = None
    queue: Any = None


_decode = msgspec.json.Decoder(_Head).decode
_PLACES: Final = {kind: (TOPIC_OF[kind], key) for kind, key in KEY_OF.items()}
"""Topic of a type, and the field that is the key."""
_NO_HEAD: Final = (msgspec.MsgspecError, KeyError, TypeError, UnicodeError, RecursionError)
PARTITIONER: Final = "crc32"
"""By which `read_lanes` spreads keys: the quickest."""


class Line(NamedTuple):
    """One line as a record: logical topic, key, value, and where it stood."""

    topic: str
    key: bytes
    value: bytes
    number: int


class Lane(NamedTuple):
    """Records of one topic and share, in their order: keys, values, and where they stood."""

    keys: list[bytes]
    values: list[bytes]
    numbers: list[int]


Lanes = dict[tuple[int, str], Lane]
"""By share and logical topic."""


def _head_of(value: bytes) -> tuple[str, bytes]:
    """Return (topic, key) of a line; one that says nothing of its topic goes to `sessions`, where it is found invalid."""
    try:
        head = _decode(value)
        topic, field = _PLACES[head.type]
        key = getattr(head, field)
        return topic, key.encode() if type(key) is str else b""
    except _NO_HEAD:
        return "sessions", b""


def line_of(value: bytes, number: int = 0) -> Line:
    """Return the record of a line."""
    return Line(*_head_of(value), value, number)


def open_lines(path: Path) -> IO[bytes]:
    """Open a .jsonl or .jsonl.gz file; raises `UsageError` when it cannot be read, or is named .gz and is not gzip."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    magic = file.peek(2)[:2]  # a pipe cannot go back
    if magic == b"\x1f\x8b":
        unpacked = gzip.GzipFile(fileobj=file)
        unpacked.myfileobj = file  # type: ignore[assignment]  # it closes it in the end, as one that it has opened itself
        return unpacked  # type: ignore[return-value]  # a GzipFile is an IO[bytes] in all that matters
    if magic and path.suffix == ".gz":
        file.close()
        raise UsageError(f"{path} is named .gz, but it is not gzip. If it is plain text, name it without .gz")
    return file


def is_pipe(path: Path) -> bool:
    """Tell whether a path can be read but once: a pipe, a terminal."""
    return path.exists() and not path.is_file() and not path.is_dir()


def line_count(path: Path) -> int:
    """Return how many lines a file has, empty ones included."""
    return sum(len(texts) for _, texts in _read_texts(path, no_progress))


def time_of(value: bytes) -> int | None:
    """Return the event time of a line in ms; None where it is no valid event."""
    event = decode_batch([value.strip()])[0]
    return None if isinstance(event, InvalidEvent) else int(event.at)


def first_times(values: Iterable[bytes]) -> list[int]:
    """Return the event times of the first `CLOCKS` lines that are valid events."""
    return list(islice((at for value in values if (at := time_of(value)) is not None), CLOCKS))


def begins_at(path: Path) -> int | None:
    """Return the earliest of a file's first times, None where it has none; 0 of a pipe, which cannot be read twice to know."""
    if is_pipe(path):
        return 0
    try:
        return min(first_times(text for _, texts in _read_texts(path, no_progress) for text in texts), default=None)
    except FloorpulseError as error:
        if isinstance(error, UsageError):
            raise
        return None  # whoever reads it says so


def _read_texts(path: Path, progress: Callable[[int], None]) -> Iterator[tuple[int, list[bytes]]]:
    """Yield a file's lines as they are, so many at a time, with the number of the first."""
    first = 1
    with open_lines(path) as file:
        while True:
            texts: list[bytes] = []
            broken: Exception | None = None
            try:
                texts.extend(islice(file, BATCH_LINES))  # keeps what came before a file breaks off
            except (EOFError, OSError, zlib.error) as error:
                broken = error
            if texts:
                read = sum(map(len, texts))
                if first == 1:
                    texts[0] = texts[0].removeprefix(BOM_UTF8)
                yield first, texts
                progress(read)
                first += len(texts)
            if broken is not None:
                raise FloorpulseError(f"{path} cannot be read beyond line {first - 1}: {broken}. Is it whole?") from broken
            if not texts:
                return


def read_lines(path: Path, progress: Callable[[int], None] = no_progress) -> Iterator[list[Line]]:
    """Yield a file's lines in batches, empty ones left out; `progress` hears how many bytes of text were read.

    Raises `UsageError` for a file that cannot be opened; behind its last whole line, `FloorpulseError` for one that breaks off.
    """
    for first, texts in _read_texts(path, progress):
        batch = [line_of(value, number) for number, text in enumerate(texts, first) if (value := text.strip())]
        if batch:
            yield batch


def read_lanes(path: Path, shares: int, progress: Callable[[int], None] = no_progress) -> Iterator[Lanes]:
    """Yield a file's lines in batches as `read_lines` does, each batch spread over so many shares by the key."""
    partition_of = PARTITIONERS[PARTITIONER]
    decode, places = _decode, _PLACES
    for first, texts in _read_texts(path, progress):
        lanes: Lanes = {}
        for number, text in enumerate(texts, first):
            value = text.strip()
            if not value:
                continue
            try:  # `_head_of`, without a call for each line
                head = decode(value)
                topic, field = places[head.type]
                name = getattr(head, field)
                key = name.encode() if type(name) is str else b""
            except _NO_HEAD:
                topic, key = "sessions", b""
            place = (partition_of(key, shares) if shares > 1 else 0, topic)
            lane = lanes.get(place)
            if lane is None:
                lane = lanes[place] = Lane([], [], [])
            lane.keys.append(key)
            lane.values.append(value)
            lane.numbers.append(number)
        if lanes:
            yield lanes


__all__ = [
    "BATCH_LINES", "PARTITIONER", "Lane", "Lanes", "Line", "begins_at", "first_times", "is_pipe", "line_count", "open_lines",
    "read_lanes", "read_lines",
]  # fmt: skip
