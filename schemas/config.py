"""The configuration: YAML file and environment, all keys with their defaults.

Environment variables start with `FLOORPULSE_` and have `__` between levels (`FLOORPULSE_KAFKA__BOOTSTRAP`); they win over the
file. Unknown keys are errors. `schemas.config_file` reads the file and words the errors.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import replace
from functools import partial
from hashlib import sha256
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Final, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from schemas.durations import Duration, format_duration
from schemas.events import CONTROL, MAX_NAME_CHARS, RESERVED
from schemas.instants import Instant, format_instant
from schemas.kpis import SERVICE_LEVELS
from schemas.notify import Alerts
from schemas.overlay import overlaid
from schemas.readings import SLICE_MS
from schemas.rules import DAY_MS, HOUR_MS, MINUTE_MS, STATUSES, QueueRules, Rules
from schemas.thresholds import Thresholds

MAX_PARTITIONS: Final = 1024
MIN_KEY_CHARS: Final = 16
MAX_CHANGES: Final = 1000


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"unknown time zone {name!r}: use an IANA name such as Europe/Berlin")
    ZoneInfo(name)
    return name


def _split(value: Any) -> Any:
    """Let a list be written as one text with commas, as in the environment."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _address(listen: str, example: str) -> str:
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > 65_535:
        raise ValueError(f"is not HOST:PORT, such as {example}")
    return listen


_WORKER_LISTEN: Final = "127.0.0.1:9465"
_BOARD_LISTEN: Final = "127.0.0.1:9464"
_BROKER: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+(?:%[^\s/@\[\]%]+)?\]|[^\s:/@\[\]]+)(?::([0-9]{1,5}))?")


def _broker(server: str) -> str:
    server = server.strip()
    match = _BROKER.fullmatch(server)
    if server and (match is None or int(match[1] or 0) > 65_535):
        raise ValueError("is not HOST:PORT, such as kafka.internal:9092 or [::1]:9092")
    return server


def _some_broker(servers: list[str]) -> list[str]:
    """Leave out empty places, as behind a last comma; refuse a list of nothing else."""
    named = [server for server in servers if server]
    if not named:
        raise ValueError("names no broker: write at least one, such as kafka.internal:9092")
    return named


WorkerAddress = Annotated[str, AfterValidator(partial(_address, example=_WORKER_LISTEN))]
BoardAddress = Annotated[str, AfterValidator(partial(_address, example=_BOARD_LISTEN))]
TextList = Annotated[list[str], NoDecode, BeforeValidator(_split)]
BrokerList = Annotated[
    list[Annotated[str, AfterValidator(_broker)]], NoDecode, BeforeValidator(_split), AfterValidator(_some_broker)
]


def _refusal(why: str, *keys: tuple[str | int, ...]) -> PydanticCustomError:
    """Return the error for settings that do not go together; `keys`: which to look at, the likeliest first."""
    return PydanticCustomError("together", "{why}", {"why": why, "keys": keys})


def _check_names(names: Iterable[str], reserved: Container[str] = RESERVED) -> None:
    """Refuse what no event may name: nothing would ever be counted under it."""
    for name in names:
        if name in reserved:
            raise ValueError(f"{name!r} is a reserved name")
        if not 1 <= len(name) <= MAX_NAME_CHARS or CONTROL.search(name):
            raise ValueError(f"{name[:80]!r} is not a name: write 1 to {MAX_NAME_CHARS} characters without control characters")


