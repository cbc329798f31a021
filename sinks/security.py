"""Who may ask the board, what every answer of it carries, and the files of the page.

With `board.username` all but /livez and /readyz asks for a name and a password (HTTP basic authentication), which is compared in
a time that tells nothing about it; with `board.tls_certfile` the board speaks https only.

The page is served from memory: only files that were there at the start exist, whatever path is asked for.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import hmac
import ssl
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, NamedTuple

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from schemas.config import Board
from schemas.errors import ConfigError
from sinks.negotiation import takes_gzip

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: Final[dict[str, str]] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Server": "floorpulse",
}
_TYPES: Final = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


OPEN: Final = frozenset({"/livez", "/readyz"})
"""What anybody may ask: probes have no password."""
MAX_PASSWORD_BYTES: Final = 4096


def server_tls(board: Board) -> ssl.SSLContext | None:
    """Return how the board speaks TLS, None where it does not; raises `ConfigError`."""
    if board.tls_certfile is None or board.tls_keyfile is None:
        return None
    for key, file in (("tls_certfile", board.tls_certfile), ("tls_keyfile", board.tls_keyfile)):
        _read(f"board.{key}", file)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(board.tls_certfile, board.tls_keyfile, password=_no_passphrase)
    except (ssl.SSLError, ValueError) as error:
        said = getattr(error, "reason", None) or str(error)
        remedy = "give a certificate in PEM and the key that belongs to it, without a passphrase"
        raise ConfigError(f"board.tls_certfile {board.tls_certfile}, tls_keyfile {board.tls_keyfile}: {said}: {remedy}") from None
    return context


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase")


def credentials(board: Board) -> bytes | None:
    """Return `user:password` that is asked for, None where nothing is; raises `ConfigError`."""
    if board.username is None:
        return None
    if board.password is not None:
        password = board.password.get_secret_value().encode()
    else:
        file = board.password_file or ""
        lines = _read("board.password_file", file)[:MAX_PASSWORD_BYTES].splitlines()
        password = lines[0] if lines else b""
        if not password:
            raise ConfigError(f"board.password_file {file}: its first line is empty: write the password there")
    return board.username.encode() + b":" + password


def _read(key: str, file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{key} {file}: {getattr(error, 'strerror', None) or error}: give a file that can be read") from None


def guard(wanted: bytes) -> Middleware:
    """Return a middleware that lets through who gives these credentials."""
    digest = hashlib.sha256(wanted).digest()

    @web.middleware
    async def let_in(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = hashlib.sha256(_given(request.headers.get("Authorization", ""))).digest()
        if hmac.compare_digest(given, digest) or request.path in OPEN:
            return await handler(request)
        challenge = {"WWW-Authenticate": 'Basic realm="floorpulse", charset="UTF-8"'}
        return web.Response(status=401, text="this board asks for a user and a password\n", headers=challenge)

    return let_in


def _given(header: str) -> bytes:
    scheme, _, encoded = header.partition(" ")
    try:
        return base64.b64decode(encoded.strip(), validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return b""


class Asset(NamedTuple):
    """One file of the page, as it is and zipped."""

    body: bytes
    kind: str
    etag: str
    zipped: bytes


def load_assets() -> dict[str, Asset]:
    """Return the page's files by name, those of folders as `lang/en.js`."""
    return dict(_assets(files("sinks") / "wallboard", ""))


def _assets(folder: Traversable, prefix: str) -> Iterator[tuple[str, Asset]]:
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        kind = _TYPES.get(file.name.rpartition(".")[2])
        if file.is_dir():
            yield from _assets(file, f"{prefix}{file.name}/")
        elif kind is not None:
            body = file.read_bytes()
            yield prefix + file.name, Asset(body, kind, hashlib.sha256(body).hexdigest()[:16], gzip.compress(body, mtime=0))


def build_of(assets: Mapping[str, Asset]) -> str:
    """Return what tells one build of the page from another."""
    return hashlib.sha256("".join(name + asset.etag for name, asset in sorted(assets.items())).encode()).hexdigest()[:12]


async def add_headers(_: web.BaseRequest, response: web.StreamResponse) -> None:
    """Put the security headers on an answer, whichever it is."""
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")


def asset_response(request: web.Request, asset: Asset) -> web.Response:
    """Answer with a file; browsers ask again each time and mostly get 304."""
    headers = {"ETag": f'"{asset.etag}"', "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if any(tag.value == asset.etag for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    if takes_gzip(request.headers):
        headers["Content-Encoding"] = "gzip"
        return web.Response(body=asset.zipped, content_type=asset.kind, charset="utf-8", headers=headers)
    return web.Response(body=asset.body, content_type=asset.kind, charset="utf-8", headers=headers)


__all__ = [
    "HEADERS",
    "OPEN",
    "POLICY",
    "Asset",
    "add_headers",
    "asset_response",
    "build_of",
    "credentials",
    "guard",
    "load_assets",
    "server_tls",
]
