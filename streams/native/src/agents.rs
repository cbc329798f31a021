//! Agents: status, groups, capacity and sessions in hand over time, as steps of levels; `streams/core/agents.py` has the theory.
//!
//! What was booked of an agent is not kept as a copy: the holds that were undone are known, so the turns as they were follow from
//! those as they are, and the status changes of before are the first ones.

use rustc_hash::FxHashMap;

use crate::books::Books;
use crate::facts::Fact;
use crate::holds::{Hold, Turn};
use crate::levels::{Placed, Places, Stepper};
use crate::names::{Address, Ms, Name};
use crate::pack::{Malformed, Reader, Writer};
use crate::relay::shared;
use crate::roster::{hired_later, Change, Historian, HistoryEnd, Online, State, View};
use crate::rules::Rules;

const MANY_HOLDS: usize = 16;
const SETTLED_AFTER_MS: Ms = 600_000;
/// Changes are folded when they are one in so many of all.
const FOLDED_OF: usize = 4;
/// Not touched since the last flush.
pub const UNTOUCHED: usize = usize::MAX;

/// How an agent stands at the end of all that is booked of him; nothing of him is booked after `at`.
#[derive(Debug)]
struct End {
    at: Ms,
    state: State,
    in_hand: i64,
    places: Places,
}

/// One agent: base state, status changes, sessions held.
///
/// Sessions whose hold ended long before the newest one lie in `settled` and are only looked at for changes as old as that.
#[derive(Debug)]
pub struct Agent {
    pub base: State,
    pub changes: Vec<Change>,
    /// Newest change that was folded into the base.
    heard: Ms,
    /// Where he was online on its day; None: nothing was folded, or whole days by an earlier program.
    online: Option<Online>,
    unsorted: bool,
    /// Where steps may go on; None: not known.
    end: Option<End>,
    /// Where history may go on; None: not known.
    history_end: Option<Box<HistoryEnd>>,
    /// Its place in the list of those touched since the last flush.
    pub touch: usize,
    recent: FxHashMap<Name, Hold>,
    settled: FxHashMap<Name, Hold>,
    settled_until: Ms,
    settle_above: usize,
}

/// Where a walk along an agent's time begins: after so many changes.
struct Start<'a> {
    changes: &'a [Change],
    position: usize,
    view: View<'a>,
    in_hand: i64,
    before: Placed<'a>,
}

/// Where it ended.
struct Stop<'a> {
    at: Option<Ms>,
    position: usize,
    view: View<'a>,
    in_hand: i64,
}

impl Agent {
    /// Start with nothing known.
    pub fn new() -> Agent {
        Agent {
            base: State::default(),
            changes: Vec::new(),
            heard: 0,
            online: None,
            unsorted: false,
            end: None,
            history_end: None,
            touch: UNTOUCHED,
            recent: FxHashMap::default(),
            settled: FxHashMap::default(),
            settled_until: 0,
            settle_above: MANY_HOLDS,
        }
    }

    /// What is known of a session, None if nothing.
    pub fn hold(&self, session: &str) -> Option<&Hold> {
        self.recent.get(session).or_else(|| if self.settled.is_empty() { None } else { self.settled.get(session) })
    }

    /// Replace what is known of a session; return what was.
    pub fn put_hold(&mut self, session: &Name, hold: Hold) -> Option<Hold> {
        let settled = if self.settled.is_empty() { None } else { self.settled.remove(session) };
        self.recent.insert(session.clone(), hold).or(settled)
    }

    /// The sessions of which anything is known.
    pub fn sessions(&self) -> impl Iterator<Item = &Name> {
        self.settled.keys().chain(self.recent.keys())
    }

    /// Lay holds aside that ended long before the newest one.
    pub fn settle(&mut self) {
        if self.recent.len() <= self.settle_above {
            return;
        }
        let until = self.recent.values().filter_map(Hold::newest).max().unwrap_or(0) - SETTLED_AFTER_MS;
        let over = |hold: &Hold| hold.newest().is_some_and(|newest| newest < until);
        let sessions: Vec<Name> = self.recent.iter().filter(|(_, hold)| over(hold)).map(|(session, _)| session.clone()).collect();
        for session in sessions {
            if let Some(hold) = self.recent.remove(&session) {
                self.settled.insert(session, hold);
                self.settled_until = self.settled_until.max(until);
            }
        }
        self.settle_above = MANY_HOLDS.max(self.recent.len() + self.recent.len() / 2);
    }

