"""Levels: hysteresis, sample guard, start, old data; every way through the table."""

from __future__ import annotations

from itertools import pairwise, product

import pytest

from schemas.thresholds import Threshold, Thresholds
from sinks.levels import TABLE, Judgement, Levels, Measured, Side, State, Wait, side_of
from sinks.standing import BREACH, GOOD, WARN, Standing, Subject

T0 = 1_795_269_600_000
ORDERS = Subject("service_level", "orders", "voice")


def threshold(kpi: str = "service_level", **more: object) -> Threshold:
    """Return the thresholds of an indicator, with changes."""
    found = Thresholds.model_validate({"kpis": {kpi: more}} if more else {}).of(kpi, queue="orders", channel="voice")
    assert found is not None
    return found


class Watch:
    """One subject that is looked at each second, or as told."""

    def __init__(self, of: Threshold, *, started: bool = True) -> None:
        self.threshold, self.levels, self.now = of, Levels(10), T0
        if started:
            self.levels.judge(T0, [])

    def see(self, *values: float | None, n: int = 100, events: int = 100, after_s: float = 1) -> Standing:
        """Look once more: one value for both limits, or one for each."""
        self.now += round(after_s * 1000)
        both = values * 2 if len(values) == 1 else values
        measured = tuple(Measured(value, n, events) for value in both)
        return self.levels.judge(self.now, [Judgement(ORDERS, self.threshold, measured)])[ORDERS]

    def level_after(self, seconds: float, *values: float | None, n: int = 100, events: int = 100) -> int | None:
        """Look each second for so long; return the level at the end."""
        level = None
        for _ in range(round(seconds)):
            level = self.see(*values, n=n, events=events).level
        return level


def test_the_table_leads_where_the_text_says() -> None:
    """Each of the twelve pairs: where it leads, after which wait; what is not listed stays."""
    wanted = {
        (State.UNKNOWN, Side.GOOD): (State.OFF, Wait.NONE),
        (State.UNKNOWN, Side.BETWEEN): (State.OFF, Wait.NONE),
        (State.UNKNOWN, Side.BEYOND): (State.ON, Wait.ENTER),
        (State.OFF, Side.FEW): (State.UNKNOWN, Wait.NONE),
        (State.OFF, Side.BEYOND): (State.ON, Wait.ENTER),
        (State.ON, Side.FEW): (State.UNKNOWN, Wait.LEAVE),
        (State.ON, Side.GOOD): (State.OFF, Wait.LEAVE),
    }
    assert {pair: TABLE.get(pair) for pair in product(State, Side) if pair in TABLE} == wanted


@pytest.mark.parametrize(
    ("value", "n", "side"),
    [
        (None, 100, Side.FEW), (0.5, 29, Side.FEW), (0.5, 30, Side.BEYOND), (0.7, 100, Side.BETWEEN), (0.7199, 100, Side.BETWEEN),
        (0.72, 100, Side.GOOD), (1.0, 100, Side.GOOD),
    ],
)  # fmt: skip
def test_a_value_exactly_at_its_limit_is_not_beyond_it(value: float | None, n: int, side: Side) -> None:
    """Beyond is strict; the good side begins 2 points away; fewer than 30 facts are too few."""
    of = threshold()
    assert side_of(of.limits[1], Measured(value, n), below=True) is side


def test_a_breach_is_entered_after_10_s_and_left_after_30_s() -> None:
    """The times of a ratio; a moment on the other side begins the wait anew."""
    watch = Watch(threshold())
    assert watch.level_after(5, 0.9) == GOOD
    assert watch.level_after(10, 0.9, 0.6) == GOOD
    assert watch.level_after(1, 0.9, 0.71) == GOOD
    assert watch.level_after(11, 0.9, 0.6) == BREACH
    assert watch.see(0.9, 0.6).since_ms == watch.now - 1000
    assert watch.level_after(300, 0.9, 0.71) == BREACH, "between limit and margin nothing is left"
    assert watch.level_after(30, 0.9, 0.73) == BREACH
    assert watch.level_after(1, 0.9, 0.71) == BREACH
    assert watch.level_after(31, 0.9, 0.73) == GOOD


