"""Where a compiled floor of a hundred thousand sessions lies: its large blocks apart from the heap, and whole after they grew."""

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
from streams.native import CompiledFloor
from tests.soak.counted import memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def taken():
    heap = memory()
    return resident(), heap["heap_used"] + heap["heap_free"] + heap["mapped"]

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
again = CompiledFloor.thaw(0, 1, rules, msgspec.msgpack.decode(floor.flush(1, now + 200_000).packed), ())
held = [{key: each.entry(key) for key in each.keys() if key != "m"} for each in (floor, again)]
apart = after[0] - before[0] - (after[1] - before[1])
print(json.dumps({"same": held[0] == held[1], "keys": len(held[0]), "apart": apart}))
"""


@needs_it
@pytest.mark.skipif(sys.platform != "linux", reason="blocks are mapped apart on Linux only")
def test_large_blocks_are_apart_from_the_heap_and_whole() -> None:
    """In a process of its own, whose heap is known: tables of ids and sessions take MiB that the C library knows nothing of."""
    done = subprocess.run([sys.executable, "-c", _FLOOR], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert found["same"]
    assert found["keys"] > 100_000
    assert found["apart"] > 4 << 20
