"""Milestones: what is kept of a session's events.

A milestone is a tuple `(at, rank, id, …)`: event time in ms, rank of the type among events of one millisecond, event id, then
what booking needs. Sorted by the first three it is the order in which the life of a session is read (rules 2). A
message is one integer, `(at * 4 + sender class) * 2**14 + 14 bits of its id`: nothing else of it is counted, and with
the bits a copy is told from another message of the same millisecond. It fits into 64 bits until the year 9999, so a session
keeps its messages in an array of such.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from fractions import Fraction
from operator import itemgetter
from sys import intern
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import msgspec

from schemas.codec import STRUCT_OF, Decoded
from schemas.instants import LATEST_MS

if TYPE_CHECKING:
    from streams.core.conversation import Talk
    from streams.core.course import Course

STARTED: Final = 0
ENTERED: Final = 1
OFFERED: Final = 2
MISSED: Final = 3
LEFT: Final = 4
CONNECTED: Final = 5
HELD: Final = 10
RESUMED: Final = 11
TRANSFERRED: Final = 12
ENDED: Final = 13
WRAPPED_UP: Final = 14
SURVEY_SENT: Final = 15
RATED: Final = 16
REVIEWED: Final = 17

CUSTOMER: Final = 0
AGENT: Final = 1
MACHINE: Final = 2
"""Classes of message senders: manual ones of customer and agent; bot, system and automatic ones."""

PASS_SCORE: Final = 97
"""A review passes from this score on."""
MILLION: Final = 1_000_000

MESSAGE_CODE: Final = "Q"
"""How an array of messages keeps them."""
_pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder(list[list[Any]]).decode
_NO_MESSAGES: Final[array[int]] = array(MESSAGE_CODE)

Milestone = tuple[Any, ...]
order_of: Final = itemgetter(0, 1, 2)


def _name(text: str | None) -> str | None:
    return None if text is None else intern(text)


def _started(e: Decoded) -> Milestone:
    return e.at, STARTED, e.id, intern(e.channel), e.direction or "inbound", _name(e.queue), e.customer_id


def _rated(e: Decoded) -> Milestone:
    score, scale = Fraction(repr(e.score)), Fraction(repr(e.scale))
    grade = "rated_good" if 5 * score >= 4 * scale else "rated_bad" if 5 * score <= 2 * scale else "rated_neutral"
    return e.at, RATED, e.id, round(score * MILLION / scale), grade


MAKERS: Final[dict[type, Callable[[Decoded], Milestone]]] = {
    STRUCT_OF["session.started"]: _started,
    STRUCT_OF["session.connected"]: lambda e: (e.at, CONNECTED, e.id, intern(e.agent_id), _name(e.queue)),
    STRUCT_OF["session.held"]: lambda e: (e.at, HELD, e.id),
    STRUCT_OF["session.resumed"]: lambda e: (e.at, RESUMED, e.id),
    STRUCT_OF["session.transferred"]: lambda e: (e.at, TRANSFERRED, e.id, intern(e.from_agent), e.kind or "blind"),
    STRUCT_OF["session.ended"]: lambda e: (e.at, ENDED, e.id, bool(e.resolved)),
    STRUCT_OF["session.wrapped_up"]: lambda e: (e.at, WRAPPED_UP, e.id, intern(e.agent_id)),
    STRUCT_OF["session.survey_sent"]: lambda e: (e.at, SURVEY_SENT, e.id),
    STRUCT_OF["session.rated"]: _rated,
    STRUCT_OF["session.reviewed"]: lambda e: (e.at, REVIEWED, e.id, bool(e.live), e.score >= PASS_SCORE, intern(e.reviewer_id)),
    STRUCT_OF["queue.entered"]: lambda e: (e.at, ENTERED, e.id, intern(e.queue), _name(e.channel)),
    STRUCT_OF["queue.offered"]: lambda e: (e.at, OFFERED, e.id, intern(e.queue), intern(e.agent_id)),
    STRUCT_OF["queue.missed"]: lambda e: (e.at, MISSED, e.id, intern(e.queue)),
    STRUCT_OF["queue.left"]: lambda e: (e.at, LEFT, e.id, intern(e.queue), e.outcome),
}
"""Event class → function that makes its milestone; `session.message` has `message_of` instead."""

_ID_BITS: Final = 14
_ID_MASK: Final = (1 << _ID_BITS) - 1
_SENDERS: Final = {"customer": CUSTOMER, "agent": AGENT}


def message_of(e: Decoded) -> int:
    """Return a message as one integer; `at_and_sender` reads it."""
    at: int = e.at
    sender = MACHINE if e.automatic else _SENDERS.get(e.sender, MACHINE)
    return (at * 4 + sender) << _ID_BITS | crc32(e.id.encode()) & _ID_MASK


def at_and_sender(message: int) -> tuple[int, int]:
    """Return event time and class of sender of a message."""
    return message >> (_ID_BITS + 2), message >> _ID_BITS & 3


def senders_of(messages: Iterable[int]) -> set[int]:
    """Return the classes of senders of messages."""
    return {message >> _ID_BITS & 3 for message in messages}


class Session:
    """One session: the set of its milestones.

    `oldest` and `newest` bound its event times; `unsorted` says that milestones must be sorted before they are read. The first
    `booked` milestones and the first `heeded` messages are booked, and sorted; the rest stands as it came. `course` and `talk`: how
    far it has come, None where that is not known (`streams/core/sessionbook.py`).
    `forgotten`: nothing was heard of it for so long that it does not count as open any more (`streams/core/lives.py`);
    `left_out`: whether it was booked as forgotten.

    Of most sessions nothing more is heard, and they are kept for a day. Such a one rests: its milestones are `packed`, a quarter of
    the bytes, and the list is empty. Whoever is about to touch a session wakes it; `in_order` and `freeze` read it as it rests.
    """

    __slots__ = (
        "booked", "course", "forgotten", "heeded", "left_out", "messages", "milestones", "newest", "oldest", "packed", "talk",
        "unsorted",
    )  # fmt: skip

    def __init__(self) -> None:
        """Start without any milestone."""
        self.milestones: list[Milestone] = []
        self.messages: array[int] = _NO_MESSAGES
        self.newest = 0
        self.oldest = LATEST_MS
        self.unsorted = False
        self.forgotten = False
        self.left_out = False
        self.packed: bytes | None = None
        self.booked = 0
        self.heeded = 0
        self.course: Course | None = None
        self.talk: Talk | None = None

    def heard(self, at: int) -> None:
        """Take note of an event's time, and that something is new."""
        if at > self.newest:
            self.newest = at
        if at < self.oldest:
            self.oldest = at
        self.unsorted = True

    def in_order(self) -> list[Milestone]:
        """Return the milestones in the order in which they are read; what is booked of them stays in its place meanwhile."""
        if self.packed is not None:
            return _unpacked(self.packed)
        return sorted(self.milestones, key=order_of) if self.unsorted else self.milestones

    def known(self) -> list[Milestone]:
        """Return the milestones in any order."""
        return self.milestones if self.packed is None else _unpacked(self.packed)

    def rest(self) -> None:
        """Let everything go that can be made again, and pack the milestones, if all of them are booked."""
        self.course = self.talk = None
        if self.milestones and self.booked == len(self.milestones):
            self.sort()
            self.packed, self.milestones = _pack(self.milestones), []

    def wake(self) -> None:
        """Have the milestones ready again."""
        if self.packed is not None:
            self.milestones, self.packed = _unpacked(self.packed), None

    def sort(self) -> None:
        """Put milestones into the order in which they are read; all of them are about to be booked."""
        if self.unsorted:
            self.milestones.sort(key=order_of)
            self.unsorted = False

    @property
    def size(self) -> int:
        """How many events are kept of it."""
        return (len(self.milestones) if self.packed is None else self.booked) + len(self.messages)

    def say(self, message: int) -> None:
        """Add a message; nothing else adds to `messages`, since sessions without any share one array."""
        if self.messages:
            self.messages.append(message)
        else:
            self.messages = array(MESSAGE_CODE, (message,))

    def sort_messages(self) -> None:
        """Put messages into their order; all of them are about to be booked."""
        if self.messages:
            self.messages = array(MESSAGE_CODE, sorted(self.messages))

    def as_booked(self) -> Session:
        """Return the session as it was booked last."""
        before = Session()
        before.milestones, before.messages = self.milestones[: self.booked], self.messages[: self.heeded]
        before.forgotten = self.left_out
        for milestone in before.milestones:
            before.heard(milestone[0])
        for message in before.messages:
            before.heard(at_and_sender(message)[0])
        return before

    def freeze(self) -> list[Any]:
        """Return a msgpack-able form, the same for the same set of milestones."""
        milestones = list(self.in_order()) if self.packed is None else msgspec.Raw(self.packed)
        return [milestones, sorted(self.messages), self.newest, self.oldest, self.forgotten]

    @classmethod
    def thaw(cls, frozen: list[Any]) -> Session:
        """Restore what `freeze` returned, also after msgpack has turned tuples into lists."""
        session = cls()
        session.newest = frozen[2]
        if frozen[1]:
            session.messages = array(MESSAGE_CODE, frozen[1])
        session.oldest, session.forgotten = frozen[3], frozen[4]
        session.milestones = _thawed(frozen[0])
        session.booked, session.heeded, session.left_out = len(session.milestones), len(session.messages), session.forgotten
        return session


def _thawed(milestones: Iterable[Iterable[Any]]) -> list[Milestone]:
    """Return milestones as they were before msgpack turned them into lists; names are the same objects each time."""
    return [tuple(intern(x) if type(x) is str and i != 2 else x for i, x in enumerate(m)) for m in milestones]


def _unpacked(packed: bytes) -> list[Milestone]:
    return _thawed(_unpack(packed))


__all__ = [
    "AGENT", "CONNECTED", "CUSTOMER", "ENDED", "ENTERED", "HELD", "LEFT", "MACHINE", "MAKERS", "MESSAGE_CODE", "MISSED",
    "OFFERED", "RATED", "RESUMED", "REVIEWED", "STARTED", "SURVEY_SENT", "TRANSFERRED", "WRAPPED_UP",
    "Milestone", "Session", "at_and_sender", "message_of", "order_of", "senders_of",
]  # fmt: skip
