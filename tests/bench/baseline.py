"""What was measured before, and what has got worse.

Only CPU time per event is judged, since it depends least on what else the machine does; it still does (caches, the other half
of a core), by 10 % and more on a busy machine. So a fixed piece of work, the yardstick, is measured in turns with the rest,
here and for the baseline, and its change is taken out. `worse` is what takes more than 10 % more and lies apart: its least
value is above the baseline's greatest. What takes more but overlaps is called `noise?`: run it again on a quiet machine.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from tests.bench.environments import CACHE

BASELINE: Final = Path(__file__).with_name("baseline.json")
LATEST: Final = CACHE / "latest.json"
LIMIT: Final = 1.10
YARDSTICK: Final = "yardstick"
_CPU: Final = "CPU s per 100k"

Values = Mapping[str, Mapping[str, Sequence[float]]]
"""Part → figure → value of each run."""


def middle(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def machine() -> dict[str, Any]:
    """Return what a figure depends on."""
    cpu = _fact("/proc/cpuinfo", "model name") or platform.machine()
    memory = int((_fact("/proc/meminfo", "MemTotal") or "0").split()[0])
    return {"cpu": cpu, "cores": os.cpu_count(), "memory_gb": round(memory / 2**20), "python": platform.python_version()}


def _fact(file: str, name: str) -> str:
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "")


def told() -> str:
    """Return date, machine and how busy it is, for people."""
    facts = machine()
    load = os.getloadavg()[0]
    now = datetime.datetime.now(tz=datetime.UTC)
    size = f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gb']} GB"
    return f"{now:%Y-%m-%d %H:%M} UTC, {size}, Python {facts['python']}, load {load:.1f}"


def write(file: Path, events: int, parts: Values, peers: Mapping[str, Any]) -> None:
    """Write all values."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rounded = {name: {figure: [float(f"{v:.4g}") for v in each] for figure, each in taken.items()} for name, taken in parts.items()}
    date = f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"
    content = {"date": date, "machine": machine(), "load": os.getloadavg()[0], "events": events, "parts": rounded, "peers": peers}
    file.write_text(json.dumps(content, indent=1) + "\n")


def read(file: Path = BASELINE) -> dict[str, Any]:
    """Read a baseline."""
    known: dict[str, Any] = json.loads(file.read_text())
    return known


def compare(known: Mapping[str, Any], parts: Values) -> tuple[int, Table]:
    """Return how many figures got worse, and the table that says which."""
    scale = _scale(known["parts"], parts)
    same = known["machine"] == machine()
    title = f"against the baseline of {known['date']}; yardstick {scale:.2f} × the baseline's, taken out"
    title += "" if same else "; ANOTHER MACHINE"
    table = Table("measurement", "figure", "baseline", "now", "change", "verdict", title=title)
    worse = 0
    for name, taken in parts.items():
        for figure, values in taken.items():
            before = known["parts"].get(name, {}).get(figure)
            if not figure.startswith(_CPU) or name == YARDSTICK or not before:
                continue
            now = [value / scale for value in values]
            verdict = judge(before, now)
            worse += verdict == "worse"
            change = middle(now) / middle(before) - 1
            table.add_row(name, figure, _spread(before), _spread(now), f"{change:+.0%}", verdict)
    return worse, table


def judge(before: Sequence[float], now: Sequence[float]) -> str:
    """Return the verdict over one figure."""
    change = middle(now) / middle(before)
    if change > LIMIT:
        return "worse" if min(now) > max(before) else "noise?"
    return "better" if change < 1 / LIMIT and max(now) < min(before) else "same"


def _scale(before: Values, now: Values) -> float:
    try:
        old, new = (next(iter(each[YARDSTICK].values())) for each in (before, now))
    except KeyError:
        return 1.0
    return middle(new) / middle(old)


def _spread(values: Sequence[float]) -> str:
    return f"{middle(values):.3f} ({min(values):.3f}–{max(values):.3f})"


__all__ = ["BASELINE", "LATEST", "compare", "judge", "machine", "middle", "read", "told", "write"]
