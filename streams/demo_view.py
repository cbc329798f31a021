"""What the demo shows in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from schemas.kpis import BY_ID, value_of
from sinks.snapshot import Snapshot, View
from streams.simulator import Centre

if TYPE_CHECKING:
    from streams.demo import Story

_WINDOW = "30m"
_LOOK_AHEAD_MS = 8 * 60_000
_LOOK_BACK_MS = 2 * 60_000


def intro(program: str, broker: str, url: str, centre: Centre) -> Iterator[str]:
    """Yield the lines above the panel."""
    yield f"[bold]floorpulse {program}[/]  demo: broker, call centre, worker and board in one process"
    yield f"  broker     {broker}   embedded: it keeps nothing, all is forgotten at exit"
    yield f"  centre     {len(centre.queues)} queues, {centre.on_duty} agents on duty, seed {centre.seed}"
    yield f"  wall       {url}"
    yield f"  metrics    {url}metrics"
    yield f"  snapshot   {url}api/v1/snapshot"


def panel(snapshot: Snapshot, story: Story) -> RenderableType:
    """Return the live panel: a row per queue, what happens, how the pipeline does."""
    table = Table(box=None, expand=True, pad_edge=False)
    table.add_column("queue", overflow="ellipsis", no_wrap=True, ratio=1)
    for name in ("waiting", "oldest", "SL 30m", "lost 30m", "free", "active"):
        table.add_column(name, justify="right", no_wrap=True)
    for view in snapshot.session_queues:
        table.add_row(escape(view.name), *_cells(view, snapshot.now or 0))
    events = {outcome: sum(counts.get(outcome, 0) for counts in snapshot.health.events.values()) for outcome in ("invalid", "late")}
    behind = (snapshot.health.oldest_reading_ms or 0) / 1000
    title = f"{_clock(snapshot.now)} UTC - live, readings {behind:.1f} s old - Ctrl-C ends"
    foot = f"{story.sent:,} events sent - {events['invalid']} invalid - {events['late']} late"
    return Panel(Group(table, *_steps(story)), title=title, subtitle=foot, title_align="left", subtitle_align="left")


def _steps(story: Story) -> Iterator[Text]:
    """Yield what happened lately in the scripted story, and what comes next."""
    now = story.now_ms()
    steps = story.scenario.steps(now - _LOOK_BACK_MS)
    for step in takewhile(lambda step: step.at_ms < now + _LOOK_AHEAD_MS, steps):
        coming = step.at_ms > now
        yield Text(f"{'next ' if coming else '     '}{_clock(step.at_ms)}  {step.text}", style="dim" if coming else "yellow")
        if coming:
            return


def _cells(view: View, now: int) -> tuple[str, ...]:
    oldest = view.now.get("oldest_entered_at")
    return (
        str(view.now.get("waiting", 0)),
        "-" if oldest is None else wait_text(max(0, now - oldest)),
        _percent(view, "service_level"),
        _percent(view, "abandonment"),
        str(view.slots_free),
        str(view.now.get("active_sessions", 0)),
    )


def _percent(view: View, kpi_id: str) -> str:
    kpi = BY_ID[kpi_id]
    assert kpi.terms is not None
    value = value_of(kpi, kpi.terms(view.rules), view.windows.get(_WINDOW, {}))
    if value is None:
        return "-"
    return f"{100 * value:.0f} %" if value >= 0.1 else f"{100 * value:.1f} %"


def wait_text(ms: int) -> str:
    """Return a wait for people: 1:47, from 10 min 12m, from 1 h 1h05."""
    minutes, seconds = divmod(ms // 1000, 60)
    if minutes < 10:
        return f"{minutes}:{seconds:02}"
    return f"{minutes}m" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}"


def _clock(ms: int | None) -> str:
    return "--:--:--" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%H:%M:%S")


def plain_line(snapshot: Snapshot, sent: int) -> str:
    """Return one line for a log instead of a panel."""
    queues = ", ".join(f"{view.name} {'/'.join(_cells(view, snapshot.now or 0)[:3])}" for view in snapshot.session_queues)
    return escape(f"{_clock(snapshot.now)} {sent} events; waiting/oldest/SL 30m: {queues}")


__all__ = ["intro", "panel", "plain_line", "wait_text"]
