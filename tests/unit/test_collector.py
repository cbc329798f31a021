"""The Prometheus collector: names and labels as published, clean in both formats, bounded, safe against hostile names."""

from __future__ import annotations

import gc
import gzip
import shutil
import subprocess
import weakref
from dataclasses import replace

import pytest
from prometheus_client import Metric, generate_latest
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from schemas.parts import HISTOGRAM_LIMITS_MS, TOTALS, bucket_part
from schemas.readings import ROSTER_MS
from schemas.rules import Rules
from schemas.sketch import bucket_of
from sinks.collector import Exposition, FloorCollector
from sinks.delays import Delays
from sinks.describe import as_bytes, everything
from sinks.exposition import Writer
from sinks.feed import whole
from sinks.merge import Merge
from sinks.series import OVERFLOW
from sinks.snapshot import Snapshot, Snapshots
from sinks.wall import Setting, Variant, contents
from tests.builders import T0, Publisher, feed, whole_centre

WINDOWS = (300_000, 900_000, 1_800_000)
EXPORTED = ("5m", "30m", "today")
HOSTILE = (
    'a"b',
    "back\\slash",
    "{x=1}",
    "<script>alert(1)</script>",
    "订单查询",
    "x\u2028y",
    "\u202eevil",
    "🦜" * 32,
    "# HELP x",
    "a,b=c",
    " ",
    "n" * 128,
    "overflow",
    "__name__",
)


