"""Thresholds in the configuration: defaults, who overrides whom, what is refused, quiet hours, scaled times."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

from schemas.config import Config
from schemas.config_file import effective, load
from schemas.errors import ConfigError
from schemas.kpis import CATALOGUE
from schemas.quiet import parse_quiet
from schemas.threshold_settings import DEFAULTS
from schemas.thresholds import Limit, Threshold, Thresholds

ON = ["oldest_wait", "service_level", "abandonment", "first_response", "occupancy", "satisfaction"]


def thresholds(**section: object) -> Thresholds:
    """Return the section with some settings."""
    return Thresholds.model_validate(section)


def of(section: Thresholds, kpi: str, **where: str) -> Threshold:
    """Return what an indicator is judged by there."""
    found = section.of(kpi, **where)
    assert found is not None
    return found


def of_alert(limit: Limit) -> tuple[int, int, str]:
    """Return after how many seconds it alerts, how many it goes on, and whom it wakes."""
    return limit.alert_ms // 1000, limit.keep_ms // 1000, limit.severity


def refusal(tmp_path: Path, text: str) -> str:
    """Return the words in which a file is refused."""
    file = tmp_path / "c.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file)
    return str(caught.value)


def test_the_defaults_are_those_of_the_documents() -> None:
    """What is on, its limits, windows and sample sizes, times and severities."""
    section = thresholds()
    assert [kpi.id for kpi in section.judged()] == ["oldest_wait", "service_level", "abandonment", "first_response", "occupancy",
                                                    "satisfaction"]  # fmt: skip
    table = {
        (kpi, limit.level): (limit.limit, limit.window, limit.min_samples, *of_alert(limit))
        for kpi in ON for limit in of(section, kpi).limits if limit.severity != "none"
    }  # fmt: skip
    assert table == {
        ("oldest_wait", 2): (90, "", 0, 15, 60, "page"),
        ("service_level", 1): (0.80, "30m", 50, 300, 600, "ticket"),
        ("service_level", 2): (0.70, "15m", 30, 120, 300, "page"),
        ("abandonment", 2): (0.10, "15m", 30, 120, 300, "page"),
        ("first_response", 2): (40, "15m", 20, 180, 300, "ticket"),
        ("occupancy", 2): (0.90, "60m", 5, 1800, 900, "ticket"),
        ("satisfaction", 2): (0.90, "today", 30, 900, 3600, "ticket"),
    }
    assert {kpi: of(section, kpi).limit_of(1) for kpi in ON} == {
        "oldest_wait": 60, "service_level": 0.8, "abandonment": 0.05, "first_response": 20, "occupancy": 0.85, "satisfaction": 0.97,
    }  # fmt: skip
    assert of(section, "abandonment").limits[1].min_events == 5


def test_every_indicator_of_the_catalogue_can_be_switched_on() -> None:
    """With limits, and where the catalogue leaves it open, the bad side or the variant."""
    variants = {"agents": "available", "message_ratio": "customer", "status_share": "away", "cost_per_contact": "EUR"}
    for kpi in CATALOGUE:
        worse = {} if kpi.better else {"worse": "above"}
        variant = {"variant": variants[kpi.id]} if kpi.id in variants else {}
        window = {"window": "today"} if kpi.days else {}
        down = kpi.better == "up"
        named = {"warn": 0.6 if down else 0.4, "breach": 0.4 if down else 0.6, **worse, **variant, **window}
        assert of(thresholds(kpis={kpi.id: named}), kpi.id).limits[0].limit == named["warn"], kpi.id
    off = {kpi for kpi, settings in DEFAULTS.items() if settings.enabled is False}
    assert all(thresholds(kpis={kpi: {"enabled": True}}).of(kpi) is not None for kpi in off)
    assert all(thresholds().of(kpi.id) is None for kpi in CATALOGUE if kpi.id not in ON)


def test_the_most_specific_setting_wins_key_by_key() -> None:
    """Queue and channel, queue, channel, indicator; what is not named stays."""
    section = thresholds(
        kpis={"oldest_wait": {"breach": {"limit": "100s", "severity": "ticket"}}},
        channels={"email": {"oldest_wait": {"warn": "1h", "breach": "2h"}}, "chat": {"oldest_wait": {"enabled": False}}},
        queues={"orders": {"kpis": {"oldest_wait": {"breach": "80s"}}, "channels": {"email": {"oldest_wait": {"breach": "3h"}}}}},
    )
    limits = {
        where: [limit.limit for limit in of(section, "oldest_wait", queue=where[0], channel=where[1]).limits]
        for where in (("a", "voice"), ("a", "email"), ("orders", "voice"), ("orders", "email"))
    }
    assert limits == {("a", "voice"): [60, 100], ("a", "email"): [3600, 7200], ("orders", "voice"): [60, 80],
                      ("orders", "email"): [3600, 10_800]}  # fmt: skip
    assert section.of("oldest_wait", queue="a", channel="chat") is None
    assert of(section, "oldest_wait", queue="orders", channel="chat").limits[1].severity == "ticket", "named, hence on"
    assert of(thresholds(groups={"north": {"occupancy": {"breach": 0.95}}}), "occupancy", group="north").limits[1].limit == 0.95


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("kpis:\n    servcie_level: {breach: 0.5}", ["line 3", "thresholds.kpis.servcie_level", "did you mean service_level?"]),
        ("kpis:\n    service_level:\n      brech: 0.5", ["line 4", "brech", "did you mean breach?"]),
        ("kpis:\n    service_level:\n      warn:\n        windw: 5m", ["line 5", "windw", "did you mean window?"]),
        ("kpis:\n    abandonment: {window: 7m5s}", ["line 3", "window", "multiple of 10s"]),
        ("kpis:\n    abandonment: {warn: many}", ["line 3", "warn.limit", "not a limit"]),
        ("kpis:\n    abandonment: {warn: 0.3}", ["abandonment", "breach 0.1 is better than warn 0.3"]),
        ("kpis:\n    abandonment: {warn: 5}", ["limit 5 is not a ratio", "80%"]),
        ("kpis:\n    concurrency: {breach: 3}", ["concurrency", "set worse to above or below"]),
        ("kpis:\n    waiting: {window: 5m}", ["waiting", "set warn or breach"]),
        ("kpis:\n    status_share: {breach: 0.2, worse: above}", ["status_share", "set variant", "status"]),
        ("kpis:\n    transfer_rate: {variant: cold}", ["variant 'cold'", "blind, warm"]),
        ("kpis:\n    abandon_time: {stat: p90, breach: 9}", ["stat p90", "no percentiles"]),
        ("kpis:\n    reviews_per_reviewer_day: {worse: below, breach: 9, window: 5m}", ["today and 7d only"]),
        ("groups:\n    north:\n      oldest_wait: {breach: 9}", ["groups.north.oldest_wait", "not an indicator of groups"]),
        ("queues:\n    orders:\n      kpis: {occupancy: {breach: 0.9}}", ["queues.orders.kpis.occupancy", "of queues"]),
        ("queues:\n    q:\n      channels: {chat: {turnover: {breach: 0.9}}}", ["queues.q.channels.chat.turnover", "of queues"]),
        ("channels:\n    chat:\n      work_rate: {breach: 0.9}", ["channels.chat.work_rate", "not an indicator of queues"]),
        ("quiet_hours: ['22:00']", ["line 2", "22:00-06:00"]),
        ("time_scale: 0", ["line 2", "time_scale"]),
    ],
)  # fmt: skip
def test_nonsense_is_refused_in_words(tmp_path: Path, section: str, words: list[str]) -> None:
    """With the line where the file has one, and the remedy."""
    message = refusal(tmp_path, f"thresholds:\n  {section}\n")
    assert [word for word in words if word not in message] == [], message


def test_the_effective_configuration_can_be_read_again() -> None:
    """What `check-config` prints means the same."""
    queues = {"订单": {"kpis": {"oldest_wait": {"breach": "2m"}}}}
    section = {"quiet_hours": ["22:00-06:00"], "queues": queues, "kpis": {"waiting": {"warn": 9}, "placement": {"enabled": True}}}
    config = Config.model_validate({"thresholds": section})
    again = Config.model_validate(yaml.safe_load(effective(config)))
    for kpi in ("oldest_wait", "waiting", "service_level"):
        assert again.thresholds.of(kpi, queue="订单", channel="x") == config.thresholds.of(kpi, queue="订单", channel="x")


def test_one_factor_scales_all_times() -> None:
    """Delays, windows (whole slices, 10 s at least) and limits in seconds; no ratio, no sample size, no day."""
    slow, fast = thresholds(), thresholds(time_scale=0.05)
    wait, level = of(fast, "oldest_wait").limits[1], of(fast, "service_level").limits
    assert (wait.limit, wait.alert_ms, wait.keep_ms, wait.leave_ms) == (4.5, 750, 3000, 750)
    found = [(each.window, each.limit, each.enter_ms, each.min_samples) for each in level]
    assert found == [("90s", 0.8, 500, 50), ("50s", 0.7, 500, 30)]
    assert slow.windows() == ["15m", "30m", "60m", "today"]
    assert fast.windows() == ["50s", "90s", "3m", "today"]
    assert of(thresholds(time_scale=0.001), "occupancy").limits[0].window == "10s"


@pytest.mark.parametrize(
    ("limit", "below", "good"),
    [(0.70, True, 0.72), (0.99, True, 0.995), (1.0, True, 1.0), (0.10, False, 0.08), (0.01, False, 0.005), (0.0, False, 0.0)],
)
def test_a_margin_never_asks_for_more_than_there_is(limit: float, below: bool, good: float) -> None:
    """Two points, or half of the way to the best that a ratio can be."""
    kpi = "service_level" if below else "abandonment"
    section = thresholds(kpis={kpi: {"warn": {"limit": limit}, "breach": {"limit": limit, "window": "5m"}}})
    assert of(section, kpi).limits[1].leave_at == pytest.approx(good)


def at(text: str, zone: str = "Europe/Berlin") -> int:
    """Return an instant of local time in ms."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("span", "inside", "outside"),
    [
        ("12:00-13:00", ["2026-11-21T12:00", "2026-11-21T12:59"], ["2026-11-21T13:00", "2026-11-21T11:59"]),
        ("22:00-06:00", ["2026-11-21T22:00", "2026-11-22T05:59"], ["2026-11-21T21:59", "2026-11-22T06:00"]),
        ("Sat,Sun 00:00-24:00", ["2026-11-21T00:00", "2026-11-22T23:59"], ["2026-11-20T23:59", "2026-11-23T00:00"]),
        ("Fri-Mon 00:00-24:00", ["2026-11-20T10:00", "2026-11-23T10:00"], ["2026-11-19T10:00", "2026-11-24T10:00"]),
        ("Fri 22:00-06:00", ["2026-11-20T23:00", "2026-11-21T05:00"], ["2026-11-20T05:00", "2026-11-21T23:00"]),
    ],
)
def test_quiet_hours_are_local_time(span: str, inside: list[str], outside: list[str]) -> None:
    """In the queue's zone; a span over midnight belongs to the day on which it begins."""
    found = parse_quiet(span)
    assert [text for text in inside if not found.holds("Europe/Berlin", at(text))] == []
    assert [text for text in outside if found.holds("Europe/Berlin", at(text))] == []


def test_the_most_specific_quiet_hours_win() -> None:
    """Of the queue's indicator, of the queue, of the indicator, of all."""
    section = thresholds(
        quiet_hours=["01:00-02:00"],
        kpis={"satisfaction": {"quiet_hours": ["02:00-03:00"]}},
        queues={"orders": {"quiet_hours": ["03:00-04:00"], "kpis": {"oldest_wait": {"quiet_hours": []}}}},
    )
    hours = {
        (kpi, queue): [span.start_ms // 3_600_000 for span in of(section, kpi, queue=queue).quiet]
        for kpi in ("oldest_wait", "satisfaction", "abandonment") for queue in ("orders", "returns")
    }  # fmt: skip
    assert hours == {
        ("oldest_wait", "orders"): [], ("oldest_wait", "returns"): [1], ("satisfaction", "orders"): [3],
        ("satisfaction", "returns"): [2], ("abandonment", "orders"): [3], ("abandonment", "returns"): [1],
    }  # fmt: skip
