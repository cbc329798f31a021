"""What processes cost: CPU time and peak memory of a process and all that it has started, from /proc; and how starved they were."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """CPU seconds (user and system, ended children included) and MB of peak memory (VmHWM, added up)."""

    cpu_s: float
    peak_mb: float


def _parents() -> dict[int, int]:
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            fields = _fields(int(folder.name))
            if fields:
                parents[int(folder.name)] = int(fields[1])
    return parents


def _fields(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []


def tree(pid: int) -> list[int]:
    """Return the process and its living descendants."""
    parents = _parents()
    found = [pid]
    for known in found:
        found.extend(child for child, parent in parents.items() if parent == known)
    return found


def usage(pid: int) -> Usage:
    """Return what a process and its descendants have used so far; nothing where it has ended."""
    cpu, peak = 0.0, 0.0
    for each in tree(pid):
        fields = _fields(each)
        cpu += sum(int(ticks) for ticks in fields[11:15]) / _TICKS
        try:
            status = Path(f"/proc/{each}/status").read_text()
        except OSError:
            continue
        peak += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
    return Usage(cpu, peak)


def starved_s(pid: int) -> float:
    """Return for how long a process's first thread could run but got no core; 0 where it has ended or the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


__all__ = ["Usage", "starved_s", "tree", "usage"]
