"""The compiled core looks at eight bytes of a text at once: both cores keep and refuse the same bytes, wherever they stand."""

from __future__ import annotations

from typing import Final

import pytest

from schemas.events import INPUT_TOPICS
from tests.property.test_freeze_thaw import PATIENT
from tests.property.test_native import Both, entries_of, needs_it

SENT: Final = b'{"type":"session.survey_sent","id":"i","at":1795251600000,"session_id":"%s"}'
LONGEST: Final = 18
"""More than two words of eight bytes."""


@needs_it
@pytest.mark.parametrize("before", [b"a", b" ", b"!", b"#", b"[", b"]", b"~", "é".encode(), "\u00a1".encode(), "😀".encode()])
def test_both_cores_see_each_byte_at_each_place_of_a_text(before: bytes) -> None:
    """Behind others that differ from a quote, a backslash or a control character by one, and in front of them."""
    both = Both(0, 1, PATIENT)
    places = [(bytes([byte]), place) for byte in range(256) for place in range(LONGEST)]
    names = [(before * place + byte + before * (LONGEST - place)) for byte, place in places]
    names += [before * place + byte + before for byte, place in places]
    refused = len(both.apply("sessions", names, [SENT % name for name in names], 0))
    assert len(names) // 2 < refused < len(names) * 3 // 4
    both.flush(1, 0, INPUT_TOPICS)
    assert entries_of(both.compiled) == entries_of(both.plain)
