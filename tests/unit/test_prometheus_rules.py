"""Generated Prometheus rules: valid, committed as generated, firing when they should and silent else, each with its runbook."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.config import Config
from schemas.errors import FloorpulseError
from schemas.kpis import CATALOGUE
from schemas.metric_names import families_of
from schemas.thresholds import Thresholds
from sinks.board import Board
from sinks.level_families import alert_families
from streams.alert_rules import ALERT, GENERAL_PAGE
from streams.rulefile import groups, run_rules, written
from tests.promtool import Scenario, level, need, run
from tests.rule_scenarios import FIRING, SILENT
from tests.unit.test_standings import everything_judged, exposed

ROOT = Path(__file__).resolve().parents[2]
COMPOSED = Config.model_validate({"alerts": {"board_url": "http://127.0.0.1:9464/", "grafana_url": "http://127.0.0.1:3000/"}})
SPECIAL = Config.model_validate({"thresholds": {
    "kpis": {"waiting": {"warn": 20, "breach": {"limit": 40, "severity": "info"}}},
    "channels": {"email": {"oldest_wait": {"warn": "1h", "breach": {"limit": "4h", "alert_after": "1m"}}}},
    "queues": {
        'a"b\\c': {"kpis": {"oldest_wait": {"breach": {"alert_after": "5m", "severity": "ticket"}}}},
        "订单": {"kpis": {"oldest_wait": {"enabled": False}}},
        "orders": {"channels": {"voice": {"oldest_wait": {"breach": {"alert_after": "2m"}}}}},
    },
    "groups": {"north": {"occupancy": {"breach": {"limit": 0.95, "severity": "page"}}}},
}})  # fmt: skip


def alerts(config: Config) -> dict[str, list[Any]]:
    """Return the alerting rules by name."""
    found: dict[str, list[Any]] = {}
    for rules in groups(config).values():
        for rule in rules:
            if rule.alert:
                found.setdefault(rule.alert, []).append(rule)
    return found


def test_what_is_committed_for_compose_is_what_is_generated() -> None:
    """`make rules` makes it anew."""
    assert (ROOT / "compose/prometheus/rules.yml").read_text(encoding="utf-8") == written(COMPOSED)


@pytest.mark.parametrize("config", [Config(), COMPOSED, SPECIAL, Config.model_validate({"thresholds": {"time_scale": 0.02}}),
                                    Config.model_validate({"thresholds": {"enabled": False}})],
                         ids=["default", "compose", "special", "scaled", "off"])  # fmt: skip
def test_promtool_finds_nothing_to_complain_about(config: Config, tmp_path: Path) -> None:
    """All checks of `promtool check rules`, with every kind of setting."""
    (tmp_path / "rules.yml").write_text(written(config), encoding="utf-8")
    command = [need("promtool"), "check", "rules", "--lint=all", "--lint-fatal", "rules.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_indicator_of_the_catalogue_gets_valid_rules(tmp_path: Path) -> None:
    """Named by its id, with the general runbook page."""
    variants = {"agents": "available", "message_ratio": "agent", "status_share": "busy", "cost_per_contact": "EUR"}
    kpis = {
        kpi.id: {"warn": 0.5, "breach": 0.5, "worse": "above", **({"variant": variants[kpi.id]} if kpi.id in variants else {}),
                 **({"window": "today"} if kpi.days else {})}
        for kpi in CATALOGUE if kpi.id not in Thresholds().kpis
    }  # fmt: skip
    config = Config.model_validate({"thresholds": {"kpis": kpis}})
    found = alerts(config)
    assert found["FloorpulseWaitingBreach"][0].annotations["runbook_url"].endswith(f"{GENERAL_PAGE}.md")
    test_promtool_finds_nothing_to_complain_about(config, tmp_path)


def test_the_check_tells_whether_a_file_is_as_generated(tmp_path: Path) -> None:
    """And what to do when it is not."""
    file = tmp_path / "rules.yml"
    with pytest.raises(FloorpulseError, match="floorpulse rules --out"):
        run_rules(Config(), file, check=True)
    assert run_rules(Config(), file, check=False).endswith("50 rules written\n")
    assert "is what" in run_rules(Config(), file, check=True)
    with pytest.raises(FloorpulseError):
        run_rules(SPECIAL, file, check=True)


def test_every_alert_has_severity_texts_and_addresses() -> None:
    """For who is woken: what is the matter, how bad, where to look."""
    for name, rules in alerts(SPECIAL).items():
        for rule in rules:
            assert name.startswith(ALERT)
            assert rule.labels["severity"] in {"page", "ticket", "info", "none"}
            assert {"summary", "description", "runbook_url", "dashboard_url"} == set(rule.annotations)


def test_every_alert_has_a_runbook_page_and_every_page_an_alert() -> None:
    """Pages of the default rules; indicators that are switched on share one page."""
    pages = {page.stem for page in (ROOT / "docs/runbooks").glob("*.md")}
    assert pages - {GENERAL_PAGE} == set(alerts(Config()))
    urls = [rule.annotations["runbook_url"] for rules in alerts(SPECIAL).values() for rule in rules]
    named = {url.removeprefix("docs/runbooks/").removesuffix(".md") for url in urls}
    assert named <= pages
    for page in pages:
        text = (ROOT / f"docs/runbooks/{page}.md").read_text(encoding="utf-8")
        assert text.startswith(f"# {page}\n")
        assert [heading for heading in ("## First look", "## Likely causes", "## What to do") if heading not in text] == []


def test_every_metric_that_is_asked_for_exists() -> None:
    """In rules and runbooks: exposed by a board, by the worker's own program, or recorded by a rule."""
    board = Board(Config.model_validate({"alerts": {"webhooks": [{"name": "w", "url": "http://x"}]}}), {})
    further = {sample.name for family in alert_families(board._alerts) for sample in family.samples}
    assert len(further) == 4
    typed = set(re.findall(r"# TYPE (\S+)", exposed(everything_judged())))
    known = typed | further | {family.name for kpi in CATALOGUE for family in families_of(kpi)}
    worker = "".join((ROOT / f"streams/{name}.py").read_text(encoding="utf-8") for name in ("health", "worker", "app"))
    pages = "".join("".join(query_blocks(page)) for page in sorted((ROOT / "docs/runbooks").glob("*.md")))
    exprs = "".join(rule.expr + " " for rules in groups(Config()).values() for rule in rules)
    asked = set(re.findall(r"(?<![:\w])floorpulse_\w+", exprs + pages))
    missing = {name for name in asked - known if name.removesuffix("_total").removeprefix("floorpulse_worker_") not in worker}
    assert (missing, len(asked) > 30) == (set(), True)


