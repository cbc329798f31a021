"""What several files of unit tests start with."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from streams import cli
from tests.command_line import Done, Run
from tests.partition_world import Rec, World


@pytest.fixture
def world() -> World:
    """A world without delays that holds six records of two cells."""
    made = World()
    made.inputs["sessions"] = [Rec(offset, b"a" if offset < 3 else b"b") for offset in range(6)]
    return made


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Return a function that runs a command line in an empty folder and without settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("FLOORPULSE_"):
            monkeypatch.delenv(name)

    def run_it(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["floorpulse", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        assert isinstance(stop.value.code, int)
        return Done(stop.value.code, out, err)

    return run_it
