"""`floorpulse produce` on the command line: routes, bad lines, resuming, pace; no broker is asked."""

from __future__ import annotations

import asyncio
import gzip
import os
import re
import signal
import threading
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path
from termios import FIONREAD
from typing import Self

import pytest

from schemas.config import Config
from schemas.instants import format_instant
from streams import produce as produce_module
from tests.builders import T0
from tests.command_line import HELD, Event, Run, call, is_one_line, lines_of


class Collected:
    """Stands in for the connection to Kafka: keeps what would be sent."""

    sent = 0

    def __init__(self, config: Config) -> None:
        self.config = config
        self.records: list[tuple[str, bytes, bytes]] = []
        self.places: list[str] = []
        self.ended_at: int | None = None
        made.append(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        return None

    @property
    def first_open(self) -> str | None:
        """The place of the first record since the last flush."""
        return next(iter(self.places), None)

    async def send(self, topic: str, key: bytes, value: bytes, place: str = "") -> None:
        """Keep a record."""
        self.records.append((topic, key, value))
        self.places.append(place)
        self.sent += 1

    async def flush(self) -> None:
        """Have nothing in flight."""
        self.places = []

    async def end_input(self, at_ms: int, place: str = "") -> None:
        """Keep the time of the markers."""
        del place
        self.ended_at = at_ms


made: list[Collected] = []


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Collected]:
    """The connections that `produce` makes, none of them to a broker."""
    made.clear()
    monkeypatch.setattr(produce_module, "Sender", Collected)
    return made


def test_produce_sends_each_line_to_its_topic_under_its_key(run: Run, sent: list[Collected]) -> None:
    """Bytes as they stand in the file; at the end markers with the newest time."""
    events = [*call("s", 5_000), {"type": "agent.status", "agent_id": "a", "status": "away"}, {"type": "site.visits", "count": 1}]
    Path("e.jsonl").write_bytes(lines_of(events))
    done = run("produce", "e.jsonl")
    assert (done.status, done.out) == (0, "")
    lines = Path("e.jsonl").read_bytes().splitlines()
    routes = [("queues", b"s"), ("queues", b"s"), ("status", b"a"), ("business", b"")]
    assert sent[0].records == [(*route, line) for route, line in zip(routes, lines, strict=True)]
    assert sent[0].ended_at == T0 + 5_000
    assert done.err == "4 events sent; last line: e.jsonl --from-line 4\n"


def test_produce_stops_at_the_first_bad_line(run: Run, sent: list[Collected]) -> None:
    """One line: file, number, what is wrong, and how to go on; what came before it is sent, nothing is ended."""
    Path("e.jsonl").write_bytes(lines_of(call("s", 5_000)) + b"\n{nope\n" + lines_of([HELD]))
    done = run("produce", "e.jsonl")
    assert done.status == 1
    assert is_one_line(done.err)
    assert "e.jsonl line 4: " in done.err
    assert "--keep-going puts such lines into e.jsonl.rejected" in done.err
    assert len(sent[0].records) == 2
    assert sent[0].ended_at is None


def test_produce_keeps_going_where_wanted(run: Run, sent: list[Collected]) -> None:
    """Bad lines go into a file of their own, as they are."""
    Path("e.jsonl").write_bytes(b"{nope\n" + lines_of(call("s", 5_000)) + b'{"type":"x"}\n')
    done = run("produce", "e.jsonl", "--keep-going", "--no-end")
    assert done.status == 0
    assert Path("e.jsonl.rejected").read_bytes() == b'{nope\n{"type":"x"}\n'
    assert done.err.startswith("2 events sent, 2 bad lines in e.jsonl.rejected")
    assert sent[0].ended_at is None


