"""The demo: what is poured in, what the terminal shows, and that a recount would notice a wrong number."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from rich.console import Console

from schemas.columns import Span
from schemas.config import Config
from schemas.rules import QueueRules
from sinks.snapshot import Health, Snapshot
from sinks.standing import BREACH, GOOD, WARN, Standing, Subject
from sinks.views import View
from streams.core.driver import Driver
from streams.demo_story import Sent, Story, whole_sessions
from streams.demo_view import WIDTH, Screen, can_draw, intro, last_line
from streams.recount import Verdict, counted_anew
from streams.simulator import Centre, Record, encode, simulate

ROOT: Final = Path(__file__).resolve().parents[2]
START_MS: Final = 1_795_600_000_000
MIN_MS: Final = 60_000
HOUR_MS: Final = 60 * MIN_MS
SMALL: Final = ("--queues", "2", "--agents", "12", "--listen", "127.0.0.1:0")


def sent(records: list[Record]) -> list[Sent]:
    """What goes to Kafka."""
    return [Sent(topic, key.encode(), encode(event)) for _, topic, key, event in records]


# ---- what is poured in


def test_whole_sessions_are_the_same_events_and_never_open() -> None:
    """Nobody waits and nobody is in hand at any moment, though all of it is counted as in the order of time."""
    records = list(simulate(Centre.default(queues=3, agents=20), START_MS, 30 * MIN_MS))
    turned = list(whole_sessions(iter(records)))
    assert sorted(map(repr, turned)) == sorted(map(repr, records))
    rules, now = Config().rules(), START_MS + 2 * HOUR_MS
    driver = Driver(1, rules)
    sessions = [each for each, record in zip(sent(turned), turned, strict=True) if record[1] in ("sessions", "queues")]
    for begin in range(0, len(sessions), 97):
        driver.apply(sessions[begin : begin + 97], now)
        driver.flush(now)
        gauges = [body["parts"] for key, body in driver.take() if body is not None and key.kind == "now" and "parts" in body]
        assert max((parts.get("waiting", 0) for parts in gauges), default=0) == 0
    assert counted_anew(sent(turned), rules, now) == counted_anew(sent(records), rules, now)


def test_earlier_days_have_the_same_time_of_day() -> None:
    """A week ago and yesterday, 90 minutes up to the same time, with ids of their own."""
    story = Story(Centre.default(queues=2, agents=8), 1.0, live_ms=START_MS)
    starts = [(record[0] - START_MS) / (24 * HOUR_MS) for record in story.earlier_days() if record[3]["type"] == "session.started"]
    days = {round(day) for day in starts}
    assert days == {-7, -1}
    assert all(-HOUR_MS * 1.5 / (24 * HOUR_MS) - 0.001 <= day - round(day) <= 0.001 for day in starts)
    ids = [record[3]["id"] for record in story.earlier_days()]
    assert len(ids) == len(set(ids))


def test_a_large_centre_has_a_shorter_history() -> None:
    """So that its first numbers come as soon; never less than ten minutes."""
    minutes = [Story(Centre.default(queues=n), 1.0).history_ms // MIN_MS for n in (1, 6, 30, 300)]
    assert minutes[:2] == [90, 90]
    assert 90 > minutes[2] > minutes[3] >= 10


def test_a_recount_notices_a_missing_event() -> None:
    """One leaving less, and cells differ: so an equal recount means something."""
    records = sent(list(simulate(Centre.default(queues=2, agents=8), START_MS, 20 * MIN_MS)))
    rules, now = Config().rules(), START_MS + HOUR_MS
    whole = counted_anew(records, rules, now)
    lost = next(number for number, record in enumerate(records) if b'"queue.left"' in record.value)
    assert counted_anew(records[:lost] + records[lost + 1 :], rules, now) != whole
    assert counted_anew(records[::-1], rules, now) == whole


# ---- what the terminal shows


def view(name: str, channel: str, now: Mapping[str, int], slots_free: int) -> View:
    """A queue."""
    parts = {"answered": 84, "answered_within": 80, "abandoned": 3}
    return View(name, channel, QueueRules(), now, {"30m": Span(parts)}, {}, slots_free, configured=True)


def snapshot(level: int | None = None) -> Snapshot:
    """Two queues, one of them with somebody waiting."""
    story_now = START_MS
    queues = (
        view("Orders", "voice", {"waiting": 11, "oldest_entered_at": story_now - 94_000}, 0),
        view("Sales chat with a name that is far too long for any terminal there is", "chat", {"waiting": 4}, 9),
    )
    team = View("Orders team", "", QueueRules(), {"status_available": 2, "status_busy": 20}, {}, {})
    found = Snapshot(1, story_now, story_now, ("30m",), queues, (team,), health=Health(True, {0: 800}))
    if level is None:
        return found
    standing = Standing(level, story_now - 4000, 94.0, 60.0, 90.0)
    return replace(found, standings={Subject("oldest_wait", "Orders", "voice"): standing})


def shown(screen: Screen, of: Snapshot) -> str:
    """The panel as a terminal of 80 columns shows it."""
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    console.print(screen.panel(of))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def screen() -> Screen:
    """A screen over a story that began at the snapshot's time."""
    return Screen(Story(Centre.default(), 1.0, live_ms=int(time.time() * 1000)))


