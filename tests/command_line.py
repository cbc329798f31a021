"""The command line, run within the process of a test: how a command ended, and the events that it is given."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.builders import T0

HELD = {"type": "session.held", "session_id": "s", "agent_id": "a"}
Event = dict[str, Any]


class Done(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


Run = Callable[..., Done]


def lines_of(events: list[Event]) -> bytes:
    """Return JSON Lines of events, which get ids and, where they have none, times."""
    numbered = [{"id": f"e{n}", "at": T0 + n, **event} for n, event in enumerate(events)]
    return b"".join(json.dumps(event, ensure_ascii=False).encode() + b"\n" for event in numbered)


def call(session: str, wait_ms: int, queue: str = "orders") -> list[Event]:
    """Return one answered wait."""
    about = {"session_id": session, "queue": queue}
    return [
        {"type": "queue.entered", "channel": "voice", "at": T0, **about},
        {"type": "queue.left", "outcome": "answered", "at": T0 + wait_ms, **about},
    ]


def is_one_line(text: str) -> bool:
    """Tell whether a text is one line, and no traceback."""
    return text.count("\n") == 1 and text.endswith("\n") and "Traceback" not in text


def rows_of(text: str) -> list[dict[str, str]]:
    """Return the rows of a CSV."""
    return list(csv.DictReader(io.StringIO(text)))
