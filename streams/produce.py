"""Send files of canonical events to Kafka, at their own pace, faster, or as fast as it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from math import inf
from pathlib import Path
from time import monotonic
from typing import IO, Any, Final

from schemas.codec import Decoded, decode_batch
from schemas.config import Config
from schemas.errors import FloorpulseError, InvalidEvent, KafkaRefused, KafkaUnreachable, TopicError, UsageError
from schemas.rules import Rules
from streams.core.intake import status_of
from streams.lines import Line, is_pipe, line_count, open_lines, read_lines
from streams.progress import no_progress
from streams.sender import Sender

SETTLE_S: Final = 5.0
"""Who interrupts does not wait for a broker that is away."""


@dataclass
class Produced:
    """What was done: acknowledged records, rejected lines, newest event time; `resume` = file and line to go on from.

    `reading`: right now lines are waited for, as a pipe's, and nothing else goes on.
    """

    sent: int = 0
    rejected: int = 0
    newest_ms: int | None = None
    resume: str = ""
    reading: bool = False
    rejected_files: list[str] = field(default_factory=list)


class BadLine(FloorpulseError):
    """Report a line that is no valid event."""


async def produce(
    config: Config,
    files: Sequence[Path],
    *,
    speed: float | None = None,
    keep_going: bool = False,
    from_line: int = 1,
    end: bool = True,
    progress: Callable[[int], None] = no_progress,
    done: Produced | None = None,
) -> Produced:
    """Send files; `speed` None = as fast as it goes, 60 = sixty times real time.

    Raises `BadLine` at the first line that is no valid event under this configuration unless `keep_going` (then such lines go
    to FILE.rejected, behind those of the run that is resumed), and `UsageError` where the first file ends before `from_line`; one
    line behind its end is all right: nothing is left to send. Where Kafka does not take what it should, the error says from where
    to go on. With `end` every partition gets an end-of-input marker. `done` is filled as it goes, for whoever interrupts: by
    cancelling, or, while it is `reading`, by `KeyboardInterrupt`.
    """
    for file in files:
        if not is_pipe(file):  # what a look took from it would be lost
            open_lines(file).close()
        if keep_going:
            _spare_inputs(Path(f"{file}.rejected"), files)
    done = done or Produced()
    done.resume = _place(files[0], from_line)
    pace, decode = _Pace(speed), partial(_decode, config.rules())
    async with AsyncExitStack() as stack:
        try:
            sender = await stack.enter_async_context(Sender(config))
        except (KafkaUnreachable, KafkaRefused, TopicError) as error:
            raise type(error)(f"{error}. Nothing was sent; go on from {done.resume}") from error
        try:
            for file in files:
                await _send_file(sender, file, decode, pace, keep_going, from_line, done, progress)
                from_line = 1
            if end and done.newest_ms is not None:
                await sender.end_input(done.newest_ms, done.resume)
            await sender.flush()
        except (asyncio.CancelledError, KeyboardInterrupt):
            await _settle(sender, done)
            raise
        finally:
            done.sent = sender.sent
    return done


async def _settle(sender: Sender, done: Produced) -> None:
    """Wait for what is in flight when it is interrupted; what is not acknowledged by then is where to resume."""
    try:
        with suppress(FloorpulseError, TimeoutError):
            await asyncio.wait_for(sender.flush(), SETTLE_S)
    finally:
        done.resume = sender.first_open or done.resume


def _place(file: Path, line: int) -> str:
    return f"{file} --from-line {line}"


class _Pace:
    """Says how long to wait for an event's turn."""

    def __init__(self, speed: float | None) -> None:
        if speed is not None and not 0 < speed < inf:
            raise UsageError(f"--speed {speed:g} is not a finite number above 0; write --speed 60, or --speed max")
        self._speed = speed
        self._began: tuple[float, int] | None = None

    def wait_s(self, at_ms: int) -> float:
        """Return seconds until an event is due, 0 or less if it is."""
        if self._speed is None:
            return 0
        if self._began is None:
            self._began = (monotonic(), at_ms)
        return self._began[0] + (at_ms - self._began[1]) / 1000 / self._speed - monotonic()


def _decode(rules: Rules, values: Sequence[bytes]) -> list[Any]:
    """Decode lines: events, and an `InvalidEvent` for each that a worker would refuse whatever came before it, and whenever."""
    return [_refused(event, rules) or event for event in decode_batch(values)]


def _refused(event: Decoded, rules: Rules) -> InvalidEvent | None:
    try:
        status_of(event, rules)
    except InvalidEvent as error:
        return error
    return None


async def _send_file(sender: Sender, file: Path, decode: Callable[[Sequence[bytes]], list[Any]], pace: _Pace, keep_going: bool,
                     from_line: int, done: Produced, progress: Callable[[int], None]) -> None:  # fmt: skip
    reached, last = from_line == 1, 0
    with ExitStack() as stack:
        rejected: IO[bytes] | None = None
        for lines in _read(file, progress, done):
            wanted = [line for line in lines if line.number >= from_line]
            last = lines[-1].number
            reached = reached or bool(wanted)
            for line, event in zip(wanted, decode([line.value for line in wanted]), strict=True):
                done.resume = _place(file, line.number)
                if isinstance(event, InvalidEvent):
                    if not keep_going:
                        raise _bad_line(file, line, event)
                    if rejected is None:
                        done.rejected_files.append(f"{file}.rejected")
                        rejected = stack.enter_context(_open_rejected(file, resumed=from_line > 1))
                    rejected.write(line.value + b"\n")
                    done.rejected += 1
                    continue
                wait = pace.wait_s(event.at)
                if wait > 0:
                    await asyncio.sleep(wait)
                await sender.send(line.topic, line.key, line.value, done.resume)
                done.newest_ms = event.at if done.newest_ms is None else max(done.newest_ms, event.at)
    if not reached and from_line > (lines_there := last if is_pipe(file) else line_count(file)) + 1:
        what = "1 line" if lines_there == 1 else f"{lines_there} lines"
        raise UsageError(f"--from-line {from_line}: {file} has {what}, so there is nothing to resume at; give a smaller number")


def _read(file: Path, progress: Callable[[int], None], done: Produced) -> Iterator[list[Line]]:
    """Yield a file's lines as `read_lines` does, and let `done` know while they are waited for."""
    batches = read_lines(file, progress)
    while True:
        done.reading = True
        try:
            lines = next(batches, None)
        finally:
            done.reading = False
        if lines is None:
            return
        yield lines


def _spare_inputs(rejected: Path, files: Sequence[Path]) -> None:
    if rejected.exists() and any(file.exists() and rejected.samefile(file) for file in files):
        raise UsageError(f"--keep-going would write {rejected} anew, which is one of the files that are read; give it another name")


def _open_rejected(file: Path, *, resumed: bool) -> IO[bytes]:
    rejected = Path(f"{file}.rejected")
    try:
        return rejected.open("ab" if resumed else "wb")
    except OSError as error:
        raise UsageError(f"--keep-going cannot write {rejected}: {error.strerror}; put the events into a file elsewhere") from None


def _bad_line(file: Path, line: Line, error: InvalidEvent) -> BadLine:
    return BadLine(f"{file} line {line.number}: {error.detail}. --keep-going puts such lines into {file}.rejected")


__all__ = ["BadLine", "Produced", "produce"]
