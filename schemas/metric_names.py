"""Names and labels of the Prometheus series of an indicator: one place for what publishes them and what describes them.

Indicator `x` is `floorpulse_x` and its unit: `_seconds` for durations, `_ratio` for ratios, nothing for counts of state and plain
numbers; a count over a window is `floorpulse_x_in_window`, so that it shares no family with the counter `floorpulse_x_total`.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from schemas.kpis import Kpi
from schemas.parts import SERIES, TOTALS

PREFIX: Final = "floorpulse_"
IN_WINDOW: Final = "_in_window"
QUEUE_LABELS: Final = ("queue", "channel")
SUBJECT_LABELS: Final = ("kpi", "queue", "channel", "group")
"""Of what is judged: an indicator of a queue and channel, or of a group; the others are empty."""
_OWN_LABEL: Final = {"agents": "status", "service_level": "formula"}
_SLOTS: Final = frozenset({"capacity", "slots_used", "slots_free"})

PANEL_WINDOWS: Final[dict[str, tuple[str, ...]]] = {
    "service_level": ("5m", "30m", "60m"),
    "satisfaction": ("today",),
    "survey_response": ("today",),
    "live_review_share": ("today",),
    "repeat_contact_rate": ("today",),
    "cost_per_contact": ("today",),
    "first_contact_resolution": ("7d",),
    "review_pass_rate": ("7d",),
    "complaint_time": ("7d",),
}
"""Windows that panels of the dashboards name, by indicator: they get series whatever `exported_windows` says."""

Role = Literal["value", "numerator", "denominator", "share", "beside", "counter", "histogram"]


class Family(NamedTuple):
    """A metric family: full name, labels, and what it shows of its indicator."""

    name: str
    labels: tuple[str, ...]
    role: Role


def value_suffix(kpi: Kpi) -> str:
    """Return what stands behind the id in the name of the value's family."""
    if kpi.form == "count":
        return IN_WINDOW
    return {"ratio": "_ratio", "seconds": "_seconds"}.get(kpi.unit, "")


def families_of(kpi: Kpi) -> list[Family]:
    """Return the families of an indicator: its value first, then its parts, share, what stands beside it, counter and histogram."""
    stem = PREFIX + kpi.id
    labels = _labels(kpi)
    stat = ("stat",) if kpi.form == "mean" else ()
    families = [Family(stem + value_suffix(kpi), (*labels, *stat), "value")]
    if kpi.id in _SLOTS:
        families = [Family(stem, ("group",), "value"), Family(stem, QUEUE_LABELS, "value")]
    if kpi.form in ("ratio", "mean", "turnover"):
        families += [Family(f"{stem}_numerator", labels, "numerator"), Family(f"{stem}_denominator", labels, "denominator")]
    if kpi.share is not None:
        families += [Family(f"{stem}_share_{which}", labels, "share") for which in ("ratio", "numerator", "denominator")]
    families += [Family(PREFIX + part + IN_WINDOW, labels, "beside") for part, _ in kpi.beside]
    for part in (f"{kpi.id}_{value}" for value in kpi.variants[1]) if kpi.form == "count" and kpi.variants else (kpi.id,):
        if part in TOTALS:
            families.append(Family(f"{PREFIX}{part}_total", QUEUE_LABELS, "counter"))
    if kpi.series in SERIES:
        families.append(Family(f"{PREFIX}{kpi.series}_seconds_hist", QUEUE_LABELS, "histogram"))
    return families


def _labels(kpi: Kpi) -> tuple[str, ...]:
    """Return the labels of an indicator's value, without `stat`."""
    names: tuple[str, ...] = ("group",) if kpi.dimension == "group" else QUEUE_LABELS
    if kpi.form not in ("state", "turnover"):
        names = (*names, "window")
    own = kpi.variants[0] if kpi.variants else _OWN_LABEL.get(kpi.id)
    return (*names, own) if own else names


__all__ = [
    "IN_WINDOW", "PANEL_WINDOWS", "PREFIX", "QUEUE_LABELS", "SUBJECT_LABELS", "Family", "Role", "families_of", "value_suffix",
]  # fmt: skip
