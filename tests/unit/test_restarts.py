"""What a restart with other settings, a bound, or an id that lives twice may not do to the numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from schemas.codec import encode_json
from schemas.events import INPUT_TOPICS
from schemas.readings import SLICE_MS
from schemas.rules import DAY_MS, HOUR_MS, Rules
from streams.core.driver import Driver, record_of
from streams.core.floor import Floor

T0 = 1_772_438_400_000  # 2026-03-02T08:00:00Z
LIVE = Rules(live=True)


class Run:
    """Floors driven by hand; what they published last, by key."""

    def __init__(self, rules: Rules = LIVE, partitions: int = 1) -> None:
        self.driver = Driver(partitions, rules)
        self.published: dict[Any, Any] = {}
        self.number = 0

    def tell(self, at_s: float, kind: str, **fields: Any) -> Run:
        """Let an event happen so many seconds after T0; `agent`, `session` and `customer` are ids."""
        self.number += 1
        named = {f"{name}_id" if name in ("agent", "session", "customer") else name: value for name, value in fields.items()}
        event = {"id": f"e{self.number}", "type": kind, "at": T0 + round(at_s * 1000), **named}
        self.driver.apply([record_of(event, encode_json(event))], T0 + round(at_s * 1000))
        return self

    def flush(self, at_s: float, times: int = 3) -> Run:
        """Flush at an instant, often enough for the relay to come round."""
        for _ in range(times):
            self.driver.flush(T0 + round(at_s * 1000), INPUT_TOPICS)
        self.published |= {reading.key: reading.body for reading in self.driver.take()}
        return self

    def restart(self, rules: Rules) -> Run:
        """Go on from the journal's entries, by way of bytes, with other settings."""
        restored = []
        for floor in self.driver.floors:
            entries = {key: floor.entry(key) for key in floor.keys()}  # noqa: SIM118  a floor is no mapping
            thawed = msgspec.msgpack.decode(msgspec.msgpack.encode(entries))
            restored.append(Floor.thaw(floor.partition, floor.partitions, rules, thawed))
        self.driver.floors = restored
        return self

    def levels(self, name: str, dimension: str = "group") -> dict[str, int]:
        """Return the present levels of a group that are not 0, without those of the roster."""
        found: dict[str, int] = {}
        for floor in self.driver.floors:
            for level, value in floor.books.cells.levels.get((dimension, name, ""), {}).items():
                found[level] = found.get(level, 0) + value
        return {level: value for level, value in found.items() if value and level != "roster"}

    def total(self, part: str) -> int:
        """Return the sum of a part over all quarter-hours."""
        return sum(
            cell.get(part, 0)
            for floor in self.driver.floors
            for by_address in floor.books.cells.slices[900_000].values()
            for cell in by_address.values()
        )


def test_a_default_capacity_that_changed_at_a_restart_leaves_no_slots_behind() -> None:
    """Available with 1, restarted with 3: three slots from then on; offline: none."""
    run = Run().tell(0, "agent.status", agent="a", status="available", groups=["g"]).flush(1)
    run.restart(replace(LIVE, default_capacity=3)).flush(300)
    assert run.levels("g")["capacity"] == 3
    run.tell(600, "agent.status", agent="a", status="offline").flush(601)
    assert run.levels("g") == {"status_offline": 1}
    assert run.levels("all") == {"status_offline": 1}


def test_other_settings_do_not_count_a_relayed_contact_again() -> None:
    """Settled after an hour; restarted with two hours on partitions of which one had no event of its own."""
    hour = replace(LIVE, repeat_ms=HOUR_MS)
    run = Run(hour, partitions=2)
    for number in range(6):
        run.tell(number, "session.started", session=f"s{number}", channel="voice", customer=f"c{number}")
        run.tell(10 + number, "session.ended", session=f"s{number}", ended_by="agent")
    run.flush(20).flush(2 * 3600)
    assert run.total("fcr_contacts") == 6
    run.restart(replace(hour, repeat_ms=2 * HOUR_MS)).flush(2 * 3600 + 1).flush(5 * 3600)
    assert run.total("fcr_contacts") == 6


def test_contacts_that_were_pushed_out_are_not_counted_again() -> None:
    """Twenty sessions of one customer where ten are kept: twenty started, however often they are told again."""
    run = Run(replace(LIVE, max_contacts=10))
    for number in range(20):
        run.tell(number, "session.started", session=f"s{number}", channel="voice", customer="c").flush(number)
    assert run.total("known_started") == 20
    run.restart(run.driver.floors[0].rules)
    for number in range(20):
        run.tell(100 + number, "session.ended", session=f"s{number}", ended_by="agent").flush(100 + number)
    assert (run.total("known_started"), run.total("repeat_contacts")) == (20, 19)


def test_a_customer_whose_contact_was_withdrawn_is_forgotten() -> None:
    """An earlier start names another customer: nothing is left of the first."""
    run = Run().tell(10, "session.started", session="s", channel="voice", customer="one").flush(10)
    run.tell(5, "session.started", session="s", channel="voice", customer="two").flush(11)
    assert len(run.driver.floors[0].customers) == 1


