"""JSON Schemas of what goes in and comes out, made from the models: the contract with producers and consumers.

Dialect draft-07, so that AsyncAPI tools can read them. A schema of events admits what `parse_event` admits, as far as JSON Schema
can say it: not that a score is at most its scale, and not that `1.0` is no integer. A schema of readings lists every part there is;
further ones may be added, so a consumer ignores what it does not know. `floorpulse schema` prints them, docs/schemas has them.
"""

from __future__ import annotations

from typing import Any, Final, get_args

import msgspec
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from schemas.alerts import Alert
from schemas.events import MODELS, RESERVED, Event, check_name, check_reserved, type_of
from schemas.parts import (
    AGENT_DAYS,
    COST,
    COUNTS,
    FURTHER_COUNTS,
    FURTHER_SUMS,
    GAUGE_LEVELS,
    HISTOGRAM_LIMITS_MS,
    LEVELS,
    REVIEWER_DAYS,
    ROSTER_LEVEL,
    SERIES,
    SLOT_LEVELS,
    SUMS,
    TOTALS,
)
from schemas.readings import Dimension, Published

Schema = dict[str, Any]

DIALECT: Final = "http://json-schema.org/draft-07/schema#"
_REF: Final = "#/definitions/{name}"
_CONTROL: Final = r"[\u0000-\u001f\u007f-\u009f]"
_INTEGER: Final[Schema] = {"type": "integer"}
_RFC3339: Final = r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$"


class _EventSchemas(GenerateJsonSchema):
    """Says of the models' own checks what JSON Schema can say."""

    def function_after_schema(self, schema: core_schema.AfterValidatorFunctionSchema) -> JsonSchemaValue:
        """Add what a check of a text refuses."""
        made = super().function_after_schema(schema)
        check = schema["function"]["function"]
        if check is check_name:
            made["not"] = {"pattern": _CONTROL}
        elif check is check_reserved:
            made["not"] = {"anyOf": [made["not"], {"enum": sorted(RESERVED)}]}
        return made

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        """Say in which forms event time may come; nothing else is read before its check."""
        made = super().function_before_schema(schema)
        if made != _INTEGER:
            return made
        return {
            "anyOf": [
                {"type": "string", "pattern": _RFC3339, "description": "RFC 3339 with an offset"},
                {"type": "integer", "description": "milliseconds since 1970-01-01T00:00:00Z"},
            ]
        }


def event_schema(model: type[Event]) -> Schema:
    """Return the schema of one type of event."""
    made = model.model_json_schema(schema_generator=_EventSchemas)
    required = set(made["required"])
    fields = {name: _nullable(field) if name not in required else field for name, field in made["properties"].items()}
    fields["type"] = {"const": type_of(model)}
    for field in fields.values():
        field.pop("title", None)
    return {
        "title": type_of(model),
        "description": f"{(model.__doc__ or '').strip()} Topic {model.TOPIC}, record key {model.KEY}.",
        "type": "object",
        "properties": fields,
        "required": sorted(required),
    }


def _nullable(field: Schema) -> Schema:
    """Let an optional field be null, which means that it is absent."""
    if {"type": "null"} in field.get("anyOf", ()):
        return field
    inner = {key: value for key, value in field.items() if key not in ("default", "title")}
    return {"anyOf": [inner, {"type": "null"}], "default": field["default"]}


def events_schema() -> Schema:
    """Return the schema of any event."""
    definitions = {type_of(model): event_schema(model) for model in MODELS}
    return {
        "$schema": DIALECT,
        "title": "floorpulse event",
        "description": "One record value of the input topics. Unknown fields are ignored; null in an optional field means absent.",
        "oneOf": [{"$ref": _REF.format(name=name)} for name in definitions],
        "definitions": definitions,
    }


# -- readings

_DIMENSIONS: Final = get_args(Dimension)
_LEVEL_NAMES: Final = (*LEVELS, ROSTER_LEVEL)


def _fixed(*items: Schema, description: str) -> Schema:
    return {"type": "array", "items": list(items), "minItems": len(items), "maxItems": len(items), "description": description}


def _key_schema() -> Schema:
    partition = {"type": "integer", "minimum": 0}
    place: list[Schema] = [{"enum": list(_DIMENSIONS)}, {"type": "string"}, {"type": "string"}]
    length = {"enum": [10_000, 900_000, 3_600_000, 86_400_000]}
    return {
        "description": "Record key. The second element is the partition that counted: values of one place add up over partitions.",
        "oneOf": [
            _fixed({"const": "slice"}, partition, *place, length, _INTEGER,
                   description="kind, partition, dimension, name, channel, length in ms, start in ms since 1970"),
            _fixed({"const": "total"}, partition, *place, description="kind, partition, dimension, name, channel"),
            _fixed({"const": "now"}, partition, *place, description="kind, partition, dimension, name, channel"),
            _fixed({"const": "heartbeat"}, partition, description="kind, partition"),
        ],
    }  # fmt: skip


