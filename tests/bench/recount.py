"""The peers' job once more, slowly and from the file: what every contestant must come to before its time counts.

It shares no code with floorpulse or with the peers: it sorts a session's events, follows `rules.md` 10, 11 and 20, and adds each
fact to every window of 5 and 30 minutes, beginning at whole minutes, that holds it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

MINUTE_MS = 60_000
WIDTHS_MS = (300_000, 1_800_000)

Window = tuple[str, int, int]
"""Queue, width and start in ms."""
Sums = tuple[int, ...]
"""answered, abandoned, wait of the answered and of the abandoned, first responses, their time."""
Fact = tuple[str, int, Sums]


def _at(event: dict[str, Any]) -> int:
    return round(datetime.fromisoformat(event["at"]).timestamp() * 1000)


def _waits(events: list[dict[str, Any]]) -> Iterator[Fact]:
    entries = defaultdict(list)
    for event in events:
        if event["type"] == "queue.entered":
            entries[event["queue"]].append(_at(event))
        elif event["type"] == "queue.left":
            wait = _at(event) - entries[event["queue"]].pop(0)
            if event["outcome"] == "answered":
                yield event["queue"], _at(event), (1, 0, wait, 0, 0, 0)
            if event["outcome"] == "abandoned":
                yield event["queue"], _at(event), (0, 1, 0, wait, 0, 0)


def _first_response(events: list[dict[str, Any]]) -> Iterator[Fact]:
    connects = [_at(event) for event in events if event["type"] == "session.connected"]
    manual = [event for event in events if event["type"] == "session.message" and not event.get("automatic")]
    asked = [_at(event) for event in manual if event["sender"] == "customer"]
    if not connects or not asked:
        return
    since = max(connects[0], asked[0])
    answers = [_at(event) for event in manual if event["sender"] == "agent" and _at(event) >= since]
    entered = [(_at(event), event["queue"]) for event in events if event["type"] == "queue.entered"]
    if answers:
        naming = ("session.started", "session.connected")
        named = [event["queue"] for event in events if event["type"] in naming and "queue" in event]
        before = [queue for at, queue in entered if at <= answers[0]]
        yield (before[-1] if before else named[0]), answers[0], (0, 0, 0, 0, 1, answers[0] - since)


def facts_of(lines: Iterable[str | bytes]) -> Iterator[Fact]:
    """Yield every fact of the events; those of one session lie in their order."""
    sessions: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        event = json.loads(line)
        if "session_id" in event:
            sessions[event["session_id"]].append(event)
    for events in sessions.values():
        yield from _waits(events)
        yield from _first_response(events)


def recount(lines: Iterable[str | bytes]) -> dict[Window, Sums]:
    """Return every window that holds a fact."""
    windows: dict[Window, list[int]] = {}
    for queue, at, sums in facts_of(lines):
        minute = at // MINUTE_MS * MINUTE_MS
        for width in WIDTHS_MS:
            for start in range(minute - width + MINUTE_MS, minute + MINUTE_MS, MINUTE_MS):
                held = windows.setdefault((queue, width, start), [0] * len(sums))
                for place, number in enumerate(sums):
                    held[place] += number
    return {window: tuple(held) for window, held in windows.items()}


def read_result(file: Path) -> dict[Window, Sums]:
    """Read what a peer has left behind."""
    found: dict[Window, Sums] = {}
    for line in file.read_text().splitlines():
        queue, width, start, *sums = json.loads(line)
        if any(sums):
            found[queue, width, start] = tuple(sums)
    return found


def difference(expected: dict[Window, Sums], found: dict[Window, Sums]) -> str:
    """Return in what a result differs, "" if in nothing."""
    wrong = [window for window in expected.keys() | found.keys() if expected.get(window) != found.get(window)]
    if not wrong:
        return ""
    first = min(wrong)
    return (
        f"{len(wrong)} of {len(expected.keys() | found.keys())} windows differ, the first {first}: "
        f"expected {expected.get(first)}, found {found.get(first)}"
    )


__all__ = ["Sums", "Window", "difference", "read_result", "recount"]