class _Section(BaseModel):
    """A part of the configuration; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Kafka(_Section):
    """Where Kafka is, and how to talk to it."""

    bootstrap: BrokerList = Field(["127.0.0.1:9092"], description="brokers to ask first, host:port")
    topic_prefix: str = Field("floorpulse.", max_length=100, pattern=r"^[A-Za-z0-9._-]*$", description="start of all topic names")
    partitioner: Literal["murmur2", "crc32"] = Field("murmur2", description="of the producers: Java's or librdkafka's")
    group: str = Field("floorpulse", min_length=1, description="consumer group of the workers")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how to talk to the brokers"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field("PLAIN", description="of a SASL protocol")
    sasl_username: str | None = Field(None, description="user of a SASL protocol")
    sasl_password: SecretStr | None = Field(None, description="better set by FLOORPULSE_KAFKA__SASL_PASSWORD")
    ssl_cafile: str | None = Field(None, description="PEM file of the authorities to trust")
    ssl_certfile: str | None = Field(None, description="PEM file of this client's certificate")
    ssl_keyfile: str | None = Field(None, description="PEM file of its key")
    ssl_check_hostname: bool = Field(True, description="whether a broker's certificate must name its host")

    @model_validator(mode="after")
    def _sasl_is_whole(self) -> Kafka:
        if self.security_protocol.startswith("SASL") and (self.sasl_username is None or self.sasl_password is None):
            why = f"security_protocol {self.security_protocol} needs sasl_username and sasl_password"
            raise _refusal(why, ("kafka", "security_protocol"))
        return self


class Time(_Section):
    """What counts as now, and how long to wait for what."""

    mode: Literal["live", "replay"] = Field("live", description="live: now = wall clock; replay: now = watermark")
    lateness: Duration = Field(MINUTE_MS, description="the watermark stays this far behind the newest event")
    idle_timeout: Duration = Field(30_000, description="an idle topic holds the watermark back no longer than this")
    max_ahead: Duration = Field(5 * MINUTE_MS, description="events further ahead of the clock are invalid (live)")


class Duplicates(_Section):
    """How repeated events are recognised."""

    horizon: Duration = Field(HOUR_MS, description="the same id within this much event time is a duplicate")
    max_ids: int = Field(2_000_000, ge=1000, description="ids remembered per partition, about 140 bytes each")


class Limits(_Section):
    """Bounds of state."""

    session_age: Duration = Field(DAY_MS, description="an open session without an event for so long is forgotten")
    session_age_by_channel: dict[str, Duration] = Field({}, description="the same for single channels")
    session_horizon: Duration = Field(DAY_MS, description="so long after its end a session can be corrected")
    agent_horizon: Duration = Field(2 * DAY_MS, description="so far back an agent's history can be corrected")
    business_horizon: Duration = Field(15 * DAY_MS, description="so far back business facts are accepted")
    silence: Duration = Field(400 * DAY_MS, ge=31 * DAY_MS, description="agents and open complaints silent so long are forgotten")
    milestones: int = Field(5000, ge=10, description="events kept of one session; further ones are invalid (session_full)")
    addresses: int = Field(10_000, ge=10, description="queues x channels and groups counted per partition; further ones: overflow")


class Retention(_Section):
    """How long slices of time are kept."""

    slices: Duration = Field(2 * HOUR_MS, ge=HOUR_MS, description="10 s slices, for trailing windows")
    quarters: Duration = Field(15 * DAY_MS, ge=15 * DAY_MS, description="quarter-hour slices, for tables and comparisons")
    sketches: Duration = Field(2 * DAY_MS, ge=DAY_MS, description="percentiles of quarter-hours")


class QueueSettings(_Section):
    """What a queue counts by; None = as in the level above."""

    answer_threshold: Duration | None = Field(None, description="T of the service level")
    short_abandon: Duration | None = Field(None, description="an abandonment after a shorter wait is short")
    placement_limit: Duration | None = Field(None, description="waiting longer is late")
    first_response_target: Duration | None = Field(None, description="first responses within it count in the share")
    response_target: Duration | None = Field(None, description="responses within it count in the share")
    service_level: str | None = Field(None, description="formula: " + ", ".join(SERVICE_LEVELS))
    short_in_abandonment: bool | None = Field(None, description="whether short abandonments are in the abandonment ratio")
    count_waiting_late: bool | None = Field(None, description="whether those waiting past T count against the service level")
    zone: str | None = Field(None, description="IANA time zone of the queue's day")

    _RULE_OF: ClassVar[dict[str, str]] = {
        "answer_threshold": "answer_ms",
        "short_abandon": "short_ms",
        "placement_limit": "placement_ms",
        "first_response_target": "first_response_ms",
        "response_target": "response_ms",
        "service_level": "service_level",
        "short_in_abandonment": "short_in_abandonment",
        "count_waiting_late": "count_waiting_late",
        "zone": "zone",
    }

    @field_validator("service_level")
    @classmethod
    def _known_formula(cls, value: str | None) -> str | None:
        if value is not None and value not in SERVICE_LEVELS:
            raise ValueError(f"unknown formula {value!r}; one of {', '.join(SERVICE_LEVELS)}")
        return value

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return None if value is None else _zone(value)

    def changes(self) -> dict[str, Any]:
        """Return what is set here, by the names of `QueueRules`."""
        return {rule: getattr(self, key) for key, rule in self._RULE_OF.items() if getattr(self, key) is not None}


class Defaults(QueueSettings):
    """What all queues count by."""

    answer_threshold: Duration | None = Field(20_000, description="T of the service level")
    short_abandon: Duration | None = Field(5_000, description="an abandonment after a shorter wait is short")
    placement_limit: Duration | None = Field(60_000, description="waiting longer is late")
    first_response_target: Duration | None = Field(20_000, description="first responses within it count in the share")
    response_target: Duration | None = Field(20_000, description="responses within it count in the share")
    service_level: str | None = Field("sl_no_short", description="formula: " + ", ".join(SERVICE_LEVELS))
    short_in_abandonment: bool | None = Field(True, description="whether short abandonments are in the abandonment ratio")
    count_waiting_late: bool | None = Field(False, description="whether those waiting past T count against the service level")


class Queue(QueueSettings):
    """One configured queue."""

    channel: str | None = Field(None, description="its usual channel; its gauges exist from the start with it")
    channels: dict[str, QueueSettings] = Field({}, description="settings of single channels of this queue")

    @field_validator("channel")
    @classmethod
    def _channel_has_a_name(cls, value: str | None) -> str | None:
        _check_names(() if value is None else (value,), RESERVED - {"unassigned"})  # that of events which name none
        return value

    @field_validator("channels")
    @classmethod
    def _channels_have_names(cls, value: dict[str, QueueSettings]) -> dict[str, QueueSettings]:
        _check_names(value, RESERVED - {"unassigned"})
        return value


class Channels(_Section):
    """What is special about channels."""

    speech: TextList = Field(["voice", "video"], description="channels on which speech counts instead of messages")
    wrap_up_limit: dict[str, Duration] = Field(
        {}, description="channels that expect a wrap-up: in hand runs on after the end, at most so long (usual: 120s)"
    )


class AgentSettings(_Section):
    """What agents are counted by."""

    default_capacity: int = Field(1, ge=1, le=1000, description="sessions at once where no event says")
    statuses: dict[str, Literal["available", "busy", "away", "break", "meal", "training", "meeting", "offline"]] = Field(
        {}, description="further status names and what they stand for"
    )

    @field_validator("statuses")
    @classmethod
    def _leave_the_standard_alone(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name in STATUSES:
                raise ValueError(f"{name!r} is a standard status and cannot be mapped")
        return value


class Agents(AgentSettings):
    """What is special about agents."""

    series: bool = Field(False, description="readings and gauges of single agents: personal data, hence off")
    max_series: int = Field(500, ge=1, le=100_000, description="agents per partition that get them, first come, first served")


class CustomerSettings(_Section):
    """What customers' contacts are counted by."""

    repeat_within: Duration = Field(DAY_MS, ge=MINUTE_MS, description="a contact so soon after an earlier one's end repeats it")


