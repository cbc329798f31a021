"""Inputs whose log begins beyond where reading goes on: found by the shell without a record that shows it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka.errors import KafkaError
from faust.types import TP

from schemas.config import Config
from streams import worker as module
from streams.app import INPUTS
from streams.journal.fold import Folded
from streams.run import thaw_of, topic_names, worker_settings
from streams.worker import Worker

NAMES = topic_names(Config())
QUEUES = TP(NAMES["queues"], 0)


class Consumer:
    """Faust's consumer, as far as it is asked here."""

    def __init__(self, begins: Mapping[TP, int]) -> None:
        self.begins = begins
        self.sought: list[Mapping[TP, int]] = []
        self.away = False

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        """Where logs begin."""
        if self.away:
            raise KafkaError("away")
        return {tp: self.begins[tp] for tp in tps}

    async def seek_wait(self, offsets: Mapping[TP, int]) -> None:
        """Note where reading goes on."""
        self.sought.append(offsets)


class App:
    """Faust's app, as far as it is asked here."""

    def __init__(self, **begins: int) -> None:
        self.tps = {TP(NAMES[topic], 0): begins.get(topic, 0) for topic in (*INPUTS, "readings")}
        self.consumer = Consumer(self.tps)


def standing_at(queues: int, app: Any) -> Worker:
    """A worker with a partition whose journal says so, in logs that end at 9."""
    made = Worker(worker_settings(Config()), thaw_of(Config()))
    made.ownership._app = app
    folded = Folded(epoch=0, offsets={**dict.fromkeys(INPUTS, 0), "queues": queues})
    made.ownership.owned[0] = made.ownership._made(0, 1, folded, app.tps, dict.fromkeys(app.tps, 9))
    return made


async def behind(made: Worker, app: Any) -> Worker:
    """The same when the queues have stood still for long, and the worker has looked after what is lost."""
    long_ago = time.monotonic() - 2 * module.AGAIN_S
    positions = {QUEUES: made.ownership.owned[0].next["queues"]}
    made._behind.look(long_ago, positions, {QUEUES: 9}, 0, lambda _: False)
    await made._read_again(app, positions)
    return made


@pytest.mark.parametrize(("begin", "gone"), [(3, {}), (4, {}), (9, {"retention": 5})])
async def test_a_load_goes_on_where_the_log_begins(begin: int, gone: dict[str, int]) -> None:
    """Where the journal's offset is below; and tells how many are gone."""
    own = standing_at(4, App(queues=begin)).ownership
    assert own.positions()[QUEUES] == max(4, begin)
    assert own.tally.skipped == gone
    assert own.tally.holes == dict.fromkeys(gone, 1)


async def test_an_input_that_stands_still_goes_on_where_the_log_begins() -> None:
    """Retention came under the running worker."""
    app = App()
    made = standing_at(4, app)
    app.tps[QUEUES] = 9
    own = (await behind(made, app)).ownership
    assert own.positions()[QUEUES] == 9
    assert (own.tally.holes, own.tally.skipped) == ({"retention": 1}, {"retention": 5})
    assert app.consumer.sought == [{QUEUES: 9}]


@pytest.mark.parametrize("away", [False, True])
async def test_an_input_that_stands_still_is_read_again(away: bool) -> None:
    """Where its log still has the records, or nobody knows."""
    app = App()
    app.consumer.away = away
    own = (await behind(standing_at(4, app), app)).ownership
    assert own.positions()[QUEUES] == 4
    assert (own.tally.holes, own.tally.skipped) == ({"delivery": 1}, {})
    assert app.consumer.sought == [{QUEUES: 4}]
