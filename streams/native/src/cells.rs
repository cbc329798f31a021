//! Cells: counts, sums, sketches and levels per address and slice of time; `streams/core/cells.py` has the theory.
//!
//! Booking is two steps here, too. `book` adds to a small list per 10 s slice and address; `settle`, once a flush, brings each sum to
//! where it belongs. The steps of a transition are counted as one thing: how often, and the sum of the distances to the slice's end.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::cell::Cell;
use crate::facts::{Fact, Steps, What};
use crate::names::{Address, Ms};
use crate::parts::{self, Level, Part, Series};
use crate::slice::Slice;

pub const SLICE_MS: Ms = 10_000;
pub const QUARTER_MS: Ms = 900_000;
pub const ROSTER_MS: Ms = 3_600_000;
pub const DATE_MS: Ms = 86_400_000;
const LENGTHS: [Ms; 4] = [SLICE_MS, QUARTER_MS, ROSTER_MS, DATE_MS];
/// Places of the lengths in arrays.
const SLICE: usize = 0;
const QUARTER: usize = 1;
const ROSTER: usize = 2;
const DATE: usize = 3;
/// The number of a slice that never comes.
const NEVER: i64 = 1 << 62;

/// (length in ms, slice number, address).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CellId {
    pub length: Ms,
    pub number: i64,
    pub address: Address,
}

/// What was booked into one 10 s slice of an address since the last flush.
struct Booked {
    number: i64,
    address: Address,
    sums: Vec<(Part, i64)>,
    /// (steps, how often, sum of the distances to the slice's end).
    steps: Vec<(Steps, i64, i64)>,
}

impl Booked {
    fn add(&mut self, part: Part, amount: i64) {
        match self.sums.iter_mut().find(|known| known.0 == part) {
            Some(known) => known.1 += amount,
            None => self.sums.push((part, amount)),
        }
    }

    fn step(&mut self, steps: &Steps, times: i64, to_end: Ms) {
        match self.steps.iter_mut().find(|known| known.0 == *steps) {
            Some(known) => {
                known.1 += times;
                known.2 += times * to_end;
            }
            None => self.steps.push((steps.clone(), times, times * to_end)),
        }
    }

    fn is_nothing(&self) -> bool {
        self.sums.iter().all(|sum| sum.1 == 0) && self.steps.iter().all(|steps| steps.1 == 0 && steps.2 == 0)
    }
}

/// By so much the present moves on until slices are looked at again, whether they can be closed.
const CLOSE_MS: Ms = 60_000;

type Slices = BTreeMap<i64, Slice>;
/// Steps that are still to come, by (at, level).
pub type Ahead = BTreeMap<(Ms, Level), i64>;

/// All cells of one partition, what changed in them, the levels' present values and the steps still to come.
#[derive(Default)]
pub struct Cells {
    slices: [Slices; 4],
    /// The first slice of each length that is not over.
    pub first: [i64; 4],
    pub first_sketch: i64,
    pub now: Ms,
    /// The instant of the last look at what can be closed.
    closed_at: Ms,
    /// Whether anything but quarter-hours is kept.
    live: bool,
    pub levels: FxHashMap<Address, Cell>,
    pub fixed: FxHashMap<Address, Cell>,
    pub ahead: FxHashMap<Address, Ahead>,
    pub changed: FxHashSet<CellId>,
    pub changed_levels: FxHashSet<Address>,
    booked: Vec<Booked>,
    places: FxHashMap<(i64, Address), usize>,
}

/// What settling needs of the books.
pub trait Place {
    /// The address under which an address is kept.
    fn place(&mut self, address: &Address) -> Address;
    /// The number of the local date of an instant at an address.
    fn date_of(&self, address: &Address, at: Ms) -> i64;
    /// The running totals of an address, which are about to change.
    fn totals(&mut self, address: &Address) -> &mut Cell;
}

