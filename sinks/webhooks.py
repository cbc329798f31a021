"""Webhooks: posting alerts, at least once, without ever making anybody wait.

Each webhook has its own task and its own bounded list of what is still to be posted, so that a slow receiver delays itself only.
`done` is called with an alert's offset when it was delivered or given up: after `retry_for`, when the receiver refused
it for good (an HTTP status of 4xx but 408, 425 and 429), or when the list was full.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
from aiohttp import ClientResponse, ClientSession, ClientTimeout
from pydantic import SecretStr

from schemas.alerts import LEVEL_NAMES, Alert
from schemas.errors import ConfigError
from schemas.notify import Webhook, why_not_posted_to
from sinks.messages import ANSWERING, MAX_LINES, body, fitting, refusal, signed

log = structlog.get_logger()

MAX_PENDING: Final = 1000
"""Alerts that one webhook may still have to post: the oldest is given up for one more."""
PAUSE_S: Final = (1.0, 60.0)
"""First and longest pause between two attempts."""
_AGAIN: Final = frozenset({408, 425, 429})
_MAX_ANSWER_BYTES: Final = 65_536


class Failed(Exception):
    """The receiver did not take a message this time; its text names no secret."""


class Refused(Exception):
    """The receiver will not take this message, however often it is posted."""


@dataclass(slots=True)
class Counts:
    """What became of one webhook's alerts."""

    delivered: int = 0
    failed: int = 0
    """Given up: refused, too old, or pushed out."""
    attempts: int = 0
    pending: int = 0


@dataclass(slots=True)
class _Pending:
    offset: int
    alert: Alert
    since_s: float = field(default_factory=lambda: asyncio.get_running_loop().time())


def secret_of(value: SecretStr | None, file: str | None, key: str) -> str | None:
    """Return a secret from the configuration or from the first line of its file; raises `ConfigError`."""
    if value is not None:
        return value.get_secret_value()
    if file is None:
        return None
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"alerts.webhooks: {key} {file} cannot be read: {error}") from None
    if not lines or not lines[0].strip():
        raise ConfigError(f"alerts.webhooks: {key} {file} is empty")
    return lines[0].strip()


