//! What a session contributes: everything that it stands for, derived from all its milestones.
//!
//! It keeps nothing and knows nothing of what was said before. `streams/core/sessions.py` has the theory.

use std::collections::BTreeMap;

use crate::course::Course;
use crate::facts::{Fact, Shown, Topic};
use crate::lives::{is_one_life, lives};
use crate::milestones::{at_and_sender, Milestone};
use crate::names::{Addresses, Ms, Name};
use crate::rules::Rules;
use crate::session::{sorted, sorted_messages, Session, LATEST_MS};
use crate::talk::{Heed, Talk};
use crate::told::{Target, Told};

/// Everything a session stands for.
#[derive(Default)]
pub struct Derived {
    pub facts: Vec<Fact>,
    pub shown: Shown,
    pub told: BTreeMap<(Target, Name), Told>,
    /// Clock errors.
    pub errors: Vec<Topic>,
    /// Lives that were given up for their age.
    pub expired: i64,
    /// From where to go on; None where the session has several lives or is forgotten.
    pub course: Option<Box<Course>>,
    pub talk: Option<Box<Talk>>,
}

/// A session's events, in order.
struct Events<'a> {
    milestones: &'a [Milestone],
    messages: &'a [u64],
    newest: Ms,
    oldest: Ms,
}

/// Return everything that a session stands for; of several lives all but the last are over.
pub fn derive(session: &Session, rules: &Rules, addresses: &mut Addresses) -> Derived {
    let (milestones, messages) = (&session.in_order(), &sorted_messages(&session.messages));
    let events = Events { milestones, messages, newest: session.newest, oldest: session.oldest };
    derive_lives(&events, session.forgotten, rules, addresses)
}

/// Return what a session stood for when it was booked last.
pub fn derive_booked(session: &Session, rules: &Rules, addresses: &mut Addresses) -> Derived {
    let milestones = &sorted(&session.milestones[..session.booked]);
    let messages = &sorted_messages(&session.messages[..session.heeded]);
    let mut events = Events { milestones, messages, newest: 0, oldest: LATEST_MS };
    let said = messages.iter().map(|message| at_and_sender(*message).0);
    for at in milestones.iter().map(|milestone| milestone.at).chain(said) {
        events.newest = events.newest.max(at);
        events.oldest = events.oldest.min(at);
    }
    derive_lives(&events, session.left_out, rules, addresses)
}

fn derive_lives(events: &Events<'_>, forgotten: bool, rules: &Rules, addresses: &mut Addresses) -> Derived {
    let Events { milestones, messages, newest, oldest } = *events;
    if is_one_life(newest, oldest, rules) {
        return derive_one(milestones, messages, forgotten.then_some(newest), rules, addresses);
    }
    let all = lives(milestones, messages, rules);
    let mut every = Derived::default();
    for (n, life) in all.iter().enumerate() {
        let give_up_at = (forgotten || n + 1 < all.len()).then_some(life.newest);
        let (milestones, messages) = (&milestones[life.milestones.clone()], &messages[life.messages.clone()]);
        let one = derive_one(milestones, messages, give_up_at, rules, addresses);
        if all.len() == 1 {
            return one;
        }
        every.and_then(one);
    }
    every
}

impl Derived {
    /// Add what a later session of the same id stands for.
    fn and_then(&mut self, later: Derived) {
        self.facts.extend(later.facts);
        self.errors.extend(later.errors);
        self.expired += later.expired;
        self.shown = later.shown;
        for (target, more) in later.told {
            let told = self.told.entry(target).or_default();
            told.intervals.extend(more.intervals);
            told.taken.extend(more.taken);
            told.contacts.extend(more.contacts);
            told.reviews.extend(more.reviews);
        }
    }
}

/// Return what one life of a session stands for; `give_up_at`: it counts as open no more since then (5).
fn derive_one(
    milestones: &[Milestone],
    messages: &[u64],
    give_up_at: Option<Ms>,
    rules: &Rules,
    addresses: &mut Addresses,
) -> Derived {
    let mut heed = Heed::new(rules, addresses);
    let mut course = Box::<Course>::default();
    if !milestones.is_empty() {
        course.go_on(milestones, messages, &mut heed).expect("from its beginning a course is never retroactive");
    }
    let mut talk = None;
    if !messages.is_empty() {
        let mut said = Box::new(Talk::new(course.setting(heed.addresses)));
        said.go_on(messages, &mut heed);
        talk = Some(said);
    }
    let mut told = BTreeMap::new();
    for target in course.targets() {
        let known = course.told(&target, give_up_at, heed.addresses);
        told.insert(target, known);
    }
    let (facts, errors) = (heed.facts, heed.errors);
    if give_up_at.is_some() {
        let expired = i64::from(course.ended.is_none());
        return Derived { facts, told, errors, expired, ..Derived::default() };
    }
    let shown = course.shows(addresses);
    Derived { facts, shown, told, errors, expired: 0, course: Some(course), talk }
}
