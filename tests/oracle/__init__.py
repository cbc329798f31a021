"""The slow truth: every number recounted from the event list by the texts alone, sharing no code with the product.

Use: `events = clean(raw)`, then `by_queue`, `by_group`, `window`, `today`, `seven_days`, `comparisons`, `now_gauges`,
`turnover`, `sessions_expired`, `percentile_inputs`. What counts days takes spans: `agent_days(events, settings, now,
spans.days(settings, now, 7))`, `reviewer_days` likewise. `clean` keeps the reading order; everything else does not
depend on the order of the list. `now_ms` is expected at or after the newest event (`newest(events)`). No event is late:
each counts however much later than its neighbours it came. Sessions are forgotten by event times alone.

Decisions where the texts leave room (numbers are those of `rules.md`):

- 2: at one millisecond events of an agent go joined, status, left, then by id. Of several `queue.entered` at one ms the
  last by id is the most recent. Preceding by time alone: an entry at the fact's own ms precedes it whatever its type.
- 3: single milestones are started, the first connected, ended and survey_sent (the earliest counts, with its fields:
  direction, queue, channel, customer, resolved). Each review and each transfer counts. Of ratings the last of the
  session counts, whichever agent it names.
- Direction without a start: inbound, the default.
- 5: gaps are measured between events in order of time, whatever was read when. What forgets, cuts a session off from the
  next one under its id: each is a session of its own, with its own start, end, pairs of entries and leavings, rating. A
  cut is decided by the channel that the events before the gap name; forgetting at now by all of its events. Each copy of
  an end after the first moves nothing: 24 h run from the earliest. What comes 24 h or more after the end (a late review, a
  rating) is a session without start. `sessions_expired` is a state at now: open ones past their age, and those that were
  cut off while open; who was forgotten and came back in time is not among them.
- 7: amounts and scores are the decimal numbers that were written.
- 10: an offer, a miss and a ring belong to the queue that the offer names; the channel is that of the session's latest
  entry into that queue at or before it, else its first entry into it, else the start's, else `unassigned`.
- 11, waiting: counts sessions, once per (queue, channel), from the earliest open entry there. A session that has ended,
  whenever, does not wait.
- 15: a connect after the end counts as connected (and handled, 0 s): ended = handled + unconnected.
- 16 and 23: a repeated connect (by the agent who holds) changes nothing: it is no previous connect for rings, has no
  ring itself, and ends no hold. "After the previous connected" is strict.
- 20 and 21: without any connect there is neither a first response nor a turn; without a manual customer message there
  is no first response. A customer's message stays unanswered by an agent's message before the first connect. All
  messages of the session count, also those after its end.
- 22 and 24: wrap-ups are booked only for handled sessions. Of one holding the agent's first wrap-up at or after its end
  counts, if it comes before he next holds the session.
- 26: the channel that decides is that of the queue of the end (10). Messages of any time make a session valid.
- 27: a customer's message with `automatic: true` is the system's.
- 28: a session invites once; each offer, miss and transfer counts.
- 29: the customer is the one that the first start names; a start without one is no contact, whatever later starts name.
  A session that is forgotten has not ended: every later contact of its customer follows it. Starts at the same ms do not
  follow one another. `repeat_within` is that of B's start for the repeat, that of A's end for the resolution (both for
  when it is booked and for who follows).
- 31: nobody holds a session after its end: a connect after it makes no holding, so it has no time in hand and no
  wrap-up, but is `taken`.
- 32: in hand after the end is the agent's who held the session at its end; after a transfer that nobody took it is
  nobody's. The channel that expects a wrap-up is that of the queue of the end.
- 33 and 34: before the first status the groups of `agent.joined` count, if it names any. After `agent.left` groups,
  queues and capacity stay as they were; a later status starts anew.
- 35: a capacity that was never named is the default in force at each instant.
- 36: the column `peak_concurrency` is 0 where nobody held anything; `ratios.peak_concurrency` says None.
- 37: days of agents and of reviewers are told apart by the zone in force on them.
- 38: who left without ever having been on the roster is no leaver; groups that the leaving itself names count for it.
  A status before the `agent.joined` of the first stint does not begin it. `covered` is the floor's, for each group.
- 39: over all channels of a queue a reviewer's day counts once, too. The floor's reviewer-days are those in its own
  window, of the top-level zone (its reviews, a sum over the queues' own windows, may differ at the edges).
- 40: where sessions ended and nothing was booked in a currency, the cost per contact is 0. A queue and a channel of visits
  are taken as named, each on its own.
- 41: a second open or close changes nothing, the queue that it names included. A close without an open counts in
  `complaints_closed` alone.
- 42: agent time of a window runs from the start of its first slice to now. `today` begins at the exact local midnight.
  A change from a base of 0 is absent for ratios too. Both sides of a comparison are as known at now. The base ends when its day's
  clock first shows the time of day of the boundary; where that day skips it, at the shift.
- Settings with a history: gauges, and where windows begin, take the version of now; contributions that of the instant at which
  they are booked (wrap-up limit, speech channel: the end; status map: the status). Intervals are aligned by the zone of
  the instant. Ages and the horizon of sessions have no history: the first version's hold.
"""

from tests.oracle import ratios, spans
from tests.oracle.agents import GROUP_COLUMNS, ONLINE_STATUSES, by_group
from tests.oracle.cleaning import clean, newest, parse_at
from tests.oracle.gauges import GroupNow, Now, QueueNow, SlotsNow, now_gauges
from tests.oracle.levels import Levels, levels_by_queue, levels_over
from tests.oracle.ratios import change
from tests.oracle.reviewers import reviewer_days
from tests.oracle.roster import Turnover, turnover
from tests.oracle.sessions import sessions_expired
from tests.oracle.settings import ALL, UNASSIGNED, QueueSettings, Settings
from tests.oracle.tables import QUEUE_COLUMNS, by_queue, percentile, percentile_inputs
from tests.oracle.windows import (
    Sums,
    agent_days,
    comparisons,
    seven_days,
    seven_days_values,
    today,
    today_values,
    window,
    window_start,
    window_values,
)

__all__ = [
    "ALL",
    "GROUP_COLUMNS",
    "ONLINE_STATUSES",
    "QUEUE_COLUMNS",
    "UNASSIGNED",
    "GroupNow",
    "Levels",
    "Now",
    "QueueNow",
    "QueueSettings",
    "Settings",
    "SlotsNow",
    "Sums",
    "Turnover",
    "agent_days",
    "by_group",
    "by_queue",
    "change",
    "clean",
    "comparisons",
    "levels_by_queue",
    "levels_over",
    "newest",
    "now_gauges",
    "parse_at",
    "percentile",
    "percentile_inputs",
    "ratios",
    "reviewer_days",
    "sessions_expired",
    "seven_days",
    "seven_days_values",
    "spans",
    "today",
    "today_values",
    "turnover",
    "window",
    "window_start",
    "window_values",
]
