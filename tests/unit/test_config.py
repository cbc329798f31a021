"""Configuration: what is read from where, what is refused and in which words."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas.config import Config
from schemas.config_file import all_keys, effective, load
from schemas.durations import format_duration, parse_duration
from schemas.errors import ConfigError
from schemas.rules import DAY_MS, HOUR_MS, MINUTE_MS, QueueRules, Rules


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder without a file, in an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("FLOORPULSE_"):
            monkeypatch.delenv(name)


def config_of(text: str, name: str = "c.yaml") -> Config:
    """Load a file with this text."""
    Path(name).write_text(text, encoding="utf-8")
    return load(name)


def refusal(text: str) -> str:
    """Return the words in which a file with this text is refused: one line."""
    with pytest.raises(ConfigError) as caught:
        config_of(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- the file


def test_without_a_file_everything_has_its_default() -> None:
    """The defaults of the specification."""
    config = load()
    assert config.rules() == Rules(live=True)
    assert config.kafka.bootstrap == ["127.0.0.1:9092"]
    assert (config.board.listen, config.worker.listen) == ("127.0.0.1:9464", "127.0.0.1:9465")
    assert config.windows == [5 * MINUTE_MS, 15 * MINUTE_MS, 30 * MINUTE_MS, 60 * MINUTE_MS]


def test_the_usual_file_is_read_where_it_exists() -> None:
    """`floorpulse.yaml` of the current folder; an empty one changes nothing."""
    assert config_of("zone: Asia/Shanghai", "floorpulse.yaml").zone == load().zone == "Asia/Shanghai"
    assert config_of("", "floorpulse.yaml") == Config()


def test_a_named_file_must_exist() -> None:
    """Its name stands in the error."""
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        load("nowhere.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kafka:\n  bootstrap: x:1\nduplicats:\n  horizon: 2h\n", ["line 3", "duplicats", "did you mean duplicates?"]),
        ("kafka:\n  boostrap: x:1\n", ["line 2", "kafka.boostrap", "did you mean bootstrap?"]),
        ("queues:\n  q:\n    zone: UTC\n    anser_threshold: 9s\n", ["line 4", "queues.q.anser_threshold", "answer_threshold?"]),
        ("queues:\n  q:\n    channels:\n      chat:\n        short_abandn: 1s\n", ["line 5", "short_abandn", "short_abandon?"]),
        ("xyzzy: 1\n", ["line 1", "unknown key xyzzy", "--keys"]),
    ],
)  # fmt: skip
def test_an_unknown_key_is_refused_with_its_line_and_the_nearest_name(text: str, words: list[str]) -> None:
    """On every level; where nothing is near, the way to all keys is told."""
    message = refusal(text)
    assert message.startswith("c.yaml line")
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("time:\n  lateness: soon\n", ["line 2", "time.lateness", "'soon'", "write 20s"]),
        ("\nzone: Mars/Olympus\n", ["line 2", "zone", "Mars/Olympus", "IANA"]),
        ("queues:\n  q:\n    zone: Berlin\n", ["line 3", "queues.q.zone", "Berlin"]),
        ("queues:\n  q:\n    service_level: best\n", ["line 3", "best", "sl_no_short"]),
        ("defaults:\n  service_level: best\n", ["line 2", "best", "sl_all_within"]),
        ("windows: [15s]\n", ["line 1", "15 s", "multiple of 10 s"]),
        ("windows: 2h\n", ["line 1", "7200 s", "60 m"]),
        ("agents:\n  default_capacity: 0\n", ["line 2", "agents.default_capacity"]),
        ("agents:\n  statuses:\n    lunch: eating\n", ["line 3", "lunch", "eating", "meal"]),
        ("agents:\n  statuses: {busy: away}\n", ["line 2", "busy", "standard status"]),
        ("time:\n  mode: dead\n", ["line 2", "time.mode", "'live' or 'replay'"]),
        ("kafka: 5\n", ["line 1", "kafka"]),
        ("kafka:\n  bootstrap: a:9092, b:port\n", ["line 2", "kafka.bootstrap.1", "'b:port'", "HOST:PORT", "kafka.internal:9092"]),
        ("kafka:\n  bootstrap: [http://a:9092]\n", ["line 2", "kafka.bootstrap.0", "HOST:PORT"]),
        ("kafka:\n  bootstrap: a:99999\n", ["line 2", "'a:99999'", "HOST:PORT"]),
        ("kafka:\n  bootstrap: ::1:9092\n", ["line 2", "'::1:9092'", "[::1]:9092"]),
        ("alerts:\n  enabled: true\n  board_url: wall.example\n", ["line 3", "board_url: is not an address", "'wall.example'"]),
        ("kafka:\n  partitioner: md5\n", ["line 2", "kafka.partitioner", "md5"]),
        ("kafka:\n  group: x\n  security_protocol: SASL_SSL\n", ["line 3", "sasl_username", "sasl_password"]),
        ("customers:\n  repeat_within: 3h\n  hash_ids: true\n", ["line 3", "hash_key of 16 characters"]),
        ("board:\n  title: x\n  username: u\n", ["line 3", "belong together"]),
        ("board:\n  title: x\n  tls_keyfile: k\n", ["line 3", "belong together"]),
        ("board:\n  title: x\n  listen: '9464'\n", ["line 3", "board.listen", "'9464'", "HOST:PORT", "127.0.0.1:9464"]),
        ("worker:\n  listen: a:b\n", ["line 2", "worker.listen", "'a:b'", "127.0.0.1:9465"]),
        ("zone: UTC\nexported_windows: [7m]\n", ["line 2", "'7m'", "5m, 15m, 30m, 60m, today, 7d"]),
        ("changes:\n- effective_from: 2026-01-02T00:00:00Z\n- effective_from: 2026-01-01T00:00:00Z\n", ["line 3", "order of time"]),
        ("queues:\n  a:\n    zone: UTC\n  a:\n    zone: UTC\n", ["line 4", "queues.a", "second time"]),
        ("a: [\n", ["line 2", "not YAML"]),
        ("- a\n- b\n", ["c.yaml", "keys and values"]),
        ("changes:\n- effective_from: 2026-02-30\n", ["line 2", "changes.0.effective_from", "'2026-02-30'", "RFC 3339"]),
        ("changes:\n- effective_from: 2026-02-30T00:00:00Z\n", ["line 2", "'2026-02-30T00:00:00Z'", "day is out of range"]),
        ("changes:\n- effective_from: 2026-02-01 09:00:00\n", ["line 2", "2026-02-01 09:00:00", "has no offset"]),
        ("zone: UTC\nagents:\n  default_capacity: !!int two\n", ["line 3", "not YAML", "'two' is no int"]),
        ("zone: UTC\nduplicates: {max_ids: " + "9" * 5000 + "}\n", ["line 2", "is no int"]),
        ("time:\n  lateness: " + "9" * 400 + "\n", ["line 2", "time.lateness", "is not a duration"]),
        ("zone: \0\n", ["c.yaml", "not YAML", "#x0000"]),
        ("queues: &all\n  q: *all\n", ["c.yaml", "too deeply", "alias"]),
        ("queues: " + "[" * 3000, ["c.yaml", "too deeply"]),
    ],
)
def test_a_wrong_value_is_refused_with_its_line_and_what_would_be_right(text: str, words: list[str]) -> None:
    """What, which value, where, and the remedy."""
    message = refusal(text)
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize(
    "text",
    [
        "alerts:\n  webhooks: https://x/geheim\n",
        "alerts:\n  webhooks: [https://x/geheim]\n",
        "alerts:\n  webhooks:\n  - url: geheim\n",
        "board: geheim\n",
        "board:\n  password: [geheim]\n",
    ],
)
def test_a_secret_in_the_wrong_shape_is_not_shown(text: str) -> None:
    """It is told where it stands, and what should stand there."""
    message = refusal(text)
    assert "geheim" not in message
    assert "c.yaml line" in message


def test_names_are_text_as_it_is_written() -> None:
    """Of queues that are called like a number, a date or a word of YAML, too; sections may be merged from an anchor."""
    config = config_of("queues:\n  1001: &a {answer_threshold: 9s}\n  no: {<<: *a}\n  2026-01-01: {}\n  0x10: {}\n  ~: {}\n")
    assert list(config.queues) == ["1001", "no", "2026-01-01", "0x10", "~"]
    assert config.queues["no"] == config.queues["1001"]
    assert "c.yaml line 3: queues.1001.zone" in refusal("queues:\n  1001:\n    zone: Berlin\n")


def test_brokers_are_hosts_with_and_without_a_port() -> None:
    """Names, and addresses of both kinds."""
    brokers = ["a", "kafka-1.internal:9092", "10.0.0.1:1", "[::1]:9092", "[fe80::1%eth0]:9092"]
    assert config_of(f"kafka: {{bootstrap: '{', '.join(brokers)}'}}\n").kafka.bootstrap == brokers
    assert config_of("kafka: {bootstrap: [' a:9092', 'b ']}\n").kafka.bootstrap == ["a:9092", "b"]


@pytest.mark.parametrize("nowhere", ["[]", "''", "','", "['', '']"])
def test_no_broker_at_all_is_refused(nowhere: str) -> None:
    """With the line and what to write; an empty place beside a broker, as behind a last comma, is none."""
    told = "c.yaml line 2: kafka.bootstrap: names no broker: write at least one, such as kafka.internal:9092"
    assert refusal(f"kafka:\n  bootstrap: {nowhere}\n").startswith(told)
    assert config_of("kafka: {bootstrap: 'a:9092, '}\n").kafka.bootstrap == ["a:9092"]


@pytest.mark.parametrize("name", ["all", "unassigned"])
def test_reserved_names_are_no_queues(name: str) -> None:
    """They are floorpulse's own. A queue whose events name no channel has the channel `unassigned`."""
    assert "reserved name" in refusal(f"queues:\n  {name}: {{}}\n")
    assert "line 3: queues.q.channel: 'all' is a reserved name" in refusal("queues:\n  q:\n    channel: all\n")
    assert config_of("queues: {q: {channel: unassigned}}\n").queues["q"].channel == "unassigned"
    assert "line 3: queues.q.channels: 'all' is a reserved name" in refusal("queues:\n  q:\n    channels: {all: {}}\n")
    assert list(config_of("queues: {q: {channels: {unassigned: {}}}}\n").queues["q"].channels) == ["unassigned"]


