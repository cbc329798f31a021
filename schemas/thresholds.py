"""Thresholds: when an indicator is worth a warning or a breach, for how long, on how many facts, and who is woken.

`Thresholds` is the section of the configuration; `Thresholds.of` answers what holds for one indicator of one queue, channel or
group, with all times scaled. The most specific setting wins, key by key: queue and channel, queue or group, channel, indicator.
Limits are in the indicator's unit: s, 0..1, or a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from schemas.durations import parse_duration, window_label
from schemas.kpis import BY_ID, CATALOGUE, Kpi
from schemas.overlay import overlaid
from schemas.quiet import QuietSpan, parse_quiet
from schemas.readings import SLICE_MS
from schemas.rules import HOUR_MS, STATUSES
from schemas.threshold_settings import DAY_WINDOWS, DEFAULTS, Kpis, KpiSettings, LevelSettings, QueueThresholds, QuietHours

LEVELS: Final = ("warn", "breach")
STALE_MS: Final = 15_000
"""Levels stand still while a partition has not been heard of for so long: three heartbeats, whatever the time scale."""
RATIO_MARGIN: Final = 0.02
SHARE_MARGIN: Final = 0.1
_CHOSEN: Final = frozenset({"agents", "message_ratio", "status_share", "cost_per_contact"})
"""Indicators that are defined for one status, sender or currency only."""
_OFF: Final = KpiSettings(enabled=False)


@dataclass(frozen=True, slots=True)
class Limit:
    """One level as it is judged; times in ms, scaled."""

    level: int
    limit: float
    leave_at: float
    """A value that has reached it stands on the good side."""
    window: str
    window_ms: int
    """0 for windows of days and for states of now."""
    min_samples: int
    min_events: int
    enter_ms: int
    leave_ms: int
    alert_ms: int
    keep_ms: int
    severity: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """One indicator of one subject as it is judged; `limits`: warn before breach."""

    kpi: str
    below: bool
    """Whether it is worse to be below a limit."""
    stat: str
    variant: str
    limits: tuple[Limit, ...]
    quiet: tuple[QuietSpan, ...]

    def limit_of(self, level: int) -> float | None:
        """Return the limit of a level."""
        return next((limit.limit for limit in self.limits if limit.level == level), None)


class Thresholds(BaseModel):
    """When numbers turn into colours and alerts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(True, description="whether anything is judged")
    time_scale: float = Field(1.0, gt=0, le=100, description="factor on all times here, limits and windows too: for tests")
    quiet_hours: QuietHours = Field([], description="local time in which nobody is woken, wherever nothing else is said")
    kpis: Kpis = Field({}, validate_default=True, description="by indicator; what is not named keeps its default")
    channels: dict[str, Kpis] = Field({}, description="as thresholds.kpis.<name>, for <channel>.<name> of any queue")
    queues: dict[str, QueueThresholds] = Field({}, description="of single queues")
    groups: dict[str, Kpis] = Field({}, description="as thresholds.kpis.<name>, for <group>.<name>")

    @field_validator("kpis")
    @classmethod
    def _over_defaults(cls, value: Kpis) -> Kpis:
        return {**DEFAULTS, **{kpi: _named(DEFAULTS.get(kpi, KpiSettings()), settings) for kpi, settings in value.items()}}

    @model_validator(mode="after")
    def _all_make_sense(self) -> Thresholds:
        for where, kpi, settings in self._named():
            if where.startswith(("queues.", "channels.")) and BY_ID[kpi].dimension == "group":
                raise ValueError(f"{where}.{kpi}: is not an indicator of queues")
            try:
                self._resolved(kpi, settings, ())
            except ValueError as error:
                raise ValueError(f"{where}.{kpi}: {error}") from None
        return self

    def _named(self) -> Iterator[tuple[str, str, KpiSettings]]:
        """Yield (where, indicator, settings as they hold there) of all that is named."""
        for kpi in self.kpis:
            yield "kpis", kpi, self._settings(kpi, ())
        for channel, kpis in self.channels.items():
            for kpi in kpis:
                yield f"channels.{channel}", kpi, self._settings(kpi, self._layers("", channel, ""))
        for queue, special in self.queues.items():
            for kpi in special.kpis:
                yield f"queues.{queue}.kpis", kpi, self._settings(kpi, self._layers(queue, "", ""))
            for channel, kpis in special.channels.items():
                for kpi in kpis:
                    yield f"queues.{queue}.channels.{channel}", kpi, self._settings(kpi, self._layers(queue, channel, ""))
        for group, kpis in self.groups.items():
            for kpi in kpis:
                if BY_ID[kpi].dimension == "queue":
                    raise ValueError(f"groups.{group}.{kpi}: is not an indicator of groups")
                yield f"groups.{group}", kpi, self._settings(kpi, self._layers("", "", group))

    def _layers(self, queue: str, channel: str, group: str) -> tuple[Mapping[str, KpiSettings], ...]:
        """Return what lies over the indicators' own settings, the most specific last."""
        if group:
            return (self.groups.get(group, {}),)
        special = self.queues.get(queue)
        by_channel = self.channels.get(channel, {})
        return (by_channel,) if special is None else (by_channel, special.kpis, special.channels.get(channel, {}))

    def _settings(self, kpi: str, layers: tuple[Mapping[str, KpiSettings], ...]) -> KpiSettings:
        """Lay the settings of one indicator over each other; whoever names it switches it on."""
        settings = self.kpis.get(kpi, _OFF)
        for layer in layers:
            if kpi in layer:
                settings = _named(settings, layer[kpi])
        return settings

    def of(self, kpi: str, *, queue: str = "", channel: str = "", group: str = "") -> Threshold | None:
        """Return what one subject is judged by; None: it is not judged."""
        if not self.enabled:
            return None
        settings = self._settings(kpi, self._layers(queue, channel, group))
        return self._resolved(kpi, settings, self.quiet_of(kpi, queue=queue, channel=channel, group=group))

    def quiet_of(self, kpi: str, *, queue: str = "", channel: str = "", group: str = "") -> tuple[QuietSpan, ...]:
        """Return the quiet hours of one subject, whether it is judged or not."""
        layers = self._layers(queue, channel, group)
        quiet = self._quiet_hours(kpi, self._settings(kpi, layers), self.queues.get(queue), layers)
        return tuple(map(parse_quiet, quiet))

    def _quiet_hours(
        self, kpi: str, settings: KpiSettings, special: QueueThresholds | None, layers: tuple[Mapping[str, KpiSettings], ...]
    ) -> QuietHours:
        """Return the most specific: of the queue's indicator, of the queue, of the indicator, of all."""
        own = [layer[kpi].quiet_hours for layer in layers[1:] if kpi in layer]
        choices = (*reversed(own), special.quiet_hours if special is not None else None, settings.quiet_hours)
        return next((hours for hours in choices if hours is not None), self.quiet_hours)

    def judged(self) -> list[Kpi]:
        """Return the indicators that are judged anywhere."""
        names = {kpi for _, kpi, settings in self._named() if settings.enabled is not False} if self.enabled else set()
        return [kpi for kpi in CATALOGUE if kpi.id in names]

    def all_of(self, kpi: str) -> list[Threshold]:
        """Return what an indicator is judged by, wherever it is named."""
        found = [self._resolved(kpi, settings, ()) for _, name, settings in self._named() if name == kpi]
        return [threshold for threshold in found if threshold is not None] if self.enabled else []

    def windows_ms(self) -> set[int]:
        """Return the trailing windows that are judged."""
        return {limit.window_ms for limit in self._limits() if limit.window_ms}

    def _limits(self) -> Iterator[Limit]:
        return (limit for kpi in self.judged() for threshold in self.all_of(kpi.id) for limit in threshold.limits)

    def windows(self) -> list[str]:
        """Return the labels of all windows that are judged: trailing ones by their length, then days."""
        found = {limit.window: limit.window_ms for limit in self._limits()}
        trailing = sorted((label for label, ms in found.items() if ms), key=lambda label: found[label])
        return [*trailing, *(label for label in DAY_WINDOWS if label in found)]

    def scaled(self, ms: int) -> int:
        """Return a time as it is scaled."""
        return round(ms * self.time_scale)

    def _resolved(self, kpi_id: str, settings: KpiSettings, quiet: tuple[QuietSpan, ...]) -> Threshold | None:
        if settings.enabled is False:
            return None
        kpi = BY_ID[kpi_id]
        both = ((number, getattr(settings, name)) for number, name in enumerate(LEVELS, 1))
        levels: list[tuple[int, LevelSettings]] = [(n, level) for n, level in both if level.limit is not None]
        if not levels:
            raise ValueError("has no limit: set warn or breach")
        below = _is_below(kpi, settings)
        values = [found.limit for _, found in levels if found.limit is not None]
        _check(kpi, settings, values)
        if len(values) > 1 and _share_windows(settings) and (values[1] > values[0] if below else values[1] < values[0]):
            raise ValueError(f"breach {values[1]:g} is better than warn {values[0]:g}")
        limits = tuple(self._limit(kpi, settings, level, found, below=below) for level, found in levels)
        return Threshold(kpi_id, below, settings.stat or "mean", settings.variant or "", limits, quiet)

    def _limit(self, kpi: Kpi, settings: KpiSettings, number: int, own: LevelSettings, *, below: bool) -> Limit:
        def one(key: str, default: Any) -> Any:
            value = getattr(own, key)
            value = getattr(settings, key) if value is None else value
            return default if value is None else value

        state = kpi.form in ("state", "turnover")
        is_time = kpi.unit == "seconds" and settings.stat != "share"
        limit = own.limit * self.time_scale if is_time and own.limit is not None else own.limit
        assert limit is not None
        window = "" if state else one("window", "today" if kpi.days else "30m")
        if kpi.days and window not in DAY_WINDOWS:
            raise ValueError(f"window {window}: this indicator is defined for today and 7d only")
        label, window_ms = self._scaled_window(window)
        in_points = kpi.unit == "ratio" or settings.stat == "share"
        margin = one("margin", RATIO_MARGIN if in_points else SHARE_MARGIN)
        return Limit(
            number, limit, _leave_at(limit, margin, below=below, in_points=in_points), label, window_ms,
            one("min_samples", 0), one("min_events", 0),
            self.scaled(one("enter_after", 10_000)), self.scaled(one("leave_after", 15_000 if state else 30_000)),
            self.scaled(one("alert_after", 300_000)), self.scaled(one("keep_firing", 300_000)),
            one("severity", "ticket" if number > 1 else "none"),
        )  # fmt: skip

    def _scaled_window(self, window: str) -> tuple[str, int]:
        if not window or window in DAY_WINDOWS:
            return window, 0
        ms = -(-self.scaled(parse_duration(window)) // SLICE_MS) * SLICE_MS
        return window_label(min(ms, HOUR_MS)), min(ms, HOUR_MS)


def _named(base: KpiSettings, top: KpiSettings) -> KpiSettings:
    """Lay settings over others; whoever names an indicator switches it on."""
    laid: KpiSettings = overlaid(base if base.enabled is None else base.model_copy(update={"enabled": True}), top)
    return laid


def _is_below(kpi: Kpi, settings: KpiSettings) -> bool:
    if settings.worse is not None:
        return settings.worse == "below"
    if settings.stat == "share":
        return True
    if kpi.better is None:
        raise ValueError("the catalogue does not say which side is bad: set worse to above or below")
    return kpi.better == "up"


def _share_windows(settings: KpiSettings) -> bool:
    """Tell whether both levels look at the same facts, so that their limits can be compared."""
    windows = {level.window or settings.window for level in (settings.warn, settings.breach)}
    return len(windows) == 1


def _check(kpi: Kpi, settings: KpiSettings, values: list[float]) -> None:
    if (kpi.unit == "ratio" and kpi.form == "ratio") or settings.stat == "share":
        wrong = next((value for value in values if not 0 <= value <= 1), None)
        if wrong is not None:
            raise ValueError(f"limit {wrong:g} is not a ratio between 0 and 1 (or write 80%)")
    lacks = kpi.series is None or (settings.stat == "share" and kpi.share is None)
    if settings.stat not in (None, "mean") and lacks:
        what = "no percentiles" if kpi.series is None else "no target"
        raise ValueError(f"stat {settings.stat}: this indicator has {what}")
    if kpi.id in _CHOSEN and not settings.variant:
        raise ValueError(f"set variant: the {'status' if kpi.variants is None else kpi.variants[0]} that is meant")
    allowed = ("staffed", *STATUSES) if kpi.id == "agents" else kpi.variants[1] if kpi.variants else ()
    if settings.variant and settings.variant not in allowed and kpi.id != "cost_per_contact":
        raise ValueError(f"variant {settings.variant!r} is not one of {', '.join(allowed) or 'none: it has no variants'}")


def _leave_at(limit: float, margin: float, *, below: bool, in_points: bool) -> float:
    """Return from where on a value is on the good side; the margin takes at most half of the way to the best of ratios."""
    step = margin if in_points else abs(limit) * margin
    if below:
        return round(min(limit + step, max(limit, (limit + 1) / 2)) if in_points else limit + step, 9)
    return round(max(limit - step, limit / 2), 9) if limit > 0 else limit


__all__ = ["LEVELS", "STALE_MS", "Limit", "Threshold", "Thresholds"]
