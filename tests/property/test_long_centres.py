"""The core equals the slow oracle over days: what settles late, comes back, is forgotten, or is counted by the day.

Centres of 3 to 16 days with customers who come back, sessions that lose their ends or live twice, agents who join and leave;
settings with ages of their own per channel, and settings that change on the way.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Final

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from schemas.parts import AGENT_DAYS, REVIEWER_DAYS
from schemas.readings import QUARTER_MS
from schemas.rules import DAY_MS, HOUR_MS, MINUTE_MS, Rules
from sinks.snapshot import Snapshot
from sinks.table import Choice
from sinks.windows import TODAY
from tests import centres
from tests.oracle import (
    Settings,
    agent_days,
    by_group,
    clean,
    reviewer_days,
    sessions_expired,
    seven_days,
    seven_days_values,
    spans,
    today,
    today_values,
    turnover,
)
from tests.property.test_truth import (
    PLAIN,
    TUNED,
    Delivery,
    check_gauges,
    check_percentiles,
    check_slices,
    check_window,
    delivered,
    group_table,
    rows_of,
    snapshot_of,
)

CENTRES: Final = 60
SEVEN_DAYS: Final = "7d"
_TURN: Final = centres.START_MS + 2 * DAY_MS + 12_345_678
AGED: Final = (
    replace(PLAIN[0], session_age_by_channel={"voice": 2 * HOUR_MS, "chat": 300_000, "ticket": 3 * DAY_MS}, repeat_ms=6 * HOUR_MS),
    replace(PLAIN[1], session_ages={"voice": 2 * HOUR_MS, "chat": 300_000, "ticket": 3 * DAY_MS}, repeat_within_ms=6 * HOUR_MS),
)
_LATER: Final = (
    replace(
        TUNED[0],
        zone="UTC",
        queues={name: {key: value for key, value in of.items() if key != "zone"} for name, of in TUNED[0].queues.items()},
    ),
    replace(TUNED[1], zone="UTC", queues={name: replace(of, zone=None) for name, of in TUNED[1].queues.items()}),
)
CHANGED: Final = (replace(_LATER[0], earlier=((_TURN, PLAIN[0]),)), replace(PLAIN[1], changes=((_TURN, _LATER[1]),)))
"""All settings change on the way but the zones: days over the change would be days of neither zone."""
COUNTED_BY: Final = {"plain": PLAIN, "tuned": TUNED, "aged": AGED, "changed": CHANGED}


CLOSED_SOON: Final = replace(PLAIN[0], session_age_ms=10 * MINUTE_MS, agent_horizon_ms=2 * HOUR_MS)
"""An agent's history is closed several times a day."""


@dataclass(frozen=True)
class Made:
    """Which centre."""

    seed: int
    days: int
    sessions: int
    queues: int
    agents: int

    def events(self) -> list[centres.Event]:
        """Return its events; at least one, and the last is no status: who comes online at this very instant was not online yet."""
        events = centres.long_centre(
            self.seed, days=self.days, sessions=self.sessions, queues=self.queues, agents=self.agents
        )
        assume(events)
        last = max(map(centres.at_ms, events)) + 1000
        return [*announced_in_time(events, hours=40), {"id": "last", "type": "site.visits", "at": last, "count": 1}]


def announced_in_time(events: list[centres.Event], hours: int) -> list[centres.Event]:
    """Leave out an `agent.joined` that comes when the first status is history already: past 48 h nothing is counted anew."""
    first: dict[str, int] = {}
    left: set[str] = set()
    kept = []
    for event in sorted(events, key=lambda event: (centres.at_ms(event), event["type"] == "agent.left")):
        agent = event.get("agent_id", "")
        if event["type"] == "agent.status":
            first.setdefault(agent, centres.at_ms(event))
        left |= {agent} if event["type"] == "agent.left" else set()
        late = centres.at_ms(event) > first.get(agent, 1 << 60) + hours * HOUR_MS and agent not in left
        if not (event["type"] == "agent.joined" and late):
            kept.append(event)
    return kept


made = st.builds(
    Made,
    seed=st.integers(0, 2**32 - 1),
    days=st.integers(3, 16),
    sessions=st.integers(0, 40),
    queues=st.integers(1, 4),
    agents=st.integers(1, 6),
)
deliveries = st.builds(
    Delivery,
    seed=st.integers(0, 2**32 - 1),
    partitions=st.integers(1, 5),
    batch=st.sampled_from([1, 7, 40, 1000]),
    freeze=st.booleans(),
    nearly=st.just(True),
    altered=st.just(False),
)


