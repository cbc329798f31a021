"""Records as broken programs and cables make them: seeded mutations of good ones."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

_WORDS: Final = (
    b"null", b"true", b"-1", b"1e999", b"NaN", b'""', b'"\\ud800"', b'"\x00"', b"[]", b"{}", b'"all"', b'"x"', b"9" * 20,
)  # fmt: skip


def _cut(rng: random.Random, value: bytes) -> bytes:
    return value[: rng.randrange(len(value) + 1)]


def _flipped(rng: random.Random, value: bytes) -> bytes:
    at = rng.randrange(len(value))
    return value[:at] + bytes([value[at] ^ 1 << rng.randrange(8)]) + value[at + 1 :]


def _other_value(rng: random.Random, value: bytes) -> bytes:
    """Put something else in the place of a field's value."""
    colons = [at for at, byte in enumerate(value) if byte == ord(":")]
    if not colons:
        return value + b"}"
    begin = rng.choice(colons) + 1
    ends = [at for at in range(begin, len(value)) if value[at] in b",}"]
    return value[:begin] + rng.choice(_WORDS) + value[ends[0] if ends else len(value) :]


def _without_field(rng: random.Random, value: bytes) -> bytes:
    fields = value.split(b",")
    del fields[rng.randrange(len(fields))]
    return b",".join(fields)


def _noise(rng: random.Random, _: bytes) -> bytes:
    return rng.randbytes(rng.randrange(60))


def _glued(_: random.Random, value: bytes) -> bytes:
    return value + value


MUTATIONS: Final[tuple[Callable[[random.Random, bytes], bytes], ...]] = (
    _cut, _flipped, _other_value, _without_field, _noise, _glued,
)  # fmt: skip


def mutated(rng: random.Random, value: bytes) -> bytes:
    """Return a record that something has gone wrong with; by luck it may still be a good one."""
    return rng.choice(MUTATIONS)(rng, value) if value else b"?"


__all__ = ["MUTATIONS", "mutated"]
