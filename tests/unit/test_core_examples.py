"""Worked examples, computed by hand in the comments: real bytes through the driver, read as a board reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from schemas.codec import encode_json
from schemas.columns import Span
from schemas.events import INPUT_TOPICS
from schemas.instants import parse_instant
from schemas.kpis import BY_ID, SERVICE_LEVELS, value_of
from schemas.readings import encode_key, encode_value
from schemas.rules import DAY_MS, HOUR_MS, QueueRules, Rules
from schemas.sketch import answer_of, bucket_of
from sinks.cells import Place
from sinks.merge import OLDEST, Merge
from sinks.snapshot import Snapshot, Snapshots, View
from sinks.table import By, Choice, interval_table
from sinks.windows import TODAY
from streams.core.driver import Driver, record_of
from streams.core.floor import Floor
from tests import centres
from tests.builders import T0, feed

Event = dict[str, Any]
LIVE: Final = Rules(live=True)
WINDOWS_MS: Final = (300_000, 3_600_000)


def ev(type_: str, at_s: float, **fields: Any) -> Event:
    """Return an event so many seconds after T0, with an id of its own."""
    at = T0 + round(at_s * 1000)
    about = fields.get("session_id") or fields.get("agent_id") or fields.get("complaint_id") or fields.get("queue", "")
    return {"id": f"{type_}-{about}-{at}", "type": type_, "at": at, **fields}


def waits(
    session: str, from_s: float, to_s: float, outcome: str = "answered", queue: str = "q", channel: str = "voice"
) -> list[Event]:
    """Return one wait of a session: entered and left."""
    entered = ev("queue.entered", from_s, session_id=session, queue=queue, channel=channel)
    return [entered, ev("queue.left", to_s, session_id=session, queue=queue, outcome=outcome)]


def served(session: str, agent: str, from_s: float, to_s: float) -> list[Event]:
    """Return a session's service by one agent: connected and ended."""
    connected = ev("session.connected", from_s, session_id=session, agent_id=agent)
    return [connected, ev("session.ended", to_s, session_id=session, ended_by="customer")]


def is_now(agent: str, at_s: float, status: str = "available", **fields: Any) -> Event:
    """Return an agent's status."""
    return ev("agent.status", at_s, agent_id=agent, status=status, **fields)


class Stage:
    """Partitions with the relay between them, and a board that reads what they publish."""

    def __init__(self, rules: Rules | None = None, partitions: int = 3) -> None:
        self.rules = rules or Rules()
        self.driver = Driver(partitions, self.rules)
        self.merge = Merge(self.rules)
        self.snapshots = Snapshots(self.merge, WINDOWS_MS)
        self.rest: list[Event] = []
        self._seq = 0

    def tell(self, *events: Event, now_s: float = 0) -> Stage:
        """Deliver events in this order, flush until nothing is relayed any more, and let the board read."""
        now = T0 + round(now_s * 1000)
        self.driver.apply([record_of(event, encode_json(event)) for event in events], now)
        while self.driver.flush(now, INPUT_TOPICS):
            pass
        return self._published()

    def until(self, at_s: float) -> Stage:
        """End the input at an instant."""
        self.driver.finish(T0 + round(at_s * 1000))
        return self._published()

    def _published(self) -> Stage:
        self._seq += 1
        feed(self.merge, [(encode_key(key), encode_value(body, 1, self._seq)) for key, body in self.driver.take()])
        return self

    def board(self, at_s: float = 0) -> Snapshot:
        """Return what a board shows; the instant matters in live mode only."""
        return self.snapshots.take(T0 + round(at_s * 1000), ready=True, readings_age_ms={})

    def queue(self, name: str = "q", channel: str = "voice", at_s: float = 0) -> View:
        """Return one queue as the board shows it."""
        return next(view for view in self.board(at_s).queues if (view.name, view.channel) == (name, channel))

    def group(self, name: str = "all", at_s: float = 0) -> View:
        """Return one group as the board shows it."""
        return next(view for view in self.board(at_s).groups if view.name == name)

    def rows(self, by: By = "queue", interval_ms: int = 900_000, zone: str | None = None) -> list[dict[str, Any]]:
        """Return the rows of the interval table, column → value."""
        now = max(self.merge.newest() or 0, self.merge.watermark() or 0)
        table = interval_table(self.merge, now, Choice(interval_ms, by, zone))
        return [dict(zip(table.header, values, strict=True)) for values in table.values()]

    def row(self, queue: str = "q") -> dict[str, Any]:
        """Return the only row of a queue."""
        (row,) = [row for row in self.rows() if row["queue"] == queue]
        return row

    def counter(self, name: str) -> int:
        """Return one of the workers' counters."""
        return self.merge.counters().get(name, 0)

    def outcomes(self) -> dict[str, int]:
        """Return events by outcome, over all topics."""
        total: dict[str, int] = {}
        for outcomes in self.merge.events().values():
            for outcome, count in outcomes.items():
                total[outcome] = total.get(outcome, 0) + count
        return {outcome: count for outcome, count in total.items() if count}


def some(parts: Mapping[str, int], *names: str) -> dict[str, int]:
    """Return some of the parts; a part that is not there is 0."""
    return {name: parts.get(name, 0) for name in names}


def kpi(view: View, name: str, window: str) -> float | int | None:
    """Return an indicator of a view over a window."""
    terms = BY_ID[name].terms
    assert terms is not None
    return value_of(BY_ID[name], terms(view.rules), view.windows[window])


# ---- a queue that empties


def test_gauges_of_a_queue_while_two_wait() -> None:
    """Entered at 0 and 10 s, now 70 s: both wait, the oldest since 70 s; only that one waits longer than 60 s."""
    stage = Stage(LIVE)
    for session, at in (("a", 0), ("b", 10)):
        stage.tell(waits(session, at, 99)[0], now_s=at)
    stage.tell(now_s=70)
    now = stage.queue(at_s=70).now
    assert some(now, "waiting", "waiting_late", OLDEST) == {"waiting": 2, "waiting_late": 1, OLDEST: T0}
    assert now["waiting_past_answer"] == 2


