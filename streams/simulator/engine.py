"""Simulate a centre: arrivals, shifts and the scenario drive the floor, event by event.

Theory of operation. All that will happen stands on one agenda, ordered by time and then by when it was put there. A
task writes events of its own moment only, so events come out in the order of their times. The arrivals of each queue,
the shifts of each agent and the behaviour of people have random numbers of their own.

A simulation with an end takes no new sessions from then on. It then goes on until all sessions are over, wrapped up and
rated and sends the agents home (`drain`), or stops in the midst of it all. With a `rate` the arrivals are steered by
the events written so far: within 2 % from two minutes on and 3 % over the first one (of 1,000 events and more), although
the first sessions have yet to unfold. Then it stops at its end by default, because what is drained would come on top of the rate.
"""

from collections.abc import Iterator
from math import exp
from random import Random

from streams.simulator.arrivals import Arrivals
from streams.simulator.centre import Centre
from streams.simulator.chat import Chat
from streams.simulator.floor import Floor
from streams.simulator.mess import disturb
from streams.simulator.model import Record
from streams.simulator.quality import Quality
from streams.simulator.scenario import Scenario
from streams.simulator.shifts import SHIFT_MS, plan
from streams.simulator.states import AgentState, QueueState
from streams.simulator.voice import Voice

_DAY_MS = 86_400_000
_STEERING_MS = 500  # a lag of events is made up for in about that time
_LEAST, _MOST = 0.05, 40.0  # how far steering bends the arrivals
_RECONSIDER_MS = 500  # so often
_MISSING, _MISSING_MS = 5.0, 50_000  # at the start: sessions that would have begun before it, and how soon they matter less
_LEAVES_LATER_MS = 60_000  # who has a session in hand at the end of the last shift
_FIRST_CALLER_MS = 1_000  # after an outage begins somebody calls, so that it can be told when it will be seen
_SETTLING_MS = 30_000  # within that time the first statuses of the agents come to count as events of the rate


def simulate(
    centre: Centre,
    start_ms: int,
    duration_ms: int | None = None,
    scenario: Scenario | None = None,
    *,
    drain: bool | None = None,
) -> Iterator[Record]:
    """Yield `(at_ms, topic, key, event)` in order of time, lazily; for ever without a duration.

    The topic is without prefix: `sessions`, `queues`, `status` or `business`. With `drain` (default: unless the centre
    has a rate) every session ends, up to about half an hour after the duration. With the centre's `mess` the first
    field is when the event is sent, still in order; its own `at` may be earlier or wrong.
    """
    if start_ms < 0 or (duration_ms is not None and duration_ms < 0):
        raise ValueError(f"start_ms {start_ms}, duration_ms {duration_ms}: neither may be negative")
    script = scenario or Scenario()
    names = {queue.name for queue in centre.queues}
    for item in script.items:
        if item.queue not in names:
            raise ValueError(f"scenario: unknown queue {item.queue!r}; the centre has {', '.join(sorted(names))}")
    end_ms = None if duration_ms is None else start_ms + duration_ms
    engine = _Engine(centre, script, start_ms, end_ms)
    records = engine.run(drain=centre.rate is None if drain is None else drain)
    return records if centre.mess is None else disturb(records, centre.mess, f"{centre.seed}:mess:{start_ms}")


