"""Write the reference of the configuration from its models: `python -m streams.config_page > docs/configuration.md`.

`floorpulse check-config --keys` prints the same keys and defaults. A test fails when the committed page is not what comes out here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from typing import Final

from schemas.config import Config
from schemas.config_file import Key, all_keys

_HEAD: Final = """\
<!-- Made from schemas/config.py by `make reference`. Do not edit: change it there and make it anew. -->

# Configuration

Every key is optional. They stand in `floorpulse.yaml` in the current folder, or in the file that `--config` names
([example](floorpulse.example.yaml)), and may be set by the environment, which wins: `FLOORPULSE_`, and `__` between levels, as
`FLOORPULSE_KAFKA__BOOTSTRAP=kafka.internal:9092`. Lists are written with commas there, maps as JSON. Names of your own are in
lower case there: `FLOORPULSE_QUEUES__ORDERS__ZONE` is about the queue `orders`; for `Orders` write
`FLOORPULSE_QUEUES={"Orders": {"zone": "UTC"}}`.

`floorpulse check-config` validates and prints what is in force, secrets masked; `--keys` lists what stands below. An unknown key
or a wrong value is an error that names file, line and the nearest key. A worker and its boards should get the same file.

Durations are `20s`, `1h30m`, `500ms`, or a number of seconds; instants RFC 3339 with an offset. `<name>` stands for a name of your
own, `<number>` for an entry of a list. `-` means: not set.
"""
_TOP: Final = "top level"


def page() -> str:
    """Return the whole page."""
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    yield _HEAD.rstrip("\n")
    keys = sorted(all_keys(), key=lambda key: _section(key) != _TOP)
    for section, of in groupby(keys, key=_section):
        yield f"\n## {section}\n"
        if section != _TOP:
            yield f"{_meaning(section)}\n"
        yield "| key | default | value | meaning |\n|---|---|---|---|"
        for key in of:
            cells = (f"`{key.name}`", f"`{key.default}`", key.kind, key.description)
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _section(key: Key) -> str:
    return key.name.partition(".")[0] if "." in key.name else _TOP


def _meaning(section: str) -> str:
    """Return what a section is about: its model's docstring."""
    annotation = Config.model_fields[section].annotation
    model = annotation if isinstance(annotation, type) else getattr(annotation, "__args__", (None,))[-1]
    return (getattr(model, "__doc__", "") or "").partition("\n")[0]


__all__ = ["page"]

if __name__ == "__main__":
    sys.stdout.write(page())
