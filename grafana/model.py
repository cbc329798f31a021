"""Panels and dashboards as plain dicts in Grafana's JSON model; ids and places are given by `lay_out`.

Colours are those of the wall-screen: good is quiet, warn amber, breach crimson.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from schemas.kpis import BY_ID

Json = dict[str, Any]

WARN: Final = "#FFC233"
BREACH: Final = "#D81B60"
QUIET: Final = "text"
NEUTRAL: Final = "#3D5A80"
DATASOURCE: Final[Json] = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS: Final = 24
SCHEMA_VERSION: Final = 39

NO_LIMIT: Final = ((None, QUIET),)
"""Thresholds of a number that has no limit."""
LEVELS: Final[list[Json]] = [
    {
        "type": "value",
        "options": {
            "0": {"index": 0, "text": "good", "color": NEUTRAL},
            "1": {"index": 1, "text": "▲ warn", "color": WARN},
            "2": {"index": 2, "text": "■ breach", "color": BREACH},
        },
    }
]
"""What the numbers of `floorpulse_level` mean."""

Steps = Sequence[tuple[float | None, str]]


class Query(NamedTuple):
    """One query of a panel; `legend` is Grafana's pattern, `column` the title where it is a column of a table."""

    expr: str
    legend: str = ""
    column: str = ""


class Cell(NamedTuple):
    """A panel and its width in a row of the grid."""

    panel: Json
    width: int


class Row(NamedTuple):
    """Panels side by side; with a title a heading stands above."""

    height: int
    cells: tuple[Cell, ...]
    title: str = ""


def above(warn: float, breach: float) -> Steps:
    """Return thresholds of a number that is worse the higher it is."""
    return (None, QUIET), (warn, WARN), (breach, BREACH)


def below(warn: float, breach: float) -> Steps:
    """Return thresholds of a number that is worse the lower it is."""
    return (None, BREACH), (breach, WARN), (warn, QUIET)


def goal(least: float) -> Steps:
    """Return the threshold of a number that has a goal and no breach."""
    return (None, WARN), (least, QUIET)


def told(kpi: str, *more: str) -> str:
    """Return a description from the catalogue: definition, target, and what else is to be said."""
    found = BY_ID[kpi]
    target = f" Target (good / usual): {found.target}." if found.target else ""
    return " ".join([f"{found.title}: {found.definition}.{target}", *more])


def panel(
    kind: str,
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str,
    steps: Steps = NO_LIMIT,
    options: Mapping[str, Any],
    custom: Mapping[str, Any] | None = None,
    mode: str = "thresholds",
    instant: bool = False,
    form: str = "time_series",
    **field: Any,
) -> Json:
    """Return a panel; `field` goes into the field's defaults (`min`, `max`, `decimals`, `mappings`)."""
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": dict(DATASOURCE),
        "targets": [_target(number, query, instant, form) for number, query in enumerate(queries)],
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "color": {"mode": mode},
                "thresholds": {"mode": "absolute", "steps": [{"value": at, "color": color} for at, color in steps]},
                "custom": dict(custom or {}),
                **field,
            },
            "overrides": [],
        },
        "options": dict(options),
    }


def _target(number: int, query: Query, instant: bool, form: str) -> Json:
    return {
        "refId": chr(ord("A") + number),
        "datasource": dict(DATASOURCE),
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "instant": instant,
        "range": not instant,
        "format": form,
    }


def stat(title: str, description: str, *queries: Query, unit: str, steps: Steps = NO_LIMIT, **field: Any) -> Json:
    """Return big numbers with a trend line behind; the number takes the colour of its threshold."""
    options = {
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto" if len(queries) == 1 and not queries[0].legend else "value_and_name",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "wideLayout": True,
    }
    return panel("stat", title, description, queries, unit=unit, steps=steps, options=options, **field)


def lines(
    title: str,
    description: str,
    *queries: Query,
    unit: str,
    steps: Steps = NO_LIMIT,
    stacked: bool = False,
    bars: bool = False,
    limits: bool = True,
    **field: Any,
) -> Json:
    """Return lines over time; the limits are drawn where there are any."""
    custom = {
        "drawStyle": "bars" if bars else "line",
        "lineInterpolation": "linear",
        "lineWidth": 0 if bars else 2,
        "fillOpacity": 70 if stacked or bars else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if limits and len(steps) > 1 else "off"},
    }
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel(
        "timeseries",
        title,
        description,
        queries,
        unit=unit,
        steps=steps,
        options=options,
        custom=custom,
        mode="palette-classic",
        **{"min": 0, **field},
    )


def with_limit_lines(made: Json) -> Json:
    """Return it with series called `warn` and `breach` drawn as dashed limits."""
    for name, color in (("warn", WARN), ("breach", BREACH)):
        made["fieldConfig"]["overrides"].append(
            {
                "matcher": {"id": "byName", "options": name},
                "properties": [
                    {"id": "color", "value": {"mode": "fixed", "fixedColor": color}},
                    {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 6]}},
                    {"id": "custom.fillOpacity", "value": 0},
                ],
            }
        )
    return made