def test_produce_refuses_a_status_that_nothing_maps_at_its_time(run: Run, sent: list[Collected]) -> None:
    """As a worker does with the same configuration; it names the place where it would be mapped."""
    status = {"type": "agent.status", "agent_id": "a"}
    events = [{**status, "status": name, "at": at} for name in ("away", "tea", "lunch") for at in (T0, T0 + 1000)]
    Path("e.jsonl").write_bytes(lines_of(events))
    Path("floorpulse.yaml").write_text(
        f"agents: {{statuses: {{tea: break}}}}\nchanges:\n- effective_from: {format_instant(T0 + 1000)}\n"
        "  agents: {statuses: {lunch: meal}}\n",
        encoding="utf-8",
    )
    done = run("produce", "e.jsonl")
    assert (done.status, is_one_line(done.err)) == (1, True)
    assert "e.jsonl line 5: status 'lunch' is not mapped (agents.statuses in the configuration). --keep-going" in done.err
    assert run("produce", "e.jsonl", "--keep-going").status == 0
    assert [len(connection.records) for connection in sent] == [4, 5]


def test_produce_refuses_the_lines_that_a_report_does(run: Run, sent: list[Collected]) -> None:
    """Whatever they are refused for, as long as it does not depend on what came before."""
    whole: list[Event] = [*call("s", 5_000), HELD, {"type": "site.visits", "count": 1}, {"type": "agent.joined", "agent_id": "a"}]
    whole += [{"type": "agent.status", "agent_id": "a", "status": "busy"}, {"type": "cost.booked", "amount": 1, "currency": "EUR"}]
    odd: list[object] = [None, "", "all", "lunch", "Busy", "x" * 129, "a\x00b", "2026-11-21T14:00:00", -1, 1.5, True, ["g"], {}]
    spoilt = [{**event, field: value} for event in whole for field in event for value in odd]
    Path("e.jsonl").write_bytes(lines_of([{"id": f"e{n}", **event} for n, event in enumerate([*whole, *spoilt])]))
    run("produce", "e.jsonl", "--keep-going")
    Path("good.jsonl").write_bytes(b"".join(value + b"\n" for _, _, value in sent[0].records))
    invalid = [re.search(r"(\d+) invalid", run("report", name).err) for name in ("e.jsonl.rejected", "good.jsonl")]
    refused = len(Path("e.jsonl.rejected").read_bytes().splitlines())
    assert [found and int(found[1]) for found in invalid] == [refused, 0]
    assert 100 < refused < len(spoilt)


def test_produce_resumes_at_a_line(run: Run, sent: list[Collected]) -> None:
    """As the summary of the run before says."""
    Path("e.jsonl").write_bytes(b"{nope\n" + lines_of(call("s", 5_000)))
    assert run("produce", "e.jsonl", "--from-line", "3").status == 0
    assert [record[0] for record in sent[0].records] == ["queues"]


@pytest.mark.parametrize("line", [3, 4])
def test_produce_has_nothing_to_resume_behind_the_last_line(run: Run, sent: list[Collected], line: int) -> None:
    """Neither at an empty last line nor right behind it: the file was wholly sent."""
    Path("e.jsonl").write_bytes(lines_of(call("s", 5_000)) + b"\n")
    done = run("produce", "e.jsonl", "--from-line", str(line))
    assert (done.status, sent[0].records) == (0, [])
    assert done.err.startswith("0 events sent")


def test_produce_cannot_resume_beyond_the_end(run: Run, sent: list[Collected]) -> None:
    """It is another file, or a slip; nothing is sent, of the files behind it neither."""
    Path("e.jsonl").write_bytes(lines_of(call("s", 5_000)) + b"\n")
    Path("f.jsonl").write_bytes(lines_of(call("t", 5_000)))
    for line in ("5", "999"):
        done = run("produce", "e.jsonl", "f.jsonl", "--from-line", line)
        assert (done.status, is_one_line(done.err)) == (2, True)
        assert f"--from-line {line}: e.jsonl has 3 lines" in done.err
    assert all(not connection.records for connection in sent)