impl Cells {
    /// Start empty; without `live` nothing but quarter-hours is kept (a report needs no more).
    pub fn new(live: bool) -> Cells {
        let never = if live { 0 } else { NEVER };
        Cells { first: [never, 0, never, never], live, ..Cells::default() }
    }

    /// Add facts `times` times each (negative: take them back).
    pub fn book(&mut self, facts: &[Fact], times: i64, books: &mut impl Place) {
        let mut here: Option<(&Address, i64, usize)> = None;
        for fact in facts {
            let number = fact.at.div_euclid(SLICE_MS);
            let place = match here {
                Some((address, known, place)) if known == number && address.is(&fact.address) => place,
                _ => self.place_of(number, &fact.address),
            };
            here = Some((&fact.address, number, place));
            match &fact.what {
                What::Add(part, amount) => self.booked[place].add(*part, amount * times),
                What::Timed(series, took_ms) => {
                    let booked = &mut self.booked[place];
                    booked.add(series.sum(), took_ms * times);
                    booked.add(parts::bucket(*series, parts::bucket_number(*took_ms)), times);
                    booked.add(parts::histogram(*series, *took_ms), times);
                }
                What::Steps(steps) => {
                    self.booked[place].step(steps, times, SLICE_MS - fact.at.rem_euclid(SLICE_MS));
                    if fact.at > self.now {
                        self.note_ahead(&books.place(&fact.address), fact.at, steps.all(), times);
                    }
                }
                What::Roster(amount) => self.book_roster(fact, amount * times, books),
                What::AgentsLeft(amount) => {
                    let address = books.place(&fact.address);
                    if let Some(cell) = self.cell(ROSTER, fact.at.div_euclid(ROSTER_MS), &address) {
                        cell.add(parts::AGENTS_LEFT, amount * times);
                    }
                }
            }
        }
    }

    fn place_of(&mut self, number: i64, address: &Address) -> usize {
        let booked = &mut self.booked;
        *self.places.entry((number, address.clone())).or_insert_with(|| {
            booked.push(Booked { number, address: address.clone(), sums: Vec::new(), steps: Vec::new() });
            booked.len() - 1
        })
    }

    fn book_roster(&mut self, fact: &Fact, step: i64, books: &mut impl Place) {
        let address = books.place(&fact.address);
        if let Some(cell) = self.cell(ROSTER, fact.at.div_euclid(ROSTER_MS), &address) {
            cell.add(parts::ROSTER.step(), step);
            cell.add(parts::ROSTER.ms(), step * (ROSTER_MS - fact.at.rem_euclid(ROSTER_MS)));
        }
        self.levels.entry(address.clone()).or_default().add(parts::ROSTER.value(), step);
        if fact.at > self.now {
            let placed = books.place(&address); // counted again where it is the overflow, as in the other core
            self.note_ahead(&placed, fact.at, &[(parts::ROSTER, 1)], step);
        }
        self.changed_levels.insert(address);
    }

    /// Bring everything booked to where it belongs.
    pub fn settle(&mut self, books: &mut impl Place) {
        self.places.clear();
        for booked in std::mem::take(&mut self.booked) {
            if !booked.is_nothing() {
                let address = books.place(&booked.address);
                self.settle_one(&booked, &address, books);
            }
        }
    }

