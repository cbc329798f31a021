//! What follows from an agent's status changes alone: headcount, and on which local days he was online;
//! `streams/core/roster.py` has the theory.
//!
//! A `State` is kept, a `View` is looked at: it borrows its names from a state and from changes, so that walking along hundreds
//! of changes copies nothing.

use std::cmp::Ordering;

use smallvec::SmallVec;

use crate::facts::{Fact, What};
use crate::kept::allocated;
use crate::names::{unassigned, Addresses, Ms, Name};
use crate::pack::{Malformed, Reader, Writer};
use crate::parts::AGENT_DAYS;
use crate::rules::Rules;
use crate::zones::{date_number, date_start};

pub const JOINED: u8 = 0;
pub const STATUS: u8 = 1;
pub const LEFT: u8 = 2;

/// A change of an agent; None = stays as it was. Sorted by (at, rank, id), they are the order in which they hold.
#[derive(Clone, Debug)]
pub struct Change {
    pub at: Ms,
    pub rank: u8,
    pub id: Box<str>,
    pub status: Option<Name>,
    pub groups: Option<Box<[Name]>>,
    pub queues: Option<Box<[Name]>>,
    pub capacity: Option<i64>,
}

/// An agent at one instant; status None = not known yet.
///
/// `hired`: since when he is on the roster, None: he is not; `first`: when he first was; `has_left`: he has left at least once.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct State {
    pub status: Option<Name>,
    pub groups: Box<[Name]>,
    pub queues: Box<[Name]>,
    pub capacity: Option<i64>,
    pub hired: Option<Ms>,
    pub has_left: bool,
    pub first: Option<Ms>,
}

/// A state whose names belong to somebody else.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub status: Option<&'a Name>,
    pub groups: &'a [Name],
    pub queues: &'a [Name],
    pub capacity: Option<i64>,
    pub hired: Option<Ms>,
    pub has_left: bool,
    pub first: Option<Ms>,
}

/// Names of groups, few.
type Groups<'a> = SmallVec<[&'a Name; 4]>;

impl Change {
    /// The order in which changes hold.
    pub fn order(&self, other: &Change) -> Ordering {
        (self.at, self.rank, &self.id).cmp(&(other.at, other.rank, &other.id))
    }

    /// Bytes of what hangs on it and on nothing else.
    pub fn bytes(&self) -> usize {
        let lists = [&self.groups, &self.queues].into_iter().flatten();
        allocated(self.id.len()) + lists.map(|names| allocated(std::mem::size_of_val::<[Name]>(names))).sum::<usize>()
    }

    pub fn freeze(&self, to: &mut Writer) {
        to.array(7);
        to.int(self.at);
        to.int(i64::from(self.rank));
        to.str(&self.id);
        to.maybe_str(self.status.as_deref());
        for names in [&self.groups, &self.queues] {
            match names {
                Some(names) => write_names(to, names),
                None => to.nil(),
            }
        }
        to.maybe_int(self.capacity);
    }

    pub fn thaw(from: &mut Reader<'_>, name: fn(&str) -> Name) -> Result<Change, Malformed> {
        from.array()?;
        let at = from.int()?;
        let rank = u8::try_from(from.int()?).map_err(|_| Malformed("rank of a change"))?;
        let id = from.str()?.into();
        let status = from.maybe_str()?.map(name);
        let groups = if from.nil() { None } else { Some(read_names(from, name)?) };
        let queues = if from.nil() { None } else { Some(read_names(from, name)?) };
        Ok(Change { at, rank, id, status, groups, queues, capacity: from.maybe_int()? })
    }
}

fn write_names(to: &mut Writer, names: &[Name]) {
    to.array(names.len());
    for name in names {
        to.str(name);
    }
}

fn read_names(from: &mut Reader<'_>, name: fn(&str) -> Name) -> Result<Box<[Name]>, Malformed> {
    (0..from.array()?).map(|_| from.str().map(name)).collect()
}

impl State {
    /// Look at it.
    pub fn view(&self) -> View<'_> {
        View {
            status: self.status.as_ref(),
            groups: &self.groups,
            queues: &self.queues,
            capacity: self.capacity,
            hired: self.hired,
            has_left: self.has_left,
            first: self.first,
        }
    }

    pub fn freeze(&self, to: &mut Writer) {
        to.array(7);
        to.maybe_str(self.status.as_deref());
        write_names(to, &self.groups);
        write_names(to, &self.queues);
        to.maybe_int(self.capacity);
        to.maybe_int(self.hired);
        to.bool(self.has_left);
        to.maybe_int(self.first);
    }

    pub fn thaw(from: &mut Reader<'_>, name: fn(&str) -> Name) -> Result<State, Malformed> {
        let fields = from.array()?;
        let status = from.maybe_str()?.map(name);
        let (groups, queues) = (read_names(from, name)?, read_names(from, name)?);
        Ok(State {
            status,
            groups,
            queues,
            capacity: if fields > 3 { from.maybe_int()? } else { None },
            hired: if fields > 4 { from.maybe_int()? } else { None },
            has_left: fields > 5 && from.bool()?,
            first: if fields > 6 { from.maybe_int()? } else { None },
        })
    }
}

