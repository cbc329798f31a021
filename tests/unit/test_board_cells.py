"""A board's slices against plain dicts: what is over is packed, and may still be corrected, taken back and copied."""

from __future__ import annotations

from random import Random

import pytest

from sinks.cells import Cells, Parts, Place

LENGTH_MS = 10_000
FOREIGN = "queue_time~x"
PARTS = ["offered", "wait_ms", "abandoned", "queue_time~77", FOREIGN]
PLACES = [Place("queue", name, "voice") for name in "abc"]
Said = dict[tuple[int, Place, int], dict[str, int]]


def added(said: Said) -> dict[tuple[int, Place], dict[str, int]]:
    """Sums over partitions, without packing."""
    sums: dict[tuple[int, Place], dict[str, int]] = {}
    for (start, place, _), parts in said.items():
        total = sums.setdefault((start, place), {})
        for part, value in parts.items():
            total[part] = total.get(part, 0) + value
    return sums


def shown(cells: Cells) -> dict[tuple[int, Place], dict[str, int]]:
    """The same as the slices say."""
    return {(start, place): parts for start, place, parts in cells.between(0, 1 << 40)}


@pytest.mark.parametrize("seed", range(5))
def test_slices_are_those_of_plain_dicts_whatever_is_closed_meanwhile(seed: int) -> None:
    """Time goes on by slices; a third of what is said corrects an old one, some is taken back, the oldest end."""
    random, cells, said = Random(seed), Cells(LENGTH_MS), Said()
    packed = refused = 0
    for step in range(1, 1_200):
        now = step // 12
        start = (now if random.random() < 0.6 else random.randrange(max(0, now - 30), now + 1)) * LENGTH_MS
        place, partition = random.choice(PLACES), random.randrange(3)
        key = start, place, partition
        before = said.get(key, {})
        change: Parts | None
        if random.random() < 0.15:
            change = cells.remove(place, start, partition)
            after = {}
            said.pop(key, None)
        else:
            shuffled = random.sample(PARTS, random.randrange(1, len(PARTS) + 1))
            told = {part: random.randrange(9) for part in shuffled}
            change = cells.replace(place, start, partition, (1, step), told)
            refused += FOREIGN in told
            said[key] = after = {part: value for part, value in told.items() if value and part != FOREIGN}
            assert cells.replace(place, start, partition, (1, step - 1), {"offered": 10}) is None
        names = before.keys() | after.keys()
        assert change == {name: diff for name in names if (diff := after.get(name, 0) - before.get(name, 0))}
        if step % 100 == 0:
            cells.expire((now - 25) * LENGTH_MS)
            said = {key: parts for key, parts in said.items() if key[0] >= (now - 25) * LENGTH_MS}
            assert shown(cells) == added(said)
            packed += sum(type(each) is bytes for row in cells._rows.values() for each in row.values())
    assert packed > 300
    assert cells.refused_parts == refused


def test_a_copy_stays_as_it_was() -> None:
    """What is closed is shared with it, what is open is not; a correction of either reaches only the slices themselves."""
    cells = Cells(LENGTH_MS)
    for number in range(5):
        cells.replace(PLACES[0], number * LENGTH_MS, 0, (1, number), {"offered": 1})
    twin, before = cells.copy(), shown(cells)
    for number in range(6):
        cells.replace(PLACES[0], number * LENGTH_MS, 1, (1, 9), {"offered": 2})
    assert shown(twin) == before != shown(cells)
