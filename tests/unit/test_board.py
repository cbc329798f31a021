"""The board over HTTP: page, metrics, tables, stream, health; on the embedded broker, with real bytes."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, ClientTimeout
from aiokafka import AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families as parse_text
from pydantic import ValidationError

from schemas.config import Config
from schemas.errors import BoardError, ConfigError
from sinks.address import split_address
from sinks.board import Board, serve
from sinks.collector import OPENMETRICS, TEXT
from sinks.security import HEADERS, POLICY
from streams.embedded import EmbeddedBroker
from tests.builders import Publisher, Record

TOPIC = "floorpulse.readings"
NOBODY = {"bootstrap_servers": "127.0.0.1:1"}
HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    """One embedded broker; each test has a topic of its own."""
    with EmbeddedBroker() as embedded:
        yield embedded


def config(**changes: object) -> Config:
    """Return a configuration for a board on a free port that refreshes often."""
    board = {"listen": "127.0.0.1:0", "refresh": "100ms"}
    return Config.model_validate({"board": board, "queues": {"orders": {"channel": "voice"}}} | changes)


@asynccontextmanager
async def running(settings: Config, kafka: dict[str, str], topic: str = TOPIC) -> AsyncIterator[tuple[Board, ClientSession]]:
    """Run a board and a client for it."""
    board = Board(settings, kafka, topic=topic)
    await board.start()
    try:
        async with ClientSession(board.url, timeout=ClientTimeout(total=20)) as client:
            yield board, client
    finally:
        await board.stop()


async def send(broker: EmbeddedBroker, topic: str, *publishers: Publisher, now: int | None = None) -> None:
    """Flush publishers to Kafka, each to its partition."""
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        for publisher in publishers:
            records: list[Record] = publisher.flush(now or wall())
            for key, value in records:
                await producer.send_and_wait(topic, value, key, partition=publisher.partition)


def wall() -> int:
    """Return the wall clock in ms."""
    return time.time_ns() // 1_000_000


async def until(what: Callable[[], Awaitable[bool]], within_s: float = 20) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(within_s):
        while not await what():  # noqa: ASYNC110  what is waited for lies behind HTTP
            await asyncio.sleep(0.02)


async def is_ready(client: ClientSession) -> bool:
    """Tell whether /readyz says so."""
    async with client.get("/readyz") as answer:
        return answer.status == 200


def four(topic_events: int = 1) -> list[Publisher]:
    """Return a publisher per partition, with something to say about two queues."""
    publishers = [Publisher(number) for number in range(4)]
    for publisher in publishers:
        publisher.count("orders", wall(), offered=topic_events, answered=1, answered_within=1)
        publisher.now("queue", "orders", "voice", waiting=1, oldest_entered_at=wall() - 30_000)
        publisher.count(HOSTILE, wall(), "chat", offered=1)
    return publishers


async def test_a_board_shows_what_was_and_what_comes(broker: EmbeddedBroker) -> None:
    """From Kafka to /metrics: what was published before the start, then what is published after it."""
    publishers = four()
    await send(broker, "one", *publishers)
    async with running(config(), {"bootstrap_servers": broker.bootstrap}, "one") as (board, client):
        await until(lambda: is_ready(client))
        assert await _waiting(client) == 4
        publishers[2].now("queue", "orders", "voice", waiting=5)
        await send(broker, "one", publishers[2])

        async def eight() -> bool:
            return await _waiting(client) == 8

        await until(eight)
        assert board.snapshot.health.delays.counts != (0,) * 11
        assert set(board.snapshot.health.readings_age_ms) == {0, 1, 2, 3}


async def test_what_workers_publish_is_shown_before_the_next_refresh(broker: EmbeddedBroker) -> None:
    """A flush makes a snapshot; without one the next comes when it is due."""
    publishers = four()
    await send(broker, "news", *publishers)
    seldom = config(board={"listen": "127.0.0.1:0", "refresh": "60s"})
    async with running(seldom, {"bootstrap_servers": broker.bootstrap}, "news") as (board, client):
        await until(lambda: is_ready(client))
        for waiting in (5, 6, 7):
            publishers[2].now("queue", "orders", "voice", waiting=waiting)
            await send(broker, "news", publishers[2])

            async def shown(expected: int = waiting + 3) -> bool:
                return await _waiting(client) == expected

            await until(shown)
        number = board.snapshot.number
        await asyncio.sleep(1)
        assert board.snapshot.number == number


async def _waiting(client: ClientSession) -> float | None:
    async with client.get("/metrics") as answer:
        text = await answer.text()
    for family in parse_text(text):
        for sample in family.samples:
            if sample.name == "floorpulse_waiting" and sample.labels["queue"] == "orders":
                return sample.value
    return None


async def test_without_kafka_there_is_health_only() -> None:
    """No broker: alive, not ready, no indicators, the page says so; and it stops at once."""
    async with running(config(), NOBODY) as (_, client):
        async with client.get("/livez") as answer:
            assert (answer.status, (await answer.json())["pid"]) == (200, os.getpid())
        async with client.get("/readyz") as answer:
            assert (answer.status, await answer.json()) == (503, {"ready": False})
        async with client.get("/metrics") as answer:
            text = await answer.text()
        assert "floorpulse_ready 0.0" in text
        assert "floorpulse_waiting" not in text
        async with client.get("/api/v1/intervals") as answer:
            assert answer.status == 503
        async with client.get("/api/v1/snapshot") as answer:
            assert (await answer.json())["ready"] is False
        started = time.monotonic()
    assert time.monotonic() - started < 5


async def test_metrics_in_the_form_that_is_asked_for(broker: EmbeddedBroker) -> None:
    """Text, OpenMetrics and gzip by the scraper's headers."""
    await send(broker, "forms", *four())
    async with running(config(), {"bootstrap_servers": broker.bootstrap}, "forms") as (_, client):
        await until(lambda: is_ready(client))
        async with client.get("/metrics", headers={"Accept-Encoding": "identity"}) as answer:
            assert answer.headers["Content-Type"] == TEXT
            assert "Content-Encoding" not in answer.headers
        accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
        async with client.get("/metrics", headers={"Accept": accept, "Accept-Encoding": "gzip"}) as answer:
            assert answer.headers["Content-Type"] == OPENMETRICS
            assert answer.headers["Content-Encoding"] == "gzip"
            assert (await answer.text()).endswith("# EOF\n")


