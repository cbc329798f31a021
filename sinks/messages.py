"""Messages of alerts for people and programs: bodies of webhooks, by template.

Names of queues are somebody else's input: chats get plain text, and what a chat would read as markup is escaped.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote_plus

from schemas.alerts import Alert
from schemas.codec import encode_json
from schemas.kpis import BY_ID

_SIGNS: Final = {"good": "✓", "warn": "▲", "breach": "■"}
_WORDS: Final = {"good": "fine again", "warn": "WARN", "breach": "BREACH"}
MAX_LINES: Final = 20
"""Alerts in one chat message: chats take some 20 messages a minute, and a floor may breach all at once."""

ANSWERING: Final = frozenset({"dingtalk", "wecom"})
"""Templates whose receivers say in the body of their answer whether they took a message; of others the status says all."""


def amount(kpi: str, value: float | None) -> str:
    """Return a value with its unit: 1:47, 12m, 61.3 %, 14."""
    if value is None:
        return "–"
    known = BY_ID.get(kpi)
    unit = "number" if known is None else known.unit
    if unit == "ratio":
        return f"{value * 100:.1f} %"
    if unit == "seconds":
        seconds = int(value)
        if seconds >= 3600:
            return f"{seconds // 3600}h{seconds % 3600 // 60:02}"
        return f"{seconds // 60}:{seconds % 60:02}"
    return f"{value:g}"


def line(alert: Alert) -> str:
    """Return an alert in one line of text."""
    where = alert.group or (f"{alert.queue} ({alert.channel})" if alert.channel else alert.queue)
    known = BY_ID.get(alert.kpi)
    title = (known.title if known is not None else alert.kpi).lower()
    of = f" of {alert.n}" if alert.n and alert.window else ""
    window = f" over {alert.window}{of}" if alert.window else ""
    limit = "" if alert.limit is None else f", limit {amount(alert.kpi, alert.limit)}"
    return f"{_SIGNS[alert.level]} {_WORDS[alert.level]}  {where}: {title} {amount(alert.kpi, alert.value)}{window}{limit}"


def body(template: str, alerts: Sequence[Alert]) -> bytes:
    """Return what is posted; `json` takes one alert, chats take several."""
    if template == "json":
        return alerts[0].encode()
    text = "\n".join(f"{line(alert)}\n{alert.url}" if alert.url else line(alert) for alert in alerts)
    if template == "slack":
        return encode_json({"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"), "mrkdwn": False})
    return encode_json({"msgtype": "text", "text": {"content": text}})


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


__all__ = ["ANSWERING", "MAX_LINES", "amount", "body", "line", "refusal", "signed"]
