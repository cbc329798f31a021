"""How an indicator of one queue or group stands against its limits: what screen, gauges and alerts share.

`Snapshot.standings` holds one for each subject that has a threshold; whoever shows a colour or wakes somebody reads it there, so
that they never disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

GOOD: Final = 0
WARN: Final = 1
BREACH: Final = 2


class Subject(NamedTuple):
    """What is judged: an indicator of (queue, channel), with group "", or of a group, with queue and channel ""."""

    kpi: str
    queue: str = ""
    channel: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """One judgement, after hysteresis and sample guard. Values and limits in the indicator's unit: s, 0..1, or a count."""

    level: int | None
    """0 good, 1 warn, 2 breach; None: too few facts to judge."""
    since_ms: int
    """When this level was entered, on the floor's clock."""
    value: float | None
    warn: float | None
    breach: float | None
    window: str = ""
    """The window that is judged, "" for a state of now."""
    n: int = 0
    """How many facts the value rests on; 0 for a state of now."""
    quiet: bool = False
    """Whether nobody is to be woken by it now: quiet hours."""


__all__ = ["BREACH", "GOOD", "WARN", "Standing", "Subject"]
