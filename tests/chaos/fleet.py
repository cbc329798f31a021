"""The fleet: worker processes that are killed, told to stop, put to sleep, and replaced, at times that a seed decides."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

YOUNG_S: Final = 6.0
"""A worker younger than this is still starting, joining or loading."""
STOP_S: Final = 40.0
_PROJECT: Final = Path(__file__).resolve().parents[2]


@dataclass(eq=False)
class Member:
    """One worker process."""

    process: subprocess.Popen[bytes]
    started_s: float = field(default_factory=time.monotonic)
    asleep: bool = False
    leaving: bool = False

    @property
    def young(self) -> bool:
        """Tell whether it may not yet own what it will own."""
        return time.monotonic() < self.started_s + YOUNG_S


class Fleet:
    """As many workers as wanted; whoever dies is replaced by `tend`."""

    def __init__(self, config: Path, log: Path, size: int, session_timeout_s: float, rng: random.Random, guard: str | None) -> None:
        self.done: Counter[str] = Counter()
        """What was done to workers; `exited` are those that ended by themselves."""
        self.log = log
        self._command = [sys.executable, "-m", "tests.chaos.worker", str(config), *([guard] if guard else [])]
        self._size = size
        self._session_timeout_s = session_timeout_s
        self._rng = rng
        self._members: list[Member] = []
        self._naps: set[asyncio.Task[None]] = set()

    def tend(self) -> None:
        """Replace those who have died."""
        for member in [each for each in self._members if each.process.poll() is not None]:
            self._members.remove(member)
            if not member.leaving:
                self.done["exited"] += 1
        while len([each for each in self._members if not each.leaving]) < self._size:
            self._start()

    def close(self) -> None:
        """Kill all that are left."""
        for nap in self._naps:
            nap.cancel()
        for member in self._members:
            member.process.kill()
        for member in self._members:
            member.process.wait()
        self._members.clear()

    async def kill(self) -> None:
        """Kill one without warning: often one that is just starting or loading."""
        young = [each for each in self._awake() if each.young]
        member = self._rng.choice(young if young and self._rng.random() < 0.5 else self._awake())
        self.done["kills"] += 1
        self.done["kills_young"] += member.young
        member.leaving = True
        member.process.kill()
        await asyncio.to_thread(member.process.wait)
        if self._rng.random() < 0.7:
            self.tend()

    async def rebalance(self) -> None:
        """Let one more join, or one leave in order."""
        self.done["rebalances"] += 1
        spare = len(self._awake()) > self._size
        if not spare and self._rng.random() < 0.5:
            self._start()
            return
        member = self._rng.choice(self._awake())
        member.leaving = True
        member.process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(asyncio.to_thread(member.process.wait), STOP_S)
        except TimeoutError:
            self.done["stops_too_long"] += 1
            member.process.kill()
        self.tend()

    async def zombie(self) -> None:
        """Stop one for longer than the group waits for it, while the others go on."""
        if len(self._awake()) < 2:
            self._start()
        member = self._rng.choice([each for each in self._awake() if not each.young] or self._awake())
        self.done["zombies"] += 1
        nap = asyncio.ensure_future(self._nap(member))
        self._naps.add(nap)
        nap.add_done_callback(self._naps.discard)

    async def wake(self) -> None:
        """Wait until nobody is asleep any more."""
        await asyncio.gather(*self._naps)

    async def _nap(self, member: Member) -> None:
        member.asleep = True
        member.process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(self._session_timeout_s + self._rng.uniform(1.0, 6.0))
        finally:
            member.process.send_signal(signal.SIGCONT)
            member.asleep = False

    def _awake(self) -> list[Member]:
        found = [each for each in self._members if not each.asleep and not each.leaving and each.process.poll() is None]
        if not found:
            self._start()
            found = self._members[-1:]
        return found

    def _start(self) -> None:
        with self.log.open("ab") as out:
            process = subprocess.Popen(
                self._command, cwd=_PROJECT, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env={**os.environ, **_LISTEN}
            )
        self._members.append(Member(process))
        self.done["started"] += 1


_LISTEN: Final = {"FLOORPULSE_WORKER__LISTEN": "127.0.0.1:0"}

__all__ = ["Fleet"]
