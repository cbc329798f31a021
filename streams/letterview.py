"""Dead letters for people: text that no terminal mistakes for commands, and JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from base64 import b64encode
from collections.abc import Iterable
from typing import Any, Final

import typer

from schemas.config import Config
from schemas.instants import format_instant
from streams.deadletters import Letter, Listing, Wanted, about, listing, one
from streams.outputs import printable
from streams.progress import progress_bar
from streams.replay import LEFT_OUT, replay

SHOWN_BYTES: Final = 4096
"""The most of a value that is shown; `show --raw` gives all."""
_MOST_ROWS: Final = 40


def safe(data: bytes | str | None, limit: int = SHOWN_BYTES) -> str:
    """Return text that a terminal shows as it is: what is not UTF-8, or controls, hides or turns text around, is escaped."""
    if data is None:
        return "(null)"
    text = data[:limit].decode(errors="backslashreplace") if isinstance(data, bytes) else data[:limit]
    return printable(text) + (f" … ({len(data) - limit} more)" if len(data) > limit else "")


def listed(found: Listing) -> Iterable[str]:
    """Yield a listing in lines."""
    if not found.letters:
        yield f"{found.topic}: nothing there"
        return
    copies = f", {found.copies} copies of them" if found.copies else ""
    again = f", {found.replayed} rejected again after a replay" if found.replayed else ""
    yield f"{found.topic}: {found.letters} letters{copies}{again}"
    yield f"from {format_instant(found.first_ms or 0)} to {format_instant(found.last_ms or 0)}"
    for title, counts in (("reason", found.by_reason), ("topic", found.by_topic)):
        yield ""
        yield from (f"{count:>10}  {safe(name, 100)}" for name, count in [(title, "letters"), *counts.most_common(_MOST_ROWS)])
    yield ""
    for each in found.newest:
        place = f"{safe(each.origin[0], 100)}[{each.origin[1]}]@{each.origin[2]}"
        sent = ", sent again" if each.ref in found.sent else ""
        yield f"{each.name:<12} {format_instant(each.at_ms)}  {safe(each.reason, 40)}{sent}  {place}  {safe(each.detail, 160)}"


def shown(letter: Letter) -> Iterable[str]:
    """Yield a letter in lines: headers, key, value."""
    yield f"letter     {letter.name}, set aside {format_instant(letter.at_ms)}"
    yield from (f"{safe(name, 40):<10} {safe(value)}" for name, value in letter.headers)
    yield f"key        {safe(letter.key)}"
    yield f"value      {len(letter.value or b'')} bytes{', not whole' if letter.cut else ''}"
    yield safe(letter.value)


def shown_json(letter: Letter) -> dict[str, Any]:
    """Return a letter for JSON; bytes that are not UTF-8 are base64 under `key_base64`, `value_base64`."""
    told: dict[str, Any] = {**about(letter), "whole": not letter.cut}
    for name, data in (("key", letter.key), ("value", letter.value)):
        try:
            told[name] = None if data is None else data.decode()
        except UnicodeDecodeError:
            told[f"{name}_base64"] = b64encode(data or b"").decode()
    return told


def run_list_letters(config: Config, wanted: Wanted, limit: int, *, late: bool, as_json: bool) -> Iterable[str]:
    """Return what the dead letters (or late records) hold, in lines."""
    with progress_bar("reading", None) as advance:
        found = asyncio.run(listing(config, wanted, limit, late=late, progress=advance))
    return [json.dumps(found.as_dict(), indent=2)] if as_json else listed(found)


def run_show_letter(config: Config, name: str, *, late: bool, form: str) -> None:
    """Print one dead letter as text, JSON, or raw bytes."""
    letter = asyncio.run(one(config, name, late=late))
    if form == "raw":
        sys.stdout.buffer.write(letter.value or b"")
        sys.stdout.flush()
        return
    for line in [json.dumps(shown_json(letter), indent=2)] if form == "json" else shown(letter):
        typer.echo(line)


def run_replay_letters(config: Config, wanted: Wanted, *, really: bool) -> Iterable[str]:
    """Send dead letters again, or say what would be sent; return lines for a person."""
    with progress_bar("sending" if really else "reading", None) as advance:
        done = asyncio.run(replay(config, wanted, really=really, progress=advance))
    lines = [f"{done.letters} letters {'sent' if really else 'would be sent'}"]
    lines += [f"{count:>10}  {safe(reason, 100)}" for reason, count in done.by_reason.most_common()]
    lines += [f"{count:>10}  left out: {LEFT_OUT[cause]}" for cause, count in done.left_out.most_common()]
    return lines if really or not done.letters else [*lines, "Nothing was sent. To send them: --yes"]


__all__ = ["listed", "run_list_letters", "run_replay_letters", "run_show_letter", "safe", "shown", "shown_json"]
