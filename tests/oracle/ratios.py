"""The ratios and means of `kpis.md` from a dict of columns: floats (durations in s), None for 0/0."""

from __future__ import annotations

from collections.abc import Mapping

Columns = Mapping[str, int]


def over(numerator: int, denominator: int) -> float | None:
    """Return the quotient, None where nothing was counted; x/0 with x not 0 is absent too."""
    return None if denominator == 0 else numerator / denominator


def seconds(total_ms: int, count: int) -> float | None:
    """Return a mean duration in s from a sum in ms."""
    return over(total_ms, 1000 * count)


def service_level_parts(columns: Columns, formula: str, waiting_late: int = 0) -> tuple[int, int]:
    """Return numerator and denominator of the service level; `waiting_late` is what `count_waiting_late` adds."""
    answered, within = columns["answered"], columns["answered_within"]
    abandoned, abandoned_within = columns["abandoned"], columns["abandoned_within"]
    short = columns["short_abandoned"]
    parts = {
        "sl_all_within": (within + abandoned_within, answered + abandoned),
        "sl_answered": (within, answered),
        "sl_offered": (within, answered + abandoned),
        "sl_late_abandons": (within, answered + (abandoned - abandoned_within)),
        "sl_short_credit": (within + short, answered + abandoned),
        "sl_no_short": (within, answered + abandoned - short),
    }
    numerator, denominator = parts[formula]
    return numerator, denominator + waiting_late


def service_level(columns: Columns, formula: str = "sl_no_short", waiting_late: int = 0) -> float | None:
    """Return the service level by one of the six formulas."""
    return over(*service_level_parts(columns, formula, waiting_late))


def abandonment_parts(columns: Columns, short_in_abandonment: bool = True) -> tuple[int, int]:
    """Return abandoned and (answered + abandoned + timed_out), the short ones in or out of both."""
    out = 0 if short_in_abandonment else columns["short_abandoned"]
    abandoned = columns["abandoned"] - out
    return abandoned, columns["answered"] + abandoned + columns["timed_out"]


def abandonment(columns: Columns, short_in_abandonment: bool = True) -> float | None:
    """Return abandoned / (answered + abandoned + timed_out), the short ones in or out of both."""
    return over(*abandonment_parts(columns, short_in_abandonment))


def abandon_time(columns: Columns) -> float | None:
    """Return the mean wait of the abandoned, s."""
    return seconds(columns["wait_abandoned_ms"], columns["abandoned"])


def speed_of_answer(columns: Columns) -> float | None:
    """Return the mean wait of the answered, s."""
    return seconds(columns["wait_answered_ms"], columns["answered"])


def queue_time(columns: Columns) -> float | None:
    """Return the mean wait of all who left the queue, s."""
    return seconds(columns["queue_time_ms"], columns["left"])


def placement(columns: Columns) -> float | None:
    """Return the share of those who left that waited longer than the placement limit."""
    return over(columns["left_late"], columns["left"])


def connect_rate(columns: Columns, direction: str | None = None) -> float | None:
    """Return connected / (connected + unconnected), of all or of one direction."""
    suffix = f"_{direction}" if direction else ""
    connected = columns[f"connected{suffix}"]
    return over(connected, connected + columns[f"unconnected{suffix}"])


def ring_time(columns: Columns) -> float | None:
    """Return the mean offered→connected, s."""
    return seconds(columns["ring_time_ms"], columns["ring_time_n"])


def missed_offers(columns: Columns) -> float | None:
    """Return missed / offered to agents."""
    return over(columns["offers_missed"], columns["offers"])


def first_response(columns: Columns) -> float | None:
    """Return the mean first response, s."""
    return seconds(columns["first_response_ms"], columns["first_response_n"])


def first_response_share(columns: Columns) -> float | None:
    """Return the share of first responses within target."""
    return over(columns["first_response_within"], columns["first_response_n"])


def first_reply(columns: Columns) -> float | None:
    """Return the mean start→first manual agent message, s."""
    return seconds(columns["first_reply_ms"], columns["first_reply_n"])


def response_time(columns: Columns) -> float | None:
    """Return the mean turn, s."""
    return seconds(columns["response_time_ms"], columns["response_time_n"])


def response_time_share(columns: Columns) -> float | None:
    """Return the share of turns within target."""
    return over(columns["response_time_within"], columns["response_time_n"])


def session_time(columns: Columns) -> float | None:
    """Return the mean first connected→ended, s."""
    return seconds(columns["session_ms"], columns["handled"])


def talk_time(columns: Columns) -> float | None:
    """Return the mean talk time per handled session, s."""
    return seconds(columns["talk_ms"], columns["handled"])


def hold_time(columns: Columns) -> float | None:
    """Return the mean hold time per handled session, s."""
    return seconds(columns["hold_ms"], columns["handled"])


