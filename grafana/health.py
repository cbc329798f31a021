"""Pipeline health: whether the numbers can be believed."""

from __future__ import annotations

from grafana.model import NO_LIMIT, Cell, Json, Query, Row, Steps, above, below, lines, stat
from grafana.queries import RATE, quantile, selector

FRESH = "floor:floorpulse_fresh:bool"
BUDGET = 0.01
"""Share of the time in which readings may be older than 15 s."""


def rows() -> list[Row]:
    """Return the dashboard's rows."""
    return [
        Row(4, _numbers(), "Is it alive"),
        Row(8, (Cell(_readings_age(), 8), Cell(_event_age(), 8), Cell(_up(), 8))),
        Row(8, (Cell(_lag(), 8), Cell(_outcomes(), 8), Cell(_not_applied(), 8)), "Does everything count"),
        Row(8, (Cell(_delay(), 8), Cell(_reasons(), 8), Cell(_flush(), 8))),
        Row(8, (Cell(_watermark(), 8), Cell(_incidents(), 8), Cell(_journal(), 8)), "Workers"),
        Row(8, (Cell(_memory(), 12), Cell(_cpu(), 12)), "Processes"),
    ]


def _numbers() -> tuple[Cell, ...]:
    one = ((None, "#D81B60"), (1, "text"))
    zero = ((None, "text"), (1, "#D81B60"))
    made = (
        stat(
            "Freshness budget left, 30 d",
            "Readings may be older than 15 s for 1 % of the time. What is left of that in 30 days; below 0 "
            "the promise is broken. Recorded by the generated rules.",
            Query(f"1 - (1 - avg_over_time({FRESH}[30d])) / {BUDGET}"),
            unit="percentunit",
            steps=below(0.5, 0),
        ),
        stat(
            "Readings age",
            "Since the last reading or heartbeat, slowest partition and board.",
            Query(f"max({selector('readings_age_seconds')})"),
            unit="s",
            steps=above(15, 30),
            decimals=1,
        ),
        stat(
            "Event age",
            "Now less the newest event time: is the source alive? On a quiet night it grows without any fault.",
            Query(f"min({selector('data_age_seconds')})"),
            unit="s",
            steps=above(60, 120),
            decimals=1,
        ),
        stat(
            "Boards ready",
            "Boards that have read everything published and serve indicators.",
            Query(f"sum({selector('ready')})"),
            unit="short",
            steps=one,
        ),
        stat(
            "Workers ready",
            "Workers that have joined the group and loaded their partitions.",
            Query(f"sum({selector('worker_ready')})"),
            unit="short",
            steps=one,
        ),
        stat(
            "Not accounted for",
            "Events received less those applied, duplicate, late or invalid. Anything but 0 is a fault of floorpulse.",
            Query(f"sum({selector('worker_unaccounted')}) or vector(0)"),
            unit="short",
            steps=zero,
        ),
    )
    return tuple(Cell(each, 4) for each in made)


def _readings_age() -> Json:
    return lines(
        "Readings age by partition",
        "Since the last reading or heartbeat of each partition, as the worst board has it. One line "
        "that rises: its worker is gone or stuck.",
        Query(f"max by (partition) ({selector('readings_age_seconds')})", "partition {{partition}}"),
        unit="s",
        steps=above(15, 30),
    )


def _event_age() -> Json:
    return lines(
        "Event age over time",
        "Now less the newest event time.",
        Query(f"min({selector('data_age_seconds')})", "newest event"),
        unit="s",
        steps=above(60, 120),
    )


def _up() -> Json:
    return lines(
        "Targets up",
        "1: Prometheus could scrape the board or worker.",
        Query('up{job=~"floorpulse-.+"}', "{{job}} {{instance}}"),
        unit="none",
        steps=((None, "#D81B60"), (1, "text")),
        limits=False,
        max=1,
    )


