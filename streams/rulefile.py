"""The Prometheus rule file, made from the configuration; `floorpulse rules`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from schemas.config import Config
from schemas.errors import FloorpulseError
from streams.alert_rules import Links, floor_alerts, indicator_alerts
from streams.outputs import target
from streams.pipeline_rules import pipeline_alerts
from streams.promql import Rule, Spans, recording

HEADER: Final = "# Made by `floorpulse rules` from the configuration: change the thresholds there, and make it anew.\n"


def groups(config: Config) -> dict[str, list[Rule]]:
    """Return all rules by their group, in which Prometheus takes one after the other: what is recorded comes first."""
    spans, links = Spans(config.thresholds), Links(config)
    judged = [*indicator_alerts(config, links), *floor_alerts(spans, links)] if config.thresholds.enabled else []
    return {"floorpulse-floor": [*recording(spans), *judged], "floorpulse-pipeline": pipeline_alerts(spans, links)}


def written(config: Config) -> str:
    """Return the rule file."""
    body: dict[str, Any] = {
        "groups": [{"name": name, "rules": [rule.written() for rule in rules]} for name, rules in groups(config).items()]
    }
    return HEADER + yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=10_000)


def run_rules(config: Config, out: Path | None, *, check: bool) -> str:
    """Return what is to be printed: the rules, or what became of the file; raises `FloorpulseError` where a check fails."""
    file = None if out is None else target(out, "floorpulse.yml")
    text = written(config)
    if file is None:
        return text
    if not check:
        file.write_text(text, encoding="utf-8")
        return f"{out}: {sum(map(len, groups(config).values()))} rules written\n"
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        raise FloorpulseError(f"{out} is not what the configuration gives. Make it anew: floorpulse rules --out {out}")
    return f"{out} is what the configuration gives\n"


__all__ = ["groups", "run_rules", "written"]
