"""The dashboards: generated and committed, whole, and about metrics that exist. What their queries answer: see integration."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import warnings
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from jsonschema import validate
from prometheus_client.core import Metric

from grafana.generate import DASHBOARDS, FOLDER, WINDOWS, files
from schemas.config import Config
from schemas.kpis import CATALOGUE
from schemas.metric_names import PANEL_WINDOWS, families_of
from sinks.collector import FloorCollector
from sinks.snapshot import Health, Snapshot
from streams.health import WorkerCollector
from streams.run import thaw_of, worker_settings
from streams.worker import Worker
from tests.panels import FILES, ROOT, load, metrics, panels, queries

UNITS: Final = {value for name, value in vars(units).items() if not name.startswith("_") and isinstance(value, str)}
"""The units that Grafana knows."""
PROVISIONING: Final = ROOT / "grafana" / "provisioning"


def closed(required: dict[str, Any], optional: dict[str, Any]) -> dict[str, Any]:
    """JSON Schema of an object with these fields and no others."""
    return {"type": "object", "properties": required | optional, "required": list(required), "additionalProperties": False}


_TEXT: Final = {"type": "string", "minLength": 1}
_ONE: Final = {"const": 1}
# Fields and types as in Grafana's documentation of provisioning, those that are used here.
DATASOURCES: Final = closed(
    {
        "apiVersion": _ONE,
        "datasources": {
            "type": "array",
            "minItems": 1,
            "items": closed(
                {"name": _TEXT, "type": {"const": "prometheus"}, "uid": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,40}$"},
                 "url": {"type": "string", "pattern": "^https?://"}, "access": {"enum": ["proxy", "direct"]}},
                {"isDefault": {"type": "boolean"}, "editable": {"type": "boolean"},
                 "jsonData": closed({"timeInterval": {"type": "string", "pattern": "^[0-9]+s$"}},
                                    {"httpMethod": {"enum": ["GET", "POST"]}, "prometheusType": {"const": "Prometheus"}})},
            ),
        },
    },
    {},
)  # fmt: skip
PROVIDERS: Final = closed(
    {
        "apiVersion": _ONE,
        "providers": {
            "type": "array",
            "minItems": 1,
            "items": closed(
                {"name": _TEXT, "type": {"const": "file"}, "options": closed({"path": {"type": "string", "pattern": "^/"}}, {})},
                {"orgId": _ONE, "folder": _TEXT, "disableDeletion": {"type": "boolean"}, "allowUiUpdates": {"type": "boolean"},
                 "updateIntervalSeconds": {"type": "integer", "minimum": 1}},
            ),
        },
    },
    {},
)  # fmt: skip

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def test_the_committed_files_are_up_to_date() -> None:
    """`make reference` changes nothing, and leaves no file over."""
    made = files()
    assert set(made) == set(FOLDER.glob("*.json"))
    for path, text in made.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is not what the generator says: run make reference"


def test_ids_are_unique() -> None:
    """Those of dashboards over all files, those of panels within their file."""
    uids = [load(path)["uid"] for path in FILES]
    assert len(set(uids)) == len(uids) == len(DASHBOARDS)
    for path in FILES:
        ids = [panel["id"] for panel in load(path)["panels"]]
        assert len(set(ids)) == len(ids)


@each_file
def test_grafanas_own_model_knows_every_field(path: Path) -> None:
    """Read by the types that Grafana publishes and written again, nothing is lost: no field is misspelt or out of place."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the classic model, which every Grafana since 10 reads from files
        from grafana_foundation_sdk.models.dashboard import Dashboard
    register_default_plugins()
    dashboard = load(path)
    again = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(dashboard)))
    assert list(_lost(dashboard, again, "")) == []


def _lost(before: Any, after: Any, where: str) -> Any:
    if isinstance(before, dict):
        for key, value in before.items():
            if not isinstance(after, dict) or key not in after:
                if value is not None:
                    yield f"{where}.{key}"
            else:
                yield from _lost(value, after[key], f"{where}.{key}")
    elif isinstance(before, list):
        for number, (one, other) in enumerate(itertools.zip_longest(before, after)):
            yield from _lost(one, other, f"{where}[{number}]")
    elif before != after:
        yield f"{where}: {before!r} became {after!r}"


@each_file
def test_panels_lie_side_by_side(path: Path) -> None:
    """Within 24 columns, none over another, no line left empty on the way down."""
    taken: set[tuple[int, int]] = set()
    for panel in load(path)["panels"]:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
        cells = set(itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])))
        assert not taken & cells, panel["title"]
        taken |= cells
    assert {y for _, y in taken} == set(range(max(y for _, y in taken) + 1))


