"""A table as text and as plain values: rows of names, the interval's start, and columns derived when they are written."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TextIO

from schemas.columns import Column, Span, Value
from schemas.kpis import BY_ID, change_of
from schemas.rules import QueueRules
from schemas.zones import local_text
from sinks.cells import Parts

START: Final = "interval_start"
CHANGE: Final = "_change"
"""Suffix of the column that has the change against the same interval a week before."""
_DANGEROUS: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Row:
    """One interval of one queue or group, before indicators are derived from its parts."""

    names: tuple[str, ...]
    start: int
    zone: str
    rules: QueueRules
    parts: Parts


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in order, and the columns that are derived from them when they are written.

    `base_of`: the row that another is compared with, None: there is none. Without it nothing is compared.
    """

    key_columns: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: Sequence[Row]
    base_of: Callable[[Row], Row | None] | None = None

    @property
    def _fields(self) -> list[tuple[str, str]]:
        fields = [(name, "text") for name in self.key_columns]
        for column in self.columns:
            fields.append((column.name, column.unit))
            if self._is_compared(column):
                fields.append((column.name + CHANGE, "ratio"))
        return fields

    def _is_compared(self, column: Column) -> bool:
        return self.base_of is not None and column.kpi in BY_ID

    @property
    def header(self) -> list[str]:
        """The names of all columns."""
        return [name for name, _ in self._fields]

    @property
    def units(self) -> list[str]:
        """The unit of each column: text, count, seconds, ratio, number."""
        return [unit for _, unit in self._fields]

    def values(self) -> Iterator[list[Cell]]:
        """Yield each row's cells: names, the interval's start as ISO 8601, then numbers (None: absent)."""
        for row in self.rows:
            parts = Span(row.parts)
            base = None if self.base_of is None else self.base_of(row)
            base_parts = None if base is None else Span(base.parts)
            cells: list[Cell] = [*row.names, local_text(row.zone, row.start)]
            for column in self.columns:
                value = column.value(parts, row.rules)
                cells.append(rounded(column, value))
                if self._is_compared(column):
                    before = None if base is None or base_parts is None else column.value(base_parts, base.rules)
                    change = change_between(column, value, before)
                    cells.append(None if change is None else round(change, 6))
            yield cells

    def write_csv(self, file: TextIO) -> None:
        """Write the table as CSV, safe to open in a spreadsheet."""
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(self.header)
        units = self.units
        for cells in self.values():
            writer.writerow([_text(unit, cell) for unit, cell in zip(units, cells, strict=True)])

    def as_json(self) -> dict[str, Any]:
        """Return {columns, units, rows} of plain values."""
        return {"columns": self.header, "units": self.units, "rows": list(self.values())}


def change_between(column: Column, value: Value, base: Value) -> float | None:
    """Return how far a column's value is from its base; None where either is no number, or the base is 0."""
    if column.unit == "text" or isinstance(value, str) or isinstance(base, str):
        return None
    return change_of(column.unit, value, base)


def rounded(column: Column, value: Value) -> Cell:
    """Return a value with as many decimals as are published."""
    if isinstance(value, float):
        return round(value, 3 if column.unit == "seconds" else 6)
    return value


def _text(unit: str, cell: Cell) -> str:
    """Return a cell's text: seconds with up to 3 decimals, ratios with 6, absent as empty."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return "'" + cell if cell.startswith(_DANGEROUS) else cell
    if unit == "count":
        return str(cell)
    if unit == "seconds":
        return f"{cell:.3f}".rstrip("0").rstrip(".")
    return f"{cell:.6f}"


__all__ = ["START", "Cell", "Row", "Table", "change_between", "rounded"]
