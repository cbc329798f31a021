"""What the handlers of HTTP need of a board."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sinks.merge import Merge
from sinks.snapshot import Snapshot
from sinks.windows import Windows


class Source(Protocol):
    """What handlers need of the board."""

    title: str
    zone: str

    @property
    def snapshot(self) -> Snapshot:
        """The present snapshot."""

    @property
    def merge(self) -> Merge:
        """The present merge."""

    @property
    def windows(self) -> Windows:
        """The windows over the merge."""

    @property
    def channels(self) -> Mapping[str, str]:
        """The configured channel of each queue that has one."""

    @property
    def closing(self) -> bool:
        """Whether the board is about to stop."""

    @property
    def alive(self) -> bool:
        """Whether snapshots are being made."""

    async def next_snapshot(self, after: int) -> Snapshot:
        """Wait for a snapshot with a higher number."""


__all__ = ["Source"]
