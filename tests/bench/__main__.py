"""Measure, and print tables: medians, minimum and maximum of a few runs on this machine, taken in turns.

    python -m tests.bench [--runs 5] [--events 300000] [--only peers,core,…] [--resume] [--save FILE] [--compare]

* `peers`: floorpulse, and other stream processors, at the same job on the same Kafka (`tests/bench/versus.py`); `--peers` chooses.
* `decode`, `core`, `compiled`, `report`, `report-compiled`: CPU of one process, in memory. The transport's ceiling is a row
  among the peers.
* `unpack`: what a broker has answered, as records and as slabs, handed to a partition with the compiled core.
* `stages`: where a worker's CPU goes, without a client.
* `drain`, `drain-compiled`: one worker against a backlog. `workers`: two workers against one.
* `live`: time from an event (its own time, given just before it is sent) to its count on /metrics, direct and by relay,
  and to a screen in Chromium.
* `scrape`: a board with 50,000 series. `sockets`: the same while a thousand idle and slow sockets hold on to it.
* `screens`: CPU of a board with 500 wall-screens.
* `state`: bytes of memory per piece of a worker's state. `board`: memory of a full board, and bytes per cell.
* `scaling`: CPU per event with 10 to 10,000 queues and 10³ to 10⁶ open sessions; a board with 1 and 100 windows. With the compiled
  core where FLOORPULSE_WORKER__CORE is `compiled`.
* `recovery`: from the kill of a worker with a million open sessions to the first right scrape.
* `rebalance`: how old gauges get while a second worker joins, leaves and is killed.
* `poison`: what a tenth of mutated records costs.
* `start`, `idle`: from start to ready; a worker and a board that wait.

`--compare` measures what `baseline.json` has and says what takes more than 10 % more CPU; `--save-baseline` writes that file.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench import baseline
from tests.bench.boardmemory import bench_board
from tests.bench.contestants import CONTESTANTS
from tests.bench.duties import bench_idle, bench_start
from tests.bench.live import bench_live
from tests.bench.memory import bench_compiled, bench_core, bench_decode, bench_report, bench_report_compiled, bench_yardstick
from tests.bench.pipeline import bench_drain, bench_drain_compiled, bench_workers
from tests.bench.poison import bench_poison
from tests.bench.rebalance import bench_rebalance
from tests.bench.recovery import bench_recovery
from tests.bench.scaling import bench_scaling
from tests.bench.screens import bench_screens
from tests.bench.sockets import bench_scrape, bench_sockets
from tests.bench.stages import bench_stages
from tests.bench.state import bench_state
from tests.bench.unpacking import bench_unpack
from tests.bench.versus import OURS, Contest, figures, markdown_of, table_of
from tests.bench.workload import write_events

Figures = dict[str, float]
Bench = Callable[[Path], Figures]

BENCHES: dict[str, Bench] = {
    "yardstick": bench_yardstick, "core": bench_core, "compiled": bench_compiled, "decode": bench_decode,
    "report": bench_report, "report-compiled": bench_report_compiled, "state": bench_state,
    "drain": bench_drain, "drain-compiled": bench_drain_compiled,
    "workers": bench_workers, "live": bench_live, "scrape": bench_scrape, "sockets": bench_sockets,
    "screens": bench_screens, "board": bench_board, "start": bench_start, "idle": bench_idle,
    "recovery": bench_recovery, "poison": bench_poison, "stages": bench_stages, "scaling": bench_scaling,
    "unpack": bench_unpack, "rebalance": bench_rebalance,
}  # fmt: skip
ONCE = frozenset({"live", "scrape", "sockets", "screens", "board", "idle", "state", "recovery", "rebalance", "poison", "scaling"})
"""Long ones, which have many samples of their own, or no noise."""
DEFAULT = "decode,core,report,drain,peers"


def measure(names: list[str], runs: int, file: Path) -> dict[str, dict[str, list[float]]]:
    """Return all values of each figure of each part, the parts taken in turns; one that fails is left out and said."""
    values: dict[str, dict[str, list[float]]] = {}
    for number in range(runs):
        for name in names:
            if number and name in ONCE:
                continue
            sys.stderr.write(f"{name}, run {number + 1}\n")
            try:
                found = BENCHES[name](file)
            except Exception as error:  # noqa: BLE001  # one measurement shall not end the others
                sys.stderr.write(f"{name} failed: {type(error).__name__}: {error}\n")
                continue
            taken = values.setdefault(name, defaultdict(list))
            for figure, value in found.items():
                taken[figure].append(value)
    return values


def table_of_parts(values: dict[str, dict[str, list[float]]]) -> Table:
    """Return the table of everything but the peers."""
    table = Table("measurement", "figure", "median", "min", "max", "runs")
    for name, taken in values.items():
        for figure, each in taken.items():
            numbers = (baseline.middle(each), min(each), max(each))
            table.add_row(name, figure, *(f"{value:,.3f}" for value in numbers), str(len(each)))
    return table


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--only", default=DEFAULT, help=f"of {','.join([*BENCHES, 'peers'])}; default {DEFAULT}")
    parser.add_argument("--peers", default=",".join(CONTESTANTS), help="who takes part; default: all")
    parser.add_argument("--limit", type=float, default=25.0, help="minutes after which peers begin no further round")
    parser.add_argument("--resume", action="store_true", help="keep the peers' runs of the last time")
    parser.add_argument("--markdown", action="store_true", help="print the peers' table for docs/performance.md, too")
    parser.add_argument("--save", type=Path, default=baseline.LATEST, help="file for all values, JSON")
    parser.add_argument("--save-baseline", action="store_true", help="write baseline.json, too")
    parser.add_argument("--compare", action="store_true", help="compare with baseline.json; status 1 if something got worse")
    return parser.parse_args()


def main() -> int:
    """Run the chosen measurements."""
    options = _options()
    for end in (signal.SIGTERM, signal.SIGINT):  # whatever was started is stopped
        signal.signal(end, lambda *_: sys.exit(1))
    known = baseline.read() if options.compare else None
    names = list(known["parts"]) if known else options.only.split(",")
    events = known["events"] if known else options.events
    console = Console(width=None if sys.stdout.isatty() else 240)
    with tempfile.TemporaryDirectory(prefix="floorpulse-bench-") as folder:
        file = Path(folder) / "events.jsonl"
        count = write_events(file, events)
        size = file.stat().st_size / count
        console.print(f"{count} simulated events, {size:.0f} bytes each; {options.runs} runs; {baseline.told()}")
        parts = measure([name for name in names if name != "peers"], options.runs, file)
    peers: dict[str, dict[str, Any]] = {}
    if "peers" in names:
        wanted = [OURS[0], *(name for name in options.peers.split(",") if name != OURS[0])]
        contest = Contest(wanted, events, options.runs, resume=options.resume, limit_s=60 * options.limit)
        with tempfile.TemporaryDirectory(prefix="floorpulse-bench-") as folder:
            contest.hold(Path(folder))
        peers = figures(contest)
        console.print(table_of(peers))
        if options.markdown:
            sys.stdout.write(markdown_of(peers))
    if parts:
        console.print(table_of_parts(parts))
    baseline.write(options.save, events, parts, peers)
    if options.save_baseline:
        baseline.write(baseline.BASELINE, events, parts, {})
    if known:
        worse, table = baseline.compare(known, parts)
        console.print(table)
        return 1 if worse else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
