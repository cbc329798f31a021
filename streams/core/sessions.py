"""What a session contributes: derived anew from all its milestones each time it changed.

Theory of operation. `derive(session)` reads the milestones in their order and returns everything that the session stands
for at this moment: facts for the cells, the stays in queues that are still going on, who holds it. It keeps nothing and
knows nothing of what was said before, so it does not matter in which order the milestones arrived, and a correction is
no special case: the floor books the new result minus the old one. Numbers in comments are the rules of the specification.

A fact is `(address, at, part, amount)`: address = (dimension, name, channel), at = ms. If `part` names a series of
`schemas.parts`, the amount is a duration in ms (count, sum and sketch bucket follow from it), else it is added to the part.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import lru_cache
from typing import NamedTuple

from schemas.rules import UNASSIGNED, Rules
from streams.core.cells import Address, Fact
from streams.core.conversation import Setting, all_heard
from streams.core.holding import Holdings, held_ms, holdings_of, in_hand, wrap_up_ms
from streams.core.lives import lives
from streams.core.milestones import (
    AGENT,
    CONNECTED,
    CUSTOMER,
    ENDED,
    ENTERED,
    LEFT,
    MISSED,
    OFFERED,
    RATED,
    REVIEWED,
    STARTED,
    SURVEY_SENT,
    TRANSFERRED,
    Milestone,
    Session,
    at_and_sender,
)
from streams.core.relay import NOTHING_TOLD, TO_CUSTOMER, TO_REVIEWER, Contact, Told


class Derived(NamedTuple):
    """Everything a session stands for, but for its messages.

    `setting`: what decides about the messages (`streams/core/conversation.py`); None where the session has several lives, and
    then `facts` and `errors` hold those of its messages too. `goes_on`: it has one life and has not ended.
    `waiting`: (address, entered at) of stays still going on; `active`: address of a session that is connected and not ended;
    `told`: what other keys must know, per (kind of target, target); `errors`: clock errors by topic; `expired`: lives that were
    given up for their age.
    """

    facts: list[Fact]
    waiting: list[tuple[Address, int]]
    active: Address | None
    told: dict[tuple[str, str], Told]
    errors: list[str]
    expired: int = 0
    setting: Setting | None = None
    goes_on: bool = False


NOTHING = Derived([], [], None, {}, [])


@lru_cache(maxsize=65_536)
def address_of(queue: str, channel: str) -> Address:
    """Return the address of a queue on a channel, the same object each time."""
    return "queue", queue, channel


_OUTCOMES = {
    "overflowed": "overflowed",
    "timed_out": "timed_out",
    "transferred": "left_transferred",
    "callback": "callback",
    "voicemail": "voicemail",
    "closed": "closed",
}


class Life:
    """A session's milestones by type, and where a fact of a given time belongs (10)."""

    __slots__ = ("addresses", "channel", "connects", "direction", "ended", "entries", "entry_times", "fallback", "of", "started")

    def __init__(self, milestones: list[Milestone]) -> None:
        """Sort milestones (already in their order) into types."""
        of: dict[int, list[Milestone]] = {}
        for milestone in milestones:
            found = of.get(milestone[1])
            if found is None:
                of[milestone[1]] = [milestone]
            else:
                found.append(milestone)
        self.of = of
        started = of.get(STARTED)
        ended = of.get(ENDED)
        self.started = started[0] if started else None
        self.ended = ended[0] if ended else None
        self.entries = of.get(ENTERED, [])
        self.connects = of.get(CONNECTED, [])
        self.entry_times = [entry[0] for entry in self.entries]
        self.channel: str = started[0][3] if started else UNASSIGNED
        self.direction: str = started[0][4] if started else "inbound"
        self.addresses: list[Address] = [
            address_of(entry[3], self.channel if entry[4] is None else entry[4]) for entry in self.entries
        ]
        """Per entry, the address that it decides."""
        self.fallback = self._fallback()

    def _fallback(self) -> Address:
        """Where a fact belongs that no entry precedes."""
        if self.started and self.started[5] is not None:
            return address_of(self.started[5], self.channel)
        if self.entries:
            return self.addresses[0]
        for connect in self.connects:
            if connect[4] is not None:
                return address_of(connect[4], self.channel)
        return address_of(UNASSIGNED, self.channel)

    def place(self, at: int) -> Address:
        """Return where a fact at this time belongs: to the latest entry at or before it."""
        n = bisect_right(self.entry_times, at)
        return self.addresses[n - 1] if n else self.fallback

    def setting(self) -> Setting:
        """Return what decides about the messages."""
        return Setting(
            self.started[0] if self.started else None,
            self.connects[0][0] if self.connects else None,
            tuple(self.entry_times),
            tuple(self.addresses),
            self.fallback,
        )

    def place_before(self, at: int) -> Address:
        """Return where a transfer at this time belongs: to the latest entry strictly before it (2)."""
        n = bisect_left(self.entry_times, at)
        return self.addresses[n - 1] if n else self.fallback

    def offer_address(self, offer: Milestone) -> Address:
        """Return where an offer belongs: to the latest entry into its queue, else to the first one."""
        found: Address | None = None
        for entry, address in zip(self.entries, self.addresses, strict=True):
            if entry[3] == offer[3] and (found is None or entry[0] <= offer[0]):
                found = address
        return address_of(offer[3], self.channel) if found is None else found


