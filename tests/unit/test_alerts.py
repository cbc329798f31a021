"""Alert records: one for each change, the same id for the same change, quiet hours; messages by template."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from schemas.alerts import Alert, decode_alert
from schemas.config import Config
from sinks.alerts import Book, page_of
from sinks.judge import Judge
from sinks.messages import amount, body, line, signed
from sinks.standing import BREACH, GOOD, WARN, Standing, Subject

T0 = 1_795_269_600_000
ORDERS = Subject("oldest_wait", "orders", "voice")
NORTH = Subject("occupancy", group="north")


def standing(level: int | None, *, quiet: bool = False, since: int = T0) -> Standing:
    """Return how somebody stands."""
    return Standing(level, since, 107.25, 60, 90, "", 0, quiet)


class Topic:
    """The log, and a board that writes what is due."""

    def __init__(self) -> None:
        self.log: list[Alert] = []
        self.told: list[str] = []
        self.book = Book()

    def see(self, standings: Mapping[Subject, Standing], now: int = T0, *, night: bool = False) -> list[tuple[str, str, bool]]:
        """Let the owner look; return (kind, level, quiet) of what it wrote."""
        due = list(self.book.due(standings, now, lambda subject: page_of("http://wall/", subject), lambda _: night))
        for alert in due:
            self.log.append(alert)
            if self.book.fold(alert) is not None:
                self.told.append(alert.level)
        return [(alert.kind, alert.level, alert.quiet) for alert in due]

    def again(self) -> Book:
        """Return the book of a new owner."""
        book = Book()
        for alert in self.log:
            book.fold(alert)
        return book


def test_each_change_is_one_record() -> None:
    """Nothing while it stands good, one per entry and recovery, none while it stays."""
    topic = Topic()
    assert topic.see({ORDERS: standing(GOOD)}) == []
    assert topic.see({ORDERS: standing(WARN)}) == [("entered", "warn", False)]
    assert topic.see({ORDERS: standing(WARN)}) == []
    assert topic.see({ORDERS: standing(BREACH)}) == [("entered", "breach", False)]
    assert topic.see({ORDERS: standing(WARN)}) == [("left", "warn", False)]
    assert topic.see({ORDERS: standing(None)}) == [("left", "good", False)]
    assert topic.see({ORDERS: standing(GOOD)}) == []
    assert topic.told == ["warn", "breach", "warn", "good"]


def test_a_record_says_what_is_the_matter() -> None:
    """Subject, level, value, limit, since, at, address; JSON that is read back."""
    topic = Topic()
    topic.see({ORDERS: standing(BREACH, since=T0 - 500)})
    said = json.loads(topic.log[0].encode())
    assert said == {
        "v": 1, "id": topic.log[0].id, "previous": None, "kind": "entered", "kpi": "oldest_wait", "queue": "orders",
        "channel": "voice", "group": "", "level": "breach", "before": "good", "told": "breach", "quiet": False, "value": 107.25,
        "limit": 90.0, "n": 0, "window": "", "since": T0 - 500, "at": T0,
        "url": "http://wall/?page=queue&queue=orders&channel=voice",
    }  # fmt: skip
    assert decode_alert(topic.log[0].encode()) == topic.log[0]
    assert topic.log[0].key == b'["oldest_wait","orders","voice",""]'
    assert [decode_alert(value) for value in (None, b"", b"[]", b'{"v":2}')] == [None] * 4


def test_a_subject_that_is_gone_is_over() -> None:
    """A queue that was removed while it breached gets its recovery, once."""
    topic = Topic()
    topic.see({ORDERS: standing(BREACH), NORTH: standing(BREACH)})
    assert topic.see({NORTH: standing(BREACH)}) == [("left", "good", False)]
    assert topic.see({NORTH: standing(BREACH)}) == []
    assert (topic.log[-1].queue, topic.log[-1].value, topic.log[-1].url) == ("orders", None, topic.log[0].url)


@pytest.mark.parametrize("anew", [False, True])
def test_a_subject_that_is_gone_at_night_is_over_in_the_morning(anew: bool) -> None:
    """As is one that stands good at night: recorded at once, told when quiet hours end, once; also by a new owner."""
    topic = Topic()
    topic.see({ORDERS: standing(BREACH)})
    assert topic.see({}, night=True) == [("left", "good", True)]
    assert topic.see({}, night=True) == []
    assert topic.told == ["breach"]
    topic.book = topic.again() if anew else topic.book
    assert topic.see({}) == [("reminder", "good", False)]
    assert topic.see({}) == []
    assert topic.told == ["breach", "good"]


def test_a_judge_knows_the_quiet_hours_of_who_is_gone() -> None:
    """In the queue's zone, whether it is judged or not; a group's in the top-level zone."""
    config = Config.model_validate({
        "queues": {"orders": {"zone": "Asia/Shanghai"}},
        "thresholds": {"quiet_hours": ["22:00-23:00"], "kpis": {"oldest_wait": {"enabled": False}}},
    })  # fmt: skip
    judge, hour = Judge(config), 3_600_000
    night = T0 // (24 * hour) * 24 * hour + 22 * hour
    assert [judge.is_quiet(NORTH, night + hours * hour) for hours in (-8, 0, 1)] == [False, True, False]
    assert [judge.is_quiet(ORDERS, night + hours * hour) for hours in (-8, 0, 1)] == [True, False, False]


def test_two_owners_give_the_same_change_the_same_id() -> None:
    """Whoever publishes it again, at another time: receivers see one id; the next change has another."""
    topic = Topic()
    topic.see({ORDERS: standing(BREACH)})
    other = topic.again()
    here = next(iter(topic.book.due({ORDERS: standing(GOOD, since=T0 + 10)}, T0 + 10, str)))
    there = next(iter(other.due({ORDERS: standing(GOOD, since=T0 + 900)}, T0 + 1000, str)))
    assert here.id == there.id != topic.log[0].id
    assert (other.fold(there), other.fold(here)) == ("breach", None), "a repetition is told to nobody"
    for _ in range(4):
        for level in (GOOD, BREACH):
            topic.see({ORDERS: standing(level)})
    ids = {alert.id for alert in topic.log}
    assert len(ids) == len(topic.log)


def test_a_new_owner_goes_on_where_the_log_ends() -> None:
    """What was published is not published again."""
    topic = Topic()
    topic.see({ORDERS: standing(BREACH), NORTH: standing(WARN)})
    topic.book = topic.again()
    assert topic.see({ORDERS: standing(BREACH), NORTH: standing(WARN)}) == []
    assert topic.see({ORDERS: standing(BREACH), NORTH: standing(GOOD)}) == [("left", "good", False)]


def test_in_quiet_hours_everything_is_recorded_and_nobody_told() -> None:
    """What still holds in the morning is told then; what came and went in the night never."""
    topic = Topic()
    both = {ORDERS: standing(BREACH, quiet=True), NORTH: standing(BREACH, quiet=True)}
    assert topic.see(both) == [("entered", "breach", True)] * 2
    assert topic.see({ORDERS: standing(BREACH, quiet=True), NORTH: standing(GOOD, quiet=True)}) == [("left", "good", True)]
    assert topic.told == []
    assert topic.see({ORDERS: standing(BREACH), NORTH: standing(GOOD)}) == [("reminder", "breach", False)]
    assert topic.told == ["breach"]
    assert topic.see({ORDERS: standing(GOOD, quiet=True), NORTH: standing(GOOD)}) == [("left", "good", True)]
    assert topic.see({ORDERS: standing(GOOD), NORTH: standing(GOOD)}) == [("reminder", "good", False)]
    assert topic.told == ["breach", "good"]
    assert topic.see({ORDERS: standing(GOOD), NORTH: standing(GOOD)}) == []


def test_the_book_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands good goes first; what is open stays."""
    monkeypatch.setattr("sinks.alerts.MAX_SUBJECTS", 3)
    topic = Topic()
    topic.see({ORDERS: standing(BREACH)})
    for number in range(10):
        other = Subject("oldest_wait", f"q{number}", "voice")
        topic.see({ORDERS: standing(BREACH), other: standing(WARN)})
        topic.see({ORDERS: standing(BREACH)})
    assert topic.see({}) == [("left", "good", False)]
    assert len(topic.book._last) <= 4


