"""Logs: JSON where nobody reads along, words on a terminal, and nothing of an event in either."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from schemas.errors import KafkaUnreachable
from streams.logs import configure_logs, told


class Terminal(io.StringIO):
    """A stream that somebody reads along."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """What was set up for logging before."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def logged(out: io.StringIO) -> list[dict[str, Any]]:
    """The lines, each one JSON object."""
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_an_object_with_time_level_program_and_event() -> None:
    """In UTC; further fields beside."""
    out = io.StringIO()
    configure_logs("floorpulse worker", stream=out)
    structlog.get_logger().warning("input.silent", message="no event for 60 s", partitions=12)
    (line,) = logged(out)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line.pop("timestamp"))
    assert (line.pop("event"), line.pop("level"), line.pop("program")) == ("input.silent", "warning", "floorpulse worker")
    assert line == {"message": "no event for 60 s", "partitions": 12}


def test_a_terminal_shows_words() -> None:
    """The message alone where there is one, else the event with its fields."""
    out = Terminal()
    configure_logs("floorpulse worker", stream=out)
    structlog.get_logger().warning("input.silent", message="no event for 60 s", partitions=12)
    structlog.get_logger().info("partitions.loaded", loaded=[0, 1])
    first, second = (re.sub(r"\x1b\[[\d;]*m", "", line) for line in out.getvalue().splitlines())
    assert first.endswith("floorpulse worker: no event for 60 s")
    assert "partitions=12" not in first
    assert "floorpulse worker: partitions.loaded" in second
    assert "loaded=[0, 1]" in second


def test_an_exception_tells_its_type_and_places_but_not_what_it_was_working_on() -> None:
    """Of ours and of libraries: a KeyError quotes its key, which may be somebody's name."""
    out = io.StringIO()
    configure_logs(stream=out)
    try:
        dict[str, str]()["anna.lee"]
    except KeyError as error:
        structlog.get_logger().exception("snapshot.failed")
        logging.getLogger("faust.agents").exception("crashed: %r", error)
    ours, theirs = logged(out)
    assert "anna" not in out.getvalue()
    assert ours["error"] == theirs["error"] == "KeyError"
    assert ours["places"][-1].startswith("test_logs.py:")
    assert (theirs["event"], theirs["message"]) == ("library.faust.agents", "crashed: 'KeyError'")


def test_the_network_may_say_what_is_wrong() -> None:
    """Our own errors and those of connections are about the program, not about events."""
    assert told(KafkaUnreachable("cannot reach Kafka at x:9092")) == "cannot reach Kafka at x:9092"
    assert told(ConnectionRefusedError(111, "Connection refused")) == "ConnectionRefusedError: [Errno 111] Connection refused"
    assert told(ValueError("agent anna.lee")) == "ValueError"
