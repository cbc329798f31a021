"""Messages of alerts for people and programs: bodies of webhooks, by template.

Names of queues are somebody else's input: chats get plain text, and what a chat would read as markup is escaped.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Sequence
from itertools import accumulate
from math import ceil, floor
from typing import Final
from urllib.parse import quote_plus

from schemas.alerts import Alert
from schemas.codec import encode_json
from schemas.kpis import BY_ID

_SIGNS: Final = {"good": "✓", "warn": "▲", "breach": "■"}
_WORDS: Final = {"good": "fine again", "warn": "WARN", "breach": "BREACH"}
MAX_LINES: Final = 20
"""Alerts in one chat message: chats take some 20 messages a minute, and a floor may breach all at once."""

MAX_BYTES: Final = {"slack": 40_000, "dingtalk": 18_000, "wecom": 2_048}
"""Text in one message, in bytes of UTF-8. WeCom refuses more than 2,048, DingTalk a request of more than 20,000, with its JSON;
Slack cuts off what is beyond 40,000 characters."""
ANSWERING: Final = frozenset({"dingtalk", "wecom"})
"""Templates whose receivers say in the body of their answer whether they took a message; of others the status says all."""


def amount(kpi: str, value: float | None, limit: float | None = None) -> str:
    """Return a value with its unit: 1:47, 2h05, 61.3 %, 14; rounded so that it stays on its side of a limit."""
    if value is None:
        return "–"
    known = BY_ID.get(kpi)
    unit = "number" if known is None else known.unit
    if unit == "ratio":
        return f"{_stepped(value * 1000, 1, None if limit is None else limit * 1000, round) / 10:.1f} %"
    if unit == "seconds":
        seconds = _stepped(value, 1 if value < 3600 else 60, limit, floor)
        if seconds >= 3600:
            return f"{seconds // 3600}h{seconds % 3600 // 60:02}"
        return f"{seconds // 60}:{seconds % 60:02}"
    return f"{value:.0f}" if value == floor(value) else f"{value:g}"


def _stepped(value: float, step: int, limit: float | None, default: Callable[[float], int]) -> int:
    """Return a value as a multiple of a step, by the default rounding unless that reaches the limit or crosses it."""
    found = default(value / step) * step
    if limit is None or value == limit or (found - limit) * (value - limit) > 0:
        return found
    return (floor(value / step) if value < limit else ceil(value / step)) * step


def line(alert: Alert) -> str:
    """Return an alert in one line of text."""
    where = alert.group or (f"{alert.queue} ({alert.channel})" if alert.channel else alert.queue)
    known = BY_ID.get(alert.kpi)
    title = (known.title if known is not None else alert.kpi).lower()
    of = f" of {alert.n}" if alert.n and alert.window else ""
    window = f" over {alert.window}{of}" if alert.window else ""
    limit = "" if alert.limit is None else f", limit {amount(alert.kpi, alert.limit)}"
    value = amount(alert.kpi, alert.value, alert.limit)
    return f"{_SIGNS[alert.level]} {_WORDS[alert.level]}  {where}: {title} {value}{window}{limit}"


def body(template: str, alerts: Sequence[Alert]) -> bytes:
    """Return what is posted; `json` takes one alert, chats take several."""
    if template == "json":
        return alerts[0].encode()
    text = "\n".join(_text(template, alert) for alert in alerts)
    if template == "slack":
        return encode_json({"text": text, "mrkdwn": False})
    return encode_json({"msgtype": "text", "text": {"content": text}})


def fitting(template: str, alerts: Sequence[Alert]) -> int:
    """Return how many of the first alerts one message takes; at least one, if there is any."""
    if template == "json":
        return min(1, len(alerts))
    sizes = accumulate(len(_text(template, alert).encode()) + 1 for alert in alerts[:MAX_LINES])
    return max(min(1, len(alerts)), sum(size - 1 <= MAX_BYTES[template] for size in sizes))


def _text(template: str, alert: Alert) -> str:
    """Return an alert as a chat gets it: without its link where both are too long for one message, and then cut off."""
    said, link, most = line(alert), alert.url, MAX_BYTES[template]
    if template == "slack":
        said, link = (text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for text in (said, link))
    if link and len(f"{said}\n{link}".encode()) <= most:
        return f"{said}\n{link}"
    return said if len(said.encode()) <= most else f"{said.encode()[: most - 3].decode(errors='ignore')}…"


def signed(url: str, secret: str, now_ms: int) -> str:
    """Return DingTalk's address with its signature: HMAC-SHA256 of timestamp, newline and secret, by the secret."""
    digest = hmac.digest(secret.encode(), f"{now_ms}\n{secret}".encode(), "sha256")
    joint = "&" if "?" in url else "?"
    return f"{url}{joint}timestamp={now_ms}&sign={quote_plus(base64.b64encode(digest).decode())}"


def refusal(template: str, raw: bytes) -> str | None:
    """Return why a chat did not take a message although it answered 200; None: it took it."""
    if template not in ANSWERING:
        return None
    try:
        answer = json.loads(raw)
    except (ValueError, RecursionError):  # no JSON, or nested deeper than anybody's answer
        return "an answer that is no JSON"
    if not isinstance(answer, dict) or answer.get("errcode") in (0, None):
        return None
    return f"errcode {answer.get('errcode')}: {str(answer.get('errmsg', ''))[:200]}"


__all__ = ["ANSWERING", "MAX_BYTES", "MAX_LINES", "amount", "body", "fitting", "line", "refusal", "signed"]
