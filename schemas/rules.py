"""The settings that shape what is counted, in the form that the core reads: integers in ms, looked up once and kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, Final

STATUSES: Final[tuple[str, ...]] = ("available", "busy", "away", "break", "meal", "training", "meeting", "offline")
ONLINE_STATUSES: Final = STATUSES[:-1]
FLOOR: Final = "all"
"""Name of the floor: the group that holds every agent once."""
UNASSIGNED: Final = "unassigned"

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class QueueRules:
    """What one queue counts by; durations in ms."""

    answer_ms: int = 20_000
    short_ms: int = 5_000
    placement_ms: int = 60_000
    first_response_ms: int = 20_000
    response_ms: int = 20_000
    service_level: str = "sl_no_short"
    short_in_abandonment: bool = True
    count_waiting_late: bool = False
    zone: str = ""
    """IANA zone; as `Rules.queue()` answers never empty."""


@dataclass(frozen=True)
class Rules:
    """All settings that decide about counting; `queue()` and `status()` answer in the hot path."""

    queue_default: QueueRules = field(default_factory=QueueRules)
    queues: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Per queue, the fields of `QueueRules` that differ."""
    queue_channels: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    """Per (queue, channel), further fields that differ."""
    zone: str = "UTC"
    live: bool = False
    partitioner: str = "murmur2"
    lateness_ms: int = MINUTE_MS
    idle_ms: int = 30_000
    max_ahead_ms: int = 5 * MINUTE_MS
    duplicates_horizon_ms: int = HOUR_MS
    max_ids: int = 2_000_000
    session_age_ms: int = DAY_MS
    session_age_by_channel: Mapping[str, int] = field(default_factory=dict)
    session_horizon_ms: int = DAY_MS
    agent_horizon_ms: int = 2 * DAY_MS
    business_horizon_ms: int = 15 * DAY_MS
    slices_kept_ms: int = 2 * HOUR_MS
    quarters_kept_ms: int = 15 * DAY_MS
    sketches_kept_ms: int = 2 * DAY_MS
    max_cells: int = 10_000
    max_milestones: int = 5_000
    speech_channels: frozenset[str] = frozenset({"voice", "video"})
    wrap_up_ms_by_channel: Mapping[str, int] = field(default_factory=dict)
    """Channels where in hand runs on after the end, and for how long at most."""
    status_map: Mapping[str, str] = field(default_factory=dict)
    default_capacity: int = 1
    repeat_ms: int = DAY_MS
    """A contact that comes no later than this after an earlier one's end follows it."""
    max_contacts: int = 1_000
    roster_kept_ms: int = 31 * DAY_MS
    silence_ms: int = 400 * DAY_MS
    """An agent or an open complaint of which nothing was heard for so long is forgotten."""
    agent_series: bool = False
    max_agents: int = 500
    """Agents per partition that get readings of their own, where that is switched on."""
    customer_key: bytes | None = field(default=None, repr=False)
    """Key of the hash that replaces customer ids; None: they stay as they are."""
    earlier: tuple[tuple[int, Rules], ...] = ()
    """What was in force before: (until, rules) each, in order of time."""
    _cache: dict[tuple[str, str], QueueRules] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def shortest_session_ms(self) -> int:
        """Return the least time after which any session may be forgotten."""
        return min((self.session_horizon_ms, self.session_age_ms, *self.session_age_by_channel.values()))

    @property
    def agents_kept_ms(self) -> int:
        """Return how long an agent's history is kept: a session that is forgotten still corrects its time in hand."""
        return max(self.agent_horizon_ms, HOUR_MS + max((self.session_age_ms, *self.session_age_by_channel.values())))

    def at(self, at_ms: int) -> Rules:
        """Return the rules that are in force at an instant."""
        for until, rules in self.earlier:
            if at_ms < until:
                return rules
        return self

    def queue(self, queue: str, channel: str) -> QueueRules:
        """Return what (queue, channel) counts by."""
        key = (queue, channel)
        found = self._cache.get(key)
        if found is None:
            changes = {**self.queues.get(queue, {}), **self.queue_channels.get(key, {})}
            found = replace(self.queue_default, **changes)
            found = replace(found, zone=self.zone if queue == UNASSIGNED else found.zone or self.zone)
            if len(self._cache) < self.max_cells:
                self._cache[key] = found
        return found

    def customer(self, customer_id: str) -> str:
        """Return what is kept of a customer's id: itself, or its keyed hash where ids are hashed."""
        if self.customer_key is None:
            return customer_id
        return blake2b(customer_id.encode(), key=self.customer_key, digest_size=16).hexdigest()

    def status(self, name: str) -> str | None:
        """Return the standard status that a name stands for, None where nothing maps it."""
        return name if name in STATUSES else self.status_map.get(name)


__all__ = ["DAY_MS", "FLOOR", "HOUR_MS", "MINUTE_MS", "ONLINE_STATUSES", "STATUSES", "UNASSIGNED", "QueueRules", "Rules"]
