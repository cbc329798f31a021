"""What the wall-screens are told: entries, colours from standings, privacy; frames as patches; the hour of trend."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import ClientSession
from hypothesis import given
from hypothesis import strategies as st

from schemas.config import Config
from schemas.kpis import BY_ID
from schemas.rules import QueueRules, Rules
from sinks.board import Board
from sinks.feed import KEPT, SETTLE, Feed, Settled, difference, message, whole
from sinks.judge import Judge
from sinks.merge import Merge
from sinks.snapshot import Health, Snapshot, Snapshots
from sinks.standing import BREACH, GOOD, WARN, Standing, Subject
from sinks.trend import MAX_PLACES, SET_BACK_MS, STEP_MS, STEPS, Trends
from sinks.views import View
from sinks.wall import (
    FEWEST_STAFFED,
    GOALS,
    Contents,
    Entry,
    Key,
    Setting,
    Variant,
    contents,
    is_of_the_tile,
    ranks_of,
    shown_window,
)
from tests.bench.screens import run
from tests.builders import T0, Publisher, feed
from tests.unit.test_board import NOBODY, config, running, wall

VARIANT = Variant("5m")


def snapshot_of(*publishers: Publisher, standings: dict[Subject, Standing] | None = None, now: int = T0) -> Snapshot:
    """Return a snapshot of what publishers say, with standings as the board would judge them."""
    merge = Merge(Rules(live=True, agent_series=True))
    for publisher in publishers:
        feed(merge, publisher.again().flush(now))
    made = Snapshots(merge, [300_000, 1_800_000]).take(now, ready=True, readings_age_ms={0: 100})
    return Snapshot(**{**made.__dict__, "standings": standings or {}})


def queue(found: Contents, name: str = "orders", channel: str = "voice") -> dict[str, Any]:
    """Return the entry of a queue."""
    return found.many["queues"][name, channel]


def standing(level: int | None, value: float, window: str = "", n: int = 0) -> Standing:
    """Return a judgement."""
    return Standing(level, T0 - 5000, value, 60, 90, window, n)


def test_an_entry_does_not_change_by_time_alone() -> None:
    """A queue in which somebody waits is the same a second later: the screen counts on from the instant of entry."""
    worker = Publisher().now("queue", "orders", "voice", waiting=2, oldest_entered_at=T0 - 30_000)
    before = snapshot_of(worker, standings={Subject("oldest_wait", "orders", "voice"): standing(WARN, 61.0)})
    after = snapshot_of(worker, standings={Subject("oldest_wait", "orders", "voice"): standing(WARN, 62.0)}, now=T0 + 1000)
    first, second = (contents(each, VARIANT, Setting()) for each in (before, after))
    assert queue(first)["oldest"] == T0 - 30_000
    assert queue(first) == queue(second)


def test_colours_come_from_standings_alone() -> None:
    """The worst of a queue's indicators; those of quality colour their own page; too few facts are no level."""
    worker = Publisher().count("orders", T0, answered=30).now("queue", "orders", "voice", waiting=900, oldest_entered_at=1)
    assert queue(contents(snapshot_of(worker), VARIANT, Setting()))["level"] is None
    judged = {
        Subject("oldest_wait", "orders", "voice"): standing(GOOD, 3.0),
        Subject("abandonment", "orders", "voice"): standing(None, 0.5, "5m", 3),
        Subject("satisfaction", "orders", "voice"): standing(BREACH, 0.5, "today", 60),
        Subject("service_level", "orders", "voice"): standing(WARN, 0.78123456, "5m", 40),
    }
    found = queue(contents(snapshot_of(worker, standings=judged), VARIANT, Setting()))
    assert found["level"] == WARN
    shown = found["standings"]["service_level"]
    assert (shown["level"], shown["value"], shown["n"], shown["since"]) == (WARN, 0.78123, 40, T0 - 5000)
    assert "value" not in found["standings"]["oldest_wait"]
    assert "quiet" not in shown
    judged = {subject: replace(standing, quiet=True) for subject, standing in judged.items()}
    found = queue(contents(snapshot_of(worker, standings=judged), VARIANT, Setting()))
    assert found["standings"]["service_level"]["quiet"] is True
    assert not is_of_the_tile("satisfaction")


