//! Who holds a session, and for how long: time in hand, hold time, wrap-up; `streams/core/holding.py` has the theory.

use smallvec::SmallVec;

use crate::names::{Ms, Name};
use crate::told::Told;

/// What one agent's partition must know: intervals in hand (end None: still), and when he took the session.
struct Held {
    agent: Name,
    intervals: SmallVec<[(Ms, Option<Ms>); 1]>,
    taken: SmallVec<[Ms; 1]>,
}

/// Who held to the end, since when, and how long he is given to wrap up (None: for ever).
struct Last {
    agent: Name,
    since: Ms,
    limit_ms: Option<Ms>,
}

/// The holder of a session and the earlier ones, and what their partitions must know.
#[derive(Default)]
pub struct Hands {
    holder: Option<Name>,
    since: Ms,
    of: SmallVec<[Held; 1]>,
    /// The agents of whom something new is to be told.
    pub changed: SmallVec<[Name; 1]>,
    /// Time on hold up to now, as far as it is over.
    pub hold_ms: Ms,
    /// Wrap-up of all agents up to now (24).
    pub wrap_up_ms: Ms,
    on_hold: Option<Ms>,
    /// Until when agents held it whose wrap-up may still come.
    leaving: SmallVec<[(Name, Ms); 1]>,
    last: Option<Last>,
}

impl Hands {
    /// Whether an agent holds the session.
    pub fn holds(&self, agent: &Name) -> bool {
        self.holder.as_ref() == Some(agent)
    }

    /// Everybody of whom there is something to be told.
    pub fn agents(&self) -> impl Iterator<Item = &Name> {
        self.of.iter().map(|held| &held.agent)
    }

    fn held(&mut self, agent: &Name) -> &mut Held {
        let n = self.of.iter().position(|held| held.agent == *agent).unwrap_or_else(|| {
            self.of.push(Held { agent: agent.clone(), intervals: SmallVec::new(), taken: SmallVec::new() });
            self.of.len() - 1
        });
        &mut self.of[n]
    }

    /// Let an agent who does not hold the session take it.
    pub fn take(&mut self, agent: &Name, at: Ms, connected: Option<Ms>) {
        self.release(at);
        self.hold_over(at, connected);
        self.wrap_up_of(agent);
        self.holder = Some(agent.clone());
        self.since = at;
        let held = self.held(agent);
        held.intervals.push((at, None));
        held.taken.push(at);
        self.changed.push(agent.clone());
    }

    /// Note a connected after the end.
    pub fn take_nothing(&mut self, agent: &Name, at: Ms) {
        self.held(agent).taken.push(at);
        self.changed.push(agent.clone());
    }

    /// Let an agent hand the session on, if he holds it; whoever does, hold is over (23).
    pub fn transferred(&mut self, agent: &Name, at: Ms, connected: Option<Ms>) {
        if self.holds(agent) {
            self.release(at);
        }
        self.hold_over(at, connected);
    }

    /// Let the holder, if there is one, hold it no more.
    fn release(&mut self, at: Ms) {
        if let Some(agent) = self.holder.take() {
            self.ends(&agent, self.since, at);
            self.leaving.push((agent, at));
        }
    }

    /// Let the newest interval of an agent end; nothing is kept of one without length.
    fn ends(&mut self, agent: &Name, since: Ms, at: Ms) {
        let intervals = &mut self.held(agent).intervals;
        if intervals.last().is_some_and(|last| last.0 == since) {
            intervals.pop();
        }
        if at > since {
            intervals.push((since, Some(at)));
        }
        self.changed.push(agent.clone());
    }

    /// Put the session on hold, if it is not.
    pub fn hold(&mut self, at: Ms) {
        self.on_hold = self.on_hold.or(Some(at));
    }

    /// End a hold: from the first held, within connected..ended (23).
    pub fn hold_over(&mut self, at: Ms, connected: Option<Ms>) {
        if let (Some(since), Some(connected)) = (self.on_hold.take(), connected) {
            self.hold_ms += (at - since.max(connected)).max(0);
        }
    }

    /// End the session; `limit_ms`: how long the holder is given to wrap up, where the channel expects that (32).
    pub fn ended(&mut self, at: Ms, connected: Option<Ms>, limit_ms: Option<Ms>) {
        self.hold_over(at, connected);
        let Some(agent) = self.holder.clone() else { return };
        self.release(at);
        if let Some(limit_ms) = limit_ms {
            self.ends(&agent, self.since, at + limit_ms);
        }
        self.last = Some(Last { agent, since: self.since, limit_ms });
    }

    /// Note a wrap-up: it belongs to the end of the agent's newest holding (24); return its time in ms.
    pub fn wrapped_up(&mut self, agent: &Name, at: Ms) -> Ms {
        let Some(end) = self.wrap_up_of(agent) else { return 0 };
        self.wrap_up_ms += at - end;
        if self.last.as_ref().is_some_and(|last| last.agent == *agent) {
            if let Some(Last { since, limit_ms, .. }) = self.last.take() {
                self.ends(agent, since, limit_ms.map_or(at, |limit_ms| at.min(end + limit_ms)));
            }
        }
        at - end
    }

    /// Return when an agent's newest holding ended, if his wrap-up may still come; it is over with this.
    fn wrap_up_of(&mut self, agent: &Name) -> Option<Ms> {
        let n = self.leaving.iter().position(|leaving| leaving.0 == *agent)?;
        Some(self.leaving.remove(n).1)
    }

    /// What an agent's partition must know; `give_up_at`: a forgotten session's time in hand ends there.
    pub fn told(&self, agent: &Name, give_up_at: Option<Ms>) -> Told {
        let Some(held) = self.of.iter().find(|held| held.agent == *agent) else { return Told::default() };
        let mut intervals = held.intervals.to_vec();
        if let (Some(at), true) = (give_up_at, self.holds(agent)) {
            intervals.pop();
            if at > self.since {
                intervals.push((self.since, Some(at)));
            }
        }
        Told { intervals, taken: held.taken.to_vec(), ..Told::default() }
    }
}
