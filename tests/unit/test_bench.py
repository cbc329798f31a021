"""The benchmark itself: what everybody is compared by, and when a figure counts as worse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.readings import SLICE_MS, ReadingKey
from schemas.rules import Rules
from streams.core.driver import Driver
from streams.lines import read_lines
from tests.bench import scaling, versus
from tests.bench.baseline import compare, judge
from tests.bench.contest import Run
from tests.bench.contestants import PARTS, spread_over_windows
from tests.bench.peers import job
from tests.bench.recount import Sums, Window, difference, read_result, recount
from tests.bench.versus import Contest, Outcome, figures, spread
from tests.bench.workload import write_events

_EVENTS = 12_000


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some events of the simulator."""
    file = tmp_path_factory.mktemp("bench") / "events.jsonl"
    write_events(file, _EVENTS, rate=200.0)
    return file


def _recounted(file: Path) -> dict[Window, Sums]:
    with file.open("rb") as lines:
        return recount(lines)


def test_the_peers_job_comes_to_what_the_recount_comes_to(events: Path, tmp_path: Path) -> None:
    """The state machines that Python's peers share, fed topic by topic, give the same windows as the slow recount."""
    states: dict[tuple[str, str], job.State | None] = {}
    windows: dict[Window, list[int]] = {}
    steps = {"queue": job.waited, "session": job.responded}
    for line in sorted(events.read_text().splitlines(), key=lambda line: json.loads(line)["type"].startswith("queue.")):
        event = json.loads(line)
        topic = event["type"].split(".")[0]
        if topic not in steps:
            continue
        place = (topic, event["session_id"])
        states[place], fact = steps[topic](states.get(place), event)
        if fact is not None:
            minute = fact["at"] // job.STEP_MS
            for length in job.LENGTHS_MS:
                for number in range(length // job.STEP_MS):
                    window = (fact["queue"], length, (minute - number) * job.STEP_MS)
                    windows[window] = job.add(windows.get(window, job.NOTHING), fact["totals"])
    job.write_result(str(tmp_path), ((*window, totals) for window, totals in windows.items()))
    expected = _recounted(events)
    assert difference(expected, read_result(tmp_path / "result.jsonl")) == ""
    assert sum(sums[4] for sums in expected.values()) > 0, "some first responses"
    assert sum(sums[1] for sums in expected.values()) > 0, "some abandonments"


def test_our_slices_come_to_what_the_recount_comes_to(events: Path) -> None:
    """What the contest reads out of the readings is the same job: the core's slices give the recount's windows."""
    driver = Driver(4, Rules())
    last: dict[ReadingKey, dict[str, Any] | None] = {}
    for batch in read_lines(events):
        driver.apply([line[:3] for line in batch])
        driver.flush()
        taken = driver.take()
        last |= {key: body for key, body in taken if (key.kind, key.dimension, key.length_ms) == ("slice", "queue", SLICE_MS)}
    windows: dict[Window, list[int]] = {}
    for key, body in last.items():
        sums = [(body or {"parts": {}})["parts"].get(part, 0) for part in PARTS]
        if any(sums):
            spread_over_windows(windows, key.name, key.start_ms, sums)
    assert difference(_recounted(events), {window: tuple(sums) for window, sums in windows.items()}) == ""


def test_one_second_more_of_waiting_is_noticed(events: Path) -> None:
    """A result that is off by a second in one window does not count."""
    expected = _recounted(events)
    window = next(iter(expected))
    found = expected | {window: (*expected[window][:2], expected[window][2] + 1000, *expected[window][3:])}
    assert difference(expected, found).startswith(f"1 of {len(expected)} windows differ, the first {window}")


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        ([1.0, 1.05, 1.1], "same"),
        ([1.2, 1.25, 1.3], "worse"),
        ([0.9, 1.25, 1.3], "noise?"),
        ([0.7, 0.75, 0.8], "better"),
    ],
)
def test_worse_is_more_than_a_tenth_and_apart_from_the_baseline(now: list[float], verdict: str) -> None:
    """Where the ranges overlap it may be noise; and it is called that."""
    assert judge([0.95, 1.0, 1.05], now) == verdict