    /// Take in a status change.
    pub fn add(&mut self, change: Change) {
        self.keep(change);
        self.unsorted = true;
    }

    /// Append a change; the vector grows by an eighth.
    ///
    /// A day's changes of all agents grow alike. Were they doubled, all would leave blocks of the same size at the same time, which
    /// nobody wants again before the next day: holes of the heap, half as large as what is kept.
    fn keep(&mut self, change: Change) {
        if self.changes.len() == self.changes.capacity() {
            self.changes.reserve_exact(self.changes.len() / 8 + 2);
        }
        self.changes.push(change);
    }

    /// Put the changes into the order in which they hold.
    pub fn sort(&mut self) {
        if self.unsorted {
            self.changes.sort_by(Change::order);
            self.unsorted = false;
        }
    }

    /// Append what happens from an instant on, in order; return the sessions in hand just before it.
    fn turns(&self, since: Ms, turns: &mut Vec<Turn>) -> i64 {
        let mut in_hand: i64 = self.recent.values().map(|hold| hold.tally(since, 1, turns)).sum();
        if since < self.settled_until {
            in_hand += self.settled.values().map(|hold| hold.tally(since, 1, turns)).sum::<i64>();
        }
        in_hand
    }

    /// As `turns`, as it was before holds (before, after) were put.
    fn turns_before(&self, since: Ms, undo: &[(Option<Hold>, Hold)], turns: &mut Vec<Turn>) -> i64 {
        let mut in_hand = self.turns(since, turns);
        for (before, after) in undo {
            in_hand += after.tally(since, -1, turns);
            in_hand += before.as_ref().map_or(0, |before| before.tally(since, 1, turns));
        }
        in_hand
    }

    /// Append the facts of all instants from `since` on, and keep how he stands at the last of them.
    ///
    /// `alone`: address of the agent's own readings, where that is switched on.
    pub fn steps(&mut self, since: Ms, rules: &Rules, alone: Option<&Address>, stepper: &mut Stepper<'_>, facts: &mut Vec<Fact>) {
        self.sort();
        let mut turns = Vec::new();
        let in_hand = self.turns(since, &mut turns);
        let mut places = Places::default();
        let start = starting(&self.base, &self.changes, since, in_hand, rules);
        let stop = walk(start, since, &mut turns, rules, alone, stepper, &mut places, facts);
        self.end = Some(End { at: stop.at.unwrap_or(since), state: stop.view.to_state(), in_hand: stop.in_hand, places });
    }

    /// Append the same as it was before holds (before, after) were put, with the first so many changes.
    #[allow(clippy::too_many_arguments)]
    pub fn steps_before(
        &self,
        since: Ms,
        undo: &[(Option<Hold>, Hold)],
        changes: usize,
        rules: &Rules,
        alone: Option<&Address>,
        stepper: &mut Stepper<'_>,
        facts: &mut Vec<Fact>,
    ) {
        let mut turns = Vec::new();
        let in_hand = self.turns_before(since, undo, &mut turns);
        let start = starting(&self.base, &self.changes[..changes], since, in_hand, rules);
        walk(start, since, &mut turns, rules, alone, stepper, &mut Places::default(), facts);
    }

    /// Append the facts that put an agent who gets readings of his own onto the levels on which he was before an instant.
    #[allow(clippy::too_many_arguments)]
    pub fn standing_before(
        &self,
        since: Ms,
        undo: &[(Option<Hold>, Hold)],
        changes: usize,
        rules: &Rules,
        alone: &Address,
        stepper: &mut Stepper<'_>,
        facts: &mut Vec<Fact>,
    ) {
        let in_hand = self.turns_before(since, undo, &mut Vec::new());
        let start = starting(&self.base, &self.changes[..changes], since, in_hand, rules);
        stepper.standing(&start.before, since, alone, facts);
    }

