"""Where a server listens: the setting's form, and what is said when the address cannot be had."""

from __future__ import annotations

import errno
import os
import re
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout

from schemas.config import Board, Worker
from schemas.errors import ConfigError

_PROGRAMS: Final = ("floorpulse board", "floorpulse worker")
_ASK_TIMEOUT_S: Final = 1.0
_EXAMPLES: Final = {"board.listen": Board.model_fields["listen"].default, "worker.listen": Worker.model_fields["listen"].default}


def split_address(listen: str, setting: str = "board.listen") -> tuple[str, int]:
    """Return host and port of `host:port`; raises `ConfigError`, which names the setting."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > 65_535:
        raise ConfigError(f"{setting}: {listen!r} is not HOST:PORT, such as {_EXAMPLES[setting]}")
    return host.removeprefix("[").removesuffix("]"), int(port)


async def cannot_listen(error: OSError, host: str, port: int, setting: str, scheme: str = "http") -> str:
    """Say why an address cannot be had, who has it, and what to do; `setting` is where it was chosen."""
    reason = f"{_plain(error)}. Choose"
    usual_host, usual_port = split_address(_EXAMPLES[setting], setting)
    if error.errno == errno.EACCES:  # the ports beside it are reserved, too
        other = f"{host}:{usual_port}"
    elif error.errno == errno.EADDRINUSE:
        named = f"[{host}]" if ":" in host else host
        reason = f"in use by {await _who_listens(f'{scheme}://{named}:{port}/') or 'another program'}. Stop it or choose"
        other = f"{host}:{port + 2 if 0 < port < 65_533 else 9466}"
    else:  # the host is not this machine's
        other = f"{usual_host}:{port or usual_port}"
    return f"cannot listen on {host}:{port}: {reason} another: --listen {other} ({setting})"


def _plain(error: OSError) -> str:
    """Return what went wrong, without what asyncio writes around it."""
    return (os.strerror(error.errno) if error.errno and error.errno > 0 else str(error).splitlines()[0]).lower()


async def _who_listens(url: str) -> str | None:
    """Ask who holds the address; None when nobody answers."""
    try:
        async with (
            ClientSession(timeout=ClientTimeout(total=_ASK_TIMEOUT_S)) as session,
            session.get(url + "livez", ssl=False) as answer,  # whoever it is: only its name and pid are shown
        ):
            body = await answer.json(content_type=None)
        found = body.get("program") in _PROGRAMS and re.fullmatch(r"[\w.+-]{1,40}", str(body.get("version")))
        return f"{body['program']} {body['version']} (pid {int(body['pid'])})" if found else "another program"
    except (ClientError, OSError, TimeoutError):
        return None
    except (ValueError, AttributeError, KeyError, TypeError):
        return "another program"


__all__ = ["cannot_listen", "split_address"]
