"""The AsyncAPI 3 document of all topics: who sends what where, under which key, with which headers, kept for how long."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

from schemas.contract import Schema, alerts_schema, readings_schema
from schemas.errors import REASONS
from schemas.events import MODELS, type_of
from streams.deadletters import RECEIPT
from streams.topics import DEFAULT_PARTITIONS, DEFAULT_PREFIX, INPUTS, plan

Json = dict[str, Any]

_FORMAT: Final = "application/schema+json;version=draft-07"
_BINDING: Final = "0.5.0"
_TEXT: Final[Json] = {"type": "string"}
_NUMBER: Final[Json] = {"type": "string", "pattern": "^[0-9]+$"}
_ABOUT: Final[Mapping[str, str]] = {
    "sessions": "A customer's session: contact, messages, transfer, end, wrap-up, survey, review.",
    "queues": "A session entering and leaving a queue, being offered to an agent.",
    "status": "An agent's status changes, and the roster.",
    "business": "Site visits, costs, complaints.",
    "readings": "Absolute values per cell and partition; compacted. The newest record of a key is the value.",
    "alerts": "One record for each warning or breach that is entered or left.",
    "dead-letters": "Records that were not counted, as they came, with the reason in headers; also receipts of replays.",
    "late": "Events older than their horizon, as they came, with where from in headers.",
    "relay": "What another key must know. Internal: its form may change with every version.",
    "journal": "The workers' state. Internal: its form may change with every version.",
}
_KEY_OF_INPUT: Final[Mapping[str, str]] = {
    "sessions": "session_id",
    "queues": "session_id",
    "status": "agent_id",
    "business": "queue, or empty where the event names none; complaint_id for complaints",
}
_MESSAGES_ON: Final = {"readings": ["reading"], "alerts": ["alert"], "dead-letters": ["dead-letter", "receipt"]}
_OPAQUE: Final = ("relay", "journal")


def document(prefix: str = DEFAULT_PREFIX, partitions: int = DEFAULT_PARTITIONS) -> Json:
    """Return the document for topics with this prefix."""
    layout = plan(prefix, partitions)
    messages = _messages()
    channels = {
        short: {
            "address": topic.name,
            "description": _ABOUT[short],
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _names_on(short)},
            "bindings": {"kafka": _kafka(topic.name, topic.partitions, topic.configs)},
        }
        for short, topic in layout.topics.items()
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "floorpulse",
            "version": version("floorpulse"),
            "description": "Contact-centre events in, live indicators out. Names of topics begin with kafka.topic_prefix; "
            "the inputs, relay, readings and journal have the same number of partitions, here the default.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": _operations(),
        "components": {"messages": messages},
    }  # fmt: skip


def _kafka(name: str, partitions: int, configs: Mapping[str, str]) -> Json:
    wanted: Json = {"cleanup.policy": [configs.get("cleanup.policy", "delete")]}
    wanted |= {key: int(configs[key]) for key in ("retention.ms", "retention.bytes", "max.message.bytes") if key in configs}
    return {"topic": name, "partitions": partitions, "topicConfiguration": wanted, "bindingVersion": _BINDING}


def _names_on(short: str) -> list[str]:
    if short in INPUTS:
        return [type_of(model) for model in MODELS if short == model.TOPIC]
    return _MESSAGES_ON.get(short, [short])


def _messages() -> Json:
    made = {type_of(model): _event(type_of(model), (model.__doc__ or "").strip(), _KEY_OF_INPUT[model.TOPIC]) for model in MODELS}
    made["reading"] = _record("reading", "A cell's values; a null value is a tombstone.", "readings.json", readings_schema())
    made["alert"] = _record("alert", "A level that was entered or left.", "alerts.json", alerts_schema())
    made["dead-letter"] = _letter("dead-letter", "A record that is no valid event.", {"enum": sorted(REASONS)})
    made["late"] = _letter("late", "An event older than its horizon.", {"enum": ["late"]})
    made["receipt"] = {
        "name": "receipt",
        "summary": "Says which letters `dead-letters replay` has sent.",
        "headers": {"type": "object", "properties": {RECEIPT: _TEXT}, "required": [RECEIPT]},
        "contentType": "application/json",
        "payload": {"type": "array", "items": {"type": "integer"}, "description": "offsets of the letters, in the same partition"},
    }
    for name in _OPAQUE:
        made[name] = {"name": name, "summary": "Internal.", "contentType": "application/octet-stream"}
    return made


def _event(name: str, summary: str, key: str) -> Json:
    return {
        "name": name,
        "summary": summary,
        "contentType": "application/json",
        "payload": _schema(f"events.json#/definitions/{name}"),
        "bindings": {"kafka": {"key": {"type": "string", "description": key}, "bindingVersion": _BINDING}},
    }


def _record(name: str, summary: str, file: str, schema: Schema) -> Json:
    return {
        "name": name,
        "summary": summary,
        "contentType": "application/json",
        "payload": _schema(f"{file}#/definitions/value"),
        "bindings": {"kafka": {"key": schema["definitions"]["key"], "bindingVersion": _BINDING}},
    }


def _letter(name: str, summary: str, reason: Json) -> Json:
    headers = {
        "reason": {"type": "string", **reason},
        "detail": _TEXT,
        "topic": {**_TEXT, "description": "full name of the topic that it came from"},
        "partition": _NUMBER,
        "offset": _NUMBER,
        "timestamp": {**_NUMBER, "description": "of the record, ms since 1970"},
        "replayed": {**_NUMBER, "description": "how often it was sent again; absent: never"},
        "truncated": {**_NUMBER, "description": "bytes of the whole value where it is cut; absent: it is whole"},
        "key_truncated": {**_NUMBER, "description": "bytes of the whole key where it is cut; absent: it is whole"},
    }
    needed = ["reason", "detail", "topic", "partition", "offset", "timestamp"]
    return {
        "name": name,
        "summary": summary,
        "contentType": "application/octet-stream",
        "headers": {"type": "object", "properties": headers, "required": needed},
        "bindings": {"kafka": {"key": {"description": "as it came"}, "bindingVersion": _BINDING}},
    }


def _schema(reference: str) -> Json:
    return {"schemaFormat": _FORMAT, "schema": {"$ref": reference}}


def _operations() -> Json:
    """Return what floorpulse does with the topics that are open to others."""
    made: Json = {f"count-{short}": {"action": "receive", "channel": {"$ref": f"#/channels/{short}"}} for short in INPUTS}
    for short, verb in (("readings", "publish"), ("alerts", "publish"), ("dead-letters", "set-aside"), ("late", "set-aside")):
        made[f"{verb}-{short}"] = {"action": "send", "channel": {"$ref": f"#/channels/{short}"}}
    return made


__all__ = ["document"]
