"""Messages: counts by sender, first response, first reply, turns."""

from __future__ import annotations

from typing import Protocol

from schemas.rules import Rules
from streams.core.milestones import AGENT, CUSTOMER, Milestone, at_and_sender

_Address = tuple[str, str, str]
_COUNTED = ("messages_customer", "messages_agent", "messages_system")


class _Life(Protocol):
    started: Milestone | None
    connects: list[Milestone]

    def place(self, at: int) -> _Address: ...


def conversation_facts(messages: list[int], life: _Life, rules: Rules, facts: list[tuple[_Address, int, str, int]],
                       errors: list[str]) -> None:  # fmt: skip
    """Book a session's messages (19-21, 27), sorted.

    A turn runs from the later of (first unanswered customer message, first connected) to the next manual agent message; the first
    agent message at or after the later of (first connected, first customer message) is the first response.
    """
    connected = life.connects[0][0] if life.connects else None
    first_customer: int | None = None
    unanswered: int | None = None
    replied = responded = False
    for message in messages:
        at, sender = at_and_sender(message)
        address = life.place(at)
        facts.append((address, at, _COUNTED[sender], 1))
        if sender == CUSTOMER:
            if unanswered is None:
                unanswered = at
            if first_customer is None:
                first_customer = at
        elif sender == AGENT:
            if not replied:
                replied = True
                _first_reply(address, at, life, facts, errors)
            if connected is None or unanswered is None or at < connected:
                continue
            target = rules.at(at).queue(address[1], address[2])
            if not responded and first_customer is not None:
                responded = True
                _timed("first_response", at - max(connected, first_customer), target.first_response_ms, address, at, facts)
            _timed("response_time", at - max(connected, unanswered), target.response_ms, address, at, facts)
            unanswered = None


def _timed(series: str, took_ms: int, target_ms: int, address: _Address, at: int,
           facts: list[tuple[_Address, int, str, int]]) -> None:  # fmt: skip
    facts.append((address, at, series, took_ms))
    if took_ms <= target_ms:
        facts.append((address, at, f"{series}_within", 1))


def _first_reply(address: _Address, at: int, life: _Life, facts: list[tuple[_Address, int, str, int]], errors: list[str]) -> None:
    if life.started is None:
        return
    took = at - life.started[0]
    if took < 0:
        took = 0
        errors.append("sessions")
    facts.append((address, at, "first_reply_n", 1))
    facts.append((address, at, "first_reply_ms", took))


__all__ = ["conversation_facts"]
