//! Booking of agents: once a flush, what each touched agent's levels are now, less what they were before;
//! `streams/core/agentbook.py` has the theory.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::agents::{Agent, UNTOUCHED};
use crate::books::Books;
use crate::facts::Fact;
use crate::holds::{earliest_difference, hold_of, turns_between, Hold, Turn};
use crate::levels::{LevelSteps, Stepper};
use crate::names::{empty, Address, Addresses, Dimension, Ms, Name};
use crate::pack::{Malformed, Writer};
use crate::relay::shared;
use crate::roster::{hired_first, Change, Historian};
use crate::rules::Rules;
use crate::told::RelayFact;

/// What has come of one agent since the last flush.
struct Touch {
    agent_id: Name,
    /// The earliest instant concerned.
    since: Ms,
    /// What was added, if nothing else was changed.
    turns: Vec<Turn>,
    only_adds: bool,
    /// The holds that were replaced, before and after, in order.
    undo: Vec<(Option<Hold>, Hold)>,
    /// How many status changes there were.
    changes: usize,
}

/// Books the agents of one partition.
pub struct AgentBook {
    pub agents: FxHashMap<Name, Agent>,
    touched: Vec<Touch>,
    /// Agents with readings of their own.
    alone: FxHashMap<Name, Address>,
    /// When each agent came onto the roster first.
    hired: FxHashMap<Name, Ms>,
    hired_least: Option<Ms>,
    levels: LevelSteps,
    all: Name,
    old: Vec<Fact>,
    new: Vec<Fact>,
}

/// Take note that something came of an agent; return what has come of him so far.
fn touch<'t>(touched: &'t mut Vec<Touch>, agent_id: &Name, agent: &mut Agent, since: Ms) -> &'t mut Touch {
    if agent.touch == UNTOUCHED {
        agent.touch = touched.len();
        let changes = agent.changes.len();
        let agent_id = agent_id.clone();
        touched.push(Touch { agent_id, since, turns: Vec::new(), only_adds: true, undo: Vec::new(), changes });
    }
    let touch = &mut touched[agent.touch];
    touch.since = touch.since.min(since);
    touch
}

impl AgentBook {
    /// Start without any.
    pub fn new() -> AgentBook {
        AgentBook {
            agents: FxHashMap::default(),
            touched: Vec::new(),
            alone: FxHashMap::default(),
            hired: FxHashMap::default(),
            hired_least: None,
            levels: LevelSteps::default(),
            all: Name::from("all"),
            old: Vec::new(),
            new: Vec::new(),
        }
    }

    /// Take in a status change.
    pub fn hear(&mut self, agent_id: &Name, change: Change) {
        let agent = self.agents.entry(agent_id.clone()).or_insert_with(Agent::new);
        touch(&mut self.touched, agent_id, agent, change.at);
        agent.add(change);
    }

    /// Whether an agent is known.
    pub fn knows(&self, agent_id: &str) -> bool {
        self.agents.contains_key(agent_id)
    }

    /// Whether a change of this id is known, at most the horizon away.
    pub fn has(&self, agent_id: &str, id: &str, at: Ms, horizon_ms: Ms) -> bool {
        let same = |known: &Change| &*known.id == id && (known.at - at).abs() <= horizon_ms;
        self.agents.get(agent_id).is_some_and(|agent| agent.changes.iter().any(same))
    }

    /// Take in what a relay record says of a session in hand; return whether that is new; before `before` all is closed.
    pub fn held(&mut self, fact: &RelayFact, before: Ms) -> bool {
        let agent = self.agents.get(&fact.target);
        let known = agent.and_then(|agent| agent.hold(&fact.session));
        if known.is_some_and(|known| known.version >= fact.version) {
            return false;
        }
        let hold = hold_of(fact, known, before);
        let mut turns: SmallVec<[Turn; 4]> = SmallVec::new();
        let only_adds = turns_between(known, &hold, &mut turns);
        let since = if only_adds { turns.iter().map(|turn| turn.at).min() } else { earliest_difference(known, &hold) };
        let Some(since) = since else { return false };
        let agent = self.agents.entry(fact.target.clone()).or_insert_with(Agent::new);
        let touch = touch(&mut self.touched, &fact.target, agent, since);
        touch.only_adds &= only_adds;
        if touch.only_adds {
            touch.turns.extend(turns);
        }
        let known = agent.put_hold(&fact.session, hold.clone());
        touch.undo.push((known, hold));
        true
    }

