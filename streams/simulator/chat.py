"""Let chats run: greeting, messages to and fro, transfer, end. Agents with more sessions in hand are slower."""

from streams.simulator.floor import Floor
from streams.simulator.states import QueueState, Session

# Probabilities and ranges, all assumed.
_CANNED_GREETING = 0.3
_TWO_IN_A_ROW = 0.1
_SECOND_MESSAGE_S = (2.0, 6.0)
_FIRST_MESSAGE_S = (0.5, 6.0)
_GOODBYE_S = (2.0, 10.0)
_BOT_MS = 600
_NO_ANSWER_S = (60.0, 120.0)


class Chat:
    """What happens in a chat."""

    def __init__(self, floor: Floor) -> None:
        """Play on a floor."""
        self._floor = floor

    def opened(self, session: Session) -> None:
        """Let the system welcome the customer, who then writes; a few never do."""
        floor, habits = self._floor, self._floor.habits
        session.turns = 0 if floor.people.chance(habits.silent) else floor.people.turns()
        self._message(session, "system", automatic=True)
        if session.turns:
            floor.after(floor.people.between(_FIRST_MESSAGE_S), self._customer_writes, session)

    def connected(self, session: Session) -> None:
        """Let the agent greet, and reply to what is there."""
        floor, people = self._floor, self._floor.people
        if people.chance(_CANNED_GREETING):
            self._message(session, "agent", automatic=True)
        if people.chance(floor.habits.transfer) and (other := floor.another_queue(session)) is not None:
            floor.after(people.between((20.0, 90.0)), self._hand_on, session, session.holding, other)
        if session.unanswered or session.turns == 0:
            self._reply_later(session)

    def _customer_writes(self, session: Session) -> None:
        """Write the customer's message, now and then two in a row; an agent who is there will reply."""
        if session.ended:
            return
        floor = self._floor
        self._message(session, "customer")
        if not session.connected and floor.people.rarely(floor.habits.bot):
            floor.after(_BOT_MS, self._bot_writes, session)
        if floor.people.chance(_TWO_IN_A_ROW):
            floor.after(floor.people.between(_SECOND_MESSAGE_S), self._adds, session)
        if not session.unanswered and session.agent is not None:
            self._reply_later(session)
        session.unanswered = True

    def _bot_writes(self, session: Session) -> None:
        if not session.connected and not session.ended:
            self._message(session, "bot", automatic=True)

    def _adds(self, session: Session) -> None:
        if not session.ended and session.unanswered:
            self._message(session, "customer")

    def _reply_later(self, session: Session) -> None:
        if session.agent is not None:
            delay = self._floor.people.reply(max(1, session.agent.load))
            self._floor.after(delay, self._reply, session, session.holding)

    def _reply(self, session: Session, holding: int) -> None:
        """Write the agent's reply; the last one is followed by the end."""
        if session.holding != holding:
            return
        floor, people = self._floor, self._floor.people
        self._message(session, "agent")
        session.unanswered = False
        if session.turns == 0:
            floor.after(people.between(_NO_ANSWER_S), self._end, session, holding, "system")
            return
        session.turns -= 1
        if session.turns == 0:
            floor.after(people.between(_GOODBYE_S), self._end, session, holding, "customer")
        else:
            floor.after(people.exponential(floor.habits.think_s), self._customer_writes, session)

    def _hand_on(self, session: Session, holding: int, other: QueueState) -> None:
        if session.holding == holding and session.turns:
            self._floor.hand_on(session, other)

    def _end(self, session: Session, holding: int, ended_by: str) -> None:
        if session.holding == holding:
            self._message(session, "system", automatic=True)
            self._floor.end(session, ended_by)

    def _message(self, session: Session, sender: str, *, automatic: bool = False) -> None:
        """Write a message; `automatic` is left out where it is false, as it is by default."""
        fields: dict[str, object] = {"automatic": True} if automatic else {}
        if sender == "agent" and session.agent is not None:
            fields["agent_id"] = session.agent.id
        self._floor.say(session, "session.message", sender=sender, **fields)