def part_names() -> dict[str, str]:
    """Return the parts that have a fixed name, with what they hold."""
    named = dict.fromkeys((*COUNTS, *FURTHER_COUNTS, *TOTALS, "taken", "agents_left", "waiting_past_answer"), "count")
    named |= dict.fromkeys((*SUMS, *FURTHER_SUMS), "sum in ms") | {"rated_score_e6": "sum of score / scale in millionths"}
    for level in _LEVEL_NAMES:
        named[f"{level}_step"] = "changes of the level within the slice"
        named[f"{level}_ms"] = "sum of step x (end of slice - its instant) in ms"
        named[level] = "level now"
    named |= dict.fromkeys((*GAUGE_LEVELS, *SLOT_LEVELS), "level now")
    named |= dict.fromkeys(("waiting", "waiting_late", "active_sessions", "complaints_open"), "now")
    named |= {
        "oldest_entered_at": "ms since 1970; the least over partitions",
        "roster_since": "ms since 1970; the least over partitions",
    }
    named |= {
        REVIEWER_DAYS: "distinct reviewers of a local day",
        AGENT_DAYS: "agents who came online on a local day, less those who left",
    }
    return dict(sorted(named.items()))


def _patterns() -> Schema:
    series, limits = "|".join(SERIES), "|".join(map(str, HISTOGRAM_LIMITS_MS))
    return {
        f"^({series})~-?\\d+$": {**_INTEGER, "description": "count in a bucket of the sketch"},
        f"^({series})_hist~({limits}|inf)$": {
            **_INTEGER,
            "description": "running count of a histogram's bucket, by upper limit in ms",
        },
        f"^({series})_hist_ms$": {**_INTEGER, "description": "running sum in ms"},
        f"^{COST.pattern}$": {**_INTEGER, "description": "cost booked in a currency, in millionths"},
        r"^in_hand_\d+(_step|_ms)?$": {**_INTEGER, "description": "agents with at least so many sessions in hand"},
    }


def _value_schema() -> tuple[Schema, Schema]:
    """Return the schema of a value and the definitions that it needs."""
    (_,), found = msgspec.json.schema_components([Published], ref_template=_REF)
    value = found.pop(Published.__name__)
    parts = {name: {**_INTEGER, "description": text} for name, text in part_names().items()}
    value["properties"]["parts"] = {
        "type": "object", "properties": parts, "patternProperties": _patterns(), "additionalProperties": _INTEGER, "default": {},
    }  # fmt: skip
    value["description"] = "Record value. (epoch, seq) grows with each flush of the valid owner: keep the highest of a key."
    ahead = value["properties"]["ahead"]["items"]
    ahead["items"] = ahead.pop("prefixItems", ahead.get("items"))
    return value, found


def readings_schema() -> Schema:
    """Return the schema of a reading, key and value; a null value is a tombstone."""
    value, definitions = _value_schema()
    return {
        "$schema": DIALECT,
        "title": "floorpulse reading",
        "description": "One record of the readings topic: absolute values of a cell of one partition. Ignore unknown parts.",
        "type": "object",
        "properties": {"key": {"$ref": _REF.format(name="key")},
                       "value": {"anyOf": [{"$ref": _REF.format(name="value")}, {"type": "null"}]}},
        "required": ["key", "value"],
        "definitions": {"key": _key_schema(), "value": value, **definitions},
    }  # fmt: skip


def alerts_schema() -> Schema:
    """Return the schema of an alert, key and value."""
    made = Alert.model_json_schema(mode="serialization")
    for field in made["properties"].values():
        field.pop("title", None)
    subject = [{"type": "string"}] * 4
    return {
        "$schema": DIALECT,
        "title": "floorpulse alert",
        "description": "One record of the alerts topic: a warning or breach that was entered or left. Deduplicate by id.",
        "type": "object",
        "properties": {"key": {"$ref": _REF.format(name="key")}, "value": {"$ref": _REF.format(name="value")}},
        "required": ["key", "value"],
        "definitions": {"key": _fixed(*subject, description="kpi, queue, channel, group"), "value": made},
    }


__all__ = ["Schema", "alerts_schema", "events_schema", "readings_schema"]
