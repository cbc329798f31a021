"""What the samples of a soak say: slopes after the warm-up, and which bounds they break.

Memory is judged less what is kept for days (`_kept_mib`, measured in the process): a quarter of an hour adds its slices,
whatever the program, until the first ones are 15 days old. What grows beside them is a leak.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any, Final

WARM_UP: Final = 0.3
"""The part of a soak after which all should have its size. What is kept for hours has it from the history that was read before."""
JUDGED_H: Final = 1.0
"""Memory of a shorter soak still grows towards its size: its slope is shown, not judged."""
RSS_MIB_PER_H: Final = 1.0
MORE: Final = 5.0
"""So many more may be open on average in the last third than in the first: those of a moment come and go by the dozen."""
DISK_MIB: Final = 4 * 64.0
"""Journal and readings may reach so much more in the last quarter than in the one before: a segment of each of four partitions, for
only closed ones are compacted or deleted. A log that nobody cleans up grows by a multiple of that in the time."""

Sample = Mapping[str, float]


def slope(times_h: Sequence[float], values: Sequence[float]) -> float:
    """Return the least-squares slope per hour; 0 of fewer than two samples."""
    count = len(times_h)
    if count < 2:
        return 0.0
    mean_t, mean_v = sum(times_h) / count, sum(values) / count
    spread = sum((t - mean_t) ** 2 for t in times_h)
    return sum((t - mean_t) * (v - mean_v) for t, v in zip(times_h, values, strict=True)) / spread if spread else 0.0


def judge(samples: Sequence[Sample], hours: float) -> dict[str, Any]:
    """Return the slopes per hour after the warm-up, and the bounds that are broken."""
    settled = [sample for sample in samples if sample["at_h"] >= WARM_UP * hours]
    times = [sample["at_h"] for sample in settled]
    names = [name for name in (samples[0] if samples else {}) if name != "at_h"]
    slopes = {name: slope(times, [sample[name] for sample in settled]) for name in names}
    for name in [name for name in names if name.endswith("_rss_mib")]:
        kept = name.replace("_rss_", "_kept_")
        slopes[name.replace("_rss_", "_other_")] = slopes[name] - slopes.get(kept, 0.0)
    broken = [] if len(settled) > 1 else ["fewer than two samples after the warm-up"]
    for name in names:
        values = [sample[name] for sample in settled]
        if not values:
            continue
        if name.endswith("_rss_mib") and hours >= JUDGED_H:
            grows = slopes[name.replace("_rss_", "_other_")]
            if grows > RSS_MIB_PER_H:
                broken.append(f"{name} grows by {grows:.2f} MiB/h beside the slices that are kept, more than {RSS_MIB_PER_H:g}")
        elif name.endswith(("_files", "_tasks")):
            third = max(1, len(values) // 3)
            first, last = mean(values[:third]), mean(values[-third:])
            if last > first + MORE:
                broken.append(f"{name} goes from {first:.1f} to {last:.1f} on average, more than {MORE:g} apart")
        elif name.endswith("_disk_mib"):
            before, after = max(values[: len(values) // 2], default=values[0]), max(values[len(values) // 2 :])
            if after > before + DISK_MIB:
                broken.append(f"{name} reached {before:.1f} MiB after the warm-up, {after:.1f} in the end")
    return {"slopes_per_h": slopes, "rss_judged": hours >= JUDGED_H, "broken": broken}


__all__ = ["judge", "slope"]
