"""Prometheus alerts: of indicators, generated from the thresholds, and of the pipeline.

Indicator alerts fire on `floorpulse_level`, so that they never disagree with the screen. Where queues, channels or groups have
times or severities of their own, they have rules of their own under the same name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from schemas.config import Config
from schemas.durations import format_duration
from schemas.kpis import Kpi
from schemas.metric_names import PREFIX
from schemas.thresholds import Limit, Threshold
from streams.promql import CAPACITY, HOUR_MS, LEVEL, MINUTE_MS, OFFERED, OLDEST, QUIET, WAITING, Rule, Spans, quoted

ALERT: Final = "Floorpulse"
GENERAL_PAGE: Final = ALERT + "Threshold"
"""Runbook page of indicators that have none of their own."""
_NAMES: Final = {
    ("first_response", 2): "FirstResponseSlow",
    ("occupancy", 2): "OccupancyHigh",
    ("satisfaction", 2): "SatisfactionLow",
}
PAGES: Final = frozenset({
    "OldestWaitBreach", "ServiceLevelBreach", "ServiceLevelWarning", "AbandonmentBreach", *_NAMES.values(),
})  # fmt: skip
_JOINED: Final = "on (kpi, queue, channel, group)"
_WEEK_MS: Final = 7 * 24 * HOUR_MS


def name_of(kpi: str, level: int) -> str:
    """Return the name of an indicator's alert, without the prefix."""
    stem = "".join(word.capitalize() for word in kpi.split("_"))
    return _NAMES.get((kpi, level), stem + ("Breach" if level > 1 else "Warning"))


class Links:
    """Addresses in annotations."""

    def __init__(self, config: Config) -> None:
        alerts = config.alerts
        self._runbooks = alerts.runbooks_url
        self._grafana = None if alerts.grafana_url is None else alerts.grafana_url.rstrip("/")
        self._board = (alerts.board_url or f"http://{config.board.listen}/").rstrip("/")

    def of(self, page: str, dashboard: str, *labels: str) -> dict[str, str]:
        """Return runbook and dashboard; `labels` are those that choose what is shown."""
        if self._grafana is not None:
            chosen = "".join(f"&var-{label}={{{{ $labels.{label} | urlquery }}}}" for label in labels)
            shown = f"{self._grafana}/d/floorpulse-{dashboard}?from=now-1h&to=now{chosen}"
        else:
            on_wall = {"queue": "queue", "agents": "agents"}.get(dashboard, "queues")
            chosen = "".join(f"&{label}={{{{ $labels.{label} | urlquery }}}}" for label in labels)
            shown = f"{self._board}/?page={on_wall}{chosen}"
        return {"runbook_url": f"{self._runbooks}{page}.md", "dashboard_url": shown}


# ---- indicators


class _Times(NamedTuple):
    """What differs from rule to rule of one alert."""

    for_ms: int
    keep_ms: int
    severity: str


def _times(threshold: Threshold | None, level: int) -> _Times | None:
    """Return the times of one level; None: nobody is woken by it."""
    limits: tuple[Limit, ...] = () if threshold is None else threshold.limits
    found = next((limit for limit in limits if limit.level == level), None)
    return None if found is None or found.severity == "none" else _Times(found.alert_ms, found.keep_ms, found.severity)


def indicator_alerts(config: Config, links: Links) -> Iterator[Rule]:
    """Yield the alerts of all indicators that are judged anywhere."""
    for kpi in config.thresholds.judged():
        for level in (2, 1):
            usual = _times(config.thresholds.of(kpi.id), level)
            together: dict[_Times, list[list[str]]] = {}
            for times, where in _cases(config, kpi, level):
                together.setdefault(times, []).append(where)
            for times, places in together.items():
                yield _indicator_alert(kpi, level, times, places, links, apart=times != usual)


def _cases(config: Config, kpi: Kpi, level: int) -> list[tuple[_Times, list[str]]]:
    """Return (times, matchers): of the special queues, channels and groups, then of all others."""
    thresholds, found = config.thresholds, list[tuple[_Times | None, list[str]]]()
    usual = _times(thresholds.of(kpi.id), level)
    others: list[str] = []
    for queue, special in thresholds.queues.items():
        if kpi.id in special.kpis or any(kpi.id in kpis for kpis in special.channels.values()):
            channels = [channel for channel, kpis in special.channels.items() if kpi.id in kpis]
            channels += [channel for channel, kpis in thresholds.channels.items() if kpi.id in kpis and channel not in channels]
            equal = f"queue={quoted(queue)}"
            for channel in channels:
                case = thresholds.of(kpi.id, queue=queue, channel=channel)
                found.append((_times(case, level), [equal, f"channel={quoted(channel)}"]))
            rest = [f"channel!={quoted(channel)}" for channel in channels]
            found.append((_times(thresholds.of(kpi.id, queue=queue), level), [equal, *rest]))
            others.append(f"queue!={quoted(queue)}")
    apart = list(others)
    for channel, kpis in thresholds.channels.items():
        if kpi.id in kpis:
            found.append((_times(thresholds.of(kpi.id, channel=channel), level), [f"channel={quoted(channel)}", *others]))
            apart.append(f"channel!={quoted(channel)}")
    for group, kpis in thresholds.groups.items():
        if kpi.id in kpis:
            found.append((_times(thresholds.of(kpi.id, group=group), level), [f"group={quoted(group)}"]))
            apart.append(f"group!={quoted(group)}")
    if all(times == usual for times, _ in found):
        return [] if usual is None else [(usual, [])]
    return [(times, where) for times, where in [*found, (usual, apart)] if times is not None]


