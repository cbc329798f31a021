"""One small example per rule of counting, through the whole path of `floorpulse report`: lines in, table out.

Each stands exactly on the edge that tells its rule from the nearest wrong one; `tests/mutation` breaks the rules one by one and
wants one of these to fail. Times are seconds after T0.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any, Final

import pytest

from schemas.codec import encode_json
from schemas.events import INPUT_TOPICS
from schemas.kpis import BY_ID, change_of, turnover_of, value_of
from schemas.rules import DAY_MS, HOUR_MS, QueueRules, Rules
from sinks.cells import Place
from sinks.merge import Merge
from sinks.table import By, Choice
from sinks.windows import Windows
from streams.core.complaints import complaint_facts
from streams.core.customers import contact_facts
from streams.core.driver import Driver, record_of
from streams.core.roster import JOINED, LEFT, LEFT_STATUS, STATUS, Change, State, day_facts, roster_facts
from streams.native import Core, is_made
from streams.report import report
from tests.builders import day_start

Event = dict[str, Any]
Row = dict[str, float | str | None]
T0 = 1_795_269_600_000  # 2026-11-21T14:00:00Z
HOUR_S = 3600
Q = Place("queue", "q", "voice")


def ev(kind: str, at_s: float, /, **fields: Any) -> Event:
    """An event with an id of its own."""
    return {"id": f"{kind}-{at_s}-{sorted(fields.items())}"[:128], "type": kind, "at": T0 + round(at_s * 1000), **fields}


class Life:
    """A session, told step by step."""

    def __init__(self, name: str, at: float = 0, channel: str = "voice", queue: str = "q", **fields: Any) -> None:
        self.name, self.queue = name, queue
        self.events = [ev("session.started", at, session_id=name, channel=channel, queue=queue, **fields)]

    def then(self, step: str, at: float, /, **fields: Any) -> Life:
        """Let something happen."""
        if step.startswith("queue."):
            fields = {"queue": self.queue, **fields}
        self.events.append(ev(step, at, session_id=self.name, **fields))
        return self

    def waits(self, start: float, end: float, outcome: str = "answered", queue: str = "q") -> Life:
        """Wait in a queue."""
        return self.then("queue.entered", start, queue=queue).then("queue.left", end, outcome=outcome, queue=queue)

    def served(self, start: float, end: float, agent: str = "ann") -> Life:
        """Be served by an agent until the end."""
        return self.then("session.connected", start, agent_id=agent).then("session.ended", end, ended_by="customer")

    def says(self, sender: str, *times: float, **fields: Any) -> Life:
        """Write messages."""
        for at in times:
            self.then("session.message", at, sender=sender, **fields)
        return self


def is_now(agent: str, at: float, status: str = "available", **fields: Any) -> Event:
    """An agent's status."""
    return ev("agent.status", at, agent_id=agent, status=status, **fields)


CORES: Final[tuple[Core, ...]] = ("python", "compiled") if is_made() else ("python",)


@pytest.fixture
def rows(tmp_path: Path) -> Any:
    """Rows of the report of some events."""

    def table(*events: Life | Event, by: By = "queue", interval_ms: int = HOUR_MS, rules: Rules | None = None) -> list[Row]:
        lines = [e for each in events for e in (each.events if isinstance(each, Life) else [each])]
        file = tmp_path / "events.jsonl"
        file.write_bytes(b"".join(encode_json(event) + b"\n" for event in lines))
        texts = set()
        for core in CORES:
            made = report([file], rules or Rules(), Choice(by=by, interval_ms=interval_ms), core=core)
            assert made.outcomes["applied"] == len(lines), made.complaints
            text = StringIO()
            made.table.write_csv(text)
            texts.add(text.getvalue())
        assert len(texts) == 1, "each core must come to the same"
        return [{name: _number(cell) for name, cell in row.items()} for row in csv.DictReader(StringIO(texts.pop()))]

    return table


def _number(cell: str) -> float | str | None:
    try:
        return float(cell) if cell else None
    except ValueError:
        return cell


@pytest.fixture
def row(rows: Any) -> Any:
    """The only row of queue `q` (or of the floor's agents) of the report of some events."""

    def only(*events: Life | Event, by: By = "queue", rules: Rules | None = None) -> Row:
        name = "q" if by == "queue" else "all"
        (found,) = [each for each in rows(*events, by=by, rules=rules) if each[by] == name]
        return found  # type: ignore[no-any-return]

    return only


