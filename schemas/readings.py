"""Readings: what a worker publishes and everybody else reads.

A reading is one absolute value of one partition: a later one under the same key replaces it, publishing twice changes
nothing. The record key is a JSON array, the value a JSON object, so that any consumer can read them:

    ["slice", 3, "queue", "orders", "voice", 900000, 1795269600000]   {"v":1,"epoch":7,"seq":19,"parts":{"offered":4,…}}
    ["slice", 3, "group", "north", "", 3600000, 1795269600000]        roster of an hour: headcount, agents left
    ["slice", 3, "queue", "orders", "voice", 86400000, 1795219200000] sketches of a local day; its start is the date at 00:00 UTC
    ["slice", 3, "floor", "all", "", 900000, 1795269600000]           what the floor has once, whatever the queue
    ["total", 3, "queue", "orders", "voice"]                          running totals, never decreasing
    ["now",   3, "queue", "orders", "voice"]                          waiting, oldest_entered_at, …
    ["now",   3, "group", "north", ""]                                levels; "ahead" = steps later than the flush
    ["now",   3, "slots", "orders", ""]                               capacity of the agents who serve a queue
    ["now",   3, "agent", "anna", ""]                                 the same of one agent, only where switched on
    ["heartbeat", 3]                                                  closes a flush: clock, watermark, accounting

The second element is the partition that counted. Values of one key from different partitions add up (`oldest_entered_at` and
`roster_since`: the least). A null value is a tombstone: the cell's retention is over. (epoch, seq) grows with each
flush of the valid owner; a reader keeps the highest and drops what is older. A flush's readings belong together from
the first to its heartbeat.

Parts that end in `_step` are changes of a level (agents online, sessions in hand …) within the slice, and the `_ms` part
beside it is the sum of step × (end of slice − instant). So the level's integral over slice k is
`ms[k] + length × (sum of step of all earlier slices)`; `schemas.levels` has the arithmetic.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import msgspec

VERSION: Final = 1
SLICE_MS: Final = 10_000
"""Length of the short slices, the grain of trailing windows."""
QUARTER_MS: Final = 900_000
"""Length of the long slices, the grain of tables and of `today`. Since 1990 every zone's offset is a multiple of it."""
ROSTER_MS: Final = 3_600_000
"""Length of the slices of the roster."""
DATE_MS: Final = 86_400_000
"""Length of the slices that hold a local day's sketches: their number is the date's, counted from 1970-01-01."""

Kind = Literal["slice", "total", "now", "heartbeat"]
Dimension = Literal["queue", "group", "slots", "agent", "floor"]


class ReadingKey(NamedTuple):
    """Address of one reading.

    `channel` is "" where the dimension has none; `length_ms` and `start_ms` are 0 except for slices.
    """

    kind: Kind
    partition: int
    dimension: Dimension | Literal[""] = ""
    name: str = ""
    channel: str = ""
    length_ms: int = 0
    start_ms: int = 0


_LENGTH_OF_KEY: Final = {"slice": 7, "total": 5, "now": 5, "heartbeat": 2}


class Reading(NamedTuple):
    """One reading before it is encoded: `body` None is a tombstone."""

    key: ReadingKey
    body: dict[str, Any] | None


class Published(msgspec.Struct, frozen=True, gc=False):
    """A reading's value as it stands in Kafka.

    `parts`: counts, sums, sketch buckets or gauges, all integers. `ahead`: steps of levels whose instant was still to come
    when the flush was made, as (instant ms, part, step). `clock` and `events` come with heartbeats only.
    """

    epoch: int
    seq: int
    v: int = VERSION
    parts: dict[str, int] = {}
    ahead: list[tuple[int, str, int]] = []
    clock: Clock | None = None
    events: dict[str, dict[str, int]] = {}
    counters: dict[str, int] = {}


class Clock(msgspec.Struct, frozen=True, gc=False):
    """A partition's times in ms: `now` and `watermark` of the flush, the newest event time it has seen (None: none yet)."""

    now: int
    watermark: int | None = None
    newest: int | None = None
    live: bool = True


_key_encoder = msgspec.json.Encoder()
_value_encoder = msgspec.json.Encoder()
_key_decoder = msgspec.json.Decoder(list[str | int])
_value_decoder = msgspec.json.Decoder(Published)


def encode_key(key: ReadingKey) -> bytes:
    """Return the record key."""
    return _key_encoder.encode(key[: _LENGTH_OF_KEY[key.kind]])


def decode_key(data: bytes) -> ReadingKey:
    """Read a record key; raises `ValueError` when it is none of ours."""
    try:
        fields = _key_decoder.decode(data)
        key = ReadingKey(*fields)  # type: ignore[arg-type]  # checked below
        if _LENGTH_OF_KEY[key.kind] == len(fields) and isinstance(key.partition, int):
            return key
    except (msgspec.MsgspecError, TypeError, KeyError) as error:
        raise ValueError(f"not a reading's key: {data[:200]!r} ({error})") from None
    raise ValueError(f"not a reading's key: {data[:200]!r}")


def encode_value(body: dict[str, Any] | None, epoch: int, seq: int) -> bytes | None:
    """Return the record value of a reading (None: a tombstone)."""
    if body is None:
        return None
    return _value_encoder.encode({"v": VERSION, "epoch": epoch, "seq": seq, **body})


def decode_value(data: bytes | None) -> Published | None:
    """Read a record value; raises `ValueError` when it is none of ours or of a newer version."""
    if not data:
        return None
    try:
        value = _value_decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a reading: {data[:200]!r} ({error})") from None
    if value.v > VERSION:
        raise ValueError(f"reading of version {value.v}, this program knows {VERSION}: upgrade floorpulse")
    return value


__all__ = [
    "DATE_MS",
    "QUARTER_MS",
    "ROSTER_MS",
    "SLICE_MS",
    "VERSION",
    "Clock",
    "Dimension",
    "Kind",
    "Published",
    "Reading",
    "ReadingKey",
    "decode_key",
    "decode_value",
    "encode_key",
    "encode_value",
]
