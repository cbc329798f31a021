//! Bytes to events, fast, for the events that make up nearly all of the input.
//!
//! Theory. This reads JSON objects of flat fields, of the types that matter for speed, and only where every check of `schemas.events`
//! is certain to pass. Whatever is not certain (another type, a nested value, an odd number, a control character, a
//! reserved name, text that is not UTF-8) is no event here but goes to `schemas.codec`, which alone decides. So the two can only
//! differ where this accepts what the other refuses, or reads another value; a differential test holds them together.

use std::borrow::Cow;

use crate::milestones::{self, Direction, Outcome};
use crate::names::Ms;
use crate::session::LATEST_MS;

/// An event's fields, as they are needed.
#[derive(Debug, Clone, PartialEq)]
pub struct Event<'a> {
    pub id: Cow<'a, str>,
    pub at: Ms,
    /// What the record's key has to be: the session, the agent, the queue or the complaint.
    pub key: Option<Cow<'a, str>>,
    pub body: Body<'a>,
}

type Text<'a> = Cow<'a, str>;

/// What an event says.
#[derive(Debug, Clone, PartialEq)]
pub enum Body<'a> {
    Started { channel: Text<'a>, direction: Direction, queue: Option<Text<'a>>, customer: Option<Text<'a>> },
    Entered { queue: Text<'a>, channel: Option<Text<'a>> },
    Offered { queue: Text<'a>, agent: Text<'a> },
    Missed { queue: Text<'a> },
    Left { queue: Text<'a>, outcome: Outcome },
    Connected { agent: Text<'a>, queue: Option<Text<'a>> },
    Held,
    Resumed,
    Transferred { from: Text<'a>, warm: bool },
    Ended { resolved: bool },
    WrappedUp { agent: Text<'a> },
    SurveySent,
    Rated { score_e6: i64, grade: crate::parts::Part },
    Reviewed { live: bool, passed: bool, reviewer: Text<'a> },
    Message { sender: u8 },
    Status { status: Text<'a>, groups: Option<Vec<Text<'a>>>, queues: Option<Vec<Text<'a>>>, capacity: Option<i64> },
    AgentJoined { groups: Option<Vec<Text<'a>>> },
    AgentLeft { groups: Option<Vec<Text<'a>>> },
    Visits { channel: Option<Text<'a>>, count: i64 },
    Cost { amount_e6: i64, part: crate::parts::Part },
    Complaint { opened: bool, complaint: Text<'a>, queue: Option<Text<'a>> },
}

const MAX_EVENT_BYTES: usize = 65_536;
const MAX_NAME_CHARS: usize = 128;
const MAX_LIST: usize = 1000;
const MAX_COUNT: i64 = 1_000_000_000;
const EARLIEST_MS: Ms = 631_152_000_000;

/// A field's value, as far as it is looked at.
enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Text(Cow<'a, str>),
    List(Vec<Cow<'a, str>>),
}

struct Scanner<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn skip_space(&mut self) {
        while matches!(self.data.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn next(&mut self) -> Option<u8> {
        self.skip_space();
        let byte = *self.data.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    /// A text whose first quote has been read.
    fn text(&mut self) -> Option<Cow<'a, str>> {
        let begin = self.at;
        loop {
            match *self.data.get(self.at)? {
                b'"' => break,
                b'\\' => return self.escaped(begin),
                0..=0x1f | 0x7f => return None,
                _ => self.at += 1,
            }
        }
        let found = std::str::from_utf8(&self.data[begin..self.at]).ok()?;
        self.at += 1;
        Some(Cow::Borrowed(found))
    }

    /// The rest of a text that has an escape at the present place.
    fn escaped(&mut self, begin: usize) -> Option<Cow<'a, str>> {
        let mut text = self.data[begin..self.at].to_vec();
        loop {
            let byte = *self.data.get(self.at)?;
            self.at += 1;
            match byte {
                b'"' => return String::from_utf8(text).ok().map(Cow::Owned),
                b'\\' => {
                    let escape = *self.data.get(self.at)?;
                    self.at += 1;
                    // control characters are never right in what is looked at, and everything else may be written as it is
                    text.push(match escape {
                        b'"' | b'\\' | b'/' => escape,
                        _ => return None,
                    });
                }
                0..=0x1f | 0x7f => return None,
                _ => text.push(byte),
            }
        }
    }

    /// A whole number of at most 18 digits whose first byte is the one before the present place.
    fn number(&mut self) -> Option<i64> {
        let begin = self.at - 1;
        while matches!(self.data.get(self.at), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if matches!(self.data.get(self.at), Some(b'.' | b'e' | b'E' | b'+' | b'-')) {
            return None;
        }
        let text = &self.data[begin..self.at];
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        if digits.is_empty() || digits.len() > 18 || (digits[0] == b'0' && text.len() > 1) {
            return None;
        }
        let number = digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        Some(if digits.len() < text.len() { -number } else { number })
    }

    fn word(&mut self, rest: &[u8], value: Value<'a>) -> Option<Value<'a>> {
        let end = self.at + rest.len();
        (self.data.get(self.at..end)? == rest).then(|| {
            self.at = end;
            value
        })
    }

    fn value(&mut self) -> Option<Value<'a>> {
        match self.next()? {
            b'"' => self.text().map(Value::Text),
            b'n' => self.word(b"ull", Value::Null),
            b't' => self.word(b"rue", Value::Bool(true)),
            b'f' => self.word(b"alse", Value::Bool(false)),
            b'[' => self.list().map(Value::List),
            b'-' | b'0'..=b'9' => self.number().map(Value::Int),
            _ => None,
        }
    }

    fn list(&mut self) -> Option<Vec<Cow<'a, str>>> {
        let mut found = Vec::new();
        let mut byte = self.next()?;
        if byte == b']' {
            return Some(found);
        }
        loop {
            if byte != b'"' {
                return None;
            }
            found.push(self.text()?);
            match self.next()? {
                b',' => byte = self.next()?,
                b']' => return Some(found),
                _ => return None,
            }
        }
    }
}

// The fields that are looked at, by their place in `Fields`.
const ID: usize = 0;
const SESSION_ID: usize = 1;
const AGENT_ID: usize = 2;
const CHANNEL: usize = 3;
const DIRECTION: usize = 4;
const QUEUE: usize = 5;
const CUSTOMER_ID: usize = 6;
const SENDER: usize = 7;
const FROM_AGENT: usize = 8;
const TO_AGENT: usize = 9;
const TO_QUEUE: usize = 10;
const KIND: usize = 11;
const ENDED_BY: usize = 12;
const OUTCOME: usize = 13;
const REASON: usize = 14;
const STATUS: usize = 15;
const TYPE: usize = 16;
const AT: usize = 17;
const V: usize = 18;
const AUTOMATIC: usize = 19;
const RESOLVED: usize = 20;
const PRIORITY: usize = 21;
const CAPACITY: usize = 22;
const GROUPS: usize = 23;
const QUEUES: usize = 24;

/// The fields by the length of their names, so that a name is compared with a few others at most.
const BY_LENGTH: [&[(&str, usize)]; 12] = [
    &[],
    &[("v", V)],
    &[("id", ID), ("at", AT)],
    &[],
    &[("type", TYPE), ("kind", KIND)],
    &[("queue", QUEUE)],
    &[("sender", SENDER), ("status", STATUS), ("groups", GROUPS), ("queues", QUEUES), ("reason", REASON)],
    &[("channel", CHANNEL), ("outcome", OUTCOME)],
    &[
        ("agent_id", AGENT_ID),
        ("ended_by", ENDED_BY),
        ("to_agent", TO_AGENT),
        ("to_queue", TO_QUEUE),
        ("resolved", RESOLVED),
        ("priority", PRIORITY),
        ("capacity", CAPACITY),
    ],
    &[("direction", DIRECTION), ("automatic", AUTOMATIC)],
    &[("session_id", SESSION_ID), ("from_agent", FROM_AGENT)],
    &[("customer_id", CUSTOMER_ID)],
];

fn field_of(name: &str) -> Option<usize> {
    let some = BY_LENGTH.get(name.len())?;
    some.iter().find(|known| known.0 == name).map(|known| known.1)
}

#[derive(Default)]
struct Fields<'a>([Option<Value<'a>>; QUEUES + 1]);

/// A text that may be an identifier: 1 to 128 characters, no control characters.
fn is_identifier(text: &str) -> bool {
    if text.is_empty() || (text.len() > MAX_NAME_CHARS && text.chars().count() > MAX_NAME_CHARS) {
        return false;
    }
    // C1 control characters are 0xC2 0x80 to 0xC2 0x9F; those below a space and 0x7F do not get here
    text.is_ascii() || !text.as_bytes().windows(2).any(|pair| pair[0] == 0xc2 && (0x80..=0x9f).contains(&pair[1]))
}

fn is_name(text: &str) -> bool {
    is_identifier(text) && text != "all" && text != "unassigned"
}

impl<'a> Fields<'a> {
    fn text(&mut self, field: usize, fits: fn(&str) -> bool) -> Option<Cow<'a, str>> {
        match self.0[field].take() {
            Some(Value::Text(text)) if fits(&text) => Some(text),
            _ => None,
        }
    }

    /// A field that may be missing or null; None if it is something else.
    fn maybe_text(&mut self, field: usize, fits: fn(&str) -> bool) -> Option<Option<Cow<'a, str>>> {
        match self.0[field].take() {
            None | Some(Value::Null) => Some(None),
            Some(Value::Text(text)) if fits(&text) => Some(Some(text)),
            _ => None,
        }
    }

    fn maybe_bool(&mut self, field: usize) -> Option<bool> {
        match self.0[field] {
            None | Some(Value::Null) => Some(false),
            Some(Value::Bool(value)) => Some(value),
            _ => None,
        }
    }

    fn maybe_int(&mut self, field: usize) -> Option<Option<i64>> {
        match self.0[field] {
            None | Some(Value::Null) => Some(None),
            Some(Value::Int(value)) => Some(Some(value)),
            _ => None,
        }
    }

    fn maybe_list(&mut self, field: usize) -> Option<Option<Vec<Cow<'a, str>>>> {
        match self.0[field].take() {
            None | Some(Value::Null) => Some(None),
            Some(Value::List(list)) if list.len() <= MAX_LIST && list.iter().all(|name| is_name(name)) => Some(Some(list)),
            _ => None,
        }
    }

    fn body(&mut self, kind: &str) -> Option<(usize, Body<'a>)> {
        let body = match kind {
            "session.message" => {
                self.maybe_text(AGENT_ID, is_identifier)?;
                let automatic = self.maybe_bool(AUTOMATIC)?;
                let sender = match &*self.text(SENDER, is_identifier)? {
                    "customer" => milestones::CUSTOMER,
                    "agent" => milestones::AGENT,
                    "system" | "bot" => milestones::MACHINE,
                    _ => return None,
                };
                Body::Message { sender: if automatic { milestones::MACHINE } else { sender } }
            }
            "session.started" => {
                self.maybe_int(PRIORITY)?;
                let direction = match self.maybe_text(DIRECTION, is_identifier)? {
                    None => Direction::Inbound,
                    Some(text) => Direction::of(&text)?,
                };
                Body::Started {
                    channel: self.text(CHANNEL, is_name)?,
                    direction,
                    queue: self.maybe_text(QUEUE, is_name)?,
                    customer: self.maybe_text(CUSTOMER_ID, is_identifier)?,
                }
            }
            "session.connected" => {
                Body::Connected { agent: self.text(AGENT_ID, is_identifier)?, queue: self.maybe_text(QUEUE, is_name)? }
            }
            "session.held" => self.text(AGENT_ID, is_identifier).map(|_| Body::Held)?,
            "session.resumed" => self.text(AGENT_ID, is_identifier).map(|_| Body::Resumed)?,
            "session.transferred" => {
                self.maybe_text(TO_AGENT, is_identifier)?;
                self.maybe_text(TO_QUEUE, is_name)?;
                let warm = match self.maybe_text(KIND, is_identifier)?.as_deref() {
                    None | Some("blind") => false,
                    Some("warm") => true,
                    Some(_) => return None,
                };
                Body::Transferred { from: self.text(FROM_AGENT, is_identifier)?, warm }
            }
            "session.ended" => {
                let by = self.text(ENDED_BY, is_identifier)?;
                if !matches!(&*by, "customer" | "agent" | "system") {
                    return None;
                }
                Body::Ended { resolved: self.maybe_bool(RESOLVED)? }
            }
            "session.wrapped_up" => Body::WrappedUp { agent: self.text(AGENT_ID, is_identifier)? },
            "session.survey_sent" => Body::SurveySent,
            "queue.entered" => {
                self.maybe_int(PRIORITY)?;
                Body::Entered { queue: self.text(QUEUE, is_name)?, channel: self.maybe_text(CHANNEL, is_name)? }
            }
            "queue.offered" => Body::Offered { queue: self.text(QUEUE, is_name)?, agent: self.text(AGENT_ID, is_identifier)? },
            "queue.missed" => {
                self.text(AGENT_ID, is_identifier)?;
                self.maybe_text(REASON, |_| true)?;
                Body::Missed { queue: self.text(QUEUE, is_name)? }
            }
            "queue.left" => {
                self.maybe_text(AGENT_ID, is_identifier)?;
                let outcome = Outcome::of(&self.text(OUTCOME, is_identifier)?)?;
                Body::Left { queue: self.text(QUEUE, is_name)?, outcome }
            }
            "agent.status" => {
                let capacity = self.maybe_int(CAPACITY)?;
                if capacity.is_some_and(|capacity| !(1..=MAX_COUNT).contains(&capacity)) {
                    return None;
                }
                Body::Status {
                    status: self.text(STATUS, is_identifier)?,
                    groups: self.maybe_list(GROUPS)?,
                    queues: self.maybe_list(QUEUES)?,
                    capacity,
                }
            }
            _ => return None,
        };
        Some((if kind == "agent.status" { AGENT_ID } else { SESSION_ID }, body))
    }
}

/// Read an event; None where that takes a closer look.
pub fn decode(value: &[u8]) -> Option<Event<'_>> {
    if value.len() > MAX_EVENT_BYTES {
        return None;
    }
    let mut fields = Fields::default();
    let mut scanner = Scanner { data: value, at: 0 };
    scanner.expect(b'{')?;
    loop {
        scanner.expect(b'"')?;
        let name = scanner.text()?;
        scanner.expect(b':')?;
        let found = scanner.value()?;
        if let Some(field) = field_of(&name) {
            if fields.0[field].replace(found).is_some() {
                return None;
            }
        }
        match scanner.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    scanner.skip_space();
    if scanner.at != value.len() {
        return None;
    }
    let at = match &fields.0[AT] {
        Some(Value::Int(at)) => *at,
        Some(Value::Text(text)) => instant_of(text.as_bytes())?,
        _ => return None,
    };
    if !(EARLIEST_MS..=LATEST_MS).contains(&at) || fields.maybe_int(V)?.is_some_and(|version| version < 1) {
        return None;
    }
    let kind = fields.text(TYPE, is_identifier)?;
    let (key, body) = fields.body(&kind)?;
    let key = match key {
        SESSION_ID => fields.text(SESSION_ID, is_identifier)?,
        _ => fields.text(AGENT_ID, is_identifier)?,
    };
    Some(Event { id: fields.text(ID, is_identifier)?, at, key: Some(key), body })
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// The milliseconds of an RFC 3339 text; None where that takes a closer look.
fn instant_of(text: &[u8]) -> Option<Ms> {
    if text.len() < 20 || text[4] != b'-' || text[7] != b'-' || text[13] != b':' || text[16] != b':' {
        return None;
    }
    if !matches!(text[10], b'T' | b't' | b' ') {
        return None;
    }
    let (year, month, day) = (digits(&text[..4])?, digits(&text[5..7])?, digits(&text[8..10])?);
    let (hour, minute, second) = (digits(&text[11..13])?, digits(&text[14..16])?, digits(&text[17..19])?);
    if year < 1 || !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut place = 19;
    let mut millis = 0;
    if text[place] == b'.' {
        let begin = place + 1;
        place = begin;
        while text.get(place).is_some_and(u8::is_ascii_digit) {
            place += 1;
        }
        let decimals = place - begin;
        if decimals == 0 {
            return None;
        }
        millis = digits(&text[begin..begin + decimals.min(3)])? * [100, 10, 1][decimals.min(3) - 1];
    }
    let offset_minutes = match text.get(place..)? {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 60 + minutes) * if *sign == b'+' { 1 } else { -1 }
        }
        _ => return None,
    };
    let minutes = (days_since_1970(year, month, day) * 24 + hour) * 60 + minute - offset_minutes;
    Some(minutes * 60_000 + second * 1000 + millis)
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar (years that begin in March, so that the leap day comes last).
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}
