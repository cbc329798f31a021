"""Unit tests of Prometheus rules by promtool: scenarios in, what fires at which time.

A scenario has two boards and a worker that are well; its own series are added, or replace theirs. Each check says everything
that fires then, but for the watchdog, so that whatever fires besides is noticed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

STEP_S: Final = 15
FIRING: Final = 'count by (alertname) (ALERTS{alertstate="firing",alertname!="FloorpulseWatchdog"})'
HEALTHY: Final[Mapping[str, str]] = {
    'up{job="floorpulse-board",instance="a"}': "1x9000",
    'up{job="floorpulse-board",instance="b"}': "1x9000",
    'up{job="floorpulse-worker",instance="w"}': "1x9000",
    'floorpulse_readings_age_seconds{instance="a",partition="0"}': "1x9000",
    'floorpulse_readings_age_seconds{instance="b",partition="0"}': "1x9000",
    'floorpulse_data_age_seconds{instance="a"}': "2x9000",
    'floorpulse_alerts_owner{instance="a"}': "1x9000",
    'floorpulse_alerts_owner{instance="b"}': "0x9000",
}


@dataclass
class Scenario:
    """Series beside or instead of the healthy ones (None: take it away), and checks: time → alert name → how many fire."""

    name: str
    series: Mapping[str, str | None]
    checks: Sequence[tuple[str, Mapping[str, int]]]
    step_s: int = STEP_S
    further: list[dict[str, Any]] = field(default_factory=list)
    """More checks, in promtool's own form."""

    def written(self) -> dict[str, Any]:
        """Return it as promtool reads it."""
        series = {name: values for name, values in {**HEALTHY, **self.series}.items() if values is not None}
        return {
            "name": self.name,
            "interval": f"{self.step_s}s",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": FIRING,
                    "eval_time": at,
                    "exp_samples": [{"labels": f'{{alertname="Floorpulse{name}"}}', "value": n} for name, n in wanted.items()],
                }
                for at, wanted in self.checks
            ],
            "alert_rule_test": self.further,
        }


def level(value: str, instance: str = "a", kpi: str = "service_level", queue: str = "orders") -> dict[str, str]:
    """Return the level of a queue as one board says it."""
    labels = f'kpi="{kpi}",queue={json.dumps(queue, ensure_ascii=False)},channel="voice",instance="{instance}"'
    return {f"floorpulse_level{{{labels}}}": value}


def need(program: str) -> str:
    """Return the path of a program; skip where it is missing, fail where that is not allowed."""
    found = shutil.which(program)
    if found is None:
        required = os.environ.get("FLOORPULSE_REQUIRE_KAFKA", "") not in ("", "0")
        (pytest.fail if required else pytest.skip)(f"{program} is not installed (Debian: prometheus, prometheus-alertmanager)")
    return str(found)


def run(folder: Path, rules: str, scenarios: Sequence[Scenario], step_s: int = STEP_S) -> None:
    """Let promtool test rules by scenarios; fails with what it says.

    Groups go in the order of the file: else promtool takes them in any order, another one in each run, and what one group asks of
    another's recorded series is there a step sooner or later.
    """
    promtool = need("promtool")
    (folder / "rules.yml").write_text(rules, encoding="utf-8")
    tests = [scenario.written() for scenario in scenarios]
    groups = [group["name"] for group in yaml.safe_load(rules)["groups"]]
    body = {"rule_files": ["rules.yml"], "evaluation_interval": f"{step_s}s", "group_eval_order": groups, "tests": tests}
    (folder / "tests.yml").write_text(yaml.safe_dump(body, allow_unicode=True, sort_keys=False), encoding="utf-8")
    done = subprocess.run([promtool, "test", "rules", "tests.yml"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


__all__ = ["HEALTHY", "STEP_S", "Scenario", "level", "need", "run"]