def wrap_up_time(columns: Columns) -> float | None:
    """Return the mean wrap-up per handled session, s."""
    return seconds(columns["wrap_up_ms"], columns["handled"])


def handle_time(columns: Columns) -> float | None:
    """Return the mean talk + hold + wrap-up per handled session, s."""
    return seconds(columns["talk_ms"] + columns["hold_ms"] + columns["wrap_up_ms"], columns["handled"])


def transfer_rate(columns: Columns, kind: str | None = None) -> float | None:
    """Return transferred / connected, of all or of one kind."""
    return over(columns[f"transferred_{kind}" if kind else "transferred"], columns["connected"])


def invalid_rate(columns: Columns, direction: str | None = None) -> float | None:
    """Return invalid / ended, of all or of one direction."""
    suffix = f"_{direction}" if direction else ""
    return over(columns[f"invalid{suffix}"], columns[f"ended{suffix}"])


def contacts_per_resolution(columns: Columns) -> float | None:
    """Return ended / resolved."""
    return over(columns["ended"], columns["resolved"])


def first_contact_resolution(columns: Columns) -> float | None:
    """Return the settled contacts of known customers that nobody followed / all of them."""
    return over(columns["fcr_resolved"], columns["fcr_contacts"])


def repeat_contact_rate(columns: Columns) -> float | None:
    """Return the contacts of known customers that follow another / all of them."""
    return over(columns["repeat_contacts"], columns["known_started"])


def satisfaction(columns: Columns) -> float | None:
    """Return Σ (score/scale) / rated."""
    return over(columns["score_micro"], 1_000_000 * columns["rated"])


def survey_response(columns: Columns) -> float | None:
    """Return rated / survey_sent."""
    return over(columns["rated"], columns["surveys_sent"])


def live_review_share(columns: Columns) -> float | None:
    """Return live reviews / all reviews."""
    return over(columns["reviews_live"], columns["reviews"])


def review_pass_rate(columns: Columns) -> float | None:
    """Return passed reviews / all reviews."""
    return over(columns["reviews_passed"], columns["reviews"])


def reviews_per_reviewer_day(columns: Columns, reviewer_days: int) -> float | None:
    """Return reviews / days on which a reviewer reviewed."""
    return over(columns["reviews"], reviewer_days)


def consultation_rate(columns: Columns) -> float | None:
    """Return sessions started / site visits."""
    return over(columns["started"], columns["visits"])


def cost_per_contact(columns: Columns, currency: str) -> float | None:
    """Return cost booked in a currency / sessions ended; a currency of which nothing is booked costs 0."""
    return over(columns.get(f"cost_{currency}_e6", 0), 1_000_000 * columns["ended"])


def complaint_time(columns: Columns) -> float | None:
    """Return the mean opened→closed, s."""
    return seconds(columns["complaint_ms"], columns["complaint_n"])


def occupancy(columns: Columns) -> float | None:
    """Return the time with a session in hand / (that + available time with none)."""
    return over(columns["in_hand_ms"], columns["in_hand_ms"] + columns["available_idle_ms"])


def concurrency(columns: Columns) -> float | None:
    """Return Σ session time in hand / time with a session in hand."""
    return over(columns["sessions_in_hand_ms"], columns["in_hand_ms"])


def slot_use(columns: Columns) -> float | None:
    """Return Σ session time in hand / Σ (capacity x time available or in hand)."""
    return over(columns["sessions_in_hand_ms"], columns["slots_ms"])


def work_rate(columns: Columns) -> float | None:
    """Return available time / online time."""
    return over(columns["status_available_ms"], columns["online_ms"])


def status_share(columns: Columns, status: str) -> float | None:
    """Return the time in a status / online time."""
    return over(columns[f"status_{status}_ms"], columns["online_ms"])


def sessions_per_agent_hour(columns: Columns) -> float | None:
    """Return taken / agent hours online."""
    return over(columns["taken"] * 3_600_000, columns["online_ms"])


def handled_per_agent_day(columns: Columns, agent_days: int) -> float | None:
    """Return taken / days on which an agent was online."""
    return over(columns["taken"], agent_days)


def peak_concurrency(columns: Columns) -> int | None:
    """Return the most sessions that one agent held at once; None where nobody held any."""
    return columns["peak_concurrency"] or None


def change(value: float | None, base: float | None, kind: str) -> float | None:
    """Return how far a value lies from its base (`rules.md` 42): absent if either is, or the base is 0.

    `kind`: `ratio` and `number` change by their difference, `count` and `duration` by the share of the base.
    """
    if value is None or base is None or base == 0:
        return None
    difference = value - base
    return {"ratio": difference, "number": difference, "count": difference / base, "duration": difference / base}[kind]