@each_file
def test_every_panel_says_what_it_shows(path: Path) -> None:
    """Title, description, unit and thresholds; the data source is the variable; a panel has at least one query."""
    dashboard = load(path)
    titles = [panel["title"] for panel in panels(dashboard)]
    assert len(set(titles)) == len(titles)
    for panel in panels(dashboard):
        defaults = panel["fieldConfig"]["defaults"]
        assert len(panel["description"]) > 20
        assert defaults["unit"] in UNITS
        steps = [step["value"] for step in defaults["thresholds"]["steps"]]
        assert steps[0] is None
        assert steps[1:] == sorted(steps[1:])
        assert panel["targets"]
        assert {each["datasource"]["uid"] for each in (panel, *panel["targets"])} == {"${datasource}"}


@each_file
def test_every_variable_that_is_used_is_there(path: Path) -> None:
    """And each that is there is used by some query."""
    dashboard = load(path)
    there = {each["name"] for each in dashboard["templating"]["list"]} - {"datasource"}
    used = {name for panel in panels(dashboard) for each in panel["targets"] for name in re.findall(r"\$(\w+)", each["expr"])}
    assert used - {"__rate_interval"} == there


@each_file
def test_columns_of_tables_have_their_names(path: Path) -> None:
    """What a table formats or sorts by is a column that a query fills."""
    for panel in panels(load(path)):
        if panel["type"] == "table":
            names = set(panel["transformations"][1]["options"]["renameByName"].values())
            labels = {label for each in panel["targets"] for label in re.findall(r"\w+", each["expr"].split("(")[1].split(")")[0])}
            assert len(names) == len(panel["targets"])
            assert {each["matcher"]["options"] for each in panel["fieldConfig"]["overrides"]} <= names | labels
            assert {each["displayName"] for each in panel["options"]["sortBy"]} <= names


def published() -> set[str]:
    """Names of all series that a board or a worker publishes."""
    names = {family.name for kpi in CATALOGUE for family in families_of(kpi)}
    names |= {f"{name}_bucket" for name in names if name.endswith("_hist")}
    collector = FloorCollector(("30m", "today"))
    collector.snapshot = Snapshot(1, 0, 0, ("30m", "today"), health=Health(ready=True, data_age_ms=0))
    for family in collector.collect():
        names |= _series(family)
    return names | worker_names() | {"process_resident_memory_bytes", "process_cpu_seconds_total"}


def worker_names() -> set[str]:
    """Names of the series of a worker's own health."""
    config = Config()

    async def collected() -> list[Metric]:
        return list(WorkerCollector(Worker(worker_settings(config), thaw_of(config))).collect())

    return {sample for family in asyncio.run(collected()) for sample in _series(family)}


def _series(family: Metric) -> set[str]:
    return {family.name + {"counter": "_total", "histogram": "_bucket"}.get(family.type, "")}


def recorded() -> set[str]:
    """Names of the series that the generated rules record."""
    groups = yaml.safe_load((ROOT / "compose" / "prometheus" / "rules.yml").read_text(encoding="utf-8"))["groups"]
    return {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}


def test_every_metric_exists() -> None:
    """Each name in a query is one of the catalogue, of the health of board or worker, recorded, or Prometheus' own."""
    known = published() | recorded() | {"up"}
    assert {(query.name, name) for query in queries() for name in metrics(query.expr) - known} == set()


def test_windows_that_panels_name_are_exported() -> None:
    """A panel about seven days has series though `exported_windows` has no `7d`."""
    suffix = re.compile(r"floorpulse_(\w+?)(?:_ratio|_seconds|_in_window|_numerator|_denominator)?\{[^}]*window=~?\"([^$\"]+)\"")
    named = {
        (kpi, window) for query in queries() for kpi, windows in suffix.findall(query.expr) for window in windows.split("|")
    }  # fmt: skip
    assert named
    counted = {part: kpi.id for kpi in CATALOGUE for part, _ in kpi.beside}
    named = {(counted.get(name, name), window) for name, window in named}
    exported = {(kpi, window) for kpi, windows in PANEL_WINDOWS.items() for window in windows}
    assert named - exported == set()
    assert {(kpi, window) for kpi, window in exported - named if window in ("60m", "7d")} == set()


def test_variables_offer_windows_that_are_exported() -> None:
    """By default."""
    assert set(WINDOWS) <= set(Config().exported_windows)


def test_links_of_alerts_lead_to_dashboards() -> None:
    """Each alert's dashboard is one of these, and has the variables that the link fills."""
    there = {load(path)["uid"]: {each["name"] for each in load(path)["templating"]["list"]} for path in FILES}
    links = re.findall(r"/d/([\w-]+)\?(\S*)", (ROOT / "compose" / "prometheus" / "rules.yml").read_text(encoding="utf-8"))
    assert links
    assert [(uid, rest) for uid, rest in links if not set(re.findall(r"var-(\w+)", rest)) <= there.get(uid, set())] == []


def test_provisioning_is_whole() -> None:
    """One data source; one provider that reads the folder where compose puts the dashboards."""
    sources = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yaml").read_text(encoding="utf-8"))
    validate(sources, DATASOURCES)
    providers = yaml.safe_load((PROVISIONING / "dashboards" / "floorpulse.yaml").read_text(encoding="utf-8"))
    validate(providers, PROVIDERS)
    assert [each["isDefault"] for each in sources["datasources"]] == [True]
