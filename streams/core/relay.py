"""Relay records: what the partition of another key must know.

A record states the whole current fact of (session, agent): intervals in hand and instants at which he took it; both empty
retracts it. Its version is the sender's flush number: the receiver keeps the highest and drops what is older, so a record
sent twice changes nothing. Each carries the sender's watermark; one without a session carries only that. The bytes are a
msgpack array, `[version of the format, sender, version, watermark, agent, session, intervals, taken]`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from schemas.errors import InvalidEvent

FORMAT: Final = 1


class RelayRecord(NamedTuple):
    """A relay record as it is sent: to a partition, under a key."""

    partition: int
    key: bytes
    value: bytes


class HoldingFact(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The whole current fact of one session and agent; session "" = watermark only."""

    format: int
    sender: int
    version: int
    watermark: int | None
    agent: str
    session: str
    intervals: tuple[tuple[int, int | None], ...] = ()
    taken: tuple[int, ...] = ()


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(HoldingFact).decode


def encode_relay(fact: HoldingFact) -> bytes:
    """Return a relay record's value."""
    return _encode(fact)


def decode_relay(value: bytes | None) -> HoldingFact:
    """Read a relay record's value; raises `InvalidEvent`."""
    try:
        fact = _decode(value or b"")
    except msgspec.MsgspecError as error:
        raise InvalidEvent("unparsable", f"not a relay record: {error}") from None
    if fact.format != FORMAT:
        raise InvalidEvent("unparsable", f"relay record of format {fact.format}, this program knows {FORMAT}: upgrade floorpulse")
    return fact


__all__ = ["FORMAT", "HoldingFact", "RelayRecord", "decode_relay", "encode_relay"]
