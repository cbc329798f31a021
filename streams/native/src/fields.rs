//! The fields of an event, as they were read, each with a look at whether it is what the models take.
//!
//! Every way to a field's value gives None where that takes a closer look; a field that may be missing may be null as well.

use std::borrow::Cow;

use crate::instants::instant_of;
use crate::names::Ms;
use crate::numbers::Decimal;
use crate::session::LATEST_MS;

const MAX_NAME_CHARS: usize = 128;
const MAX_LIST: usize = 1000;
const EARLIEST_MS: Ms = 631_152_000_000;

/// A field's value, as far as it is looked at.
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Decimal(Decimal),
    Text(Cow<'a, str>),
    List(Vec<Cow<'a, str>>),
}

// The fields that are looked at, by their place in `Fields`.
pub const ID: usize = 0;
pub const SESSION_ID: usize = 1;
pub const AGENT_ID: usize = 2;
pub const CHANNEL: usize = 3;
pub const DIRECTION: usize = 4;
pub const QUEUE: usize = 5;
pub const CUSTOMER_ID: usize = 6;
pub const SENDER: usize = 7;
pub const FROM_AGENT: usize = 8;
pub const TO_AGENT: usize = 9;
pub const TO_QUEUE: usize = 10;
pub const KIND: usize = 11;
pub const ENDED_BY: usize = 12;
pub const OUTCOME: usize = 13;
pub const REASON: usize = 14;
pub const STATUS: usize = 15;
pub const TYPE: usize = 16;
pub const AT: usize = 17;
pub const V: usize = 18;
pub const AUTOMATIC: usize = 19;
pub const RESOLVED: usize = 20;
pub const PRIORITY: usize = 21;
pub const CAPACITY: usize = 22;
pub const GROUPS: usize = 23;
pub const QUEUES: usize = 24;
pub const SCORE: usize = 25;
pub const SCALE: usize = 26;
pub const REVIEWER_ID: usize = 27;
pub const LIVE: usize = 28;
pub const COUNT: usize = 29;
pub const AMOUNT: usize = 30;
pub const CURRENCY: usize = 31;
pub const COMPLAINT_ID: usize = 32;
pub const UPHELD: usize = 33;

/// The fields by the length of their names, so that a name is compared with a few others at most.
const BY_LENGTH: [&[(&str, usize)]; 13] = [
    &[],
    &[("v", V)],
    &[("id", ID), ("at", AT)],
    &[],
    &[("type", TYPE), ("kind", KIND), ("live", LIVE)],
    &[("queue", QUEUE), ("score", SCORE), ("scale", SCALE), ("count", COUNT)],
    &[
        ("sender", SENDER),
        ("status", STATUS),
        ("groups", GROUPS),
        ("queues", QUEUES),
        ("reason", REASON),
        ("amount", AMOUNT),
        ("upheld", UPHELD),
    ],
    &[("channel", CHANNEL), ("outcome", OUTCOME)],
    &[
        ("agent_id", AGENT_ID),
        ("ended_by", ENDED_BY),
        ("to_agent", TO_AGENT),
        ("to_queue", TO_QUEUE),
        ("resolved", RESOLVED),
        ("priority", PRIORITY),
        ("capacity", CAPACITY),
        ("currency", CURRENCY),
    ],
    &[("direction", DIRECTION), ("automatic", AUTOMATIC)],
    &[("session_id", SESSION_ID), ("from_agent", FROM_AGENT)],
    &[("customer_id", CUSTOMER_ID), ("reviewer_id", REVIEWER_ID)],
    &[("complaint_id", COMPLAINT_ID)],
];

fn field_of(name: &str) -> Option<usize> {
    let some = BY_LENGTH.get(name.len())?;
    some.iter().find(|known| known.0 == name).map(|known| known.1)
}

/// What was read of an event.
pub struct Fields<'a>([Option<Value<'a>>; UPHELD + 1]);

/// A text that may be an identifier: 1 to 128 characters, no control characters.
pub fn is_identifier(text: &str) -> bool {
    if text.is_empty() || (text.len() > MAX_NAME_CHARS && text.chars().count() > MAX_NAME_CHARS) {
        return false;
    }
    // C1 control characters are 0xC2 0x80 to 0xC2 0x9F; those below a space and 0x7F do not get here
    text.is_ascii() || !text.as_bytes().windows(2).any(|pair| pair[0] == 0xc2 && (0x80..=0x9f).contains(&pair[1]))
}

/// An identifier that floorpulse does not use itself.
pub fn is_name(text: &str) -> bool {
    is_identifier(text) && text != "all" && text != "unassigned"
}

impl<'a> Fields<'a> {
    /// None of them yet.
    pub fn new() -> Fields<'a> {
        Fields(std::array::from_fn(|_| None))
    }

    /// Keep a field, if it is one that is looked at; None if it came before.
    pub fn put(&mut self, name: &str, value: Value<'a>) -> Option<()> {
        match field_of(name) {
            Some(field) if self.0[field].replace(value).is_some() => None,
            _ => Some(()),
        }
    }

    /// An instant in the years that there may be.
    pub fn instant(&self, field: usize) -> Option<Ms> {
        let at = match &self.0[field] {
            Some(Value::Int(at)) => *at,
            Some(Value::Text(text)) => instant_of(text.as_bytes())?,
            _ => return None,
        };
        (EARLIEST_MS..=LATEST_MS).contains(&at).then_some(at)
    }

    /// A text that fits.
    pub fn text(&mut self, field: usize, fits: fn(&str) -> bool) -> Option<Cow<'a, str>> {
        match self.0[field].take() {
            Some(Value::Text(text)) if fits(&text) => Some(text),
            _ => None,
        }
    }

    /// A field that may be missing or null; None if it is something else.
    pub fn maybe_text(&mut self, field: usize, fits: fn(&str) -> bool) -> Option<Option<Cow<'a, str>>> {
        match self.0[field].take() {
            None | Some(Value::Null) => Some(None),
            Some(Value::Text(text)) if fits(&text) => Some(Some(text)),
            _ => None,
        }
    }

    /// False where it is missing or null.
    pub fn maybe_bool(&mut self, field: usize) -> Option<bool> {
        match self.0[field] {
            None | Some(Value::Null) => Some(false),
            Some(Value::Bool(value)) => Some(value),
            _ => None,
        }
    }

    /// A whole number that may be missing or null.
    pub fn maybe_int(&mut self, field: usize) -> Option<Option<i64>> {
        match self.0[field] {
            None | Some(Value::Null) => Some(None),
            Some(Value::Int(value)) => Some(Some(value)),
            _ => None,
        }
    }

    /// A number of these bounds.
    pub fn decimal(&mut self, field: usize, least: i64, most: i64) -> Option<Decimal> {
        let number = match self.0[field] {
            Some(Value::Int(value)) => Decimal::from(value),
            Some(Value::Decimal(value)) => value,
            _ => return None,
        };
        (number.at_least(least) && number.at_most(most)).then_some(number)
    }

    /// A list of names that may be missing or null.
    pub fn maybe_list(&mut self, field: usize) -> Option<Option<Vec<Cow<'a, str>>>> {
        match self.0[field].take() {
            None | Some(Value::Null) => Some(None),
            Some(Value::List(list)) if list.len() <= MAX_LIST && list.iter().all(|name| is_name(name)) => Some(Some(list)),
            _ => None,
        }
    }
}
