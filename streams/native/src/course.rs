//! The course of a session: its milestones in their order, and what each of them is worth.
//!
//! A course can go on later, with milestones that come after those it knows; where a new one would change what was said before, it
//! says so (`Retroactive`) and is to be thrown away. What milestones are worth is in `steps`, what all stands for in `standing`.
//! `streams/core/course.py` has the theory. Numbers in comments are the rules of the specification.

mod standing;
mod steps;

use smallvec::SmallVec;

use crate::facts::Shown;
use crate::hands::Hands;
use crate::milestones::{Direction, Kind, Milestone, Outcome};
use crate::names::{unassigned, Address, Addresses, Ms, Name};
use crate::talk::{entered_by, Entries, Heed};
use crate::told::Target;

/// A milestone changes what was said before.
#[derive(Debug)]
pub struct Retroactive;

type Done = Result<(), Retroactive>;

/// The first start: when, and of which customer.
struct Start {
    at: Ms,
    customer: Option<Name>,
}

/// A leaving that no entry preceded.
struct Left {
    queue: Name,
    at: Ms,
    outcome: Outcome,
}

struct Offer {
    at: Ms,
    queue: Name,
    agent: Name,
}

/// Who took the session last and when, when it had been taken before that, and whether his offer is known.
struct Taken {
    agent: Name,
    at: Ms,
    before: Ms,
    rung: bool,
}

/// How far one life of a session has come; what is before everything is -1.
pub struct Course {
    /// The newest milestone of the session itself, and the newest of its queues.
    last: Ms,
    last_queue: Ms,
    started: Option<Start>,
    pub ended: Option<Ms>,
    channel: Name,
    direction: Direction,
    /// When the session was connected first.
    connected: Option<Ms>,
    last_connect: Ms,
    hands: Option<Hands>,
    entries: Entries,
    /// Entries without a leaving.
    open: SmallVec<[(Address, Ms); 1]>,
    /// (reviewer, at, address) of each review.
    reviews: SmallVec<[(Name, Ms, Address); 1]>,
    /// The earliest instant from which on messages are now looked at in another way; -1: for none.
    pub setting_since: Ms,
    /// What the gauges show of it.
    pub shown: Shown,
    /// Going through the first milestones of the session itself, which have been looked at already.
    starting: bool,
    /// The start that was seen ahead is still to come, and so are so many ratings, of which the last one counts.
    start_ahead: bool,
    ratings_ahead: usize,
    rated: bool,
    taken: Option<Taken>,
    /// Something was placed without the session's channel, which was not known.
    vague: bool,
    /// So many entries were gone through.
    entered: usize,
    lefts: SmallVec<[Left; 1]>,
    offers: SmallVec<[Offer; 1]>,
    /// Queues of offers that no entry precedes.
    orphans: Vec<Name>,
    surveyed: bool,
    fallback: Option<Address>,
    fixed: bool,
    unsaid: SmallVec<[(Target, Name); 2]>,
}

impl Default for Course {
    fn default() -> Course {
        Course {
            last: -1,
            last_queue: -1,
            started: None,
            ended: None,
            channel: unassigned(),
            direction: Direction::Inbound,
            connected: None,
            last_connect: -1,
            hands: None,
            entries: Entries::new(),
            open: SmallVec::new(),
            reviews: SmallVec::new(),
            setting_since: -1,
            shown: Shown::default(),
            starting: false,
            start_ahead: false,
            ratings_ahead: 0,
            rated: false,
            taken: None,
            vague: false,
            entered: 0,
            lefts: SmallVec::new(),
            offers: SmallVec::new(),
            orphans: Vec::new(),
            surveyed: false,
            fallback: None,
            fixed: false,
            unsaid: SmallVec::new(),
        }
    }
}

// -- where a fact belongs

impl Course {
    /// Where a fact at this time belongs: to the latest entry at or before it (10).
    fn place(&self, at: Ms, addresses: &mut Addresses) -> Address {
        entered_by(&self.entries, at).cloned().unwrap_or_else(|| self.fallback(addresses))
    }

    /// Where a transfer at this time belongs: to the latest entry strictly before it (2).
    fn place_before(&self, at: Ms, addresses: &mut Addresses) -> Address {
        let n = self.entries.partition_point(|entry| entry.0 < at);
        n.checked_sub(1).map_or_else(|| self.fallback(addresses), |n| self.entries[n].1.clone())
    }

    /// Where an offer belongs: to the latest entry into its queue, else to the first one.
    fn offer_address(&mut self, at: Ms, queue: &Name, addresses: &mut Addresses) -> Address {
        let mut found: Option<&Address> = None;
        for (entered, address) in &self.entries {
            if address.name() == queue && (found.is_none() || *entered <= at) {
                found = Some(address);
            }
        }
        if let Some(found) = found {
            return found.clone();
        }
        if !self.orphans.contains(queue) {
            self.orphans.push(queue.clone());
        }
        self.vague = true;
        addresses.queue(queue, &self.channel)
    }

