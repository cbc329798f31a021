"""What a worker tells of its input: rejected events, clocks that are wrong, a silent source; never what an event says."""

from __future__ import annotations

import json
from typing import Final

import pytest

from schemas.rules import Rules
from streams.core.floor import Floor
from streams.notices import Input, Notice, Seen, Watch
from tests.builders import T0

TOPICS: Final = ("sessions", "queues", "status", "business", "dead-letters", "late", "relay")
NAMES: Final = {name: f"floorpulse.{name}" for name in TOPICS}
NOW_MS: Final = 1_795_269_947_000  # 2026-11-21T14:05:47Z
READY: Final = Input(12, 0, NOW_MS)


class Place:
    """A record of which only the offset matters here."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.timestamp = 0
        self.key: bytes | None = None
        self.value: bytes | None = None


def watch_of(seen: Seen, *, live: bool = True) -> Watch:
    """A watch with the usual settings."""
    return Watch(seen, NAMES, "floorpulse.", 300_000, live=live)


def feed(seen: Seen, topic: str, values: list[dict[str, object]], *, first: int = 0, now_ms: int = NOW_MS) -> None:
    """Give events to a real floor, and what it says of them to `seen`."""
    floor = Floor(0, 1, Rules(live=True))
    raw = [json.dumps(value).encode() for value in values]
    keys = [str(value["agent_id"]).encode() for value in values]
    rejects = floor.apply(topic, keys, raw, now_ms)
    seen.took(topic, 3, [Place(first + n) for n in range(len(values))], rejects)


def status(number: int, at: object) -> dict[str, object]:
    """An agent's status at a time."""
    return {"id": f"e{number}", "type": "agent.status", "at": at, "agent_id": "anna.lee", "status": "available"}


def said(notices: list[Notice]) -> list[str]:
    """Their messages."""
    return [notice.message for notice in notices]


def test_rejected_events_are_told_at_once_and_then_once_a_minute() -> None:
    """By reason, with how many and where the first of them lies."""
    seen = Seen()
    watch = watch_of(seen)
    feed(seen, "status", [status(1, "2026-11-21T14:05:47")], first=88_121)
    (first,) = watch.due(10.0, NOW_MS, READY)
    assert first.message == "1 event to floorpulse.dead-letters: naive_timestamp, e.g. floorpulse.status[3]@88121"
    assert (first.level, first.event, first.fields["count"]) == ("warning", "events.rejected", 1)
    feed(seen, "status", [status(n, "2026-11-21T14:05:47") for n in range(214)], first=88_122)
    assert watch.due(69.9, NOW_MS, None) == []
    assert said(watch.due(70.0, NOW_MS, None)) == [
        "214 events to floorpulse.dead-letters: naive_timestamp, e.g. floorpulse.status[3]@88122"
    ]
    assert watch.due(130.0, NOW_MS, None) == []


def test_what_was_rejected_and_not_told_is_told_at_the_end() -> None:
    """Each reason by itself; a worker that stops within the minute loses nothing."""
    seen = Seen()
    watch = watch_of(seen)
    feed(seen, "status", [status(1, "x")])
    assert len(watch.due(1.0, NOW_MS, READY)) == 1
    feed(seen, "status", [status(2, "x"), status(3, "2026-11-21T14:05:47")], first=5)
    assert watch.due(2.0, NOW_MS, READY) == []
    assert [notice.fields["reason"] for notice in watch.last()] == ["bad_timestamp", "naive_timestamp"]
    assert watch.last() == []


def test_a_topic_that_is_ahead_of_the_clock_altogether_is_told_once_a_minute() -> None:
    """How many, how far, the limit, and what time it is here."""
    seen = Seen()
    watch = watch_of(seen)
    watch.due(0.0, NOW_MS, READY)
    feed(seen, "status", [status(n, NOW_MS + 432_000) for n in range(312)])
    watch.due(1.0, NOW_MS, READY)  # tells of the rejects
    assert [n for n in watch.due(59.0, NOW_MS, READY) if n.event == "clock.ahead"] == []
    (notice,) = [n for n in watch.due(60.0, NOW_MS, READY) if n.event == "clock.ahead"]
    assert notice.message == (
        "312 of 312 events of floorpulse.status in the last minute are 7 min 12 s ahead of this clock (limit time.max_ahead 5 "
        "min), sent to floorpulse.dead-letters: from_the_future. One clock is wrong (here 2026-11-21T14:05:47Z): check NTP on both"
    )
    assert notice.level == "error"


