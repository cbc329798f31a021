"""Payloads of `/metrics`: made in a thread, once per snapshot, shared by all who scrape.

Theory. 50,000 series take some 0.2 s to write down, which a scrape should not wait for. A payload that took long is
therefore made ahead, again and again, for as long as somebody scrapes, and a scrape gets the last one that was finished;
making it takes a fifth of a core at most, so at 0.2 s it is at most some 1.2 s old. What is made quickly is made when asked
for, of the present snapshot. Whoever comes while a payload is being made gets that one.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final, NamedTuple

import structlog

from sinks.collector import Exposition
from sinks.snapshot import Snapshot
from sinks.source import Source

log = structlog.get_logger()

LONG_S: Final = 0.15
"""What takes longer is made ahead."""
SHARE: Final = 5
"""Making ahead takes one in so many seconds of a core."""
REMEMBERED_S: Final = 300.0
"""So long after its last scrape a form is made ahead; Prometheus scrapes at least every two minutes."""

Form = tuple[bool, bool]
"""(OpenMetrics, gzip)."""


class _Made(NamedTuple):
    body: bytes
    began_s: float
    took_s: float


class Scrapes:
    """Payloads of one board."""

    def __init__(self, source: Source, exposition: Exposition) -> None:
        self._source = source
        self._exposition = exposition
        self._making = asyncio.Lock()
        self._made: dict[Form, _Made] = {}
        self._asked_s: dict[Form, float] = {}
        self._ahead: asyncio.Task[None] | None = None

    async def body(self, *, openmetrics: bool, zipped: bool) -> bytes:
        """Return a payload in one form."""
        form, now = (openmetrics, zipped), time.monotonic()
        self._asked_s[form] = now
        made = self._made.get(form)
        if made is not None and made.took_s > LONG_S and self._ahead is not None and not self._ahead.done():
            return made.body
        made = await self._make(form, now, None)
        if made.took_s > LONG_S and (self._ahead is None or self._ahead.done()):
            self._ahead = asyncio.create_task(self._go_ahead(), name="floorpulse-scrapes")
        return made.body

    async def stop(self) -> None:
        """Make nothing ahead any more."""
        if self._ahead is not None:
            self._ahead.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ahead

    async def _make(self, form: Form, since_s: float, snapshot: Snapshot | None) -> _Made:
        """Return a payload that was finished after an instant, or make one, of the present snapshot unless another is given."""
        async with self._making:
            made = self._made.get(form)
            if made is not None and made.began_s + made.took_s > since_s:
                return made
            began, snapshot = time.monotonic(), snapshot or self._source.snapshot
            openmetrics, zipped = form
            body = await asyncio.to_thread(self._exposition.render, snapshot, openmetrics=openmetrics, zipped=zipped)
            made = self._made[form] = _Made(body, began, time.monotonic() - began)
            return made

    async def _go_ahead(self) -> None:
        try:
            while forms := self._wanted():
                await asyncio.sleep((SHARE - 1) * sum(self._made[form].took_s for form in forms))
                snapshot = self._source.snapshot
                for form in forms:
                    await self._make(form, time.monotonic(), snapshot)
        except Exception:  # the boundary: the next scrape makes its own payload, and fails by itself if it must
            log.exception("metrics.not_made_ahead")

    def _wanted(self) -> list[Form]:
        """Return the forms that somebody asked for lately; forget the others' payloads."""
        now = time.monotonic()
        for form, asked in list(self._asked_s.items()):
            if now - asked > REMEMBERED_S:
                self._made.pop(form, None)
                del self._asked_s[form]
        return [form for form, made in self._made.items() if made.took_s > LONG_S]


__all__ = ["REMEMBERED_S", "SHARE", "Scrapes"]
