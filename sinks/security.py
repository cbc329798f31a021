"""What every answer of the board carries, and the files of the page.

The page is served from memory: only files that were there at the start exist, whatever path is asked for.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Final, NamedTuple

from aiohttp import web

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
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


class Asset(NamedTuple):
    """One file of the page."""

    body: bytes
    kind: str
    etag: str


def load_assets() -> dict[str, Asset]:
    """Return the page's files by name."""
    found: dict[str, Asset] = {}
    for file in (files("sinks") / "wallboard").iterdir():
        kind = _TYPES.get(file.name.rpartition(".")[2])
        if kind is not None:
            body = file.read_bytes()
            found[file.name] = Asset(body, kind, hashlib.sha256(body).hexdigest()[:16])
    return found


async def add_headers(_: web.BaseRequest, response: web.StreamResponse) -> None:
    """Put the security headers on an answer, whichever it is."""
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")


def asset_response(request: web.Request, asset: Asset) -> web.Response:
    """Answer with a file; browsers ask again each time and mostly get 304."""
    headers = {"ETag": f'"{asset.etag}"', "Cache-Control": "no-cache"}
    if any(tag.value == asset.etag for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=asset.body, content_type=asset.kind, charset="utf-8", headers=headers)


__all__ = ["HEADERS", "POLICY", "Asset", "add_headers", "asset_response", "load_assets"]