@pytest.mark.parametrize(
    ("kpi", "value", "text"),
    [
        ("oldest_wait", 107.9, "1:47"), ("oldest_wait", 3900, "1h05"), ("oldest_wait", 7, "0:07"),
        ("service_level", 0.6129, "61.3 %"),
        ("waiting", 14, "14"), ("concurrency", 2.5, "2.5"), ("oldest_wait", None, "–"), ("gone_kpi", 3, "3"),
    ],
)  # fmt: skip
def test_amounts_have_their_unit(kpi: str, value: float | None, text: str) -> None:
    """Waits as a clock, shares in percent."""
    assert amount(kpi, value) == text


def test_the_link_of_a_whole_queue_names_no_channel() -> None:
    """What is judged once for all channels has none of its own that a page could show."""
    assert page_of("http://wall/", Subject("slots_free", "orders", "any")) == "http://wall/?page=queue&queue=orders"
    assert page_of("http://wall", ORDERS) == "http://wall/?page=queue&queue=orders&channel=voice"


@pytest.mark.parametrize(
    ("kpi", "value", "limit", "text"),
    [
        ("service_level", 0.79996, 0.8, "79.9 %"),
        ("service_level", 0.8, 0.8, "80.0 %"),
        ("abandonment", 0.10004, 0.1, "10.1 %"),
        ("abandonment", 0.12344, 0.1, "12.3 %"),
        ("oldest_wait", 90.4, 90.0, "1:31"),
        ("oldest_wait", 89.9, 90.0, "1:29"),
        ("oldest_wait", 3605.0, 3_600.0, "1h01"),
        ("waiting", 1_234_567.0, 1_000_000.0, "1234567"),
    ],
)
def test_a_rounded_amount_stays_on_its_side_of_the_limit(kpi: str, value: float, limit: float, text: str) -> None:
    """A message that says 80.0 % of a limit of 80.0 % is no reason to wake anybody."""
    assert amount(kpi, value, limit) == text


