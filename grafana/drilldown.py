"""Queue drill-down: why a queue is as it is."""

from __future__ import annotations

from grafana.model import Cell, Json, Query, Row, above, below, goal, heatmap, lines, stat, told, with_limit_lines
from grafana.queries import OF_ANY_CHANNEL, PLACE, in_window, limits, merged, merged_rate, quantile, ratio, selector

OUTCOMES = "answered|abandoned|timed_out|overflowed|callback|voicemail"
PIECES = ("talk", "hold", "wrap_up")


def rows() -> list[Row]:
    """Return the dashboard's rows."""
    return [
        Row(4, _numbers(), "Now"),
        Row(8, (Cell(_oldest(), 12), Cell(_waiting(), 12))),
        Row(8, (Cell(_levels(), 12), Cell(_on_how_many(), 12)), "Service level"),
        Row(8, (Cell(_waits(), 12), Cell(_wait_map(), 12)), "Waiting"),
        Row(8, (Cell(_arrivals(), 12), Cell(_outcomes(), 12)), "Load"),
        Row(8, (Cell(_responses(), 12), Cell(_handling(), 12)), "Work"),
    ]


def _numbers() -> tuple[Cell, ...]:
    level, by_formula = ratio("service_level", by="formula"), "{{formula}}"
    made = (
        stat("Waiting", told("waiting"), Query(f"sum({merged('waiting')})"), unit="short"),
        stat(
            "Longest wait",
            told("oldest_wait"),
            Query(f"max({selector('oldest_wait_seconds', PLACE)})"),
            unit="s",
            steps=above(60, 90),
        ),
        stat(
            "Expected wait",
            told("expected_wait", "The longest of the chosen queues."),
            Query(f"max({selector('expected_wait_seconds', PLACE)})"),
            unit="s",
        ),
        stat(
            "Slots free",
            told("slots_free", "An agent who serves two of the chosen queues is in both."),
            Query(f"sum(max by (queue, channel) ({selector('slots_free', OF_ANY_CHANNEL)}))"),
            unit="short",
        ),
        stat(
            "Service level", told("service_level"), Query(level, by_formula), unit="percentunit", steps=below(0.8, 0.7), decimals=1
        ),
        stat(
            "Abandonment", told("abandonment"), Query(ratio("abandonment")), unit="percentunit", steps=above(0.05, 0.10), decimals=1
        ),
    )
    return tuple(Cell(each, 4) for each in made)


def _oldest() -> Json:
    made = lines(
        "Longest wait and its limits",
        told("oldest_wait", "Dashed: the limits of the configuration (floorpulse_threshold), of the most lenient chosen queue."),
        Query(merged("oldest_wait_seconds"), "{{queue}} {{channel}}"),
        Query(limits("oldest_wait"), "{{level}}"),
        unit="s",
    )
    return with_limit_lines(made)


def _waiting() -> Json:
    return lines(
        "Waiting over time", told("waiting"), Query(merged("waiting"), "{{queue}} {{channel}}"), unit="short", stacked=True
    )


def _levels() -> Json:
    made = lines(
        "Service level by window",
        told("service_level", "A short window moves fast and stands on few contacts: see beside it. Dashed: the limits."),
        Query(merged("service_level_ratio", 'window=~"5m|30m|60m"', by=("window", "formula")), "{{window}} {{formula}}"),
        Query(limits("service_level"), "{{level}}"),
        unit="percentunit",
        max=1,
    )
    return with_limit_lines(made)


def _on_how_many() -> Json:
    counted = merged("service_level_denominator", 'window=~"5m|30m|60m"', by=("queue", "channel", "window"))
    return lines(
        "On how many contacts",
        "Denominator of the service level by window, over all chosen queues. Below 30 contacts the level says little: "
        "at a true level of 80 % one in eight samples of 10 shows less than 70 %.",
        Query(f"sum by (window) ({counted})", "{{window}}"),
        unit="short",
        steps=goal(30),
    )


def _waits() -> Json:
    stats = 'stat=~"mean|p50|p90|p95|max"'
    return lines(
        "Wait percentiles",
        told("queue_time", "Percentiles of several queues cannot be added up: choose one queue, else the worst one is shown."),
        Query(f"max by (stat) ({selector('queue_time_seconds', PLACE, in_window('$window'), stats)})", "{{stat}}"),
        unit="s",
        steps=above(60, 90),
    )


def _wait_map() -> Json:
    grown = merged_rate("queue_time_seconds_hist_bucket", "increase", by=("queue", "channel", "le"))
    return heatmap(
        "Waits of those who left",
        "How many left the queue after how long, whatever the outcome; exact counts at the limits of the buckets.",
        Query(f"sum by (le) ({grown})", "{{le}}"),
        unit="s",
    )


def _arrivals() -> Json:
    return lines(
        "Arrivals a minute",
        told("offered"),
        Query(f"60 * {merged_rate('offered_total')}", "{{queue}} {{channel}}"),
        unit="cpm",
        stacked=True,
    )


def _outcomes() -> Json:
    named = f'{{__name__=~"floorpulse_({OUTCOMES})_in_window",{PLACE},window="$window"}}'
    return lines(
        "What became of them",
        "Those who left the queue in the window, by outcome.",
        Query(f"sum by (__name__) (max by (__name__, queue, channel) ({named}))", "{{__name__}}"),
        unit="short",
        stacked=True,
    )


def _responses() -> Json:
    grown = merged_rate("first_response_seconds_hist_bucket", by=("queue", "channel", "le"))
    return lines(
        "First response",
        told("first_response", "The 90th percentile is read off a histogram: it holds over any queues, to its buckets."),
        Query(quantile(0.9, grown), "p90"),
        Query(ratio("first_response"), "mean of the window"),
        unit="s",
        steps=above(20, 40),
    )


def _handling() -> Json:
    return lines(
        "Handle time",
        told("handle_time", "In its three parts, over all chosen queues."),
        *(Query(ratio(f"{piece}_time"), piece.replace("_", "-")) for piece in PIECES),
        unit="s",
        stacked=True,
    )


__all__ = ["rows"]
