"""The slow truth: every number recounted from the event list by the texts alone, sharing no code with the product.

Use: `events = clean(raw)`, then `by_queue`, `by_group`, `window`, `today`, `now_gauges`, `percentile_inputs`.
`clean` keeps the reading order; everything else does not depend on the order of the list. `now_ms` is expected at or
after the newest event (`newest(events)`). No event is late and no session expires here.

Decisions where the texts leave room (numbers are those of `rules.md`):

- 2: at one millisecond events of an agent go joined, status, left, then by id. Of several `queue.entered` at one ms the
  last by id is the most recent. Preceding by time alone: an entry at the fact's own ms precedes it whatever its type.
- 3: single milestones are started, the first connected, ended and survey_sent (the earliest counts, with its fields:
  direction, queue, channel, customer, resolved). Each review and each transfer counts. Of ratings the last of the
  session counts, whichever agent it names.
- Direction without a start: inbound, the default.
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
- 30: score and scale are taken as the decimal numbers that were written.
- 31: nobody holds a session after its end: a connect after it makes no holding, so it has no time in hand and no
  wrap-up, but is `taken`.
- 32: in hand after the end is the agent's who held the session at its end; after a transfer that nobody took it is
  nobody's. The channel that expects a wrap-up is that of the queue of the end.
- 33 and 34: before the first status the groups of `agent.joined` count, if it names any. After `agent.left` groups,
  queues and capacity stay as they were; a later status starts anew.
- 42: agent time of a window runs from the start of its first slice to now. `today` begins at the exact local midnight.
"""

from tests.oracle.agents import GROUP_COLUMNS, ONLINE_STATUSES, by_group
from tests.oracle.cleaning import clean, newest, parse_at
from tests.oracle.gauges import GroupNow, Now, QueueNow, SlotsNow, now_gauges
from tests.oracle.settings import ALL, UNASSIGNED, QueueSettings, Settings
from tests.oracle.tables import (
    QUEUE_COLUMNS,
    Sums,
    by_queue,
    percentile,
    percentile_inputs,
    today,
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
    "Now",
    "QueueNow",
    "QueueSettings",
    "Settings",
    "SlotsNow",
    "Sums",
    "by_group",
    "by_queue",
    "clean",
    "newest",
    "now_gauges",
    "parse_at",
    "percentile",
    "percentile_inputs",
    "today",
    "window",
    "window_start",
    "window_values",
]