@pytest.mark.parametrize("channel", [None, "voice"])
def test_slots_of_a_queue_colour_each_of_its_channels(channel: str | None) -> None:
    """They are judged once for the whole queue; what is judged of one channel stays there, and screen and alerts agree."""
    queues = {} if channel is None else {"queues": {"orders": {"channel": channel}}}
    config = Config.model_validate({"thresholds": {"kpis": {"slots_free": {"breach": 2}}}, **queues})
    worker = Publisher().now("slots", "orders", capacity=4, slots_used=4, slots_free=0)
    worker.now("queue", "orders", "voice", waiting=1, oldest_entered_at=T0 - 65_000)
    worker.now("queue", "orders", "chat", waiting=1, oldest_entered_at=T0 - 1000).now("queue", "returns", "chat", waiting=1)
    configured = [(name, each.channel or "") for name, each in config.queues.items()]
    made = Snapshots(feed(Merge(config.rules()), worker.flush(T0)), (900_000, 1_800_000, 3_600_000), configured)
    taken = made.take(T0, ready=True, readings_age_ms={0: 100})
    standings = Judge(config).standings(taken)
    assert [(subject.queue, subject.channel) for subject, each in standings.items() if each.level == BREACH] == [
        ("orders", channel or "any"),
    ]  # fmt: skip
    found = contents(replace(taken, standings=standings), VARIANT, Setting())
    assert {key: entry["level"] for key, entry in found.many["queues"].items()} == {
        ("orders", "voice"): BREACH, ("orders", "chat"): BREACH, ("returns", "chat"): GOOD,
    }  # fmt: skip
    waits = {key: entry["standings"]["oldest_wait"]["level"] for key, entry in found.many["queues"].items()}
    assert waits == {("orders", "voice"): WARN, ("orders", "chat"): GOOD, ("returns", "chat"): GOOD}
    assert "slots_free" not in queue(found, "returns", "chat")["standings"]


def test_the_page_of_quality_names_who_falls_short() -> None:
    """The worst first; goals are the thresholds' where they agree, else the catalogue's."""
    worker = Publisher().count("orders", T0, rated=10, rated_score_e6=9_500_000, surveys_sent=40)
    judged = {
        Subject("satisfaction", "orders", "voice"): Standing(WARN, T0, 0.95, 0.96, 0.9, "today", 10),
        Subject("satisfaction", "returns", "voice"): Standing(BREACH, T0, 0.85, 0.96, 0.9, "today", 10),
        Subject("survey_response", "orders", "voice"): Standing(GOOD, T0, 0.6, 0.4, None, "today", 10),
        Subject("survey_response", "returns", "voice"): Standing(GOOD, T0, 0.6, 0.3, None, "today", 10),
    }
    found = contents(snapshot_of(worker, standings=judged), VARIANT, Setting()).single["quality"]
    assert found is not None
    assert found["satisfaction"]["today"] == (9.5, 10)
    assert [(bad["queue"], bad["level"]) for bad in found["bad"]["satisfaction"]] == [("returns", BREACH), ("orders", WARN)]
    assert found["goals"] == {**GOALS, "satisfaction": 0.96}


@pytest.mark.parametrize("kpi", list(GOALS))
def test_goals_are_the_catalogues(kpi: str) -> None:
    """The number stands in the catalogue's target."""
    assert f">= {GOALS[kpi]:.2f}" in BY_ID[kpi].target


