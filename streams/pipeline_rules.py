"""Prometheus alerts about the pipeline itself: is anybody there, is data fresh, is what comes in any good."""

from __future__ import annotations

from typing import Final

from schemas.metric_names import PREFIX
from streams.alert_rules import ALERT, Links
from streams.promql import AGENTS, EVENTS, MINUTE_MS, Rule, Spans

BOARD_JOB: Final = "floorpulse-board"
WORKER_JOB: Final = "floorpulse-worker"
BUDGET: Final = 0.01
"""Share of the time in which data may be old: fresh 99 % of the time."""
BURN: Final = ((14.4, "1h", "5m", "page"), (6.0, "6h", "30m", "page"), (1.0, "3d", "6h", "ticket"))
"""How many times too fast the budget is used up, over which windows, and who is woken."""
MANY_LAGGING: Final = 5_000
STALE_S: Final = 30
SILENT_S: Final = 120


def pipeline_alerts(spans: Spans, links: Links) -> list[Rule]:
    """Return the alerts about boards, workers, freshness, and what comes in."""
    return [*_presence(spans, links), *_freshness(spans, links), *_input(spans, links), *_messages(spans, links)]


def _rule(name: str, expr: str, severity: str, links: Links, texts: tuple[str, str], *, for_ms: int = 0, keep_ms: int = 0,
          labels: dict[str, str] | None = None) -> Rule:  # fmt: skip
    summary, description = texts
    return Rule(
        expr, alert=ALERT + name, for_ms=for_ms, keep_ms=keep_ms, labels={"severity": severity, **(labels or {})},
        annotations={"summary": summary, "description": description, **links.of(ALERT + name, "health")},
    )  # fmt: skip


def _presence(spans: Spans, links: Links) -> list[Rule]:
    minute = spans.ms(MINUTE_MS)
    started = f'process_start_time_seconds{{job=~"{BOARD_JOB}|{WORKER_JOB}"}}'
    return [
        _rule("Watchdog", "vector(1)", "none", links,
              ("Alerting works", "Fires always. Who receives it (a dead-man's switch) raises the alarm when it stops coming.")),
        _rule("BoardDown", f'absent(up{{job="{BOARD_JOB}"}} == 1)', "page", links,
              ("No board answers", "Prometheus reaches no board: no wall-screen, no indicators, no alerts about them."),
              for_ms=minute),
        _rule("WorkerDown", f'absent(up{{job="{WORKER_JOB}"}} == 1)', "page", links,
              ("No worker answers", "Prometheus reaches no worker: events stay in Kafka, numbers stand still."), for_ms=minute),
        _rule("RestartLoop", f"changes({started}[{spans.span(15 * MINUTE_MS)}]) > 3", "page", links,
              ("{{ $labels.job }} {{ $labels.instance }} started {{ $value }} times in 15 min", "It ends and is started again.")),
    ]  # fmt: skip


def _freshness(spans: Spans, links: Links) -> list[Rule]:
    age, half = f"{PREFIX}readings_age_seconds", spans.ms(30_000)
    stale = f"min(max by (instance) ({age})) > {STALE_S} or absent({age})"
    silent = f"min({PREFIX}data_age_seconds) > {SILENT_S}"
    present = f'sum({AGENTS}{{status!="offline"}}) > 0'
    burns = []
    for factor, long, short, severity in BURN:
        limit = f"{factor * BUDGET:g}"
        expr = f"floor:floorpulse_stale:ratio_avg{long} > {limit} and floor:floorpulse_stale:ratio_avg{short} > {limit}"
        texts = (
            f"Data was old for {{{{ $value | humanizePercentage }}}} of the last {long}",
            f"Fresh data 99 % of the time is the aim; at this pace the month's allowance is used up {factor:g} times too fast.",
        )
        burns.append(_rule("FreshnessBudgetBurn", expr, severity, links, texts, labels={"window": long}))
    return [
        _rule("DataStale", stale, "page", links,
              ("Numbers are old", "On every board some partition was not heard of for 30 s: indicators and levels stand still."),
              for_ms=half, keep_ms=spans.ms(MINUTE_MS)),
        _rule("NoEvents", f"{silent} and on () {present}", "page", links,
              ("No event for {{ $value | humanizeDuration }} although agents are there",
               "The pipeline works, but nothing comes in: the source, or what sends its events, is silent."),
              for_ms=spans.ms(MINUTE_MS)),
        *burns,
    ]  # fmt: skip


