"""Where peers live: a Python environment or a Maven build of its own for each, made once under .cache/bench."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.kafka import PLUGIN_VERSION

PROJECT: Final = Path(__file__).resolve().parents[2]
PEERS: Final = PROJECT / "tests" / "bench" / "peers"
CACHE: Final = PROJECT / ".cache" / "bench"
INSTALL_TIMEOUT_S: Final = 600


class Unavailable(Exception):
    """Report why a peer cannot run here."""


def _do(*command: str | Path, cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(
            [str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False, timeout=INSTALL_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from None
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise Unavailable(said[-1] if said else f"{command[0]} ended with {done.returncode}")


def python_with(name: str) -> Path:
    """Return a Python that has what `requirements-NAME.txt` pins; raises `Unavailable` with the reason."""
    pinned = PEERS / f"requirements-{name}.txt"
    made_of = hashlib.sha256(pinned.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = CACHE / f"{name}-{made_of}"
    python = folder / "bin" / "python"
    if (folder / "made").exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    _do(sys.executable, "-m", "venv", folder)
    _do(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "-r", pinned)
    (folder / "made").touch()
    return python


def java_classpath(name: str = "kafka-streams") -> str:
    """Return the class path of the built Maven project; raises `Unavailable` with the reason."""
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if missing:
        raise Unavailable(f"{' and '.join(missing)} not installed (Java 17, Maven)")
    source = PEERS / name
    files = sorted(file for file in source.rglob("*") if file.is_file())
    made_of = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    folder = CACHE / f"{name}-{made_of}"
    if not (folder / "made").exists():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(source, folder)
        goal = f"org.apache.maven.plugins:maven-dependency-plugin:{PLUGIN_VERSION}:copy-dependencies"
        _do("mvn", "-B", "-ntp", "-q", "package", goal, "-DincludeScope=runtime", "-DoutputDirectory=target/lib", cwd=folder)
        (folder / "made").touch()
    return f"{folder}/target/*:{folder}/target/lib/*"


__all__ = ["CACHE", "PROJECT", "Unavailable", "java_classpath", "python_with"]
