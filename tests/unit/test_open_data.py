"""The contract with producers and consumers: what docs/schemas says is what the program takes and gives, and it is kept."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft7Validator
from referencing import Registry
from referencing.jsonschema import DRAFT7
from typer.testing import CliRunner

from schemas.alerts import Alert
from schemas.compatible import Side, breaks
from schemas.contract import alerts_schema, events_schema, readings_schema
from schemas.errors import InvalidEvent, UsageError
from schemas.events import MODEL_OF, parse_event
from schemas.readings import encode_key, encode_value
from schemas.rules import Rules
from streams.asyncapi import document
from streams.cli import app
from streams.core.driver import Driver, record_of
from streams.core.floor import Reject
from streams.journal.letters import letter
from streams.open_data import BREAKING, COMMAND, DOCUMENTS, FOLDER, SIDES, broken, text, write
from streams.simulator import Centre, encode, simulate
from streams.topics import plan
from tests.builders import T0

ROOT: Final = Path(__file__).resolve().parents[2]
META: Final = ROOT / "tests" / "vendor" / "asyncapi-3.0.0.json.gz"

EVENTS: Final = Draft7Validator(events_schema())
READINGS: Final = Draft7Validator(readings_schema())

each_type = pytest.mark.parametrize("kind", MODEL_OF)


# -- the committed files


@pytest.mark.parametrize("name", SIDES)
def test_todays_models_break_nobody(name: str) -> None:
    """Who goes by the committed schemas can go on: nothing was removed or narrowed; what was added is optional."""
    lines = [line for line in broken() if line.startswith(name)]
    assert lines == [], f"if it is meant: {BREAKING}, and say so in the changelog"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_committed_file_is_up_to_date(name: str) -> None:
    """The command that makes it is named."""
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == text(name), f"docs/schemas/{name}.json is old: run {COMMAND}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_command_line_prints_what_is_committed(name: str) -> None:
    """Byte for byte."""
    said = CliRunner().invoke(app, ["schema", name])
    assert said.exit_code == 0
    assert said.stdout == (FOLDER / f"{name}.json").read_text(encoding="utf-8")


def test_another_schema_is_wrong_use() -> None:
    """The message lists those that there are."""
    with pytest.raises(UsageError, match="'wages' is not one of events, readings, alerts, asyncapi"):
        text("wages")


# -- events


def smallest(kind: str) -> dict[str, Any]:
    """An event of a type with its required fields only."""
    samples = {
        "channel": "voice",
        "sender": "customer",
        "outcome": "answered",
        "ended_by": "agent",
        "status": "away",
        "score": 4,
        "scale": 5,
        "count": 3,
        "amount": 1.5,
        "currency": "EUR",
    }
    model = MODEL_OF[kind]
    needed = [name for name, field in model.model_fields.items() if field.is_required()]
    return {name: samples.get(name, f"{name}-1") for name in needed} | {"type": kind, "at": T0, "id": "e1"}


def taken(event: dict[str, Any]) -> tuple[bool, bool]:
    """Whether the schema and the program take an event."""
    try:
        parse_event(json.dumps(event).encode())
    except InvalidEvent:
        return EVENTS.is_valid(event), False
    return EVENTS.is_valid(event), True


@each_type
def test_the_schema_knows_the_smallest_event(kind: str) -> None:
    """And what it knows of a type is exactly the fields of its model."""
    assert taken(smallest(kind)) == (True, True)
    assert set(events_schema()["definitions"][kind]["properties"]) == set(MODEL_OF[kind].model_fields)


@each_type
def test_a_required_field_is_required_by_both(kind: str) -> None:
    """Absent or null."""
    event = smallest(kind)
    for name in event:
        assert taken({key: value for key, value in event.items() if key != name}) == (False, False)
        assert taken(event | {name: None}) == (False, False)


@each_type
def test_an_optional_field_may_be_null_for_both(kind: str) -> None:
    """Which means absent; unknown fields are ignored."""
    for name in MODEL_OF[kind].model_fields:
        if name not in smallest(kind):
            assert taken(smallest(kind) | {name: None}) == (True, True)
    assert taken(smallest(kind) | {"shoe_size": [44, None]}) == (True, True)


WRONG: Final[list[tuple[str, dict[str, Any]]]] = [
    ("session.started", {"type": "session.begun"}),
    ("session.started", {"at": "2026-11-21T14:05:47"}),
    ("session.started", {"at": 1.5}),
    ("session.started", {"id": ""}),
    ("session.started", {"id": "x" * 129}),
    ("session.started", {"session_id": "a\u0000b"}),
    ("session.started", {"session_id": "a\n"}),
    ("session.started", {"channel": "all"}),
    ("session.started", {"queue": "unassigned"}),
    ("session.started", {"queue": "a\u0085b"}),
    ("session.started", {"direction": "sideways"}),
    ("session.started", {"priority": "high"}),
    ("session.started", {"v": 0}),
    ("session.message", {"automatic": 1}),
    ("session.rated", {"scale": 0}),
    ("session.reviewed", {"score": 101}),
    ("agent.status", {"capacity": 0}),
    ("agent.status", {"groups": ["north", "all"]}),
    ("agent.status", {"groups": "north"}),
    ("agent.status", {"groups": ["north"] * 1001}),
    ("site.visits", {"count": -1}),
    ("cost.booked", {"currency": "eur"}),
    ("cost.booked", {"amount": 1e10}),
]


@pytest.mark.parametrize(("kind", "fields"), WRONG, ids=lambda each: each if isinstance(each, str) else next(iter(each)))
def test_what_the_program_refuses_the_schema_refuses(kind: str, fields: dict[str, Any]) -> None:
    """Each check of the models that JSON Schema can say."""
    assert taken(smallest(kind) | {"reviewer_id": "r", "score": 4} | fields) == (False, False)


@pytest.fixture(scope="module")
def hour() -> list[tuple[str, str, dict[str, Any]]]:
    """Half an hour of a simulated centre: topic, key, event."""
    centre = Centre.default(queues=3, agents=None, seed=3)
    return [(topic, key, json.loads(encode(event))) for _, topic, key, event in simulate(centre, T0, 1_800_000)]


def test_simulated_events_go_by_the_schema(hour: list[tuple[str, str, dict[str, Any]]]) -> None:
    """Of most types."""
    checks = {kind: Draft7Validator(schema) for kind, schema in events_schema()["definitions"].items()}
    assert [event for _, _, event in hour if not checks[event["type"]].is_valid(event)] == []
    assert len({event["type"] for _, _, event in hour}) > 12


# -- readings, alerts, letters


def test_every_reading_is_described(hour: list[tuple[str, str, dict[str, Any]]]) -> None:
    """Key and value go by the schema, and each part stands in it by name or pattern."""
    driver = Driver(2, Rules(agent_series=True))
    driver.apply([record_of(event, json.dumps(event).encode()) for _, _, event in hour])
    driver.finish(T0 + 3_600_000)
    closed = copy.deepcopy(readings_schema())
    closed["definitions"]["value"]["properties"]["parts"]["additionalProperties"] = False
    check = Draft7Validator(closed)
    seen: set[tuple[str, str]] = set()
    for reading in driver.take():
        value = encode_value(reading.body, 1, 1)
        record = {"key": json.loads(encode_key(reading.key)), "value": value and json.loads(value)}
        fresh = {(reading.key.kind, part) for part in (reading.body or {}).get("parts", {})} | {
            (reading.key.kind, reading.key.dimension)
        }
        if fresh - seen:  # the same parts again say nothing new
            seen |= fresh
            check.validate(record)
    assert {kind for kind, _ in seen} == {"slice", "total", "now", "heartbeat"}
    assert {name for _, name in seen} >= {"queue", "group", "slots", "agent", "floor", "offered", "online_step"}


def test_what_is_no_reading_is_refused() -> None:
    """Another kind of key, a part that is no integer, no sequence."""
    good: dict[str, Any] = {
        "key": ["now", 0, "queue", "orders", "voice"],
        "value": {"v": 1, "epoch": 1, "seq": 1, "parts": {"waiting": 1}},
    }
    assert READINGS.is_valid(good)
    assert READINGS.is_valid(good | {"value": None})
    for path, wrong in (
        (("key", 0), "later"),
        (("key", 1), -1),
        (("value", "parts"), {"waiting": 1.5}),
        (("value", "epoch"), None),
    ):
        bad = copy.deepcopy(good)
        bad[path[0]][path[1]] = wrong
        assert not READINGS.is_valid(bad)


def test_an_alert_goes_by_its_schema() -> None:
    """As it is encoded, with and without a value."""
    for value in (95.0, None):
        alert = Alert(
            id="x",
            previous=None,
            kind="entered",
            kpi="oldest_wait",
            queue="orders",
            channel="voice",
            level="breach",
            before="good",
            told="breach",
            value=value,
            limit=90,
            since=T0,
            at=T0,
        )
        record = {"key": json.loads(alert.key), "value": json.loads(alert.encode())}
        Draft7Validator(alerts_schema()).validate(record)
        assert set(record["value"]) == set(alerts_schema()["definitions"]["value"]["properties"])


@dataclass(frozen=True)
class Raw:
    """A record as a worker reads it."""

    key: bytes = b"k" * 70_000
    value: bytes = b"{" * (3 << 20)
    offset: int = 7
    timestamp: int = T0
    headers: tuple[tuple[str, bytes], ...] = (("replayed", b"1"),)


@pytest.mark.parametrize(("outcome", "name"), [("invalid", "dead-letter"), ("late", "late")])
def test_headers_of_what_was_set_aside_are_described(outcome: Any, name: str) -> None:
    """All of them, and none that there is not."""
    made = letter(Raw(), Reject(0, outcome, "late" if outcome == "late" else "unparsable", "why"), "floorpulse.sessions", 3)
    headers = {key: value.decode() for key, value in made.headers}
    described = document()["components"]["messages"][name]["headers"]
    Draft7Validator(described).validate(headers)
    assert set(headers) == set(described["properties"])
    assert made.topic in document()["channels"]


# -- AsyncAPI


def test_the_document_has_the_form_of_asyncapi() -> None:
    """By the schema that the initiative publishes."""
    meta = json.loads(gzip.decompress(META.read_bytes()))
    Draft7Validator(meta).validate(document())
    spoiled = document()
    spoiled["channels"]["readings"]["bindings"]["kafka"]["partitions"] = 0
    assert not Draft7Validator(meta).is_valid(spoiled)


def test_every_reference_leads_somewhere() -> None:
    """Within the document and into the schemas beside it; an event can be checked by following them."""
    made = document()
    resources: list[tuple[str, Any]] = [("asyncapi.json", DRAFT7.create_resource(made))]
    resources += [(f"{name}.json", DRAFT7.create_resource(DOCUMENTS[name]())) for name in SIDES]
    resolver = Registry().with_resources(resources).resolver("asyncapi.json")
    found = {reference: resolver.lookup(reference).contents for reference in _references(made)}
    assert all(isinstance(each, dict) for each in found.values())
    assert Draft7Validator(found["events.json#/definitions/queue.entered"]).is_valid(smallest("queue.entered"))


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for each in node:
            yield from _references(each)


def test_all_topics_are_described_as_they_are_created() -> None:
    """Names, partitions, retention; every event on its topic, once."""
    channels = document("acme.", 12)["channels"]
    layout = plan("acme.", 12).topics
    assert {short: each["address"] for short, each in channels.items()} == {short: topic.name for short, topic in layout.items()}
    for short, topic in layout.items():
        binding = channels[short]["bindings"]["kafka"]
        assert binding["partitions"] == topic.partitions
        assert binding["topicConfiguration"].get("retention.ms", "-") == int(topic.configs.get("retention.ms", 0) or 0) or (
            "retention.ms" not in topic.configs
        )
    inputs = [kind for short in ("sessions", "queues", "status", "business") for kind in channels[short]["messages"]]
    assert sorted(inputs) == sorted(MODEL_OF)


# -- what breaks whom

OLD: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "a": {"type": "string", "maxLength": 10},
        "b": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]},
        "c": {"enum": ["x", "y"]},
        "d": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["a"],
}
WRITTEN: Final[Side] = "written by others"
READ: Final[Side] = "read by others"
CHANGES: Final[list[tuple[str, dict[str, Any], set[Side]]]] = [
    ("nothing", {}, set()),
    ("an optional field more", {"e": {"type": "string"}}, set()),
    ("a field less", {"a": None}, {WRITTEN, READ}),
    ("another type", {"a": {"type": "integer"}}, {WRITTEN, READ}),
    ("shorter texts", {"a": {"type": "string", "maxLength": 5}}, {WRITTEN}),
    ("longer texts", {"a": {"type": "string", "maxLength": 20}}, {READ}),
    ("texts of any length", {"a": {"type": "string"}}, {READ}),
    ("a pattern", {"a": {"type": "string", "maxLength": 10, "pattern": "^a"}}, {WRITTEN, READ}),
    ("no null", {"b": {"type": "integer", "minimum": 0}}, {WRITTEN}),
    ("null too", {"a": {"anyOf": [{"type": "string", "maxLength": 10}, {"type": "null"}]}}, {READ}),
    ("any number", {"b": {"anyOf": [{"type": "number", "minimum": 0}, {"type": "null"}]}}, {READ}),
    ("from 1 on", {"b": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}}, {WRITTEN}),
    ("a value less", {"c": {"enum": ["x"]}}, {WRITTEN}),
    ("a value more", {"c": {"enum": ["x", "y", "z"]}}, {READ}),
    ("other items", {"d": {"type": "array", "items": {"type": "integer"}}}, {WRITTEN, READ}),
    ("fewer items", {"d": {"type": "array", "items": {"type": "string"}, "maxItems": 3}}, {WRITTEN}),
]


@pytest.mark.parametrize("side", [WRITTEN, READ])
@pytest.mark.parametrize(("change", "fields", "sides"), CHANGES, ids=[name for name, _, _ in CHANGES])
def test_what_breaks_whom(change: str, fields: dict[str, Any], sides: set[Side], side: Side) -> None:
    """Producers by what is narrowed, consumers by what is widened, both by what is gone."""
    new = {**OLD, "properties": {key: value for key, value in (OLD["properties"] | fields).items() if value is not None}}
    assert bool(list(breaks(OLD, new, side))) == (side in sides), change


@pytest.mark.parametrize(("required", "sides"), [(["a"], set()), (["a", "b"], {WRITTEN}), ([], {READ})])
@pytest.mark.parametrize("side", [WRITTEN, READ])
def test_what_is_required_breaks_too(required: list[str], sides: set[Side], side: Side) -> None:
    """A field that producers must now send; one that consumers can no longer count on."""
    assert bool(list(breaks(OLD, {**OLD, "required": required}, side))) == (side in sides)


@pytest.mark.parametrize("name", SIDES)
def test_a_field_that_goes_is_noticed_in_the_real_schemas(name: str) -> None:
    """Wherever it stands: every property of every definition, one by one; one that is added is not."""
    old = DOCUMENTS[name]()
    assert list(breaks(old, DOCUMENTS[name](), SIDES[name])) == []
    for kind, definition in old["definitions"].items():
        for field in definition.get("properties", ()):
            new = copy.deepcopy(old)
            del new["definitions"][kind]["properties"][field]
            assert f"/{kind}/{field}: removed" in list(breaks(old, new, SIDES[name]))
    more = copy.deepcopy(old)
    next(iter(more["definitions"].values())).setdefault("properties", {})["more"] = {"type": "string"}
    assert list(breaks(old, more, SIDES[name])) == []


def test_a_breaking_schema_is_not_written_by_accident(tmp_path: Path) -> None:
    """The refusal names the field and the way to mean it."""
    write(tmp_path)
    file = tmp_path / "events.json"
    promised = json.loads(file.read_text(encoding="utf-8"))
    promised["definitions"]["session.started"]["properties"]["mood"] = {"type": "string"}
    file.write_text(json.dumps(promised))
    with pytest.raises(UsageError, match=r"session\.started/mood: removed(?s:.)*--breaking"):
        write(tmp_path)
    write(tmp_path, breaking=True)
    assert file.read_text(encoding="utf-8") == text("events")