def _input(spans: Spans, links: Links) -> list[Rule]:
    lag, window = f"{PREFIX}consumer_lag", spans.span(10 * MINUTE_MS)
    lagging = f"sum by (topic) ({lag}) > {MANY_LAGGING} and on (topic) sum by (topic) (deriv({lag}[{window}])) > 0"
    quarter = spans.span(15 * MINUTE_MS)
    per_window = spans.ms(5 * MINUTE_MS) / 1000
    enough = f"and on (topic) sum by (topic) ({EVENTS}) * {per_window:g} >= 100"
    shares = {
        outcome: f'sum by (topic) ({EVENTS}{{outcome="{outcome}"}}) / sum by (topic) ({EVENTS}) > {limit} {enough}'
        for outcome, limit in (("invalid", "0.01"), ("late", "0.005"))
    }
    gone = f'{PREFIX}worker_skipped_offsets_total{{cause=~"compaction|retention"}}[{quarter}]'
    clocks = f"sum(max by (topic) (increase({PREFIX}clock_errors_total[{quarter}]))) > 20"
    return [
        _rule("LagGrowing", lagging, "ticket", links,
              ("{{ $value }} records of {{ $labels.topic }} are not read yet, and it gets more",
               "Workers do not keep up: numbers run late."), for_ms=spans.ms(5 * MINUTE_MS)),
        _rule("InvalidEvents", shares["invalid"], "ticket", links,
              ("{{ $value | humanizePercentage }} of the events of {{ $labels.topic }} are invalid",
               "They are in floorpulse.dead-letters with the reason, and count nowhere.")),
        _rule("LateEvents", shares["late"], "ticket", links,
              ("{{ $value | humanizePercentage }} of the events of {{ $labels.topic }} come too late",
               "They are in floorpulse.late, and count nowhere.")),
        _rule("ClockErrors", clocks, "ticket", links,
              ("{{ $value | humanize }} negative durations in 15 min", "Clocks of the sources differ; they are booked as 0.")),
        _rule("EventsGone", f"sum by (cause) (increase({gone})) > 0", "ticket", links,
              ("{{ $value | humanize }} offsets were gone before they were read ({{ $labels.cause }})",
               "Records of an input were deleted or compacted away before they were counted; some events may be missing.")),
        _rule("EventsUnaccounted", f"max by (topic, partition) ({PREFIX}worker_unaccounted) != 0", "ticket", links,
              ("{{ $value }} records of {{ $labels.topic }} [{{ $labels.partition }}] have no outcome",
               "Received less applied, duplicate, late and invalid is not 0: a fault of floorpulse."),
              for_ms=spans.ms(5 * MINUTE_MS)),
    ]  # fmt: skip


def _messages(spans: Spans, links: Links) -> list[Rule]:
    failed = f'increase({PREFIX}webhook_alerts_total{{outcome="failed"}}[{spans.span(15 * MINUTE_MS)}])'
    return [
        _rule("WebhookFailing", f"sum by (webhook) ({failed}) > 0", "ticket", links,
              ("Alerts could not be posted to {{ $labels.webhook }}", "The board gave them up; they are in floorpulse.alerts.")),
        _rule("AlertsUnpublished", f"max({PREFIX}alerts_owner) == 0", "ticket", links,
              ("No board publishes alerts", "No board owns floorpulse.alerts: no records there, and no webhooks of the board."),
              for_ms=spans.ms(5 * MINUTE_MS)),
    ]  # fmt: skip


__all__ = ["pipeline_alerts"]