def test_the_panel_shows_each_queue_within_80_columns() -> None:
    """Waits as people write them, free agents of those there, free slots of chats; no level where nobody judges."""
    text = shown(screen(), snapshot())
    assert all(len(line) <= WIDTH for line in text.splitlines())
    orders = next(line for line in text.splitlines() if "Orders " in line)
    assert re.search(r"Orders +11 +1:34 +92 % +3\.4 % +0/22", orders)
    assert re.search(r"9 slots", text)
    assert "level" not in text
    assert "recount" not in text


@pytest.mark.parametrize(
    ("terminal", "term", "columns", "drawn"),
    [(True, "xterm", 80, True), (True, "xterm", 79, False), (True, "dumb", 120, False), (False, "xterm", 120, False)],
)
def test_the_panel_is_drawn_where_it_fits(terminal: bool, term: str, columns: int, drawn: bool) -> None:
    """On a narrower one the queues would lose their names; on one that cannot go back nothing would show before the end."""
    console = Console(file=io.StringIO(), force_terminal=terminal, width=columns, height=24, _environ={"TERM": term})
    assert can_draw(console) is drawn


def test_levels_have_a_cue_and_their_changes_are_told() -> None:
    """The level's column comes with the first judgement; a breach and its end are lines of what happened."""
    seen = screen()
    assert "■" not in shown(seen, snapshot(GOOD))
    assert "▲ WARN oldest" in shown(seen, snapshot(WARN))
    text = shown(seen, snapshot(BREACH))
    assert "■ BREACH oldest" in text
    assert "BREACH  Orders oldest wait 90 s" in text
    assert "good again: Orders oldest wait" in shown(seen, snapshot(GOOD))
    assert all(len(line) <= WIDTH for line in text.splitlines())


def test_the_recount_is_told_as_it_is() -> None:
    """Equal, or that it differs; nothing where none was made."""
    seen = screen()
    seen.verdict = Verdict(1000, 50, 0, START_MS)
    assert "equal to a batch recount at" in shown(seen, snapshot())
    assert last_line(seen.verdict) == "equal to a batch recount: 1,000 events, 50 cells of the interval tables"
    seen.verdict = Verdict(1000, 50, 2, START_MS)
    assert "DIFFERS" in shown(seen, snapshot())
    assert last_line(seen.verdict).startswith("DIFFERS from a batch recount")


def test_the_addresses_fit_into_80_columns() -> None:
    """Each line of what is printed first, with usual ports."""
    lines = list(intro("0.1.0", "127.0.0.1:33941", "http://127.0.0.1:9464/", "127.0.0.1:9465", Centre.default()))
    assert all(len(re.sub(r"\[/?\w*\]", "", line)) <= WIDTH for line in lines)


# ---- the whole of it


def start(*arguments: str, worker: str = "127.0.0.1:0") -> subprocess.Popen[str]:
    """Start a demo whose output is no terminal."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLOORPULSE_")}
    environment |= {"FLOORPULSE_WORKER__LISTEN": worker, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "streams.cli", "demo", *SMALL, *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_demo_ends_by_itself_with_a_recount_of_all_its_events() -> None:
    """Though another program holds the worker's usual port; every number equals the recount's."""
    pytest.importorskip("confluent_kafka", reason="the embedded broker comes with the extra demo")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        demo = start("--duration", "12s", worker=f"127.0.0.1:{taken.getsockname()[1]}")
        out, err = demo.communicate(timeout=100)
    assert (demo.returncode, err) == (0, "")
    assert re.search(r"^  wall +http://127\.0\.0\.1:\d+/$", out, flags=re.MULTILINE)
    assert re.search(r"^  history +last 90 min: [\d,]+ events sent in ", out, flags=re.MULTILINE)
    last = out.splitlines()[-1]
    assert re.fullmatch(r"equal to a batch recount: [\d,]+ events, [\d,]+ cells of the interval tables", last), out


def test_ctrl_c_ends_a_demo_at_any_time() -> None:
    """Here as soon as it has printed its addresses; without an error."""
    pytest.importorskip("confluent_kafka", reason="the embedded broker comes with the extra demo")
    demo = start()
    assert demo.stdout is not None
    while not demo.stdout.readline().startswith("  wall"):
        assert demo.poll() is None
    demo.send_signal(signal.SIGINT)
    _, err = demo.communicate(timeout=60)
    assert (demo.returncode, err) == (0, "")
