"""Commands that go on until somebody stops them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any


def run_until_stopped(work: Coroutine[Any, Any, Any], blocked: Callable[[], bool] = lambda: False) -> None:
    """Run something that SIGTERM and Ctrl-C end: it is cancelled, or interrupted where it is `blocked` in a call.

    Whatever it does, the second signal interrupts it. SIGTERM is not passed on as SIGINT, which a shell switches off for what its
    scripts run in the background; there it stays off.
    """
    signals = 0

    async def main() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop(_number: int, _frame: object) -> None:
            nonlocal signals
            signals += 1
            if blocked() or signals > 1:
                raise KeyboardInterrupt
            task.cancel()
            loop.call_soon_threadsafe(lambda: None)  # wakes it up

        numbers = [signal.SIGTERM, *([] if signal.getsignal(signal.SIGINT) is signal.SIG_IGN else [signal.SIGINT])]
        before = {number: signal.signal(number, stop) for number in numbers}
        try:
            await work
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    try:
        asyncio.run(main())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


__all__ = ["run_until_stopped"]
