"""Answers to single questions over HTTP: comparisons, and how a number came about."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from schemas.errors import UnknownName, UsageError
from sinks.comparisons import chosen, described, gather
from sinks.describe import as_bytes
from sinks.explain import PARAMETERS, Explainer, Question
from sinks.names import known_parameters
from sinks.paced import answer
from sinks.source import Source

_FILTERS: Final = ("queue", "channel", "group", "kpi")
_JSON: Final = {"Content-Type": "application/json; charset=utf-8"}


class Answers:
    """Handlers over one board."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._comparing = asyncio.Lock()
        self._compared: tuple[object, dict[str, Any]] | None = None

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.add_routes([web.get("/api/v1/comparisons", self.comparisons), web.get("/api/v1/explain", self.explain)])

    async def comparisons(self, request: web.Request) -> web.StreamResponse:
        """Answer with today and the last seven days against what was before."""
        try:
            known_parameters(request.query, _FILTERS)
            body = await self._comparisons()
            places = [(view.name, view.channel) for view in self._source.snapshot.queues]
            found = await asyncio.to_thread(lambda: as_bytes(chosen(body, **_asked(request, _FILTERS), places=places)))
            return await answer(request, found, _JSON)
        except UsageError as error:
            raise _refused(error) from None

    async def _comparisons(self) -> dict[str, Any]:
        """Return all comparisons: derived anew only when a quarter-hour is over, or something has changed."""
        async with self._comparing:
            self._must_be_ready()
            source = self._source
            found = await source.alone(lambda: gather(source.windows, source.merge, source.channels))
            if self._compared is None or self._compared[0] != found.key:
                self._compared = found.key, await asyncio.to_thread(described, found)
            return {**self._compared[1], "now": found.now}

    async def explain(self, request: web.Request) -> web.StreamResponse:
        """Answer with the parts, the formula and the settings behind one number."""
        try:
            known_parameters(request.query, PARAMETERS)
            asked = _asked(request, PARAMETERS)
            if not asked["kpi"]:
                raise UsageError("kpi is missing: which indicator? /api/v1/explain?kpi=service_level&queue=...")
            self._must_be_ready()
            return await answer(request, await self._source.alone(lambda: self._explained(Question(**asked))), _JSON)
        except UsageError as error:
            raise _refused(error) from None

    def _explained(self, question: Question) -> bytes:
        source = self._source
        return as_bytes(Explainer(source.merge, source.windows, source.snapshot).explain(question))

    def _must_be_ready(self) -> None:
        if not self._source.snapshot.ready or self._source.windows.now is None:
            raise web.HTTPServiceUnavailable(text="not ready: still reading what was published before\n")


def _asked(request: web.Request, names: tuple[str, ...]) -> Mapping[str, Any]:
    return {name: request.query.get(name) for name in names}


def _refused(error: UsageError) -> web.HTTPException:
    text = f"{error}\n"
    return web.HTTPNotFound(text=text) if isinstance(error, UnknownName) else web.HTTPBadRequest(text=text)


__all__ = ["Answers"]
