"""The collector's part in a worker's memory."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from streams.memory import GC_THRESHOLD, look_at_the_young, settle_memory


class Circle:
    """Holds itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def settled() -> Iterator[None]:
    """The collector as a worker sets it; put back afterwards."""
    before = gc.get_threshold()
    settle_memory()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("settled")
def test_circles_go_without_a_hundred_thousand_objects() -> None:
    """A quiet worker makes a dozen objects a second in circles, as each connection of a client leaves them."""
    made = [weakref.ref(Circle()) for _ in range(10)]
    assert gc.get_threshold() == GC_THRESHOLD
    assert all(each() is not None for each in made)
    look_at_the_young()
    assert all(each() is None for each in made)


@pytest.mark.usefixtures("settled")
def test_what_was_loaded_is_not_walked_through() -> None:
    """A million sessions take the collector 2 s."""
    old = Circle()
    known = weakref.ref(old)
    gc.freeze()
    del old
    look_at_the_young()
    assert known() is not None
