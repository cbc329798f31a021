"""Let calls run: talk, hold, transfer, end; and calls that the centre makes itself."""

from zlib import crc32

from streams.simulator.floor import Floor
from streams.simulator.states import AgentState, QueueState, Session

_TEXT_AFTER_MS = 8000  # assumed
_CONSULT_S = (8.0, 30.0)  # asking a colleague before a warm transfer, assumed
_DIAL_S = (5.0, 25.0)  # assumed
_NOBODY_HOME = 0.3  # of outbound calls, assumed


class Voice:
    """What happens in a call."""

    def __init__(self, floor: Floor) -> None:
        """Play on a floor."""
        self._floor = floor

    def opened(self, session: Session) -> None:
        """Nothing is said before the call is answered."""

    def connected(self, session: Session) -> None:
        """Plan the call: how long, a hold, a transfer."""
        floor, people = self._floor, self._floor.people
        talk = people.talk(session.queue.config)
        draw = crc32(session.id.encode())  # no chance is drawn for it: a text changes nothing else of the centre
        if draw % 1000 < 1000 * floor.habits.texts:
            floor.after(_TEXT_AFTER_MS, self._text, session, session.holding, "customer")
            floor.after(_TEXT_AFTER_MS + 5000 + draw % 15_000, self._text, session, session.holding, "agent")
        if people.chance(floor.habits.transfer) and (other := floor.another_queue(session)) is not None:
            floor.after(round(talk * people.random.uniform(0.2, 0.6)), self._transfer, session, session.holding, other)
            return
        if people.chance(floor.habits.hold):
            begin = round(talk * people.random.uniform(0.1, 0.5))
            length = min(people.exponential(floor.habits.hold_s), round(talk * 0.4))
            floor.after(begin, self._hold, session, session.holding, "session.held")
            floor.after(begin + length, self._hold, session, session.holding, "session.resumed")
        floor.after(talk, self._hang_up, session, session.holding)

    def call_out(self, queue: QueueState) -> None:
        """Let a free agent call a customer, if one is free."""
        floor = self._floor
        agent = queue.first_ready()
        if agent is None or queue.out_until is not None:
            return
        session = floor.open(queue, direction="outbound")
        if session is not None:
            floor.take_slot(agent)
            floor.after(floor.people.between(_DIAL_S), self._picked_up, session, agent)

    def _picked_up(self, session: Session, agent: AgentState) -> None:
        if self._floor.people.chance(_NOBODY_HOME):
            self._floor.end(session, "system")
            self._floor.release(agent)
        else:
            self._floor.connect(session, agent)

    def _text(self, session: Session, holding: int, sender: str) -> None:
        if session.holding == holding and session.agent is not None and not session.ended:
            self._floor.say(session, "session.message", sender=sender)

    def _hold(self, session: Session, holding: int, kind: str) -> None:
        if session.holding == holding and session.agent is not None:
            self._floor.say(session, kind, agent_id=session.agent.id)

    def _hang_up(self, session: Session, holding: int) -> None:
        if session.holding == holding:
            self._floor.end(session, "customer" if self._floor.people.chance(0.7) else "agent")

    def _transfer(self, session: Session, holding: int, other: QueueState) -> None:
        """Hand the call on; a warm transfer asks a free colleague first, while the customer is on hold."""
        floor = self._floor
        if session.holding != holding:
            return
        colleague = other.first_ready()
        if colleague is None or colleague is session.agent or not floor.people.chance(floor.habits.warm):
            floor.hand_on(session, other)
            return
        floor.take_slot(colleague)
        self._hold(session, holding, "session.held")
        floor.after(floor.people.between(_CONSULT_S), floor.hand_on, session, other, colleague)
