//! When state is over: sessions, agents' history, slices; `streams/core/expiry.py` has the theory.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use rustc_hash::FxHashSet;

use crate::cells::{CellId, Cells, DATE_MS, QUARTER_MS, ROSTER_MS, SLICE_MS};
use crate::lives::bounds_of;
use crate::milestones::{ENDED, ENTERED, STARTED};
use crate::names::{Ms, Name};
use crate::pack::{Malformed, Reader, Writer};
use crate::rules::Rules;
use crate::session::Session;
use crate::sessionbook::Sessions;

const MINUTE_MS: Ms = 60_000;
/// How far the watermark moves between two announcements.
const ANNOUNCE_MS: Ms = MINUTE_MS;
/// How far it moves between two times at which agents' history is closed.
const CLOSE_MS: Ms = 10 * MINUTE_MS;

/// The horizons of one partition.
#[derive(Default)]
pub struct Expiry {
    due: BinaryHeap<Reverse<(Ms, Name)>>,
    marks: BTreeMap<i64, Ms>,
    partitions: usize,
    announced: Option<Ms>,
    shortest_ms: Ms,
    ages_by_channel: bool,
    /// Agents' history before this instant is closed.
    pub agents_before: Ms,
    statuses_before: Ms,
}

impl Expiry {
    /// Start with nothing over.
    pub fn new(rules: &Rules, partitions: u32) -> Expiry {
        Expiry {
            partitions: partitions as usize,
            shortest_ms: rules.shortest_session_ms,
            ages_by_channel: !rules.session_age_by_channel.is_empty(),
            ..Expiry::default()
        }
    }

    /// Whether a milestone of a rank can bring a session's end forward, so that it is watched anew.
    pub fn wakes(&self, rank: u8) -> bool {
        rank == ENDED || (self.ages_by_channel && (rank == STARTED || rank == ENTERED))
    }

    /// Whether a status event is older than its horizon.
    pub fn agent_is_late(&self, at: Ms) -> bool {
        at < self.statuses_before
    }

    /// Look at a session when it may be over at the earliest.
    pub fn watch(&mut self, session_id: &Name, at: Ms) {
        self.due.push(Reverse((at + self.shortest_ms, session_id.clone())));
    }

    /// Look at a restored session when it will be over as it stands.
    pub fn watch_again(&mut self, session_id: &Name, session: &Session, rules: &Rules) {
        let (silent_after, until) = bounds_of(session, rules);
        self.due.push(Reverse((if session.forgotten { until } else { silent_after }, session_id.clone())));
    }

    /// Return the sessions that are over, and those that are forgotten from now on.
    pub fn due(&mut self, sessions: &Sessions, watermark: Option<Ms>, rules: &Rules) -> (Vec<Name>, Vec<Name>) {
        let (mut over, mut silent) = (Vec::new(), Vec::new());
        let (mut seen_over, mut seen_silent) = (FxHashSet::default(), FxHashSet::default());
        let Some(mark) = watermark else { return (over, silent) };
        while self.due.peek().is_some_and(|Reverse((at, _))| *at <= mark) {
            let Some(Reverse((_, session_id))) = self.due.pop() else { break };
            let Some(session) = sessions.get(&session_id) else { continue };
            if seen_over.contains(&session_id) {
                continue;
            }
            let (silent_after, until) = bounds_of(session, rules);
            if until <= mark {
                seen_over.insert(session_id.clone());
                over.push(session_id);
                continue;
            }
            if silent_after <= mark && !session.forgotten && seen_silent.insert(session_id.clone()) {
                silent.push(session_id.clone());
            }
            self.due.push(Reverse((if silent_after > mark { silent_after } else { until }, session_id)));
        }
        (over, silent)
    }

    /// Take note of a sender's watermark.
    pub fn heard(&mut self, sender: i64, watermark: Option<Ms>) {
        if let Some(mark) = watermark {
            if mark > self.marks.get(&sender).copied().unwrap_or(-1) {
                self.marks.insert(sender, mark);
            }
        }
    }

    /// Whether the own watermark is to be announced to all partitions now; `at_the_end`: it will not move any more.
    pub fn announces(&mut self, watermark: Option<Ms>, at_the_end: bool) -> bool {
        let Some(mark) = watermark else { return false };
        if let Some(announced) = self.announced {
            if mark == announced || (mark < announced + ANNOUNCE_MS && !at_the_end) {
                return false;
            }
        }
        self.announced = watermark;
        true
    }

    /// The least watermark of all senders; None while one has said nothing.
    pub fn least_mark(&self) -> Option<Ms> {
        if self.marks.len() == self.partitions {
            self.marks.values().copied().min()
        } else {
            None
        }
    }

    /// Move the instant on before which agents' history is closed; return whether it moved.
    pub fn close_agents(&mut self, rules: &Rules) -> bool {
        let Some(mark) = self.least_mark() else { return false };
        if mark - rules.agent_horizon_ms < self.statuses_before + CLOSE_MS {
            return false;
        }
        self.statuses_before = mark - rules.agent_horizon_ms;
        self.agents_before = mark - rules.agents_kept_ms;
        true
    }

    /// Drop slices and sketches whose retention is over; return the ids of the cells that are gone.
    pub fn cells(&self, cells: &mut Cells, watermark: Option<Ms>, rules: &Rules) -> Vec<CellId> {
        let Some(mark) = watermark else { return Vec::new() };
        let mut gone = Vec::new();
        if rules.slices_kept_ms > 0 {
            gone.extend(cells.expire(SLICE_MS, (mark - rules.slices_kept_ms).div_euclid(SLICE_MS)));
            gone.extend(cells.expire(ROSTER_MS, (mark - rules.roster_kept_ms).div_euclid(ROSTER_MS)));
            gone.extend(cells.expire(DATE_MS, (mark - rules.quarters_kept_ms).div_euclid(DATE_MS)));
        }
        gone.extend(cells.expire(QUARTER_MS, (mark - rules.quarters_kept_ms).div_euclid(QUARTER_MS)));
        cells.expire_sketches((mark - rules.sketches_kept_ms).div_euclid(QUARTER_MS));
        cells.close(mark);
        gone
    }

    pub fn freeze(&self, to: &mut Writer) {
        to.array(4);
        to.int(self.agents_before);
        to.int(self.statuses_before);
        to.array(self.marks.len());
        for (sender, mark) in &self.marks {
            to.array(2);
            to.int(*sender);
            to.int(*mark);
        }
        to.maybe_int(self.announced);
    }

    pub fn thaw(&mut self, from: &mut Reader<'_>) -> Result<(), Malformed> {
        from.array()?;
        self.agents_before = from.int()?;
        self.statuses_before = from.int()?;
        for _ in 0..from.array()? {
            from.array()?;
            let sender = from.int()?;
            self.marks.insert(sender, from.int()?);
        }
        self.announced = from.maybe_int()?;
        Ok(())
    }
}
