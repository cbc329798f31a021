"""The fast decoder and the models agree, and both keep to the specification of the bytes."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from schemas.codec import STRUCT_OF, decode_batch, decode_event
from schemas.errors import InvalidEvent
from schemas.events import MAX_EVENT_BYTES, MAX_LIST, MODEL_OF, parse_event
from schemas.instants import EARLIEST_MS, LATEST_MS
from tests.builders import T0

Event = dict[str, Any]
Verdict = tuple[Any, ...]

SESSION: Final[Event] = {"session_id": "s1"}
FULL: Final[dict[str, Event]] = {
    "session.started": {**SESSION, "channel": "voice", "direction": "outbound", "queue": "q", "customer_id": "c", "priority": 3},
    "session.connected": {**SESSION, "agent_id": "a", "queue": "q"},
    "session.message": {**SESSION, "sender": "agent", "agent_id": "a", "automatic": True},
    "session.held": {**SESSION, "agent_id": "a"},
    "session.resumed": {**SESSION, "agent_id": "a"},
    "session.transferred": {**SESSION, "from_agent": "a", "to_agent": "b", "to_queue": "q", "kind": "warm"},
    "session.ended": {**SESSION, "ended_by": "agent", "resolved": True},
    "session.wrapped_up": {**SESSION, "agent_id": "a"},
    "session.survey_sent": {**SESSION},
    "session.rated": {**SESSION, "score": 4.5, "scale": 5, "agent_id": "a"},
    "session.reviewed": {**SESSION, "agent_id": "a", "reviewer_id": "r", "score": 97.5, "live": True},
    "queue.entered": {**SESSION, "queue": "q", "channel": "chat", "priority": -1},
    "queue.offered": {**SESSION, "queue": "q", "agent_id": "a"},
    "queue.missed": {**SESSION, "queue": "q", "agent_id": "a", "reason": "no answer"},
    "queue.left": {**SESSION, "queue": "q", "outcome": "answered", "agent_id": "a"},
    "agent.status": {"agent_id": "a", "status": "busy", "groups": ["g", "h"], "queues": ["q"], "capacity": 4},
    "agent.joined": {"agent_id": "a", "groups": []},
    "agent.left": {"agent_id": "a", "groups": ["g"]},
    "site.visits": {"count": 0, "queue": "q", "channel": "chat"},
    "cost.booked": {"amount": -12.5, "currency": "EUR", "queue": "q"},
    "complaint.opened": {"complaint_id": "k", "session_id": "s", "queue": "q"},
    "complaint.closed": {"complaint_id": "k", "session_id": "s", "queue": "q", "upheld": False},
}
"""One event of each type with all its fields, less the envelope."""

NAMES: Final = ["session_id", "agent_id", "queue", "group", "customer_id", "channel"]
WORDS: Final = [
    "", "x", "all", "unassigned", "ALL", "All", " all", "a b", "voice", "busy", "EUR", "eur", "EURO", "EU", "answered", "agent",
    "x" * 128, "x" * 129, "x" * 200, "日" * 128, "日" * 129, "😀" * 128, "😀" * 129, "א" * 200, "e\u0301" * 64, "e\u0301" * 65,
    "5", "1.0", "true", "null", "a\u2028b", "\ufeffx", "\u200b", "\ufffd", "<b>", "a'b", "2026-11-21T14:00:00Z",
]  # fmt: skip
CONTROLS: Final = ["\x00", "\x01", "\n", "\t", "\x1f", "\x7f", "\x80", "\x85", "\x9f", "\xa0"]
LITERALS: Final = [
    "null", "true", "false", "0", "1", "-1", "5", "1.0", "5.0", "1.5", "-0", "-0.0", "1e2", "1E2", "1e-2", "1e999", "-1e999",
    "1e400", "5e-324", "100.0000001", "1000000000", "1000000001", "1e9", "1000000000.5",
    "NaN", "Infinity", "-Infinity", "+1", "01", "1.", ".5", "0x1", "1_0",
    "9223372036854775807", "9223372036854775808", "18446744073709551616", "1" + "0" * 40, "-1" + "0" * 40,
    "[]", "{}", '["x"]', "[1]", "[null]", '["x",null]', '["all"]', '[""]', '["x","x"]', '[["x"]]', '{"x":1}', "[}", "", "nul",
    "'x'", r'"\u0061ll"', r'"\u0061"', r'"una\u0073signed"', r'"\ud83d\ude00"', r'"\ud800"', r'"\udc00\ud800"',
    r'"a\ud800b"', r'"\u00e9"',
    r'"\x41"', r'"\u12"', r'"a\/b"', r'"\""', r'"\\"', r'"EUR\n"', r'"EUR\u000a"', r'"a\b"',
    '"a', 'a"', '"a""b"', r'"\u0000"', r'"\u007f"',
    r'"\u0085"', r'["\u0061ll"]', r'["a\u009f"]',
]  # fmt: skip
"""JSON and nearly JSON that is put into every field."""


def raw(fields: dict[str, str]) -> bytes:
    """Return an object of fields whose values are already text."""
    return ("{" + ",".join(f'"{name}":{text}' for name, text in fields.items()) + "}").encode("utf-8", "surrogatepass")


def texts(kind: str) -> dict[str, str]:
    """Return a full event of a type: field → JSON text."""
    event: Event = {"id": "e1", "type": kind, "at": T0, "v": 1, **FULL[kind]}
    return {name: json.dumps(value, ensure_ascii=False) for name, value in event.items()}


def clean(kind: str = "session.started") -> bytes:
    """Return the bytes of a full event of a type."""
    return raw(texts(kind))


def changed(kind: str, /, **fields: str) -> bytes:
    """Return a full event of a type with some fields of other text."""
    return raw(texts(kind) | fields)


def by_model(value: bytes) -> Verdict:
    """Return what the model says: the type and all fields, or the reason."""
    try:
        event = parse_event(value)
    except InvalidEvent as error:
        return ("invalid", error.reason, error.detail)
    fields = event.model_dump()
    return (fields.pop("type"), *sorted((name, type(field).__name__, field) for name, field in fields.items()))


TYPE_OF: Final = {struct: kind for kind, struct in STRUCT_OF.items()}


def verdict_of(event: Any) -> Verdict:
    """Return what a decoded event says, in the same form."""
    if isinstance(event, InvalidEvent):
        return ("invalid", event.reason, event.detail)
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return (TYPE_OF[type(event)], *sorted((name, type(field).__name__, field) for name, field in fields.items()))


def disagreements(values: list[bytes]) -> list[tuple[bytes, Verdict, Verdict]]:
    """Return (value, fast, model) where they differ: each value alone, between clean ones, and all in one batch."""
    clean_one = clean()
    model = [by_model(value) for value in values]
    fast = [[verdict_of(decode_batch([value])[0]) for value in values]]
    fast.append([verdict_of(decode_batch([clean_one, value, clean_one])[1]) for value in values])
    fast.append([verdict_of(event) for event in decode_batch(values)])
    return [
        (value[:300], way, truth)
        for answers in fast
        for value, way, truth in zip(values, answers, model, strict=True)
        if way != truth
    ]


def reason_of(value: bytes) -> str:
    """Return why a value is invalid, or `good`; both decoders must say the same."""
    assert disagreements([value]) == []
    verdict = by_model(value)
    return verdict[1] if verdict[0] == "invalid" else "good"


def test_there_is_an_example_of_every_type_and_field() -> None:
    """So that a new type or field is tested without being named here."""
    assert FULL.keys() == MODEL_OF.keys() == STRUCT_OF.keys()
    for kind, model in MODEL_OF.items():
        assert texts(kind).keys() == set(model.model_fields)
        assert set(STRUCT_OF[kind].__struct_fields__) == set(model.model_fields) - {"type"}


@pytest.mark.parametrize("kind", FULL)
def test_a_decoded_event_has_the_models_fields(kind: str) -> None:
    """Every type with all its fields, and with none but those that are required, whose others have the model's defaults."""
    required = {name for name, field in MODEL_OF[kind].model_fields.items() if field.is_required()}
    least = raw({name: text for name, text in texts(kind).items() if name in required})
    assert reason_of(clean(kind)) == reason_of(least) == "good"
    event = decode_event(clean(kind))
    assert {name: getattr(event, name) for name in FULL[kind]} == FULL[kind]
    assert (event.id, event.at, event.v) == ("e1", T0, 1)
    event = decode_event(least)
    defaults = {name: field.default for name, field in MODEL_OF[kind].model_fields.items() if name not in required}
    assert {name: getattr(event, name) for name in defaults} == defaults


