"""Names that somebody asked for: known, or told with the nearest one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final

from schemas.errors import UnknownName, UsageError

_SHOWN: Final = 60


def known_name(what: str, name: str, known: Iterable[str]) -> str:
    """Return a name that is known; raises `UnknownName` with the nearest one."""
    names = dict.fromkeys(known)
    if name in names:
        return name
    near = get_close_matches(name[:_SHOWN], names, n=1, cutoff=0.4)
    if near:
        hint = f"the nearest is {near[0]!r}"
    elif names:
        hint = "known are " + ", ".join(repr(each) for each in list(names)[:5]) + (" …" if len(names) > 5 else "")
    else:
        hint = "there is none yet"
    raise UnknownName(f"unknown {what} {name[:_SHOWN]!r}: {hint}")


def known_parameters(query: Mapping[str, str], known: Iterable[str]) -> None:
    """Refuse parameters that are unknown; raises `UsageError`."""
    names = sorted(known)
    for name in query:
        if name not in names:
            raise UsageError(f"unknown parameter {name[:40]!r}; known are {', '.join(names)}")


__all__ = ["known_name", "known_parameters"]