def parse_openmetrics(text: str) -> list[Metric]:
    """Read OpenMetrics strictly."""
    return list(openmetrics_parser.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def snapshot_of(merge: Merge, now: int = T0, *, ready: bool = True, configured: tuple[tuple[str, str], ...] = ()) -> Snapshot:
    """Return a snapshot of a merge at an instant."""
    return Snapshots(merge, WINDOWS, configured).take(now, ready=ready, readings_age_ms={0: 1500, 1: 20})


def payload(snapshot: Snapshot, *, openmetrics: bool = False, max_series: int = 10_000) -> str:
    """Return the exposition as text."""
    exposition = Exposition(FloorCollector(EXPORTED, max_series))
    return exposition.render(snapshot, openmetrics=openmetrics, zipped=False).decode()


def samples(snapshot: Snapshot, *, max_series: int = 10_000) -> Samples:
    """Return all samples, parsed; each may occur once only."""
    found: Samples = {}
    for family in parse_text(payload(snapshot, max_series=max_series)):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def value(found: Samples, name: str, **labels: str) -> float | None:
    """Return the value of one series."""
    return found.get(("floorpulse_" + name, frozenset(labels.items())))


def centre(live: bool = True) -> Merge:
    """Return a centre in which a little of everything happened."""
    worker = Publisher()
    values = (4_000, 12_000, 50_000)
    for wait in values:
        parts = {"left": 1, "queue_time_ms": wait, bucket_part("queue_time", bucket_of(wait)): 1, "answered": 1}
        worker.add("queue", "orders", "voice", T0 - 60_000, parts | {"answered_within": int(wait <= 20_000)})
    first = {"first_response_n": 4, "first_response_within": 3, "first_response_ms": 60_000, "messages_customer": 5}
    worker.count("orders", T0 - 400_000, abandoned=1, left=1, connected_inbound=3, unconnected_inbound=1)
    worker.add("queue", "orders", "voice", T0 - 500_000, first)
    worker.now("queue", "orders", "voice", waiting=2, oldest_entered_at=T0 - 107_000, waiting_late=1, active_sessions=3)
    worker.total("orders", offered=7, **{"queue_time_hist~5000": 1, "queue_time_hist~15000": 1, "queue_time_hist~inf": 1})
    for group, agents in (("north", 2), ("all", 3)):
        worker.step(group, T0 - 100_000, "online", agents).step(group, T0 - 100_000, "status_available", agents)
        worker.step(group, T0 - 100_000, "available_idle", agents)
        worker.step(group, T0 - 50_000, "in_hand").step(group, T0 - 50_000, "available_idle", -1)
    worker.now("slots", "orders", capacity=2, slots_used=2, slots_free=0)
    counters = {"invalid.bad_name": 3, "clock_errors.sessions": 2, "sessions_expired": 4, "Odd name": 1}
    events = {"sessions": {"applied": 90, "duplicate": 2}, "queues": {"applied": 10}}
    return feed(Merge(Rules(live=live)), worker.flush(T0, events=events, counters=counters, clock={"newest": T0 - 2500}))


def test_gauges_of_now() -> None:
    """Waiting, oldest wait ticking with the clock, expected wait by its formula."""
    found = samples(snapshot_of(centre(), T0 + 3_000))
    orders = {"queue": "orders", "channel": "voice"}
    assert value(found, "waiting", **orders) == 2
    assert value(found, "oldest_wait_seconds", **orders) == 110
    assert value(found, "waiting_late", **orders) == 1
    assert value(found, "active_sessions", **orders) == 3
    assert value(found, "expected_wait_seconds", **orders) == 3 * 900 / 3
    assert value(found, "capacity", queue="orders", channel="any") == 2


def test_a_queue_that_empties_has_no_wait() -> None:
    """Nobody waits: the oldest wait is 0 s, the expected wait absent where nobody was answered."""
    worker = Publisher().now("queue", "orders", "voice", waiting=0).total("orders", offered=1)
    merge = feed(Merge(Rules(live=True)), worker.flush(T0))
    found = samples(snapshot_of(merge))
    assert value(found, "oldest_wait_seconds", queue="orders", channel="voice") == 0
    assert value(found, "expected_wait_seconds", queue="orders", channel="voice") is None


def test_a_free_slot_means_no_wait() -> None:
    """Expected wait is 0 where a slot is free, whatever was answered."""
    worker = Publisher().now("queue", "orders", "voice", waiting=3).now("slots", "orders", slots_free=1)
    found = samples(snapshot_of(feed(Merge(Rules(live=True)), worker.flush(T0))))
    assert value(found, "expected_wait_seconds", queue="orders", channel="voice") == 0


def test_windowed_indicators_and_their_parts() -> None:
    """Ratio, mean, percentiles, count; numerator and denominator beside, times in seconds; 0/0 absent."""
    found = samples(snapshot_of(centre()))
    orders = {"queue": "orders", "channel": "voice", "window": "5m"}
    level = orders | {"formula": "sl_no_short"}
    assert value(found, "service_level_ratio", **level) == pytest.approx(2 / 3)
    assert value(found, "service_level_numerator", **level) == 2
    assert value(found, "service_level_denominator", **level) == 3
    assert value(found, "abandonment_ratio", **orders | {"window": "30m"}) == 0.25
    assert value(found, "queue_time_seconds", **orders, stat="mean") == 22
    assert value(found, "queue_time_seconds", **orders, stat="p50") == pytest.approx(12, rel=0.01)
    assert value(found, "queue_time_seconds", **orders, stat="max") == pytest.approx(50, rel=0.01)
    assert value(found, "queue_time_numerator", **orders) == 66
    assert value(found, "answered_in_window", **orders) == 3
    assert value(found, "first_response_seconds", **orders | {"window": "today"}, stat="mean") == 15
    assert value(found, "first_response_share_ratio", **orders | {"window": "today"}) == 0.75
    assert value(found, "first_response_seconds", **orders, stat="mean") is None
    assert value(found, "ring_time_seconds", **orders, stat="mean") is None
    assert value(found, "connect_rate_ratio", **orders | {"window": "30m"}, direction="inbound") == 0.75
    assert value(found, "connect_rate_ratio", **orders | {"window": "30m"}) is None
    assert value(found, "message_ratio_in_window", **orders | {"window": "30m"}, sender="customer") == 5
    assert not any(dict(labels).get("window") == "15m" for _, labels in found)


def test_agent_time_by_group_and_floor() -> None:
    """Occupancy grows to now; the floor's agents stand in a family of their own."""
    found = samples(snapshot_of(centre()))
    assert value(found, "occupancy_ratio", group="north", window="5m") == pytest.approx(50 / 200)
    assert value(found, "occupancy_numerator", group="all", window="5m") == 50
    assert value(found, "occupancy_denominator", group="all", window="5m") == 300
    assert value(found, "status_share_ratio", group="north", window="5m", status="available") == 1
    assert value(found, "online_time_seconds", group="north", window="5m") == 200
    assert value(found, "agents", group="north", status="available") == 2
    assert value(found, "agents", group="all", status="available") is None
    assert value(found, "floor_agents", status="available") == 3


def test_counters_and_histograms_start_at_zero() -> None:
    """Every configured queue has all its counters from the start; histograms are cumulative and end with +Inf."""
    found = samples(snapshot_of(centre(), configured=(("returns", "chat"), ("new", ""), ("orders", ""))))
    for part in TOTALS:
        assert value(found, f"{part}_total", queue="returns", channel="chat") == 0
        assert value(found, f"{part}_total", queue="new", channel="any") == 0
    assert value(found, "offered_total", queue="orders", channel="voice") == 7
    assert value(found, "offered_total", queue="orders", channel="any") is None
    name = "queue_time_seconds_hist_bucket"
    counts = [value(found, name, queue="orders", channel="voice", le=repr(limit / 1000)) for limit in HISTOGRAM_LIMITS_MS]
    assert counts == [0, 0, 1, 1] + [2] * 13
    assert value(found, name, queue="orders", channel="voice", le="+Inf") == 3
    assert value(found, "queue_time_seconds_hist_count", queue="orders", channel="voice") == 3


def test_health() -> None:
    """Ages, accounting by topic and outcome, the workers' counters, what was ignored, the delay of publishing."""
    merge = centre()
    merge.put_record(b"nonsense", None)
    delays = Delays().with_one(30).with_one(100).with_one(99_000).with_one(-5)
    snapshot = Snapshots(merge, WINDOWS).take(T0, ready=True, readings_age_ms={3: 1500}, delays=delays)
    found = samples(snapshot)
    assert value(found, "ready") == 1
    assert value(found, "readings_age_seconds", partition="3") == 1.5
    assert value(found, "data_age_seconds") == 2.5
    assert value(found, "events_total", topic="sessions", outcome="applied") == 90
    assert value(found, "events_total", topic="queues", outcome="late") == 0
    assert value(found, "invalid_events_total", reason="bad_name") == 3
    assert value(found, "clock_errors_total", topic="sessions") == 2
    assert value(found, "sessions_expired_total") == 4
    assert value(found, "readings_ignored_total", reason="foreign") == 1
    assert value(found, "publish_delay_seconds_bucket", le="0.05") == 2
    assert value(found, "publish_delay_seconds_bucket", le="0.1") == 3
    assert value(found, "publish_delay_seconds_count") == 4
    assert any(name == "floorpulse_build_info" for name, _ in found)
    assert ("process_start_time_seconds", frozenset()) in found


def test_indicators_appear_only_when_caught_up() -> None:
    """While old readings are read there is health, and nothing that could look like a drop to zero."""
    found = samples(snapshot_of(centre(), ready=False, configured=(("orders", "voice"),)))
    assert value(found, "ready") == 0
    assert not any("queue" in dict(labels) or "group" in dict(labels) for _, labels in found)


@pytest.mark.parametrize("merge", [centre(), centre(live=False), Merge(Rules(live=True)), Merge(Rules())])
def test_both_formats_are_clean(merge: Merge) -> None:
    """Strict parsers accept the text format and OpenMetrics, with the same families."""
    snapshot = snapshot_of(merge)
    plain = {family.name: family.type for family in parse_text(payload(snapshot))}
    open_ = {family.name: family.type for family in parse_openmetrics(payload(snapshot, openmetrics=True))}
    assert plain == open_
    assert payload(snapshot, openmetrics=True).endswith("# EOF\n")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
def test_promtool_has_nothing_to_say() -> None:
    """Names, types, units and help texts pass Prometheus' own linter (which reads the text format only)."""
    text = payload(snapshot_of(centre()))
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def hostile_merge() -> Merge:
    """Return a merge with queues, channels and groups of odd names."""
    worker = Publisher()
    for name in HOSTILE:
        worker.count(name, T0, name, offered=1, answered=1).now("queue", name, name, waiting=1)
        worker.total(name, name, offered=1).step(name, T0 - 1000, "online").now("slots", name, slots_free=0)
    return feed(Merge(Rules(live=True)), worker.flush(T0))


def test_hostile_names_stay_labels() -> None:
    """Quotes, backslashes, braces and any script come back exactly, in both formats, each once."""
    snapshot = snapshot_of(hostile_merge())
    found = samples(snapshot)
    for name in HOSTILE:
        assert value(found, "waiting", queue=name, channel=name) == 1
        assert value(found, "online_time_seconds", group=name, window="5m") == 1
    families = parse_openmetrics(payload(snapshot, openmetrics=True))
    waiting = next(family for family in families if family.name == "floorpulse_waiting")
    assert {sample.labels["queue"] for sample in waiting.samples} == set(HOSTILE)


@pytest.mark.parametrize("name", ["two\nlines", "x\0", "n" * 129, "\x9b31m", "\x7f"])
def test_names_that_no_event_can_have_are_not_read(name: str) -> None:
    """Control characters and over-long names never reach a label."""
    merge = feed(Merge(Rules(live=True)), Publisher().now("queue", name, "voice", waiting=1).flush(T0))
    assert merge.ignored["foreign"] == 1
    assert value(samples(snapshot_of(merge)), "waiting", queue=name, channel="voice") is None


def test_hostile_accounting_is_bounded() -> None:
    """Topics, outcomes and counters of a heartbeat are cut, escaped and few."""
    counters = {f"invalid.{'x' * 200}{n}": 1 for n in range(5)} | {f"invalid.r{n}": 1 for n in range(1000)}
    counters |= {"offered": 5, "events": 5, "bad name": 1, "Ünicode": 2, "a" * 100: 1} | {f"c_{'b' * n}": 1 for n in range(300)}
    events = {'topic "x"\n': {"applied\\": 1}, "t" * 300: {"o" * 300: 1}}
    merge = feed(Merge(Rules(live=True)), Publisher().flush(T0, counters=counters, events=events))
    snapshot = snapshot_of(merge)
    found = samples(snapshot)
    assert all(len(text) <= 128 for _, labels in found for _, text in labels)
    assert len(found) < 700
    assert parse_openmetrics(payload(snapshot, openmetrics=True))


def test_series_are_capped_with_an_overflow_series() -> None:
    """Beyond the cap names share one series that holds their sum; a counter tells how many do."""
    worker = Publisher()
    for number in range(50):
        worker.count(f"queue {number:02}", T0, offered=1).total(f"queue {number:02}", offered=2)
        worker.now("queue", f"queue {number:02}", "voice", waiting=1, oldest_entered_at=T0 - 1000 * number)
        worker.step(f"group {number:02}", T0 - 1000, "status_available")
    merge = feed(Merge(Rules(live=True)), worker.flush(T0))
    found = samples(snapshot_of(merge), max_series=30)
    waiting = {dict(labels)["queue"]: n for (name, labels), n in found.items() if name == "floorpulse_waiting"}
    assert len(waiting) == 30
    assert waiting.pop(OVERFLOW) == 21
    assert set(waiting.values()) == {1}
    assert value(found, "oldest_wait_seconds", queue=OVERFLOW, channel=OVERFLOW) == 49
    assert value(found, "offered_total", queue=OVERFLOW, channel=OVERFLOW) == 42
    offered = [n for (name, labels), n in found.items() if name == "floorpulse_offered_in_window" and ("window", "5m") in labels]
    assert len(offered) == 10
    assert sum(offered) == 50
    assert value(found, "series_overflow_total") == 50 + 50 + 48 + 44  # queues (histograms), groups, agents by status, whole queues
    per_family: dict[str, int] = {}
    for name, labels in found:
        if {"queue", "group"} & dict(labels).keys() and "_hist" not in name:
            per_family[name] = per_family.get(name, 0) + 1
    assert max(per_family.values()) <= 30 + 1 + 30  # capacity and slots stand by group and by queue


def test_who_has_a_series_keeps_it() -> None:
    """A name that is shown is not pushed out by one that sorts before it."""
    worker = Publisher()
    for number in range(10, 20):
        worker.now("queue", f"queue {number}", "voice", waiting=1)
    merge = feed(Merge(Rules(live=True)), worker.flush(T0))
    snapshots = Snapshots(merge, WINDOWS)
    exposition = Exposition(FloorCollector(EXPORTED, 5))

    def shown() -> set[str]:
        snapshot = snapshots.take(T0, ready=True, readings_age_ms={})
        text = exposition.render(snapshot, openmetrics=False, zipped=False).decode()
        return {s.labels["queue"] for f in parse_text(text) if f.name == "floorpulse_waiting" for s in f.samples}

    before = shown()
    feed(merge, worker.now("queue", "queue 00", "voice", waiting=1).flush(T0))
    assert shown() == before
    assert OVERFLOW in before
    assert len(before) == 5


def test_the_payload_is_made_once_per_snapshot() -> None:
    """Two scrapes of one snapshot get the same bytes; gzip unpacks to the plain ones."""
    exposition = Exposition(FloorCollector(EXPORTED))
    snapshot = snapshot_of(centre())
    plain = exposition.render(snapshot, openmetrics=False, zipped=False)
    zipped = exposition.render(snapshot, openmetrics=False, zipped=True)
    assert gzip.decompress(zipped) == plain
    assert exposition.render(snapshot, openmetrics=False, zipped=True) is zipped


@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "OpenMetrics"])
def test_a_payload_is_what_the_library_writes_of_all_families_at_once(*, openmetrics: bool) -> None:
    """Families are written one by one, lines from memory, and nothing of that shows, also the second time, when numbers differ.

    Only what this process takes differs from moment to moment.
    """
    collector, worker = FloorCollector(EXPORTED), Publisher()
    exposition, merge = Exposition(collector), centre()
    bodies = []
    for number in (1, 2):
        worker.count("orders", T0, "voice", offered=number, answered=number)
        feed(merge, worker.flush(T0 + number))
        body = exposition.render(replace(snapshot_of(merge), number=number), openmetrics=openmetrics, zipped=False)
        at_once: bytes = (generate_openmetrics if openmetrics else generate_latest)(collector)
        one, other = ([line for line in text.splitlines() if not line.startswith(b"process_")] for text in (body, at_once))
        assert len(one) > 1000
        assert one == other
        bodies.append(body)
    assert bodies[0] != bodies[1]