    /// Where a fact belongs that no entry precedes.
    fn fallback(&self, addresses: &mut Addresses) -> Address {
        self.fallback.clone().unwrap_or_else(|| addresses.queue(&unassigned(), &self.channel))
    }

    /// The address that an entry decides.
    fn decides(&mut self, queue: &Name, channel: Option<&Name>, addresses: &mut Addresses) -> Address {
        self.vague |= channel.is_none();
        addresses.queue(queue, channel.unwrap_or(&self.channel))
    }

    fn know(&mut self, at: Ms, queue: &Name, channel: Option<&Name>, addresses: &mut Addresses) {
        let address = self.decides(queue, channel, addresses);
        self.entries.push((at, address));
    }

    /// Note that from an instant on messages are looked at in another way.
    fn look_anew(&mut self, at: Ms) {
        if self.setting_since < 0 {
            self.setting_since = at;
        }
    }
}

// -- on its way

impl Course {
    /// Take further milestones, in order and later than those it knows; `messages` are all of the life.
    pub fn go_on(&mut self, milestones: &[Milestone], messages: &[u64], heed: &mut Heed<'_>) -> Done {
        if self.last < 0 {
            self.begin(milestones, heed.addresses)?;
        }
        let (before, queue_before) = (self.last, self.last_queue);
        for milestone in milestones {
            let of_queue = milestone.is_of_queue();
            if milestone.at <= if of_queue { queue_before } else { before } {
                return Err(Retroactive);
            }
            self.step(milestone, messages, heed)?;
            *(if of_queue { &mut self.last_queue } else { &mut self.last }) = milestone.at;
        }
        self.starting = false;
        Ok(())
    }

    /// Look ahead for what decides about what comes before it.
    fn begin(&mut self, milestones: &[Milestone], addresses: &mut Addresses) -> Done {
        self.starting = milestones.iter().any(|milestone| !milestone.is_of_queue());
        let (starts_in, named) = self.look_ahead(milestones);
        if self.last_queue < 0 {
            for milestone in milestones {
                if let Kind::Entered { queue, channel } = &milestone.kind {
                    self.know(milestone.at, queue, channel.as_ref(), addresses);
                }
            }
        } else if self.vague && self.started.is_some() {
            return Err(Retroactive);
        }
        self.setting_since = 0;
        if let Some(queue) = starts_in {
            (self.fallback, self.fixed) = (Some(addresses.queue(queue, &self.channel)), true);
        } else if let Some((_, address)) = self.entries.first() {
            (self.fallback, self.fixed) = (Some(address.clone()), true);
        } else if let Some(queue) = named {
            self.fallback = Some(addresses.queue(queue, &self.channel));
        }
        Ok(())
    }

    /// Find the first start, the first connect and the last rating; return the queue of the start, and the first queue that a
    /// connect names.
    fn look_ahead<'a>(&mut self, milestones: &'a [Milestone]) -> (Option<&'a Name>, Option<&'a Name>) {
        let (mut starts_in, mut named) = (None, None);
        for milestone in milestones {
            match &milestone.kind {
                Kind::Started { channel, direction, queue, customer } if self.started.is_none() => {
                    self.started = Some(Start { at: milestone.at, customer: customer.clone() });
                    (self.channel, self.direction) = (channel.clone(), *direction);
                    self.start_ahead = true;
                    starts_in = queue.as_ref();
                }
                Kind::Connected { queue, .. } => {
                    self.connected = self.connected.or(Some(milestone.at));
                    named = named.or(queue.as_ref());
                }
                Kind::Rated { .. } => self.ratings_ahead += 1,
                _ => {}
            }
        }
        (starts_in, named)
    }

    fn step(&mut self, milestone: &Milestone, messages: &[u64], heed: &mut Heed<'_>) -> Done {
        let at = milestone.at;
        match &milestone.kind {
            Kind::Started { .. } => return self.starts(at, heed),
            Kind::Entered { queue, channel } => return self.enters(at, queue, channel.as_ref(), heed),
            Kind::Offered { queue, agent } => return self.offered(at, queue, agent, heed),
            Kind::Missed { queue } => self.missed(at, queue, heed),
            Kind::Left { queue, outcome } => self.leaves(at, queue, *outcome, heed),
            Kind::Connected { agent, queue } => return self.connects(at, agent, queue.is_some(), heed),
            Kind::Held => {
                if let Some(hands) = &mut self.hands {
                    hands.hold(at);
                }
            }
            Kind::Resumed => {
                if let Some(hands) = &mut self.hands {
                    hands.hold_over(at, self.connected);
                }
            }
            Kind::Transferred { from, warm } => self.transfers(at, from, *warm, heed),
            Kind::Ended { resolved } => self.ends(at, *resolved, messages, heed),
            Kind::WrappedUp { agent } => self.wraps_up(at, agent, heed),
            Kind::SurveySent => self.asks(at, heed),
            Kind::Rated { score_e6, grade } => return self.rates(at, *score_e6, *grade, heed),
            Kind::Reviewed { live, passed, reviewer } => self.reviewed(at, *live, *passed, reviewer, heed),
        }
        Ok(())
    }
}
