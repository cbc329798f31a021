"""Webhooks: each template against a real server, retries, refusals, bounds, secrets; boards that share one alerts topic."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import pytest
from aiokafka import AIOKafkaProducer

from schemas.alerts import Alert
from schemas.config import Config
from schemas.config_file import effective, load
from schemas.errors import ConfigError
from schemas.notify import Webhook
from sinks.alert_log import AlertLog, Look, Place
from sinks.messages import MAX_BYTES, body, fitting, line
from sinks.reader import wall_ms
from sinks.standing import BREACH, GOOD, Standing, Subject
from sinks.webhooks import Poster
from streams.embedded import EmbeddedBroker
from tests.receiver import Got, Receiver

T0 = 1_795_269_600_000
SUBJECT = Subject("oldest_wait", "orders", "voice")


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between attempts are short."""
    monkeypatch.setattr("sinks.webhooks.PAUSE_S", (0.02, 0.1))


def alert(number: int = 0, level: str = "breach") -> Alert:
    """Return a record."""
    return Alert.model_validate({
        "id": f"id{number}", "previous": None, "kind": "entered", "kpi": "oldest_wait", "queue": f"q{number}", "level": level,
        "before": "good", "told": level, "value": 95, "limit": 90, "since": T0, "at": T0, "url": "http://wall/",
    })  # fmt: skip


