"""A process of a report: holds one share and answers on its output what it is told on its input (`streams/jobs.py`)."""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from typing import IO

from schemas.errors import FloorpulseError
from streams.jobs import Failed, Task, decode_message, encode, read_frame, write_frame
from streams.memory import settle_memory
from streams.share import Share


def main() -> None:
    """Serve until the input ends."""
    with os.fdopen(os.dup(1), "wb") as answers, os.fdopen(os.dup(0), "rb") as messages:
        os.dup2(2, 1)  # whatever prints does not print among the answers
        try:
            _serve(messages, answers)
        except BrokenPipeError:
            pass  # the report is gone
        except Exception as error:  # noqa: BLE001  # the boundary of the process: whoever leads it is told
            from streams.logs import fault

            text = str(error) if isinstance(error, FloorpulseError) else fault(error)
            write_frame(answers, encode(Failed(text, traceback.format_exc())))
        sys.stderr.flush()
        os._exit(0)  # all is said, and taking a large state apart takes time


def _serve(messages: IO[bytes], answers: IO[bytes]) -> None:
    data = read_frame(messages)
    if data is None:
        return
    task: Task = pickle.loads(data)  # from the process that started this one
    share = Share(*task)
    settle_memory()
    while (data := read_frame(messages)) is not None:
        for answer in share.answers(decode_message(data)):
            write_frame(answers, encode(answer))


__all__ = ["main"]
