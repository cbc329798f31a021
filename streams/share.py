"""One share of a report: a floor that is talked to, wherever it runs.

Messages and answers are msgpack, tagged by their type's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from schemas.events import INPUT_TOPICS
from schemas.markers import end_of_input
from schemas.readings import QUARTER_MS, Dimension
from schemas.rules import Rules
from streams.core.floor import RELAY
from streams.core.intake import Reject
from streams.core.relay import TO_AGENT, TO_CUSTOMER
from streams.native import Core, core_named

TOLD: Final[dict[Dimension, tuple[str, ...]]] = {"queue": (TO_CUSTOMER,), "group": (TO_AGENT,)}
"""Whom sessions must tell what for the tables of a dimension."""
MAX_COMPLAINTS: Final = 10
"""Records that were set aside of which a report says where and why; what they held may be personal and is not shown."""
_READINGS: Final = 5_000
"""Readings in one answer."""

Relayed = list[list[bytes]]
"""Per target share, relay records."""


_Reading = tuple[str, str, str, str, int, int, dict[str, int], list[tuple[int, str, int]]]


class _Message(msgspec.Struct, tag=True, array_like=True):
    """What is said to a share, and what it answers."""


class Take(_Message):
    """Count these: (topic, keys, values). No answer."""

    lanes: list[tuple[str, list[bytes], list[bytes]]]


class Pause(_Message):
    """Say how you stand. Answered by `Standing`."""


class Flush(_Message):
    """Take in what the others say, and flush. Answered by `Flushed`.

    `newest`: event time by topic; `mark`: a watermark that all shares had; `relay`: records for this share; the rest as in
    `Floor.flush`.
    """

    newest: dict[str, int]
    mark: int | None
    relay: list[bytes]
    at_ms: int
    at_end: tuple[str, ...]


class End(_Message):
    """End the input. No answer."""

    at_ms: int


class Show(_Message):
    """Show the quarter-hours and levels of these dimensions. Answered by `Shown` until there is no `more`."""

    dimensions: list[str]


class Complaint(NamedTuple):
    """A record that was set aside: of which batch and topic, its place there, why."""

    batch: int
    topic: str
    place: int
    reason: str
    detail: str


class Standing(_Message):
    """Newest event times by topic, outcomes so far, the first complaints since the last pause."""

    newest: dict[str, int]
    outcomes: dict[str, int]
    complaints: list[Complaint]


class Flushed(_Message):
    """The watermark, and what is to be relayed."""

    mark: int | None
    relay: Relayed


class Shown(_Message):
    """Some readings: (kind, dimension, name, channel, length, start, parts, steps still to come)."""

    readings: list[_Reading]
    more: bool


Message = Take | Pause | Flush | End | Show
Answer = Standing | Flushed | Shown


class Share:
    """One share: a floor that is talked to."""

    def __init__(self, number: int, shares: int, rules: Rules, dimensions: Sequence[Dimension], core: Core = "auto") -> None:
        """Start empty; only what tables of these dimensions show will be right."""
        self._shares = shares
        self._floor = core_named(core)(number, shares, rules)
        self._floor.serve({kind for dimension in dimensions for kind in TOLD[dimension]})
        self._seq = self._batch = self._told = 0
        self._complaints: list[Complaint] = []

    def answers(self, message: Message) -> Iterator[Answer]:
        """Do what a message says, and yield what there is to answer."""
        match message:
            case Take():
                self._take(message)
            case Pause():
                yield self._standing()
            case Flush():
                yield self._flush(message)
            case End():
                marker = end_of_input(message.at_ms)
                for topic in INPUT_TOPICS:
                    self._floor.apply(topic, [b""], [marker], message.at_ms)
            case Show():
                yield from self._show(message.dimensions)

    def _take(self, message: Take) -> None:
        tells = self._told + len(self._complaints) < MAX_COMPLAINTS
        for topic, keys, values in message.lanes:
            rejects = self._floor.apply(topic, keys, values, 0)
            if tells:
                self._complaints += [_complaint(self._batch, topic, reject) for reject in rejects[:MAX_COMPLAINTS]]
        self._batch += 1

    def _standing(self) -> Standing:
        outcomes: dict[str, int] = {}
        for counts in self._floor.counts.values():
            for outcome, count in counts.items():
                outcomes[outcome] = outcomes.get(outcome, 0) + count
        complaints, self._complaints = self._complaints, []
        self._told += len(complaints)
        return Standing(self._floor.newest, outcomes, complaints)

    def _flush(self, message: Flush) -> Flushed:
        floor = self._floor
        self._seq += 1
        if message.relay:
            floor.apply(RELAY, [None] * len(message.relay), message.relay, message.at_ms)
        if message.mark is not None:
            for share in range(self._shares):
                floor.hear(share, message.mark)
        for topic, newest in message.newest.items():
            floor.saw(topic, newest, message.at_ms)
        relay: Relayed = [[] for _ in range(self._shares)]
        for record in floor.flush(self._seq, message.at_ms, message.at_end).relay:
            relay[record.partition].append(record.value)
        return Flushed(floor.watermark, relay)

    def _show(self, dimensions: list[str]) -> Iterator[Shown]:
        quarters = iter(self._floor.quarters(dimensions))
        while some := list(islice(quarters, _READINGS)):
            yield Shown([("slice", *each[:3], QUARTER_MS, each[3], each[4], []) for each in some], more=True)
        levels = self._floor.levels(dimensions)
        yield Shown([("now", *each[:3], 0, 0, each[3], each[4]) for each in levels], more=False)


def _complaint(batch: int, topic: str, reject: Reject) -> Complaint:
    return Complaint(batch, topic, reject.index, reject.reason, reject.detail.encode(errors="replace").decode())


__all__ = [
    "MAX_COMPLAINTS", "Answer", "Complaint", "End", "Flush", "Flushed", "Message", "Pause", "Share", "Show", "Shown", "Standing",
    "Take",
]  # fmt: skip
