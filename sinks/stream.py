"""The wall-screens' stream, and the trend of one queue, over HTTP."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Final

from aiohttp import web

from schemas.errors import UnknownName, UsageError
from sinks.describe import as_bytes
from sinks.feed import Feed, Frames
from sinks.names import known_name, known_parameters
from sinks.paced import TURNS, answer, begin
from sinks.source import Source
from sinks.trend import Trends
from sinks.wall import Setting

MAX_STREAMS: Final = 1000
"""Wall-screens at once, those among them that have just gone and come back; each costs two small writes a second."""
RETRY_MS: Final = (1000, 5000)
"""A screen that lost the board comes back after some time between these: not all of them at once."""
_STREAM: Final = ("window", "names")
_TREND: Final = ("queue", "channel")
_EVENTS: Final = {"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
_JSON: Final = {"Content-Type": "application/json; charset=utf-8"}


class Screens:
    """Handlers over one board."""

    def __init__(self, source: Source, setting: Callable[[], Setting], trends: Trends) -> None:
        self._source, self._trends = source, trends
        self._frames = Frames(source, setting)
        self._streams = 0

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.add_routes([web.get("/api/v1/stream", self.stream), web.get("/api/v1/trend", self.trend)])
        app.on_shutdown.append(self._close)

    async def _close(self, _: web.Application) -> None:
        self._frames.close()

    async def stop(self) -> None:
        """Make no more frames."""
        await self._frames.stop()

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Answer with server-sent events: a snapshot, then patches; who is slow misses some and gets a snapshot."""
        try:
            known_parameters(request.query, _STREAM)
        except UsageError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None
        if self._streams >= MAX_STREAMS:
            raise web.HTTPServiceUnavailable(text="too many streams\n")
        response = web.StreamResponse(headers=_EVENTS)
        self._streams += 1
        try:
            async with self._frames.followed(self._frames.variant(request.query)) as feed:
                await self._follow(request, response, feed)
        except TimeoutError:
            if request.transport is not None:  # takes nothing: what it was sent must not wait for it
                request.transport.abort()
        except ConnectionError:
            pass  # the client has gone
        finally:
            self._streams -= 1
        return response

    async def _follow(self, request: web.Request, response: web.StreamResponse, feed: Feed) -> None:
        turns = request.app[TURNS]
        await begin(request, response)
        number = self._frames.number_of(request.headers.get("Last-Event-ID"))
        await turns.send(response, b"retry: %d\n\n" % random.randint(*RETRY_MS))
        first = True
        while not self._frames.closing:
            changed, has = feed.changed, feed.number
            data = feed.since(number) or self._frames.beat() if first or has != number else feed.beat
            number, first = has, False
            if data:
                await turns.send(response, data)
            if feed.number == number:
                await changed.wait()

    async def trend(self, request: web.Request) -> web.StreamResponse:
        """Answer with the last hour of one queue: who had waited longest, and how many waited."""
        try:
            known_parameters(request.query, _TREND)
            body = self._trends.of(*self._place(request))
        except UnknownName as error:
            raise web.HTTPNotFound(text=f"{error}\n") from None
        except UsageError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None
        return await answer(request, as_bytes(body), _JSON)

    def _place(self, request: web.Request) -> tuple[str, str]:
        snapshot = self._source.snapshot
        if not snapshot.ready:
            raise web.HTTPServiceUnavailable(text="not ready: still reading what was published before\n")
        if "queue" not in request.query:
            raise UsageError("queue is missing: /api/v1/trend?queue=...")
        queue = known_name("queue", request.query["queue"], (view.name for view in snapshot.session_queues))
        channels = [view.channel for view in snapshot.session_queues if view.name == queue]
        with contextlib.suppress(KeyError):
            return queue, known_name("channel", request.query["channel"], channels)
        if len(channels) > 1:
            raise UsageError(f"queue {queue!r} has {len(channels)} channels: give channel")
        return queue, channels[0]


__all__ = ["MAX_STREAMS", "Screens"]
