"""Gauges are published where they change, whoever touched them, and by time alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.rules import HOUR_MS, MINUTE_MS, QueueRules, Rules
from streams.core.driver import Driver, record_of
from tests import centres
from tests.oracle import newest

EXAMPLES = 30
RULES = {
    "patient": Rules(live=True),
    "hasty": Rules(live=True, session_age_ms=5 * MINUTE_MS, session_horizon_ms=5 * MINUTE_MS),
    "overflowing": Rules(live=True, max_cells=2),
    "changed": Rules(live=True, earlier=((centres.START_MS + HOUR_MS, Rules(queue_default=QueueRules(placement_ms=7_000))),)),
}


@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 10_000), batch=st.integers(1, 60), pause_ms=st.sampled_from([0, 7_000, 45_000]))
@pytest.mark.parametrize("rules", RULES)
def test_what_was_published_last_is_what_every_address_shows(rules: str, seed: int, batch: int, pause_ms: int) -> None:
    """After every flush, also of nothing but time: what was told of an address, flush after flush, is what is derived of it now."""
    events = centres.shuffled(centres.centre(seed, sessions=25, queues=3, agents=3), seed)
    records = [record_of(event, centres.to_jsonl_bytes(event)) for event in events]
    driver, latest = Driver(1, RULES[rules]), 0
    told: dict[tuple[str, str, str], dict[str, int]] = {}
    (floor,) = driver.floors
    for start in range(0, len(records), batch):
        latest = max(latest, newest(events[start : start + batch]))
        driver.apply(records[start : start + batch], latest)
        for now_ms in (latest, latest + pause_ms):
            driver.flush(now_ms)
            queues = [reading for reading in driver.take() if reading.key.kind == "now" and reading.key.dimension == "queue"]
            told |= {("queue", each.key.name, each.key.channel): each.body["parts"] for each in queues if each.body}
            gauges = floor.books.gauges
            every = gauges._waiting.keys() | gauges._active.keys() | gauges._complaints.keys()
            assert told == {address: gauges.body(address, floor.clock.present(now_ms)) for address in every}
    assert told
