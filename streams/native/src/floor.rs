//! The floor: the whole state of one partition; `streams/core/floor.py` has the theory of operation.

use crate::agentbook::AgentBook;
use crate::books::Books;
use crate::clock::Clock;
use crate::complaints::Complaints;
use crate::customers::Customers;
use crate::decode::{decode, Body, Event};
use crate::expiry::Expiry;
use crate::facts::{Fact, Topic};
use crate::ids::{digest_of, Ids};
use crate::intake::{
    from_the_future, look, session_full, unmapped_status, wrong_key, wrong_partition, wrong_topic, Looked, Refusal,
};
use crate::keys::Key;
use crate::milestones::{is_of_queue, message_of, Kind, Milestone};
use crate::names::{unassigned, Addresses, Ms, Name, Names};
use crate::parts;
use crate::relay::{decode_relay, Bundles};
use crate::reviewers::Reviewers;
use crate::roster::{self, Change};
use crate::rules::Rules;
use crate::session::{Session, LATEST_MS};
use crate::sessionbook::{SessionBook, Sessions};
use crate::told::{RelayRecord, Target};
use crate::touched::{Handed, Touched};

/// A record that was set aside: its index in the batch, what became of it, why, and words for people.
pub struct Reject {
    pub index: usize,
    pub outcome: &'static str,
    pub reason: String,
    pub detail: String,
}

/// What became of a topic's records.
#[derive(Clone, Copy, Default)]
pub struct Outcomes {
    pub applied: i64,
    pub duplicate: i64,
    pub late: i64,
    pub invalid: i64,
}

/// What became of one record.
enum Outcome {
    Applied,
    Duplicate,
    Late,
}

/// The state of one partition.
pub struct Floor {
    pub partition: u32,
    pub partitions: u32,
    pub rules: Rules,
    pub clock: Clock,
    pub expiry: Expiry,
    pub books: Books,
    pub sessions: Sessions,
    pub agent_book: AgentBook,
    pub customers: Customers,
    pub reviewers: Reviewers,
    pub complaints: Complaints,
    pub ids: Ids,
    pub business_ids: Ids,
    /// By topic, once anything was taken from it.
    pub counts: [Option<Outcomes>; 4],
    pub addresses: Addresses,
    pub touched: Touched,
    pub handed: Handed,
    /// What is left of the rolling snapshot's cycle.
    pub cycle: Vec<Key>,
    /// Whether anybody keeps the entries that are handed out.
    pub keeps_entries: bool,
    /// The settings' entry, as it is kept.
    pub settings: Vec<u8>,
    session_book: SessionBook,
    fresh: Vec<Name>,
    names: Names,
    buffer: Vec<u8>,
    longest_life_ms: Ms,
}

impl Floor {
    /// Start empty, as `partition` of `partitions`; `settings`: the settings' entry.
    pub fn new(partition: u32, partitions: u32, rules: Rules, settings: Vec<u8>) -> Floor {
        let ages = rules.session_age_by_channel.values().copied();
        let longest_life_ms = ages.chain([rules.session_horizon_ms, rules.session_age_ms, 0]).max().unwrap_or(0);
        Floor {
            partition,
            partitions,
            clock: Clock::default(),
            expiry: Expiry::new(&rules, partitions),
            books: Books::new(&rules),
            sessions: Sessions::default(),
            agent_book: AgentBook::new(),
            customers: Customers::new(),
            reviewers: Reviewers::new(),
            complaints: Complaints::new(),
            ids: Ids::new(rules.duplicates_horizon_ms, rules.max_ids, 0),
            // a copy of the oldest fact that is not late may be younger by a horizon
            business_ids: Ids::new(
                rules.duplicates_horizon_ms,
                rules.max_ids,
                rules.business_horizon_ms + rules.duplicates_horizon_ms,
            ),
            counts: [None; 4],
            addresses: Addresses::default(),
            touched: Touched::new(),
            handed: Handed::default(),
            cycle: Vec::new(),
            keeps_entries: true,
            settings,
            session_book: SessionBook::new(partition, partitions),
            fresh: Vec::new(),
            names: Names::default(),
            buffer: Vec::new(),
            longest_life_ms,
            rules,
        }
    }

