"""Progress bars on stderr; silent where stderr is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def progress_bar(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar for the length of a `with`; the function that it gives takes how much more is done."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda more: progress.advance(task, more)


def text_size(files: Sequence[Path]) -> int | None:
    """Return the files' size in bytes of text, None where one is compressed (its text is longer)."""
    if any(file.suffix == ".gz" or not file.is_file() for file in files):
        return None
    return sum(file.stat().st_size for file in files)


def no_progress(done: int) -> None:
    """Show nothing."""
    del done


__all__ = ["no_progress", "progress_bar", "text_size"]
