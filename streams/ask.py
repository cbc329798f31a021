"""What people ask: the interval table of files or of a running board, and how a number of a board came about."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final, NamedTuple

import typer

from schemas.config import Config
from schemas.errors import BoardError, UnknownName, UsageError
from streams.outputs import target as target_of
from streams.progress import progress_bar, text_size

LIVE_TIMEOUT_S: Final = 30.0
MAX_TABLE_BYTES: Final = 1 << 30
FORMATS: Final = ("csv", "parquet")
_ACCESS: Final = ("FLOORPULSE_BOARD__USERNAME", "FLOORPULSE_BOARD__PASSWORD", "FLOORPULSE_BOARD__PASSWORD_FILE")
_PLAIN_PATH: Final = re.compile(r"[!-~]*")
_REFUSED: Final = {400: UsageError, 404: UnknownName}
_NO_SUCH_ADDRESS: Final = "404: Not Found"
_EXAMPLE: Final = "http://127.0.0.1:9464"


class Wanted(NamedTuple):
    """The table that was asked for, in a person's words."""

    interval: str = "15m"
    by: str = "queue"
    zone: str | None = None
    compare: str | None = None
    form: str = "csv"
    out: str = "-"
    jobs: int | None = None


def run_report(config: Config, files: Sequence[Path], wanted: Wanted, *, live: str | None) -> None:
    """Write the interval table of files, or of a running board, as CSV or Parquet."""
    from sinks.table import choose

    choice = choose(wanted.interval, wanted.by, wanted.zone, wanted.compare)
    if wanted.form not in FORMATS:
        raise UsageError(f"--format {wanted.form[:40]!r} is not one of {', '.join(FORMATS)}")
    if wanted.form == "parquet":
        from sinks.parquet import load_pyarrow

        load_pyarrow()  # before hours of work, not after
    if bool(files) == bool(live):
        raise UsageError("give either files or --live URL, e.g. floorpulse report events.jsonl --out table.csv")
    target = target_of(wanted.out, f"table.{wanted.form}")
    if target is not None and any(file.exists() and target.exists() and target.samefile(file) for file in files):
        raise UsageError(f"--out {wanted.out} is one of the files that are read; name another one, or its events would be lost")
    if live:
        _write_live(live, wanted, target)
        return
    from streams.jobs import job_count
    from streams.memory import settle_memory
    from streams.report import report

    settle_memory()
    jobs = wanted.jobs or job_count(files)
    with progress_bar("reading", text_size(files)) as advance:
        result = report(files, config.rules(wanted.zone), choice, advance, jobs=jobs, core=config.worker.core)
    table = result.table
    if wanted.form == "parquet":
        _write_parquet(table.header, table.units, table.values(), target)
    else:
        opened = nullcontext(sys.stdout) if target is None else target.open("w", encoding="utf-8", newline="")
        with opened as file:
            table.write_csv(file)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in result.outcomes.items())
    typer.echo(f"{result.read} lines read: {counts}; {len(table.rows)} rows", err=True)
    for complaint in result.complaints:
        typer.echo(f"  {complaint}", err=True)


def _write_live(live: str, wanted: Wanted, target: Path | None) -> None:
    asked = {"interval": wanted.interval, "by": wanted.by, "zone": wanted.zone, "compare": wanted.compare}
    form = "csv" if wanted.form == "csv" else "json"
    text = fetch(live, "/api/v1/intervals", {**asked, "format": form}, option="--live")
    if wanted.form == "parquet":
        body = _read_json(text, live)
        _write_parquet(body["columns"], body["units"], body["rows"], target)
    elif "interval_start" not in text.partition("\n")[0].split(","):  # each table has it, and a login page has not
        raise BoardError(f"{live.rpartition('@')[2]} did not answer with an interval table: is it a floorpulse board?")
    elif target is None:
        sys.stdout.write(text)
    else:
        target.write_text(text, encoding="utf-8")


def _write_parquet(header: Sequence[str], units: Sequence[str], rows: Iterable[Sequence[Any]], target: Path | None) -> None:
    from sinks.parquet import write_parquet

    write_parquet(header, units, rows, sys.stdout.buffer if target is None else target)


def run_explain(url: str, asked: Mapping[str, str | None], *, as_json: bool) -> None:
    """Print how a number of a running board came about."""
    from streams.explained import WIDTH, as_lines

    body = _read_json(fetch(url, "/api/v1/explain", asked, option="--url"), url)
    if as_json:
        typer.echo(json.dumps(body, ensure_ascii=False, indent=2))
        return
    for line in as_lines(body, WIDTH):
        typer.echo(line)