def query_blocks(page: Path) -> list[str]:
    """Return the blocks of queries of a runbook page."""
    return re.findall(r"```\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_about_alerts_is_true() -> None:
    """Its examples are configurations; each alert that no threshold makes stands in it with its severity."""
    text = (ROOT / "docs/alerts.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert [Config.model_validate(yaml.safe_load(example)) for example in examples]
    rows = [line for line in text.splitlines() if line.startswith("| [")]
    for name, rules in alerts(Config()).items():
        if all("level" not in rule.labels for rule in rules):
            row = next(row for row in rows if f"runbooks/{name}.md" in row)
            assert {rule.labels["severity"] for rule in rules} <= set(row.strip("| ").split("|")[-1].strip().split(", "))


def test_the_queries_of_the_runbooks_are_promql(tmp_path: Path) -> None:
    """Each line in a block is a query of its own that promtool can read."""
    queries = [
        line
        for page in sorted((ROOT / "docs/runbooks").glob("*.md"))
        for block in query_blocks(page)
        for line in block.splitlines()
    ]
    rules = [{"record": f"q{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "q.yml").write_text(yaml.safe_dump({"groups": [{"name": "q", "rules": rules}]}), encoding="utf-8")
    done = subprocess.run([need("promtool"), "check", "rules", "q.yml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (len(queries) > 40, done.returncode) == (True, 0), done.stdout + done.stderr


def test_what_is_silent_and_what_fires(tmp_path: Path) -> None:
    """All scenarios on the default rules; levels come from the board's own judgement where facts are given."""
    run(tmp_path, written(Config()), [*SILENT, *FIRING])


def test_every_alert_fires_in_some_scenario() -> None:
    """But the watchdog, and traffic against last week, which has a week of its own."""
    fired = {ALERT + name for scenario in FIRING for _, wanted in scenario.checks for name in wanted}
    apart = {"FloorpulseWatchdog", "FloorpulseTrafficDrop", "FloorpulseTrafficSurge"}
    assert set(alerts(Config())) - fired == apart


def test_traffic_against_a_week_ago(tmp_path: Path) -> None:
    """Less than 0.4 of it, more than twice of it; not at half of it, not where hardly anybody came then. In steps of 5 minutes."""
    week = 7 * 24 * 12

    def offered(queue: str, before: int, now: int) -> dict[str, str]:
        first = f"0+{before}x{week}"
        return {f'floorpulse_offered_total{{queue="{queue}",channel="voice",instance="a"}}': f"{first} {before * week}+{now}x12"}

    series = {**offered("drop", 20, 6), **offered("half", 20, 12), **offered("surge", 20, 45), **offered("few", 3, 1),
              **offered("small surge", 5, 30)}  # fmt: skip
    checks = [("168h40m", {"TrafficDrop": 1, "TrafficSurge": 2})]
    scenario = Scenario("traffic", {**series, 'floorpulse_data_age_seconds{instance="a"}': None}, checks, step_s=300)
    run(tmp_path, written(Config()), [scenario], step_s=300)


def test_queues_and_groups_have_times_of_their_own(tmp_path: Path) -> None:
    """Rules of their own under the same name, none where it is switched off; names with quotes and Chinese ones."""
    def one(queue: str, channel: str = "voice") -> dict[str, str]:
        name = next(iter(level("", kpi="oldest_wait", queue=queue))).replace('channel="voice"', f'channel="{channel}"')
        return {name: "2x60"}


    def only(at: str, n: int) -> list[tuple[str, dict[str, int]]]:
        return [(at, {"OldestWaitBreach": n} if n else {})]

    run(tmp_path, written(SPECIAL), [
        Scenario("as usual", one("returns"), [*only("0s", 0), *only("15s", 1)]),
        Scenario("a queue with quotes: 5 minutes", one('a"b\\c'), [*only("4m45s", 0), *only("5m", 1)]),
        Scenario("a queue that is switched off", one("订单"), only("10m", 0)),
        Scenario("one channel of a queue: 2 minutes", one("orders"), [*only("1m45s", 0), *only("2m", 1)]),
        Scenario("its other channels as usual", one("orders", "chat"), only("15s", 1)),
        Scenario("a channel of any queue: 1 minute", one("returns", "email"), [*only("45s", 0), *only("1m", 1)]),
        Scenario("and of that queue", one("orders", "email"), [*only("45s", 0), *only("1m", 1)]),
        Scenario("another indicator", level("2x60", kpi="waiting"), [("5m", {"WaitingBreach": 1})]),
    ])  # fmt: skip


def test_an_alert_says_who_what_and_how_much(tmp_path: Path) -> None:
    """Summary and description of a queue with quotes and Chinese, with value, limit and number of facts."""
    labels = 'kpi="service_level",queue="订\\"单",channel="voice",instance="a"'
    series = {
        f"floorpulse_level{{{labels}}}": "2x60", f"floorpulse_judged_value{{{labels}}}": "0.613x60",
        f"floorpulse_judged_facts{{{labels}}}": "62x60", f'floorpulse_threshold{{{labels[:-1]}",level="breach"}}': "0.7x60",
    }  # fmt: skip
    expected = {
        "exp_labels": {"severity": "page", "level": "breach", "kpi": "service_level", "queue": '订"单', "channel": "voice"},
        "exp_annotations": {
            "summary": '订"单 (voice): service level 61.3%',
            "description": "Limit 70%, on 62 facts. "
            "Service level: answered within T over those who counted, by the queue's formula.",
            "runbook_url": "docs/runbooks/FloorpulseServiceLevelBreach.md",
            "dashboard_url": "http://127.0.0.1:3000/d/floorpulse-queue?from=now-1h&to=now&var-queue=%E8%AE%A2%22%E5%8D%95&var-channel=voice",
        },
    }
    further = [{"eval_time": "3m", "alertname": "FloorpulseServiceLevelBreach", "exp_alerts": [expected]}]
    scenario = Scenario("texts", series, [("3m", {"ServiceLevelBreach": 1})], further=further)
    run(tmp_path, written(COMPOSED), [scenario])


# ---- Alertmanager


def routed(**labels: str) -> str:
    """Return the receiver of an alert with these labels."""
    file = ROOT / "compose/alertmanager/example.yml"
    matched = [f"{key}={value}" for key, value in labels.items()]
    command = [need("amtool"), "config", "routes", "test", f"--config.file={file}", *matched]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_alertmanager_configurations_are_valid_and_route_alike() -> None:
    """By amtool; the example has the routes and inhibition of what compose starts with."""
    files = sorted((ROOT / "compose/alertmanager").glob("*.yml"))
    done = subprocess.run([need("amtool"), "check-config", *map(str, files)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    plain, example = (yaml.safe_load(file.read_text()) for file in files)
    assert (plain["route"], plain["inhibit_rules"]) == (example["route"], example["inhibit_rules"])
    names = [receiver["name"] for receiver in plain["receivers"]]
    assert names == [receiver["name"] for receiver in example["receivers"]]
    kinds = {kind for receiver in example["receivers"] for kind in receiver}
    assert {"slack_configs", "wechat_configs", "webhook_configs", "email_configs"} <= kinds


def test_alerts_go_where_their_severity_says() -> None:
    """The watchdog to its switch, pages to chat, tickets to mail, the rest to a digest."""
    assert routed(alertname="FloorpulseWatchdog", severity="none") == "deadman"
    assert [routed(alertname="X", severity=severity) for severity in ("page", "ticket", "info")] == ["page", "ticket", "digest"]


def test_inhibition_names_alerts_and_labels_that_exist() -> None:
    """A renamed alert would silently inhibit nothing."""
    rules = yaml.safe_load((ROOT / "compose/alertmanager/alertmanager.yml").read_text())["inhibit_rules"]
    text = yaml.safe_dump(rules)
    named = set(re.findall(r"Floorpulse\w+", text))
    assert named <= set(alerts(Config()))
    all_labels = {label for rules in alerts(Config()).values() for rule in rules for label in rule.labels}
    assert {"severity", "level", "kpi"} <= all_labels
