"""Where a command's output goes, and what of foreign text a terminal may get."""

from __future__ import annotations

from pathlib import Path

from schemas.errors import UsageError


def printable(text: str) -> str:
    """Return text in one line that a terminal shows as it is: what controls, hides or turns text around is escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def target(out: str | Path, example: str) -> Path | None:
    """Return the file to write, or None for `-`, standard output; raises `UsageError` where there can be none.

    To be asked before the work: hours of it may be lost else.
    """
    if str(out) == "-":
        return None
    path = Path(out)
    if path.is_dir():
        raise UsageError(f"--out {str(out)!r} is a folder; name a file: --out {path / example}")
    if not path.parent.is_dir():
        raise UsageError(f"--out {out}: the folder {path.parent} does not exist; make it, or name another")
    return path


__all__ = ["printable", "target"]