def test_a_queue_that_empties_shows_nobody() -> None:
    """One answered after 75 s, one gone after 70 s: waiting and late fall back to 0, the oldest wait is absent."""
    stage = Stage(LIVE).tell(waits("a", 0, 99)[0], waits("b", 10, 99)[0], now_s=70)
    stage.tell(waits("a", 0, 75)[1], waits("b", 10, 80, "abandoned")[1], now_s=80)
    view = stage.queue(at_s=80)
    assert some(view.now, "waiting", "waiting_late", "waiting_past_answer") == {
        "waiting": 0,
        "waiting_late": 0,
        "waiting_past_answer": 0,
    }
    assert OLDEST not in view.now
    # offered 2, answered 1 of 1 + 1: none within 20 s
    assert some(view.windows["5m"], "offered", "answered", "abandoned", "left_late") == {
        "offered": 2,
        "answered": 1,
        "abandoned": 1,
        "left_late": 2,
    }
    assert kpi(view, "service_level", "5m") == 0
    assert kpi(view, "queue_time", "5m") == 72.5  # (75 + 70) / 2


def test_who_left_falls_out_of_the_window_and_stays_in_today() -> None:
    """Answered at 75 s; from 370 s on the last five minutes' slices begin at 80 s."""
    stage = Stage(LIVE).tell(*waits("a", 0, 75), now_s=80)
    assert stage.queue(at_s=369.999).windows["5m"]["answered"] == 1
    view = stage.queue(at_s=370)
    assert view.windows["5m"] == {}
    assert kpi(view, "service_level", "5m") is None
    assert view.windows["60m"]["answered"] == view.windows[TODAY]["answered"] == 1


def test_a_connect_takes_out_of_waiting_without_a_leaving() -> None:
    """The leaving is not known yet: nobody waits any more, nobody has left."""
    stage = Stage(LIVE).tell(waits("a", 0, 9)[0], now_s=5)
    assert stage.queue(at_s=5).now["waiting"] == 1
    stage.tell(ev("session.connected", 9, session_id="a", agent_id="x"), now_s=9)
    view = stage.queue(at_s=9)
    assert some(view.now, "waiting", "active_sessions") == {"waiting": 0, "active_sessions": 1}
    assert view.windows["5m"].get("left", 0) == 0


def test_the_expected_wait_of_a_queue() -> None:
    """Three answered in 15 min, two wait, no slot free: (2 + 1) x 900 / 3 = 900 s."""
    stage = Stage(LIVE)
    for n in range(3):
        stage.tell(*waits(f"a{n}", n, n + 1), now_s=n + 1)
    stage.tell(*(waits(f"w{n}", 5, 99)[0] for n in range(2)), now_s=5)
    assert stage.queue(at_s=5).expected_wait_s == 900
    stage.tell(is_now("x", 6, queues=["q"]), now_s=6)
    assert stage.queue(at_s=6).expected_wait_s == 0


def test_those_who_wait_past_the_threshold_count_against_the_level_where_wanted() -> None:
    """One answered in time, one still waits after 21 s: 1 / 1, or 1 / 2 with `count_waiting_late`; the table has it never."""
    for counts, level in ((False, 1), (True, 0.5)):
        rules = Rules(live=True, queue_default=QueueRules(count_waiting_late=counts))
        stage = Stage(rules).tell(*waits("a", 0, 5), waits("b", 1, 99)[0], now_s=22)
        view = stage.queue(at_s=22)
        assert kpi(view, "service_level", "5m") == level
        assert stage.row()["service_level"] == 1


# ---- an agent who goes offline


def test_an_agent_who_goes_offline_is_counted_until_then() -> None:
    """Available 0..600, busy ..720, offline from then on, now 900 s: 720 s online, 600 of them available."""
    stage = Stage().tell(is_now("x", 0, groups=["north"]), is_now("x", 600, "busy"), is_now("x", 720, "offline"))
    stage.until(900)
    (row,) = [row for row in stage.rows("group") if row["group"] == "north"]
    assert row["online_s"] == row["online_time"] == 720
    assert row["available_idle_s"] == 600
    assert row["work_rate"] == row["status_share_available"] == round(600 / 720, 6)
    assert row["status_share_busy"] == round(120 / 720, 6)


def test_an_offline_agent_is_counted_as_offline_and_serves_nothing() -> None:
    """Gauges: one agent offline, none staffed, no capacity; on the floor as in the group and in the queue."""
    stage = Stage(LIVE).tell(is_now("x", 0, groups=["north"], queues=["q"], capacity=3), now_s=1)
    assert some(stage.group("north", 1).now, "status_available", "capacity", "slots_free") == {
        "status_available": 1,
        "capacity": 3,
        "slots_free": 3,
    }
    stage.tell(is_now("x", 10, "offline"), now_s=10)
    for view in (stage.group("north", 10), stage.group("all", 10)):
        now = {name: value for name, value in view.now.items() if value and name != "roster_since"}
        assert now == {"status_offline": 1, "roster": 1}
        assert view.staffed == 0
    (slots,) = stage.board(10).slots
    assert not any(slots.now.values())


def test_an_agent_who_is_gone_for_good_is_not_counted_at_all() -> None:
    """`agent.left` ends the status as if offline, and takes the agent out of `agents{status}`."""
    stage = Stage(LIVE).tell(is_now("x", 0, groups=["north"]), ev("agent.left", 10, agent_id="x"), now_s=10)
    assert not any(stage.group("north", 10).now.values())
    assert stage.group("north", 10).windows["5m"]["online_ms"] == 10_000


def test_time_in_hand_goes_on_while_offline_and_online_time_does_not() -> None:
    """Connected at 100 s, offline at 200 s, ended at 500 s: in hand 400 s, online 200 s."""
    stage = Stage().tell(is_now("x", 0), *served("s", "x", 100, 500), is_now("x", 200, "offline")).until(600)
    (row,) = [row for row in stage.rows("group") if row["group"] == "all"]
    assert (row["in_hand_s"], row["online_s"], row["available_idle_s"]) == (400, 200, 100)
    assert row["occupancy"] == 0.8  # 400 / (400 + 100)


# ---- midnight and the clock's shifts


def test_today_begins_at_midnight_in_the_queues_zone() -> None:
    """Kathmandu is 05:45 ahead: its day begins at 18:15 UTC, the one of the UTC queue at 00:00."""
    midnight_s = (parse_instant("2026-11-21T18:15:00Z") - T0) / 1000
    rules = Rules(queues={"k": {"zone": "Asia/Kathmandu"}})
    stage = Stage(rules)
    for queue in ("k", "u"):
        stage.tell(*waits(f"{queue}1", midnight_s - 9, midnight_s - 0.001, queue=queue))
        stage.tell(*waits(f"{queue}2", midnight_s - 8, midnight_s, queue=queue))
    stage.until(midnight_s + 60)
    assert stage.queue("k").windows[TODAY]["answered"] == 1
    assert stage.queue("u").windows[TODAY]["answered"] == 2
    assert "offered" not in stage.queue("k").windows[TODAY]  # both entered before midnight
    assert stage.queue("k").windows["5m"]["answered"] == 2


