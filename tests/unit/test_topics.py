"""The plan of the topics, without a broker."""

from __future__ import annotations

import pytest

from schemas.errors import TopicError
from streams.topics import CO_PARTITIONED, plan


def test_every_topic_has_the_prefix() -> None:
    """Two floorpulses can share a cluster."""
    layout = plan("left.", 3)
    assert {topic.name for topic in layout.topics.values()} == {
        "left.sessions",
        "left.queues",
        "left.status",
        "left.business",
        "left.relay",
        "left.readings",
        "left.journal",
        "left.dead-letters",
        "left.late",
        "left.alerts",
    }


def test_co_partitioned_topics_have_the_same_number() -> None:
    """Alerts alone have one partition, since their order matters."""
    layout = plan(partitions=12)
    assert {layout.topics[short].partitions for short in CO_PARTITIONED} == {12}
    assert layout.topics["alerts"].partitions == 1


def test_readings_are_compacted_and_the_journal_is_never_deleted_by_the_broker() -> None:
    """What a late board and a new owner rely on."""
    layout = plan()
    assert layout.topics["readings"].configs["cleanup.policy"] == "compact"
    journal = layout.topics["journal"].configs
    assert journal["cleanup.policy"] == "delete"
    assert journal["retention.ms"] == journal["retention.bytes"] == "-1"


def test_relay_is_kept_for_seven_days() -> None:
    """As the design says."""
    assert plan().topics["relay"].configs["retention.ms"] == str(7 * 24 * 3600 * 1000)


@pytest.mark.parametrize("partitions", [0, -1])
def test_a_topic_needs_a_partition(partitions: int) -> None:
    """The message names the option."""
    with pytest.raises(TopicError, match="--partitions 1 or more"):
        plan(partitions=partitions)
