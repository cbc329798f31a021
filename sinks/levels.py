"""Levels: how each subject stands, after hysteresis and sample guard. Pure; time is an argument.

Theory of operation. A limit has a latch with three states. What was measured lies on one of four sides: too FEW facts to
judge, BEYOND the limit, on the GOOD side of limit and margin, or BETWEEN the two. The table says where each pair leads and
how long the measurement must last until then: `at once`, `enter_after` or `leave_after` of the limit. A measurement that
leads nowhere, or elsewhere, ends the waiting. So

* UNKNOWN (too few): any good value is OFF at once, one beyond the limit is ON after `enter_after`;
* OFF: ON after `enter_after` beyond the limit; too few facts are UNKNOWN at once;
* ON: OFF after `leave_after` on the good side, UNKNOWN after as long without facts; between limit and margin it stays ON.

A subject's level is the highest whose latch is ON, else good if any latch is OFF, else nothing. Both levels may look at
windows of their own.

A board that starts takes the present values at once, without waiting. While a partition has not been heard of for 15 s the
numbers are old: levels, values and all waiting stand still, and go on where they were.

What is waited for goes by a clock of its own, which `sinks.judge` chooses: the floor's may be set.

Subjects are bounded: first come, first judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from schemas.thresholds import Limit, Threshold
from sinks.standing import BREACH, GOOD, Standing, Subject

_MAX_STEP_MS: Final = 60_000
"""Longest time that counts as waited between two looks: what nobody looked at is no observation."""


class State(IntEnum):
    """Of a latch."""

    UNKNOWN = 0
    OFF = 1
    ON = 2


class Side(IntEnum):
    """Of a measurement."""

    FEW = 0
    GOOD = 1
    BETWEEN = 2
    BEYOND = 3


class Wait(IntEnum):
    """How long a measurement must last."""

    NONE = 0
    ENTER = 1
    LEAVE = 2


TABLE: Final[Mapping[tuple[State, Side], tuple[State, Wait]]] = {
    (State.UNKNOWN, Side.GOOD): (State.OFF, Wait.NONE),
    (State.UNKNOWN, Side.BETWEEN): (State.OFF, Wait.NONE),
    (State.UNKNOWN, Side.BEYOND): (State.ON, Wait.ENTER),
    (State.OFF, Side.FEW): (State.UNKNOWN, Wait.NONE),
    (State.OFF, Side.BEYOND): (State.ON, Wait.ENTER),
    (State.ON, Side.FEW): (State.UNKNOWN, Wait.LEAVE),
    (State.ON, Side.GOOD): (State.OFF, Wait.LEAVE),
}
"""(state, side) → next state and how long to wait; what is missing stays."""


class Measured(NamedTuple):
    """What one limit looks at: value (None: 0/0), facts behind it, and how many of them are in the numerator."""

    value: float | None
    n: int = 0
    events: int = 0


def side_of(limit: Limit, measured: Measured, *, below: bool) -> Side:
    """Tell on which side of a limit a measurement lies."""
    value = measured.value
    if value is None or measured.n < limit.min_samples:
        return Side.FEW
    if measured.events < limit.min_events:
        return Side.GOOD
    if value < limit.limit if below else value > limit.limit:
        return Side.BEYOND
    return Side.GOOD if (value >= limit.leave_at if below else value <= limit.leave_at) else Side.BETWEEN


class Latch:
    """One limit of one subject."""

    __slots__ = ("_heading", "_waited_ms", "state")

    def __init__(self) -> None:
        self.state = State.UNKNOWN
        self._heading = Wait.NONE
        self._waited_ms = 0

    def look(self, limit: Limit, side: Side, step_ms: int, *, at_once: bool) -> None:
        """Take one measurement, `step_ms` after the one before."""
        state, wait = TABLE.get((self.state, side), (self.state, Wait.NONE))
        self._waited_ms = self._waited_ms + step_ms if wait is self._heading and wait is not Wait.NONE else 0
        self._heading = wait
        needed = 0 if at_once or wait is Wait.NONE else limit.enter_ms if wait is Wait.ENTER else limit.leave_ms
        if self._waited_ms >= needed:
            self.state, self._heading, self._waited_ms = state, Wait.NONE, 0


@dataclass(slots=True)
class _Judged:
    latches: tuple[Latch, ...]
    threshold: Threshold
    level: int | None = None
    since_ms: int = 0


class Judgement(NamedTuple):
    """What is judged at one instant."""

    subject: Subject
    threshold: Threshold
    measured: tuple[Measured, ...]
    """One for each limit of the threshold."""
    quiet: bool = False


class Levels:
    """The latches of all subjects, at most `max_subjects`."""

    def __init__(self, max_subjects: int) -> None:
        self._max_subjects = max_subjects
        self._known: dict[Subject, _Judged] = {}
        self._clock_ms: int | None = None
        self.standings: Mapping[Subject, Standing] = {}
        """How each subject stood when it was last looked at."""
        self.left_out = 0
        """Subjects that were not judged the last time, because there are too many."""

    def hold(self, clock_ms: int) -> None:
        """Let time pass without a look: nothing is known about it."""
        if self._clock_ms is not None:
            self._clock_ms = clock_ms

    def judge(self, now: int, judgements: Iterable[Judgement], clock_ms: int | None = None) -> Mapping[Subject, Standing]:
        """Look at everything there is, and return how it stands; subjects that are gone are forgotten.

        `clock_ms` is the clock that waiting goes by, as is that of `hold`; None: the floor's.
        """
        clock_ms = now if clock_ms is None else clock_ms
        at_once = self._clock_ms is None
        step_ms = 0 if self._clock_ms is None else min(max(0, clock_ms - self._clock_ms), _MAX_STEP_MS)
        self._clock_ms = clock_ms
        found = {each.subject: each for each in judgements}
        known = {subject: judged for subject, judged in self._known.items() if subject in found}
        standings: dict[Subject, Standing] = {}
        self.left_out = 0
        for subject, each in found.items():
            judged = known.get(subject)
            if judged is None or judged.threshold is not each.threshold:
                if judged is None and len(known) >= self._max_subjects:
                    self.left_out += 1
                    continue
                judged = known[subject] = _Judged(tuple(Latch() for _ in each.threshold.limits), each.threshold, since_ms=now)
            standings[subject] = _look(judged, each, now, step_ms, at_once=at_once)
        self._known, self.standings = known, standings
        return standings


def _look(judged: _Judged, each: Judgement, now: int, step_ms: int, *, at_once: bool) -> Standing:
    threshold = each.threshold
    for latch, limit, measured in zip(judged.latches, threshold.limits, each.measured, strict=True):
        latch.look(limit, side_of(limit, measured, below=threshold.below), step_ms, at_once=at_once)
    level, deciding = _level(judged)
    if level != judged.level:
        judged.level, judged.since_ms = level, now
    measured = each.measured[deciding]
    return Standing(
        level, judged.since_ms, measured.value, threshold.limit_of(GOOD + 1), threshold.limit_of(BREACH),
        threshold.limits[deciding].window, measured.n, each.quiet,
    )  # fmt: skip


def _level(judged: _Judged) -> tuple[int | None, int]:
    """Return the level, and which limit decided it: where none is on, the first that is judged."""
    on = [number for number, latch in enumerate(judged.latches) if latch.state is State.ON]
    if on:
        return judged.threshold.limits[on[-1]].level, on[-1]
    off = [number for number, latch in enumerate(judged.latches) if latch.state is State.OFF]
    return (GOOD, off[0]) if off else (None, 0)


__all__ = ["TABLE", "Judgement", "Latch", "Levels", "Measured", "Side", "State", "Wait", "side_of"]
