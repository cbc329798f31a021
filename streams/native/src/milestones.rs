//! Milestones: what is kept of a session's events; `streams/core/milestones.py` has the theory.
//!
//! Frozen, a milestone is an array `[at, rank, id, …]`, the fields of its kind after these, as the tuples of the other core.

use crate::names::{Ms, Name};
use crate::numbers::{millionths_of, Decimal};
use crate::pack::{Malformed, Reader, Writer};
use crate::parts::{self, Part};

pub const STARTED: u8 = 0;
pub const ENTERED: u8 = 1;
pub const OFFERED: u8 = 2;
pub const MISSED: u8 = 3;
pub const LEFT: u8 = 4;
pub const CONNECTED: u8 = 5;
pub const HELD: u8 = 10;
pub const RESUMED: u8 = 11;
pub const TRANSFERRED: u8 = 12;
pub const ENDED: u8 = 13;
pub const WRAPPED_UP: u8 = 14;
pub const SURVEY_SENT: u8 = 15;
pub const RATED: u8 = 16;
pub const REVIEWED: u8 = 17;

/// Classes of message senders.
pub const CUSTOMER: u8 = 0;
pub const AGENT: u8 = 1;
pub const MACHINE: u8 = 2;

/// A review passes from this score on.
pub const PASS_SCORE: i64 = 97;

/// A rating's score in millionths of its scale, and its grade; None where it lies outside 0..scale.
pub fn rating(score: Decimal, scale: Decimal) -> Option<(i64, Part)> {
    let (score, scale) = score.in_one_unit(scale);
    if scale <= 0 || !(0..=scale).contains(&score) {
        return None;
    }
    let grade = match 5 * score {
        good if good >= 4 * scale => parts::RATED_GOOD,
        bad if bad <= 2 * scale => parts::RATED_BAD,
        _ => parts::RATED_NEUTRAL,
    };
    Some((millionths_of(score, scale), grade))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Direction {
    Inbound,
    Outbound,
    Callback,
}

const DIRECTIONS: [(&str, Direction); 3] =
    [("inbound", Direction::Inbound), ("outbound", Direction::Outbound), ("callback", Direction::Callback)];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Outcome {
    Answered,
    Abandoned,
    Overflowed,
    TimedOut,
    Transferred,
    Callback,
    Voicemail,
    Closed,
}

const OUTCOMES: [(&str, Outcome); 8] = [
    ("answered", Outcome::Answered),
    ("abandoned", Outcome::Abandoned),
    ("overflowed", Outcome::Overflowed),
    ("timed_out", Outcome::TimedOut),
    ("transferred", Outcome::Transferred),
    ("callback", Outcome::Callback),
    ("voicemail", Outcome::Voicemail),
    ("closed", Outcome::Closed),
];

fn of<T: Copy>(texts: &[(&'static str, T)], text: &str) -> Option<T> {
    texts.iter().find(|each| each.0 == text).map(|each| each.1)
}

impl Direction {
    pub fn of(text: &str) -> Option<Direction> {
        of(&DIRECTIONS, text)
    }

    pub fn text(self) -> &'static str {
        DIRECTIONS[self as usize].0
    }
}

impl Outcome {
    pub fn of(text: &str) -> Option<Outcome> {
        of(&OUTCOMES, text)
    }

    pub fn text(self) -> &'static str {
        OUTCOMES[self as usize].0
    }
}

/// What a milestone says beside its time and id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    Started {
        channel: Name,
        direction: Direction,
        queue: Option<Name>,
        customer: Option<Name>,
    },
    Entered {
        queue: Name,
        channel: Option<Name>,
    },
    Offered {
        queue: Name,
        agent: Name,
    },
    Missed {
        queue: Name,
    },
    Left {
        queue: Name,
        outcome: Outcome,
    },
    Connected {
        agent: Name,
        queue: Option<Name>,
    },
    Held,
    Resumed,
    Transferred {
        from: Name,
        warm: bool,
    },
    Ended {
        resolved: bool,
    },
    WrappedUp {
        agent: Name,
    },
    SurveySent,
    /// The score in millionths of the scale; the grade is one of the parts `rated_good`, `rated_neutral`, `rated_bad`.
    Rated {
        score_e6: i64,
        grade: Part,
    },
    Reviewed {
        live: bool,
        passed: bool,
        reviewer: Name,
    },
}