def test_one_event_in_time_clears_the_clock() -> None:
    """Some events ahead are those events' fault; so few say nothing either."""
    seen = Seen()
    watch = watch_of(seen)
    watch.due(0.0, NOW_MS, READY)
    feed(seen, "status", [*(status(n, NOW_MS + 432_000) for n in range(20)), status(99, NOW_MS)])
    assert [n.event for n in watch.due(60.0, NOW_MS, READY)] == ["events.rejected"]
    feed(seen, "status", [status(1, NOW_MS + 432_000), status(2, NOW_MS + 432_000)])
    assert [n.event for n in watch.due(120.0, NOW_MS, READY)] == ["events.rejected"]


def test_a_silent_source_is_told_once_and_so_is_its_end() -> None:
    """Only where everything that there is has been read."""
    seen = Seen()
    watch = watch_of(seen)
    feed(seen, "status", [status(1, NOW_MS)])
    assert watch.due(5.0, NOW_MS, READY) == []
    assert watch.due(64.9, NOW_MS, READY) == []
    assert watch.due(65.0, NOW_MS, Input(12, 3, NOW_MS)) == []  # it has more, and that is not the source's fault
    (notice,) = watch.due(65.1, NOW_MS, READY)
    assert notice.message == (
        "no event for 60 s (12 partitions, lag 0, newest event 2026-11-21T14:05:47Z). Kafka answers, so the source is silent: "
        'check the producer and kafka.topic_prefix (now "floorpulse."). To see something move: floorpulse simulate --rate 5'
    )
    assert watch.due(600.0, NOW_MS, READY) == []
    feed(seen, "status", [status(2, NOW_MS)])
    assert said(watch.due(605.0, NOW_MS, READY)) == ["events come again, after 10 min without one"]
    assert watch.due(660.0, NOW_MS, READY) == []
    assert [n.event for n in watch.due(665.0, NOW_MS, READY)] == ["input.silent"]


def test_silence_counts_from_when_the_worker_is_ready() -> None:
    """Who has not joined, or owns nothing, cannot know; a source that never sent anything is silent, too."""
    seen = Seen()
    watch = watch_of(seen)
    assert watch.due(100.0, NOW_MS, None) == []
    assert watch.due(200.0, NOW_MS, Input(0, 0, None)) == []
    assert watch.due(259.9, NOW_MS, Input(12, 0, None)) == []
    (notice,) = watch.due(260.0, NOW_MS, Input(12, 0, None))
    assert "newest event none" in notice.message


def test_a_replay_that_is_over_is_not_silent() -> None:
    """Its end is its end."""
    seen = Seen()
    watch = watch_of(seen, live=False)
    feed(seen, "status", [status(1, T0)], now_ms=T0)
    assert watch.due(1.0, NOW_MS, READY) == watch.due(1000.0, NOW_MS, READY) == []


def test_the_relay_is_no_source() -> None:
    """What workers tell each other is neither counted nor rejected here."""
    seen = Seen()
    seen.took("relay", 0, [Place(1)], [])
    assert (seen.events, seen.topics) == (0, {})


@pytest.mark.parametrize("at", ["2026-11-21T14:05:47", NOW_MS + 10_000_000, "nonsense"])
def test_nothing_of_an_event_is_told(at: object) -> None:
    """Neither in words nor in fields."""
    seen = Seen()
    watch = watch_of(seen)
    watch.due(0.0, NOW_MS, READY)
    feed(seen, "status", [status(n, at) for n in range(5)])
    found = [*watch.due(60.0, NOW_MS, READY), *watch.last()]
    assert found
    assert "anna" not in repr(found)
    assert "nonsense" not in repr(found)
