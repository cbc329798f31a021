"""Standings: what is judged is what is exported; gauges, JSON, and a board that freezes on old data."""

from __future__ import annotations

import functools
import shutil
import subprocess
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as parse_text

from schemas.config import Config
from schemas.kpis import CATALOGUE, Kpi
from schemas.metric_names import families_of
from schemas.rules import FLOOR, Rules
from sinks.board import Board
from sinks.collector import Exposition, FloorCollector
from sinks.describe import everything
from sinks.judge import Judge
from sinks.merge import Merge
from sinks.snapshot import Snapshot, Snapshots
from sinks.standing import BREACH, GOOD, Standing, Subject
from tests.builders import T0, Publisher, feed, whole_centre

VARIANTS = {"agents": "available", "message_ratio": "agent", "status_share": "busy", "cost_per_contact": "EUR"}
HOSTILE = ('a"b\\c', "{x=1}", "订单\u2028", "<b>", "a,b=c", "🦜" * 32)
each_kpi = pytest.mark.parametrize("kpi", CATALOGUE, ids=lambda kpi: kpi.id)


def settings_of(kpi: Kpi) -> dict[str, Any]:
    """Return thresholds that are always judged."""
    variant = {"variant": VARIANTS[kpi.id]} if kpi.id in VARIANTS else {}
    window = {} if kpi.form in ("state", "turnover") else {"window": "today" if kpi.days else "30m"}
    levels = {"warn": {"limit": 0.5}, "breach": {"limit": 0.5, "min_events": 0}}
    return {**levels, "min_samples": 0, "worse": "above", **variant, **window}


def judged(merge: Merge, config: Config, now: int = T0, ages: dict[int, int] | None = None) -> Snapshot:
    """Return a snapshot with standings."""
    taken = Snapshots(merge, (300_000, 900_000, 1_800_000, 3_600_000)).take(now, ready=True, readings_age_ms=ages or {0: 5})
    judge = Judge(config)
    return replace(taken, standings=judge.standings(taken), quiet=judge.quiet_places(taken), left_out=judge.left_out)


def exposed(snapshot: Snapshot, *, openmetrics: bool = False) -> str:
    """Return /metrics."""
    exposition = Exposition(FloorCollector(("5m", "30m", "today")))
    return exposition.render(snapshot, openmetrics=openmetrics, zipped=False).decode()


@functools.cache
def everything_judged() -> Snapshot:
    """Return a centre in which every indicator has something to show, and has limits."""
    merge = Merge(Rules(live=True))
    for worker in whole_centre():
        feed(merge, worker.flush(T0))
    kpis = {kpi.id: settings_of(kpi) for kpi in CATALOGUE}
    for kpi in kpis.values():
        for level in ("warn", "breach"):
            kpi[level].update({key: kpi[key] for key in ("window", "min_samples") if key in kpi})
    return judged(merge, Config.model_validate({"thresholds": {"kpis": kpis}}))


