"""Write what follows a session and what stands beside it: surveys, reviews, complaints, site visits, costs."""

from collections.abc import Callable

from streams.simulator.floor import Floor
from streams.simulator.states import AgentState, QueueState, Session

_VISITS_EVERY_MS = 60_000
_COST_EVERY_MS = 900_000
_CONSULTATIONS = 0.05  # of visits lead to a chat; KPI catalogue
_WAGE_PER_HOUR = 24.0  # assumed
_CURRENCY = "EUR"
_REVIEWERS = 4
_SURVEY_S, _LOOK_IN_S, _REVIEW_S, _COMPLAINT_S = (1.0, 20.0), (5.0, 90.0), (60.0, 900.0), (60.0, 900.0)
_RATING_S, _RATING_SIGMA, _RATING_LIMIT_MS = 60.0, 0.8, 900_000  # median; nobody rates later
_COMPLAINT_OPEN_S, _COMPLAINT_SIGMA = 14_400.0, 0.9  # median


class Quality:
    """Follow-ups of sessions, and the business's own reports."""

    def __init__(self, floor: Floor) -> None:
        """Follow a floor."""
        self._floor = floor
        self._complaints = 0

    def start(self) -> None:
        """Begin to report visits and costs."""
        if not self._floor.habits.business:
            return
        for queue in self._floor.queues.values():
            self._floor.at(_next(self._floor.now, _COST_EVERY_MS), self._cost, queue)
            if queue.config.channel == "chat":
                self._floor.at(_next(self._floor.now, _VISITS_EVERY_MS), self._visits, queue)

    def after_end(self, session: Session) -> None:
        """Plan survey, review and complaint of a session that has ended."""
        agent = session.agent
        if not session.connected or agent is None:
            return
        people, habits = self._floor.people, self._floor.habits
        if people.chance(habits.survey):
            self._follow(people.between(_SURVEY_S), self._survey, session, agent)
        if people.chance(habits.review):
            self._follow(people.between(_REVIEW_S), self._review, session, agent)
        if people.chance(habits.complaint):
            self._floor.after(people.between(_COMPLAINT_S), self._complain, session)

    def after_connect(self, session: Session) -> None:
        """Let a reviewer look in on a few sessions while they run."""
        people = self._floor.people
        if people.chance(self._floor.habits.review):
            self._floor.after(people.between(_LOOK_IN_S), self._look_in, session, session.agent)

    def _look_in(self, session: Session, agent: AgentState) -> None:
        if session.agent is agent and not session.ended:
            self._review(session, agent, live=True)

    def _follow(self, delay_ms: int, task: Callable[..., None], *args: object) -> None:
        """Plan a follow-up, without which the session is not finished."""
        self._floor.unfinished += 1
        self._floor.after(delay_ms, self._followed, task, args)

    def _followed(self, task: Callable[..., None], args: tuple[object, ...]) -> None:
        self._floor.unfinished -= 1
        task(*args)

    def _survey(self, session: Session, agent: AgentState) -> None:
        people = self._floor.people
        self._floor.say(session, "session.survey_sent")
        if people.chance(self._floor.habits.rating):
            delay = min(people.lognormal_median(_RATING_S, _RATING_SIGMA), _RATING_LIMIT_MS)
            self._follow(delay, self._rate, session, agent)

    def _rate(self, session: Session, agent: AgentState) -> None:
        score = self._floor.people.score(session.waited_ms)
        self._floor.say(session, "session.rated", score=score, scale=5, agent_id=agent.id)

    def _review(self, session: Session, agent: AgentState, *, live: bool = False) -> None:
        random = self._floor.people.random
        score = random.randint(97, 100) if random.random() < 0.95 else random.randint(70, 96)
        reviewer = f"reviewer-{random.randint(1, _REVIEWERS)}"
        fields = {"agent_id": agent.id, "reviewer_id": reviewer, "score": score, "live": live}
        self._floor.say(session, "session.reviewed", **fields)

    def _complain(self, session: Session) -> None:
        self._complaints += 1
        name = f"k{self._floor.run}-{self._complaints}"
        fields = {"complaint_id": name, "session_id": session.id, "queue": session.queue.config.name}
        self._floor.write("business", name, "complaint.opened", **fields)
        delay = self._floor.people.lognormal_median(_COMPLAINT_OPEN_S, _COMPLAINT_SIGMA)
        self._floor.after(delay, self._settle, name, fields)

    def _settle(self, name: str, fields: dict[str, object]) -> None:
        upheld = self._floor.people.chance(0.3)
        self._floor.write("business", name, "complaint.closed", **fields, upheld=upheld)

    def _visits(self, queue: QueueState) -> None:
        """Report a minute's visitors of the site on which a chat is offered."""
        name = queue.config.name
        count = self._floor.people.poisson(queue.config.per_minute / _CONSULTATIONS)
        self._floor.write("business", name, "site.visits", count=count, queue=name, channel="chat")
        self._floor.after(_VISITS_EVERY_MS, self._visits, queue)

    def _cost(self, queue: QueueState) -> None:
        """Book a quarter-hour's wages of those on duty for a queue."""
        name = queue.config.name
        staffed = sum(agent.queues[0] is queue and agent.status not in ("", "offline") for agent in self._floor.agents)
        amount = round(staffed * _WAGE_PER_HOUR * _COST_EVERY_MS / 3_600_000, 2)
        self._floor.write("business", name, "cost.booked", amount=amount, currency=_CURRENCY, queue=name)
        self._floor.after(_COST_EVERY_MS, self._cost, queue)


def _next(at_ms: int, every_ms: int) -> int:
    """Return the first multiple after a time."""
    return (at_ms // every_ms + 1) * every_ms
