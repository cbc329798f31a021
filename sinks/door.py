"""The board's door: takes connections, a few per round of the event loop, and begins TLS with those who have spoken.

Theory. A TLS handshake costs the event loop 1 to 2 ms, and whoever is ready in the same round waits for it. So a handshake begins
only when its client has spoken, and few begin per turn of the door. All who have not been let in yet are for the event loop one
socket among others, an epoll of their own: those who are inside wait for one turn of the door, not for a thousand clients. Who
says nothing costs a socket and no more, and is let go after `HELLO_S`. No place is given out that a slow client could keep.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Callable
from typing import Final

import structlog

log = structlog.get_logger()

ACCEPTS: Final = 2
"""Connections taken per round of the event loop."""
HANDSHAKES: Final = 1
"""Handshakes begun per turn of the door."""
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
        self._spoke = select.epoll() if tls is not None and hasattr(select, "epoll") else None
        """Tells who has spoken; without it a handshake begins at once."""
        self._silent: dict[int, tuple[socket.socket, asyncio.TimerHandle]] = {}
        """Who has not spoken yet, by file descriptor, each with the timer that lets go of him."""
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
        if self._spoke is not None:
            asyncio.get_running_loop().add_reader(self._spoke.fileno(), self._listen_to_some)
        self._task = asyncio.create_task(self._take(), name="floorpulse-board-door")

    async def close(self) -> None:
        """Take no more, and let go of those who are not inside yet."""
        if self._task is not None:
            self._task.cancel()
        if self._spoke is not None:
            asyncio.get_running_loop().remove_reader(self._spoke.fileno())
            for number in list(self._silent):
                self._let_go(number)
            self._spoke.close()
        await asyncio.sleep(0)  # whoever has just come is then in a state to be let go
        for coming in self._coming:
            coming.cancel()
        await asyncio.gather(*self._coming, *([] if self._task is None else [self._task]), return_exceptions=True)
        self._listener.close()

    async def _take(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                for _ in range(ACCEPTS):
                    connection, _ = await loop.sock_accept(self._listener)
                    self._wait_for(connection)
            except OSError as error:
                log.warning("board.refused", message=f"no connection can be taken: {error.strerror or error}")
                await asyncio.sleep(AGAIN_S)
            await asyncio.sleep(0)

    def _wait_for(self, connection: socket.socket) -> None:
        """Begin with a connection when it has spoken."""
        if self._spoke is None:
            self._begin(connection)
            return
        number = connection.fileno()
        timer = asyncio.get_running_loop().call_later(HELLO_S, self._let_go, number)
        self._silent[number] = connection, timer
        self._spoke.register(number, select.EPOLLIN)

    def _listen_to_some(self) -> None:
        """Begin with some of those who have spoken; the others stay ready."""
        assert self._spoke is not None
        for number, _ in self._spoke.poll(0, HANDSHAKES):
            self._begin(self._parted(number))

    def _let_go(self, number: int) -> None:
        self._parted(number).close()

    def _parted(self, number: int) -> socket.socket:
        """Take somebody out of those who have not spoken."""
        assert self._spoke is not None
        connection, timer = self._silent.pop(number)
        timer.cancel()
        self._spoke.unregister(number)
        return connection

    def _begin(self, connection: socket.socket) -> None:
        coming = asyncio.create_task(self._let_in(connection), name="floorpulse-board-coming")
        self._coming.add(coming)
        coming.add_done_callback(self._coming.discard)

    async def _let_in(self, connection: socket.socket) -> None:
        patience = None if self._tls is None else HELLO_S
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._protocol, connection, ssl=self._tls, ssl_handshake_timeout=patience
            )
        except OSError:  # it has gone, is too slow, or speaks no TLS
            connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise


__all__ = ["HELLO_S", "Door"]