@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "OpenMetrics"])
def test_no_step_of_writing_holds_more_than_one_family(*, openmetrics: bool) -> None:
    """Joining and dropping all lines of 50,000 series at once would keep every other thread waiting."""
    collector = FloorCollector(EXPORTED)
    whole = Exposition(collector).render(snapshot_of(centre()), openmetrics=False, zipped=False)
    pieces = list(Writer(openmetrics=openmetrics).write(collector.collect()))
    assert {piece.count(b"# TYPE ") for piece in pieces} == {1}
    assert max(map(len, pieces)) < len(whole) / 10


def test_waiting_late_counts_against_the_level_where_it_is_set() -> None:
    """Those who wait past T now are in the denominator of windows, by the queue's setting."""
    rules = Rules(live=True, queues={"orders": {"count_waiting_late": True}})
    worker = Publisher()
    for queue in ("orders", "returns"):
        worker.count(queue, T0, answered=3, answered_within=3).now("queue", queue, "voice", waiting=2, waiting_past_answer=1)
    found = samples(snapshot_of(feed(Merge(rules), worker.flush(T0))))
    labels = {"channel": "voice", "window": "5m", "formula": "sl_no_short"}
    assert value(found, "service_level_ratio", queue="orders", **labels) == 0.75
    assert value(found, "service_level_ratio", queue="returns", **labels) == 1