@pytest.mark.parametrize("name", ["", r"a\nb", r"a\x85b", "x" * 129])
def test_what_no_event_may_be_called_is_neither_queue_nor_channel(name: str) -> None:
    """Its gauges would stay at 0 for ever."""
    message = refusal(f'queues:\n  "{name}": {{}}\n')
    assert "is not a name: write 1 to 128 characters" in message
    assert "line 3: queues.q.channel: " in refusal(f'queues:\n  q:\n    channel: "{name}"\n')
    assert "queues" in refusal(f'changes:\n- effective_from: 2026-01-01T00:00:00Z\n  queues: {{"{name}": {{}}}}\n')


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("defaults:\n  short_abandon: 21s\n", "line 2: defaults: short_abandon 21s"),
        ("queues:\n  q:\n    answer_threshold: 4s\n", "line 3: queues.q"),
        ("queues:\n  q:\n    channels:\n      chat:\n        short_abandon: 1m\n", "line 5: queues.q"),
        ("defaults: {answer_threshold: 10s}\nqueues:\n  q: {short_abandon: 11s}\n", "line 3: queues.q"),
        ("changes:\n- effective_from: 2026-01-01T00:00:00Z\n  defaults:\n    answer_threshold: 3s\n", "line 4: defaults from 2026"),
    ],
)
def test_a_short_limit_above_the_threshold_is_refused(text: str, where: str) -> None:
    """On every level, after defaults are filled in, with the line of the nearest of the two; equal is good."""
    message = refusal(text)
    assert message.startswith(f"c.yaml {where}")
    assert "short_abandon" in message
    assert "above answer_threshold" in message
    config_of("defaults: {short_abandon: 20s}\n")