def test_todays_agent_time_begins_at_midnight_of_the_floors_zone() -> None:
    """Online since two hours before midnight in Shanghai (16:00 UTC); a quarter past it is 900 s of today."""
    midnight_s = (parse_instant("2026-11-21T16:00:00Z") - T0) / 1000
    stage = Stage(Rules(zone="Asia/Shanghai")).tell(is_now("x", 0)).until(midnight_s + 900)
    assert stage.group().windows[TODAY]["online_ms"] == 900_000
    assert stage.group().windows["60m"]["online_ms"] == 3_600_000 - 10_000  # the open slice has only begun
    stage = Stage().tell(is_now("x", 0)).until(midnight_s + 900)
    assert stage.group().windows[TODAY]["online_ms"] == (midnight_s + 900) * 1000


SHIFTED_DAYS: Final = [("2026-03-29T00:00:00+01:00", 23), ("2026-10-25T00:00:00+02:00", 25), ("2026-11-21T00:00:00+01:00", 24)]
each_day = pytest.mark.parametrize(("midnight", "hours"), SHIFTED_DAYS, ids=["spring", "autumn", "ordinary"])


def a_day(midnight: str, hours: int) -> Stage:
    """Return Berlin's local day with one answered wait in each quarter-hour, and an agent online; `rest` is of the next day."""
    start_s = (parse_instant(midnight) - T0) / 1000
    stage = Stage(Rules(zone="Europe/Berlin", session_horizon_ms=3 * DAY_MS))
    events = [is_now("x", start_s - 3600)]
    for quarter in range(-4, hours * 4 + 4):
        events += waits(f"s{quarter}", start_s + quarter * 900, start_s + quarter * 900 + 5)
    stage.tell(*(event for event in events if event["at"] < T0 + (start_s + hours * 3600) * 1000))
    stage.rest = [event for event in events if event["at"] >= T0 + (start_s + hours * 3600) * 1000]
    return stage


@each_day
def test_today_is_as_long_as_the_day(midnight: str, hours: int) -> None:
    """Just before the next midnight: one wait per quarter-hour of 23, 24 or 25 h, the agent online for as long."""
    stage = a_day(midnight, hours)
    end_s = (parse_instant(midnight) - T0) / 1000 + hours * 3600
    stage.until(end_s - 0.001)
    assert stage.queue().windows[TODAY]["answered"] == 4 * hours
    assert stage.group().windows[TODAY]["online_ms"] == hours * HOUR_MS - 1


@each_day
def test_the_next_day_begins_at_its_midnight(midnight: str, hours: int) -> None:
    """At that very instant today holds nothing of the day before."""
    stage = a_day(midnight, hours)
    end_s = (parse_instant(midnight) - T0) / 1000 + hours * 3600
    stage.until(end_s)
    assert stage.queue().windows[TODAY] == {}
    assert "online_ms" not in stage.group().windows[TODAY]


@each_day
def test_the_interval_table_of_a_shifted_day(midnight: str, hours: int) -> None:
    """23, 24 or 25 rows of an hour with four waits each and 3600 s online, no two with the same start."""
    stage = a_day(midnight, hours)
    stage.tell(*stage.rest)
    stage.until((parse_instant(midnight) - T0) / 1000 + hours * 3600 + 3600)
    day = midnight[:10]
    queues = [row for row in stage.rows("queue", HOUR_MS) if row["interval_start"].startswith(day)]
    assert len({row["interval_start"] for row in queues}) == len(queues) == hours
    assert {row["answered"] for row in queues} == {4}
    floor = [row for row in stage.rows("group", HOUR_MS) if row["interval_start"].startswith(day) and row["group"] == "all"]
    assert len(floor) == hours
    assert {row["online_s"] for row in floor} == {3600}


# ---- a session that waits in three queues


def three_queues() -> list[Event]:
    """Return a session that overflows from a to b, is answered there, is handed on to c and ends there."""
    return [
        ev("session.started", 0, session_id="s", channel="voice", queue="a"),
        *waits("s", 0, 30, "overflowed", "a"),
        *waits("s", 30, 70, "answered", "b"),
        ev("session.connected", 71, session_id="s", agent_id="x"),
        ev("session.transferred", 100, session_id="s", from_agent="x", to_queue="c", kind="warm"),
        *waits("s", 100, 130, "answered", "c"),
        ev("session.connected", 132, session_id="s", agent_id="y"),
        ev("session.ended", 200, session_id="s", ended_by="customer", resolved=True),
    ]


def test_each_queue_counts_its_own_stay() -> None:
    """Waits of 30, 40 and 30 s, one per queue."""
    stage = Stage().tell(*three_queues()).until(200)
    found = {q: (r["offered"], r["left"], r["answered"], r["overflowed"], r["queue_time_s"]) for q in "abc" for r in [stage.row(q)]}
    assert found == {"a": (1, 1, 0, 1, 30), "b": (1, 1, 1, 0, 40), "c": (1, 1, 1, 0, 30)}


def test_a_fact_belongs_to_the_queue_of_the_latest_entry() -> None:
    """Started in a, connected in b, handed on from b (the entry at the same instant comes after), ended and handled in c."""
    stage = Stage().tell(*three_queues()).until(200)
    columns = ("started", "connected", "transferred", "transferred_warm", "ended", "handled", "resolved")
    found = {queue: [name for name in columns if stage.row(queue)[name]] for queue in "abc"}
    assert found == {
        "a": ["started"],
        "b": ["connected", "transferred", "transferred_warm"],
        "c": ["ended", "handled", "resolved"],
    }
    assert stage.row("c")["session_time"] == 129  # 71..200, the wait in c included


def test_leavings_before_their_entries_each_wait_for_their_own() -> None:
    """A clock that is late: left a and b at 10 and 11 s, entered at 20 and 21 s; no wait is below 0, nobody is left waiting."""
    (into_a, out_of_a), (into_b, out_of_b) = waits("s", 20, 10, queue="a"), waits("s", 21, 11, queue="b")
    stage = Stage(LIVE).tell(out_of_a, out_of_b, into_a, into_b, now_s=60)
    for queue in "ab":
        assert some(stage.queue(queue, at_s=60).now, "waiting") == {"waiting": 0}
        assert some(stage.queue(queue, at_s=60).windows["5m"], "offered", "answered", "queue_time_ms") == {
            "offered": 1, "answered": 1, "queue_time_ms": 0,
        }  # fmt: skip


