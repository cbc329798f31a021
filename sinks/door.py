"""The board's door: takes connections, a few per round of the event loop, and begins TLS with those who have spoken.

Theory. A TLS handshake costs the event loop 1 to 2 ms, and whoever is ready in the same round waits for it. So few
begin per round, in the order in which the clients' first bytes came, and all others get their turn in between. Who says nothing
costs a socket and no more: he holds nobody up, and is let go after `HELLO_S`. No place is given out that a slow client could keep.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

import structlog

from sinks.paced import Turns

log = structlog.get_logger()

ACCEPTS: Final = 4
"""Connections taken per round of the event loop."""
HANDSHAKES: Final = 2
"""Handshakes begun per round."""
BACKLOG: Final = 1024
"""Connections that may wait for that, in the kernel."""
HELLO_S: Final = 60.0
"""So long a client may take to say its first word, and again to finish the handshake."""
AGAIN_S: Final = 1.0
"""Pause after the system has refused a connection: there are too many open files."""


class Door:
    """Takes connections from one listening socket and gives each a protocol of its own; with `tls` after a handshake."""

    def __init__(self, listener: socket.socket, protocol: Callable[[], asyncio.BaseProtocol], tls: ssl.SSLContext | None) -> None:
        self._listener, self._protocol, self._tls = listener, protocol, tls
        self._turns = Turns(HANDSHAKES)
        self._coming: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._listener.getsockname()[1])

    def open(self) -> None:
        """Begin to take connections."""
        self._listener.setblocking(False)
        self._listener.listen(BACKLOG)
        self._task = asyncio.create_task(self._take(), name="floorpulse-board-door")

    async def close(self) -> None:
        """Take no more, and let go of those who are not inside yet."""
        tasks = [*self._coming, *([] if self._task is None else [self._task])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()

    async def _take(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                for _ in range(ACCEPTS):
                    connection, _ = await loop.sock_accept(self._listener)
                    coming = asyncio.create_task(self._let_in(connection), name="floorpulse-board-coming")
                    self._coming.add(coming)
                    coming.add_done_callback(self._coming.discard)
            except OSError as error:
                log.warning("board.refused", message=f"no connection can be taken: {error.strerror or error}")
                await asyncio.sleep(AGAIN_S)
            await asyncio.sleep(0)

    async def _let_in(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            if self._tls is None:
                await loop.connect_accepted_socket(self._protocol, connection)
                return
            async with asyncio.timeout(HELLO_S):
                await _spoken(connection)
            await self._turns.turn()
            await loop.connect_accepted_socket(self._protocol, connection, ssl=self._tls, ssl_handshake_timeout=HELLO_S)
        except (OSError, TimeoutError):  # it has gone, is silent, or speaks no TLS
            connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise


async def _spoken(connection: socket.socket) -> None:
    """Wait for the first bytes, which stay where they are."""
    loop = asyncio.get_running_loop()
    spoken = asyncio.Event()
    loop.add_reader(connection, spoken.set)
    try:
        await spoken.wait()
    finally:
        loop.remove_reader(connection)


__all__ = ["ACCEPTS", "BACKLOG", "HANDSHAKES", "HELLO_S", "Door"]
