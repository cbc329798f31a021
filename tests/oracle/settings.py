"""What the oracle may be told: the settings that shape the counting, with the defaults of `rules.md`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DAY_MS = 86_400_000
UNASSIGNED = "unassigned"
ALL = "all"

DEFAULT_WRAP_UP_LIMIT_MS = 120_000
DEFAULT_DUPLICATE_HORIZON_MS = 3_600_000
SLICE_MS = 10_000
QUARTER_MS = 900_000


@dataclass(frozen=True)
class QueueSettings:
    """Settings of one queue; durations in ms, `zone` None = the top-level zone."""

    threshold_ms: int = 20_000
    short_ms: int = 5_000
    placement_ms: int = 60_000
    formula: str = "sl_no_short"
    short_in_abandonment: bool = True
    count_waiting_late: bool = False
    first_response_target_ms: int = 20_000
    response_target_ms: int = 20_000
    channel_first_response_target_ms: Mapping[str, int] = field(default_factory=dict)
    channel_response_target_ms: Mapping[str, int] = field(default_factory=dict)
    zone: str | None = None


@dataclass(frozen=True)
class Settings:
    """All settings: those of queues by name, the rest for the whole floor.

    `wrap_up_limits` maps each channel that expects a wrap-up to its limit in ms; no channel expects one by default.
    `status_map` maps foreign status names to canonical ones. `session_ages` maps channels to the time in ms after which
    their open sessions are forgotten, `session_age_ms` is that of all others; ages and horizon have no history.
    `changes` are later versions: (effective from ms, all settings from then on).
    """

    default: QueueSettings = QueueSettings()
    queues: Mapping[str, QueueSettings] = field(default_factory=dict)
    zone: str = "UTC"
    speech_channels: frozenset[str] = frozenset({"voice", "video"})
    wrap_up_limits: Mapping[str, int] = field(default_factory=dict)
    default_capacity: int = 1
    status_map: Mapping[str, str] = field(default_factory=dict)
    repeat_within_ms: int = DAY_MS
    session_age_ms: int = DAY_MS
    session_ages: Mapping[str, int] = field(default_factory=dict)
    session_horizon_ms: int = DAY_MS
    changes: tuple[tuple[int, Settings], ...] = ()

    def at(self, ms: int) -> Settings:
        """Return the settings in force at an instant: those of the latest change at or before it."""
        found, since = self, None
        for effective_from, version in self.changes:
            if effective_from <= ms and (since is None or effective_from >= since):
                found, since = version, effective_from
        return found

    def age(self, channel: str) -> int:
        """Return the time in ms without an event after which an open session of the channel is forgotten."""
        return self.session_ages.get(channel, self.session_age_ms)

    def queue(self, name: str) -> QueueSettings:
        """Return the settings of the queue `name`."""
        return self.queues.get(name, self.default)

    def zone_of(self, queue: str) -> str:
        """Return the zone of a queue; `unassigned` has the top-level one."""
        if queue == UNASSIGNED:
            return self.zone
        return self.queue(queue).zone or self.zone

    def first_response_target(self, queue: str, channel: str) -> int:
        """Return the first-response target of a queue and channel in ms."""
        settings = self.queue(queue)
        return settings.channel_first_response_target_ms.get(channel, settings.first_response_target_ms)

    def response_target(self, queue: str, channel: str) -> int:
        """Return the response target of a queue and channel in ms."""
        settings = self.queue(queue)
        return settings.channel_response_target_ms.get(channel, settings.response_target_ms)
