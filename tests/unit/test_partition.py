"""One owned partition on in-memory ports: the order of a flush, the same owner again, accounting."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

import pytest

from schemas.errors import JournalError, Replaced
from schemas.markers import end_of_input
from schemas.readings import ReadingKey, decode_key, decode_value
from streams.journal.letters import KEY_BYTES, LETTER_BYTES
from tests.partition_world import Log, Owner, Rec, World, owner_of

# ------------------------------------------------------------------ a flush


async def test_a_flush_is_journalled_then_published_then_committable(world: World) -> None:
    """In this order: the sender finds the record in the journal."""
    owner = await owner_of(world)
    await owner.feed(0, 1, 2, 3)
    assert (owner.partition.committable, world.sent) == ({}, [])
    await owner.partition.finish()
    assert owner.partition.committable == {"sessions": 4, "queues": 0}
    assert world.latest() == {"sessions a": 3, "sessions b": 1}
    assert world.violations == []
    assert world.fold().offsets == {"sessions": 4, "queues": 0}
    assert owner.partition.clean


async def test_only_the_journal_holds_a_record_that_it_appends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it can let go of megabytes before the broker has answered."""
    held = []

    async def counted(log: Log, partition: int, value: bytes | bytearray) -> int:
        held.append(sys.getrefcount(value))
        return await append(log, partition, value)

    append = Log.append
    monkeypatch.setattr(Log, "append", counted)
    owner = await owner_of(world)
    await owner.feed(0)
    await owner.partition.finish()
    assert [count for count in held if count > 2] == [], "the parameter, and the argument"
    assert len(held) == 1


async def test_the_heartbeat_closes_a_flush(world: World) -> None:
    """With epoch and sequence in each value."""
    owner = await owner_of(world)
    await owner.feed(0)
    await owner.partition.finish()
    last = world.sent[-1]
    assert last.key is not None
    assert decode_key(last.key) == ReadingKey("heartbeat", 3)
    value = decode_value(last.value)
    assert value is not None
    assert (value.epoch, value.seq) == (0, 1)
    assert owner.partition.heartbeat["counters"] == {"seq": 1, "received.sessions": 1}


async def test_a_replaced_owner_stops_before_it_publishes(world: World) -> None:
    """Somebody else's claim lies between its records."""
    owner = await owner_of(world)
    await owner.feed(0, 1)
    await world.claim()
    with pytest.raises(Replaced, match=r"partition 3.*another worker has claimed"):
        await owner.partition.finish()
    assert world.sent == []
    assert owner.partition.committable == {}
    assert not owner.partition.clean
    assert world.fold().entries == {}


async def test_a_zombies_record_does_not_replace_the_owner(world: World) -> None:
    """It was appended behind our claim, so it counts for nobody, and we go on."""
    zombie = await owner_of(world)
    await zombie.feed(0, 1)
    owner = await owner_of(world)
    with pytest.raises(Replaced):
        await zombie.partition.finish()
    await owner.feed(0, 1, 2, 3)
    await owner.partition.finish()
    assert world.latest() == {"sessions a": 3, "sessions b": 1}
    assert world.cells() == {"sessions a": 3, "sessions b": 1}


async def test_a_next_owner_publishes_what_the_last_one_could_not(world: World) -> None:
    """Readings by the entries' keys, dead letters from the outbox."""
    world.inputs["sessions"].append(Rec(6, b"bad"))
    owner = await owner_of(world)
    await owner.feed(*range(7))
    captured = owner.partition._capture()
    await owner.partition._append(captured)  # and then it dies
    second = await owner_of(world)
    assert world.letters() == {("prefix.sessions", 6): 1}
    assert second.partition.next == {"sessions": 7, "queues": 0}
    await second.run_until(lambda: second.partition.published)
    assert world.latest() == {"sessions a": 3, "sessions b": 3}
    assert second.partition.seq == 2


