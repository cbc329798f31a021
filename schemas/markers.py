"""The end-of-input marker: `produce` puts one on each partition of each input topic when a replay is over.

It is no event: it carries the newest event time of the whole input, releases the watermark in `replay` mode, and stands outside
the accounting of events. In `live` mode it is passed over.
"""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.instants import LATEST_MS

END_OF_INPUT: Final = "floorpulse.end_of_input"


class _Marker(msgspec.Struct):
    type: str
    at: int


_decode = msgspec.json.Decoder(_Marker).decode


def end_of_input(at_ms: int) -> bytes:
    """Return the value of a marker that says: the input ends at this event time."""
    return msgspec.json.encode(_Marker(END_OF_INPUT, at_ms))


def read_end_of_input(value: bytes | None) -> int | None:
    """Return a marker's time in ms; None if a record value is no marker, as is one whose time no event could have."""
    if not value or END_OF_INPUT.encode() not in value or len(value) > 200:
        return None
    try:
        marker = _decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return marker.at if marker.type == END_OF_INPUT and 0 <= marker.at <= LATEST_MS else None


__all__ = ["END_OF_INPUT", "end_of_input", "read_end_of_input"]
