"""A receiver of webhooks: a real HTTP server that keeps what it got, and answers as told."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web


@dataclass
class Got:
    """One request."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    at: float = field(default_factory=time.time)


class Receiver:
    """Listens on a free port; `answer` decides about each request: a status, or a status and a body.

    Bytes are sent as they are, a list of them in pieces, anything else as JSON.
    """

    def __init__(self, answer: Callable[[Got], int | tuple[int, object]] = lambda _: 200) -> None:
        self.got: list[Got] = []
        self.answer = answer
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        got = Got(request.path, dict(request.query), dict(request.headers), body)
        self.got.append(got)
        answer = self.answer(got)
        status, said = answer if isinstance(answer, tuple) else (answer, {})
        if isinstance(said, list):
            return await self._in_pieces(request, web.StreamResponse(status=status), said)
        return web.json_response(body=said if isinstance(said, bytes) else json.dumps(said).encode(), status=status)

    async def _in_pieces(self, request: web.Request, response: web.StreamResponse, said: list[bytes]) -> web.StreamResponse:
        """Answer so slowly that each piece arrives alone."""
        await response.prepare(request)
        for piece in said:
            await response.write(piece)
            await asyncio.sleep(0.05)
        return response


__all__ = ["Got", "Receiver"]
