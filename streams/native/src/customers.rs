//! Customers: which contacts follow an earlier one, and which resolved what they were about; `streams/core/customers.py` has the
//! theory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::mem::{size_of, size_of_val};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::books::Books;
use crate::facts::Fact;
use crate::kept::{of_name, of_places, of_table};
use crate::names::{empty, Addresses, Ms, Name};
use crate::pack::{Malformed, Reader, Writer};
use crate::parts::{FCR_CONTACTS, FCR_RESOLVED, KNOWN_STARTED, REPEAT_CONTACTS};
use crate::relay::{read_contact, write_contact};
use crate::rules::Rules;
use crate::told::{Contact, RelayFact};

const OPEN_END: Ms = 1 << 62;

/// What is known of one session of a customer: the version of the relay record, and its contacts.
struct Known {
    session: Name,
    version: i64,
    contacts: Vec<Contact>,
}

/// So many sessions of one customer are looked through one by one.
const FEW: usize = 32;

/// What is known of one customer's sessions; of many it is kept where each stands, since an id may be that of many people.
#[derive(Default)]
struct Sessions {
    known: Vec<Known>,
    places: Option<Box<FxHashMap<Name, usize>>>,
}

impl Sessions {
    fn position(&self, session: &str) -> Option<usize> {
        match &self.places {
            Some(places) => places.get(session).copied(),
            None => self.known.iter().position(|known| &*known.session == session),
        }
    }

    fn push(&mut self, known: Known) {
        if let Some(places) = &mut self.places {
            places.insert(known.session.clone(), self.known.len());
        }
        // Hardly any customer has a second one, and they stay for two days: a vector would begin with room for four.
        if self.known.len() == self.known.capacity() {
            self.known.reserve_exact(self.known.len() / 8 + 1);
        }
        self.known.push(known);
        if self.places.is_none() && self.known.len() > FEW {
            let each = self.known.iter().enumerate().map(|(place, known)| (known.session.clone(), place));
            self.places = Some(Box::new(each.collect()));
        }
    }

    fn remove(&mut self, session: &str) {
        let Some(place) = self.position(session) else { return };
        self.known.swap_remove(place);
        let Some(places) = &mut self.places else { return };
        places.remove(session);
        if let Some(moved) = self.known.get(place) {
            places.insert(moved.session.clone(), place);
        }
        if self.known.len() < FEW / 2 {
            self.places = None;
        }
    }
}

/// When to look at which customer.
type Watch = BinaryHeap<Reverse<(Ms, Name)>>;

/// The customers of one partition.
pub struct Customers {
    of: FxHashMap<Name, Sessions>,
    before: Vec<(Name, Vec<Contact>)>,
    touched: FxHashSet<Name>,
    pushed_out: FxHashMap<Name, Ms>,
    due: Watch,
    over: Watch,
    /// Contacts whose time was up by then are counted.
    pub settled: Ms,
}

/// When the time of a contact that ended is up.
fn due(end: Ms, rules: &Rules) -> Ms {
    end + rules.at(end).repeat_ms
}

fn kept_until(contact: &Contact, rules: &Rules) -> Ms {
    match contact.end {
        None => contact.start + rules.silence_ms,
        Some(end) => due(end, rules) + rules.session_horizon_ms,
    }
}

/// When to see whether a contact is over; one that is open, as most are at first, at twice its age.
fn look_at(contact: &Contact, settled: Ms, rules: &Rules) -> Ms {
    let until = kept_until(contact, rules);
    if contact.end.is_some() {
        return until;
    }
    let start = contact.start;
    until.min(start + (2 * (settled - start)).max(rules.at(start).repeat_ms + rules.session_horizon_ms))
}

/// The facts of one customer's contacts, those whose time was up by `settled` among the resolved or repeated.
fn contact_facts<'a>(
    contacts: impl Iterator<Item = &'a Contact>,
    rules: &Rules,
    settled: Ms,
    addresses: &mut Addresses,
    facts: &mut Vec<Fact>,
) {
    facts.clear();
    let mut contacts: Vec<&Contact> = contacts.collect();
    contacts.sort_by(|a, b| (a.start, &a.queue, &a.channel).cmp(&(b.start, &b.queue, &b.channel)));
    let (mut newest_end, mut earlier) = (-1, 0);
    for contact in &contacts {
        let start = contact.start;
        while contacts[earlier].start < start {
            newest_end = newest_end.max(contacts[earlier].end.unwrap_or(OPEN_END));
            earlier += 1;
        }
        let address = addresses.queue(&contact.queue, &contact.channel);
        facts.push(Fact::one(&address, start, KNOWN_STARTED));
        if newest_end >= 0 && start - newest_end <= rules.at(start).repeat_ms {
            facts.push(Fact::one(&address, start, REPEAT_CONTACTS));
        }
        let Some(end) = contact.end else { continue };
        let due = due(end, rules);
        if due <= settled {
            let place = addresses.queue(&contact.end_queue, &contact.end_channel);
            let following = contacts.partition_point(|other| other.start <= start);
            facts.push(Fact::one(&place, due, FCR_CONTACTS));
            if contacts.get(following).map_or(Ms::MAX, |next| next.start) > due {
                facts.push(Fact::one(&place, due, FCR_RESOLVED));
            }
        }
    }
}