def _read_json(text: str, url: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise BoardError(f"{url.rpartition('@')[2]} did not answer with JSON: is it a floorpulse board?")
    return body


class _Board(NamedTuple):
    """Where a board is and who asks it; `url` has no password, so that messages have none."""

    url: str
    credentials: str | None


def _board(url: str, option: str) -> _Board:
    """Return the board at an address, which may hold `user:password@`; else both are the environment's, as for the board itself."""
    try:
        url.encode()  # refuses what was no text on the command line
        parts = urllib.parse.urlsplit(url)
        _ = parts.port  # refuses what is no port
        host = parts.netloc.rpartition("@")[2] if parts.hostname and parts.scheme in ("http", "https") else ""
        username, password = (urllib.parse.unquote(part or "") for part in (parts.username, parts.password))
    except ValueError:
        host = ""
    if not host:
        shown = url.rpartition("@")[2][:200]
        raise UsageError(f"{option} {shown!r} is not an http or https address, e.g. {_EXAMPLE}")
    if not _PLAIN_PATH.fullmatch(parts.path):
        quoted = urllib.parse.quote(parts.path[:200], safe="/%")
        raise UsageError(f"{option}: the path {parts.path[:200]!r} cannot stand in an address as it is; write {quoted}")
    bare = urllib.parse.urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
    if not username:
        username, password = _from_environment()
    return _Board(bare, f"{username}:{password}" if username else None)


def _from_environment() -> tuple[str, str]:
    """Return user and password, empty where one of them is missing."""
    username, password, file = (os.environ.get(name, "") for name in _ACCESS)
    if username and file and not password:
        try:
            password = next(iter(Path(file).read_text(encoding="utf-8").splitlines()), "")
        except (OSError, ValueError) as error:
            raise UsageError(f"{_ACCESS[2]} {file}: {error}: give a file that can be read") from None
    return (username, password) if username and password else ("", "")


class _NoDetours(urllib.request.HTTPRedirectHandler):
    """A board never sends elsewhere: whoever does gets no password."""

    def redirect_request(self, *_: Any) -> None:
        """Follow no redirection."""


def _whole(answer: http.client.HTTPResponse) -> str:
    """Return an answer's text; raises `BoardError` for one that broke off, which a sized read does not tell, or is too large."""
    body = answer.read(MAX_TABLE_BYTES + 1)
    if len(body) > MAX_TABLE_BYTES:
        raise BoardError(f"the board's answer is larger than {MAX_TABLE_BYTES} bytes: ask for longer intervals, or by queue alone")
    if answer.length:
        size = len(body) + answer.length
        raise BoardError(f"the board's answer broke off after {len(body)} of {size} bytes; nothing is written. Try again")
    return body.decode()


def fetch(url: str, path: str, query: Mapping[str, str | None], *, option: str) -> str:
    """Return a board's answer; raises `BoardError`, and `UsageError` where it refuses what was asked."""
    board = _board(url, option)
    try:
        wanted = urllib.parse.urlencode({name: value for name, value in query.items() if value is not None})
    except UnicodeEncodeError as error:
        raise UsageError(f"{error.object!r} cannot be asked for: it is not valid UTF-8") from None
    whole = f"{board.url}{path}?{wanted}"
    headers = {}
    if board.credentials is not None:
        headers["Authorization"] = f"Basic {base64.b64encode(board.credentials.encode()).decode()}"
    opener = urllib.request.build_opener(_NoDetours)
    try:
        with opener.open(urllib.request.Request(whole, headers=headers), timeout=LIVE_TIMEOUT_S) as answer:
            return _whole(answer)
    except urllib.error.HTTPError as error:
        said = error.read(500).decode(errors="replace").strip()
        if error.code == 404 and said == _NO_SUCH_ADDRESS:
            said = f"{option} {board.url}: the board has no {path} there; give its address alone, e.g. {_EXAMPLE}"
            raise UsageError(said) from None
        if error.code in _REFUSED and "\n" not in said and error.headers.get("Server") == "floorpulse":
            raise _REFUSED[error.code](said) from None
        if error.code == 401:
            what = "does not know this user and password" if headers else "asks for a user and a password"
            remedy = f"give them as {option} https://user:password@host:port or by {_ACCESS[0]} and {_ACCESS[1]}"
            raise BoardError(f"the board at {board.url} {what}: {remedy}") from None
        if "\n" in said or said.startswith("<"):  # a page, as proxies send
            raise BoardError(f"{board.url} answered {error.code} with a page: is it a floorpulse board? ({whole})") from None
        raise BoardError(f"the board answered {error.code}: {said} ({whole})") from None
    except http.client.InvalidURL:
        raise UsageError(f"{option} {board.url!r} is not an http or https address, e.g. {_EXAMPLE}") from None
    except (OSError, ValueError) as error:
        raise BoardError(f"cannot ask the board at {whole}: {error}. Is it running? floorpulse board") from None
    except http.client.HTTPException as error:
        raise BoardError(f"{board.url} did not answer in HTTP: is it a floorpulse board? ({repr(error)[:200]})") from None


__all__ = ["Wanted", "fetch", "run_explain", "run_report"]
