"""Hostile names through the whole path: events, core, merge, then gauges, JSON, tables, stream, page and explanations.

Each name must come out as it went in, or escaped as the form wants it, and must bring nothing else with it.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from schemas.config import Config
from sinks.board import Board
from streams.core.driver import Driver, record_of
from tests.unit.test_board import NOBODY

NAMES = {
    "markup": '<script>alert("1")</script>',
    "end of a script": "</script><img src=x onerror=alert(1)>",
    "entities": "&lt;b&gt; &amp; &#x22;",
    "labels": 'x"} 1\\nfloorpulse_waiting{queue="y',
    "quotes": "\"'`",
    "backslashes": "\\ \\n \\\\ \\\"",
    "a backslash at the end": "orders\\",
    "braces and commas": 'a="b",{c="d"} # {e="f"} 1',
    "comment": "# HELP floorpulse_waiting 1",
    "end of file": "# EOF",
    "right to left": "‮txt.exe‬ ‏שלום",
    "four bytes": "😀𝒪𐍈",
    "combining": "é̂ a\u0300\u0301\u0302\u0303",
    "invisible": "a\u200bb\u00adc\ufeff",
    "line separators": "a\u2028b\u2029c",
    "formula =": "=HYPERLINK(\"http://x\";\"y\")",
    "formula +": "+1+cmd|' /C calc'!A0",
    "formula -": "-2+3",
    "formula @": "@SUM(1)",
    "csv": 'a,"b";c',
    "blanks": "  two  ",
    "template": "{{7*7}} ${7*7} %s %(x)s {0}",
    "path": "../../etc/passwd",
    "stream": "data: x id: 1",
    "prototype": "__proto__",
    "constructor": "constructor",
    "query": "a&queue=b#c?d=e%00%0d%0a",
    "numbers": "1e309",
    "null": "null",
    "long": "𐍈" * 128,
}  # fmt: skip
REFUSED = {
    "newline": "x\nfloorpulse_waiting 1",
    "carriage return": "x\rdata: y",
    "tab": "\t=1+1",
    "null byte": "x\x00y",
    "escape": "\x1b[31mred",
    "next line": "x\x85y",
    "half a character": "\ud83d",
    "too long": "x" * 129,
    "empty": "",
    "reserved": "all",
}
LABELS = {
    "queue", "channel", "group", "agent", "status", "window", "stat", "formula", "state", "direction", "kind", "sender", "le",
    "partition", "topic", "outcome", "reason", "version", "python", "currency", "kpi", "level",
}  # fmt: skip
each_name = pytest.mark.parametrize("name", NAMES.values(), ids=list(NAMES))
AGO_MS = 1_200_000
"""The contact lies before the present quarter-hour, which comparisons leave out."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def events(name: str, at: int) -> list[dict[str, Any]]:
    """Return the events of one contact in which queue, channel, group, status, agent, customer and session have this name."""
    session: dict[str, Any] = {"session_id": name}
    return [
        {"type": "agent.status", "at": at - 9000, "agent_id": name, "status": name, "groups": [name], "queues": [name]},
        {"type": "session.started", "at": at - 8000, **session, "channel": name, "customer_id": name},
        {"type": "queue.entered", "at": at - 7000, **session, "queue": name},
        {"type": "queue.left", "at": at - 5000, **session, "queue": name, "outcome": "answered"},
        {"type": "session.connected", "at": at - 5000, **session, "agent_id": name},
        {"type": "session.ended", "at": at - 1000, **session, "ended_by": "agent"},
    ]


def settings(name: str) -> Config:
    """Return a configuration that shows agents and knows the name as a status."""
    board = {"listen": "127.0.0.1:0", "refresh": "100ms", "title": name[:100]}
    agents = {"series": True, "statuses": {name: "available"}}
    return Config.model_validate({"board": board, "agents": agents})


def driven(name: str, config: Config, at: int) -> Driver:
    """Return the core after these events."""
    driver = Driver(1, config.rules())
    made = [{"id": f"{number}", **event} for number, event in enumerate(events(name, at - AGO_MS))]
    driver.apply([record_of(event, json.dumps(event).encode()) for event in made], at)
    for _ in range(3):
        driver.flush(at)
    return driver


@asynccontextmanager
async def shown(name: str) -> AsyncIterator[ClientSession]:
    """Run a board that shows these events."""
    config, at = settings(name), time.time_ns() // 1_000_000
    driver = driven(name, config, at)
    assert driver.rejects == []
    board = Board(config, NOBODY)
    board.merge.put_readings(driver.take())
    board._reader.ready = True
    await board.start()
    try:
        async with ClientSession(board.url) as client, asyncio.timeout(30):
            while not board.snapshot.ready:
                await board.next_snapshot(board.snapshot.number)
            yield client
    finally:
        await board.stop()


