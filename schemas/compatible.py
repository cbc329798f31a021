"""Tell whether a new JSON Schema breaks those who go by the old one.

Who writes records goes by the schema of what we read (events): nothing that was valid may become invalid. Who reads records goes
by the schema of what we write (readings, alerts): nothing may come that the old one did not promise, and nothing that it promised
may go. Optional fields may be added in both. Only the words that `schemas.contract` uses are understood.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

Side = Literal["written by others", "read by others"]

_LEAST: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_MOST: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
_EXACT: Final = ("pattern", "not", "$ref")


def breaks(old: Mapping[str, Any], new: Mapping[str, Any], side: Side, where: str = "") -> Iterator[str]:
    """Yield what breaks, one line each: where, and what."""
    yield from _named("definitions", old, new, side, where)
    before, after = _alternatives(old), _alternatives(new)
    gone, come = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
    if side == "written by others":  # an integer is a number: to take any number where integers were taken narrows nothing
        yield from (f"{where}: no longer takes {form}" for form in gone if not (form == "integer" and "number" in come))
    elif where:  # a further kind of record at the top is an addition
        yield from (f"{where}: may now be {form}" for form in come if not (form == "integer" and "number" in gone))
    for form in sorted(before.keys() & after.keys()):
        yield from _shape(before[form], after[form], side, where)


def _shape(old: Mapping[str, Any], new: Mapping[str, Any], side: Side, where: str) -> Iterator[str]:
    for name in ("properties", "patternProperties"):
        yield from _named(name, old, new, side, where)
    yield from _required(old, new, side, where)
    yield from _bounds(old, new, side, where)
    for name in ("items", "additionalProperties"):
        yield from _inner(old.get(name), new.get(name), side, f"{where}/{name}")


def _named(name: str, old: Mapping[str, Any], new: Mapping[str, Any], side: Side, where: str) -> Iterator[str]:
    olds, news = old.get(name, {}), new.get(name, {})
    yield from (f"{where}/{key}: removed" for key in olds if key not in news)
    for key in olds:
        if key in news:
            yield from breaks(olds[key], news[key], side, f"{where}/{key}")


def _required(old: Mapping[str, Any], new: Mapping[str, Any], side: Side, where: str) -> Iterator[str]:
    before, after = set(old.get("required", ())), set(new.get("required", ()))
    if side == "written by others":
        yield from (f"{where}/{name}: now required" for name in sorted(after - before))
    else:
        yield from (f"{where}/{name}: no longer always there" for name in sorted((before - after) & set(new.get("properties", ()))))


def _alternatives(schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the forms that a value may have by what tells them apart: its type, what it refers to, or its first constant."""
    forms = [each for name in ("anyOf", "oneOf") for each in schema.get(name, ())] or [schema]
    return {_form(each): each for each in forms}


def _form(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"])
    if schema.get("type") == "array" and isinstance(schema.get("items"), list):
        return f"array of {len(schema['items'])} {schema['items'][0].get('const', '')}"
    return str(schema.get("type", "constant"))


def _bounds(old: Mapping[str, Any], new: Mapping[str, Any], side: Side, where: str) -> Iterator[str]:
    before, after = (set(map(repr, _values(each))) for each in (old, new))
    narrower = bool(after) and not (before and before <= after)
    wider = bool(before) and not (after and after <= before)
    if (narrower if side == "written by others" else wider) and before != after:
        yield f"{where}: values were {', '.join(sorted(before)) or 'any'}, now {', '.join(sorted(after)) or 'any'}"
    for name in (*_LEAST, *_MOST):
        was, is_now = old.get(name), new.get(name)
        if was != is_now:
            tighter = was is None or (is_now is not None and (is_now > was) == (name in _LEAST))
            if tighter == (side == "written by others"):
                yield f"{where}: {name} was {was}, now {is_now}"
    for name in _EXACT:
        if old.get(name) != new.get(name):
            yield f"{where}: {name} was {old.get(name)}, now {new.get(name)}"


def _values(schema: Mapping[str, Any]) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum", ()))


def _inner(old: Any, new: Any, side: Side, where: str) -> Iterator[str]:
    if isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield f"{where}: {len(old)} items were, now {len(new)}"
        for number, (one, other) in enumerate(zip(old, new, strict=False)):
            yield from breaks(one, other, side, f"{where}[{number}]")
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from breaks(old, new, side, where)
    elif old != new:
        yield f"{where}: was {old}, now {new}"


__all__ = ["Side", "breaks"]
