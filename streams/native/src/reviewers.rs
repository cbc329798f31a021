//! Reviewers: who was active on which local day, in which queue; `streams/core/reviewers.py` has the theory.

use rustc_hash::FxHashMap;

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
/// A local day has up to 25 hours, and where a zone changes by a day, two instants 49 hours apart may have the same date.
const CONTEXT_MS: Ms = 3 * DAY_MS;
/// Reviews are closed as often as this, or eight times in a horizon: all that is known is looked through.
const CLOSE_MS: Ms = 600_000;

/// A place, and the number of a local day there.
type Day = (Address, i64);

/// What is known of one session: the version of the relay record, and its reviews in order.
struct Known {
    version: i64,
    reviews: Vec<Review>,
}

/// One reviewer: what is known of each session, and the instants of his reviews by day, in order.
#[derive(Default)]
struct Reviewer {
    sessions: FxHashMap<Name, Known>,
    days: FxHashMap<Day, Vec<Ms>>,
}

impl Reviewer {
    /// When he first reviewed on a day.
    fn first(&self, day: &Day) -> Option<Ms> {
        self.days.get(day).map(|instants| instants[0])
    }

    fn add(&mut self, day: Day, at: Ms) {
        let instants = self.days.entry(day).or_default();
        instants.insert(instants.partition_point(|other| *other < at), at);
    }

    fn take_out(&mut self, day: &Day, at: Ms) {
        let Some(instants) = self.days.get_mut(day) else { return };
        if let Ok(place) = instants.binary_search(&at) {
            instants.remove(place);
        }
        if instants.is_empty() {
            self.days.remove(day);
        }
    }
}

/// The reviewers of one partition.
pub struct Reviewers {
    of: FxHashMap<Name, Reviewer>,
    /// The first instants of the days that were touched, as they are booked.
    before: FxHashMap<Name, FxHashMap<Day, Option<Ms>>>,
    all: Name,
    /// Reviews before this instant change nothing any more.
    pub closed: Ms,
}

/// The days for which a review counts: one where it was, one of the floor.
fn days_of(review: &Review, all: &Name, addresses: &mut Addresses, rules: &Rules) -> [Day; 2] {
    let (at, queue, channel) = review;
    let now = rules.at(*at);
    let own = addresses.queue(queue, channel);
    let zone = now.queue(&own).zone;
    let once = addresses.of(Dimension::Floor, all, &empty());
    [(own, date_number(zone, *at)), (once, date_number(now.zone, *at))]
}

/// The facts of days and their first instants, in order of time.
fn facts_of<'a>(firsts: impl Iterator<Item = (&'a Day, Option<Ms>)>) -> Vec<Fact> {
    let of_one = |(day, first): (&Day, Option<Ms>)| first.map(|at| Fact::one(&day.0, at, REVIEWER_DAYS));
    let mut facts: Vec<Fact> = firsts.filter_map(of_one).collect();
    facts.sort_by(|a, b| (a.at, &a.address).cmp(&(b.at, &b.address)));
    facts
}

impl Reviewers {
    /// Start with none.
    pub fn new() -> Reviewers {
        Reviewers { of: FxHashMap::default(), before: FxHashMap::default(), all: Name::from("all"), closed: 0 }
    }

    /// Take in what a relay record says; return whether anything is new.
    pub fn hear(&mut self, fact: &RelayFact, addresses: &mut Addresses, rules: &Rules) -> bool {
        let known = self.of.get(&fact.target).and_then(|reviewer| reviewer.sessions.get(&fact.session));
        if known.map_or(-1, |known| known.version) >= fact.version {
            return false;
        }
        let was: Vec<Review> = known.map_or_else(Vec::new, |known| known.reviews.clone());
        let stands = fact.since.max(self.closed);
        let mut reviews: Vec<Review> = was.iter().filter(|review| review.0 < stands).cloned().collect();
        reviews.extend(fact.told.reviews.iter().filter(|review| review.0 >= self.closed).cloned());
        reviews.sort_unstable();
        reviews.dedup();
        if reviews == was {
            return false;
        }
        let reviewer = self.of.entry(fact.target.clone()).or_default();
        let before = self.before.entry(fact.target.clone()).or_default();
        let gone = was.iter().filter(|review| !reviews.contains(review)).map(|review| (review, false));
        let new = reviews.iter().filter(|review| !was.contains(review)).map(|review| (review, true));
        for (review, is_new) in gone.chain(new) {
            for day in days_of(review, &self.all, addresses, rules) {
                before.entry(day.clone()).or_insert_with(|| reviewer.first(&day));
                if is_new {
                    reviewer.add(day, review.0);
                } else {
                    reviewer.take_out(&day, review.0);
                }
            }
        }
        if reviews.is_empty() {
            reviewer.sessions.remove(&fact.session);
            if reviewer.sessions.is_empty() {
                self.of.remove(&fact.target);
            }
        } else {
            reviews.shrink_to_fit(); // hardly any session has a second one, and they stay for a day
            reviewer.sessions.insert(fact.session.clone(), Known { version: fact.version, reviews });
        }
        true
    }

