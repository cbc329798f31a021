//! Running totals: counters that never decrease, and exact histograms; `streams/core/totals.py` has the theory.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::cell::Cell;
use crate::facts::{Fact, What};
use crate::names::Address;
use crate::parts::{histogram, histogram_ms, Part, Series};

/// Totals of one partition, and which of them changed.
#[derive(Default)]
pub struct Totals {
    pub cells: FxHashMap<Address, Cell>,
    pub changed: FxHashSet<Address>,
}

impl Totals {
    /// The totals of an address, which are about to change.
    pub fn of(&mut self, address: &Address) -> &mut Cell {
        self.changed.insert(address.clone());
        self.cells.entry(address.clone()).or_default()
    }

    /// Undo what a correction takes away: (fact, how many times more or less than before).
    pub fn keep(&mut self, changes: &[(Fact, i64)]) {
        let mut net: FxHashMap<(Address, Part), i64> = FxHashMap::default();
        let mut samples: FxHashMap<(Address, Series), Vec<(i64, i64)>> = FxHashMap::default();
        for (fact, times) in changes {
            match fact.what {
                What::Add(part, amount) if part.is_total() => {
                    *net.entry((fact.address.clone(), part)).or_default() += amount * times;
                }
                What::Timed(series, took_ms) => {
                    samples.entry((fact.address.clone(), series)).or_default().push((took_ms, *times));
                }
                _ => {}
            }
        }
        for ((address, part), more) in net {
            if more < 0 {
                self.of(&address).add(part, -more);
            }
        }
        for ((address, series), changed) in samples {
            self.keep_samples(&address, series, &changed);
        }
    }

    /// Let a histogram count only as many of the new values, the least of them, as there are more than before.
    fn keep_samples(&mut self, address: &Address, series: Series, changed: &[(i64, i64)]) {
        if changed.iter().all(|(_, times)| *times > 0) {
            return;
        }
        let more: i64 = changed.iter().map(|(_, times)| *times).sum();
        let mut new: Vec<i64> = Vec::new();
        for (value, times) in changed {
            new.extend(std::iter::repeat(*value).take(usize::try_from(*times).unwrap_or(0)));
            self.sample(address, series, *value, -times);
        }
        new.sort_unstable();
        for value in new.iter().take(usize::try_from(more).unwrap_or(0)) {
            self.sample(address, series, *value, 1);
        }
    }

    fn sample(&mut self, address: &Address, series: Series, value_ms: i64, times: i64) {
        let cell = self.of(address);
        if series.count().is_total() {
            cell.add(series.count(), times);
        }
        cell.add(histogram(series, value_ms), times);
        cell.add(histogram_ms(series), value_ms * times);
    }
}
