//! When a session is forgotten, when it is over, and where one ends and the next of the same id begins.
//!
//! A life is a range of the milestones and one of the messages, both in order, since all that follows a cut is later than what
//! precedes it. `streams/core/lives.py` has the theory.

use std::ops::Range;

use crate::milestones::{at_and_sender, Kind, Milestone, ENDED, ENTERED, STARTED};
use crate::names::Ms;
use crate::rules::Rules;
use crate::session::{sorted_messages, Session};

/// One life of a session.
pub struct Life {
    pub milestones: Range<usize>,
    pub messages: Range<usize>,
    pub newest: Ms,
}

/// Follows a session's events in order and says until when it lives.
struct Cutter<'a> {
    rules: &'a Rules,
    channel: Option<&'a str>,
    ended: Option<Ms>,
    newest: Ms,
}

impl<'a> Cutter<'a> {
    fn new(rules: &'a Rules) -> Cutter<'a> {
        Cutter { rules, channel: None, ended: None, newest: 0 }
    }

    fn follow(&mut self, at: Ms, milestone: Option<&'a Milestone>) {
        self.newest = at;
        match milestone.map(|milestone| &milestone.kind) {
            Some(Kind::Ended { .. }) => self.ended = self.ended.or(Some(at)),
            Some(Kind::Started { channel, .. }) => self.channel = self.channel.or(Some(channel)),
            Some(Kind::Entered { channel: Some(channel), .. }) => self.channel = Some(channel),
            _ => {}
        }
    }

    /// The instant from which on the session counts as forgotten, if nothing more is heard of it, and the one from which on an
    /// event belongs to it no more.
    fn bounds(&self) -> (Ms, Ms) {
        bounds(self.rules, self.ended, self.newest, self.channel)
    }
}

fn bounds(rules: &Rules, ended: Option<Ms>, newest: Ms, channel: Option<&str>) -> (Ms, Ms) {
    if let Some(ended) = ended {
        return (ended + rules.session_horizon_ms, ended + rules.session_horizon_ms);
    }
    let age = rules.session_age_by_channel.get(channel.unwrap_or(""));
    let silent_after = newest + age.copied().unwrap_or(rules.session_age_ms);
    (silent_after, silent_after.max(newest + rules.session_horizon_ms))
}

/// Whether events so far apart are of one life whatever they are.
pub fn is_one_life(newest: Ms, oldest: Ms, rules: &Rules) -> bool {
    newest - oldest < rules.session_horizon_ms
}

/// Cut milestones and messages, both in order, into lives.
pub fn lives(milestones: &[Milestone], messages: &[u64], rules: &Rules) -> Vec<Life> {
    cut(milestones, messages, rules).0
}

/// The lives, and the bounds of the last one.
fn cut(milestones: &[Milestone], messages: &[u64], rules: &Rules) -> (Vec<Life>, (Ms, Ms)) {
    let mut found: Vec<Life> = Vec::new();
    let mut cutter = Cutter::new(rules);
    let (mut m, mut n) = (0, 0);
    loop {
        let said = messages.get(n).map(|message| at_and_sender(*message).0);
        let (at, milestone) = match (milestones.get(m), said) {
            (Some(milestone), Some(said)) if said < milestone.at => (said, None),
            (Some(milestone), _) => (milestone.at, Some(milestone)),
            (None, Some(said)) => (said, None),
            (None, None) => break,
        };
        if found.is_empty() || at >= cutter.bounds().1 {
            found.push(Life { milestones: m..m, messages: n..n, newest: at });
            cutter = Cutter::new(rules);
        }
        cutter.follow(at, milestone);
        m += usize::from(milestone.is_some());
        n += usize::from(milestone.is_none());
        if let Some(life) = found.last_mut() {
            (life.milestones.end, life.messages.end, life.newest) = (m, n, at);
        }
    }
    (found, cutter.bounds())
}

/// The instants from which on a session is forgotten, and from which on an event belongs to it no more.
pub fn bounds_of(session: &Session, rules: &Rules) -> (Ms, Ms) {
    if !is_one_life(session.newest, session.oldest, rules) {
        return cut(&session.in_order(), &sorted_messages(&session.messages), rules).1;
    }
    let mut ended: Option<Ms> = None;
    session.glimpse(|seen| {
        if seen.rank == ENDED {
            ended = Some(ended.map_or(seen.at, |ended| ended.min(seen.at)));
        }
    });
    if ended.is_some() || rules.session_age_by_channel.is_empty() {
        return bounds(rules, ended, session.newest, None);
    }
    bounds(rules, None, session.newest, channel_of(session).as_deref())
}

/// The channel of a session's only life: of the last entry that names one, else of the first start.
fn channel_of(session: &Session) -> Option<String> {
    let mut entered: Option<(Ms, String, String)> = None;
    let mut started: Option<(Ms, String, String)> = None;
    session.glimpse(|seen| {
        let Some(channel) = seen.channel else { return };
        let order = (seen.at, seen.id);
        let known = if seen.rank == ENTERED { &mut entered } else { &mut started };
        let is_it = match known {
            Some((at, id, _)) if seen.rank == ENTERED => order > (*at, id.as_str()),
            Some((at, id, _)) => seen.rank == STARTED && order < (*at, id.as_str()),
            None => true,
        };
        if is_it {
            *known = Some((seen.at, seen.id.to_owned(), channel.to_owned()));
        }
    });
    entered.or(started).map(|(_, _, channel)| channel)
}