class Customers(CustomerSettings):
    """What is special about customers, whose ids are personal data."""

    max_contacts: int = Field(1000, ge=10, description="contacts kept of one customer; the oldest go first and are counted")
    hash_ids: bool = Field(False, description="keep nothing of a customer's id but a keyed hash")
    hash_key: SecretStr | None = Field(None, description="its key, better set by FLOORPULSE_CUSTOMERS__HASH_KEY")

    @model_validator(mode="after")
    def _key_is_there(self) -> Customers:
        if self.hash_ids and (self.hash_key is None or len(self.hash_key.get_secret_value()) < MIN_KEY_CHARS):
            why = f"hash_ids needs a hash_key of {MIN_KEY_CHARS} characters or more"
            raise _refusal(why, ("customers", "hash_key"), ("customers", "hash_ids"))
        return self

    @property
    def key(self) -> bytes | None:
        """The key of the hash, None where ids stay as they are."""
        if not self.hash_ids or self.hash_key is None:
            return None
        return sha256(self.hash_key.get_secret_value().encode()).digest()


class Worker(_Section):
    """One stream worker."""

    listen: WorkerAddress = Field(_WORKER_LISTEN, description="its own /metrics, /livez, /readyz")
    flush_interval: Duration = Field(500, ge=50, le=60_000, description="longest time between two flushes with something to say")
    flush_events: int = Field(150_000, ge=100, le=1_000_000, description="events that make a flush due at once")
    compression: Literal["zstd", "lz4", "gzip", "snappy", "none"] = Field(
        "zstd", description="of what it publishes; gzip takes a multiple of CPU, for clients that read nothing else"
    )
    core: Literal["auto", "compiled", "python"] = Field(
        "auto", description="what counts: the compiled core ('make native'), the one in Python, or the former where it is made"
    )
    session_timeout: Duration = Field(10_000, ge=1000, description="Kafka's session timeout of the consumer group")
    shutdown_timeout: Duration = Field(20_000, ge=1000, description="hard deadline after SIGTERM")


