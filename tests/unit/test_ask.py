"""`report --live` and `explain` before something that is no board, or breaks off: one line, status 1 or 2, nothing written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.command_line import Run, is_one_line

HEADER = b"queue,interval_start,offered\n"
PAGE = b"<!DOCTYPE HTML>\n<html>\n\x1b[31mlog in\n</html>\n"


@contextmanager
def answering(status: int, body: bytes, length: int | None = None, server: str = "floorpulse") -> Iterator[str]:
    """Answer each request with that, and close; `length` is what the header claims."""

    class Answer(BaseHTTPRequestHandler):
        def version_string(self) -> str:
            return server

        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the library's
            del format, args

    listening = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}"
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def test_a_whole_table_is_written(run: Run) -> None:
    """The control of what follows."""
    with answering(200, HEADER) as url:
        assert run("report", "--live", url, "--out", "t.csv").status == 0
    assert Path("t.csv").read_bytes() == HEADER


@pytest.mark.parametrize("body", [HEADER, HEADER + b"orders,2026-11-21T22:00:00+08:00,5\n", b""])
def test_an_answer_that_breaks_off_replaces_nothing(run: Run, body: bytes) -> None:
    """It would look like a day on which nothing happened."""
    Path("t.csv").write_text("kept", encoding="utf-8")
    with answering(200, body, length=100_000) as url:
        done = run("report", "--live", url, "--out", "t.csv")
    assert (done.status, is_one_line(done.err)) == (1, True)
    assert f"broke off after {len(body)} of 100000 bytes" in done.err
    assert Path("t.csv").read_text(encoding="utf-8") == "kept"


@pytest.mark.parametrize("body", [PAGE, b"", b"ok"])
def test_what_is_no_table_is_not_written_as_one(run: Run, body: bytes) -> None:
    """A page to log in, with status 200."""
    with answering(200, body) as url:
        done = run("report", "--live", url, "--out", "t.csv")
    assert (done.status, is_one_line(done.err), Path("t.csv").exists()) == (1, True, False)
    assert "is it a floorpulse board?" in done.err


@pytest.mark.parametrize("status", [404, 500, 502])
@pytest.mark.parametrize("command", [["report", "--live"], ["explain", "--kpi", "waiting", "--url"]])
def test_a_page_of_an_error_is_one_line(run: Run, command: list[str], status: int) -> None:
    """As proxies send them; a text in one line is told."""
    for body, told in ((PAGE, "with a page: is it a floorpulse board?"), (b"no \x1b[31mupstream", r"no \x1b[31mupstream")):
        with answering(status, body, server="nginx") as url:
            done = run(*command, url)
        assert (done.status, is_one_line(done.err), done.out) == (1, True, "")
        assert str(status) in done.err
        assert told in done.err


def test_an_address_with_a_path_too_much_is_told(run: Run) -> None:
    """That of `/metrics`, say; the board's own answer would name nothing."""
    with answering(404, b"404: Not Found") as url:
        done = run("report", "--live", f"{url}/metrics")
    assert (done.status, is_one_line(done.err)) == (2, True)
    assert f"--live {url}/metrics: the board has no /api/v1/intervals there; give its address alone" in done.err


@pytest.mark.parametrize("out", ["nowhere/x", "a\nb/x"])
@pytest.mark.parametrize("command", [["simulate", "--duration", "1m"], ["rules"], ["report", "e.jsonl"]])
def test_a_folder_that_is_not_there_is_wrong_use_everywhere(run: Run, command: list[str], out: str) -> None:
    """Before any work, and in one line."""
    Path("e.jsonl").write_bytes(b"")
    done = run(*command, "--out", out)
    assert (done.status, is_one_line(done.err), done.out) == (2, True, "")
    assert "does not exist; make it, or name another" in done.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here, a disk that is always full")
def test_a_full_disk_has_a_remedy(run: Run) -> None:
    """Of what was to be written."""
    done = run("simulate", "--duration", "1m", "--out", "/dev/full")
    assert (done.status, is_one_line(done.err)) == (1, True)
    assert "No space left on device: make room, or write elsewhere" in done.err
