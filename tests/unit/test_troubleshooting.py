"""The page of error texts: each is what the program prints, made here by the code that prints it."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web
from faust.types import TP

from schemas.config_file import load
from schemas.errors import ConfigError, InvalidEvent
from schemas.events import parse_event
from sinks.address import cannot_listen
from streams.app import made_anew
from streams.connection import no_administration, unreachable
from streams.core.floor import Reject
from streams.jobs import ended, named
from streams.lines import Line
from streams.notices import Input, Seen, Watch
from streams.produce import _bad_line
from streams.topics import _unequal, missing_topics, plan
from streams.worker import GIVE_UP_S, no_progress

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "troubleshooting.md"
NOW_MS: Final = 1_795_269_947_000  # 2026-11-21T14:05:47Z
KAFKA: Final = "kafka.internal:9092"
DEMO: Final = "127.0.0.1:44617"


class Place:
    """A record at an offset."""

    def __init__(self, offset: int) -> None:
        self.offset, self.timestamp = offset, 0
        self.key: bytes | None = None
        self.value: bytes | None = None


def shown() -> list[str]:
    """The texts of the page."""
    return re.findall(r"^```\n(.+)\n```$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)


def notices(topic: str, outcome: str, of: Reject | None, count: int, first: int) -> list[str]:
    """What a worker says of a minute with so many events of that kind."""
    seen = Seen()
    names = {short: f"floorpulse.{short}" for short in ("sessions", "queues", "status", "business", "dead-letters", "late")}
    watch = Watch(seen, names, "floorpulse.", 300_000, live=True)
    watch.due(0.0, NOW_MS, None)
    if of is not None:
        rejects = [Reject(n, "invalid", of.reason, of.detail) for n in range(count)]
        seen.took(topic, 3, [Place(first + n) for n in range(count)], rejects)
    ready = Input(12, 0, NOW_MS)
    found = [*watch.due(60.0, NOW_MS, None), *watch.due(61.0, NOW_MS, ready), *watch.due(121.0, NOW_MS, ready)]
    return [notice.message for notice in found if notice.event == outcome]


def rejected() -> str:
    """Events without an offset."""
    return notices("sessions", "events.rejected", Reject(0, "invalid", "naive_timestamp", ""), 214, 88_121)[0]


def ahead() -> str:
    """Events ahead of the clock."""
    return notices("status", "clock.ahead", Reject(0, "invalid", "from_the_future", "at is 432 s ahead of the clock"), 312, 0)[0]


def silent() -> str:
    """No event."""
    return notices("sessions", "input.silent", None, 0, 0)[0]


def unknown_key() -> str:
    """A typing error in a file."""
    lines = ["# comment"] * 11 + ["queues:", "  billing:", "    servcie_level: sl_offered"]
    Path("floorpulse.yaml").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load()
    return str(caught.value)


def unequal() -> str:
    """Partition counts of which one differs."""
    layout = plan("floorpulse.", 12)
    counts = {topic.name: topic.partitions for topic in layout.topics.values()} | {"floorpulse.status": 6}
    return _unequal(layout, counts)[0]


def bad_line() -> str:
    """A line without an offset in its time."""
    event = {"id": "e", "type": "session.ended", "at": "2026-11-21T14:05:47", "session_id": "s", "ended_by": "agent"}
    with pytest.raises(InvalidEvent) as caught:
        parse_event(json.dumps(event).encode())
    return str(_bad_line(Path("events.jsonl"), Line("sessions", b"", b"", 3071), caught.value))


TEXTS: Final[dict[str, Callable[[], str]]] = {
    "floorpulse worker: cannot reach": lambda: unreachable(KAFKA, "3 tries in 10 s", "connection refused"),
    "floorpulse topics: what": lambda: no_administration(DEMO, "8 tries in 10 s", "KafkaProtocolError: Unable to decode response"),
    "floorpulse worker: topic": lambda: missing_topics(["floorpulse.queues"], KAFKA, 12, "floorpulse."),
    "floorpulse worker: partition counts": unequal,
    "floorpulse: floorpulse.yaml": unknown_key,
    "the journal says": lambda: str(made_anew(TP("floorpulse.sessions", 0), 812, 0)),
    "floorpulse worker: no event": silent,
    "floorpulse worker: 214": rejected,
    "floorpulse produce": bad_line,
    "floorpulse worker: 312": ahead,
    "floorpulse report: process": lambda: str(ended(named(1, 8), -9)),
    "floorpulse worker: no progress": lambda: str(no_progress(["partition 3: no flush"])),
}


@pytest.mark.parametrize("beginning", TEXTS)
def test_the_page_shows_what_is_printed(beginning: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the letter, behind the program's name."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("FLOORPULSE_")]:
        monkeypatch.delenv(name)
    (text,) = [text for text in shown() if text.startswith(beginning)]
    assert re.sub(r"^floorpulse( \w+)?: ", "", text) == TEXTS[beginning]()


@pytest.mark.parametrize(
    ("number", "host", "other"),
    [
        (errno.EACCES, "0.0.0.0", "0.0.0.0:9464"),
        (errno.EADDRNOTAVAIL, "192.0.2.1", "127.0.0.1:80"),
        (socket.EAI_NONAME, "nowhere.invalid", "127.0.0.1:80"),
    ],
)
async def test_another_address_is_proposed_that_can_help(number: int, host: str, other: str) -> None:
    """Beside a reserved port are others, and a host that is not this machine's has no port that would do."""
    said = await cannot_listen(OSError(number, "words"), host, 80, "board.listen")
    assert said.endswith(f". Choose another: --listen {other} (board.listen)")


async def test_the_page_shows_who_holds_a_port() -> None:
    """Program, version and pid of the one that answers, and another port to choose; a stranger is told as one."""
    who: dict[str, Any] = {"program": "floorpulse board", "version": "0.1.0", "pid": 4182}

    async def livez(_: web.Request) -> web.Response:
        return web.json_response(who)

    app = web.Application()
    app.router.add_get("/livez", livez)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    taken = OSError(errno.EADDRINUSE, "in use")
    try:
        said = await cannot_listen(taken, "127.0.0.1", port, "board.listen")
        (text,) = [text for text in shown() if text.startswith("floorpulse board: cannot listen")]
        told = said.replace(str(port + 2), "9466").replace(str(port), "9464")
        assert text == f"floorpulse board: {told}"
        who["program"] = "floorpulse worker"
        assert "in use by floorpulse worker 0.1.0 (pid 4182)." in await cannot_listen(taken, "127.0.0.1", port, "worker.listen")
        who["program"] = "nginx"
        assert "in use by another program." in await cannot_listen(taken, "127.0.0.1", port, "worker.listen")
    finally:
        await runner.cleanup()


def test_every_text_of_the_page_is_tested() -> None:
    """None is there that no code was asked for."""
    assert len(shown()) == len(TEXTS) + 1
    assert f"no progress for {GIVE_UP_S:.0f} s" in PAGE.read_text(encoding="utf-8")
