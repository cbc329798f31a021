"""The committed dashboards, read as files: their panels, and their queries with the variables filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / "grafana" / "dashboards"
FILES: Final = sorted(FOLDER.glob("*.json"))


class PanelQuery(NamedTuple):
    """One query of one panel."""

    dashboard: str
    panel: str
    ref: str
    expr: str

    @property
    def name(self) -> str:
        """What a failure calls it."""
        return f"{self.dashboard}/{self.panel}/{self.ref}"


def load(path: Path) -> dict[str, Any]:
    """A dashboard."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def panels(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What shows something: all but headings."""
    return [each for each in dashboard["panels"] if each["type"] != "row"]


def queries() -> Iterator[PanelQuery]:
    """Every query of every panel."""
    for path in FILES:
        dashboard = load(path)
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield PanelQuery(dashboard["uid"], panel["title"], target["refId"], target["expr"])


def filled(expr: str, values: Mapping[str, str]) -> str:
    """A query as Grafana would send it; `values` has the variables' values by name."""
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], expr)


def metrics(expr: str) -> set[str]:
    """The metric names that a query reads, alternatives of a pattern on the name spelled out."""
    names = set(re.findall(r"\b(?:floorpulse_|process_)\w+|\b\w+:floorpulse_[\w:]+|\bup\b", re.sub(r'"[^"]*"', '""', expr)))
    for before, choices, after in re.findall(r'__name__=~"([^"(]*)\(([^)]*)\)([^"]*)"', expr):
        names |= {f"{before}{choice}{after}" for choice in choices.split("|")}
    return names


__all__ = ["FILES", "FOLDER", "ROOT", "PanelQuery", "filled", "load", "metrics", "panels", "queries"]