def test_a_group_of_few_shows_no_occupancy() -> None:
    """Neither the number nor how it stands: it would be that of a person."""
    worker = Publisher()
    for name, staffed in (("few", FEWEST_STAFFED - 1), ("some", FEWEST_STAFFED)):
        worker.now("group", name, status_available=staffed, available_idle=1, in_hand=staffed - 1)
    judged = {Subject("occupancy", group=name): Standing(BREACH, T0, 0.95, 0.85, 0.9, "5m", 900) for name in ("few", "some")}
    groups = contents(snapshot_of(worker, standings=judged), VARIANT, Setting()).many["groups"]
    few, some = groups["few",], groups["some",]
    assert (few["occupancy"], few["level"], few["standings"]) == (None, None, {})
    assert (some["level"], some["free"], some["in_session"], some["staffed"]) == (BREACH, 1, 2, 3)


@pytest.mark.parametrize(("allowed", "asked"), [(True, True), (True, False), (False, True), (False, False)])
def test_agents_are_told_only_where_both_want_it(*, allowed: bool, asked: bool) -> None:
    """The settings and the screen."""
    worker = Publisher().now("agent", "an-agent", status_available=1, sessions_in_hand=2)
    found = contents(snapshot_of(worker), Variant("5m", asked), Setting(agents=allowed))
    assert found.single["head"] is not None
    assert found.single["head"]["agents_allowed"] is allowed
    agents = [{"agent": "an-agent", "status": "available", "sessions": 2}] if allowed and asked else []
    assert list(found.many["agents"].values()) == agents
    assert ("an-agent" in json.dumps(whole(found))) is bool(agents)


def test_order_and_kind_of_channel_are_told() -> None:
    """The configuration's order; channels without speech show first responses; a window that there is not is replaced."""
    worker = Publisher().count("orders", T0, "chat", offered=1).count("orders", T0, "voice", offered=1)
    worker.count("other", T0, "voice", offered=1)
    setting = Setting(ranks=ranks_of([("returns", ""), ("orders", ""), ("orders", "chat")]))
    queues = contents(snapshot_of(worker), VARIANT, setting).many["queues"]
    assert [(each["rank"], each["text"]) for each in queues.values()] == [(2, True), (1, False), (None, False)]
    assert shown_window(("5m", "30m"), "5m") == "5m"
    assert shown_window(("5m", "30m"), "7m") == "30m"
    assert shown_window(("5m", "today")) == "5m"
    assert shown_window(()) == "30m"


def frame(entries: dict[str, int]) -> Contents:
    """Return a frame in which queue n has so many waiting."""
    queues: dict[Key, Entry] = {
        (name, "voice"): {"queue": name, "channel": "voice", "waiting": n} for name, n in entries.items()
    }
    return Contents({"head": {"build": "x"}, "floor": {"waiting": sum(entries.values())}}, {"queues": queues})


def taken(body: dict[str, Any], queues: dict[tuple[str, ...], Any]) -> dict[tuple[str, ...], Any]:
    """Take a message as a screen does."""
    queues = {**queues, **{(each["queue"], each["channel"]): each for each in body.get("queues", [])}}
    for key in body.get("gone", {}).get("queues", []):
        del queues[tuple(key)]
    return queues


frames = st.lists(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 3)), min_size=1, max_size=12)


@given(frames)
def test_patches_lead_to_what_the_whole_says(run: list[dict[str, int]]) -> None:
    """Whatever comes and goes; and where nothing differs there is nothing to send."""
    before = Contents()
    queues: dict[Key, Entry] = {}
    for entries in run:
        found = frame(entries)
        body = difference(before, found)
        queues = taken(body, queues)
        assert queues == found.many["queues"]
        assert bool(body) is (before.many.get("queues") != found.many["queues"] or before.single != found.single)
        before = found


def fed(counts: list[int]) -> Feed:
    """Return a feed whose one queue had these numbers waiting."""
    found = Feed()
    for n in counts:
        made = found.next(frame({"orders": n, **{f"q{i}": 1 for i in range(200)}}), {"now": n}, "boot")
        if made is not None:
            found.put(made)
    return found


