//! What an agent in a state counts as, and the steps of levels from one state to the next; see `streams/core/agents.py`.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::facts::{Fact, Steps, What};
use crate::names::{empty, unassigned, Address, Addresses, Dimension, Ms, Name};
use crate::parts::{
    Level, AVAILABLE_IDLE, CAPACITY, IN_HAND, MAX_PEAK, ONLINE, SESSIONS_IN_HAND, SLOTS, SLOTS_FREE, SLOTS_USED, TAKEN,
};
use crate::roster::View;
use crate::rules::Version;

/// So many pairs of states are remembered; beyond it all are forgotten.
const REMEMBERED: usize = 16_384;

/// A status as a small number: those of the settings by their order, then the others.
type StatusCode = u8;
const STATUSES: [&str; 8] = ["available", "busy", "away", "break", "meal", "training", "meeting", "offline"];
const AVAILABLE: StatusCode = 0;
const OFFLINE: StatusCode = 7;
/// Of an agent who has left ("").
const GONE: StatusCode = 8;
const UNKNOWN: StatusCode = 9;
const OTHER: StatusCode = 10;

fn code_of(status: Option<&Name>) -> StatusCode {
    match status.map(|status| &**status) {
        None => UNKNOWN,
        Some("") => GONE,
        Some(status) => STATUSES.iter().position(|known| *known == status).map_or(OTHER, |n| n as StatusCode),
    }
}

/// What levels depend on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Counted {
    status: StatusCode,
    capacity: i64,
    in_hand: i64,
}

/// Where an agent counts, and as what: everything on which his levels depend.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    groups: &'a [Name],
    queues: &'a [Name],
    counted: Counted,
}

impl<'a> Placed<'a> {
    /// An agent in a state, by the settings of its instant.
    pub fn of(view: &View<'a>, in_hand: i64, rules: &Version) -> Placed<'a> {
        let capacity = view.capacity.filter(|capacity| *capacity != 0).unwrap_or(rules.default_capacity);
        Placed { groups: view.groups, queues: view.queues, counted: Counted { status: code_of(view.status), capacity, in_hand } }
    }

    /// Nobody in particular, in the same groups.
    pub fn nobody(self, rules: &Version) -> Placed<'a> {
        let counted = Counted { status: UNKNOWN, capacity: rules.default_capacity, in_hand: 0 };
        Placed { groups: self.groups, queues: &[], counted }
    }
}

/// The levels that are not 0 in a state (31, 33, 35).
fn levels_of(who: Counted) -> SmallVec<[(Level, i64); 12]> {
    let Counted { status, capacity, in_hand } = who;
    let available = status == AVAILABLE;
    let where_available = |value: i64| if available { value } else { 0 };
    let mut levels: SmallVec<[(Level, i64); 12]> = SmallVec::new();
    levels.push((IN_HAND, i64::from(in_hand > 0)));
    levels.push((AVAILABLE_IDLE, where_available(i64::from(in_hand == 0))));
    levels.push((SESSIONS_IN_HAND, in_hand));
    levels.push((SLOTS, if in_hand != 0 || available { capacity } else { 0 }));
    levels.push((CAPACITY, where_available(capacity)));
    levels.push((SLOTS_USED, where_available(in_hand)));
    levels.push((SLOTS_FREE, where_available((capacity - in_hand).max(0))));
    if let Some(level) = STATUSES.get(usize::from(status)).and_then(|status| Level::status(status)) {
        levels.push((level, 1));
    }
    if status != GONE && status != UNKNOWN {
        levels.push((ONLINE, i64::from(status != OFFLINE)));
    }
    levels.retain(|(_, value)| *value != 0);
    levels
}

/// The steps of all levels between two states (None: nobody), and of those by queue.
fn steps_between(before: Option<Counted>, now: Option<Counted>) -> (Steps, Steps) {
    let mut steps: Vec<(Level, i64)> = now.map_or_else(Vec::new, |now| levels_of(now).to_vec());
    for (level, value) in before.map_or_else(SmallVec::new, levels_of) {
        match steps.iter_mut().find(|(known, _)| *known == level) {
            Some((_, step)) => *step -= value,
            None => steps.push((level, -value)),
        }
    }
    let peak = |who: Option<Counted>| who.map_or(0, |who| who.in_hand.min(i64::from(MAX_PEAK)));
    let (was, is_now) = (peak(before), peak(now));
    let peaks = |from: i64, to: i64, step: i64| ((from + 1).max(2)..=to).map(move |n| (Level::peak(n as u16), step));
    steps.extend(peaks(was, is_now, 1));
    steps.extend(peaks(is_now, was, -1));
    steps.retain(|(_, step)| *step != 0);
    let of_slots = |level: &Level| [CAPACITY, SLOTS_USED, SLOTS_FREE].contains(level);
    let slots: Vec<(Level, i64)> = steps.iter().copied().filter(|(level, _)| of_slots(level)).collect();
    (Steps::new(&steps), Steps::new(&slots))
}

/// Remembers the steps between two states: the same pair always has the same object.
#[derive(Default)]
pub struct LevelSteps(FxHashMap<(Option<Counted>, Option<Counted>), (Steps, Steps)>);

impl LevelSteps {
    /// The steps of all levels between two states (None: nobody), and of those by queue.
    pub fn between(&mut self, before: Option<Counted>, now: Option<Counted>) -> &(Steps, Steps) {
        if self.0.len() >= REMEMBERED && !self.0.contains_key(&(before, now)) {
            self.0.clear();
        }
        self.0.entry((before, now)).or_insert_with(|| steps_between(before, now))
    }
}

