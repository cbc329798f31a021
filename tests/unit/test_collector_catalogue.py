"""Every indicator of the catalogue stands on every surface that its form belongs on."""

from __future__ import annotations

import functools
import json
import sys
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from schemas.columns import Column, compared_columns, day_columns, group_columns, queue_columns
from schemas.kpis import CATALOGUE, Kpi
from schemas.metric_names import families_of
from schemas.rules import Rules
from sinks.collector import Exposition, FloorCollector
from sinks.comparisons import described, gather
from sinks.describe import everything
from sinks.explain import Explainer, Question
from sinks.merge import Merge
from sinks.snapshot import Snapshot, Snapshots
from streams import cli
from tests.builders import T0, feed, whole_centre

DAYS = ("today", "7d")
GAUGES = {"state", "turnover"}
"""Forms that say what is the case now: no windows, no columns."""
SLOTS = {"capacity", "slots_used", "slots_free"}

each_kpi = pytest.mark.parametrize("kpi", CATALOGUE, ids=lambda kpi: kpi.id)


@functools.cache
def centre() -> tuple[Snapshots, Snapshot]:
    """Return a centre in which every indicator has something to show."""
    merge = Merge(Rules(live=True))
    for worker in whole_centre():
        feed(merge, worker.flush(T0))
    snapshots = Snapshots(merge, (300_000, 1_800_000), (("orders", "voice"),))
    return snapshots, snapshots.take(T0, ready=True, readings_age_ms={0: 5, 1: 5, 2: 5})


@functools.cache
def metrics() -> dict[str, list[dict[str, str]]]:
    """Return name of sample → labels of its series."""
    exposition = Exposition(FloorCollector(("5m", "30m", *DAYS)))
    found: dict[str, list[dict[str, str]]] = {}
    for family in parse_text(exposition.render(centre()[1], openmetrics=False, zipped=False).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


@functools.cache
def snapshot() -> dict[str, Any]:
    """Return the JSON of everything."""
    return everything(centre()[1])


@each_kpi
def test_metrics_have_it(kpi: Kpi) -> None:
    """Each family that the reference names has a series, with the labels that it names; windows of days only where so defined."""
    for family in families_of(kpi):
        name = family.name + ("_bucket" if family.role == "histogram" else "")
        with_these = [labels for labels in metrics().get(name, []) if set(labels) - {"le"} == set(family.labels)]
        assert with_these, family
        if "window" in family.labels:
            assert {labels["window"] for labels in with_these} == set(DAYS if kpi.days else ("5m", "30m", *DAYS)), family


def shown(kpi: Kpi, body: dict[str, Any]) -> set[str]:
    """Return the names in a body that may show an indicator."""
    if kpi.id == "agents":
        return body.keys() & {"agents"}
    return {name for name in body if name in (kpi.id, f"{kpi.id}_s")}


@each_kpi
def test_the_snapshot_has_it(kpi: Kpi) -> None:
    """Gauges of now beside the windows, all else in each window, days only in those of whole days."""
    sections = {"queue": "queues", "group": "groups", "both": "slots"}
    body = snapshot()
    (place,) = [row for row in body["whole_queues" if kpi.wide else sections[kpi.dimension]]
                if row.get("queue", row.get("group")) in ("orders", "north") and row.get("channel") != "unassigned"]  # fmt: skip
    if kpi.form in GAUGES:
        assert shown(kpi, place), kpi.id
        return
    names = {column.name for column in columns_of(kpi, with_days=True)}
    for label in DAYS if kpi.days else body["windows"]:
        assert names, kpi.id
        assert names <= place["windows"][label].keys(), (kpi.id, label)
        assert names <= body["floor"]["windows"][label].keys() or kpi.dimension == "group", (kpi.id, label)
        assert any(place["windows"][label][name] is not None for name in names), (kpi.id, label)


def columns_of(kpi: Kpi, *, with_days: bool) -> list[Column]:
    """Return the columns that show an indicator."""
    columns = queue_columns(["EUR"]) + group_columns()
    columns += (day_columns("queue") + day_columns("group")) if with_days else []
    return [column for column in columns if column.kpi == kpi.id]


@each_kpi
def test_the_report_has_it(kpi: Kpi) -> None:
    """A column at least for whatever is counted over an interval; none for gauges of now and whole days (D5, D6)."""
    assert bool(columns_of(kpi, with_days=False)) == (kpi.form not in GAUGES and not kpi.days)


@each_kpi
def test_the_comparisons_have_it(kpi: Kpi) -> None:
    """Whatever has a window is compared, by queue, group or whole queue, and on the floor."""
    snapshots, _ = centre()
    body = described(gather(snapshots.windows, snapshots.merge, {"orders": "voice"}))
    names = {column.name for column in (*compared_columns("queue", ["EUR"]), *compared_columns("group")) if column.kpi == kpi.id}
    assert bool(names) == (kpi.form not in GAUGES)
    assert names <= body["floor"]["kpis"].keys()
    rows = body["groups"] if kpi.dimension == "group" else body["whole_queues"] if kpi.wide else body["queues"]
    assert names <= rows[-1]["kpis"].keys()


@each_kpi
def test_it_can_be_explained(kpi: Kpi) -> None:
    """Each has a formula, parts and a value, under the questions that fit its form."""
    snapshots, now = centre()
    variant = {"agents": "available", "status_share": "busy", "cost_per_contact": "EUR", "message_ratio": "agent"}.get(kpi.id)
    where = {"group": "north"} if kpi.dimension == "group" else {"queue": "orders"}
    found = Explainer(snapshots.merge, snapshots.windows, now).explain(Question(kpi.id, variant=variant, **where))
    assert found["value"] is not None
    assert found["formula"]
    assert found["parts"]


def test_the_catalogue_is_printed_whole(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`floorpulse kpis --json` names every indicator once, in order."""
    monkeypatch.setattr(sys, "argv", ["floorpulse", "kpis", "--json"])
    with pytest.raises(SystemExit):
        cli.main()
    assert [row["id"] for row in json.loads(capsys.readouterr().out)] == [kpi.id for kpi in CATALOGUE]