    fn settle_one(&mut self, booked: &Booked, address: &Address, books: &mut impl Place) {
        let number = booked.number;
        let quarter = (number * SLICE_MS).div_euclid(QUARTER_MS);
        let sketched = quarter >= self.first_sketch;
        let sums = || booked.sums.iter().filter(|sum| sum.1 != 0);
        for (length, number) in [(SLICE, number), (QUARTER, quarter)] {
            let Some(cell) = self.cell(length, number, address) else { continue };
            for (part, value) in sums() {
                if let Some(series) = part.bucket_of() {
                    cell.add(series.count(), *value);
                    if length == SLICE || sketched {
                        cell.add(*part, *value);
                    }
                } else if !part.is_histogram() {
                    cell.add(*part, *value);
                }
            }
        }
        let sketch = || sums().filter(|sum| sum.0.bucket_of().is_some());
        if self.live && sketch().next().is_some() {
            let date = books.date_of(address, number * SLICE_MS);
            if let Some(cell) = self.cell(DATE, date, address) {
                sketch().for_each(|(part, value)| cell.add(*part, *value));
            }
        }
        let running = |part: Part| part.bucket_of().map_or_else(|| part.sum_of().map_or(part, parts::histogram_ms), Series::count);
        let mut counted = sums().map(|(part, value)| (running(*part), *value)).filter(|(part, _)| part.is_running()).peekable();
        if counted.peek().is_some() {
            let totals = books.totals(address);
            counted.for_each(|(part, value)| totals.add(part, value));
        }
        for (steps, count, to_end) in booked.steps.iter().filter(|steps| steps.1 != 0 || steps.2 != 0) {
            self.settle_steps(number, quarter, address, steps, *count, *to_end);
        }
    }

    fn settle_steps(&mut self, number: i64, quarter: i64, address: &Address, steps: &Steps, count: i64, to_end: i64) {
        let to_quarter_end = to_end + count * (QUARTER_MS - SLICE_MS - (number * SLICE_MS).rem_euclid(QUARTER_MS));
        for (length, number, to_end) in [(SLICE, number, to_end), (QUARTER, quarter, to_quarter_end)] {
            let Some(cell) = self.cell(length, number, address) else { continue };
            for (level, step) in steps.all().iter().filter(|each| each.0.in_slices()) {
                cell.add(level.step(), count * step);
                cell.add(level.ms(), to_end * step);
            }
        }
        if count != 0 {
            let levels = self.levels.entry(address.clone()).or_default();
            for (level, step) in steps.all() {
                levels.add(level.value(), count * step);
            }
        }
        self.changed_levels.insert(address.clone());
    }

    /// A cell that is about to change; None if its slice is over.
    fn cell(&mut self, length: usize, number: i64, address: &Address) -> Option<&mut Cell> {
        if number < self.first[length] {
            return None;
        }
        let id = CellId { length: LENGTHS[length], number, address: address.clone() };
        self.changed.insert(id);
        Some(self.slices[length].entry(number).or_default().cell(address))
    }

    /// Close what is before an instant and was left alone since the last time.
    pub fn close(&mut self, mark: Ms) {
        if mark < self.closed_at + CLOSE_MS {
            return;
        }
        self.closed_at = mark;
        for (slices, length) in self.slices.iter_mut().zip(LENGTHS) {
            for slice in slices.range_mut(..mark.div_euclid(length)).map(|(_, slice)| slice) {
                slice.rest();
            }
        }
    }

    /// Remember steps whose instant is still to come.
    fn note_ahead(&mut self, address: &Address, at: Ms, steps: &[(Level, i64)], times: i64) {
        let ahead = self.ahead.entry(address.clone()).or_default();
        for (level, step) in steps {
            let left = ahead.get(&(at, *level)).copied().unwrap_or(0) + step * times;
            if left == 0 {
                ahead.remove(&(at, *level));
            } else {
                ahead.insert((at, *level), left);
            }
        }
        self.changed_levels.insert(address.clone());
    }

    /// Move the present on: steps that were still to come and now are not leave `ahead`.
    pub fn advance(&mut self, now: Ms) {
        if now <= self.now {
            return;
        }
        self.now = now;
        let changed_levels = &mut self.changed_levels;
        self.ahead.retain(|address, ahead| {
            let before = ahead.len();
            ahead.retain(|(at, _), _| *at > now);
            if ahead.len() < before {
                changed_levels.insert(address.clone());
            }
            !ahead.is_empty()
        });
    }

