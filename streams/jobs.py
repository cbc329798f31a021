"""Processes of a report: each holds one share and is talked to by pipes.

A process is a fresh interpreter (no fork: that breaks what runs threads, above all on macOS) in a session of its own. Ctrl-C
reaches the report alone, which then ends its processes. One whose report is gone reads the end of its input, and ends. Frames are a
length of four bytes and a message. What a process answers is read by a thread, so that neither waits for the other to read first.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import IO, Final, NamedTuple, Self

import msgspec

from schemas.errors import JobFailed
from schemas.readings import Dimension
from schemas.rules import Rules
from streams.native import Core
from streams.share import Answer, Message

MOST_JOBS: Final = 64
BYTES_EACH: Final = 8 << 20
"""A process is worth its start where it has as much text to count as this: some 50,000 events or 0.8 CPU s; a start takes 0.25."""
_GZIP: Final = 8
"""So many times the text is longer than the compressed file, about."""
_PIPE_BYTES: Final = 1 << 20
_END_S: Final = 10.0
_LENGTH: Final = struct.Struct("<I")
_COMMAND: Final = "from streams.job import main; main()"


class Failed(msgspec.Struct, tag=True, array_like=True, frozen=True):
    """A process cannot go on: what it says of it, and the traceback."""

    text: str
    traceback: str


class Task(NamedTuple):
    """What a process is there for."""

    number: int
    shares: int
    rules: Rules
    dimensions: tuple[Dimension, ...]
    core: Core


encode: Final = msgspec.msgpack.Encoder().encode
decode_message: Final = msgspec.msgpack.Decoder(Message).decode
_decode_answer: Final = msgspec.msgpack.Decoder(Answer | Failed).decode


def cores() -> int:
    """Return how many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def job_count(files: Sequence[Path]) -> int:
    """Return how many processes are worth their start for these files: at most one per core."""
    size = sum(file.stat().st_size * (_GZIP if file.suffix == ".gz" else 1) for file in files if file.is_file())
    return max(1, min(cores(), MOST_JOBS, size // BYTES_EACH))


def write_frame(file: IO[bytes], data: bytes) -> None:
    """Write one frame."""
    file.write(_LENGTH.pack(len(data)))
    file.write(data)
    file.flush()


def read_frame(file: IO[bytes]) -> bytes | None:
    """Read one frame; None at the end, also in the middle of one."""
    head = file.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    length = _LENGTH.unpack(head)[0]
    data = file.read(length)
    return data if len(data) == length else None


def named(number: int, shares: int) -> str:
    """Return what a process is called in an error."""
    return f"process {number + 1} of {shares} (--jobs)"


def ended(name: str, status: int) -> JobFailed:
    """Return the error of a process that has ended by itself, with a status as `Popen` has it."""
    how = f"ended with status {status}"
    if status < 0:
        with suppress(ValueError):
            how = f"was ended by {signal.Signals(-status).name}"
    return JobFailed(f"{name} {how}; no table was made. Is there enough memory? --jobs 1 needs no other process")


class _Elsewhere(Exception):
    """The traceback of another process, for `--debug`."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class Job:
    """A process that holds one share; a `Seat`. For a `with`."""

    def __init__(self, task: Task) -> None:
        """Prepare a process for a task."""
        self._task = task
        self._name = named(task.number, task.shares)
        self._answers: SimpleQueue[bytes | None] = SimpleQueue()

    def __enter__(self) -> Self:
        import pickle

        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, pipesize=_PIPE_BYTES,
            env=os.environ | {"PYTHONPATH": path}, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input = self._process.stdin
        threading.Thread(target=self._listen, args=(self._process.stdout,), name=self._name, daemon=True).start()
        self._write(pickle.dumps(self._task))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        if kind is not None:
            self._process.kill()
        with suppress(OSError):
            self._input.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self, output: IO[bytes]) -> None:
        """Queue all that the process says; None is the end."""
        with output:
            while (data := read_frame(output)) is not None:
                self._answers.put(data)
        self._answers.put(None)

    def _write(self, data: bytes) -> None:
        try:
            write_frame(self._input, data)
        except OSError:
            raise self._failure() from None

    def send(self, message: Message) -> None:
        """Give a message; raises `JobFailed`."""
        self._write(encode(message))

    def receive(self) -> Answer:
        """Return the next answer; raises `JobFailed`."""
        data = self._answers.get()
        if data is None:
            raise self._ended()
        answer: Answer | Failed = _decode_answer(data)
        if isinstance(answer, Failed):
            raise self._failed(answer)
        return answer

    def _failure(self) -> JobFailed:
        """Return why a process does not read any more: what it said last, or how it ended."""
        while (data := self._answers.get()) is not None:
            answer = _decode_answer(data)
            if isinstance(answer, Failed):
                return self._failed(answer)
        return self._ended()

    def _failed(self, said: Failed) -> JobFailed:
        error = JobFailed(f"{self._name} failed: {said.text}")
        error.__cause__ = _Elsewhere(said.traceback)
        return error

    def _ended(self) -> JobFailed:
        return ended(self._name, self._process.wait())


__all__ = [
    "BYTES_EACH", "Failed", "Job", "Task", "cores", "decode_message", "encode", "ended", "job_count", "named",
    "read_frame", "write_frame",
]  # fmt: skip