def leaving(outcomes: Sequence[tuple[str, float]]) -> list[Life]:
    """Sessions that leave the queue so after such a wait."""
    return [Life(f"s{n}").waits(0, wait, outcome) for n, (outcome, wait) in enumerate(outcomes)]


# ---- queues ----


def test_the_limits_of_a_wait(row: Any) -> None:
    """Within T is 20 s or less; short is less than 5 s; late is more than 60 s (1)."""
    waits = [("answered", 20.0), ("answered", 20.001), ("abandoned", 20.0), ("abandoned", 4.999), ("abandoned", 5.0)]
    found = row(*leaving([*waits, ("voicemail", 60.0), ("voicemail", 60.001)]))
    assert (found["answered_within"], found["abandoned_within"], found["short_abandoned"], found["left_late"]) == (1, 3, 1, 1)


@pytest.mark.parametrize(
    ("formula", "level"),
    [("sl_all_within", 4 / 6), ("sl_answered", 2 / 3), ("sl_offered", 2 / 6), ("sl_late_abandons", 2 / 4),
     ("sl_short_credit", 3 / 6), ("sl_no_short", 2 / 5)],
)  # fmt: skip
def test_six_service_levels(row: Any, formula: str, level: float) -> None:
    """3 answered, 2 within T; 3 abandoned, 2 within T, of them 1 short; no two formulas agree but by chance."""
    waits = [("answered", 1), ("answered", 20), ("answered", 21), ("abandoned", 1), ("abandoned", 9), ("abandoned", 30)]
    rules = Rules(queue_default=QueueRules(service_level=formula))
    assert row(*leaving(waits), rules=rules)["service_level"] == pytest.approx(level, abs=1e-6)


def test_those_who_wait_past_the_threshold_worsen_the_level_where_wanted() -> None:
    """(14) `count_waiting_late`."""
    kpi = BY_ID["service_level"]
    assert kpi.terms is not None
    parts = {"answered": 1, "answered_within": 1, "waiting_past_answer": 1}
    levels = [value_of(kpi, kpi.terms(QueueRules(count_waiting_late=late)), parts) for late in (False, True)]
    assert levels == [1.0, 0.5]


@pytest.mark.parametrize(("with_short", "ratio"), [(True, 2 / 4), (False, 1 / 3)])
def test_abandonment(row: Any, with_short: bool, ratio: float) -> None:
    """2 abandoned (1 short), 1 answered, 1 timed out; a voicemail is none of these (13)."""
    waits = [("abandoned", 30), ("abandoned", 1), ("answered", 30), ("timed_out", 900), ("voicemail", 30)]
    rules = Rules(queue_default=QueueRules(short_in_abandonment=with_short))
    assert row(*leaving(waits), rules=rules)["abandonment"] == pytest.approx(ratio, abs=1e-6)


def test_means_of_waits(row: Any) -> None:
    """The answered, the abandoned and all have a mean of their own."""
    found = row(*leaving([("answered", 10), ("answered", 20), ("abandoned", 40), ("voicemail", 90)]))
    assert (found["speed_of_answer"], found["abandon_time"], found["queue_time"], found["placement"]) == (15, 40, 40, 0.25)


def test_percentiles_by_rank(row: Any) -> None:
    """The median of 1, 2, 3, 4 s is the second, p90 the fourth; within 1 % (45)."""
    found = row(*leaving([("answered", wait) for wait in (1, 2, 3, 4)]))
    assert found["queue_time_p50"] == pytest.approx(2, rel=0.01)
    assert found["queue_time_p90"] == found["queue_time_max"] == pytest.approx(4, rel=0.01)


def test_the_first_entry_pairs_with_the_first_leaving(row: Any) -> None:
    """Twice in one queue: 5 and 30 s, not 100 and -65 (11)."""
    found = row(Life("s").waits(0, 5, "transferred").waits(70, 100, "abandoned"))
    assert (found["queue_time_s"], found["wait_abandoned_s"]) == (35, 30)


