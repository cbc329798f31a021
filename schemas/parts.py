"""Names of the parts that cells are made of, and how derived names are put together.

A cell is one flat map from part name to integer: counts, sums in ms, sketch buckets (`queue_time~137`), steps and sums of
levels (`online_step`, `online_ms`). Everything merges by addition.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

COUNTS: Final[tuple[str, ...]] = (
    "offered", "answered", "answered_within", "abandoned", "abandoned_within", "short_abandoned", "overflowed", "timed_out",
    "callback", "voicemail", "closed", "left_transferred", "left", "left_late", "handled", "started", "connected", "ended",
    "unconnected", "transferred", "transferred_blind", "transferred_warm", "offers", "offers_missed", "invalid",
    "invalid_inbound", "invalid_outbound", "ended_inbound", "ended_outbound", "resolved", "messages_customer",
    "messages_agent", "messages_system", "first_response_within", "known_started", "repeat_contacts", "fcr_contacts",
    "fcr_resolved", "surveys_sent", "rated", "rated_good", "rated_neutral", "rated_bad", "reviews", "reviews_live",
    "reviews_passed", "visits", "complaints_opened", "complaints_closed",
)  # fmt: skip
"""Counts by queue that are columns of the interval table, in its order."""

SUMS: Final[tuple[str, ...]] = (
    "wait_answered_ms", "wait_abandoned_ms", "queue_time_ms", "session_ms", "ring_time_ms", "first_response_ms",
    "first_reply_ms", "response_time_ms", "talk_ms", "hold_ms", "wrap_up_ms",
)  # fmt: skip
"""Sums by queue that are columns of the interval table, in its order."""

FURTHER_COUNTS: Final[tuple[str, ...]] = (
    "first_response_n", "response_time_n", "response_time_within", "first_reply_n", "ring_time_n", "connected_inbound",
    "connected_outbound", "connected_callback", "unconnected_inbound", "unconnected_outbound", "unconnected_callback",
    "complaint_n",
)  # fmt: skip
"""Counts that ratios and means need beside the named ones."""

FURTHER_SUMS: Final[tuple[str, ...]] = ("complaint_ms", "rated_score_e6")
"""Sums that means need beside the named ones; `_e6` = millionths."""

COST: Final = re.compile(r"cost_([A-Z]{3})_e6")
"""Part of the cost booked in a currency, in millionths: one part per currency."""

REVIEWER_DAYS: Final = "reviewer_days"
"""Distinct reviewers per local day, each counted at his first review: by queue and channel, and once on the floor."""

AGENT_DAYS: Final = "agent_days"
"""Agents of a group who came online on a local day, each once, less those who were online before midnight and not after it.

With the number online just before midnight it gives those with any online time that day."""

SERIES: Final[dict[str, tuple[str, str]]] = {
    "queue_time": ("left", "queue_time_ms"),
    "first_response": ("first_response_n", "first_response_ms"),
    "response_time": ("response_time_n", "response_time_ms"),
}
"""Durations that have a sketch: name → (its count, its sum)."""

HISTOGRAM_LIMITS_MS: Final[tuple[int, ...]] = (
    1_000, 2_000, 5_000, 10_000, 15_000, 20_000, 30_000, 45_000, 60_000, 90_000, 120_000, 180_000, 300_000, 600_000,
    1_200_000, 1_800_000, 3_600_000,
)  # fmt: skip
"""Upper limits of the classic histograms, the usual targets of contact centres among them; counted exactly."""

LEVELS: Final[tuple[str, ...]] = (
    "in_hand", "available_idle", "online", "sessions_in_hand", "slots", "status_available", "status_busy", "status_away",
    "status_break", "status_meal", "status_training", "status_meeting",
)  # fmt: skip
"""Levels by group whose integrals over time are wanted; each has a `_step` and a `_ms` part in slices."""

MAX_PEAK: Final = 1000
"""Sessions in hand of one agent up to which the peak is told apart: the highest capacity that there can be."""

PEAK_LEVELS: Final[tuple[str, ...]] = tuple(f"in_hand_{n}" for n in range(2, MAX_PEAK + 1))
"""Agents with at least n sessions in hand; with `in_hand` (n = 1) they tell the peak of any span: the highest n whose level
has a positive integral there. Only those that occur have parts."""

ROSTER_LEVEL: Final = "roster"
"""Headcount by group; its steps, and `agents_left`, stand in slices of an hour."""

GAUGE_LEVELS: Final[tuple[str, ...]] = ("status_offline", "capacity", "slots_used", "slots_free")
"""Levels of which only the present value is wanted; no slices."""

SLOT_LEVELS: Final[tuple[str, ...]] = ("capacity", "slots_used", "slots_free")

TOTALS: Final[tuple[str, ...]] = (
    "offered", "answered", "abandoned", "short_abandoned", "overflowed", "timed_out", "callback", "voicemail", "closed",
    "left", "started", "connected", "ended", "handled", "transferred", "messages_customer", "messages_agent",
    "messages_system",
)  # fmt: skip
"""Counts that also run on for ever, for `_total` counters."""


def bucket_part(series: str, bucket: int) -> str:
    """Return the name of a sketch bucket's part."""
    return f"{series}~{bucket}"


def buckets_in(parts: Mapping[str, int], series: str) -> dict[int, int]:
    """Return the sketch of one series that stands in a cell: bucket → count."""
    prefix = series + "~"
    return {int(part[len(prefix) :]): count for part, count in parts.items() if part.startswith(prefix)}


def is_bucket(part: str) -> bool:
    """Tell whether a part is a sketch bucket."""
    return "~" in part


__all__ = [
    "AGENT_DAYS",
    "COST",
    "COUNTS",
    "FURTHER_COUNTS",
    "FURTHER_SUMS",
    "GAUGE_LEVELS",
    "HISTOGRAM_LIMITS_MS",
    "LEVELS",
    "MAX_PEAK",
    "PEAK_LEVELS",
    "REVIEWER_DAYS",
    "ROSTER_LEVEL",
    "SERIES",
    "SLOT_LEVELS",
    "SUMS",
    "TOTALS",
    "bucket_part",
    "buckets_in",
    "is_bucket",
]