class Posting:
    """A poster that runs, and what it said is done."""

    def __init__(self, **settings: object) -> None:
        self.done: list[int] = []
        webhook = Webhook.model_validate({"name": "w", **settings})
        self.poster = Poster(webhook, lambda _, offset: self.done.append(offset), lambda: T0)

    async def until(self, what: Callable[[], bool]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(10):
            while not what():  # noqa: ASYNC110  it comes to be so in another program
                await asyncio.sleep(0.01)

    async def __aenter__(self) -> Self:
        self.poster.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.poster.stop()


async def test_the_json_template_posts_the_record_itself() -> None:
    """With an idempotency key and the Authorization header that is configured; one request each, in order."""
    async with Receiver() as receiver, Posting(url=receiver.url + "hook", authorization="Bearer abc") as posting:
        for number in range(3):
            posting.poster.put(number, alert(number))
        await posting.until(lambda: len(posting.done) == 3)
    assert [got.body["queue"] for got in receiver.got] == ["q0", "q1", "q2"]
    assert [got.headers["Idempotency-Key"] for got in receiver.got] == ["id0", "id1", "id2"]
    assert {(got.path, got.headers["Authorization"]) for got in receiver.got} == {("/hook", "Bearer abc")}
    assert posting.done == [0, 1, 2]


async def test_chats_get_several_alerts_in_one_message() -> None:
    """A floor that breaches all at once is not one message per queue; DingTalk's are signed."""
    signing = {"template": "dingtalk", "secret": "SECabc"}
    async with Receiver(lambda _: (200, {"errcode": 0})) as receiver, Posting(url=receiver.url, **signing) as posting:
        for number in range(45):
            posting.poster.put(number, alert(number))
        await posting.until(lambda: len(posting.done) == 45)
    assert len(receiver.got) == 3
    assert all(got.query["timestamp"] == str(T0) and got.query["sign"] for got in receiver.got)


async def test_no_message_is_longer_than_its_chat_takes() -> None:
    """WeCom refuses text of more than 2,048 bytes: a floor that breaches all at once comes in several messages, none lost."""
    def answer(got: Got) -> tuple[int, object]:
        return (200, {"errcode": 0 if len(got.body["text"]["content"].encode()) <= 2048 else 40058})

    async with Receiver(answer) as receiver, Posting(url=receiver.url, template="wecom", retry_for="1s") as posting:
        for number in range(20):
            named = {"queue": f"订单 {number}.", "url": "http://wall/" + 100 * "x"}
            posting.poster.put(number, alert(number).model_copy(update=named))
        await posting.until(lambda: len(posting.done) == 20)
    told = "".join(got.body["text"]["content"] for got in receiver.got)
    assert (posting.poster.counts.delivered, posting.poster.counts.failed, len(receiver.got)) == (20, 0, 2)
    assert all(told.count(f"订单 {number}.") == 1 for number in range(20))


@pytest.mark.parametrize("template", ["slack", "dingtalk", "wecom"])
def test_a_single_alert_that_is_too_long_is_cut_at_a_character(template: str) -> None:
    """Its link is left out rather than broken; up to the last byte nothing is left out."""
    def said(url: int, queue: int) -> str:
        one = alert().model_copy(update={"queue": "订" * queue, "url": "x" * url})
        message = json.loads(body(template, [one]))
        text = message["text"] if template == "slack" else message["text"]["content"]
        assert isinstance(text, str)
        return text

    most = MAX_BYTES[template]
    room = most - len(line(alert().model_copy(update={"queue": "订"})).encode()) - 1
    assert len(said(room, 1).encode()) == most
    assert said(room, 1).endswith("\n" + "x" * room)
    assert said(room + 1, 1).endswith("limit 1:30")
    assert most - 3 < len(said(100, most).encode()) <= most
    assert said(100, most).endswith("订订…")
    long = alert().model_copy(update={"queue": "订" * most})
    assert fitting(template, [long, long]) == 1


def test_as_many_alerts_are_one_message_as_fit() -> None:
    """Up to the last byte; 20 at most, and of JSON one."""
    some = [alert(n) for n in range(10)]
    size = len(json.loads(body("wecom", some[:2]))["text"]["content"].encode())
    filling = some[1].model_copy(update={"url": some[1].url + "x" * (2048 - size)})
    assert fitting("wecom", [some[0], filling, some[2]]) == 2
    assert fitting("wecom", [some[0], filling.model_copy(update={"url": filling.url + "x"}), some[2]]) == 1
    assert [fitting(template, some * 3) for template in ("json", "slack", "dingtalk")] == [1, 20, 20]
    assert [fitting(template, []) for template in ("json", "wecom")] == [0, 0]


@pytest.mark.parametrize("failure", [500, 429, 302, 307, (200, {"errcode": 130101})], ids=str)
async def test_what_fails_is_tried_again(failure: int | tuple[int, object]) -> None:
    """Until it succeeds; nothing is done before."""
    def answer(_: Got) -> int | tuple[int, object]:
        return failure if len(receiver.got) < 3 else (200, {"errcode": 0})

    async with Receiver(answer) as receiver, Posting(url=receiver.url, template="wecom") as posting:
        posting.poster.put(7, alert())
        await posting.until(lambda: bool(receiver.got))
        assert posting.done == []
        await posting.until(lambda: posting.done == [7])
    assert (len(receiver.got), posting.poster.counts.delivered, posting.poster.counts.failed) == (3, 1, 0)


@pytest.mark.parametrize("template", ["dingtalk", "wecom"])
async def test_an_answer_in_pieces_is_read_to_its_end(template: str) -> None:
    """What a chat took is not posted again because its answer came in two."""
    pieces = [b'{"errcode": 0, ', b'"errmsg": "ok"}']
    async with Receiver(lambda _: (200, pieces)) as receiver, Posting(url=receiver.url, template=template) as posting:
        posting.poster.put(7, alert())
        await posting.until(lambda: posting.done == [7] or len(receiver.got) > 1)
    assert (len(receiver.got), posting.poster.counts.delivered) == (1, 1)


async def test_no_answer_is_read_for_ever() -> None:
    """One that goes on and on is a failed attempt after 64 KiB, and where the status says all, none is read."""
    pieces = [b" " * 40_000] * 200
    async with Receiver(lambda _: (200, pieces)) as receiver:
        async with Posting(url=receiver.url, template="wecom", timeout="5s") as posting:
            posting.poster.put(7, alert())
            await posting.until(lambda: len(receiver.got) > 1)
        assert posting.done == []
        async with Posting(url=receiver.url, timeout="5s") as posting:
            posting.poster.put(7, alert())
            await posting.until(lambda: posting.done == [7])


async def test_no_answer_ends_a_webhook_for_good() -> None:
    """One that is nested too deeply to be read is a failed attempt, and the next one is made."""
    def answer(_: Got) -> tuple[int, object]:
        return (200, b"[" * 60_000) if len(receiver.got) < 3 else (200, {"errcode": 0})

    async with Receiver(answer) as receiver, Posting(url=receiver.url, template="wecom") as posting:
        posting.poster.put(7, alert())
        await posting.until(lambda: posting.done == [7])
    assert (len(receiver.got), posting.poster.counts.delivered) == (3, 1)


async def test_whatever_goes_wrong_is_a_failed_attempt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Also what nobody thought of: it is tried again, given up in the end, and logged by its kind only."""
    def broken(*_: object) -> str | None:
        raise UnicodeError("HTTP T0PSECRET")

    monkeypatch.setattr("sinks.webhooks.refusal", broken)
    async with Receiver() as receiver, Posting(url=receiver.url, template="wecom", retry_for="0.2s") as posting:
        posting.poster.put(0, alert(0))
        await posting.until(lambda: posting.done == [0])
        posting.poster.put(1, alert(1))
        await posting.until(lambda: posting.done == [0, 1])
    assert (posting.poster.counts.failed, posting.poster.counts.attempts > 3) == (2, True)
    written = capsys.readouterr()
    assert "UnicodeError" in written.out + written.err
    assert "T0PSECRET" not in written.out + written.err


async def test_a_task_that_failed_keeps_nobody_from_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its poster nor the board's alerts, whose other webhooks are stopped as well."""
    async def broken(_: object) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(Poster, "_run", broken)
    monkeypatch.setattr(AlertLog, "_run", broken)
    hooks = [Webhook.model_validate({"name": name, "url": "http://x"}) for name in "ab"]
    alerts = AlertLog(Place("t", "g", {}), hooks, lambda: None, lambda _: "", wall_ms)
    alerts.start()
    await asyncio.sleep(0)
    await alerts.stop()
    assert [poster._task for poster in alerts.posters.values()] == [None, None]


async def test_what_is_refused_or_too_old_is_given_up() -> None:
    """A wrong address is not tried for ever, and what comes after it is delivered."""
    async with Receiver(lambda got: 404 if got.body["queue"] == "q0" else 200) as receiver, Posting(url=receiver.url) as posting:
        posting.poster.put(0, alert(0))
        posting.poster.put(1, alert(1))
        await posting.until(lambda: posting.done == [0, 1])
    assert (posting.poster.counts.failed, posting.poster.counts.delivered) == (1, 1)
    async with Posting(url="http://127.0.0.1:1/", retry_for="0.2s") as posting:
        posting.poster.put(0, alert(0))
        await posting.until(lambda: posting.done == [0])
    assert posting.poster.counts.attempts > 1


async def test_the_list_of_a_webhook_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is given up for one more; nobody waits."""
    monkeypatch.setattr("sinks.webhooks.MAX_PENDING", 3)
    async with Posting(url="http://127.0.0.1:1/") as posting:
        for number in range(5):
            posting.poster.put(number, alert(number))
        assert (posting.done, posting.poster.counts.pending, posting.poster.counts.failed) == ([0, 1], 3, 2)


async def test_secrets_come_from_files_and_stand_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not in the effective configuration, not in an error, not in the log of a failure."""
    address = tmp_path / "url"
    address.write_text("http://127.0.0.1:1/services/T0PSECRET\n")
    async with Posting(url_file=str(address)) as posting:
        posting.poster.put(0, alert())
        await posting.until(lambda: posting.poster.counts.attempts > 1)
    secrets = {"url": "http://x/T0PSECRET", "secret": "SECT0PSECRET", "authorization": "T0PSECRET"}
    hook = {"name": "w", "template": "dingtalk", **secrets}
    config = Config.model_validate({"alerts": {"webhooks": [hook]}})
    file = tmp_path / "c.yaml"
    file.write_text("alerts:\n  webhooks:\n    - {name: w, url: ftp://T0PSECRET}\n")
    with pytest.raises(ConfigError) as refused:
        load(file)
    assert "line 3" in str(refused.value)
    written = capsys.readouterr()
    assert "webhook cannot be reached" in written.out + written.err
    for text in (effective(config), str(refused.value), repr(config), written.out, written.err):
        assert "T0PSECRET" not in text
    with pytest.raises(ConfigError, match="cannot be read"):
        Posting(url_file=str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        ({"name": "w"}, "set either url or url_file"),
        ({"name": "w", "url": "http://x", "secret": "s"}, "only template dingtalk"),
        ({"name": "w", "url": "http://x", "authorization": "a", "authorization_file": "b"}, "leave out one"),
        ({"name": "no good", "url": "http://x"}, "name"),
        ({"name": "w", "url": "http://hooks..example/"}, "1 to 63 characters"),
        ({"name": "w", "url": f"http://{'a' * 64}.example/"}, "1 to 63 characters"),
        ({"name": "w", "url": "http://x:99999/"}, "host or port"),
        ({"name": "w", "url": "https:///services"}, "names no host"),
    ],
)
def test_half_a_webhook_is_refused(hook: dict[str, object], words: str) -> None:
    """With what to set."""
    with pytest.raises(ValueError, match=words):
        Config.model_validate({"alerts": {"webhooks": [hook]}})


