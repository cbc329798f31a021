"""What the handlers of HTTP need of a board."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from sinks.merge import Merge
from sinks.snapshot import Snapshot
from sinks.windows import Windows

_Found = TypeVar("_Found")


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

    async def alone(self, work: Callable[[], _Found]) -> _Found:
        """Run something in a thread while nobody else changes or reads merge and windows."""


__all__ = ["Source"]
