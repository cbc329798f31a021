"""The journal's pure parts: the record format, the fold, the rolling snapshot, contiguity."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import JournalError, JournalMismatch, JournalTruncated, JournalVersion
from schemas.readings import decode_key, encode_key, encode_value
from streams.journal import (
    KEPT_CYCLES,
    Claim,
    Delta,
    Explanation,
    Finding,
    Fold,
    Folded,
    Outgoing,
    Rolling,
    Span,
    cut,
    decode,
    encode,
    encode_within,
    pack,
    thaw_entries,
    unpack,
)
from streams.journal import follow as module
from streams.journal.follow import Follow
from streams.journal.ports import Landed
from streams.journal.record import PLAIN, VERSION
from streams.journal.rolling import LEAST

CLAIM = Claim("me", 0)
LETTER = Outgoing("dead-letters", 0, b"k", None, [("reason", b"unparsable")])


def delta(epoch: int, seq: int, entries: dict[str, Any] | None = None, **fields: Any) -> Delta[Any]:
    """A flush by the owner whose claim is at `epoch`; the one before it is published unless told otherwise."""
    fields.setdefault("published", seq - 1)
    fields.setdefault("offsets", {"sessions": seq * 10})
    return Delta(epoch=epoch, partitions=4, seq=seq, entries=entries or {}, **fields)


def fold(records: Sequence[Claim | Delta[Any]], begin: int = 0) -> Folded:
    """Fold a log that begins at `begin`; the claim of the reader comes behind it."""
    folding = Fold(2, 4, begin)
    for offset, record in enumerate(records, begin):
        folding.add(offset, decode(encode(record)))
    return folding.result(begin + len(records))


# ------------------------------------------------------------------ format


def test_a_record_survives_its_encoding() -> None:
    """Bytes, None and nested values come back as they were."""
    record = delta(7, 3, {"a": [1, "x", b"\xff", None, {"k": 2}], "b": None}, outbox=[LETTER], cycle=2, starts=True)
    back = decode(encode(record))
    assert encode(back) == encode(record)
    assert isinstance(back, Delta)
    assert thaw_entries({key: bytes(value) for key, value in back.entries.items()}) == record.entries
    assert (back.outbox, back.cycle, back.starts, back.ends) == ([LETTER], 2, True, False)
    assert decode(encode(CLAIM)) == CLAIM


def test_the_version_stands_in_front() -> None:
    """As a msgpack integer, so that any reader finds it before it has to understand the rest."""
    assert encode(CLAIM)[0] == PLAIN == msgspec.msgpack.decode(encode(CLAIM)[:1])
    assert pack(encode(CLAIM))[0] == VERSION == msgspec.msgpack.decode(pack(encode(CLAIM))[:1])


def test_a_packed_record_is_the_same_in_fewer_bytes() -> None:
    """And what stands in it can be looked at without being understood."""
    record = encode(delta(7, 3, {f"s\x1fsession-{number}": [1, "queue"] for number in range(100)}))
    packed = pack(record)
    assert len(packed) < len(record) / 2
    assert unpack(packed) == unpack(record) == record[1:]
    assert encode(decode(packed)) == record


@pytest.mark.parametrize("cut", [1, 2, 9, -1])
def test_a_damaged_packed_record_is_said_to_be_one(cut: int) -> None:
    """In one line, wherever it was cut."""
    with pytest.raises(JournalError, match="damaged journal record") as found:
        decode(pack(encode(CLAIM))[:cut])
    assert "\n" not in str(found.value)


def test_a_newer_version_is_refused_with_a_remedy() -> None:
    """Whatever follows the version number."""
    with pytest.raises(JournalVersion, match=rf"version {VERSION + 1}.*newer floorpulse"):
        decode(bytes([VERSION + 1]) + b"\xc1 nothing that we could read")


@pytest.mark.parametrize("data", [None, b"", b"{}", b"\x01", b"\x01\x93\xa5other\x01\x02", encode(CLAIM)[:-1]])
def test_foreign_bytes_are_no_record(data: bytes | None) -> None:
    """Another topic's records, damaged ones, tombstones."""
    with pytest.raises(JournalError):
        decode(data)


