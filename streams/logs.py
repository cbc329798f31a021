"""Logs: one line per state change, JSON where nobody reads along, plain text on a terminal; no personal data.

Every line has `timestamp` (UTC), `level`, `program` and `event`, a fixed name; what is meant for people stands in `message`, and
alone on a terminal. What an event says is never logged, only where it lies. An error from outside may quote what it was working on
(a `KeyError` its key), so of errors that are neither ours nor the network's only the type is told, and the places in the code.
"""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any, Final, TextIO

import structlog
from aiokafka.errors import KafkaError

from schemas.errors import FloorpulseError

TELLING: Final = (FloorpulseError, KafkaError, OSError)
"""Errors whose text is about the program and its surroundings, never about an event."""
_PLACES: Final = 8
"""So many places in the code are told of an error, the innermost last."""


def told(error: BaseException) -> str:
    """Return what may be logged of an error: its text where that says nothing of an event, else its type."""
    name = type(error).__name__
    if isinstance(error, FloorpulseError):
        return str(error)
    return f"{name}: {error}" if isinstance(error, TELLING) and str(error) else name


def places(error: BaseException) -> list[str]:
    """Return where in the code an error arose: file, line, function, the innermost last."""
    frames = traceback.extract_tb(error.__traceback__)[-_PLACES:]
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]


def fault(error: BaseException) -> str:
    """Word a fault of our own in a line: its text may quote an event, so only its type and place are told."""
    place = next(iter(reversed(places(error))), "nowhere")
    return f"unexpected {told(error)} in {place}: a fault of floorpulse. --debug shows more"


def configure_logs(program: str = "floorpulse", *, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Set logging up for a long-running command: everything to `stream` (stderr), `program` in each line."""
    out: TextIO = stream or sys.stderr

    def name_program(_: Any, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        line["program"] = program
        return line

    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True), name_program, _without_values,
    ]  # fmt: skip
    last: list[structlog.typing.Processor] = [structlog.processors.JSONRenderer(ensure_ascii=False)]
    if out.isatty():
        last = [_for_people, structlog.dev.ConsoleRenderer(pad_event_to=0)]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.addFilter(_tame)
    formatter = structlog.stdlib.ProcessorFormatter
    handler.setFormatter(
        formatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, _of_library, *shared],
            processors=[formatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


def _of_library(_: Any, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Give the line of a library a fixed `event`; its words are the message."""
    return {**line, "event": f"library.{line.pop('logger', 'unknown')}", "message": line["event"]}


def _tame(record: logging.LogRecord) -> bool:
    """Take from a library's line what might quote an event: texts of errors that are not the network's."""
    if isinstance(record.args, tuple):
        record.args = tuple(told(each) if isinstance(each, BaseException) else each for each in record.args)
    return True


def _without_values(_: Any, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Tell an exception by type and places."""
    found = line.pop("exc_info", None)
    error = found if isinstance(found, BaseException) else sys.exc_info()[1] if found is True else None
    if isinstance(found, tuple):
        error = found[1]
    if error is not None:
        line.update(error=told(error), places=places(error))
    return line


def _for_people(_: Any, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Show the message alone, where there is one: it says all that the other fields say."""
    program, message = line.pop("program"), line.pop("message", None)
    shown = {key: line[key] for key in ("timestamp", "level")} if message else line
    return {**shown, "event": f"{program}: {message or line['event']}"}


def silence_logs() -> None:
    """Keep all logs off the terminal, for commands that draw on it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.getLogger().handlers[:] = [logging.NullHandler()]


__all__ = ["configure_logs", "fault", "places", "silence_logs", "told"]
