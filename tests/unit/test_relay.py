"""Relay records: facts of a flush put together, read again by both cores, refused as a whole."""

from __future__ import annotations

import msgspec
import pytest

from schemas.errors import InvalidEvent
from schemas.rules import Rules
from streams.core.relay import RECORD_BYTES, TO_AGENT, TO_CUSTOMER, Bundles, RelayFact, Told, decode_relay
from streams.native import Core, core_named, is_made

T0 = 1_790_000_000_000
HELD = Told(intervals=((T0, None),), taken=(T0,))


def test_facts_for_a_partition_share_a_record() -> None:
    """In their order, with the watermark; a partition with nothing to hear gets a record only where all are told it."""
    bundles = Bundles(3, 7, T0)
    for number, partition in enumerate((1, 0, 1)):
        bundles.add(partition, (TO_AGENT, f"a{number}"), "s", number, HELD)
    records = {record.partition: decode_relay(record.value) for record in bundles.records(range(3))}
    assert {p: [fact.target for fact in record.all()] for p, record in records.items()} == {0: ["a1"], 1: ["a0", "a2"], 2: []}
    assert {(record.sender, record.watermark) for record in records.values()} == {(3, T0)}
    (fact, _) = records[1].all()
    assert fact == RelayFact(3, 3, 7, T0, TO_AGENT, "a0", "s", 0, HELD.intervals, HELD.taken)
    assert Bundles(3, 7, T0).records() == []


def test_a_record_has_its_size() -> None:
    """Facts beyond it go into the next one, and none is lost."""
    bundles = Bundles(0, 1, None)
    for number in range(5_000):
        bundles.add(0, (TO_CUSTOMER, f"customer-{number}"), f"session-{number}", T0, Told())
    records = bundles.records([0])
    assert len(records) > 3
    assert all(len(record.value) < RECORD_BYTES + 256 for record in records)
    told = [fact.target for record in records for fact in decode_relay(record.value).all()]
    assert told == [f"customer-{number}" for number in range(5_000)]


def test_a_fact_of_format_2_is_read() -> None:
    """It is a record by itself."""
    fact = RelayFact(2, 0, 1, T0, TO_AGENT, "a", "s", T0, HELD.intervals, HELD.taken)
    (read,) = decode_relay(msgspec.msgpack.encode(fact)).all()
    assert (read.target, read.intervals, read.taken) == ("a", HELD.intervals, HELD.taken)
    assert list(decode_relay(msgspec.msgpack.encode(RelayFact(2, 0, 1, T0))).all()) == []


@pytest.mark.parametrize("core", ["python", "compiled"])
def test_a_record_is_taken_or_refused_as_a_whole(core: Core) -> None:
    """A fact of a kind that nobody knows refuses those beside it, too; both cores read what the Python core writes."""
    if core == "compiled" and not is_made():
        pytest.skip("the compiled core is not made")
    floor = core_named(core)(0, 1, Rules())
    bundles = Bundles(0, 1, T0)
    bundles.add(0, (TO_AGENT, "a"), "s1", T0, HELD)
    bundles.add(0, (TO_AGENT, "b"), "s2", T0, HELD)
    (record,) = bundles.records()
    odd = record.value.replace(msgspec.msgpack.encode(TO_AGENT) + msgspec.msgpack.encode("b"), b"\xa1?\xa1b")
    with pytest.raises(InvalidEvent, match="unknown kind '\\?'"):
        decode_relay(odd)
    (reject,) = floor.apply("relay", [None], [odd], T0)
    assert (reject.outcome, reject.reason) == ("invalid", "unparsable")
    assert not any(key.startswith("h") for key in [*floor.keys()])
    assert floor.apply("relay", [None], [record.value], T0) == []
    floor.flush(1, T0)
    assert sorted(key for key in [*floor.keys()] if key.startswith("h")) == ["h\x1fa\x1fs1", "h\x1fb\x1fs2"]