@functools.cache
def everything_exposed() -> dict[str, list[tuple[dict[str, str], float]]]:
    """Return name of sample → labels and value."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in parse_text(exposed(everything_judged())):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


@each_kpi
def test_what_is_judged_is_what_is_exported(kpi: Kpi) -> None:
    """For each indicator: the standing's value is the gauge's, for the same queue or group, window and variant."""
    standings = {subject: each for subject, each in everything_judged().standings.items() if subject.kpi == kpi.id}
    subject = next(each for each in standings if "north" in each or each[1:3] in {("orders", "voice"), ("orders", "any")})
    standing = standings[subject]
    family = families_of(kpi)[0]
    if subject.queue and kpi.dimension == "both":
        family = families_of(kpi)[1]
    wanted = {"queue": subject.queue, "channel": subject.channel, "group": subject.group, "window": standing.window, "stat": "mean"}
    own = {kpi.variants[0] if kpi.variants else "status": VARIANTS[kpi.id]} if kpi.id in VARIANTS else {}
    values = [
        value
        for labels, value in everything_exposed()[family.name]
        if all(labels[name] == (wanted | own)[name] for name in labels if name in wanted | own)
    ]
    if kpi.variants and not own:  # the total of all directions or kinds is judged, which is not exported
        assert standing.value is not None
        return
    assert standing.value == pytest.approx(values[0], rel=1e-9)
    assert (standing.level == BREACH) is (values[0] > 0.5)


def test_the_default_thresholds_judge_queues_and_groups() -> None:
    """Each on its own windows, with the facts behind it; the floor has no level of its own."""
    worker = Publisher().count("orders", T0 - 60_000, answered=40, answered_within=20, abandoned=6)
    worker.now("queue", "orders", "voice", waiting=2, oldest_entered_at=T0 - 95_000)
    for group in ("north", FLOOR):
        worker.now("group", group, "", status_available=7)
        worker.step(group, T0 - 3_000_000, "in_hand", 7)
    snapshot = judged(feed(Merge(Rules(live=True)), worker.flush(T0)), Config())
    orders = {subject.kpi: each for subject, each in snapshot.standings.items() if subject.queue == "orders"}
    assert orders["oldest_wait"] == Standing(BREACH, T0, 95.0, 60, 90)
    assert orders["service_level"] == Standing(BREACH, T0, 20 / 46, 0.8, 0.7, "15m", 46)
    assert orders["abandonment"] == Standing(BREACH, T0, 6 / 46, 0.05, 0.1, "15m", 46)
    assert orders["satisfaction"] == Standing(None, T0, None, 0.97, 0.9, "today", 0)
    groups = {subject.group for subject in snapshot.standings if subject.kpi == "occupancy"}
    assert groups == {"north"}
    assert {subject.channel for subject in snapshot.standings if subject.queue} == {"voice"}


def test_gauges_say_the_limits_and_levels_of_all_subjects() -> None:
    """`floorpulse_threshold` for both limits; `floorpulse_level` only where there are facts enough."""
    worker = Publisher().count("orders", T0 - 60_000, answered=29, answered_within=0)
    snapshot = judged(feed(Merge(Rules(live=True)), worker.flush(T0)), Config())
    families = {family.name: family for family in parse_text(exposed(snapshot))}
    orders = {"queue": "orders", "channel": "voice", "group": ""}
    limits = {(s.labels["kpi"], s.labels["level"]): s.value for s in families["floorpulse_threshold"].samples}
    assert (limits["service_level", "warn"], limits["service_level", "breach"], limits["oldest_wait", "breach"]) == (0.8, 0.7, 90)
    assert next(s.labels for s in families["floorpulse_threshold"].samples) == {"kpi": "oldest_wait", **orders, "level": "warn"}
    levels = {s.labels["kpi"]: s.value for s in families["floorpulse_level"].samples}
    assert levels == {"oldest_wait": GOOD}, "29 facts are too few"
    assert list(families["floorpulse_quiet"].samples) == []


def test_quiet_hours_stand_beside_the_level() -> None:
    """In the queue's zone: the level stays what it is, and a gauge says that nobody is woken."""
    config = Config.model_validate({"thresholds": {"queues": {"orders": {"quiet_hours": ["21:00-23:00"]}}},
                                    "queues": {"orders": {"zone": "Asia/Shanghai"}}})  # fmt: skip
    worker = Publisher()
    for queue in ("orders", "returns"):
        worker.now("queue", queue, "voice", waiting=1, oldest_entered_at=T0 - 95_000)
    snapshot = judged(feed(Merge(config.rules()), worker.flush(T0)), config)
    waits = {subject.queue: each for subject, each in snapshot.standings.items() if subject.kpi == "oldest_wait"}
    found = {queue: (each.level, each.quiet) for queue, each in waits.items()}
    assert found == {"orders": (BREACH, True), "returns": (BREACH, False)}
    assert 'floorpulse_quiet{channel="voice",group="",kpi="oldest_wait",queue="orders"} 1.0' in exposed(snapshot)
    assert {each["queue"] for each in everything(snapshot)["standings"] if each["quiet"]} == {"orders"}


@pytest.mark.parametrize("settings", [
    {}, {"kpis": {"oldest_wait": {"enabled": False}}}, {"channels": {"email": {"oldest_wait": {"enabled": False}}}},
])  # fmt: skip
def test_quiet_hours_of_a_queue_are_told_whatever_is_judged(settings: dict[str, Any]) -> None:
    """Alerts that no limit describes look at a series without kpi, in the queue's zone; none where it is day."""
    config = Config.model_validate({"thresholds": {"quiet_hours": ["21:00-23:00"], **settings},
                                    "queues": {"orders": {"zone": "Asia/Shanghai"}}})  # fmt: skip
    worker = Publisher()
    for queue, channel in (("orders", "voice"), ("orders", "email"), ("returns", "voice")):
        worker.now("queue", queue, channel, waiting=1, oldest_entered_at=T0 - 95_000)
    snapshot = judged(feed(Merge(config.rules()), worker.flush(T0)), config)
    quiet = next(family for family in parse_text(exposed(snapshot)) if family.name == "floorpulse_quiet")
    places = {(s.labels["queue"], s.labels["channel"], s.labels["group"]) for s in quiet.samples if not s.labels["kpi"]}
    assert places == {("orders", "voice", ""), ("orders", "email", "")}


