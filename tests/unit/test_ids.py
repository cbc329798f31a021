"""Ids against the plain rule: a copy is one whose time is at most the horizon away from that of an id that was claimed."""

from __future__ import annotations

from collections import defaultdict
from random import Random

import pytest

from streams.core.ids import Ids

HORIZON_MS = 1_000


def is_copy(known: dict[int, list[int]], digest: int, at: int) -> bool:
    """The rule, without generations."""
    return any(abs(at - other) <= HORIZON_MS for other in known[digest])


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("flush_every", [1, 7, 1_000_000])
def test_ids_are_copies_within_the_horizon_whatever_was_flushed_or_restored_meanwhile(flush_every: int, restarts: bool) -> None:
    """Times go to and fro over several generations, so that copies are met in neighbours that still grow."""
    random = Random(flush_every)
    ids, known, chunks = Ids(HORIZON_MS, 1_000_000), defaultdict[int, list[int]](list), dict[str, bytes]()
    found = 0
    for number in range(4_000):
        digest, at = random.randrange(400) << 50 | 1, 5_000 + random.randrange(6 * HORIZON_MS)
        assert ids.knows(digest, at) is is_copy(known, digest, at)
        if ids.claim(digest, at):
            assert not is_copy(known, digest, at)
            known[digest].append(at)
        else:
            assert is_copy(known, digest, at)
            found += 1
        if number % flush_every == 0:
            chunks |= ids.chunks()
            if restarts and number % (40 * flush_every) == 0:
                ids = Ids(HORIZON_MS, 1_000_000)
                ids.restore(chunks)
    assert found > 1_000
    assert len(ids) == sum(map(len, known.values()))


def test_what_a_dropped_generation_knew_of_times_goes_with_it() -> None:
    """An id may be claimed again beyond its horizon, and copies of that are judged by its new time."""
    ids = Ids(HORIZON_MS, 1_000_000)
    assert ids.claim(7, 900)
    ids.chunks()
    assert not ids.claim(7, 1_100)
    assert ids.drop(5_000)
    assert len(ids) == 0
    assert ids.claim(7, 1_950)
    assert not ids.claim(7, 2_950)
    assert ids.claim(7, 2_951)