def test_stays_that_overlap_pair_in_their_order(row: Any) -> None:
    """In at 0 and at 10 s, out at 30 s (transferred) and at 100 s (abandoned): 30 and 90 s, not 20 and 100 (11)."""
    life = Life("s").then("queue.entered", 0).then("queue.entered", 10)
    found = row(life.then("queue.left", 30, outcome="transferred").then("queue.left", 100, outcome="abandoned"))
    assert (found["queue_time_s"], found["wait_abandoned_s"]) == (120, 90)


def test_it_rings_from_the_latest_offer_to_that_agent(row: Any) -> None:
    """Offered to Ann at 1 s, missed, again to Ann at 6 s and to Bob at 8 s; Ann answers at 10 s: 4 s (16)."""
    life = Life("s").then("queue.entered", 0).then("queue.offered", 1, agent_id="ann").then("queue.missed", 2, agent_id="ann")
    life.then("queue.offered", 6, agent_id="ann").then("queue.offered", 8, agent_id="bob")
    found = row(life.then("session.connected", 10, agent_id="ann").then("queue.left", 10, outcome="answered"))
    assert (found["ring_time"], found["missed_offers"], found["offers"]) == (4, pytest.approx(1 / 3, abs=1e-6), 3)


def test_a_fact_belongs_to_the_queue_entered_last(rows: Any) -> None:
    """A transfer to the queue before it, though the next entry is of the same millisecond (2, 10, 25)."""
    life = Life("s").waits(0, 5).then("session.connected", 5, agent_id="ann")
    life.then("session.transferred", 60, from_agent="ann", kind="warm").waits(60, 70, queue="r")
    life.then("session.connected", 70, agent_id="bob").then("session.ended", 100, ended_by="agent", resolved=True)
    by_queue = {found["queue"]: found for found in rows(life)}
    assert [by_queue[name]["transferred"] for name in "qr"] == [1, 0]
    assert [by_queue[name]["connected"] for name in "qr"] == [1, 0]
    assert [by_queue[name]["resolved"] for name in "qr"] == [0, 1]
    assert by_queue["q"]["transfer_rate_warm"] == 1


# ---- sessions ----


def test_parts_of_a_call(row: Any) -> None:
    """100 s with 30 s on hold; Ann wraps up for 20 s, and Bob, who never held it, not at all (22-24)."""
    life = Life("s").then("session.connected", 0, agent_id="ann").then("session.held", 10, agent_id="ann")
    life.then("session.resumed", 40, agent_id="ann").then("session.ended", 100, ended_by="agent")
    life.then("session.wrapped_up", 110, agent_id="bob").then("session.wrapped_up", 120, agent_id="ann")
    found = row(life)
    assert (found["session_s"], found["talk_s"], found["hold_s"], found["wrap_up_s"]) == (100, 70, 30, 20)
    assert (found["session_time"], found["talk_time"], found["handle_time"]) == (100, 70, 120)


def test_each_agents_wrap_up_counts(row: Any) -> None:
    """Ann gives the call away at 30 s and wraps up for 10 s, Bob after the end for 5 s (24)."""
    life = Life("s").then("session.connected", 0, agent_id="ann").then("session.transferred", 30, from_agent="ann")
    life.then("session.connected", 35, agent_id="bob").then("session.wrapped_up", 40, agent_id="ann")
    found = row(life.then("session.ended", 60, ended_by="agent").then("session.wrapped_up", 65, agent_id="bob"))
    assert (found["wrap_up_s"], found["connected"], found["handled"]) == (15, 1, 1)


def test_responses_of_a_chat(row: Any) -> None:
    """Connected at 10 s; asked at 2, 4, 30, 35 s, answered at 25 and 50 s; bot and canned greeting count for nothing (19-21)."""
    life = Life("s", channel="chat").says("customer", 2, 4).says("bot", 5).then("session.connected", 10, agent_id="ann")
    life.says("agent", 11, agent_id="ann", automatic=True).says("agent", 25, agent_id="ann")
    found = row(life.says("customer", 30, 35).says("agent", 50, agent_id="ann").then("session.ended", 60, ended_by="agent"))
    assert (found["first_response"], found["first_reply"], found["first_response_share"]) == (15, 25, 1)
    assert (found["response_time"], found["response_time_share"]) == (17.5, 1)  # 15 and 20 s
    assert [found[f"messages_{who}"] for who in ("customer", "agent", "system")] == [4, 2, 2]