class Board(_Section):
    """One board."""

    listen: BoardAddress = Field(_BOARD_LISTEN, description="host:port of wall-screen, API and /metrics")
    refresh: Duration = Field(
        500, ge=100, le=60_000, description="longest time between two snapshots; what workers publish is shown sooner"
    )
    max_series: int = Field(10_000, ge=100, description="series per metric family; surplus names share one overflow series")
    title: str = Field("", max_length=100, description="title of the wall-screen")
    username: str | None = Field(
        None, min_length=1, max_length=200, pattern=r"^[^:\x00-\x1f\x7f]*$", description="who may ask the board; default: anybody"
    )
    password: SecretStr | None = Field(None, description="better set by FLOORPULSE_BOARD__PASSWORD or password_file")
    password_file: str | None = Field(None, description="file whose first line is the password")
    tls_certfile: str | None = Field(None, description="PEM file of the board's certificate and its chain: https")
    tls_keyfile: str | None = Field(None, description="PEM file of its key, without a passphrase")

    @model_validator(mode="after")
    def _access_is_whole(self) -> Board:
        if self.password is not None and self.password_file is not None:
            raise _refusal("password and password_file are both set: leave out one", ("board", "password_file"))
        if (self.username is None) != (self.password is None and self.password_file is None):
            why = "username and password (or password_file) belong together: set both or neither"
            raise _refusal(why, *(("board", key) for key in ("username", "password", "password_file")))
        if self.password is not None and not self.password.get_secret_value():
            raise _refusal("password is empty", ("board", "password"))
        if (self.tls_certfile is None) != (self.tls_keyfile is None):
            why = "tls_certfile and tls_keyfile belong together: set both or neither"
            raise _refusal(why, ("board", "tls_certfile"), ("board", "tls_keyfile"))
        return self


class Change(_Section):
    """Settings that hold from an instant on, over those that held before it."""

    effective_from: Instant = Field(description="RFC 3339 with an offset, as 2026-12-01T00:00:00+01:00")
    zone: str | None = Field(None, description="IANA time zone of the floor, groups and queues that name none")
    defaults: QueueSettings = Field(default_factory=QueueSettings)
    queues: dict[str, Queue] = Field({})
    channels: Channels = Field(default_factory=Channels)
    agents: AgentSettings = Field(default_factory=AgentSettings)
    customers: CustomerSettings = Field(default_factory=CustomerSettings)

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return None if value is None else _zone(value)

    @field_validator("queues")
    @classmethod
    def _queues_have_names(cls, value: dict[str, Queue]) -> dict[str, Queue]:
        _check_names(value)
        return value