class Poster:
    """One webhook."""

    def __init__(self, webhook: Webhook, done: Callable[[str, int], None], clock_ms: Callable[[], int]) -> None:
        """Read the webhook's secrets; raises `ConfigError`."""
        url = secret_of(webhook.url, webhook.url_file, "url_file")
        assert url is not None
        if (why := why_not_posted_to(url)) is not None:
            raise ConfigError(f"alerts.webhooks: the address of {webhook.name} {why}")
        self.name, self.counts = webhook.name, Counts()
        self._webhook, self._url, self._done, self._clock_ms = webhook, url, done, clock_ms
        self._secret = secret_of(webhook.secret, webhook.secret_file, "secret_file")
        self._authorization = secret_of(webhook.authorization, webhook.authorization_file, "authorization_file")
        self._pending: deque[_Pending] = deque()
        self._awake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def wants(self, alert: Alert, before: str) -> bool:
        """Tell whether an alert is of this webhook's levels; `before`: the level that people knew of."""
        worst = max(LEVEL_NAMES.index(alert.level), LEVEL_NAMES.index(before))
        return worst >= LEVEL_NAMES.index(self._webhook.level)

    def start(self) -> None:
        """Begin to post."""
        self._task = asyncio.create_task(self._run(), name=f"floorpulse-webhook-{self.name}")

    async def stop(self) -> None:
        """End; what was not delivered is posted by the next owner."""
        if self._task is not None:
            await end(self._task)
            self._task = None

    def forget(self) -> None:
        """Drop what is pending: it is somebody else's now."""
        self._pending.clear()
        self.counts.pending = 0

    def put(self, offset: int, alert: Alert) -> None:
        """Take an alert."""
        if len(self._pending) >= MAX_PENDING:
            self._give_up([self._pending.popleft()], "too many are waiting")
        self._pending.append(_Pending(offset, alert))
        self.counts.pending = len(self._pending)
        self._awake.set()

    async def _run(self) -> None:
        async with ClientSession(timeout=ClientTimeout(total=self._webhook.timeout / 1000)) as session:
            while True:
                await self._awake.wait()
                self._awake.clear()
                pause_s = PAUSE_S[0]
                while self._pending:
                    pause_s = await self._turn(session, pause_s)

    async def _turn(self, session: ClientSession, pause_s: float) -> float:
        """Post the next message; return the pause to take after the next failure."""
        some = [self._pending[n] for n in range(min(len(self._pending), MAX_LINES))]
        try:
            some = some[: fitting(self._webhook.template, [each.alert for each in some])]
            await self._post(session, [each.alert for each in some])
        except Refused as error:
            self._remove(some)
            self._give_up(some, str(error))
        except Exception as error:  # noqa: BLE001  the boundary of this sink: whatever an answer holds, the next attempt comes
            limit = asyncio.get_running_loop().time() - self._webhook.retry_for / 1000
            old = [each for each in some if each.since_s < limit]
            self._remove(old)
            self._give_up(old, "tried for too long")
            log.warning("webhook cannot be reached, trying again", webhook=self.name, error=_named(error), in_s=round(pause_s, 1))
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))
            return min(2 * pause_s, PAUSE_S[1])
        else:
            self.counts.delivered += len(some)
            self._remove(some)
            self._finish(some)
        return PAUSE_S[0]

    async def _post(self, session: ClientSession, alerts: Sequence[Alert]) -> None:
        webhook = self._webhook
        self.counts.attempts += 1
        headers = {"Content-Type": "application/json"}
        if webhook.template == "json":
            headers["Idempotency-Key"] = alerts[0].id
        if self._authorization is not None:
            headers["Authorization"] = self._authorization
        url = self._url if self._secret is None else signed(self._url, self._secret, self._clock_ms())
        async with session.post(url, data=body(webhook.template, alerts), headers=headers, allow_redirects=False) as answer:
            if 400 <= answer.status < 500 and answer.status not in _AGAIN:
                raise Refused(f"HTTP {answer.status}")
            if answer.status >= 300:  # a redirect, too, is not followed: it would take the message and its secrets elsewhere
                raise Failed(f"HTTP {answer.status}")
            why = refusal(webhook.template, await _said(answer)) if webhook.template in ANSWERING else None
        if why is not None:
            raise Failed(why)

    def _remove(self, some: Sequence[_Pending]) -> None:
        """Take what is settled off the list, unless somebody else has."""
        gone = {each.offset for each in some}
        self._pending = deque(each for each in self._pending if each.offset not in gone)
        self.counts.pending = len(self._pending)

    def _give_up(self, some: Sequence[_Pending], why: str) -> None:
        if some:
            self.counts.failed += len(some)
            log.error("alerts were not delivered", webhook=self.name, alerts=len(some), reason=why)
            self._finish(some)

    def _finish(self, some: Sequence[_Pending]) -> None:
        for each in some:
            self._done(self.name, each.offset)


def _named(error: BaseException) -> str:
    """Return what went wrong without the address, which may be a secret."""
    return str(error) if isinstance(error, Failed) else type(error).__name__


async def _said(answer: ClientResponse) -> bytes:
    """Return the whole body of an answer, however many pieces it comes in; of one that is too long, the beginning."""
    said = b""
    while len(said) < _MAX_ANSWER_BYTES and (piece := await answer.content.read(_MAX_ANSWER_BYTES - len(said))):
        said += piece
    return said


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end; what it failed of is logged and harms nobody who stops."""
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    except Exception as error:  # noqa: BLE001  who stops wants everything stopped
        log.error("a task had failed before it was stopped", task=task.get_name(), error=type(error).__name__)


def posters(webhooks: Sequence[Webhook], done: Callable[[str, int], None], clock_ms: Callable[[], int]) -> Mapping[str, Poster]:
    """Return a poster of each webhook, by its name."""
    return {webhook.name: Poster(webhook, done, clock_ms) for webhook in webhooks}


__all__ = ["MAX_PENDING", "Counts", "Failed", "Poster", "Refused", "end", "posters"]