async def test_a_new_owner_flushes_at_once_then_only_when_something_is_new(world: World) -> None:
    """The first flush says that it is there; a quiet partition sends heartbeats only."""
    owner = await owner_of(world, heartbeat_s=1000)
    turns = iter(range(50))
    await owner.run_until(lambda: next(turns, 50) == 50)
    assert owner.partition.seq == 1


async def test_a_quiet_partition_sends_heartbeats(world: World) -> None:
    """So that readers know that it is alive."""
    owner = await owner_of(world, heartbeat_s=0)
    await owner.run_until(lambda: owner.partition.seq > 3)
    assert world.fold().seq == owner.partition.seq


async def test_the_floor_is_told_which_inputs_are_at_their_end(world: World) -> None:
    """As far as the broker has said; that alone is worth a flush."""
    owner = await owner_of(world, heartbeat_s=1000)
    world.ends_known = False
    await owner.run_until(lambda: owner.partition.published == 1)
    assert owner.floor.at_end == frozenset()
    world.ends_known = True
    owner.partition.closed = False
    await owner.run_until(lambda: owner.partition.published == 2)
    assert owner.floor.at_end == {"queues"}


async def test_what_was_refused_goes_aside_as_it_came(world: World) -> None:
    """With headers, to the topic of its kind, counted in the flush that covers its offset."""
    world.inputs["sessions"] = [Rec(0, b"bad \xff", b"\x00"), Rec(1, b"late"), Rec(2, None, None)]
    owner = await owner_of(world)
    await owner.feed(0, 1, 2)
    await owner.partition.finish()
    bad, late, empty = (record for record in world.sent if record.topic != "readings")
    assert (bad.topic, bad.partition, bad.key, bad.value) == ("dead-letters", 3, b"\x00", b"bad \xff")
    assert dict(bad.headers) == {
        "reason": b"unparsable",
        "detail": b"at 123",
        "topic": b"prefix.sessions",
        "partition": b"3",
        "offset": b"0",
        "timestamp": b"1000",
    }
    assert (late.topic, late.value) == ("late", b"late")
    assert (empty.topic, empty.key, empty.value) == ("dead-letters", None, None)


async def test_a_dead_letter_that_no_broker_takes_is_cut(world: World) -> None:
    """Its full length stands in a header."""
    world.inputs["sessions"] = [Rec(0, b"bad" + b"x" * LETTER_BYTES)]
    owner = await owner_of(world)
    owner.partition._ports.log.record_bytes = 4_000_000  # type: ignore[misc]
    await owner.feed(0)
    await owner.partition.finish()
    [letter] = [record for record in world.sent if record.topic == "dead-letters"]
    assert len(letter.value or b"") == LETTER_BYTES
    assert dict(letter.headers)["truncated"] == str(LETTER_BYTES + 3).encode()


async def test_the_key_of_a_dead_letter_is_cut_too(world: World) -> None:
    """Packed, a default topic takes a key of megabytes, which no record of the journal could hold."""
    world.inputs["sessions"] = [Rec(0, b"bad", key=b"k" * 9_000_000)]
    owner = await owner_of(world)
    await owner.feed(0)
    await owner.partition.finish()
    [letter] = [record for record in world.sent if record.topic == "dead-letters"]
    assert (letter.key, letter.value) == (b"k" * KEY_BYTES, b"bad")
    assert dict(letter.headers)["key_truncated"] == b"9000000"


async def test_a_flush_that_no_record_can_hold_stops_with_a_clear_error(world: World) -> None:
    """Before anything is written."""
    world.inputs["sessions"] = [Rec(0, b"bad" + b"x" * 200_000)]
    owner = await owner_of(world)
    await owner.feed(0)
    with pytest.raises(JournalError, match=r"more than the \d+ that a journal record holds"):
        await owner.partition.finish()
    assert len(world.journal) == 1


async def test_the_input_waits_while_the_flush_is_too_far_behind(world: World) -> None:
    """Processing goes on during a flush, but not for ever."""
    owner = await owner_of(world, flush_events=2, backlog_events=4)
    waiting = asyncio.ensure_future(owner.feed(0, 1, 2, 3))
    await asyncio.sleep(0)
    assert not waiting.done()
    await owner.run_until(waiting.done)
    assert owner.partition.committable == {"sessions": 4, "queues": 0}