def test_a_replay_stands_at_its_watermark() -> None:
    """In replay mode now is the least watermark, whatever the wall clock says."""
    merge = Merge(Rules())
    feed(merge, Publisher(0).now("queue", "orders", "voice", waiting=1, oldest_entered_at=T0 - 9_000).flush(T0))
    feed(merge, Publisher(1).flush(T0, clock={"watermark": T0 - 4_000}))
    snapshot = snapshot_of(merge, now=T0 + 10**10)
    assert snapshot.now == T0 - 4_000
    assert value(samples(snapshot), "oldest_wait_seconds", queue="orders", channel="voice") == 5


def test_an_unchanged_window_is_the_same_object() -> None:
    """So that nothing has to be derived twice."""
    snapshots = Snapshots(centre(), WINDOWS)
    first = snapshots.take(T0, ready=True, readings_age_ms={})
    second = snapshots.take(T0 + 500, ready=True, readings_age_ms={})
    assert second.number == first.number + 1
    assert second.queues[0].windows["5m"] is first.queues[0].windows["5m"]


def test_a_place_where_nothing_is_any_more_is_left_out() -> None:
    """Facts move when their channel becomes known; the place that they left does not stay as a row of zeros."""
    worker = Publisher().count("orders", T0, "unassigned", offered=1).now("queue", "orders", "unassigned", waiting=1)
    worker.now("queue", "returns", "voice", waiting=0).total("quiet", offered=3)
    merge = feed(Merge(Rules(live=True)), worker.flush(T0))
    configured = (("new", ""), ("returns", "voice"))
    names = {(view.name, view.channel) for view in snapshot_of(merge, configured=configured).queues}
    assert names == {("orders", "unassigned"), ("returns", "voice"), ("quiet", "voice"), ("new", "any")}
    worker.count("orders", T0, "unassigned", offered=-1).now("queue", "orders", "unassigned", waiting=0)
    feed(merge, worker.count("orders", T0, "chat", offered=1).flush(T0))
    names = {(view.name, view.channel) for view in snapshot_of(merge, configured=configured).queues}
    assert names == {("orders", "chat"), ("returns", "voice"), ("quiet", "voice"), ("new", "any")}


