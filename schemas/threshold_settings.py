"""Settings of thresholds: what may be written about one indicator, and what is meant where nothing is.

`schemas.thresholds` lays them over each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from schemas.durations import Duration, parse_duration, window_label
from schemas.kpis import BY_ID
from schemas.quiet import check_quiet
from schemas.readings import SLICE_MS
from schemas.rules import HOUR_MS

DAY_WINDOWS: Final = ("today", "7d")
LISTED_ELSEWHERE: Final[dict[str, Any]] = {"listed": False}
"""Of keys that another key describes."""


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
        raise PydanticCustomError("window", "is not a window: write today, 7d, or a multiple of 10s up to 60m")
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
        raise PydanticCustomError("limit", "is not a limit: write 90s, 80% or a number")
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


class QueueThresholds(BaseModel):
    """What is special about the thresholds of one queue."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    quiet_hours: QuietHours | None = Field(None, description="local time in which nobody is woken, in the queue's zone")
    kpis: Kpis = Field({}, description="as thresholds.kpis.<name>, for this queue", json_schema_extra=LISTED_ELSEWHERE)
    channels: dict[str, Kpis] = Field({}, description="as thresholds.kpis.<name>, for <channel>.<name> of this queue")


__all__ = [
    "DAY_WINDOWS",
    "DEFAULTS",
    "LISTED_ELSEWHERE",
    "KpiSettings",
    "Kpis",
    "LevelSettings",
    "QueueThresholds",
    "QuietHours",
]
