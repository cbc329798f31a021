"""Read the configuration file, and word its errors: file, line, key, nearest name, remedy."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args, get_origin

import yaml
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import EnvSettingsSource, SettingsError

from schemas.config import Config
from schemas.durations import format_duration
from schemas.errors import ConfigError
from schemas.threshold_settings import LISTED_ELSEWHERE

DEFAULT_FILE: Final = "floorpulse.yaml"
PREFIX: Final = "FLOORPULSE_"
NOT_SETTINGS: Final = frozenset(
    {"FLOORPULSE_BANK_DATA", "FLOORPULSE_REQUIRE_KAFKA", "FLOORPULSE_REQUIRE_BROWSER", "FLOORPULSE_REQUIRE_NATIVE",
     "FLOORPULSE_SCREENS", "FLOORPULSE_DEEP", "FLOORPULSE_KAFKA_CACHE"}
)  # fmt: skip
"""Variables of this project's own tests, which say nothing about a running program."""

_WORDS: Final = {
    "function _setting": "instant", "SecretStr": "secret", "bool": "true, false", "dict": "map", "list": "list", "int": "number",
    "float": "number",
}  # fmt: skip
"""What a value may be, by what its type's text holds."""

_SECRET: Final = re.compile("password|secret|authorization|hash_key|^url$|^webhooks$")
"""Keys whose values no message shows."""
_SHAPES: Final = frozenset({"dict_type", "model_type", "model_attributes_type"})
"""Refusals of what stands where a section should: it may be the secret that belongs into one."""

_TEXT: Final = "tag:yaml.org,2002:str"
_Path = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """YAML's safe loader for settings: keys are names and stay text as written; what cannot be read is told with its line."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a section; `1001`, `no` and dates are names of queues, too."""
        self.flatten_mapping(node)
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                key.tag = _TEXT
        return super().construct_mapping(node, deep=deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return a value; raises `ConstructorError` also where YAML's types do not say so themselves."""
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, LookupError, AttributeError, OverflowError):
            problem = f"{str(node.value)[:80]!r} is no {node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None

    def construct_instant(self, node: yaml.ScalarNode) -> Any:
        """Return an instant; what is none, or names no offset, stays text and is refused by what it was meant for."""
        try:
            found = self.construct_yaml_timestamp(node)
        except (ValueError, OverflowError):
            return node.value
        return found if getattr(found, "tzinfo", None) is not None else node.value


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_instant)


def load(path: str | Path | None = None) -> Config:
    """Return the effective configuration; raises `ConfigError`.

    Without `path` the file `floorpulse.yaml` of the current folder is read where it exists.
    """
    file = Path(path) if path is not None else Path(DEFAULT_FILE)
    data: Any = {}
    lines: dict[_Path, int] = {}
    if path is not None or file.exists():
        data, lines = _read(file)
    _check_environment()
    try:
        return Config(**data)
    except ValidationError as error:
        raise ConfigError(_worded(error, file.name, lines)) from None
    except SettingsError:
        name = _unreadable()
        key = name.removeprefix(PREFIX).replace("__", ".").lower()
        raise ConfigError(f"environment {name}: {key}: is no JSON: write lists with commas, maps as JSON") from None


def _read(file: Path) -> tuple[dict[str, Any], dict[_Path, int]]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {file}: {error}") from None
    lines: dict[_Path, int] = {}
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        positions = [] if root is None else list(_positions(root, ()))
        data = None if root is None else loader.construct_document(root)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise ConfigError(f"{file.name}{where}: not YAML: {problem}") from None
    except RecursionError:
        raise ConfigError(f"{file.name}: keys stand in each other too deeply, or an alias in what it names") from None
    if data is None:
        return {}, {}
    if not isinstance(data, dict):
        raise ConfigError(f"{file.name}: the top level must be keys and values. All keys: floorpulse check-config --keys")
    for found, line in positions:
        if found in lines:
            raise ConfigError(f"{file.name} line {line}: key {_dotted(found)} stands here for the second time")
        lines[found] = line
    return data, lines


