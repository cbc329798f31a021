"""A short chaos on a real Kafka: a dozen deaths, naps and rebalances, and not one number differs. `make chaos` is the long one."""

from __future__ import annotations

import json

import pytest

from tests.chaos.run import Plan, chaos
from tests.chaos.worker import GUARDS
from tests.kafka import available, required


@pytest.fixture(autouse=True)
def _kafka_is_there() -> None:
    """A broker of its own, with short sessions."""
    reason = available()
    if reason is not None:
        (pytest.fail if required() else pytest.skip)(reason)


@pytest.mark.timeout(420)
async def test_nothing_differs_after_a_dozen_deaths() -> None:
    """Cells, what compaction would leave, the accounting per partition; nothing is published ahead of the journal."""
    plan = Plan(seed=20_261, events=15_000, kills=12, rebalances=4, zombies=4, pause_s=1.5)
    result = await chaos(plan)
    told = json.dumps(result.as_dict(), indent=1)
    assert not result.faults, told
    assert (result.done["kills"], result.done["zombies"], result.done.get("exited", 0)) == (12, 4, 0), told
    assert result.outcomes["applied"] >= plan.events
    assert result.cells > 5_000


@pytest.mark.deep
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("guard", GUARDS)
async def test_chaos_finds_out_when_a_guard_is_missing(guard: str) -> None:
    """Negative control: with the guard taken out of the workers, something differs for some seed."""
    for seed in range(4, 7):
        result = await chaos(Plan(seed=seed, events=30_000, kills=4, rebalances=6, zombies=8, guard=guard))
        if result.faults:
            return
    pytest.fail(f"nothing differs without {guard}")