def test_a_run_that_start_up_outweighs_tells_no_rate() -> None:
    """Where a start took longer than the whole large run, the machine was busy: nothing is made of the difference."""
    large = {0: Run(120_000, 9.0, 5.0, 0, 0), 1: Run(120_000, 20.0, 5.0, 0, 0)}
    outcome = Outcome(small={0: Run(20_000, 10.0, 1.0, 0, 0)}, large=large)
    assert spread([outcome.steady(number)[0] for number in (0, 1)], ",.0f") == "10,000"
    assert outcome.steady(0)[1] * 1e5 == pytest.approx(4.0)


def test_a_peer_is_compared_round_by_round_with_either_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ratio takes both from one round, and only rounds that both ran; without a compiled core there is none to it."""
    monkeypatch.setattr(versus, "CACHE", tmp_path)
    contest = Contest(["floorpulse", "plain"], 120_000, 2, resume=False, limit_s=1.0)
    small = {0: Run(20_000, 10.0, 1.0, 0, 0)}
    rounds = {0: Run(120_000, 20.0, 2.0, 0, 0), 1: Run(120_000, 30.0, 3.0, 0, 0), 2: Run(120_000, 40.0, 4.0, 0, 0)}
    contest.outcomes["floorpulse"] = Outcome(small=small, large=rounds)
    contest.outcomes["plain"] = Outcome(small=small, large={1: Run(120_000, 15.0, 5.0, 0, 0), 2: Run(120_000, 70.0, 2.5, 0, 0)})
    beside = figures(contest)["plain"]["beside"]
    assert beside["floorpulse"] == {"faster": pytest.approx([0.25, 2.0]), "cpu": pytest.approx([2.0, 0.5])}
    assert beside["floorpulse-compiled"] == {"faster": [], "cpu": []}


def test_a_slower_machine_is_taken_out() -> None:
    """When the yardstick takes twice as long, code that takes twice as long is not worse; at three times it is."""
    known = {"date": "", "machine": {}, "parts": {"yardstick": {"CPU s per 100k": [1.0]}, "core": {"CPU s per 100k events": [2.0]}}}
    slow = {"yardstick": {"CPU s per 100k": [2.0]}, "core": {"CPU s per 100k events": [4.0]}}
    assert compare(known, slow)[0] == 0
    assert compare(known, slow | {"core": {"CPU s per 100k events": [6.0]}})[0] == 1


def test_events_spread_over_more_queues_are_the_same_otherwise(events: Path) -> None:
    """What scaling is measured with: so many queues, all events applied, as much offered and answered as before."""
    found = []
    for queues in (1, 40):
        driver = Driver(1, Rules(slices_kept_ms=0, quarters_kept_ms=1 << 60))
        ((records,), *_) = scaling._chunks(events, [scaling._spread(queues)], _EVENTS)
        driver.apply(records)
        driver.flush()
        totals = [((key.name, key.channel), body) for key, body in driver.take() if (key.kind, key.dimension) == ("total", "queue")]
        cells = {place: body["parts"] for place, body in totals if body}
        assert [outcomes["invalid"] for outcomes in driver.floors[0].counts.values()] == [0] * len(driver.floors[0].counts)
        named = {name for name, _ in cells if name.startswith("queue ")}
        assert queues / 2 < len(named) <= queues
        found.append([sum(parts.get(part, 0) for parts in cells.values()) for part in ("offered", "answered")])
    assert found[0] == found[1]
    assert min(found[0]) > 20


def test_windows_are_measured_on_boards_that_have_them() -> None:
    """Both boards take all readings and make their snapshots."""
    found = scaling.windows((1, 20), warm_up_ms=20_000, measured_ms=10_000)
    assert found["readings per snapshot"] > 10
    assert all(value > 0 for value in found.values())
    assert len([name for name in found if "per snapshot" in name]) == 3