impl<'a> View<'a> {
    /// The state, for keeping.
    pub fn to_state(self) -> State {
        State {
            status: self.status.cloned(),
            groups: self.groups.into(),
            queues: self.queues.into(),
            capacity: self.capacity,
            hired: self.hired,
            has_left: self.has_left,
            first: self.first,
        }
    }

    /// Go on to the state after a change; what it does not name stays.
    pub fn apply(&mut self, change: &'a Change) {
        if change.rank == LEFT {
            self.hired = None;
        } else if self.hired.is_none() && (change.rank == JOINED || !self.has_left) {
            self.hired = Some(change.at);
        }
        self.status = change.status.as_ref().or(self.status);
        self.groups = change.groups.as_deref().unwrap_or(self.groups);
        self.queues = change.queues.as_deref().unwrap_or(self.queues);
        self.capacity = change.capacity.or(self.capacity);
        self.has_left |= change.rank == LEFT;
        self.first = self.first.or(self.hired);
    }

    /// At an instant: the first stint of somebody starts when he was announced, not with his first status.
    pub fn announce(&mut self, at: Ms, announced: Option<Ms>) {
        if let (Some(announced), Some(hired)) = (announced, self.hired) {
            if hired < announced {
                self.hired = (at >= announced).then_some(announced);
                self.first = self.hired;
            }
        }
    }

    fn counted_in(&self, floor: &'a Name, unassigned: &'a Name) -> Groups<'a> {
        let mut found: Groups<'a> = self.groups.iter().collect();
        if found.is_empty() {
            found.push(unassigned);
        }
        found.push(floor);
        found
    }

    fn is_online(&self) -> bool {
        self.status.is_some_and(|status| !status.is_empty() && &**status != "offline")
    }
}

/// The instant at which an agent of whom a status came first was announced before he left; None if he never was.
pub fn hired_later(base: &State, changes: &[Change]) -> Option<Ms> {
    if base.hired.is_some() || base.has_left {
        return None;
    }
    let decisive = changes.iter().find(|change| change.rank == LEFT || change.rank == JOINED)?;
    (decisive.rank == JOINED).then_some(decisive.at)
}

/// When an agent first came onto the roster, as far as is known.
pub fn hired_first(base: &State, changes: &[Change]) -> Option<Ms> {
    let announced = hired_later(base, changes);
    let mut view = base.view();
    let mut position = 0;
    while position < changes.len() && view.first.is_none() {
        let at = changes[position].at;
        while position < changes.len() && changes[position].at == at {
            view.apply(&changes[position]);
            position += 1;
        }
        view.announce(at, announced);
    }
    view.first
}

/// A local day of an agent, and the groups in which he was online on it so far, by name.
#[derive(Clone, Debug)]
pub struct Online {
    day: i64,
    groups: Box<[Name]>,
}

impl Online {
    pub fn freeze(online: Option<&Online>, to: &mut Writer) {
        let Some(Online { day, groups }) = online else { return to.nil() };
        to.array(2);
        to.int(*day);
        write_names(to, groups);
    }

    pub fn thaw(from: &mut Reader<'_>, name: fn(&str) -> Name) -> Result<Option<Online>, Malformed> {
        if from.nil() {
            return Ok(None);
        }
        from.array()?;
        Ok(Some(Online { day: from.int()?, groups: read_names(from, name)? }))
    }
}

/// How far the history of an agent is booked: what comes later only adds to it.
#[derive(Clone, Debug)]
pub struct HistoryEnd {
    at: Ms,
    changes: usize,
    announced: Option<Ms>,
    state: State,
    online: Option<Online>,
}

/// What makes facts of history.
pub struct Historian<'m> {
    pub rules: &'m Rules,
    pub addresses: &'m mut Addresses,
    pub floor: &'m Name,
}