/// The addresses of the groups and queues in which an agent stands, looked up when they are first wanted.
#[derive(Debug, Default)]
pub struct Places {
    groups: SmallVec<[Address; 2]>,
    queues: SmallVec<[Address; 2]>,
    groups_known: bool,
    queues_known: bool,
}

impl Places {
    /// Forget what a change has made untrue.
    pub fn moved(&mut self, groups: bool, queues: bool) {
        self.groups_known &= !groups;
        self.queues_known &= !queues;
    }

    fn groups(&mut self, groups: &[Name], addresses: &mut Addresses) -> &[Address] {
        if !self.groups_known {
            self.groups_known = true;
            self.groups.clear();
            self.groups.extend(groups.iter().map(|group| addresses.group(group)));
            if groups.is_empty() {
                self.groups.push(addresses.group(&unassigned()));
            }
        }
        &self.groups
    }

    fn queues(&mut self, queues: &[Name], addresses: &mut Addresses) -> &[Address] {
        if !self.queues_known {
            self.queues_known = true;
            self.queues.clear();
            self.queues.extend(queues.iter().map(|queue| addresses.of(Dimension::Slots, queue, &empty())));
        }
        &self.queues
    }
}

/// What makes facts of levels.
pub struct Stepper<'m> {
    pub levels: &'m mut LevelSteps,
    pub addresses: &'m mut Addresses,
    /// The address of the floor.
    pub floor: Address,
}

fn same(a: &[Name], b: &[Name]) -> bool {
    std::ptr::eq(a, b) || a == b
}

fn step_fact(address: Address, at: Ms, steps: &Steps) -> Fact {
    Fact { address, at, what: What::Steps(steps.clone()) }
}

impl Stepper<'_> {
    /// Append the steps between two placements: on the floor, of the agent himself, per group, per queue served.
    ///
    /// `places`: of the second one.
    pub fn difference(
        &mut self,
        before: &Placed<'_>,
        now: &Placed<'_>,
        at: Ms,
        alone: Option<&Address>,
        places: &mut Places,
        facts: &mut Vec<Fact>,
    ) {
        let (same_groups, same_queues) = (same(before.groups, now.groups), same(before.queues, now.queues));
        if same_groups && same_queues && before.counted == now.counted {
            return;
        }
        let (stays, slots) = self.levels.between(Some(before.counted), Some(now.counted)).clone();
        if !stays.all().is_empty() {
            facts.extend([&self.floor].into_iter().chain(alone).map(|address| step_fact(address.clone(), at, &stays)));
        }
        if !same_groups {
            let unassigned = [unassigned()];
            let olds = if before.groups.is_empty() { &unassigned[..] } else { before.groups };
            let news = if now.groups.is_empty() { &unassigned[..] } else { now.groups };
            self.moved(Dimension::Group, olds, news, before, now, at, facts);
        } else if !stays.all().is_empty() {
            let groups = places.groups(now.groups, self.addresses);
            facts.extend(groups.iter().map(|group| step_fact(group.clone(), at, &stays)));
        }
        if !same_queues {
            self.moved(Dimension::Slots, before.queues, now.queues, before, now, at, facts);
        } else if !slots.all().is_empty() {
            let queues = places.queues(now.queues, self.addresses);
            facts.extend(queues.iter().map(|queue| step_fact(queue.clone(), at, &slots)));
        }
    }

    /// Append the steps in each of the places before and now, by name.
    #[allow(clippy::too_many_arguments)]
    fn moved(
        &mut self,
        dimension: Dimension,
        olds: &[Name],
        news: &[Name],
        before: &Placed<'_>,
        now: &Placed<'_>,
        at: Ms,
        facts: &mut Vec<Fact>,
    ) {
        let mut names: Vec<&Name> = olds.iter().chain(news).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let was = olds.contains(name).then_some(before.counted);
            let is_now = news.contains(name).then_some(now.counted);
            let (stays, slots) = self.levels.between(was, is_now);
            let steps = if dimension == Dimension::Slots { slots } else { stays };
            if !steps.all().is_empty() {
                facts.push(step_fact(self.addresses.of(dimension, name, &empty()), at, steps));
            }
        }
    }

    /// Append what puts an agent onto the levels of a placement in his own readings.
    pub fn standing(&mut self, now: &Placed<'_>, at: Ms, alone: &Address, facts: &mut Vec<Fact>) {
        let (steps, _) = self.levels.between(None, Some(now.counted));
        if !steps.all().is_empty() {
            facts.push(step_fact(alone.clone(), at, steps));
        }
    }

    /// Append that an agent took so many sessions: in his groups, on the floor, he himself.
    pub fn taken(
        &mut self,
        groups: &[Name],
        at: Ms,
        taken: i64,
        alone: Option<&Address>,
        places: &mut Places,
        facts: &mut Vec<Fact>,
    ) {
        let groups = places.groups(groups, self.addresses);
        facts.extend(groups.iter().chain([&self.floor]).chain(alone).map(|address| Fact::add(address, at, TAKEN, taken)));
    }

    /// Append a step of the headcount in the groups of an agent, and on the floor.
    pub fn roster(&mut self, groups: &[Name], at: Ms, step: i64, facts: &mut Vec<Fact>) {
        let mut places = Places::default();
        let groups = places.groups(groups, self.addresses);
        let all = groups.iter().chain([&self.floor]);
        facts.extend(all.map(|address| Fact { address: address.clone(), at, what: What::Roster(step) }));
    }
}
