"""How a number came about, for a console of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from streams.outputs import printable

WIDTH: Final = 80
_LABEL: Final = 12
MAX_PARTS: Final = 20
"""Parts that are listed one by one; a sketch has hundreds of buckets, all in the JSON."""
_UNITS: Final = {"seconds": " s"}


def as_lines(body: Mapping[str, Any], width: int = WIDTH) -> Iterator[str]:
    """Yield the lines of an explanation as `/api/v1/explain` answers it."""
    kpi = body["kpi"]
    yield from _wrapped("", f"{kpi['title']} ({kpi['id']}): {kpi['definition']}", width)
    where = [f"{name} {body[name]}" for name in ("queue", "channel", "group", "variant", "window", "stat") if body.get(name)]
    yield from _wrapped("of", ", ".join(where), width)
    value = body["value"]
    yield from _wrapped("value", "absent" if value is None else f"{value:.9g}{_UNITS.get(kpi['unit'], '')}", width)
    yield from _wrapped("formula", body["formula"], width)
    if body["with_numbers"]:
        yield from _wrapped("in numbers", body["with_numbers"], width)
    yield from _percentile(body.get("percentile"), width)
    bounds = body.get("bounds") or body.get("roster")
    if bounds:
        yield from _wrapped("from", f"{bounds['start']} ({bounds['start_ms']} ms)", width)
        yield from _wrapped("to", f"{bounds['end']} ({bounds['end_ms']} ms), the end of the open slice", width)
        yield from _wrapped("slices of", f"{bounds['slice_ms'] // 1000} s", width)
    if "roster" in body:
        yield from _wrapped("covered", f"{body['roster']['covered_ms']} ms of it are covered by the roster", width)
    age = body["data_age_ms"]
    old = "" if age is None else f", newest event {age / 1000:.3f} s ago"
    yield from _wrapped("now", f"{_time(body['now'])} ({body['now']} ms){old}", width)
    yield from _parts(body["parts"], width)
    yield from _partitions(body["partitions"], width)
    settings = {name: value for name, value in body["settings"].items() if name != "effective_from_ms" and value is not None}
    since = settings.pop("effective_from", None)
    yield from _wrapped("settings", ", ".join(f"{name} {_plain(value)}" for name, value in settings.items()), width)
    yield from _wrapped("in force", f"since {since}" if since else "since ever", width)


def _percentile(percentile: Mapping[str, Any] | None, width: int) -> Iterator[str]:
    if percentile is None or not percentile["count"]:
        return
    text = (
        f"number {percentile['rank']} of {percentile['count']} values, in a bucket from {percentile['at_least_s']} s to "
        f"{percentile['at_most_s']} s with {percentile['bucket_count']} values; answered within {percentile['error']:.0%}"
    )
    yield from _wrapped("rank", text, width)


def _parts(parts: list[Mapping[str, Any]], width: int) -> Iterator[str]:
    for part in parts[:MAX_PARTS]:
        shares = " + ".join(f"{value} (p{partition})" for partition, value in part["partitions"].items())
        yield from _wrapped("part", f"{part['part']} = {part['value']}" + (f" = {shares}" if shares else ""), width)
    if len(parts) > MAX_PARTS:
        yield from _wrapped("", f"{len(parts) - MAX_PARTS} more parts: --json has them all", width)


def _partitions(partitions: list[Mapping[str, Any]], width: int) -> Iterator[str]:
    for each in partitions:
        age, mark = each["readings_age_ms"], each["watermark"]
        heard = "" if age is None else f", last reading {age / 1000:.1f} s ago"
        reached = "" if mark is None else f", watermark {_time(mark)}"
        yield from _wrapped("partition", f"p{each['partition']}{heard}{reached}", width)


def _wrapped(label: str, text: str, width: int) -> Iterator[str]:
    """Yield a label and its text, broken so that no line is longer; what cannot be printed is shown as its code."""
    room = width if not label else width - _LABEL
    lines = textwrap.wrap(printable(text), room, break_long_words=True, break_on_hyphens=False) or [""]
    for number, line in enumerate(lines):
        head = "" if not label else label if number == 0 else ""
        yield (f"{head:<{_LABEL}}{line}" if label else line).rstrip()


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


__all__ = ["WIDTH", "as_lines"]
