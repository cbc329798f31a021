"""Who may ask the board: basic authentication and TLS, with real certificates; what the command line gives a board."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from aiohttp import ClientConnectorError, ClientSession
from pydantic import ValidationError

from schemas.config import Config
from schemas.config_file import effective, load
from schemas.errors import BoardError, ConfigError, UsageError
from sinks.board import Board
from sinks.security import HEADERS
from streams.ask import fetch
from tests.unit.test_board import NOBODY

PASSWORD = "geheim: ключ 密"
ACCESS = {"username": "wand", "password": PASSWORD}
PATHS = ("/", "/metrics", "/api/v1/snapshot", "/api/v1/intervals", "/api/v1/stream", "/static/app.js", "/nothing")


def basic(username: str, password: str) -> str:
    """Return what a browser sends."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who vouches for the board."""
    return trustme.CA()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> dict[str, str]:
    """The board's certificate and key."""
    issued = authority.issue_cert("localhost", "127.0.0.1")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return {"tls_certfile": str(certificate), "tls_keyfile": str(key)}


def config(**board: str) -> Config:
    """Return a configuration for a board on a free port."""
    return Config.model_validate({"board": {"listen": "127.0.0.1:0", **board}})


@asynccontextmanager
async def running(settings: Config) -> AsyncIterator[Board]:
    """Run a board that nobody feeds."""
    board = Board(settings, NOBODY)
    await board.start()
    try:
        yield board
    finally:
        await board.stop()


async def test_only_who_has_the_password_is_let_in() -> None:
    """401 with a challenge for all else, whatever the path; probes need none."""
    wrong = [
        {},
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": basic("wand", PASSWORD).replace("Basic", "Bearer")},
        {"Authorization": basic("wand", PASSWORD + " ")},
        {"Authorization": basic("wand", "")},
        {"Authorization": basic("Wand", PASSWORD)},
    ]
    async with running(config(**ACCESS)) as board, ClientSession(board.url) as client:
        for headers in wrong:
            for path in PATHS:
                async with client.get(path, headers=headers) as answer:
                    assert answer.status == 401
                    assert answer.headers["WWW-Authenticate"] == 'Basic realm="floorpulse", charset="UTF-8"'
                    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
                    assert PASSWORD not in await answer.text()
        right = {"Authorization": basic("wand", PASSWORD)}
        for path, status in (("/", 200), ("/metrics", 200), ("/api/v1/snapshot", 200), ("/nothing", 404)):
            async with client.get(path, headers=right) as answer:
                assert answer.status == status
        for path, status in (("/livez", 200), ("/readyz", 503)):
            async with client.get(path) as answer:
                assert answer.status == status
        for path in ("/livez/../metrics", "/livez/..%2fmetrics", "/livez/", "/readyz/%2e%2e/metrics"):
            async with client.get(path) as answer:
                assert answer.status in (401, 404)


async def test_the_password_may_stand_in_a_file(tmp_path: Path) -> None:
    """Its first line, without the line's end."""
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\r\nsomething else\n", newline="")
    headers = {"Authorization": basic("wand", PASSWORD)}
    async with (
        running(config(username="wand", password_file=str(file))) as board,
        ClientSession(board.url) as client,
        client.get("/metrics", headers=headers) as answer,
    ):
        assert answer.status == 200