def test_gauges_of_agents_that_are_switched_off_are_withdrawn() -> None:
    """Tombstones for all that was published of them, and nothing under their names in the state."""
    on = replace(LIVE, agent_series=True)
    run = Run(on).tell(0, "agent.status", agent="anna", status="available", groups=["g"]).flush(1)
    assert run.levels("anna", "agent")["online"] == 1
    run.restart(LIVE).flush(2)
    of_agents = [key for key in run.published if key.dimension == "agent"]
    assert len(of_agents) > 1
    assert {body for key, body in run.published.items() if key in of_agents} == {None}
    again = [run.driver.floors[0].entries.reading(key, T0) for key in of_agents]
    assert {reading.body for reading in again} == {None}, "what a sleeper publishes of her is answered by nothing else"
    assert not [key for floor in run.driver.floors for key in floor.keys() if "\x1fagent\x1f" in key]  # noqa: SIM118


def test_gauges_of_agents_that_are_switched_on_begin_with_what_they_are() -> None:
    """Available before; busy after the restart: on the level of busy once, on no other."""
    run = Run().tell(0, "agent.status", agent="anna", status="available", groups=["g"]).flush(1)
    run.restart(replace(LIVE, agent_series=True)).flush(2)
    run.tell(60, "agent.status", agent="anna", status="busy").flush(61)
    assert run.levels("anna", "agent") == {"online": 1, "status_busy": 1}


def test_who_has_gauges_of_his_own_keeps_them_over_a_restart() -> None:
    """One place: the first who came has it, before and after."""
    rules = replace(LIVE, agent_series=True, max_agents=1)
    run = Run(rules).tell(0, "agent.status", agent="a", status="available").tell(1, "agent.status", agent="b", status="available")
    run.flush(2).restart(rules)
    run.tell(10, "agent.status", agent="b", status="offline").tell(11, "agent.status", agent="a", status="offline").flush(12)
    assert run.levels("a", "agent") == {"status_offline": 1}
    assert run.levels("b", "agent") == {}


def test_headcount_is_bounded_as_everything_is() -> None:
    """Forty groups where ten addresses are kept: the rest counts in the overflow."""
    run = Run(replace(LIVE, max_cells=10))
    for number in range(40):
        run.tell(0, "agent.status", agent=f"a{number}", status="available", groups=[f"g{number}"])
    run.flush(1)
    assert len(run.driver.floors[0].books.cells.levels) <= 12
    assert sum(levels.get("roster", 0) for levels in run.driver.floors[0].books.cells.levels.values()) == 80


def test_a_limit_that_was_raised_leaves_what_is_in_the_overflow_there() -> None:
    """Twenty groups at a limit of ten, raised to a hundred at a restart; all go offline: nobody is available anywhere."""
    rules = replace(LIVE, max_cells=10)
    run = Run(rules)
    for number in range(20):
        run.tell(0, "agent.status", agent=f"a{number}", status="available", groups=[f"g{number}"])
    run.flush(1).restart(replace(rules, max_cells=100))
    for number in range(20):
        run.tell(10, "agent.status", agent=f"a{number}", status="offline")
    run.flush(11)
    levels = run.driver.floors[0].books.cells.levels
    assert {level.get("status_available", 0) for level in levels.values()} == {0}


def test_events_of_a_life_that_is_over_are_late_though_the_id_lives_again() -> None:
    """A session of 10 minutes, forgotten after a day; under its id a new one; the old events once more: late, not applied."""
    run = Run()
    old = [("session.started", {"channel": "voice"}), ("queue.entered", {"queue": "q"}), ("session.ended", {"ended_by": "agent"})]
    for number, (kind, fields) in enumerate(old):
        run.tell(number * 300, kind, session="s", **fields)
    run.flush(601).flush(1.6 * DAY_MS / 1000)
    run.tell(1.6 * DAY_MS / 1000, "session.started", session="s", channel="voice").flush(1.6 * DAY_MS / 1000 + 1)
    for number, (kind, fields) in enumerate(old):
        run.tell(number * 300, kind, session="s", **fields)
    counts = run.driver.floors[0].counts
    assert counts["sessions"]["late"] + counts["queues"]["late"] == 3
    assert run.flush(1.7 * DAY_MS / 1000).total("offered") == 1


def test_idle_topics_hold_the_watermark_back_no_longer_than_the_timeout() -> None:
    """All four idle from the start: a watermark after one timeout."""
    run = Run().flush(0).flush(31)
    assert run.driver.floors[0].clock.watermark is not None


def test_a_slice_that_is_only_empty_now_is_no_tombstone() -> None:
    """Its facts moved elsewhere, others may come: what answers a sleeper must not say that it is over before it is."""
    run = Run().tell(0, "complaint.closed", complaint_id="k").flush(1)
    run.tell(-60, "complaint.opened", complaint_id="k", queue="orders").flush(2)
    emptied = [key for key, body in run.published.items() if key.kind == "slice" and body == {"parts": {}}]
    assert {key.name for key in emptied} == {"unassigned"}
    run.restart(LIVE)
    entries = run.driver.floors[0].entries
    assert [entries.reading(key, T0).body for key in emptied] == [{"parts": {}}] * len(emptied)
    for hour in (3, 4):
        for kind in ("session.started", "queue.entered", "agent.status", "site.visits"):
            run.tell(hour * 3600, kind, session="s", agent="a", queue="orders", channel="voice", status="busy", count=1)
        run.flush(hour * 3600)
    short = [key for key in emptied if key.length_ms == SLICE_MS]
    entries = run.driver.floors[0].entries
    assert short
    assert [entries.reading(key, T0).body for key in short] == [None] * len(short)
