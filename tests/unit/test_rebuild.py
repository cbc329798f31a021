"""Rebuild without Kafka: what marks a copy, and wrong use."""

from __future__ import annotations

import sys

import pytest

from schemas.config import Config
from streams import cli
from streams.rebuild import origin_of, under


@pytest.mark.parametrize(
    ("value", "origin"), [(b"3@17", (3, 17)), (b"", None), (b"3", None), (b"3@", None), (b"-1@5", None), (b"\xff@1", None)]
)
def test_a_copy_says_where_it_came_from(value: bytes, origin: tuple[int, int] | None) -> None:
    """Whatever else stands there is no copy."""
    assert origin_of([("other", b"1@1"), ("copied", value)]) == origin
    assert origin_of([]) is None


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
