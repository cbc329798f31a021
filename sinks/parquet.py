"""A table as Parquet, through pyarrow, which is an optional extra.

Names are strings, counts int64, all else double; absent values are null. Beside `interval_start`, the text with the zone's
offset as in the CSV, stands `interval_start_utc`, a timestamp in ms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import IO, Any, Final

from schemas.errors import UsageError
from sinks.written import START, Cell

CHUNK: Final = 20_000
"""Rows per row group: some 20 MB of cells in memory."""
START_UTC: Final = "interval_start_utc"


def load_pyarrow() -> tuple[ModuleType, ModuleType]:
    """Return pyarrow and its Parquet module; raises `UsageError` with the remedy where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError("--format parquet needs pyarrow, which is not installed: pip install 'floorpulse[parquet]'") from None
    return pyarrow, pyarrow.parquet


def write_parquet(header: Sequence[str], units: Sequence[str], rows: Iterable[Sequence[Cell]], out: Path | IO[bytes]) -> int:
    """Write rows of cells; `units` as in `Table.units`. Returns the number of rows."""
    pyarrow, parquet = load_pyarrow()
    at = header.index(START)
    types = {"text": pyarrow.string(), "count": pyarrow.int64()}
    fields = [pyarrow.field(name, types.get(unit, pyarrow.float64())) for name, unit in zip(header, units, strict=True)]
    fields.insert(at + 1, pyarrow.field(START_UTC, pyarrow.timestamp("ms", tz="UTC")))
    schema = pyarrow.schema(fields)
    written = 0
    remaining = iter(rows)
    with parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        while chunk := list(islice(remaining, CHUNK)):
            columns: list[list[Any]] = [list(column) for column in zip(*chunk, strict=True)]
            columns.insert(at + 1, [datetime.fromisoformat(text) for text in columns[at]])
            arrays = [pyarrow.array(column, type=field.type) for column, field in zip(columns, fields, strict=True)]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
            written += len(chunk)
    return written


__all__ = ["load_pyarrow", "write_parquet"]