def derive(session: Session, rules: Rules, forgotten: bool = False) -> Derived:
    """Return everything that a session stands for; `forgotten`: its last life counts as open no more (5)."""
    all_lives = lives(session, rules)
    derived = _derive(all_lives[-1], rules, forgotten)
    if len(all_lives) == 1:
        return derived
    before = [_derive(life, rules, forgotten=True) for life in all_lives[:-1]]
    for life, each in zip(all_lives, (*before, derived), strict=True):
        assert each.setting is not None
        heard = all_heard(each.setting, sorted(life.messages), rules)
        each.facts.extend(heard.facts)
        each.errors.extend(heard.errors)
    told: dict[tuple[str, str], Told] = {}
    for each in (*before, derived):
        for key, more in each.told.items():
            told[key] = told.get(key, NOTHING_TOLD).and_then(more)
    return Derived(
        [fact for each in (*before, derived) for fact in each.facts], derived.waiting, derived.active, told,
        [error for each in (*before, derived) for error in each.errors], sum(each.expired for each in (*before, derived)),
    )  # fmt: skip


def _derive(session: Session, rules: Rules, forgotten: bool) -> Derived:
    """Return what one life of a session stands for."""
    session.sort()
    life = Life(session.milestones)
    facts: list[Fact] = []
    errors: list[str] = []
    if life.started:
        facts.append((life.place(life.started[0]), life.started[0], "started", 1))
    waiting = _stays(life, rules, facts, errors)
    _offers(life, facts)
    holdings = holdings_of(life.of, life.ended)
    _connected(life, facts, holdings)
    if life.ended:
        _ended(life, session, rules, facts, errors, holdings)
    _transfers(life, facts)
    _after(life, facts)
    active = None
    if life.connects and not life.ended and not forgotten:
        active = life.addresses[-1] if life.addresses else life.fallback
    told = in_hand(holdings, life.of, life.ended, life.place, rules, session.newest if forgotten else None)
    _tell_others(life, told)
    expired = int(forgotten and life.ended is None)
    return Derived(facts, [] if forgotten else waiting, active, told, errors, expired, life.setting(), life.ended is None)


def _tell_others(life: Life, told: dict[tuple[str, str], Told]) -> None:
    """Add what the customer's partition must know (29), and the reviewers' (39)."""
    if life.started and life.started[6] is not None:
        start = life.started[0]
        _, queue, channel = life.place(start)
        end, end_queue, end_channel = None, "", ""
        if life.ended:
            end = life.ended[0]
            _, end_queue, end_channel = life.place(end)
        contact: Contact = (start, queue, channel, end, end_queue, end_channel)
        told[TO_CUSTOMER, life.started[6]] = Told(contacts=(contact,))
    for review in life.of.get(REVIEWED, ()):
        key = TO_REVIEWER, review[5]
        _, queue, channel = life.place(review[0])
        told[key] = Told(reviews=(*told.get(key, NOTHING_TOLD).reviews, (review[0], queue, channel)))


def _stays(life: Life, rules: Rules, facts: list[Fact], errors: list[str]) -> list[tuple[Address, int]]:
    """Book entries and leavings, the k-th entry of a queue with its k-th leaving (11).

    Return the stays still going on, the earliest of each address: `waiting` counts sessions.
    """
    waiting: dict[Address, int] = {}
    leavings: dict[str, list[Milestone]] = {}
    for left in life.of.get(LEFT, ()):
        leavings.setdefault(left[3], []).append(left)
    last_connect = life.connects[-1][0] if life.connects else -1
    for entry, address in zip(life.entries, life.addresses, strict=True):
        facts.append((address, entry[0], "offered", 1))
        lefts = leavings.get(entry[3])
        if lefts:
            _left(address, entry, lefts.pop(0), rules, facts, errors)
        elif life.ended is None and last_connect < entry[0]:
            waiting.setdefault(address, entry[0])
    return list(waiting.items())