def test_an_older_record_without_the_newest_fields_is_read() -> None:
    """Fields are only ever added at the end."""
    short = msgspec.msgpack.decode(encode(delta(0, 1, {"a": 1}))[1:])[:7]
    back = decode(bytes([PLAIN]) + msgspec.msgpack.encode(short))
    assert encode(back) == encode(delta(0, 1, {"a": 1}))


# ------------------------------------------------------------------ a flush in parts


def in_maps(entries: dict[str, Any], size: int) -> list[msgspec.Raw]:
    """Entries as a core hands them over, so many to a map."""
    each = list(entries.items())
    return [msgspec.Raw(msgspec.msgpack.encode(dict(each[at : at + size]))) for at in range(0, max(1, len(each)), size)]


def test_a_flush_that_fits_is_one_record() -> None:
    """Nearly always."""
    assert list(encode_within(delta(0, 1, {"a": 1}), 1000)) == [encode(delta(0, 1, {"a": 1}))]


@pytest.mark.parametrize("size", [None, 3, 100], ids=["entries as values", "maps of three", "one map"])
@given(st.dictionaries(st.text(max_size=20), st.binary(max_size=3000), max_size=30), st.integers(0, 20))
def test_a_flush_in_parts_folds_to_the_same_state(size: int | None, entries: dict[str, bytes], letters: int) -> None:
    """No part is larger than the limit. Cores hand entries over as bytes, in one map or several, some too large for a record."""
    options: dict[str, Any] = {"outbox": [LETTER] * letters, "starts": True, "ends": True, "cycle": 1}
    piece = {"p": 1, "q": b"x" * 2000}
    whole = delta(0, 1, entries, piece=piece, **options)
    given = whole if size is None else msgspec.structs.replace(whole, entries=in_maps(entries, size), piece=in_maps(piece, size))
    parts = list(encode_within(given, 8192))
    assert all(len(part) <= 8192 for part in parts)
    got, want = fold([CLAIM, *map(decode, parts)]), fold([CLAIM, whole])
    assert (got.entries, got.outbox, got.seq, got.unpublished) == (want.entries, want.outbox, want.seq, want.unpublished)
    assert got.cycles == want.cycles == (1,)


@pytest.mark.parametrize("entries", [4, 1], ids=["several records", "one"])
def test_who_takes_a_record_is_the_only_one_who_holds_it(entries: int) -> None:
    """They may be megabytes each, and a worker has several flushes on their way."""
    records = encode_within(delta(0, 1, {f"k{i}": b"x" * 3000 for i in range(entries)}), 8192)
    for record in records:
        assert sys.getrefcount(record) <= 2, "this name, and the argument"
    assert next(records, None) is None


def test_a_flush_without_its_last_part_never_happened() -> None:
    """Its writer died; its input is read again."""
    parts = [decode(part) for part in encode_within(delta(0, 2, {f"k{i}": b"x" * 3000 for i in range(4)}), 8192)]
    assert len(parts) > 1
    folded = fold([CLAIM, delta(0, 1, {"a": 1}), *parts[:-1]])
    assert (folded.entries, folded.seq, folded.offsets) == ({"a": 1}, 1, {"sessions": 10})


def test_parts_on_both_sides_of_a_claim_do_not_join() -> None:
    """The first half is dropped with the claim, the second half is a zombie's."""
    parts = [decode(part) for part in encode_within(delta(0, 1, {f"k{i}": b"x" * 3000 for i in range(4)}), 8192)]
    assert fold([CLAIM, *parts[:1], CLAIM, *parts[1:]]).entries == {}


def test_an_entry_that_no_record_can_hold_is_named() -> None:
    """With the limit and the setting."""
    with pytest.raises(JournalError, match=r"entries 'huge' takes \d+ bytes, more than the \d+ .*limits.milestones"):
        encode_within(delta(0, 1, {"huge": b"x" * 20_000}), 10_000)


# ------------------------------------------------------------------ fold


def test_the_last_value_of_each_entry_counts_and_none_deletes() -> None:
    """In log order."""
    folded = fold([CLAIM, delta(0, 1, {"a": 1, "b": 1}), delta(0, 2, {"a": 2, "b": None, "c": 3})])
    assert folded.entries == {"a": 2, "c": 3}
    assert (folded.epoch, folded.seq, folded.offsets, folded.counted) == (3, 2, {"sessions": 20}, 2)


