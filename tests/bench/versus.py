"""Floorpulse and its peers, in turns on one Kafka: who takes how long, how much CPU, how much memory, for the same result.

Theory of operation. All inputs are filled beforehand. First everybody reads a small one, a few times: whoever comes to another
result than the recount is out, and the time that this takes is mostly start-up. Then everybody reads the large one, one after
another, and that several times over, so that what else the machine does meets all alike. Speed and CPU "in steady state" are
those of the events that the large input has more than the small one; ratios are taken within a round. Every run's result is
checked.

Each run is noted in a file; with `resume` what stands there is not run again.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from tests.bench.contest import Run, run_once
from tests.bench.contestants import CONTESTANTS, Contestant
from tests.bench.environments import CACHE
from tests.bench.ground import Filled, Ground, ground
from tests.bench.workload import write_events

RATE: Final = 200.0
"""Events per second of event time: a large input spans more than the longest window."""
SMALL_EVENTS: Final = 20_000
SHORT_EVENTS: Final = 40_000
"""The large input of contestants that are slow."""
SMALL_ROUNDS: Final = 2
TIMEOUT_S: Final = 240.0
TOLD: Final = 0.15
"""The share of a run beyond start-up from which on it tells anything: below, start-up's own noise decides."""
OURS: Final = ("floorpulse", "floorpulse-compiled")
"""Whom the others are compared with: the core in Python, and the compiled one where it takes part."""


@dataclass
class Outcome:
    """Runs on the small and on the large input, by round, and what failed."""

    small: dict[int, Run] = field(default_factory=dict)
    large: dict[int, Run] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def failure(self) -> str:
        """Return the latest failure."""
        return self.failures[-1] if self.failures else ""

    @property
    def out(self) -> bool:
        """Tell whether no more runs are tried: the first failed, or two did."""
        return len(self.failures) > (1 if self.small else 0)

    def steady(self, number: int) -> tuple[float, float]:
        """Return events per second and CPU seconds per event of a round, start-up left out; NaN where little more is left."""
        run, events, wall, cpu = self.large[number], *self.start_up()
        more = run.events - events
        wall_s = run.wall_s - wall if run.wall_s - wall > TOLD * run.wall_s else math.nan
        cpu_s = run.cpu_s - cpu if run.cpu_s - cpu > TOLD * run.cpu_s else math.nan
        return more / wall_s, cpu_s / more

    def start_up(self) -> tuple[int, float, float]:
        """Return events, seconds and CPU seconds of the small input."""
        runs = self.small.values()
        events = next(iter(runs)).events
        return events, statistics.median(run.wall_s for run in runs), statistics.median(run.cpu_s for run in runs)


class Contest:
    """All runs of all who take part."""

    def __init__(self, names: Sequence[str], events: int, rounds: int, *, resume: bool, limit_s: float) -> None:
        self.contestants = [CONTESTANTS[name] for name in names]
        self.outcomes: dict[str, Outcome] = defaultdict(Outcome)
        self._events = events
        self._rounds = rounds
        self._ends = time.monotonic() + limit_s
        self._notes = CACHE / f"peers-{events}.jsonl"
        CACHE.mkdir(parents=True, exist_ok=True)
        if not resume:
            self._notes.unlink(missing_ok=True)
        elif self._notes.exists():
            self._remember()

    def _remember(self) -> None:
        for line in self._notes.read_text().splitlines():
            note = json.loads(line)
            runs = getattr(self.outcomes[note["name"]], note["size"])
            runs[note["round"]] = Run(**note["run"])

    def hold(self, folder: Path) -> None:
        """Do it all."""
        file = folder / "events.jsonl"
        with ground(folder) as place:
            small = self._fill(place, file, "small", SMALL_EVENTS)
            short = self._fill(place, file, "short", min(SHORT_EVENTS, self._events))
            large = self._fill(place, file, "large", self._events)
            for number in range(min(SMALL_ROUNDS, self._rounds)):
                for each in self.contestants:
                    self._run(each, place, "small", small, number)
            for number in range(self._rounds):
                began = time.monotonic()
                for each in self.contestants:
                    self._run(each, place, "large", short if each.slow else large, number)
                if time.monotonic() + (time.monotonic() - began) > self._ends and number + 1 < self._rounds:
                    sys.stderr.write(f"peers: time is up after {number + 1} of {self._rounds} rounds\n")
                    break

    @staticmethod
    def _fill(place: Ground, file: Path, name: str, events: int) -> Filled:
        write_events(file, events, rate=RATE)
        filled = place.fill(f"{name}.", file)
        file.unlink()
        return filled

    def _run(self, contestant: Contestant, place: Ground, size: str, filled: Filled, number: int) -> None:
        outcome = self.outcomes[contestant.name]
        runs: dict[int, Run] = getattr(outcome, size)
        if outcome.out or number in runs:
            return
        try:
            run = runs[number] = run_once(contestant, place, filled, TIMEOUT_S * (2 if contestant.slow else 1))
        except Exception as error:  # noqa: BLE001  # one who fails, in whatever way, shall not end the others
            outcome.failures.append(f"{type(error).__name__.lower()}: {error}")
            sys.stderr.write(f"peers {contestant.name} {size} {outcome.failure}\n")
            return
        note = {"name": contestant.name, "size": size, "round": number, "run": run.figures()}
        with self._notes.open("a") as notes:
            notes.write(json.dumps(note) + "\n")
        took = f"{run.wall_s:.1f} s ({run.starved_s:.1f} of them without a core), {run.cpu_s:.1f} CPU s"
        sys.stderr.write(f"peers {contestant.name} {size} {number + 1}: {took}\n")


