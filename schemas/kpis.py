"""The catalogue: each indicator once, with its definition, unit, parts and targets.

Gauges, report columns, the board's JSON and the reference are made from it. An indicator is derived from merged parts
(`schemas.parts`), never per event. `terms` gives numerator and denominator as sums of parts with small coefficients;
a mean's numerator is in ms. Definitions follow the catalogue of the specification, targets its `good / industry` column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from schemas.parts import COUNTS, FURTHER_COUNTS, SUMS, buckets_in
from schemas.rules import ONLINE_STATUSES, QueueRules
from schemas.sketch import largest, quantile

Terms = tuple[tuple[str, int], ...]
"""A sum of parts: (part, coefficient) each."""
Parts = Mapping[str, int]
Unit = Literal["count", "seconds", "ratio", "number"]
Form = Literal["state", "count", "mean", "ratio", "time"]
"""state: a gauge of now · count: a part over a window · mean: s per fact · ratio · time: a sum in s."""

PERCENTILES: Final[dict[str, float]] = {"p50": 0.5, "p90": 0.9, "p95": 0.95}


@dataclass(frozen=True, slots=True)
class Kpi:
    """One indicator.

    `terms` is asked with the queue's rules, since formulas are settings; `variants` maps a label to its values, each with a
    part suffix of its own (`_inbound`); `series` names the sketch behind percentiles; `share` the part counted within target.
    """

    id: str
    title: str
    definition: str
    unit: Unit
    form: Form
    section: Literal["now", "queue", "session", "agents"]
    dimension: Literal["queue", "group", "both"] = "queue"
    terms: Callable[[QueueRules], tuple[Terms, Terms]] | None = None
    series: str | None = None
    share: str | None = None
    variants: tuple[str, tuple[str, ...]] | None = None
    better: Literal["up", "down"] | None = None
    target: str = ""
    formula: str = ""


def _fixed(numerator: str, denominator: str = "") -> Callable[[QueueRules], tuple[Terms, Terms]]:
    """Read `a + b - c` into terms that no setting changes."""
    terms = _terms(numerator), _terms(denominator)
    return lambda _: terms


def _terms(text: str) -> Terms:
    words = text.replace("- ", "-").replace("+ ", "").split()
    return tuple((word.removeprefix("-"), -1 if word.startswith("-") else 1) for word in words)


SERVICE_LEVELS: Final[dict[str, tuple[str, str]]] = {
    "sl_all_within": ("answered_within + abandoned_within", "answered + abandoned"),
    "sl_answered": ("answered_within", "answered"),
    "sl_offered": ("answered_within", "answered + abandoned"),
    "sl_late_abandons": ("answered_within", "answered + abandoned - abandoned_within"),
    "sl_short_credit": ("answered_within + short_abandoned", "answered + abandoned"),
    "sl_no_short": ("answered_within", "answered + abandoned - short_abandoned"),
}
"""The six formulas that the trade calls service level: numerator, denominator."""

_SERVICE_LEVEL_TERMS: Final = {name: (_terms(top), _terms(bottom)) for name, (top, bottom) in SERVICE_LEVELS.items()}


def _service_level(rules: QueueRules) -> tuple[Terms, Terms]:
    top, bottom = _SERVICE_LEVEL_TERMS[rules.service_level]
    return (top, (*bottom, ("waiting_past_answer", 1))) if rules.count_waiting_late else (top, bottom)


_ABANDONMENT = (_terms("abandoned"), _terms("answered + abandoned + timed_out"))
_ABANDONMENT_NO_SHORT = (_terms("abandoned - short_abandoned"), _terms("answered + abandoned + timed_out - short_abandoned"))


def _abandonment(rules: QueueRules) -> tuple[Terms, Terms]:
    return _ABANDONMENT if rules.short_in_abandonment else _ABANDONMENT_NO_SHORT


_DIRECTIONS = ("direction", ("inbound", "outbound", "callback"))
_IN_OUT = ("direction", ("inbound", "outbound"))


def _state(kpi_id: str, title: str, definition: str, *, unit: Unit = "count", target: str = "",
           dimension: Literal["queue", "group", "both"] = "queue", better: Literal["up", "down"] | None = None) -> Kpi:  # fmt: skip
    return Kpi(kpi_id, title, definition, unit, "state", "now", dimension, target=target, better=better)


def _count(kpi_id: str, title: str, definition: str, better: Literal["up", "down"] | None = None) -> Kpi:
    return Kpi(kpi_id, title, definition, "count", "count", "queue", terms=_fixed(kpi_id), better=better, formula=kpi_id)


def _ratio(kpi_id: str, title: str, definition: str, section: Literal["queue", "session", "agents"], numerator: str,
           denominator: str, *, better: Literal["up", "down"] | None = None, target: str = "", unit: Unit = "ratio",
           variants: tuple[str, tuple[str, ...]] | None = None) -> Kpi:  # fmt: skip
    return Kpi(
        kpi_id, title, definition, unit, "ratio", section, "group" if section == "agents" else "queue",
        terms=_fixed(numerator, denominator), variants=variants, better=better, target=target,
        formula=f"({numerator}) / ({denominator})",
    )  # fmt: skip


def _mean(kpi_id: str, title: str, definition: str, section: Literal["queue", "session"], numerator: str, denominator: str,
          *, target: str = "", series: str | None = None, share: str | None = None) -> Kpi:  # fmt: skip
    return Kpi(
        kpi_id, title, definition, "seconds", "mean", section, terms=_fixed(numerator, denominator), series=series, share=share,
        better="down", target=target, formula=f"({numerator}) / ({denominator})",
    )  # fmt: skip


CATALOGUE: Final[tuple[Kpi, ...]] = (
    _state("waiting", "Waiting", "sessions in queue", better="down"),
    _state("oldest_wait", "Longest wait", "now - earliest entry among those who wait", unit="seconds", better="down",
           target="breach > 90 s"),
    _state("waiting_late", "Waiting too long", "of those who wait, longer than the placement limit", better="down"),
    _state("active_sessions", "Active sessions", "connected, not ended"),
    _state("agents", "Agents", "agents by status; staffed = all but offline", dimension="group"),
    _state("capacity", "Capacity", "sum of the capacity of available agents", dimension="both",
           target="per agent 8-12 for text, 4-6 technical, about 5 for newcomers"),
    _state("slots_used", "Slots used", "sessions in hand of available agents", dimension="both"),
    _state("slots_free", "Slots free", "capacity less sessions in hand, over available agents", dimension="both", better="up"),
    _state("expected_wait", "Expected wait", "(waiting + 1) x 900 s / answered in the last 15 min; 0 if a slot is free",
           unit="seconds", better="down"),
    _count("offered", "Offered", "entries into the queue"),
    _count("answered", "Answered", "left the queue to an agent", "up"),
    _count("abandoned", "Abandoned", "left the queue by giving up", "down"),
    _count("short_abandoned", "Short abandons", "abandoned after a wait below the short-abandon limit"),
    _count("overflowed", "Overflowed", "left the queue for another by overflow"),
    _count("timed_out", "Timed out", "left the queue because the wait was limited", "down"),
    _count("callback", "Callbacks", "left the queue with a promise to be called back"),
    _count("voicemail", "Voicemails", "left the queue to voicemail"),
    Kpi("service_level", "Service level", "answered within T over those who counted, by the queue's formula", "ratio", "ratio",
        "queue", terms=_service_level, better="up", target="0.80 within 20 s", formula="see the six formulas"),
    Kpi("abandonment", "Abandonment", "abandoned / (answered + abandoned + timed_out); short ones in or out is a setting", "ratio",
        "ratio", "queue", terms=_abandonment, better="down", target="<= 0.05",
        formula="abandoned / (answered + abandoned + timed_out)"),
    _mean("abandon_time", "Time to abandon", "mean wait of the abandoned", "queue", "wait_abandoned_ms", "abandoned",
          target="20-60 s"),
    _mean("speed_of_answer", "Speed of answer", "ASA: mean wait of the answered", "queue", "wait_answered_ms", "answered",
          target="<= 20 s"),
    _mean("queue_time", "Queue time", "mean wait of all who left the queue", "queue", "queue_time_ms", "left",
          series="queue_time", target="30-90 s / 150 s"),
    _ratio("placement", "Placement", "left after waiting longer than the placement limit / all who left", "queue", "left_late",
           "left", better="down", target="0.10-0.20 / 0.15"),
    _ratio("connect_rate", "Connect rate", "sessions connected / (connected + ended without ever being connected)", "queue",
           "connected", "connected + unconnected", better="up", target=">= 0.98", variants=_DIRECTIONS),
    _mean("ring_time", "Ring time", "mean offered to connected", "queue", "ring_time_ms", "ring_time_n"),
    _ratio("missed_offers", "Missed offers", "missed / offered to agents", "queue", "offers_missed", "offers", better="down"),
    _mean("first_response", "First response", "first manual agent message - later of (connected, first customer message)",
          "session", "first_response_ms", "first_response_n", series="first_response", share="first_response_within",
          target="15-30 s / 20 s"),
    _mean("first_reply", "First reply", "first manual agent message - session started: what the customer feels", "session",
          "first_reply_ms", "first_reply_n"),
    _mean("response_time", "Response time", "mean over turns: first unanswered customer message to the next manual agent message",
          "session", "response_time_ms", "response_time_n", series="response_time", share="response_time_within",
          target="10-20 s / 30 s"),
    _mean("session_time", "Session time", "ended - first connected", "session", "session_ms", "handled",
          target="180-600 s / 510 s"),
    _mean("talk_time", "Talk time", "connected to ended less hold, per handled session", "session", "talk_ms", "handled"),
    _mean("hold_time", "Hold time", "sum of held to resumed, per handled session", "session", "hold_ms", "handled"),
    _mean("wrap_up_time", "Wrap-up time", "end of holding to wrapped up, per handled session", "session", "wrap_up_ms", "handled",
          target="30-60 s / 60 s"),
    _mean("handle_time", "Handle time", "AHT: (talk + hold + wrap-up) per handled session", "session",
          "talk_ms + hold_ms + wrap_up_ms", "handled"),
    _ratio("transfer_rate", "Transfer rate", "transferred / connected", "session", "transferred", "connected", better="down",
           target="<= 0.01 / 0.03", variants=("kind", ("blind", "warm"))),
    _ratio("invalid_rate", "Invalid rate", "ended without a manual message from each side (voice: never connected) / ended",
           "session", "invalid", "ended", better="down", target="<= 0.01 inbound, <= 0.03 all", variants=_IN_OUT),
    Kpi("message_ratio", "Messages", "messages customer : agent : system, as three counts", "count", "count", "session",
        terms=_fixed("messages"), variants=("sender", ("customer", "agent", "system")), target="3 : 3 : 1",
        formula="messages_customer : messages_agent : messages_system"),
    _ratio("contacts_per_resolution", "Contacts per resolution", "ended / resolved", "session", "ended", "resolved",
           better="down", unit="number"),
    _ratio("occupancy", "Occupancy", "time with a session in hand / (that + available time with none)", "agents", "in_hand_ms",
           "in_hand_ms + available_idle_ms", target="0.75-0.85"),
    _ratio("concurrency", "Concurrency", "session time in hand / time with a session in hand", "agents", "sessions_in_hand_ms",
           "in_hand_ms", unit="number"),
    _ratio("slot_use", "Slot use", "session time in hand / capacity x (available or in-hand) time", "agents",
           "sessions_in_hand_ms", "slots_ms"),
    _ratio("work_rate", "Work rate", "available time / online time", "agents", "status_available_ms", "online_ms", better="up",
           target=">= 0.95 / 0.92"),
    _ratio("status_share", "Status share", "time in the status / online time", "agents", "status", "online_ms",
           variants=("status", ONLINE_STATUSES), target="available >= 0.90, busy <= 0.05, away <= 0.05"),
    Kpi("online_time", "Online time", "time not offline", "seconds", "time", "agents", "group", terms=_fixed("online_ms"),
        formula="online_ms"),
)  # fmt: skip

BY_ID: Final[dict[str, Kpi]] = {kpi.id: kpi for kpi in CATALOGUE}


def variant_terms(kpi: Kpi, value: str, rules: QueueRules) -> tuple[Terms, Terms]:
    """Return the terms of one variant: of one direction, kind, sender or status."""
    assert kpi.terms is not None
    top, bottom = kpi.terms(rules)
    if kpi.id == "status_share":
        return ((f"status_{value}_ms", 1),), bottom
    if kpi.id == "transfer_rate":
        return ((f"transferred_{value}", 1),), bottom
    return tuple((f"{part}_{value}", n) for part, n in top), tuple((f"{part}_{value}", n) for part, n in bottom)


def total_of(terms: Terms, parts: Parts) -> int:
    """Add up terms over parts."""
    return sum(n * parts.get(part, 0) for part, n in terms)


def value_of(kpi: Kpi, terms: tuple[Terms, Terms], parts: Parts) -> float | int | None:
    """Derive an indicator: s for durations, 0..1 for ratios; None when its denominator is 0."""
    top, bottom = terms
    numerator = total_of(top, parts)
    if kpi.form == "count":
        return numerator
    if kpi.form == "time":
        return numerator / 1000
    denominator = total_of(bottom, parts)
    if denominator <= 0:
        return None
    return numerator / denominator / (1000 if kpi.form == "mean" else 1)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the interval table; `value` wants the merged parts and the rules of the queue."""

    name: str
    unit: Literal["count", "seconds", "ratio", "number", "text"]
    value: Callable[[Parts, QueueRules], float | int | str | None]


