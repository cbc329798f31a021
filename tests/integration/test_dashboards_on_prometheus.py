"""Every query of every panel, asked of a real Prometheus that scrapes a running demo: each must answer numbers."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Final

from tests.demo import Demo
from tests.panels import FILES, ROOT, filled, load, queries
from tests.prometheus import ask, numbers
from tests.watchers import free_port, prometheus

RULES: Final = ROOT / "compose" / "prometheus" / "rules.yml"
ANSWERED_S: Final = 60.0
"""So long the last of the queries may take to have an answer: rates need a few scrapes."""
VALUES: Final = {"queue": ".+", "channel": ".+", "group": ".+", "window": "30m", "__rate_interval": "15s"}
"""What Grafana would put in at first sight of the dashboards."""
SETTINGS: Final = {"FLOORPULSE_CUSTOMERS__REPEAT_WITHIN": "1h"}
"""First contact resolution is settled so long after a contact's end; by default a day, which the demo does not have."""
HOUR_MS: Final = 3_600_000
NOTHING_TO_SHOW: Final = {"floorpulse-floor/Arrivals a minute/B"}
"""Queries that a Prometheus of a minute cannot answer: they look a week back."""


def _further(now_ms: int) -> list[dict[str, object]]:
    """What the demo has none of: a complaint that is settled, an event from a clock that is wrong, one that is too late."""
    complaint = {"complaint_id": "k1", "queue": "Orders"}
    return [
        {"id": "k1-opened", "type": "complaint.opened", "at": now_ms - 3 * HOUR_MS, **complaint},
        {"id": "k1-closed", "type": "complaint.closed", "at": now_ms - HOUR_MS, **complaint},
        {"id": "odd-1", "type": "agent.status", "at": now_ms + HOUR_MS, "agent_id": "early", "status": "busy"},
        {"id": "late-1", "type": "session.ended", "at": now_ms - 30 * HOUR_MS, "session_id": "long-ago", "ended_by": "agent"},
    ]


def _check_choices(address: str) -> None:
    """The variables offer what is there: their queries name a metric and a label that exist."""
    for path in FILES:
        for variable in load(path)["templating"]["list"]:
            if variable["type"] == "query":
                found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"])
                assert found is not None
                assert ask(address, f"label/{found[2]}/values", **{"match[]": filled(found[1], VALUES)})


def test_every_panel_has_something_to_show(tmp_path: Path) -> None:
    """A result without a series, or of nothing but 0/0, is a failure; so is a query that Prometheus does not understand."""
    waiting = {query.name: filled(query.expr, VALUES) for query in queries()}
    assert waiting.keys() >= NOTHING_TO_SHOW
    with Demo(tmp_path, SETTINGS) as demo:
        demo.send(tmp_path, _further(time.time_ns() // 1_000_000))
        targets = {"floorpulse-board": [demo.board], "floorpulse-worker": [demo.worker]}
        with prometheus(tmp_path, RULES.read_text(), targets, f"127.0.0.1:{free_port()}", 1000) as address:
            until = time.monotonic() + ANSWERED_S
            while waiting.keys() > NOTHING_TO_SHOW and time.monotonic() < until:
                time.sleep(1.0)  # a scrape later
                waiting = {name: expr for name, expr in waiting.items() if not numbers(address, expr)}
            assert waiting.keys() == NOTHING_TO_SHOW, "\n".join(f"{name}: {expr}" for name, expr in waiting.items())
            _check_choices(address)