@pytest.mark.parametrize("kind", FULL)
def test_they_agree_on_each_field_left_out_or_null(kind: str) -> None:
    """A required field may be neither; an optional one that is null is absent."""
    for name, field in MODEL_OF[kind].model_fields.items():
        without, null = texts(kind), texts(kind) | {name: "null"}
        del without[name]
        if field.is_required():
            assert reason_of(raw(without)) == "missing_field"
            assert reason_of(raw(null)) != "good"
        else:
            assert reason_of(raw(without)) == reason_of(raw(null)) == "good"
            assert verdict_of(decode_event(raw(null))) == verdict_of(decode_event(raw(without)))


@pytest.mark.parametrize("kind", FULL)
def test_they_agree_on_everything_in_every_field(kind: str) -> None:
    """Words of all lengths and scripts, raw control characters, numbers of all kinds, text that is no JSON."""
    values = []
    for name in (*texts(kind), "nobody_knows_me"):
        values += [changed(kind, **{name: text}) for text in LITERALS]
        for word in WORDS:
            values.append(changed(kind, **{name: json.dumps(word, ensure_ascii=False)}))
            values.append(changed(kind, **{name: json.dumps(word)}))
        for control in CONTROLS:
            values.append(changed(kind, **{name: f'"a{control}b"'}))
            values.append(changed(kind, **{name: json.dumps(f"a{control}b")}))
            values.append(changed(kind, **{name: f'["a{control}b"]'}))
        values.append(changed(kind, **{name: '"a\udc80b"'}))  # as lone surrogate bytes
        values.append(changed(kind, **{name: '"?"'}).replace(b'"?"', b'"\xff"'))
        values.append(changed(kind, **{name: '"?"'}).replace(b'"?"', b'"\xc3"'))
    assert disagreements(values) == []


