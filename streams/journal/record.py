"""Format of the journal's records: msgpack, the schema version in front.

A value is two msgpack objects one after the other: the version as an integer, then the record as an array that starts
with its kind. So a reader knows the version before it has to understand anything else; it reads older versions and
refuses newer ones (`JournalVersion`). Fields may only be added at an array's end, with a default; anything else is a
new version, and so is another shape of an entry's value: the version stands for these, too. `tests/golden` holds journals
of earlier programs, and its test notices when this one writes anything else than before. Values of entries stay encoded
until a fold is complete: most are replaced by later ones before that.

Version 2 is version 1 packed: behind the version stands a zstd frame of what version 1 has there. A flush is written as
version 1 and packed on its way to the log. The Kafka client could compress it, too, but only in the event loop, at a level
that takes half as much CPU again, and with three copies of all that is not compressed yet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

import msgspec
import zstandard

from schemas.errors import JournalError, JournalVersion

PLAIN: Final = 1
"""The oldest version that this program reads, and in which a record is made."""
VERSION: Final = 3
"""The newest. Since version 2 a record is packed; since 3 an agent's entry may begin within a day, and says what was before it."""
PACK_LEVEL: Final = 1
"""zstd's: 2.0 ns a byte for a ratio of 3.6; at level 3, the client's, 2.9 for 3.8 (39 records of a soak, 71 MB)."""
_MOST: Final = 0x7F
"""The highest version that msgpack writes as a single byte."""
GONE: Final = msgspec.Raw(b"\xc0")
"""The value of an entry that was deleted, as it is read: msgpack's nil."""
_OVERHEAD: Final = 4096
"""Room in a part for all that does not grow: epoch, offsets, flags."""
_KEY_HEAD: Final = 5
"""The most bytes that msgpack puts before a text."""


Values = dict[str, msgspec.Raw]
"""Entries as they are read: by key, still encoded."""
Held = TypeVar("Held")
"""How a record holds entries: as `Values` when it is read; when it is written, any mapping, or `Maps`."""
Maps = list[msgspec.Raw]
"""Entries in one mapping or several, each encoded: so nobody has to take what is dealt out already apart again."""