/// Whether milestones of a rank come on the topic of the queues.
pub fn is_of_queue(rank: u8) -> bool {
    (ENTERED..=LEFT).contains(&rank)
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Milestone {
    pub at: Ms,
    pub id: Box<str>,
    pub kind: Kind,
}

impl Milestone {
    /// The rank of its kind among events of one millisecond.
    pub fn rank(&self) -> u8 {
        match self.kind {
            Kind::Started { .. } => STARTED,
            Kind::Entered { .. } => ENTERED,
            Kind::Offered { .. } => OFFERED,
            Kind::Missed { .. } => MISSED,
            Kind::Left { .. } => LEFT,
            Kind::Connected { .. } => CONNECTED,
            Kind::Held => HELD,
            Kind::Resumed => RESUMED,
            Kind::Transferred { .. } => TRANSFERRED,
            Kind::Ended { .. } => ENDED,
            Kind::WrappedUp { .. } => WRAPPED_UP,
            Kind::SurveySent => SURVEY_SENT,
            Kind::Rated { .. } => RATED,
            Kind::Reviewed { .. } => REVIEWED,
        }
    }

    /// What it is sorted by.
    pub fn order(&self) -> (Ms, u8, &str) {
        (self.at, self.rank(), &self.id)
    }

    /// Whether it comes on the topic of the queues.
    pub fn is_of_queue(&self) -> bool {
        is_of_queue(self.rank())
    }

    pub fn freeze(&self, to: &mut Writer) {
        let fields = match self.kind {
            Kind::Started { .. } => 4,
            Kind::Reviewed { .. } => 3,
            Kind::Entered { .. } | Kind::Offered { .. } | Kind::Left { .. } | Kind::Connected { .. } => 2,
            Kind::Transferred { .. } | Kind::Rated { .. } => 2,
            Kind::Missed { .. } | Kind::Ended { .. } | Kind::WrappedUp { .. } => 1,
            Kind::Held | Kind::Resumed | Kind::SurveySent => 0,
        };
        to.array(3 + fields);
        to.int(self.at);
        to.int(i64::from(self.rank()));
        to.str(&self.id);
        match &self.kind {
            Kind::Started { channel, direction, queue, customer } => {
                to.str(channel);
                to.str(direction.text());
                to.maybe_str(queue.as_deref());
                to.maybe_str(customer.as_deref());
            }
            Kind::Entered { queue, channel } => {
                to.str(queue);
                to.maybe_str(channel.as_deref());
            }
            Kind::Offered { queue, agent } => {
                to.str(queue);
                to.str(agent);
            }
            Kind::Missed { queue } => to.str(queue),
            Kind::Left { queue, outcome } => {
                to.str(queue);
                to.str(outcome.text());
            }
            Kind::Connected { agent, queue } => {
                to.str(agent);
                to.maybe_str(queue.as_deref());
            }
            Kind::Transferred { from, warm } => {
                to.str(from);
                to.str(if *warm { "warm" } else { "blind" });
            }
            Kind::Ended { resolved } => to.bool(*resolved),
            Kind::WrappedUp { agent } => to.str(agent),
            Kind::Rated { score_e6, grade } => {
                to.int(*score_e6);
                to.str(grade.name());
            }
            Kind::Reviewed { live, passed, reviewer } => {
                to.bool(*live);
                to.bool(*passed);
                to.str(reviewer);
            }
            Kind::Held | Kind::Resumed | Kind::SurveySent => {}
        }
    }

    pub fn thaw(from: &mut Reader<'_>) -> Result<Milestone, Malformed> {
        let name = |from: &mut Reader<'_>| from.str().map(Name::from);
        let maybe = |from: &mut Reader<'_>| from.maybe_str().map(|text| text.map(Name::from));
        from.array()?;
        let at = from.int()?;
        let rank = from.int()?;
        let id = from.str()?.into();
        let kind = match u8::try_from(rank).unwrap_or(u8::MAX) {
            STARTED => Kind::Started {
                channel: name(from)?,
                direction: Direction::of(from.str()?).ok_or(Malformed("unknown direction"))?,
                queue: maybe(from)?,
                customer: maybe(from)?,
            },
            ENTERED => Kind::Entered { queue: name(from)?, channel: maybe(from)? },
            OFFERED => Kind::Offered { queue: name(from)?, agent: name(from)? },
            MISSED => Kind::Missed { queue: name(from)? },
            LEFT => Kind::Left { queue: name(from)?, outcome: Outcome::of(from.str()?).ok_or(Malformed("unknown outcome"))? },
            CONNECTED => Kind::Connected { agent: name(from)?, queue: maybe(from)? },
            HELD => Kind::Held,
            RESUMED => Kind::Resumed,
            TRANSFERRED => Kind::Transferred { from: name(from)?, warm: from.str()? == "warm" },
            ENDED => Kind::Ended { resolved: from.bool()? },
            WRAPPED_UP => Kind::WrappedUp { agent: name(from)? },
            SURVEY_SENT => Kind::SurveySent,
            RATED => Kind::Rated {
                score_e6: from.int()?,
                grade: match from.str()? {
                    "rated_good" => parts::RATED_GOOD,
                    "rated_bad" => parts::RATED_BAD,
                    _ => parts::RATED_NEUTRAL,
                },
            },
            REVIEWED => Kind::Reviewed { live: from.bool()?, passed: from.bool()?, reviewer: name(from)? },
            _ => return Err(Malformed("unknown rank of a milestone")),
        };
        Ok(Milestone { at, id, kind })
    }
}

const ID_BITS: u32 = 14;

/// A message as one integer: `(at * 4 + class of sender) * 2**14 + 14 bits of its id`.
pub fn message_of(at: Ms, sender: u8, id: &str) -> u64 {
    let bits = crc32fast::hash(id.as_bytes()) & ((1 << ID_BITS) - 1);
    (at as u64 * 4 + u64::from(sender)) << ID_BITS | u64::from(bits)
}

/// Event time and class of sender of a message.
pub fn at_and_sender(message: u64) -> (Ms, u8) {
    ((message >> (ID_BITS + 2)) as Ms, (message >> ID_BITS & 3) as u8)
}
