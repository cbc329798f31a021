"""Quantile sketch: fixed exponential buckets over integer milliseconds.

Theory. Bucket limits follow from one recurrence in integers, so that every machine has the same ones: the bucket that
starts at lo is answered by r = floor(1.01 lo) and reaches to hi = floor(r / 0.99), which keeps |r - x| <= 0.01 x for each x
in lo..hi. Counts per bucket add and subtract, so a merge of any parts equals the sketch of all values, byte for byte.
0 has a bucket of its own. (A DDSketch with a fixed base; Masson, Rim, Lee, VLDB 2019.)
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

MAX_VALUE_MS: Final = 400 * 86_400_000
"""Values beyond 400 days share the last bucket; no session is kept that long."""


def _limits() -> tuple[list[int], list[int]]:
    highest, answers = [0], [0]
    low = 1
    while low <= MAX_VALUE_MS:
        answer = 101 * low // 100
        high = 100 * answer // 99
        highest.append(high)
        answers.append(answer)
        low = high + 1
    return highest, answers


_HIGHEST, _ANSWERS = _limits()
BUCKETS: Final = len(_HIGHEST)


def bucket_of(value_ms: int) -> int:
    """Return the bucket (0 .. BUCKETS - 1) of a value in ms, 0 or more."""
    return min(bisect_left(_HIGHEST, value_ms), BUCKETS - 1)


def answer_of(bucket: int) -> int:
    """Return the value in ms that stands for a bucket, within 1 % of each value in it."""
    return _ANSWERS[bucket]


def bounds_of(bucket: int) -> tuple[int, int]:
    """Return the least and the highest value in ms that a bucket holds."""
    return (_HIGHEST[bucket - 1] + 1 if bucket else 0), _HIGHEST[bucket]


def rank_of(total: int, q: float) -> int:
    """Return which of `total` values, the smallest being the first, is their q-quantile: ceil(q x total), at least 1."""
    return max(1, -(-total * round(q * 10_000) // 10_000))


def quantile(buckets: Mapping[int, int], q: float) -> int | None:
    """Return the ceil(q n)-th smallest value in ms, within 1 %; None when there is none. `q` in 0..1."""
    total = sum(buckets.values())
    if total <= 0:
        return None
    rank = rank_of(total, q)
    seen = 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= rank:
            return _ANSWERS[bucket]
    return None


def largest(buckets: Mapping[int, int]) -> int | None:
    """Return the highest value in ms, within 1 %; None when there is none."""
    filled = [bucket for bucket, count in buckets.items() if count > 0]
    return _ANSWERS[max(filled)] if filled else None


__all__ = ["BUCKETS", "MAX_VALUE_MS", "answer_of", "bounds_of", "bucket_of", "largest", "quantile", "rank_of"]
