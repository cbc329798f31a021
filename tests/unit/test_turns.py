"""A thread that computes lets the board's event loop go first, and gets on all the same."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from sinks import turns
from sinks.loop import FewAtOnce, new_loop
from sinks.turns import TURNS, Turns, give_way


def _waited_s(told: Turns) -> float:
    """Return how long another thread gives way."""
    took: list[float] = []

    def work() -> None:
        began = time.perf_counter()
        told.give_way()
        took.append(time.perf_counter() - began)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return took[0]


def test_a_thread_waits_while_the_loop_is_awake_and_no_longer_than_its_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a patience of 0.3 s: so long at least, and it ends by itself."""
    monkeypatch.setattr(turns, "PATIENCE_S", 0.3)
    told = Turns()
    assert _waited_s(told) < 0.3
    told.wake()
    assert 0.3 <= _waited_s(told) < 5
    told.sleep()
    assert _waited_s(told) < 0.3


def test_a_thread_gets_on_while_the_loop_never_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand times between two things: it waits once, and is free for as long; not a thousand times."""
    monkeypatch.setattr(turns, "PATIENCE_S", 0.2)
    told, took = Turns(), []
    told.wake()

    def work() -> None:
        began = time.perf_counter()
        for _ in range(1000):
            told.give_way()
        took.append(time.perf_counter() - began)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert 0.2 <= took[0] < 20


def test_a_thread_gets_on_while_the_loop_sleeps_for_moments_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gave way for half a second: when the loop wakes again at once it does not wait before as long has gone by."""
    monkeypatch.setattr(turns, "PATIENCE_S", 60.0)
    told = Turns()
    told.wake()

    def work() -> None:
        told.give_way()
        told.give_way()

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.5)
    told.sleep()
    told.wake()
    thread.join(10)
    got_on = not thread.is_alive()
    told.sleep()
    thread.join()
    assert got_on


def test_a_thread_goes_on_as_soon_as_the_loop_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a patience of a minute."""
    monkeypatch.setattr(turns, "PATIENCE_S", 60.0)
    told = Turns()
    told.wake()
    threading.Timer(0.05, told.sleep).start()
    assert _waited_s(told) < 30


def test_the_loop_itself_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is usually done in a thread may be called in the loop, too."""
    monkeypatch.setattr(turns, "PATIENCE_S", 60.0)
    told = Turns()
    told.wake()
    began = time.perf_counter()
    told.give_way()
    assert time.perf_counter() - began < 30


def test_a_boards_loop_is_awake_while_it_has_something_to_do_and_sleeps_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that asks while the loop computes waits until it is through; one that asks while nothing happens does not."""
    monkeypatch.setattr(turns, "PATIENCE_S", 60.0)
    seen: list[float] = []

    def work() -> None:
        give_way()
        seen.append(time.perf_counter())

    async def run() -> float:
        await asyncio.sleep(0.01)
        threading.Thread(target=work).start()
        time.sleep(0.2)  # noqa: ASYNC251  a loop that has much to do is what is meant
        through = time.perf_counter()
        await asyncio.sleep(0.05)
        await asyncio.to_thread(work)
        return through

    with asyncio.Runner(loop_factory=new_loop) as runner:
        through = runner.run(run())
    assert len(seen) == 2
    assert seen[0] >= through
    assert _waited_s(TURNS) < 30  # no loop is left


def test_who_is_ready_is_served_without_a_thread_in_between() -> None:
    """While a socket is ready the selector does not say that the loop sleeps; it does when there is nothing to do."""
    said: list[str] = []

    class Noted(Turns):
        def sleep(self) -> None:
            said.append("sleep")

        def wake(self) -> None:
            said.append("wake")

    one, other = socket.socketpair()
    with one, other, FewAtOnce(Noted()) as selector:
        selector.register(one, 1)
        assert selector.select(0) == []
        assert said == []
        assert selector.select(0.01) == []
        assert said == ["sleep", "wake"]
        other.send(b"x")
        assert selector.select(None)
        assert said == ["sleep", "wake"]
