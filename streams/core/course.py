"""The course of a session: its milestones in their order, and what each of them is worth.

Theory of operation. A `Course` goes through the milestones of one life in order and notes the facts that follow. It can go on
later, with milestones that come after those it knows: what it has said then still stands, and only the new ones cost
anything. Milestones of the queues and those of the session itself come on two topics, of which either may be read far ahead of the
other; so each of the two has an order of its own, and what of the one decides about the other is made good where that is an
addition. Where a new milestone would change what was said (a rating after a rating, an entry into another queue where facts have
been placed) it raises `Retroactive`: then, as for anything out of order, everything is derived anew and the difference is
booked. At its beginning a course may look ahead, so from the beginning it never is retroactive, and going on in any
number of steps comes to the same as going through all at once. A course is a short cut, not state: it can always be
made again from the milestones. Numbers in comments are the rules of the specification.

A fact is `(address, at, part, amount)`: address = (dimension, name, channel), at = ms. If `part` names a series of
`schemas.parts`, the amount is a duration in ms (count, sum and sketch bucket follow from it), else it is added to the part.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from schemas.rules import UNASSIGNED, Rules
from streams.core.cells import Address
from streams.core.conversation import Heed, Setting
from streams.core.holding import Hands
from streams.core.milestones import (
    AGENT,
    CONNECTED,
    CUSTOMER,
    ENDED,
    ENTERED,
    HELD,
    LEFT,
    MISSED,
    OFFERED,
    RATED,
    RESUMED,
    REVIEWED,
    STARTED,
    SURVEY_SENT,
    TRANSFERRED,
    WRAPPED_UP,
    Milestone,
    senders_of,
)
from streams.core.relay import TO_AGENT, TO_CUSTOMER, TO_REVIEWER, Contact, Target, Told

Waiting = tuple[tuple[Address, int], ...]
"""(address, entered at) of stays still going on."""

_OUTCOMES: Final = {
    "overflowed": "overflowed",
    "timed_out": "timed_out",
    "transferred": "left_transferred",
    "callback": "callback",
    "voicemail": "voicemail",
    "closed": "closed",
}
_DIRECTIONS: Final = ("inbound", "outbound", "callback")
_CONNECTED: Final = {direction: f"connected_{direction}" for direction in _DIRECTIONS}
_UNCONNECTED: Final = {direction: f"unconnected_{direction}" for direction in _DIRECTIONS}
_ENDED: Final = {direction: f"ended_{direction}" for direction in _DIRECTIONS}
_INVALID: Final = {direction: f"invalid_{direction}" for direction in _DIRECTIONS}
_TRANSFERRED: Final = {kind: f"transferred_{kind}" for kind in ("blind", "warm")}


class Retroactive(Exception):
    """A milestone changes what was said before."""


@lru_cache(maxsize=65_536)
def address_of(queue: str, channel: str) -> Address:
    """Return the address of a queue on a channel, the same object each time."""
    return "queue", queue, channel


class Course:
    """How far one life of a session has come; `last` is the time of the newest milestone, -1 at the beginning."""

    __slots__ = (
        "_entered", "_fallback", "_fixed", "_lefts", "_offers", "_orphans", "_rated", "_starting", "_surveyed",
        "_taken", "_unsaid", "_vague", "addresses", "channel", "connected", "direction", "ended", "entry_times", "hands", "last",
        "last_connect", "last_queue", "open", "reviews", "setting_since", "shown_active", "shown_waiting", "started",
    )  # fmt: skip

    def __init__(self) -> None:
        """Start before the first milestone."""
        self.last = self.last_queue = -1
        self.started: Milestone | None = None
        self.ended: Milestone | None = None
        self.channel: str = UNASSIGNED
        self.direction: str = "inbound"
        self.connected: int | None = None
        """When the session was connected first."""
        self.last_connect = -1
        self.hands: Hands | None = None
        self.entry_times: tuple[int, ...] = ()
        self.addresses: tuple[Address, ...] = ()
        """Per entry, the address that it decides."""
        self.open: Waiting = ()
        """Entries without a leaving."""
        self.reviews: tuple[tuple[str, int, Address], ...] = ()
        """(reviewer, at, address) of each review."""
        self.setting_since = -1
        """The earliest instant from which on messages are now looked at in another way; -1: for none."""
        self.shown_waiting: Waiting = ()
        self.shown_active: Address | None = None
        """What the gauges show of it."""
        self._starting = False
        """Going through the first milestones of the session itself, which have been looked at already."""
        self._taken: tuple[str, int, int, bool] | None = None
        """Who took the session last and when, when it had been taken before that, and whether his offer is known."""
        self._vague = False
        """Something was placed without the session's channel, which was not known."""
        self._entered = 0
        self._lefts: tuple[Milestone, ...] = ()
        self._offers: tuple[Milestone, ...] = ()
        self._orphans: tuple[str, ...] = ()
        self._rated: Milestone | None = None
        self._surveyed = False
        self._fallback: Address | None = None
        self._fixed = False
        self._unsaid: tuple[Target, ...] = ()

    # -- where a fact belongs

    def place(self, at: int) -> Address:
        """Return where a fact at this time belongs: to the latest entry at or before it (10)."""
        times = self.entry_times
        if times and at >= times[-1]:
            return self.addresses[-1]
        n = bisect_right(times, at)
        return self.addresses[n - 1] if n else self.fallback

    def _place_before(self, at: int) -> Address:
        """Return where a transfer at this time belongs: to the latest entry strictly before it (2)."""
        n = bisect_left(self.entry_times, at)
        return self.addresses[n - 1] if n else self.fallback

    def _offer_address(self, offer: Milestone) -> Address:
        """Return where an offer belongs: to the latest entry into its queue, else to the first one."""
        found: Address | None = None
        for entered, address in zip(self.entry_times, self.addresses, strict=True):
            if address[1] == offer[3] and (found is None or entered <= offer[0]):
                found = address
        if found is None:
            self._orphans += (offer[3],)
            self._vague = True
            return address_of(offer[3], self.channel)
        return found

    @property
    def fallback(self) -> Address:
        """Where a fact belongs that no entry precedes."""
        return address_of(UNASSIGNED, self.channel) if self._fallback is None else self._fallback

    # -- on its way

    def go_on(self, milestones: Sequence[Milestone], heed: Heed) -> None:
        """Take further milestones, in order and later than those it knows; raises `Retroactive`."""
        if self.last < 0:
            self._begin(milestones)
        before, queue_before = self.last, self.last_queue
        steps = _STEPS
        for milestone in milestones:
            at, rank = milestone[0], milestone[1]
            if ENTERED <= rank <= LEFT:
                if at <= queue_before:
                    raise Retroactive
                steps[rank](self, milestone, heed)
                self.last_queue = at
            else:
                if at <= before:
                    raise Retroactive
                steps[rank](self, milestone, heed)
                self.last = at
        self._starting = False

    def _begin(self, milestones: Sequence[Milestone]) -> None:
        """Look ahead for what decides about what comes before it."""
        own = [milestone for milestone in milestones if not ENTERED <= milestone[1] <= LEFT]
        self._starting = bool(own)
        named = self._look_ahead(own)
        if self.last_queue < 0:
            for milestone in milestones:
                if milestone[1] == ENTERED:
                    self._know(milestone)
        elif self._vague and self.started is not None:
            raise Retroactive
        self.setting_since = 0
        if self.started is not None and self.started[5] is not None:
            self._fallback, self._fixed = address_of(self.started[5], self.channel), True
        elif self.addresses:
            self._fallback, self._fixed = self.addresses[0], True
        elif named is not None:
            self._fallback = address_of(named, self.channel)

    def _look_ahead(self, milestones: Sequence[Milestone]) -> str | None:
        """Find the first start, the first connect and the last rating; return the first queue that a connect names."""
        named: str | None = None
        for milestone in milestones:
            rank = milestone[1]
            if rank == STARTED:
                if self.started is None:
                    self.started = milestone
                    self.channel, self.direction = milestone[3], milestone[4]
            elif rank == CONNECTED:
                self.connected = milestone[0] if self.connected is None else self.connected
                named = milestone[4] if named is None else named
            elif rank == RATED:
                self._rated = milestone
        return named

    def _know(self, entry: Milestone) -> None:
        self.entry_times += (entry[0],)
        self.addresses += (self._decides(entry),)

    def _decides(self, entry: Milestone) -> Address:
        """Return the address that an entry decides."""
        if entry[4] is None:
            self._vague = True
            return address_of(entry[3], self.channel)
        return address_of(entry[3], entry[4])

    def _look_anew(self, at: int) -> None:
        """Note that from an instant on messages are looked at in another way."""
        if self.setting_since < 0:
            self.setting_since = at

    def _starts(self, milestone: Milestone, heed: Heed) -> None:
        if milestone is not self.started:
            if self.started is None:
                raise Retroactive
            return
        heed.facts.append((self.place(milestone[0]), milestone[0], "started", 1))
        self._tell_customer()

    def _enters(self, milestone: Milestone, heed: Heed) -> None:
        """Book an entry, and the leaving that had waited for it: the k-th entry of a queue with its k-th leaving (11)."""
        at, queue = milestone[0], milestone[3]
        if self._entered == len(self.addresses):
            late = at <= self.last
            if not self._fixed or queue in self._orphans or (late and self._decides(milestone) != self.place(at)):
                raise Retroactive
            self._know(milestone)
            if not late:
                self._look_anew(at)
        address = self.addresses[self._entered]
        self._entered += 1
        heed.facts.append((address, at, "offered", 1))
        for n, left in enumerate(self._lefts):
            if left[3] == queue:
                self._lefts = self._lefts[:n] + self._lefts[n + 1 :]
                _leaves(address, at, left, heed)
                return
        self.open += ((address, at),)

    def _leaves(self, milestone: Milestone, heed: Heed) -> None:
        queue = milestone[3]
        for n, entry in enumerate(self.open):
            if entry[0][1] == queue:
                self.open = self.open[:n] + self.open[n + 1 :]
                _leaves(*entry, milestone, heed)
                return
        self._lefts += (milestone,)

    def _offered(self, milestone: Milestone, heed: Heed) -> None:
        """Book an offer to an agent, in the queue that it names."""
        at, address = milestone[0], self._offer_address(milestone)
        heed.facts.append((address, at, "offers", 1))
        if at > self.last_connect or self._taken is None:
            self._offers += (milestone,)
            return
        agent, taken, before, rung = self._taken
        if at > taken:
            self._offers += (milestone,)
        elif at <= before or (rung and agent == milestone[4]):
            raise Retroactive
        elif agent == milestone[4]:
            self._taken = agent, taken, before, True
            _rang(address, taken, at, heed)

    def _missed(self, milestone: Milestone, heed: Heed) -> None:
        heed.facts.append((self._offer_address(milestone), milestone[0], "offers_missed", 1))

    def _connects(self, milestone: Milestone, heed: Heed) -> None:
        """Book the first connected (25, 15), and let the agent take the session if he does not hold it (31)."""
        at, agent = milestone[0], milestone[3]
        if not self._starting and (self.ended is not None or (milestone[4] is not None and self._fallback is None)):
            raise Retroactive
        if self.last_connect < 0:
            address = self.place(at)
            heed.facts.append((address, at, "connected", 1))
            heed.facts.append((address, at, _CONNECTED[self.direction], 1))
            if self.connected is None:
                self.connected = at
                self._look_anew(at)
        self.last_connect = at
        hands = self.hands
        if hands is None:
            hands = self.hands = Hands()
        if self.ended is not None:
            hands.take_nothing(agent, at)
        elif hands.holder != agent:
            assert self.connected is not None
            hands.take(agent, at, self.connected)
        else:
            return
        self._takes(agent, at, heed)

    def _takes(self, agent: str, at: int, heed: Heed) -> None:
        """Note a connected that was no repetition, and book the time it rang before (16)."""
        before = -1 if self._taken is None else self._taken[1]
        rung = False
        for offer in reversed(self._offers):
            if offer[0] <= at and offer[4] == agent:
                rung = True
                _rang(self._offer_address(offer), at, offer[0], heed)
                break
        self._offers = tuple(offer for offer in self._offers if offer[0] > at) if self._offers else ()
        self._taken = agent, at, before, rung

    def _transfers(self, milestone: Milestone, heed: Heed) -> None:
        at = milestone[0]
        address = self._place_before(at)
        heed.facts.append((address, at, "transferred", 1))
        heed.facts.append((address, at, _TRANSFERRED[milestone[4]], 1))
        if self.hands is not None:
            self.hands.transferred(milestone[3], at, self.connected)

    def _holds(self, milestone: Milestone, heed: Heed) -> None:
        del heed
        if self.hands is not None:
            self.hands.hold(milestone[0])

    def _resumes(self, milestone: Milestone, heed: Heed) -> None:
        del heed
        if self.hands is not None:
            self.hands.hold_over(milestone[0], self.connected)

    def _ends(self, milestone: Milestone, heed: Heed) -> None:
        """Book what becomes a fact at the end (22), all of it in the end's slice and queue."""
        if self.ended is not None:
            return
        self.ended = milestone
        self._tell_customer()
        at, facts, direction = milestone[0], heed.facts, self.direction
        address = self.place(at)
        facts.append((address, at, "ended", 1))
        if direction != "callback":
            facts.append((address, at, _ENDED[direction], 1))
        if milestone[3]:
            facts.append((address, at, "resolved", 1))
        rules = heed.rules.at(at)
        if self._is_invalid(heed.messages, address[2], rules):
            facts.append((address, at, "invalid", 1))
            if direction != "callback":
                facts.append((address, at, _INVALID[direction], 1))
        if self.connected is None:
            facts.append((address, at, "unconnected", 1))
            facts.append((address, at, _UNCONNECTED[direction], 1))
            return
        lasted = at - self.connected
        if lasted < 0:
            lasted = 0
            heed.errors.append("sessions")
        facts.append((address, at, "handled", 1))
        facts.append((address, at, "session_ms", lasted))
        hands = self.hands
        if hands is not None:
            hands.ended(at, self.connected, rules.wrap_up_ms_by_channel.get(address[2]))
            if hands.hold_ms:
                facts.append((address, at, "hold_ms", hands.hold_ms))
            if hands.wrap_up_ms:
                facts.append((address, at, "wrap_up_ms", hands.wrap_up_ms))
            lasted -= hands.hold_ms
        facts.append((address, at, "talk_ms", lasted))

    def _is_invalid(self, messages: Sequence[int], channel: str, rules: Rules) -> bool:
        """Tell whether an ended session was none (26): speech never connected, text without both sides."""
        if channel in rules.speech_channels:
            return self.connected is None
        senders = senders_of(messages)
        return CUSTOMER not in senders or AGENT not in senders

    def _wraps_up(self, milestone: Milestone, heed: Heed) -> None:
        """Note a wrap-up; one that becomes known after the end corrects the end's slice (22)."""
        if self.hands is None:
            return
        took_ms = self.hands.wrapped_up(milestone[3], milestone[0])
        if took_ms and self.ended is not None:
            heed.facts.append((self.place(self.ended[0]), self.ended[0], "wrap_up_ms", took_ms))

    def _asks(self, milestone: Milestone, heed: Heed) -> None:
        if not self._surveyed:
            self._surveyed = True
            heed.facts.append((self.place(milestone[0]), milestone[0], "surveys_sent", 1))

    def _rates(self, milestone: Milestone, heed: Heed) -> None:
        """Book a rating; the last one counts (3)."""
        if not self._starting:
            if self._rated is not None:
                raise Retroactive
            self._rated = milestone
        elif milestone is not self._rated:
            return
        at, _, _, score, grade = milestone
        address = self.place(at)
        heed.facts += [(address, at, "rated", 1), (address, at, grade, 1), (address, at, "rated_score_e6", score)]

    def _reviews(self, milestone: Milestone, heed: Heed) -> None:
        at = milestone[0]
        address = self.place(at)
        heed.facts.append((address, at, "reviews", 1))
        if milestone[3]:
            heed.facts.append((address, at, "reviews_live", 1))
        if milestone[4]:
            heed.facts.append((address, at, "reviews_passed", 1))
        self.reviews += ((milestone[5], at, address),)
        self._unsaid += ((TO_REVIEWER, milestone[5]),)

    # -- what it stands for

    @property
    def waiting(self) -> Waiting:
        """The stays still going on, the earliest of each address: `waiting` counts sessions."""
        if not self.open or self.ended is not None:
            return ()
        if len(self.open) == 1:
            return self.open if self.last_connect < self.open[0][1] else ()
        waiting: dict[Address, int] = {}
        for address, at in self.open:
            if self.last_connect < at:
                waiting.setdefault(address, at)
        return tuple(waiting.items())

    @property
    def active(self) -> Address | None:
        """The address of a session that is connected and not ended."""
        if self.connected is None or self.ended is not None:
            return None
        return self.addresses[-1] if self.addresses else self.fallback

    def setting(self) -> Setting:
        """Return what decides about the messages."""
        started = None if self.started is None else self.started[0]
        return Setting(started, self.connected, self.entry_times, self.addresses, self.fallback)

    # -- what others must know

    def _tell_customer(self) -> None:
        if self.started is not None and self.started[6] is not None:
            self._unsaid += ((TO_CUSTOMER, self.started[6]),)

    def take_unsaid(self) -> list[Target]:
        """Return of whom there is something new to be told since the last call, in order."""
        unsaid, self._unsaid = self._unsaid, ()
        hands = self.hands
        if hands is not None and hands.changed:
            unsaid += tuple((TO_AGENT, agent) for agent in hands.changed)
            hands.changed = ()
        return sorted(set(unsaid)) if len(unsaid) > 1 else list(unsaid)

    def targets(self) -> list[Target]:
        """Return everybody of whom there is something to be told."""
        found = [(TO_AGENT, agent) for agent in self.hands.of] if self.hands is not None else []
        if self.started is not None and self.started[6] is not None:
            found.append((TO_CUSTOMER, self.started[6]))
        return [*found, *((TO_REVIEWER, reviewer) for reviewer, _, _ in self.reviews)]

    def told(self, target: Target, give_up_at: int | None = None) -> Told:
        """Return what a target must know; `give_up_at`: a forgotten session's time in hand ends there."""
        kind, name = target
        if kind == TO_AGENT:
            assert self.hands is not None
            return self.hands.told(name, give_up_at)
        if kind == TO_CUSTOMER:
            return self._contact()
        return Told(reviews=tuple((at, address[1], address[2]) for who, at, address in self.reviews if who == name))

    def _contact(self) -> Told:
        """Return what the customer's partition must know (29)."""
        assert self.started is not None
        start = self.started[0]
        _, queue, channel = self.place(start)
        end, end_queue, end_channel = None, "", ""
        if self.ended is not None:
            end = self.ended[0]
            _, end_queue, end_channel = self.place(end)
        contact: Contact = (start, queue, channel, end, end_queue, end_channel)
        return Told(contacts=(contact,))


