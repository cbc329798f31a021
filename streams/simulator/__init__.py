"""Simulate a contact centre: canonical events, deterministic by seed, without I/O.

`simulate` is a discrete-event simulation in integer milliseconds of event time. Its modules, each importing only those
before it: model, layout and centre (what a centre is), wire (bytes), scenario (outages, surges), arrivals, people and
shifts (what is random), clock (agenda and events), states and floor (queues and agents), voice, chat and quality (what
happens within and around a session), mess (what goes wrong between a centre and Kafka), engine (the loop).
"""

from streams.simulator.centre import BANK_PROFILE, Centre
from streams.simulator.engine import simulate
from streams.simulator.mess import disturb
from streams.simulator.model import Agent, Event, Habits, Mess, Queue, Record
from streams.simulator.scenario import Outage, Scenario, Step, Surge, demo_scenario
from streams.simulator.wire import encode

__all__ = [
    "BANK_PROFILE",
    "Agent",
    "Centre",
    "Event",
    "Habits",
    "Mess",
    "Outage",
    "Queue",
    "Record",
    "Scenario",
    "Step",
    "Surge",
    "demo_scenario",
    "disturb",
    "encode",
    "simulate",
]
