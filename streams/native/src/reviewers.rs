//! Reviewers: who was active on which local day, in which queue; `streams/core/reviewers.py` has the theory.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::books::Books;
use crate::facts::Fact;
use crate::kept::{of_name, of_places, of_table};
use crate::names::{empty, Address, Addresses, Dimension, Ms, Name};
use crate::pack::{Malformed, Reader, Writer};
use crate::parts::REVIEWER_DAYS;
use crate::relay::read_review;
use crate::rules::Rules;
use crate::told::{RelayFact, Review};
use crate::zones::date_number;

const DAY_MS: Ms = 86_400_000;
/// A local day has up to 25 hours, and two zones may be a day apart.
const CONTEXT_MS: Ms = DAY_MS + DAY_MS / 8;

/// What is known of one session: the version of the relay record, and its reviews in order.
struct Known {
    session: Name,
    version: i64,
    reviews: Vec<Review>,
}

/// The reviewers of one partition.
pub struct Reviewers {
    of: FxHashMap<Name, Vec<Known>>,
    before: Vec<(Name, Vec<Review>)>,
    touched: FxHashSet<Name>,
    all: Name,
    /// Reviews before this instant change nothing any more.
    pub closed: Ms,
}

impl Reviewers {
    /// Start with none.
    pub fn new() -> Reviewers {
        let (of, touched) = (FxHashMap::default(), FxHashSet::default());
        Reviewers { of, before: Vec::new(), touched, all: Name::from("all"), closed: 0 }
    }

    /// Take in what a relay record says; return whether anything is new.
    pub fn hear(&mut self, fact: &RelayFact, _rules: &Rules) -> bool {
        let sessions = self.of.get(&fact.target);
        let known = sessions.and_then(|sessions| sessions.iter().find(|known| known.session == fact.session));
        if known.map_or(-1, |known| known.version) >= fact.version {
            return false;
        }
        let was: &[Review] = known.map_or(&[], |known| &known.reviews);
        let stands = fact.since.max(self.closed);
        let mut reviews: Vec<Review> = was.iter().filter(|review| review.0 < stands).cloned().collect();
        reviews.extend(fact.told.reviews.iter().filter(|review| review.0 >= self.closed).cloned());
        reviews.sort_unstable();
        reviews.dedup();
        if reviews == was {
            return false;
        }
        if !self.touched.contains(&fact.target) {
            self.touched.insert(fact.target.clone());
            self.before.push((fact.target.clone(), self.reviews_of(&fact.target)));
        }
        let sessions = self.of.entry(fact.target.clone()).or_default();
        let position = sessions.iter().position(|known| known.session == fact.session);
        match position {
            Some(position) if reviews.is_empty() => drop(sessions.remove(position)),
            Some(position) => (sessions[position].version, sessions[position].reviews) = (fact.version, reviews),
            None => sessions.push(Known { session: fact.session.clone(), version: fact.version, reviews }),
        }
        if sessions.is_empty() {
            self.of.remove(&fact.target);
        }
        true
    }

    fn reviews_of(&self, reviewer: &str) -> Vec<Review> {
        self.of.get(reviewer).into_iter().flatten().flat_map(|known| known.reviews.iter().cloned()).collect()
    }

    /// The facts of one reviewer's reviews.
    fn facts(&self, mut reviews: Vec<Review>, addresses: &mut Addresses, rules: &Rules) -> Vec<Fact> {
        reviews.sort_unstable();
        let mut seen: Vec<(Address, i64)> = Vec::new();
        let mut facts = Vec::new();
        let once = addresses.of(Dimension::Floor, &self.all, &empty());
        for (at, queue, channel) in &reviews {
            let now = rules.at(*at);
            let own = addresses.queue(queue, channel);
            let zone = now.queue(&own).zone;
            for (address, zone) in [(own, zone), (once.clone(), now.zone)] {
                let day = (address, date_number(zone, *at));
                if !seen.contains(&day) {
                    facts.push(Fact::one(&day.0, *at, REVIEWER_DAYS));
                    seen.push(day);
                }
            }
        }
        facts
    }

    /// Book what changed.
    pub fn book(&mut self, books: &mut Books, addresses: &mut Addresses, rules: &Rules) {
        self.touched.clear();
        for (reviewer, old) in std::mem::take(&mut self.before) {
            let old = self.facts(old, addresses, rules);
            let new = self.facts(self.reviews_of(&reviewer), addresses, rules);
            books.difference(&old, &new);
        }
    }

    /// Close what lies before an instant; return (reviewer, session) of what is gone.
    pub fn forget(&mut self, closed: Ms) -> Vec<(Name, Name)> {
        let mut gone = Vec::new();
        if closed < self.closed + DAY_MS / 4 {
            return gone;
        }
        self.closed = closed;
        self.of.retain(|reviewer, sessions| {
            sessions.retain_mut(|known| {
                let before = known.reviews.len();
                known.reviews.retain(|review| review.0 >= closed - CONTEXT_MS);
                if known.reviews.len() != before {
                    gone.push((reviewer.clone(), known.session.clone()));
                }
                // what never had any stays, as long as nothing was taken from it
                !known.reviews.is_empty() || before == 0
            });
            !sessions.is_empty()
        });
        gone
    }

    /// (reviewer, session) of everything that is known.
    pub fn known(&self) -> Vec<(Name, Name)> {
        let each = |(reviewer, sessions): (&Name, &Vec<Known>)| -> Vec<(Name, Name)> {
            sessions.iter().map(|known| (reviewer.clone(), known.session.clone())).collect()
        };
        self.of.iter().flat_map(each).collect()
    }

    /// Bytes of all that is known.
    pub fn bytes(&self) -> usize {
        let of_one = |known: &Known| of_places(&known.reviews) + of_name(&known.session);
        let of_all = |sessions: &Vec<Known>| of_places(sessions) + sessions.iter().map(of_one).sum::<usize>();
        of_table(&self.of) + self.of.iter().map(|(reviewer, sessions)| of_name(reviewer) + of_all(sessions)).sum::<usize>()
    }

    /// Write the entry of one session; None if nothing is known of it.
    pub fn freeze(&self, reviewer: &str, session: &str, to: &mut Writer) -> Option<()> {
        let known = self.of.get(reviewer)?.iter().find(|known| &*known.session == session)?;
        to.array(2);
        to.int(known.version);
        to.array(known.reviews.len());
        for (at, queue, channel) in &known.reviews {
            to.array(3);
            to.int(*at);
            to.str(queue);
            to.str(channel);
        }
        Some(())
    }

    /// Restore what `freeze` returned.
    pub fn thaw(&mut self, reviewer: &str, session: &str, value: &[u8]) -> Result<(), Malformed> {
        let from = &mut Reader::new(value);
        from.array()?;
        let version = from.int()?;
        let mut reviews = Vec::new();
        for _ in 0..from.array()? {
            reviews.push(read_review(from)?);
        }
        self.of.entry(Name::from(reviewer)).or_default().push(Known { session: Name::from(session), version, reviews });
        Ok(())
    }
}
