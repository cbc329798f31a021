"""Write the dashboards: `python -m grafana.generate` (or `make reference`) puts them into grafana/dashboards/.

A test fails when a committed file is not what comes out here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from grafana import drilldown, floor, health, people, quality
from grafana.model import DATASOURCE, SCHEMA_VERSION, Json, Row, lay_out

FOLDER: Final = Path(__file__).parent / "dashboards"
TAG: Final = "floorpulse"
ALL: Final = ".+"
"""What a variable stands for when all is chosen: names that are empty are none."""
WINDOWS: Final = ("5m", "30m", "today")


class Dashboard(NamedTuple):
    """One dashboard: its uid (fixed: links of alerts lead there), texts, variables and rows."""

    uid: str
    title: str
    description: str
    variables: tuple[str, ...]
    rows: Callable[[], Sequence[Row]]
    refresh: str = "5s"
    since: str = "now-1h"


DASHBOARDS: Final = (
    Dashboard(
        "floorpulse-floor",
        "floorpulse: floor overview",
        "All queues now; made for a kiosk.",
        ("queue", "channel", "window"),
        floor.rows,
    ),
    Dashboard(
        "floorpulse-queue",
        "floorpulse: queue drill-down",
        "Why is this queue as it is?",
        ("queue", "channel", "window"),
        drilldown.rows,
    ),
    Dashboard(
        "floorpulse-agents",
        "floorpulse: agents and occupancy",
        "Who is there, and how busy are they? Groups, never persons.",
        ("group", "window"),
        people.rows,
    ),
    Dashboard(
        "floorpulse-quality",
        "floorpulse: quality",
        "What customers and reviewers say, what is solved, what it costs.",
        ("queue", "channel", "window"),
        quality.rows,
        refresh="30s",
        since="now-12h",
    ),
    Dashboard("floorpulse-health", "floorpulse: pipeline health", "Can the numbers be believed?", (), health.rows),
)


def _variables(names: Sequence[str]) -> list[Json]:
    made: list[Json] = [
        {
            "name": "datasource",
            "label": "Data source",
            "type": "datasource",
            "query": "prometheus",
            "hide": 0,
            "refresh": 1,
            "multi": False,
            "includeAll": False,
        },
    ]
    values = {
        "queue": 'label_values(floorpulse_waiting{channel=~"$channel"}, queue)',
        "channel": "label_values(floorpulse_waiting, channel)",
        "group": "label_values(floorpulse_agents, group)",
    }
    order = [name for name in ("channel", "queue", "group", "window") if name in names]
    return made + [_window() if name == "window" else _choice(name, values[name]) for name in order]


def _choice(name: str, query: str) -> Json:
    everything = {"text": ["All"], "value": ["$__all"]}
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": dict(DATASOURCE),
        "definition": query,
        "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "multi": True,
        "includeAll": True,
        "allValue": ALL,
        "current": everything,
        "refresh": 2,
        "sort": 1,
        "hide": 0,
    }


def _window() -> Json:
    options = [{"text": each, "value": each, "selected": each == "30m"} for each in WINDOWS]
    return {
        "name": "window",
        "label": "Window",
        "type": "custom",
        "query": ",".join(WINDOWS),
        "options": options,
        "current": {"text": "30m", "value": "30m"},
        "multi": False,
        "includeAll": False,
        "hide": 0,
    }


def dashboard(each: Dashboard) -> Json:
    """Return one dashboard as Grafana imports it."""
    links = {
        "title": "floorpulse",
        "type": "dashboards",
        "tags": [TAG],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }
    return {
        "uid": each.uid,
        "title": each.title,
        "description": each.description,
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": each.refresh,
        "time": {"from": each.since, "to": "now"},
        "links": [links],
        "annotations": {"list": []},
        "templating": {"list": _variables(each.variables)},
        "panels": lay_out(each.rows()),
    }


def files() -> Mapping[Path, str]:
    """Return the text of each file to be written."""
    return {FOLDER / f"{each.uid}.json": json.dumps(dashboard(each), ensure_ascii=False, indent=1) + "\n" for each in DASHBOARDS}


def main() -> None:
    """Write all dashboards."""
    FOLDER.mkdir(exist_ok=True)
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path.name}\n")


__all__ = ["DASHBOARDS", "WINDOWS", "Dashboard", "dashboard", "files"]

if __name__ == "__main__":
    main()