async def test_a_relay_record_counts_by_its_facts(world: World) -> None:
    """Roughly: else as many records of 64 KiB as a flush has events would be a flush."""
    owner = await owner_of(world, flush_events=1_000)
    owner.partition.next["relay"] = 0
    await owner.partition.receive("relay", [Rec(0, b"x" * 64_000)])
    assert owner.partition.pending == 501
    await owner.feed(0, 1)
    assert owner.partition.pending == 503


async def test_nothing_is_taken_after_the_last_flush(world: World) -> None:
    """A batch that was under way is the next owner's."""
    owner = await owner_of(world)
    await owner.partition.finish()
    await owner.feed(0)
    assert owner.floor.cells == {}
    assert owner.partition.next["sessions"] == 0


# ------------------------------------------------------------------ the same owner again


async def test_a_claim_right_behind_our_own_record_means_that_nothing_happened(world: World) -> None:
    """The parked partition goes on under the new epoch, without a load."""
    owner = await owner_of(world)
    await owner.feed(0, 1)
    await owner.partition.finish()
    epoch = len(world.journal)
    await world.claim()
    assert owner.partition.can_resume(epoch)
    owner.partition.resume(epoch)
    await owner.feed(2, 3)
    await owner.partition.finish()
    assert world.latest() == {"sessions a": 3, "sessions b": 1}
    assert world.cells() == {"sessions a": 3, "sessions b": 1}
    assert owner.partition.epoch == epoch


async def test_a_partition_that_others_had_meanwhile_is_not_resumed(world: World) -> None:
    """Nor is one whose last flush failed."""
    owner = await owner_of(world)
    await owner.partition.finish()
    await world.claim()
    await world.claim()
    assert not owner.partition.can_resume(len(world.journal) - 1)
    owner.partition.clean = False
    assert not owner.partition.can_resume(1)


async def test_old_records_may_go_below_the_third_last_whole_cycle(world: World) -> None:
    """Not before there are three."""
    owner = await owner_of(world, heartbeat_s=0)
    await owner.run_until(lambda: owner.partition.seq == 2)
    assert owner.partition.forget_before is None
    owner.partition.closed = False
    await owner.run_until(lambda: owner.partition.seq >= 5)
    assert owner.partition.forget_before == world.fold().cycles[0] == len(world.journal) - 3


# ------------------------------------------------------------------ accounting


async def test_what_was_received_is_told_and_journalled(world: World) -> None:
    """Markers stand outside; the next owner goes on counting."""
    world.inputs["sessions"] = [Rec(0, b"a"), Rec(1, b"bad"), Rec(2, end_of_input(5)), Rec(3, b"late"), Rec(4, b"b")]
    first = await owner_of(world)
    await first.feed(0, 1, 2)
    await first.partition.finish()
    assert first.partition.heartbeat["counters"]["received.sessions"] == 2
    second = await owner_of(world)
    await second.feed(3, 4)
    await second.partition.finish()
    assert second.partition.heartbeat["counters"]["received.sessions"] == 4
    assert second.partition.unaccounted == {"sessions": 0}


async def test_a_record_without_an_outcome_is_told(world: World) -> None:
    """A fault of the floor: it swallows one."""
    owner = await owner_of(world)
    await owner.feed(0, 1)
    owner.floor.counts["sessions"]["applied"] -= 1
    await owner.partition.finish()
    assert owner.partition.unaccounted == {"sessions": 1}


async def test_an_older_journal_begins_its_count_with_what_it_knows(world: World) -> None:
    """It did not say how many were received."""
    first = await owner_of(world)
    await first.feed(0, 1)
    await first.partition.finish()
    second = Owner(world, replace(await world.claim(), received=None))
    await second.run_until(lambda: second.partition.published > 1)
    assert (second.partition.received, second.partition.unaccounted) == ({"sessions": 2}, {"sessions": 0})
