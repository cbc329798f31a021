//! What is known of a session in somebody's hand, and what one version of it adds to the one before; see `streams/core/agents.py`.

use smallvec::SmallVec;

use crate::names::Ms;
use crate::pack::{Malformed, Reader, Writer};
use crate::relay::read_interval;
use crate::told::RelayFact;

/// From when to when a session was in hand; None: it still is.
pub type Interval = (Ms, Option<Ms>);

/// One session: version of the relay record, intervals in hand, instants taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub version: i64,
    pub intervals: SmallVec<[Interval; 1]>,
    pub taken: SmallVec<[Ms; 1]>,
}

/// What happens at an instant: sessions more or less in hand, sessions taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    pub at: Ms,
    pub more: i64,
    pub taken: i64,
}

impl Turn {
    pub fn step(at: Ms, more: i64) -> Turn {
        Turn { at, more, taken: 0 }
    }

    pub fn take(at: Ms, taken: i64) -> Turn {
        Turn { at, more: 0, taken }
    }
}

impl Hold {
    /// The newest instant of it, -1 where there is none; None while it lasts.
    pub fn newest(&self) -> Option<Ms> {
        let mut newest = -1;
        let mut any = false;
        for at in self.intervals.iter().map(|(_, end)| *end).chain(self.taken.iter().map(|at| Some(*at))) {
            newest = if any { at?.max(newest) } else { at? };
            any = true;
        }
        Some(newest)
    }

    /// Add what it does from an instant on, so many times; return what it adds in hand just before it.
    pub fn tally(&self, since: Ms, times: i64, turns: &mut Vec<Turn>) -> i64 {
        let mut in_hand = 0;
        for (start, end) in &self.intervals {
            if *start >= since {
                turns.push(Turn::step(*start, times));
            } else if !end.is_some_and(|end| end < since) {
                in_hand += times;
            }
            if let Some(end) = end.filter(|end| *end >= since) {
                turns.push(Turn::step(end, -times));
            }
        }
        turns.extend(self.taken.iter().filter(|at| **at >= since).map(|at| Turn::take(*at, times)));
        in_hand
    }

    pub fn freeze(&self, to: &mut Writer) {
        to.array(3);
        to.int(self.version);
        to.array(self.intervals.len());
        for (start, end) in &self.intervals {
            to.array(2);
            to.int(*start);
            to.maybe_int(*end);
        }
        to.array(self.taken.len());
        for at in &self.taken {
            to.int(*at);
        }
    }

    pub fn thaw(value: &[u8]) -> Result<Hold, Malformed> {
        let from = &mut Reader::new(value);
        from.array()?;
        let version = from.int()?;
        let mut intervals = SmallVec::new();
        for _ in 0..from.array()? {
            intervals.push(read_interval(from)?);
        }
        let mut taken = SmallVec::new();
        for _ in 0..from.array()? {
            taken.push(from.int()?);
        }
        Ok(Hold { version, intervals, taken })
    }
}

/// What a relay record says of a hold, as far as it may still change.
///
/// Of what lies before the instant `before`, and of earlier sessions of the same id, what was known stands.
pub fn hold_of(fact: &RelayFact, known: Option<&Hold>, before: Ms) -> Hold {
    let was: &[Interval] = known.map_or(&[], |known| &known.intervals);
    let mut intervals: SmallVec<[Interval; 1]> = was.iter().copied().filter(|(start, _)| *start < fact.since).collect();
    let old = &was[intervals.len()..];
    for (position, (start, end)) in fact.told.intervals.iter().copied().enumerate() {
        let (old_start, old_end) = old.get(position).copied().unwrap_or((before, None));
        let start = if start < before { old_start.min(before) } else { start };
        let end = match end {
            Some(end) if end < before => Some(old_end.filter(|old_end| *old_end < before).unwrap_or(before)),
            end => end,
        };
        intervals.push((start, end.map(|end| end.max(start))));
    }
    let stands = before.max(fact.since);
    let mut taken: SmallVec<[Ms; 1]> = SmallVec::new();
    if let Some(known) = known {
        taken.extend(known.taken.iter().copied().filter(|at| *at < stands));
    }
    taken.extend(fact.told.taken.iter().copied().filter(|at| *at >= stands));
    Hold { version: fact.version, intervals, taken }
}

/// The earliest instant at which two versions of a hold differ, None if they do not.
pub fn earliest_difference(before: Option<&Hold>, after: &Hold) -> Option<Ms> {
    let (intervals, taken): (&[Interval], &[Ms]) = before.map_or((&[], &[]), |hold| (&hold.intervals, &hold.taken));
    let mut earliest: Option<Ms> = None;
    let mut differ = |old: Option<Ms>, new: Option<Ms>| {
        if old != new {
            earliest = [earliest, old, new].into_iter().flatten().min();
        }
    };
    for position in 0..intervals.len().max(after.intervals.len()) {
        let (old, new) = (intervals.get(position), after.intervals.get(position));
        differ(old.map(|old| old.0), new.map(|new| new.0));
        differ(old.and_then(|old| old.1), new.and_then(|new| new.1));
    }
    for position in 0..taken.len().max(after.taken.len()) {
        differ(taken.get(position).copied(), after.taken.get(position).copied());
    }
    earliest
}

/// Append what a version of a hold adds to the one before; return whether it changes nothing else (if not, nothing is appended).
pub fn turns_between(before: Option<&Hold>, after: &Hold, turns: &mut SmallVec<[Turn; 4]>) -> bool {
    let (old, taken): (&[Interval], &[Ms]) = before.map_or((&[], &[]), |hold| (&hold.intervals, &hold.taken));
    let stays = |(old, new): (&Interval, &Interval)| old.0 == new.0 && (old.1.is_none() || old.1 == new.1);
    if old.len() > after.intervals.len() || !old.iter().zip(&after.intervals).all(stays) || !after.taken.starts_with(taken) {
        return false;
    }
    for (position, (start, end)) in after.intervals.iter().enumerate() {
        let known = old.get(position);
        if known.is_none() {
            turns.push(Turn::step(*start, 1));
        }
        if let Some(end) = end.filter(|_| known.and_then(|known| known.1).is_none()) {
            turns.push(Turn::step(end, -1));
        }
    }
    turns.extend(after.taken[taken.len()..].iter().map(|at| Turn::take(*at, 1)));
    true
}
