//! Booking of sessions: once a flush, what each touched session stands for now, less what it stood for before.
//!
//! Mostly a session's course and talk go on and only the new facts are booked; in all other cases it is derived twice, and the
//! difference is booked. `streams/core/sessionbook.py` has the theory.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use crate::books::Books;
use crate::course::Course;
use crate::derive::{derive, derive_booked, Derived};
use crate::facts::Fact;
use crate::lives::is_one_life;
use crate::milestones::{at_and_sender, ENDED};
use crate::names::{Addresses, Ms, Name};
use crate::relay::Bundles;
use crate::rules::Rules;
use crate::session::{self, Session};
use crate::talk::{Heed, Talk};
use crate::told::{Target, Told};

/// A session's course is dropped when nothing was heard of it for so long.
const RESTING_MS: Ms = 600_000;
/// The most bookings that are looked back on; with more of them courses are dropped sooner.
const MOST_AWAKE: usize = 100_000;
/// Room for so many facts is kept from one flush to the next.
const KEPT_FACTS: usize = 65_536;

/// All sessions of a partition, by their ids.
pub type Sessions = FxHashMap<Name, Session>;

/// Books the sessions of one partition and says what other keys must know of them.
pub struct SessionBook {
    sender: Sender,
    /// (newest event, session) of each booking, until the course is dropped.
    heard: VecDeque<(Ms, Name)>,
    /// Room for the facts of a flush.
    facts: Vec<Fact>,
}

/// Says what others must know.
struct Sender {
    partition: u32,
    partitions: u32,
    /// Kinds of targets that are told what they must know.
    kinds: Vec<Target>,
    bundles: Bundles,
}

impl SessionBook {
    /// Book for `partition` of `partitions`.
    pub fn new(partition: u32, partitions: u32) -> SessionBook {
        let kinds = vec![Target::Agent, Target::Customer, Target::Reviewer];
        let sender = Sender { partition, partitions, kinds, bundles: Bundles::default() };
        SessionBook { sender, heard: VecDeque::new(), facts: Vec::new() }
    }

    /// Tell only targets of these kinds what they must know.
    pub fn tells(&mut self, kinds: &[Target]) {
        self.sender.kinds = kinds.to_vec();
    }

    /// Book what was touched (ids, each once; sessions that are gone are skipped); return what is to be relayed.
    #[allow(clippy::too_many_arguments)]
    pub fn book(
        &mut self,
        sessions: &mut Sessions,
        touched: &[Name],
        seq: i64,
        watermark: Option<Ms>,
        rules: &Rules,
        addresses: &mut Addresses,
        books: &mut Books,
    ) -> Bundles {
        self.sender.bundles = Bundles::new(self.sender.partition, self.sender.partitions, seq, watermark);
        let mut heed = Heed::new(rules, addresses);
        heed.facts = std::mem::take(&mut self.facts);
        for name in touched {
            let Some(session) = sessions.get_mut(name) else { continue };
            session.touched = false;
            session.wake();
            let mut one = Booking { name, session, books, sender: &mut self.sender };
            if !one.goes_on(&mut heed) {
                one.anew(rules, heed.addresses);
            }
            self.heard.push_back((session.newest, name.clone()));
        }
        let Heed { mut facts, errors, .. } = heed;
        books.book(&facts);
        books.clock_errors(&[], &errors);
        facts.clear();
        facts.shrink_to(KEPT_FACTS);
        self.facts = facts;
        self.rest(sessions);
        std::mem::take(&mut self.sender.bundles)
    }

    /// Drop the courses of sessions of which nothing was heard since long before those booked last.
    fn rest(&mut self, sessions: &mut Sessions) {
        let Some(newest) = self.heard.back().map(|last| last.0) else { return };
        while let Some((at, _)) = self.heard.front() {
            if *at >= newest - RESTING_MS && self.heard.len() <= MOST_AWAKE {
                break;
            }
            let Some((at, name)) = self.heard.pop_front() else { break };
            if let Some(session) = sessions.get_mut(&name) {
                if session.newest == at {
                    session.rest();
                }
            }
        }
    }

    /// Whether it makes no difference that a session is over: it has one life, has ended, and all of it is booked.
    pub fn changes_nothing(&self, session: &Session, rules: &Rules) -> bool {
        // of one that rests all milestones are booked
        let milestones_booked = session.is_packed() || session.booked == session.milestones.len();
        if !milestones_booked || session.heeded < session.messages.len() || session.left_out {
            return false;
        }
        let mut ended = false;
        session.glimpse(|seen| ended |= seen.rank == ENDED);
        ended && is_one_life(session.newest, session.oldest, rules)
    }
}

/// The booking of one session.
struct Booking<'a> {
    name: &'a Name,
    session: &'a mut Session,
    books: &'a mut Books,
    sender: &'a mut Sender,
}

// -- in order