def _positions(node: yaml.Node, path: _Path) -> Iterator[tuple[_Path, int]]:
    """Yield each key's path and line."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, key.value)
            yield inner, key.start_mark.line + 1
            yield from _positions(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _positions(value, (*path, index))


def _dotted(path: _Path) -> str:
    return ".".join(map(str, path))


def _worded(error: ValidationError, file: str, lines: Mapping[_Path, int]) -> str:
    first = error.errors(include_url=False)[0]
    path: _Path = tuple(part for part in first["loc"] if part != "[key]")
    source = _source(file, path, (first.get("ctx") or {}).get("keys", ()), lines)
    if first["type"] == "extra_forbidden":
        siblings = _keys_beside(path)
        near = get_close_matches(str(path[-1]), siblings, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else "."
        return f"{source}: unknown key {_dotted(path)}{hint} All keys: floorpulse check-config --keys"
    message = first["msg"].removeprefix("Value error, ")
    secret = first["type"] in _SHAPES or _SECRET.search(str(path[-1])) if path else True
    plain = not secret and not isinstance(first["input"], dict | list | BaseModel)
    shown = f" ({first['input']!r:.80})" if plain else ""
    return f"{source}: {_dotted(path) + ': ' if path else ''}{message}{shown}"


def _source(file: str, path: _Path, keys: Sequence[_Path], lines: Mapping[_Path, int]) -> str:
    """Return where a wrong value stands: file and line, or variable; `keys` are those that a refusal of several is about."""
    variables = {name.upper() for name in os.environ}
    for key in keys:
        if (variable := _variable(key)) in variables:
            return f"environment {variable}"
        if key in lines:
            return f"{file} line {lines[key]}"
    for n in range(len(path), 0, -1):  # the variable first: it wins over the file
        if (variable := _variable(path[:n])) in variables:
            return f"environment {variable}"
        if path[:n] in lines:
            return f"{file} line {lines[path[:n]]}"
    return f"environment {_variable(path)}" if path else file


def _variable(path: _Path) -> str:
    return PREFIX + "__".join(map(str, path)).upper()


def _keys_beside(path: _Path) -> list[str]:
    """Return the known keys on the level of a path."""
    model: Any = Config
    for part in path[:-1]:
        model = _inner(model, part)
        if model is None:
            return []
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _inner(model: Any, part: str | int) -> Any:
    """Return the type below a key: a section, or what a map of names holds."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field is not None else None
    else:
        annotation = model
    arguments = getattr(annotation, "__args__", ())
    if isinstance(model, type) and issubclass(model, BaseModel):
        return annotation
    return arguments[-1] if arguments else None


def _check_environment() -> None:
    """Refuse variables of ours that no setting reads."""
    for name in sorted(os.environ):
        if not name.upper().startswith(PREFIX) or name.upper() in NOT_SETTINGS:
            continue
        key = name[len(PREFIX) :].lower().split("__")[0]
        if key not in Config.model_fields:
            whole = [_variable(tuple(known.name.split("."))) for known in all_keys()]
            near = get_close_matches(name.upper(), whole, n=1, cutoff=0.95)
            near = near or [_variable((section,)) for section in get_close_matches(key, list(Config.model_fields), n=1, cutoff=0.5)]
            hint = f"; did you mean {near[0]}?" if near else "."
            raise ConfigError(f"environment: unknown setting {name}{hint} All keys: floorpulse check-config --keys")


def _unreadable() -> str:
    """Return which variable of ours is no JSON where it must be; the library names only its section."""
    source = EnvSettingsSource(Config)
    for name, value in source.env_vars.items():
        source.env_vars = {name: value}
        try:
            source()
        except SettingsError:
            return name.upper()
    return PREFIX


def effective(config: Config) -> str:
    """Return the effective configuration as YAML, secrets masked."""
    shown = config.model_dump(mode="json")
    shown["thresholds"] = config.thresholds.model_dump(mode="json", exclude_unset=True)
    shown["changes"] = [change.model_dump(mode="json", exclude_unset=True) for change in config.changes]
    return yaml.safe_dump(_plain(shown), sort_keys=False, allow_unicode=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


class Key(NamedTuple):
    """One setting: its dotted name, its default and what it may be, as text, and what it means."""

    name: str
    default: str
    description: str
    kind: str


def all_keys() -> list[Key]:
    """Return every key, in the order of the configuration."""
    return list(_keys_of(Config, ""))


def _keys_of(model: type[BaseModel], prefix: str) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        arguments = getattr(inner, "__args__", ())
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _keys_of(inner, f"{prefix}{name}.")
        elif field.json_schema_extra == LISTED_ELSEWHERE:
            yield Key(f"{prefix}{name}", "-", field.description or "", _kind(field))
        elif arguments and isinstance(arguments[-1], type) and issubclass(arguments[-1], BaseModel):
            entry = "<number>" if get_origin(inner) is list else "<name>"
            yield from _keys_of(arguments[-1], f"{prefix}{name}.{entry}.")
        else:
            yield Key(f"{prefix}{name}", _shown(field), field.description or "", _kind(field))


def _kind(field: FieldInfo) -> str:
    """Return what a value may be, in a word or by its choices."""
    annotation = field.annotation
    said = repr(annotation) + repr(field.metadata)
    if "parse_duration" in said:
        origin = get_origin(annotation)
        return "map of names to durations" if origin is dict else "list of durations" if origin is list else "duration"
    if (choices := _choices(annotation)) and get_origin(annotation) is not dict:
        return ", ".join(choices)
    return next((word for name, word in _WORDS.items() if name in said), "text")


def _choices(annotation: Any) -> list[str]:
    """Return the values that a Literal names."""
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    return [choice for inner in get_args(annotation) for choice in _choices(inner)]


def _shown(field: FieldInfo) -> str:
    """Return a field's default as text."""
    default = field.get_default(call_default_factory=True)
    items = default if isinstance(default, list) else [default]
    if default is None or default is PydanticUndefined or isinstance(default, SecretStr | dict):
        return "-"
    is_duration = "parse_duration" in repr(field.annotation) + repr(field.metadata)
    return ", ".join(format_duration(item) if is_duration else _plain_text(item) for item in items) if items else "none"


def _plain_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


__all__ = ["DEFAULT_FILE", "Key", "all_keys", "effective", "load"]