def test_a_customer_who_writes_after_the_connect_is_answered_from_then_on(row: Any) -> None:
    """The later of connected and the first message counts (20)."""
    life = Life("s", channel="chat").then("session.connected", 10, agent_id="ann").says("customer", 30)
    assert row(life.says("agent", 42, agent_id="ann"))["first_response"] == 12


@pytest.mark.parametrize(
    ("channel", "customer", "agent", "automatic", "invalid"),
    [
        ("chat", True, True, False, 0),
        ("chat", True, True, True, 1),
        ("chat", True, False, False, 1),
        ("chat", False, True, False, 1),
        ("voice", False, False, False, 0),
    ],
)
def test_what_is_invalid(row: Any, channel: str, customer: bool, agent: bool, automatic: bool, invalid: int) -> None:
    """Text without a manual message of each side; speech that was connected is not (26)."""
    life = Life("s", channel=channel).then("session.connected", 1, agent_id="ann")
    if customer:
        life.says("customer", 2)
    if agent:
        life.says("agent", 3, agent_id="ann", automatic=automatic)
    found = row(life.then("session.ended", 9, ended_by="agent"))
    assert (found["invalid"], found["invalid_rate"], found["invalid_rate_inbound"]) == (invalid, invalid, invalid)


def test_connect_rate(row: Any) -> None:
    """Who is connected counts once, who ends without ever being connected as well (15)."""
    found = row(Life("a").served(1, 9), Life("b").then("session.ended", 9, ended_by="customer"), Life("c").served(2, 9, "bob"))
    assert (found["connect_rate"], found["unconnected"]) == (pytest.approx(2 / 3, abs=1e-6), 1)


def test_resolution(row: Any) -> None:
    """Ended over resolved; nothing said is not resolved (30)."""
    lives = [Life(f"s{n}").then("session.connected", 0, agent_id="ann") for n in range(3)]
    lives[0].then("session.ended", 9, ended_by="agent", resolved=True)
    lives[1].then("session.ended", 9, ended_by="agent", resolved=False)
    lives[2].then("session.ended", 9, ended_by="agent")
    assert row(*lives)["contacts_per_resolution"] == 3


# ---- customers ----


def contact(name: str, start: float, end: float) -> Life:
    """A call of the customer Kim."""
    return Life(name, start, customer_id="kim").then("session.ended", end, ended_by="agent")


@pytest.mark.parametrize(("gap_s", "resolved", "repeated"), [(86_400, 1, 1), (86_400.001, 2, 0)])
def test_a_repeat_comes_no_later_than_a_day_after_the_end(rows: Any, gap_s: float, resolved: int, repeated: int) -> None:
    """Exactly 24 h still is one, a millisecond more is not; the last contact settles a day after its own end (29)."""
    clock = Life("z", 4 * 86_400).then("session.ended", 4 * 86_400 + 1, ended_by="agent")
    found = rows(contact("a", 0, 100), contact("b", 100 + gap_s, 200 + gap_s), clock)
    names = ("fcr_contacts", "fcr_resolved", "known_started", "repeat_contacts")
    total = {name: sum(each[name] for each in found) for name in names}
    assert total == {"fcr_contacts": 2, "fcr_resolved": resolved, "known_started": 2, "repeat_contacts": repeated}


def test_contacts_that_start_together_do_not_follow_each_other(rows: Any) -> None:
    """B starts after A, not with it (29)."""
    clock = Life("z", 4 * 86_400).then("session.ended", 4 * 86_400 + 1, ended_by="agent")
    found = rows(contact("a", 0, 100), contact("b", 0, 100), clock)
    assert sum(each["repeat_contacts"] for each in found) == 0
    assert sum(each["fcr_resolved"] for each in found) == 2


@pytest.mark.parametrize(("settled", "counted"), [(DAY_MS + 99, 0), (DAY_MS + 100, 1)])
def test_a_contact_is_settled_when_its_time_is_up(settled: int, counted: int) -> None:
    """Ended at 100 ms: until a day later it stands in neither part."""
    facts = contact_facts([(0, "q", "voice", 100, "q", "voice")], Rules(), settled)
    assert [at for _, at, part, _ in facts if part in ("fcr_contacts", "fcr_resolved")] == [DAY_MS + 100] * 2 * counted