# ---- the environment


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """`FLOORPULSE_` and `__` between levels; other keys of the section stay the file's."""
    monkeypatch.setenv("FLOORPULSE_TIME__LATENESS", "5s")
    monkeypatch.setenv("FLOORPULSE_ZONE", "Asia/Tokyo")
    config = config_of("zone: UTC\ntime:\n  lateness: 1m\n  mode: replay\n")
    assert (config.zone, config.time.lateness, config.time.mode) == ("Asia/Tokyo", 5_000, "replay")


def test_lists_in_the_environment_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brokers, windows, channels; maps as JSON."""
    monkeypatch.setenv("FLOORPULSE_KAFKA__BOOTSTRAP", "a:9092, b:9092")
    monkeypatch.setenv("FLOORPULSE_WINDOWS", "60m,10m")
    monkeypatch.setenv("FLOORPULSE_CHANNELS__SPEECH", "voice")
    monkeypatch.setenv("FLOORPULSE_AGENTS__STATUSES", '{"lunch": "meal"}')
    config = load()
    assert config.kafka.bootstrap == ["a:9092", "b:9092"]
    assert config.windows == [10 * MINUTE_MS, HOUR_MS]
    assert config.rules().speech_channels == frozenset({"voice"})
    assert config.rules().status("lunch") == "meal"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLOORPULSE_ZONE", "Mars"),
        ("FLOORPULSE_KAFKA__BOOTSTRAP", "a:9092, b:port"),
        ("FLOORPULSE_DEFAULTS__SHORT_ABANDON", "21s"),
    ],
)
def test_a_wrong_variable_is_refused_by_its_name_also_where_the_file_has_the_key(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file's line is right, since the variable wins."""
    monkeypatch.setenv(name, value)
    message = refusal("zone: UTC\nkafka: {bootstrap: a}\ndefaults: {short_abandon: 4s}\n")
    assert message.startswith(f"environment {name}: ")