@pytest.mark.parametrize("kind", FULL)
def test_they_agree_on_a_field_that_stands_twice(kind: str) -> None:
    """The last one counts, whatever the first one was; an escaped name is the same name."""
    good = texts(kind)
    values = []
    for name, text in good.items():
        for other in ('"session.held"', '"x"', "5", "null", "[]", '"all"', str(T0 + 1)):
            twice = {f"{name}": other, **{key: value for key, value in good.items() if key != name}}
            values.append(raw(twice)[:-1] + f',"{name}":{text}}}'.encode())
            values.append(raw(good)[:-1] + f',"{name}":{other}}}'.encode())
            values.append(raw(good)[:-1] + f',"\\u{ord(name[0]):04x}{name[1:]}":{other}}}'.encode())
    assert disagreements(values) == []


def test_of_two_types_the_last_counts() -> None:
    """As for every other field, and as in every JSON reader that makes a map."""
    value = b'{"type":"session.held","id":"e1","at":1795269600000,"session_id":"s","agent_id":"a","type":"session.resumed"}'
    assert type(parse_event(value)).__name__ == "SessionResumed"
    assert TYPE_OF[type(decode_event(value))] == "session.resumed"


# ---- times

INSTANTS: Final = {
    "1795269600123": T0 + 123,
    '"2026-11-21T14:00:00Z"': T0,
    '"2026-11-21T14:00:00.1Z"': T0 + 100,
    '"2026-11-21T14:00:00.123Z"': T0 + 123,
    '"2026-11-21T14:00:00.1239Z"': T0 + 123,
    '"2026-11-21T14:00:00.999999999Z"': T0 + 999,
    '"2026-11-21T14:00:59.999Z"': T0 + 59_999,
    '"2026-11-21t14:00:00z"': T0,
    '"2026-11-21 14:00:00Z"': T0,
    '"2026-11-21T14:00:00+00:00"': T0,
    '"2026-11-21T14:00:00-00:00"': T0,
    '"2026-11-21T15:30:00+01:30"': T0,
    '"2026-11-21T10:15:00.5-03:45"': T0 + 500,
    '"2026-11-22T13:59:00+23:59"': T0,
    r'"2026-11-21T14\u003a00:00Z"': T0,
    '"1990-01-01T00:00:00Z"': EARLIEST_MS,
    '"1990-01-01T01:00:00+01:00"': EARLIEST_MS,
    str(EARLIEST_MS): EARLIEST_MS,
    '"9999-12-31T23:59:59.999Z"': LATEST_MS,
    str(LATEST_MS): LATEST_MS,
    '"2024-02-29T00:00:00Z"': 1_709_164_800_000,
}
NO_INSTANTS: Final = {
    '"2026-11-21T14:00:00"': "naive_timestamp",
    '"2026-11-21T14:00:00.123"': "naive_timestamp",
    '"2026-11-21T14:00:60Z"': "bad_timestamp",
    '"2026-11-21T14:00:60.000Z"': "bad_timestamp",
    '"2026-11-21T24:00:00Z"': "bad_timestamp",
    '"2026-11-21T14:60:00Z"': "bad_timestamp",
    '"2026-11-21T14:00Z"': "bad_timestamp",
    '"2026-11-21"': "bad_timestamp",
    '"2026-11-31T14:00:00Z"': "bad_timestamp",
    '"2026-13-01T14:00:00Z"': "bad_timestamp",
    '"2026-00-01T14:00:00Z"': "bad_timestamp",
    '"2025-02-29T00:00:00Z"': "bad_timestamp",
    '"0000-01-01T00:00:00Z"': "bad_timestamp",
    '"2026-11-21T14:00:00.Z"': "bad_timestamp",
    '"2026-11-21T14:00:00,5Z"': "bad_timestamp",
    '"2026-11-21T14:00:00+1:00"': "bad_timestamp",
    '"2026-11-21T14:00:00+0100"': "bad_timestamp",
    '"2026-11-21T14:00:00+24:00"': "bad_timestamp",
    '"2026-11-21T14:00:00+01:60"': "bad_timestamp",
    '"2026-11-21T14:00:00 Z"': "bad_timestamp",
    '" 2026-11-21T14:00:00Z"': "bad_timestamp",
    r'"2026-11-21T14:00:00Z\n"': "bad_timestamp",
    '"2026-11-21T14:00:00UTC"': "bad_timestamp",
    '"2026-11-21T14:00:+1.000Z"': "bad_timestamp",
    '"2026-11-21T14:00:1_.000Z"': "bad_timestamp",
    '"2026-11-21T14:00:00.+12Z"': "bad_timestamp",
    '"2026-11-21T14:00:00.1_2Z"': "bad_timestamp",
    '"2026-11-21T14:00:00.12 Z"': "bad_timestamp",
    '"2026-11-21T14:00:٠٠.000Z"': "bad_timestamp",
    '"2026-11-21T14:00:00.١٢٣Z"': "bad_timestamp",
    '"２026-11-21T14:00:00Z"': "bad_timestamp",
    '"20261121T140000Z"': "bad_timestamp",
    '"Sat, 21 Nov 2026 14:00:00 GMT"': "bad_timestamp",
    '"1795269600000"': "bad_timestamp",
    '""': "bad_timestamp",
    "1795269600000.0": "bad_timestamp",
    "1795269600000.5": "bad_timestamp",
    "1.7952696e12": "bad_timestamp",
    "true": "bad_timestamp",
    "null": "bad_timestamp",
    "[]": "bad_timestamp",
    "99999999999999999999999999": "bad_timestamp",
    str(LATEST_MS + 1): "bad_timestamp",
    '"9999-12-31T23:59:59-00:01"': "bad_timestamp",
    "0": "too_old",
    "-1": "too_old",
    "1795269600": "too_old",
    str(EARLIEST_MS - 1): "too_old",
    '"1989-12-31T23:59:59.999Z"': "too_old",
    '"1990-01-01T00:00:00+00:01"': "too_old",
    '"1970-01-01T00:00:00.000Z"': "too_old",
    '"0001-01-01T00:00:00.000Z"': "too_old",
}