def _sum_column(part: str) -> Column:
    return Column(part.removesuffix("_ms") + "_s", "seconds", lambda parts, _: parts.get(part, 0) / 1000)


def _count_column(part: str) -> Column:
    return Column(part, "count", lambda parts, _: parts.get(part, 0))


def _kpi_columns(kpi: Kpi) -> list[Column]:
    """Return an indicator's columns: itself, its stats, its variants."""
    columns: list[Column] = []
    terms = kpi.terms
    assert terms is not None
    if kpi.id not in ("status_share", "message_ratio"):
        columns.append(Column(kpi.id, kpi.unit, lambda parts, rules: value_of(kpi, terms(rules), parts)))
    if kpi.id == "service_level":
        columns.append(Column("formula", "text", lambda _, rules: rules.service_level))
    if kpi.series is not None:
        series = kpi.series
        columns += [
            Column(f"{kpi.id}_{name}", "seconds", lambda parts, _, q=q: _seconds(quantile(buckets_in(parts, series), q)))  # type: ignore[misc]
            for name, q in PERCENTILES.items()
        ]
        columns.append(Column(f"{kpi.id}_max", "seconds", lambda parts, _: _seconds(largest(buckets_in(parts, series)))))
    if kpi.share is not None:
        share = ((kpi.share, 1),)
        columns.append(
            Column(
                f"{kpi.id}_share",
                "ratio",
                lambda parts, rules: _share(total_of(share, parts), total_of(terms(rules)[1], parts)),
            )
        )
    if kpi.variants is not None and kpi.id != "message_ratio":
        columns += [
            Column(f"{kpi.id}_{v}", kpi.unit, lambda parts, rules, v=v: value_of(kpi, variant_terms(kpi, v, rules), parts))  # type: ignore[misc]
            for v in kpi.variants[1]
        ]
    return columns


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


def _share(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator > 0 else None


def queue_columns() -> list[Column]:
    """Return the columns of the interval table by queue: counts, sums, indicators."""
    columns = [_count_column(part) for part in COUNTS]
    columns += [_sum_column(part) for part in SUMS]
    columns += [_count_column(part) for part in FURTHER_COUNTS]
    for kpi in CATALOGUE:
        if kpi.section in ("queue", "session") and kpi.form in ("mean", "ratio"):
            columns += _kpi_columns(kpi)
    return columns


def group_columns() -> list[Column]:
    """Return the columns of the interval table by group; levels stand as their integrals (`online_ms`)."""
    columns = [_sum_column(f"{level}_ms") for level in ("in_hand", "available_idle", "online", "sessions_in_hand", "slots")]
    columns.append(_count_column("taken"))
    for kpi in CATALOGUE:
        if kpi.section == "agents":
            columns += _kpi_columns(kpi)
    return columns


__all__ = [
    "BY_ID",
    "CATALOGUE",
    "PERCENTILES",
    "SERVICE_LEVELS",
    "Column",
    "Kpi",
    "Parts",
    "Terms",
    "group_columns",
    "queue_columns",
    "total_of",
    "value_of",
    "variant_terms",
]