def test_a_place_that_only_holds_costs_has_no_series_of_sessions() -> None:
    """Costs name no channel: they stand in the JSON and in the floor, but not as another queue that is idle."""
    worker = Publisher().count("orders", T0, "unassigned", cost_EUR_e6=5).count("orders", T0, "voice", offered=1)
    merge = feed(Merge(Rules(live=True)), worker.total("orders", offered=1).flush(T0))
    snapshot = snapshot_of(merge)
    assert [view.channel for view in snapshot.queues] == ["unassigned", "voice"]
    assert list(contents(snapshot, Variant("5m"), Setting()).many["queues"]) == [("orders", "voice")]
    found = samples(snapshot)
    places = {(name, dict(labels)["channel"]) for name, labels in found if "channel" in dict(labels)}
    assert {channel for _, channel in places} == {"voice", "any"}
    costs = {f"floorpulse_cost_per_contact{suffix}" for suffix in ("", "_numerator", "_denominator")}
    times = {f"floorpulse_complaint_time{suffix}" for suffix in ("_numerator", "_denominator")}
    assert {name for name, channel in places if channel == "any"} == {*costs, *times, "floorpulse_complaints_open"} - {
        "floorpulse_cost_per_contact"  # nothing has ended
    }


def test_costs_and_complaints_are_by_queue_whatever_the_channel() -> None:
    """Their events name no channel: cost lies on `unassigned`, sessions end on voice and chat; one series per queue."""
    worker = Publisher().count("orders", T0, "voice", ended=3).count("orders", T0, "chat", ended=1)
    worker.count("orders", T0, "unassigned", cost_EUR_e6=10_000_000, complaint_n=2, complaint_ms=90_000)
    worker.now("queue", "orders", "unassigned", complaints_open=4).count("returns", T0, "voice", ended=1)
    merge = feed(Merge(Rules(live=True)), worker.flush(T0))
    found = samples(snapshot_of(merge, configured=(("orders", "voice"),)))
    orders = {"queue": "orders", "channel": "voice", "window": "5m"}
    assert value(found, "cost_per_contact", **orders, currency="EUR") == 2.5
    assert value(found, "cost_per_contact_numerator", **orders, currency="EUR") == 10
    assert value(found, "cost_per_contact_denominator", **orders, currency="EUR") == 4
    assert value(found, "complaint_time_seconds", **orders, stat="mean") == 45
    assert value(found, "complaints_open", queue="orders", channel="voice") == 4
    assert value(found, "cost_per_contact", queue="returns", channel="any", window="5m", currency="EUR") == 0
    assert not any(("channel", "unassigned") in labels for _, labels in found)
    body = everything(snapshot_of(merge))
    (whole,) = [queue for queue in body["whole_queues"] if queue["queue"] == "orders"]
    assert (whole["complaints_open"], whole["windows"]["7d"]["cost_per_contact_EUR"]) == (4, 2.5)
    assert body["floor"]["windows"]["today"]["cost_per_contact_EUR"] == 2
    assert body["floor"]["complaints_open"] == 4


