"""The catalogue: each indicator once, with its definition, unit, parts and targets.

Gauges, report columns, the board's JSON and the reference are made from it. An indicator is derived from merged parts
(`schemas.parts`), never per event. `terms` gives numerator and denominator as sums of parts with small coefficients.
Definitions follow the catalogue of the specification, targets its `good / industry` column. `schemas.columns` makes the
columns of the interval table from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from schemas.parts import AGENT_DAYS, COST, REVIEWER_DAYS
from schemas.rules import ONLINE_STATUSES, QueueRules

Terms = tuple[tuple[str, int], ...]
"""A sum of parts: (part, coefficient) each."""
Parts = Mapping[str, int]
Unit = Literal["count", "seconds", "ratio", "number"]
Form = Literal["state", "count", "mean", "ratio", "time", "peak", "turnover"]
"""state: a gauge of now · count: a part over a window · mean: an amount per fact · ratio · time: a sum in s · peak: the highest
level that lasted · turnover: of the roster, a gauge."""
Section = Literal["now", "queue", "session", "agents", "quality"]
Better = Literal["up", "down"]

PERCENTILES: Final[dict[str, float]] = {"p50": 0.5, "p90": 0.9, "p95": 0.95}
TURNOVER_DAYS: Final = 30
_YEAR_DAYS: Final = 365
_UNITS: Final = {"_ms": 1000, "_e6": 1_000_000}
_HOUR_MS: Final = 3_600_000
_PEAK_PREFIX: Final = "in_hand_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kpi:
    """One indicator.

    `terms` is asked with the queue's rules, since formulas are settings; `variants` maps a label to its values, each with a
    part suffix of its own (`_inbound`), empty where they are found in the data (currencies); `series` names the sketch behind
    percentiles; `share` the part counted within target. `days`: defined for whole local days only (`today`, `7d`). `wide`: by queue
    whatever the channel, since its events name none. `per_hour`: the denominator is a time, taken in hours. `differs`:
    where others mean something else by the word. `beside`: parts that are exported with it, each with what it counts.
    """

    id: str
    title: str
    definition: str
    unit: Unit
    form: Form
    section: Section
    dimension: Literal["queue", "group", "both"] = "queue"
    terms: Callable[[QueueRules], tuple[Terms, Terms]] | None = None
    series: str | None = None
    share: str | None = None
    variants: tuple[str, tuple[str, ...]] | None = None
    better: Better | None = None
    target: str = ""
    formula: str = ""
    days: bool = False
    wide: bool = False
    per_hour: bool = False
    differs: str = ""
    beside: tuple[tuple[str, str], ...] = ()

    def scales(self, top: Terms, bottom: Terms) -> tuple[int, int]:
        """Return by what numerator and denominator are divided for people: ms become s (or hours), millionths units."""
        return _scale(top), _HOUR_MS if self.per_hour else _scale(bottom)


@lru_cache(1000)
def _scale(terms: Terms) -> int:
    scales = {next((scale for suffix, scale in _UNITS.items() if part.endswith(suffix)), 1) for part, _ in terms}
    return scales.pop() if len(scales) == 1 else 1


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


def _state(kpi_id: str, title: str, definition: str, *, unit: Unit = "count", target: str = "", section: Section = "now",
           dimension: Literal["queue", "group", "both"] = "queue", better: Better | None = None, wide: bool = False,
           differs: str = "") -> Kpi:  # fmt: skip
    return Kpi(id=kpi_id, title=title, definition=definition, unit=unit, form="state", section=section, dimension=dimension,
               target=target, better=better, wide=wide, differs=differs)  # fmt: skip


def _count(kpi_id: str, title: str, definition: str, better: Better | None = None) -> Kpi:
    return Kpi(id=kpi_id, title=title, definition=definition, unit="count", form="count", section="queue",
               terms=_fixed(kpi_id), better=better, formula=kpi_id)  # fmt: skip


def _ratio(kpi_id: str, title: str, definition: str, section: Section, numerator: str, denominator: str, *,
           better: Better | None = None, target: str = "", unit: Unit = "ratio",
           variants: tuple[str, tuple[str, ...]] | None = None, days: bool = False, per_hour: bool = False,
           differs: str = "", beside: tuple[tuple[str, str], ...] = ()) -> Kpi:  # fmt: skip
    return Kpi(
        id=kpi_id, title=title, definition=definition, unit=unit, form="ratio", section=section,
        dimension="group" if section == "agents" else "queue", terms=_fixed(numerator, denominator), variants=variants,
        better=better, target=target, formula=f"({numerator}) / ({denominator})", days=days, per_hour=per_hour, differs=differs,
        beside=beside,
    )  # fmt: skip


def _mean(kpi_id: str, title: str, definition: str, section: Section, numerator: str, denominator: str, *,
          target: str = "", series: str | None = None, share: str | None = None, wide: bool = False,
          differs: str = "") -> Kpi:  # fmt: skip
    return Kpi(
        id=kpi_id, title=title, definition=definition, unit="seconds", form="mean", section=section,
        terms=_fixed(numerator, denominator), series=series, share=share, better="down", target=target,
        formula=f"({numerator}) / ({denominator})", wide=wide, differs=differs,
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
    Kpi(id="service_level", title="Service level", definition="answered within T over those who counted, by the queue's formula",
        unit="ratio", form="ratio", section="queue", terms=_service_level, better="up", target="0.80 within 20 s",
        formula="see the six formulas",
        differs="Amazon Connect, Genesys, Twilio and Cisco count abandoned and short ones differently: hence six named formulas"),
    Kpi(id="abandonment", title="Abandonment",
        definition="abandoned / (answered + abandoned + timed_out); short ones in or out is a setting", unit="ratio",
        form="ratio", section="queue", terms=_abandonment, better="down", target="<= 0.05",
        formula="abandoned / (answered + abandoned + timed_out)",
        differs="some leave short abandons out, some divide by offered"),
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
    Kpi(id="message_ratio", title="Messages", definition="messages customer : agent : system, as three counts", unit="count",
        form="count", section="session", terms=_fixed("messages"),
        variants=("sender", ("customer", "agent", "system")), target="3 : 3 : 1",
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
    Kpi(id="online_time", title="Online time", definition="time not offline", unit="seconds", form="time", section="agents",
        dimension="group", terms=_fixed("online_ms"), formula="online_ms"),
    Kpi(id="peak_concurrency", title="Peak concurrency", definition="most sessions that one agent held at once", unit="count",
        form="peak", section="agents", dimension="group", target="<= capacity",
        formula="highest n with some agent holding n sessions for some time in the window"),
    _ratio("sessions_per_agent_hour", "Sessions per agent hour", "sessions taken / agent hours online", "agents", "taken",
           "online_ms", unit="number", per_hour=True, better="up", target="20-30 / 20"),
    _ratio("handled_per_agent_day", "Sessions per agent day", "sessions taken / agents with online time that day", "agents",
           "taken", AGENT_DAYS, unit="number", days=True, better="up", target="160-240"),
    _ratio("first_contact_resolution", "First contact resolution",
           "ended contacts of known customers not followed by another session of that customer within 24 h / all such contacts, "
           "settled when the time is up", "session", "fcr_resolved", "fcr_contacts", better="up", target=">= 0.85",
           differs="often asked of the customer or ticked by the agent; here it is observed, over all queues and channels"),
    _ratio("repeat_contact_rate", "Repeat contacts",
           "sessions of known customers that follow an earlier one within that time / such sessions", "session",
           "repeat_contacts", "known_started", better="down"),
    _ratio("satisfaction", "Satisfaction", "sum of score / scale over ratings", "quality", "rated_score_e6", "rated", better="up",
           target=">= 0.97 (4.85 of 5); bad ones <= 3 of 100",
           differs="others publish the share of good ratings: rated_good / rated",
           beside=(("rated_good", "score / scale >= 0.8"), ("rated_neutral", "neither good nor bad"),
                   ("rated_bad", "score / scale <= 0.4"))),
    _ratio("survey_response", "Survey response", "rated / invited to rate", "quality", "rated", "surveys_sent", better="up",
           target=">= 0.50"),
    _ratio("reviews_per_reviewer_day", "Reviews per reviewer day", "reviews / reviewers active that day", "quality", "reviews",
           REVIEWER_DAYS, unit="number", days=True, target="10-30 / 20"),
    _ratio("live_review_share", "Live reviews", "reviews made while the session ran / all", "quality", "reviews_live", "reviews",
           better="up", target=">= 0.50"),
    _ratio("review_pass_rate", "Review pass rate", "reviews with a score >= 97 / reviews", "quality", "reviews_passed", "reviews",
           better="up", target=">= 0.95"),
    _ratio("consultation_rate", "Consultation rate", "sessions started / site visits", "quality", "started", "visits",
           target="0.05"),
    Kpi(id="cost_per_contact", title="Cost per contact", definition="cost booked / sessions ended, per currency", unit="number",
        form="ratio", section="quality", terms=_fixed("cost", "ended"), variants=("currency", ()), better="down", wide=True,
        formula="(cost_<currency>_e6) / (ended)"),
    Kpi(id="turnover", title="Turnover",
        definition="agents left in 30 days / mean headcount over them x 365/30", unit="ratio", form="turnover",
        section="quality", dimension="group", better="down", target="<= 0.15 / 0.25 a year",
        formula="agents_left / mean headcount x 365/30"),
    _state("complaints_open", "Open complaints", "complaints opened and not closed", section="quality", better="down", wide=True),
    _mean("complaint_time", "Complaint time", "mean opened to closed", "quality", "complaint_ms", "complaint_n", wide=True),
)  # fmt: skip

BY_ID: Final[dict[str, Kpi]] = {kpi.id: kpi for kpi in CATALOGUE}


def variant_terms(kpi: Kpi, value: str, rules: QueueRules) -> tuple[Terms, Terms]:
    """Return the terms of one variant: of one direction, kind, sender, status or currency."""
    assert kpi.terms is not None
    top, bottom = kpi.terms(rules)
    if kpi.id == "status_share":
        return ((f"status_{value}_ms", 1),), bottom
    if kpi.id == "cost_per_contact":
        return ((f"cost_{value}_e6", 1),), bottom
    if kpi.id == "transfer_rate":
        return ((f"transferred_{value}", 1),), bottom
    return tuple((f"{part}_{value}", n) for part, n in top), tuple((f"{part}_{value}", n) for part, n in bottom)


def currencies_in(cells: Iterable[Parts]) -> list[str]:
    """Return the currencies in which anything was booked, in order."""
    names = {part for parts in cells for part in parts if part.startswith("cost_")}
    return sorted(match[1] for name in names if (match := COST.fullmatch(name)))


def total_of(terms: Terms, parts: Parts) -> int:
    """Add up terms over parts."""
    total = 0
    for part, n in terms:  # a loop, since a generator for sum() takes longer, and this is asked for each series
        total += n * parts.get(part, 0)
    return total


def value_of(kpi: Kpi, terms: tuple[Terms, Terms], parts: Parts) -> float | int | None:
    """Derive an indicator: s for durations, 0..1 for ratios; None when its denominator is 0."""
    top, bottom = terms
    return derived(kpi, terms, total_of(top, parts), total_of(bottom, parts))


def derived(kpi: Kpi, terms: tuple[Terms, Terms], numerator: int, denominator: int) -> float | int | None:
    """Derive an indicator from the totals of its terms."""
    if kpi.form == "count":
        return numerator
    top_scale, bottom_scale = kpi.scales(*terms)
    if kpi.form == "time":
        return numerator / top_scale
    if denominator <= 0:
        return None
    return numerator * bottom_scale / (denominator * top_scale)


def peak_in(parts: Parts) -> int | None:
    """Return the most sessions that one agent held at once in a span, from the integrals of its levels; None: nobody held any."""
    lasted = [part.removesuffix("_ms") for part, ms in parts.items() if ms > 0 and part.startswith(_PEAK_PREFIX)]
    levels = [part.removeprefix(_PEAK_PREFIX) for part in lasted]
    highest = max((int(n) for n in levels if n.isdigit()), default=0)
    return highest or (1 if parts.get("in_hand_ms", 0) > 0 else None)


def turnover_of(left: int, roster_ms: int, covered_ms: int) -> tuple[int, float, float | None]:
    """Return numerator, denominator and value of turnover.

    `left`: agents who left in the last 30 days; `roster_ms`: headcount integrated over them; `covered_ms`: the part of them that
    the roster covers. The denominator is the mean headcount x 30/365, so that the value is their ratio.
    """
    if roster_ms <= 0 or covered_ms <= 0:
        return left, 0.0, None
    denominator = roster_ms / covered_ms * TURNOVER_DAYS / _YEAR_DAYS
    return left, denominator, left / denominator


def change_of(unit: Unit, value: float | None, base: float | None) -> float | None:
    """Return how far a value is from its base: points for ratios and numbers, a share for counts and durations (42)."""
    if value is None or not base:
        return None
    return value - base if unit in ("ratio", "number") else (value - base) / base


__all__ = [
    "BY_ID",
    "CATALOGUE",
    "PERCENTILES",
    "SERVICE_LEVELS",
    "TURNOVER_DAYS",
    "Kpi",
    "Parts",
    "Terms",
    "Unit",
    "change_of",
    "currencies_in",
    "derived",
    "peak_in",
    "total_of",
    "turnover_of",
    "value_of",
    "variant_terms",
]