async def test_the_board_speaks_tls(files: dict[str, str], authority: trustme.CA) -> None:
    """Who trusts the authority is served, who does not refuses, who speaks plainly gets nothing."""
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with running(config(**files)) as board, ClientSession() as client:
        assert board.url == f"https://127.0.0.1:{board.port}/"
        async with client.get(board.url + "metrics", ssl=trusting) as answer:
            assert (answer.status, "floorpulse_ready 0.0" in await answer.text()) == (200, True)
        with pytest.raises(ClientConnectorError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.get(board.url + "metrics")
        reader, writer = await asyncio.open_connection("127.0.0.1", board.port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: board\r\n\r\n")
        assert b"floorpulse" not in await reader.read()
        writer.close()
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(old)
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(OSError, match="SSL"):
            await asyncio.open_connection("127.0.0.1", board.port, ssl=old, server_hostname="localhost")
        taken = config(listen=f"127.0.0.1:{board.port}", **files)
        with pytest.raises(BoardError, match="in use by floorpulse board"):
            await Board(taken, NOBODY).start()


async def test_the_command_line_reaches_a_closed_board(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """User and password of the address or the environment; no message shows the password."""
    async with running(config(**ACCESS, **files)) as board:

        async def ask(who: str) -> str:
            url = f"https://{who}127.0.0.1:{board.port}/"
            return await asyncio.to_thread(fetch, url, "/api/v1/snapshot", {}, option="--live")

        with pytest.raises(BoardError, match="CERTIFICATE_VERIFY_FAILED") as unknown:
            await ask("wand:geheim@")
        assert "geheim" not in str(unknown.value)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        with pytest.raises(BoardError, match="asks for a user and a password: give them as --live https://user:password@"):
            await ask("")
        with pytest.raises(BoardError, match="does not know this user and password") as wrong:
            await ask("wand:geheimnis@")
        assert "geheimnis" not in str(wrong.value)
        assert '"ready":false' in await ask("wand:geheim%3A%20%D0%BA%D0%BB%D1%8E%D1%87%20%E5%AF%86@")
        monkeypatch.setenv("FLOORPULSE_BOARD__USERNAME", "wand")
        (tmp_path / "password").write_text(PASSWORD, encoding="utf-8")
        monkeypatch.setenv("FLOORPULSE_BOARD__PASSWORD_FILE", str(tmp_path / "password"))
        assert '"ready":false' in await ask("")
        monkeypatch.setenv("FLOORPULSE_BOARD__PASSWORD", PASSWORD)
        assert '"ready":false' in await ask("")


@pytest.mark.parametrize("url", ["ftp://wand:geheim@host", "https://", "wand:geheim@host", "http://[::1", "https://wand:geheim@"])
def test_a_wrong_address_shows_no_password(url: str) -> None:
    """One line that says what is wanted."""
    with pytest.raises(UsageError, match="is not an http or https address") as error:
        fetch(url, "/", {}, option="--url")
    assert "geheim" not in str(error.value)


def test_what_does_not_speak_http_is_no_board() -> None:
    """Any other server, said in one line."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(b"220 mail.example.org ESMTP\r\n")

        pool.submit(answer)
        with pytest.raises(BoardError, match=r":\d+ did not answer in HTTP: is it .*\('220 mail.example.org ESMTP\\r\\n'\)"):
            fetch(f"http://127.0.0.1:{server.getsockname()[1]}", "/x", {}, option="--url")


@pytest.mark.parametrize(
    ("board", "message"),
    [
        ({"username": "wand"}, "username and password (or password_file) belong together"),
        ({"password": "geheim"}, "username and password (or password_file) belong together"),
        ({"username": "wand", "password": ""}, "password is empty"),
        ({"username": "wand", "password": "geheim", "password_file": "x"}, "are both set: leave out one"),
        ({"username": "wa:nd", "password": "geheim"}, "board.username"),
        ({"tls_certfile": "cert.pem"}, "tls_certfile and tls_keyfile belong together"),
    ],
)
def test_half_a_lock_is_told(board: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, without the password."""
    monkeypatch.chdir(tmp_path)
    Path("floorpulse.yaml").write_text("board:\n" + "".join(f"  {key}: '{value}'\n" for key, value in board.items()))
    with pytest.raises(ConfigError) as error:
        load()
    text = str(error.value)
    assert message in text
    assert "\n" not in text
    assert "geheim" not in text


def test_files_that_do_not_fit_are_told(files: dict[str, str], authority: trustme.CA, tmp_path: Path) -> None:
    """Missing, no PEM, another's key, a passphrase, an empty password: which file, and the remedy, in one line."""
    other, garbage, empty, locked = (tmp_path / name for name in ("other.pem", "garbage.pem", "empty", "locked.pem"))
    authority.issue_cert("other").private_key_pem.write_to_path(other)
    garbage.write_text("no PEM")
    empty.write_text("\n")
    locked.write_bytes(_with_passphrase(Path(files["tls_keyfile"])))
    for board, message in (
        (
            {**files, "tls_certfile": str(tmp_path / "none.pem")},
            "none.pem: No such file or directory: give a file that can be read",
        ),
        ({**files, "tls_certfile": str(garbage)}, "garbage.pem"),
        ({**files, "tls_keyfile": str(other)}, "MISMATCH: give a certificate in PEM and the key that belongs to it"),
        ({**files, "tls_keyfile": str(locked)}, "passphrase"),
        ({"username": "wand", "password_file": str(empty)}, "its first line is empty"),
        ({"username": "wand", "password_file": str(tmp_path)}, "Is a directory"),
    ):
        with pytest.raises(ConfigError) as error:
            Board(config(**board), NOBODY)
        assert message in str(error.value)
        assert "\n" not in str(error.value)


def _with_passphrase(key: Path) -> bytes:
    from cryptography.hazmat.primitives import serialization

    loaded = serialization.load_pem_private_key(key.read_bytes(), password=None)
    return loaded.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"geheim")
    )


def test_the_password_is_never_shown() -> None:
    """Not in the effective configuration, nor in what Python shows of it."""
    settings = config(**ACCESS)
    assert PASSWORD not in effective(settings) + repr(settings)
    with pytest.raises(ValidationError):
        config(username="wand", passwort=PASSWORD)
