//! Sessions: the set of milestones and messages of one id, and how far they are booked.
//!
//! The first `booked` milestones and the first `heeded` messages are booked, and sorted; the rest stands as it came. A session of
//! which nothing more is heard rests: its milestones are packed. `class Session` in `streams/core/milestones.py` has the theory.

use std::borrow::Cow;

use crate::course::Course;
use crate::milestones::{self, Kind, Milestone};
use crate::names::Ms;
use crate::pack::{Malformed, Reader, Writer};
use crate::talk::Talk;

/// The last instant that an event may name.
pub const LATEST_MS: Ms = 253_402_300_799_999;

/// One session.
pub struct Session {
    pub milestones: Vec<Milestone>,
    pub messages: Vec<u64>,
    /// Its newest and oldest event.
    pub newest: Ms,
    pub oldest: Ms,
    /// Milestones must be sorted before they are read.
    pub unsorted: bool,
    /// Nothing was heard of it for so long that it does not count as open any more.
    pub forgotten: bool,
    /// It was booked as forgotten.
    pub left_out: bool,
    pub booked: usize,
    pub heeded: usize,
    /// It stands in the floor's list of touched sessions.
    pub touched: bool,
    pub(crate) course: Option<Box<Course>>,
    pub(crate) talk: Option<Box<Talk>>,
    packed: Option<Box<[u8]>>,
}

/// What decides about the end of a life, of one milestone.
pub struct Glimpse<'a> {
    pub at: Ms,
    pub rank: u8,
    pub id: &'a str,
    /// The channel that a start or an entry names.
    pub channel: Option<&'a str>,
}

impl Session {
    /// Start without any milestone.
    pub fn new() -> Session {
        Session {
            milestones: Vec::new(),
            messages: Vec::new(),
            newest: 0,
            oldest: LATEST_MS,
            unsorted: false,
            forgotten: false,
            left_out: false,
            booked: 0,
            heeded: 0,
            touched: false,
            course: None,
            talk: None,
            packed: None,
        }
    }

    /// Whether it rests with its milestones packed.
    pub fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    /// Have the milestones ready again.
    pub fn wake(&mut self) {
        if let Some(packed) = self.packed.take() {
            self.milestones = unpacked(&packed);
        }
    }

    /// Let everything go that can be made again, and pack the milestones, if all of them are booked.
    pub fn rest(&mut self) {
        self.course = None;
        self.talk = None;
        if !self.milestones.is_empty() && self.booked == self.milestones.len() {
            self.sort();
            let mut to = Writer::new();
            freeze_all(self.milestones.iter(), &mut to);
            self.packed = Some(to.0.into_boxed_slice());
            self.milestones = Vec::new();
            self.messages.shrink_to_fit();
        }
    }

    /// How many events are kept of it.
    pub fn size(&self) -> usize {
        (if self.packed.is_some() { self.booked } else { self.milestones.len() }) + self.messages.len()
    }

    /// Add a message.
    pub fn say(&mut self, message: u64) {
        self.messages.push(message);
    }

    /// Put milestones into the order in which they are read; all of them are about to be booked.
    pub fn sort(&mut self) {
        if self.unsorted {
            sort(&mut self.milestones);
            self.unsorted = false;
        }
    }