def test_what_a_replaced_writer_appends_is_ignored() -> None:
    """Its epoch is not that of the newest claim; the sequence goes on from the last valid flush."""
    folded = fold([CLAIM, delta(0, 1, {"a": 1}), CLAIM, delta(0, 2, {"a": 666}), delta(2, 2, {"b": 2}), delta(0, 3, {"a": 667})])
    assert folded.entries == {"a": 1, "b": 2}
    assert (folded.seq, folded.counted, folded.ignored) == (2, 2, 2)


def test_what_was_not_published_is_named_over_owners() -> None:
    """Deleted entries too, whose readings may need a tombstone; outboxes in the order of the log."""
    other = Outgoing("relay", 3, b"k", b"v")
    folded = fold(
        [
            CLAIM,
            delta(0, 1, {"a": 1}, outbox=[LETTER]),
            delta(0, 2, {"b": 1, "gone": None}, published=1, outbox=[other]),
            CLAIM,
            delta(3, 3, {"c": 1}, published=1, outbox=[LETTER]),
        ]
    )
    assert folded.published == 1
    assert folded.unpublished == {"b", "gone", "c"}
    assert folded.outbox == (other, LETTER)


def test_an_empty_new_journal_is_complete() -> None:
    """Everything begins with a first claim at offset 0."""
    assert fold([]) == Folded(epoch=0)


def test_a_journal_that_was_emptied_is_refused() -> None:
    """Deleted by somebody else, or by retention."""
    with pytest.raises(JournalTruncated, match=r"partition 2 begins at offset 5.*kafka.topic_prefix"):
        fold([], begin=5)


def test_a_lost_beginning_without_a_whole_cycle_is_refused() -> None:
    """A cycle's tail is not the whole state."""
    with pytest.raises(JournalTruncated, match="no whole snapshot cycle"):
        fold([delta(0, 8, {"a": 1}, piece={"b": 1}, cycle=1, ends=True)], begin=8)


def test_a_lost_beginning_is_made_up_for_by_a_whole_cycle() -> None:
    """The claim is gone with it; the records' epoch stands for it."""
    folded = fold(
        [
            delta(0, 8, {"a": 1}, piece={"b": 1}, cycle=1, starts=True),
            delta(0, 9, {}, piece={"c": 1}, cycle=1, ends=True),
        ],
        begin=8,
    )
    assert folded.entries == {"a": 1, "b": 1, "c": 1}
    assert folded.cycles == (8,)


def test_a_zombie_at_the_begin_of_a_cut_log_leaves_nothing() -> None:
    """The first record of the newer epoch shows that the claim between them was deleted."""
    folded = fold([delta(0, 4, {"ghost": 1}), delta(6, 8, piece={"b": 1}, cycle=1, starts=True, ends=True)], begin=8)
    assert folded.entries == {"b": 1}


def test_a_hole_in_the_log_is_refused() -> None:
    """A predecessor deletes while we read: the loader reads again."""
    folding = Fold(0, 4, 0)
    folding.add(0, CLAIM)
    with pytest.raises(JournalTruncated, match="lacks the records 1 to 2"):
        folding.add(3, delta(0, 1))


def test_another_number_of_partitions_is_refused_with_a_remedy() -> None:
    """Keys have moved, so that the state is another partition's."""
    with pytest.raises(JournalMismatch, match=r"written with 4 partitions, the topics have 8 now"):
        Fold(2, 8, 0).add(0, delta(-1, 1))


# ------------------------------------------------------------------ rolling snapshot


def test_a_piece_is_at_least_as_large_as_the_changes() -> None:
    """So that the log between two cycle starts is bounded by the state."""
    assert Rolling().next(lambda: 1000, 300).size == 300


def test_a_quiet_partition_ends_a_cycle_within_the_bound() -> None:
    """All entries, in `cycle_flushes` pieces at most; then the next cycle starts."""
    rolling = Rolling(cycle=4, cycle_flushes=10)
    pieces = [rolling.next(lambda: 1005, 0) for _ in range(10)]
    assert sum(piece.size for piece in pieces) == 1005
    assert [(piece.cycle, piece.starts, piece.ends) for piece in pieces] == [(5, i == 0, i == 9) for i in range(10)]
    assert rolling.next(lambda: 0, 0) == (6, True, True, 0)