@pytest.mark.parametrize(("after_end_s", "rated"), [(86_399.999, 1), (86_400, 0)])
def test_a_day_after_the_end_the_same_id_is_a_new_session(rows: Any, after_end_s: float, rated: int) -> None:
    """The horizon runs from the end (5): exactly then a rating is no longer in the session's queue, but in none."""
    life = Life("a").then("session.ended", 10, ended_by="agent").then("session.rated", 10 + after_end_s, score=5, scale=5)
    found = rows(life)
    assert sum(each["rated"] for each in found if each["queue"] == "q") == rated
    assert sum(each["rated"] for each in found) == 1


# ---- quality and business ----


def test_the_last_rating_counts(row: Any) -> None:
    """1 of 5, then 4 of 5: good, 0.8 (3, 30)."""
    life = Life("s").served(0, 9).then("session.survey_sent", 10)
    life.then("session.rated", 20, score=1, scale=5).then("session.rated", 30, score=4, scale=5)
    found = row(life)
    assert (found["rated"], found["satisfaction"], found["rated_good"], found["rated_bad"]) == (1, 0.8, 1, 0)
    assert found["survey_response"] == 1


def test_two_fifths_are_bad_and_a_little_more_is_not(row: Any) -> None:
    """5 x score <= 2 x scale (30)."""
    lives = [Life(name).then("session.rated", 20, score=score, scale=5) for name, score in (("a", 2), ("b", 2.5))]
    assert [row(*lives)[name] for name in ("rated_bad", "rated_neutral")] == [1, 1]


def test_reviews(row: Any) -> None:
    """97 passes, 96.9 does not; one of them while the session ran."""
    life = Life("s").then("session.connected", 0, agent_id="ann")
    life.then("session.reviewed", 5, agent_id="ann", reviewer_id="r", score=97, live=True)
    found = row(life.then("session.reviewed", 9, agent_id="ann", reviewer_id="r", score=96.9))
    assert (found["review_pass_rate"], found["live_review_share"]) == (0.5, 0.5)


def test_turnover() -> None:
    """One of ten left in a month that the roster covers by half: 1 / 10 x 365 / 30."""
    left, base, value = turnover_of(1, 10 * 15 * DAY_MS, 15 * DAY_MS)
    assert value == pytest.approx(0.1 * 365 / 30)
    assert left / base == value


def test_changes() -> None:
    """Points for ratios, a share for counts and durations, nothing against nothing (42)."""
    found = [change_of("ratio", 0.9, 0.8), change_of("count", 90, 60), change_of("seconds", 90, 0), change_of("count", None, 60)]
    assert found == [pytest.approx(0.1), 0.5, None, None]


# ---- agents ----


@pytest.mark.parametrize("ids", [("1", "2"), ("2", "1")])
def test_who_leaves_has_no_status_of_the_same_millisecond(row: Any, ids: tuple[str, str]) -> None:
    """Whatever the ids, a status comes before `agent.left` (2, 33): 10 s online and no more."""
    status, left = is_now("ann", 10), ev("agent.left", 10, agent_id="ann")
    status["id"], left["id"] = ids
    assert row(is_now("ann", 0), status, left, ev("site.visits", 60, count=0, queue="q"), by="group")["online_s"] == 10


def test_agent_time(row: Any) -> None:
    """Capacity 4, available for 100 s, away until 200 s; sessions at 10-50 s and 20-60 s: 50 s in hand, 80 s of sessions."""
    lives = [Life("a", channel="chat").served(10, 50), Life("b", channel="chat").served(20, 60)]
    found = row(is_now("ann", 0, capacity=4), *lives, is_now("ann", 100, "away"), is_now("ann", 200, "offline"), by="group")
    assert (found["in_hand_s"], found["sessions_in_hand_s"], found["available_idle_s"], found["online_s"]) == (50, 80, 50, 200)
    assert (found["occupancy"], found["concurrency"], found["work_rate"]) == (0.5, 1.6, 0.5)
    assert (found["slots_s"], found["slot_use"], found["peak_concurrency"]) == (400, 0.2, 2)
    assert (found["taken"], found["sessions_per_agent_hour"]) == (2, 36)
    assert (found["status_share_available"], found["status_share_away"]) == (0.5, 0.5)


