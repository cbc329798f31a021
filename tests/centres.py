"""Seeded contact centres for tests: messy but valid canonical events, and ways to disturb their order.

`centre` returns event dicts in event time order (ties in random order). With `mess` it holds everything that a real
floor's data holds: leavings without entry, ends without connect, clocks that run back, repeated milestones. Every event
is valid by its own content. Sessions of one centre are far younger than any horizon.

`long_centre` spans days: customers who come back, careers of agents, sessions that go on under their id after hours or
days, or never end.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

Event = dict[str, Any]

START_MS = 1_772_438_400_000  # 2026-03-02T08:00:00Z
CHANNELS = ["voice", "chat", "email", "video", "social", "ticket", "טקסט"]
QUEUES = ["sales", "support", "vip", "Störung", "night"]
GROUPS = ["north", "south", "tech"]
STATUSES = ["available", "available", "available", "busy", "away", "break", "meal", "training", "meeting", "offline"]
WAITS_MS = [0, 1, 4_999, 5_000, 5_001, 19_999, 20_000, 20_001, 59_999, 60_000, 60_001]
OUTCOMES = ["abandoned", "overflowed", "timed_out", "transferred", "callback", "voicemail", "closed"]
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
GAPS_MS = [HOUR_MS - 1, HOUR_MS, 8 * HOUR_MS, DAY_MS - 1, DAY_MS, DAY_MS + 1, 30 * HOUR_MS, 3 * DAY_MS - 1, 3 * DAY_MS, 5 * DAY_MS]
RETURNS_MS = [0, 1, HOUR_MS, 8 * HOUR_MS, DAY_MS - 1, DAY_MS, DAY_MS + 1, 30 * HOUR_MS]
AMOUNTS = [0, 1, 12.5, 0.1, 1e-07, 5e-07, 1.5e-06, 2.5e-06, 3.3333333, 99999.99, -4, -0.25]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Centre:
    """Collects the events of one simulated centre; all randomness comes from `rng`."""

    customers = 12

    def __init__(self, rng: random.Random, queues: int, agents: int, span_ms: int, mess: bool, start_ms: int = START_MS) -> None:
        """Set the scene."""
        self.rng = rng
        self.queues = [QUEUES[n] if n < len(QUEUES) else f"queue-{n}" for n in range(queues)]
        self.agents = [f"agent-{n}" for n in range(agents)]
        self.start_ms = start_ms
        self.span_ms = span_ms
        self.mess = mess
        self.events: list[Event] = []

    def chance(self, share: float) -> bool:
        """Decide with a probability."""
        return self.rng.random() < share

    def messy(self, share: float) -> bool:
        """Decide with a probability whether to do something unruly; never in a tidy centre."""
        return self.mess and self.chance(share)

    def put(self, type_: str, at: int, **fields: Any) -> None:
        """Add an event; now and then on the same ms as its neighbours."""
        if self.messy(0.2):
            at = at // 1000 * 1000
        number = len(self.events)
        self.events.append({"id": f"{self.rng.randrange(16**6):06x}-{number}", "type": type_, "at": at, **fields})

    def wait(self) -> int:
        """Return a wait in ms, often exactly at a limit."""
        return self.rng.choice(WAITS_MS) if self.chance(0.6) else self.rng.randrange(180_000)

    def some(self, names: list[str]) -> list[str]:
        """Return none, one or two of the names."""
        return self.rng.sample(names, min(len(names), self.rng.choice([0, 1, 1, 2])))

    def someone(self) -> str:
        """Return an agent; the first of them has more to do than the others, several sessions at once."""
        return self.agents[0] if self.chance(0.25) else self.rng.choice(self.agents)

    # ---- agents

    def agent(self, name: str) -> None:
        """Write an agent's day: roster, statuses, groups, queues, capacity."""
        if self.chance(0.3):
            groups = {"groups": self.some(GROUPS)} if self.chance(0.7) else {}
            self.put("agent.joined", self.start_ms - self.rng.randrange(60_000), agent_id=name, **groups)
        if self.messy(0.1):
            return
        at = self.start_ms + (0 if self.chance(0.5) else self.rng.randrange(self.span_ms // 4))
        first = True
        while at < self.start_ms + self.span_ms:
            self.status(name, at, first)
            first = False
            at += 0 if self.messy(0.05) else self.rng.randrange(1, max(2, self.span_ms // 6))
        if self.messy(0.1):
            self.put("agent.left", self.start_ms + self.rng.randrange(self.span_ms), agent_id=name)

    def status(self, name: str, at: int, first: bool) -> None:
        """Write one status event; the first names everything."""
        fields: Event = {"status": "available" if first and self.chance(0.7) else self.rng.choice(STATUSES)}
        if first or self.chance(0.2):
            fields["groups"] = self.some(GROUPS)
        if first or self.chance(0.2):
            fields["queues"] = self.some(self.queues)
        if (first and not self.messy(0.2)) or self.chance(0.15):
            fields["capacity"] = self.rng.choice([1, 1, 2, 4, 5])
        self.put("agent.status", at, agent_id=name, **fields)

    # ---- sessions

    def session(self, number: int) -> None:
        """Write one session from its start to its review."""
        sid = f"s{number}"
        channel = self.rng.choice(CHANNELS)
        at = self.start_ms + self.rng.randrange(self.span_ms)
        if self.messy(0.3):
            at = at // 10_000 * 10_000
        if not self.messy(0.05):
            self.start(sid, at, channel)
        if self.messy(0.03):
            self.start(sid, at + self.rng.randrange(-3_000, 9_000), self.rng.choice(CHANNELS))
        at += 0 if self.messy(0.4) else self.rng.randrange(5_000)
        if self.chance(0.08):
            self.put("queue.entered", at, session_id=sid, queue=self.rng.choice(self.queues))  # waits to this day
            return
        queue = self.rng.choice(self.queues)
        for _ in range(self.rng.choice([0, 1, 1, 1, 1, 2, 3]) if self.mess else 1):
            queue = self.rng.choice(self.queues)
            at, answered_by = self.stay(sid, at, queue, channel)
            if answered_by:
                self.served(sid, at, queue, channel, answered_by)
                return
            if not self.messy(0.8):
                break
        if self.messy(0.15):
            self.served(sid, at, queue, channel, self.someone())
        elif not self.messy(0.15):
            self.end(sid, at, self.rng.choice(["customer", "system"]))

    def start(self, sid: str, at: int, channel: str) -> None:
        """Write the start."""
        fields: Event = {"session_id": sid, "channel": channel}
        if self.chance(0.6):
            fields["direction"] = self.rng.choice(["inbound", "outbound", "callback"])
        if self.chance(0.3):
            fields["queue"] = self.rng.choice(self.queues)
        if self.chance(0.6):
            fields["customer_id"] = f"c{self.rng.randrange(self.customers)}"
        if self.chance(0.2):
            fields["priority"] = self.rng.randrange(5)
        self.put("session.started", at, **fields)

    def stay(self, sid: str, at: int, queue: str, channel: str) -> tuple[int, str | None]:
        """Write one wait; return when it ended and who answered."""
        if not self.messy(0.08):
            named = {"channel": self.rng.choice([channel, self.rng.choice(CHANNELS)])} if self.chance(0.4) else {}
            self.put("queue.entered", at, session_id=sid, queue=queue, **named)
            if self.messy(0.03):
                self.put("queue.entered", at + self.rng.randrange(2_000), session_id=sid, queue=queue, **named)
        left_at = at + self.wait()
        agent = self.someone()
        self.offers(sid, at, left_at, queue, agent)
        if self.messy(0.04):
            left_at = at - self.rng.randrange(1, 4_000)
        answered = self.chance(0.65)
        outcome = "answered" if answered else self.rng.choice(OUTCOMES + ["abandoned"] * 6)
        if not self.messy(0.07):
            fields = {"agent_id": agent} if answered and self.chance(0.5) else {}
            self.put("queue.left", left_at, session_id=sid, queue=queue, outcome=outcome, **fields)
        return left_at, agent if answered else None

    def offers(self, sid: str, at: int, left_at: int, queue: str, agent: str) -> None:
        """Write rings: some are missed, the last is the one who answers."""
        while self.chance(0.25):
            other = self.someone()
            rung = self.rng.randint(at, max(at, left_at))
            self.put("queue.offered", rung, session_id=sid, queue=queue, agent_id=other)
            if self.chance(0.8):
                missed = rung + self.rng.randrange(15_000)
                self.put("queue.missed", missed, session_id=sid, queue=queue, agent_id=other, reason="no answer")
        if self.chance(0.6):
            rung = max(at, left_at - self.rng.choice([0, 1, 2_500, 9_000]))
            self.put("queue.offered", rung, session_id=sid, queue=queue, agent_id=agent)

    def served(self, sid: str, at: int, queue: str, channel: str, agent: str) -> None:
        """Write the service by one agent or several, the end and what follows."""
        at += self.rng.choice([0, 0, 400, 3_000])
        if self.messy(0.02):
            at -= 30_000
        self.connect(sid, at, queue, agent)
        until = self.serve(sid, at, agent)
        for _ in range(self.rng.choice([0, 0, 0, 1, 2])):
            agent, until = self.transfer(sid, until, queue, channel, agent)
        if self.messy(0.08):
            return
        end = until - self.rng.randrange(600_000) if self.messy(0.04) else until + self.rng.choice([0, 700, 60_000])
        if not self.messy(0.05):
            self.end(sid, end, self.rng.choice(["customer", "agent", "system"]))
        if self.messy(0.06):
            self.end(sid, end + self.rng.randrange(-20_000, 60_000), "system")
        if self.messy(0.05):
            self.connect(sid, end + self.rng.randrange(30_000), queue, self.someone())
        if self.messy(0.04):
            self.message(sid, end + self.rng.randrange(30_000), agent)
        self.afterwards(sid, end, agent)

    def connect(self, sid: str, at: int, queue: str, agent: str) -> None:
        """Write a connect, now and then twice."""
        named = {"queue": queue} if self.chance(0.5) else {}
        self.put("session.connected", at, session_id=sid, agent_id=agent, **named)
        if self.messy(0.06):
            self.put("session.connected", at + self.rng.randrange(20_000), session_id=sid, agent_id=agent, **named)

    def serve(self, sid: str, at: int, agent: str) -> int:
        """Write messages and holds of one agent's share; return when it is over."""
        until = at + self.rng.choice([0, 30_000, 240_000, 1_500_000, self.rng.randrange(600_000)])
        for _ in range(self.rng.randrange(8)):
            when = self.rng.randint(at - (20_000 if self.messy(0.2) else 0), until)
            self.message(sid, when, agent)
        while self.chance(0.2):
            held = self.rng.randint(at, until)
            self.put("session.held", held, session_id=sid, agent_id=agent)
            if not self.messy(0.3):
                resumed = held + self.rng.randrange(max(1, until - held)) if until > held else held
                self.put("session.resumed", resumed, session_id=sid, agent_id=agent)
        return until

    def message(self, sid: str, at: int, agent: str) -> None:
        """Write one message of any sender, some of them automatic."""
        sender = self.rng.choice(["customer", "customer", "customer", "agent", "agent", "agent", "bot", "system"])
        fields: Event = {"agent_id": agent} if sender == "agent" and self.chance(0.8) else {}
        if self.chance(0.2):
            fields["automatic"] = self.chance(0.7)
        self.put("session.message", at, session_id=sid, sender=sender, **fields)

    def transfer(self, sid: str, at: int, queue: str, channel: str, agent: str) -> tuple[str, int]:
        """Write a transfer to an agent or a queue; return who serves on, and until when."""
        other = self.someone()
        kind = {"kind": self.rng.choice(["blind", "warm"])} if self.chance(0.7) else {}
        if self.chance(0.4):
            queue = self.rng.choice(self.queues)
            self.put("session.transferred", at, session_id=sid, from_agent=agent, to_queue=queue, **kind)
            at, answered_by = self.stay(sid, at + self.rng.choice([0, 0, 1_000]), queue, channel)
            if answered_by is None:
                return agent, at
            other = answered_by
        else:
            early = self.messy(0.3) or kind.get("kind") == "warm"
            when = at + (self.rng.choice([0, 5_000]) if early else 0)
            self.put("session.transferred", when, session_id=sid, from_agent=agent, to_agent=other, **kind)
            at += 0 if early else self.rng.choice([0, 1, 8_000])
        if self.messy(0.1):
            return other, at
        self.connect(sid, at, queue, other)
        until = self.serve(sid, at, other)
        if self.chance(0.4):
            self.put("session.wrapped_up", at + self.rng.randrange(60_000), session_id=sid, agent_id=agent)
        return other, until

    def end(self, sid: str, at: int, by: str) -> None:
        """Write an end."""
        fields = {"resolved": self.chance(0.6)} if self.chance(0.6) else {}
        self.put("session.ended", at, session_id=sid, ended_by=by, **fields)

    def afterwards(self, sid: str, end: int, agent: str) -> None:
        """Write wrap-up, survey, ratings and reviews."""
        if self.chance(0.6):
            who = self.someone() if self.messy(0.15) else agent
            wrapped = end + self.rng.choice([0, 45_000, 119_999, 120_000, 120_001, 400_000])
            self.put("session.wrapped_up", wrapped, session_id=sid, agent_id=who)
            if self.messy(0.1):
                again = wrapped + self.rng.randrange(-9_000, 9_000)
                self.put("session.wrapped_up", again, session_id=sid, agent_id=who)
        if self.chance(0.5):
            self.put("session.survey_sent", end + self.rng.randrange(30_000), session_id=sid)
            if self.messy(0.1):
                self.put("session.survey_sent", end + self.rng.randrange(60_000), session_id=sid)
        for _ in range(self.rng.choice([0, 0, 1, 1, 2, 3])):
            scale = self.rng.choice([5, 10, 1, 100, 3])
            score = self.rng.choice([scale, 0, scale * 0.5, self.rng.randint(0, scale)])
            fields: Event = {"agent_id": agent} if self.chance(0.3) else {}
            rated = end + self.rng.randrange(600_000)
            self.put("session.rated", rated, session_id=sid, score=score, scale=scale, **fields)
        while self.chance(0.15):
            score = self.rng.choice([100, 98, 97, 96.5, 60, 0])
            fields = {"agent_id": agent, "reviewer_id": f"reviewer-{self.rng.randrange(3)}", "score": score}
            fields |= {"live": self.chance(0.5)} if self.chance(0.5) else {}
            reviewed = end + self.rng.randrange(-60_000, 900_000)
            self.put("session.reviewed", reviewed, session_id=sid, **fields)

    # ---- business

    def business(self, count: int) -> None:
        """Write visits, costs in two currencies and complaints, anywhere in the span."""
        for number in range(count):
            self.put("site.visits", self.sometime(), count=self.rng.choice([0, 1, 3, 40]), **self.somewhere(0.5))
            if self.chance(0.8):
                amount = self.rng.choice(AMOUNTS) if self.chance(0.7) else round(self.rng.uniform(-50, 500), 7)
                fields = {"amount": amount, "currency": self.rng.choice(["EUR", "EUR", "ILS"])}
                self.put("cost.booked", self.sometime(), **fields, **self.somewhere(0))
            if self.chance(0.6):
                self.complaint(f"complaint-{number}")

    def sometime(self) -> int:
        """Return some instant of the span."""
        return self.start_ms + self.rng.randrange(self.span_ms)

    def somewhere(self, named: float) -> Event:
        """Return the fields that say where: a queue, more seldom none; a channel with the given probability."""
        fields: Event = {"queue": self.rng.choice(self.queues)} if self.chance(0.7) else {}
        return fields | ({"channel": self.rng.choice(CHANNELS)} if self.chance(named) else {})

    def complaint(self, name: str) -> None:
        """Write a complaint: opened and closed, either alone, twice, or closed before it was opened."""
        opened = self.sometime()
        lasted = self.rng.choice([0, 1, 60_000, self.rng.randint(0, self.start_ms + self.span_ms - opened)])
        fields: Event = {"complaint_id": name}
        if not self.messy(0.1):
            about = {"session_id": f"s{self.rng.randrange(9)}"} if self.chance(0.3) else {}
            self.put("complaint.opened", opened, **fields, **about, **self.somewhere(0))
        if self.messy(0.1):
            self.put("complaint.opened", opened + self.rng.randrange(-60_000, 60_000), **fields, **self.somewhere(0))
        for _ in range(self.rng.choice([0, 1, 1, 2]) if self.mess else self.rng.choice([0, 1])):
            upheld = {"upheld": self.chance(0.5)} if self.chance(0.5) else {}
            closed = opened - 60_000 if self.messy(0.1) else opened + lasted
            self.put("complaint.closed", closed, **fields, **upheld, **self.somewhere(0))
            lasted = max(0, lasted + self.rng.randrange(-60_000, 60_000))

    def told(self) -> list[Event]:
        """Return the events in order of time, ties in any order, some times as text."""
        rng, events = self.rng, self.events
        rng.shuffle(events)
        events.sort(key=lambda event: int(event["at"]))
        return [{**event, "at": as_text(event["at"], rng)} if self.mess and rng.random() < 0.2 else event for event in events]


class LongCentre(Centre):
    """A centre of several days: few customers, careers of agents, sessions that go on after a gap."""

    customers = 5

    def agent(self, name: str) -> None:
        """Write an agent's career: hired, shifts, gone, hired again or just there again."""
        at = self.start_ms
        if self.chance(0.6):
            at += self.rng.choice([-DAY_MS, 0, self.rng.randrange(self.span_ms)])
            self.join(name, at)
        if self.messy(0.1):
            self.join(name, at + self.rng.randrange(2 * DAY_MS))
        left = self.start_ms + self.rng.randrange(self.span_ms) if self.chance(0.4) else None
        self.shifts(name, self.start_ms if self.messy(0.2) else at, left if left is not None else self.start_ms + self.span_ms)
        if left is None:
            return
        self.put("agent.left", left, agent_id=name, **({"groups": self.some(GROUPS)} if self.messy(0.2) else {}))
        back = left + self.rng.choice([0, HOUR_MS, DAY_MS, 2 * DAY_MS])
        if self.chance(0.5):
            self.join(name, back)
        if self.chance(0.6):
            self.shifts(name, back, self.start_ms + self.span_ms)
        if self.messy(0.2):
            self.put("agent.left", back + self.rng.randrange(2 * DAY_MS), agent_id=name)

    def join(self, name: str, at: int) -> None:
        """Write a hiring, most of the time with groups."""
        self.put("agent.joined", at, agent_id=name, **({"groups": self.some(GROUPS)} if self.chance(0.7) else {}))

    def shifts(self, name: str, since: int, until: int) -> None:
        """Write a shift on most days; now and then nobody logs out."""
        first, day = True, since
        while day < until:
            at = day + self.rng.randrange(4 * HOUR_MS)
            for _ in range(self.rng.choice([0, 1, 2, 3])):
                if at < until:
                    self.status(name, at, first)
                    first = False
                at += self.rng.randrange(1, 4 * HOUR_MS)
            if at < until and not first and self.chance(0.8):
                self.put("agent.status", at, agent_id=name, status="offline")
            day += DAY_MS

    def session(self, number: int) -> None:
        """Write a session, how it goes on, and its customer's return."""
        known = len(self.events)
        super().session(number)
        sid = f"s{number}"
        for _ in range(self.rng.choice([0, 0, 0, 1, 2, 4])):
            newest = max([event["at"] for event in self.events[known:]], default=self.sometime())
            at = newest + self.rng.choice(GAPS_MS)
            if at < self.start_ms + self.span_ms:
                self.go_on(sid, at)
        its = self.events[known:]
        customers = [event["customer_id"] for event in its if "customer_id" in event]
        ends = [event["at"] for event in its if event["type"] == "session.ended"]
        if customers and ends and self.chance(0.5):
            self.come_back(f"{sid}-again", ends[0] + self.rng.choice(RETURNS_MS), customers[0])

    def go_on(self, sid: str, at: int) -> None:
        """Write what happens after a gap: anything that could happen to a session."""
        queue, agent, channel = self.rng.choice(self.queues), self.someone(), self.rng.choice(CHANNELS)
        what = self.rng.choice(["message", "end", "connect", "serve", "start", "stay", "wait", "review", "afterwards"])
        if what == "message":
            self.message(sid, at, agent)
        elif what == "end":
            self.end(sid, at, "system")
        elif what == "connect":
            self.connect(sid, at, queue, agent)
        elif what == "serve":
            self.served(sid, at, queue, channel, agent)
        elif what == "start":
            self.start(sid, at, channel)
            self.served(sid, at, queue, channel, agent)
        elif what == "stay":
            self.stay(sid, at, queue, channel)
        elif what == "wait":
            self.put("queue.entered", at, session_id=sid, queue=queue, channel=channel)
        elif what == "review":
            fields = {"agent_id": agent, "reviewer_id": f"reviewer-{self.rng.randrange(3)}", "score": self.rng.choice([97, 50])}
            self.put("session.reviewed", at, session_id=sid, **fields)
        else:
            self.afterwards(sid, at, agent)

    def come_back(self, sid: str, at: int, customer: str) -> None:
        """Write another session of a customer, half of them ended; mostly at exactly the given instant."""
        self.put("session.started", at, session_id=sid, channel=self.rng.choice(CHANNELS), customer_id=customer)
        if self.chance(0.7):
            self.connect(sid, at + self.rng.randrange(60_000), self.rng.choice(self.queues), self.someone())
        if self.chance(0.5):
            self.end(sid, at + self.rng.randrange(60_000, HOUR_MS), "customer")


def as_text(at: int, rng: random.Random) -> str:
    """Return a time as RFC 3339 with some offset."""
    zone = timezone(timedelta(minutes=rng.choice([0, 120, -210, 345])))
    text = (EPOCH + timedelta(milliseconds=at)).astimezone(zone).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def centre(
    seed: int,
    *,
    sessions: int = 40,
    queues: int = 3,
    agents: int = 6,
    span_ms: int = 2 * HOUR_MS,
    mess: bool = True,
    business: bool = True,
) -> list[Event]:
    """Return the events of a centre in event time order; the same seed gives the same events."""
    return filled(Centre(random.Random(seed), queues, agents, span_ms, mess), seed, sessions, business)


def long_centre(
    seed: int,
    *,
    days: int = 8,
    sessions: int = 30,
    queues: int = 3,
    agents: int = 4,
    mess: bool = True,
    business: bool = True,
    start_ms: int = START_MS,
) -> list[Event]:
    """Return the events of a centre of several days in event time order; now is about the end of the last day."""
    made = LongCentre(random.Random(seed), queues, agents, days * DAY_MS, mess, start_ms)
    return filled(made, seed, sessions, business)


def filled(made: Centre, seed: int, sessions: int, business: bool) -> list[Event]:
    """Return the events of a centre with so many sessions; its business has a randomness of its own."""
    for name in made.agents:
        made.agent(name)
    for number in range(sessions):
        made.session(number)
    if business:
        desk = Centre(random.Random(f"business {seed}"), len(made.queues), 1, made.span_ms, made.mess, made.start_ms)
        desk.business(2 + sessions // 5)
        made.events += desk.events
    return made.told()


def at_ms(event: Event) -> int:
    """Return the event's time in ms."""
    at = event["at"]
    if isinstance(at, int):
        return at
    return (datetime.fromisoformat(at) - EPOCH) // timedelta(milliseconds=1)


def log_of(event: Event) -> tuple[str, str]:
    """Return (topic without prefix, key) of an event: within one of them Kafka keeps the order."""
    prefix = event["type"].split(".")[0]
    topic = {"session": "sessions", "queue": "queues", "agent": "status"}.get(prefix, "business")
    if topic == "business":
        return topic, str(event.get("complaint_id") or event.get("queue") or "")
    return topic, str(event["agent_id"] if topic == "status" else event["session_id"])


def shuffled(events: list[Event], seed: int, by_ms: int = 60_000) -> list[Event]:
    """Return the events as they arrive when each is delayed by up to `by_ms`; order is lost even within a key."""
    rng = random.Random(seed)
    return sorted(events, key=lambda event: (at_ms(event) + rng.randint(0, by_ms), rng.random()))


def interleaved(events: list[Event], seed: int) -> list[Event]:
    """Return the events in any order that keeps that of each (topic, key)."""
    rng = random.Random(seed)
    logs: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        logs.setdefault(log_of(event), []).append(event)
    turns = [log for log, its in logs.items() for _ in its]
    rng.shuffle(turns)
    unread = {log: iter(its) for log, its in logs.items()}
    return [next(unread[log]) for log in turns]


def with_duplicates(events: list[Event], seed: int, share: float = 0.05, *, altered: bool = False) -> list[Event]:
    """Return the events with copies of a share of them, each somewhere behind its original.

    `altered` copies say something else, at a time up to 1 s away: they must still change nothing, as long as the
    original is read first.
    """
    rng = random.Random(seed)
    result = list(events)
    for event in events:
        if rng.random() >= share:
            continue
        copy = dict(event)
        if altered:
            copy["at"] = at_ms(event) + rng.randint(-1_000, 1_000)
            if "queue" in copy and log_of({**copy, "queue": ""}) == log_of(copy):
                copy["queue"] = f"{copy['queue']}-altered"
        behind = next(n for n, other in enumerate(result) if other is event) + 1
        result.insert(rng.randint(behind, len(result)), copy)
    return result


def to_jsonl_bytes(event: Event) -> bytes:
    """Return the event as one JSON object in UTF-8, without the newline."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def centres(max_sessions: int = 25, *, mess: bool = True) -> st.SearchStrategy[list[Event]]:
    """Return a hypothesis strategy of centres of any size up to `max_sessions`."""
    return st.builds(
        lambda seed, sessions, queues, agents: centre(seed, sessions=sessions, queues=queues, agents=agents, mess=mess),
        seed=st.integers(0, 2**32 - 1),
        sessions=st.integers(0, max_sessions),
        queues=st.integers(1, 4),
        agents=st.integers(1, 6),
    )


def long_centres(max_sessions: int = 25, max_days: int = 16, *, mess: bool = True) -> st.SearchStrategy[list[Event]]:
    """Return a hypothesis strategy of centres of 3 days or more."""
    return st.builds(
        lambda seed, sessions, days, queues, agents: long_centre(
            seed, sessions=sessions, days=days, queues=queues, agents=agents, mess=mess
        ),
        seed=st.integers(0, 2**32 - 1),
        sessions=st.integers(0, max_sessions),
        days=st.integers(3, max_days),
        queues=st.integers(1, 4),
        agents=st.integers(1, 6),
    )
