"""Columns of the interval table, made from the catalogue.

By queue: counts, sums, then the indicators with the suffixes of the specification (rule 46); by group: the integrals of levels,
then the agent-time indicators. Indicators of whole local days and gauges are left out of a table of intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from schemas.kpis import (
    BY_ID,
    CATALOGUE,
    PERCENTILES,
    Kpi,
    Parts,
    Unit,
    currencies_in,
    peak_in,
    total_of,
    value_of,
    variant_terms,
)
from schemas.parts import COUNTS, FURTHER_COUNTS, FURTHER_SUMS, SUMS
from schemas.rules import QueueRules
from schemas.sketch import largest, quantile

_NO_SKETCH: Final[dict[int, int]] = {}


class Span(dict[str, int]):
    """Merged parts of one row, with their sketches read once however many percentiles are asked for."""

    def __init__(self, parts: Mapping[str, int]) -> None:
        """Take the parts of a row."""
        super().__init__(parts)
        self._sketches: dict[str, dict[int, int]] | None = None
        self._stats: dict[str, dict[str, int | None]] = {}
        self._currencies: list[str] = []

    def _read(self) -> dict[str, dict[int, int]]:
        """Find sketches and currencies, in one go."""
        sketches: dict[str, dict[int, int]] = {}
        costs: list[str] = []
        for part, count in self.items():
            series, tilde, bucket = part.partition("~")
            if tilde:
                sketches.setdefault(series, {})[int(bucket)] = count
            elif part.startswith("cost_"):
                costs.append(part)
        self._currencies = currencies_in([dict.fromkeys(costs, 0)])
        self._sketches = {series: dict(sorted(sketch.items())) for series, sketch in sketches.items()}
        return self._sketches

    def sketch(self, series: str) -> dict[int, int]:
        """Return the sketch of one series, in order of buckets."""
        return (self._read() if self._sketches is None else self._sketches).get(series, _NO_SKETCH)

    def stats(self, series: str) -> dict[str, int | None]:
        """Return the percentiles and the maximum of one series, in ms."""
        found = self._stats.get(series)
        if found is None:
            sketch = self.sketch(series)
            found = {name: quantile(sketch, q) for name, q in PERCENTILES.items()} if sketch else dict.fromkeys(PERCENTILES)
            found["max"] = largest(sketch)
            self._stats[series] = found
        return found

    @property
    def currencies(self) -> list[str]:
        """The currencies in which anything was booked."""
        if self._sketches is None:
            self._read()
        return self._currencies

    def plus(self, part: str, value: int) -> Span:
        """Return a copy with one more part, which is no sketch bucket."""
        more = Span(self)
        more._sketches, more._stats, more._currencies = self._sketches, self._stats, self._currencies
        more[part] = more.get(part, 0) + value
        return more


Value = float | int | str | None


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `value` wants the merged parts of a row and the rules of its queue.

    `kpi`: the indicator that it shows, "" where it shows a part that is none; `percentile`: whether it comes from a sketch.
    """

    name: str
    unit: Unit | Literal["text"]
    value: Callable[[Span, QueueRules], Value]
    kpi: str = ""
    percentile: bool = False

    @property
    def wide(self) -> bool:
        """Whether it is by queue whatever the channel."""
        return bool(self.kpi) and BY_ID[self.kpi].wide


def _counted() -> dict[str, str]:
    """Return the parts that are indicators by themselves: part → id."""
    counts = [kpi for kpi in CATALOGUE if kpi.form == "count"]
    assert all(kpi.terms is not None for kpi in counts)
    found: dict[str, str] = {}
    for kpi in counts:
        for value in kpi.variants[1] if kpi.variants else ("",):
            top, _ = variant_terms(kpi, value, QueueRules()) if value else kpi.terms(QueueRules())  # type: ignore[misc]  # checked
            found[top[0][0]] = kpi.id
    return found


_COUNTED: Final = _counted()


def _sum_column(part: str) -> Column:
    if part.endswith("_e6"):
        return Column(part.removesuffix("_e6"), "number", lambda parts, _: parts.get(part, 0) / 1_000_000)
    return Column(part.removesuffix("_ms") + "_s", "seconds", lambda parts, _: parts.get(part, 0) / 1000)


def _count_column(part: str) -> Column:
    return Column(part, "count", lambda parts, _: parts.get(part, 0), _COUNTED.get(part, ""))


def _plain(kpi: Kpi, suffix: str, variant: str | None) -> Column:
    terms = kpi.terms
    assert terms is not None

    def value(parts: Parts, rules: QueueRules) -> Value:
        return value_of(kpi, variant_terms(kpi, variant, rules) if variant else terms(rules), parts)

    return Column(kpi.id + suffix, kpi.unit, value, kpi.id)


def _percentile(kpi: Kpi, series: str, name: str) -> Column:
    def value(parts: Span, _: QueueRules) -> Value:
        ms = parts.stats(series)[name]
        return None if ms is None else ms / 1000

    return Column(f"{kpi.id}_{name}", "seconds", value, kpi.id, percentile=True)


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
        columns += [_percentile(kpi, kpi.series, name) for name in (*PERCENTILES, "max")]
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


def compared_columns(dimension: Literal["queue", "group"], currencies: Sequence[str] = ()) -> list[Column]:
    """Return the indicators that are compared with an earlier span: all over a window but percentiles."""
    columns = queue_columns(currencies) if dimension == "queue" else group_columns()
    return [column for column in (*columns, *day_columns(dimension)) if column.kpi and not column.percentile]


__all__ = ["Column", "Span", "Value", "compared_columns", "day_columns", "group_columns", "queue_columns"]
