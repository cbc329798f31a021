"""The fast decoder says what the model says, on whatever comes: alone, between clean events, and in one batch."""

from __future__ import annotations

import json
from typing import Any, Final

from hypothesis import event as note
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests import centres
from tests.builders import T0
from tests.unit.test_codec import FULL, LITERALS, TYPE_OF, by_model, clean, disagreements, raw, texts

EXAMPLES: Final = 500
BITS: Final = [b"\\u0061", b"\\", b'"', b"\xc2\x85", b"\x00", b"1e999", b"null", b" "]

kinds = st.sampled_from(sorted(FULL))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
words = st.one_of(
    st.text(max_size=5),
    st.text(min_size=126, max_size=131),
    st.text(alphabet=st.characters(categories=["Cc", "Cf", "Lo", "So", "Zs"]), max_size=6),
    st.sampled_from(["all", "unassigned", "EUR", "answered", "", "a\x7f", "\x85", "é", "😀"]),
)
instants = st.one_of(
    st.integers(-(2**70), 2**70),
    st.integers(T0 - 10**12, T0 + 10**12),
    st.from_regex(
        r"\A[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]"
        r"(\.[0-9]{1,9})?([Zz]|[+-][0-2][0-9]:[0-6][0-9])?\Z"
    ),
    st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z"),
)  # fmt: skip


@st.composite
def values(draw: st.DrawFn) -> bytes:
    """Return an event of any type in which some fields are something else, left out, added or written with escapes."""
    kind = draw(kinds)
    fields = texts(kind)
    for name in draw(st.lists(st.sampled_from(sorted(fields)), max_size=3, unique=True)):
        what = draw(st.sampled_from(["drop", "json", "word", "literal", "instant", "list"]))
        if what == "drop":
            del fields[name]
        elif what == "literal":
            fields[name] = draw(st.sampled_from(LITERALS))
        else:
            source: st.SearchStrategy[Any] = {
                "json": json_values,
                "word": words,
                "instant": instants,
                "list": st.lists(words, max_size=4),
            }[what]
            fields[name] = json.dumps(draw(source), ensure_ascii=draw(st.booleans()))
    items = [(json.dumps(name)[1:-1], text) for name, text in fields.items()]
    if draw(st.booleans()):
        items.append((json.dumps(draw(words))[1:-1], json.dumps(draw(json_values))))
    if draw(st.booleans()) and items:
        name, text = draw(st.sampled_from(items))
        items.insert(0, (f"\\u{ord(name[0]):04x}{name[1:]}" if name and name[0] != "\\" else name, text))
    items = draw(st.permutations(items))
    return ("{" + ",".join(f'"{name}":{text}' for name, text in items) + "}").encode("utf-8", "surrogatepass")


@st.composite
def mutilated(draw: st.DrawFn) -> bytes:
    """Return the bytes of a valid event after a few bytes were changed, dropped, added or moved."""
    value = bytearray(draw(st.sampled_from([clean(kind) for kind in sorted(FULL)])))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(value) - 1)))
        what = draw(st.sampled_from(["change", "drop", "add", "cut", "repeat", "swap"]))
        if what == "change" and value:
            value[at] = draw(st.integers(0, 255) | st.sampled_from(list(b'"\\{}[],:0eE.-ntf\x7f\xc2\x85')))
        elif what == "drop":
            del value[at : at + draw(st.integers(1, 4))]
        elif what == "add":
            value[at:at] = draw(st.binary(max_size=3) | st.sampled_from(BITS))
        elif what == "cut":
            del value[at:]
        elif what == "repeat":
            value[at:at] = value[at : at + draw(st.integers(1, 40))]
        else:
            value[at : at + 20] = value[at : at + 20][::-1]
    return bytes(value)


@settings(max_examples=EXAMPLES)
@given(st.lists(values() | mutilated() | st.binary(max_size=40), min_size=1, max_size=6))
@example([raw({**texts("session.held"), "agent_id": r'"\u0061ll"'})])
@example([clean()[:30], clean()[30:]])
def test_decoder_and_model_agree_on_batches_of_anything(batch: list[bytes]) -> None:
    """Same outcome, same reason, same words; of a good event the same fields with values of the same types."""
    for value in batch:
        verdict = by_model(value)
        note(str(verdict[1]) if verdict[0] == "invalid" else "good")
    assert disagreements(batch) == []


@settings(max_examples=EXAMPLES)
@given(instants)
def test_decoder_and_model_agree_on_times(at: int | str) -> None:
    """Text that nearly looks like RFC 3339, and integers of any size; a second time, when the minute may be cached."""
    value = raw({**texts("session.held"), "at": json.dumps(at)})
    assert disagreements([value, value]) == []


@settings(max_examples=30)
@given(centres.centres(10))
def test_decoder_and_model_agree_on_centres(events: list[centres.Event]) -> None:
    """All events of a messy centre are good."""
    batch = [centres.to_jsonl_bytes(event) for event in events]
    assert disagreements(batch) == []
    assert {by_model(value)[0] for value in batch} <= set(TYPE_OF.values())
