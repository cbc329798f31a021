"""Where a customer's id is found, and what is said about it; Kafka is in `tests/integration/test_deadletters.py`."""

from __future__ import annotations

import json
import sys
from typing import Any, NamedTuple

import msgspec
import pytest

from schemas.config import Config
from schemas.errors import UsageError
from schemas.rules import Rules
from streams import cli
from streams.core.floor import Floor
from streams.core.relay import NOTHING_TOLD, TO_CUSTOMER, Bundles
from streams.journal import Delta, encode, pack
from streams.purge import Needle, Place, told
from tests.builders import T0

DAY_MS = 86_400_000


class Rec(NamedTuple):
    """A record of a topic."""

    value: bytes | None
    key: bytes | None = None
    offset: int = 7
    timestamp: int = T0


@pytest.mark.parametrize(
    ("value", "there"),
    [
        (b'{"customer_id":"c-1"}', True),
        (b'{"customer_id":"c-12"}', False),
        (b'{"customer_id":"xc-1"}', False),
        (b'{"text":"about c-1 and others"}', False),
        (b'{"customer_id":"\\u0063-1"}', True),
        (b'[{"deep":[["c-1"]]}]', True),
        (b'{"c-1":1}', True),
        (b'{"broken":"c-1"', True),
        (b'{"broken":"c-12"', False),
        (b"\xff c-1 \xff", True),
        (b"", False),
        (None, False),
        (b"[" * 100_000 + b'"c-1"', True),
    ],
)
def test_an_id_is_found_in_what_may_be_json(value: bytes | None, there: bool) -> None:
    """As a whole string, however it is written; in what is no JSON as a word."""
    assert Needle("c-1", Rules()).in_json(value) is there


def test_an_id_is_found_as_a_key() -> None:
    """Of a record that never was an event."""
    assert Needle("c-1", Rules()).in_record("late", Rec(None, b"c-1"))
    assert not Needle("c-1", Rules()).in_record("late", Rec(None, b"c-12"))


def test_an_id_is_found_in_the_relay() -> None:
    """As its target, not in another's."""
    bundles = Bundles(0, 1, None)
    for customer in ("c-0", "c-1"):
        bundles.add(0, (TO_CUSTOMER, customer), "s", 0, NOTHING_TOLD)
    (record,) = bundles.records()
    assert Needle("c-1", Rules()).in_record("relay", Rec(record.value))
    assert not Needle("c", Rules()).in_record("relay", Rec(record.value))


def floor_of(config: Config) -> Floor:
    """A floor that knows a customer."""
    floor = Floor(0, 1, config.rules())
    started = {"id": "e", "type": "session.started", "at": T0, "session_id": "s", "channel": "voice", "customer_id": "c-1"}
    assert floor.apply("sessions", [b"s"], [json.dumps(started).encode()], T0) == []
    return floor


def journal_of(floor: Floor) -> bytes:
    """A journal record with all that the floor keeps once it has heard of itself by relay."""
    for seq in (1, 2):
        relayed = floor.flush(seq, T0, ()).relay
        floor.apply("relay", [None] * len(relayed), [each.value for each in relayed], T0)
    keys = floor.keys()
    entries = {key: floor.entry(key) for key in keys}
    assert any(key.startswith("k") for key in entries)
    return encode(Delta(1, 1, 2, 1, {}, entries))


def test_an_id_is_found_in_the_journal() -> None:
    """In the session's entry and in the customer's own."""
    data = journal_of(floor_of(Config()))
    for record in (data, pack(data)):
        assert Needle("c-1", Rules()).in_record("journal", Rec(record))
        assert not Needle("c-", Rules()).in_record("journal", Rec(record))
    assert not Needle("c-1", Rules()).in_record("journal", Rec(pack(data)[:-9]))
    entry = encode(Delta(1, 1, 2, 1, {}, {"k\x1fc-1\x1fs": msgspec.Raw(b"\xc0")}))
    assert Needle("c-1", Rules()).in_record("journal", Rec(entry))


def test_a_hashed_id_is_found_by_its_hash() -> None:
    """And the id itself is nowhere in the state then."""
    config = Config(customers={"hash_ids": True, "hash_key": "a key that is long enough for it"})
    data = journal_of(floor_of(config))
    assert not Needle("c-1", Rules()).in_record("journal", Rec(data))
    assert Needle("c-1", config.rules()).in_record("journal", Rec(data))


def test_an_empty_id_is_wrong_use(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It would be everywhere."""
    with pytest.raises(UsageError):
        Needle("", Rules())
    monkeypatch.setattr(sys, "argv", ["floorpulse", "purge", "--customer", ""])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert (stop.value.code, capsys.readouterr().err) == (2, "floorpulse purge: --customer is empty\n")


@pytest.mark.parametrize(
    ("short", "kept", "words"),
    [
        ("late", (7 * DAY_MS, DAY_MS), ["2 records, offsets 7 to 9", "between 2026-11-28T14:00:00.000Z and 2026-11-29T14"]),
        ("late", (-1, DAY_MS), ["for ever"]),
        ("late", (2**63 - 1, DAY_MS), ["for ever"]),
        ("journal", (-1, DAY_MS), ["snapshot cycles"]),
    ],
)
def test_it_is_said_until_when(short: str, kept: tuple[int, int], words: list[str]) -> None:
    """Retention deletes whole segments, so there are two bounds."""
    place = Place(short, "t", 3)
    place.add(Rec(b""), 1)
    place.add(Rec(b"", offset=9), 4)
    line = told(place, {"t": kept})
    assert line.startswith("t[3]")
    assert [word for word in words if word not in line] == []
    assert (place.records, place.before) == (2, 4)


def test_a_topic_whose_settings_nobody_may_read_is_kept_for_ever() -> None:
    """As far as we know."""
    unknown: dict[str, Any] = {}
    assert "for ever" in told(Place("late", "t", 0, 1, 1, 1, T0, 1), unknown)
