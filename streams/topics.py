"""The topics: which there are, how they are laid out, creating them, and checking them.

`plan` is pure; `create` and `check` ask a broker through kafka-python. `connection` is always the dict that
`streams.connection.admin_options` makes. Why the layout matters:

* inputs, relay, readings and journal are co-partitioned: partition p of each belongs to the same worker;
* readings are compacted, so that a board that starts late reads the last value of every cell;
* the journal keeps all until its owner deletes what it no longer needs. A broker that deleted by age or size, or
  compacted it, would take away state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import TopicAlreadyExistsError, TopicAuthorizationFailedError, for_code

from schemas.errors import TopicError
from streams.connection import open_admin, servers_of

DEFAULT_PREFIX: Final = "floorpulse."
DEFAULT_PARTITIONS: Final = 4
INPUTS: Final = ("sessions", "queues", "status", "business")
CO_PARTITIONED: Final = (*INPUTS, "relay", "readings", "journal")
JOURNAL_RECORD_BYTES: Final = 8 << 20
"""The largest journal record: one flush is one record, and 8 MiB is the most that managed clusters allow."""

_DAY_MS: Final = 86_400_000
_SEGMENT_BYTES: Final = 64 << 20  # of 1 GiB by default: only closed segments are compacted or deleted


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: its full name, its number of partitions, and what differs from the broker's defaults."""

    name: str
    partitions: int
    configs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """All topics of one floorpulse, by their short names (without the prefix)."""

    prefix: str
    partitions: int
    topics: Mapping[str, Topic]

    def name(self, short: str) -> str:
        """Return the full name of a topic of the plan."""
        return self.topics[short].name


def plan(prefix: str = DEFAULT_PREFIX, partitions: int = DEFAULT_PARTITIONS) -> TopicPlan:
    """Lay out the topics for a prefix and a number of partitions."""
    if partitions < 1:
        raise TopicError(f"a topic cannot have {partitions} partitions; use --partitions 1 or more")
    layouts: dict[str, Mapping[str, str]] = {
        **{short: {} for short in INPUTS},
        "relay": _deleted(7 * _DAY_MS),
        "readings": {
            "cleanup.policy": "compact",
            "segment.bytes": str(_SEGMENT_BYTES),
            "segment.ms": str(3_600_000),
            "min.cleanable.dirty.ratio": "0.1",
        },
        "journal": {
            **_deleted(-1),
            "segment.bytes": str(_SEGMENT_BYTES),
            "max.message.bytes": str(JOURNAL_RECORD_BYTES),
        },
        "dead-letters": {**_deleted(7 * _DAY_MS), "max.message.bytes": str(JOURNAL_RECORD_BYTES)},
        "late": {**_deleted(7 * _DAY_MS), "max.message.bytes": str(JOURNAL_RECORD_BYTES)},
        "alerts": _deleted(30 * _DAY_MS),
    }
    counts = {"alerts": 1}
    topics = {short: Topic(prefix + short, counts.get(short, partitions), rest) for short, rest in layouts.items()}
    return TopicPlan(prefix, partitions, topics)


def create(connection: Mapping[str, Any], plan: TopicPlan, *, replication_factor: int = -1) -> list[str]:
    """Create the topics that do not exist and return their names; -1 is the broker's own replication.

    Topics that exist stay as they are. Raises `TopicError` before anything is made if one of them has another number
    of partitions than the plan, and where the broker refuses.
    """
    with open_admin(connection) as admin:
        found = _partition_counts(admin, plan)
        differing = {name: count for name, count in found.items() if count != _planned(plan)[name]}
        if differing:
            raise TopicError(_create_conflict(plan, differing))
        missing = {
            topic.name: {
                "num_partitions": topic.partitions,
                "replication_factor": replication_factor,
                "configs": dict(topic.configs),
            }
            for topic in plan.topics.values()
            if topic.name not in found
        }
        if missing:
            _make(admin, missing, servers_of(connection))
        return list(missing)


def check(connection: Mapping[str, Any], plan: TopicPlan) -> list[str]:
    """Return what is wrong with the topics, one line each with its remedy; an empty list means all is well.

    The plan's number of partitions is not compared: a worker takes the one that the topics have.
    """
    with open_admin(connection) as admin:
        counts = _partition_counts(admin, plan)
        settings = _settings(admin, [name for short in ("readings", "journal") if (name := plan.name(short)) in counts])
    where = servers_of(connection)
    problems = _missing(plan, counts, where)
    problems += _unequal(plan, counts)
    if (readings := settings.get(plan.name("readings"))) is not None:
        problems += _readings_problems(plan.name("readings"), readings)
    if (journal := settings.get(plan.name("journal"))) is not None:
        problems += _journal_problems(plan.name("journal"), journal)
    return problems


def _deleted(after_ms: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(after_ms), "retention.bytes": "-1"}


def _planned(plan: TopicPlan) -> dict[str, int]:
    return {topic.name: topic.partitions for topic in plan.topics.values()}


