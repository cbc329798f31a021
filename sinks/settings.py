"""The settings that a number was counted by, and since when they hold, for people."""

from __future__ import annotations

from typing import Any

from schemas.history import versions_of
from schemas.rules import QueueRules, Rules
from schemas.zones import local_text
from sinks.spans import Stretch


def settings_in_force(rules: Rules, now: int, queue: QueueRules, by_group: bool) -> dict[str, Any]:
    """Return what counts at an instant; `effective_from_ms` None: since ever."""
    since, version = [each for each in versions_of(rules) if each[0] <= now][-1]
    held = {"effective_from_ms": since or None, "effective_from": local_text(version.zone, since) if since else None}
    if by_group:
        return {
            "zone": version.zone,
            "default_capacity": version.default_capacity,
            "wrap_up_limit_s": {channel: ms / 1000 for channel, ms in sorted(version.wrap_up_ms_by_channel.items())},
            **held,
        }
    return {
        "service_level": queue.service_level,
        "answer_s": queue.answer_ms / 1000,
        "short_abandon_s": queue.short_ms / 1000,
        "placement_s": queue.placement_ms / 1000,
        "first_response_s": queue.first_response_ms / 1000,
        "response_s": queue.response_ms / 1000,
        "short_in_abandonment": queue.short_in_abandonment,
        "count_waiting_late": queue.count_waiting_late,
        "zone": queue.zone,
        **held,
    }


def bounds_of_window(stretch: Stretch, zone: str) -> dict[str, Any]:
    """Return where a window begins and its open slice ends, and the length of its slices."""
    return {
        "start_ms": stretch.start_ms,
        "end_ms": stretch.end_ms,
        "start": local_text(zone, stretch.start_ms),
        "end": local_text(zone, stretch.end_ms),
        "slice_ms": stretch.length_ms,
    }


__all__ = ["bounds_of_window", "settings_in_force"]
