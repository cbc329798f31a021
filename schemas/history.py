"""The history of settings: which were in force when, as it is kept in the journal.

Theory. A contribution is counted by the settings in force at its own instant, and it is derived anew for as long as its session
lives. So what was in force must be known even when the configuration says something else by now: the history is kept beside the
numbers. A configuration that differs from it holds from the newest event on that had been counted; before that the kept
one stands, whatever `effective_from` says: what was published is not counted anew by an edit of a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from schemas.rules import DAY_MS, QueueRules, Rules

HISTORY_MS: Final = 31 * DAY_MS
"""So far back anything may still be counted anew."""

Version = tuple[int, Rules]
"""(from, rules)."""


def versions_of(rules: Rules) -> list[Version]:
    """Return all rules with the instants from which they hold, the first from 0."""
    starts = [0, *(until for until, _ in rules.earlier)]
    return list(zip(starts, [*(earlier for _, earlier in rules.earlier), rules], strict=True))


def freeze_history(rules: Rules) -> list[Any]:
    """Return the settings that shape what is counted, and since when, msgpack-able."""
    return [[start, _shape(version)] for start, version in versions_of(rules)]


def kept(rules: Rules, history: Sequence[Any]) -> Rules:
    """Return rules with the settings of a history that was kept."""
    return _joined([(start, _shaped(rules, shape)) for start, shape in history])


def continued(rules: Rules, kept: Sequence[Any], cutoff: int) -> Rules:
    """Return rules whose settings before `cutoff` are those that were kept, from it on the present ones."""
    if list(kept) == freeze_history(rules):
        return rules
    before = [(start, _shaped(rules, shape)) for start, shape in kept if start < cutoff]
    declared = versions_of(rules)
    since = [(start, version) for start, version in declared if start > cutoff]
    at_cutoff = [version for start, version in declared if start <= cutoff][-1]
    merged = _without_repetitions([*before, (cutoff, at_cutoff), *since])
    while len(merged) > 1 and merged[1][0] < cutoff - HISTORY_MS:
        del merged[0]
    return _joined([(0, merged[0][1]), *merged[1:]])


def _joined(versions: list[Version]) -> Rules:
    untils = [start for start, _ in versions[1:]]
    earlier = tuple(zip(untils, (replace(version, earlier=()) for _, version in versions[:-1]), strict=True))
    return replace(versions[-1][1], earlier=earlier)


def _without_repetitions(versions: list[Version]) -> list[Version]:
    found = versions[:1]
    for start, version in versions[1:]:
        if _shape(version) != _shape(found[-1][1]):
            found.append((start, version))
    return found


def _shape(rules: Rules) -> list[Any]:
    return [
        asdict(rules.queue_default),
        {name: dict(changes) for name, changes in sorted(rules.queues.items()) if changes},
        [[*key, dict(changes)] for key, changes in sorted(rules.queue_channels.items()) if changes],
        rules.zone,
        sorted(rules.speech_channels),
        dict(sorted(rules.wrap_up_ms_by_channel.items())),
        dict(sorted(rules.status_map.items())),
        rules.default_capacity,
        rules.repeat_ms,
    ]


def _shaped(rules: Rules, shape: list[Any]) -> Rules:
    default, queues, channels, zone, speech, wrap_ups, statuses, capacity, repeat_ms = shape
    return replace(
        rules,
        queue_default=QueueRules(**default),
        queues=queues,
        queue_channels={(queue, channel): changes for queue, channel, changes in channels},
        zone=zone,
        speech_channels=frozenset(speech),
        wrap_up_ms_by_channel=wrap_ups,
        status_map=statuses,
        default_capacity=capacity,
        repeat_ms=repeat_ms,
        earlier=(),
    )


__all__ = ["HISTORY_MS", "continued", "freeze_history", "kept", "versions_of"]
