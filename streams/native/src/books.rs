//! The books of a partition: cells, totals, gauges and counters, and how new minus old is booked into them.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::cell::Cell;
use crate::cells::{CellId, Cells, Place};
use crate::facts::{Fact, Shown, Topic, TOPICS};
use crate::gauges::QueueGauges;
use crate::names::{empty, Address, Dimension, Ms, Name};
use crate::parts;
use crate::rules::Rules;
use crate::totals::Totals;
use crate::zones::date_number;

const OVERFLOW: &str = "overflow";
const OVERFLOWED: &str = "addresses_overflowed";

/// Everything that a partition counts.
pub struct Books {
    pub cells: Cells,
    pub totals: Totals,
    pub gauges: QueueGauges,
    pub counters: BTreeMap<String, i64>,
    pub addresses: FxHashSet<Address>,
    pub fresh_addresses: FxHashSet<Address>,
    /// Addresses that were given up, with their cells, until that is published.
    pub dropped: FxHashMap<Address, Vec<CellId>>,
    max_addresses: usize,
}

/// What the cells ask of the books beside them.
struct Beside<'a> {
    rules: Option<&'a Rules>,
    totals: &'a mut Totals,
    counters: &'a mut BTreeMap<String, i64>,
    addresses: &'a mut FxHashSet<Address>,
    fresh_addresses: &'a mut FxHashSet<Address>,
    max_addresses: usize,
}

impl Place for Beside<'_> {
    /// Return an address, or the overflow if there are too many already.
    ///
    /// Once there were too many none is added any more, also when the limit is raised: what is in the overflow stays there.
    fn place(&mut self, address: &Address) -> Address {
        if self.addresses.contains(address) || is_overflow(address) {
            return address.clone();
        }
        if self.addresses.len() > self.max_addresses || self.counters.contains_key(OVERFLOWED) {
            *self.counters.entry(OVERFLOWED.to_owned()).or_default() += 1;
            return overflow(address.dimension());
        }
        self.addresses.insert(address.clone());
        self.fresh_addresses.insert(address.clone());
        address.clone()
    }

    fn date_of(&self, address: &Address, at: Ms) -> i64 {
        let rules = self.rules.expect("only settling asks for dates");
        date_number(rules.at(at).queue(address).zone, at)
    }

    fn totals(&mut self, address: &Address) -> &mut Cell {
        self.totals.of(address)
    }
}

/// Whether an address is that of the queues' overflow.
fn is_overflow(address: &Address) -> bool {
    address.dimension() == Dimension::Queue && [address.name(), address.channel()].iter().all(|name| &***name == OVERFLOW)
}

/// Where facts go that belong to one address too many.
fn overflow(dimension: Dimension) -> Address {
    let channel = if dimension == Dimension::Queue { Name::from(OVERFLOW) } else { empty() };
    Address::new(dimension, Name::from(OVERFLOW), channel)
}

impl Books {
    /// Start empty.
    pub fn new(rules: &Rules) -> Books {
        let mut counters = BTreeMap::from([("sessions_expired".to_owned(), 0)]);
        counters.extend(TOPICS.map(|topic| (format!("clock_errors.{}", topic.text()), 0)));
        Books {
            cells: Cells::new(rules.slices_kept_ms > 0),
            totals: Totals::default(),
            gauges: QueueGauges::default(),
            counters,
            addresses: FxHashSet::from_iter([overflow(Dimension::Queue)]),
            fresh_addresses: FxHashSet::default(),
            dropped: FxHashMap::default(),
            max_addresses: rules.max_cells,
        }
    }

