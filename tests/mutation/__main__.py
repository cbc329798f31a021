"""Apply each mutation to a copy of the tree and run its tests: `python -m tests.mutation [WORD…]`, words choose by name.

Theory. A rule that no test would miss is not tested. The copy holds the working tree's files, as git lists them; tests run in it
with this interpreter and the copy first on the path, which is checked before anything else. Without a mutation the tests must
pass. Status 0: all were noticed. 1: one survived, its text is not found exactly once, or it made no rule but nonsense.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Final, Literal

from tests.mutation.rules import MUTATIONS, Mutation

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("schemas", "streams", "sinks", "tests")
TIMEOUT_S: Final = 60
_PASSED, _FAILED = 0, 1
"""Pytest's exit status; others mean that tests could not be collected or run."""

_NONSENSE: Final = re.compile(r"^E +(NameError|UnboundLocalError|SyntaxError|ImportError|AttributeError)", re.MULTILINE)
"""What a mutation must not fail by: then it is no other rule, only broken code."""
_BY: Final = re.compile(r"^(?:FAILED|ERROR) \S*?::(\w+)", re.MULTILINE)

Outcome = Literal["killed", "SURVIVED", "NOT FOUND ONCE", "NONSENSE"]


def copy_tree(to: Path) -> None:
    """Copy what git knows, or would add, as it lies in the working tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, target = ROOT / name, to / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def environment(copy: Path) -> dict[str, str]:
    """Return an environment in which the copy is imported; no bytecode, so that no stale one is read."""
    return {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1"}


def foreign_imports(copy: Path) -> list[str]:
    """Return where packages come from that are not those of the copy."""
    program = f"import importlib\nfor name in {PACKAGES!r}: print(importlib.import_module(name).__file__)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=copy, env=environment(copy), stdout=subprocess.PIPE, check=True, text=True
    )
    return [place for place in done.stdout.split() if not Path(place).is_relative_to(copy)]


def run(copy: Path, tests: Sequence[str]) -> tuple[int | None, str]:
    """Run tests in the copy; return pytest's status (None: it took too long) and what it said."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", *tests]
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment(copy), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT_S,
            check=False, text=True, errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None, f"more than {TIMEOUT_S} s"
    return done.returncode, done.stdout


def judge(mutation: Mutation, copy: Path) -> tuple[Outcome, str]:
    """Apply a mutation, run its tests, undo it; return the outcome and what noticed it."""
    file = copy / mutation.file
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    if text.count(mutation.old) != 1:
        return "NOT FOUND ONCE", ""
    file.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
    try:
        status, said = run(copy, mutation.tests)
    finally:
        file.write_text(text, encoding="utf-8")
    if status is None:
        return "killed", said
    if status == _PASSED:
        return "SURVIVED", ""
    if status != _FAILED or _NONSENSE.search(said):
        _say(said[-1500:])
        return "NONSENSE", ""
    found = _BY.search(said)
    return "killed", found[1] if found else ""


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(words: Sequence[str]) -> int:
    """Run the mutations whose names hold all words; return the exit status."""
    chosen = [mutation for mutation in MUTATIONS if all(word in mutation.name for word in words)]
    if not chosen:
        _say(f"no mutation's name holds {' '.join(words)}")
        return 1
    bad = 0
    with tempfile.TemporaryDirectory(prefix="floorpulse-mutation-") as folder:
        copy = Path(folder).resolve()
        copy_tree(copy)
        if foreign := foreign_imports(copy):
            _say(f"tests in the copy would import {', '.join(foreign)}")
            return 1
        tests = sorted({test for mutation in chosen for test in mutation.tests})
        status, said = run(copy, tests)
        if status != _PASSED:
            _say(said[-3000:])
            _say("the tests fail without any mutation")
            return 1
        for mutation in chosen:
            began = monotonic()
            outcome, by = judge(mutation, copy)
            bad += outcome != "killed"
            _say(f"{outcome:<15}{monotonic() - began:4.1f} s  {mutation.file:<29} {mutation.name}" + (f"  [{by}]" if by else ""))
    _say(f"{len(chosen)} mutations, {len(chosen) - bad} noticed" + (f", {bad} NOT" if bad else ""))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