def test_each_agent_who_handed_a_session_on_wraps_it_up() -> None:
    """Handed on at 100 s, wrapped up at 230; by the next agent at 200 and 240: 130 + 40 s."""
    events = [ev("session.started", 0, session_id="s", channel="voice", queue="q")]
    for agent, taken, given in (("x", 10, 100), ("y", 110, 200)):
        events.append(ev("session.connected", taken, session_id="s", agent_id=agent))
        events.append(ev("session.transferred", given, session_id="s", from_agent=agent, to_queue="q"))
    events.append(ev("session.connected", 210, session_id="s", agent_id="z"))
    events += [ev("session.wrapped_up", at, session_id="s", agent_id=agent) for agent, at in (("x", 230), ("y", 240))]
    stage = Stage().tell(*events, ev("session.ended", 300, session_id="s", ended_by="customer")).until(400)
    assert stage.row("q")["wrap_up_time"] == 130 + 40


def test_while_it_waits_again_the_session_is_active_and_waiting_in_the_new_queue() -> None:
    """At 110 s: handed on at 100, not yet taken; its oldest wait begins with this stay."""
    stage = Stage(LIVE).tell(*(event for event in three_queues() if event["at"] <= T0 + 110_000), now_s=110)
    now = {queue: stage.queue(queue, at_s=110).now for queue in "abc"}
    assert [now[queue].get("waiting", 0) for queue in "abc"] == [0, 0, 1]
    assert [now[queue].get("active_sessions", 0) for queue in "abc"] == [0, 0, 1]
    assert now["c"][OLDEST] == T0 + 100_000


def test_the_agents_of_a_handed_on_session_each_have_their_share() -> None:
    """The first holds 71..100, the second 132..200; nobody in between."""
    stage = Stage().tell(is_now("x", 0, groups=["gx"]), is_now("y", 0, groups=["gy"]), *three_queues()).until(200)
    found = {row["group"]: (row["in_hand_s"], row["taken"]) for row in stage.rows("group")}
    assert found == {"gx": (29, 1), "gy": (68, 1), "all": (97, 2)}


# ---- a chat agent with four sessions at once

CHATS: Final = {"s1": (60, 300), "s2": (120, 360), "s3": (180, 420), "s4": (240, 480)}


def four_chats() -> list[Event]:
    """Return an agent for four, available all the time, and his four chats."""
    events = [is_now("x", 0, groups=["text"], capacity=4)]
    for session, (start, end) in CHATS.items():
        events.append(ev("session.started", start, session_id=session, channel="chat"))
        events += served(session, "x", start, end)
    return events


def test_agent_time_with_four_sessions_at_once() -> None:
    """In hand 60..480 = 420 s, sessions' time 4 x 240 = 960 s, idle 60 + 120 = 180 s, slots 4 x 600 = 2400 s."""
    stage = Stage().tell(*four_chats()).until(600)
    (row,) = [row for row in stage.rows("group") if row["group"] == "text"]
    assert (row["in_hand_s"], row["sessions_in_hand_s"], row["available_idle_s"], row["slots_s"]) == (420, 960, 180, 2400)
    assert row["taken"] == 4
    assert row["occupancy"] == 0.7  # 420 / 600
    assert row["concurrency"] == round(960 / 420, 6)
    assert row["slot_use"] == 0.4  # 960 / 2400


@pytest.mark.parametrize(("at_s", "used"), [(30, 0), (90, 1), (270, 4), (330, 3), (480, 0)])
def test_slots_while_chats_come_and_go(at_s: int, used: int) -> None:
    """Of four slots as many are used as chats are in hand at that instant; an end at it is over."""
    stage = Stage(LIVE).tell(*(event for event in four_chats() if event["at"] <= T0 + at_s * 1000), now_s=at_s)
    now = stage.group("text", at_s).now
    assert some(now, "capacity", "slots_used", "slots_free") == {"capacity": 4, "slots_used": used, "slots_free": 4 - used}


def test_more_sessions_than_capacity_leave_no_slot_free() -> None:
    """Four chats in hand of an agent for two: 4 used, 0 free, never less."""
    events = [event | ({"capacity": 2} if "capacity" in event else {}) for event in four_chats()]
    stage = Stage(LIVE).tell(*(event for event in events if event["at"] <= T0 + 270_000), now_s=270)
    assert some(stage.group("text", 270).now, "capacity", "slots_used", "slots_free") == {
        "capacity": 2,
        "slots_used": 4,
        "slots_free": 0,
    }


def test_a_repeated_connect_changes_nothing() -> None:
    """Another connected of the agent who holds the session, a second later: one taken, 240 s in hand."""
    again = ev("session.connected", 61, session_id="s1", agent_id="x")
    stage = Stage().tell(is_now("x", 0), *served("s1", "x", 60, 300), again).until(600)
    (row,) = [row for row in stage.rows("group") if row["group"] == "all"]
    assert (row["taken"], row["in_hand_s"], row["sessions_in_hand_s"]) == (1, 240, 240)


# ---- a wrap-up that the channel expects

WRAPPING: Final = replace(LIVE, wrap_up_ms_by_channel={"voice": 120_000})


def used(stage: Stage, at_s: float) -> int:
    """Return the slots in use on the floor; a level of 0 may be left out."""
    return stage.group(at_s=at_s).now.get("slots_used", 0)


def call(rules: Rules, *more: Event, now_s: float) -> Stage:
    """Return a call 100..300 of agent x, told at an instant."""
    started = ev("session.started", 100, session_id="s", channel="voice")
    return Stage(rules).tell(is_now("x", 0), started, *served("s", "x", 100, 300), *more, now_s=now_s)


def test_in_hand_runs_on_to_the_limit_where_a_wrap_up_is_expected() -> None:
    """Ended at 300 s, limit 120 s: the slot is used at 419.999 s and free at 420 s, though nothing came in between."""
    stage = call(WRAPPING, now_s=310)
    assert used(stage, 310) == 1
    assert used(stage, 419.999) == 1
    assert used(stage, 420) == 0
    assert stage.group(at_s=420).now["slots_free"] == 1


def test_time_in_hand_grows_up_to_the_limit_and_no_further() -> None:
    """In hand since 100 s: 210 s at 310 s, 320 s at 420 s, and so it stays at 500 s."""
    stage = call(WRAPPING, now_s=310)
    found = [stage.group(at_s=at).windows["60m"]["in_hand_ms"] for at in (310, 420, 500)]
    assert found == [210_000, 320_000, 320_000]


