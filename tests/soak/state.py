"""A worker's state under hours of event time, in memory: what of it grows? `python -m tests.soak.state --rate 250 --hours 3`.

The soak on a real Kafka sees one number, the resident memory, and needs two hours. Here the same events run through real floors
as fast as they go, and every ten minutes of event time the state is added up part by part, to the byte. So it tells *what*
grows: each customer's contact once left a note for 400 days in a heap, 150 bytes each. With the soak's settings all has its
size after `SETTLED_MS`; what is kept for days by intention is told and not judged.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from schemas.partitioner import PARTITIONERS
from schemas.readings import SLICE_MS
from schemas.rules import HOUR_MS, MINUTE_MS, Rules
from streams.core.customers import Known
from streams.core.floor import Floor
from streams.simulator import Centre, encode, simulate
from tests.bench.stages import Bench
from tests.soak.settings import soak_rules

PARTITIONS: Final = 2
FLUSH_MS: Final = 2_000
LOOK_MS: Final = 10 * MINUTE_MS
SETTLED_MS: Final = 95 * MINUTE_MS
"""Agents' history is closed after an hour and the longest session, at most ten minutes later; slices after an hour."""
MORE: Final = 0.04
"""A part may be so much larger on average in the last third of its looks than in the first: it follows the load of the hour."""
SMALL_BYTES: Final = 64 << 10
"""Parts below this are told, not judged."""


def size_of(thing: Any, seen: set[int]) -> int:
    """Return the bytes of a thing and of all that hangs on it and was not seen yet."""
    if id(thing) in seen:
        return 0
    seen.add(id(thing))
    return sys.getsizeof(thing) + sum(size_of(part, seen) for part in _parts(thing))


def _parts(thing: Any) -> Iterator[Any]:
    if isinstance(thing, dict):
        yield from thing.keys()
        yield from thing.values()
    elif isinstance(thing, (list, tuple, set, frozenset)):
        yield from thing
    elif type(thing).__module__.startswith(("streams.", "collections")):
        yield from getattr(thing, "__dict__", {}).values()
        for kind in type(thing).__mro__:
            slots = getattr(kind, "__slots__", ())
            yield from (getattr(thing, name) for name in slots if name != "__dict__" and hasattr(thing, name))


def kept_of(floor: Floor, seen: set[int]) -> dict[str, int]:
    """Return the bytes of each part that is kept for days by intention, so that it grows in a soak.

    Slices for 15 or 31 days, complaints until they are closed, a contact whose end never comes, and those of its customer after it,
    for 400 days.
    """
    size_of(floor.rules, seen)
    slices = floor.books.cells.slices
    still_open = [known for known in list(floor.customers._of.values()) if _is_open(known)]
    return {
        "slices of days": sum(size_of(slices[length], seen) for length in list(slices) if length != SLICE_MS),
        "open complaints": size_of(floor.complaints._filings, seen),
        "customers with an open contact": sum(size_of(known, seen) for known in still_open),
    }


def _is_open(sessions: Mapping[str, Known]) -> bool:
    """Tell whether one of a customer's contacts has not ended."""
    return any(contact[3] is None for known in sessions.values() for contact in known.contacts)


def parts_of(floor: Floor) -> dict[str, dict[str, int]]:
    """Return the bytes of each part of a floor's state: those `kept` for days, and those `judged`."""
    seen: set[int] = set()
    kept = kept_of(floor, seen)
    judged = {
        "slices of 10 s": size_of(floor.books.cells.slices[SLICE_MS], seen),
        "agents": size_of(floor._agent_book.agents, seen),
        "reviewers": size_of(floor.reviewers._of, seen),
        "ids": size_of(floor.ids, seen) + size_of(floor.business_ids, seen),
        "sessions": size_of(floor.sessions, seen),
        "customers": size_of(vars(floor.customers), seen),
        "expiry": size_of(vars(floor.expiry), seen),
    }
    for beside in (floor.entries, floor._intake):
        seen.add(id(beside))
    seen.add(id(floor))
    judged["the rest"] = sum(size_of(value, seen) for value in vars(floor).values())
    return {"kept": kept, "judged": judged}


def run(rules: Rules, rate: float, hours: float, seed: int = 1) -> Iterator[tuple[int, dict[str, dict[str, int]]]]:
    """Yield (ms of event time since the start, bytes by part as `parts_of` has them) at each look."""
    place = PARTITIONERS[rules.partitioner]
    bench = Bench(rules, PARTITIONS, sys.maxsize)
    start = time.time_ns() // 1_000_000
    lanes: dict[tuple[int, str], list[tuple[bytes | None, bytes | None]]] = defaultdict(list)
    flush_at, look_at = start + FLUSH_MS, start + LOOK_MS
    for at, topic, key, event in simulate(Centre.default(queues=20, seed=seed, rate=rate), start, int(hours * HOUR_MS)):
        if at >= flush_at:
            bench.now_ms, flush_at = at, at + FLUSH_MS
            for (number, name), lane in lanes.items():
                bench.take(number, name, lane)
            lanes.clear()
            for number in range(PARTITIONS):
                bench.flush(number)
            if at >= look_at:
                look_at = at + LOOK_MS
                sizes = [parts_of(floor) for floor in bench.floors]
                names = [(kind, name) for kind in sizes[0] for name in sizes[0][kind]]
                found: dict[str, dict[str, int]] = {kind: {} for kind in sizes[0]}
                for kind, name in names:
                    found[kind][name] = sum(size[kind][name] for size in sizes)
                yield at - start, found
        lanes[place(key.encode(), PARTITIONS), topic].append((key.encode(), encode(event)))


def judge(looks: Sequence[tuple[int, Mapping[str, Mapping[str, int]]]]) -> list[str]:
    """Return what grows though it should have its size."""
    settled = [sizes["judged"] for at, sizes in looks if at >= SETTLED_MS]
    third = len(settled) // 3
    if not third:
        return ["too short to tell"]
    broken = []
    for name in settled[0]:
        first, last = (sum(sizes[name] for sizes in some) / third for some in (settled[:third], settled[-third:]))
        if last > first * (1 + MORE) and last > SMALL_BYTES:
            broken.append(f"{name}: from {first / 2**20:.2f} to {last / 2**20:.2f} MiB on average")
    return broken


def main() -> int:
    """Run it and print a line per look; the exit status is 1 when something grows."""
    parser = argparse.ArgumentParser(prog="tests.soak.state", description=__doc__)
    parser.add_argument("--rate", type=float, default=250.0)
    parser.add_argument("--hours", type=float, default=3.0)
    options = parser.parse_args()
    looks = []
    for at, sizes in run(soak_rules(), options.rate, options.hours):
        looks.append((at, sizes))
        mib = {kind: {name: round(size / 2**20, 2) for name, size in parts.items()} for kind, parts in sizes.items()}
        sys.stdout.write(f"{at / HOUR_MS:.2f} h {json.dumps(mib)}\n")
        sys.stdout.flush()
    broken = judge(looks)
    sys.stdout.write("\n".join(broken or ["nothing grows that should not"]) + "\n")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
