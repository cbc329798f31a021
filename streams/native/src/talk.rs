//! Messages: counts by sender, first response, first reply, turns; `streams/core/conversation.py` has the theory.

use smallvec::SmallVec;

use crate::facts::{Fact, Topic};
use crate::milestones::{at_and_sender, AGENT, CUSTOMER};
use crate::names::{Address, Addresses, Ms};
use crate::parts::{self, Part, Series};
use crate::rules::Rules;

/// Entries of a session, by time: when, and the address that it decides.
pub type Entries = SmallVec<[(Ms, Address); 2]>;

const COUNTED: [Part; 3] = [parts::MESSAGES_CUSTOMER, parts::MESSAGES_AGENT, parts::MESSAGES_SYSTEM];

/// The address of the latest entry at or before an instant (10).
pub fn entered_by(entries: &[(Ms, Address)], at: Ms) -> Option<&Address> {
    let (newest, address) = entries.last()?;
    if at >= *newest {
        return Some(address);
    }
    let n = entries.partition_point(|entry| entry.0 <= at);
    n.checked_sub(1).map(|n| &entries[n].1)
}

/// What of a session decides about its messages: instants in ms, and where it was from when on.
pub struct Setting {
    pub started: Option<Ms>,
    pub connected: Option<Ms>,
    pub entries: Entries,
    pub fallback: Address,
}

impl Setting {
    fn place(&self, at: Ms) -> &Address {
        entered_by(&self.entries, at).unwrap_or(&self.fallback)
    }
}

/// What is noted on the way: facts and clock errors, with the rules that decide.
pub struct Heed<'a> {
    pub rules: &'a Rules,
    pub addresses: &'a mut Addresses,
    pub facts: Vec<Fact>,
    pub errors: Vec<Topic>,
}

impl<'a> Heed<'a> {
    /// Start with nothing.
    pub fn new(rules: &'a Rules, addresses: &'a mut Addresses) -> Heed<'a> {
        Heed { rules, addresses, facts: Vec::new(), errors: Vec::new() }
    }

    /// Note one of a part.
    pub fn one(&mut self, address: &Address, at: Ms, part: Part) {
        self.facts.push(Fact::one(address, at, part));
    }

    /// Note an amount of a part.
    pub fn add(&mut self, address: &Address, at: Ms, part: Part, amount: i64) {
        self.facts.push(Fact::add(address, at, part, amount));
    }

    /// Note a duration that has a sketch.
    pub fn timed(&mut self, address: &Address, at: Ms, series: Series, took_ms: Ms) {
        self.facts.push(Fact::timed(address, at, series, took_ms));
    }
}

/// How far a session's messages are booked, and what is open there.
pub struct Talk {
    pub setting: Setting,
    /// The newest message.
    pub last: u64,
    first_customer: Option<Ms>,
    unanswered: Option<Ms>,
    replied: bool,
    responded: bool,
}

impl Talk {
    /// Start before the first message.
    pub fn new(setting: Setting) -> Talk {
        Talk { setting, last: 0, first_customer: None, unanswered: None, replied: false, responded: false }
    }

    /// Note what further messages, sorted and none before those already heard, contribute (19-21, 27).
    ///
    /// A turn runs from the later of (first unanswered customer message, first connected) to the next manual agent message; the
    /// first agent message at or after the later of (first connected, first customer message) is the first response.
    pub fn go_on(&mut self, messages: &[u64], heed: &mut Heed<'_>) {
        for message in messages {
            let (at, sender) = at_and_sender(*message);
            heed.one(self.setting.place(at), at, COUNTED[usize::from(sender)]);
            if sender == CUSTOMER {
                self.unanswered = self.unanswered.or(Some(at));
                self.first_customer = self.first_customer.or(Some(at));
            } else if sender == AGENT {
                if !self.replied {
                    self.replied = true;
                    self.first_reply(at, heed);
                }
                if let (Some(connected), Some(unanswered)) = (self.setting.connected, self.unanswered) {
                    if at >= connected {
                        self.replies(at, connected, unanswered, heed);
                    }
                }
            }
        }
        if let Some(last) = messages.last() {
            self.last = *last;
        }
    }

    /// Book the end of a turn; the first one is the first response.
    fn replies(&mut self, at: Ms, connected: Ms, unanswered: Ms, heed: &mut Heed<'_>) {
        let address = self.setting.place(at);
        let target = heed.rules.at(at).queue(address);
        if let (false, Some(first)) = (self.responded, self.first_customer) {
            self.responded = true;
            let took = at - connected.max(first);
            timed(Series::FirstResponse, parts::FIRST_RESPONSE_WITHIN, took, target.first_response_ms, address, at, heed);
        }
        let took = at - connected.max(unanswered);
        timed(Series::ResponseTime, parts::RESPONSE_TIME_WITHIN, took, target.response_ms, address, at, heed);
        self.unanswered = None;
    }

    fn first_reply(&self, at: Ms, heed: &mut Heed<'_>) {
        let Some(started) = self.setting.started else { return };
        let address = self.setting.place(at);
        if at < started {
            heed.errors.push(Topic::Sessions);
        }
        heed.one(address, at, parts::FIRST_REPLY_N);
        heed.add(address, at, parts::FIRST_REPLY_MS, (at - started).max(0));
    }
}

fn timed(series: Series, within: Part, took_ms: Ms, target_ms: Ms, address: &Address, at: Ms, heed: &mut Heed<'_>) {
    heed.timed(address, at, series, took_ms);
    if took_ms <= target_ms {
        heed.one(address, at, within);
    }
}