    /// The milestones in the order in which they are read; what is booked of them stays in its place meanwhile.
    pub fn in_order(&self) -> Cow<'_, [Milestone]> {
        match &self.packed {
            Some(packed) => Cow::Owned(unpacked(packed)),
            None => sorted(&self.milestones),
        }
    }

    /// Show each milestone, in any order; nothing is unpacked for that.
    pub fn glimpse(&self, mut see: impl FnMut(Glimpse<'_>)) {
        let Some(packed) = &self.packed else {
            for milestone in &self.milestones {
                let channel = match &milestone.kind {
                    Kind::Started { channel, .. } => Some(&**channel),
                    Kind::Entered { channel, .. } => channel.as_deref(),
                    _ => None,
                };
                see(Glimpse { at: milestone.at, rank: milestone.rank(), id: &milestone.id, channel });
            }
            return;
        };
        let mut from = Reader::new(packed);
        for _ in 0..from.array().expect(PACKED) {
            see(Glimpse::of(&mut from).expect(PACKED));
        }
    }

    /// Write `[milestones, messages, newest, oldest, forgotten]`, the same for the same set of milestones.
    pub fn freeze(&self, to: &mut Writer) {
        to.array(5);
        match &self.packed {
            Some(packed) => to.0.extend_from_slice(packed),
            None if is_sorted(&self.milestones) => freeze_all(self.milestones.iter(), to),
            None => {
                let mut milestones: Vec<&Milestone> = self.milestones.iter().collect();
                milestones.sort_by(|a, b| a.order().cmp(&b.order()));
                freeze_all(milestones.into_iter(), to);
            }
        }
        let messages = sorted_messages(&self.messages);
        to.array(messages.len());
        for message in messages.iter() {
            to.uint(*message);
        }
        to.int(self.newest);
        to.int(self.oldest);
        to.bool(self.forgotten);
    }

    /// Restore what `freeze` wrote.
    pub fn thaw(from: &mut Reader<'_>) -> Result<Session, Malformed> {
        let mut session = Session::new();
        from.array()?;
        for _ in 0..from.array()? {
            session.milestones.push(Milestone::thaw(from)?);
        }
        for _ in 0..from.array()? {
            session.messages.push(from.uint()?);
        }
        session.newest = from.int()?;
        session.oldest = from.int()?;
        session.forgotten = from.bool()?;
        session.left_out = session.forgotten;
        session.booked = session.milestones.len();
        session.heeded = session.messages.len();
        Ok(session)
    }
}

impl<'a> Glimpse<'a> {
    /// Read past a frozen milestone.
    fn of(from: &mut Reader<'a>) -> Result<Glimpse<'a>, Malformed> {
        from.array()?;
        let at = from.int()?;
        let rank = u8::try_from(from.int()?).map_err(|_| Malformed("unknown rank of a milestone"))?;
        let id = from.str()?;
        let (flags, numbers, texts) = match rank {
            milestones::STARTED => (0, 0, 4),
            milestones::ENTERED | milestones::OFFERED | milestones::LEFT => (0, 0, 2),
            milestones::CONNECTED | milestones::TRANSFERRED => (0, 0, 2),
            milestones::MISSED | milestones::WRAPPED_UP => (0, 0, 1),
            milestones::ENDED => (1, 0, 0),
            milestones::RATED => (0, 1, 1),
            milestones::REVIEWED => (2, 0, 1),
            _ => (0, 0, 0),
        };
        for _ in 0..flags {
            from.bool()?;
        }
        for _ in 0..numbers {
            from.int()?;
        }
        let mut channel = None;
        for n in 0..texts {
            let text = from.maybe_str()?;
            if (rank, n) == (milestones::STARTED, 0) || (rank, n) == (milestones::ENTERED, 1) {
                channel = text;
            }
        }
        Ok(Glimpse { at, rank, id, channel })
    }
}

const PACKED: &str = "a session packs what it can read";

fn freeze_all<'a>(milestones: impl ExactSizeIterator<Item = &'a Milestone>, to: &mut Writer) {
    to.array(milestones.len());
    for milestone in milestones {
        milestone.freeze(to);
    }
}

fn unpacked(packed: &[u8]) -> Vec<Milestone> {
    let mut from = Reader::new(packed);
    let count = from.array().expect(PACKED);
    (0..count).map(|_| Milestone::thaw(&mut from).expect(PACKED)).collect()
}

/// Put milestones into their order.
pub fn sort(milestones: &mut [Milestone]) {
    milestones.sort_by(|a, b| a.order().cmp(&b.order()));
}

fn is_sorted(milestones: &[Milestone]) -> bool {
    milestones.windows(2).all(|pair| pair[0].order() <= pair[1].order())
}

/// Milestones in their order: the same ones if they are in it already.
pub fn sorted(milestones: &[Milestone]) -> Cow<'_, [Milestone]> {
    if is_sorted(milestones) {
        return Cow::Borrowed(milestones);
    }
    let mut copy = milestones.to_vec();
    sort(&mut copy);
    Cow::Owned(copy)
}

/// Messages in their order: the same ones if they are in it already.
pub fn sorted_messages(messages: &[u64]) -> Cow<'_, [u64]> {
    if messages.windows(2).all(|pair| pair[0] <= pair[1]) {
        return Cow::Borrowed(messages);
    }
    let mut copy = messages.to_vec();
    copy.sort_unstable();
    Cow::Owned(copy)
}