def _indicator_alert(kpi: Kpi, level: int, times: _Times, places: list[list[str]], links: Links, *, apart: bool) -> Rule:
    name, by_group = name_of(kpi.id, level), kpi.dimension == "group"
    matchers = [",".join([f'kpi="{kpi.id}"', *where]) for where in places]
    levels = [f"{LEVEL}{{{each}}} >= {level}" for each in matchers]
    beyond = levels[0] if len(levels) == 1 else f"({' or '.join(levels)})"
    page = ALERT + name if name in PAGES else GENERAL_PAGE
    dashboard = "quality" if kpi.section == "quality" else "agents" if by_group else "queue"
    labels = {"severity": times.severity, "level": "breach" if level > 1 else "warn"}
    if apart:  # rules of one name must differ in their labels
        labels["times"] = f"{format_duration(times.for_ms)}/{format_duration(times.keep_ms)}"
    return Rule(
        f"{beyond} unless {_JOINED} {QUIET}",
        alert=ALERT + name,
        for_ms=times.for_ms,
        keep_ms=times.keep_ms,
        labels=labels,
        annotations={**_texts(kpi, level), **links.of(page, dashboard, *(("group",) if by_group else ("queue", "channel")))},
    )


def _texts(kpi: Kpi, level: int) -> dict[str, str]:
    """Return summary and description: who, what, value; limit, facts, definition."""
    shape = {"seconds": "humanizeDuration", "ratio": "humanizePercentage"}.get(kpi.unit, "humanize")
    value, facts = _asked("judged_value", kpi, f" | {shape}"), _asked("judged_facts", kpi, "")
    limit = _asked("threshold", kpi, f" | {shape}", f',level="{"breach" if level > 1 else "warn"}"')
    who = "{{ or $labels.group $labels.queue }}{{ with $labels.channel }} ({{ . }}){{ end }}"
    what = f"someone has waited {value}" if kpi.id == "oldest_wait" else f"{kpi.title.lower()} {value}"
    on = "" if kpi.form == "state" else f", on {facts} {'agents' if kpi.dimension == 'group' else 'facts'}"
    return {"summary": f"{who}: {what}", "description": f"Limit {limit}{on}. {kpi.title}: {kpi.definition}."}


def _asked(metric: str, kpi: Kpi, shape: str, more: str = "") -> str:
    """Return a template that asks for a value of the subject; a dash where there is none any more."""
    labels = "queue=%q,channel=%q,group=%q"
    query = f"max({PREFIX}{metric}{{kpi='{kpi.id}',{labels}{more.replace(chr(34), chr(39))}}})"
    arguments = "$labels.queue $labels.channel $labels.group"
    return f'{{{{ with printf "{query}" {arguments} | query }}}}{{{{ . | first | value{shape} }}}}{{{{ else }}}}–{{{{ end }}}}'


# ---- floor


def floor_alerts(spans: Spans, links: Links) -> list[Rule]:
    """Return the alerts about queues that no limit of an indicator describes."""
    quiet = f'unless on (queue, channel) {QUIET}{{kpi=""}}'
    earlier = f"{OFFERED} offset {spans.span(_WEEK_MS)}"
    unstaffed = f"{WAITING} > 0 and on (queue) max by (queue) ({CAPACITY}) == 0 {quiet}"
    old = f'{OLDEST}{{channel=~"voice|chat|video"}} > {spans.seconds(HOUR_MS)}'

    def rule(name: str, expr: str, minutes: int, severity: str, kpi: str, summary: str, description: str) -> Rule:
        texts = {"summary": f"{{{{ $labels.queue }}}} ({{{{ $labels.channel }}}}): {summary}", "description": description}
        return Rule(
            expr, alert=ALERT + name, for_ms=spans.ms(minutes * MINUTE_MS), labels={"severity": severity, "kpi": kpi},
            annotations={**texts, **links.of(ALERT + name, "queue", "queue", "channel")},
        )  # fmt: skip

    came = "{{ $value | humanize }} contacts in 15 min, far"
    return [
        rule("QueueUnstaffed", unstaffed, 1, "page", "capacity", "{{ $value }} wait and nobody can take them",
             "No agent who serves this queue is available."),
        rule("TrafficDrop", f"{OFFERED} < 0.4 * ({earlier} >= 50) {quiet}", 5, "ticket", "offered", f"{came} fewer than a week ago",
             "Less than 0.4 of what came in at the same time a week ago."),
        rule("TrafficSurge", f"({OFFERED} >= 50) > 2 * ({earlier}) {quiet}", 5, "ticket", "offered", f"{came} more than a week ago",
             "More than twice of what came in at the same time a week ago."),
        rule("GhostWaiter", old, 5, "ticket", "oldest_wait", "somebody seems to have waited {{ $value | humanizeDuration }}",
             "So long nobody waits there: most likely a queue.left is missing."),
    ]  # fmt: skip


__all__ = ["ALERT", "GENERAL_PAGE", "PAGES", "Links", "floor_alerts", "indicator_alerts"]