@each_name
async def test_a_hostile_name_comes_out_as_it_went_in(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everywhere, and alone."""
    monkeypatch.setattr("sinks.feed.FRAME_S", 0.05)  # the board's end waits for the stream's
    async with shown(name) as client:
        await _gauges(client, name)
        await _json(client, name)
        await _tables(client, name)
        await _explained(client, name)


async def _gauges(client: ClientSession, name: str) -> None:
    """Both forms parse strictly, hold the name as a label's value, and no series that an honest name would not have."""
    openmetrics = "application/openmetrics-text; version=1.0.0"
    for accept, parse in (("text/plain", parse_text), (openmetrics, parse_openmetrics)):
        async with client.get("/metrics", headers={"Accept": accept}) as answer:
            text = await answer.text()
        values: dict[str, set[str]] = {}
        for family in parse(text):
            assert family.name.startswith(("floorpulse_", "process_"))
            for sample in family.samples:
                for label, value in sample.labels.items():
                    values.setdefault(label, set()).add(value)
        assert values["queue"] - {""} == {name}  # thresholds of groups name no queue, and the other way round
        assert values["channel"] <= {name, "any", ""}
        assert values["group"] <= {name, "all", ""}
        assert name in values["group"]
        assert values["agent"] == {name}
        assert name not in values["status"]  # a status is shown as what it stands for
        assert set(values) <= LABELS
        if accept == "text/plain" and shutil.which("promtool"):
            checked = await asyncio.to_thread(
                subprocess.run, ["promtool", "check", "metrics"], input=text.encode(), capture_output=True, check=False
            )
            assert checked.returncode == 0, checked.stdout + checked.stderr


async def _json(client: ClientSession, name: str) -> None:
    """JSON and the stream hold the name as text, with nothing in them that a page would take for markup."""
    async with client.get("/api/v1/snapshot") as answer:
        body = await answer.read()
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    found = json.loads(body)
    assert {(queue["queue"], queue["channel"]) for queue in found["queues"]} == {(name, name)}
    assert name in {group["group"] for group in found["groups"]}
    assert {agent["agent"] for agent in found["agents"]} == {name}
    assert {slots["queue"] for slots in found["slots"]} == {name}
    assert b"<" not in body
    async with client.get("/api/v1/stream") as answer:
        lines: list[bytes] = []
        while not lines or lines[-1] != b"\n" or not any(line.startswith(b"data:") for line in lines):
            lines.append(await answer.content.readline())
    assert [line.partition(b":")[0] for line in lines if line != b"\n"] == [b"retry", b"id", b"event", b"data"]
    data = next(line for line in lines if line.startswith(b"data:"))[5:]
    assert b"<" not in data
    assert name in {queue["queue"] for queue in json.loads(data)["queues"]}
    async with client.get("/api/v1/comparisons") as answer:
        assert name in {queue["queue"] for queue in (await answer.json())["queues"]}
    async with client.get("/") as answer:
        page = await answer.read()
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert name.encode() not in page or len(name) < 4


async def _tables(client: ClientSession, name: str) -> None:
    """CSV has one row for the one place; what a spreadsheet would compute has a quote in front."""
    written = f"'{name}" if name.startswith(_FORMULA) else name
    for by, column in (("queue", "queue"), ("queue,channel", "channel"), ("group", "group")):
        async with client.get("/api/v1/intervals", params={"by": by, "format": "csv"}) as answer:
            text = await answer.text()
            assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert {row[column] for row in rows} - {"all"} == {written}
        assert all(None not in row and None not in row.values() for row in rows)
        for row in csv.reader(io.StringIO(text, newline="")):
            assert not any(cell.startswith(_FORMULA) and not _is_number(cell) for cell in row)
        async with client.get("/api/v1/intervals", params={"by": by}) as answer:
            table = await answer.json()
        index = table["columns"].index(column)
        assert {row[index] for row in table["rows"]} - {"all"} == {name}


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


async def _explained(client: ClientSession, name: str) -> None:
    """The name can be asked for; as a name that does not exist it comes back as one line of plain text."""
    async with client.get("/api/v1/explain", params={"kpi": "answered", "queue": name, "channel": name}) as answer:
        body = await answer.read()
        assert (answer.status, json.loads(body)["value"]) == (200, 1)
        assert b"<" not in body
    for path, question in (
        ("explain", {"kpi": name}),
        ("explain", {"kpi": "answered", "queue": name + "?"}),
        ("explain", {"kpi": "answered", "queue": name, "window": name}),
        ("comparisons", {"group": name + "?"}),
        ("intervals", {"zone": name}),
        ("intervals", {name: "x"}),
    ):
        async with client.get(f"/api/v1/{path}", params=question) as answer:
            text = await answer.text()
            assert answer.status in (400, 404)
            assert answer.headers["Content-Type"].startswith("text/plain")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert text.count("\n") == 1


@pytest.mark.parametrize("name", REFUSED.values(), ids=list(REFUSED))
def test_a_name_that_could_break_a_line_is_refused(name: str) -> None:
    """Control characters, halves of characters, empty and endless names are invalid events: nothing of them is published."""
    at = time.time_ns() // 1_000_000
    driver = driven("orders", Config.model_validate({"agents": {"statuses": {"orders": "meal"}}}), at)
    driver.take()
    wrong = [
        {"type": "queue.entered", "at": at, "session_id": "s", "queue": name},
        {"type": "session.started", "at": at, "session_id": "s", "channel": name},
        {"type": "agent.status", "at": at, "agent_id": "a", "status": name},
        {"type": "agent.status", "at": at, "agent_id": "a", "status": "available", "groups": [name]},
    ]
    if name != "all":
        wrong.append({"type": "agent.status", "at": at, "agent_id": name, "status": "available"})
    records = [(record_of({**event, "agent_id": "a"}, b"")[0], b"", json.dumps({"id": f"w{n}", **event}).encode())
               for n, event in enumerate(wrong)]  # fmt: skip
    driver.apply(records, at)
    assert len(driver.rejects) == len(wrong)
    driver.flush(at)
    assert {key.name for key, _ in driver.take()} <= {"", "orders", "all"}