def alert(**changes: object) -> Alert:
    """Return a record."""
    fields: dict[str, object] = {
        "id": "1", "previous": None, "kind": "entered", "kpi": "service_level", "queue": "orders", "channel": "voice",
        "level": "breach", "before": "good", "told": "breach", "value": 0.613, "limit": 0.7, "n": 62, "window": "15m", "since": T0,
        "at": T0, "url": "http://wall/?queue=a&channel=b",
    }  # fmt: skip
    return Alert.model_validate(fields | changes)


def test_a_line_says_it_to_people() -> None:
    """Sign, word, place, value, window, limit."""
    assert line(alert()) == "■ BREACH  orders (voice): service level 61.3 % over 15m of 62, limit 70.0 %"
    assert line(alert(level="good", kpi="occupancy", queue="", channel="", group="north", n=0, window="")) == (
        "✓ fine again  north: occupancy 61.3 %, limit 70.0 %"
    )


def test_chats_get_text_in_which_no_name_is_markup() -> None:
    """Slack's three signs are escaped, DingTalk and WeCom get plain text; several alerts are one message."""
    some = [alert(queue="<!channel> & *b*"), alert(queue="订单")]
    slack = json.loads(body("slack", some))
    assert "<" not in slack["text"]
    assert "&lt;!channel&gt; &amp; *b*" in slack["text"]
    assert slack["mrkdwn"] is False
    for template in ("dingtalk", "wecom"):
        said = json.loads(body(template, some))
        assert said["msgtype"] == "text"
        assert "<!channel> & *b*" in said["text"]["content"]
        assert said["text"]["content"].count("BREACH") == 2
    assert body("json", some) == some[0].encode()


def test_dingtalk_is_signed_as_it_documents() -> None:
    """HMAC-SHA256 of timestamp, newline, secret; Base64, quoted. Checked against openssl by hand."""
    url = signed("https://chat.example/send?access_token=x", "SECabc", 1_700_000_000_000)
    sign = "jcUpW0QmtKduN03n4JqQ0PBosVjqnM8gU7fIIvsDmCM%3D"
    assert url == f"https://chat.example/send?access_token=x&timestamp=1700000000000&sign={sign}"
