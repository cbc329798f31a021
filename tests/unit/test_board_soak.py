"""The soak's judgement: what grows is found, what goes up and down is not."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from tests.soak.judge import EVERY_S, by_period, judge, judge_history, slope, slope_error
from tests.soak.memory import holes
from tests.soak.settings import soak_rules
from tests.soak.state import LOOK_MS, run
from tests.soak.state import judge as judge_state


def samples(**changes: object) -> list[dict[str, float]]:
    """Return two hours of steady samples, one a minute, with some values by minute."""
    steady = {"worker_rss_mib": 200.0, "worker_files": 40, "worker_tasks": 60, "journal_disk_mib": 50.0}
    made = []
    for minute in range(1, 121):
        sample = {"at_h": minute / 60, **steady}
        sample.update({name: change(minute) for name, change in changes.items() if callable(change)})
        made.append(sample)
    return made


def test_a_slope_is_per_hour() -> None:
    """Least squares; of nothing it is 0."""
    assert slope([0, 0.5, 1], [10, 11, 12]) == pytest.approx(2)
    assert slope([1], [5]) == 0


def test_a_period_is_one_value() -> None:
    """What goes up and down within it does not lean the line, wherever they begin; a piece of a period at the end is none."""
    times = [minute / 60 for minute in range(3, 78)]
    waves = [30.0 * (minute % 10) for minute in range(3, 78)]
    assert abs(slope(times, waves)) > 2
    assert len(by_period(times, waves)[0]) == 7
    assert slope(*by_period(times, waves)) == pytest.approx(0, abs=1e-9)


def saw_slope(every_s: float) -> float:
    """The steepest slope that is found in a saw of ten minutes and 18 MiB, wherever its first sample falls."""
    slopes = []
    for begin_s in range(0, 600, 15):
        times = [number * every_s for number in range(int(1.4 * 3600 / every_s))]
        saw = [(at_s + begin_s) % 600 / 600 * 18 for at_s in times]
        slopes.append(abs(slope(*by_period([at_s / 3600 for at_s in times], saw))))
    return max(slopes)


def test_samples_are_close_enough_to_judge_by() -> None:
    """Once a minute, as it is by the clock, they alone come near the bound."""
    assert saw_slope(EVERY_S + 0.5) < 0.3
    assert saw_slope(62) > 0.6


def test_the_error_of_a_slope_is_that_of_the_textbook() -> None:
    """Values on a line have none; otherwise the root of the residuals' mean square over the times' spread."""
    assert slope_error([0, 1, 2, 3], [5, 7, 9, 11]) == pytest.approx(0)
    assert slope_error([0, 1, 2, 3], [0, 1, 0, 1]) == pytest.approx((0.8 / 2 / 5) ** 0.5)


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, 0),
        ({"worker_rss_mib": lambda minute: 200 + min(minute, 35)}, 0),
        ({"worker_rss_mib": lambda minute: 200 + 3 * (minute % 10)}, 0),
        ({"worker_rss_mib": lambda minute: 200 + 3 * (minute % 10) + minute / 50}, 1),
        ({"worker_rss_mib": lambda minute: 200 + minute / 50}, 1),
        ({"worker_rss_mib": lambda minute: 200 + minute / 6, "worker_kept_mib": lambda minute: minute / 6}, 0),
        ({"worker_rss_mib": lambda minute: 200 + minute / 4, "worker_kept_mib": lambda minute: minute / 6}, 1),
        ({"worker_files": lambda minute: 40 + minute // 5}, 1),
        ({"worker_tasks": lambda minute: 60 + minute % 3}, 0),
        ({"journal_disk_mib": lambda minute: 50 + 20 * (minute % 10)}, 0),
        ({"journal_disk_mib": lambda minute: 10 * minute}, 1),
    ],
)
def test_what_grows_is_found(changes: dict[str, object], broken: int) -> None:
    """After the warm-up, which may grow."""
    assert len(judge(samples(**changes), 2.0)["broken"]) == broken


def test_a_part_of_the_memory_is_shown_and_the_whole_is_judged() -> None:
    """Pages move between mappings: one that grows by 5 MiB an hour while the whole stands still breaks no bound."""
    found = judge(samples(worker_resident_other_mib=lambda minute: 100 + 5 * minute / 60), 2)
    assert (found["broken"], list(found["standard_errors"])) == ([], ["worker_other_mib"])
    assert found["slopes_per_h"]["worker_resident_other_mib"] == pytest.approx(5)


@pytest.mark.parametrize(("grows", "broken"), [(0.0, 0), (0.5, 0), (1.5, 1)])
def test_history_is_judged_by_hours_of_event_time(grows: float, broken: int) -> None:
    """From when all has its size; before, it may grow, as what is kept for days always may, and a board."""
    made = [
        {"at_h": h, "worker_rss_mib": 100 * min(h, 3.4) + (20 + grows) * h, "worker_kept_mib": 20 * h, "board_rss_mib": 20 * h}
        for h in (minute / 60 for minute in range(10, 400))
    ]
    found = judge_history(made)
    assert found["slopes_per_h"]["worker_other_mib"] == pytest.approx(grows, abs=0.01)
    assert (found["rss_judged"], len(found["broken"])) == (True, broken)
    assert not judge_history(made[:230])["rss_judged"]
    assert judge_history([])["broken"] == []


def test_a_soak_without_samples_proves_nothing() -> None:
    """It is broken, not clean."""
    assert judge([], 2.0)["broken"]


@pytest.mark.deep
@pytest.mark.timeout(900)
def test_no_part_of_a_workers_state_grows_but_what_is_kept_for_days() -> None:
    """Three hours of event time, 60 events a second, added up by part; `make soak-state` does more."""
    assert judge_state(list(run(soak_rules(), rate=60.0, hours=2.9))) == []


def test_a_part_that_grows_is_found_and_what_is_kept_is_not() -> None:
    """Each look says the bytes by part."""
    looks = [
        (n * LOOK_MS, {"kept": {"reviewers": 10**6 + n * 10**5}, "judged": {"customers": 10**6 + n * 10**4, "ids": 10**6}})
        for n in range(18)
    ]
    assert [line.split(":")[0] for line in judge_state(looks)] == ["customers"]
    assert judge_state(looks[:10]) == ["too short to tell"]


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="the C library cannot be asked where its holes are")
def test_holes_are_told_by_their_size(tmp_path: Path) -> None:
    """Every other one of a thousand blocks of 2,000 bytes is free: a megabyte of holes of up to 4 KiB, none larger."""
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    blocks = [ctypes.c_void_p(library.malloc(ctypes.c_size_t(2000))) for _ in range(1000)]
    before = holes(tmp_path / "heap")
    for block in blocks[::2]:
        library.free(block)
    after = holes(tmp_path / "heap")
    assert after["holes_4096"] - before["holes_4096"] > 900_000
    assert after["holes_larger"] - before["holes_larger"] < 100_000
    for block in blocks[1::2]:
        library.free(block)
