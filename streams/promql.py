"""Pieces of Prometheus rules: what a rule is, how times and names are written in PromQL, recording rules.

Any number of boards may be scraped. What is recorded merges them, and leaves out a board whose readings are old.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from schemas.durations import format_duration
from schemas.kpis import BY_ID
from schemas.metric_names import PREFIX, families_of
from schemas.thresholds import STALE_MS, Thresholds

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
BURN_WINDOWS_MS: Final = {"5m": 5 * MINUTE_MS, "30m": 30 * MINUTE_MS, "1h": HOUR_MS, "6h": 6 * HOUR_MS, "3d": 3 * DAY_MS}
FRESH_INSTANCE: Final = "instance:floorpulse_fresh:bool"
FRESH_FLOOR: Final = "floor:floorpulse_fresh:bool"
LEVEL: Final = "kpi_queue_channel_group:floorpulse_level:max"
QUIET: Final = "kpi_queue_channel_group:floorpulse_quiet:max"
WAITING: Final = "queue_channel:floorpulse_waiting:max"
OLDEST: Final = "queue_channel:floorpulse_oldest_wait_seconds:max"
CAPACITY: Final = "queue_channel:floorpulse_capacity:max"
AGENTS: Final = "group_status:floorpulse_agents:max"
OFFERED: Final = "queue_channel:floorpulse_offered:increase15m"
EVENTS: Final = "topic_outcome:floorpulse_events:rate5m"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: an alert, or with `record` a recording rule."""

    expr: str
    record: str = ""
    alert: str = ""
    for_ms: int = 0
    keep_ms: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)

    def written(self) -> dict[str, Any]:
        """Return it as in a rule file."""
        if self.record:
            return {"record": self.record, "expr": self.expr}
        times = {"for": self.for_ms, "keep_firing_for": self.keep_ms}
        spans = {key: format_duration(ms) for key, ms in times.items() if ms}
        return {"alert": self.alert, "expr": self.expr, **spans, "labels": self.labels, "annotations": self.annotations}


class Spans:
    """Times of rules, scaled like those of the thresholds; how old data may be is the pipeline's matter, and not scaled."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._scaled = thresholds.scaled

    def ms(self, ms: int) -> int:
        """Return a time in ms."""
        return self._scaled(ms)

    def span(self, ms: int) -> str:
        """Return a time as PromQL writes it: 15m."""
        return format_duration(max(1, self._scaled(ms)))

    def seconds(self, ms: int) -> str:
        """Return a time as a number of seconds."""
        return f"{self._scaled(ms) / 1000:g}"


def quoted(text: str) -> str:
    """Return a name as a string of PromQL."""
    return json.dumps(text, ensure_ascii=False)


def _merged(name: str, metric: str, by: str) -> Rule:
    fresh = f"on (instance) ({FRESH_INSTANCE} == 1)"
    return Rule(f"max by ({by}) ({metric} and {fresh})", record=name)


def recording(spans: Spans) -> list[Rule]:
    """Return the recording rules."""
    readings = f"{PREFIX}readings_age_seconds"
    rules = [
        Rule(f"max by (instance) ({readings}) < bool {STALE_MS / 1000:g}", record=FRESH_INSTANCE),
        Rule(f"avg({FRESH_INSTANCE}) or 0 * last_over_time({FRESH_FLOOR}[{spans.span(HOUR_MS)}])", record=FRESH_FLOOR),
        *(
            Rule(f"1 - avg_over_time({FRESH_FLOOR}[{spans.span(ms)}])", record=f"floor:floorpulse_stale:ratio_avg{label}")
            for label, ms in BURN_WINDOWS_MS.items()
        ),
        _merged(WAITING, f"{PREFIX}waiting", "queue, channel"),
        _merged(OLDEST, f"{PREFIX}oldest_wait_seconds", "queue, channel"),
        _merged(CAPACITY, f'{PREFIX}capacity{{queue!=""}}', "queue, channel"),
        _merged(AGENTS, f"{PREFIX}agents", "group, status"),
        _merged(LEVEL, f"{PREFIX}level", "kpi, queue, channel, group"),
        _merged(QUIET, f"{PREFIX}quiet", "kpi, queue, channel, group"),
        _merged("kpi_level_queue_channel:floorpulse_threshold:max", f"{PREFIX}threshold", "kpi, level, queue, channel, group"),
    ]
    by_window = ("queue", "channel", "window")
    for kpi, labels in (("service_level", (*by_window, "formula")), ("abandonment", by_window)):
        wide, prefix = labels[2:], "_".join(labels)
        parts = [family.name for family in families_of(BY_ID[kpi]) if family.role in ("numerator", "denominator")]
        rules += [_merged(f"{prefix}:{part}:max", part, ", ".join(labels)) for part in parts]
        top, bottom = (f"sum by ({', '.join(wide)}) ({prefix}:{part}:max)" for part in parts)
        rules.append(Rule(f"{top} / {bottom}", record=f"{'_'.join(wide)}:{PREFIX}{kpi}:ratio"))
    window = spans.span(15 * MINUTE_MS)
    rules.append(Rule(f"max by (queue, channel) (increase({PREFIX}offered_total[{window}]))", record=OFFERED))
    rate = f"rate({PREFIX}events_total[{spans.span(5 * MINUTE_MS)}])"
    rules.append(Rule(f"max by (topic, outcome) ({rate})", record=EVENTS))
    return rules


__all__ = [
    "AGENTS", "BURN_WINDOWS_MS", "CAPACITY", "DAY_MS", "EVENTS", "HOUR_MS", "LEVEL", "MINUTE_MS",
    "OFFERED", "OLDEST", "QUIET", "WAITING", "Rule", "Spans", "quoted", "recording",
]  # fmt: skip