    /// Book what changed.
    pub fn book(&mut self, books: &mut Books) {
        for (name, days) in self.before.drain() {
            let reviewer = self.of.get(&name);
            let now = |day| reviewer.and_then(|reviewer| reviewer.first(day));
            let old = facts_of(days.iter().map(|(day, first)| (day, *first)));
            let new = facts_of(days.keys().map(|day| (day, now(day))));
            books.difference(&old, &new);
        }
    }

    /// Close what lies before an instant; return (reviewer, session) of what is gone. All must be booked.
    pub fn forget(&mut self, closed: Ms, addresses: &mut Addresses, rules: &Rules) -> Vec<(Name, Name)> {
        let mut gone = Vec::new();
        if closed < self.closed + CLOSE_MS.max(rules.agents_kept_ms / 8) {
            return gone;
        }
        self.closed = closed;
        let all = &self.all;
        self.of.retain(|name, reviewer| {
            let mut over = Vec::new();
            let Reviewer { sessions, days } = reviewer;
            // Of what is closed the first of a day that may be partly open.
            let mut is_needed = |review: &Review| {
                let is_first = |day: &Day| days.get(day).is_some_and(|instants| instants[0] == review.0);
                review.0 >= closed - CONTEXT_MS && days_of(review, all, addresses, rules).iter().any(is_first)
            };
            sessions.retain(|session, known| {
                let before = known.reviews.len();
                known.reviews.retain(|review| {
                    let stays = review.0 >= closed || is_needed(review);
                    if !stays {
                        over.push(review.clone());
                    }
                    stays
                });
                if known.reviews.len() != before {
                    gone.push((name.clone(), session.clone()));
                }
                // what never had any stays, as long as nothing was taken from it
                !known.reviews.is_empty() || before == 0
            });
            for review in &over {
                for day in days_of(review, all, addresses, rules) {
                    reviewer.take_out(&day, review.0);
                }
            }
            !reviewer.sessions.is_empty()
        });
        gone
    }

    /// (reviewer, session) of everything that is known.
    pub fn known(&self) -> Vec<(Name, Name)> {
        let each = |(name, reviewer): (&Name, &Reviewer)| -> Vec<(Name, Name)> {
            reviewer.sessions.keys().map(|session| (name.clone(), session.clone())).collect()
        };
        self.of.iter().flat_map(each).collect()
    }

    /// Bytes of all that is known.
    pub fn bytes(&self) -> usize {
        let of_session = |(session, known): (&Name, &Known)| of_name(session) + of_places(&known.reviews);
        let of_one = |(name, reviewer): (&Name, &Reviewer)| {
            let of_sessions = of_table(&reviewer.sessions) + reviewer.sessions.iter().map(of_session).sum::<usize>();
            of_name(name) + of_sessions + of_table(&reviewer.days) + reviewer.days.values().map(of_places).sum::<usize>()
        };
        of_table(&self.of) + self.of.iter().map(of_one).sum::<usize>()
    }

    /// Write the entry of one session; None if nothing is known of it.
    pub fn freeze(&self, reviewer: &str, session: &str, to: &mut Writer) -> Option<()> {
        let known = self.of.get(reviewer)?.sessions.get(session)?;
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
    pub fn thaw(
        &mut self,
        reviewer: &Name,
        session: &Name,
        value: &[u8],
        addresses: &mut Addresses,
        rules: &Rules,
    ) -> Result<(), Malformed> {
        let from = &mut Reader::new(value);
        from.array()?;
        let version = from.int()?;
        let mut reviews = Vec::new();
        for _ in 0..from.array()? {
            reviews.push(read_review(from)?);
        }
        let found = self.of.entry(reviewer.clone()).or_default();
        for review in &reviews {
            for day in days_of(review, &self.all, addresses, rules) {
                found.add(day, review.0);
            }
        }
        reviews.shrink_to_fit();
        found.sessions.insert(session.clone(), Known { version, reviews });
        Ok(())
    }
}
