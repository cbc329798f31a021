"""An input that stands still is stuck, lost, or only waits for its turn."""

from __future__ import annotations

from faust.types import TP

from streams.behind import IN_FLIGHT, ROUND, Behind

A, B = TP("sessions", 0), TP("queues", 0)
ENDS = {A: 1000, B: 10**9}


def look(behind: Behind, now_s: float, served: int, *held: TP, a: int = 5) -> None:
    """Look at A, which stands, and B, which moves with what is served."""
    behind.look(now_s, {A: a, B: served}, ENDS, served, held.__contains__)


def test_lag_is_what_lies_beyond_what_was_read() -> None:
    """Of each input, and never below 0."""
    behind = Behind()
    behind.look(0, {A: 5, B: 10**9 + 1}, ENDS, 0, lambda _: False)
    assert behind.lag == {A: 995, B: 0}
    assert behind.stuck(1) == [A]


def test_when_nobody_is_served_what_has_more_is_stuck() -> None:
    """Whether the client holds something of it or not; reading it again helps only the one that it does not hold."""
    behind = Behind()
    for now_s in (0, 5, 10):
        look(behind, now_s, 7, B)
    assert behind.stuck(9) == [A, B]
    assert behind.lost(9) == [A]


def test_what_moves_is_not_stuck() -> None:
    """By one record even."""
    behind = Behind()
    for turn in range(4):
        look(behind, 5 * turn, 0, a=turn)
    assert A not in behind.stuck(12)


def test_what_was_handed_out_waits_until_its_turn_must_have_come() -> None:
    """While others are served; then it was lost on its way."""
    behind = Behind()
    for turn in range(10):
        look(behind, 5 * turn, turn * (IN_FLIGHT // 10))
    assert behind.stuck(44) == []
    look(behind, 50, IN_FLIGHT)
    look(behind, 55, IN_FLIGHT + 1)
    assert behind.lost(54) == [A]


def test_what_the_client_holds_waits_for_a_whole_round() -> None:
    """Of all inputs; after that something is wrong with it."""
    behind = Behind()
    for turn in range(20):
        look(behind, 5 * turn, 1 + turn * ROUND // 10, A)
    assert behind.stuck(94) == []
    for turn in (20, 21, 22):
        look(behind, 5 * turn, 1 + turn * ROUND // 10, A)
    assert behind.stuck(105) == [A]
    assert behind.lost(105) == []


def test_who_waits_for_a_turn_is_stuck_as_soon_as_nobody_is_served() -> None:
    """Counted from when the last one was."""
    behind = Behind()
    look(behind, 0, 10, A)
    look(behind, 5, 20, A)
    look(behind, 10, 20, A)
    assert behind.stuck(6) == [A, B]
    assert behind.stuck(5) == []
