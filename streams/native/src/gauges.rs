//! Gauges of queues: who waits, since when, and how many sessions are active; `streams/core/gauges.py` has the theory.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::facts::Shown;
use crate::names::{Address, Ms};
use crate::parts::{self, Part};
use crate::rules::Rules;

/// The gauges of one address, in the order in which they are told.
pub type Body = Vec<(Part, i64)>;

/// Present state per address; entries of those who wait are kept sorted.
#[derive(Default)]
pub struct QueueGauges {
    waiting: FxHashMap<Address, Vec<Ms>>,
    active: FxHashMap<Address, i64>,
    complaints: FxHashMap<Address, i64>,
    published: FxHashMap<Address, Body>,
    /// Where somebody waits.
    occupied: FxHashSet<Address>,
    /// Where anything changed since the last flush.
    touched: FxHashSet<Address>,
}

impl QueueGauges {
    /// Take a session's old state out and put its new one in.
    pub fn change(&mut self, old: &Shown, new: &Shown) {
        if old.waiting != new.waiting {
            for (address, entered) in &old.waiting {
                if let Some(waiting) = self.waiting.get_mut(address) {
                    let place = waiting.partition_point(|since| since < entered);
                    waiting.remove(place);
                    if waiting.is_empty() {
                        self.occupied.remove(address);
                    }
                }
                self.touched.insert(address.clone());
            }
            for (address, entered) in &new.waiting {
                let waiting = self.waiting.entry(address.clone()).or_default();
                let place = waiting.partition_point(|since| since <= entered);
                waiting.insert(place, *entered);
                self.occupied.insert(address.clone());
            }
        }
        if old.active != new.active {
            for (address, more) in [(&old.active, -1), (&new.active, 1)] {
                if let Some(address) = address {
                    *self.active.entry(address.clone()).or_default() += more;
                    self.touched.insert(address.clone());
                }
            }
        }
    }

    /// Count open complaints up or down.
    pub fn complaint(&mut self, address: &Address, more: i64) {
        *self.complaints.entry(address.clone()).or_default() += more;
        self.touched.insert(address.clone());
    }

    /// Show an address even when nobody is there.
    pub fn keep(&mut self, address: &Address) {
        self.waiting.entry(address.clone()).or_default();
        self.touched.insert(address.clone());
    }

    /// The gauges of one address at an instant; `oldest_entered_at` only where somebody waits.
    pub fn body(&self, address: &Address, now: Ms, rules: &Rules) -> Body {
        let waiting = self.waiting.get(address).map_or(&[][..], Vec::as_slice);
        let rule = rules.at(now).queue(address);
        let since = |ago_ms: Ms| waiting.partition_point(|entered| *entered < now - ago_ms) as i64;
        let mut body = vec![
            (parts::WAITING, waiting.len() as i64),
            (parts::WAITING_LATE, since(rule.placement_ms)),
            (parts::WAITING_PAST_ANSWER, since(rule.answer_ms)),
            (parts::ACTIVE_SESSIONS, self.active.get(address).copied().unwrap_or(0)),
        ];
        if let Some(open) = self.complaints.get(address) {
            body.push((parts::COMPLAINTS_OPEN, *open));
        }
        if let Some(oldest) = waiting.first() {
            body.push((parts::OLDEST_ENTERED_AT, *oldest));
        }
        body
    }

    /// Hand over the gauges that differ from those handed over last.
    pub fn changes(&mut self, now: Ms, rules: &Rules, mut take: impl FnMut(&Address, &Body)) {
        let touched = std::mem::take(&mut self.touched);
        let mut changed = Vec::new();
        for address in touched.iter().chain(self.occupied.difference(&touched)) {
            let body = self.body(address, now, rules);
            if self.published.get(address) != Some(&body) {
                take(address, &body);
                changed.push((address.clone(), body));
            }
        }
        self.published.extend(changed);
    }
}
