//! What other keys must know of a session; `streams/core/relay.py` has the theory.

use crate::names::{Ms, Name};

/// Kinds of targets, in the order of their letters (`h`, `k`, `v`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Target {
    Agent,
    Customer,
    Reviewer,
}

impl Target {
    pub fn letter(self) -> &'static str {
        match self {
            Target::Agent => "h",
            Target::Customer => "k",
            Target::Reviewer => "v",
        }
    }

    pub fn of(letter: &str) -> Option<Target> {
        [Target::Agent, Target::Customer, Target::Reviewer].into_iter().find(|kind| kind.letter() == letter)
    }
}

/// A customer's contact: where and when a session started and ended.
#[derive(Clone, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct Contact {
    pub start: Ms,
    pub queue: Name,
    pub channel: Name,
    pub end: Option<Ms>,
    pub end_queue: Name,
    pub end_channel: Name,
}

/// A review: (at, queue, channel).
pub type Review = (Ms, Name, Name);

/// What one target must know of one session.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Told {
    pub intervals: Vec<(Ms, Option<Ms>)>,
    pub taken: Vec<Ms>,
    pub contacts: Vec<Contact>,
    pub reviews: Vec<Review>,
}

/// The whole current fact of one session and target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RelayFact {
    pub sender: i64,
    pub version: i64,
    pub kind: Target,
    pub target: Name,
    pub session: Name,
    pub since: Ms,
    pub told: Told,
}

/// What a relay record says: its sender's watermark, and facts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Relayed {
    pub sender: i64,
    pub watermark: Option<Ms>,
    pub facts: Vec<RelayFact>,
}

/// A relay record as it is sent to a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RelayRecord {
    pub partition: u32,
    pub value: Vec<u8>,
}
