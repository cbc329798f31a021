"""Relay records: what the partition of another key must know.

A fact is the whole that is now true of one session and one target: an agent's intervals in hand and the instants at which he
took it, a customer's contacts, a reviewer's reviews; nothing at all retracts it. Its version is the sender's flush number: the
receiver keeps the highest and drops what is older, so a fact sent twice changes nothing. `since` is the oldest event that
the sender still has of the session: what the receiver knows from before it stands (an earlier session of the same id).

A record holds all facts of a flush for one partition, up to `RECORD_BYTES` of them (`Bundles`), and the sender's watermark; some
hold only that. Its bytes are a msgpack array whose first fields are those of a fact, since in format 2 each fact was a record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from schemas.errors import InvalidEvent

FORMAT: Final = 3
READ: Final = (2, FORMAT)
"""Formats that are read."""
RECORD_BYTES: Final = 64 << 10
"""A record gets no more facts once they take so many bytes."""
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
    """A relay record as it is sent to a partition, without a key."""

    partition: int
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
    """The whole current fact of one session and target; `kind` "" = none."""

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


class Relayed(RelayFact, array_like=True, frozen=True, gc=False):
    """A relay record: the sender's watermark, and facts; of format 2, it is one itself."""

    facts: tuple[RelayFact, ...] = ()

    def all(self) -> Iterator[RelayFact]:
        """Give the facts."""
        if self.kind:
            yield self
        yield from self.facts


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Relayed).decode
_NO_FACT: Final = ("", "", "", 0, (), (), (), ())
"""What stands in a record where one of format 2 has a fact."""


class Bundles:
    """What one flush of a sender tells others: facts, put together into records for each partition."""

    def __init__(self, sender: int, version: int, watermark: int | None) -> None:
        """Begin a flush; `version` is its number."""
        self._head = FORMAT, sender, version, watermark
        self._lanes: dict[int, list[msgspec.Raw]] = {}
        self._bytes: dict[int, int] = {}
        self._full: list[RelayRecord] = []

    def add(self, partition: int, target: Target, session: str, since: int, told: Told) -> None:
        """Tell the partition of a target what is now true of a session."""
        fact = msgspec.Raw(_encode((*self._head, *target, session, since, *told)))
        lane = self._lanes.setdefault(partition, [])
        lane.append(fact)
        size = self._bytes[partition] = self._bytes.get(partition, 0) + len(fact)
        if size >= RECORD_BYTES:
            self._full.append(self._record(partition, lane))
            del self._lanes[partition], self._bytes[partition]

    def records(self, everybody: Collection[int] = ()) -> list[RelayRecord]:
        """Return the records, also one for each of `everybody` to whom there is nothing to tell but the watermark."""
        told = self._lanes.keys() | {record.partition for record in self._full}
        for partition in everybody:
            if partition not in told:
                self._lanes[partition] = []
        return self._full + [self._record(*lane) for lane in sorted(self._lanes.items())]

    def _record(self, partition: int, facts: list[Any]) -> RelayRecord:
        return RelayRecord(partition, _encode((*self._head, *_NO_FACT, facts)))


def decode_relay(value: bytes | None) -> Relayed:
    """Read a relay record's value; raises `InvalidEvent`."""
    try:
        record = _decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidEvent("unparsable", f"not a relay record: {error}") from None
    if record.format not in READ:
        raise InvalidEvent("unparsable", f"relay record of format {record.format}, this program knows {FORMAT}: upgrade floorpulse")
    for fact in record.all():
        if fact.kind not in KINDS:
            raise InvalidEvent("unparsable", f"relay record of unknown kind {fact.kind!r:.20}")
    return record


__all__ = [
    "FORMAT", "NOTHING_TOLD", "RECORD_BYTES", "TO_AGENT", "TO_CUSTOMER", "TO_REVIEWER", "Bundles", "Contact", "RelayFact",
    "RelayRecord", "Relayed", "Review", "Target", "Told", "decode_relay",
]  # fmt: skip
