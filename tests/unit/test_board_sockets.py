"""Many idle and slow sockets: the board answers others, holds little for each, and lets go of who takes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket
import ssl
import time
from pathlib import Path

import pytest
import trustme
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from schemas.config import Config
from sinks import door, paced, scrapes
from sinks.board import Board
from sinks.loop import MOST_READY, FewAtOnce
from sinks.paced import PIECE_BYTES, TURNS, Turns, answer
from tests.bench.sockets import run
from tests.unit.test_board import NOBODY, config

pytestmark = pytest.mark.alone


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_scrapes_go_on_beside_two_hundred_idle_and_slow_sockets(*, secure: bool) -> None:
    """As `python -m tests.bench --only sockets`, smaller; the bounds are generous, since other tests run besides."""
    figures = run(secure=secure, sockets=200, queues=10, scrapes=10)
    assert figures["series"] > 5000
    assert figures["scrape p99, s"] < 2
    assert figures["event loop stall max, s"] < 0.5


async def test_who_takes_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """The body goes out in pieces, and the connection ends when none is taken any more."""
    monkeypatch.setattr(paced, "WRITE_TIMEOUT_S", 0.3)
    app, body = web.Application(), b"x" * 50_000_000
    app[TURNS] = Turns()

    async def handler(request: web.Request) -> web.StreamResponse:
        return await answer(request, body, {"Content-Type": "text/plain"})

    app.router.add_get("/", handler)
    async with TestClient(TestServer(app)) as client:
        async with client.get("/") as whole:
            assert await whole.read() == body
        async with client.head("/") as head:
            assert head.headers["Content-Length"] == str(len(body))
        reader, writer = await asyncio.open_connection(client.host, client.port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: board\r\n\r\n")
        await asyncio.sleep(1.5)
        taken = 0
        with contextlib.suppress(ConnectionResetError):
            async with asyncio.timeout(10):
                while piece := await reader.read(PIECE_BYTES):
                    taken += len(piece)
        assert taken < len(body)
        writer.close()


async def test_all_take_turns() -> None:
    """First come, first served, so many per round; who has gone holds nobody up."""
    turns, order = Turns(2), []

    async def take(number: int) -> None:
        await turns.turn()
        order.append(number)

    takers = [asyncio.create_task(take(number)) for number in range(10)]
    await asyncio.sleep(0)
    takers[3].cancel()
    await asyncio.gather(*takers, return_exceptions=True)
    assert order == [0, 1, 2, 4, 5, 6, 7, 8, 9]


async def test_who_has_least_left_goes_first_but_the_oldest_is_never_forgotten() -> None:
    """One turn of each round is for who came first, the others are for short answers."""
    turns, order = Turns(3), []

    async def take(name: str, rest: int) -> None:
        await turns.turn(rest)
        order.append(name)

    long = [asyncio.create_task(take(f"long {number}", 8_000_000)) for number in range(4)]
    short = [asyncio.create_task(take(f"short {number}", 70_000 - number)) for number in range(4)]
    await asyncio.gather(*long, *short)
    assert order == ["long 0", "short 0", "short 1", "long 1", "short 2", "short 3", "long 2", "long 3"]


def test_a_selector_tells_of_all_in_turn() -> None:
    """Few at a time, though all stay ready; none is left out."""
    pairs = [socket.socketpair() for _ in range(3 * MOST_READY + 1)]
    told: set[int] = set()
    with FewAtOnce() as selector:
        for one, other in pairs:
            other.send(b"x")
            selector.register(one, selectors.EVENT_READ)
        for _ in range(2 * 4):
            ready = selector.select(0)
            assert len(ready) == MOST_READY
            told |= {key.fd for key, _ in ready}
    assert told == {one.fileno() for one, _ in pairs}
    for one, other in pairs:
        one.close()
        other.close()


class _Slow:
    """An exposition that takes its time."""

    def __init__(self) -> None:
        self.made = 0

    def render(self, snapshot: object, *, openmetrics: bool, zipped: bool) -> bytes:
        del snapshot, openmetrics, zipped
        time.sleep(0.2)
        self.made += 1
        return b"%d" % self.made


async def test_what_takes_long_is_made_ahead_while_somebody_scrapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first scrape waits, later ones get what is there at once and ever newer, until nobody has asked for a while."""
    board, exposition = Board(config(), NOBODY), _Slow()
    payloads = scrapes.Scrapes(board, exposition)  # type: ignore[arg-type]
    together = await asyncio.gather(*(payloads.body(openmetrics=False, zipped=True) for _ in range(50)))
    assert set(together) == {b"1"}
    began = time.monotonic()
    assert await payloads.body(openmetrics=False, zipped=True) == b"1"
    assert time.monotonic() - began < 0.1
    async with asyncio.timeout(10):
        while await payloads.body(openmetrics=False, zipped=True) == b"1":  # noqa: ASYNC110  a newer one comes by itself
            await asyncio.sleep(0.05)
    monkeypatch.setattr(scrapes, "REMEMBERED_S", 0.0)
    assert payloads._ahead is not None
    async with asyncio.timeout(10):
        await payloads._ahead
    made = exposition.made
    assert int(await payloads.body(openmetrics=False, zipped=True)) > made
    await payloads.stop()