@pytest.mark.parametrize("text", INSTANTS)
def test_a_time_is_read_as_utc_milliseconds(text: str) -> None:
    """RFC 3339 with `T`, `t` or a space, `Z`, `z` or an offset, decimals cut; or integer milliseconds. Twice, as it is cached."""
    value = changed("session.started", at=text)
    for _ in range(2):
        assert reason_of(value) == "good"
        assert decode_event(value).at == INSTANTS[text]


@pytest.mark.parametrize("text", NO_INSTANTS)
def test_anything_else_is_no_time(text: str) -> None:
    """Whether or not the minute before it has been seen."""
    value = changed("session.started", at=text)
    assert reason_of(value) == NO_INSTANTS[text]
    decode_event(changed("session.started", at='"2026-11-21T14:00:07.000Z"'))
    assert reason_of(value) == NO_INSTANTS[text]


# ---- names

GOOD_NAMES: Final = ["x", "x" * 128, "日" * 128, "😀" * 128, "ALL", " all", "a b", "a\xa0b", "a\u2028b", "טקסט", "=1+1", "5"]
BAD_NAMES: Final = {
    "": "bad_name",
    "x" * 129: "bad_name",
    "日" * 129: "bad_name",
    "😀" * 129: "bad_name",
    "x" * 200: "bad_name",
    **{f"a{control}b": "bad_name" for control in CONTROLS[5:9]},
}


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_a_name_has_1_to_128_characters_of_any_script(name: str) -> None:
    """Raw as well as escaped."""
    for text in (json.dumps(name), json.dumps(name, ensure_ascii=False)):
        value = changed("queue.entered", queue=text, session_id=text)
        assert reason_of(value) == "good"
        assert (decode_event(value).queue, decode_event(value).session_id) == (name, name)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_other_names_are_refused(name: str) -> None:
    """Empty, too long, or with DEL or C1 in them, wherever they stand; raw as well as escaped."""
    for text in (json.dumps(name), json.dumps(name, ensure_ascii=False)):
        assert reason_of(changed("queue.entered", queue=text)) == BAD_NAMES[name]
        assert reason_of(changed("session.started", customer_id=text)) == BAD_NAMES[name]
        assert reason_of(changed("agent.status", groups=f'["g",{text}]')) == BAD_NAMES[name]
        assert reason_of(changed("session.started", id=text)) == BAD_NAMES[name]


