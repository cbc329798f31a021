"""A worker for chaos: `python -m tests.chaos.worker CONFIG [GUARD]`; with the name of a guard, it works without that one.

The guards are what makes the numbers exact. Taking one out must be found by the suite: its negative controls.

Between the journal's acknowledgement and the readings a worker pauses now and then, so that kills and stops meet it there too;
and now and then a batch of the input gets lost on its way to the partition, or comes twice.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterable
from typing import Any, Final

from schemas.config_file import load
from streams import partition
from streams.app import Ownership
from streams.journal import Claim, Cut, Journal, Outgoing, Outlet, decode
from streams.journal.follow import Follow
from streams.logs import configure_logs
from streams.run import thaw_of, worker_settings
from streams.worker import run_worker

HEARTBEAT_S: Final = 2.0
PAUSE_S: Final = 0.5
PAUSES: Final = 0.2
LOSSES: Final = 0.01
GUARDS: Final = ("fence", "contiguity", "order", "follow")


def without(guard: str) -> None:
    """Take a guard out of this process."""
    owner, name, stand_in = {
        "fence": (partition.Partition, "_check_foreign", _trusting),
        "contiguity": (partition, "cut", lambda _, offsets, __: Cut(0, len(offsets), False)),
        "order": (Journal, "append", _acknowledging_at_once),
        "follow": (Follow, "must_look", lambda *_: False),
    }[guard]
    setattr(owner, name, stand_in)


async def _trusting(self: Any, offset: int) -> None:
    """Take any offset for the next one."""


async def _hesitating(self: Outlet, records: Iterable[Outgoing]) -> Any:
    """Send, now and then after a pause."""
    if random.random() < PAUSES:
        await asyncio.sleep(random.uniform(0, PAUSE_S))
    return await _send(self, records)


async def _unreliable(self: Ownership, topic: str, partition: int, records: Any) -> None:
    """Hand a batch over, mostly."""
    luck = random.random()
    if luck > LOSSES:
        await _take(self, topic, partition, records)
    if luck > 1 - LOSSES:
        await _take(self, topic, partition, records)


_take = Ownership.take
_send = Outlet.send
_append = Journal.append
_writing: set[asyncio.Future[Any]] = set()
_last: dict[int, int] = {}


async def _acknowledging_at_once(self: Journal, number: int, value: bytes) -> int:
    """Append some time after saying that it is done."""
    if isinstance(decode(value), Claim) or number not in _last:
        _last[number] = await _append(self, number, value)
        return _last[number]
    _last[number] += 1
    _writing.add(asyncio.ensure_future(_later(self, number, value)))
    return _last[number]


async def _later(journal: Journal, number: int, value: bytes) -> None:
    await asyncio.sleep(random.uniform(0.2, 1.0))
    await _append(journal, number, value)


def main() -> None:
    """Run it."""
    config = load(sys.argv[1])
    setattr(Outlet, "send", _hesitating)  # noqa: B010  # as in `without`
    setattr(Ownership, "take", _unreliable)  # noqa: B010  # the same
    for guard in sys.argv[2:]:
        without(guard)
    configure_logs()
    run_worker(worker_settings(config, heartbeat_s=HEARTBEAT_S), thaw_of(config))


if __name__ == "__main__":
    main()