def test_the_limit_passes_while_flushes_go_on() -> None:
    """Flushes before, at and after the limit say the same as the board alone."""
    stage = call(WRAPPING, now_s=310)
    for at, slots in ((419, 1), (420, 0), (700, 0)):
        stage.tell(now_s=at)
        assert used(stage, at) == slots
        assert stage.group(at_s=at).windows["60m"]["in_hand_ms"] == min(at - 100, 320) * 1000


def test_a_wrap_up_before_the_limit_ends_it() -> None:
    """Wrapped up at 350 s: in hand 100..350; wrap-up time 50 s."""
    stage = call(WRAPPING, ev("session.wrapped_up", 350, session_id="s", agent_id="x"), now_s=400)
    assert used(stage, 400) == 0
    assert stage.group(at_s=400).windows["60m"]["in_hand_ms"] == 250_000
    assert kpi(stage.queue("unassigned", at_s=400), "wrap_up_time", "60m") == 50


def test_a_wrap_up_that_becomes_known_after_the_limit_corrects_what_was_shown() -> None:
    """Told at 500 s that it was over at 350 s: the 70 s too much are taken back."""
    stage = call(WRAPPING, now_s=310).tell(now_s=450)
    assert stage.group(at_s=450).windows["60m"]["in_hand_ms"] == 320_000
    stage.tell(ev("session.wrapped_up", 350, session_id="s", agent_id="x"), now_s=500)
    assert stage.group(at_s=500).windows["60m"]["in_hand_ms"] == 250_000
    assert stage.group(at_s=500).windows["60m"]["available_idle_ms"] == 250_000  # 0..100 and 350..500


def test_a_wrap_up_after_the_limit_is_cut_in_hand_and_whole_as_wrap_up_time() -> None:
    """Wrapped up at 500 s: in hand to 420 s, wrap-up time 200 s."""
    stage = call(WRAPPING, ev("session.wrapped_up", 500, session_id="s", agent_id="x"), now_s=600)
    assert stage.group(at_s=600).windows["60m"]["in_hand_ms"] == 320_000
    assert kpi(stage.queue("unassigned", at_s=600), "wrap_up_time", "60m") == 200


def test_without_the_setting_a_wrap_up_counts_once_it_is_known() -> None:
    """Not in hand at 310 s; told at 500 s that it lasted until 500 s: in hand 100..500, longer than any limit."""
    stage = call(LIVE, now_s=310)
    assert used(stage, 310) == 0
    stage.tell(ev("session.wrapped_up", 500, session_id="s", agent_id="x"), now_s=500)
    assert stage.group(at_s=500).windows["60m"]["in_hand_ms"] == 400_000


# ---- a forgotten session


def test_a_session_without_an_event_for_a_day_is_forgotten() -> None:
    """In the gauges until the watermark stands a day after its newest event, then out of them and counted."""
    stage = Stage().tell(waits("w", 0, 9)[0], ev("session.connected", 5, session_id="c", agent_id="x"))
    stage.until(86_399.999)
    assert stage.queue().now["waiting"] == 1
    assert stage.queue("unassigned", "unassigned").now["active_sessions"] == 1
    assert stage.counter("sessions_expired") == 0
    stage.until(86_400)
    assert stage.queue().now["waiting"] == 0
    assert OLDEST not in stage.queue().now
    assert stage.counter("sessions_expired") == 1
    stage.until(86_405)
    assert stage.queue("unassigned", "unassigned").now["active_sessions"] == 0
    assert stage.counter("sessions_expired") == 2


def test_a_forgotten_sessions_time_in_hand_ends_at_its_newest_event() -> None:
    """Connected at 100 s, last message at 400 s, then nothing for a day: 300 s in hand in all, though it grew meanwhile."""
    events = [
        is_now("x", 0),
        ev("session.connected", 100, session_id="c", agent_id="x"),
        ev("session.message", 400, session_id="c", sender="agent"),
    ]
    stage = Stage().tell(*events).until(3600)
    assert sum(row["in_hand_s"] for row in stage.rows("group") if row["group"] == "all") == 3500
    stage.until(100_000)
    assert sum(row["in_hand_s"] for row in stage.rows("group") if row["group"] == "all") == 300
    assert stage.group().now.get("slots_used", 0) == 0


def test_what_a_forgotten_session_counted_stays_counted() -> None:
    """Its entry and its connect are as true as before."""
    stage = Stage().tell(waits("w", 0, 9)[0], ev("session.connected", 5, session_id="w", agent_id="x")).until(100_000)
    (row,) = stage.rows()
    assert (row["offered"], row["connected"]) == (1, 1)


def test_the_age_of_a_session_is_set_by_its_channel() -> None:
    """Chats are forgotten after an hour, e-mails after two days; the entry's channel decides."""
    rules = Rules(session_age_by_channel={"chat": HOUR_MS, "email": 2 * DAY_MS})
    stage = Stage(rules)
    for channel in ("chat", "email", "voice"):
        stage.tell(waits(channel, 0, 9, channel=channel)[0])
    waiting = {}
    for at_s in (3_599, 3_600, 86_399, 86_400, 172_799, 172_800):
        stage.until(at_s)
        waiting[at_s] = [name for name in ("chat", "email", "voice") if stage.queue(channel=name).now["waiting"]]
    assert waiting == {
        3_599: ["chat", "email", "voice"],
        3_600: ["email", "voice"],
        86_399: ["email", "voice"],
        86_400: ["email"],
        172_799: ["email"],
        172_800: [],
    }


def test_an_ended_session_that_is_over_is_not_counted_as_forgotten() -> None:
    """It has ended: only its corrections are closed."""
    stage = Stage().tell(*served("s", "x", 0, 60)).until(100_000)
    assert stage.counter("sessions_expired") == 0
    assert all(not floor.sessions for floor in stage.driver.floors)


# ---- late events


def test_an_event_of_an_unknown_session_is_late_past_its_horizon() -> None:
    """Clock at 24 h: an entry of one millisecond before 0 h is late, one of 0 h counts."""
    stage = Stage().until(86_400)
    stage.tell(waits("old", -0.001, 9)[0], waits("young", 0, 9)[0])
    assert stage.outcomes() == {"applied": 1, "late": 1}
    assert [reject.outcome for _, reject in stage.driver.rejects] == ["late"]
    assert stage.row()["offered"] == 1