@pytest.mark.parametrize("speed", ["0", "-1", "nan", "inf", "-inf"])
def test_produce_refuses_a_pace_that_is_none(run: Run, sent: list[Collected], speed: str) -> None:
    """0 and less, and what is not a finite number; before Kafka is asked."""
    Path("e.jsonl").write_bytes(lines_of(call("s", 5_000)))
    done = run("produce", "e.jsonl", "--speed", speed)
    assert (done.status, sent) == (2, [])
    assert is_one_line(done.err)
    assert f"--speed {speed} is not a finite number above 0; write --speed 60, or --speed max" in done.err


@pytest.mark.usefixtures("sent")
def test_produce_resumed_keeps_the_bad_lines_of_the_run_before(run: Run) -> None:
    """They lie beside those that come now; a run from the first line begins anew."""
    Path("e.jsonl").write_bytes(b"{nope\n" + lines_of(call("s", 5_000)) + b'{"type":"x"}\n')
    run("produce", "e.jsonl", "--keep-going")
    run("produce", "e.jsonl", "--keep-going", "--from-line", "4")
    assert Path("e.jsonl.rejected").read_bytes() == b'{nope\n{"type":"x"}\n{"type":"x"}\n'
    run("produce", "e.jsonl", "--keep-going")
    assert Path("e.jsonl.rejected").read_bytes() == b'{nope\n{"type":"x"}\n'


def test_produce_does_not_write_bad_lines_over_a_file_that_it_reads(run: Run, sent: list[Collected]) -> None:
    """The bad lines of one file, mended and sent with it."""
    Path("e.jsonl").write_bytes(b"{nope\n")
    mended = lines_of(call("s", 5_000))
    Path("e.jsonl.rejected").write_bytes(mended)
    done = run("produce", "e.jsonl", "e.jsonl.rejected", "--keep-going")
    assert (done.status, is_one_line(done.err), sent) == (2, True, [])
    assert "e.jsonl.rejected anew, which is one of the files that are read" in done.err
    assert Path("e.jsonl.rejected").read_bytes() == mended


def test_produce_sends_all_that_a_file_holds_before_it_breaks_off(run: Run, sent: list[Collected]) -> None:
    """Who goes on behind the line that is named loses none."""
    lines = lines_of([event for n in range(500) for event in call(f"s{n}", 5_000)])
    Path("e.jsonl.gz").write_bytes(gzip.compress(lines)[:-100])
    done = run("produce", "e.jsonl.gz")
    said = re.search(r"cannot be read beyond line (\d+): .*Is it whole", done.err)
    assert (done.status, said is not None) == (1, True), done.err
    assert said is not None
    count = int(said[1])
    assert 0 < count < 1000
    assert [value for *_, value in sent[0].records] == lines.splitlines()[:count]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("line", [1, 3, 4])
def test_produce_reads_a_pipe(run: Run, sent: list[Collected], packed: bool, line: int) -> None:
    """All of it: what a look beforehand takes from a pipe is gone."""
    lines = lines_of(call("s", 5_000))
    os.mkfifo("pipe")
    content = gzip.compress(lines) if packed else lines
    filling = threading.Thread(target=Path("pipe").write_bytes, args=(content,), daemon=True)
    filling.start()
    done = run("produce", "pipe", "--from-line", str(line))
    filling.join()
    assert (done.status, is_one_line(done.err)) == (2 if line == 4 else 0, True)
    assert len(sent[0].records) == max(0, 3 - line)


@pytest.fixture
def _alive() -> Iterator[None]:
    """SIGTERM that nobody handles is an error instead of the end of the tests."""

    def left_alone(*_: object) -> None:
        raise AssertionError("SIGTERM was left to its default")

    before = signal.signal(signal.SIGTERM, left_alone)
    yield
    after = signal.signal(signal.SIGTERM, before)
    assert after is left_alone


