"""A worker's metrics without a broker, and the page that documents the metrics of floorpulse itself."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from schemas.config import Config
from schemas.errors import REASONS
from sinks.collector import FloorCollector
from sinks.families import indicator_families
from sinks.series import Bounds
from sinks.snapshot import Health, Snapshot
from streams.health import WorkerCollector
from streams.journal.fold import Folded
from streams.partition import Partition
from streams.run import thaw_of, worker_settings
from streams.worker import Worker

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
WORKERS_COUNTERS: Final = (
    "sessions_expired", "agents_expired", "complaints_expired", "contacts_evicted", "ids_evicted", "addresses_overflowed",
    "relay_invalid",
)  # fmt: skip


def documented(section: str) -> dict[str, tuple[frozenset[str], str]]:
    """The metrics of a section of the page: labels and type."""
    text = PAGE.read_text(encoding="utf-8").partition(f"## {section}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)(?:\{([\w,]+)\})?` \| (\w+) \|", text, flags=re.MULTILINE)
    return {name: (frozenset(filter(None, labels.split(","))), kind) for name, labels, kind in rows}


def exported(families: Iterable[Metric]) -> dict[str, tuple[frozenset[str], str]]:
    """The metrics that are exported: labels (of a histogram without its bucket's) and type."""
    found = {}
    for family in families:
        labels = frozenset(label for sample in family.samples for label in sample.labels if label != "le")
        name = family.name + "_total" if family.type == "counter" else family.name
        if name.startswith("floorpulse_"):
            found[name] = labels, family.type
    return found


async def worker() -> Worker:
    """A worker that owns a partition and has done nothing yet."""
    config = Config()
    made = Worker(worker_settings(config), thaw_of(config))
    floor: Any = thaw_of(config)(0, 1, {}, ())
    ports = made.ownership._ports
    partition = Partition(0, 1, floor, Folded(epoch=0), dict.fromkeys(("sessions",), 0), ports, tally=made.ownership.tally)
    floor.apply("sessions", [b"s"], [b"{nonsense"], 1_795_269_947_000)
    body = floor.flush(1, 1_795_269_947_000, frozenset()).readings[-1].body
    partition.heartbeat = {**body, "counters": {"received.sessions": 1}, "clock": {**body["clock"], "watermark": 1_795_269_900_000}}
    partition.unaccounted = {"sessions": 0}
    made.ownership.owned[0] = partition
    return made


async def test_the_page_has_what_a_worker_exports() -> None:
    """Each metric with its labels and its type, and none that does not exist."""
    of_worker = exported(WorkerCollector(await worker()).collect())
    build = of_worker.pop("floorpulse_build_info")
    assert build == documented("Board")["floorpulse_build_info"]
    assert documented("Worker") == of_worker


def test_the_page_has_what_a_board_exports() -> None:
    """Of its own health; indicators, thresholds and alerts have pages of their own, which name what is left."""
    counters = {**dict.fromkeys(WORKERS_COUNTERS, 1), "clock_errors.sessions": 1}
    health = Health(True, {0: 1}, 1, {"sessions": {"applied": 1}}, counters, {"foreign": 1})
    collector = FloorCollector(("30m",))
    collector.snapshot = snapshot = Snapshot(1, 0, 0, labels=("30m",), health=health)
    found = exported(collector.collect())
    own = documented("Board")
    assert own == {name: of for name, of in found.items() if name in own}
    others = found.keys() - own.keys() - exported(indicator_families(snapshot, Bounds(100), ("30m",))).keys()
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGE.parent.glob("*.md") if page != PAGE)
    assert {name for name in others if f"`{name}" not in pages} == set()


def test_every_reason_is_there_from_the_start() -> None:
    """At 0, so that `rate()` sees the first invalid event."""
    collector = FloorCollector(("30m",))
    collector.snapshot = Snapshot(1, 0, 0)
    (family,) = [family for family in collector.collect() if family.name == "floorpulse_invalid_events"]
    assert {sample.labels["reason"]: sample.value for sample in family.samples} == dict.fromkeys(REASONS, 0)


@pytest.mark.parametrize(("write", "parse"), [(generate_latest, parse_text), (generate_openmetrics, parse_openmetrics)])
async def test_a_workers_metrics_are_clean(
    write: Callable[[CollectorRegistry], bytes], parse: Callable[[str], Iterable[Metric]]
) -> None:
    """Under strict parsers of both formats, and promtool where it is there."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(WorkerCollector(await worker()))
    text = write(registry).decode()
    names = {family.name for family in parse(text)}
    assert {"floorpulse_worker_ready", "floorpulse_consumer_lag", "process_start_time_seconds"} <= names
    if write is generate_latest and shutil.which("promtool"):
        command = ["promtool", "check", "metrics"]
        done = await asyncio.to_thread(subprocess.run, command, input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
