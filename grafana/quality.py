"""Quality: what customers and reviewers say, what is solved, what is passed on."""

from __future__ import annotations

from grafana.model import Cell, Json, Query, Row, Steps, above, below, goal, lines, stat, told
from grafana.queries import OF_ANY_CHANNEL, in_window, merged, ratio, selector

TODAY, WEEK = "today", "7d"


def rows() -> list[Row]:
    """Return the dashboard's rows."""
    return [
        Row(5, _said(), "What is said"),
        Row(8, (Cell(_trend("satisfaction", "Satisfaction", below(0.97, 0.90)), 12), Cell(_surveys(), 12))),
        Row(5, _solved(), "What is solved, what is passed on"),
        Row(8, (Cell(_passed_on(), 12), Cell(_invalid(), 12))),
        Row(8, (Cell(_complaints(), 8), Cell(_complaint_time(), 8), Cell(_cost(), 8)), "What it costs"),
    ]


def _share(kpi: str, title: str, window: str, steps: Steps, more: str = "", *, pieces: str = "") -> Json:
    told_window = {"today": "Today.", "7d": "Today and the six days before."}.get(window, "Over the chosen window.")
    query = ratio(kpi, window, top=pieces, bottom=pieces)
    return stat(title, told(kpi, told_window, more).strip(), Query(query), unit="percentunit", steps=steps, decimals=1)


def _said() -> tuple[Cell, ...]:
    return (
        Cell(_share("satisfaction", "Satisfaction", TODAY, below(0.97, 0.90)), 6),
        Cell(_share("survey_response", "Survey response", TODAY, goal(0.50)), 6),
        Cell(_share("review_pass_rate", "Review pass rate", WEEK, goal(0.95)), 6),
        Cell(_share("live_review_share", "Live reviews", TODAY, goal(0.50)), 6),
    )


def _trend(kpi: str, title: str, steps: Steps) -> Json:
    shown = ratio(kpi, TODAY, by="queue")
    return lines(
        title + " by queue, today",
        told(kpi, "It begins anew at midnight of the queue's zone."),
        Query(shown, "{{queue}}"),
        unit="percentunit",
        steps=steps,
        max=1,
    )


def _surveys() -> Json:
    return lines(
        "Ratings and invitations, today",
        "On how many ratings satisfaction stands: below 30 a single bad one moves it by points. Bad are 2 of 5 and less; good "
        "centres have 3 in 100 at most.",
        Query(f"sum({merged('satisfaction_denominator', in_window(TODAY))})", "rated"),
        Query(f"sum({merged('survey_response_denominator', in_window(TODAY))})", "invited"),
        Query(f"sum({merged('rated_bad_in_window', in_window(TODAY))})", "bad"),
        unit="short",
    )


def _solved() -> tuple[Cell, ...]:
    settled = "A contact is settled 24 h after its end, so this number is a day behind."
    return (
        Cell(_share("first_contact_resolution", "First contact resolution", WEEK, below(0.85, 0.75), settled), 6),
        Cell(_share("repeat_contact_rate", "Repeat contacts", TODAY, above(0.15, 0.25), "Live, unlike the number beside it."), 6),
        Cell(_share("placement", "Placement", "$window", above(0.15, 0.20)), 6),
        Cell(_share("connect_rate", "Connect rate", "$window", below(0.98, 0.95), pieces="direction"), 6),
    )


def _by_queue(kpi: str, top: str, bottom: str = "") -> str:
    return ratio(kpi, by="queue", top=top, bottom=bottom)


def _passed_on() -> Json:
    return lines(
        "Transfers by queue",
        told("transfer_rate", "Blind and warm ones together."),
        Query(_by_queue("transfer_rate", "kind"), "{{queue}}"),
        unit="percentunit",
        steps=above(0.01, 0.03),
    )


def _invalid() -> Json:
    return lines(
        "Invalid sessions by queue",
        told("invalid_rate", "Callbacks are in neither part."),
        Query(_by_queue("invalid_rate", "direction", "direction"), "{{queue}}"),
        unit="percentunit",
        steps=above(0.01, 0.03),
    )


def _complaints() -> Json:
    return lines(
        "Open complaints",
        told("complaints_open"),
        Query(f"sum by (queue) ({_wide('complaints_open')})", "{{queue}}"),
        unit="short",
        stacked=True,
    )


def _wide(metric: str, *matchers: str, by: str = "queue, channel") -> str:
    """Return a gauge whose events name no channel: chosen by queue only."""
    return f"max by ({by}) ({selector(metric, OF_ANY_CHANNEL, *matchers)})"


def _wide_ratio(kpi: str, window: str, by: str) -> str:
    pieces = "queue, channel, currency" if by == "currency" else "queue, channel"
    sides = [f"sum by ({by}) ({_wide(f'{kpi}_{side}', in_window(window), by=pieces)})" for side in ("numerator", "denominator")]
    return " / ".join(sides)


def _complaint_time() -> Json:
    return lines(
        "Complaint time, seven days",
        told("complaint_time"),
        Query(_wide_ratio("complaint_time", WEEK, "queue"), "{{queue}}"),
        unit="s",
    )


def _cost() -> Json:
    return lines(
        "Cost per contact, today",
        told("cost_per_contact", "A line per currency, in its units."),
        Query(_wide_ratio("cost_per_contact", TODAY, "currency"), "{{currency}}"),
        unit="short",
        decimals=2,
    )


__all__ = ["rows"]