class Outgoing(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A record for another topic; `topic` is its short name (`relay`, `dead-letters`, `late`)."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]] = []


class Claim(msgspec.Struct, array_like=True, frozen=True, tag="claim"):
    """Take over the journal: this record's offset is the epoch of all that its writer appends after it."""

    owner: str
    at_ms: int


class Delta(msgspec.Struct, Generic[Held], array_like=True, frozen=True, tag="delta"):
    """One flush, or part `part` of `parts` of a flush that one record cannot hold.

    `partitions` is the number that the topics had. `published` is the newest flush whose outbox and readings are
    acknowledged. `offsets` are the inputs' next offsets after all that `entries` holds. `piece` is the next part of the
    rolling snapshot's cycle number `cycle`. `followed`: below this offset of the readings every stale record has been
    answered (None: unknown, older writers). `received`: records taken from each input since the first, markers left out.
    """

    epoch: int
    partitions: int
    seq: int
    published: int
    offsets: dict[str, int]
    entries: Held = msgspec.field(default_factory=dict)  # type: ignore[assignment]  # a dict is all of these
    outbox: list[Outgoing] = []
    cycle: int = 0
    starts: bool = False
    ends: bool = False
    piece: Held = msgspec.field(default_factory=dict)  # type: ignore[assignment]  # the same
    part: int = 0
    parts: int = 1
    followed: int | None = None
    received: dict[str, int] | None = None


Written = Claim | Delta[Values]
"""A record as it is read."""
_encoder: Final = msgspec.msgpack.Encoder()
_record_decoder: Final[msgspec.msgpack.Decoder[Written]] = msgspec.msgpack.Decoder(Written)
_value_decoder: Final = msgspec.msgpack.Decoder()
_values_decoder: Final = msgspec.msgpack.Decoder(Values)
_PREFIX: Final = _encoder.encode(PLAIN)
_PACKED: Final = _encoder.encode(VERSION)


def encode(record: Claim | Delta[Any]) -> bytes:
    """Return a record's bytes, not packed."""
    return bytes(_encoded(record))


def _encoded(record: Claim | Delta[Any]) -> bytearray:
    """Return a record's bytes, of which there may be megabytes, without copying them once more to put the version before them."""
    made = bytearray(_PREFIX)
    _encoder.encode_into(record, made, len(_PREFIX))
    return made


def pack(record: bytes | bytearray) -> bytes:
    """Return the bytes of a record that is not packed, packed. Other threads go on meanwhile."""
    return _PACKED + zstandard.ZstdCompressor(level=PACK_LEVEL).compress(memoryview(record)[len(_PREFIX) :])


def unpack(data: bytes | bytearray) -> bytes:
    """Return what stands behind the version, not packed; raises `JournalError` for a damaged record."""
    body = memoryview(data)[1:]
    if data[0] == PLAIN:
        return body.tobytes()
    try:
        return zstandard.ZstdDecompressor().decompress(body)
    except zstandard.ZstdError as error:
        raise JournalError(f"damaged journal record ({error}): {data[:80]!r}") from None


def decode(data: bytes | bytearray | None) -> Written:
    """Read a record; raises `JournalVersion` for a newer format, `JournalError` for anything else."""
    if not data or not PLAIN <= data[0] <= _MOST:
        raise JournalError(f"not a journal record: {data!r:.80}; is kafka.topic_prefix the one of this floorpulse?")
    if data[0] > VERSION:
        raise JournalVersion(
            f"journal record of version {data[0]}, this program knows {VERSION}. Nothing was changed; run the newer "
            "floorpulse that wrote it, or use a new kafka.topic_prefix"
        )
    try:
        return _record_decoder.decode(unpack(data))
    except msgspec.MsgspecError as error:
        raise JournalError(f"damaged journal record ({error}): {data[:80]!r}") from None


def thaw_entries(entries: Mapping[str, bytes]) -> dict[str, Any]:
    """Decode the values of entries."""
    unpack = _value_decoder.decode
    return {key: unpack(value) for key, value in entries.items()}


def encode_within(delta: Delta[Any], limit: int) -> Iterator[bytearray]:
    """Return a flush as records of at most `limit` bytes, mostly one; raises `JournalError` if it cannot be.

    Of several, each is made when it is asked for. What was handed out, and what it was made of, is let go of: a flush may take
    tens of megabytes.
    """
    entries, piece = _one(delta.entries, limit), _one(delta.piece, limit)
    if entries is not None and piece is not None:
        whole = deque([_encoded(msgspec.structs.replace(delta, entries=entries, piece=piece))])
        if len(whole[0]) <= limit:
            return (whole.popleft() for _ in range(1))
    shares = deque(_deal(delta, limit - _OVERHEAD))
    parts, rest = len(shares), msgspec.structs.replace(delta, entries={}, outbox=[], piece={})
    return (_encoded(_part(rest, shares.popleft(), number, parts)) for number in range(parts))


def _part(rest: Delta[Any], share: _Share, number: int, parts: int) -> Delta[Any]:
    return msgspec.structs.replace(
        rest,
        entries=share.entries,
        outbox=share.outbox,
        piece=share.piece,
        starts=rest.starts and number == 0,
        ends=rest.ends and number == parts - 1,
        part=number,
        parts=parts,
    )


@dataclass(slots=True)
class _Share:
    """What one of several records holds of a flush."""

    entries: dict[str, Any] | msgspec.Raw = field(default_factory=dict)
    outbox: list[Outgoing] = field(default_factory=list)
    piece: dict[str, Any] | msgspec.Raw = field(default_factory=dict)
    used: int = 0

    def takes(self, thing: _Thing, room: int) -> bool:
        """Tell whether it has room for that, too; a mapping that is encoded already cannot be added to."""
        held = getattr(self, thing.kind)
        fits_in = not held if thing.key is None else not isinstance(held, msgspec.Raw)
        return fits_in and self.used + thing.size <= room

    def add(self, thing: _Thing) -> None:
        self.used += thing.size
        if thing.kind == "outbox":
            self.outbox.append(thing.value)
        elif thing.key is None:
            setattr(self, thing.kind, thing.value)
        else:
            getattr(self, thing.kind)[thing.key] = thing.value


class _Thing(NamedTuple):
    """What is not divided: an entry, a record of the outbox, or a mapping of entries (no key), with the most bytes of it."""

    kind: Literal["entries", "outbox", "piece"]
    key: str | None
    value: Any
    size: int


def _deal(delta: Delta[Any], room: int) -> Iterable[_Share]:
    """Deal contents out, in order, into shares of at most `room` bytes."""
    share = _Share()
    for thing in _contents(delta, room):
        if not share.takes(thing, room):
            if thing.size > room:
                raise JournalError(
                    f"{thing.kind} {thing.key!r:.200} takes {thing.size} bytes, more than the {room} that a journal record holds "
                    "(8 MiB is the limit of most clusters). Lower limits.milestones, so that no single session grows so large"
                )
            yield share
            share = _Share()
        share.add(thing)
    yield share


def _contents(delta: Delta[Any], room: int) -> Iterable[_Thing]:
    yield from _things("entries", delta.entries, room)
    for record in delta.outbox:
        yield _Thing("outbox", record.topic, record, len(_encoder.encode(record)))
    yield from _things("piece", delta.piece, room)


def _things(kind: Literal["entries", "piece"], held: Mapping[str, Any] | Maps, room: int) -> Iterable[_Thing]:
    """Yield maps as they are; what one holds that takes more than `room` entry by entry."""
    for each in held if isinstance(held, list) else [held]:
        if isinstance(each, msgspec.Raw) and len(memoryview(each)) <= room:
            yield _Thing(kind, None, each, len(memoryview(each)))
        else:
            entries = _values_decoder.decode(each) if isinstance(each, msgspec.Raw) else each
            for key, value in entries.items():
                yield _Thing(kind, key, value, _size(key, value))


def _one(held: Mapping[str, Any] | Maps, limit: int) -> Mapping[str, Any] | msgspec.Raw | None:
    """Return entries that one record may hold; None for several maps, or one that takes more than `limit`."""
    if not isinstance(held, list):
        return held
    return held[0] if len(held) == 1 and len(memoryview(held[0])) <= limit else None


def _size(key: str, value: Any) -> int:
    """Return the most bytes of an entry; one that is encoded already is not encoded once more for that."""
    if isinstance(value, msgspec.Raw):
        return _KEY_HEAD + (len(key) if key.isascii() else len(key.encode())) + len(memoryview(value))
    return len(_encoder.encode((key, value)))


__all__ = [
    "GONE",
    "VERSION",
    "Claim",
    "Delta",
    "Maps",
    "Outgoing",
    "Written",
    "decode",
    "encode",
    "encode_within",
    "pack",
    "thaw_entries",
    "unpack",
]