def test_visits_without_a_channel_count_for_their_queue() -> None:
    """A place that only has visits gives its part to the sum over the queue, and no ratio of its own, nor any other series."""
    worker = Publisher().count("orders", T0, "unassigned", visits=200).count("orders", T0, "voice", started=10)
    found = samples(snapshot_of(feed(Merge(Rules(live=True)), worker.flush(T0))))
    tops = [n for (name, labels), n in found.items()
            if name == "floorpulse_consultation_rate_numerator" and ("window", "5m") in labels]  # fmt: skip
    bottoms = [n for (name, labels), n in found.items()
               if name == "floorpulse_consultation_rate_denominator" and ("window", "5m") in labels]  # fmt: skip
    assert sum(tops) / sum(bottoms) == 0.05
    assert {name for name, labels in found if ("channel", "unassigned") in labels} == {
        "floorpulse_consultation_rate_numerator",
        "floorpulse_consultation_rate_denominator",
    }


def test_indicators_of_whole_days_have_no_trailing_windows() -> None:
    """Two reviewers in two queues are two on the floor, however their queues are added up."""
    worker = Publisher()
    for queue in ("orders", "returns"):
        worker.count(queue, T0, reviews=6, reviewer_days=2)
    worker.add("floor", "all", "", T0, {"reviewer_days": 2})
    worker.step("all", T0 - 1000, "online", 2).add("group", "all", "", T0 - 1000, {"agent_days": 2, "taken": 30})
    snapshot = snapshot_of(feed(Merge(Rules(live=True)), worker.flush(T0)))
    found = samples(snapshot)
    labels = {"queue": "orders", "channel": "voice"}
    assert value(found, "reviews_per_reviewer_day", **labels, window="today") == 3
    assert value(found, "reviews_per_reviewer_day", **labels, window="5m") is None
    assert value(found, "reviews_per_reviewer_day_denominator", **labels, window="5m") is None
    assert value(found, "floor_reviews_per_reviewer_day", window="today") == 6
    assert value(found, "handled_per_agent_day", group="all", window="today") == 15
    assert value(found, "handled_per_agent_day", group="all", window="30m") is None
    floor = everything(snapshot)["floor"]["windows"]
    assert (floor["today"]["reviews_per_reviewer_day"], floor["7d"]["reviews_per_reviewer_day"]) == (6, 6)
    assert "reviews_per_reviewer_day" not in floor["5m"]