async def test_who_asks_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that says nothing, or half a question, ends by itself; one that asks now and then does not."""
    monkeypatch.setattr("sinks.board.IDLE_S", 0.5)
    board = Board(config(), NOBODY)
    await board.start()
    try:
        async with ClientSession(board.url) as client, asyncio.timeout(10):
            for said in (b"", b"GET /metrics HTTP/1.1\r\nHost: bo"):
                reader, writer = await asyncio.open_connection("127.0.0.1", board.port)
                writer.write(said)
                assert await reader.read() == b""
                writer.close()
            async with client.get("/livez") as alive:
                assert alive.status == 200
    finally:
        await board.stop()


@pytest.fixture
def certified(tmp_path: Path) -> tuple[Config, ssl.SSLContext]:
    """The configuration of a board with TLS, and how to speak with it."""
    authority, files = trustme.CA(), (tmp_path / "cert.pem", tmp_path / "key.pem")
    issued, tls = authority.issue_cert("127.0.0.1"), ssl.create_default_context()
    issued.cert_chain_pems[0].write_to_path(files[0])
    issued.private_key_pem.write_to_path(files[1])
    authority.configure_trust(tls)
    listening = {"listen": "127.0.0.1:0", "tls_certfile": str(files[0]), "tls_keyfile": str(files[1])}
    return Config.model_validate({"board": listening}), tls


async def test_who_never_ends_a_handshake_keeps_nobody_out(certified: tuple[Config, ssl.SSLContext]) -> None:
    """Silent ones, and ones that say half a hello: others are answered beside them, and the end comes at once."""
    settings, tls = certified
    board = Board(settings, NOBODY)
    await board.start()
    try:
        holders = [await asyncio.open_connection("127.0.0.1", board.port) for _ in range(60)]
        for _, writer in holders[::2]:
            writer.write(b"\x16\x03\x01\x02\x00\x01")
        async with ClientSession(board.url) as client, asyncio.timeout(20):
            for _ in range(3):
                async with client.get("/livez", ssl=tls, headers={"Connection": "close"}) as alive:
                    assert alive.status == 200
    finally:
        async with asyncio.timeout(10):
            await board.stop()
    for _, writer in holders:
        writer.close()


async def test_who_says_nothing_or_something_else_than_tls_is_let_go(
    certified: tuple[Config, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself after a while the one, at once the other."""
    monkeypatch.setattr(door, "HELLO_S", 0.3)
    settings, _ = certified
    board = Board(settings, NOBODY)
    await board.start()
    try:
        async with asyncio.timeout(20):
            for said in (b"", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\n"):
                reader, writer = await asyncio.open_connection("127.0.0.1", board.port)
                writer.write(said)
                with contextlib.suppress(ConnectionResetError):
                    assert b"HTTP" not in await reader.read()
                writer.close()
    finally:
        await board.stop()
