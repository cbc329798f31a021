"""The end of a process that was told to stop, whatever state it hangs in.

Theory of operation. Python calls a signal's handler between two bytecodes of the main thread, perhaps while that thread holds the
log's lock, and not at all while it waits in C. So the handler here does nothing. The interpreter notes each signal in a pipe at
once, in C, and a thread of its own reads that pipe: it passes the first signal on, lets the deadline go by, and ends the process.
Last words can block as well, where nobody reads stderr or somebody who hangs has the log's lock: their time is bounded.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Final

LAST_WORDS_S: Final = 0.5
"""How long a process that ends itself may take to say so."""
_GIVE_UP_RATIO: Final = 0.95
_LAST_WORDS_RATIO: Final = 0.03
"""Parts of a deadline, so that the process is over by then, not only begins to end."""


class Deadline:
    """Ends this process so many seconds after SIGTERM, SIGINT or `begin`; to be made in the main thread, once.

    `on_signal` gets the first signal's number, in another thread; `last_words` may block.
    """

    def __init__(self, seconds: float, on_signal: Callable[[int], None], last_words: Callable[[], Any]) -> None:
        self._seconds = seconds
        self._on_signal = on_signal
        self._last_words = last_words
        self._begun, self._told = os.pipe()
        os.set_blocking(self._told, False)
        threading.Thread(target=self._keep, name="floorpulse-deadline", daemon=True).start()
        signal.set_wakeup_fd(self._told, warn_on_full_buffer=False)  # the first signal is enough
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _do_nothing)

    def begin(self) -> None:
        """Let the time run without a signal."""
        os.write(self._told, b"\0")

    def _keep(self) -> None:
        (number,) = os.read(self._begun, 1)
        try:
            if number:
                self._on_signal(number)
            time.sleep(self._seconds * _GIVE_UP_RATIO)
        finally:
            end_process(1, self._last_words, self._seconds * _LAST_WORDS_RATIO)


def end_process(status: int, last_words: Callable[[], Any], within_s: float = LAST_WORDS_S) -> None:
    """End the process, which its caller has not come to do; nothing is under way any more that matters."""
    try:
        speaking = threading.Thread(target=last_words, name="floorpulse-last-words", daemon=True)
        speaking.start()
        speaking.join(within_s)
    finally:  # there may be no room for another thread
        os._exit(status)


def _do_nothing(_number: int, _frame: Any) -> None:
    """Take the place of the default, which would end the process here and now."""


__all__ = ["Deadline", "end_process"]
