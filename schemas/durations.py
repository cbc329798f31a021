"""Durations in settings: `20s`, `1h30m`, `500ms`, or a number of seconds; inside always integer milliseconds."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer
from pydantic_core import PydanticCustomError

_UNITS_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", re.ASCII)
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?\s*(?:ms|s|m|h|d)\s*)+", re.ASCII)
MAX_DURATION_MS: Final = 400 * 86_400_000
"""Longest duration that a setting may name: 400 days."""


def parse_duration(value: Any) -> int:
    """Return ms for `20s`, `1h30m`, `500ms`, `20` or `0.5` (seconds)."""
    ms: float
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        ms = sum(float(number) * _UNITS_MS[unit] for number, unit in _PART.findall(value))
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            ms = float(value) * 1000
        except (ValueError, OverflowError):
            ms = -1
    else:
        ms = -1
    if not 0 <= ms <= MAX_DURATION_MS:
        raise PydanticCustomError("duration", "is not a duration: write 20s, 1h30m, 500ms or a number of seconds, at most 400d")
    return round(ms)


def format_duration(ms: int) -> str:
    """Return the shortest usual form of a duration: `1h30m`, `20s`, `500ms`."""
    if ms == 0:
        return "0s"
    text = ""
    for unit in ("d", "h", "m", "s", "ms"):
        count, ms = divmod(ms, _UNITS_MS[unit])
        text += f"{count}{unit}" if count else ""
    return text


def spoken(ms: int) -> str:
    """Return a duration for people, in its two largest units: `7 min 12 s`, `5 min`, `2 h 5 min`, `45 s`."""
    found = []
    seconds = max(0, round(ms / 1000))
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, length)
        if count:
            found.append(f"{count} {unit}")
    return " ".join(found[:2]) or "0 s"


def window_label(window_ms: int) -> str:
    """Return the label of a trailing window: `30m` for 1,800,000, `50s` for 50,000."""
    return f"{window_ms // 60_000}m" if window_ms % 60_000 == 0 else f"{window_ms // 1000}s"


Duration = Annotated[int, BeforeValidator(parse_duration), PlainSerializer(format_duration)]
"""A duration in ms; written as text."""

__all__ = ["MAX_DURATION_MS", "Duration", "format_duration", "parse_duration", "spoken", "window_label"]
