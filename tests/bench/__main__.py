"""Measure, and print one table: medians, minimum and maximum of a few runs on this machine.

    python -m tests.bench [--runs 3] [--events 500000] [--only core,report,drain,live]

`core`, `report`: CPU of one process. `stages`: where a worker's CPU goes, without a client. `drain`: one worker with journal and
readings against a backlog on a real Kafka of this machine. `state`: bytes of memory per piece of state. `live`: time from an
event (its own time, given just before it is sent) to its count on `/metrics`. `sockets`: scrapes of a board that a thousand idle
and slow sockets hold on to.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.memory import bench_core, bench_decode, bench_report
from tests.bench.pipeline import bench_drain, bench_live
from tests.bench.sockets import bench_sockets
from tests.bench.stages import bench_stages
from tests.bench.state import bench_state
from tests.bench.workload import write_events

Figures = dict[str, float]


def main() -> None:
    """Run the chosen measurements."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--only", default="core,decode,report,state,drain,live")
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="floorpulse-bench-") as folder:
        file = Path(folder) / "events.jsonl"
        count = write_events(file, options.events)
        console.print(f"{count} simulated events, {file.stat().st_size / count:.0f} bytes each; {options.runs} runs")
        benches: dict[str, Callable[[Path], Figures]] = {
            "core": bench_core, "decode": bench_decode, "report": bench_report, "state": bench_state, "drain": bench_drain,
            "live": bench_live, "sockets": bench_sockets, "stages": bench_stages,
        }  # fmt: skip
        table = Table("measurement", "figure", "median", "min", "max")
        for name in options.only.split(","):
            runs = [benches[name](file) for _ in range(1 if name in ("live", "sockets") else options.runs)]
            for figure in runs[0]:
                values = [run[figure] for run in runs]
                table.add_row(name, figure, *(f"{value:,.3f}" for value in (statistics.median(values), min(values), max(values))))
                sys.stderr.write(f"{name} {figure} {statistics.median(values):,.3f}\n")
        console.print(table)


if __name__ == "__main__":
    main()
