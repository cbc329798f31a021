"""Lines from memory: whatever comes, goes and changes, each text is the library's."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, Exemplar, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from sinks.exposition import END, LEFT_OVER, Writer

NAMES = st.text(max_size=5) | st.sampled_from(["a b", 'a"b', "a\\", "a\nb", "a} 1", "\u202eb", "\U0001f600", ""])
VALUES = st.integers(-10, 10**9) | st.floats() | st.sampled_from([0, 1, 0.5, 999_999, 1_000_000.0, 1e21])
ROWS = st.lists(st.tuples(NAMES, NAMES, VALUES), max_size=6)


class Registry(Collector):
    """Families as a registry."""

    def __init__(self, families: Iterable[Metric]) -> None:
        """Take them."""
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        """Return them."""
        return self._families


def written(writer: Writer, families: Iterable[Metric]) -> bytes:
    """Return the text by a writer."""
    return b"".join(writer.write(families))


def by_library(families: Iterable[Metric], *, openmetrics: bool) -> bytes:
    """Return the text by the library."""
    text: bytes = (generate_openmetrics if openmetrics else generate_latest)(Registry(families))
    return text.removesuffix(END)


def families_of(rows: list[tuple[str, str, float]], text: str) -> list[Metric]:
    """Return a gauge, a counter and a histogram with a sample per row."""
    gauge = GaugeMetricFamily("f_gauge", text, labels=["queue", "window"])
    mixed = GaugeMetricFamily("f_mixed", text)
    counter = CounterMetricFamily("f_counter", text, labels=["queue", "window"])
    histogram = HistogramMetricFamily("f_histogram", text, labels=["queue"])
    for queue, window, value in rows:
        gauge.add_metric([queue, window], value)
        mixed.add_sample("f_mixed", {"queue": queue}, value)
        mixed.add_sample("f_mixed", {"group": queue}, value)
        counter.add_metric([queue, window], value)
        histogram.add_metric([queue], [("0.5", 1), ("+Inf", value)], value)
    return [gauge, mixed, counter, histogram]


@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "OpenMetrics"])
@given(looks=st.lists(ROWS, min_size=1, max_size=4), text=NAMES)
def test_each_text_is_the_librarys(*, openmetrics: bool, looks: list[list[tuple[str, str, float]]], text: str) -> None:
    """The first one and those after it, with rows that come, go, stay with another value, or come twice."""
    writer = Writer(openmetrics=openmetrics)
    for rows in [*looks, *looks]:
        assert written(writer, families_of(rows, text)) == by_library(families_of(rows, text), openmetrics=openmetrics)


@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "OpenMetrics"])
def test_what_else_a_sample_may_have_is_written(*, openmetrics: bool) -> None:
    """A time, an exemplar, and when a counter was made, on a line that was known without."""

    def families(*, more: bool) -> list[Metric]:
        stamped = GaugeMetricFamily("f_stamped", "text", labels=["queue"])
        stamped.add_metric(["orders"], 1, timestamp=12.5 if more else None)
        made = CounterMetricFamily("f_made", "text", labels=["queue"])
        made.add_metric(["orders"], 1, created=12.5 if more else None, exemplar=Exemplar({"id": "x"}, 2.0) if more else None)
        return [stamped, made]

    writer = Writer(openmetrics=openmetrics)
    for more in (False, True, False):
        assert written(writer, families(more=more)) == by_library(families(more=more), openmetrics=openmetrics)


def test_lines_that_have_gone_are_forgotten() -> None:
    """However many names come and go, no more is known than a multiple of what there is."""
    writer = Writer(openmetrics=False)
    for number in range(100):
        written(writer, families_of([(f"queue {number}", "5m", 1), ("orders", "5m", number)], "text"))
        for family, known in zip(families_of([("a", "b", 1), ("c", "d", 1)], "text"), writer._known.values(), strict=True):
            assert len(known.starts) <= (LEFT_OVER + 1) * len(family.samples)
    written(writer, [])
    assert not writer._known