    /// The cells, and what they ask of the rest.
    fn parted<'a>(&'a mut self, rules: Option<&'a Rules>) -> (&'a mut Cells, Beside<'a>) {
        let beside = Beside {
            rules,
            totals: &mut self.totals,
            counters: &mut self.counters,
            addresses: &mut self.addresses,
            fresh_addresses: &mut self.fresh_addresses,
            max_addresses: self.max_addresses,
        };
        (&mut self.cells, beside)
    }

    fn known(&mut self, address: &Address) -> Address {
        self.parted(None).1.place(address)
    }

    /// Add to a counter.
    pub fn count(&mut self, counter: &str, more: i64) {
        match self.counters.get_mut(counter) {
            Some(count) => *count += more,
            None => self.set(counter, more),
        }
    }

    /// Set a counter.
    pub fn set(&mut self, counter: &str, value: i64) {
        self.counters.insert(counter.to_owned(), value);
    }

    /// Count a complaint that is open at one place instead of another.
    pub fn complaint(&mut self, was: Option<&Address>, is: Option<&Address>) {
        if was != is {
            for (address, more) in [(was, -1), (is, 1)] {
                if let Some(address) = address {
                    let known = self.known(address);
                    self.gauges.complaint(&known, more);
                }
            }
        }
    }

    /// Take note of the first instant of which the roster knows.
    pub fn roster_since(&mut self, since: Option<Ms>) {
        let floor = Address::new(Dimension::Group, Name::from("all"), empty());
        let mut fixed = Cell::default();
        if let Some(since) = since {
            fixed.add(parts::ROSTER_SINCE, since);
        }
        if self.cells.fixed.get(&floor).unwrap_or(&Cell::default()) != &fixed {
            self.cells.fixed.insert(floor.clone(), fixed);
            self.cells.changed_levels.insert(floor);
        }
    }

    /// Let the gauges show a session as it is now instead of as it was.
    pub fn show(&mut self, old: &Shown, new: &Shown) {
        let (old, new) = (self.bounded(old), self.bounded(new));
        self.gauges.change(&old, &new);
    }

    fn bounded(&mut self, shown: &Shown) -> Shown {
        Shown {
            waiting: shown.waiting.iter().map(|(address, entered)| (self.known(address), *entered)).collect(),
            active: shown.active.as_ref().map(|address| self.known(address)),
        }
    }

    /// Book facts that are all new.
    pub fn book(&mut self, facts: &[Fact]) {
        self.book_times(facts, 1);
    }

    fn book_times(&mut self, facts: &[Fact], times: i64) {
        let (cells, mut beside) = self.parted(None);
        cells.book(facts, times, &mut beside);
    }

    /// Book new facts less old ones, however often each occurs.
    pub fn difference(&mut self, old: &[Fact], new: &[Fact]) {
        let (old, new) = without_common_ends(old, new);
        if old.is_empty() {
            return self.book(new);
        }
        let mut changes: Vec<(Fact, i64)> = Vec::new();
        let mut places: FxHashMap<&Fact, usize> = FxHashMap::default();
        for (facts, times) in [(new, 1), (old, -1)] {
            for fact in facts {
                let place = *places.entry(fact).or_insert_with(|| {
                    changes.push((fact.clone(), 0));
                    changes.len() - 1
                });
                changes[place].1 += times;
            }
        }
        let repeated = |sign: i64| -> Vec<Fact> {
            let of_sign = changes.iter().filter(|change| change.1 * sign > 0);
            of_sign.flat_map(|(fact, times)| std::iter::repeat(fact.clone()).take(times.unsigned_abs() as usize)).collect()
        };
        let (more, lost) = (repeated(1), repeated(-1));
        self.book(&more);
        if lost.is_empty() {
            return;
        }
        self.book_times(&lost, -1);
        let mut kept: Vec<(Fact, i64)> = Vec::new();
        let mut places: FxHashMap<Fact, usize> = FxHashMap::default();
        for (mut fact, times) in changes.into_iter().filter(|change| change.1 != 0) {
            fact.address = self.known(&fact.address);
            match places.get(&fact) {
                Some(place) => kept[*place].1 = times, // several that share the overflow: the last one stands
                None => {
                    places.insert(fact.clone(), kept.len());
                    kept.push((fact, times));
                }
            }
        }
        self.totals.keep(&kept);
    }

    /// Book new facts less old ones, of parts that have no running totals: those of agents.
    pub fn replace(&mut self, old: &[Fact], new: &[Fact]) {
        let (old, new) = without_common_ends(old, new);
        self.book_times(old, -1);
        self.book(new);
    }

    /// Give an address up, with everything under it.
    pub fn drop_address(&mut self, address: &Address, rules: &Rules) {
        self.settle(rules); // what was booked just now would bring it back
        let gone = self.cells.drop_address(address);
        self.dropped.insert(address.clone(), gone);
        self.addresses.remove(address);
        self.fresh_addresses.remove(address);
        self.totals.cells.remove(address);
        self.totals.changed.remove(address);
    }

    /// The addresses of a dimension, those with levels first, and whether each has some.
    pub fn addresses_of(&self, dimension: Dimension) -> Vec<(Address, bool)> {
        let levels = &self.cells.levels;
        let with = levels.keys().filter(|address| address.dimension() == dimension).map(|address| (address.clone(), true));
        let others = self.addresses.iter().filter(|address| address.dimension() == dimension && !levels.contains_key(*address));
        with.chain(others.map(|address| (address.clone(), false))).collect()
    }

    /// Bring everything that was booked to its cells and totals.
    pub fn settle(&mut self, rules: &Rules) {
        let (cells, mut beside) = self.parted(Some(rules));
        cells.settle(&mut beside);
    }

    /// Count clock errors that were not there before, by topic.
    pub fn clock_errors(&mut self, old: &[Topic], new: &[Topic]) {
        for topic in TOPICS {
            let count = |errors: &[Topic]| errors.iter().filter(|each| **each == topic).count() as i64;
            let more = count(new) - count(old);
            if more > 0 {
                self.count(&format!("clock_errors.{}", topic.text()), more);
            }
        }
    }
}

/// Leave out what both begin and end with: mostly a session only adds facts, in one place of the list.
fn without_common_ends<'a>(old: &'a [Fact], new: &'a [Fact]) -> (&'a [Fact], &'a [Fact]) {
    let start = old.iter().zip(new).take_while(|(one, other)| one == other).count();
    let (old, new) = (&old[start..], &new[start..]);
    let end = old.iter().rev().zip(new.iter().rev()).take_while(|(one, other)| one == other).count();
    (&old[..old.len() - end], &new[..new.len() - end])
}
