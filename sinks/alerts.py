"""What is to be said on `floorpulse.alerts`. Pure: standings and earlier records in, records out.

Theory. The topic is the memory: per subject the last record says which level was published (`level`) and which one people know of
(`told`). A record is due when a subject stands elsewhere than its last record says, or when quiet hours are over and people
know of another level than the present one. A subject without enough facts, or that is gone, stands good; its quiet hours stay.

`Book.fold` takes records in the order of the log, and tells which ones people are to be told of: those outside quiet hours
that bring another level than people know of. A record that says what the one before it said is a repetition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import urlencode

from schemas.alerts import LEVEL_NAMES, Alert, Kind, LevelName, alert_id, alert_key
from sinks.snapshot import ANY_CHANNEL
from sinks.standing import GOOD, Standing, Subject

MAX_SUBJECTS: Final = 20_000
"""Subjects whose last record is remembered; beyond them those go that stand good, the longest silent first."""


class Book:
    """The last record of each subject."""

    def __init__(self) -> None:
        self._last: dict[Subject, Alert] = {}

    def fold(self, alert: Alert) -> LevelName | None:
        """Take the next record of the log; return the level that people knew of, if they are to be told of another."""
        subject = Subject(alert.kpi, alert.queue, alert.channel, alert.group)
        last = self._last.get(subject)
        if last is not None and last.id == alert.id:
            return None
        self._last.pop(subject, None)
        self._last[subject] = alert
        if len(self._last) > MAX_SUBJECTS:
            settled = (each for each, kept in self._last.items() if kept.level == kept.told == "good")
            self._last.pop(next(settled, subject))
        told: LevelName = "good" if last is None else last.told
        return told if not alert.quiet and alert.level != told else None

    def due(
        self, standings: Mapping[Subject, Standing], now: int, link: Callable[[Subject], str],
        is_quiet: Callable[[Subject], bool] = lambda _: False,
    ) -> Iterator[Alert]:  # fmt: skip
        """Yield the records that are missing; `is_quiet` tells of a subject that is gone whether it has quiet hours now."""
        gone = {
            subject: Standing(None, 0, None, None, None, quiet=is_quiet(subject))
            for subject, last in self._last.items() if subject not in standings and not last.level == last.told == "good"
        }  # fmt: skip
        for subject, standing in {**gone, **standings}.items():
            last = self._last.get(subject)
            level: LevelName = LEVEL_NAMES[standing.level or GOOD]
            told: LevelName = "good" if last is None else last.told
            if level != ("good" if last is None else last.level) or (not standing.quiet and level != told):
                yield _record(subject, standing, last, now, link(subject))


def _record(subject: Subject, standing: Standing, last: Alert | None, now: int, url: str) -> Alert:
    level: LevelName = LEVEL_NAMES[standing.level or GOOD]
    before: LevelName = "good" if last is None else last.level
    told: LevelName = level if not standing.quiet else "good" if last is None else last.told
    rank, was = LEVEL_NAMES.index(level), LEVEL_NAMES.index(before)
    kind: Kind = "entered" if rank > was else "left" if rank < was else "reminder"
    since = standing.since_ms or now
    previous = None if last is None else last.id
    return Alert(
        id=alert_id(alert_key(*subject), previous, since, level, standing.quiet),
        previous=previous,
        kind=kind,
        **subject._asdict(),
        level=level,
        before=before,
        told=told,
        quiet=standing.quiet,
        value=None if standing.value is None else round(standing.value, 6),
        limit=standing.breach if max(rank, was) == len(LEVEL_NAMES) - 1 else standing.warn,
        n=standing.n,
        window=standing.window,
        since=since,
        at=now,
        url=url,
    )


def page_of(board_url: str, subject: Subject) -> str:
    """Return the address of the wall-screen's page about a subject."""
    shown = {"page": "agents", "group": subject.group} if subject.group else {"page": "queue", "queue": subject.queue}
    if subject.channel not in ("", ANY_CHANNEL):  # of a whole queue the page shows the first channel
        shown["channel"] = subject.channel
    return f"{board_url.rstrip('/')}/?{urlencode(shown)}"


__all__ = ["Book", "page_of"]