class _Engine:
    """One run."""

    def __init__(self, centre: Centre, scenario: Scenario, start_ms: int, end_ms: int | None) -> None:
        self._centre = centre
        self._scenario = scenario
        self._start_ms, self._end_ms = start_ms, end_ms
        self._floor = floor = Floor(centre, start_ms, end_ms)
        self._voice = Voice(floor)
        self._quality = Quality(floor)
        self._first_statuses = 0
        self._leaving: AgentState | None = None
        floor.talks |= {"voice": self._voice, "chat": Chat(floor)}
        floor.after_connect.append(self._quality.after_connect)
        floor.after_end.append(self._quality.after_end)

    def run(self, *, drain: bool) -> Iterator[Record]:
        """Yield the events of the run."""
        floor = self._floor
        self._play_scenario()
        self._staff()
        self._first_statuses = floor.written
        self._quality.start()
        for queue in floor.queues.values():
            self._plan_arrival(queue, Arrivals(self._centre, queue.config, self._scenario))
        yield from floor.drain()
        yield from floor.pass_until(self._end_ms)
        if drain:
            while floor.unfinished and floor.step():
                yield from floor.drain()
            self._go_home()
            yield from floor.drain()

    def _plan_arrival(self, queue: QueueState, arrivals: Arrivals) -> None:
        """Put the next arrival on the agenda; with a rate look again soon, which changes no Poisson process."""
        at = arrivals.next_after(self._floor.now, self._steering())
        if self._centre.rate is not None and at > self._floor.now + _RECONSIDER_MS:
            self._floor.after(_RECONSIDER_MS, self._plan_arrival, queue, arrivals)
        elif self._end_ms is None or at < self._end_ms:
            self._floor.at(at, self._arrival, queue, arrivals)

    def _arrival(self, queue: QueueState, arrivals: Arrivals) -> None:
        floor = self._floor
        floor.arrive(queue)
        if queue.config.channel == "voice" and floor.people.chance(floor.habits.outbound):
            self._voice.call_out(queue)
        self._plan_arrival(queue, arrivals)

    def _steering(self) -> float:
        """Return by how much to bend the arrivals, so that the events so far become what the rate asks for."""
        rate = self._centre.rate
        if rate is None:
            return 1.0
        passed = self._floor.now - self._start_ms
        settling = self._first_statuses * max(0.0, 1 - passed / _SETTLING_MS)
        behind = rate * passed / 1000 + settling - self._floor.written
        usual = 1 + _MISSING * exp(-passed / _MISSING_MS)
        return min(max(usual + behind * 1000 / (rate * _STEERING_MS), _LEAST), _MOST)

    # ---- agents ----

    def _staff(self) -> None:
        """Put the roster together, and on duty who should be by now; one agent has given notice."""
        in_shifts = [agent for agent in self._floor.agents if agent.config.shift_min is not None]
        if in_shifts and self._centre.habits.quits:
            self._leaving = Random(f"{self._centre.seed}:notice:{self._start_ms}").choice(in_shifts)
        for agent in self._floor.agents:
            if self._centre.rate is None:
                self._join(agent)
            if agent.config.shift_min is None:
                self._duty(agent, "available")
            elif self._has_work(agent.config.shift_min):
                self._plan_shift(agent, self._start_ms // _DAY_MS - 1)

    def _join(self, agent: AgentState) -> None:
        groups = list(agent.config.groups)
        self._floor.write("status", agent.id, "agent.joined", agent_id=agent.id, groups=groups)

    def _has_work(self, shift_min: int) -> bool:
        """Tell whether a shift that begins at that minute of the UTC day is worth while, given the profile."""
        profile = self._centre.profile
        if profile is None:
            return True
        first = (shift_min + self._centre.utc_offset_min) // 60
        hours = [profile[hour % 24] for hour in range(first, first + SHIFT_MS // 3_600_000)]
        return sum(hours) / len(hours) > max(profile) / 3

    def _plan_shift(self, agent: AgentState, day: int) -> None:
        """Put a shift on the agenda; of one that has begun, what it has come to."""
        statuses = plan(agent.config, day, self._centre.seed)
        now = self._floor.now
        past = [status for at, status in statuses if at <= now]
        if past and past[-1] != "offline":
            self._duty(agent, past[-1])
        for at, status in statuses:
            if at > now:
                self._floor.at(at, self._duty, agent, status)
        if statuses[-1][0] > now:
            self._floor.at(statuses[-1][0], self._shift_ends, agent, day)
        else:
            self._plan_shift(agent, day + 1)

    def _duty(self, agent: AgentState, status: str) -> None:
        agent.duty = status
        self._floor.refresh(agent)

    def _shift_ends(self, agent: AgentState, day: int) -> None:
        self._plan_shift(agent, day + 1)
        if agent is self._leaving or self._floor.people.chance(self._centre.habits.quits):
            self._leaving = None if agent is self._leaving else self._leaving
            self._replace(agent)

    def _replace(self, agent: AgentState) -> None:
        """Let an agent leave for good, once nothing is in hand; a successor with a new id takes over the place."""
        if agent.load or agent.duty != "offline":
            if agent.duty == "offline":
                self._floor.after(_LEAVES_LATER_MS, self._replace, agent)
            return
        self._floor.write("status", agent.id, "agent.left", agent_id=agent.id)
        base, _, number = agent.id.partition(".")
        agent.id, agent.status = f"{base}.{int(number or 1) + 1}", ""
        self._join(agent)

    def _go_home(self) -> None:
        for agent in self._floor.agents:
            if agent.status not in ("", "offline"):
                agent.duty = "offline"
                self._floor.refresh(agent)

    # ---- scenario ----

    def _play_scenario(self) -> None:
        """Begin or end outages, and come back at the next change."""
        floor = self._floor
        for name, queue in floor.queues.items():
            until = self._scenario.outage_end(name, floor.now)
            if until != queue.out_until:
                if until is not None and queue.out_until is None:
                    queue.patient = True
                    floor.after(_FIRST_CALLER_MS, floor.arrive, queue)
                queue.out_until = until
                for agent in floor.agents:
                    if queue in agent.queues and agent.status:
                        floor.refresh(agent)
        change = self._scenario.next_change(floor.now)
        if change is not None:
            floor.at(change, self._play_scenario)
