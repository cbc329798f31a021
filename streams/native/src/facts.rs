//! Facts: what is added to a cell, and when.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::names::{Address, Ms};
use crate::parts::{Level, Part, Series};

/// The steps of levels in one transition of an agent. Compared by identity: whoever makes them keeps them.
#[derive(Clone, Debug)]
pub struct Steps(Arc<[(Level, i64)]>);

impl Steps {
    pub fn new(steps: &[(Level, i64)]) -> Steps {
        Steps(Arc::from(steps))
    }

    pub fn all(&self) -> &[(Level, i64)] {
        &self.0
    }
}

impl PartialEq for Steps {
    fn eq(&self, other: &Steps) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Steps {}

impl Hash for Steps {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

/// What a fact does.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum What {
    /// Add an amount to a part.
    Add(Part, i64),
    /// A duration in ms that has a sketch.
    Timed(Series, i64),
    /// Steps of levels, all of one transition.
    Steps(Steps),
    /// A step of the headcount.
    Roster(i64),
    /// So many leavings.
    AgentsLeft(i64),
}

/// (where, when, what).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Fact {
    pub address: Address,
    pub at: Ms,
    pub what: What,
}

impl Fact {
    pub fn add(address: &Address, at: Ms, part: Part, amount: i64) -> Fact {
        Fact { address: address.clone(), at, what: What::Add(part, amount) }
    }

    pub fn one(address: &Address, at: Ms, part: Part) -> Fact {
        Fact::add(address, at, part, 1)
    }

    pub fn timed(address: &Address, at: Ms, series: Series, took_ms: Ms) -> Fact {
        Fact { address: address.clone(), at, what: What::Timed(series, took_ms) }
    }
}

/// The input topics, in the order of `schemas.events.INPUT_TOPICS`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
#[repr(u8)]
pub enum Topic {
    Sessions,
    Queues,
    Status,
    Business,
}

pub const TOPICS: [Topic; 4] = [Topic::Sessions, Topic::Queues, Topic::Status, Topic::Business];

impl Topic {
    pub fn text(self) -> &'static str {
        ["sessions", "queues", "status", "business"][self as usize]
    }

    pub fn of(text: &str) -> Option<Topic> {
        TOPICS.into_iter().find(|topic| topic.text() == text)
    }
}

/// What the gauges show of a session: where it waits since when, and where it is active.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shown {
    pub waiting: Vec<(Address, Ms)>,
    pub active: Option<Address>,
}
