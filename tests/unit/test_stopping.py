"""How commands are stopped that go on until somebody stops them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from streams.stopping import run_until_stopped


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """Ctrl-C as in the foreground, wherever these tests run."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_interrupts_whatever_it_is_in(number: int) -> None:
    """The first one only cancels, which a call that does not return never hears of."""
    begun, heard = threading.Event(), threading.Event()

    def press_twice() -> None:
        begun.wait()
        os.kill(os.getpid(), number)
        heard.wait()  # two signals at once are one
        os.kill(os.getpid(), number)

    def not_blocked() -> bool:
        heard.set()
        return False

    async def work() -> None:
        begun.set()
        time.sleep(60)  # noqa: ASYNC251  # a call that blocks is what this is about

    pressing = threading.Thread(target=press_twice)
    pressing.start()
    since = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_until_stopped(work(), not_blocked)
    pressing.join()
    assert time.monotonic() - since < 30
