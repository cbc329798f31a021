"""Journals and readings of earlier programs are read as they were meant; newer ones are refused, and nothing is touched."""

from __future__ import annotations

import json
import sys
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from schemas.errors import InvalidEvent, JournalError, JournalVersion
from schemas.readings import VERSION as READINGS
from schemas.readings import ReadingKey, decode_value
from schemas.rules import Rules
from streams.core.driver import Driver
from streams.core.relay import FORMAT, RelayFact, decode_relay
from streams.journal import Claim, Delta, Fold, Folded, decode
from streams.journal.record import VERSION as JOURNAL
from tests.golden import files, make

NAMES = files.names()
NEWEST = NAMES[-1]
each_folder = pytest.mark.parametrize("name", NAMES)

CHANGED = (
    "today's program writes another state than the newest golden folder holds. If older programs read it as well, add a folder: "
    "python -m tests.golden.make NAME. If not, it is a new version: raise VERSION in streams/journal/record.py first, and go on "
    "reading the older one"
)


def journal(name: str) -> dict[int, list[bytes]]:
    """The journal of a folder, by partition."""
    found: dict[int, list[bytes]] = {number: [] for number in range(files.PARTITIONS)}
    for partition, offset, record in files.read(name, "journal"):
        assert offset == len(found[partition])
        found[partition].append(b64decode(record))
    return found


def folded(logs: Mapping[int, list[bytes]]) -> dict[int, Folded]:
    """Both partitions' state."""
    return {partition: files.fold(partition, log) for partition, log in logs.items()}


def differing(got: Mapping[str, Any], want: Mapping[str, Any]) -> list[Any]:
    """Where two states differ."""
    one, other = ({**{k: v for k, v in state.items() if k != "entries"}, **state["entries"]} for state in (got, want))
    return [(key, one.get(key), other.get(key)) for key in one.keys() | other.keys() if one.get(key) != other.get(key)]


def meant(row: list[Any]) -> str:
    """A published record without the order of what stands in its value."""
    partition, key, value = row
    return json.dumps([partition, key, None if value is None else json.loads(value)], sort_keys=True)


@each_folder
def test_a_journal_folds_to_the_state_that_its_writer_had(name: str) -> None:
    """Entries, offsets, what is to be published and sent again."""
    for (partition, got), want in zip(folded(journal(name)).items(), files.read(name, "state"), strict=True):
        assert differing(files.state_of(got), want) == [], f"partition {partition}"


@each_folder
def test_work_goes_on_from_it(name: str) -> None:
    """Loaded and fed further events, the floors publish the cells that the writer's own would have."""
    more = [each for each in files.inputs(name) if each.part == 2]
    found = files.go_on(folded(journal(name)), more)
    assert files.rows_of_readings(found) == files.read(name, "readings")


@each_folder
def test_its_readings_are_read(name: str) -> None:
    """A board of today understands what was published then."""
    assert files.check_readable(files.read(name, "published")) > 300


def test_the_newest_is_of_the_present_versions() -> None:
    """A new version needs a new folder."""
    assert files.meta(NEWEST) == {"journal": JOURNAL, "readings": READINGS, "relay": FORMAT, "partitions": files.PARTITIONS}


def test_the_newest_has_something_of_everything() -> None:
    """Two claims, flushes in several parts, a zombie's record, an unsent flush, dead letters, every kind of entry."""
    records = [decode(record) for log in journal(NEWEST).values() for record in log]
    assert sum(isinstance(record, Claim) for record in records) == 4
    assert max(record.parts for record in records if isinstance(record, Delta)) > 1
    states = files.read(NEWEST, "state")
    assert all(state["ignored"] and state["unpublished"] and state["cycles"] for state in states)
    assert {record[0] for state in states for record in state["outbox"]} <= {"relay", "dead-letters"}
    assert {key.split("\x1f")[0] for state in states for key in state["entries"]} == set("sahkvxctlrdbnm")


def test_today_is_written_what_the_newest_holds() -> None:
    """Nothing changes its shape unnoticed."""
    broker = files.written(each for each in files.inputs(NEWEST) if each.part == 1)
    for got, want in zip(folded(broker.journal).values(), files.read(NEWEST, "state"), strict=True):
        places = ("epoch", "cycles")  # offsets: how a large flush is cut into records depends on the order of a set
        found = [each for each in differing(files.state_of(got), want) if each[0] not in places]
        assert found == [], f"{CHANGED}; {len(found)} entries differ, as {found[:2]}"
    published = files.rows_of_published(broker)
    assert sorted(map(meant, published)) == sorted(map(meant, files.read(NEWEST, "published"))), CHANGED


def test_the_newest_is_right_at_all() -> None:
    """The synchronous driver computes the same slices from the same events without any journal."""
    driver = Driver(files.PARTITIONS, Rules())
    driver.apply([(each.topic, each.key, each.value) for each in files.inputs(NEWEST) if each.topic != "relay"])
    while driver.flush():
        pass
    driver.flush()
    last = {key: body["parts"] for key, body in driver.take() if body is not None and key.kind == "slice"}
    want = {key: {part: value for part, value in parts.items() if value} for key, parts in last.items()}
    rows = {ReadingKey(*key): parts for key, parts in files.read(NEWEST, "readings") if key[0] == "slice"}
    assert rows == {key: parts for key, parts in want.items() if parts}


def test_a_newer_record_is_refused_wherever_it_stands() -> None:
    """In one line with a remedy; what was folded before stays as it is."""
    folding = Fold(0, files.PARTITIONS, 0)
    told = f"version {JOURNAL + 1}, this program knows {JOURNAL}. Nothing was changed; run"
    for offset, record in enumerate(journal(NEWEST)[0]):
        with pytest.raises(JournalVersion, match=told) as found:
            decode(bytes([JOURNAL + 1]) + record[1:])
        assert "\n" not in str(found.value)
        folding.add(offset, decode(record))
    assert folding.result(folding.next).seq == files.read(NEWEST, "state")[0]["seq"]


def test_a_version_that_never_was_is_no_journal() -> None:
    """0 and what is no single byte."""
    for first in (b"\x00", b"\x80", b"\xcc\x80"):
        with pytest.raises(JournalError, match="not a journal record"):
            decode(first + journal(NEWEST)[0][0][1:])


def test_a_newer_reading_is_refused() -> None:
    """With a remedy."""
    with pytest.raises(ValueError, match=f"version {READINGS + 1}, this program knows {READINGS}: upgrade floorpulse"):
        decode_value(b'{"v":%d,"epoch":1,"seq":1}' % (READINGS + 1))


def test_a_newer_relay_record_is_refused() -> None:
    """It becomes a dead letter, which can be replayed."""
    with pytest.raises(InvalidEvent, match=f"format {FORMAT + 1}, this program knows {FORMAT}"):
        decode_relay(msgspec.msgpack.encode(RelayFact(FORMAT + 1, 0, 1, None)))


def test_golden_files_are_never_overwritten(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The name is taken."""
    before = (files.FOLDER / NEWEST / "journal.jsonl.gz").read_bytes()
    monkeypatch.setattr(sys, "argv", ["make", NEWEST])
    assert make.main() == 1
    assert "never changed" in capsys.readouterr().err
    assert (files.FOLDER / NEWEST / "journal.jsonl.gz").read_bytes() == before