async def test_tables_over_http(broker: EmbeddedBroker) -> None:
    """JSON by default, CSV by header or parameter; names that look like formulas are made harmless in CSV."""
    publishers = four()
    publishers[0].count("=1+1", wall(), offered=1)
    await send(broker, "tables", *publishers)
    async with running(config(), {"bootstrap_servers": broker.bootstrap}, "tables") as (_, client):
        await until(lambda: is_ready(client))
        async with client.get("/api/v1/intervals?interval=60m&by=queue,channel&zone=Asia/Shanghai") as answer:
            body = await answer.json()
            assert answer.headers["Content-Type"].startswith("application/json")
        rows = [dict(zip(body["columns"], row, strict=True)) for row in body["rows"]]
        assert {(row["queue"], row["channel"], row["offered"]) for row in rows} == {
            ("=1+1", "voice", 1),
            (HOSTILE, "chat", 4),
            ("orders", "voice", 4),
        }
        assert all(row["interval_start"].endswith("+08:00") for row in rows)
        for how in ({"params": {"format": "csv"}}, {"headers": {"Accept": "text/csv"}}):
            async with client.get("/api/v1/intervals", **how) as answer:  # type: ignore[arg-type]
                assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
                found = list(csv.DictReader(io.StringIO(await answer.text())))
            assert {row["queue"] for row in found} == {HOSTILE, "'=1+1", "orders"}
        for bounds in (["since"], ["since", "until"]):
            async with client.get("/api/v1/intervals", params=dict.fromkeys(bounds, str(wall() + 10_000_000))) as answer:
                assert (answer.status, (await answer.json())["rows"]) == (200, [])


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("interval=7m", "interval '7m' is not one of"),
        ("by=agent", "by 'agent' is not one of"),
        ("compare=month", "compare 'month' is not week"),
        ("zone=../../etc/passwd", "unknown time zone"),
        ("zone=%00", "unknown time zone"),
        ("format=xml", "format 'xml' is not one of"),
        ("intervall=15m", "unknown parameter 'intervall'; known are"),
        ("since=yesterday", "since: at 'yesterday' is not RFC 3339"),
        ("since=-1", "since: at '-1' is not RFC 3339"),
        ("until=" + "9" * 40, "until: "),
        ("since=2026-11-21T15:00:00Z&until=1795269600000", "since 2026-11-21T15:00:00.000Z is after until 2026-11-21T14:00:00"),
        ("interval=%0d%0aX-Evil:1", "is not one of"),
        ("by=" + "x" * 3000, "is not one of"),
        ("zone=%ff%fe", "unknown time zone"),
    ],
)
async def test_bad_parameters_are_told_in_one_line(query: str, message: str) -> None:
    """400, one clear line of text, nothing of the request in the headers."""
    async with running(config(), NOBODY) as (_, client), client.get(f"/api/v1/intervals?{query}") as answer:
        text = await answer.text()
        assert answer.status == 400
        assert message in text
        assert text.count("\n") == 1
        assert len(text) < 400
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert "X-Evil" not in answer.headers


