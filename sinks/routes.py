"""The board's HTTP answers.

Handlers read the present snapshot; what takes long is made in a thread, once per snapshot.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from schemas.errors import InvalidEvent, UsageError
from schemas.instants import format_instant, parse_instant
from sinks.answers import Answers
from sinks.collector import OPENMETRICS, TEXT, Exposition, product_version
from sinks.describe import as_bytes, everything
from sinks.names import known_parameters
from sinks.negotiation import takes_csv, takes_gzip, takes_openmetrics
from sinks.paced import TURNS, Turns, answer
from sinks.scrapes import Scrapes
from sinks.security import Asset, asset_response
from sinks.snapshot import Snapshot
from sinks.source import Source
from sinks.stream import Screens
from sinks.table import Choice, Frozen, Slices, choose, interval_table

_INTERVAL_PARAMETERS: Final = frozenset({"interval", "by", "zone", "format", "since", "until", "compare"})
PROGRAM: Final = "floorpulse board"
JSON: Final = {"Content-Type": "application/json; charset=utf-8"}
CSV: Final = {"Content-Type": "text/csv; charset=utf-8"}


class Routes:
    """Handlers over one board."""

    def __init__(self, source: Source, exposition: Exposition, assets: dict[str, Asset], screens: Screens) -> None:
        self._source = source
        self._scrapes = Scrapes(source, exposition)
        self._assets = assets
        self._answers = Answers(source)
        self._screens = screens
        self._rendering = asyncio.Lock()
        self._tabling = asyncio.Lock()
        self._made: dict[str, tuple[int, bytes]] = {}

    def add_to(self, app: web.Application) -> None:
        """Register all routes."""
        app[TURNS] = Turns()
        app.add_routes(
            [
                web.get("/", self.page),
                web.get("/static/{name:.+}", self.static),
                web.get("/metrics", self.metrics),
                web.get("/api/v1/snapshot", self.snapshot),
                web.get("/api/v1/intervals", self.intervals),
                web.get("/livez", self.livez),
                web.get("/readyz", self.readyz),
            ]
        )
        self._answers.add_to(app)
        self._screens.add_to(app)

    async def page(self, request: web.Request) -> web.Response:
        """Answer with the wall-screen."""
        return asset_response(request, self._assets["index.html"])

    async def static(self, request: web.Request) -> web.Response:
        """Answer with a file of the page."""
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound(text="no such file\n")
        return asset_response(request, asset)

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """Answer a scrape, in the form that its headers ask for."""
        openmetrics, zipped = takes_openmetrics(request.headers), takes_gzip(request.headers)
        body = await self._scrapes.body(openmetrics=openmetrics, zipped=zipped)
        headers = {"Content-Type": OPENMETRICS if openmetrics else TEXT, "Vary": "Accept, Accept-Encoding"}
        if zipped:
            headers["Content-Encoding"] = "gzip"
        return await answer(request, body, headers)

    async def stop(self) -> None:
        """Begin nothing any more."""
        await self._scrapes.stop()
        await self._screens.stop()

    async def snapshot(self, request: web.Request) -> web.StreamResponse:
        """Answer with everything now, as JSON."""
        return await answer(request, await self._made_once("all", everything), JSON)

    async def _made_once(self, what: str, make: Callable[[Snapshot], dict[str, Any]]) -> bytes:
        """Return a body that is made once per snapshot, in a thread."""
        async with self._rendering:
            snapshot = self._source.snapshot
            number, body = self._made.get(what, (-1, b""))
            if number != snapshot.number:
                body = await asyncio.to_thread(lambda: as_bytes(make(snapshot)))
                self._made[what] = (snapshot.number, body)
        return body

    async def intervals(self, request: web.Request) -> web.StreamResponse:
        """Answer with the interval table, as JSON or CSV."""
        try:
            choice = _choice(request)
            as_csv = _wants_csv(request)
        except UsageError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None
        snapshot = self._source.snapshot
        if not snapshot.ready or snapshot.now is None:
            raise web.HTTPServiceUnavailable(text="not ready: still reading what was published before\n")
        async with self._tabling:
            frozen = await self._source.alone(lambda: Frozen(self._source.merge))
            body = await asyncio.to_thread(_written, frozen, snapshot.now, choice, as_csv)
        return await answer(request, body, CSV if as_csv else JSON)

    async def livez(self, _: web.Request) -> web.Response:
        """Tell whether the process works; 500 when snapshots have stopped."""
        body = {"program": PROGRAM, "version": product_version(), "pid": os.getpid(), "alive": self._source.alive}
        status = 200 if self._source.alive else 500
        return web.Response(body=as_bytes(body), status=status, content_type="application/json")

    async def readyz(self, _: web.Request) -> web.Response:
        """Tell whether everything published before the start has been read; 503 until then."""
        ready = self._source.snapshot.ready
        return web.Response(body=as_bytes({"ready": ready}), status=200 if ready else 503, content_type="application/json")


def _choice(request: web.Request) -> Choice:
    query = request.query
    known_parameters(query, _INTERVAL_PARAMETERS)
    chosen = choose(query.get("interval", "15m"), query.get("by", "queue"), query.get("zone"), query.get("compare"))
    since, until = (_instant(query.get(name), name) for name in ("since", "until"))
    if since is not None and until is not None and since > until:
        raise UsageError(f"since {format_instant(since)} is after until {format_instant(until)}: swap the two")
    return Choice(
        chosen.interval_ms,
        chosen.by,
        chosen.zone,
        chosen.since if since is None else since,
        chosen.until if until is None else until,
        chosen.compare,
    )


def _instant(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    try:
        return parse_instant(int(text) if text.isascii() and text.isdigit() and len(text) < 16 else text)
    except InvalidEvent as error:
        raise UsageError(f"{name}: {error.detail[:200]}") from None


def _wants_csv(request: web.Request) -> bool:
    form = request.query.get("format")
    if form not in (None, "csv", "json"):
        raise UsageError(f"format {form[:40]!r} is not one of json, csv")
    return form == "csv" or (form is None and takes_csv(request.headers))


def _written(slices: Slices, now: int, choice: Choice, as_csv: bool) -> bytes:
    table = interval_table(slices, now, choice)
    if not as_csv:
        return as_bytes(table.as_json())
    file = io.StringIO(newline="")
    table.write_csv(file)
    with contextlib.closing(file):
        return file.getvalue().encode()


__all__ = ["PROGRAM", "Routes"]
