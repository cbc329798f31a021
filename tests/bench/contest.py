"""One run of one contestant: started, watched until all is committed, stopped, and its result checked."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tests.bench.contestants import Contestant, Place, start
from tests.bench.ground import Filled, Ground
from tests.bench.processes import Usage, starved_s, usage
from tests.bench.recount import difference

POLL_S: Final = 0.1
STOP_TIMEOUT_S: Final = 60.0


class Failed(Exception):
    """Report why a run does not count."""


@dataclass(frozen=True)
class Run:
    """What one run took, from the start of its processes until everything was committed.

    `starved_s` tells a busy machine from a slow program: so long the first thread of the process that waited most could
    run but got no core.
    """

    events: int
    wall_s: float
    cpu_s: float
    broker_cpu_s: float
    peak_mb: float
    starved_s: float = 0.0

    def figures(self) -> dict[str, float]:
        """Return them as JSON has them."""
        return asdict(self)


def run_once(contestant: Contestant, ground: Ground, filled: Filled, timeout_s: float) -> Run:
    """Let a contestant do the job; raises `Failed` where it does not finish or comes to something else, `Unavailable`."""
    name = f"run-{contestant.name}-{uuid.uuid4().hex[:8]}"
    folder = Path(tempfile.mkdtemp(prefix=name, dir=ground.folder))
    place = Place(ground, filled, name, folder)
    try:
        run = _measured(contestant, place, timeout_s)
        wrong = difference(filled.expected, contestant.result(place))
        if wrong:
            raise Failed(f"wrong result: {wrong}")
        return run
    except OSError as error:
        raise Failed(f"{error}; {_last_words(folder / 'log')}") from None
    finally:
        ground.delete([topic for topic in ground.topics() if name in topic])
        shutil.rmtree(folder, ignore_errors=True)


def _measured(contestant: Contestant, place: Place, timeout_s: float) -> Run:
    commands, log = contestant.commands(place), place.folder / "log"
    progress = None if contestant.ends else contestant.progress(place)
    broker = usage(place.ground.broker_pid).cpu_s
    began = time.monotonic()
    processes = [start(command, log) for command in commands]
    try:
        used = {process.pid: Usage(0, 0) for process in processes}
        starved = 0.0
        while True:
            time.sleep(POLL_S)
            ended = [process.poll() for process in processes]
            for process in processes:
                now = usage(process.pid)
                used[process.pid] = now if now.peak_mb else used[process.pid]
                starved = max(starved, starved_s(process.pid))
            if contestant.ends and all(code == 0 for code in ended):
                break
            if any(code is not None for code in ended):
                raise Failed(f"ended with {ended}; {_last_words(log)}")
            if progress is not None and progress.done() and contestant.also_done(place):
                break
            if time.monotonic() > began + timeout_s:
                raise Failed(f"not done after {timeout_s:.0f} s; {_last_words(log)}")
        wall_s = time.monotonic() - began
        broker = usage(place.ground.broker_pid).cpu_s - broker
        figures = [used[p.pid] if contestant.ends else usage(p.pid) for p in processes]
        cpu_s, peak_mb = sum(f.cpu_s for f in figures), sum(f.peak_mb for f in figures)
        return Run(place.filled.events, wall_s, cpu_s, broker, peak_mb, starved)
    finally:
        if progress is not None:
            progress.close()
        _stop(processes)


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_words(log: Path) -> str:
    with contextlib.suppress(OSError):
        lines = log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it said nothing"
    return "it said nothing"


__all__ = ["Failed", "Run", "run_once"]
