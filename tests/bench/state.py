"""What one piece of state costs in memory: for the formula in docs/operations.md."""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from schemas.rules import Rules
from streams.core.driver import Driver, Record, record_of

_NUMBER: Final = 5_000
_START_MS: Final = 1_772_438_400_000
_ROUND_MS: Final = 60_000
"""All items of one kind fall into so much event time, so that slices of time cost next to nothing."""

_SILENT_MS: Final = 660_000
"""A little longer than it takes until a session rests."""

Event = dict[str, Any]


def _waiting(n: int, at: int) -> Iterator[Event]:
    session = f"session-{n:08}"
    yield {"type": "session.started", "at": at, "session_id": session, "channel": "voice"}
    yield {"type": "queue.entered", "at": at, "session_id": session, "queue": "orders"}


def _talking(n: int, at: int) -> Iterator[Event]:
    session, agent = f"session-{n:08}", f"agent-{n % 1000}"
    yield from _waiting(n, at)
    yield {"type": "queue.left", "at": at + 5, "session_id": session, "queue": "orders", "outcome": "answered"}
    yield {"type": "session.connected", "at": at + 5, "session_id": session, "agent_id": agent}


def _chat(n: int, at: int) -> Iterator[Event]:
    yield from _talking(n, at)
    for turn in range(14):
        sender = ("customer", "agent")[turn % 2]
        yield {"type": "session.message", "at": at + 10 + turn, "session_id": f"session-{n:08}", "sender": sender}


def _ended(n: int, at: int) -> Iterator[Event]:
    yield from _chat(n, at)
    yield {"type": "session.ended", "at": at + 40, "session_id": f"session-{n:08}", "ended_by": "agent"}


def _known_customer(n: int, at: int) -> Iterator[Event]:
    session = f"session-{n:08}"
    yield {"type": "session.started", "at": at, "session_id": session, "channel": "voice", "customer_id": f"customer-{n:08}"}
    yield {"type": "session.ended", "at": at + 1, "session_id": session, "ended_by": "agent"}


def _only_started(n: int, at: int) -> Iterator[Event]:
    session = f"session-{n:08}"
    yield {"type": "session.started", "at": at, "session_id": session, "channel": "voice"}
    yield {"type": "session.ended", "at": at + 1, "session_id": session, "ended_by": "agent"}


def _agent(n: int, at: int) -> Iterator[Event]:
    for number, status in enumerate(("available", "break", "available", "meal", "available", "offline")):
        event = {"type": "agent.status", "at": at + number, "agent_id": f"agent-{n:06}", "status": status}
        yield event | ({"groups": ["north"], "queues": ["orders"], "capacity": 3} if number == 0 else {})


def _complaint(n: int, at: int) -> Iterator[Event]:
    yield {"type": "complaint.opened", "at": at, "complaint_id": f"complaint-{n:08}", "queue": "orders"}


def _visits(n: int, at: int) -> Iterator[Event]:
    yield {"type": "site.visits", "at": at, "count": 1, "queue": f"queue-{n % 1000}", "channel": "chat"}


def _bytes_each(make: Callable[[int, int], Iterator[Event]], number: int = _NUMBER, *, silent_ms: int = 0) -> float:
    """Return bytes of state per item, ids included; says what it has found. `silent_ms`: nothing was heard of them for so long."""
    records = []
    for n in range(number):
        for position, event in enumerate(make(n, _START_MS + n * _ROUND_MS // number)):
            event = {"id": f"{n:08x}-{position}", **event}
            records.append(record_of(event, json.dumps(event).encode()))
    driver = Driver(1, Rules())
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for rounds in range(3):
        driver.apply(records)
        records = _one_more(_START_MS + _ROUND_MS + silent_ms) if silent_ms and not rounds else []
        driver.flush()
        driver.take()
        driver.flush()
        driver.take()
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    each = (after - before) / number
    silent = f" after {silent_ms // 60_000} silent min" if silent_ms else ""
    sys.stderr.write(f"  {make.__name__.strip('_')}: {each:,.0f} bytes{silent}\n")
    return each


def _one_more(at: int) -> list[Record]:
    """Return the records of one more session, by which all others have been silent for long."""
    events = [{"id": str(event["type"]), **event} for event in _only_started(1 << 20, at)]
    return [record_of(event, json.dumps(event).encode()) for event in events]


def bench_state(file: Path) -> dict[str, float]:
    """Return bytes per piece of state."""
    del file
    waiting, talking, chat, ended = (_bytes_each(make) for make in (_waiting, _talking, _chat, _ended))
    return {
        "bytes per id, of 100,000": _bytes_each(_visits, 20 * _NUMBER),
        "bytes per waiting session and its 2 ids": waiting,
        "bytes per connected session and its 4 ids": talking,
        "bytes per chat of 14 messages and its 18 ids": chat,
        "bytes per ended chat and its 19 ids": ended,
        "the same, silent for 11 min: waiting": _bytes_each(_waiting, silent_ms=_SILENT_MS),
        "the same, silent for 11 min: connected": _bytes_each(_talking, silent_ms=_SILENT_MS),
        "the same, silent for 11 min: chat": _bytes_each(_chat, silent_ms=_SILENT_MS),
        "the same, silent for 11 min: ended chat": _bytes_each(_ended, silent_ms=_SILENT_MS),
        "bytes more where the customer is known": _bytes_each(_known_customer) - _bytes_each(_only_started),
        "bytes per agent with 6 changes and their ids": _bytes_each(_agent),
        "bytes per complaint and its id": _bytes_each(_complaint),
    }


__all__ = ["bench_state"]