    /// Whether what concerns nothing before `since` only adds to what is booked.
    pub fn goes_on(&self, since: Ms, rules: &Rules) -> bool {
        let Some(end) = &self.end else { return false };
        let settings_since = rules.untils.last().copied().unwrap_or(Ms::MIN);
        since > end.at && settings_since <= end.at
    }

    /// Append the facts of what was added: turns, and the changes from a position on; all of it after the end.
    pub fn go_on(
        &mut self,
        turns: &mut [Turn],
        position: usize,
        rules: &Rules,
        alone: Option<&Address>,
        stepper: &mut Stepper<'_>,
        facts: &mut Vec<Fact>,
    ) {
        self.sort();
        let Some(End { at, state, in_hand, mut places }) = self.end.take() else { return };
        let view = state.view();
        let before = Placed::of(&view, in_hand, rules.at(at));
        let start = Start { changes: &self.changes, position, view, in_hand, before };
        let stop = walk(start, at + 1, turns, rules, alone, stepper, &mut places, facts);
        let (at, in_hand) = (stop.at.unwrap_or(at), stop.in_hand);
        let moved = (stop.position > position).then(|| stop.view.to_state());
        self.end = Some(End { at, state: moved.unwrap_or(state), in_hand, places });
    }

    /// Whether all changes but the first so many come after those.
    pub fn adds_at_the_end(&self, changes: usize) -> bool {
        let (booked, added) = self.changes.split_at(changes);
        let last = booked.iter().map(|change| change.at).max().unwrap_or(Ms::MIN);
        added.iter().all(|change| change.at > last)
    }

    /// Book what follows from the status changes alone, all of it less what was booked of the first so many of them.
    ///
    /// All: one change may concern what came before it, as a joined that is heard of after the first status. Where it does not, only
    /// what is added is looked at; it comes to the same. `old`: what was booked; None: the changes stand in order, it follows from them.
    pub fn book_history(
        &mut self,
        old: Option<Vec<Fact>>,
        changes: usize,
        historian: &mut Historian<'_>,
        new: &mut Vec<Fact>,
        books: &mut Books,
    ) {
        self.sort();
        if old.is_none() {
            let end = self.history_end.as_deref();
            let further = end.and_then(|end| historian.further(end, changes, &self.base, &self.changes, new));
            if let Some(end) = further {
                self.history_end = Some(Box::new(end));
                books.book(new);
                return;
            }
        }
        let old = old.unwrap_or_else(|| {
            let mut old = Vec::new();
            self.history_of(changes, historian, &mut old);
            old
        });
        self.history_end = Some(Box::new(historian.all(&self.base, self.online.as_ref(), &self.changes, new)));
        books.replace(&old, new);
    }

    /// Append the facts that follow from the first so many changes alone, as they stand.
    pub fn history_of(&self, changes: usize, historian: &mut Historian<'_>, facts: &mut Vec<Fact>) {
        historian.all(&self.base, self.online.as_ref(), &self.changes[..changes], facts);
    }

    /// Fold what ended before an instant into the base state; return whether the agent changed, and the holds gone.
    ///
    /// Status changes are folded when they are a quarter of all: the agent's entry is written anew each time. A first status waits for
    /// the joined behind it: he may still be said to have left between them.
    pub fn forget(&mut self, before: Ms, historian: &mut Historian<'_>) -> (bool, Vec<Name>) {
        self.sort();
        let keep = self.changes.iter().take_while(|change| change.at < before).count();
        let waits = hired_later(&self.base, &self.changes).is_some_and(|announced| announced >= before);
        let folds = keep > 0 && keep * FOLDED_OF >= self.changes.len() && !waits;
        if folds {
            (self.base, self.online) = historian.folded(&self.base, self.online.as_ref(), &self.changes[..keep]);
            self.heard = self.heard.max(self.changes[keep - 1].at);
            self.history_end = None;
            self.changes.drain(..keep);
            self.changes.shrink_to_fit();
        }
        let mut gone = Vec::new();
        for holds in [&mut self.settled, &mut self.recent] {
            holds.retain(|session, hold| {
                let over = hold.newest().is_some_and(|newest| newest < before);
                if over {
                    gone.push(session.clone());
                }
                !over
            });
            // Where entries come and go, a table grows although it holds no more than before.
            holds.shrink_to(holds.len() + holds.len() / 2);
        }
        self.settle_above = MANY_HOLDS;
        (folds, gone)
    }

