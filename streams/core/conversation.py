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
from collections.abc import Sequence
from typing import NamedTuple

from schemas.instants import LATEST_MS
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


class Heed:
    """What is noted on the way: facts and clock errors (by topic), with the rules that decide, and the session's messages."""

    __slots__ = ("errors", "facts", "messages", "rules")

    def __init__(self, rules: Rules) -> None:
        """Start with nothing."""
        self.rules = rules
        self.facts: list[Fact] = []
        self.errors: list[str] = []
        self.messages: Sequence[int] = ()


class Talk:
    """How far a session's messages are booked, and what is open there."""

    __slots__ = ("first_customer", "last", "replied", "responded", "setting", "unanswered")

    def __init__(self, setting: Setting) -> None:
        """Start before the first message."""
        self.setting = setting
        self.last = 0
        """The newest message."""
        self.first_customer: int | None = None
        self.unanswered: int | None = None
        self.replied = False
        self.responded = False

    def go_on(self, messages: Sequence[int], heed: Heed) -> None:
        """Note what further messages, sorted and none before those already heard, contribute (19-21, 27).

        A turn runs from the later of (first unanswered customer message, first connected) to the next manual agent message; the
        first agent message at or after the later of (first connected, first customer message) is the first response.
        """
        setting, connected, add = self.setting, self.setting.connected, heed.facts.append
        entered = setting.entry_times[-1] if setting.entry_times else LATEST_MS + 1
        for message in messages:
            at, sender = at_and_sender(message)
            address = setting.addresses[-1] if at >= entered else setting.place(at)
            add((address, at, _COUNTED[sender], 1))
            if sender == CUSTOMER:
                if self.unanswered is None:
                    self.unanswered = at
                if self.first_customer is None:
                    self.first_customer = at
            elif sender == AGENT:
                if not self.replied:
                    self.replied = True
                    self._first_reply(address, at, heed)
                if connected is not None and self.unanswered is not None and at >= connected:
                    self._replies(address, at, connected, heed)
        if messages:
            self.last = messages[-1]

    def _replies(self, address: Address, at: int, connected: int, heed: Heed) -> None:
        """Book the end of a turn; the first one is the first response."""
        assert self.unanswered is not None
        target = heed.rules.at(at).queue(address[1], address[2])
        if not self.responded and self.first_customer is not None:
            self.responded = True
            took = at - max(connected, self.first_customer)
            _timed("first_response", "first_response_within", took, target.first_response_ms, address, at, heed)
        took = at - max(connected, self.unanswered)
        _timed("response_time", "response_time_within", took, target.response_ms, address, at, heed)
        self.unanswered = None

    def _first_reply(self, address: Address, at: int, heed: Heed) -> None:
        if self.setting.started is None:
            return
        took = at - self.setting.started
        if took < 0:
            took = 0
            heed.errors.append("sessions")
        heed.facts.append((address, at, "first_reply_n", 1))
        heed.facts.append((address, at, "first_reply_ms", took))


def _timed(series: str, within: str, took_ms: int, target_ms: int, address: Address, at: int, heed: Heed) -> None:
    heed.facts.append((address, at, series, took_ms))
    if took_ms <= target_ms:
        heed.facts.append((address, at, within, 1))


def all_heard(setting: Setting, messages: Sequence[int], rules: Rules) -> Heed:
    """Return what all messages of a session, sorted, contribute."""
    heed = Heed(rules)
    Talk(setting).go_on(messages, heed)
    return heed


__all__ = ["Heed", "Setting", "Talk", "all_heard"]