def test_agents_who_were_online_at_midnight_are_among_those_of_the_day() -> None:
    """One since the evening before, one more today: 30 sessions taken are 15 a day each; of 7d three agent-days."""
    midnight = T0 - 14 * 3_600_000
    worker = Publisher()
    for at in (midnight - 1, midnight + 1):
        worker.step("north", at, "online").add("group", "north", "", at, {"agent_days": 1})
    worker.add("group", "north", "", T0, {"taken": 30})
    found = samples(snapshot_of(feed(Merge(Rules(live=True)), worker.flush(T0))))
    assert value(found, "handled_per_agent_day", group="north", window="today") == 15
    assert value(found, "handled_per_agent_day_denominator", group="north", window="today") == 2


def test_good_neutral_and_bad_ratings_are_counted_beside_satisfaction() -> None:
    """In every exported window, 0 where there are none, for places with sessions."""
    worker = Publisher().count("orders", T0, started=1, rated=6, rated_good=3, rated_neutral=2, rated_bad=1)
    worker.count("orders", T0 - 600_000, rated=1, rated_bad=1).count("returns", T0, started=1)
    found = samples(snapshot_of(feed(Merge(Rules(live=True)), worker.flush(T0))))
    of_orders = {name: [value(found, f"rated_{name}_in_window", queue="orders", channel="voice", window=window)
                        for window in ("5m", "30m")] for name in ("good", "neutral", "bad")}  # fmt: skip
    assert of_orders == {"good": [3, 3], "neutral": [2, 2], "bad": [1, 2]}
    assert value(found, "rated_bad_in_window", queue="returns", channel="voice", window="5m") == 0


def test_numerator_over_denominator_is_the_value() -> None:
    """Both are scaled for people: hours online, units of money, scores of 0..1; their quotient is what is published."""
    worker = Publisher().count("orders", T0, ended=4, rated=2, rated_score_e6=1_800_000, cost_EUR_e6=3_000_000, ring_time_n=1)
    worker.step("north", T0 - 180_000, "online", 2).step("north", T0 - 90_000, "in_hand").step("north", T0 - 90_000, "in_hand_2")
    worker.add("group", "north", "", T0, {"taken": 3})
    found = samples(snapshot_of(feed(Merge(Rules(live=True)), worker.now("slots", "orders", slots_free=1).flush(T0))))
    assert value(found, "sessions_per_agent_hour", group="north", window="5m") == pytest.approx(3 / 0.1)
    assert value(found, "sessions_per_agent_hour_denominator", group="north", window="5m") == 0.1
    assert value(found, "satisfaction_ratio", queue="orders", channel="voice", window="5m") == 0.9
    assert value(found, "satisfaction_numerator", queue="orders", channel="voice", window="5m") == 1.8
    assert value(found, "peak_concurrency", group="north", window="5m") == 2
    checked = 0
    for (name, labels), bottom in found.items():
        if name.endswith("_denominator") and bottom:
            stem = name.removesuffix("_denominator")
            top = found[f"{stem}_numerator", labels]
            values = {labels, labels | {("stat", "mean")}}
            shown = [n for (other, theirs), n in found.items()
                     if theirs in values and other in (stem, f"{stem}_ratio", f"{stem}_seconds")]  # fmt: skip
            assert shown == [pytest.approx(top / bottom)], stem
            checked += 1
    assert checked > 20


def test_turnover_by_group_and_floor() -> None:
    """One of ten left: 1 / (10 x 30/365), with its parts; nobody on the roster: no value."""
    since, hours = T0 - 20 * 86_400_000, (ROSTER_MS,)
    worker = Publisher().step("north", since, "roster", 10, lengths=hours).step("all", since, "roster", 10, lengths=hours)
    worker.put("group", "north", "", ROSTER_MS, T0, {"agents_left": 1}).now("group", "all", roster=10, roster_since=since)
    worker.now("group", "empty", online=1)
    snapshot = snapshot_of(feed(Merge(Rules(live=True)), worker.flush(T0)))
    found = samples(snapshot)
    assert value(found, "turnover_ratio", group="north") == pytest.approx(365 / 300)
    assert value(found, "turnover_numerator", group="north") == 1
    assert value(found, "turnover_denominator", group="north") == pytest.approx(300 / 365)
    assert value(found, "turnover_ratio", group="all") == 0
    assert value(found, "turnover_ratio", group="empty") is None
    body = everything(snapshot)
    assert (body["floor"]["turnover"], body["floor"]["mean_headcount"]) == (0, 10)
    assert [group["turnover"] for group in body["groups"]] == [0, None, pytest.approx(365 / 300, abs=1e-6)]