async def test_comparisons_over_http(broker: EmbeddedBroker) -> None:
    """Today and seven days against what was before; filters; what does not exist is 404 with the nearest name."""
    yesterday = wall() - 25 * 3_600_000
    publishers = four()
    publishers[1].count("orders", yesterday, answered=3)
    await send(broker, "comparisons", *publishers)
    async with running(config(), {"bootstrap_servers": broker.bootstrap}, "comparisons") as (_, client):
        await until(lambda: is_ready(client))
        async with client.get("/api/v1/comparisons?kpi=answered") as answer:
            body = await answer.json()
        assert set(body) == {"now", "zones", "floor", "queues", "whole_queues", "groups"}
        orders = next(queue for queue in body["queues"] if queue["queue"] == "orders")
        assert set(orders["kpis"]["answered"]) == {"today/yesterday", "today/week_ago", "7d/before"}
        assert orders["kpis"]["answered"]["7d/before"]["base"] == 0
        async with client.get("/api/v1/comparisons", params={"queue": HOSTILE, "channel": "chat"}) as answer:
            assert answer.status == 200  # it exists, though nothing of it lies before the present quarter-hour
        async with client.get("/api/v1/comparisons?queue=order") as answer:
            assert (answer.status, await answer.text()) == (404, "unknown queue 'order': the nearest is 'orders'\n")
        async with client.get("/api/v1/comparisons?quue=orders") as answer:
            assert answer.status == 400
            assert "unknown parameter 'quue'; known are channel, group, kpi, queue" in await answer.text()


async def test_explanations_over_http(broker: EmbeddedBroker) -> None:
    """Value, arithmetic, parts by partition with the age of their readings; 404 and 400 in one line."""
    await send(broker, "explain", *four())
    async with running(config(), {"bootstrap_servers": broker.bootstrap}, "explain") as (_, client):
        await until(lambda: is_ready(client))
        async with client.get("/api/v1/explain?kpi=service_level&queue=orders&window=today") as answer:
            body = await answer.json()
        assert (body["value"], body["with_numbers"]) == (1, "4 / (4 + 0 - 0)")
        assert body["parts"][0]["partitions"] == {"0": 1, "1": 1, "2": 1, "3": 1}
        assert all(0 <= each["readings_age_ms"] < 60_000 for each in body["partitions"])
        for query, status, message in (
            ("kpi=service_levl&queue=orders", 404, "unknown kpi 'service_levl': the nearest is 'service_level'"),
            ("kpi=service_level", 400, "service_level is counted by queue: give queue"),
            ("", 400, "kpi is missing"),
            ("kpi=waiting&queue=orders&que=1", 400, "unknown parameter 'que'"),
            ("kpi=%0d%0aX-Evil:1", 404, "unknown kpi"),
        ):
            async with client.get(f"/api/v1/explain?{query}") as answer:
                text = await answer.text()
                assert (answer.status, text.count("\n")) == (status, 1)
                assert message in text
                assert "X-Evil" not in answer.headers


