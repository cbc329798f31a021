"""How a number came about: whoever computes it from what is told gets the digit that is shown."""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from schemas.errors import UnknownName, UsageError
from schemas.kpis import BY_ID, CATALOGUE, PERCENTILES, peak_in
from schemas.parts import buckets_in
from schemas.rules import Rules
from schemas.sketch import largest, quantile
from sinks.describe import everything
from sinks.explain import Explainer, Question
from sinks.merge import Merge
from sinks.snapshot import Snapshot, Snapshots
from streams.explained import as_lines
from tests.builders import T0, Publisher, feed, whole_centre

NOW = T0 + 7_000
WINDOWS = ("5m", "30m", "today", "7d")


@functools.cache
def centre() -> tuple[Snapshots, Snapshot]:
    """Return a centre of three partitions in which every indicator has something to show."""
    merge = Merge(Rules(live=True))
    for worker in whole_centre():
        feed(merge, worker.flush(NOW, clock={"watermark": NOW - 60_000 - worker.partition, "newest": NOW - 2_500}))
    snapshots = Snapshots(merge, (300_000, 1_800_000), (("orders", "voice"),))
    return snapshots, snapshots.take(NOW, ready=True, readings_age_ms={0: 250, 1: 300, 2: 1_500})


def explain(kpi: str, **where: str) -> dict[str, Any]:
    """Return the explanation of one number."""
    snapshots, snapshot = centre()
    return Explainer(snapshots.merge, snapshots.windows, snapshot).explain(Question(kpi, **where))


_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip


def compute(text: str, names: Mapping[str, float]) -> float:
    """Compute an arithmetic expression; names stand for parts."""

    def value(node: ast.expr) -> float:
        if isinstance(node, ast.BinOp):
            return float(_OPERATORS[type(node.op)](value(node.left), value(node.right)))
        if isinstance(node, ast.UnaryOp):
            return -value(node.operand)
        if isinstance(node, ast.Name):
            return names.get(node.id, 0)
        assert isinstance(node, ast.Constant), ast.dump(node)
        assert isinstance(node.value, int | float)
        return node.value

    return value(ast.parse(text, mode="eval").body)


def questions() -> list[dict[str, str]]:
    """Return a question for every indicator, window, stat and variant."""
    found = []
    for kpi in CATALOGUE:
        variants: tuple[str, ...] = {"agents": ("available", "staffed"), "cost_per_contact": ("EUR",)}.get(kpi.id, ())
        variants = variants or (kpi.variants[1] if kpi.variants else ())
        windows = () if kpi.form in ("state", "turnover") else ("today", "7d") if kpi.days else WINDOWS
        stats = (["mean"] if kpi.form == "mean" else []) + (["p50", "p90", "p95", "max"] if kpi.series else [])
        stats += ["share"] if kpi.share else []
        where = {"group": "north"} if kpi.dimension == "group" else {"queue": "orders"}
        base = [{"kpi": kpi.id, **where, **({"variant": variant} if variant else {})} for variant in variants or ("",)]
        if kpi.variants and kpi.id not in ("status_share", "cost_per_contact", "message_ratio"):
            base.append({"kpi": kpi.id, **where})
        base = [{**each, **({"window": window} if window else {})} for each in base for window in windows or ("",)]
        found += [{**each, **({"stat": stat} if stat else {})} for each in base for stat in stats or ("",)]
    return found


@pytest.mark.parametrize("question", questions(), ids=lambda question: "-".join(question.values()))
def test_the_value_follows_from_the_parts(question: dict[str, str]) -> None:
    """Parts add up over partitions; the formula over the parts, and the same in numbers, give the value that the JSON shows."""
    found = explain(**question)
    parts = {part["part"]: part["value"] for part in found["parts"]}
    for part in found["parts"]:
        together = min if part["part"] == "oldest_entered_at" else sum
        assert part["value"] == together(part["partitions"].values())
        assert part["partitions"].keys() <= {str(each["partition"]) for each in found["partitions"]}
    assert found["value"] == pytest.approx(recomputed(question, found, parts), rel=1e-12)
    if found["with_numbers"]:
        assert compute(found["with_numbers"], {}) == pytest.approx(found["value"], rel=1e-12)
    shown = shown_value(question)
    if shown is not None:
        assert found["value"] == pytest.approx(shown, abs=1e-3)


def recomputed(question: dict[str, str], found: dict[str, Any], parts: dict[str, int]) -> float | None:
    """Return the value from the parts alone, by the formula that is told."""
    kpi = BY_ID[question["kpi"]]
    stat = question.get("stat")
    if kpi.form == "peak":
        return peak_in(parts)
    if kpi.series and stat in (*PERCENTILES, "max"):
        sketch = buckets_in(parts, kpi.series)
        ms = largest(sketch) if stat == "max" else quantile(sketch, PERCENTILES[str(stat)])
        return None if ms is None else ms / 1000
    if kpi.id == "oldest_wait":
        return (NOW - parts["oldest_entered_at"]) / 1000
    if kpi.id == "expected_wait":
        return (parts["waiting"] + 1) * 900 / parts["answered"]
    if kpi.id == "turnover":
        parts = {**parts, "covered_ms": found["roster"]["covered_ms"]}
    return compute(found["formula"], parts)