def test_the_peak_is_the_highest_level_that_lasted(row: Any) -> None:
    """Three at once for a second; a fourth of no length at all is none (36)."""
    lives = [Life(name).served(start, 40) for name, start in (("a", 10), ("b", 20), ("c", 39))]
    assert row(is_now("ann", 0), *lives, Life("d").served(39.5, 39.5), by="group")["peak_concurrency"] == 3


def test_a_handover_is_no_peak(row: Any) -> None:
    """One session ends in the millisecond in which the next begins (36)."""
    found = row(is_now("ann", 0), Life("a").served(10, 20), Life("b").served(20, 30), is_now("ann", 60, "offline"), by="group")
    assert found["peak_concurrency"] == 1


def test_time_in_hand_counts_while_away_and_online_time_does_not_grow_by_it(row: Any) -> None:
    """In hand from 10 to 50 s, offline from 20 s on; capacity counts while in hand (31, 35)."""
    found = row(is_now("ann", 0, capacity=2), Life("a").served(10, 50), is_now("ann", 20, "offline"), by="group")
    assert (found["in_hand_s"], found["online_s"], found["slots_s"]) == (40, 20, 100)


def test_a_repeated_connect_takes_nothing(row: Any) -> None:
    """The holder's second connected is no second session (31, 37)."""
    life = Life("s").then("session.connected", 1, agent_id="ann").then("session.connected", 5, agent_id="ann")
    found = row(is_now("ann", 0), life.then("session.ended", 9, ended_by="agent"), by="group")
    assert (found["taken"], found["in_hand_s"]) == (1, 8)


def test_an_open_interval_counts_up_to_the_end_of_the_input(row: Any) -> None:
    """Available since 0 s; the newest event of the whole input is at 90 s (6)."""
    assert row(is_now("ann", 0), Life("s", 90), by="group")["online_s"] == 90


def test_status_time_is_split_over_intervals(rows: Any) -> None:
    """Online from 14:10 to 14:50: 5, 15, 15 and 5 minutes."""
    found = rows(is_now("ann", 600), is_now("ann", 3000, "offline"), by="group", interval_ms=900_000)
    assert [each["online_s"] for each in found if each["group"] == "all"] == [300, 900, 900, 300]


# ---- windows ----


def windows_of(*events: Life | Event, now_s: float, rules: Rules | None = None) -> Windows:
    """What a board has when the input ends with the events and the clock stands so late."""
    rules = rules or Rules()
    driver = Driver(1, rules)
    lines = [e for each in events for e in (each.events if isinstance(each, Life) else [each])]
    driver.apply([record_of(event, encode_json(event)) for event in lines])
    driver.flush(at_end=INPUT_TOPICS)
    driver.finish(T0 + round(now_s * 1000))
    merge = Merge(rules)
    merge.put_readings(driver.take())
    merge.settle()
    windows = Windows(merge)
    windows.advance(T0 + round(now_s * 1000))
    return windows


@pytest.mark.parametrize(("now_s", "offered"), [(299.999, 1), (300, 0)])
def test_a_window_ends_with_the_open_slice(now_s: float, offered: int) -> None:
    """Entered at 9.999 s: in the last 5 minutes while 30 slices reach back to it (42)."""
    windows = windows_of(Life("s").then("queue.entered", 9.999), now_s=now_s)
    assert windows.parts("5m", Q).get("offered", 0) == offered


def test_today_starts_at_local_midnight() -> None:
    """In Shanghai midnight is 16:00Z, two hours after T0: what came before it is yesterday's (8, 42)."""
    rules = Rules(zone="Asia/Shanghai")
    assert day_start("Asia/Shanghai", T0 + 3 * HOUR_MS) == T0 + 2 * HOUR_MS
    lives = [Life(f"s{n}").then("queue.entered", 2 * HOUR_S + at) for n, at in enumerate((-0.001, 0, 1))]
    assert windows_of(*lives, now_s=3 * HOUR_S, rules=rules).parts("today", Q)["offered"] == 2