async def test_what_is_not_read_yet_cannot_be_explained() -> None:
    """503 until the board has caught up."""
    async with running(config(), NOBODY) as (_, client):
        for path in ("/api/v1/explain?kpi=waiting&queue=orders", "/api/v1/comparisons"):
            async with client.get(path) as answer:
                assert answer.status == 503


@pytest.mark.parametrize(
    "path",
    ["/", "/static/app.js", "/static/style.css", "/static/lang/en.js", "/metrics", "/api/v1/snapshot", "/livez", "/readyz",
     "/nothing", "/static/x", "/api/v1/intervals", "/api/v1/comparisons", "/api/v1/explain", "/api/v1/trend", "/static/lang",
     "/static/__init__.py", "/static/..%2fboard.py", "/static/lang/..%2f__init__.py"],
)  # fmt: skip
async def test_security_headers_are_on_everything(path: str) -> None:
    """Errors too; only files of the page are served."""
    async with running(config(), NOBODY) as (_, client), client.get(path) as answer:
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        assert "Cache-Control" in answer.headers
        if path in ("/nothing", "/static/x", "/static/lang") or path.endswith(".py"):
            assert answer.status == 404


async def test_other_methods_are_refused() -> None:
    """Nothing can be changed through the board."""
    async with running(config(), NOBODY) as (_, client):
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            async with client.request(method, "/api/v1/snapshot") as answer:
                assert answer.status == 405
                assert answer.headers["Content-Security-Policy"] == POLICY
                assert "Access-Control-Allow-Origin" not in answer.headers


async def test_the_page_brings_everything_itself() -> None:
    """No inline script or style, nothing from elsewhere, names only set as text; unchanged files are not sent again."""
    async with running(config(), NOBODY) as (_, client):
        async with client.get("/") as answer:
            page, tag = await answer.text(), answer.headers["ETag"]
        async with client.get("/", headers={"If-None-Match": tag}) as answer:
            assert answer.status == 304
        named, files = re.findall(r'(?:src|href)="/static/([^"]+)"', page), {}
        for name in (*named, "lang/en.js", "lang/zh-CN.js"):
            async with client.get(f"/static/{name}", headers={"Accept-Encoding": "identity"}) as answer:
                assert answer.status == 200
                files[name] = await answer.text()
            async with client.get(f"/static/{name}", headers={"Accept-Encoding": "gzip"}) as answer:
                assert (answer.headers["Content-Encoding"], await answer.text()) == ("gzip", files[name])
    scripts = {name: text for name, text in files.items() if name.endswith(".js")}
    imported = {f"{each}.js" for text in scripts.values() for each in re.findall(r'from "\./([\w/-]+)\.js"', text)}
    assert imported <= set(named)  # none is found out about late
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", page)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|[\"'(]//\w+\.", page + "".join(files.values()))
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", "".join(scripts.values()))


async def test_the_stream_sends_the_present_and_goes_on(broker: EmbeddedBroker) -> None:
    """First a whole snapshot, then what differs, with growing ids; hostile names are escaped; the end is clean."""
    publishers = four()
    await send(broker, "stream", *publishers)
    board = Board(config(), {"bootstrap_servers": broker.bootstrap}, topic="stream")
    await board.start()
    async with ClientSession(board.url) as client:
        await until(lambda: is_ready(client))
        async with client.get("/api/v1/stream") as answer:
            assert answer.headers["Content-Type"] == "text/event-stream"
            ids, bodies = [], []
            async with asyncio.timeout(20):
                async for line in answer.content:
                    if line.startswith(b"id:"):
                        ids.append(int(line.rpartition(b"-")[2]))
                    elif line.startswith(b"data:"):
                        assert b"<" not in line
                        bodies.append(json.loads(line[5:]))
                        if len(bodies) == 1:
                            publishers[0].now("queue", "orders", "voice", waiting=5)
                            await send(broker, "stream", publishers[0])
                    if len(bodies) == 2:
                        break
                stopping = asyncio.create_task(board.stop())
                async for _ in answer.content:
                    pass
                await stopping
    assert ids == sorted(set(ids))
    assert bodies[0]["floor"]["waiting"] == 4
    assert {queue["queue"] for queue in bodies[0]["queues"]} == {"orders", HOSTILE}
    assert ("head" in bodies[1], "groups" in bodies[1], bodies[1]["floor"]["waiting"]) == (False, False, 8)
    assert [(queue["queue"], queue["waiting"]) for queue in bodies[1]["queues"]] == [("orders", 8)]