def test_an_old_event_of_a_session_that_goes_on_is_not_late() -> None:
    """The session's horizon runs from its newest event, not from the old event's own time."""
    stage = Stage().tell(waits("s", 0, 9)[0], ev("session.message", 50_000, session_id="s", sender="customer"))
    stage.until(90_000)
    stage.tell(waits("s", 0, 9)[1])
    assert stage.outcomes() == {"applied": 3}
    assert sum(row["answered"] for row in stage.rows()) == 1


def test_a_late_event_corrects_the_slice_that_it_belongs_to() -> None:
    """Twenty hours late: the quarter-hour of its own time has one more, today's others do not."""
    stage = Stage().tell(*waits("a", 0, 10)).tell(is_now("x", 72_000))
    stage.until(72_000)
    stage.tell(*waits("b", 20, 30))
    row = stage.row()
    assert row["interval_start"] == "2026-11-21T14:00:00+00:00"
    assert (row["offered"], row["answered"]) == (2, 2)


@pytest.mark.parametrize(("days", "outcome"), [(15, "applied"), (15.001, "late")])
def test_business_facts_are_late_past_fifteen_days(days: float, outcome: str) -> None:
    """Visits of exactly 15 days ago count, older ones do not."""
    stage = Stage().until(days * 86_400).tell(ev("site.visits", 0, count=5, queue="q"))
    assert stage.outcomes() == {outcome: 1}


def test_a_status_is_late_past_two_days() -> None:
    """Once all partitions have announced that they are two days further, the history before is closed."""
    stage = Stage().tell(is_now("x", 0)).until(3 * 86_400)
    stage.tell(is_now("x", 86_400, "busy")).tell(is_now("x", 86_000, "away"))
    stage.tell(is_now("x", 0.5 * 86_400, "meal"))
    assert stage.outcomes() == {"applied": 2, "late": 2}


# ---- duplicates


def test_a_copy_exactly_at_the_horizon_is_a_duplicate_and_a_millisecond_beyond_is_not() -> None:
    """The default horizon is one hour of event time, in both directions."""
    for shift_ms, outcomes in [(HOUR_MS, {"applied": 1, "duplicate": 1}), (HOUR_MS + 1, {"applied": 2})]:
        for sign in (1, -1):
            first = ev("site.visits", 0, count=1)
            stage = Stage().tell(first, first | {"at": T0 + sign * shift_ms})
            assert stage.outcomes() == outcomes


def test_the_copy_that_is_read_second_changes_nothing_whatever_it_says() -> None:
    """Another queue, another time: still the same id on the same topic and key."""
    entered = waits("s", 0, 9)[0]
    stage = Stage().tell(entered).tell(entered | {"queue": "other", "at": T0 + 60_000}).until(60)
    assert stage.outcomes() == {"applied": 1, "duplicate": 1}
    assert [row["queue"] for row in stage.rows()] == ["q"]


def test_the_same_id_of_another_key_or_topic_is_no_duplicate() -> None:
    """Ids are unique per topic and key."""
    stage = Stage().tell(
        ev("session.started", 0, session_id="a", channel="chat") | {"id": "1"},
        ev("session.started", 0, session_id="b", channel="chat") | {"id": "1"},
        waits("a", 0, 9)[0] | {"id": "1"},
        is_now("a", 0) | {"id": "1"},
    )
    assert stage.outcomes() == {"applied": 4}


def test_a_duplicate_is_recognised_whether_it_comes_in_the_same_batch_or_after_a_flush() -> None:
    """A flush between the two changes nothing."""
    visits = ev("site.visits", 0, count=7, queue="q")
    for stage in (Stage().tell(visits, visits), Stage().tell(visits).tell(visits)):
        assert stage.until(0).row()["visits"] == 7
        assert stage.outcomes() == {"applied": 1, "duplicate": 1}


def all_cells(stage: Stage) -> dict[tuple[str, int], Mapping[str, int]]:
    """Return (queue, start) → parts of all quarter-hours."""
    return {(place.name, start - T0): parts for start, place, parts in stage.merge.quarters.between(0, T0 * 2) if parts}


MESSAGE: Final = ev("session.message", 3_000, session_id="s", sender="customer")
VISITS: Final = ev("site.visits", 3_000, count=7, queue="q")
LEAVING: Final = waits("s", 0, 3_000)[1]


@pytest.mark.parametrize("copied", [MESSAGE, VISITS, LEAVING], ids=["message", "visits", "leaving"])
def test_a_copy_that_comes_hours_later_changes_nothing(copied: Event) -> None:
    """`at` is the same, so it differs by no more than the horizon, however far the clock has come since."""
    stage = Stage().tell(waits("s", 0, 9)[0], copied).until(5 * 3600)
    before = all_cells(stage)
    stage.tell(copied).until(5 * 3600)
    assert all_cells(stage) == before
    assert stage.outcomes()["duplicate"] == 1


@pytest.mark.parametrize("copied", [MESSAGE, VISITS, LEAVING], ids=["message", "visits", "leaving"])
def test_a_copy_of_a_late_event_changes_nothing(copied: Event) -> None:
    """The event itself comes hours late, and its copy in the next flush; in one batch the copy is found as well."""
    stages = [Stage().tell(waits("s", 0, 9)[0]).until(5 * 3600) for _ in range(2)]
    stages[0].tell(copied, copied).until(5 * 3600)
    stages[1].tell(copied).tell(copied).until(5 * 3600)
    assert all_cells(stages[1]) == all_cells(stages[0])


# ---- corrections and running totals


def test_facts_move_when_the_entry_before_them_becomes_known() -> None:
    """Connected, answered to, ended: counted in `unassigned` until the entry at 0 s is read, then in its queue."""
    talk = [
        *served("s", "x", 10, 60),
        ev("session.message", 20, session_id="s", sender="customer"),
        ev("session.message", 25, session_id="s", sender="agent"),
    ]
    columns = ("connected", "ended", "messages_customer", "first_response_n", "first_response_s")
    stage = Stage().tell(*talk)
    assert [stage.row("unassigned")[name] for name in columns] == [1, 1, 1, 1, 5]
    stage.tell(waits("s", 0, 9, queue="late")[0])
    assert [row["queue"] for row in stage.rows()] == ["late"]
    assert [stage.row("late")[name] for name in columns] == [1, 1, 1, 1, 5]


def test_only_facts_after_a_later_entry_move() -> None:
    """An entry into another queue at 30 s takes what is at or after 30 s, and leaves the rest."""
    messages = [ev("session.message", at, session_id="s", sender="customer") for at in (29.999, 30, 31)]
    stage = Stage().tell(waits("s", 0, 9, queue="a")[0], *messages).tell(waits("s", 30, 9, queue="b")[0])
    assert {row["queue"]: row["messages_customer"] for row in stage.rows()} == {"a": 1, "b": 2}