impl Booking<'_> {
    /// Let the session's course and talk go on; return false if that is not possible.
    fn goes_on(&mut self, heed: &mut Heed<'_>) -> bool {
        let session = &mut *self.session;
        if session.forgotten || session.left_out || !is_one_life(session.newest, session.oldest, heed.rules) {
            return false;
        }
        let mut course = match session.course.take() {
            Some(course) if course.ended.is_some() && session.messages.len() > session.heeded => return false,
            Some(course) => course,
            None if session.booked > 0 || session.heeded > 0 => return false,
            None => Box::default(),
        };
        if session.milestones.len() > session.booked {
            if !self.milestones_go_on(&mut course, heed) {
                return false;
            }
            self.show(&mut course, heed.addresses);
            for target in course.take_unsaid() {
                if self.sender.kinds.contains(&target.0) {
                    let told = course.told(&target, None, heed.addresses);
                    self.sender.tell(self.name, self.session.oldest, &target, &told, heed.rules);
                }
            }
        }
        if !self.session.messages.is_empty() {
            self.messages_go_on(&mut course, heed);
        }
        self.session.course = Some(course);
        true
    }

    fn milestones_go_on(&mut self, course: &mut Course, heed: &mut Heed<'_>) -> bool {
        let session = &mut *self.session;
        let fresh = &mut session.milestones[session.booked..];
        if fresh.len() > 1 {
            session::sort(fresh);
        }
        let first = fresh[0].at;
        let (known, errors) = (heed.facts.len(), heed.errors.len());
        if course.go_on(fresh, &session.messages, heed).is_err() {
            heed.facts.truncate(known);
            heed.errors.truncate(errors);
            return false;
        }
        if session.booked > 0 && first <= session.milestones[session.booked - 1].at {
            session::sort(&mut session.milestones);
        }
        session.unsorted = false;
        session.booked = session.milestones.len();
        true
    }

    /// Book the session's messages: mostly the new ones, else all of them less what had been booked.
    fn messages_go_on(&mut self, course: &mut Course, heed: &mut Heed<'_>) {
        let session = &mut *self.session;
        let since = std::mem::replace(&mut course.setting_since, -1);
        let talk = match &mut session.talk {
            Some(talk) => {
                if since >= 0 {
                    if since <= at_and_sender(talk.last).0 {
                        self.messages_anew(course, heed);
                        return;
                    }
                    talk.setting = course.setting(heed.addresses);
                }
                talk
            }
            none => none.insert(Box::new(Talk::new(course.setting(heed.addresses)))),
        };
        let fresh = &mut session.messages[session.heeded..];
        if fresh.is_empty() {
            return;
        }
        fresh.sort_unstable();
        if fresh[0] < talk.last {
            self.messages_anew(course, heed);
            return;
        }
        talk.go_on(fresh, heed);
        session.heeded = session.messages.len();
    }

    fn messages_anew(&mut self, course: &Course, heed: &mut Heed<'_>) {
        let session = &mut *self.session;
        let Some(talk) = session.talk.take() else { return };
        let mut old = Heed::new(heed.rules, heed.addresses);
        Talk::new(talk.setting).go_on(&session.messages[..session.heeded], &mut old);
        let (old_facts, old_errors) = (old.facts, old.errors);
        session.messages.sort_unstable();
        session.heeded = session.messages.len();
        let mut new = Heed::new(heed.rules, heed.addresses);
        let mut talk = Box::new(Talk::new(course.setting(new.addresses)));
        talk.go_on(&session.messages, &mut new);
        session.talk = Some(talk);
        self.books.difference(&old_facts, &new.facts);
        self.books.clock_errors(&old_errors, &new.errors);
    }

    /// Bring the gauges in line with a course.
    fn show(&mut self, course: &mut Course, addresses: &mut Addresses) {
        let shown = course.shows(addresses);
        if shown != course.shown {
            self.books.show(&course.shown, &shown);
            course.shown = shown;
        }
    }
}

// -- anew

impl Booking<'_> {
    fn anew(&mut self, rules: &Rules, addresses: &mut Addresses) {
        let session = &mut *self.session;
        let booked = session.booked > 0 || session.heeded > 0;
        let old = if booked { derive_booked(session, rules, addresses) } else { Derived::default() };
        session::sort(&mut session.milestones);
        session.unsorted = false;
        session.messages.sort_unstable();
        let mut new = derive(session, rules, addresses);
        change(self.books, &old, &new);
        session.booked = session.milestones.len();
        session.heeded = session.messages.len();
        session.left_out = session.forgotten;
        if let Some(course) = &mut new.course {
            course.shown = new.shown.clone();
            course.setting_since = -1;
            course.take_unsaid();
        }
        (session.course, session.talk) = (new.course.take(), new.talk.take());
        self.tell_changes(&old, &new, rules);
    }

    /// Tell those of whom now something else is true than what was said.
    fn tell_changes(&mut self, old: &Derived, new: &Derived, rules: &Rules) {
        let nothing = Told::default();
        let lost = old.told.keys().filter(|target| !new.told.contains_key(*target));
        let mut targets: Vec<&(Target, Name)> = new.told.keys().chain(lost).collect();
        targets.sort_unstable();
        for target in targets {
            let told = new.told.get(target).unwrap_or(&nothing);
            if old.told.get(target) != Some(told) && self.sender.kinds.contains(&target.0) {
                self.sender.tell(self.name, self.session.oldest, target, told, rules);
            }
        }
    }
}

/// Book what a session stands for now, less what it stood for before.
fn change(books: &mut Books, old: &Derived, new: &Derived) {
    if old.facts != new.facts {
        books.difference(&old.facts, &new.facts);
    }
    if old.errors != new.errors {
        books.clock_errors(&old.errors, &new.errors);
    }
    if new.expired > old.expired {
        books.count("sessions_expired", new.expired - old.expired);
    }
    books.show(&old.shown, &new.shown);
}

impl Sender {
    /// Say what is now true of a session.
    fn tell(&mut self, session: &Name, since: Ms, target: &(Target, Name), told: &Told, rules: &Rules) {
        let partition = rules.partition_of(target.1.as_bytes(), self.partitions);
        self.bundles.add(partition, target, session, since, told);
    }
}
