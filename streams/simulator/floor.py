"""Run the queues: a session enters, is offered to agents, answered or given up, handed on, ended, wrapped up.

What is said in a session is not known here: `talks` holds, by channel, who goes on when a session has been opened or
connected; `after_connect` and `after_end` are told.
"""

from collections.abc import Callable
from typing import Protocol

from streams.simulator.centre import Centre
from streams.simulator.clock import Clock
from streams.simulator.people import People
from streams.simulator.states import AgentState, QueueState, Session, build

_GAVE_UP = ("abandoned", "timed_out")
_SWITCHING_S = (0.05, 0.4)  # a transfer until the next queue or agent, assumed
_GONE_S, _MOVES_S = (5.0, 20.0), (8.0, 30.0)  # after the entry; assumed
_LAST_CHANCE_MS = 1_000  # patience left at the least for a further queue


class Talk(Protocol):
    """What happens in a session of a channel."""

    def opened(self, session: Session) -> None:
        """Go on after `session.started`."""

    def connected(self, session: Session) -> None:
        """Go on after `session.connected`."""


class Floor(Clock):
    """Queues and agents, and the way of a session through them."""

    def __init__(self, centre: Centre, start_ms: int, end_ms: int | None) -> None:
        """Set up an empty floor; no session is opened from `end_ms` on."""
        super().__init__(start_ms, f"{centre.seed:x}-{start_ms:x}", centre.times)
        self.people = People(centre.habits, f"{centre.seed}:people:{start_ms}")
        self.habits = centre.habits
        self.queues, self.agents = build(centre.queues, centre.agents)
        self.talks: dict[str, Talk] = {}
        self.after_connect: list[Callable[[Session], None]] = []
        self.after_end: list[Callable[[Session], None]] = []
        self.end_ms = end_ms
        self.unfinished = 0
        self._sessions = 0

    # ---- sessions ----

    def open(self, queue: QueueState, customer: str | None = None, direction: str = "inbound") -> Session | None:
        """Start a session, of a new customer if none is named; None once the floor takes no more."""
        if self.end_ms is not None and self.now >= self.end_ms:
            return None
        self._sessions += 1
        if customer is None and self.people.chance(self.habits.known):
            customer = f"c{self.run}-{self._sessions}"
        session = Session(f"s{self.run}-{self._sessions}", queue, customer, direction)
        named = {} if customer is None else {"customer_id": customer}
        config = queue.config
        self.unfinished += 1
        self.say(session, "session.started", channel=config.channel, direction=direction, queue=config.name, **named)
        return session

    def arrive(self, queue: QueueState, customer: str | None = None, direction: str = "inbound") -> None:
        """Open a session that goes on to a queue."""
        session = self.open(queue, customer, direction)
        if session is not None:
            self.talks[queue.config.channel].opened(session)
            self.after(self.people.between(self.habits.menu_s), self.enter, session, queue)

    def say(self, session: Session, kind: str, /, **fields: object) -> None:
        """Write an event of a session."""
        self.write("sessions", session.id, kind, session_id=session.id, **fields)

    def connect(self, session: Session, agent: AgentState) -> None:
        """Put a session into the hands of an agent, who has kept a slot for it."""
        session.agent, session.connected = agent, True
        session.holding += 1
        self.say(session, "session.connected", agent_id=agent.id, queue=session.queue.config.name)
        self.talks[session.queue.config.channel].connected(session)
        for follow in self.after_connect:
            follow(session)

    def hand_on(self, session: Session, queue: QueueState, to: AgentState | None = None) -> None:
        """Transfer a session into another queue (blind), or to an agent who has kept a slot for it (warm)."""
        giver = session.agent
        if giver is None:
            raise RuntimeError(f"session {session.id}: handed on by nobody")
        fields = {"from_agent": giver.id, "to_queue": queue.config.name, "kind": "blind" if to is None else "warm"}
        self.say(session, "session.transferred", **fields, **({} if to is None else {"to_agent": to.id}))
        session.agent = None
        session.holding += 1
        self._wrap_up(session, giver)
        switching = self.people.between(_SWITCHING_S)
        if to is None:
            self.after(switching, self.enter, session, queue)
        else:
            session.queue = queue
            self.after(switching, self.connect, session, to)

    def another_queue(self, session: Session) -> QueueState | None:
        """Return a queue of the same channel to hand a session on to; None if there is no other one."""
        here = session.queue
        channel = here.config.channel
        others = [
            queue
            for queue in self.queues.values()
            if queue is not here and queue.config.channel == channel and queue.out_until is None
        ]
        return self.people.random.choice(others) if others else None

    def end(self, session: Session, ended_by: str) -> None:
        """End a session; its agent wraps up."""
        session.ended = True
        session.holding += 1
        solved = {"resolved": self.people.chance(0.85)} if session.connected else {}
        self.say(session, "session.ended", ended_by=ended_by, **solved)
        self.unfinished -= 1
        if session.agent is not None:
            self._wrap_up(session, session.agent)
        for follow in self.after_end:
            follow(session)
        if session.connected and self.people.chance(self.habits.reconnect):
            self.after(self.people.comes_again(), self.arrive, session.queue, session.customer)

    def _wrap_up(self, session: Session, agent: AgentState) -> None:
        self.unfinished += 1
        self.after(self.people.wrap_up(), self._wrapped_up, session, agent)

    def _wrapped_up(self, session: Session, agent: AgentState) -> None:
        self.unfinished -= 1
        self.say(session, "session.wrapped_up", agent_id=agent.id)
        self.release(agent)
        if self.people.chance(self.habits.pause) and agent.pause is None:
            self.pause(agent, self.people.random.choice(("away", "busy")), self.people.exponential(90.0))

    # ---- queues ----

    def enter(self, session: Session, queue: QueueState, *, again: bool = False) -> None:
        """Let a session wait in a queue, `again` with the patience that it has left; a free agent is offered it at once."""
        session.queue, session.entered_ms = queue, self.now
        session.stay += 1
        self._tell(session, "queue.entered", channel=queue.config.channel)
        if again:
            session.gives_up = max(session.gives_up[0], self.now + _LAST_CHANCE_MS), session.gives_up[1]
        else:
            patience, outcome = self._patience(session, queue)
            session.gives_up = self.now + patience, outcome
        self.at(session.gives_up[0], self._give_up, session, session.stay, session.gives_up[1])
        self._plan_change(session, queue)
        queue.waiting[session.id] = session
        agent = queue.first_ready() if queue.out_until is None else None
        if agent is not None:
            self._offer(queue, agent)

    def _patience(self, session: Session, queue: QueueState) -> tuple[int, str]:
        """Draw how long a session waits at most, and how it then leaves."""
        chat = queue.config.channel == "chat"
        longest = round((self.habits.longest_chat_wait_s if chat else self.habits.longest_wait_s) * 1000)
        if queue.patient and queue.out_until is not None:
            queue.patient = False
            return queue.out_until + 60_000 - self.now, "abandoned"
        patience = longest if session.direction == "callback" else self.people.patience(queue.config)
        if patience >= longest:
            return longest, "timed_out"
        draw = self.people.random.random()
        if session.connected or draw >= self.habits.callback + self.habits.voicemail:
            return patience, "abandoned"
        return patience, "callback" if draw < self.habits.callback else "voicemail"

    def _plan_change(self, session: Session, queue: QueueState) -> None:
        """Plan how a wait may end without an agent and without giving up."""
        people, habits = self.people, self.habits
        if session.connected:
            return
        target = self.queues.get(queue.config.overflow_to or "")
        if target is not None:
            self.after(round(habits.overflow_s * 1000), self._overflow, session, session.stay, target)
        if queue.config.channel == "chat":
            if people.rarely(habits.gone):
                self.after(people.between(_GONE_S), self._give_up, session, session.stay, "closed")
        elif people.rarely(habits.moves) and (other := self.another_queue(session)) is not None:
            self.after(people.between(_MOVES_S), self._change, session, session.stay, other, "transferred")

    def _overflow(self, session: Session, stay: int, other: QueueState) -> None:
        """Let a session go over to another queue if somebody is free there."""
        if other.out_until is None and other.first_ready() is not None:
            self._change(session, stay, other, "overflowed")

    def _change(self, session: Session, stay: int, other: QueueState, outcome: str) -> None:
        """Let a session that waits, and rings nowhere, wait in another queue."""
        if session.stay == stay and session.ringing is None:
            self._leave(session, outcome)
            self.after(self.people.between(_SWITCHING_S), self._enter_again, session, other)

    def _enter_again(self, session: Session, queue: QueueState) -> None:
        self.enter(session, queue, again=True)

    def _offer(self, queue: QueueState, agent: AgentState) -> None:
        """Offer the first one who waits to a free agent."""
        _, session = queue.waiting.popitem(last=False)
        session.ringing = agent
        self.take_slot(agent)
        self._tell(session, "queue.offered", agent_id=agent.id)
        if self.habits.missed and self.people.chance(self.habits.missed):
            self.after(round(self.habits.ring_limit_s * 1000), self._miss, session, session.stay)
        else:
            self.after(self.people.between(self.habits.ring_s), self._answer, session, session.stay)

    def _answer(self, session: Session, stay: int) -> None:
        agent = session.ringing
        if session.stay == stay and agent is not None:
            self._leave(session, "answered", agent_id=agent.id)
            self.connect(session, agent)

    def _miss(self, session: Session, stay: int) -> None:
        """Put a session back to the head of its queue; the agent who missed it is away for a little."""
        agent = session.ringing
        if session.stay != stay or agent is None:
            return
        self._tell(session, "queue.missed", agent_id=agent.id, reason="no_answer")
        session.ringing = None
        queue = session.queue
        queue.waiting[session.id] = session
        queue.waiting.move_to_end(session.id, last=False)
        agent.load -= 1
        self.pause(agent, "away", round(self.habits.missed_pause_s * 1000))
        other = queue.first_ready() if queue.out_until is None else None
        if other is not None:
            self._offer(queue, other)

    def _give_up(self, session: Session, stay: int, outcome: str) -> None:
        if session.stay != stay:
            return
        agent = session.ringing
        self._leave(session, outcome)
        self.end(session, "customer" if outcome in ("abandoned", "closed") else "system")
        if agent is not None:
            self.release(agent)
        if outcome in _GAVE_UP and self.people.chance(self.habits.redial):
            self.after(self.people.comes_again(), self.arrive, session.queue, session.customer)
        elif outcome == "callback":
            self.after(self.people.between((120.0, 900.0)), self.arrive, session.queue, session.customer, "callback")

    def _leave(self, session: Session, outcome: str, **fields: object) -> None:
        session.queue.waiting.pop(session.id, None)
        session.ringing = None
        session.stay += 1
        session.waited_ms += self.now - session.entered_ms
        self._tell(session, "queue.left", outcome=outcome, **fields)

    def _tell(self, session: Session, kind: str, /, **fields: object) -> None:
        self.write("queues", session.id, kind, session_id=session.id, queue=session.queue.config.name, **fields)

    # ---- agents ----

    def take_slot(self, agent: AgentState) -> None:
        """Keep one of an agent's slots."""
        agent.load += 1
        agent.place()

    def release(self, agent: AgentState) -> None:
        """Give one of an agent's slots back; the next one who waits takes it."""
        agent.load -= 1
        self.refresh(agent)

    def pause(self, agent: AgentState, status: str, pause_ms: int) -> None:
        """Take an agent off the queues for a while; one who has sessions in hand finishes them, busy."""
        agent.pause = status
        self.after(pause_ms, self._resume, agent)
        self.refresh(agent)

    def _resume(self, agent: AgentState) -> None:
        agent.pause = None
        self.refresh(agent)

    def refresh(self, agent: AgentState) -> None:
        """Bring an agent's status to what it should be, and give work to one who is free."""
        wanted = agent.wanted()
        if agent.load and wanted != "available":
            wanted = "busy"
        if wanted != agent.status and (agent.status or wanted != "offline"):
            agent.status = wanted
            self._tell_status(agent)
        agent.place()
        while agent.free and (queue := agent.next_queue()) is not None:
            self._offer(queue, agent)

    def _tell_status(self, agent: AgentState) -> None:
        config = agent.config
        self.write(
            "status",
            agent.id,
            "agent.status",
            agent_id=agent.id,
            status=agent.status,
            groups=list(config.groups),
            queues=list(config.queues),
            capacity=config.capacity,
        )
