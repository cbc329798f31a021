"""Repetitions within the horizon change nothing, however many there are."""

from __future__ import annotations

import json
from collections import Counter
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import INPUT_TOPICS
from schemas.readings import ReadingKey
from schemas.rules import Rules
from streams.core.driver import Driver, record_of
from tests.centres import Event, centre, with_duplicates
from tests.chaos.load import Parts, cells_of

SHARES: Final = (0.05, 0.10, 0.20)
PARTITIONS: Final = 3


def counted(events: list[Event], flush_every: int) -> tuple[dict[ReadingKey, Parts], Counter[str]]:
    """Return the published cells, and what became of the events."""
    driver = Driver(PARTITIONS, Rules())
    for begin in range(0, len(events), flush_every):
        driver.apply([record_of(event, json.dumps(event).encode()) for event in events[begin : begin + flush_every]])
        driver.flush()
    while driver.flush(at_end=INPUT_TOPICS):
        pass
    driver.flush(at_end=INPUT_TOPICS)
    bodies = {key: body["parts"] for key, body in driver.take() if body is not None and "parts" in body}
    fates = sum((Counter(of) for floor in driver.floors for of in floor.counts.values()), Counter[str]())
    return dict(cells_of(iter(bodies.items()))), +fates


@settings(max_examples=4)
@given(seed=st.integers(0, 1 << 30), flush_every=st.integers(20, 400))
def test_up_to_a_fifth_of_repetitions_changes_no_cell(seed: int, flush_every: int) -> None:
    """0, 5, 10 and 20 %; each is counted as what it is."""
    events = centre(seed, sessions=15)
    want, fates = counted(events, flush_every)
    assert want
    assert fates["duplicate"] == 0
    for share in SHARES:
        repeated = with_duplicates(events, seed, share)
        got, more = counted(repeated, flush_every)
        assert got == want
        assert more == fates + Counter(duplicate=len(repeated) - len(events))


@pytest.mark.deep
@given(seed=st.integers(0, 1 << 30), share=st.floats(0, 0.2), flush_every=st.integers(20, 400))
def test_any_share_of_repetitions_changes_no_cell(seed: int, share: float, flush_every: int) -> None:
    """As many centres as the hypothesis profile says."""
    events = centre(seed, sessions=25)
    assert counted(with_duplicates(events, seed, share), flush_every)[0] == counted(events, flush_every)[0]