def test_names_in_the_environment_are_in_lower_case_but_within_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the reference says: variables have no case."""
    monkeypatch.setenv("FLOORPULSE_QUEUES__ORDERS__ANSWER_THRESHOLD", "9s")
    assert list(load().queues) == ["orders"]
    monkeypatch.delenv("FLOORPULSE_QUEUES__ORDERS__ANSWER_THRESHOLD")
    monkeypatch.setenv("FLOORPULSE_QUEUES", '{"Orders": {"zone": "UTC"}}')
    assert list(load().queues) == ["Orders"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("FLOORPULSE_ZNOE", "UTC", ["FLOORPULSE_ZNOE", "did you mean FLOORPULSE_ZONE?"]),
        ("FLOORPULSE_KAFKA_BOOTSTRAP", "x", ["unknown", "did you mean FLOORPULSE_KAFKA__BOOTSTRAP?"]),
        ("FLOORPULSE_QUEUE__Q__ZONE", "UTC", ["FLOORPULSE_QUEUE__Q__ZONE", "did you mean FLOORPULSE_QUEUES?"]),
        ("FLOORPULSE_KAFKA__BOOSTRAP", "x", ["FLOORPULSE_KAFKA__BOOSTRAP", "boostrap", "bootstrap?"]),
        ("FLOORPULSE_TIME__LATENESS", "soon", ["FLOORPULSE_TIME__LATENESS", "soon", "20s"]),
        ("FLOORPULSE_ZONE", "Mars", ["FLOORPULSE_ZONE", "Mars", "IANA"]),
        ("FLOORPULSE_KAFKA__BOOTSTRAP", "", ["environment FLOORPULSE_KAFKA__BOOTSTRAP: kafka.bootstrap: names no broker"]),
        ("FLOORPULSE_KAFKA__BOOTSTRAP", " , ", ["environment FLOORPULSE_KAFKA__BOOTSTRAP: kafka.bootstrap: names no broker"]),
        ("FLOORPULSE_BOARD__USERNAME", "u", ["environment FLOORPULSE_BOARD__USERNAME", "belong together"]),
    ],
)
def test_the_environment_is_refused_by_the_variables_name(
    name: str, value: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown variables of ours, and wrong values in known ones."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load()
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("FLOORPULSE_AGENTS__STATUSES", "agents.statuses"),
        ("FLOORPULSE_THRESHOLDS__KPIS__OLDEST_WAIT__BREACH", "thresholds.kpis.oldest_wait.breach"),
        ("FLOORPULSE_KAFKA", "kafka"),
    ],
)
def test_a_map_in_the_environment_that_is_no_json_is_refused_in_one_line(
    name: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the variable's name, without its value, which may be a secret, and with the remedy."""
    monkeypatch.setenv("FLOORPULSE_AGENTS__SERIES", "true")
    monkeypatch.setenv("FLOORPULSE_THRESHOLDS__ENABLED", "true")
    monkeypatch.setenv(name, "lunch=meal")
    with pytest.raises(ConfigError) as caught:
        load()
    assert str(caught.value) == f"environment {name}: {key}: is no JSON: write lists with commas, maps as JSON"


