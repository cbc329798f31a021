"""The interval table from files: the same core as in a worker, driven in event time, in one process or in several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median_low
from typing import Final

from schemas.readings import Dimension
from schemas.rules import Rules
from sinks.merge import Merge
from sinks.table import Choice, Table, interval_table
from streams.jobs import Job, Task
from streams.lines import PARTITIONER, Lanes, begins_at, first_times, read_lanes
from streams.native import Core
from streams.progress import no_progress
from streams.share import Share
from streams.shares import FOR_EVER_MS, Here, Seat, Shares

FLUSH_LINES: Final = 50_000
"""Lines between two flushes: few enough to bound memory, many enough that a session is mostly booked once."""
_NO_LIMIT: Final = 1 << 60


@dataclass
class Report:
    """The table and how it came about: `read` lines, outcomes, the first reasons for setting a line aside."""

    table: Table
    read: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)


@dataclass
class Counted:
    """What was counted, before a table is made of it; `now`: the newest event time."""

    merge: Merge
    now: int
    read: int
    outcomes: dict[str, int]
    complaints: list[str]


def report_rules(rules: Rules) -> Rules:
    """Return rules for a table over any span, that come to the same for any number of shares.

    Quarter-hours and their sketches are never over, short slices are not kept. There are no limits on how many ids and addresses a
    partition keeps, nor on a customer's contacts: which one is too many depends on what else there is at a flush.
    """
    return replace(
        rules, live=False, slices_kept_ms=0, quarters_kept_ms=FOR_EVER_MS, sketches_kept_ms=FOR_EVER_MS, max_ids=_NO_LIMIT,
        max_cells=_NO_LIMIT, max_contacts=_NO_LIMIT, max_milestones=_NO_LIMIT, agent_series=False, partitioner=PARTITIONER,
    )  # fmt: skip


def report(files: Iterable[Path], rules: Rules, choice: Choice, progress: Callable[[int], None] = no_progress,
           partitions: int = 1, jobs: int = 1, core: Core = "auto") -> Report:  # fmt: skip
    """Compute the interval table of canonical JSON Lines; raises `UsageError` for files that cannot be read.

    With several `jobs` the work is done in so many processes, else in this one, in so many `partitions`: the table is the same.
    """
    dimensions: tuple[Dimension, ...] = ("group",) if choice.by == "group" else ("queue",)
    counted = count(files, rules, dimensions, progress, partitions, jobs, core)
    return Report(interval_table(counted.merge, counted.now, choice), counted.read, counted.outcomes, counted.complaints)


def count(files: Iterable[Path], rules: Rules, dimensions: Sequence[Dimension], progress: Callable[[int], None] = no_progress,
          partitions: int = 1, jobs: int = 1, core: Core = "auto") -> Counted:  # fmt: skip
    """Count what files hold, as far as tables of these dimensions need it."""
    rules = report_rules(rules)
    merge = Merge(rules)
    with ExitStack() as stack:
        seats: list[Seat]
        if jobs > 1:
            seats = [stack.enter_context(Job(Task(number, jobs, rules, tuple(dimensions), core))) for number in range(jobs)]
        else:
            seats = [Here(Share(number, partitions, rules, dimensions, core)) for number in range(partitions)]
        shares = Shares(seats)
        read, names = _read(list(files), shares, len(seats), rules.lateness_ms, progress)
        now = shares.finish()
        for readings in shares.readings(dimensions):
            merge.put_readings(readings)
            merge.settle()
    complaints = [
        f"{names[batch]} line {number}: {complaint.reason}: {complaint.detail}" for batch, number, complaint in shares.complaints
    ]
    return Counted(merge, now, read, shares.outcomes, complaints)


def _read(files: Sequence[Path], shares: Shares, number: int, lateness_ms: int,
          progress: Callable[[int], None]) -> tuple[int, list[str]]:  # fmt: skip
    """Give all lines of files to the shares; return how many there were, and for each batch the name of its file.

    Each file is in order, but they may cover the same time, as those of one topic each do. Then nothing is flushed, and so nothing
    forgotten, that an event still to be read may belong to.
    """
    read = unflushed = 0
    names: list[str] = []
    begins = [begins_at(file) for file in files[1:]]
    for position, file in enumerate(files):
        later = [at for at in begins[position:] if at is not None]
        here = begins[position - 1] if position else None
        for lanes in read_lanes(file, number, progress):
            shares.take(lanes)
            names.append(file.name)
            lines = sum(len(lane.values) for lane in lanes.values())
            read += lines
            unflushed += lines
            if unflushed >= FLUSH_LINES:
                if begins:
                    here = _last_time(lanes, here)
                until_ms = min([*later, FOR_EVER_MS if here is None else here]) + lateness_ms
                if shares.flush(until_ms=until_ms):
                    unflushed = 0
    return read, names


def _last_time(lanes: Lanes, before: int | None) -> int | None:
    """Return the time of a batch's last events, `before` where it has none; four of ten may be late or have a wrong clock."""
    lines = sorted((line for lane in lanes.values() for line in zip(lane.numbers, lane.values, strict=True)), reverse=True)
    found = first_times(value for _, value in lines)
    return median_low(found) if found else before


__all__ = ["Counted", "Report", "count", "report", "report_rules"]
