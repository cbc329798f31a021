"""Relay records: what the partition of another key must know.

A record states the whole current fact of one session and one target: an agent's intervals in hand and the instants at which he
took it, a customer's contacts, a reviewer's reviews; nothing at all retracts it. Its version is the sender's flush number: the
receiver keeps the highest and drops what is older, so a record sent twice changes nothing. `since` is the oldest event that
the sender still has of the session: what the receiver knows from before it stands (an earlier session of the same id).
Each carries the sender's watermark; one without a session carries only that. The bytes are a msgpack array.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from schemas.errors import InvalidEvent

FORMAT: Final = 2
TO_AGENT: Final = "h"
TO_CUSTOMER: Final = "k"
TO_REVIEWER: Final = "v"
KINDS: Final = (TO_AGENT, TO_CUSTOMER, TO_REVIEWER)

Contact = tuple[int, str, str, int | None, str, str]
"""(started at, its queue and channel, ended at or None, the end's queue and channel)."""
Review = tuple[int, str, str]
"""(at, queue, channel)."""


Target = tuple[str, str]
"""(kind of target, its id)."""


class RelayRecord(NamedTuple):
    """A relay record as it is sent: to a partition, under a key."""

    partition: int
    key: bytes
    value: bytes


class Told(NamedTuple):
    """What one target must know of one session."""

    intervals: tuple[tuple[int, int | None], ...] = ()
    taken: tuple[int, ...] = ()
    contacts: tuple[Contact, ...] = ()
    reviews: tuple[Review, ...] = ()

    def and_then(self, later: Told) -> Told:
        """Return this and what a later session of the same id adds."""
        return Told(
            self.intervals + later.intervals,
            self.taken + later.taken,
            self.contacts + later.contacts,
            self.reviews + later.reviews,
        )


NOTHING_TOLD: Final = Told()


class RelayFact(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The whole current fact of one session and target; `kind` "" = watermark only."""

    format: int
    sender: int
    version: int
    watermark: int | None
    kind: str = ""
    target: str = ""
    session: str = ""
    since: int = 0
    intervals: tuple[tuple[int, int | None], ...] = ()
    taken: tuple[int, ...] = ()
    contacts: tuple[Contact, ...] = ()
    reviews: tuple[Review, ...] = ()


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(RelayFact).decode


def encode_relay(fact: RelayFact) -> bytes:
    """Return a relay record's value."""
    return _encode(fact)


def decode_relay(value: bytes | None) -> RelayFact:
    """Read a relay record's value; raises `InvalidEvent`."""
    try:
        fact = _decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidEvent("unparsable", f"not a relay record: {error}") from None
    if fact.format != FORMAT:
        raise InvalidEvent("unparsable", f"relay record of format {fact.format}, this program knows {FORMAT}: upgrade floorpulse")
    if fact.kind and fact.kind not in KINDS:
        raise InvalidEvent("unparsable", f"relay record of unknown kind {fact.kind!r:.20}")
    return fact


__all__ = [
    "FORMAT", "NOTHING_TOLD", "TO_AGENT", "TO_CUSTOMER", "TO_REVIEWER", "Contact", "RelayFact", "RelayRecord", "Review",
    "Target", "Told", "decode_relay", "encode_relay",
]  # fmt: skip