def test_an_earlier_milestone_replaces_the_one_that_was_read_first() -> None:
    """Of two ends the earlier counts, also when it is read second: session time falls from 90 to 50 s."""
    stage = Stage().tell(*served("s", "x", 10, 100))
    assert stage.row("unassigned")["session_s"] == 90
    stage.tell(ev("session.ended", 60, session_id="s", ended_by="agent", resolved=True))
    row = stage.row("unassigned")
    assert (row["ended"], row["session_s"], row["resolved"]) == (1, 50, 1)


def test_running_totals_keep_what_a_correction_takes_away() -> None:
    """Moved to another queue, the connect stays counted in the first one's total and is counted in the second's."""
    stage = Stage().tell(*served("s", "x", 10, 60)).tell(waits("s", 0, 9, queue="late")[0])
    assert stage.merge.totals(Place("queue", "unassigned", "unassigned"))["connected"] == 1
    assert stage.merge.totals(Place("queue", "late", "voice"))["connected"] == 1


@pytest.mark.parametrize("seed", range(8))
def test_running_totals_never_decrease(seed: int) -> None:
    """Whatever is corrected: a messy centre in random order, looked at after every flush."""
    events = centres.interleaved(centres.centre(seed, sessions=25), seed)
    stage = Stage()
    before: dict[tuple[Place, str], int] = {}
    for start in range(0, len(events), 20):
        stage.tell(*events[start : start + 20])
        now = {(place, part): value for place in stage.merge.places("queue") for part, value in stage.merge.totals(place).items()}
        assert {key: value for key, value in before.items() if now.get(key, 0) < value} == {}
        before = now
    assert len(before) > 50


def test_running_totals_of_what_needs_no_correction_are_exact() -> None:
    """Three waits in order: three offered, two answered; the histogram counts each wait once under its limit."""
    stage = Stage().tell(*waits("a", 0, 5), *waits("b", 0, 20), *waits("c", 0, 21, "abandoned")).until(30)
    totals = stage.queue().totals
    assert some(totals, "offered", "answered", "abandoned", "left") == {"offered": 3, "answered": 2, "abandoned": 1, "left": 3}
    assert totals["queue_time_hist_ms"] == 46_000
    limits = {name: value for name, value in totals.items() if "~" in name}
    assert limits == {"queue_time_hist~5000": 1, "queue_time_hist~20000": 1, "queue_time_hist~30000": 1}


# ---- service level, percentiles

GOLDEN: Final = {
    "sl_all_within": 0.830189,
    "sl_answered": 0.860000,
    "sl_offered": 0.811321,
    "sl_late_abandons": 0.826923,
    "sl_short_credit": 0.820755,
    "sl_no_short": 0.819048,
}


def golden_waits() -> list[Event]:
    """Return 1000 answered waits, 860 of them within 20 s, and 60 abandoned, 20 of them within 20 s and 10 of these short."""
    lengths = [("answered", 20.0)] * 860 + [("answered", 20.001)] * 140
    lengths += [("abandoned", 4.999)] * 10 + [("abandoned", 5.0)] * 5 + [("abandoned", 20.0)] * 5 + [("abandoned", 20.001)] * 40
    return [event for n, (outcome, length) in enumerate(lengths) for event in waits(f"s{n}", 0, length, outcome)]


@pytest.fixture(scope="module")
def golden() -> Stage:
    """The golden waits, told once."""
    return Stage().tell(*golden_waits()).until(60)


@pytest.mark.parametrize("formula", SERVICE_LEVELS)
def test_the_golden_vector_of_each_service_level(golden: Stage, formula: str) -> None:
    """The six published values, in the table and in the window, with the formula's name beside."""
    rules = QueueRules(service_level=formula)
    view = golden.queue()
    terms = BY_ID["service_level"].terms
    assert terms is not None
    level = value_of(BY_ID["service_level"], terms(rules), view.windows["5m"])
    assert level is not None
    assert round(level, 6) == GOLDEN[formula]
    table = interval_table(golden.merge, golden.merge.newest() or 0, Choice())
    columns = {column.name: column.value(Span(table.rows[0].parts), rules) for column in table.columns[-80:]}
    assert (round(float(columns["service_level"] or 0), 6), columns["formula"]) == (GOLDEN[formula], formula)


def test_the_formula_is_a_setting_of_the_queue() -> None:
    """Two queues with the same waits, each with its own formula."""
    rules = Rules(queues={"a": {"service_level": "sl_answered"}, "b": {"service_level": "sl_all_within"}})
    stage = Stage(rules)
    for queue in "ab":
        stage.tell(*waits(f"{queue}1", 0, 21, queue=queue), *waits(f"{queue}2", 0, 6, "abandoned", queue=queue))
    found = {row["queue"]: (row["formula"], row["service_level"]) for row in stage.rows()}
    assert found == {"a": ("sl_answered", 0), "b": ("sl_all_within", 0.5)}


def test_abandonment_counts_the_timed_out_and_may_leave_the_short_out() -> None:
    """2 abandoned, 1 of them short, 1 answered, 1 timed out: 2/4; without the short one 1/3."""
    events = [*waits("a", 0, 4, "abandoned"), *waits("b", 0, 50, "abandoned"), *waits("c", 0, 9), *waits("d", 0, 9, "timed_out")]
    assert Stage().tell(*events).row()["abandonment"] == 0.5
    rules = Rules(queue_default=QueueRules(short_in_abandonment=False))
    assert Stage(rules).tell(*events).row()["abandonment"] == round(1 / 3, 6)


def test_a_short_abandonment_is_shorter_than_the_limit() -> None:
    """4.999 s is short, 5 s is not; 20 s is within T, 20.001 s is not; 60 s is not late, 60.001 s is."""
    events = [*waits("a", 0, 4.999, "abandoned"), *waits("b", 0, 5, "abandoned"), *waits("c", 0, 20), *waits("d", 0, 20.001)]
    row = Stage().tell(*events, *waits("e", 0, 60), *waits("f", 0, 60.001)).row()
    assert (row["short_abandoned"], row["abandoned_within"], row["answered_within"], row["left_late"]) == (1, 2, 1, 1)


