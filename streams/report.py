"""The interval table from files: the same core as in a worker, driven synchronously in event time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from schemas.events import INPUT_TOPICS
from schemas.readings import Reading, ReadingKey
from schemas.rules import Rules
from sinks.merge import Merge
from sinks.table import Choice, Table, interval_table
from streams.core.driver import Driver
from streams.lines import read_lines
from streams.progress import no_progress

FLUSH_LINES: Final = 50_000
"""Lines between two flushes: few enough to bound memory, many enough that a session is mostly booked once."""
MAX_COMPLAINTS: Final = 10
"""Lines that were set aside of which the report says where and why; what they held may be personal and is not shown."""
_FOR_EVER_MS: Final = 1 << 60


@dataclass
class Report:
    """The table and how it came about: `read` lines, outcomes, the first reasons for setting a line aside."""

    table: Table
    read: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)


def report_rules(rules: Rules) -> Rules:
    """Return rules for a table over any span: quarter-hours and their sketches are never over, short slices are not kept."""
    return replace(rules, live=False, slices_kept_ms=0, quarters_kept_ms=_FOR_EVER_MS, sketches_kept_ms=_FOR_EVER_MS)


def report(files: Iterable[Path], rules: Rules, choice: Choice, progress: Callable[[int], None] = no_progress,
           partitions: int = 1) -> Report:  # fmt: skip
    """Compute the interval table of canonical JSON Lines; raises `UsageError` for files that cannot be read."""
    rules = report_rules(rules)
    driver = Driver(partitions, rules)
    latest: dict[ReadingKey, Reading] = {}
    read = unflushed = 0
    complaints: list[str] = []
    for file in files:
        for lines in read_lines(file, progress):
            driver.apply([line[:3] for line in lines])
            if driver.rejects and len(complaints) < MAX_COMPLAINTS:
                numbers = {line.value: line.number for line in lines}
                complaints += [
                    f"{file.name} line {numbers[record[2]]}: {reject.reason}: {reject.detail}" for record, reject in driver.rejects
                ]
                del complaints[MAX_COMPLAINTS:]
            driver.rejects.clear()
            read += len(lines)
            unflushed += len(lines)
            if unflushed >= FLUSH_LINES:
                driver.flush(at_end=INPUT_TOPICS)
                latest.update((reading.key, reading) for reading in driver.take())
                unflushed = 0
    now = max((f.clock.newest_event or 0 for f in driver.floors), default=0)
    driver.finish(now)
    latest.update((reading.key, reading) for reading in driver.take())
    merge = Merge(rules)
    merge.put_readings(latest.values())
    merge.settle()
    outcomes: dict[str, int] = {}
    for floor in driver.floors:
        for counts in floor.counts.values():
            for outcome, count in counts.items():
                outcomes[outcome] = outcomes.get(outcome, 0) + count
    return Report(interval_table(merge, now, choice), read, outcomes, complaints)


__all__ = ["Report", "report", "report_rules"]