/// (contact, session) of all contacts by their starts.
fn in_order(sessions: &[Known]) -> Vec<(Contact, Name)> {
    let each = sessions.iter().flat_map(|known| known.contacts.iter().map(|contact| (contact.clone(), known.session.clone())));
    let mut found: Vec<(Contact, Name)> = each.collect();
    found.sort_by(|a, b| (a.0.start, &a.1).cmp(&(b.0.start, &b.1)));
    found
}

impl Customers {
    /// Start with none.
    pub fn new() -> Customers {
        Customers {
            of: FxHashMap::default(),
            before: Vec::new(),
            touched: FxHashSet::default(),
            pushed_out: FxHashMap::default(),
            due: Watch::new(),
            over: Watch::new(),
            settled: 0,
        }
    }

    /// Take in what a relay record says; return whether anything is new.
    pub fn hear(&mut self, fact: &RelayFact, rules: &Rules) -> bool {
        let position = self.of.get(&fact.target).and_then(|sessions| sessions.position(&fact.session));
        let sessions = self.of.get(&fact.target).map_or(&[][..], |sessions| &sessions.known);
        let known = position.map(|position| &sessions[position]);
        if known.is_some_and(|known| known.version >= fact.version) {
            return false;
        }
        let was: &[Contact] = known.map_or(&[], |known| &known.contacts);
        let since = self.pushed_out.get(&fact.target).copied().unwrap_or(-1);
        let mut contacts: Vec<Contact> = was.iter().filter(|contact| contact.start < fact.since).cloned().collect();
        for contact in &fact.told.contacts {
            if was.contains(contact) || (contact.start > since && kept_until(contact, rules) >= self.settled) {
                contacts.push(contact.clone());
            }
        }
        if contacts == was {
            return false;
        }
        contacts.shrink_to_fit();
        if !self.touched.contains(&fact.target) {
            self.touched.insert(fact.target.clone());
            let before = sessions.iter().flat_map(|known| known.contacts.iter().cloned()).collect();
            self.before.push((fact.target.clone(), before));
        }
        if contacts.is_empty() {
            self.remove(&fact.target, &fact.session);
            return true;
        }
        self.watch(&fact.target, &contacts, rules);
        let sessions = self.of.entry(fact.target.clone()).or_default();
        match position {
            Some(position) => {
                let known = &mut sessions.known[position];
                (known.version, known.contacts) = (fact.version, contacts);
            }
            None => sessions.push(Known { session: fact.session.clone(), version: fact.version, contacts }),
        }
        true
    }

    fn remove(&mut self, customer: &Name, session: &str) {
        if let Some(sessions) = self.of.get_mut(customer) {
            sessions.remove(session);
            if sessions.known.is_empty() {
                self.of.remove(customer);
            }
        }
    }

    fn watch(&mut self, customer: &Name, contacts: &[Contact], rules: &Rules) {
        for contact in contacts {
            if let Some(end) = contact.end {
                let due = due(end, rules);
                if due > self.settled {
                    self.due.push(Reverse((due, customer.clone())));
                }
            }
            self.over.push(Reverse((look_at(contact, self.settled, rules), customer.clone())));
        }
    }

    fn sessions_of(&self, customer: &str) -> &[Known] {
        self.of.get(customer).map_or(&[], |sessions| &sessions.known)
    }

    fn contacts_of(&self, customer: &str) -> impl Iterator<Item = &Contact> {
        self.sessions_of(customer).iter().flat_map(|known| known.contacts.iter())
    }

    /// Book what changed, and what has settled since; `mark`: least watermark of all senders.
    ///
    /// Return (customer, session) of contacts that were too many.
    pub fn book(&mut self, books: &mut Books, addresses: &mut Addresses, mark: Option<Ms>, rules: &Rules) -> Vec<(Name, Name)> {
        let settled = self.settled;
        let mut touched = std::mem::take(&mut self.touched);
        let heard = std::mem::take(&mut self.before);
        let mut fell_due = Vec::new();
        if let Some(mark) = mark.filter(|mark| *mark > settled) {
            while self.due.peek().is_some_and(|Reverse((at, _))| *at <= mark) {
                let Some(Reverse((_, customer))) = self.due.pop() else { break };
                if !touched.contains(&customer) {
                    touched.insert(customer.clone());
                    fell_due.push(customer);
                }
            }
            self.settled = mark;
        }
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for (customer, contacts) in &heard {
            contact_facts(contacts.iter(), rules, settled, addresses, &mut old);
            contact_facts(self.contacts_of(customer), rules, self.settled, addresses, &mut new);
            books.difference(&old, &new);
        }
        for customer in &fell_due {
            contact_facts(self.contacts_of(customer), rules, settled, addresses, &mut old);
            contact_facts(self.contacts_of(customer), rules, self.settled, addresses, &mut new);
            books.difference(&old, &new);
        }
        touched.clear();
        self.touched = touched;
        let mut gone = Vec::new();
        for customer in heard.iter().map(|(customer, _)| customer).chain(&fell_due) {
            self.crowded(customer, books, rules, &mut gone);
        }
        gone
    }

