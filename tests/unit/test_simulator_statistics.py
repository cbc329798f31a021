"""The simulated centre against theory: queueing formulas, distributions, identities, and the report of the same file.

Seeded, so that a test passes or fails for good. Those marked `deep` do the same on runs of the length that the design asks for.
Formulas of Erlang-A (M/M/n+M): Mandelbaum & Zeltyn, "Service engineering in action: the Palm/Erlang-A queue"; with
H(x) = (l/th)(1 - e^(-th x)) - n mu x and J the integral of e^H: e = sum over j < n of (l/mu)^(j-n+1) (n-1)!/j!, P(wait > 0) =
l J / (e + l J), P(abandon) = (1 + (l - n mu) J) / (e + l J), E[wait] = P(abandon) / th, and the offered wait has the density
l e^H / (e + l J).
"""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from io import StringIO
from itertools import pairwise
from math import erf, exp, log, sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

import pytest

from schemas.config import Config
from schemas.instants import parse_instant
from schemas.rules import Rules
from sinks.table import By, Choice
from streams.report import report
from streams.simulation import Plan, run_simulation
from streams.simulator import Agent, Centre, Habits, Mess, Queue, Record, encode, simulate
from streams.simulator.people import BANK_HAZARD

MIN_MS = 60_000
HOUR_MS = 3_600_000
QUARTER_MS = 900_000
START_MS = 1_795_269_600_000  # 2026-11-21T14:00:00Z
OUTCOMES = ("answered", "abandoned", "overflowed", "timed_out", "transferred", "callback", "voicemail", "closed")
KS_0_001 = 1.949
"""sqrt(n) x the largest distance that a sample of the distribution exceeds with probability 0.001."""

Case = tuple[float, float, float, int]
"""Calls per minute, mean service and mean patience in s, agents."""
CASES: list[Case] = [(6.0, 180.0, 210.0, 22), (6.0, 180.0, 210.0, 19), (4.0, 120.0, 60.0, 8), (2.0, 300.0, 400.0, 12)]
T_S = 20.0


class Level(NamedTuple):
    """What a queue does to its customers: shares of the offered, mean wait in s, share of the agents' time in hand."""

    abandoned: float
    wait_s: float
    within: float
    occupancy: float


# ---- Erlang-A ----


def integral(f: Callable[[float], float], end: float, steps: int = 20_000) -> float:
    """Simpson's rule from 0 on."""
    h = end / steps
    odd, even = sum(f(k * h) for k in range(1, steps, 2)), sum(f(k * h) for k in range(2, steps, 2))
    return (f(0) + f(end) + 4 * odd + 2 * even) * h / 3


def erlang_a(case: Case) -> tuple[float, Level]:
    """P(wait > 0) and the levels of M/M/n+M, exactly."""
    per_minute, service_s, patience_s, n = case
    arrive, serve, lose = per_minute / 60, 1 / service_s, 1 / patience_s

    def weight(x: float) -> float:
        return exp(arrive / lose * (1 - exp(-lose * x)) - n * serve * x)

    j = integral(weight, 40 * patience_s)
    e, term = 0.0, 1.0
    for k in range(n - 1, -1, -1):  # the terms of n-1, n-2, ... 0 in the system, relative to that of n-1
        e += term
        term *= k * serve / arrive
    all_of_it = e + arrive * j
    abandoned = (1 + (arrive - n * serve) * j) / all_of_it
    soon = arrive * integral(lambda x: weight(x) * exp(-lose * x), T_S, 400) / all_of_it
    waits = arrive * j / all_of_it
    return waits, Level(abandoned, abandoned / lose, 1 - waits + soon, arrive * (1 - abandoned) / (n * serve))