@pytest.mark.parametrize("life", [300, 100, 30])
def test_a_crash_loop_still_lets_the_journal_be_trimmed(life: int) -> None:
    """Owners that live for fewer flushes than a cycle takes: after a few the cycles are whole, then they take their time again."""
    fold, offset, whole = Fold(0, 4, 0), 0, []
    for number in range(24):
        found = fold.result(offset)
        fold.add(offset, Claim("me", 0))
        epoch, offset = offset, offset + 1
        rolling = Rolling(found.cycle, unfinished=found.unfinished)
        for flush in range(1, life + 1):
            piece = rolling.next(lambda: 30_000, 5)
            fold.add(offset, Delta(epoch, 4, found.seq + flush, found.seq, {}, {}, [], piece.cycle, piece.starts, piece.ends, {}))
            offset += 1
        whole.append(len(fold.result(offset).cycles))
        if number < 2:
            assert (life, whole[-1]) in {(300, number), (100, 0), (30, 0)}
    assert whole[-1] == KEPT_CYCLES
    assert offset - fold.result(offset).cycles[0] <= 20 * life


def test_a_small_state_is_a_cycle_by_itself() -> None:
    """There is a least piece."""
    assert Rolling().next(lambda: LEAST, 0).ends


@given(st.integers(0, 10_000))
def test_any_log_cut_below_its_third_last_whole_cycle_folds_to_the_same_state(seed: int) -> None:
    """Whatever changes, whoever owns the partition, wherever zombies write."""
    rng = random.Random(seed)
    state: dict[str, int] = {}
    log: list[Claim | Delta[Any]] = [CLAIM]
    epoch = seq = 0
    rolling = Rolling(cycle_flushes=rng.randint(1, 6))
    cycle: list[str] = []
    for _ in range(rng.randint(1, 60)):
        if rng.random() < 0.1:
            epoch = len(log)
            log.append(CLAIM)
            rolling = Rolling(rolling_cycle(log), cycle_flushes=rng.randint(1, 6))
        if rng.random() < 0.1:
            log.append(delta(rng.randrange(-1, epoch), 1, {f"k{rng.randrange(60)}": 666}, starts=True, ends=True))
        changed: dict[str, Any] = {f"k{rng.randrange(60)}": rng.choice([None, rng.random()]) for _ in range(rng.randrange(4))}
        state = {key: value for key, value in (state | changed).items() if value is not None}
        seq += 1
        piece = rolling.next(state.__len__, len(changed))
        cycle = list(state) if piece.starts else cycle
        chosen, cycle = cycle[: piece.size], cycle[piece.size :]
        again = {key: state[key] for key in chosen if key in state}
        log.append(delta(epoch, seq, changed, piece=again, cycle=piece.cycle, starts=piece.starts, ends=piece.ends))
    whole = fold(log)
    assert whole.entries == state
    if len(whole.cycles) == KEPT_CYCLES:
        begin = whole.cycles[0]
        cut_off = fold(log[begin:], begin)
        assert (cut_off.entries, cut_off.seq, cut_off.cycles) == (state, seq, whole.cycles)


def rolling_cycle(log: list[Claim | Delta[Any]]) -> int:
    """The number of the last cycle, as a new owner finds it."""
    return fold(log).cycle


# ------------------------------------------------------------------ following the readings


def reading(offset: int, epoch: int, name: str = "a", *, kind: str = "total") -> Any:
    """A record of the readings partition 2."""
    key = [kind, 2] if kind == "heartbeat" else [kind, 2, "queue", name, "voice"]
    value = encode_value({"parts": {}}, epoch, 1)
    return SimpleNamespace(offset=offset, key=msgspec.json.encode(key), value=value, timestamp=0)


def test_own_records_side_by_side_need_no_look() -> None:
    """As the broker's acknowledgements tell."""
    follow = Follow(2, 10)
    assert not follow.must_look(Landed(13, 3))
    assert not follow.must_look(Landed(14, 1))
    assert (follow.looked, follow.followed) == (14, 14)


