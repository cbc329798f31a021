"""One owned partition on in-memory ports: holes in its inputs, and what happens behind its back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from structlog.testing import capture_logs

from schemas.errors import KafkaUnreachable
from streams import partition as module
from streams.journal import Span
from tests.partition_world import Owner, Rec, World, owner_of, turns

# ------------------------------------------------------------------ holes


async def test_what_was_seen_before_is_left_out(world: World) -> None:
    """A rebalance delivers again."""
    owner = await owner_of(world)
    await owner.feed(0, 1, 2)
    await owner.feed(1, 2, 3, 4)
    await owner.feed(0)
    assert owner.floor.cells == {"sessions a": 3, "sessions b": 2}


async def test_a_record_that_was_not_delivered_is_fetched(world: World) -> None:
    """What comes behind the hole is dropped until reading has gone back, then taken."""
    owner = await owner_of(world)
    await owner.feed(0, 1, 3, 4)
    await owner.feed(5)  # fetched before reading went back
    assert owner.inputs.went_back == [("sessions", 2)]
    await owner.feed(2, 3, 4, 5)
    assert owner.floor.cells == {"sessions a": 3, "sessions b": 3}
    assert owner.tally.holes == {"delivery": 1}


async def test_a_way_back_that_leads_nowhere_is_taken_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropping for ever would be silence."""
    owner = await owner_of(world)
    await owner.feed(1)
    monkeypatch.setattr(module, "HEALING_S", 0.0)
    await owner.feed(1)
    assert owner.inputs.went_back == [("sessions", 0)] * 2


async def test_a_hole_of_the_log_itself_is_explained(world: World) -> None:
    """A transaction's marker, retention: nothing is lost, so the batch is taken."""
    world.inputs["sessions"] = [Rec(offset, b"a") for offset in (5, 6, 8, 11)]
    owner = await owner_of(world)
    await owner.feed(5, 6, 8, 11)
    assert owner.floor.cells == {"sessions a": 4}
    assert owner.inputs.went_back == []
    assert owner.tally.holes == {"retention": 1}


async def test_what_the_client_read_across_needs_no_question(world: World) -> None:
    """It knows by cause what stood in the holes; the next offset is where it has got to."""
    world.inputs["sessions"] = [Rec(offset, b"a") for offset in (0, 1, 4, 5)]
    owner = await owner_of(world)
    owner.inputs.offsets_from = unreachable  # type: ignore[method-assign,assignment]
    records = world.inputs["sessions"]
    await owner.partition.receive("sessions", records, Span(0, 8, {"marker": 2, "aborted": 2}))
    await owner.partition.receive("sessions", records[2:], Span(4, 8, {"marker": 2}))
    assert owner.floor.cells == {"sessions a": 4}
    assert owner.partition.next["sessions"] == 8
    assert (owner.tally.holes, owner.tally.skipped) == ({}, {"marker": 2, "aborted": 2})


async def test_a_span_that_begins_too_late_is_a_hole(world: World) -> None:
    """The client was reset, or a batch was lost on the way to us."""
    owner = await owner_of(world)
    await owner.partition.receive("sessions", world.inputs["sessions"][4:], Span(4, 6))
    assert owner.inputs.went_back == [("sessions", 0)]
    assert owner.tally.holes == {"delivery": 1}
    await owner.feed(0, 1, 2, 3, 4, 5)
    assert owner.floor.cells == {"sessions a": 3, "sessions b": 3}


async def test_records_that_retention_took_are_told_loudly(world: World) -> None:
    """Each time, with their number and a remedy; counting goes on behind them."""
    world.inputs["sessions"] = [Rec(offset, b"a") for offset in (7, 8)]
    owner = await owner_of(world)
    with capture_logs() as logs:
        await owner.partition.receive("sessions", world.inputs["sessions"], Span(7, 9))
    assert owner.floor.cells == {"sessions a": 2}
    assert (owner.tally.holes, owner.tally.skipped) == ({"retention": 1}, {"retention": 7})
    [told] = [log for log in logs if log["event"] == "partition.records_gone"]
    assert (told["log_level"], told["offsets"], told["cause"]) == ("error", 7, "retention")
    assert "retention.ms" in told["remedy"]


async def test_a_log_that_begins_later_than_we_stand_is_told_before_anything_comes(world: World) -> None:
    """Nothing new may ever come to show the hole; what is left is counted, journalled and accounted for as always."""
    owner = await owner_of(world)
    await owner.feed(0, 1)
    with capture_logs() as logs:
        assert owner.partition.begin_at("sessions", 4)
        assert not owner.partition.begin_at("sessions", 4)
        assert not owner.partition.begin_at("queues", 0)
    assert (owner.tally.holes, owner.tally.skipped) == ({"retention": 1}, {"retention": 2})
    [told] = [log for log in logs if log["event"] == "partition.records_gone"]
    assert (told["log_level"], told["topic"], told["expected"], told["offsets"]) == ("error", "sessions", 2, 2)
    await owner.feed(4, 5)
    await owner.partition.finish()
    assert owner.floor.cells == {"sessions a": 2, "sessions b": 2}
    assert world.fold().offsets == {"sessions": 6, "queues": 0}
    assert owner.partition.unaccounted == {"sessions": 0}
    assert world.violations == []


async def test_a_hole_that_was_told_while_the_broker_is_asked_is_told_once(world: World) -> None:
    """Reading goes on from the log's beginning."""
    world.inputs["sessions"] = [Rec(offset, b"a") for offset in (7, 8)]
    owner = await owner_of(world)
    world.turns = lambda: 3
    asking = asyncio.ensure_future(owner.feed(7, 8))
    await asyncio.sleep(0)
    assert owner.partition.begin_at("sessions", 7)
    await asking
    assert owner.inputs.went_back == [("sessions", 7)]
    await owner.feed(7, 8)
    assert owner.floor.cells == {"sessions a": 2}
    assert (owner.tally.holes, owner.tally.skipped) == ({"retention": 1}, {"retention": 7})


