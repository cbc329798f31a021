"""Levels over time: integrals of step functions from what the slices hold, in integers.

Theory. A level N(t) (agents online, sessions in hand …) changes by steps. A step of d at instant t is booked in t's slice k
as `step[k] += d` and `ms[k] += d * (end of k - t)`. With S(k), the level at the start of slice k, the integral over slice k
is ms[k] + L*S(k). S is found backwards from the level after the window, so that nothing older than the window is needed:
S(k) = after - sum of step[j] for k <= j <= last. Summed over the slices first..last that gives

    sum(ms) + L * ((last - first + 1) * after + (first - 1) * sum(step) - sum(j * step[j]))

in which three additive sums stand for the slices. A window that ends inside its last slice is cut by `cut_ms`.
An interval costs two steps whatever its length, an open one costs one, and nothing has to tick for it to grow.
"""

from __future__ import annotations

from collections.abc import Iterable


def integral_ms(sum_ms: int, sum_step: int, sum_index_step: int, first: int, last: int, after: int, length_ms: int) -> int:
    """Return the level's integral over the slices first..last, in ms x level.

    `first`, `last`: slice numbers (start // length); `sum_*`: over the slices first..last of ms, step, and number x step;
    `after`: the level at the end of slice `last`.
    """
    count = last - first + 1
    return sum_ms + length_ms * (count * after + (first - 1) * sum_step - sum_index_step)


def cut_ms(now: int, end: int, after: int, ahead: Iterable[tuple[int, int]]) -> int:
    """Return what lies between `now` and the end of the last slice, to be taken off its integral.

    `after`: the level at `end`; `ahead`: (instant, step) of the steps later than `now`; those at or after `end` are left out.
    """
    later = [(instant, step) for instant, step in ahead if now < instant < end]
    level_now = after - sum(step for _, step in later)
    return (end - now) * level_now + sum((end - instant) * step for instant, step in later)


__all__ = ["cut_ms", "integral_ms"]