    /// Relay to these kinds of targets only.
    pub fn tell(&mut self, kinds: &[Target]) {
        self.session_book.tells(kinds);
    }

    /// Do without journal entries, and without relay records to other kinds of targets than these.
    pub fn serve(&mut self, kinds: &[Target]) {
        self.keeps_entries = false;
        self.tell(kinds);
    }

    // -- taking records in

    /// Take a batch of records of one topic, in offset order; return those set aside.
    pub fn apply<'a>(
        &mut self,
        topic: Topic,
        records: impl Iterator<Item = (Option<&'a [u8]>, Option<&'a [u8]>)>,
        now_ms: Ms,
    ) -> Vec<Reject> {
        let latest = if self.rules.live { now_ms + self.rules.max_ahead_ms } else { LATEST_MS };
        let mut counts = self.counts[topic as usize].unwrap_or_default();
        let mut rejects = Vec::new();
        let mut newest = -1;
        for (index, (key, value)) in records.enumerate() {
            let event = match value.and_then(decode) {
                Some(event) => event,
                None => match look(value) {
                    Looked::Event(event) => event,
                    Looked::EndOfInput(at) => {
                        self.clock.end(topic, at);
                        continue;
                    }
                    Looked::Refused(refusal) => {
                        self.refuse(index, refusal, &mut counts, &mut rejects);
                        continue;
                    }
                },
            };
            match self.take(&event, topic, key, latest) {
                Ok(Outcome::Applied) => {
                    counts.applied += 1;
                    newest = newest.max(event.at);
                }
                Ok(Outcome::Duplicate) => counts.duplicate += 1,
                Ok(Outcome::Late) => {
                    counts.late += 1;
                    let (reason, detail) = ("late".to_owned(), "older than its horizon".to_owned());
                    rejects.push(Reject { index, outcome: "late", reason, detail });
                }
                Err(refusal) => self.refuse(index, refusal, &mut counts, &mut rejects),
            }
        }
        self.counts[topic as usize] = Some(counts);
        self.clock.saw(topic, newest, now_ms);
        rejects
    }

    fn refuse(&mut self, index: usize, refusal: Refusal, counts: &mut Outcomes, rejects: &mut Vec<Reject>) {
        counts.invalid += 1;
        self.books.count(&format!("invalid.{}", refusal.reason), 1);
        rejects.push(Reject { index, outcome: "invalid", reason: refusal.reason, detail: refusal.detail });
    }

    /// Take one event, with all checks: return what became of it, or why it is refused.
    fn take(&mut self, event: &Event<'_>, topic: Topic, key: Option<&[u8]>, latest: Ms) -> Result<Outcome, Refusal> {
        let right = event.body.topic();
        if right != topic {
            return Err(wrong_topic(right, topic));
        }
        match topic {
            Topic::Sessions | Topic::Queues => self.take_of_session(event, topic, key, latest),
            Topic::Status => self.take_of_agent(event, key, latest),
            Topic::Business => self.take_of_business(event, key, latest),
        }
    }

    /// Refuse an event of another key or partition, or from the future; `known`: the key has been seen here before.
    fn check(&self, event: &Event<'_>, key: Option<&[u8]>, latest: Ms, known: bool) -> Result<(), Refusal> {
        if event.at > latest {
            return Err(from_the_future(event.at - latest + self.rules.max_ahead_ms));
        }
        let name = event.key.as_deref();
        if key != name.map(str::as_bytes) {
            let field = event.body.key_field();
            if field == "queue" && key.unwrap_or_default().is_empty() {
                return Ok(());
            }
            return Err(wrong_key(key, field, name));
        }
        let key = key.unwrap_or_default();
        if !known && !key.is_empty() {
            let right = self.rules.partition_of(key, self.partitions);
            if right != self.partition {
                return Err(wrong_partition(key, right, self.partition));
            }
        }
        Ok(())
    }

    fn take_of_session(&mut self, event: &Event<'_>, topic: Topic, key: Option<&[u8]>, latest: Ms) -> Result<Outcome, Refusal> {
        let session_id = event.key.as_deref().unwrap_or_default();
        let at = event.at;
        let known = self.sessions.get(session_id).map(|session| (session.oldest, session.size()));
        self.check(event, key, latest, known.is_some())?;
        let alone = known.map_or(true, |(oldest, _)| at < oldest - self.longest_life_ms);
        if alone && self.clock.watermark.is_some_and(|mark| at < mark - self.rules.session_horizon_ms) {
            return Ok(Outcome::Late);
        }
        if !self.ids.covers(at) && self.has(event, session_id) {
            return Ok(Outcome::Duplicate);
        }
        let digest = digest_of(&mut self.buffer, topic.text(), session_id, &event.id);
        if known.is_some_and(|(_, size)| size >= self.rules.max_milestones) {
            if self.ids.knows(digest, at) {
                return Ok(Outcome::Duplicate);
            }
            return Err(session_full(self.rules.max_milestones));
        }
        if !self.ids.claim(digest, at) {
            return Ok(Outcome::Duplicate);
        }
        if known.is_none() {
            let name = Name::from(session_id);
            self.expiry.watch(&name, at);
            self.sessions.insert(name, Session::new());
        }
        self.put(event, session_id);
        Ok(Outcome::Applied)
    }

    /// Whether an event repeats what is kept of a session; of messages only the very same one is recognised.
    fn has(&self, event: &Event<'_>, session_id: &str) -> bool {
        let Some(session) = self.sessions.get(session_id) else { return false };
        if session.oldest >= self.ids.kept_from() {
            return false; // its id would be known
        }
        if let Body::Message { sender } = event.body {
            if event.at < self.ids.kept_from() && session.messages.contains(&message_of(event.at, sender, &event.id)) {
                return true;
            }
        }
        let of_queue = event.body.topic() == Topic::Queues;
        let mut found = false;
        session.glimpse(|known| {
            let near = (known.at - event.at).abs() <= self.ids.horizon_ms;
            found |= known.id == event.id && near && is_of_queue(known.rank) == of_queue;
        });
        found
    }

    /// Keep what an event says of a session.
    fn put(&mut self, event: &Event<'_>, session_id: &str) {
        let at = event.at;
        let mut kind = event.body.kind(&mut self.names);
        if let Some(Kind::Started { customer: Some(customer), .. }) = &mut kind {
            *customer = self.rules.customer(customer);
        }
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        session.wake();
        let mut watched = false;
        match (kind, &event.body) {
            (Some(kind), _) => {
                let milestone = Milestone { at, id: event.id.as_ref().into(), kind };
                watched = self.expiry.wakes(milestone.rank());
                session.milestones.push(milestone);
                session.unsorted = true;
            }
            (None, Body::Message { sender }) => {
                session.say(message_of(at, *sender, &event.id));
            }
            (None, _) => unreachable!("events of the two session topics are milestones or messages"),
        }
        session.newest = session.newest.max(at);
        session.oldest = session.oldest.min(at);
        let (returns, first) = (session.forgotten, !session.touched);
        session.forgotten = false;
        session.touched = true;
        if first || watched || returns {
            let (name, _) = self.sessions.get_key_value(session_id).expect("it was found just now");
            if watched {
                self.expiry.watch(name, at);
            }
            if returns {
                self.expiry.watch(name, at);
            }
            if first {
                self.fresh.push(name.clone());
            }
        }
    }

    fn take_of_agent(&mut self, event: &Event<'_>, key: Option<&[u8]>, latest: Ms) -> Result<Outcome, Refusal> {
        let agent_id = event.key.as_deref().unwrap_or_default();
        let at = event.at;
        let known = self.agent_book.knows(agent_id);
        self.check(event, key, latest, known)?;
        let change = self.change_of(event)?;
        if self.expiry.agent_is_late(at) {
            return Ok(Outcome::Late);
        }
        if !self.ids.covers(at) && self.agent_book.has(agent_id, &event.id, at, self.ids.horizon_ms) {
            return Ok(Outcome::Duplicate);
        }
        let digest = digest_of(&mut self.buffer, Topic::Status.text(), agent_id, &event.id);
        if !self.ids.claim(digest, at) {
            return Ok(Outcome::Duplicate);
        }
        let agent_id = self.names.of(agent_id);
        self.agent_book.hear(&agent_id, change);
        Ok(Outcome::Applied)
    }

    fn change_of(&mut self, event: &Event<'_>) -> Result<Change, Refusal> {
        let names = &mut self.names;
        let mut sorted = |list: &Option<Vec<std::borrow::Cow<'_, str>>>| -> Option<Box<[Name]>> {
            let mut found: Vec<Name> = list.as_ref()?.iter().map(|name| names.of(name)).collect();
            found.sort_unstable();
            found.dedup();
            Some(found.into_boxed_slice())
        };
        let at = event.at;
        let id = event.id.as_ref().into();
        Ok(match &event.body {
            Body::Status { status, groups, queues, capacity } => {
                let Some(known) = self.rules.at(at).status(status) else { return Err(unmapped_status(status)) };
                let (groups, queues) = (sorted(groups), sorted(queues));
                Change { at, rank: roster::STATUS, id, status: Some(known.clone()), groups, queues, capacity: *capacity }
            }
            Body::AgentLeft { groups } => {
                let status = Some(crate::names::empty());
                Change { at, rank: roster::LEFT, id, status, groups: sorted(groups), queues: None, capacity: None }
            }
            Body::AgentJoined { groups } => {
                Change { at, rank: roster::JOINED, id, status: None, groups: sorted(groups), queues: None, capacity: None }
            }
            _ => unreachable!("events of the status topic are changes of agents"),
        })
    }

    fn take_of_business(&mut self, event: &Event<'_>, key: Option<&[u8]>, latest: Ms) -> Result<Outcome, Refusal> {
        self.check(event, key, latest, false)?;
        let at = event.at;
        if self.clock.watermark.is_some_and(|mark| at < mark - self.rules.business_horizon_ms) {
            return Ok(Outcome::Late);
        }
        let key = std::str::from_utf8(key.unwrap_or_default()).expect("it is empty, or equal to a name");
        let digest = digest_of(&mut self.buffer, Topic::Business.text(), key, &event.id);
        if !self.business_ids.claim(digest, at) {
            return Ok(Outcome::Duplicate);
        }
        let queue = event.key.as_deref().map_or_else(unassigned, Name::from);
        match &event.body {
            Body::Visits { channel, count } => {
                let channel = channel.as_deref().map_or_else(unassigned, Name::from);
                let address = self.addresses.queue(&queue, &channel);
                self.books.book(&[Fact::add(&address, at, parts::VISITS, *count)]);
            }
            Body::Cost { amount_e6, part } => {
                let address = self.addresses.queue(&queue, &unassigned());
                self.books.book(&[Fact::add(&address, at, *part, *amount_e6)]);
            }
            Body::Complaint { opened, complaint, queue } => {
                let queue = queue.as_deref().map(Name::from);
                self.complaints.file(&Name::from(&**complaint), *opened, (at, event.id.as_ref().into(), queue));
            }
            _ => unreachable!("events of the business topic"),
        }
        Ok(Outcome::Applied)
    }

    /// Take a batch of relay records; return those set aside.
    pub fn apply_relay<'a>(&mut self, values: impl Iterator<Item = Option<&'a [u8]>>) -> Vec<Reject> {
        let mut rejects = Vec::new();
        for (index, value) in values.enumerate() {
            let record = match decode_relay(value.unwrap_or_default()) {
                Ok(record) => record,
                Err(detail) => {
                    rejects.push(Reject { index, outcome: "invalid", reason: "unparsable".to_owned(), detail });
                    self.books.count("relay_invalid", 1);
                    continue;
                }
            };
            self.expiry.heard(record.sender, record.watermark);
            for fact in record.facts {
                let is_new = match fact.kind {
                    Target::Agent => self.agent_book.held(&fact, self.expiry.agents_before),
                    Target::Customer => self.customers.hear(&fact, &self.rules),
                    Target::Reviewer => self.reviewers.hear(&fact, &mut self.addresses, &self.rules),
                };
                if is_new {
                    self.touched.keys.insert(Key::Told(fact.kind, fact.target, fact.session));
                }
            }
        }
        rejects
    }

    // -- booking, once a flush

    /// Book what was touched, forget what is over; return what is to be relayed, and the sessions that changed.
    pub fn settle(&mut self, seq: i64, now_ms: Ms, at_end: &[Topic]) -> Vec<RelayRecord> {
        self.clock.advance(now_ms, at_end, &self.rules);
        let now = self.present(now_ms);
        let ahead = if self.rules.live { now } else { now.max(self.clock.newest_event().unwrap_or(0)) };
        self.books.cells.advance(ahead);
        let over = self.forget();
        let relay = self.book_sessions(seq, &over);
        self.book_agents();
        self.book_others();
        self.books.settle(&self.rules);
        relay.records(self.expiry.announces(self.clock.watermark, self.clock.all_ended()))
    }

    /// What counts as now.
    pub fn present(&self, now_ms: Ms) -> Ms {
        self.clock.present(now_ms, self.rules.live)
    }

    /// Find sessions that are forgotten from now on, and return those that are over.
    fn forget(&mut self) -> Vec<Name> {
        let (over, silent) = self.expiry.due(&self.sessions, self.clock.watermark, &self.rules);
        for session_id in over.iter().chain(&silent) {
            let Some(session) = self.sessions.get_mut(session_id) else { continue };
            if !session.touched && !self.session_book.changes_nothing(session, &self.rules) {
                session.touched = true;
                self.fresh.push(session_id.clone());
            }
            session.forgotten = true;
        }
        over
    }

    fn book_sessions(&mut self, seq: i64, over: &[Name]) -> Bundles {
        let fresh = std::mem::take(&mut self.fresh);
        let (sessions, mark) = (&mut self.sessions, self.clock.watermark);
        let relay = self.session_book.book(sessions, &fresh, seq, mark, &self.rules, &mut self.addresses, &mut self.books);
        for session_id in over {
            self.sessions.remove(session_id);
        }
        if self.keeps_entries {
            self.touched.sessions.extend(fresh);
            self.touched.sessions.extend(over.iter().cloned());
        }
        relay
    }

    fn book_agents(&mut self) {
        let booked = self.agent_book.book(&self.rules, &mut self.addresses, &mut self.books);
        self.touched.keys.extend(booked.into_iter().map(Key::Agent));
        if self.expiry.close_agents(&self.rules) {
            let before = self.expiry.agents_before;
            let (agents, holds) = self.agent_book.forget(before, &self.rules, &mut self.addresses, &mut self.books);
            self.touched.keys.extend(agents.into_iter().map(Key::Agent));
            self.touched.keys.extend(holds.into_iter().map(|(agent, session)| Key::Told(Target::Agent, agent, session)));
        }
        self.books.roster_since(self.agent_book.roster_since());
    }

    /// Book what customers, reviewers and complaints stand for, and forget what is over of them.
    fn book_others(&mut self) {
        let mark = self.expiry.least_mark();
        let mut gone = self.customers.book(&mut self.books, &mut self.addresses, mark, &self.rules);
        gone.extend(self.customers.forget(&self.rules));
        self.touched.keys.extend(gone.into_iter().map(|(customer, session)| Key::Told(Target::Customer, customer, session)));
        self.reviewers.book(&mut self.books);
        if let Some(mark) = mark {
            let gone = self.reviewers.forget(mark - self.rules.agents_kept_ms, &mut self.addresses, &self.rules);
            self.touched.keys.extend(gone.into_iter().map(|(reviewer, session)| Key::Told(Target::Reviewer, reviewer, session)));
        }
        let mut complaints = self.complaints.book(&mut self.books, &mut self.addresses);
        complaints.extend(self.complaints.forget(&mut self.books, &mut self.addresses, self.clock.watermark, &self.rules));
        self.touched.keys.extend(complaints.into_iter().map(Key::Complaint));
    }
}
