"""Agents and occupancy: who is there, and how busy are they? Groups only, never persons."""

from __future__ import annotations

from grafana.model import Cell, Json, Query, Row, Steps, above, below, column, lines, stat, table, told
from grafana.queries import GROUP, STAFFED, group_ratio, in_window, matcher, selector


def rows() -> list[Row]:
    """Return the dashboard's rows."""
    return [
        Row(4, _numbers(), "Now"),
        Row(9, (Cell(_statuses(), 12), Cell(_groups(), 12))),
        Row(8, _shares(), "How busy"),
        Row(8, _pace(), "How much"),
    ]


def _by_group(metric: str, *matchers: str) -> str:
    return f"max by (group) ({selector(metric, GROUP, *matchers)})"


def _numbers() -> tuple[Cell, ...]:
    once = "On the whole floor, each agent once."
    available = selector("floor_agents", 'status="available"')
    staffed = f"sum(max by (status) ({selector('floor_agents', STAFFED)}))"
    made = [
        stat("Available", told("agents", once), Query(f"max({available})"), unit="short"),
        stat("Staffed", "All agents but those who are offline. " + once, Query(staffed), unit="short"),
        stat(
            "Available of staffed",
            "Share of those on duty who can take a contact now.",
            Query(f"max({available}) / {staffed}"),
            unit="percentunit",
        ),
    ]
    made += [
        stat(f"Slots {state}", told(kpi, once), Query(f"max({selector('floor_slots', matcher('state', state))})"), unit="short")
        for state, kpi in (("capacity", "capacity"), ("used", "slots_used"), ("free", "slots_free"))
    ]
    return tuple(Cell(each, 4) for each in made)


def _statuses() -> Json:
    counted = f"max by (group, status) ({selector('agents', GROUP, STAFFED)})"
    return lines(
        "Agents by status",
        told("agents", "Offline ones are left out; an agent in two of the chosen groups counts in both."),
        Query(f"sum by (status) ({counted})", "{{status}}"),
        unit="short",
        stacked=True,
    )


def _groups() -> Json:
    window = in_window("$window")
    return table(
        "Groups",
        "One row per group, busiest first. A group that had nobody online in the window has no ratios.",
        Query(_by_group("agents", 'status="available"'), column="Available"),
        Query(_by_group("slots_free"), column="Slots free"),
        Query(_by_group("occupancy_ratio", window), column="Occupancy"),
        Query(_by_group("slot_use_ratio", window), column="Slot use"),
        Query(_by_group("work_rate_ratio", window), column="Work rate"),
        Query(_by_group("peak_concurrency", window), column="Peak concurrency"),
        unit="short",
        columns={
            "Occupancy": column("percentunit", above(0.85, 0.90), decimals=1),
            "Slot use": column("percentunit", above(0.85, 0.95), decimals=1),
            "Work rate": column("percentunit", below(0.95, 0.92), decimals=1),
        },
        sort="Occupancy",
    )


def _shares() -> tuple[Cell, ...]:
    limits: dict[str, Steps] = {"occupancy": above(0.85, 0.90), "slot_use": above(0.85, 0.95), "work_rate": below(0.95, 0.92)}
    more = {
        "occupancy": "Below 75 % people idle, above 90 % for long they burn out.",
        "slot_use": "The like for agents who hold several text sessions at once.",
        "work_rate": "",
    }
    return tuple(
        Cell(
            lines(
                kpi.replace("_", " ").capitalize(),
                told(kpi, more[kpi]).strip(),
                Query(group_ratio(kpi), "{{group}}"),
                unit="percentunit",
                steps=steps,
                max=1,
            ),
            8,
        )
        for kpi, steps in limits.items()
    )


def _pace() -> tuple[Cell, ...]:
    shares = selector("status_share_ratio", matcher("group", "all"), in_window("$window"))
    made = (
        lines(
            "Sessions per agent hour",
            told("sessions_per_agent_hour"),
            Query(group_ratio("sessions_per_agent_hour"), "{{group}}"),
            unit="short",
        ),
        lines(
            "Concurrency",
            told("concurrency", "Over the time in which an agent held any."),
            Query(group_ratio("concurrency"), "{{group}}"),
            unit="short",
        ),
        lines(
            "Where online time goes",
            told("status_share", "The whole floor."),
            Query(f"max by (status) ({shares})", "{{status}}"),
            unit="percentunit",
            stacked=True,
            max=1,
        ),
    )
    return tuple(Cell(each, 8) for each in made)


__all__ = ["rows"]
