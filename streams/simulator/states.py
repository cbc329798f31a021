"""Hold what a simulated floor knows now: its sessions, agents and queues."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from streams.simulator.model import Agent, Queue


@dataclass(slots=True, eq=False)
class AgentState:
    """An agent. `duty` is what the shift plan says, `pause` a short break from it, `status` what was told last.

    `load` counts sessions in hand, ringing or being wrapped up.
    """

    id: str
    config: Agent
    queues: list["QueueState"]
    duty: str = "offline"
    pause: str | None = None
    status: str = ""
    load: int = 0
    level: int = -1

    def wanted(self) -> str:
        """Return the status that the agent should be in, once the sessions in hand allow."""
        if self.duty != "available":
            return self.duty
        if self.pause is not None:
            return self.pause
        return "busy" if all(queue.out_until is not None for queue in self.queues) else "available"

    @property
    def free(self) -> bool:
        """Tell whether one more session may be offered."""
        return self.status == "available" and self.load < self.config.capacity

    def next_queue(self) -> "QueueState | None":
        """Return the queue, of the agent's, in which someone has waited longest; None if nobody waits."""
        best: QueueState | None = None
        for queue in self.queues:
            if queue.waiting and queue.out_until is None and (best is None or queue.oldest_ms < best.oldest_ms):
                best = queue
        return best

    def place(self) -> None:
        """Put the agent where the queues look for a free one: behind the others with the same load."""
        for queue in self.queues:
            if self.level >= 0:
                queue.ready[self.level].pop(self.id, None)
            if self.free:
                queue.ready[self.load][self.id] = self
        self.level = self.load if self.free else -1


@dataclass(slots=True, eq=False)
class QueueState:
    """A queue: who waits, oldest first, and the free agents by load, longest free first.

    `out_until` is the end of the outage that it is in; `patient` asks for one customer who waits for that end.
    """

    config: Queue
    waiting: OrderedDict[str, "Session"] = field(default_factory=OrderedDict)
    ready: list[OrderedDict[str, AgentState]] = field(default_factory=list)
    out_until: int | None = None
    patient: bool = False

    @property
    def oldest_ms(self) -> int:
        """Return since when the first one waits; the queue must not be empty."""
        return next(iter(self.waiting.values())).entered_ms

    def first_ready(self) -> AgentState | None:
        """Return the free agent with the fewest sessions, of those the one free longest."""
        for level in self.ready:
            if level:
                return next(iter(level.values()))
        return None


@dataclass(slots=True, eq=False)
class Session:
    """A session. `stay` changes at each entry and leaving, `holding` at each new agent: outdated tasks see it.

    `gives_up` is when and with what outcome it leaves a queue if nobody answers.
    """

    id: str
    queue: QueueState
    customer: str | None
    direction: str = "inbound"
    entered_ms: int = 0
    waited_ms: int = 0
    stay: int = 0
    gives_up: tuple[int, str] = (0, "")
    holding: int = 0
    ringing: AgentState | None = None
    agent: AgentState | None = None
    connected: bool = False
    ended: bool = False
    turns: int = 0
    unanswered: bool = False


def build(queues: Iterable[Queue], agents: Iterable[Agent]) -> tuple[dict[str, QueueState], list[AgentState]]:
    """Return the states of a floor on which nothing has happened yet; ValueError for a queue that does not exist."""
    states = {queue.name: QueueState(queue) for queue in queues}
    people = []
    for agent in agents:
        if unknown := [name for name in agent.queues if name not in states]:
            raise ValueError(f"agent {agent.id}: unknown queue {unknown[0]!r}; the centre has {', '.join(states)}")
        people.append(AgentState(agent.id, agent, [states[name] for name in agent.queues]))
        for queue in people[-1].queues:
            while len(queue.ready) < agent.capacity:
                queue.ready.append(OrderedDict())
    return states, people