def bodies(data: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Return the messages in what a screen is sent: (event, body)."""
    messages = [part.split(b"\n") for part in data.split(b"\n\n") if part]
    return [(lines[1][7:].decode(), json.loads(lines[2][6:])) for lines in messages]


async def test_who_lags_gets_patches_and_who_lags_far_the_whole() -> None:
    """One behind: one patch; a few behind: the patches since; too far, or from nowhere: everything."""
    found = fed(list(range(KEPT + 20)))
    last = found.number
    for behind in (1, 2, 5, KEPT):
        sent = bodies(found.since(last - behind))
        assert [event for event, _ in sent] == ["patch"] * behind
        assert [body["queues"][0]["waiting"] for _, body in sent] == list(range(last - behind, last))
    for number in (0, last - KEPT - 1, last + 1, -5):
        ((event, body),) = bodies(found.since(number))
        assert (event, len(body["queues"])) == ("snapshot", 201)
    assert found.since(last) == b""


async def test_what_does_not_differ_makes_no_frame() -> None:
    """The number stays, nobody is sent anything; a patch that would be larger than the whole gives way to it."""
    assert fed([3, 3, 3]).number == 1
    found = Feed()
    for more in range(KEPT):
        made = found.next(frame({f"q{i}": more + i for i in range(200)}), {}, "boot")
        assert made is not None
        found.put(made)
    assert [event for event, _ in bodies(found.since(1))] == ["snapshot"]


def test_a_message_is_three_lines_whatever_is_in_it() -> None:
    """No name can begin a line of its own."""
    sent = message("boot", 7, "patch", {"name": "x\ndata: y\r\n\n<script>"})
    assert sent.count(b"\n") == 4
    assert sent.startswith(b"id: boot-7\nevent: patch\ndata: ")
    assert b"<" not in sent


def test_a_queue_appears_once_it_is_there_to_stay() -> None:
    """Of the first frame all do, later ones after three frames."""
    settled = Settled()
    first: dict[Key, Entry] = {("a", "voice"): {}}
    assert settled.only({}) == {}
    assert settled.only(first) == first
    both = {**first, ("b", "unassigned"): {}}
    assert [len(settled.only(both)) for _ in range(SETTLE)] == [1] * (SETTLE - 1) + [2]
    assert settled.only(first) == first


async def _events(client: ClientSession, path: str, n: int, last_id: str | None = None) -> list[tuple[str, str, dict[str, Any]]]:
    """Return the next messages of a stream: id, event, body."""
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    found: list[tuple[str, str, dict[str, Any]]] = []
    async with client.get(path, headers=headers) as answer, asyncio.timeout(20):
        assert answer.status == 200
        now = {"id": "", "event": ""}
        async for line in answer.content:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name in now:
                now[name] = value
            elif name == "data":
                found.append((now["id"], now["event"], json.loads(value)))
            if len(found) == n:
                break
    return found


async def put(board: Board, worker: Publisher) -> None:
    """Feed a board from memory."""
    records = worker.flush(wall())
    await board.alone(lambda: feed(board.merge, records))
    board._reader.ready = True
    await board.next_snapshot(board.snapshot.number + 1)


async def test_a_screen_that_comes_back_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """By Last-Event-ID: nothing new is a beat, something new a patch; another board's id gets everything."""
    monkeypatch.setattr("sinks.feed.FRAME_S", 0.05)
    async with running(config(), NOBODY) as (board, client):
        worker = Publisher().count("orders", wall(), offered=1)
        for number in range(100):
            worker.count(f"other {number}", wall(), offered=1)
        await put(board, worker)
        ((last, event, body),) = await _events(client, "/api/v1/stream", 1)
        assert (event, body["head"]["window"], len(body["queues"])) == ("snapshot", "30m", 101)
        ((_, event, body),) = await _events(client, "/api/v1/stream", 1, last)
        assert (event, set(body)) == ("beat", {"clock"})
        await put(board, worker.now("queue", "orders", "voice", waiting=1))
        ((later, event, body),) = await _events(client, "/api/v1/stream", 1, last)
        while event == "beat":
            ((later, event, body),) = await _events(client, "/api/v1/stream", 1, last)
        assert (event, [each["queue"] for each in body["queues"]]) == ("patch", ["orders"])
        assert later != last
        for foreign in ("00000000-3", "nonsense", last.partition("-")[0] + "-999999", last.partition("-")[0] + "--1"):
            ((_, event, _),) = await _events(client, "/api/v1/stream", 1, foreign)
            assert event == "snapshot"


async def test_each_window_is_a_feed_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What there is not becomes the default, which the head tells; unknown parameters are 400."""
    monkeypatch.setattr("sinks.feed.FRAME_S", 0.05)
    async with running(config(), NOBODY) as (board, client):
        worker = Publisher().count("orders", wall() - 600_000, answered=4, answered_within=3).count("orders", wall(), answered=1)
        await put(board, worker)
        found = {}
        for window in ("5m", "30m", "today", "9m"):
            ((_, _, body),) = await _events(client, f"/api/v1/stream?window={window}", 1)
            (orders,) = [each for each in body["queues"] if each["channel"] == "voice"]
            found[window] = body["head"]["window"], orders["service_level"]
        assert found["5m"] == ("5m", [0, 1])
        assert found["30m"] == ("30m", [3, 5]) == found["9m"]
        async with client.get("/api/v1/stream?windwo=5m") as answer:
            assert (answer.status, await answer.text()) == (400, "unknown parameter 'windwo'; known are names, window\n")


async def test_a_silent_board_still_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the ages as they are now, also when no snapshot comes any more."""
    monkeypatch.setattr("sinks.feed.FRAME_S", 0.05)
    monkeypatch.setattr("sinks.feed.BEAT_S", 0.3)
    async with running(config(), NOBODY) as (board, client):
        await put(board, Publisher().count("orders", wall(), offered=1))
        board._reader._heard[0] = asyncio.get_running_loop().time()
        await board.next_snapshot(board.snapshot.number)
        monkeypatch.setattr(board, "_take", lambda: (_ for _ in ()).throw(RuntimeError("broken")))
        heard = await _events(client, "/api/v1/stream", 5)
        beats = [body["clock"] for _, event, body in heard if event == "beat"]
        ages = [clock["readings_age_ms"] for clock in beats]
        assert len(ages) >= 3
        assert all(later - before > 200 for before, later in pairwise(ages))
        assert all(later["now"] > before["now"] for before, later in pairwise(beats))


def view(name: str, waiting: int, oldest: int | None) -> View:
    """Return a queue in which somebody waits."""
    now = {"waiting": waiting} | ({} if oldest is None else {"oldest_entered_at": oldest})
    return View(name, "voice", QueueRules(), now, {}, {"offered": 1})


def at(now: int, *views: View) -> Snapshot:
    """Return a snapshot of an instant."""
    return Snapshot(1, now, now, queues=views, health=Health(ready=True))


def test_a_trend_keeps_the_highest_of_each_step_for_an_hour() -> None:
    """Against a naive recount, with gaps."""
    trends, chance, now = Trends(), random.Random(6), T0
    told: dict[int, tuple[int, int]] = {}
    for _ in range(3000):
        now += chance.choice((500, 500, 500, 4000, 30_000))
        waiting, wait = chance.randrange(9), chance.randrange(200)
        trends.take(at(now, view("orders", waiting, now - 1000 * wait)))
        step = now // STEP_MS
        highest = told.get(step, (0, 0))
        told[step] = max(highest[0], wait), max(highest[1], waiting)
    body = trends.of("orders", "voice")
    first = now // STEP_MS - STEPS + 1
    assert body["start_ms"] == first * STEP_MS
    wanted = [told.get(step, (None, None)) for step in range(first, first + STEPS)]
    assert list(zip(body["oldest_wait_s"], body["waiting"], strict=True)) == wanted


def test_a_trend_begins_anew_when_the_clock_jumps() -> None:
    """Back, or by more than it holds; nobody waiting is 0, not unknown; places are bounded."""
    trends = Trends()
    for now in (T0, T0 - 60_000, T0 + 3 * STEPS * STEP_MS):
        trends.take(at(now, view("orders", 0, None)))
        body = trends.of("orders", "voice")
        assert [wait for wait in body["oldest_wait_s"] if wait is not None] == [0]
    trends.take(at(now, *(view(f"q{number}", 1, now) for number in range(MAX_PLACES))))
    assert trends.of(f"q{MAX_PLACES - 1}", "voice")["oldest_wait_s"] == []
    assert trends.of("q5", "voice")["oldest_wait_s"][-1] == 0


def test_a_trend_outlasts_a_clock_that_is_set_back_a_little() -> None:
    """By less than 60 s, over any number of steps: the hour stays, and the highest of meanwhile counts for the present step."""
    trends = Trends()
    for step in range(STEPS):
        trends.take(at(T0 + step * STEP_MS, view("orders", 3, None)))
    last = T0 + (STEPS - 1) * STEP_MS
    for back, waiting in ((200, 4), (SET_BACK_MS - 1, 5), (500, 4)):
        trends.take(at(last - back, view("orders", waiting, None)))
    body = trends.of("orders", "voice")
    assert (body["start_ms"], body["waiting"]) == (T0, [3] * (STEPS - 1) + [5])
    trends.take(at(last + STEP_MS, view("orders", 6, None)))
    assert trends.of("orders", "voice")["waiting"] == [3] * (STEPS - 2) + [5, 6]
    trends.take(at(last + STEP_MS - SET_BACK_MS, view("orders", 7, None)))
    assert trends.of("orders", "voice")["waiting"] == [None] * (STEPS - 1) + [7]


async def test_a_trend_over_http() -> None:
    """One queue's hour; 404 with the nearest name, 400 where a channel must be given, 503 while it is read."""
    async with running(config(), NOBODY) as (board, client):
        async with client.get("/api/v1/trend?queue=orders") as answer:
            assert answer.status == 503
        worker = Publisher().now("queue", "orders", "voice", waiting=3, oldest_entered_at=wall() - 9000)
        await put(board, worker.count("returns", wall(), "chat", offered=1).count("returns", wall(), "voice", offered=1))
        async with client.get("/api/v1/trend?queue=orders") as answer:
            body = await answer.json()
        assert (body["channel"], body["step_s"], body["waiting"][-1]) == ("voice", 10, 3)
        assert body["oldest_wait_s"][-1] in (9, 10, 11)
        for query, status, said in (
            ("queue=order", 404, "unknown queue 'order': the nearest is 'orders'"),
            ("queue=orders&channel=fax", 404, "unknown channel 'fax'"),
            ("queue=returns", 400, "queue 'returns' has 2 channels: give channel"),
            ("", 400, "queue is missing"),
            ("quue=orders", 400, "unknown parameter 'quue'"),
        ):
            async with client.get(f"/api/v1/trend?{query}") as answer:
                assert answer.status == status
                assert said in await answer.text()


@pytest.mark.alone
def test_many_screens_cost_little() -> None:
    """As `python -m tests.bench --only screens`, smaller: each gets a message a second, the board hardly notices."""
    figures = run(screens=200, queues=5, seconds=3)
    assert figures["200 screens: kB a second and screen"] > 0.5
    assert figures["200 screens: between messages p99, s"] < 4
    assert figures["200 screens: board, share of a core"] < 0.3
    assert figures["200 screens: board peak MB"] < figures["0 screens: board peak MB"] + 30
