"""Which partition a key belongs to: `murmur2` as in the Java client, `crc32` as in librdkafka ("consistent")."""

from __future__ import annotations

from collections.abc import Callable
from struct import unpack_from
from typing import Final
from zlib import crc32

_M: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Return the 32-bit MurmurHash2 that the Java client uses (seed 0x9747b28c)."""
    length = len(data)
    h = (0x9747B28C ^ length) & _MASK
    whole = length & ~3
    for k in unpack_from(f"<{length >> 2}I", data):
        k = k * _M & _MASK
        h = (h * _M & _MASK) ^ (k ^ k >> 24) * _M & _MASK
    if length & 3:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def _murmur2_partition(key: bytes, partitions: int) -> int:
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def _crc32_partition(key: bytes, partitions: int) -> int:
    return crc32(key) % partitions


PARTITIONERS: Final[dict[str, Callable[[bytes, int], int]]] = {"murmur2": _murmur2_partition, "crc32": _crc32_partition}
"""Partitioner by name: (key, number of partitions) → partition."""

__all__ = ["PARTITIONERS", "murmur2"]