def test_an_address_in_a_file_is_refused_like_any_other(tmp_path: Path) -> None:
    """By the name of its webhook, not by itself."""
    address = tmp_path / "url"
    address.write_text("http://hooks..example/T0PSECRET\n")
    with pytest.raises(ConfigError, match="the address of w is not an address") as refused:
        Posting(url_file=str(address))
    assert "T0PSECRET" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://[::1]:80/", "http://münchen.example./a", "https://my_host:8443/x?y=z", "http://10.0.0.1"])
def test_addresses_of_all_kinds_are_taken(url: str) -> None:
    """Also those with letters of other alphabets."""
    assert Webhook.model_validate({"name": "w", "url": url}).url is not None


def test_two_webhooks_of_one_name_are_refused() -> None:
    """Names are those of logs and metrics."""
    hook = {"name": "w", "url": "http://x"}
    with pytest.raises(ValueError, match="stands there twice"):
        Config.model_validate({"alerts": {"webhooks": [hook, hook]}})


class Side:
    """One board's alert log over an embedded broker; `stand` is what the board sees."""

    def __init__(self, bootstrap: str, url: str) -> None:
        self.number, self.standings = 0, {SUBJECT: Standing(GOOD, T0, 1.0, 60, 90)}
        kafka = {"bootstrap_servers": bootstrap}
        hooks = [Webhook.model_validate({"name": "w", "url": url, "level": "warn"})]
        self.log = AlertLog(Place("floorpulse.alerts", "floorpulse-alerts", kafka), hooks, self.look, lambda s: s.queue, wall_ms)

    def look(self) -> Look:
        """Return what the board sees."""
        self.number += 1
        return Look(self.number, wall_ms(), self.standings)

    def stand(self, level: int | None) -> None:
        """Stand at a level."""
        self.standings = {SUBJECT: Standing(level, wall_ms(), 95.0, 60, 90)}


