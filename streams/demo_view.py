"""What the demo shows in the terminal, within 80 columns."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from schemas.kpis import BY_ID, value_of
from sinks.snapshot import Snapshot, View
from sinks.standing import BREACH, GOOD, WARN, Standing, Subject
from streams.simulator import Centre

if TYPE_CHECKING:
    from streams.demo_story import Story
    from streams.recount import Verdict

WIDTH: Final = 80
_WINDOW: Final = "30m"
_LOOK_AHEAD_MS: Final = 8 * 60_000
_LOOK_BACK_MS: Final = 2 * 60_000
_KEPT: Final = 4
"""Lines of what happened that are shown."""
_MOST_QUEUES: Final = 15
_LEVEL_WIDTH: Final = 16
_WORDS: Final = {
    "oldest_wait": "oldest", "service_level": "level", "abandonment": "lost", "first_response": "reply", "satisfaction": "rating",
}  # fmt: skip
_CUES: Final = {WARN: ("▲ WARN", "yellow"), BREACH: ("■ BREACH", "bold white on magenta")}


def intro(program: str, broker: str, url: str, worker: str, centre: Centre) -> Iterator[str]:
    """Yield the lines above the panel."""
    yield f"[bold]floorpulse {program}[/]  demo: broker, call centre, worker and board in one process"
    yield f"  broker     {broker}   embedded, forgets everything at exit"
    yield f"  centre     {len(centre.queues)} queues, {centre.on_duty} agents on duty, seed {centre.seed}"
    yield f"  wall       {url}"
    yield f"  metrics    {url}metrics"
    yield f"             http://{worker}/metrics  of the worker"


def history_line(story: Story, shown_s: float) -> str:
    """Return what was poured in, and how soon it was on the board."""
    events, seconds = f"{story.history_events:,}", f"{story.history_s:.1f} s"
    minutes = story.history_ms // 60_000
    return f"  history    last {minutes} min: {events} events sent in {seconds}, on the board after {shown_s:.1f} s"


def last_line(verdict: Verdict) -> str:
    """Return what the recount at the end has found."""
    if verdict.equal:
        return f"equal to a batch recount: {verdict.events:,} events, {verdict.cells:,} cells of the interval tables"
    return f"DIFFERS from a batch recount of {verdict.events:,} events in {verdict.differing:,} rows: a fault of floorpulse"


def can_draw(console: Console) -> bool:
    """Tell whether the panel fits: on a terminal that can go back over its lines, and not narrower than the panel."""
    return console.is_terminal and not console.is_dumb_terminal and console.width >= WIDTH


class Screen:
    """The live panel: a row per queue, what happens, how the pipeline does."""

    def __init__(self, story: Story) -> None:
        self.verdict: Verdict | None = None
        self._story = story
        self._levels: dict[Subject, int] = {}
        self._happened: deque[tuple[int, str]] = deque(maxlen=_KEPT)
        self._rate: deque[tuple[int, int]] = deque(maxlen=60)

    def panel(self, snapshot: Snapshot) -> RenderableType:
        """Return the panel of one snapshot."""
        self._note_levels(snapshot)
        behind = (snapshot.health.oldest_reading_ms or 0) / 1000
        title = f"{clock(snapshot.now)} UTC - live, {behind:.1f} s behind - seed {self._story.centre.seed} - Ctrl-C ends"
        body = Group(_table(snapshot), *self._steps())
        return Panel(body, title=title, subtitle=self._foot(snapshot), title_align="left", subtitle_align="left", width=WIDTH)

    def _foot(self, snapshot: Snapshot) -> str:
        story = self._story
        now = story.now_ms()
        self._rate.append((now, story.lately))
        (then, before), span_ms = self._rate[0], max(1, now - self._rate[0][0])
        rate = (story.lately - before) * 1000 * story.speed / span_ms if now > then else 0.0
        counts = {name: sum(each.get(name, 0) for each in snapshot.health.events.values()) for name in ("invalid", "late")}
        foot = f"{rate:.1f} events/s - {counts['invalid']} invalid - {counts['late']} late"
        if self.verdict is not None:
            said = "equal to a batch recount" if self.verdict.equal else "DIFFERS from a batch recount"
            foot += f" - {said} at {clock(self.verdict.at_ms)}"
        return foot

    def _note_levels(self, snapshot: Snapshot) -> None:
        """Note which subjects have come to another level since the last look; what was so at the start did not happen."""
        first = not self._levels
        for subject, standing in snapshot.standings.items():
            level = standing.level
            if level is None:
                continue
            before = self._levels.get(subject, GOOD)
            self._levels[subject] = level
            if first or level == before or not subject.queue:
                continue
            what = f"{subject.queue} {_words(subject.kpi)}"
            if level == BREACH:
                self._happened.append((standing.since_ms, f"BREACH  {what} {_limit(subject.kpi, standing)}"))
            elif before == BREACH:
                self._happened.append((standing.since_ms, f"{'good again' if level == GOOD else 'no breach any more'}: {what}"))

    def _steps(self) -> Iterator[Text]:
        """Yield what happened lately, scripted or seen, and what comes next."""
        story = self._story
        now = story.now_ms()
        steps = list(takewhile(lambda step: step.at_ms < now + _LOOK_AHEAD_MS, story.scenario.steps(now - _LOOK_BACK_MS)))
        past = sorted([*((step.at_ms, step.text) for step in steps if step.at_ms <= now), *self._happened])
        for at, text in past[-_KEPT:]:
            yield Text(f"{clock(at)}  {text}", style="yellow", no_wrap=True, overflow="ellipsis")
        coming = [step for step in steps if step.at_ms > now][:2]
        if coming:
            told = ", ".join(f"{clock(step.at_ms)} {step.text.partition(',')[0]}" for step in coming)
            yield Text(f"next      {told}", style="dim", no_wrap=True, overflow="ellipsis")


def _table(snapshot: Snapshot) -> Table:
    table = Table(box=None, expand=True, pad_edge=False)
    table.add_column("queue", overflow="ellipsis", no_wrap=True, ratio=1)
    for name in ("waiting", "oldest", f"SL {_WINDOW}", f"lost {_WINDOW}", "avail"):
        table.add_column(name, justify="right", no_wrap=True)
    if snapshot.standings:
        table.add_column("level", no_wrap=True, width=_LEVEL_WIDTH, overflow="ellipsis")
    staffed = {group.name: group.staffed for group in snapshot.groups}
    views = snapshot.session_queues
    for view in views[:_MOST_QUEUES]:
        row: list[str | Text] = [escape(view.name), *_cells(view, snapshot.now or 0), _available(view, staffed)]
        if snapshot.standings:
            row.append(_level(view, snapshot.standings))
        table.add_row(*row)
    if len(views) > _MOST_QUEUES:
        table.add_row(f"and {len(views) - _MOST_QUEUES} more: see the wall")
    return table


def _available(view: View, staffed: Mapping[str, int]) -> str:
    """Return free agents of those there, or free slots where an agent has several."""
    if view.channel == "voice":
        return f"{view.slots_free}/{staffed.get(f'{view.name} team', 0)}"
    return f"{view.slots_free} slots"


def _level(view: View, standings: Mapping[Subject, Standing]) -> Text:
    """Return the worst level of a queue, and of what."""
    here = [
        (standing.level, subject.kpi)
        for subject, standing in standings.items()
        if standing.level and (subject.queue, subject.channel) == (view.name, view.channel)
    ]
    if not here:
        return Text("")
    level, kpi = max(here, key=lambda each: (each[0], each[1] == "oldest_wait"))
    cue, style = _CUES[level]
    return Text(f"{cue} {_WORDS.get(kpi, _words(kpi))}", style=style)


def _words(kpi: str) -> str:
    return kpi.replace("_", " ")


def _limit(kpi: str, standing: Standing) -> str:
    """Return the limit that was crossed."""
    limit = standing.breach
    if limit is None:
        return ""
    unit = BY_ID[kpi].unit if kpi in BY_ID else ""
    return {"seconds": f"{limit:g} s", "ratio": f"{100 * limit:g} %"}.get(unit, f"{limit:g}")


def _cells(view: View, now: int) -> tuple[str, ...]:
    oldest = view.now.get("oldest_entered_at")
    return (
        str(view.now.get("waiting", 0)),
        "-" if oldest is None else wait_text(max(0, now - oldest)),
        _percent(view, "service_level"),
        _percent(view, "abandonment"),
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


def clock(ms: int | None) -> str:
    """Return the time of the day in UTC."""
    return "--:--:--" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%H:%M:%S")


def plain_line(snapshot: Snapshot, story: Story) -> str:
    """Return one line for a log instead of a panel."""
    queues = ", ".join(f"{view.name} {'/'.join(_cells(view, snapshot.now or 0)[:3])}" for view in snapshot.session_queues)
    return escape(f"{clock(snapshot.now)} {story.count:,} events; waiting/oldest/SL {_WINDOW}: {queues}")


__all__ = ["WIDTH", "Screen", "can_draw", "clock", "history_line", "intro", "last_line", "plain_line"]
