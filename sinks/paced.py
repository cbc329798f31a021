"""Answers of any length to clients of any speed.

Theory. A body is shared by all who ask for it and goes out in pieces: who reads slowly holds one piece in memory, not a
copy of it all; who takes nothing for a while is let go. All who are answered take turns: only a few pieces go out per round of
the event loop, since each is a call of the kernel, after which the loop may have to wait for a thread that computes.

Whose answer has least left goes first: a scrape does not wait until a thousand slow clients have each got what their sockets hold.
One turn in each round is for who has waited longest: no answer waits for ever.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from itertools import count
from typing import Final

from aiohttp import web

PIECE_BYTES: Final = 65_536
"""What one client may hold of a body: encrypting it takes some 0.1 ms."""
WRITE_TIMEOUT_S: Final = 15.0
"""A client that takes nothing for so long is let go; it comes back by itself."""
PIECES: Final = 4
"""Pieces that go out per round of the event loop."""
LONGEST_S: Final = 120.0
"""So long an answer may take in all: who takes a byte now and then is let go, too."""


class Turns:
    """Who sends when: so many per round of the event loop, who has least left first, and of equals first come, first served."""

    def __init__(self, per_round: int = PIECES) -> None:
        self._per_round = per_round
        self._came = count()
        self._waiting: dict[int, deque[tuple[int, asyncio.Future[None]]]] = {}
        """By magnitude of what is left: (number of arrival, who waits)."""
        self._going_round = False

    async def turn(self, rest: int = 0) -> None:
        """Wait for one's turn, with so many bytes left."""
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(rest.bit_length(), deque()).append((next(self._came), mine))
        if not self._going_round:
            self._going_round = True
            loop.call_soon(self._round, loop)
        await mine

    def _round(self, loop: asyncio.AbstractEventLoop) -> None:
        called = 0
        while called < self._per_round and (waiting := self._next(oldest=not called)) is not None:
            waiting.set_result(None)
            called += 1
        self._going_round = bool(called)
        if called:
            loop.call_soon(self._round, loop)

    def _next(self, *, oldest: bool) -> asyncio.Future[None] | None:
        """Take out who is next; who has gone is forgotten."""
        for size, line in list(self._waiting.items()):
            while line and line[0][1].done():
                line.popleft()
            if not line:
                del self._waiting[size]
        if not self._waiting:
            return None
        size = min(self._waiting, key=lambda each: self._waiting[each][0][0] if oldest else each)
        return self._waiting[size].popleft()[1]

    async def send(self, response: web.StreamResponse, data: bytes | memoryview, rest: int = 0) -> None:
        """Send a piece of an answer, of which so much is left; raises `TimeoutError` where the client takes nothing."""
        await self.turn(rest)
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await response.write(data)


TURNS: Final = web.AppKey("TURNS", Turns)
"""The turns of all who ask one board."""


async def answer(request: web.Request, body: bytes, headers: Mapping[str, str]) -> web.StreamResponse:
    """Answer with a body; `headers` name its content type."""
    turns = request.app[TURNS]
    await turns.turn(len(body))
    if len(body) <= PIECE_BYTES or request.method == "HEAD":
        return web.Response(body=body, headers=headers)
    response = web.StreamResponse(headers=headers)
    response.content_length = len(body)
    try:
        async with asyncio.timeout(LONGEST_S):
            await begin(request, response)
            rest = memoryview(body)
            while rest:
                await turns.send(response, rest[:PIECE_BYTES], len(rest))
                rest = rest[PIECE_BYTES:]
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        pass  # the client has gone
    return response


async def begin(request: web.Request, response: web.StreamResponse) -> None:
    """Begin an answer; a piece that is not taken holds the next one back, with TLS too, where 512 kB would be encrypted ahead."""
    await response.prepare(request)
    if request.transport is not None:
        request.transport.set_write_buffer_limits(high=PIECE_BYTES)


__all__ = ["PIECE_BYTES", "TURNS", "WRITE_TIMEOUT_S", "Turns", "answer", "begin"]
