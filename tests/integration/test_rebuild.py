"""Rebuild on a real Kafka: new workers under a new prefix come to the numbers of the old ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.config_file import load
from schemas.errors import UsageError
from schemas.partitioner import PARTITIONERS
from streams.connection import admin_options
from streams.rebuild import copy, origin_of
from streams.scan import Scan
from streams.topics import create, plan
from tests.integration.test_worker import PARTITIONS, Rig, expected, records, rig
from tests.kafka import RealKafka

__all__ = ["rig"]  # a fixture


@pytest.fixture
def new(kafka: RealKafka, prefix: str, tmp_path: Path) -> Rig:
    """Empty topics under another prefix."""
    folder = tmp_path / "new"
    folder.mkdir()
    made = Rig(kafka.bootstrap, f"new{prefix}", folder)
    create(admin_options(made.section), made.layout)
    return made


@pytest.mark.timeout(240)
async def test_the_numbers_are_the_same_under_a_new_prefix(rig: Rig, new: Rig) -> None:
    """Copied in two runs, the second for what came meanwhile; a third finds nothing. Cells and accounting are the old ones."""
    of = records(12, 300)
    half, config = len(of) // 2, load(new.config)
    await rig.feed(of[:half])
    assert sum((await copy(config, rig.layout.prefix)).values()) == half
    with rig.worker(), new.worker():
        await rig.feed([*of[half:], ("sessions", b"s", b"{nope")])
        assert sum((await copy(config, rig.layout.prefix)).values()) == len(of) - half + 1
        assert sum((await copy(config, rig.layout.prefix)).values()) == 0
        for each in (rig, new):
            await each.until_applied(len(of))
            await each.until_equal(expected(of))
            assert await each.outcomes() == {"applied": len(of), "duplicate": 0, "late": 0, "invalid": 1}
    old = {(r.topic[len(rig.layout.prefix) :], r.partition, r.offset): (r.key, r.value) async for r in rig.read("queues")}
    copies = {
        (r.topic[len(new.layout.prefix) :], *(origin_of(r.headers) or (-1, -1, None))): (r.key, r.value)
        async for r in new.read("queues")
    }
    assert copies == {(*place, rig.layout.prefix): record for place, record in old.items()}


@pytest.mark.timeout(120)
async def test_two_prefixes_are_not_mixed_in_one(kafka: RealKafka, rig: Rig, new: Rig, tmp_path: Path) -> None:
    """The second is refused, and nothing of it is written; the first goes on."""
    of = records(14, 60)
    folder = tmp_path / "second"
    folder.mkdir()
    second = Rig(kafka.bootstrap, f"second{rig.layout.prefix}", folder)
    create(admin_options(second.section), second.layout)
    await rig.feed(of[:40])
    await second.feed(of)
    config = load(new.config)
    assert sum((await copy(config, rig.layout.prefix)).values()) == 40
    with pytest.raises(UsageError, match="would be mixed"):
        await copy(config, second.layout.prefix)
    await rig.feed(of[40:])
    assert sum((await copy(config, rig.layout.prefix)).values()) == len(of) - 40


@pytest.mark.timeout(120)
async def test_more_partitions_once(rig: Rig, new: Rig) -> None:
    """Keys go where they belong; a copy that cannot go on says so, and so does a prefix that somebody uses."""
    of = records(13, 60)
    await rig.feed(of)
    wider = plan(f"wide{rig.layout.prefix}", 2 * PARTITIONS)
    create(admin_options(rig.section), wider)
    new.config.write_text(new.config.read_text().replace(new.layout.prefix, wider.prefix))
    config = load(new.config)
    assert sum((await copy(config, rig.layout.prefix)).values()) == len(of)
    with pytest.raises(UsageError, match="cannot go on where it was"):
        await copy(config, rig.layout.prefix)
    with pytest.raises(UsageError, match="no rebuild has copied"):
        await copy(load(rig.config), wider.prefix)
    scan = await Scan.of(config, wider.name("sessions"), 2 * PARTITIONS)
    places = {(record.key, record.partition) async for record in scan.records()}
    assert places == {(key, PARTITIONERS["murmur2"](key, 2 * PARTITIONS)) for topic, key, _ in of if topic == "sessions"}
    assert len({partition for _, partition in places}) > PARTITIONS
