"""Describe what a contact centre consists of: queues, agents, habits, with defaults and where each comes from.

"bank" = the published call records of an Israeli bank (Brown et al., JASA 2005), 1-14 February 1999;
"assumed" = nobody measured it, it only looks right.
"""

from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

Event: TypeAlias = dict[str, Any]
"""A canonical event as it is encoded: `id`, `type`, `at` and the type's own fields."""

Record: TypeAlias = tuple[int, str, str, Event]
"""When it is sent (ms), topic without prefix, key, event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue, what arrives in it and how long that takes.

    `talk_s` is talk and hold of one call. With 40 s of wrap-up the default of 140 s takes an agent 180 s (bank: mean
    167 s, regular customers 179 s). `patience_s` None takes the bank's piecewise hazard, a number an exponential. Who has
    waited long goes over to the queue `overflow_to`, if somebody is free there.
    """

    name: str
    channel: Literal["voice", "chat"] = "voice"
    per_minute: float = 6.0
    service: Literal["lognormal", "exponential"] = "lognormal"
    talk_s: float = 140.0
    talk_sigma: float = 0.94  # bank: regular 0.88, stock trading 0.95, new 0.89
    patience_s: float | None = None
    overflow_to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """An agent. `shift_min` is the shift's start in minutes of the UTC day; None is always there, without a break.

    `rest_min` moves the breaks, so that the agents of one queue do not take theirs together.
    """

    id: str
    queues: tuple[str, ...]
    groups: tuple[str, ...]
    capacity: int = 1
    shift_min: int | None = None
    rest_min: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How customers and agents behave. Shares and probabilities are 0..1, pairs are uniform ranges."""

    menu_s: tuple[float, float] = (2.0, 8.0)  # assumed: started -> entered
    ring_s: tuple[float, float] = (1.0, 3.0)  # assumed: offered -> connected
    missed: float = 0.03  # of offers; assumed
    ring_limit_s: float = 12.0  # assumed
    missed_pause_s: float = 30.0  # away after a missed offer; assumed
    short_calls: float = 0.05  # under 10 s; bank
    hold: float = 0.12  # of calls; assumed
    hold_s: float = 45.0
    wrap_up_s: float = 40.0  # KPI catalogue: 30-60 s
    wrap_up_sigma: float = 0.5  # assumed
    texts: float = 0.2  # calls in which the customer sends a text, an address or a number; assumed
    transfer: float = 0.02  # KPI catalogue: 0.01 good, 0.03 industry
    warm: float = 0.4  # of transfers; assumed
    redial: float = 0.38  # after giving up; bank, 745 known customers; model: Ding et al. 2013
    reconnect: float = 0.10  # after service, within the hour; bank
    return_s: float = 420.0  # median of both; bank
    return_sigma: float = 1.4  # bank
    known: float = 0.85  # sessions with a customer id; assumed
    callback: float = 0.04  # of those who give up; assumed
    voicemail: float = 0.02  # of those who give up; assumed
    longest_wait_s: float = 900.0  # of a call, then timed out; assumed
    longest_chat_wait_s: float = 180.0  # of a chat; assumed
    overflow_s: float = 45.0  # then a session may go over to another queue; assumed
    moves: float = 0.01  # customers who choose another queue while they wait; assumed
    gone: float = 0.01  # chats whose customer has left the page: closed when that is seen; assumed
    bot: float = 0.25  # chats in which a bot writes until an agent is there; assumed
    outbound: float = 0.02  # of calls; assumed
    survey: float = 0.80  # of connected sessions; assumed
    rating: float = 0.55  # of surveys; KPI catalogue: 0.5 good
    review: float = 0.03  # of connected sessions; assumed
    complaint: float = 0.003  # of connected sessions; assumed
    pause: float = 0.02  # of sessions are followed by a short away or busy; assumed
    quits: float = 0.0007  # a shift was an agent's last one: about a quarter in a year; and one agent leaves on the first day
    turns: float = 7.0  # chat messages of each side, negative binomial; KPI catalogue: 3 : 3 : 1
    reply_s: float = 12.0  # chat, median of an agent with one session; KPI catalogue: 10-20 s
    reply_sigma: float = 0.6  # assumed
    reply_slower: float = 0.15  # per further session in hand: Enqvist & Svensson 2017, Tezcan & Cui 2016; 0.15 assumed
    think_s: float = 20.0  # chat, the customer's mean
    silent: float = 0.01  # chats in which the customer never writes; assumed
    business: bool = True  # site visits and costs are reported

    @classmethod
    def plain(cls) -> Self:
        """Return habits that leave the queueing model bare (M/G/n+G): to compare with Erlang-A."""
        nothing = (0.0, 0.0)
        off = dict.fromkeys(("missed", "short_calls", "transfer", "redial", "reconnect", "callback", "voicemail"), 0.0)
        off |= dict.fromkeys(("outbound", "pause", "quits", "wrap_up_s", "moves", "gone"), 0.0)
        endless = dict.fromkeys(("longest_wait_s", "longest_chat_wait_s", "overflow_s"), 1e9)
        return cls(menu_s=nothing, ring_s=nothing, business=False, **off, **endless)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mess:
    """What goes wrong between the centre and the reader; all shares of events are assumed."""

    duplicate: float = 0.005
    late: float = 0.002
    invalid: float = 0.0005
    lost_left: float = 0.001  # of queue.left
    clock_share: float = 0.02  # agents whose clock is off
    clock_ms: int = 3_000
    most_late_ms: int = 600_000
