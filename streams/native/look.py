"""A closer look at records for the compiled core: what its fast decoder does not read, and the words for what is refused.

The compiled core asks here, a record at a time, and gets plain tuples. The words are those of `streams.core`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from schemas.codec import STRUCT_OF, decode_batch
from schemas.errors import InvalidEvent
from schemas.events import KEY_OF
from schemas.markers import read_end_of_input
from streams.core.floor import millionths
from streams.core.milestones import MAKERS, at_and_sender, message_of

Look = tuple[Any, ...]
_TAG_OF: Final = {struct: tag for tag, struct in STRUCT_OF.items()}


def _of_milestone(event: Any) -> Look:
    return tuple(MAKERS[type(event)](event)[3:])


_OTHERS: Final[dict[str, Callable[[Any], Look]]] = {
    "session.message": lambda e: (at_and_sender(message_of(e))[1],),
    "session.transferred": lambda e: (e.from_agent, e.kind == "warm"),
    "agent.status": lambda e: (e.status, e.groups, e.queues, e.capacity),
    "agent.joined": lambda e: (e.groups,),
    "agent.left": lambda e: (e.groups,),
    "site.visits": lambda e: (e.channel, e.count),
    "cost.booked": lambda e: (millionths(e.amount), f"cost_{e.currency}_e6"),
    "complaint.opened": lambda e: (e.complaint_id, e.queue),
    "complaint.closed": lambda e: (e.complaint_id, e.queue),
}


def look(value: bytes) -> Look:
    """Return (tag, id, at, key, fields) of an event, ("", "", at) of an end-of-input marker, else ("", reason, None, detail)."""
    (event,) = decode_batch([value])
    if isinstance(event, InvalidEvent):
        end = read_end_of_input(value)
        words = event.detail.encode(errors="replace").decode()  # a lone surrogate is no text elsewhere
        return ("", event.reason, None, words) if end is None else ("", "", end)
    tag = _TAG_OF[type(event)]
    return tag, event.id, event.at, getattr(event, KEY_OF[tag]), _OTHERS.get(tag, _of_milestone)(event)


def wrong_key(key: bytes | None, field: str, name: str | None) -> str:
    """Say why a record's key is not the one of its event."""
    return f"record key {key!r:.140} is not {field} {name!r:.140}"


def wrong_partition(key: bytes, right: int, here: int) -> str:
    """Say why a record is in the wrong partition."""
    return f"key {key!r:.140} belongs to partition {right}, not {here}"


def unmapped_status(status: str) -> str:
    """Say that a status stands for nothing."""
    return f"status {status!r:.140} is not mapped (agents.statuses in the configuration)"


__all__ = ["look", "unmapped_status", "wrong_key", "wrong_partition"]
