"""A worker's own health over HTTP: `/metrics`, `/livez`, `/readyz`.

Metrics of partitions have the label `partition` and count over all owners, so that each counter only grows, whoever owns it.
docs/metrics.md names each.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, Protocol

from aiohttp import web
from faust.types import TP
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from schemas.errors import FloorpulseError
from sinks.address import cannot_listen
from sinks.collector import product_version
from streams.app import INPUTS, Ownership
from streams.journal import Journal
from streams.partition import RECEIVED, Partition

PROGRAM: Final = "floorpulse worker"


class Watched(Protocol):
    """What of a worker is shown."""

    ownership: Ownership
    journal: Journal

    @property
    def lag(self) -> Mapping[TP, int]:
        """Give how many records each input has beyond what was read, as last asked."""

    @property
    def names(self) -> Mapping[str, str]:
        """Give the full name of each topic for its short one."""

    def stalls(self) -> list[str]:
        """Say what has made no progress for too long."""

    def ready(self) -> bool:
        """Tell whether the worker is in the group and has loaded what it was assigned."""


class WorkerCollector:
    """The families of a worker at the moment of a scrape."""

    def __init__(self, worker: Watched) -> None:
        self._worker = worker
        self._process = ProcessCollector(registry=None)

    def collect(self) -> Iterator[Metric]:
        """Yield the worker's metrics."""
        worker = self._worker
        own, tally = worker.ownership, worker.ownership.tally
        build = GaugeMetricFamily("floorpulse_build_info", "What runs here", labels=["version", "python"])
        build.add_metric([product_version(), platform.python_version()], 1)
        yield build
        yield GaugeMetricFamily("floorpulse_worker_ready", "1: joined and loaded", value=float(worker.ready()))
        yield GaugeMetricFamily("floorpulse_worker_partitions", "Partitions owned", value=len(own.owned))
        yield _lags(worker)
        yield from _heartbeats(own.owned.values())
        yield from tally.flush_seconds.collect()
        yield from tally.seen.batches.collect()
        yield from _offsets(tally.holes, tally.skipped)
        for name, help_text, value in (
            ("read_records", "Records read from the inputs, markers and relay among them", tally.events),
            ("readings", "Readings published", tally.readings),
            ("readings_repeated", "Readings published again behind those of a former owner", tally.repeated),
            ("journal_bytes", "Bytes appended to the journal, before compression", worker.journal.bytes_written),
            ("journal_records", "Records appended to the journal", worker.journal.records_written),
            ("rebalances", "Assignments received", own.rebalances),
            ("replaced", "Partitions lost to another worker's claim", own.replaced),
            ("commit_errors", "Commits that failed", tally.commit_errors),
        ):
            yield CounterMetricFamily(f"floorpulse_worker_{name}", help_text, value=value)
        yield from self._process.collect()


def _lags(worker: Watched) -> Metric:
    lag = GaugeMetricFamily("floorpulse_consumer_lag", "Records not read yet, as last asked", labels=["topic"])
    by_topic = {worker.names[short]: 0 for short in INPUTS}
    for tp, records in worker.lag.items():
        by_topic[tp.topic] += records
    for topic, records in by_topic.items():
        lag.add_metric([topic], records)
    return lag


def _offsets(holes: Mapping[str, int], skipped: Mapping[str, int]) -> Iterator[Metric]:
    """Yield how often offsets did not follow on, and what lay between."""
    for name, text, causes, counts in (
        ("holes", "Offsets that did not follow on, healed (delivery) or explained", ("delivery", "retention", "log"), holes),
        ("skipped_offsets", "Offsets of the inputs that hold no record for us",
         ("marker", "aborted", "compaction", "retention", "log"), skipped),
    ):  # fmt: skip
        family = CounterMetricFamily(f"floorpulse_worker_{name}", text, labels=["cause"])
        for cause in causes:
            family.add_metric([cause], counts.get(cause, 0))
        yield family


def _heartbeats(partitions: Collection[Partition]) -> Iterator[Metric]:
    """Yield what the newest heartbeats say."""
    age = GaugeMetricFamily("floorpulse_worker_watermark_age_seconds", "Now minus watermark", labels=["partition"])
    events = CounterMetricFamily(
        "floorpulse_worker_events", "Events by outcome, over all owners", labels=["partition", "topic", "outcome"]
    )
    for partition in partitions:
        number, clock = str(partition.number), partition.heartbeat.get("clock", {})
        if clock.get("watermark") is not None:
            age.add_metric([number], (clock["now"] - clock["watermark"]) / 1000)
        for topic, outcomes in partition.heartbeat.get("events", {}).items():
            for outcome, count in outcomes.items():
                events.add_metric([number, topic, outcome], count)
    yield age
    yield events
    yield from _accounting(partitions)


def _accounting(partitions: Collection[Partition]) -> Iterator[Metric]:
    """Yield what was received, over all owners, and what of it nobody knows the fate of."""
    received = CounterMetricFamily("floorpulse_worker_received", "Events received, over all owners", labels=["partition", "topic"])
    lost = GaugeMetricFamily(
        "floorpulse_worker_unaccounted", "Received less applied, duplicate, late and invalid: 0", labels=["partition", "topic"]
    )
    for partition in partitions:
        for name, count in partition.heartbeat.get("counters", {}).items():
            if name.startswith(RECEIVED):
                received.add_metric([str(partition.number), name.removeprefix(RECEIVED)], count)
        for topic, count in partition.unaccounted.items():
            lost.add_metric([str(partition.number), topic], count)
    yield from (received, lost)


async def serve_health(worker: Watched, listen: tuple[str, int] | None) -> web.AppRunner | None:
    """Serve a worker's health; returns what to clean up. Raises `FloorpulseError` when the address cannot be had."""
    if listen is None:
        return None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(WorkerCollector(worker))

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        response = web.Response(body=encode(registry), headers={"Content-Type": content_type})
        response.enable_compression()
        return response

    async def livez(_: web.Request) -> web.Response:
        stalls = worker.stalls()
        body: dict[str, Any] = {"program": PROGRAM, "version": product_version(), "pid": os.getpid(), "alive": not stalls}
        return web.json_response({**body, "stalls": stalls}, status=503 if stalls else 200)

    async def readyz(_: web.Request) -> web.Response:
        ready = worker.ready()
        return web.json_response({"ready": ready}, status=200 if ready else 503)

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, *listen).start()
    except OSError as error:
        await runner.cleanup()
        raise FloorpulseError(await cannot_listen(error, *listen, "worker.listen")) from error
    return runner


__all__ = ["PROGRAM", "Watched", "WorkerCollector", "serve_health"]