def shown_value(question: dict[str, str]) -> float | None:
    """Return what the JSON of everything shows for a question."""
    kpi, window = BY_ID[question["kpi"]], question.get("window")
    if window is None:
        return None
    name = kpi.id if kpi.id != "message_ratio" else "messages"
    for more in (question.get("variant"), question.get("stat")):
        name += f"_{more}" if more and more != "mean" else ""
    body = everything(centre()[1])
    rows = body["groups"] if kpi.dimension == "group" else body["whole_queues"] if kpi.wide else body["queues"]
    (row,) = [row for row in rows if row.get("channel", "voice") == "voice" and row.get("group", "north") == "north"]
    value: float = row["windows"][window][name]
    return value


def test_a_service_level_is_told_whole() -> None:
    """Formula in words and numbers, each partition's share with its age and watermark, window, settings."""
    found = explain("service_level", queue="orders", window="5m")
    assert found["formula"] == "answered_within / (answered + abandoned - short_abandoned)"
    # 3 + number % 5 of the parts' order: answered 4, within 5, abandoned 6, short 3; times 1 + 2 + 3
    assert found["with_numbers"] == "30 / (24 + 36 - 18)"
    assert found["value"] == 30 / 42
    assert found["parts"][0] == {"part": "answered_within", "value": 30, "partitions": {"0": 5, "1": 10, "2": 15}}
    assert found["partitions"][2] == {"partition": 2, "readings_age_ms": 1_500, "watermark": NOW - 60_002, "newest": NOW - 2_500}
    assert found["bounds"] == {
        "start_ms": T0 - 290_000,
        "end_ms": T0 + 10_000,
        "start": "2026-11-21T13:55:10+00:00",
        "end": "2026-11-21T14:00:10+00:00",
        "slice_ms": 10_000,
    }
    assert (found["now"], found["data_age_ms"]) == (NOW, 2_500)
    assert found["settings"]["service_level"] == "sl_no_short"
    assert (found["settings"]["answer_s"], found["settings"]["effective_from"]) == (20, None)


def test_a_percentile_tells_its_rank_bucket_and_error() -> None:
    """Thirty waits: the 27th smallest is the p90; its bucket's bounds hold it, and the answer is within 1 % of both."""
    found = explain("queue_time", queue="orders", window="7d", stat="p90")["percentile"]
    assert (found["count"], found["rank"], found["error"]) == (30, 27, 0.01)
    waits = sorted(times * n for times in (1, 2, 3) for n in range(1, 11))
    assert found["at_least_s"] <= waits[26] <= found["at_most_s"]


def test_agents_of_days_are_told_by_partition() -> None:
    """One online since before yesterday's midnight, one from a midnight on: who came at it was not there before it."""
    midnight = T0 - 14 * 3_600_000
    merge = Merge(Rules(live=True))
    for partition, at in enumerate((midnight - 86_400_001, midnight)):
        worker = Publisher(partition).step("north", at, "online").add("group", "north", "", at, {"agent_days": 1})
        feed(merge, worker.add("group", "north", "", T0, {"taken": 4}).flush(T0))
    snapshots = Snapshots(merge, (300_000,))
    explainer = Explainer(merge, snapshots.windows, snapshots.take(T0, ready=True, readings_age_ms={}))
    for window, days in (("today", {"0": 1, "1": 1}), ("7d", {"0": 3, "1": 1})):
        found = explainer.explain(Question("handled_per_agent_day", group="north", window=window))
        assert found["parts"][1] == {"part": "agent_days", "value": sum(days.values()), "partitions": days}
        assert found["value"] == 8 / sum(days.values())


def test_the_settings_are_those_in_force_and_since_when() -> None:
    """A version that came into force this morning is told with its instant."""
    since = T0 - 3_600_000
    rules = Rules(live=True, zone="Asia/Shanghai", earlier=((since, Rules(live=True)),))
    merge = feed(Merge(rules), Publisher().count("orders", T0, answered=1).flush(T0))
    snapshots = Snapshots(merge, (300_000,))
    snapshot = snapshots.take(T0, ready=True, readings_age_ms={})
    found = Explainer(merge, snapshots.windows, snapshot).explain(Question("answered", queue="orders", window="today"))
    assert found["settings"]["effective_from_ms"] == since
    assert found["settings"]["effective_from"] == "2026-11-21T21:00:00+08:00"
    assert found["bounds"]["start"] == "2026-11-21T00:00:00+08:00"


def test_those_who_wait_too_long_are_told_where_they_count() -> None:
    """The queue's setting puts them into the denominator."""
    rules = Rules(live=True, queues={"orders": {"count_waiting_late": True}})
    worker = Publisher().count("orders", T0, answered=3, answered_within=3)
    merge = feed(Merge(rules), worker.now("queue", "orders", "voice", waiting=2, waiting_past_answer=1).flush(T0))
    snapshots = Snapshots(merge, (300_000,))
    snapshot = snapshots.take(T0, ready=True, readings_age_ms={})
    found = Explainer(merge, snapshots.windows, snapshot).explain(Question("service_level", queue="orders", window="5m"))
    assert found["with_numbers"] == "3 / (3 + 0 - 0 + 1)"
    assert found["value"] == 0.75


