"""Scenarios of Prometheus rules with the default thresholds: what is silent, and what fires when.

Where facts are given, levels come from the board's own judgement of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.thresholds import Thresholds
from sinks.levels import Judgement, Levels, Measured
from sinks.standing import Subject
from tests.promtool import Scenario, level


def judged(kpi: str, facts: Sequence[tuple[float | None, int, int]], steps: int = 120) -> str:
    """Return the level that a board shows of these facts (value, n, numerator) each 15 s, as promtool writes it; the last stays."""
    threshold = Thresholds().of(kpi, queue="orders", channel="voice")
    assert threshold is not None
    levels, subject, shown = Levels(1), Subject(kpi, "orders", "voice"), []
    levels.judge(0, [])
    for step in range(steps):
        measured = Measured(*facts[min(step, len(facts) - 1)])
        standing = levels.judge((step + 1) * 15_000, [Judgement(subject, threshold, (measured, measured))])[subject]
        shown.append("_" if standing.level is None else str(standing.level))
    return " ".join(shown)


WAITING = 'floorpulse_waiting{queue="orders",channel="voice",instance="a"}'
CAPACITY = 'floorpulse_capacity{queue="orders",channel="voice",instance="a"}'
AGENTS = 'floorpulse_agents{group="north",status="available",instance="a"}'
AGES = [f'floorpulse_readings_age_seconds{{instance="{board}",partition="0"}}' for board in "ab"]
DATA_AGE = 'floorpulse_data_age_seconds{instance="a"}'
QUIET = 'floorpulse_quiet{kpi="service_level",queue="orders",channel="voice",instance="a"}'
QUIET_PLACE = 'floorpulse_quiet{queue="orders",channel="voice",instance="a"}'
SILENT = [
    Scenario("all is well", level("0x200"), [("40m", {})]),
    Scenario("1 of 2 within", level(judged("service_level", [(0.5, 2, 1)])), [("25m", {})]),
    Scenario("exactly at the limit of 0.70", level(judged("service_level", [(0.7, 100, 70)])), [("4m", {})]),
    Scenario("nobody came: 0/0", level(judged("service_level", [(None, 0, 0)])), [("25m", {})]),
    Scenario("no thresholds", {}, [("25m", {})]),
    Scenario("a quiet night", {DATA_AGE: "2+15x200", AGENTS: "0x200"}, [("40m", {})]),
    Scenario("4 of 30 gave up", level(judged("abandonment", [(4 / 30, 30, 4)]), kpi="abandonment"), [("25m", {})]),
    Scenario("30 s without readings", dict.fromkeys(AGES, "1x240 15 30 1x200"), [("60m30s", {}), ("61m", {})]),
    Scenario("a warning of the longest wait is a colour only", level("1x100", kpi="oldest_wait"), [("20m", {})]),
    Scenario("quiet hours", {**level("2x100"), QUIET: "1x100"}, [("10m", {})]),
    Scenario("a frozen board among two", {**level("0x240 2x60", "a"), **level("0x300", "b"), AGES[0]: "1x240 20+15x60"},
             [("61m", {}), ("64m", {"FreshnessBudgetBurn": 1})]),
]  # fmt: skip
FIRING = [
    Scenario("18 of 30 within, 2 minutes, once though two boards", {
        **level(judged("service_level", [(0.6, 30, 18)])), **level(judged("service_level", [(0.6, 30, 18)]), "b"),
    }, [("2m", {}), ("2m30s", {"ServiceLevelBreach": 1}), ("6m", {"ServiceLevelBreach": 1, "ServiceLevelWarning": 1})]),
    Scenario("5 of 40 gave up", level(judged("abandonment", [(5 / 40, 40, 5)]), kpi="abandonment"),
             [("3m", {"AbandonmentBreach": 1})]),
    Scenario("the longest wait", level("0 0 2x50", kpi="oldest_wait"), [("30s", {}), ("45s", {"OldestWaitBreach": 1})]),
    Scenario("slow first responses", level("2x50", kpi="first_response"), [("2m45s", {}), ("3m", {"FirstResponseSlow": 1})]),
    Scenario("low satisfaction", level("2x100", kpi="satisfaction"), [("14m", {}), ("15m", {"SatisfactionLow": 1})]),
    Scenario("a short recovery does not clear, a lasting one does after 5 minutes", level("2x15 0x10 2x5 0x100"), [
        ("3m", {"ServiceLevelBreach": 1}), ("6m", {"ServiceLevelBreach": 1}), ("8m", {"ServiceLevelBreach": 1}),
        ("12m30s", {"ServiceLevelBreach": 1}), ("13m30s", {}),
    ]),
    Scenario("a queue that is removed", level("2x20 stale"), [
        ("4m", {"ServiceLevelBreach": 1}), ("12m", {"ServiceLevelWarning": 1}), ("16m", {}),
    ]),
    Scenario("a board that starts anew", level("2x20 _x6 2x40"), [
        ("4m", {"ServiceLevelBreach": 1}), ("6m", {"ServiceLevelBreach": 1, "ServiceLevelWarning": 1}),
        ("8m", {"ServiceLevelBreach": 1, "ServiceLevelWarning": 1}),
    ]),
    Scenario("quiet hours begin and end", {**level("2x100"), QUIET: "_x19 1x40 stale"}, [
        ("4m", {"ServiceLevelBreach": 1}), ("12m", {}), ("18m", {"ServiceLevelBreach": 1}),
    ]),
    Scenario("an agent's group", {'floorpulse_level{kpi="occupancy",group="north",instance="a"}': "2x200"}, [
        ("29m", {}), ("31m", {"OccupancyHigh": 1}),
    ]),
    Scenario("a quiet day with agents", {DATA_AGE: "2+15x200", AGENTS: "3x200"},
             [("2m", {}), ("3m30s", {"NoEvents": 1})]),
    Scenario("10 minutes without readings", dict.fromkeys(AGES, "1x19 15+15x200"), [
        ("5m45s", {"FreshnessBudgetBurn": 3}),
        ("8m", {"DataStale": 1, "FreshnessBudgetBurn": 3}),
    ]),
    Scenario("all series are gone", dict.fromkeys(AGES, "1x19 stale"), [("7m", {"DataStale": 1, "FreshnessBudgetBurn": 3})]),
    Scenario("there never were any", dict.fromkeys(AGES, None), [("2m", {"DataStale": 1})]),
    Scenario("no board", {'up{job="floorpulse-board",instance="a"}': "0x20", 'up{job="floorpulse-board",instance="b"}': None},
             [("45s", {}), ("1m", {"BoardDown": 1})]),
    Scenario("no worker", {'up{job="floorpulse-worker",instance="w"}': None}, [("1m", {"WorkerDown": 1})]),
    Scenario("one of two boards is down", {'up{job="floorpulse-board",instance="b"}': "0x20"}, [("4m", {})]),
    Scenario("nobody serves a queue", {WAITING: "2x20", CAPACITY: "0x20"}, [("45s", {}), ("1m", {"QueueUnstaffed": 1})]),
    Scenario("nobody serves it in quiet hours, whatever is judged", {WAITING: "2x60", CAPACITY: "0x60", QUIET_PLACE: "1x19 stale"},
             [("4m", {}), ("6m30s", {"QueueUnstaffed": 1})]),
    Scenario("somebody serves it", {WAITING: "2x20", CAPACITY: "1x20"}, [("4m", {})]),
    Scenario("a ghost", {'floorpulse_oldest_wait_seconds{queue="orders",channel="voice",instance="a"}': "3500+15x60"},
             [("6m", {}), ("12m30s", {"GhostWaiter": 1})]),
    Scenario("a letter may wait", {'floorpulse_oldest_wait_seconds{queue="orders",channel="email",instance="a"}': "3500+15x60"},
             [("12m30s", {})]),
    Scenario("lag that grows", {'floorpulse_consumer_lag{topic="queues",instance="w"}': "1000+300x60"},
             [("3m", {}), ("9m", {"LagGrowing": 1})]),
    Scenario("lag that falls", {'floorpulse_consumer_lag{topic="queues",instance="w"}': "50000-300x60"}, [("9m", {})]),
    Scenario("2 of 100 invalid, 1 of 100 late", {
        'floorpulse_events_total{topic="queues",outcome="applied",instance="a"}': "0+97x60",
        'floorpulse_events_total{topic="queues",outcome="invalid",instance="a"}': "0+2x60",
        'floorpulse_events_total{topic="queues",outcome="late",instance="a"}': "0+1x60",
    }, [("6m", {"InvalidEvents": 1, "LateEvents": 1})]),
    Scenario("2 of 50 invalid in all", {
        'floorpulse_events_total{topic="queues",outcome="applied",instance="a"}': "0+2x60",
        'floorpulse_events_total{topic="queues",outcome="invalid",instance="a"}': "0+1x60",
    }, [("6m", {})]),
    Scenario("clocks differ", {'floorpulse_clock_errors_total{topic="queues",instance="a"}': "0x8 0+3x60"},
             [("8m", {"ClockErrors": 1})]),
    Scenario("it starts again and again",
             {'process_start_time_seconds{job="floorpulse-worker",instance="w"}': "1x4 2x4 3x4 4x4 5x99"},
             [("4m", {}), ("6m", {"RestartLoop": 1})]),
    Scenario("records were deleted before they were read", {
        'floorpulse_worker_skipped_offsets_total{cause="retention",instance="w"}': "0x8 40x20",
        'floorpulse_worker_skipped_offsets_total{cause="marker",instance="w"}': "0+5x28",
    }, [("3m", {"EventsGone": 1})]),
    Scenario("a record without an outcome",
             {'floorpulse_worker_unaccounted{topic="queues",partition="0",instance="w"}': "0x4 1x60"},
             [("6m", {}), ("6m15s", {"EventsUnaccounted": 1})]),
    Scenario("a webhook gives up", {'floorpulse_webhook_alerts_total{webhook="w",outcome="failed",instance="a"}': "0x8 1x20"},
             [("3m", {"WebhookFailing": 1})]),
    Scenario("nobody publishes alerts", {'floorpulse_alerts_owner{instance="a"}': "0x60"},
             [("4m45s", {}), ("5m", {"AlertsUnpublished": 1})]),
]  # fmt: skip

__all__ = ["FIRING", "SILENT"]
