"""Topics are created and checked on a real Kafka."""

from __future__ import annotations

import dataclasses

import pytest

from schemas.errors import TopicError
from streams.connection import Options, admin_options, open_admin
from streams.topics import Topic, TopicPlan, check, create, plan
from tests.kafka import RealKafka
from tests.settings import KafkaSection


def connect(kafka: RealKafka) -> Options:
    """The connection as the shell would make it."""
    return admin_options(KafkaSection(bootstrap=kafka.bootstrap))


def changed(layout: TopicPlan, short: str, **change: object) -> TopicPlan:
    """The plan with one topic laid out otherwise."""
    topic = dataclasses.replace(layout.topics[short], **change)  # type: ignore[arg-type]  # one value of any field
    return dataclasses.replace(layout, topics={**layout.topics, short: topic})


def without(layout: TopicPlan, short: str) -> TopicPlan:
    """The plan without one topic."""
    return dataclasses.replace(layout, topics={s: t for s, t in layout.topics.items() if s != short})


def test_created_topics_have_no_problems(kafka: RealKafka, prefix: str) -> None:
    """What `create` makes, `check` accepts."""
    layout = plan(prefix, 3)
    names = create(connect(kafka), layout)
    assert sorted(names) == sorted(topic.name for topic in layout.topics.values())
    assert check(connect(kafka), layout) == []


def test_created_topics_are_laid_out_as_planned(kafka: RealKafka, prefix: str) -> None:
    """The broker took over partitions and settings."""
    layout = plan(prefix, 3)
    create(connect(kafka), layout)
    with open_admin(connect(kafka)) as admin:
        described = admin.describe_topics([topic.name for topic in layout.topics.values()])
    counts = {each["name"]: len(each["partitions"]) for each in described}
    assert counts == {topic.name: topic.partitions for topic in layout.topics.values()}


def test_creating_again_changes_nothing(kafka: RealKafka, prefix: str) -> None:
    """A second call makes what is missing only."""
    layout = plan(prefix, 2)
    create(connect(kafka), without(layout, "late"))
    assert create(connect(kafka), layout) == [layout.name("late")]
    assert create(connect(kafka), layout) == []


def test_another_number_of_partitions_is_refused_before_anything_is_made(kafka: RealKafka, prefix: str) -> None:
    """Half a new layout beside half an old one would serve nobody."""
    create(connect(kafka), without(plan(prefix, 2), "relay"))
    with pytest.raises(TopicError, match=f"{prefix}sessions 2, .*--partitions 6 --prefix NEW"):
        create(connect(kafka), plan(prefix, 6))
    assert len(check(connect(kafka), plan(prefix, 2))) == 1


def test_a_missing_topic_is_named_with_its_remedy(kafka: RealKafka, prefix: str) -> None:
    """The remedy takes the number of partitions that the others have."""
    create(connect(kafka), without(plan(prefix, 2), "queues"))
    assert check(connect(kafka), plan(prefix)) == [
        f"topic {prefix}queues does not exist on {kafka.bootstrap}. Create what is missing: floorpulse topics "
        f'--create --partitions 2; or set kafka.topic_prefix (now "{prefix}")'
    ]


def test_differing_partition_counts_are_listed(kafka: RealKafka, prefix: str) -> None:
    """All that must be equal stand in the message."""
    create(connect(kafka), changed(plan(prefix, 3), "status", partitions=2))
    problems = check(connect(kafka), plan(prefix, 3))
    assert problems == [
        f"partition counts differ: {prefix}sessions 3, {prefix}queues 3, {prefix}status 2, {prefix}business 3, "
        f"{prefix}relay 3, {prefix}readings 3, {prefix}journal 3; all must be equal. Create new ones: floorpulse "
        "topics --create --partitions 3 --prefix NEW. (Adding partitions to a topic in use moves its keys.)"
    ]


def test_alerts_have_one_partition(kafka: RealKafka, prefix: str) -> None:
    """Two would have two owners."""
    create(connect(kafka), changed(plan(prefix, 2), "alerts", partitions=2))
    (problem,) = check(connect(kafka), plan(prefix, 2))
    assert problem.startswith(f"topic {prefix}alerts has 2 partitions, it must have 1")


def test_readings_that_are_not_compacted_are_reported(kafka: RealKafka, prefix: str) -> None:
    """A broker's default would drop the cells of a quiet queue."""
    create(connect(kafka), changed(plan(prefix, 2), "readings", configs={}))
    (problem,) = check(connect(kafka), plan(prefix, 2))
    assert problem.startswith(f"topic {prefix}readings has cleanup.policy=delete, it must be compact")


@pytest.mark.parametrize(
    ("configs", "found"),
    [
        ({"cleanup.policy": "compact", "retention.ms": "-1"}, "cleanup.policy=compact"),
        ({"cleanup.policy": "delete", "retention.ms": "3600000"}, "retention.ms=3600000"),
        ({"retention.ms": "-1", "retention.bytes": "1000000"}, "retention.bytes=1000000"),
    ],
)
def test_a_journal_that_the_broker_would_cut_is_reported(
    kafka: RealKafka, prefix: str, configs: dict[str, str], found: str
) -> None:
    """By time, by size, or by compaction."""
    create(connect(kafka), changed(plan(prefix, 2), "journal", configs=configs))
    (problem,) = check(connect(kafka), plan(prefix, 2))
    assert problem.startswith(f"topic {prefix}journal has {found}: the broker would delete state")


def test_a_refusal_by_the_broker_is_passed_on(kafka: RealKafka, prefix: str) -> None:
    """With the topic and the broker's own words."""
    impossible = dataclasses.replace(plan(prefix, 1), topics={"x": Topic(f"{prefix}x", 1, {"retention.ms": "soon"})})
    with pytest.raises(TopicError, match=f"refused to create topic {prefix}x: .*retention.ms"):
        create(connect(kafka), impossible)