def test_percentiles_of_a_hundred_waits() -> None:
    """Waits of 1 to 100 s: the ⌈q·n⌉-th smallest are 50, 90, 95, within 1 %; the maximum 100; the mean exactly 50.5 s."""
    stage = Stage().tell(*(event for n in range(1, 101) for event in waits(f"s{n}", 0, n)))
    row = stage.row()
    for column, wanted in (("p50", 50), ("p90", 90), ("p95", 95), ("max", 100)):
        assert abs(row[f"queue_time_{column}"] - wanted) <= 0.01 * wanted
    assert row["queue_time"] == 50.5


def test_percentiles_of_waits_of_nothing_are_exactly_nothing() -> None:
    """0 has a bucket of its own; of one value every percentile is that value."""
    row = Stage().tell(*waits("a", 5, 5)).row()
    assert [row[f"queue_time_{column}"] for column in ("p50", "p90", "p95", "max")] == [0, 0, 0, 0]
    row = Stage().tell(*waits("a", 5, 10)).row()
    assert {row[f"queue_time_{column}"] for column in ("p50", "p90", "p95", "max")} == {answer_of(bucket_of(5_000)) / 1000}


def test_percentiles_of_nothing_are_absent() -> None:
    """An entry alone has no wait yet."""
    row = Stage().tell(waits("a", 0, 9)[0]).row()
    assert row["queue_time_p50"] is row["queue_time_max"] is row["queue_time"] is None


# ---- clock errors, business facts, bounds


def test_a_negative_wait_is_nothing_and_counted_once() -> None:
    """Left before it entered, corrected by nothing that follows: 0 s, one clock error of the queues' topic."""
    stage = Stage().tell(*waits("s", 10, 4)).tell(ev("session.message", 20, session_id="s", sender="bot"))
    assert stage.row()["queue_time"] == 0
    assert stage.counter("clock_errors.queues") == 1


def test_costs_add_up_in_millionths_by_currency_and_queue() -> None:
    """Rounded half to even once per event: 0.0000005 is 0, 0.0000015 is 2; a negative amount takes off."""
    amounts = [("EUR", 0.0000005), ("EUR", 0.0000015), ("EUR", 12.5), ("EUR", -2.25), ("USD", 1e6)]
    costs = [ev("cost.booked", n, amount=amount, currency=currency, queue="q") for n, (currency, amount) in enumerate(amounts)]
    stage = Stage().tell(*costs, ev("cost.booked", 9, amount=3, currency="EUR")).until(10)
    parts = {place.name: row for _, place, row in stage.merge.quarters.between(0, T0 * 2)}
    assert parts == {
        "q": {"cost_EUR_e6": 10_250_002, "cost_USD_e6": 1_000_000_000_000},
        "unassigned": {"cost_EUR_e6": 3_000_000},
    }


def test_visits_count_in_their_queue_and_channel() -> None:
    """As many as the event says; without a queue in `unassigned`."""
    stage = Stage().tell(
        ev("site.visits", 0, count=30, queue="q", channel="chat"),
        ev("site.visits", 1, count=12, queue="q", channel="chat"),
        ev("site.visits", 2, count=5),
    )
    found = {(row["queue"], row["channel"]): row["visits"] for row in stage.rows("queue,channel")}
    assert found == {("q", "chat"): 42, ("unassigned", "unassigned"): 5}


def test_a_complaint_counts_in_the_queue_of_its_opening_from_first_open_to_first_close() -> None:
    """Opened at 0 s in a, again at 60; closed at 600 naming b, again at 700: one of each in a, 600 s."""
    filings = [("opened", 0, "a"), ("opened", 60, "b"), ("closed", 600, "b"), ("closed", 700, "c")]
    stage = Stage()
    for kind, at, queue in reversed(filings):
        stage.tell(ev(f"complaint.{kind}", at, complaint_id="c1", queue=queue))
    parts = {place.name: row for _, place, row in stage.until(700).merge.quarters.between(0, T0 * 2) if row}
    assert parts == {"a": {"complaints_opened": 1, "complaints_closed": 1, "complaint_n": 1, "complaint_ms": 600_000}}


def test_queues_beyond_the_bound_share_one_overflow() -> None:
    """With room for two, the third queue's waits are counted as `overflow`, and taken back from there when corrected."""
    stage = Stage(Rules(max_cells=2), partitions=1)
    for n, queue in enumerate("abcd"):
        stage.tell(*waits(f"s{n}", 0, 9, queue=queue))
    assert {row["queue"]: row["answered"] for row in stage.rows()} == {"a": 1, "b": 1, "overflow": 2}
    assert stage.counter("addresses_overflowed") > 0
    stage.tell(waits("s3", 0, 5, queue="d")[1])
    (row,) = [row for row in stage.rows() if row["queue"] == "overflow"]
    assert (row["answered"], row["wait_answered_s"]) == (2, 14)  # 9 + 5: the earlier leaving is the first


def test_nothing_depends_on_how_events_are_batched() -> None:
    """One flush per event or one for all: the same entries, but for how often was counted under way."""
    events = [*three_queues(), *four_chats(), *waits("z", 3, 1)]
    stages = [Stage(partitions=1), Stage(partitions=1)]
    for event in events:
        stages[0].tell(event)
    stages[1].tell(*events)
    one, other = (cells_of(stage.until(600).driver.floors[0]) for stage in stages)
    assert one == other


def cells_of(floor: Floor) -> dict[str, Any]:
    """Return the cells, levels, sessions and agents of a floor, and what these hold less the number of the flush."""
    entries = {key: floor.entry(key) for key in floor.keys() if key[0] in "csahl"}  # noqa: SIM118  a floor is no mapping
    return {key: value[1:] if key[0] == "h" and value else value for key, value in entries.items()}


def test_a_connect_that_becomes_known_after_the_agents_history_is_closed_leaves_no_level_below_nothing() -> None:
    """A session is kept alive for 60 h; told then that x connected at 1 h, and later that it ended at 61 h: used 1, then 0."""
    alive = [ev("session.message", hour * 3600, session_id="s", sender="customer") for hour in (0, 20, 40, 60)]
    stage = Stage().tell(is_now("x", 0, capacity=2), *alive).until(60 * 3600)
    stage.tell(ev("session.connected", 3600, session_id="s", agent_id="x")).until(60 * 3600)
    levels = [dict(stage.group().now)]
    stage.tell(ev("session.ended", 61 * 3600, session_id="s", ended_by="agent")).until(62 * 3600)
    levels.append(dict(stage.group().now))
    assert [some(now, "in_hand", "slots_used", "slots_free") for now in levels] == [
        {"in_hand": 1, "slots_used": 1, "slots_free": 1},
        {"in_hand": 0, "slots_used": 0, "slots_free": 2},
    ]
