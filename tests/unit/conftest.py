"""What several files of unit tests start with."""

from __future__ import annotations

import pytest

from tests.partition_world import Rec, World


@pytest.fixture
def world() -> World:
    """A world without delays that holds six records of two cells."""
    made = World()
    made.inputs["sessions"] = [Rec(offset, b"a" if offset < 3 else b"b") for offset in range(6)]
    return made