    /// Whether nothing of the agent is left but that he held something once.
    pub fn is_nothing(&self) -> bool {
        self.changes.is_empty() && self.recent.is_empty() && self.settled.is_empty() && self.base == State::default()
    }

    /// Whether nothing was heard of the agent since an instant, and he holds nothing.
    pub fn silent_since(&self, before: Ms) -> bool {
        self.changes.is_empty() && self.recent.is_empty() && self.settled.is_empty() && self.heard < before
    }

    /// Append the facts that take an agent off all levels at an instant.
    pub fn goodbye(&self, at: Ms, rules: &Rules, stepper: &mut Stepper<'_>, facts: &mut Vec<Fact>) {
        let now = rules.at(at);
        let placed = Placed::of(&self.base.view(), 0, now);
        stepper.difference(&placed, &placed.nobody(now), at, None, &mut Places::default(), facts);
        if self.base.hired.is_some() {
            stepper.roster(&self.base.groups, at, -1, facts);
        }
    }

    /// The agent's entry, without the holds, which are entries of their own.
    pub fn freeze(&mut self, to: &mut Writer) {
        self.sort();
        to.array(4);
        self.base.freeze(to);
        to.array(self.changes.len());
        for change in &self.changes {
            change.freeze(to);
        }
        to.int(self.heard);
        Online::freeze(self.online.as_ref(), to);
    }

    /// Restore what `freeze` returned.
    pub fn thaw(value: &[u8]) -> Result<Agent, Malformed> {
        let from = &mut Reader::new(value);
        let fields = from.array()?;
        let mut agent = Agent::new();
        agent.base = State::thaw(from, shared)?;
        for _ in 0..from.array()? {
            agent.keep(Change::thaw(from, shared)?);
        }
        agent.heard = from.int()?;
        agent.online = if fields > 3 { Online::thaw(from, shared)? } else { None };
        Ok(agent)
    }
}

/// How an agent stands just before an instant.
fn starting<'a>(base: &'a State, changes: &'a [Change], since: Ms, in_hand: i64, rules: &Rules) -> Start<'a> {
    let mut view = base.view();
    let position = changes.iter().take_while(|change| change.at < since).count();
    for change in &changes[..position] {
        view.apply(change);
    }
    let before = Placed::of(&view, in_hand, rules.at(since - 1));
    Start { changes, position, view, in_hand, before }
}

/// Append the facts of all instants at which anything happens; `at` of what is returned is the last of them.
#[allow(clippy::too_many_arguments)]
fn walk<'a>(
    start: Start<'a>,
    since: Ms,
    turns: &mut [Turn],
    rules: &Rules,
    alone: Option<&Address>,
    stepper: &mut Stepper<'_>,
    places: &mut Places,
    facts: &mut Vec<Fact>,
) -> Stop<'a> {
    let Start { changes, mut position, mut view, mut in_hand, mut before } = start;
    turns.sort_unstable_by_key(|turn| turn.at);
    let mut turns = turns.iter().peekable();
    let mut untils = rules.untils.iter().copied().filter(|until| *until >= since).peekable();
    let mut last = None;
    loop {
        let happens = [turns.peek().map(|turn| turn.at), changes.get(position).map(|change| change.at), untils.peek().copied()];
        let Some(at) = happens.into_iter().flatten().min() else { break };
        last = Some(at);
        while let Some(change) = changes.get(position).filter(|change| change.at == at) {
            view.apply(change);
            places.moved(change.groups.is_some(), change.queues.is_some());
            position += 1;
        }
        let mut taken = 0;
        while let Some(turn) = turns.next_if(|turn| turn.at == at) {
            in_hand += turn.more;
            taken += turn.taken;
        }
        while untils.next_if_eq(&at).is_some() {}
        let now = Placed::of(&view, in_hand, rules.at(at));
        stepper.difference(&before, &now, at, alone, places, facts);
        before = now;
        if taken != 0 {
            stepper.taken(view.groups, at, taken, alone, places, facts);
        }
    }
    Stop { at: last, position, view, in_hand }
}