def _lag() -> Json:
    return lines(
        "Lag",
        "Records of the inputs that no worker has read yet, by topic.",
        Query(f"sum by (topic) ({selector('consumer_lag')})", "{{topic}}"),
        unit="short",
        steps=above(1000, 5000),
    )


def _outcomes() -> Json:
    merged = f"max by (topic, outcome) (rate({selector('events_total')}{RATE}))"
    return lines(
        "Events by outcome",
        "Every event is counted once: applied, duplicate, late or invalid.",
        Query(f"sum by (outcome) ({merged})", "{{outcome}}"),
        unit="eps",
        stacked=True,
    )


def _not_applied() -> Json:
    sides = [
        f"sum by (topic) (max by (topic, outcome) (rate({selector('events_total', *which)}{RATE})))"
        for which in (('outcome=~"invalid|late"',), ())
    ]
    return lines(
        "Share not applied",
        "Invalid and late events of all, by topic: they lie in floorpulse.dead-letters and floorpulse.late.",
        Query(" / ".join(sides), "{{topic}}"),
        unit="percentunit",
        steps=above(0.005, 0.01),
    )


def _delay() -> Json:
    grown = f"rate({selector('publish_delay_seconds_bucket')}{RATE})"
    return lines(
        "Publish delay",
        "From a worker's flush to the board.",
        *(Query(quantile(share, grown), name) for name, share in (("p50", 0.5), ("p99", 0.99))),
        unit="s",
        steps=above(2, 5),
    )


def _reasons() -> Json:
    grown = f"max by (reason) (rate({selector('invalid_events_total')}{RATE}))"
    return lines(
        "Invalid events by reason",
        "No line: there were none. docs/operations.md says what to look at for each reason.",
        Query(grown, "{{reason}}"),
        unit="eps",
        stacked=True,
    )


def _flush() -> Json:
    grown = f"rate({selector('worker_flush_seconds_bucket')}{RATE})"
    return lines(
        "Flush time",
        "From the beginning of a worker's flush until the journal has it and everything is sent.",
        *(Query(quantile(share, grown), name) for name, share in (("p50", 0.5), ("p99", 0.99))),
        unit="s",
        steps=above(1, 5),
    )


def _worker(title: str, text: str, expr: str, legend: str, unit: str, steps: Steps = NO_LIMIT) -> Json:
    return lines(title, text, Query(expr, legend), unit=unit, steps=steps)


def _watermark() -> Json:
    return _worker(
        "Watermark age",
        "Now less the time up to which a partition's events are taken for complete. It only decides what is "
        "forgotten; some 60 s behind is normal, more without events.",
        f"max by (partition) ({selector('worker_watermark_age_seconds')})",
        "partition {{partition}}",
        "s",
        above(300, 900),
    )


def _incidents() -> Json:
    kinds = ("rebalances", "replaced", "commit_errors", "readings_repeated")
    return lines(
        "Incidents",
        "What workers went through, per interval: assignments, partitions lost to another's claim, failed commits, "
        "readings published again behind a sleeper.",
        *(Query(f"sum(increase({selector(f'worker_{kind}_total')}{RATE}))", kind.replace("_", " ")) for kind in kinds),
        unit="short",
    )


def _journal() -> Json:
    return _worker(
        "Journal",
        "Bytes appended to the journal, before compression.",
        f"sum by (instance) (rate({selector('worker_journal_bytes_total')}{RATE}))",
        "{{instance}}",
        "Bps",
    )


def _memory() -> Json:
    return _worker(
        "Memory",
        "Resident memory of boards and workers.",
        'process_resident_memory_bytes{job=~"floorpulse-.+"}',
        "{{job}} {{instance}}",
        "bytes",
    )


def _cpu() -> Json:
    return _worker(
        "CPU",
        "Cores in use by boards and workers.",
        f'rate(process_cpu_seconds_total{{job=~"floorpulse-.+"}}{RATE})',
        "{{job}} {{instance}}",
        "short",
    )


__all__ = ["BUDGET", "rows"]
