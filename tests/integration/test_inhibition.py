"""A real Alertmanager with compose's routes: what mutes what."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any

from tests.receiver import Receiver
from tests.watchers import alertmanager

ORDERS = {"queue": "orders", "channel": "voice"}


def alert(name: str, **labels: str) -> dict[str, Any]:
    """Return an alert as Prometheus sends it."""
    return {"labels": {"alertname": f"Floorpulse{name}", **labels}, "annotations": {}}


STALE = alert("DataStale", severity="page")
BOARD = alert("BoardDown", severity="page")
BURN = alert("FreshnessBudgetBurn", severity="page", window="1h")
WAIT = alert("OldestWaitBreach", severity="page", kpi="oldest_wait", level="breach", **ORDERS)
LOW = alert("ServiceLevelWarning", severity="ticket", kpi="service_level", level="warn", **ORDERS)
LOWER = alert("ServiceLevelBreach", severity="page", kpi="service_level", level="breach", **ORDERS)
ELSEWHERE = alert("ServiceLevelWarning", severity="ticket", kpi="service_level", level="warn", queue="returns", channel="voice")
UNSTAFFED = alert("QueueUnstaffed", severity="page", kpi="capacity", **ORDERS)
LAG = alert("LagGrowing", severity="ticket", topic="queues")


def muted(address: str, alerts: list[dict[str, Any]]) -> list[bool]:
    """Send alerts; return which of them are muted by others."""
    request = urllib.request.Request(
        f"http://{address}/api/v2/alerts", json.dumps(alerts).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.status == 200
    with urllib.request.urlopen(f"http://{address}/api/v2/alerts", timeout=5) as answer:
        found = json.load(answer)
    by_labels = {json.dumps(each["labels"], sort_keys=True): bool(each["status"]["inhibitedBy"]) for each in found}
    return [by_labels[json.dumps(each["labels"], sort_keys=True)] for each in alerts]


async def test_what_explains_others_mutes_them(tmp_path: Path) -> None:
    """A breach its warning, a queue without agents its waits, old data everything about indicators, no board the age of data."""
    steps = [
        ([WAIT, LOW, ELSEWHERE, LAG], [False, False, False, False]),
        ([LOWER, LOW, ELSEWHERE, LAG], [False, True, False, False]),
        ([UNSTAFFED, WAIT, LOWER, ELSEWHERE, LAG], [False, True, True, False, False]),
        ([STALE, UNSTAFFED, WAIT, ELSEWHERE, LAG, BURN], [False, True, True, True, False, False]),
        ([BOARD, STALE, BURN, LAG], [False, True, True, False]),
    ]
    async with Receiver() as receiver:
        with alertmanager(tmp_path, receiver.url, 0.05) as address:
            for alerts, wanted in steps:
                async with asyncio.timeout(10):
                    while await asyncio.to_thread(muted, address, alerts) != wanted:  # noqa: ASYNC110  muted a moment after they come
                        await asyncio.sleep(0.1)