async def forever(*_: object) -> None:
    """Wait for nothing."""
    await asyncio.get_running_loop().create_future()


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """Ctrl-C as in the foreground: what a shell's script runs in the background, as these tests may be, does without it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_alive", "_interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("away", [False, True])
def test_produce_interrupted_says_where_to_resume(
    run: Run, sent: list[Collected], monkeypatch: pytest.MonkeyPatch, away: bool, number: int
) -> None:
    """Ctrl-C or SIGTERM: at the line whose turn it was, or the first of which the broker does not say that it has it."""
    Path("e.jsonl").write_bytes(lines_of([*call("s", 5_000), *call("t", 600_000)]))

    async def interrupted(_: float) -> None:
        os.kill(os.getpid(), number)
        await forever()

    monkeypatch.setattr(asyncio, "sleep", interrupted)
    monkeypatch.setattr(produce_module, "SETTLE_S", 0.1)
    if away:
        monkeypatch.setattr(Collected, "flush", forever)
    done = run("produce", "e.jsonl", "--speed", "0.0001")
    assert (done.status, len(sent[0].records), sent[0].ended_at) == (130, 1, None)
    assert done.err == f"1 events sent; last line: e.jsonl --from-line {1 if away else 2}\n"


@pytest.mark.usefixtures("_alive", "sent")
def test_produce_interrupted_with_all_in_flight_resumes_at_what_is_open(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last line was sent, but that is not what Kafka has."""
    Path("e.jsonl").write_bytes(lines_of(call("s", 5_000)))

    async def flush(_: Collected) -> None:
        if first.pop("time", False):
            os.kill(os.getpid(), signal.SIGTERM)
        await forever()

    first = {"time": True}
    monkeypatch.setattr(produce_module, "SETTLE_S", 0.1)
    monkeypatch.setattr(Collected, "flush", flush)
    done = run("produce", "e.jsonl", "--no-end")
    assert (done.status, done.err) == (130, "2 events sent; last line: e.jsonl --from-line 1\n")


@pytest.mark.usefixtures("_alive")
def test_produce_ends_by_sigterm_where_ctrl_c_is_off(run: Run, sent: list[Collected], monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell does for what a script runs in the background."""
    Path("e.jsonl").write_bytes(lines_of(call("s", 5_000)))

    async def interrupted(_: float) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await forever()

    monkeypatch.setattr(asyncio, "sleep", interrupted)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = run("produce", "e.jsonl", "--speed", "0.0001")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (done.status, len(sent[0].records), done.err) == (130, 1, "1 events sent; last line: e.jsonl --from-line 2\n")


@pytest.mark.usefixtures("_alive", "_interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_produce_is_interrupted_while_it_waits_for_a_pipe(run: Run, sent: list[Collected], number: int) -> None:
    """Whose other end says nothing more: by the first Ctrl-C or SIGTERM."""
    os.mkfifo("pipe")
    over = threading.Event()

    def fill() -> None:
        with Path("pipe").open("wb", buffering=0) as pipe:
            for line in lines_of(call("s", 5_000)).splitlines(keepends=True):
                pipe.write(line)
                while ioctl(pipe, FIONREAD, bytes(4)) != bytes(4):  # until it is read
                    over.wait(0.001)
            os.kill(os.getpid(), number)
            over.wait()

    filling = threading.Thread(target=fill, daemon=True)
    filling.start()
    done = run("produce", "pipe")
    over.set()
    filling.join()
    assert (done.status, sent[0].records, done.err) == (130, [], "0 events sent; last line: pipe --from-line 1\n")


@pytest.mark.usefixtures("sent")
def test_produce_says_that_bad_lines_have_no_place(run: Run) -> None:
    """Beside a pipe of the shell, /dev/fd/63, no file can be made."""
    reading, writing = os.pipe()
    os.write(writing, b"{nope\n")
    os.close(writing)
    done = run("produce", f"/dev/fd/{reading}", "--keep-going")
    os.close(reading)
    assert (done.status, is_one_line(done.err)) == (2, True)
    assert f"--keep-going cannot write /dev/fd/{reading}.rejected: No such file or directory" in done.err