def _left(address: Address, entry: Milestone, left: Milestone, rules: Rules, facts: list[Fact], errors: list[str]) -> None:
    at, outcome = left[0], left[4]
    wait = at - entry[0]
    if wait < 0:
        wait = 0
        errors.append("queues")
    rule = rules.at(at).queue(address[1], address[2])
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


def _offers(life: Life, facts: list[Fact]) -> None:
    """Book offers to agents and the missed ones, in the queue that they name."""
    for rank, part in ((OFFERED, "offers"), (MISSED, "offers_missed")):
        facts += [(life.offer_address(offer), offer[0], part, 1) for offer in life.of.get(rank, ())]


def _connected(life: Life, facts: list[Fact], holdings: Holdings) -> None:
    """Book the first connected (25, 15), and the time it rang before each one that was no repetition (16, 31)."""
    if not life.connects:
        return
    first = life.connects[0][0]
    address = life.place(first)
    facts.append((address, first, "connected", 1))
    facts.append((address, first, f"connected_{life.direction}", 1))
    offers = life.of.get(OFFERED)
    if not offers:
        return
    after = -1
    for connect in holdings.takes:
        rung = [offer for offer in offers if offer[4] == connect[3] and after < offer[0] <= connect[0]]
        if rung:
            offer = rung[-1]
            place = life.offer_address(offer)
            facts.append((place, connect[0], "ring_time_n", 1))
            facts.append((place, connect[0], "ring_time_ms", connect[0] - offer[0]))
        after = connect[0]


def _ended(life: Life, session: Session, rules: Rules, facts: list[Fact], errors: list[str],
           holdings: Holdings) -> None:  # fmt: skip
    """Book what becomes a fact at the end (22), all of it in the end's slice and queue."""
    assert life.ended is not None
    at = life.ended[0]
    address = life.place(at)
    facts.append((address, at, "ended", 1))
    direction = life.direction
    if direction != "callback":
        facts.append((address, at, f"ended_{direction}", 1))
    if life.ended[3]:
        facts.append((address, at, "resolved", 1))
    if _is_invalid(life, session, at, address[2], rules):
        facts.append((address, at, "invalid", 1))
        if direction != "callback":
            facts.append((address, at, f"invalid_{direction}", 1))
    if not life.connects:
        facts.append((address, at, "unconnected", 1))
        facts.append((address, at, f"unconnected_{direction}", 1))
        return
    first = life.connects[0][0]
    lasted = at - first
    if lasted < 0:
        lasted = 0
        errors.append("sessions")
    hold = held_ms(life.of, holdings.takes, first, at)
    facts.append((address, at, "handled", 1))
    facts.append((address, at, "session_ms", lasted))
    facts.append((address, at, "talk_ms", lasted - hold))
    if hold:
        facts.append((address, at, "hold_ms", hold))
    wrap_up = wrap_up_ms(holdings.held, life.of)
    if wrap_up:
        facts.append((address, at, "wrap_up_ms", wrap_up))


def _is_invalid(life: Life, session: Session, at: int, channel: str, rules: Rules) -> bool:
    """Tell whether an ended session was none (26): speech never connected, text without both sides."""
    if channel in rules.at(at).speech_channels:
        return not life.connects
    senders = {at_and_sender(message)[1] for message in session.messages}
    return not {CUSTOMER, AGENT} <= senders


def _transfers(life: Life, facts: list[Fact]) -> None:
    for transfer in life.of.get(TRANSFERRED, ()):
        address = life.place_before(transfer[0])
        facts.append((address, transfer[0], "transferred", 1))
        facts.append((address, transfer[0], f"transferred_{transfer[4]}", 1))


def _after(life: Life, facts: list[Fact]) -> None:
    """Book survey, rating (the last one counts, 3) and reviews."""
    surveys = life.of.get(SURVEY_SENT)
    if surveys:
        facts.append((life.place(surveys[0][0]), surveys[0][0], "surveys_sent", 1))
    ratings = life.of.get(RATED)
    if ratings:
        at, _, _, score, grade = ratings[-1]
        address = life.place(at)
        facts += [(address, at, "rated", 1), (address, at, grade, 1), (address, at, "rated_score_e6", score)]
    for review in life.of.get(REVIEWED, ()):
        address = life.place(review[0])
        facts.append((address, review[0], "reviews", 1))
        if review[3]:
            facts.append((address, review[0], "reviews_live", 1))
        if review[4]:
            facts.append((address, review[0], "reviews_passed", 1))


__all__ = ["NOTHING", "Derived", "Life", "address_of", "derive"]
