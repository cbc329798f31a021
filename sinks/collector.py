"""The Prometheus collector: one snapshot in, families out; and the cached payload that scrapes get.

Indicators have series only once the board has read everything that was published before it started, so that a
restart never shows as a drop to zero. Health has series always.
"""

from __future__ import annotations

import gzip
import platform
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from prometheus_client import ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from schemas.errors import REASONS
from schemas.events import MAX_NAME_CHARS
from schemas.parts import TOTALS
from sinks.delays import LIMITS_MS, limit_text
from sinks.exposition import END, Writer
from sinks.families import PREFIX, indicator_families
from sinks.level_families import level_families
from sinks.series import MAX_SERIES, Bounds
from sinks.snapshot import Health, Snapshot

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
SAME_S: Final = 2.0
"""So long a payload of one snapshot is given again; where snapshots have stopped its ages go on."""
_OUTCOMES: Final = ("applied", "duplicate", "late", "invalid")
_MAX_LABELS: Final = 200
"""Label values from workers' counters: topics and reasons, of which there are a few dozen."""
_COUNTER: Final = re.compile(r"[a-z][a-z_]{0,60}")
_TAKEN: Final = {*TOTALS, "events", "invalid_events", "clock_errors", "readings_ignored", "series_overflow"}


@lru_cache(1)
def product_version() -> str:
    """Return the installed version."""
    try:
        return version("floorpulse")
    except PackageNotFoundError:
        return "0"


class FloorCollector(Collector):
    """Families of one snapshot; `windows` are the labels to export, `further` yields families of whoever else has any."""

    def __init__(
        self, windows: Sequence[str], max_series: int = MAX_SERIES, further: Callable[[], Iterable[Metric]] = tuple
    ) -> None:
        self._further = further
        self.snapshot: Snapshot | None = None
        self._windows = tuple(windows)
        self._bounds = Bounds(max_series)
        self._process = ProcessCollector(registry=None)

    def collect(self) -> Iterator[Metric]:
        """Yield all families of the present snapshot."""
        snapshot = self.snapshot
        if snapshot is not None:
            if snapshot.ready:
                yield from indicator_families(snapshot, self._bounds, self._windows)
                yield from level_families(snapshot)
            yield from _health_families(snapshot.health, snapshot.live, int(time.monotonic() - snapshot.taken_s))
        yield from self._further()
        yield _counter("series_overflow", "Names without series of their own, because there are too many", self._bounds.overflowed)
        build = GaugeMetricFamily(PREFIX + "build_info", "What runs here", labels=["version", "python"])
        build.add_metric([product_version(), platform.python_version()], 1)
        yield build
        yield from self._process.collect()


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + name, text, value=value)


def _health_families(health: Health, live: bool, since_s: int) -> Iterator[Metric]:
    """Yield how the pipeline is doing; `since_s`: seconds since then, by which ages have grown."""
    yield GaugeMetricFamily(PREFIX + "ready", "1 when everything published so far has been read", value=int(health.ready))
    ages = GaugeMetricFamily(PREFIX + "readings_age_seconds", "Since the last reading or heartbeat", labels=["partition"])
    for partition, age in sorted(health.readings_age_ms.items()):
        ages.add_metric([str(partition)], age / 1000 + since_s)
    yield ages
    if health.data_age_ms is not None:
        text = "Now less the newest event time"
        yield GaugeMetricFamily(PREFIX + "data_age_seconds", text, value=health.data_age_ms / 1000 + since_s * live)
    yield from _event_families(health)
    yield from _other_counters(health.counters)
    ignored = CounterMetricFamily(PREFIX + "readings_ignored", "Readings without effect, by reason", labels=["reason"])
    for reason, count in sorted(health.ignored.items()):
        ignored.add_metric([reason], count)
    yield ignored
    yield _delays(health)


def _event_families(health: Health) -> Iterator[Metric]:
    events = CounterMetricFamily(PREFIX + "events", "Events read, by topic and outcome", labels=["topic", "outcome"])
    for topic, outcomes in sorted(health.events.items())[:_MAX_LABELS]:
        counts = dict.fromkeys(_OUTCOMES, 0) | dict(sorted(outcomes.items())[:_MAX_LABELS])
        for outcome, count in counts.items():
            events.add_metric([topic[:MAX_NAME_CHARS], outcome[:MAX_NAME_CHARS]], max(0, count))
    yield events
    reasons: Mapping[str, int] = dict.fromkeys(REASONS, 0)
    for name, prefix, label, text, least in (
        ("invalid_events", "invalid.", "reason", "Events whose own content is illegal, by reason", reasons),
        ("clock_errors", "clock_errors.", "topic", "Negative durations, booked as 0", {}),
    ):
        family = CounterMetricFamily(PREFIX + name, text, labels=[label])
        for value, count in {**least, **_with_prefix(health.counters, prefix)}.items():
            family.add_metric([value], max(0, count))
        yield family


def _with_prefix(counters: Mapping[str, int], prefix: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for counter, count in sorted(counters.items()):
        label = counter.removeprefix(prefix)[:MAX_NAME_CHARS]
        if counter.startswith(prefix) and (label in found or len(found) < _MAX_LABELS):
            found[label] = found.get(label, 0) + count
    return found


def _other_counters(counters: Mapping[str, int]) -> Iterator[Metric]:
    """Yield counters of the workers that have no labels, under their own name."""
    names = [name for name in sorted(counters) if _COUNTER.fullmatch(name) and name not in _TAKEN]
    for name in names[:_MAX_LABELS]:
        yield _counter(name, f"{name.replace('_', ' ').capitalize()}, counted by the workers", max(0, counters[name]))


def _delays(health: Health) -> Metric:
    buckets: list[tuple[str, float]] = []
    seen = 0
    for limit, count in zip(LIMITS_MS, health.delays.counts, strict=False):
        seen += count
        buckets.append((limit_text(limit), seen))
    buckets.append(("+Inf", sum(health.delays.counts)))
    text = "From the flush to this board"
    return HistogramMetricFamily(PREFIX + "publish_delay_seconds", text, buckets=buckets, sum_value=health.delays.sum_ms / 1000)


class Exposition:
    """Payloads of one snapshot, each form made once; not for two threads at a time.

    What is joined in the end is bytes, and that gives the interpreter up meanwhile, as compressing does.
    """

    def __init__(self, collector: FloorCollector) -> None:
        self._collector = collector
        self._writers = {openmetrics: Writer(openmetrics=openmetrics) for openmetrics in (False, True)}
        self._made: dict[tuple[bool, bool], bytes] = {}
        self._number = -1
        self._until_s = 0.0

    def render(self, snapshot: Snapshot, *, openmetrics: bool, zipped: bool) -> bytes:
        """Return the payload in text 0.0.4 or OpenMetrics 1.0, plain or gzip."""
        now = time.monotonic()
        if snapshot.number != self._number or now >= self._until_s:
            self._number, self._made, self._until_s = snapshot.number, {}, now + SAME_S
            self._collector.snapshot = snapshot
        key = (openmetrics, zipped)
        if key not in self._made:
            if zipped:
                plain = self.render(snapshot, openmetrics=openmetrics, zipped=False)
                self._made[key] = gzip.compress(plain, 4, mtime=0)
            else:
                families = self._writers[openmetrics].write(self._collector.collect())
                self._made[key] = b"".join([*families, END if openmetrics else b""])
        return self._made[key]


__all__ = ["OPENMETRICS", "TEXT", "Exposition", "FloorCollector", "product_version"]
