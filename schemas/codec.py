"""Bytes to events, fast: msgspec structs derived from the models of `schemas.events`.

Theory. For each pydantic model a struct with the same field names and constraints is made at import, and one tagged
union decoder over them all. What the decoder cannot check by itself is checked around it, once per batch where a scan
of the joined bytes can rule it out (control characters, reserved names, text that is not UTF-8) and per event
otherwise. Whatever fails here goes to `schemas.events.parse_event`, which alone decides: so the two can only differ if
the fast path accepts what the model refuses, or reads another value; a property test holds them together.
Each record is decoded by itself; joining a batch into one JSON array would let one record's bytes reach into the next.

A decoded event has the model's attributes, with `at` in UTC milliseconds.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec
from pydantic import AfterValidator, StringConstraints
from pydantic.fields import FieldInfo

from schemas.errors import InvalidEvent
from schemas.events import (
    CONTROL,
    MAX_EVENT_BYTES,
    MODELS,
    RESERVED,
    Event,
    check_name,
    check_reserved,
    parse_event,
    score_within_scale,
    type_of,
)
from schemas.instants import parse_instant

Decoded = Any
"""An instance of one of `STRUCT_OF`'s classes; made at run time, so the type checker cannot know it."""

_CONSTRAINTS: Final = ("ge", "gt", "le", "lt", "min_length", "max_length")


def _meta(metadata: Sequence[Any]) -> dict[str, Any]:
    """Collect msgspec constraints from a field's annotations."""
    found: dict[str, Any] = {}
    for item in metadata:
        if isinstance(item, FieldInfo):
            found |= _meta(item.metadata)
            continue
        found |= {name: value for name in _CONSTRAINTS if (value := getattr(item, name, None)) is not None}
        if isinstance(item, StringConstraints) and item.pattern is not None:
            found["pattern"] = str(item.pattern).replace("$", r"\Z")  # Python's $ forgives a line end
    return found


def _msgspec_type(annotation: Any, metadata: Sequence[Any] = ()) -> Any:
    """Translate one annotation of a model; an annotation of a new kind is an error at import."""
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *extra = get_args(annotation)
        return _msgspec_type(base, [*extra, *metadata])
    if origin in (Union, types.UnionType):
        return Union[tuple(_msgspec_type(part, metadata) for part in get_args(annotation))]  # noqa: UP007  built at run time
    if annotation is type(None) or origin is Literal or annotation is bool:
        return annotation
    if origin is list:
        element = types.GenericAlias(list, (_msgspec_type(get_args(annotation)[0]),))
        return Annotated[element, msgspec.Meta(**_meta(metadata))]
    if annotation in (str, int, float):
        meta = _meta(metadata)
        return Annotated[annotation, msgspec.Meta(**meta)] if meta else annotation
    raise TypeError(f"no msgspec type for {annotation!r}; teach schemas.codec about it")


def _struct_of(model: type[Event]) -> type[msgspec.Struct]:
    required, optional = [], []
    for name, field in model.model_fields.items():
        if name == "type":
            continue
        kind = int | str if name == "at" else _msgspec_type(field.annotation, field.metadata)
        if field.is_required():
            required.append((name, kind))
        else:
            optional.append((name, kind, field.default))
    return msgspec.defstruct(
        model.__name__, [*required, *optional], tag_field="type", tag=type_of(model), gc=False, module=__name__
    )


STRUCT_OF: Final[dict[str, Any]] = {type_of(model): _struct_of(model) for model in MODELS}
_decode_one = msgspec.json.Decoder(Union[tuple(STRUCT_OF.values())]).decode  # noqa: UP007  built at run time
_RATED = STRUCT_OF["session.rated"]
_C1 = re.compile("[\x80-\x9f]")


def _checks(annotation: Any, metadata: Sequence[Any] = ()) -> set[Any]:
    """Collect the functions of the `AfterValidator`s anywhere in an annotation."""
    found = {item.func for item in metadata if isinstance(item, AfterValidator)}
    if get_origin(annotation) is Annotated:
        base, *extra = get_args(annotation)
        return found | _checks(base, extra)
    return found.union(*(_checks(part) for part in get_args(annotation) if get_origin(annotation) is not Literal))


_TEXTS: Final[dict[Any, tuple[tuple[str, bool], ...]]] = {
    STRUCT_OF[type_of(model)]: tuple(
        (name, check_reserved in checks)
        for name, field in model.model_fields.items()
        if check_name in (checks := _checks(field.annotation, field.metadata))
    )
    for model in MODELS
}
"""The text fields of each struct that need a look, and whether reserved names are refused there."""


def _texts_are_clean(event: Decoded) -> bool:
    for name, reserved in _TEXTS[type(event)]:
        value = getattr(event, name)
        for text in value if type(value) is list else (value,):
            if text is not None and (CONTROL.search(text) or (reserved and text in RESERVED)):
                return False
    return True


def _needs_care(values: Sequence[bytes]) -> bool:
    """Tell whether a batch may hold control characters, reserved names or a record of excessive size."""
    joined = b"\n".join(values)
    if b"\\" in joined or b"\x7f" in joined or b'"all"' in joined or b'"unassigned"' in joined:
        return True
    if len(joined) > MAX_EVENT_BYTES and max(map(len, values)) > MAX_EVENT_BYTES:
        return True
    return _has_c1(joined)


def _has_c1(joined: bytes) -> bool:
    """Tell whether text holds C1 control characters, or is not UTF-8."""
    if joined.isascii():
        return False
    try:
        return _C1.search(joined.decode()) is not None
    except UnicodeDecodeError:
        return True


def _from_model(value: bytes) -> Decoded | InvalidEvent:
    """Let the model decide, and put what it accepts into the struct's form."""
    try:
        event = parse_event(value)
    except InvalidEvent as error:
        return InvalidEvent(error.reason, error.detail)  # one never raised: a traceback would hold the batch that it is put in
    fields = event.model_dump()
    return STRUCT_OF[fields.pop("type")](**fields)


def _careful(value: bytes) -> Decoded | InvalidEvent:
    """Decode one record of a batch that `_needs_care`."""
    try:
        value.decode()
        event = _decode_one(value)
        event.at = parse_instant(event.at)
        sure = _texts_are_clean(event) and len(value) <= MAX_EVENT_BYTES
        if sure and not (type(event) is _RATED and not score_within_scale(event)):
            return event
    except (msgspec.MsgspecError, InvalidEvent, UnicodeDecodeError, RecursionError):
        pass
    return _from_model(value)


def decode_batch(values: Sequence[bytes | None]) -> list[Any]:
    """Decode record values, one result each: an event, or the `InvalidEvent` that says why not."""
    present = [value or b"" for value in values]
    if _needs_care(present):
        return [_careful(value) for value in present]
    decode, parse, rated = _decode_one, parse_instant, _RATED
    events: list[Any] = []
    add = events.append
    for value in present:
        try:
            event = decode(value)
            event.at = parse(event.at)
            if type(event) is rated and not score_within_scale(event):
                event = _from_model(value)
        except (msgspec.MsgspecError, InvalidEvent, RecursionError):
            event = _from_model(value)
        add(event)
    return events


def decode_event(value: bytes) -> Decoded:
    """Decode one record value; raises `InvalidEvent`."""
    (event,) = decode_batch([value])
    if isinstance(event, InvalidEvent):
        raise event
    return event


encode_json: Final[Callable[[Any], bytes]] = msgspec.json.Encoder().encode

__all__ = ["STRUCT_OF", "Decoded", "decode_batch", "decode_event", "encode_json"]
