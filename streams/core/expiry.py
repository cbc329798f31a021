"""When state is over: sessions, agents' history, slices.

A session's horizon runs from its end or, while it is open, from its newest event (rules 5). Each session stands in a heap under
an instant no later than the one at which it is over; when the watermark gets there it is looked at, and put back if it
lives. What can bring that instant forward, an end or a channel of its own age, puts the session into the heap once more.
An agent's history is bounded by the least watermark over all senders of relay records, since any of them may still correct it.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heappop, heappush
from typing import Any, Final

from schemas.readings import DATE_MS, QUARTER_MS, ROSTER_MS, SLICE_MS
from schemas.rules import MINUTE_MS, Rules
from streams.core.cells import CellId, Cells
from streams.core.lives import bounds_of
from streams.core.milestones import ENDED, ENTERED, STARTED, Session

ANNOUNCE_MS: Final = MINUTE_MS
"""How far the watermark moves between two announcements: contacts settle that much later, a day after their end."""
CLOSE_MS: Final = 10 * MINUTE_MS
"""How far it moves between two times at which agents' history is closed."""


class Expiry:
    """The horizons of one partition."""

    def __init__(self, rules: Rules, partitions: int) -> None:
        """Start with nothing over."""
        self._rules = rules
        self._due: list[tuple[int, str]] = []
        self._marks: dict[int, int] = {}
        self._partitions = partitions
        self._announced: int | None = None
        self._shortest_ms = rules.shortest_session_ms
        self.agents_before = 0
        """Agents' history before this instant is closed."""
        self._statuses_before = 0
        self.waking: frozenset[int] = frozenset({ENDED, STARTED, ENTERED} if rules.session_age_by_channel else {ENDED})
        """Ranks of milestones that can bring a session's end forward: an end, or a channel of its own age; it is watched anew."""

    def session_is_late(self, at: int, watermark: int | None) -> bool:
        """Tell whether an event of an unknown session is older than its horizon."""
        return watermark is not None and at < watermark - self._rules.session_horizon_ms

    def business_is_late(self, at: int, watermark: int | None) -> bool:
        """Tell whether a business fact is older than its horizon."""
        return watermark is not None and at < watermark - self._rules.business_horizon_ms

    def agent_is_late(self, at: int) -> bool:
        """Tell whether a status event is older than its horizon."""
        return at < self._statuses_before

    def watch(self, session_id: str, at: int) -> None:
        """Look at a session when it may be over at the earliest."""
        heappush(self._due, (at + self._shortest_ms, session_id))

    def watch_again(self, session_id: str, session: Session) -> None:
        """Look at a restored session when it will be over as it stands."""
        silent_after, until = bounds_of(session, self._rules)
        heappush(self._due, (until if session.forgotten else silent_after, session_id))

    def due(self, sessions: Mapping[str, Session], watermark: int | None) -> tuple[list[str], list[str]]:
        """Return the sessions that are over, and those that are forgotten from now on."""
        over: dict[str, None] = {}
        silent: dict[str, None] = {}
        if watermark is None:
            return [], []
        while self._due and self._due[0][0] <= watermark:
            _, session_id = heappop(self._due)
            session = sessions.get(session_id)
            if session is None or session_id in over:
                continue
            silent_after, until = bounds_of(session, self._rules)
            if until <= watermark:
                over[session_id] = None
                continue
            if silent_after <= watermark and not session.forgotten:
                silent[session_id] = None
            heappush(self._due, (silent_after if silent_after > watermark else until, session_id))
        return list(over), list(silent)

    def heard(self, sender: int, watermark: int | None) -> None:
        """Take note of a sender's watermark."""
        if watermark is not None and watermark > self._marks.get(sender, -1):
            self._marks[sender] = watermark

    def announces(self, watermark: int | None, at_the_end: bool) -> bool:
        """Tell whether the own watermark is to be announced to all partitions now; `at_the_end`: it will not move any more."""
        if watermark is None or watermark == self._announced:
            return False
        if self._announced is not None and watermark < self._announced + ANNOUNCE_MS and not at_the_end:
            return False
        self._announced = watermark
        return True

    @property
    def least_mark(self) -> int | None:
        """The least watermark of all senders; None while one has said nothing."""
        return min(self._marks.values()) if len(self._marks) == self._partitions else None

    def close_agents(self) -> bool:
        """Move the instant on before which agents' history is closed; return whether it moved."""
        mark = self.least_mark
        if mark is None or mark - self._rules.agent_horizon_ms < self._statuses_before + CLOSE_MS:
            return False
        self._statuses_before = mark - self._rules.agent_horizon_ms
        self.agents_before = mark - self._rules.agents_kept_ms
        return True

    def cells(self, cells: Cells, watermark: int | None) -> list[CellId]:
        """Drop slices and sketches whose retention is over; return the ids of the cells that are gone."""
        if watermark is None:
            return []
        gone: list[CellId] = []
        if self._rules.slices_kept_ms:
            gone += cells.expire(SLICE_MS, (watermark - self._rules.slices_kept_ms) // SLICE_MS)
            gone += cells.expire(ROSTER_MS, (watermark - self._rules.roster_kept_ms) // ROSTER_MS)
            gone += cells.expire(DATE_MS, (watermark - self._rules.quarters_kept_ms) // DATE_MS)
        gone += cells.expire(QUARTER_MS, (watermark - self._rules.quarters_kept_ms) // QUARTER_MS)
        cells.expire_sketches((watermark - self._rules.sketches_kept_ms) // QUARTER_MS)
        return gone

    def freeze(self) -> list[Any]:
        """Return a msgpack-able form."""
        return [self.agents_before, self._statuses_before, sorted(self._marks.items()), self._announced]

    def thaw(self, frozen: list[Any]) -> None:
        """Restore what `freeze` returned."""
        self.agents_before, self._statuses_before, marks, self._announced = frozen
        self._marks = {sender: mark for sender, mark in marks}  # noqa: C416  msgpack made lists of the pairs


__all__ = ["Expiry"]
