"""The board's process: tuned so that its event loop comes round every few milliseconds, whatever else goes on.

Theory. What may keep an event loop from coming round: a thread that computes holds the interpreter, each time the loop comes back
from the kernel; the garbage collector walks through all objects there are; a thousand sockets are ready in the same instant, to
be taken, read or closed. So threads yield quickly, the collector looks at little, and each round takes a few sockets in turn: each
call of the kernel gives the interpreter up, and to let in a client by TLS takes some twenty, after each of which the loop may wait,
unless those who compute stop meanwhile (`sinks.turns`).

A thread yields between two steps of the interpreter. One that joins, copies or lets go of all 50,000 series is one step: what is
large is made and dropped in parts (`sinks.collector`), or by calls that give the interpreter up.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import selectors
import sys
from typing import Final

from sinks.turns import TURNS, Turns

SWITCH_S: Final = 0.000_2
"""So long the event loop waits for a thread that computes; Python's default is 5 ms."""
GC_THRESHOLD: Final = (1_000, 2, 30_000)
"""The collector looks at 4,000 young objects at most, which takes 2 ms; at old ones hardly ever: there are few cycles."""
MOST_READY: Final = 2
"""Sockets that are served per round: a TLS handshake takes 1 to 2 ms. With one, scrapes wait while a thousand clients come in."""
MAX_FILES: Final = 65_536


class FewAtOnce(selectors.DefaultSelector):
    """A selector that tells of a few ready sockets at a time, of all in turn; who is not told of stays ready.

    `turns` is told when there are none, so that the loop sleeps, and when it wakes.
    """

    def __init__(self, turns: Turns = TURNS) -> None:
        super().__init__()
        self._turns = turns
        self._told = 0

    def close(self) -> None:
        """Let go of all sockets; a loop that has ended keeps nobody waiting."""
        self._turns.sleep()
        super().close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return (key, events) of some that are ready."""
        ready = super().select(0)
        if not ready and timeout != 0:
            self._turns.sleep()
            try:
                ready = super().select(timeout)
            finally:
                self._turns.wake()
        if len(ready) <= MOST_READY:
            return ready
        self._told = first = (self._told + MOST_READY) % len(ready)
        return (ready + ready)[first : first + MOST_READY]


def new_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop for a process that is a board."""
    return asyncio.SelectorEventLoop(FewAtOnce())


def tune_process() -> None:
    """Let threads yield quickly and the collector look at little; allow as many sockets as the machine does."""
    sys.setswitchinterval(SWITCH_S)
    forget_what_is_old()
    gc.set_threshold(*GC_THRESHOLD)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def forget_what_is_old() -> None:
    """Take all objects there are out of the collector's sight: to walk through what a board has read takes some 100 ms."""
    gc.freeze()


__all__ = ["FewAtOnce", "forget_what_is_old", "new_loop", "tune_process"]