impl Historian<'_> {
    /// Append the facts that follow from all changes: headcount and leavings first, then online days. Return how it ends.
    ///
    /// `online`: where he was online on the day of the newest change before them.
    pub fn all(&mut self, base: &State, online: Option<&Online>, changes: &[Change], facts: &mut Vec<Fact>) -> HistoryEnd {
        let announced = hired_later(base, changes);
        let start = Start { view: base.view(), announced, online };
        self.walk(start, changes, 0, facts)
    }

    /// How an agent stands after some changes, and where he was online on the day of the last of them.
    pub fn folded(&mut self, base: &State, online: Option<&Online>, changes: &[Change]) -> (State, Option<Online>) {
        let end = self.all(base, online, changes, &mut Vec::new());
        (end.state, end.online)
    }

    /// Append the facts of the changes that came after an end, where they change nothing before it; None where they do.
    pub fn further(
        &mut self,
        end: &HistoryEnd,
        booked: usize,
        base: &State,
        changes: &[Change],
        facts: &mut Vec<Fact>,
    ) -> Option<HistoryEnd> {
        let announced = hired_later(base, changes);
        if end.changes != booked || announced != end.announced || changes.get(booked)?.at <= end.at {
            return None;
        }
        let start = Start { view: end.state.view(), announced, online: end.online.as_ref() };
        Some(self.walk(start, changes, booked, facts))
    }

    fn walk(&mut self, start: Start<'_>, changes: &[Change], mut position: usize, facts: &mut Vec<Fact>) -> HistoryEnd {
        let unassigned = unassigned();
        let floor = self.floor.clone();
        let Start { mut view, announced, online } = start;
        let mut day = online.map(|online| online.day);
        let mut seen: Groups<'_> = online.iter().flat_map(|online| &*online.groups).collect();
        let mut days = Vec::new();
        let mut last = Ms::MIN;
        while position < changes.len() {
            let (at, before, mut ended) = (changes[position].at, view, 0);
            while position < changes.len() && changes[position].at == at {
                ended += i64::from(changes[position].rank == LEFT && view.hired.is_some());
                view.apply(&changes[position]);
                position += 1;
            }
            view.announce(at, announced);
            last = at;
            let (was_in, is_in) = (before.counted_in(&floor, &unassigned), view.counted_in(&floor, &unassigned));
            self.roster(at, before.hired.map(|_| &was_in), view.hired.map(|_| &is_in), facts);
            if ended > 0 {
                for group in &is_in {
                    facts.push(Fact { address: self.addresses.group(group), at, what: What::AgentsLeft(ended) });
                }
            }
            let was = if before.is_online() { was_in } else { Groups::new() };
            let is_now = if view.is_online() { is_in } else { Groups::new() };
            let zone = self.rules.at(at).zone;
            let today = date_number(zone, at);
            let at_midnight = at == date_start(zone, today);
            if day != Some(today) {
                day = Some(today);
                seen = if at_midnight { Groups::new() } else { was.clone() };
            }
            let came = is_now.iter().copied().filter(|group| !(seen.contains(group) || (at_midnight && was.contains(group))));
            let came: Groups<'_> = came.collect();
            let gone = was.iter().copied().filter(|group| !is_now.contains(group) && !seen.contains(group));
            let gone: Groups<'_> = gone.collect();
            for group in &is_now {
                if !seen.contains(group) {
                    seen.push(group);
                }
            }
            self.steps(at, &came, &gone, |step| What::Add(AGENT_DAYS, step), &mut days);
        }
        facts.append(&mut days);
        seen.sort_unstable();
        let online = day.map(|day| Online { day, groups: seen.into_iter().cloned().collect() });
        HistoryEnd { at: last, changes: changes.len(), announced, state: view.to_state(), online }
    }

    fn roster<'a>(&mut self, at: Ms, was: Option<&Groups<'a>>, is_now: Option<&Groups<'a>>, facts: &mut Vec<Fact>) {
        if was != is_now {
            let none = Groups::new();
            self.steps(at, is_now.unwrap_or(&none), was.unwrap_or(&none), What::Roster, facts);
        }
    }

    /// Append a step up for what is only in `more`, then a step down for what is only in `less`, by name each.
    fn steps<'a>(&mut self, at: Ms, more: &Groups<'a>, less: &Groups<'a>, what: impl Fn(i64) -> What, facts: &mut Vec<Fact>) {
        for (these, others, step) in [(more, less, 1), (less, more, -1)] {
            let mut groups: Groups<'_> = these.iter().copied().filter(|group| !others.contains(group)).collect();
            groups.sort_unstable();
            groups.dedup();
            for group in groups {
                facts.push(Fact { address: self.addresses.group(group), at, what: what(step) });
            }
        }
    }
}

/// Where walking along changes begins.
struct Start<'a> {
    view: View<'a>,
    announced: Option<Ms>,
    online: Option<&'a Online>,
}