def test_what_an_older_epoch_wrote_between_is_stale_until_answered() -> None:
    """Own readings, heartbeats, tombstones, foreign keys and what lies behind our end are not."""
    follow, landed = Follow(2, 10), Landed(18, 2)
    assert follow.must_look(landed)
    records = [reading(10, 5), reading(11, 3), reading(12, 3, "b"), reading(13, 3, kind="heartbeat"), reading(14, 5)]
    tombstone, other, noise = reading(15, 3, "c"), reading(16, 3, "d"), reading(17, 3)
    tombstone.value, other.key, noise.key = None, other.key.replace(b",2,", b",1,"), b"noise"
    for record in (*records, tombstone, other, noise):
        assert follow.see(record, 5, landed)
    assert not follow.see(reading(18, 3, "e"), 5, landed)
    follow.seen(landed)
    assert (follow.looked, follow.followed) == (18, 10)
    a, b = (decode_key(reading(0, 0, name).key) for name in "ab")
    assert follow.take([(encode_key(b), None)]) == [a]
    follow.answered(18)
    assert follow.followed == 18


def test_a_place_that_the_broker_did_not_tell_is_looked_at() -> None:
    """As after a retry of a batch that was there already."""
    follow, landed = Follow(2, 10), Landed(0, 2)
    assert follow.must_look(landed)
    assert all(follow.see(reading(offset, 5), 5, landed) for offset in (10, 11))
    follow.seen(landed)
    assert follow.followed == 12


def test_only_so_many_are_answered_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is looked at behind the next flush."""
    monkeypatch.setattr(module, "MOST_STALE", 2)
    follow = Follow(2, 0)
    landed = Landed(4, 1)
    assert [follow.see(reading(offset, 3, f"q{offset}"), 5, landed) for offset in range(3)] == [True, True, False]
    follow.seen(landed)
    assert (len(follow.take([])), follow.looked) == (2, 2)
    follow.answered(follow.looked)
    assert follow.must_look(Landed(5, 1))


# ------------------------------------------------------------------ contiguity


@given(st.integers(0, 12), st.sets(st.integers(0, 12)))
def test_a_batch_is_cut_to_what_follows_on(expected: int, delivered: set[int]) -> None:
    """Seen offsets are left out; the cut ends at the first hole."""
    offsets = sorted(delivered)
    begin, end, hole = cut(expected, offsets)
    assert all(offset < expected for offset in offsets[:begin])
    assert offsets[begin:end] == list(range(expected, expected + end - begin))
    assert hole == (end < len(offsets))
    assert not hole or offsets[end] > expected + end - begin


@given(st.integers(0, 12), st.sets(st.integers(0, 12), min_size=1), st.integers(0, 12))
def test_a_span_explains_the_holes_within(expected: int, delivered: set[int], begin: int) -> None:
    """What the client has read across needs no question; a span that begins too late does."""
    offsets = sorted(delivered)
    found = cut(expected, offsets, Span(begin, 13))
    if begin <= expected:
        assert offsets[found.begin : found.end] == [offset for offset in offsets if offset >= expected]
        assert not found.hole
    else:
        assert found == cut(expected, offsets)


@given(st.sets(st.integers(0, 15)), st.sets(st.integers(0, 15)), st.sets(st.integers(0, 15)))
def test_a_hole_is_explained_exactly_if_the_log_holds_nothing_undelivered(log: set[int], lost: set[int], deleted: set[int]) -> None:
    """What may be taken is all that was delivered before the first lost record."""
    delivered = sorted(log - lost)
    explanation = Explanation(delivered)
    finding = Finding.UNDECIDED
    for offset in sorted(log - deleted):
        finding = explanation.see(offset)
        if finding is not Finding.UNDECIDED:
            break
    else:
        finding = explanation.end()
    first_lost = min((o for o in log - deleted if o in lost and o <= max(delivered, default=-1)), default=None)
    assert explanation.lost == first_lost
    assert finding is (Finding.EXPLAINED if first_lost is None else Finding.LOST)
    assert explanation.good == len([o for o in delivered if first_lost is None or o < first_lost])