def test_seven_days_are_today_and_the_six_before() -> None:
    """From the midnight six days before today's on (42)."""
    midnight_s = -14 * HOUR_S - 6 * 86_400
    lives = [Life(f"s{n}", midnight_s + at).then("queue.entered", midnight_s + at) for n, at in enumerate((-1, 0))]
    windows = windows_of(*lives, Life("now"), now_s=0)
    assert windows.parts("7d", Q).get("offered", 0) == 1


def test_levels_of_a_window_are_cut_now() -> None:
    """Available since 0 s: at 100.5 s that is 100.5 s, though the slice goes on to 110 s."""
    windows = windows_of(is_now("ann", 0), now_s=100.5)
    group = Place("group", "all", "")
    gauge = windows._merge.gauge(group)
    assert windows.levels("5m", group, gauge)["online_ms"] == 100_500
    assert windows.levels("today", group, gauge)["online_ms"] == 100_500


# ---- what people are counted by: their days and their stints


def days(*changes: Change) -> int:
    """Return what is booked of an agent's online days on the floor."""
    facts = day_facts(State(), sorted(changes), Rules())
    return sum(amount for address, _, _, amount in facts if address[1] == "all")


def status(at_h: float, name: str, *groups: str) -> Change:
    """A status so many hours after a midnight."""
    return day_start("UTC", T0) + round(at_h * HOUR_MS), STATUS, f"{at_h}", name, groups or None, None, None


def test_an_agent_counts_once_on_a_day_however_often_he_comes() -> None:
    """Online at 8, offline at 9, online at 10 of one day: one; again the next day: two."""
    assert days(status(8, "available"), status(9, "offline"), status(10, "busy")) == 1
    assert days(status(8, "available"), status(9, "offline"), status(32, "available")) == 2


def test_who_stays_over_midnight_is_not_booked_and_who_leaves_at_midnight_is_taken_off() -> None:
    """The level at midnight counts who was online before it: -1 for who is not from that very instant on."""
    assert days(status(8, "available"), status(30, "offline")) == 1
    assert days(status(8, "available"), status(24, "offline")) == 0
    assert days(status(8, "available"), status(24, "offline"), status(25, "available")) == 1


def headcount(*changes: Change) -> dict[str, int]:
    """Return the steps of headcount and the leavings on the floor, by hour."""
    facts = roster_facts(State(), sorted(changes))
    midnight = day_start("UTC", T0)
    return {f"{part} {(at - midnight) / HOUR_MS:g}": n for (_, group, _), at, part, n in facts if group == "all"}


def test_a_stint_starts_with_joined_or_else_the_first_status() -> None:
    """A status at 8 and nothing else: on the roster from 8; joined at 9 after it: from 9."""
    joined: Change = (day_start("UTC", T0) + 9 * HOUR_MS, JOINED, "j", None, None, None, None)
    assert headcount(status(8, "available")) == {"roster 8": 1}
    assert headcount(status(8, "available"), joined) == {"roster 9": 1}


def test_after_leaving_only_joined_brings_somebody_back() -> None:
    """Left at 10, a status at 11 changes nothing, joined at 12 does."""
    midnight = day_start("UTC", T0)
    left: Change = (midnight + 10 * HOUR_MS, LEFT, "l", LEFT_STATUS, None, None, None)
    joined: Change = (midnight + 12 * HOUR_MS, JOINED, "j", None, None, None, None)
    once = {"roster 8": 1, "roster 10": -1, "agents_left 10": 1}
    assert headcount(status(8, "available"), left, status(11, "busy")) == once
    assert headcount(status(8, "available"), left, status(11, "busy"), joined) == once | {"roster 12": 1}


def test_a_complaint_is_open_until_it_is_closed_and_belongs_to_the_queue_of_its_opening() -> None:
    """Opened in q, closed in r after 90 s: one complaint of q that took 90 s; a close alone opens nothing."""
    opened, closed = (T0, "o", "q"), (T0 + 90_000, "c", "r")
    assert complaint_facts((opened, None))[2] == ("queue", "q", "unassigned")
    facts, _, is_open = complaint_facts((opened, closed))
    assert is_open is None
    assert {(address[1], part): n for address, _, part, n in facts}["q", "complaint_ms"] == 90_000
    assert complaint_facts((None, closed))[2] is None
