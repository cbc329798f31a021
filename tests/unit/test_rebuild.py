"""Rebuild without Kafka: what marks a copy, and wrong use."""

from __future__ import annotations

import sys

import pytest
from aiokafka import AIOKafkaProducer

from schemas.config import Config
from schemas.errors import KafkaUnreachable, UsageError
from streams import cli
from streams.rebuild import Origin, _start, check_source, mark_of, origin_of, under


@pytest.mark.parametrize(
    ("value", "origin"),
    [
        (b"3@17@floorpulse.", Origin(3, 17, "floorpulse.")),
        (b"3@17@", Origin(3, 17, "")),
        (b"3@17@a@b", Origin(3, 17, "a@b")),
        (b"3@17", Origin(3, 17, None)),
        (b"3@17@\xff", Origin(3, 17, r"\xff")),
        (b"", None),
        (b"3", None),
        (b"3@", None),
        (b"-1@5", None),
        (b"\xff@1", None),
        (b"9" * 5000 + b"@1", None),
        (b"1@" + b"9" * 5000 + b"@a.", None),
    ],
)
def test_a_copy_says_where_it_came_from(value: bytes, origin: Origin | None) -> None:
    """Whatever else stands there is no copy."""
    assert origin_of([("other", b"1@1"), ("copied", value)]) == origin
    assert origin_of([]) is None


@pytest.mark.parametrize("prefix", ["floorpulse.", "", "a@b"])
def test_what_a_copy_says_is_read_again(prefix: str) -> None:
    """The prefix to the letter, since another one has other offsets."""
    origin = Origin(3, 17, prefix)
    assert origin_of([("copied", mark_of(origin))]) == origin
    check_source("new.queues", origin, prefix)


@pytest.mark.parametrize(
    ("prefix", "words"), [("a.", ["'a.'", "'b.'", "mixed", "--prefix", "--from 'a.'"]), (None, ["older floorpulse", "--prefix"])]
)
def test_copies_of_another_prefix_are_refused(prefix: str | None, words: list[str]) -> None:
    """And so are those of which nobody knows where they came from."""
    with pytest.raises(UsageError) as refused:
        check_source("new.queues", Origin(3, 17, prefix), "b.")
    assert [word for word in ["new.queues", *words] if word not in str(refused.value)] == []


async def test_a_producer_that_cannot_start_is_kafka_that_cannot_be_reached() -> None:
    """And not a fault of floorpulse."""
    with pytest.raises(KafkaUnreachable, match=r"kafka\.bootstrap"):
        await _start(AIOKafkaProducer(bootstrap_servers="127.0.0.1:1"))


def test_only_the_prefix_changes() -> None:
    """All else of the configuration stays."""
    config = Config()
    assert under(config, "new.").kafka.topic_prefix == "new."
    assert under(under(config, "new."), config.kafka.topic_prefix) == config


def test_a_prefix_cannot_be_copied_to_itself(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, status 2, before Kafka is asked."""
    monkeypatch.setattr(sys, "argv", ["floorpulse", "rebuild", "--from", "floorpulse."])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    out, err = capsys.readouterr()
    assert (stop.value.code, out, err.count("\n")) == (2, "", 1)
    assert "--prefix" in err
