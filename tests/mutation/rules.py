"""The mutations: one wrong rule each, as somebody might well write it.

The old text must be found exactly once in its file; who changes that line changes the mutation too, or takes it out when the rule
is gone.
"""

from __future__ import annotations

from typing import Final, NamedTuple

EXAMPLES: Final = "tests/unit/test_rules_by_example.py"


class Mutation(NamedTuple):
    """One change of one file, and the tests of which one must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = (EXAMPLES,)


KPIS: Final = "schemas/kpis.py"
SESSIONS: Final = "streams/core/course.py"
HOLDING: Final = "streams/core/holding.py"
TALK: Final = "streams/core/conversation.py"
AGENTS: Final = "streams/core/agents.py"
ROSTER: Final = "streams/core/roster.py"
CUSTOMERS: Final = "streams/core/customers.py"
MILESTONES: Final = "streams/core/milestones.py"

MUTATIONS: Final[tuple[Mutation, ...]] = (
    # formulas
    Mutation("abandonment: timed_out is not in the denominator", KPIS,
             '_ABANDONMENT = (_terms("abandoned"), _terms("answered + abandoned + timed_out"))',
             '_ABANDONMENT = (_terms("abandoned"), _terms("answered + abandoned"))'),
    Mutation("abandonment without short ones: they stay in the denominator", KPIS,
             '_terms("answered + abandoned + timed_out - short_abandoned")', '_terms("answered + abandoned + timed_out")'),
    Mutation("sl_short_credit: no credit", KPIS, '("answered_within + short_abandoned", "answered + abandoned")',
             '("answered_within", "answered + abandoned")'),
    Mutation("sl_late_abandons: all abandoned count", KPIS, '"answered + abandoned - abandoned_within"', '"answered + abandoned"'),
    Mutation("sl_no_short: short ones count", KPIS, '"answered + abandoned - short_abandoned"', '"answered + abandoned"'),
    Mutation("speed of answer over all who left", KPIS, '"wait_answered_ms", "answered"', '"wait_answered_ms", "left"'),
    Mutation("placement of the answered only", KPIS, '"left_late",\n           "left"', '"left_late",\n           "answered"'),
    Mutation("handle time without wrap-up", KPIS, '"talk_ms + hold_ms + wrap_up_ms"', '"talk_ms + hold_ms"'),
    Mutation("occupancy against online time", KPIS, '"in_hand_ms + available_idle_ms"', '"online_ms"'),
    Mutation("work rate: in hand counts instead of available", KPIS, '"status_available_ms", "online_ms"',
             '"in_hand_ms", "online_ms"'),
    Mutation("slot use: an agent in hand counts once", KPIS, '"sessions_in_hand_ms", "slots_ms"', '"in_hand_ms", "slots_ms"'),
    Mutation("peak: the lowest level", KPIS, "highest = max((int(n)", "highest = min((int(n)"),
    Mutation("turnover is not scaled to a year", KPIS, "roster_ms / covered_ms * TURNOVER_DAYS / _YEAR_DAYS",
             "roster_ms / covered_ms"),
    Mutation("change of a ratio in percent", KPIS, 'if unit in ("ratio", "number")', 'if unit in ("number",)'),
    Mutation("waiting past T does not count", KPIS, '(top, (*bottom, ("waiting_past_answer", 1)))', "(top, bottom)"),
    # percentiles and levels
    Mutation("percentile: one rank too high", "schemas/sketch.py", "if seen >= rank:", "if seen > rank:"),
    Mutation("level: the slice before the window does not carry in", "schemas/levels.py", "count * after + (first - 1) * sum_step",
             "count * after + first * sum_step"),
    Mutation("level: what lies ahead of now is not cut", "schemas/levels.py",
             "return (end - now) * level_now + sum((end - instant) * step for instant, step in later)", "return 0"),
    # queues
    Mutation("within T is less than T", SESSIONS, 'wait_answered_ms", wait))\n        if wait <= rule.answer_ms:',
             'wait_answered_ms", wait))\n        if wait < rule.answer_ms:'),
    Mutation("abandoned within T is less than T", SESSIONS, 'wait_abandoned_ms", wait))\n        if wait <= rule.answer_ms:',
             'wait_abandoned_ms", wait))\n        if wait < rule.answer_ms:'),
    Mutation("short includes the limit", SESSIONS, "if wait < rule.short_ms:", "if wait <= rule.short_ms:"),
    Mutation("placement includes the limit", SESSIONS, "if wait > rule.placement_ms:", "if wait >= rule.placement_ms:"),
    Mutation("entries pair with the last leaving", SESSIONS, "for entry in self.open:", "for entry in reversed(self.open):"),
    Mutation("rings from the first offer", SESSIONS, "for offer in reversed(self._offers):", "for offer in self._offers:"),
    Mutation("rings whoever was offered", SESSIONS, "if offer[0] <= at and offer[4] == agent:", "if offer[0] <= at:"),
    Mutation("a transfer belongs to the queue entered with it", SESSIONS, "n = bisect_left(self.entry_times, at)",
             "n = bisect_right(self.entry_times, at)"),
    # sessions
    Mutation("talk time with hold", SESSIONS, 'lasted -= hands.hold_ms', 'lasted -= 0'),
    Mutation("the first rating counts", SESSIONS, "elif rank == RATED:", "elif rank == RATED and self._rated is None:"),
    Mutation("good is more than four fifths", MILESTONES, "if 5 * score >= 4 * scale", "if 5 * score > 4 * scale"),
    Mutation("bad is up to a half", MILESTONES, "if 5 * score <= 2 * scale", "if 2 * score <= scale"),
    Mutation("97 does not pass", MILESTONES, "e.score >= PASS_SCORE", "e.score > PASS_SCORE"),
    Mutation("automatic messages are manual", MILESTONES, "MACHINE if e.automatic else _SENDERS", "_SENDERS"),
    Mutation("a text session is valid by one side", SESSIONS, "CUSTOMER not in senders or AGENT not in senders",
             "CUSTOMER not in senders and AGENT not in senders"),
    Mutation("first response from the connect on", TALK, "at - max(connected, self.first_customer)", "at - connected"),
    Mutation("first response from the first message on", TALK, "at - max(connected, self.first_customer)",
             "at - self.first_customer"),
    Mutation("a turn starts with the latest message", TALK,
             "                if self.unanswered is None:\n                    self.unanswered = at",
             "                self.unanswered = at"),
    Mutation("an agent counts on a day each time that he comes", ROSTER, "came = is_now - seen - ", "came = is_now - was - "),
    Mutation("who leaves at midnight counts on the new day", ROSTER, "gone = (was - is_now) - seen", "gone = frozenset[str]()"),
    Mutation("the roster starts with the first status", ROSTER, "self.hired >= announced:", "self.hired >= 0:"),
    Mutation("a status brings back who has left", ROSTER, "(rank == JOINED or not self.has_left)", "rank != LEFT"),
    Mutation("a reviewer counts with each review", "streams/core/reviewers.py", "if day not in seen:", "if True:"),
    Mutation("a complaint belongs to the queue of its close", "streams/core/complaints.py", "for filing in filings if",
             "for filing in reversed(filings) if"),
    Mutation("a complaint stays open", "streams/core/complaints.py", "if opened is not None and closed is None else None",
             "if opened is not None else None"),
    Mutation("anybody's wrap-up counts", HOLDING, "if leaving[0] == agent:", "if leaving[0]:"),
    Mutation("a repeated connected takes the session again", SESSIONS, "elif hands.holder != agent:", "elif agent:"),
    # customers
    Mutation("a repeat at exactly a day leaves the contact resolved", CUSTOMERS, "or starts[following] > due",
             "or starts[following] >= due"),
    Mutation("a repeat at exactly a day is none", CUSTOMERS, "start - newest_end <= rules", "start - newest_end < rules"),
    Mutation("contacts that start together follow each other", CUSTOMERS, "bisect_right(starts, start)", "starts.index(start) + 1"),
    Mutation("contacts settle at their end", CUSTOMERS, "if due <= settled:", "if end <= settled:"),
    # agents
    Mutation("slots count when available only", AGENTS, "capacity if in_hand or available else 0", "capacity if available else 0"),
    Mutation("idle whatever is in hand", AGENTS, "int(available and in_hand == 0)", "int(available)"),
    Mutation("offline is online", AGENTS, 'levels["online"] = int(status != "offline")', 'levels["online"] = 1'),
    # windows and tables
    Mutation("a window is a slice too long", "sinks/windows.py", "span.move(number - count + 1, number)",
             "span.move(number - count, number)"),
    Mutation("seven days are eight", "sinks/days.py", "WEEK_DAYS: Final = 7", "WEEK_DAYS: Final = 8"),
    Mutation("today is the day before as well", "sinks/days.py", "TODAY: side(0, 1),", "TODAY: side(0, 2),"),
    Mutation("a table's last quarter-hour is not cut", "sinks/table.py", "if start == last:\n", "if start == -last:\n"),
)  # fmt: skip

__all__ = ["EXAMPLES", "MUTATIONS", "Mutation"]