def _places_of_limits(version: int, queue: str, channel: str) -> Iterator[tuple[str | int, ...]]:
    """Yield where the limits of a queue may have been set, from the latest change and the channel to the defaults."""
    levels: list[tuple[str | int, ...]] = [("defaults",)]
    if queue:
        levels.append(("queues", queue))
    if channel:
        levels.append(("queues", queue, "channels", channel))
    for change in range(version, -1, -1):
        within: tuple[str | int, ...] = ("changes", change - 1) if change else ()
        for level in reversed(levels):
            yield from ((*within, *level, key) for key in ("short_abandon", "answer_threshold"))


class Config(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(env_prefix="FLOORPULSE_", env_nested_delimiter="__", extra="forbid", frozen=True)

    zone: str = Field("UTC", description="IANA time zone of the floor, groups and queues that name none")
    windows: Annotated[list[Duration], NoDecode, BeforeValidator(_split)] = Field(
        default_factory=lambda: [5 * MINUTE_MS, 15 * MINUTE_MS, 30 * MINUTE_MS, 60 * MINUTE_MS],
        validate_default=False,
        description="trailing windows, multiples of 10s up to 60m",
    )
    exported_windows: TextList = Field(["5m", "30m", "today"], description="windows that get Prometheus series")
    kafka: Kafka = Field(default_factory=Kafka)
    time: Time = Field(default_factory=Time)
    duplicates: Duplicates = Field(default_factory=Duplicates)
    limits: Limits = Field(default_factory=Limits)
    retention: Retention = Field(default_factory=Retention)
    defaults: Defaults = Field(default_factory=Defaults, description="what all queues count by")
    queues: dict[str, Queue] = Field({}, description="what single queues count by")
    channels: Channels = Field(default_factory=Channels)
    agents: Agents = Field(default_factory=Agents)
    customers: Customers = Field(default_factory=Customers)
    changes: list[Change] = Field([], max_length=MAX_CHANGES, description="settings that hold from an instant on, in order of time")
    worker: Worker = Field(default_factory=Worker)
    board: Board = Field(default_factory=Board)
    thresholds: Thresholds = Field(default_factory=Thresholds)
    alerts: Alerts = Field(default_factory=Alerts)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  the signature is the library's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file; nothing else is read."""
        return env_settings, init_settings

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return _zone(value)

    @field_validator("windows")
    @classmethod
    def _whole_slices(cls, value: list[int]) -> list[int]:
        for window in value:
            if window % SLICE_MS or not SLICE_MS <= window <= HOUR_MS:
                raise ValueError(f"a window of {window / 1000:g} s is not a multiple of 10 s between 10 s and 60 m")
        return sorted(set(value))

    @field_validator("queues")
    @classmethod
    def _queues_have_names(cls, value: dict[str, Queue]) -> dict[str, Queue]:
        _check_names(value)
        return value

    @model_validator(mode="after")
    def _exported_are_windows(self) -> Config:
        if "exported_windows" in self.model_fields_set:
            for label in self.exported_windows:
                if label not in self.known_windows:
                    why = f"exported_windows: {label!r} is not one of {', '.join(self.known_windows)} (windows)"
                    raise _refusal(why, ("exported_windows",), ("windows",))
        return self

    @property
    def known_windows(self) -> tuple[str, ...]:
        """The names of all windows."""
        trailing = (f"{ms // MINUTE_MS}m" if ms % MINUTE_MS == 0 else f"{ms // 1000}s" for ms in self.windows)
        return (*trailing, "today", "7d")

    @field_validator("changes")
    @classmethod
    def _in_order(cls, value: list[Change]) -> list[Change]:
        for number, (before, after) in enumerate(pairwise(value), 1):
            if before.effective_from >= after.effective_from:
                when = format_instant(after.effective_from)
                why = f"the change of {when} stands behind one of that instant or later: write them in order of time"
                raise _refusal(why, ("changes", number, "effective_from"))
        return value

    @model_validator(mode="after")
    def _short_within_answer(self) -> Config:
        for number, (at, config) in enumerate(self._versions()):
            rules = config.first_rules(None)
            for queue in ("", *config.queues):
                for channel in ("", *(config.queues[queue].channels if queue else ())):
                    rule = rules.queue(queue, channel)
                    if rule.short_ms > rule.answer_ms:
                        where = (f"queues.{queue}" if queue else "defaults") + (f" from {format_instant(at)}" if at else "")
                        short, answer = format_duration(rule.short_ms), format_duration(rule.answer_ms)
                        limits = f"short_abandon {short} is above answer_threshold {answer}"
                        raise _refusal(f"{where}: {limits}", *_places_of_limits(number, queue, channel))
        return self

    def _versions(self) -> list[tuple[int, Config]]:
        """Return the settings with the instants from which they hold, the first from 0."""
        found: list[tuple[int, Config]] = [(0, self)]
        for change in self.changes:
            found.append((change.effective_from, overlaid(found[-1][1], change)))
        return found

    def rules(self, zone: str | None = None) -> Rules:
        """Return what the core counts by, with its history; `zone` replaces all zones."""
        versions = [(at, config.first_rules(zone)) for at, config in self._versions()]
        untils = [at for at, _ in versions[1:]]
        return replace(versions[-1][1], earlier=tuple(zip(untils, (rules for _, rules in versions[:-1]), strict=True)))

    def first_rules(self, zone: str | None) -> Rules:
        """Return what is counted by before the first change; `zone` replaces all zones."""
        top = zone or self.zone
        queue_default = {**self.defaults.changes(), **({"zone": zone} if zone else {})}
        queues = {name: queue.changes() for name, queue in self.queues.items()}
        queue_channels = {(q, c): s.changes() for q, queue in self.queues.items() for c, s in queue.channels.items()}
        if zone:
            for changes in (*queues.values(), *queue_channels.values()):
                changes.pop("zone", None)
        return Rules(
            queue_default=QueueRules(**queue_default),
            queues=queues,
            queue_channels=queue_channels,
            zone=top,
            live=self.time.mode == "live",
            partitioner=self.kafka.partitioner,
            lateness_ms=self.time.lateness,
            idle_ms=self.time.idle_timeout,
            max_ahead_ms=self.time.max_ahead,
            duplicates_horizon_ms=self.duplicates.horizon,
            max_ids=self.duplicates.max_ids,
            session_age_ms=self.limits.session_age,
            session_age_by_channel=self.limits.session_age_by_channel,
            session_horizon_ms=self.limits.session_horizon,
            agent_horizon_ms=self.limits.agent_horizon,
            business_horizon_ms=self.limits.business_horizon,
            slices_kept_ms=self.retention.slices,
            quarters_kept_ms=self.retention.quarters,
            sketches_kept_ms=self.retention.sketches,
            max_cells=self.limits.addresses,
            max_milestones=self.limits.milestones,
            speech_channels=frozenset(self.channels.speech),
            wrap_up_ms_by_channel=self.channels.wrap_up_limit,
            status_map=self.agents.statuses,
            default_capacity=self.agents.default_capacity,
            repeat_ms=self.customers.repeat_within,
            max_contacts=self.customers.max_contacts,
            customer_key=self.customers.key,
            silence_ms=self.limits.silence,
            agent_series=self.agents.series,
            max_agents=self.agents.max_series,
        )


__all__ = [
    "Agents", "Board", "Change", "Channels", "Config", "Customers", "Defaults", "Duplicates", "Kafka", "Limits", "Queue",
    "QueueSettings", "Retention", "Time", "Worker",
]  # fmt: skip
