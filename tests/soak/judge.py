"""What the samples of a soak say: slopes after the warm-up, and which bounds they break.

Memory is judged less what is kept for days (`_kept_mib`, measured in the process): a quarter of an hour adds its slices,
whatever the program, until the first ones are 15 days old. What grows beside them is a leak.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import mean
from typing import Any, Final

WARM_UP: Final = 0.3
"""The part of a soak after which all should have its size. What is kept for hours has it from the history that was read before."""
SETTLED_H: Final = 3.5
"""Hours of event time after which all has its size while history is read: what is kept for hours grows until two have gone, and
holes of the heap until there are as many as it takes."""
JUDGED_H: Final = 1.0
"""Memory of a shorter soak still grows towards its size: its slope is shown, not judged."""
PERIOD_H: Final = 1 / 6
"""Ids are forgotten a generation at a time, as often as the soak's horizon is long, and memory goes up and down by tens of MiB with
them: a line through all samples leans by where in such a period they begin. So a whole period is one value: its mean."""
EVERY_S: Final = 15.0
"""Between two samples. Once a minute, nine or ten in a period, made slopes of up to 0.9 MiB/h of a saw of 18 MiB."""
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


def by_period(times_h: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return the mean time and the mean value of each period that has three quarters of the samples of the fullest."""
    periods: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for time_h, value in zip(times_h, values, strict=True):
        periods[int((time_h - times_h[0]) / PERIOD_H + 1e-6)].append((time_h, value))
    most = max(map(len, periods.values()), default=0)
    whole = [period for period in periods.values() if len(period) >= 0.75 * most]
    return [mean(time_h for time_h, _ in period) for period in whole], [mean(value for _, value in period) for period in whole]


def slope_error(times_h: Sequence[float], values: Sequence[float]) -> float:
    """Return the standard error of `slope`: how far chance alone may move it; 0 of fewer than three values."""
    if len(times_h) < 3:
        return 0.0
    rise, mean_t, mean_v = slope(times_h, values), mean(times_h), mean(values)
    beside = sum((v - mean_v - rise * (t - mean_t)) ** 2 for t, v in zip(times_h, values, strict=True))
    return sqrt(beside / (len(times_h) - 2) / sum((t - mean_t) ** 2 for t in times_h))


def growth(samples: Sequence[Sample]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the slopes per hour of all that was sampled, and the standard errors of those of memory beside what is kept."""
    times = [sample["at_h"] for sample in samples]
    series = {name: [sample[name] for sample in samples] for name in (samples[0] if samples else {}) if name != "at_h"}
    judged = {name: name.replace("_rss_", "_other_") for name in series if name.endswith("_rss_mib")}
    for name, other in judged.items():
        kept = name.replace("_rss_", "_kept_")
        series[other] = [sample[name] - sample.get(kept, 0.0) for sample in samples]
    lines = {name: by_period(times, values) for name, values in series.items()}
    errors = {other: slope_error(*lines[other]) for other in judged.values()}
    return {name: slope(*line) for name, line in lines.items()}, errors


def _grown(slopes: Mapping[str, float], errors: Mapping[str, float]) -> list[str]:
    """Say which memory grows too fast."""
    return [
        f"{name} grows by {slopes[name]:.2f} MiB/h (standard error {error:.2f}), more than {RSS_MIB_PER_H:g}, without what is kept"
        for name, error in errors.items()
        if slopes[name] > RSS_MIB_PER_H
    ]


def judge_history(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return the slopes per hour of event time while history was read, once all has its size, and the bounds that are broken.

    Several hours go by in one there, so what an event leaves behind shows so much faster than in the hours that follow. Only the
    worker is judged: a board shows the last hour by the wall clock, and so gets its size while the last hour of history is read.
    """
    of_worker = [{name: value for name, value in sample.items() if not name.startswith("board_")} for sample in samples]
    settled = [sample for sample in of_worker if sample["at_h"] >= SETTLED_H]
    slopes, errors = growth(settled)
    judged = bool(settled) and settled[-1]["at_h"] - settled[0]["at_h"] >= JUDGED_H
    broken = _grown(slopes, errors) if judged else []
    return {"slopes_per_h": slopes, "standard_errors": errors, "rss_judged": judged, "broken": broken}


def judge(samples: Sequence[Sample], hours: float) -> dict[str, Any]:
    """Return the slopes per hour after the warm-up, and the bounds that are broken."""
    settled = [sample for sample in samples if sample["at_h"] >= WARM_UP * hours]
    slopes, errors = growth(settled)
    judged = hours >= JUDGED_H
    broken = [] if len(settled) > 1 else ["fewer than two samples after the warm-up"]
    broken += _grown(slopes, errors) if judged else []
    for name in settled[0] if settled else ():
        values = [sample[name] for sample in settled]
        if name.endswith(("_files", "_tasks")):
            third = max(1, len(values) // 3)
            first, last = mean(values[:third]), mean(values[-third:])
            if last > first + MORE:
                broken.append(f"{name} goes from {first:.1f} to {last:.1f} on average, more than {MORE:g} apart")
        elif name.endswith("_disk_mib"):
            before, after = max(values[: len(values) // 2], default=values[0]), max(values[len(values) // 2 :])
            if after > before + DISK_MIB:
                broken.append(f"{name} reached {before:.1f} MiB after the warm-up, {after:.1f} in the end")
    return {"slopes_per_h": slopes, "standard_errors": errors, "rss_judged": judged, "broken": broken}


__all__ = ["EVERY_S", "by_period", "growth", "judge", "judge_history", "slope", "slope_error"]
