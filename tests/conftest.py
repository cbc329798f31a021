"""What all tests share: hypothesis profiles and the real call records, where they are at hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings

BANK_DATA: Final = "FLOORPULSE_BANK_DATA"
BANK_FILE: Final = "bank-calls-1999-02-first-half.tsv.gz"

settings.register_profile("default", deadline=None)  # a loaded machine is no failure
settings.register_profile("deep", deadline=None, max_examples=5000)
settings.load_profile("default")


@pytest.fixture(scope="session")
def bank_events_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two weeks of a real call centre as canonical events (JSON Lines)."""
    folder = os.environ.get(BANK_DATA)
    if not folder:
        pytest.skip(f"{BANK_DATA} is not set: the folder with {BANK_FILE}")
    records, converter = Path(folder, BANK_FILE), Path(folder).resolve().parent / "tools" / "bank_to_events.py"
    events = tmp_path_factory.mktemp("bank") / "events.jsonl"
    with events.open("wb") as out:
        subprocess.run([sys.executable, converter, records], stdout=out, check=True)
    return events