@pytest.mark.parametrize(
    ("agents", "waits", "level"),
    [(19, 0.452, (0.0661, 13.87, 0.708)), (22, 0.206, (0.022, 4.64, 0.896))],
)
def test_the_formulas_give_the_reference_values(agents: int, waits: float, level: tuple[float, ...]) -> None:
    """6 calls a minute, 180 s, patience 210 s: as published with the design."""
    seen, levels = erlang_a((6.0, 180.0, 210.0, agents))
    assert (round(seen, 3), round(levels.abandoned, 4 if agents == 19 else 3)) == (waits, level[0])
    assert (round(levels.wait_s, 2), round(levels.within, 3)) == level[1:]


def bare(case: Case, seed: int, **queue: object) -> Centre:
    """A centre that is nothing but a queue with its agents."""
    per_minute, service_s, patience_s, n = case
    fields = {"service": "exponential", "talk_s": service_s, "patience_s": patience_s} | queue
    agents = tuple(Agent(id=f"a{k}", queues=("Q",), groups=("g",)) for k in range(n))
    return Centre(
        queues=(Queue(name="Q", per_minute=per_minute, **fields),),  # type: ignore[arg-type]  # builder
        agents=agents,
        habits=replace(Habits.plain(), survey=0.0, review=0.0, complaint=0.0, hold=0.0, texts=0.0),
        seed=seed,
    )


class Stay(NamedTuple):
    """One stay in a queue."""

    entered_ms: int
    wait_ms: int
    outcome: str


def stays(records: Iterable[Record]) -> tuple[list[Stay], list[tuple[int, int]]]:
    """All stays in order of leaving, and when agents had calls: from connected to ended."""
    entered: dict[str, int] = {}
    taken: dict[str, int] = {}
    found: list[Stay] = []
    calls: list[tuple[int, int]] = []
    for at, _, key, event in records:
        kind = event["type"]
        if kind == "queue.entered":
            entered[key] = at
        elif kind == "queue.left":
            found.append(Stay(entered[key], at - entered.pop(key), event["outcome"]))
        elif kind == "session.connected":
            taken[key] = at
        elif kind == "session.ended" and key in taken:
            calls.append((taken.pop(key), at))
    return found, calls


