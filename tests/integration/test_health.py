"""A worker on a real Kafka as operators see it: its log, its health, its metrics; and nobody's name in any of them."""

from __future__ import annotations

import asyncio
import gzip
import json
import signal
import time
import urllib.request
from typing import Any

import pytest

from streams.core.driver import Record, record_of
from tests.builders import T0
from tests.integration.test_worker import DEADLINE_S, Rig, free_port, get, records, rig

__all__ = ["rig"]  # a fixture

AGENT, CUSTOMER = "anna.lee@example.test", "customer-4711-okonkwo"


def named(of: list[Record]) -> list[Record]:
    """The same events about people whose names nobody can overlook."""
    renamed: list[Record] = []
    for _, _, value in of:
        event: dict[str, object] = json.loads(value)
        for key in ("agent_id", "from_agent", "to_agent", "customer_id"):
            if key in event:
                event[key] = f"{CUSTOMER if key == 'customer_id' else AGENT}-{event[key]}"
        renamed.append(record_of(event, json.dumps(event).encode()))
    return renamed


def bad() -> list[Record]:
    """Records that are set aside for all kinds of reasons, each with a name in it."""
    status: dict[str, Any] = {"type": "agent.status", "at": T0, "agent_id": AGENT, "status": "available"}
    naive = {**status, "id": "1", "at": "2026-11-21T14:05:47"}
    unmapped = {**status, "id": "2", "status": f"lunch with {CUSTOMER}"}
    started: dict[str, object] = {"type": "session.started", "id": "3", "at": "x", "session_id": CUSTOMER, "channel": "voice"}
    started["customer_id"] = CUSTOMER
    found = [record_of(event, json.dumps(event).encode()) for event in (naive, unmapped, started)]
    wrong_key = json.dumps({**status, "id": "4"}).encode()
    return [*found, ("status", CUSTOMER.encode(), wrong_key), ("sessions", AGENT.encode(), b"{" + AGENT.encode())]


@pytest.mark.timeout(150)
async def test_a_worker_tells_how_it_is_and_names_nobody(rig: Rig) -> None:
    """Each line of the log is an object with its program; rejected events are told by place; probes and metrics answer."""
    good = named(records(7, 25))
    assert any(AGENT.encode() in value for _, _, value in good)
    assert any(CUSTOMER.encode() in value for _, _, value in good)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with rig.worker(port) as worker:
        await rig.feed([*good, *bad(), *good[:40]])
        await rig.until_applied(len(good))
        until = time.monotonic() + DEADLINE_S
        while (await rig.outcomes()).get("invalid", 0) < len(bad()) or "worker.ready" not in rig.log.read_text():
            assert time.monotonic() < until
            await asyncio.sleep(0.2)
        alive = json.loads(get(f"{url}/livez")[1])
        assert (alive["program"], alive["pid"], alive["alive"], alive["stalls"]) == ("floorpulse worker", worker.pid, True, [])
        assert get(f"{url}/readyz") == (200, '{"ready": true}')
        metrics = await asyncio.to_thread(zipped, f"{url}/metrics")
        assert 'floorpulse_worker_batch_records_bucket{le="+Inf"}' in metrics
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
    log = rig.log.read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    assert {line["program"] for line in lines} == {"floorpulse worker"}
    assert all({"timestamp", "level", "event"} <= line.keys() for line in lines)
    events = [line["event"] for line in lines]
    for event in ("worker.started", "partitions.loaded", "worker.ready", "events.rejected", "worker.signal", "worker.stopped"):
        assert event in events, log
    told = {line["reason"]: line["message"] for line in lines if line["event"] == "events.rejected"}
    assert told.keys() == {"naive_timestamp", "status", "bad_timestamp", "wrong_key", "unparsable"}
    assert told["naive_timestamp"].startswith(f"1 event to {rig.layout.name('dead-letters')}: naive_timestamp, e.g. ")
    for name in (AGENT, CUSTOMER, "anna", "okonkwo", "4711"):
        assert name not in log
        assert name not in metrics


def zipped(url: str) -> str:
    """An answer that was asked for in gzip, unpacked."""
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        return gzip.decompress(answer.read()).decode()
