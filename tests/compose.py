"""The compose file, read as YAML: services, their settings, what they mount."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / "compose"
FILE: Final = FOLDER / "compose.yaml"
IMAGE: Final = "floorpulse:0.1.0"


def compose() -> dict[str, Any]:
    """The whole file, anchors resolved, variables at their defaults."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", FILE.read_text(encoding="utf-8"))
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def services() -> dict[str, dict[str, Any]]:
    """Settings of each service by its name."""
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def ours() -> dict[str, dict[str, Any]]:
    """The services that run floorpulse."""
    return {name: service for name, service in services().items() if service["image"] == IMAGE}


def mounts(service: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """What is mounted: source, target, and whether it is read-only. A source that starts with a dot is a path, else a volume."""
    for each in service.get("volumes", ()):
        source, target, *mode = each.split(":")
        yield source, target, mode == ["ro"]


__all__ = ["FILE", "FOLDER", "IMAGE", "ROOT", "compose", "mounts", "ours", "services"]