def test_variables_of_the_tests_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """They may be set while the product runs."""
    monkeypatch.setenv("FLOORPULSE_BANK_DATA", "/data")
    load()


# ---- secrets


def test_secrets_are_masked_wherever_a_configuration_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """In repr, str, the effective configuration; the client still gets it."""
    monkeypatch.setenv("FLOORPULSE_KAFKA__SASL_PASSWORD", "hunter2")
    config = config_of("kafka: {security_protocol: SASL_SSL, sasl_username: me}\n")
    assert [text for text in (repr(config), str(config), repr(config.kafka), effective(config)) if "hunter2" in text] == []
    assert "********" in effective(config)
    assert config.kafka.sasl_password is not None
    assert config.kafka.sasl_password.get_secret_value() == "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        "kafka: {sasl_password: [hunter2]}",
        "kafka: {sasl_password: hunter2, security_protocol: SASL_SSL}",
        "kafka: {sasl_password: hunter2, sasl_usrname: me}",
        "kafka: {sasl_pasword: hunter2}",
        "kafka: {sasl_password: {a: hunter2}}",
    ],
)
def test_a_refusal_does_not_tell_the_secret(text: str) -> None:
    """Whatever is wrong with it or beside it."""
    assert "hunter2" not in refusal(text)


# ---- what is shown


def test_the_effective_configuration_is_a_configuration() -> None:
    """It can be read again and is the same; durations are written as people write them."""
    text = "zone: Asia/Tokyo\nqueues: {q: {answer_threshold: 1m30s, channels: {chat: {zone: UTC}}}}\n"
    config = config_of(text + "limits: {session_age_by_channel: {chat: 1h}}\n")
    shown = effective(config)
    assert "answer_threshold: 1m30s" in shown
    assert config_of(shown) == config


def test_every_key_is_listed_with_its_default() -> None:
    """Also those below names; sections themselves are none."""
    keys = {key.name: key.default for key in all_keys()}
    assert keys["time.lateness"] == "1m"
    assert keys["windows"] == "5m, 15m, 30m, 1h"
    assert keys["defaults.service_level"] == "sl_no_short"
    assert keys["kafka.sasl_password"] == "-"
    assert "queues.<name>.channels.<name>.answer_threshold" in keys
    assert "kafka" not in keys


