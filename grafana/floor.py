"""Floor overview: what a kiosk shows. All queues, now and over the last hour."""

from __future__ import annotations

from grafana.model import (
    LEVELS,
    Cell,
    Query,
    Row,
    above,
    bars,
    below,
    column,
    lines,
    stat,
    table,
    timeline,
    told,
    with_dashes,
    with_limit_lines,
    with_link,
)
from grafana.queries import PLACE, STAFFED, in_window, limits, merged, merged_rate, ratio, selector

LIMITS = "Colours by the default limits; the level of each queue goes by the thresholds of the configuration."
LEVEL = (
    "Level of each queue as board, wall-screen and alerts see it (floorpulse_level): worst of all its indicators, "
    "after hysteresis and minimum sample. No colour: too few contacts to judge."
)


def rows() -> list[Row]:
    """Return the dashboard's rows."""
    return [
        Row(4, _numbers()),
        Row(9, (Cell(_queues(), 17), Cell(_agents(), 7))),
        Row(8, (Cell(_states(), 24),)),
        Row(8, _trends()),
    ]


def _numbers() -> tuple[Cell, ...]:
    window = in_window("$window")
    age = stat(
        "Data age",
        "Since the last reading or heartbeat of the slowest partition. Beyond 15 s the other numbers are old.",
        Query(f"max({selector('readings_age_seconds')})"),
        unit="s",
        steps=above(15, 30),
        decimals=1,
    )
    waiting = stat("Waiting", told("waiting"), Query(f"sum({merged('waiting')})"), unit="short")
    oldest = stat(
        "Longest wait",
        told("oldest_wait", LIMITS),
        Query(f"max({selector('oldest_wait_seconds', PLACE)})"),
        unit="s",
        steps=above(60, 90),
    )
    level = stat(
        "Service level",
        told("service_level", "One number per formula: they must not be mixed.", LIMITS),
        Query(ratio("service_level", by="formula"), "{{formula}}"),
        unit="percentunit",
        steps=below(0.8, 0.7),
        decimals=1,
    )
    lost = stat(
        "Abandonment",
        told("abandonment", LIMITS),
        Query(ratio("abandonment")),
        unit="percentunit",
        steps=above(0.05, 0.10),
        decimals=1,
    )
    offered = stat(
        "Offered in the window",
        told("offered", "On how many the two ratios beside it stand."),
        Query(f"sum({merged('offered_in_window', window)})"),
        unit="short",
    )
    return tuple(Cell(each, 4) for each in (age, waiting, oldest, level, lost, offered))


def _queues() -> dict[str, object]:
    window = in_window("$window")
    made = table(
        "Queues",
        "One row per queue and channel, worst level first; the name leads to the drill-down. " + LEVEL,
        Query(merged("level"), column="Level"),
        Query(merged("waiting"), column="Waiting"),
        Query(merged("oldest_wait_seconds"), column="Longest wait"),
        Query(merged("expected_wait_seconds"), column="Expected wait"),
        Query(merged("service_level_ratio", window, by=("queue", "channel", "formula")), column="Service level"),
        Query(merged("abandonment_ratio", window), column="Abandonment"),
        unit="short",
        columns={
            "Level": column("none", above(1, 2), mappings=LEVELS),
            "Longest wait": column("s", above(60, 90)),
            "Expected wait": column("s"),
            "Service level": column("percentunit", below(0.8, 0.7), decimals=1),
            "Abandonment": column("percentunit", above(0.05, 0.10), decimals=1),
        },
        sort="Level",
    )
    return with_link(made, "queue", "Why?", "/d/floorpulse-queue?var-queue=${__data.fields.queue}&${__url_time_range}")


def _agents() -> dict[str, object]:
    return bars(
        "Agents",
        told("agents", "On the whole floor, each agent once, offline ones left out."),
        Query(f"max by (status) ({selector('floor_agents', STAFFED)})", "{{status}}"),
        unit="short",
    )


def _states() -> dict[str, object]:
    return timeline(
        "State of the queues",
        LEVEL,
        Query(merged("level"), "{{queue}} {{channel}}"),
        unit="none",
        steps=above(1, 2),
        mappings=LEVELS,
    )


def _trends() -> tuple[Cell, ...]:
    arrivals = lines(
        "Arrivals a minute",
        told("offered", "Per minute, and at the same time a week ago (dashed)."),
        Query(f"60 * sum({merged_rate('offered_total')})", "now"),
        Query(f"60 * sum({merged_rate('offered_total', offset='1w')})", "a week ago"),
        unit="cpm",
    )
    waits = lines(
        "Longest wait over time",
        told("oldest_wait", "The floor's worst, with the strictest limits of the configuration (floorpulse_threshold)."),
        Query(f"max({selector('oldest_wait_seconds', PLACE)})", "longest wait"),
        Query(limits("oldest_wait", "min"), "{{level}}"),
        unit="s",
    )
    taken = lines(
        "Answered and abandoned a minute",
        "What became of those who came, per minute.",
        *(Query(f"60 * sum({merged_rate(f'{name}_total')})", name) for name in ("answered", "abandoned")),
        unit="cpm",
    )
    return Cell(with_dashes(arrivals, "a week ago"), 8), Cell(with_limit_lines(waits), 8), Cell(taken, 8)


__all__ = ["rows"]
