"""Cells do not depend on when anybody flushed: sessions that outlive their age are cut by event times alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from schemas.events import INPUT_TOPICS
from schemas.readings import QUARTER_MS
from schemas.rules import DAY_MS, MINUTE_MS, Rules
from streams.core.cells import CellId
from streams.core.driver import Driver, record_of
from tests import centres
from tests.oracle import newest

HASTY: Final = Rules(
    duplicates_horizon_ms=10 * MINUTE_MS,
    session_age_ms=25 * MINUTE_MS,
    session_age_by_channel={"chat": 10 * MINUTE_MS},
    session_horizon_ms=20 * MINUTE_MS,
    quarters_kept_ms=400 * DAY_MS,
    sketches_kept_ms=400 * DAY_MS,
)


def cells(events: list[centres.Event], batch: int, flush: bool, rules: Rules = HASTY) -> dict[CellId, dict[str, int]]:
    """Return all quarter-hours of a driver that flushed after each batch, or only at the end."""
    driver = Driver(1, rules)
    records = [record_of(event, centres.to_jsonl_bytes(event)) for event in events]
    for start in range(0, len(records), batch):
        driver.apply(records[start : start + batch])
        if flush:
            driver.flush(at_end=INPUT_TOPICS)
    driver.finish(newest(events))
    held = driver.floors[0].books.cells
    return {cell_id: dict(held.get(cell_id) or {}) for cell_id in held.ids() if cell_id[0] == QUARTER_MS}


@pytest.mark.parametrize("seed", range(40))
def test_flushing_often_or_once_gives_the_same_cells(seed: int) -> None:
    """With horizons of minutes many sessions are given up, and come back as new ones."""
    events = centres.shuffled(centres.centre(seed, sessions=30), seed)
    assert cells(events, 7, flush=True) == cells(events, 1000, flush=False)


def test_sessions_are_given_up_in_this_test_at_all() -> None:
    """With patient rules the same events give other cells."""
    events = centres.shuffled(centres.centre(3, sessions=30), 3)
    patient = replace(HASTY, session_age_ms=DAY_MS, session_age_by_channel={}, session_horizon_ms=DAY_MS)
    assert cells(events, 7, flush=True) != cells(events, 7, flush=True, rules=patient)


def test_an_end_that_comes_a_day_after_all_else_belongs_to_a_new_session() -> None:
    """Connected at 0, ended 25 h later: given up after 24 h, then an end of a session nobody knows."""
    story: list[centres.Event] = [
        {"id": "1", "type": "session.started", "at": centres.START_MS, "session_id": "s", "channel": "voice", "queue": "q"},
        {"id": "2", "type": "session.connected", "at": centres.START_MS, "session_id": "s", "agent_id": "a"},
        {"id": "3", "type": "session.ended", "at": centres.START_MS + 90_000_000, "session_id": "s", "ended_by": "agent"},
    ]
    rules = Rules(quarters_kept_ms=400 * DAY_MS)
    at_once = cells(story, 10, flush=False, rules=rules)
    assert at_once == cells(story, 1, flush=True, rules=rules)
    ends = {address: cell for (_, _, address), cell in at_once.items() if "ended" in cell}
    parts = ("ended", "unconnected", "ended_inbound", "unconnected_inbound", "invalid", "invalid_inbound")
    assert ends == {("queue", "unassigned", "unassigned"): dict.fromkeys(parts, 1)}