# ---- durations


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("20s", 20_000), ("1h30m", 90 * MINUTE_MS), ("500ms", 500), ("2d", 2 * DAY_MS), ("1.5h", 90 * MINUTE_MS), ("0s", 0),
        ("20", 20_000), (20, 20_000), (0.5, 500), (0, 0), (" 5 m ", 5 * MINUTE_MS), ("1m 30s", 90_000), ("400d", 400 * DAY_MS),
    ],
)  # fmt: skip
def test_a_duration_is_read(text: str | float, ms: int) -> None:
    """With units, or a number of seconds."""
    assert parse_duration(text) == ms


NO_DURATIONS = [10**400, "", "s", "5x", "-5s", "5s-", "1,5s", "5 minutes", "nan", "inf", "1e9d", "401d", True, None, [], "٥s", -1]


@pytest.mark.parametrize("text", NO_DURATIONS)
def test_what_is_no_duration_is_refused(text: object) -> None:
    """Negative, endless, longer than 400 days, in words."""
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("ms", [0, 1, 999, 1000, 61_001, 90 * MINUTE_MS, DAY_MS + 1, 400 * DAY_MS])
def test_a_written_duration_is_read_back(ms: int) -> None:
    """Nothing is lost."""
    assert parse_duration(format_duration(ms)) == ms


# ---- from settings to rules


def test_rules_are_looked_up_from_the_channel_to_the_defaults() -> None:
    """Queue and channel, then queue, then defaults."""
    rules = config_of(
        "zone: Asia/Tokyo\ndefaults: {response_target: 30s}\n"
        "queues:\n  q:\n    answer_threshold: 10s\n    zone: UTC\n"
        "    channels: {chat: {answer_threshold: 1m, short_in_abandonment: false}}\n"
    ).rules()
    plain = QueueRules(response_ms=30_000, zone="Asia/Tokyo")
    assert rules.queue("other", "chat") == plain
    assert rules.queue("q", "voice") == replace(plain, answer_ms=10_000, zone="UTC")
    assert rules.queue("q", "chat") == replace(plain, answer_ms=60_000, short_in_abandonment=False, zone="UTC")


def test_one_zone_replaces_all_zones() -> None:
    """As `report --zone` wants it."""
    config = config_of("zone: Asia/Tokyo\ndefaults: {zone: UTC}\nqueues: {q: {zone: UTC, channels: {c: {zone: UTC}}}}\n")
    rules = config.rules("Europe/Berlin")
    zones = {rules.zone, rules.queue("q", "c").zone, rules.queue("q", "").zone, rules.queue("x", "").zone}
    assert zones == {"Europe/Berlin"}


def test_the_zone_of_the_defaults_is_that_of_queues_which_name_none() -> None:
    """The top-level zone stays the floor's."""
    rules = config_of("zone: Asia/Tokyo\ndefaults: {zone: Europe/Berlin}\nqueues: {q: {zone: UTC}}\n").rules()
    assert (rules.zone, rules.queue("x", "").zone, rules.queue("q", "").zone) == ("Asia/Tokyo", "Europe/Berlin", "UTC")


def test_changed_rules_do_not_remember_the_old_ones() -> None:
    """`dataclasses.replace` of rules that have been asked already gives rules that answer by their own settings."""
    rules = Rules()
    assert rules.queue("q", "voice").answer_ms == 20_000
    assert replace(rules, queue_default=QueueRules(answer_ms=1)).queue("q", "voice").answer_ms == 1


def test_settings_are_frozen() -> None:
    """Nothing changes them once they are read."""
    with pytest.raises(ValidationError, match="frozen"):
        setattr(load(), "zone", "UTC")  # noqa: B010  the type checker knows that it cannot be set
