"""Messages: counts by sender, first response, first reply, turns.

Theory of operation. What messages contribute depends on them and on little else: when the session started and was first
connected, and in which queue it was when (`Setting`). Messages mostly come one after another while all that stays as it is;
so a session remembers how far its messages are booked and what is open there (`Talk`), and only the new ones are looked
at. Where a message comes out of order or the setting changed, old and new facts are derived from all messages, and new
minus old is booked, as everywhere. What is remembered is a short cut, not state: without it (after a restart) the first look
derives everything.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from schemas.rules import Rules
from streams.core.cells import Address, Fact
from streams.core.milestones import AGENT, CUSTOMER, at_and_sender

_COUNTED = ("messages_customer", "messages_agent", "messages_system")


class Setting(NamedTuple):
    """What of a session decides about its messages: instants in ms, and where it was from when on."""

    started: int | None
    connected: int | None
    entry_times: tuple[int, ...]
    addresses: tuple[Address, ...]
    fallback: Address

    def place(self, at: int) -> Address:
        """Return where a fact at this time belongs: to the latest entry at or before it (10)."""
        n = bisect_right(self.entry_times, at)
        return self.addresses[n - 1] if n else self.fallback


class Heard(NamedTuple):
    """Facts and clock errors of messages."""

    facts: list[Fact]
    errors: list[str]


class Talk:
    """How far a session's messages are booked, and what is open there."""

    __slots__ = ("booked", "first_customer", "goes_on", "last", "replied", "responded", "setting", "unanswered")

    def __init__(self, setting: Setting) -> None:
        """Start before the first message."""
        self.setting = setting
        self.goes_on = False
        """Whether messages concern nothing but themselves: the session has one life and has not ended."""
        self.booked = 0
        self.last = 0
        self.first_customer: int | None = None
        self.unanswered: int | None = None
        self.replied = False
        self.responded = False

    def go_on(self, messages: list[int], rules: Rules) -> Heard:
        """Return what further messages, sorted and none before those already heard, contribute (19-21, 27).

        A turn runs from the later of (first unanswered customer message, first connected) to the next manual agent message; the
        first agent message at or after the later of (first connected, first customer message) is the first response.
        """
        facts: list[Fact] = []
        errors: list[str] = []
        place, connected = self.setting.place, self.setting.connected
        for message in messages:
            at, sender = at_and_sender(message)
            address = place(at)
            facts.append((address, at, _COUNTED[sender], 1))
            if sender == CUSTOMER:
                if self.unanswered is None:
                    self.unanswered = at
                if self.first_customer is None:
                    self.first_customer = at
            elif sender == AGENT:
                if not self.replied:
                    self.replied = True
                    self._first_reply(address, at, facts, errors)
                if connected is None or self.unanswered is None or at < connected:
                    continue
                target = rules.at(at).queue(address[1], address[2])
                if not self.responded and self.first_customer is not None:
                    self.responded = True
                    _timed("first_response", at - max(connected, self.first_customer), target.first_response_ms, address, at, facts)
                _timed("response_time", at - max(connected, self.unanswered), target.response_ms, address, at, facts)
                self.unanswered = None
        if messages:
            self.booked += len(messages)
            self.last = messages[-1]
        return Heard(facts, errors)

    def _first_reply(self, address: Address, at: int, facts: list[Fact], errors: list[str]) -> None:
        if self.setting.started is None:
            return
        took = at - self.setting.started
        if took < 0:
            took = 0
            errors.append("sessions")
        facts.append((address, at, "first_reply_n", 1))
        facts.append((address, at, "first_reply_ms", took))


def _timed(series: str, took_ms: int, target_ms: int, address: Address, at: int, facts: list[Fact]) -> None:
    facts.append((address, at, series, took_ms))
    if took_ms <= target_ms:
        facts.append((address, at, f"{series}_within", 1))


def all_heard(setting: Setting, messages: list[int], rules: Rules) -> Heard:
    """Return what all messages of a session, sorted, contribute."""
    return Talk(setting).go_on(messages, rules)


__all__ = ["Heard", "Setting", "Talk", "all_heard"]