def with_dashes(made: Json, name: str) -> Json:
    """Return it with one series in thin grey dashes: what it is compared with."""
    properties = [
        {"id": "color", "value": {"mode": "fixed", "fixedColor": "#8E8E8E"}},
        {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [4, 6]}},
        {"id": "custom.fillOpacity", "value": 0},
    ]
    made["fieldConfig"]["overrides"].append({"matcher": {"id": "byName", "options": name}, "properties": properties})
    return made


def bars(title: str, description: str, *queries: Query, unit: str, steps: Steps = NO_LIMIT, **field: Any) -> Json:
    """Return horizontal bars of now."""
    options = {
        "displayMode": "basic",
        "orientation": "horizontal",
        "showUnfilled": True,
        "valueMode": "color",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return panel("bargauge", title, description, queries, unit=unit, steps=steps, options=options, instant=True, **field)


def timeline(title: str, description: str, *queries: Query, unit: str, steps: Steps, **field: Any) -> Json:
    """Return states over time, a band each."""
    options = {
        "mergeValues": True,
        "showValue": "never",
        "alignValue": "left",
        "rowHeight": 0.8,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    custom = {"fillOpacity": 80, "lineWidth": 0}
    return panel("state-timeline", title, description, queries, unit=unit, steps=steps, options=options, custom=custom, **field)


def heatmap(title: str, description: str, query: Query, *, unit: str) -> Json:
    """Return the buckets of a classic histogram over time."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Blues", "steps": 64, "exponent": 0.5, "fill": "dark-blue", "reverse": False},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
    }
    return panel("heatmap", title, description, [query], unit=unit, options=options, form="heatmap")


def table(title: str, description: str, *queries: Query, unit: str, columns: Mapping[str, Json], sort: str) -> Json:
    """Return one row per place: the queries merged, a column each; `columns` gives units and limits of single ones by title."""
    options = {
        "cellHeight": "sm",
        "showHeader": True,
        "sortBy": [{"displayName": sort, "desc": True}],
        "footer": {"show": False, "reducer": ["sum"], "fields": ""},
    }
    made = panel(
        "table",
        title,
        description,
        queries,
        unit=unit,
        options=options,
        custom={"align": "auto", "inspect": False},
        instant=True,
        form="table",
    )
    names = {f"Value #{chr(ord('A') + number)}": query.column for number, query in enumerate(queries)}
    made["transformations"] = [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": names}},
    ]
    for name, defaults in columns.items():
        properties = [{"id": key, "value": value} for key, value in defaults.items()]
        made["fieldConfig"]["overrides"].append({"matcher": {"id": "byName", "options": name}, "properties": properties})
    return made


def with_link(made: Json, name: str, title: str, url: str) -> Json:
    """Return a table whose column leads somewhere."""
    properties = [{"id": "links", "value": [{"title": title, "url": url, "targetBlank": False}]}]
    made["fieldConfig"]["overrides"].append({"matcher": {"id": "byName", "options": name}, "properties": properties})
    return made


def column(unit: str, steps: Steps = NO_LIMIT, **field: Any) -> Json:
    """Return unit and limits of one column of a table; cells are coloured where there are limits."""
    made: Json = {
        "unit": unit,
        "thresholds": {"mode": "absolute", "steps": [{"value": at, "color": c} for at, c in steps]},
        **field,
    }
    if len(steps) > 1 or "mappings" in field:
        made["custom.cellOptions"] = {"type": "color-text"}
    return made


def lay_out(rows: Iterable[Row]) -> list[Json]:
    """Return the panels with ids and places, from top to bottom, from left to right."""
    made: list[Json] = []
    top = 0
    for row in rows:
        if row.title:
            heading = {"type": "row", "title": row.title, "collapsed": False, "panels": []}
            made.append({"id": len(made) + 1, "gridPos": _place(0, top, COLUMNS, 1), **heading})
            top += 1
        left = 0
        for each in row.cells:
            made.append({"id": len(made) + 1, "gridPos": _place(left, top, each.width, row.height), **each.panel})
            left += each.width
        top += row.height
    return made


def _place(left: int, top: int, width: int, height: int) -> Json:
    return {"x": left, "y": top, "w": width, "h": height}


__all__ = [
    "BREACH",
    "DATASOURCE",
    "LEVELS",
    "NEUTRAL",
    "NO_LIMIT",
    "QUIET",
    "WARN",
    "Cell",
    "Json",
    "Query",
    "Row",
    "Steps",
    "above",
    "bars",
    "below",
    "column",
    "goal",
    "heatmap",
    "lay_out",
    "lines",
    "panel",
    "stat",
    "table",
    "timeline",
    "told",
    "with_dashes",
    "with_limit_lines",
    "with_link",
]
