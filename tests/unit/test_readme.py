"""The front page and the docs keep their promises: commands exist and work, numbers are right, links lead somewhere."""

from __future__ import annotations

import csv
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from schemas.events import KEY_OF, TOPIC_OF
from schemas.kpis import BY_ID, SERVICE_LEVELS
from streams import cli
from streams.reference import golden

ROOT: Final = Path(__file__).resolve().parents[2]
README: Final = ROOT / "README.md"
PAGES: Final = [README, *sorted((ROOT / "docs").glob("*.md"))]
MOST_LINES: Final = 130


def blocks(page: Path, language: str = "") -> list[str]:
    """The code blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def commands(page: Path) -> Iterator[list[str]]:
    """Each `floorpulse` command that a page shows, as words; a text of an error is none."""
    text = page.read_text(encoding="utf-8")
    shown = [line for block in blocks(page, "(?:sh)?") for line in block.splitlines()]
    shown += re.findall(r"`(floorpulse [a-z][^`\n]*)`", text)
    for line in shown:
        line = line.partition("   #")[0].strip().removesuffix("&").strip()
        if re.match(r"floorpulse [a-z-]+( |$)", line) and not re.match(r"floorpulse \w+: ", line):
            yield shlex.split(line)


def known() -> dict[str, set[str]]:
    """Each command's options; of a group's commands with both names."""
    group: Any = typer.main.get_command(cli.app)
    found: dict[str, set[str]] = {}
    for name, command in group.commands.items():
        inner = getattr(command, "commands", {})
        for each, of in {name: command, **{f"{name} {second}": sub for second, sub in inner.items()}}.items():
            found[each] = {option for param in of.params for option in (*param.opts, *param.secondary_opts)}
    return found


def test_the_front_page_is_short() -> None:
    """The picture first, then two commands; the rest is linked."""
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST_LINES
    assert lines[2].startswith("![")
    assert blocks(README)[0] == "make demo\nmake test\n"


def test_the_smallest_call_is_reported_as_the_front_page_says(tmp_path: Path) -> None:
    """Its five lines and its command, as they stand there: one answered call that waited 12 s and was talked for 225 s."""
    (calls,) = blocks(README, "json")
    (command,) = [each for block in blocks(README, "sh") for each in block.splitlines() if each.startswith("floorpulse report")]
    (tmp_path / "calls.jsonl").write_text(calls, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", *shlex.split(command)[1:]],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "5 lines read: 5 applied, 0 duplicate, 0 late, 0 invalid; 1 rows\n")
    (row,) = csv.DictReader((tmp_path / "table.csv").read_text(encoding="utf-8").splitlines())
    assert (row["queue"], row["interval_start"]) == ("orders", "2026-11-21T10:00:00+01:00")
    assert (row["offered"], row["answered"], row["wait_answered_s"], row["session_s"]) == ("1", "1", "12", "225")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist_with_their_options(page: Path) -> None:
    """In blocks and within sentences, on the front page and in the docs."""
    options = known()
    for words in commands(page):
        name = " ".join(words[1:3]) if " ".join(words[1:3]) in options else words[1]
        assert name in options, words
        used = {word.partition("=")[0] for word in words if word.startswith("--")} - {"--help", "--debug"}
        assert used <= options[name], words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    """Files exist, and headings within them."""
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor and path.suffix == ".md":
            titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in anchors, f"{page.name}: {target}"


def test_the_front_pages_numbers_are_those_of_the_program() -> None:
    """Six service levels of one example; indicators that exist; topics with their keys."""
    text = README.read_text(encoding="utf-8")
    for formula in SERVICE_LEVELS:
        assert re.search(rf"^\| `{formula}`.* \| {golden(formula):.6f} \|$", text, flags=re.MULTILINE)
    table = text.partition("| indicator | definition |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", table)) <= BY_ID.keys()
    for topic, key in {(TOPIC_OF[kind], key) for kind, key in KEY_OF.items() if "complaint" not in kind}:
        assert f"| `floorpulse.{topic}` | `{key}` |" in text
