"""Comparisons of whole centres, by way of the real core, equal the oracle's recount of both sides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.parts import AGENT_DAYS
from sinks.comparisons import gather
from sinks.snapshot import Snapshots
from tests.oracle import agent_days, clean
from tests.oracle.windows import compared, comparisons
from tests.property.test_long_centres import COUNTED_BY, Made, deliveries, made
from tests.property.test_truth import Delivery, agents_counted, counted, delivered, rows_of

CENTRES: Final = 30
SIDE_OF: Final = {"yesterday": "today", "week_ago": "today", "before": "7d"}


@settings(max_examples=CENTRES)
@given(made, deliveries, st.sampled_from(sorted(COUNTED_BY)))
def test_both_sides_of_each_comparison_equal_the_oracle(centre: Made, how: Delivery, counting: str) -> None:
    """Counts and sums by queue, levels, peaks and agents of days by group."""
    rules, expected = COUNTED_BY[counting]
    arrived = how.arrived(centre.events())
    applied = clean(arrived)
    merge, now = delivered(arrived, rules, how)
    snapshots = Snapshots(merge, (300_000,))
    snapshots.take(0, ready=True, readings_age_ms={})
    found = gather(snapshots.windows, merge, {})
    for base, truths in comparisons(applied, expected, now).items():
        for name, truth in zip((SIDE_OF[base], base), truths, strict=True):
            queues = rows_of(((queue.name, queue.channel), counted(queue.sides[name])) for queue in found.queues)
            assert queues == rows_of((key, row) for key, row in truth.queues.items() if key[1] is not None), name
            groups = rows_of((group.name, agents_counted(group.sides[name])) for group in found.groups)
            assert groups == rows_of(truth.groups.items()), name
    for base, sides in compared(expected, now).items():
        for name, spans in zip((SIDE_OF[base], base), sides, strict=True):
            agents = {group.name: group.sides[name].get(AGENT_DAYS, 0) for group in found.groups}
            assert without_zeros(agents) == without_zeros(agent_days(applied, expected, now, spans)), name


def without_zeros(counts: Mapping[str, int]) -> dict[str, int]:
    """Return those that are not 0."""
    return {name: count for name, count in counts.items() if count}