def figures(contest: Contest) -> dict[str, dict[str, Any]]:
    """Return per contestant the values of all runs, as JSON has them."""
    found: dict[str, dict[str, Any]] = {}
    for each in contest.contestants:
        outcome = contest.outcomes[each.name]
        if not outcome.small or not outcome.large:
            found[each.name] = {"failure": outcome.failure or "not run"}
            continue
        large = [run for _, run in sorted(outcome.large.items())]
        steady = {number: outcome.steady(number) for number in sorted(outcome.large)}
        found[each.name] = {
            "events": large[0].events,
            "start_s": [outcome.start_up()[1]],
            "wall_s": [run.wall_s for run in large],
            "starved_s": [run.starved_s for run in large],
            "events_per_s": [speed for speed, _ in steady.values()],
            "cpu_s_per_100k": [cpu * 1e5 for _, cpu in steady.values()],
            "cpu_s_per_100k_with_start": [run.cpu_s / run.events * 1e5 for run in large],
            "broker_cpu_s_per_100k": [run.broker_cpu_s / run.events * 1e5 for run in large],
            "peak_mb": [run.peak_mb for run in large],
            "beside": {name: _beside(contest.outcomes[name], steady) for name in OURS},
            **({"failure": outcome.failure} if outcome.failure else {}),
        }
    return found


def _beside(ours: Outcome, steady: dict[int, tuple[float, float]]) -> dict[str, list[float]]:
    """Return, per round that both ran, how many times as fast ours is, and how many times its CPU the other takes."""
    both = {number: ours.steady(number) for number in steady if number in ours.large and ours.small}
    return {
        "faster": [speed / steady[number][0] for number, (speed, _) in both.items()],
        "cpu": [steady[number][1] / cpu for number, (_, cpu) in both.items()],
    }


def spread(values: Sequence[float], form: str = ",.2f") -> str:
    """Return median and range of those that tell something."""
    values = [value for value in values if not math.isnan(value)]
    if not values:
        return "-"
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:{form}} ({least:{form}}–{most:{form}})" if len(values) > 1 else f"{middle:{form}}"


COLUMNS: Final = (
    "", "state", "runs × events", "events/s", "CPU s per 100k", "start, s", "broker CPU s per 100k", "peak MB",
    "the core in Python is faster by", "CPU / that core's", "the compiled core is faster by", "CPU / that one's",
)  # fmt: skip


def rows_of(found: dict[str, dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return what stands in the table: medians, (least–most)."""
    rows: list[tuple[str, ...]] = []
    for name, row in found.items():
        contestant = CONTESTANTS[name]
        if "events" not in row:
            rows.append((contestant.title, contestant.state, row["failure"]))
            continue
        rows.append((
            contestant.title, contestant.state,
            f"{len(row['wall_s'])} × {row['events']:,}" + (f", then {row['failure']}" if "failure" in row else ""),
            spread(row["events_per_s"], ",.0f"), spread(row["cpu_s_per_100k"]), spread(row["start_s"], ".1f"),
            spread(row["broker_cpu_s_per_100k"]), spread(row["peak_mb"], ",.0f"),
            *(spread(row["beside"][ours][what]) for ours in OURS for what in ("faster", "cpu")),
        ))  # fmt: skip
    return rows


def table_of(found: dict[str, dict[str, Any]]) -> Table:
    """Return the table."""
    table = Table(*COLUMNS, title="peers: the same job on the same Kafka")
    for row in rows_of(found):
        table.add_row(*row)
    return table


def markdown_of(found: dict[str, dict[str, Any]]) -> str:
    """Return the table for docs/performance.md."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *rows_of(found)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


__all__ = ["Contest", "figures", "markdown_of", "spread", "table_of"]