def test_single_agents_have_series_only_where_workers_publish_them() -> None:
    """Status and agent-time indicators by agent, capped like all series."""
    worker = Publisher()
    for name in ("anna", "ben", "cleo"):
        worker.step(name, T0 - 100_000, "online", dimension="agent").step(name, T0 - 50_000, "in_hand", dimension="agent")
        worker.step(name, T0 - 100_000, "status_busy", dimension="agent")
    snapshot = snapshot_of(feed(Merge(Rules(live=True)), worker.flush(T0)))
    found = samples(snapshot)
    assert value(found, "agent_online_time_seconds", agent="anna", window="5m") == 100
    assert value(found, "agent_occupancy_ratio", agent="ben", window="today") == 1
    assert value(found, "agent_status", agent="cleo", status="busy") == 1
    assert value(found, "agent_status", agent="cleo", status="available") == 0
    assert value(found, "agent_peak_concurrency", agent="anna", window="30m") == 1
    assert not any(name == "floorpulse_agents" for name, _ in found)
    capped = samples(snapshot, max_series=6)
    names = {dict(labels)["agent"] for name, labels in capped if name == "floorpulse_agent_online_time_seconds"}
    assert names == {"anna", OVERFLOW}
    assert [agent["agent"] for agent in everything(snapshot)["agents"]] == ["anna", "ben", "cleo"]
    assert not any("agent" in dict(labels) for _, labels in samples(snapshot_of(centre())))


def test_seven_days_can_be_exported() -> None:
    """A window of the last seven days beside the trailing ones."""
    worker = Publisher().count("orders", T0 - 5 * 86_400_000, answered=2).count("orders", T0, answered=1)
    snapshot = snapshot_of(feed(Merge(Rules(live=True)), worker.flush(T0)))
    exposition = Exposition(FloorCollector(("7d", "today")))
    text = exposition.render(snapshot, openmetrics=False, zipped=False).decode()
    assert 'floorpulse_answered_in_window{channel="voice",queue="orders",window="7d"} 3.0' in text
    assert 'floorpulse_answered_in_window{channel="voice",queue="orders",window="today"} 1.0' in text


def test_json_of_everything() -> None:
    """Gauges, each window's columns, the floor with each queue's own formula; nothing that could be markup."""
    merge = hostile_merge()
    body = everything(snapshot_of(merge))
    assert body["floor"]["waiting"] == len(HOSTILE)
    assert body["floor"]["windows"]["5m"]["offered"] == len(HOSTILE)
    queue = next(queue for queue in body["queues"] if queue["queue"] == "订单查询")
    assert queue["windows"]["today"]["answered"] == 1
    assert queue["oldest_wait_s"] is None
    text = as_bytes(body)
    assert b"<" not in text
    assert b"\\u003cscript\\u003e" in text


def test_the_floor_adds_up_formulas_and_agents_once() -> None:
    """Two queues with two formulas: numerators and denominators add up; agents come from the group of all."""
    rules = Rules(live=True, queues={"returns": {"service_level": "sl_answered"}})
    worker = Publisher().count("orders", T0, answered=4, answered_within=3, abandoned=6)
    worker.count("returns", T0, answered=10, answered_within=5, abandoned=7)
    worker.step("all", T0 - 1, "status_available", 3).step("north", T0 - 1, "status_available", 3)
    snapshot = snapshot_of(feed(Merge(rules), worker.flush(T0)))
    floor = contents(snapshot, Variant("5m"), Setting()).single["floor"]
    assert floor is not None
    assert floor["service_level"] == (8, 20)
    assert floor["in_session"] == 3
    assert everything(snapshot)["floor"]["windows"]["5m"]["formula"] is None


def test_a_floor_without_anything_can_be_described() -> None:
    """A board at its first moment has a body for everybody."""
    for ready in (True, False):
        snapshot = snapshot_of(Merge(Rules(live=True)), ready=ready)
        assert as_bytes(everything(snapshot))
        assert as_bytes(whole(contents(snapshot, Variant("5m"), Setting())))


def test_a_snapshot_that_was_shown_in_every_form_goes_without_the_collector() -> None:
    """A board makes two a second and its collector hardly ever looks: one that held itself would stay."""
    exposition = Exposition(FloorCollector(EXPORTED))
    records = [record for worker in whole_centre() for record in worker.flush(T0)]
    snapshots = Snapshots(feed(Merge(Rules()), records), WINDOWS)
    gone = []
    gc.disable()
    try:
        for step in range(3):
            snapshot = snapshots.take(T0 + step, ready=True, readings_age_ms={})
            for openmetrics in (False, True):
                exposition.render(snapshot, openmetrics=openmetrics, zipped=True)
            as_bytes(everything(snapshot))
            as_bytes(whole(contents(snapshot, Variant("5m"), Setting())))
            gone.append(weakref.ref(snapshot))
        del snapshot
        assert [each() is None for each in gone] == [True, True, False]  # the last one is still at hand
    finally:
        gc.enable()