@pytest.mark.parametrize("control", CONTROLS[:5])
def test_c0_is_no_name_when_escaped_and_no_json_when_raw(control: str) -> None:
    """JSON itself forbids it raw."""
    assert reason_of(changed("queue.entered", queue=json.dumps(f"a{control}"))) == "bad_name"
    assert reason_of(changed("queue.entered", queue=f'"a{control}"')) == "unparsable"


@pytest.mark.parametrize("name", ["all", "unassigned"])
def test_reserved_names_are_refused_for_queues_groups_and_channels_only(name: str) -> None:
    """Escaped or not; an agent or a session may be called so."""
    for text in (f'"{name}"', f'"\\u{ord(name[0]):04x}{name[1:]}"'):
        assert reason_of(changed("queue.entered", queue=text)) == "reserved_name"
        assert reason_of(changed("queue.entered", channel=text)) == "reserved_name"
        assert reason_of(changed("session.transferred", to_queue=text)) == "reserved_name"
        assert reason_of(changed("agent.status", groups=f'["g",{text}]')) == "reserved_name"
        assert reason_of(changed("agent.status", queues=f"[{text}]")) == "reserved_name"
        assert reason_of(changed("session.started", session_id=text, customer_id=text, id=text)) == "good"
        assert reason_of(changed("session.held", agent_id=text)) == "good"


# ---- numbers, currencies, lists


@pytest.mark.parametrize("text", ["5.0", '"5"', "true", "NaN", "1e1", "1.5", "[]", "{}"])
@pytest.mark.parametrize("field", ["count", "capacity", "priority"])
def test_only_integers_are_integers(field: str, text: str) -> None:
    """Neither integral floats nor digit strings, booleans or NaN."""
    kind = {"count": "site.visits", "capacity": "agent.status", "priority": "session.started"}[field]
    assert reason_of(changed(kind, **{field: text})) == ("unparsable" if text == "NaN" else "bad_field")


@pytest.mark.parametrize(("text", "good"), [("1", True), ("2", True), ("99999999999999999999", True), ("0", False), ("-1", False)])
def test_a_higher_schema_version_is_accepted(text: str, good: bool) -> None:
    """A version is an integer from 1 on."""
    assert reason_of(changed("session.held", v=text)) == ("good" if good else "bad_field")


@pytest.mark.parametrize(
    ("score", "scale", "good"),
    [("0", "5", True), ("5", "5", True), ("4.5", "5.0", True), ("5.0000001", "5", False), ("-0.1", "5", False), ("0", "0", False)],
)
def test_a_score_lies_within_its_scale(score: str, scale: str, good: bool) -> None:
    """From 0 to the scale, which is above 0."""
    assert reason_of(changed("session.rated", score=score, scale=scale)) == ("good" if good else "bad_field")


@pytest.mark.parametrize("text", ['"eur"', '"EURO"', '"EU"', '""', '"ÄÖÜ"', r'"EUR\n"', '"EUR "', '"ＥＵＲ"', "978"])
def test_a_currency_is_three_capital_ascii_letters(text: str) -> None:
    """Nothing before or behind them, not even a line feed."""
    assert reason_of(changed("cost.booked", currency=text)) in ("bad_field", "bad_name")


def test_lists_are_bounded() -> None:
    """A thousand groups are accepted, one more is a mistake upstream."""
    assert reason_of(changed("agent.status", groups=json.dumps(["g"] * MAX_LIST))) == "good"
    assert reason_of(changed("agent.status", groups=json.dumps(["g"] * (MAX_LIST + 1)))) == "bad_field"