async def test_a_taken_port_is_told(broker: EmbeddedBroker) -> None:
    """What, where, who, and the remedy, in one line."""
    async with running(config(), NOBODY) as (board, _):
        taken = config(board={"listen": f"127.0.0.1:{board.port}"})
        with pytest.raises(BoardError) as error:
            await Board(taken, NOBODY).start()
    pid, port = os.getpid(), board.port
    assert re.fullmatch(
        rf"cannot listen on 127\.0\.0\.1:{port}: in use by floorpulse board \S+ \(pid {pid}\)\. Stop it or choose another: "
        rf"--listen 127\.0\.0\.1:{port + 2} \(board\.listen\)",
        str(error.value),
    )
    strange = config(board={"listen": broker.bootstrap})
    with pytest.raises(BoardError, match="in use by another program"):
        await Board(strange, NOBODY).start()
    with pytest.raises(BoardError, match=r"Choose another: --listen"):
        await Board(config(board={"listen": "192.0.2.1:9464"}), NOBODY).start()


async def test_serve_ends_when_it_is_told_to() -> None:
    """The shell's way: until the event is set; then nothing listens any more."""
    stop = asyncio.Event()
    task = asyncio.create_task(serve(config(), NOBODY, stop))
    await asyncio.sleep(0.1)
    stop.set()
    async with asyncio.timeout(10):
        await task


async def test_garbage_on_the_topic_does_not_end_the_board(broker: EmbeddedBroker) -> None:
    """Foreign records are counted, the rest is shown."""
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        for value in (b"\xff" * 100, b"{}", b"[" * 10_000, None):
            await producer.send_and_wait("garbage", value, b"\x00key")
    await send(broker, "garbage", *four())
    async with running(config(), {"bootstrap_servers": broker.bootstrap}, "garbage") as (board, client):
        await until(lambda: is_ready(client))
        assert await _waiting(client) == 4
        assert board.snapshot.health.ignored["foreign"] == 4


@pytest.mark.parametrize("listen", ["9464", "host:", ":9464x", "host:99999", "host:-1", "host:" + "9" * 5000, ""])
def test_a_wrong_address_is_told(listen: str) -> None:
    """What was read, and what is wanted."""
    with pytest.raises(ConfigError, match="HOST:PORT"):
        split_address(listen)


def test_a_wrong_address_is_told_with_the_setting_s_own_default() -> None:
    """A worker's port is not the board's."""
    with pytest.raises(ConfigError, match=r"^worker\.listen: 'garbage' is not HOST:PORT, such as 127\.0\.0\.1:9465$"):
        split_address("garbage", "worker.listen")
    with pytest.raises(ConfigError, match=r"^board\.listen: 'garbage' is not HOST:PORT, such as 127\.0\.0\.1:9464$"):
        split_address("garbage")


def test_addresses_are_read() -> None:
    """IPv4, names, IPv6 in brackets."""
    assert split_address("127.0.0.1:9464") == ("127.0.0.1", 9464)
    assert split_address("[::1]:80") == ("::1", 80)


def test_an_exported_window_must_exist() -> None:
    """A window that is not kept cannot be exported."""
    with pytest.raises(ValidationError, match="'7m' is not one of 5m, 15m, 30m, 60m, today"):
        config(exported_windows=["7m"])
