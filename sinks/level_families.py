"""Metric families of thresholds and alerts: limits, how each subject stands, where nobody is to be woken, what was posted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from schemas.metric_names import PREFIX, SUBJECT_LABELS
from sinks.alert_log import AlertLog
from sinks.snapshot import Snapshot
from sinks.standing import Subject

LEFT_OUT: Final = "subjects_left_out"


def level_families(snapshot: Snapshot) -> Iterator[Metric]:
    """Yield the families of thresholds; who is judged on too few facts has no level."""
    limits = _gauge("threshold", "Limit in the indicator's unit, by level", "level")
    levels = _gauge("level", "How it stands after hysteresis and sample guard: 0 good, 1 warn, 2 breach")
    quiet = _gauge("quiet", "1 in quiet hours, in which nobody is woken; of a queue and channel as such without kpi")
    values = _gauge("judged_value", "What the level was judged by, in the indicator's unit")
    facts = _gauge("judged_facts", "How many facts that value rests on; 0 for states of now")
    for subject, standing in snapshot.standings.items():
        if standing.value is not None:
            values.add_metric(subject, standing.value)
        facts.add_metric(subject, standing.n)
        for name, limit in (("warn", standing.warn), ("breach", standing.breach)):
            if limit is not None:
                limits.add_metric((*subject, name), limit)
        if standing.level is not None:
            levels.add_metric(subject, standing.level)
        if standing.quiet:
            quiet.add_metric(subject, 1)
    for queue, channel in sorted(snapshot.quiet):
        quiet.add_metric(Subject("", queue, channel), 1)
    yield from (limits, levels, quiet, values, facts)
    text = "Queues and groups with a threshold that are not judged, because there are too many"
    yield GaugeMetricFamily(PREFIX + LEFT_OUT, text, value=snapshot.left_out)


def _gauge(name: str, text: str, *further: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, labels=(*SUBJECT_LABELS, *further))


def alert_families(alerts: AlertLog | None) -> Iterator[Metric]:
    """Yield the families about publishing and posting."""
    if alerts is None:
        return
    yield GaugeMetricFamily(PREFIX + "alerts_owner", "1 on the board that publishes and posts", value=int(alerts.owner))
    yield CounterMetricFamily(PREFIX + "alerts_published", "Records sent by this board", value=alerts.published)
    text = "Alerts that this board posted or gave up"
    posted = CounterMetricFamily(PREFIX + "webhook_alerts", text, labels=("webhook", "outcome"))
    pending = GaugeMetricFamily(PREFIX + "webhook_pending", "Alerts that are still to be posted", labels=("webhook",))
    for name, poster in alerts.posters.items():
        posted.add_metric((name, "delivered"), poster.counts.delivered)
        posted.add_metric((name, "failed"), poster.counts.failed)
        pending.add_metric((name,), poster.counts.pending)
    yield from (posted, pending)


__all__ = ["alert_families", "level_families"]