def test_who_waits_too_long_counts_where_the_channel_says_so() -> None:
    """A whole queue of which one channel counts them: as on the floor, where each channel goes by its own settings."""
    rules = Rules(live=True, queue_channels={("orders", "chat"): {"count_waiting_late": True}})
    worker = Publisher()
    for channel in ("voice", "chat"):
        worker.count("orders", T0, channel, answered=10, answered_within=8)
        worker.now("queue", "orders", channel, waiting=5, waiting_past_answer=5)
    merge = feed(Merge(rules), worker.flush(T0))
    snapshots = Snapshots(merge, (300_000, 1_800_000))
    snapshot = snapshots.take(T0, ready=True, readings_age_ms={})
    explainer = Explainer(merge, snapshots.windows, snapshot)
    found = [explainer.explain(Question("service_level", queue="orders", channel=each)) for each in ("voice", "chat", None)]
    assert [each["with_numbers"] for each in found] == ["8 / (10 + 0 - 0)", "8 / (10 + 0 - 0 + 5)", "16 / (20 + 0 - 0 + 5)"]



@pytest.mark.parametrize(
    ("question", "error", "message"),
    [
        ({"kpi": "servce_level", "queue": "orders"}, UnknownName, "unknown kpi 'servce_level': the nearest is 'service_level'"),
        ({"kpi": "waiting", "queue": "odrers"}, UnknownName, "unknown queue 'odrers': the nearest is 'orders'"),
        ({"kpi": "waiting", "queue": "orders", "channel": "voic"}, UnknownName, "the nearest is 'voice'"),
        ({"kpi": "occupancy", "group": "nrth"}, UnknownName, "unknown group 'nrth': the nearest is 'north'"),
        ({"kpi": "answered", "queue": "orders", "window": "31m"}, UnknownName, "unknown window '31m': the nearest is '30m'"),
        ({"kpi": "queue_time", "queue": "orders", "stat": "p99"}, UnknownName, "unknown stat 'p99': the nearest is 'p9"),
        ({"kpi": "connect_rate", "queue": "orders", "variant": "inbond"}, UnknownName, "the nearest is 'inbound'"),
        ({"kpi": "handled_per_agent_day", "window": "5m"}, UnknownName, "unknown window '5m': known are 'today', '7d'"),
        ({"kpi": "service_level"}, UsageError, "service_level is counted by queue: give queue"),
        ({"kpi": "service_level", "group": "north"}, UsageError, "give queue instead of group"),
        ({"kpi": "occupancy", "queue": "orders"}, UsageError, "give group instead of queue"),
        ({"kpi": "status_share"}, UsageError, "status_share is by status: give variant, one of available, busy"),
        ({"kpi": "answered", "queue": "orders", "variant": "x"}, UsageError, "answered has no variants"),
        ({"kpi": "answered", "queue": "orders", "stat": "p50"}, UsageError, "answered has no stat"),
        ({"kpi": "waiting", "queue": "orders", "window": "5m"}, UsageError, "waiting has no windows"),
    ],
)
def test_what_does_not_exist_is_told_with_what_does(question: dict[str, str], error: type[Exception], message: str) -> None:
    """The wrong name, the nearest one, the remedy."""
    with pytest.raises(error) as raised:
        explain(**question)
    assert message in str(raised.value)


def test_the_floor_of_groups_is_the_default() -> None:
    """Without a group it is everybody, each once."""
    assert explain("occupancy")["group"] == "all"


def test_a_number_that_is_absent_is_told_as_such() -> None:
    """0/0: no value and no arithmetic in numbers, but the formula."""
    merge = feed(Merge(Rules(live=True)), Publisher().count("orders", T0, offered=1).flush(T0))
    snapshots = Snapshots(merge, (300_000,))
    snapshot = snapshots.take(T0, ready=True, readings_age_ms={})
    found = Explainer(merge, snapshots.windows, snapshot).explain(Question("abandonment", queue="orders", window="5m"))
    assert (found["value"], found["with_numbers"]) == (None, "")
    assert "value       absent" in list(as_lines(found))


@pytest.mark.parametrize("question", questions(), ids=lambda question: "-".join(question.values()))
def test_a_console_of_80_columns_is_enough(question: dict[str, str]) -> None:
    """No line is longer, and value and formula stand in it."""
    found = explain(**question)
    lines = list(as_lines(found))
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert f"value       {found['value']:.9g}" in text
    assert found["formula"].split()[0] in text


def test_the_console_shows_no_control_characters() -> None:
    """Names come from events: what a terminal would obey is shown as its code."""
    body = {**explain("waiting", queue="orders"), "queue": "a\x9b31mb\u202e"}
    assert "\\x9b31mb\\u202e" in "\n".join(as_lines(body))