async def test_a_marker_at_the_logs_end_is_passed_over(world: World) -> None:
    """Otherwise the input would never be at its end, and always one record behind."""
    owner = await owner_of(world, heartbeat_s=0)
    await owner.feed(*range(6))
    world.inputs["sessions"].append(Rec(6, b"a marker"))
    await owner.run_until(lambda: owner.partition.published == 1)
    assert owner.floor.at_end == {"queues"}
    world.markers["sessions", 6] = 7
    owner.partition.closed = False
    await owner.run_until(lambda: owner.partition.published == 2)
    assert owner.floor.at_end == {"sessions", "queues"}
    assert owner.partition.committable["sessions"] == 7


async def test_a_hole_that_nobody_can_explain_now_is_left_for_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker is away: reading goes back, nothing is taken on trust."""
    owner = await owner_of(world)
    with monkeypatch.context() as patch:
        patch.setattr(owner.inputs, "offsets_from", unreachable)
        await owner.feed(1, 2)
    assert owner.inputs.went_back == [("sessions", 0)]
    assert owner.partition.next["sessions"] == 0
    await owner.feed(0, 1, 2)
    assert owner.floor.cells == {"sessions a": 3}


async def test_far_behind_a_partition_flushes_less_often(world: World) -> None:
    """Fewer, larger flushes get there sooner; a full one is made at once."""
    owner = await owner_of(world, flush_events=3, catch_up_s=1000)
    await owner.feed(0, 1)
    assert not owner.partition._due()
    await owner.feed(2)
    assert owner.partition._due()
    await owner.feed(3)
    assert owner.partition._due()


async def test_both_kinds_of_hole_in_one_batch(world: World) -> None:
    """What the log explains is taken, up to the record that is missing."""
    world.inputs["sessions"] = [Rec(offset, b"a") for offset in (0, 2, 3, 4)]
    owner = await owner_of(world)
    await owner.feed(0, 2, 4)
    assert owner.partition.next["sessions"] == 3
    assert owner.inputs.went_back == [("sessions", 3)]
    assert owner.floor.cells == {"sessions a": 2}


# ------------------------------------------------------------------ behind our back


async def asleep_behind_its_journal(world: World) -> tuple[Owner, asyncio.Future[None]]:
    """An owner that was stopped when its journal had acknowledged, before its readings were out."""
    sleeper = await owner_of(world)
    await sleeper.feed(0, 1)
    sleeper.ledger.awake.clear()
    sleeping = asyncio.ensure_future(sleeper.partition.finish())
    await turns(100, lambda: len(world.journal) == 2)
    return sleeper, sleeping


async def test_a_sleepers_readings_are_published_again(world: World) -> None:
    """It woke up behind its successor: after compaction a new reader would see its old values for ever."""
    sleeper, sleeping = await asleep_behind_its_journal(world)
    owner = await owner_of(world, heartbeat_s=0)
    await owner.feed(0, 1, 2, 3)
    await owner.run_until(lambda: owner.partition.published > 2)
    assert world.compacted() == {"sessions a": 3, "sessions b": 1}
    sleeper.ledger.awake.set()
    await sleeping
    assert world.compacted() == {"sessions a": 2, "sessions b": 1}
    owner.partition.closed = False
    await owner.run_until(lambda: world.compacted() == {"sessions a": 3, "sessions b": 1})
    assert owner.tally.repeated == 1
    assert world.latest() == {"sessions a": 3, "sessions b": 1}


async def test_what_an_owner_could_not_answer_its_successor_answers(world: World) -> None:
    """It died when the sleeper had published; the journal says from where on to look."""
    sleeper, sleeping = await asleep_behind_its_journal(world)
    owner = await owner_of(world)
    await owner.feed(2, 3)
    await owner.partition.finish()
    sleeper.ledger.awake.set()
    await sleeping
    last = await owner_of(world, heartbeat_s=0)
    await last.run_until(lambda: world.compacted() == {"sessions a": 3, "sessions b": 1})


async def test_nothing_is_read_while_nobody_else_writes(world: World) -> None:
    """The broker's acknowledgements tell that."""
    owner = await owner_of(world, heartbeat_s=0)
    owner.inputs.readings = None  # type: ignore[assignment,method-assign]
    await owner.feed(0, 1)
    await owner.run_until(lambda: owner.partition.published > 5)
    assert owner.partition._follow.followed == len(world.readings)


async def test_readings_that_cannot_be_read_are_looked_at_later(world: World) -> None:
    """The broker is away for a moment."""
    sleeper, sleeping = await asleep_behind_its_journal(world)
    owner = await owner_of(world, heartbeat_s=0)
    await owner.feed(0, 1, 2)
    sleeper.ledger.awake.set()
    await sleeping
    reading = owner.inputs.readings
    owner.inputs.readings = unreachable  # type: ignore[method-assign,assignment]
    await owner.run_until(lambda: owner.partition.published > 3)
    assert owner.tally.repeated == 0
    owner.inputs.readings = reading  # type: ignore[method-assign]
    owner.partition.closed = False
    await owner.run_until(lambda: owner.tally.repeated == 1)


async def unreachable(*_: Any) -> AsyncGenerator[Any]:
    """A question that nobody answers."""
    for error in [KafkaUnreachable("gone")]:
        raise error
    yield
