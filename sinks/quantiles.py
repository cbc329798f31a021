"""Percentiles explained: how many values, which of them is asked for, in which bucket of the sketch it lies."""

from __future__ import annotations

from itertools import accumulate
from typing import Any, Final

from schemas.kpis import PERCENTILES
from schemas.parts import bucket_part, buckets_in
from schemas.sketch import answer_of, bounds_of, rank_of
from sinks.evidence import ByPartition
from sinks.views import added

ERROR: Final = 0.01
"""Relative error that the sketch keeps."""


def explained_quantile(evidence: ByPartition, series: str, stat: str) -> tuple[float | None, dict[str, Any], ByPartition]:
    """Return the value in s, what it comes from, and the sketch's buckets by partition."""
    sketches = {
        partition: {bucket_part(series, bucket): count for bucket, count in sorted(buckets_in(parts, series).items())}
        for partition, parts in evidence.items()
    }
    merged = {bucket: count for bucket, count in sorted(buckets_in(added(evidence.values()), series).items()) if count}
    count = sum(merged.values())
    if count <= 0:
        return None, {"count": 0, "error": ERROR, "with_numbers": ""}, sketches
    rank = count if stat == "max" else rank_of(count, PERCENTILES[stat])
    bucket = next(bucket for bucket, seen in zip(merged, accumulate(merged.values()), strict=True) if seen >= rank)
    low, high = bounds_of(bucket)
    answer = answer_of(bucket)
    more = {
        "count": count,
        "rank": rank,
        "bucket": bucket,
        "bucket_count": merged[bucket],
        "at_least_s": low / 1000,
        "at_most_s": high / 1000,
        "error": ERROR,
        "with_numbers": f"{answer} / 1000",
    }
    return answer / 1000, more, sketches


__all__ = ["ERROR", "explained_quantile"]
