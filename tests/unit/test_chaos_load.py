"""What the chaos run expects of its own load."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.chaos import load as chaos_load
from tests.chaos.load import make_load


def test_garbage_that_comes_again_is_garbage_however_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random bytes may begin as an event does; a duplicate of them is none of an event."""
    monkeypatch.setattr(chaos_load, "DUPLICATES", 0.5)
    monkeypatch.setattr(chaos_load, "GARBAGE", 0.9)
    load = make_load(4, 3_000, 4)
    garbage = Counter(record for record in load.records if record[1].startswith(b"g"))
    assert any(record[2].startswith(b"{") for record, times in garbage.items() if times > 1)
    assert load.outcomes()["invalid"] == sum(garbage.values())
    assert load.outcomes().total() == len(load.records)
