"""Thresholds: when an indicator is worth a warning or a breach, for how long, on how many facts, and who is woken.

`Thresholds` is the section of the configuration; `Thresholds.of` answers what holds for one indicator of one queue, channel or
group, with all times scaled. The most specific setting wins, key by key: queue and channel, queue or group, channel, indicator.
Limits are in the indicator's unit: s, 0..1, or a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from schemas.durations import Duration, parse_duration, window_label
from schemas.kpis import BY_ID, CATALOGUE, Kpi
from schemas.overlay import overlaid
from schemas.quiet import QuietSpan, check_quiet, parse_quiet
from schemas.readings import SLICE_MS
from schemas.rules import HOUR_MS, STATUSES

LEVELS: Final = ("warn", "breach")
DAY_WINDOWS: Final = ("today", "7d")
STATS: Final = ("mean", "p50", "p90", "p95", "max", "share")
STALE_MS: Final = 15_000
"""Levels stand still while a partition has not been heard of for so long: three heartbeats, whatever the time scale."""
RATIO_MARGIN: Final = 0.02
SHARE_MARGIN: Final = 0.1
LISTED_ELSEWHERE: Final[dict[str, Any]] = {"listed": False}
"""Of keys that another key describes."""
_CHOSEN: Final = frozenset({"agents", "message_ratio", "status_share", "cost_per_contact"})
"""Indicators that are defined for one status, sender or currency only."""


def _known_kpi(value: str) -> str:
    if value not in BY_ID:
        near = get_close_matches(value, BY_ID, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise PydanticCustomError("kpi", "unknown indicator{hint} All indicators: floorpulse kpis", {"hint": hint})
    return value


def _window(value: Any) -> str:
    if value in DAY_WINDOWS:
        return str(value)
    ms = parse_duration(value)
    if ms % SLICE_MS or not SLICE_MS <= ms <= HOUR_MS:
        raise PydanticCustomError("window", "is no window: write today, 7d, or a multiple of 10s up to 60m")
    return window_label(ms)


def _limit(value: Any) -> float:
    """Read `90s`, `80%` or a number."""
    text = str(value).strip()
    try:
        try:
            number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            number = parse_duration(value) / 1000
    except PydanticCustomError:
        number = float("nan")
    if isinstance(value, bool) or not -1e12 < number < 1e12:
        raise PydanticCustomError("limit", "is no limit: write 90s, 80% or a number")
    return number


def _bare(value: Any) -> Any:
    """Let a level be written as its limit alone."""
    return value if isinstance(value, dict | BaseModel) or value is None else {"limit": value}


KpiId = Annotated[str, AfterValidator(_known_kpi)]
Window = Annotated[str, BeforeValidator(_window)]
LimitValue = Annotated[float, BeforeValidator(_limit)]
QuietHours = list[Annotated[str, BeforeValidator(check_quiet)]]
Severity = Literal["page", "ticket", "info", "none"]


class _Settings(BaseModel):
    """What both levels of an indicator, or one of them, are judged by; None = as in the level above."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: Window | None = Field(None, description="what is looked at: 15m, today, 7d; nothing for a state of now")
    min_samples: int | None = Field(None, ge=0, description="fewer facts in the window (agents staffed, by group) are not judged")
    min_events: int | None = Field(None, ge=0, description="fewer in the numerator are no reason to enter")
    enter_after: Duration | None = Field(None, description="so long beyond the limit before the level is entered")
    leave_after: Duration | None = Field(None, description="so long on the good side before it is left")
    margin: float | None = Field(None, ge=0, description="of the good side: points of a ratio, else a share of the limit")
    alert_after: Duration | None = Field(None, description="so long at the level before Prometheus alerts")
    keep_firing: Duration | None = Field(None, description="so long Prometheus goes on after the level was left")
    severity: Severity | None = Field(None, description="page, ticket or info; none: a colour only")


class LevelSettings(_Settings):
    """One level of one indicator."""

    limit: LimitValue | None = Field(None, description="90s, 80% or a number; beyond it is worse, exactly at it is not")