@asynccontextmanager
async def side(bootstrap: str, url: str) -> AsyncIterator[Side]:
    """Run one board's alert log."""
    found = Side(bootstrap, url)
    found.log.start()
    try:
        yield found
    finally:
        await found.log.stop()


async def until(what: Callable[[], bool], within_s: float = 40) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(within_s):
        while not what():  # noqa: ASYNC110  it comes to be so on the broker
            await asyncio.sleep(0.02)


async def test_a_new_owner_posts_what_the_old_one_did_not() -> None:
    """Records published but not delivered are posted after a restart; those that were are not; garbage harms nobody."""
    refusing = True
    with EmbeddedBroker() as broker:
        broker.create(["floorpulse.alerts"])
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
            await producer.send_and_wait("floorpulse.alerts", b"\xff{", b"?", partition=0)
        async with Receiver(lambda got: 503 if refusing and got.body["level"] == "good" else 200) as receiver:
            async with side(broker.bootstrap, receiver.url) as first:
                first.stand(BREACH)
                await until(lambda: len(receiver.got) == 1)
                await until(lambda: first.log._committed == 2)
                first.stand(GOOD)
                await until(lambda: len(receiver.got) > 2)
            refusing, before = False, len(receiver.got)
            async with side(broker.bootstrap, receiver.url) as second:
                second.stand(GOOD)
                await until(lambda: second.log.owner and second.log._committed == 3)
                await asyncio.sleep(0.3)  # time to post something again
                assert second.log.published == 0
    assert [got.body["level"] for got in receiver.got[before:]] == ["good"]
    assert {got.body["level"] for got in receiver.got[1:]} == {"good"}
