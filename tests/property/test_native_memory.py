"""Where a compiled floor of a hundred thousand sessions lies: apart from the C library's heap, and whole after it grew."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.property.test_native import needs_it

_FLOOR = """
import json, os
from pathlib import Path
import msgspec
from schemas.rules import Rules
from streams.native import CompiledFloor, heap_bytes
from tests.soak.memory import memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def taken():
    heap = memory()
    return {"resident": resident(), "library": heap["heap_used"] + heap["heap_free"] + heap["mapped"], "core": heap_bytes()}

rules, now = Rules(live=True), 1_800_000_000_000
before = taken()
floor = CompiledFloor(0, 1, rules)
for first in range(0, 100_000, 1000):
    keys, values = [], []
    for n in range(first, first + 1000):
        event = {"type": "session.started", "channel": "voice", "direction": "inbound", "customer_id": f"c{n % 50_000}"}
        keys.append(f"s{n}".encode())
        values.append(json.dumps({"id": str(n), "at": now + n, "session_id": f"s{n}", **event}).encode())
    assert not floor.apply("sessions", keys, values, now + 200_000)
after = taken()
packed = floor.flush(1, now + 200_000).packed
entries = {key: value for each in packed for key, value in msgspec.msgpack.decode(each).items()}
again = CompiledFloor.thaw(0, 1, rules, entries, ())
held = [{key: each.entry(key) for key in each.keys() if key != "m"} for each in (floor, again)]
sizes = list(map(len, map(memoryview, packed)))
grown = {name: after[name] - before[name] for name in after}
print(json.dumps({"same": held[0] == held[1], "keys": len(held[0]), "maps": sizes, **grown}))
"""


@needs_it
@pytest.mark.skipif(sys.platform != "linux", reason="the compiled core has a heap of its own on Linux only")
def test_the_core_has_a_heap_of_its_own_and_large_blocks_apart() -> None:
    """In a process of its own, whose heap is known: the C library knows nothing of it, nor does either heap of tables of MiB.

    What so many sessions leave for the journal comes in maps of at most 4 MiB.
    """
    done = subprocess.run([sys.executable, "-c", _FLOOR], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert found["same"]
    assert found["keys"] > 100_000
    assert sum(found["maps"]) > 8 << 20
    assert max(found["maps"]) <= 4 << 20
    assert found["library"] < 4 << 20
    assert found["core"] > 20 << 20
    assert found["resident"] - found["core"] - found["library"] > 4 << 20