@pytest.mark.timeout(600)
@settings(max_examples=CENTRES)
@given(made, deliveries, st.sampled_from(sorted(COUNTED_BY)))
def test_every_number_of_many_days_equals_the_oracle(centre: Made, how: Delivery, counting: str) -> None:
    """Slices, levels, today, seven days, distinct counts of days, turnover, gauges and percentiles."""
    check_everything(centre.events(), how, *COUNTED_BY[counting])


@pytest.mark.timeout(600)
@settings(max_examples=CENTRES)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), deliveries)
def test_an_agents_day_may_be_closed_by_parts(seed: int, agents: int, how: Delivery) -> None:
    """Headcount, online days and all levels are right where the morning is history already when the evening is counted."""
    events: list[centres.Event] = []
    for part in range(6):
        of_part = centres.centre(seed + part, sessions=0, agents=agents, span_ms=8 * HOUR_MS, business=False)
        events += [{**each, "id": f"{part}-{each['id']}", "at": centres.at_ms(each) + part * 8 * HOUR_MS} for each in of_part]
    assume(events)
    for number, agent in enumerate(sorted({event["agent_id"] for event in events})):  # announced behind a first status, or again
        at = centres.START_MS + random.Random(seed).randrange(2 * HOUR_MS)
        events.append({"id": f"joined-{number}", "type": "agent.joined", "at": at, "agent_id": agent})
    last = max(map(centres.at_ms, events)) + 1000
    told = [*announced_in_time(events, hours=1), {"id": "last", "type": "site.visits", "at": last, "count": 1}]
    check_everything(told, replace(how, batch=min(how.batch, 40)), CLOSED_SOON, PLAIN[1])


@pytest.mark.deep
@given(made, deliveries, st.sampled_from(sorted(COUNTED_BY)))
def test_every_number_of_many_days_equals_the_oracle_in_many_centres(centre: Made, how: Delivery, counting: str) -> None:
    """The same, for long."""
    check_everything(centre.events(), how, *COUNTED_BY[counting])


def check_everything(events: list[centres.Event], how: Delivery, rules: Rules, expected: Settings) -> None:
    """Compare all that the board shows at the end with the oracle's."""
    arrived = how.arrived(events)
    applied = clean(arrived)
    merge, now = delivered(arrived, rules, how)
    check_slices(merge, applied, expected)
    assert group_table(merge, now, Choice(QUARTER_MS, "group")) == rows_of(
        by_group(applied, expected, QUARTER_MS, None, now).items()
    )
    snapshot = snapshot_of(merge)
    for label, truth, values in (
        (TODAY, today(applied, expected, now), today_values(applied, expected, now)),
        (SEVEN_DAYS, seven_days(applied, expected, now), seven_days_values(applied, expected, now)),
    ):
        check_window(snapshot, label, truth)
        for view in snapshot.queues:
            check_percentiles(view.windows[label], values.get((view.name, view.channel), {}))
        check_days(snapshot, label, applied, expected, now)
    check_gauges(snapshot, applied, expected, now)
    check_roster(snapshot, applied, expected, now)
    assert merge.counters()["sessions_expired"] >= sessions_expired(applied, expected, now)


def check_days(snapshot: Snapshot, label: str, applied: list[centres.Event], expected: Settings, now: int) -> None:
    """Compare distinct agents and reviewers per day."""
    days = spans.days(expected, now, 1 if label == TODAY else 7)
    truth = agent_days(applied, expected, now, days)
    groups = {view.name: view.windows[label].get(AGENT_DAYS, 0) for view in snapshot.groups}
    assert {group: n for group, n in groups.items() if n} == {group: n for group, n in truth.items() if n}
    reviewers = reviewer_days(applied, expected, days)
    queues = {(view.name, view.channel): view.windows[label].get(REVIEWER_DAYS, 0) for view in snapshot.queues}
    wanted = {key: n for key, n in reviewers.items() if n and key[1] is not None}
    assert {key: n for key, n in queues.items() if n} == wanted
    assert snapshot.floor.windows[label].get(REVIEWER_DAYS, 0) == reviewers.get(("all", None), 0)


def check_roster(snapshot: Snapshot, applied: list[centres.Event], expected: Settings, now: int) -> None:
    """Compare who left, the integral of headcount, and the time that the roster covers."""
    truth = {
        group: (row.left, row.headcount_ms, row.covered_ms)
        for group, row in turnover(applied, expected, now).items()
        if row.left or row.headcount_ms
    }
    found = {view.name: view.roster for view in snapshot.groups if view.roster is not None and any(view.roster[:2])}
    assert found == truth


