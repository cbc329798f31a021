"""Write the contract with producers and consumers: `python -m streams.open_data` (or `make reference`) fills docs/schemas/.

It refuses to write what breaks those who go by the committed files, and says what that is; `--breaking` writes it all the same.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from schemas.compatible import Side, breaks
from schemas.contract import alerts_schema, events_schema, readings_schema
from schemas.errors import UsageError
from streams.asyncapi import document

FOLDER: Final = Path(__file__).resolve().parent.parent / "docs" / "schemas"
DOCUMENTS: Final[Mapping[str, Callable[[], dict[str, Any]]]] = {
    "events": events_schema,
    "readings": readings_schema,
    "alerts": alerts_schema,
    "asyncapi": document,
}
SIDES: Final[Mapping[str, Side]] = {
    "events": "written by others",
    "readings": "read by others",
    "alerts": "read by others",
}
COMMAND: Final = "make reference"
BREAKING: Final = "python -m streams.open_data --breaking"


def text(name: str) -> str:
    """Return a document as it is printed and committed; raises `UsageError` for a name that is none."""
    if name not in DOCUMENTS:
        raise UsageError(f"schema {name!r} is not one of {', '.join(DOCUMENTS)}")
    return json.dumps(DOCUMENTS[name](), ensure_ascii=False, indent=1) + "\n"


def broken(folder: Path = FOLDER) -> list[str]:
    """Return what today's models would break for those who go by the files in a folder."""
    found = []
    for name, side in SIDES.items():
        path = folder / f"{name}.json"
        if path.exists():
            old = json.loads(path.read_text(encoding="utf-8"))
            found += [f"{name}.json {line} ({side})" for line in breaks(old, DOCUMENTS[name](), side)]
    return found


def write(folder: Path = FOLDER, *, breaking: bool = False) -> None:
    """Write all documents; raises `UsageError` where they would break somebody, unless that is meant."""
    lines = [] if breaking else broken(folder)
    if lines:
        raise UsageError("\n  ".join(["this breaks who goes by the committed schemas:", *lines, f"if it is meant: {BREAKING}"]))
    folder.mkdir(parents=True, exist_ok=True)
    for name in DOCUMENTS:
        (folder / f"{name}.json").write_text(text(name), encoding="utf-8")


__all__ = ["BREAKING", "COMMAND", "DOCUMENTS", "FOLDER", "SIDES", "broken", "text", "write"]

if __name__ == "__main__":
    try:
        write(breaking="--breaking" in sys.argv[1:])
    except UsageError as refused:
        sys.exit(str(refused))
