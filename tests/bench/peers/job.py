"""The job itself, shared by the peers that are written in Python: from a session's events to facts of a queue.

Waits come from the topic of queues, first responses from the topic of sessions, and each topic has a session's events in their
order, so two small state machines do, and nothing need be joined. A first response is given to the queue that the
session was connected in, and where an agent handed it to another one without a queue, to the one before; floorpulse has the general
rule (the queue entered last), and both come to the same with the events that are measured with.

States and facts are dicts of JSON's types, since most peers store and send them as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

MINUTE_MS: Final = 60_000
STEP_MS: Final = MINUTE_MS
LENGTHS_MS: Final = (5 * MINUTE_MS, 30 * MINUTE_MS)
GRACE_MS: Final = 6 * 60 * MINUTE_MS
"""Longer than the input: partitions of a backlog are read unevenly, and nobody shall lose a fact by that."""
TOTALS: Final = ("answered", "abandoned", "wait_answered_ms", "wait_abandoned_ms", "responses", "response_ms")
NOTHING: Final = [0] * len(TOTALS)

State = dict[str, Any]
Fact = dict[str, Any]
"""`queue`, `at` in ms, `totals`: what to add."""


def milliseconds(at: str | int) -> int:
    """Return an event's time."""
    return at if isinstance(at, int) else round(datetime.fromisoformat(at).timestamp() * 1000)


def waited(state: State | None, event: dict[str, Any]) -> tuple[State | None, Fact | None]:
    """Take an event of the topic of queues; return the session's new state (None: nothing to keep) and a fact."""
    kind = event["type"]
    if kind == "queue.entered":
        return {**(state or {}), event["queue"]: milliseconds(event["at"])}, None
    if kind != "queue.left" or not state or event["queue"] not in state:
        return state, None
    entered, at = state.pop(event["queue"]), milliseconds(event["at"])
    fact = None
    if event["outcome"] == "answered":
        fact = {"queue": event["queue"], "at": at, "totals": [1, 0, at - entered, 0, 0, 0]}
    elif event["outcome"] == "abandoned":
        fact = {"queue": event["queue"], "at": at, "totals": [0, 1, 0, at - entered, 0, 0]}
    return state or None, fact


def responded(state: State | None, event: dict[str, Any]) -> tuple[State | None, Fact | None]:
    """Take an event of the topic of sessions; return the session's new state (None: nothing to keep) and a fact."""
    kind = event["type"]
    if kind == "session.ended":
        return None, None
    if kind == "session.connected":
        state = state or {"connected": None, "customer": None, "done": False}
        first = milliseconds(event["at"]) if state["connected"] is None else state["connected"]
        queue = state["queue"] if state.get("direct") else event["queue"]
        return {**state, "connected": first, "queue": queue, "direct": False}, None
    if kind == "session.transferred" and state and state["connected"] is not None:
        return {**state, "direct": "to_agent" in event}, None
    if kind != "session.message" or event.get("automatic"):
        return state, None
    if event["sender"] == "customer":
        if state is None:
            return {"connected": None, "customer": milliseconds(event["at"]), "done": False, "queue": None}, None
        return (state if state["customer"] is not None else {**state, "customer": milliseconds(event["at"])}), None
    if event["sender"] != "agent" or not state or state["done"] or state["connected"] is None or state["customer"] is None:
        return state, None
    at = milliseconds(event["at"])
    took = at - max(state["connected"], state["customer"])
    return {**state, "done": True}, {"queue": state["queue"], "at": at, "totals": [0, 0, 0, 0, 1, took]}


def add(totals: list[int], more: list[int]) -> list[int]:
    """Return the sums."""
    return [one + other for one, other in zip(totals, more, strict=True)]


def write_result(folder: str, rows: Iterable[tuple[str, int, int, list[int]]]) -> None:
    """Leave the windows behind: (queue, length, start, totals); the file appears only when it is whole."""
    unfinished, finished = Path(folder) / "result.part", Path(folder) / "result.jsonl"
    with unfinished.open("w") as lines:
        for queue, length_ms, start_ms, totals in rows:
            lines.write(json.dumps([queue, length_ms, start_ms, *totals]) + "\n")
    unfinished.rename(finished)