def test_hostile_names_are_clean_in_both_formats() -> None:
    """Strict parsers and promtool read the gauges; names come out as they went in."""
    worker = Publisher()
    for name in HOSTILE:
        worker.now("queue", name, name, waiting=1, oldest_entered_at=T0 - 70_000)
        worker.step(name, T0 - 100_000, "in_hand", 9)
    snapshot = judged(feed(Merge(Rules(live=True)), worker.flush(T0)), Config())
    text = exposed(snapshot)
    levels = next(family for family in parse_text(text) if family.name == "floorpulse_level")
    assert {s.labels["queue"] for s in levels.samples if s.labels["kpi"] == "oldest_wait"} == set(HOSTILE)
    list(openmetrics_parser.text_string_to_metric_families(exposed(snapshot, openmetrics=True)))  # type: ignore[no-untyped-call]
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


def test_subjects_are_bounded_by_the_series_of_a_family() -> None:
    """`board.max_series` holds for limits, which are two per subject; what is left out is counted."""
    worker = Publisher()
    for number in range(80):
        worker.now("queue", f"q{number}", "voice", waiting=1)
    config = Config.model_validate({"board": {"max_series": 100}})
    snapshot = judged(feed(Merge(Rules(live=True)), worker.flush(T0)), config)
    families = {family.name: family for family in parse_text(exposed(snapshot))}
    assert len(snapshot.standings) == 50
    assert len(families["floorpulse_threshold"].samples) <= 100
    assert families["floorpulse_subjects_left_out"].samples[0].value == 5 * 80 - 50


def test_old_data_freezes_levels() -> None:
    """While a partition is silent for more than 15 s nothing changes, then it goes on; levels before are kept."""
    worker = Publisher().now("queue", "orders", "voice", waiting=1, oldest_entered_at=T0 - 50_000)
    merge = feed(Merge(Rules(live=True)), worker.flush(T0))
    snapshots, judge = Snapshots(merge, (900_000, 1_800_000, 3_600_000)), Judge(Config())

    def level(after_s: int, age_ms: int) -> tuple[int | None, float | None]:
        taken = snapshots.take(T0 + after_s * 1000, ready=True, readings_age_ms={0: 10, 1: age_ms})
        standing = judge.standings(taken)[Subject("oldest_wait", "orders", "voice")]
        return standing.level, standing.value

    assert level(0, 10) == (GOOD, 50)
    assert level(60, 15_001) == (GOOD, 50)
    assert level(61, 15_000) == (BREACH, 111)


@pytest.mark.parametrize(("live", "clock_s", "waited_s", "level"), [
    (True, 3600, 0.3, GOOD), (True, 0.3, 10, BREACH), (True, -3600, 10, BREACH), (False, 10, 0.3, BREACH), (False, 0.3, 10, GOOD),
])  # fmt: skip
def test_a_wall_clock_that_is_set_has_not_waited(live: bool, clock_s: float, waited_s: float, level: int) -> None:
    """A live board waits for `enter_after` by time that has passed, a replay by the floor's clock."""
    judge = Judge(Config.model_validate({"thresholds": {"kpis": {"waiting": {"warn": 20, "breach": 40}}}}))

    def look(waiting: int, now: int, taken_s: float) -> int | None:
        worker = Publisher().count("orders", T0 - 60_000, offered=50).now("queue", "orders", "voice", waiting=waiting)
        merge = feed(Merge(Rules(live=True)), worker.flush(T0))
        taken = Snapshots(merge, (900_000, 1_800_000, 3_600_000)).take(T0, ready=True, readings_age_ms={0: 10})
        found = judge.standings(replace(taken, now=now, taken_s=taken_s, live=live))
        return found[Subject("waiting", "orders", "voice")].level

    assert look(0, T0, 50.0) == GOOD
    assert look(41, T0 + 1000, 51.0) == GOOD
    assert look(41, T0 + 1000 + round(clock_s * 1000), 51 + waited_s) == level


def test_the_windows_of_thresholds_are_kept_and_exported() -> None:
    """Beside those that are configured; an indicator by day is judged on days."""
    config = Config.model_validate({"windows": ["5m"], "exported_windows": ["5m"], "board": {"listen": "127.0.0.1:0"},
                                    "thresholds": {"kpis": {"service_level": {"warn": {"window": "2m"}}}}})  # fmt: skip
    board = Board(config, {"bootstrap_servers": "127.0.0.1:1"})
    assert board._exported == ("5m", "2m", "15m", "60m", "today")
    assert {"2m", "5m", "15m", "60m", "today", "7d"} <= set(board.windows.labels)