def _create_conflict(plan: TopicPlan, differing: Mapping[str, int]) -> str:
    return (
        f"topics exist with other partition counts than {plan.partitions}: {_listed(differing)}. Use their number, or "
        f"create new ones: floorpulse topics --create --partitions {plan.partitions} --prefix NEW. "
        "(Adding partitions to a topic in use moves its keys.)"
    )


def _missing(plan: TopicPlan, counts: Mapping[str, int], where: str) -> list[str]:
    known = {counts[name] for short in CO_PARTITIONED if (name := plan.name(short)) in counts}
    partitions = known.pop() if len(known) == 1 else plan.partitions
    missing = [topic.name for topic in plan.topics.values() if topic.name not in counts]
    return [missing_topics(missing, where, partitions, plan.prefix)] if missing else []


def missing_topics(names: Sequence[str], where: str, partitions: int, prefix: str) -> str:
    """Say which topics do not exist, and what to do."""
    which = f"topic {names[0]} does" if len(names) == 1 else f"topics {', '.join(names)} do"
    return (
        f"{which} not exist on {where}. Create what is missing: floorpulse topics --create --partitions {partitions}; or set "
        f'kafka.topic_prefix (now "{prefix}")'
    )


def _unequal(plan: TopicPlan, counts: Mapping[str, int]) -> list[str]:
    present = {name: counts[name] for short in CO_PARTITIONED if (name := plan.name(short)) in counts}
    problems = []
    if len(set(present.values())) > 1:
        problems.append(
            f"partition counts differ: {_listed(present)}; all must be equal. Create new ones: floorpulse topics "
            f"--create --partitions {max(present.values())} --prefix NEW. (Adding partitions to a topic in use moves "
            "its keys.)"
        )
    alerts = plan.name("alerts")
    if counts.get(alerts, 1) != 1:
        problems.append(
            f"topic {alerts} has {counts[alerts]} partitions, it must have 1 (its owner alone publishes alerts). "
            "Delete it and create it again: floorpulse topics --create"
        )
    return problems


def _readings_problems(name: str, settings: Mapping[str, str]) -> list[str]:
    if not settings:
        return [_unreadable(name)]
    policy = settings.get("cleanup.policy", "")
    if policy == "compact":
        return []
    return [
        f"topic {name} has cleanup.policy={policy}, it must be compact (a board that starts late reads the last value "
        f"of every cell). Change it: {_alter(name, 'cleanup.policy=compact')}"
    ]


def _journal_problems(name: str, settings: Mapping[str, str]) -> list[str]:
    if not settings:
        return [_unreadable(name)]
    wanted = _deleted(-1)
    wrong = {key: settings.get(key, "") for key, value in wanted.items() if settings.get(key) != value}
    if not wrong:
        return []
    has = ", ".join(f"{key}={value}" for key, value in wrong.items())
    needs = ",".join(f"{key}={wanted[key]}" for key in wrong)
    return [
        f"topic {name} has {has}: the broker would delete state that a worker needs. The journal's owner deletes what "
        f"is no longer needed. Change it: {_alter(name, needs)}"
    ]


def _unreadable(name: str) -> str:
    return f"the settings of topic {name} cannot be read: let the user of kafka.sasl_username describe its configs"


def _alter(name: str, configs: str) -> str:
    return f"kafka-configs.sh --bootstrap-server HOST:PORT --alter --topic {name} --add-config {configs}"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _partition_counts(admin: KafkaAdminClient, plan: TopicPlan) -> dict[str, int]:
    names = [topic.name for topic in plan.topics.values()]
    found = {each["name"]: each for each in admin.describe_topics(names)}
    barred = [name for name, each in found.items() if each["error_code"] == TopicAuthorizationFailedError.errno]
    if barred:
        raise TopicError(f"not allowed to see {', '.join(barred)}: let the user of kafka.sasl_username describe them")
    return {name: len(found[name]["partitions"]) for name in names if name in found and found[name]["partitions"]}


def _settings(admin: KafkaAdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    if not resources:
        return {}
    described = admin.describe_configs(resources, config_filter="all").get("topic", {})
    return {name: {key: entry["value"] for key, entry in entries.items()} for name, entries in described.items()}


def _make(admin: KafkaAdminClient, missing: Mapping[str, Mapping[str, Any]], where: str) -> None:
    answer = admin.create_topics(dict(missing), raise_errors=False)
    for each in answer["topics"]:
        if each["error_code"] not in (0, TopicAlreadyExistsError.errno):  # existing: somebody else was faster
            reason = each.get("error_message") or for_code(each["error_code"]).__name__
            raise TopicError(f"{where} refused to create topic {each['name']}: {reason}")
    admin.wait_for_topics(list(missing))


__all__ = [
    "CO_PARTITIONED",
    "DEFAULT_PARTITIONS",
    "DEFAULT_PREFIX",
    "INPUTS",
    "JOURNAL_RECORD_BYTES",
    "Topic",
    "TopicPlan",
    "check",
    "create",
    "missing_topics",
    "plan",
]