def _rang(address: Address, at: int, since: int, heed: Heed) -> None:
    heed.facts.append((address, at, "ring_time_n", 1))
    heed.facts.append((address, at, "ring_time_ms", at - since))


def _leaves(address: Address, entered: int, left: Milestone, heed: Heed) -> None:
    """Book a stay that is over."""
    facts = heed.facts
    at, outcome = left[0], left[4]
    wait = at - entered
    if wait < 0:
        wait = 0
        heed.errors.append("queues")
    rule = heed.rules.at(at).queue(address[1], address[2])
    facts.append((address, at, "queue_time", wait))
    if wait > rule.placement_ms:
        facts.append((address, at, "left_late", 1))
    if outcome == "answered":
        facts.append((address, at, "answered", 1))
        facts.append((address, at, "wait_answered_ms", wait))
        if wait <= rule.answer_ms:
            facts.append((address, at, "answered_within", 1))
    elif outcome == "abandoned":
        facts.append((address, at, "abandoned", 1))
        facts.append((address, at, "wait_abandoned_ms", wait))
        if wait <= rule.answer_ms:
            facts.append((address, at, "abandoned_within", 1))
        if wait < rule.short_ms:
            facts.append((address, at, "short_abandoned", 1))
    else:
        facts.append((address, at, _OUTCOMES[outcome], 1))


_BY_RANK: Final[dict[int, Callable[[Course, Milestone, Heed], None]]] = {
    STARTED: Course._starts,  # noqa: SLF001  # a table of its own steps
    ENTERED: Course._enters,  # noqa: SLF001
    OFFERED: Course._offered,  # noqa: SLF001
    MISSED: Course._missed,  # noqa: SLF001
    LEFT: Course._leaves,  # noqa: SLF001
    CONNECTED: Course._connects,  # noqa: SLF001
    HELD: Course._holds,  # noqa: SLF001
    RESUMED: Course._resumes,  # noqa: SLF001
    TRANSFERRED: Course._transfers,  # noqa: SLF001
    ENDED: Course._ends,  # noqa: SLF001
    WRAPPED_UP: Course._wraps_up,  # noqa: SLF001
    SURVEY_SENT: Course._asks,  # noqa: SLF001
    RATED: Course._rates,  # noqa: SLF001
    REVIEWED: Course._reviews,  # noqa: SLF001
}
_STEPS: Final = tuple(_BY_RANK.get(rank, Course._holds) for rank in range(max(_BY_RANK) + 1))  # noqa: SLF001  # some ranks are free

__all__ = ["Course", "Retroactive", "Waiting"]
