"""Whoever computes in a thread lets the event loop go first.

Theory. The loop gives the interpreter up in each call of the kernel, some twenty for a TLS handshake. A thread that computes takes
it then, and the loop waits for some tenths of a millisecond until it gets it back, dozens of times before it comes round once: the
longest stalls were made of that. So a thread that computes stops here and there, where it is between two things anyway, while the
loop is awake; it goes on when the loop sleeps again, and after `PATIENCE_S` at the latest, in either case without a stop for as
long as it has waited: else a loop that sleeps for moments only would let it do one thing each time. So it takes twice as long at
most, under any load.
"""

from __future__ import annotations

import time
from threading import Event, get_ident
from typing import Final

PATIENCE_S: Final = 0.005
"""So long a thread waits at most each time."""


class Turns:
    """Says whether the event loop sleeps; it does where there is none."""

    def __init__(self) -> None:
        self._sleeps = Event()
        self._sleeps.set()
        self._loop = 0
        self._free_until = 0.0

    def sleep(self) -> None:
        """Note that the loop, whose thread calls this, has nothing to do."""
        self._sleeps.set()

    def wake(self) -> None:
        """Note that the loop has something to do."""
        self._loop = get_ident()
        self._sleeps.clear()

    def give_way(self) -> None:
        """Wait while the loop is awake, unless this is its own thread."""
        if self._sleeps.is_set() or get_ident() == self._loop or (began := time.monotonic()) < self._free_until:
            return
        self._sleeps.wait(PATIENCE_S)
        now = time.monotonic()
        self._free_until = now + (now - began)


TURNS: Final = Turns()
"""Those of this process; an event loop of `sinks.loop` takes part."""
give_way: Final = TURNS.give_way

__all__ = ["PATIENCE_S", "TURNS", "Turns", "give_way"]