def batches(centre: Centre, hours: int, many: int) -> list[Level]:
    """The levels of equal parts of a run, after an hour in which it settles."""
    n = len(centre.agents)
    length = hours * HOUR_MS // many
    found, calls = stays(simulate(centre, 0, HOUR_MS + hours * HOUR_MS))
    of: dict[int, list[Stay]] = defaultdict(list)
    for stay in found:
        of[(stay.entered_ms - HOUR_MS) // length].append(stay)
    busy: dict[int, int] = defaultdict(int)
    for start, end in calls:
        at = start
        while at < end:
            number = (at - HOUR_MS) // length
            until = min(end, HOUR_MS + (number + 1) * length)
            busy[number] += until - at
            at = until
    return [
        Level(
            fmean(stay.outcome == "abandoned" for stay in of[k]),
            fmean(stay.wait_ms / 1000 for stay in of[k]),
            fmean(stay.outcome == "answered" and stay.wait_ms <= T_S * 1000 for stay in of[k]),
            busy[k] / (n * length),
        )
        for k in range(many)
    ]


def check_erlang_a(case: Case, parts: list[Level], near: float) -> None:
    """|z| < 4 for each level, by the means of the parts; and close enough to mean something."""
    for name, expected, values in zip(Level._fields, erlang_a(case)[1], zip(*parts, strict=True), strict=True):
        z = (fmean(values) - expected) / (stdev(values) / sqrt(len(parts)))
        assert abs(z) < 4, f"{case} {name}: {fmean(values):.4f}, exactly {expected:.4f}, z {z:+.1f}"
        assert fmean(values) == pytest.approx(expected, rel=near), name


@pytest.mark.parametrize("case", CASES, ids=str)
def test_erlang_a(case: Case) -> None:
    """Exponential service and patience: abandonment, wait, answered within 20 s, occupancy are those of the formulas."""
    check_erlang_a(case, batches(bare(case, seed=5), round(480 / case[0]), 30), near=0.1)


@pytest.mark.deep
@pytest.mark.parametrize("case", CASES, ids=str)
def test_erlang_a_in_long_runs(case: Case) -> None:
    """The same in twelve runs of forty hours: each by itself by batch means, and all together by the means of the runs."""
    runs = [batches(bare(case, seed=100 + seed), 40, 20) for seed in range(12)]
    for run in runs:
        check_erlang_a(case, run, near=0.6)
    check_erlang_a(case, [Level(*map(fmean, zip(*run, strict=True))) for run in runs], near=0.1)


def check_lognormal(hours: int) -> None:
    """A service time with another distribution of the same mean changes the lost by less than a tenth."""
    case = CASES[1]
    found, _ = stays(simulate(bare(case, 3, service="lognormal"), 0, hours * HOUR_MS))
    lost = fmean(stay.outcome == "abandoned" for stay in found if stay.entered_ms > HOUR_MS)
    assert lost == pytest.approx(erlang_a(case)[1].abandoned, rel=0.10)


def test_lognormal_service_loses_nearly_as_many() -> None:
    """Within 10 % of Erlang-A."""
    check_lognormal(120)


@pytest.mark.deep
def test_lognormal_service_loses_nearly_as_many_in_long_runs() -> None:
    """The same over 480 hours."""
    check_lognormal(480)


# ---- distributions ----


def distance(sample: Iterable[float], cdf: Callable[[float], float]) -> float:
    """Kolmogorov's distance x sqrt(n)."""
    ordered = sorted(sample)
    n = len(ordered)
    worst = max(max((k + 1) / n - cdf(x), cdf(x) - k / n) for k, x in enumerate(ordered))
    return worst * sqrt(n)


def check_arrivals(days: int) -> None:
    """Within a quarter-hour with arrivals at T1 < ... < TJ, (J+1-j) (-log((L-Tj) / (L-Tj-1))) is Exp(1) (Brown et al. 2005)."""
    queue = Queue(name="Q", per_minute=8)
    centre = Centre(queues=(queue,), agents=(), habits=Habits.plain(), seed=11).bank_day()
    starts: dict[int, list[int]] = defaultdict(list)
    for at, _, _, event in simulate(centre, 0, days * 24 * HOUR_MS):
        if event["type"] == "session.started":
            starts[at // QUARTER_MS].append(at % QUARTER_MS)
    gaps = [
        (len(times) - j) * -log((QUARTER_MS - now) / (QUARTER_MS - before))
        for times in starts.values()
        for j, (before, now) in enumerate(pairwise([0, *times]))
    ]
    assert len(gaps) > 4_000 * days
    assert distance(gaps, lambda x: 1 - exp(-x)) < KS_0_001


def test_rescaled_gaps_are_exponential() -> None:
    """Arrivals of a bank's day are Poisson with a rate that is constant over quarter-hours (p > 0.001)."""
    check_arrivals(1)


@pytest.mark.deep
def test_rescaled_gaps_are_exponential_over_weeks() -> None:
    """The same over two weeks."""
    check_arrivals(14)


def test_log_service_is_normal() -> None:
    """Calls of 180 s in the mean, sigma 0.94: the logarithm is normal (p > 0.001)."""
    _, calls = stays(simulate(bare((6.0, 180.0, 210.0, 40), 2, service="lognormal"), 0, 30 * HOUR_MS))
    mean, sigma = log(180) - 0.94**2 / 2, 0.94
    logs = [log((end - start) / 1000) for start, end in calls]
    assert len(logs) > 10_000
    assert distance(logs, lambda x: (1 + erf((x - mean) / sigma / sqrt(2))) / 2) < KS_0_001


def check_patience(hours: int) -> None:
    """Kaplan-Meier's estimate from the waits, the answered ones censored, is the bank's survival within Greenwood's band."""
    crowded = bare((6.0, 180.0, 0.0, 15), 4, patience_s=None)
    found, _ = stays(simulate(crowded, 0, hours * HOUR_MS))
    waits = sorted((stay.wait_ms, stay.outcome != "abandoned") for stay in found)
    at_risk, survival, greenwood = len(waits), 1.0, 0.0
    true_log, checks = 0.0, []
    for (start, hazard), (end, _) in pairwise(BANK_HAZARD[:-1]):
        true_log -= hazard * (end - start) / 1000
        checks.append((end * 1000, exp(true_log)))
    for wait, answered in [*waits, (1 << 60, True)]:
        while checks and wait > checks[0][0]:
            _, true = checks.pop(0)
            assert abs(survival - true) < 4 * survival * sqrt(greenwood), (wait, survival, true)
        if not answered:
            survival *= 1 - 1 / at_risk
            greenwood += 1 / (at_risk * (at_risk - 1)) if at_risk > 1 else 0.0
        at_risk -= 1
    assert greenwood > 0


def test_patience_by_kaplan_meier() -> None:
    """At 5, 20, 60, 120 and 240 s."""
    check_patience(40)


@pytest.mark.deep
def test_patience_by_kaplan_meier_in_long_runs() -> None:
    """The same over 300 hours."""
    check_patience(300)


# ---- identities ----


def written(records: Iterable[Record], file: Path) -> list[Record]:
    """Put the records into a file, and return them."""
    kept = list(records)
    file.write_bytes(b"".join(encode(event) + b"\n" for _, _, _, event in kept))
    return kept


def table(file: Path, by: By) -> dict[str, Counter[str]]:
    """Counts and sums of `floorpulse report` on a file, over all intervals, by queue or group."""
    made = report([file], Rules(), Choice(by=by))
    assert made.outcomes["applied"] == made.read
    text = StringIO()
    made.table.write_csv(text)
    text.seek(0)
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for row in csv.DictReader(text):
        for column, cell in row.items():
            if column not in (by, "interval_start", "formula") and cell:
                sums[row[by]][column] += round(float(cell) * 1000) if column.endswith("_s") else float(cell)  # type: ignore[assignment]
    return sums


def check_identities(centre: Centre, span_ms: int, tmp_path: Path) -> None:
    """Count the records by hand; the report of the file says the same."""
    file = tmp_path / "events.jsonl"
    records = written(simulate(centre, START_MS, span_ms, drain=False), file)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    taken: Counter[str] = Counter()
    waiting: dict[tuple[str, str], int] = {}
    area: Counter[str] = Counter()
    since = START_MS
    for at, _, key, event in records:
        for _, queue in waiting:
            area[queue] += at - since
        since = at
        kind, queue = event["type"], event.get("queue", "")
        if kind == "queue.entered":
            counts[queue]["offered"] += 1
            waiting[key, queue] = at
        elif kind == "queue.left":
            wait = at - waiting.pop((key, queue))
            outcome = event["outcome"]
            counts[queue]["left_transferred" if outcome == "transferred" else outcome] += 1
            counts[queue]["queue_time_s"] += wait
        elif kind == "session.connected":
            taken["all"] += 1
    left = Counter(queue for _, queue in waiting)
    reported = table(file, "queue")
    for name in (queue.name for queue in centre.queues):
        mine, theirs = counts[name], reported[name]
        outcomes = ["left_transferred" if outcome == "transferred" else outcome for outcome in OUTCOMES]
        assert mine["offered"] == sum(mine[outcome] for outcome in outcomes) + left[name]
        still = sum(since - entered for (_, where), entered in waiting.items() if where == name)
        assert area[name] == mine["queue_time_s"] + still  # Little's law
        for column in ("offered", *outcomes, "queue_time_s"):
            assert theirs[column] == mine[column], (name, column)
    assert table(file, "group")["all"]["taken"] == taken["all"]
    assert left.total() > 0 or span_ms > HOUR_MS  # of an hour the seed is such that somebody waits when it is cut off


def test_identities_hold_and_the_report_of_the_file_agrees(tmp_path: Path) -> None:
    """Offered = outcomes + waiting; the waits add up to the time-integral of who waits; cut off in the midst of a busy hour."""
    check_identities(Centre.default(seed=4), 45 * MIN_MS, tmp_path)


@pytest.mark.deep
def test_identities_hold_over_a_day(tmp_path: Path) -> None:
    """The same over 24 hours."""
    check_identities(Centre.default(), 24 * HOUR_MS, tmp_path)


def test_the_report_of_a_messy_file_counts_what_is_left_of_the_truth(tmp_path: Path) -> None:
    """Duplicates and invalid lines change no count; entries are all there."""
    centre = replace(Centre.default(queues=2, agents=20), mess=Mess(clock_share=0.0, lost_left=0.0))
    records = list(simulate(replace(centre, mess=None), START_MS, 30 * MIN_MS))
    entries = Counter(event["queue"] for _, _, _, event in records if event["type"] == "queue.entered")
    file = tmp_path / "messy.jsonl"
    written(simulate(centre, START_MS, 30 * MIN_MS), file)
    made = report([file], Rules(), Choice())
    assert made.outcomes["invalid"] > 0
    assert made.outcomes["duplicate"] > 0
    offered: Counter[str] = Counter()
    place = made.table.header.index("offered")
    for row in made.table.values():
        offered[str(row[0])] += int(row[place] or 0)
    assert offered == entries


# ---- files ----


def test_the_same_seed_writes_the_same_file(tmp_path: Path) -> None:
    """Byte for byte, with and without a rate and mess; another seed writes another one."""
    for plan in (Plan(), Plan(rate=30.0), Plan(mess=True)):
        files = []
        for number, seed in enumerate((1, 1, 2)):
            file = tmp_path / f"{number}.jsonl"
            same = replace(plan, duration_ms=2 * MIN_MS, start="2026-11-21T14:00:00Z", seed=seed)
            run_simulation(Config(), same, file)
            files.append(file.read_bytes())
        assert files[0] == files[1] != files[2]


def test_history_comes_before_the_start(tmp_path: Path) -> None:
    """As many events a second as after it, and the last as late as without."""
    file = tmp_path / "events.jsonl"
    run_simulation(Config(), Plan(rate=100.0, duration_ms=30_000, history_ms=60_000, start="2026-11-21T14:00:00Z"), file)
    at = [parse_instant(str(json.loads(line)["at"])) for line in file.read_bytes().splitlines()]
    start = parse_instant("2026-11-21T14:00:00Z")
    assert start - 60_000 <= at[0] < start - 59_000
    assert start + 29_000 < at[-1] <= start + 30_000
    assert sum(each < start for each in at) / 60 == pytest.approx(sum(each >= start for each in at) / 30, rel=0.1)


@pytest.mark.parametrize(("rate", "seconds", "within"), [(20.0, 60, 0.03), (100.0, 60, 0.02), (20.0, 120, 0.02), (5.0, 600, 0.02)])
def test_a_short_file_has_its_rate(rate: float, seconds: int, within: float, tmp_path: Path) -> None:
    """Also from the start on, when the first sessions have yet to unfold."""
    file = tmp_path / "events.jsonl"
    run_simulation(Config(), Plan(rate=rate, duration_ms=seconds * 1000, start="2026-11-21T14:00:00Z"), file)
    assert file.read_bytes().count(b"\n") / seconds == pytest.approx(rate, rel=within)


def test_no_duration_is_negative_without_mess() -> None:
    """Nothing of a session comes before it started or, but for what follows it, after it ended."""
    after = {"session.wrapped_up", "session.survey_sent", "session.rated", "session.reviewed"}
    started: set[str] = set()
    ended: set[str] = set()
    last: dict[str, int] = {}
    for at, topic, key, event in simulate(Centre.default(), START_MS, 60 * MIN_MS):
        if topic in ("sessions", "queues"):
            assert at >= last.get(key, at)
            last[key] = at
            assert (event["type"] == "session.started") == (key not in started)
            assert key not in ended or event["type"] in after
            started.add(key)
            if event["type"] == "session.ended":
                ended.add(key)
    assert started == ended