    /// Book what changed; return the agents' ids.
    pub fn book(&mut self, rules: &Rules, addresses: &mut Addresses, books: &mut Books) -> Vec<Name> {
        let touched = std::mem::take(&mut self.touched);
        let mut ids = Vec::with_capacity(touched.len());
        let mut hired_changed = false;
        for mut touch in touched {
            let agent_id = touch.agent_id.clone();
            if self.book_one(&mut touch, rules, addresses, books) {
                self.note_hired(&agent_id);
                hired_changed = true;
            }
            ids.push(agent_id);
        }
        if hired_changed {
            self.hired_least = self.hired.values().copied().min();
        }
        ids
    }

    /// Book one agent; return whether his status changed.
    fn book_one(&mut self, touch: &mut Touch, rules: &Rules, addresses: &mut Addresses, books: &mut Books) -> bool {
        let Some(agent) = self.agents.get_mut(&touch.agent_id) else { return false };
        agent.touch = UNTOUCHED;
        let (old, new) = (&mut self.old, &mut self.new);
        let (since, undo, changes) = (touch.since, &touch.undo, touch.changes);
        let changed = agent.changes.len() > changes;
        let at_the_end = agent.adds_at_the_end(changes);
        let mut history = Vec::new();
        if changed && !at_the_end {
            let mut historian = Historian { rules, addresses, floor: &self.all };
            agent.history_of(changes, &mut historian, &mut history);
        }
        let mut alone = self.alone.get(&touch.agent_id).cloned();
        let floor = addresses.group(&self.all);
        let mut stepper = Stepper { levels: &mut self.levels, addresses, floor };
        new.clear();
        if touch.only_adds && agent.goes_on(since, rules) && (alone.is_some() || !rules.agent_series) {
            agent.go_on(&mut touch.turns, changes, rules, alone.as_ref(), &mut stepper, new);
            books.book(new);
        } else {
            if alone.is_none() && rules.agent_series && self.alone.len() < rules.max_agents {
                let address = stepper.addresses.of(Dimension::Agent, &touch.agent_id, &empty());
                self.alone.insert(touch.agent_id.clone(), address.clone());
                agent.standing_before(since, undo, changes, rules, &address, &mut stepper, new);
                books.book(new);
                new.clear();
                alone = Some(address);
            }
            old.clear();
            agent.steps_before(since, undo, changes, rules, alone.as_ref(), &mut stepper, old);
            agent.steps(since, rules, alone.as_ref(), &mut stepper, new);
            books.replace(old, new);
        }
        if changed {
            new.clear();
            let historian = &mut Historian { rules, addresses, floor: &self.all };
            agent.book_history(if at_the_end { None } else { Some(history) }, changes, historian, new, books);
        }
        agent.settle();
        changed
    }

    /// Keep when an agent came onto the roster first.
    fn note_hired(&mut self, agent_id: &Name) {
        let hired = self.agents.get(agent_id).and_then(|agent| hired_first(&agent.base, &agent.changes));
        match hired {
            Some(hired) => self.hired.insert(agent_id.clone(), hired),
            None => self.hired.remove(agent_id),
        };
    }

    /// The first instant of which the roster knows.
    pub fn roster_since(&self) -> Option<Ms> {
        self.hired_least
    }