# ---- the record as a whole


def with_unknown(text: bytes) -> bytes:
    """Return an event with a field that nobody knows."""
    return clean()[:-1] + b',"x":' + text + b"}"


NO_OBJECTS: Final = [
    b"", b" ", b"{", b"{}}", b"[]", b"null", b"5", b'"x"', b"{nope", b"\xff\xfe", b"\x00", b"{" * 5000, b"[" * 60_000,
    clean()[:-1], clean() + b"x", clean() + clean(), clean()[:-1] + b",}", b"\xef\xbb\xbf" + clean(),
    clean().decode().encode("utf-16"), clean().replace(b'"', b"'"), b"/* c */" + clean(), clean()[:-1] + b',"\xff":1}',
    with_unknown(b"nope"), with_unknown(b"NaN"), with_unknown(b'"\xff"'), with_unknown(b'"\xed\xa0\x80"'),
    with_unknown(b'"\xc0\xaf"'), with_unknown(b"[" * 50_000 + b"]" * 10), with_unknown(b'"\\ud800"'), with_unknown(b'"\x01"'),
    changed("session.started", at="1e999"),
]  # fmt: skip


@pytest.mark.parametrize("value", NO_OBJECTS)
def test_what_is_no_json_object_in_utf8_is_unparsable(value: bytes) -> None:
    """Also where the fault lies in a field that nobody reads."""
    assert reason_of(value) == "unparsable"


WITH_UNKNOWN: Final = [
    b"  \n" + clean() + b"\r\n\t ", clean()[:-1] + b',"":0}', clean()[:-1] + ',"日本":"\x85"}'.encode(),
    clean().replace(b'"channel"', b'"\\u0063hannel"'), with_unknown(b'{"y":[1,{"z":null}]}'), with_unknown(b"1e999"),
    with_unknown(b'"\\u0000"'), with_unknown(b'"all"'), with_unknown(b"[" * 50 + b"]" * 50), with_unknown(b"1" * 5000),
]  # fmt: skip


@pytest.mark.parametrize("value", WITH_UNKNOWN)
def test_unknown_fields_are_ignored_whatever_they_hold(value: bytes) -> None:
    """As long as the whole is JSON in UTF-8."""
    assert reason_of(value) == "good"
    assert verdict_of(decode_event(value)) == verdict_of(decode_event(clean()))


def test_the_largest_record_is_accepted_and_a_byte_more_is_not() -> None:
    """65,536 bytes of value."""
    start = clean()[:-1] + b',"x":"'
    filler = MAX_EVENT_BYTES - len(start) - 2
    assert reason_of(start + b"x" * filler + b'"}') == "good"
    assert reason_of(start + b"x" * (filler + 1) + b'"}') == "too_large"


def test_a_record_cannot_reach_into_its_neighbours() -> None:
    """Halves of an event, and halves of a character, in records of their own stay halves."""
    whole = changed("queue.entered", queue='"é"')
    middle = whole.index("é".encode()) + 1
    values = [whole[:middle], whole[middle:], whole, whole[:40], whole[40:], b"", whole]
    assert disagreements(values) == []
    verdicts = [verdict_of(event)[0] for event in decode_batch(values)]
    assert verdicts == ["invalid", "invalid", "queue.entered", "invalid", "invalid", "invalid", "queue.entered"]


def test_a_batch_has_one_result_for_each_record() -> None:
    """In order; a missing value (a tombstone) is invalid like an empty one."""
    events = decode_batch([clean("session.held"), None, clean("site.visits"), b"x"])
    assert [verdict_of(event)[0] for event in events] == ["session.held", "invalid", "site.visits", "invalid"]
    assert decode_batch([]) == []


def test_decode_event_raises_what_decode_batch_returns() -> None:
    """With the same reason."""
    with pytest.raises(InvalidEvent, match="naive_timestamp"):
        decode_event(changed("session.held", at='"2026-11-21T14:00:00"'))


@pytest.mark.parametrize("bad", [b"{", b'{"id":"1","type":"session.ended"}', b'{"id":"\\u0007","type":"session.ended","at":1}'])
def test_a_bad_record_holds_nothing_of_its_batch(bad: bytes) -> None:
    """A traceback would hold the frame that holds the batch that holds the error, until the collector comes by."""
    _, error = decode_batch([b"{}", bad])
    assert isinstance(error, InvalidEvent)
    assert (error.__traceback__, error.__context__, error.__cause__) == (None, None, None)