def test_both_levels_have_windows_of_their_own() -> None:
    """Warning looks at 30 minutes and breach at 15; the standing shows the one that decides."""
    watch = Watch(threshold())
    assert watch.level_after(11, 0.79, 0.90) == WARN
    standing = watch.see(0.79, 0.90)
    assert (standing.window, standing.value, standing.warn, standing.breach) == ("30m", 0.79, 0.80, 0.70)
    assert watch.level_after(11, 0.79, 0.60) == BREACH
    standing = watch.see(0.79, 0.60)
    assert (standing.window, standing.value) == ("15m", 0.60)
    assert watch.level_after(31, 0.79, 0.90) == WARN


def test_the_longest_wait_is_entered_at_once_and_left_after_15_s() -> None:
    """It only grows while somebody waits; it is left 10 % below the limit."""
    watch = Watch(threshold("oldest_wait"))
    assert watch.see(60).level == GOOD
    assert watch.see(60.5).level == WARN
    assert watch.see(90.5).level == BREACH
    assert watch.level_after(60, 82) == BREACH
    assert watch.level_after(15, 81) == BREACH
    assert watch.level_after(1, 81) == WARN


def test_too_few_facts_have_no_level() -> None:
    """At once where nothing was wrong, after 30 s where something was, and without a wait when facts come that are good."""
    watch = Watch(threshold())
    assert watch.see(0.0, n=2).level is None
    assert watch.see(0.9).level == GOOD
    assert watch.see(0.9, n=29).level is None
    assert watch.level_after(10, 0.5) is None
    assert watch.level_after(1, 0.5) == BREACH
    assert watch.level_after(30, 0.5, n=29) == BREACH
    assert watch.level_after(1, 0.5, n=29) is None


def test_few_abandonments_are_no_breach() -> None:
    """4 of 30 are not, 5 of 30 are; when they leave the window, the breach ends."""
    watch = Watch(threshold("abandonment"))
    assert watch.level_after(20, 4 / 30, n=30, events=4) == WARN
    assert watch.level_after(11, 5 / 30, n=30, events=5) == BREACH
    assert watch.level_after(31, 4 / 30, n=30, events=4) == WARN


def test_a_board_that_starts_takes_the_present_at_once() -> None:
    """Without waiting; what stands between limit and margin counts as good."""
    assert Watch(threshold(), started=False).see(0.6).level == BREACH
    assert Watch(threshold(), started=False).see(0.71, 0.71).level == WARN
    assert Watch(threshold(), started=False).see(0.81, 0.81).level == GOOD


def test_time_that_nobody_saw_is_not_waited() -> None:
    """After old data the wait goes on where it was; a clock that goes back or leaps changes nothing by itself."""
    watch = Watch(threshold())
    watch.see(0.9)
    assert watch.level_after(8, 0.6) == GOOD
    watch.now += 3_600_000
    watch.levels.hold(watch.now)
    assert watch.see(0.6).level == GOOD
    assert watch.see(0.6, after_s=-5).level == GOOD
    assert watch.level_after(3, 0.6) == BREACH


def test_subjects_are_bounded_and_the_first_stay() -> None:
    """Who was there is judged on; a place is free again when somebody goes."""
    of, levels = threshold("oldest_wait"), Levels(2)
    subjects = [Subject("oldest_wait", name, "voice") for name in "abc"]

    def judge(*which: int) -> list[str]:
        each = [Judgement(subjects[n], of, (Measured(1), Measured(1))) for n in which]
        return [subject.queue for subject in levels.judge(T0, each)]

    assert (judge(1, 2), levels.left_out) == (["b", "c"], 0)
    assert (judge(0, 1, 2), levels.left_out) == (["b", "c"], 1)
    assert (judge(0, 2), levels.left_out) == (["a", "c"], 0)


def test_a_value_beside_its_limit_changes_the_level_once() -> None:
    """An indicator that wobbles around its limit for an hour does not flicker."""
    watch = Watch(threshold())
    seen = [watch.see(0.695 if n // 12 % 2 else 0.705).level for n in range(3600)]
    assert sum(a != b for a, b in pairwise(seen)) <= 2
