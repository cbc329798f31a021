"""Where the memory of a process lies: what its allocators say of themselves, and what the kernel says of its mappings."""

from __future__ import annotations

import ctypes
import os
import re
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from streams.native import heap_bytes, large_bytes


class _Heap(ctypes.Structure):
    """What `mallinfo2` of the C library says."""

    _names = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    _fields_ = [(name, ctypes.c_size_t) for name in _names]


_LIBRARY = ctypes.CDLL(None)
HOLES: tuple[int, ...] = (512, 4 << 10, 64 << 10)
"""Sizes up to which free chunks of the heap are added up; those beyond are a sum of their own.

Which of them grow tells what leaves them: blocks of 4 KiB did, buffers of readings that had doubled until they were as long.
"""


def memory() -> dict[str, int]:
    """Return what allocators say; of the C library's heap nothing where it cannot be asked.

    Bytes of its first heap that are used and that are free, bytes that it has mapped apart, bytes of the compiled core's heap and
    of its large blocks; blocks of Python's allocator are a number.
    """
    found = {"blocks": sys.getallocatedblocks(), "core_heap": heap_bytes(), "core_large": large_bytes()}
    ask = getattr(_LIBRARY, "mallinfo2", None)
    if ask is not None:
        ask.restype = _Heap
        heap = ask()
        found |= {"heap_used": heap.uordblks, "heap_free": heap.fordblks, "mapped": heap.hblkhd}
    return found


def holes(scratch: Path) -> dict[str, int]:
    """Return the bytes of free chunks of the C library's heaps by size, and of all heaps that threads have beside the first.

    Nothing where it cannot be asked. `scratch` is written.
    """
    if getattr(_LIBRARY, "malloc_info", None) is None:
        return {}
    _LIBRARY.fopen.restype = ctypes.c_void_p
    out = ctypes.c_void_p(_LIBRARY.fopen(os.fsencode(scratch), b"w"))
    _LIBRARY.malloc_info(0, out)
    _LIBRARY.fclose(out)
    found = dict.fromkeys([*(f"holes_{most}" for most in HOLES), "holes_larger"], 0)
    told = ElementTree.parse(scratch)
    for chunks in told.iterfind("heap/sizes/*"):
        most = next((most for most in HOLES if int(chunks.get("to", 0)) <= most), "larger")
        found[f"holes_{most}"] += int(chunks.get("total", 0))
    found["heaps_of_threads"] = sum(int(size.get("size", 0)) for size in told.findall("heap/system[@type='current']")[1:])
    return found


def arena_bytes() -> int:
    """Return the bytes of the arenas of Python's allocator. To be called in a child: its stderr is written over."""
    with tempfile.TemporaryFile() as scratch:
        os.dup2(scratch.fileno(), 2)
        sys._debugmallocstats()
        scratch.seek(0)
        found = re.search(rb"arenas \* \d+ bytes/arena += +([\d,]+)", scratch.read())
    return int(found[1].replace(b",", b"")) if found else 0


def regions() -> dict[str, int]:
    """Return the resident bytes of the mappings by what they are; nothing where the system does not tell.

    Of files, of the C library's first heap, of the core's heap (mimalloc asks for places from 2 TiB on), and all others: Python's
    arenas, the core's large blocks, heaps and stacks of threads.
    """
    found = dict.fromkeys(["resident_file", "resident_heap", "resident_core", "resident_other"], 0)
    maps = Path("/proc/self/smaps")
    if not maps.exists():
        return {}
    kind = "resident_other"
    for line in maps.read_text().splitlines():
        first, _, rest = line.partition(" ")
        if not first.endswith(":"):
            begin, name = int(first.partition("-")[0], 16), rest.split(maxsplit=4)[4:]
            kind = _region(begin, name[0] if name else "")
        elif first == "Rss:":
            found[kind] += int(rest.split()[0]) << 10
    return found


def _region(begin: int, name: str) -> str:
    if name.startswith("/"):
        return "resident_file"
    if name == "[heap]":
        return "resident_heap"
    return "resident_core" if 2 << 40 <= begin < 30 << 40 else "resident_other"


__all__ = ["HOLES", "arena_bytes", "holes", "memory", "regions"]