    /// Bring in line what was restored with the settings of now.
    ///
    /// `before`: the settings by which it had been booked, where they differ; history before `agents_before` is closed.
    pub fn restored(
        &mut self,
        before: Option<&Rules>,
        agents_before: Ms,
        rules: &Rules,
        addresses: &mut Addresses,
        books: &mut Books,
    ) {
        for (address, has_levels) in books.addresses_of(Dimension::Agent) {
            if !rules.agent_series {
                books.drop_address(&address, rules);
            } else if has_levels {
                self.alone.insert(address.name().clone(), address);
            }
        }
        let ids: Vec<Name> = self.agents.keys().cloned().collect();
        for agent_id in &ids {
            self.note_hired(agent_id);
        }
        self.hired_least = self.hired.values().copied().min();
        let Some(before) = before else { return };
        let since = before.untils.iter().chain(&rules.untils).copied().min().unwrap_or(0).max(agents_before);
        let floor = addresses.group(&self.all);
        let mut stepper = Stepper { levels: &mut self.levels, addresses, floor };
        for (agent_id, agent) in &mut self.agents {
            let alone = self.alone.get(agent_id);
            self.old.clear();
            self.new.clear();
            agent.steps(since, before, alone, &mut stepper, &mut self.old);
            agent.steps(since, rules, alone, &mut stepper, &mut self.new);
            books.replace(&self.old, &self.new);
        }
    }

    /// Fold agents' history that is closed, and forget those of whom nothing was heard for very long.
    ///
    /// Return the agents that changed, and (agent, session) of holds that are gone.
    pub fn forget(
        &mut self,
        before: Ms,
        rules: &Rules,
        addresses: &mut Addresses,
        books: &mut Books,
    ) -> (Vec<Name>, Vec<(Name, Name)>) {
        let (mut changed, mut holds, mut over) = (Vec::new(), Vec::new(), Vec::new());
        let silent_since = before - rules.silence_ms;
        let historian = &mut Historian { rules, addresses, floor: &self.all };
        for (agent_id, agent) in &mut self.agents {
            let (folded, gone) = agent.forget(before, historian);
            let is_over = agent.is_nothing() || agent.silent_since(silent_since);
            if is_over {
                over.push(agent_id.clone());
            }
            if folded || is_over || !gone.is_empty() {
                changed.push(agent_id.clone());
            }
            holds.extend(gone.into_iter().map(|session| (agent_id.clone(), session)));
        }
        over.sort_unstable();
        let floor = addresses.group(&self.all);
        let mut stepper = Stepper { levels: &mut self.levels, addresses, floor };
        for agent_id in &over {
            let Some(agent) = self.agents.remove(agent_id) else { continue };
            if !agent.is_nothing() {
                books.count("agents_expired", 1);
                self.new.clear();
                agent.goodbye(before, rules, &mut stepper, &mut self.new);
                books.book(&self.new);
            }
            if let Some(address) = self.alone.remove(agent_id) {
                books.drop_address(&address, rules);
            }
            self.hired.remove(agent_id);
        }
        if !over.is_empty() {
            self.hired_least = self.hired.values().copied().min();
        }
        (changed, holds)
    }

    /// Write an agent's entry; None if he is gone.
    pub fn freeze_agent(&mut self, agent_id: &str, to: &mut Writer) -> Option<()> {
        self.agents.get_mut(agent_id).map(|agent| agent.freeze(to))
    }

    /// Restore what `freeze_agent` returned.
    pub fn thaw_agent(&mut self, agent_id: &str, value: &[u8]) -> Result<(), Malformed> {
        self.agents.insert(shared(agent_id), Agent::thaw(value)?);
        Ok(())
    }

    /// Write the entry of a session in hand; None if nothing is known of it.
    pub fn freeze_hold(&self, agent_id: &str, session: &str, to: &mut Writer) -> Option<()> {
        self.agents.get(agent_id)?.hold(session).map(|hold| hold.freeze(to))
    }

    /// Restore what `freeze_hold` returned.
    pub fn thaw_hold(&mut self, agent_id: &str, session: &str, value: &[u8]) -> Result<(), Malformed> {
        let hold = Hold::thaw(value)?;
        self.agents.entry(shared(agent_id)).or_insert_with(Agent::new).put_hold(&Name::from(session), hold);
        Ok(())
    }

    /// (agent, session) of all that is known to be or to have been in hand.
    pub fn holds(&self) -> Vec<(Name, Name)> {
        let mut holds = Vec::new();
        for (agent_id, agent) in &self.agents {
            holds.extend(agent.sessions().map(|session| (agent_id.clone(), session.clone())));
        }
        holds
    }
}
