"""Dead letters without Kafka: what is read from a record, what is sent again, and what a terminal gets to see."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from aiokafka.errors import NotEnoughReplicasError
from hypothesis import given
from hypothesis import strategies as st

from schemas.config import Config
from schemas.errors import FloorpulseError
from streams import cli
from streams.deadletters import Listing, Wanted, letter_of, receipt_of
from streams.journal.letters import letter, replays_of
from streams.letterview import listed, safe, shown, shown_json
from streams.replay import TARGETS, _cause, _Post
from streams.scan import Layout
from tests.builders import T0


class Rec(NamedTuple):
    """A record of a topic."""

    offset: int = 5
    partition: int = 3
    timestamp: int = T0
    key: bytes | None = b"k"
    value: bytes | None = b"v"
    headers: Any = ()


@dataclass(frozen=True)
class Reject:
    """Why the floor did not take it."""

    index: int = 0
    outcome: str = "invalid"
    reason: str = "status"
    detail: str = "status 'lunch' is unknown"


def aside(record: Rec = Rec(), *, ref: tuple[int, int] = (1, 9)) -> Any:  # noqa: B008  # immutable
    """The letter of a rejected record, as it comes back from the topic."""
    out = letter(record, Reject(), "floorpulse.status", record.partition)
    return letter_of(Rec(ref[1], ref[0], T0 + 1, out.key, out.value, tuple(out.headers)))


def test_a_letter_says_what_the_worker_wrote() -> None:
    """Identity, reason, bytes."""
    found = aside()
    assert (found.name, found.origin) == ("1@9", ("floorpulse.status", 3, 5))
    assert (found.reason, found.detail, found.key, found.value) == ("status", "status 'lunch' is unknown", b"k", b"v")
    assert (found.at_ms, found.replays, found.cut) == (T0 + 1, 0, False)


def test_a_letter_of_a_replayed_record_says_so() -> None:
    """So that it is not sent again and again."""
    assert aside(Rec(headers=(("replayed", b"2"), ("other", b"x")))).replays == 2


@pytest.mark.parametrize("value", [b"", b"-1", b"x", b"99999", "²".encode(), b"\xff"])
def test_a_senseless_count_of_replays_is_none(value: bytes) -> None:
    """Producers may write what they like."""
    assert replays_of([("replayed", value)]) == 0


def test_a_letter_that_is_not_whole_is_known() -> None:
    """It was cut to what a topic takes."""
    assert aside(Rec(value=b"x" * (3 << 20))).cut


@given(st.lists(st.tuples(st.text(max_size=9), st.binary(max_size=9))), st.binary() | st.none(), st.binary() | st.none())
def test_anything_can_lie_among_the_letters(headers: list[tuple[str, bytes]], key: bytes | None, value: bytes | None) -> None:
    """It is shown as a letter of unknown reason, and never ends the command."""
    record = Rec(key=key, value=value, headers=tuple(headers))
    receipt_of(record)
    found = letter_of(record)
    text = [*shown(found), *listed(Listing("t", 1, newest=[found], first_ms=0, last_ms=0)), json.dumps(shown_json(found))]
    assert [line for line in text if not line.isprintable()] == []


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"plain \xc3\xa4", "plain ä"),
        (b"\x1b[2J\x07\r\n", r"\x1b[2J\x07\r\n"),
        (b"\xff", r"\xff"),
        ("\u202eevil", r"\u202eevil"),
        ("\u200b\u2028", r"\u200b\u2028"),
        (None, "(null)"),
        (b"x" * 9, "xxxx … (5 more)"),
    ],
)
def test_a_terminal_gets_nothing_that_commands_it(data: bytes | str | None, expected: str) -> None:
    """Controls, marks that turn text around, and bytes that are no text are escaped; the rest is cut."""
    assert safe(data, 4 if data == b"x" * 9 else 100) == expected


@pytest.mark.parametrize(
    ("value", "offsets"), [(b"[1,2]", [1, 2]), (b"{", []), (b"5", []), (b'[1,"x",true]', [1]), (None, [])]
)
def test_a_receipt_notes_offsets(value: bytes | None, offsets: list[int]) -> None:
    """And nothing, if it is none of ours."""
    assert receipt_of(Rec(value=value, headers=(("receipt", b"replayed"),))) == offsets


def test_a_letter_is_no_receipt() -> None:
    """Only the header makes one."""
    assert receipt_of(Rec(value=b"[1]")) is None


def test_why_a_letter_is_left_out() -> None:
    """Each cause; what is sent has none."""
    allowed, plain = {"floorpulse.status": 4}, aside()
    assert _cause(plain, Wanted(), allowed, set(), set()) is None
    assert _cause(plain, Wanted(), {"floorpulse.status": 3}, set(), set()) == "foreign"
    assert _cause(plain, Wanted(), {}, set(), set()) == "foreign"
    assert _cause(plain, Wanted(), allowed, {(1, 9)}, set()) == "sent before"
    assert _cause(plain, Wanted(), allowed, set(), {plain.origin}) == "copy"
    again = aside(Rec(headers=(("replayed", b"1"),)))
    assert _cause(again, Wanted(), allowed, set(), set()) == "rejected again"
    assert _cause(again, Wanted(again=True), allowed, set(), set()) is None


class Full:
    """A producer whose broker takes letters, but no receipts: the dead-letter topic is another one."""

    async def send(self, *_: Any, **__: Any) -> asyncio.Future[None]:
        """Take a letter."""
        taken = asyncio.get_running_loop().create_future()
        taken.set_result(None)
        return taken

    async def send_and_wait(self, *_: Any, **__: Any) -> None:
        """Take no receipt."""
        raise NotEnoughReplicasError


async def test_a_receipt_that_kafka_refuses_is_told_with_what_to_do() -> None:
    """The letters are sent and not noted; it is no fault of floorpulse, and starting again does no harm."""
    names = {short: f"floorpulse.{short}" for short in ("dead-letters", *TARGETS)}
    post = _Post(Config(), Layout(names, dict.fromkeys(names, 4)))
    await post._producer.stop()
    post._producer = Full()
    await post.send(aside())
    with pytest.raises(FloorpulseError, match=r"1 letters of partition 1 .*floorpulse\.dead-letters: NotEnoughReplicas.* again"):
        await post.note()


def test_letters_are_chosen_by_reason_and_time() -> None:
    """From is within, to is not."""
    found = aside()
    assert Wanted().takes(found)
    assert Wanted(frozenset({"status"}), T0 + 1, T0 + 2).takes(found)
    assert not Wanted(frozenset({"unparsable"})).takes(found)
    assert not Wanted(since_ms=T0 + 2).takes(found)
    assert not Wanted(until_ms=T0 + 1).takes(found)


def test_json_holds_bytes_that_are_no_text() -> None:
    """As base64."""
    told = shown_json(aside(Rec(value=b"\xff", key=None)))
    assert (told["key"], told["value_base64"], "value" in told) == (None, "/w==", False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dead-letters"], ["Missing command", "See: floorpulse dead-letters --help"]),
        (["dead-letters", "lst"], ["lst", "list"]),
        (["dead-letters", "list", "--from", "noon"], ["--from", "'noon'"]),
        (["dead-letters", "list", "--to", "2026-01-01T00:00:00"], ["--to", "no offset"]),
        (["dead-letters", "show", "3"], ["'3'", "3@17"]),
        (["dead-letters", "show", "3@1", "--raw", "--json"], ["--raw", "--json"]),
        (["dead-letters", "replay", "--yes", "--dry-run"], ["--yes", "--dry-run"]),
    ],
)
def test_wrong_use_is_one_line_and_status_2(
    arguments: list[str], words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    """As of every command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["floorpulse", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    out, err = capsys.readouterr()
    assert (stop.value.code, out, err.count("\n")) == (2, "", 1)
    assert [word for word in words if word not in err] == []
