"""Columns of the interval table, made from the catalogue.

By queue: counts, sums, then the indicators with the suffixes of the specification (rule 46); by group: the integrals of levels,
then the agent-time indicators. Indicators of whole local days and gauges are left out of a table of intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.kpis import CATALOGUE, PERCENTILES, Kpi, Parts, Unit, peak_in, total_of, value_of, variant_terms
from schemas.parts import COUNTS, FURTHER_COUNTS, FURTHER_SUMS, SUMS, buckets_in
from schemas.rules import QueueRules
from schemas.sketch import largest, quantile


class Span(dict[str, int]):
    """Merged parts of one row, with their sketches read once however many percentiles are asked for."""

    def __init__(self, parts: Mapping[str, int]) -> None:
        """Take the parts of a row."""
        super().__init__(parts)
        self._sketches: dict[str, dict[int, int]] = {}

    def sketch(self, series: str) -> dict[int, int]:
        """Return the sketch of one series."""
        found = self._sketches.get(series)
        if found is None:
            found = self._sketches[series] = buckets_in(self, series)
        return found


Value = float | int | str | None


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `value` wants the merged parts of a row and the rules of its queue; `kpi` is "" where it shows a part."""

    name: str
    unit: Unit | Literal["text"]
    value: Callable[[Span, QueueRules], Value]
    kpi: str = ""


def _sum_column(part: str) -> Column:
    if part.endswith("_e6"):
        return Column(part.removesuffix("_e6"), "number", lambda parts, _: parts.get(part, 0) / 1_000_000)
    return Column(part.removesuffix("_ms") + "_s", "seconds", lambda parts, _: parts.get(part, 0) / 1000)


def _count_column(part: str) -> Column:
    return Column(part, "count", lambda parts, _: parts.get(part, 0))


def _plain(kpi: Kpi, suffix: str, variant: str | None) -> Column:
    terms = kpi.terms
    assert terms is not None

    def value(parts: Parts, rules: QueueRules) -> Value:
        return value_of(kpi, variant_terms(kpi, variant, rules) if variant else terms(rules), parts)

    return Column(kpi.id + suffix, kpi.unit, value, kpi.id)


def _percentile(kpi: Kpi, series: str, name: str, q: float | None) -> Column:
    def value(parts: Span, _: QueueRules) -> Value:
        sketch = parts.sketch(series)
        ms = largest(sketch) if q is None else quantile(sketch, q)
        return None if ms is None else ms / 1000

    return Column(f"{kpi.id}_{name}", "seconds", value, kpi.id)


def _share(kpi: Kpi, share: str) -> Column:
    terms = kpi.terms
    assert terms is not None

    def value(parts: Parts, rules: QueueRules) -> Value:
        denominator = total_of(terms(rules)[1], parts)
        return parts.get(share, 0) / denominator if denominator > 0 else None

    return Column(f"{kpi.id}_share", "ratio", value, kpi.id)


def _kpi_columns(kpi: Kpi, currencies: Sequence[str]) -> list[Column]:
    """Return an indicator's columns: itself, its stats, its variants."""
    if kpi.form == "peak":
        return [Column(kpi.id, kpi.unit, lambda parts, _: peak_in(parts), kpi.id)]
    columns: list[Column] = []
    if kpi.id not in ("status_share", "cost_per_contact"):
        columns.append(_plain(kpi, "", None))
    if kpi.id == "service_level":
        columns.append(Column("formula", "text", lambda _, rules: rules.service_level))
    if kpi.series is not None:
        columns += [_percentile(kpi, kpi.series, name, q) for name, q in (*PERCENTILES.items(), ("max", None))]
    if kpi.share is not None:
        columns.append(_share(kpi, kpi.share))
    if kpi.variants is not None:
        columns += [_plain(kpi, f"_{value}", value) for value in kpi.variants[1] or currencies]
    return columns


def queue_columns(currencies: Sequence[str] = ()) -> list[Column]:
    """Return the columns by queue: counts, sums, indicators; `currencies` are those in which costs were booked."""
    columns = [_count_column(part) for part in COUNTS]
    columns += [_sum_column(part) for part in SUMS]
    columns += [_count_column(part) for part in FURTHER_COUNTS]
    columns += [_sum_column(part) for part in (*FURTHER_SUMS, *(f"cost_{currency}_e6" for currency in currencies))]
    for kpi in CATALOGUE:
        if kpi.dimension == "queue" and kpi.form in ("mean", "ratio") and not kpi.days:
            columns += _kpi_columns(kpi, currencies)
    return columns


def group_columns() -> list[Column]:
    """Return the columns by group; levels stand as their integrals (`online_s`)."""
    columns = [_sum_column(f"{level}_ms") for level in ("in_hand", "available_idle", "online", "sessions_in_hand", "slots")]
    columns.append(_count_column("taken"))
    for kpi in CATALOGUE:
        if kpi.dimension == "group" and kpi.section == "agents" and not kpi.days:
            columns += _kpi_columns(kpi, ())
    return columns


def day_columns(dimension: Literal["queue", "group"]) -> list[Column]:
    """Return the columns of the indicators of whole local days, for the windows `today` and `7d`."""
    return [_plain(kpi, "", None) for kpi in CATALOGUE if kpi.days and kpi.dimension == dimension]


__all__ = ["Column", "Span", "Value", "day_columns", "group_columns", "queue_columns"]
