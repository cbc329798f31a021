"""Mutated records: no exception, each with one fate, and the dead letters hold their bytes."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Final

import pytest

from schemas.events import INPUT_TOPICS
from schemas.rules import Rules
from streams.core.driver import record_of
from streams.core.floor import Floor
from streams.journal.letters import letter
from tests.centres import at_ms, centre
from tests.garbage import mutated
from tests.partition_world import Rec

BATCH: Final = 500
FLUSH_EVERY: Final = 10


def poison(records: int, seed: int) -> tuple[Counter[str], Counter[str]]:
    """Feed mutated records of all topics to a floor; return the outcomes, and the reasons of the dead letters."""
    rng = random.Random(seed)
    events = centre(seed, sessions=60)
    now = max(map(at_ms, events))
    good = [record_of(event, json.dumps(event, ensure_ascii=False).encode()) for event in events]
    by_topic = {topic: [record for record in good if record[0] == topic] for topic in INPUT_TOPICS}
    floor, reasons, fed = Floor(0, 1, Rules(live=True)), Counter[str](), Counter[str]()
    for number in range(records // BATCH):
        topic = rng.choice(INPUT_TOPICS)
        batch = [rng.choice(by_topic[topic]) for _ in range(BATCH)]
        keys, values = [key or None for _, key, _ in batch], [mutated(rng, value) for _, _, value in batch]
        rejects = floor.apply(topic, keys, values, now)
        fed[topic] += BATCH
        for reject in rejects:
            value = values[reject.index]
            made = letter(Rec(fed[topic] + reject.index, value, keys[reject.index]), reject, topic, 0)
            assert (made.value, made.key) == (value, keys[reject.index])
            reasons[reject.reason] += 1
        if number % FLUSH_EVERY == 0:
            flush = floor.flush(number + 1, now, frozenset(INPUT_TOPICS))
            told = (flush.readings[-1].body or {})["events"]
            assert {name: sum(of.values()) for name, of in told.items()} == +fed
    outcomes = sum((Counter(of) for of in floor.counts.values()), Counter[str]())
    assert sum(reasons.values()) == outcomes["invalid"] + outcomes["late"]
    assert outcomes.total() == fed.total()
    return outcomes, reasons


def test_ten_thousand_mutated_records_have_one_fate_each() -> None:
    """Some are still good, most are refused, for many reasons."""
    outcomes, reasons = poison(10_000, 1)
    assert outcomes["invalid"] > 5_000
    assert outcomes["applied"] > 0
    assert len(reasons) > 5


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(10))
def test_a_million_mutated_records_have_one_fate_each(seed: int) -> None:
    """A hundred thousand of each of ten centres."""
    poison(100_000, seed)