    /// Drop the slices before number `first`; return the ids of the cells that are gone.
    pub fn expire(&mut self, length: Ms, first: i64) -> Vec<CellId> {
        let place = place_of_length(length);
        if first <= self.first[place] {
            return Vec::new();
        }
        self.first[place] = first;
        let kept = self.slices[place].split_off(&first);
        let over = std::mem::replace(&mut self.slices[place], kept);
        let gone: Vec<CellId> = over
            .into_iter()
            .flat_map(|(number, slice)| slice.into_addresses().into_iter().map(move |address| CellId { length, number, address }))
            .collect();
        for id in &gone {
            self.changed.remove(id);
        }
        gone
    }

    /// Take the sketches out of the quarter-hours before number `first`.
    pub fn expire_sketches(&mut self, first: i64) {
        if first > self.first_sketch {
            for (number, slice) in self.slices[QUARTER].range_mut(self.first_sketch..first) {
                for (address, cell) in slice.open() {
                    if cell.without_sketch() {
                        self.changed.insert(CellId { length: QUARTER_MS, number: *number, address: address.clone() });
                    }
                }
            }
            self.first_sketch = first;
        }
    }

    /// Forget everything of an address; return the ids of its cells.
    pub fn drop_address(&mut self, address: &Address) -> Vec<CellId> {
        let mut gone = Vec::new();
        for (slices, length) in self.slices.iter_mut().zip(LENGTHS) {
            for (number, slice) in slices {
                if slice.remove(address) {
                    gone.push(CellId { length, number: *number, address: address.clone() });
                }
            }
        }
        self.levels.remove(address);
        self.ahead.remove(address);
        for id in &gone {
            self.changed.remove(id);
        }
        self.changed_levels.remove(address);
        gone
    }

    /// A cell, None where there is none (any more) or all of it was taken back.
    pub fn get(&self, id: &CellId) -> Option<Cow<'_, Cell>> {
        let cell = self.slices[place_of_length(id.length)].get(&id.number)?.get(&id.address)?;
        (!cell.is_empty()).then_some(cell)
    }

    /// Whether the slice of an id is over.
    pub fn is_over(&self, id: &CellId) -> bool {
        id.number < self.first[place_of_length(id.length)]
    }

    /// The ids of all cells that hold something.
    pub fn ids(&self) -> impl Iterator<Item = CellId> + '_ {
        self.slices.iter().zip(LENGTHS).flat_map(|(slices, length)| {
            let of_slice = move |(number, slice): (&i64, &'_ Slice)| {
                let number = *number;
                slice.held().map(move |address| CellId { length, number, address: address.clone() }).collect::<Vec<_>>()
            };
            slices.iter().flat_map(of_slice)
        })
    }

    /// Bytes of the slices that are kept for days: all but those of 10 s.
    pub fn bytes_of_days(&self) -> usize {
        self.slices[QUARTER..].iter().flat_map(BTreeMap::values).map(Slice::bytes).sum()
    }

    /// Restore a cell.
    pub fn put(&mut self, id: CellId, cell: Cell) {
        *self.slices[place_of_length(id.length)].entry(id.number).or_default().cell(&id.address) = cell;
    }

    /// The steps of an address that are still to come, in the order of time and name.
    pub fn ahead_of(&self, address: &Address) -> Vec<(Ms, &'static str, i64)> {
        let Some(ahead) = self.ahead.get(address) else { return Vec::new() };
        let mut found: Vec<(Ms, &'static str, i64)> =
            ahead.iter().map(|((at, level), step)| (*at, level.value().name(), *step)).collect();
        found.sort_unstable();
        found
    }
}

/// Where a length stands in arrays.
fn place_of_length(length: Ms) -> usize {
    LENGTHS.iter().position(|known| *known == length).expect("cells have one of four lengths")
}

/// Whether slices have this length.
pub fn is_length(length: Ms) -> bool {
    LENGTHS.contains(&length)
}
