//! Bytes to events, fast, for events of every type that are written as nearly all are.
//!
//! Theory. This reads JSON objects of flat fields, and only where every check of `schemas.events`
//! is certain to pass. Whatever is not certain (an unknown type, a nested value, an odd number, a control character, a
//! reserved name, text that is not UTF-8) is no event here but goes to `schemas.codec`, which alone decides. So the two can only
//! differ where this accepts what the other refuses, or reads another value; a differential test holds them together.

use std::borrow::Cow;

use crate::fields::*;
use crate::milestones::{self, Direction, Outcome};
use crate::names::Ms;
use crate::numbers::{whole, Decimal};
use crate::parts::{cost, Part};

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
    Rated { score_e6: i64, grade: Part },
    Reviewed { live: bool, passed: bool, reviewer: Text<'a> },
    Message { sender: u8 },
    Status { status: Text<'a>, groups: Option<Vec<Text<'a>>>, queues: Option<Vec<Text<'a>>>, capacity: Option<i64> },
    AgentJoined { groups: Option<Vec<Text<'a>>> },
    AgentLeft { groups: Option<Vec<Text<'a>>> },
    Visits { channel: Option<Text<'a>>, count: i64 },
    Cost { amount_e6: i64, part: Part },
    Complaint { opened: bool, complaint: Text<'a>, queue: Option<Text<'a>> },
}

const MAX_EVENT_BYTES: usize = 65_536;
const MAX_COUNT: i64 = 1_000_000_000;
const MAX_AMOUNT: i64 = 1_000_000_000;
const MAX_REVIEW: i64 = 100;

/// A byte in each of a word's eight places.
const fn eight(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The top bits of those bytes of a word that are quotes, backslashes or control characters; only the lowest one is sure.
///
/// To take `n` from each byte at once sets the top bit of those below `n` that had none; a byte is another one where their difference
/// in bits is not below 1. What is borrowed from the byte above may mark that one, too, so only the first is sure.
fn marks(word: u64) -> u64 {
    let below = |word: u64, n: u8| word.wrapping_sub(eight(n)) & !word;
    let same = |byte: u8| below(word ^ eight(byte), 1);
    (below(word, 0x20) | same(b'"') | same(b'\\') | same(0x7f)) & eight(0x80)
}

/// How many bytes there are before a quote, a backslash or a control character.
fn plain(data: &[u8]) -> usize {
    let mut words = data.chunks_exact(8);
    let mut at = 0;
    for word in words.by_ref() {
        let marks = marks(u64::from_le_bytes(word.try_into().expect("eight bytes")));
        if marks != 0 {
            return at + marks.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = words.remainder();
    at + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f | 0x7f)).unwrap_or(rest.len())
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
        self.at += plain(&self.data[begin..]);
        match *self.data.get(self.at)? {
            b'"' => {}
            b'\\' => return self.escaped(begin),
            _ => return None,
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

    /// A number whose first byte is the one before the present place, as `numbers` reads it.
    fn number(&mut self) -> Option<Value<'a>> {
        let begin = self.at - 1;
        self.skip_digits();
        let end = self.at;
        let number = if self.data.get(end) == Some(&b'.') {
            self.at += 1;
            self.skip_digits();
            Value::Decimal(Decimal::of(&self.data[begin..end], &self.data[end + 1..self.at])?)
        } else {
            Value::Int(whole(&self.data[begin..end])?)
        };
        (!matches!(self.data.get(self.at), Some(b'.' | b'e' | b'E' | b'+' | b'-'))).then_some(number)
    }

    fn skip_digits(&mut self) {
        while matches!(self.data.get(self.at), Some(b'0'..=b'9')) {
            self.at += 1;
        }
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
            b'-' | b'0'..=b'9' => self.number(),
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

impl<'a> Fields<'a> {
    fn body(&mut self, kind: &str) -> Option<Body<'a>> {
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
            "session.rated" => {
                self.maybe_text(AGENT_ID, is_identifier)?;
                let (score, scale) = (self.decimal(SCORE, 0, MAX_AMOUNT)?, self.decimal(SCALE, 0, MAX_AMOUNT)?);
                let (score_e6, grade) = milestones::rating(score, scale)?;
                Body::Rated { score_e6, grade }
            }
            "session.reviewed" => {
                self.text(AGENT_ID, is_identifier)?;
                let passed = self.decimal(SCORE, 0, MAX_REVIEW)?.at_least(milestones::PASS_SCORE);
                Body::Reviewed { live: self.maybe_bool(LIVE)?, passed, reviewer: self.text(REVIEWER_ID, is_identifier)? }
            }
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
            "agent.joined" => Body::AgentJoined { groups: self.maybe_list(GROUPS)? },
            "agent.left" => Body::AgentLeft { groups: self.maybe_list(GROUPS)? },
            "site.visits" => {
                let count = self.maybe_int(COUNT)?.filter(|count| (0..=MAX_COUNT).contains(count))?;
                Body::Visits { channel: self.maybe_text(CHANNEL, is_name)?, count }
            }
            "cost.booked" => {
                let amount_e6 = self.decimal(AMOUNT, -MAX_AMOUNT, MAX_AMOUNT)?.millionths();
                Body::Cost { amount_e6, part: cost(&self.text(CURRENCY, is_identifier)?)? }
            }
            "complaint.opened" | "complaint.closed" => {
                let opened = kind == "complaint.opened";
                self.maybe_text(SESSION_ID, is_identifier)?;
                if !opened {
                    self.maybe_bool(UPHELD)?;
                }
                let complaint = self.text(COMPLAINT_ID, is_identifier)?;
                Body::Complaint { opened, complaint, queue: self.maybe_text(QUEUE, is_name)? }
            }
            _ => return None,
        };
        Some(body)
    }

    /// What the record's key has to be; some of business have no queue.
    fn key(&mut self, body: &Body<'a>) -> Option<Option<Text<'a>>> {
        match body {
            Body::Visits { .. } | Body::Cost { .. } => self.maybe_text(QUEUE, is_name),
            Body::Complaint { complaint, .. } => Some(Some(complaint.clone())),
            Body::Status { .. } | Body::AgentJoined { .. } | Body::AgentLeft { .. } => self.text(AGENT_ID, is_identifier).map(Some),
            _ => self.text(SESSION_ID, is_identifier).map(Some),
        }
    }
}

/// Read an event; None where that takes a closer look.
pub fn decode(value: &[u8]) -> Option<Event<'_>> {
    if value.len() > MAX_EVENT_BYTES {
        return None;
    }
    let mut fields = Fields::new();
    let mut scanner = Scanner { data: value, at: 0 };
    scanner.expect(b'{')?;
    loop {
        scanner.expect(b'"')?;
        let name = scanner.text()?;
        scanner.expect(b':')?;
        let found = scanner.value()?;
        fields.put(&name, found)?;
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
    let at = fields.instant(AT)?;
    if fields.maybe_int(V)?.is_some_and(|version| version < 1) {
        return None;
    }
    let kind = fields.text(TYPE, is_identifier)?;
    let body = fields.body(&kind)?;
    let key = fields.key(&body)?;
    Some(Event { id: fields.text(ID, is_identifier)?, at, key, body })
}
