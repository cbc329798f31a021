"""Python's garbage collector, tuned for processes that hold much state and make few cycles."""

from __future__ import annotations

import gc
from typing import Final

GC_THRESHOLD: Final = (200_000, 50, 1000)
"""By default the collector would walk the whole state again and again, every 700 new objects."""


def settle_memory() -> None:
    """Take what was loaded out of the collector's sight, and let it look seldom."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)


__all__ = ["GC_THRESHOLD", "settle_memory"]