class KpiSettings(_Settings):
    """Both levels of one indicator."""

    enabled: bool | None = Field(None, description="whether it is judged; an indicator that is named is")
    worse: Literal["above", "below"] | None = Field(None, description="the bad side of a limit, if the catalogue does not say")
    stat: Literal["mean", "p50", "p90", "p95", "max", "share"] | None = Field(None, description="of durations; default mean")
    variant: str | None = Field(None, max_length=128, description="the status, direction, kind, sender or currency that is judged")
    quiet_hours: QuietHours | None = Field(None, description="local time in which nobody is woken: Sat-Sun 00:00-24:00")
    warn: Annotated[LevelSettings, BeforeValidator(_bare)] = Field(default_factory=LevelSettings)
    breach: Annotated[LevelSettings, BeforeValidator(_bare)] = Field(default_factory=LevelSettings)


Kpis = dict[KpiId, KpiSettings]


def _kpi(**settings: Any) -> KpiSettings:
    return KpiSettings.model_validate(settings)


DEFAULTS: Final[Mapping[str, KpiSettings]] = {
    "oldest_wait": _kpi(
        enter_after=0, warn={"limit": "60s", "severity": "none"},
        breach={"limit": "90s", "alert_after": "15s", "keep_firing": "1m", "severity": "page"}),
    "service_level": _kpi(
        warn={"limit": 0.80, "window": "30m", "min_samples": 50, "alert_after": "5m", "keep_firing": "10m", "severity": "ticket"},
        breach={"limit": 0.70, "window": "15m", "min_samples": 30, "alert_after": "2m", "keep_firing": "5m", "severity": "page"}),
    "abandonment": _kpi(
        window="15m", min_samples=30, warn={"limit": 0.05, "severity": "none"},
        breach={"limit": 0.10, "min_events": 5, "alert_after": "2m", "keep_firing": "5m", "severity": "page"}),
    "first_response": _kpi(
        window="15m", min_samples=20, warn={"limit": "20s", "severity": "none"},
        breach={"limit": "40s", "alert_after": "3m", "keep_firing": "5m", "severity": "ticket"}),
    "occupancy": _kpi(
        worse="above", window="60m", min_samples=5, warn={"limit": 0.85, "severity": "none"},
        breach={"limit": 0.90, "alert_after": "30m", "keep_firing": "15m", "severity": "ticket"}),
    "satisfaction": _kpi(
        window="today", min_samples=30, warn={"limit": 0.97, "severity": "none"},
        breach={"limit": 0.90, "alert_after": "15m", "keep_firing": "1h", "severity": "ticket"}),
    "transfer_rate": _kpi(enabled=False, window="60m", min_samples=50, warn=0.01, breach=0.03),
    "invalid_rate": _kpi(enabled=False, window="60m", min_samples=50, warn=0.02, breach=0.03),
    "placement": _kpi(enabled=False, window="30m", min_samples=50, warn=0.15, breach=0.20),
    "first_contact_resolution": _kpi(enabled=False, window="7d", min_samples=50, warn=0.85, breach=0.75),
    "survey_response": _kpi(enabled=False, window="today", min_samples=50, warn=0.50),
    "review_pass_rate": _kpi(enabled=False, window="7d", min_samples=30, warn=0.95),
    "turnover": _kpi(enabled=False, min_samples=10, warn=0.15, breach=0.25),
    "work_rate": _kpi(enabled=False, window="60m", min_samples=5, warn=0.95, breach=0.92),
}  # fmt: skip
"""Targets of the catalogue as thresholds. Those that are off are switched on by `enabled: true`, or by naming them."""


_OFF: Final = KpiSettings(enabled=False)


class QueueThresholds(BaseModel):
    """What is special about the thresholds of one queue."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    quiet_hours: QuietHours | None = Field(None, description="local time in which nobody is woken, in the queue's zone")
    kpis: Kpis = Field({}, description="as thresholds.kpis.<name>, for this queue", json_schema_extra=LISTED_ELSEWHERE)
    channels: dict[str, Kpis] = Field({}, description="as thresholds.kpis.<name>, for <channel>.<name> of this queue")


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
                    raise ValueError(f"groups.{group}.{kpi}: is no indicator of groups")
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
        layers = self._layers(queue, channel, group)
        settings = self._settings(kpi, layers)
        quiet = self._quiet_hours(kpi, settings, self.queues.get(queue), layers)
        return self._resolved(kpi, settings, tuple(map(parse_quiet, quiet)))

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
            raise ValueError(f"limit {wrong:g} is no ratio between 0 and 1 (or write 80%)")
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


__all__ = ["DEFAULTS", "LEVELS", "STALE_MS", "KpiSettings", "LevelSettings", "Limit", "QueueThresholds", "Threshold", "Thresholds"]