    /// Forget contacts that are over; return (customer, session) of those touched.
    pub fn forget(&mut self, rules: &Rules) -> Vec<(Name, Name)> {
        let mut over = FxHashSet::default();
        while self.over.peek().is_some_and(|Reverse((at, _))| *at < self.settled) {
            let Some(Reverse((_, customer))) = self.over.pop() else { break };
            over.insert(customer);
        }
        let mut gone = Vec::new();
        for customer in over {
            let in_order = in_order(self.sessions_of(&customer));
            for (contact, session) in in_order {
                if kept_until(&contact, rules) >= self.settled {
                    self.over.push(Reverse((look_at(&contact, self.settled, rules), customer)));
                    break;
                }
                self.drop_contact(&customer, &session, &contact, &mut gone);
            }
        }
        gone
    }

    /// Push out the oldest contacts of a customer who has more than the limit.
    fn crowded(&mut self, customer: &Name, books: &mut Books, rules: &Rules, gone: &mut Vec<(Name, Name)>) {
        let sessions = self.sessions_of(customer);
        if sessions.len() <= rules.max_contacts {
            return;
        }
        let surplus = sessions.len() - rules.max_contacts;
        let in_order = in_order(sessions);
        books.count("contacts_evicted", surplus as i64);
        self.pushed_out.insert(customer.clone(), in_order[surplus - 1].0.start);
        gone.push((customer.clone(), empty()));
        for (contact, session) in &in_order[..surplus] {
            self.drop_contact(customer, session, contact, gone);
        }
    }

    fn drop_contact(&mut self, customer: &Name, session: &Name, contact: &Contact, gone: &mut Vec<(Name, Name)>) {
        gone.push((customer.clone(), session.clone()));
        let Some(sessions) = self.of.get_mut(customer) else { return };
        let Some(place) = sessions.position(session) else { return };
        let known = &mut sessions.known[place];
        known.contacts.retain(|other| other != contact);
        if !known.contacts.is_empty() {
            return;
        }
        self.remove(customer, session);
        if !self.of.contains_key(customer) && self.pushed_out.remove(customer).is_some() {
            gone.push((customer.clone(), empty()));
        }
    }

    /// (customer, session) of everything that is known; no session: up to which start contacts were pushed out.
    pub fn known(&self) -> Vec<(Name, Name)> {
        let mut known = Vec::new();
        for (customer, sessions) in &self.of {
            known.extend(sessions.known.iter().map(|each| (customer.clone(), each.session.clone())));
        }
        known.extend(self.pushed_out.keys().map(|customer| (customer.clone(), empty())));
        known
    }

    /// Bytes of the customers with a contact that has not ended: it stays, and with it all that came after.
    pub fn bytes_of_open(&self) -> usize {
        let is_open = |known: &Known| known.contacts.iter().any(|contact| contact.end.is_none());
        let of_one = |known: &Known| of_name(&known.session) + of_places(&known.contacts);
        let of_watch = size_of::<Reverse<(Ms, Name)>>();
        let of_customer = |(customer, sessions): (&Name, &Sessions)| {
            let each = sessions.known.iter().map(|known| of_one(known) + of_watch);
            let of_index = sessions.places.as_ref().map_or(0, |places| size_of_val(&**places) + of_table(places));
            size_of::<(Name, Sessions)>() + of_name(customer) + of_places(&sessions.known) + each.sum::<usize>() + of_index
        };
        self.of.iter().filter(|(_, sessions)| sessions.known.iter().any(is_open)).map(of_customer).sum()
    }

    /// Write the entry of one session; None if nothing is known of it.
    pub fn freeze(&self, customer: &str, session: &str, to: &mut Writer) -> Option<()> {
        if session.is_empty() {
            let start = self.pushed_out.get(customer)?;
            to.array(1);
            to.int(*start);
            return Some(());
        }
        let sessions = self.of.get(customer)?;
        let known = &sessions.known[sessions.position(session)?];
        to.array(2);
        to.int(known.version);
        to.array(known.contacts.len());
        for contact in &known.contacts {
            write_contact(to, contact);
        }
        Some(())
    }

    /// Restore what `freeze` returned; `settled` must have been restored before.
    pub fn thaw(&mut self, customer: &str, session: &str, value: &[u8], rules: &Rules) -> Result<(), Malformed> {
        let from = &mut Reader::new(value);
        from.array()?;
        let customer = Name::from(customer);
        let version = from.int()?;
        if session.is_empty() {
            self.pushed_out.insert(customer, version);
            return Ok(());
        }
        let contacts = (0..from.array()?).map(|_| read_contact(from)).collect::<Result<Box<[_]>, _>>()?.into_vec();
        self.watch(&customer, &contacts, rules);
        self.of.entry(customer).or_default().push(Known { session: Name::from(session), version, contacts });
        Ok(())
    }
}
