"""Write simulated events as the bytes that go to Kafka or to a file."""

import json

from streams.simulator.model import Event

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)


def encode(event: Event) -> bytes:
    """Return the event as compact JSON in UTF-8, without a line feed."""
    return _ENCODER.encode(event).encode()
