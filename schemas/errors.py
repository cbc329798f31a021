"""Every error that floorpulse raises on purpose.

    FloorpulseError                 exit status 1
    ├── UsageError                  exit status 2: wrong command line
    │   └── UnknownName             an indicator, queue, group … that does not exist
    ├── ConfigError                 exit status 2: bad configuration
    ├── InvalidEvent                one record's own content is illegal; `reason` is a label value
    ├── KafkaUnreachable            no broker answers
    ├── KafkaRefused                a broker answers, but does not do what it was asked
    ├── TopicError                  a topic is missing or laid out wrongly
    ├── JournalError                the journal cannot be used as it stands
    │   ├── JournalTruncated        its beginning is gone and no whole snapshot cycle is left
    │   ├── JournalVersion          written by a newer floorpulse
    │   └── JournalMismatch         it belongs to another layout (partition count, topic re-created)
    ├── Replaced                    another worker has claimed the partition; stop before publishing
    ├── BoardError                  the board cannot listen, or cannot be asked
    └── JobFailed                   a process of a report cannot go on

A message says what, which value, where, and the remedy.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

Reason = Literal[
    "unparsable",
    "unknown_type",
    "missing_field",
    "bad_field",
    "bad_name",
    "reserved_name",
    "naive_timestamp",
    "bad_timestamp",
    "too_old",
    "from_the_future",
    "status",
    "wrong_topic",
    "wrong_key",
    "wrong_partition",
    "session_full",
    "too_large",
]
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)


class FloorpulseError(Exception):
    """Base of all errors of this project; its text is one line for a person."""

    exit_status: int = 1


class UsageError(FloorpulseError):
    """Report a wrong command line."""

    exit_status = 2


class UnknownName(UsageError):
    """Report that what was asked for does not exist."""


class ConfigError(FloorpulseError):
    """Report a configuration that cannot be used."""

    exit_status = 2


class InvalidEvent(FloorpulseError):
    """Report one record whose own content is illegal.

    `reason` is one of `REASONS` (a bounded label value); `detail` is for people and may quote the value.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail


class KafkaUnreachable(FloorpulseError):
    """Report that no broker answered."""


class KafkaRefused(FloorpulseError):
    """Report that a broker answered, but did not do what it was asked."""


class TopicError(FloorpulseError):
    """Report a topic that is missing or laid out wrongly."""


class JournalError(FloorpulseError):
    """Report a journal that cannot be used as it stands."""


class JournalTruncated(JournalError):
    """Report a journal that neither starts at its beginning nor holds a whole snapshot cycle."""


class JournalVersion(JournalError):
    """Report a journal written by a newer version."""


class JournalMismatch(JournalError):
    """Report a journal that does not fit the topics (partition count, a topic made anew)."""


class Replaced(FloorpulseError):
    """Report that another worker has claimed the partition."""


class BoardError(FloorpulseError):
    """Report a board that cannot listen or cannot be asked."""


class JobFailed(FloorpulseError):
    """Report that a process of a report could not go on."""


__all__ = [
    "REASONS",
    "BoardError",
    "ConfigError",
    "FloorpulseError",
    "InvalidEvent",
    "JobFailed",
    "JournalError",
    "JournalMismatch",
    "JournalTruncated",
    "JournalVersion",
    "KafkaRefused",
    "KafkaUnreachable",
    "Reason",
    "Replaced",
    "TopicError",
    "UnknownName",
    "UsageError",
]
