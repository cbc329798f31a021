//! What a floor hands out and takes back in as entries of the journal; `keys.rs` says which there are.

use crate::cell::Cell;
use crate::cellentries::put_parts;
use crate::cells::CellId;
use crate::derive::derive;
use crate::facts::{Shown, Topic, TOPICS};
use crate::floor::{Floor, Outcomes};
use crate::keys::{put_cell, Key};
use crate::names::{Ms, Name};
use crate::pack::{Malformed, Reader, Writer};
use crate::readings::{Readings, Stamp};
use crate::rules::Rules;
use crate::session::Session;
use crate::spare::Spare;
use crate::told::Target;

/// What takes the bytes of each map as soon as it is written.
pub type Taker<'a> = &'a mut dyn FnMut(&[u8]);

/// Entries as msgpack of maps, while they are written: those that are gone are nil.
///
/// The journal takes records of a few MiB. So that it can take the maps as they are, another one is begun beyond `MOST` bytes.
struct Packed<'a> {
    taker: Taker<'a>,
    to: Writer,
    text: String,
    /// How many are in the map that is being written.
    held: u32,
    /// How many are not gone, of all maps.
    present: usize,
    /// The bytes of the longest map.
    longest: usize,
}

/// What one map takes at most, unless a single entry takes more.
const MOST: usize = 4 << 20;
/// A map's head, with room for any number.
const HEAD: [u8; 5] = [0xdf, 0, 0, 0, 0];

thread_local! {
    static SPARE: Spare = Spare::default();
}

impl Packed<'_> {
    /// Start with none.
    fn new(taker: Taker<'_>) -> Packed<'_> {
        let mut to = Writer(SPARE.with(Spare::take));
        to.0.extend_from_slice(&HEAD);
        Packed { taker, to, text: String::new(), held: 0, present: 0, longest: 0 }
    }

    /// Write a key and, by `write`, its value; what says None is left out again.
    fn put(&mut self, key: &Key, write: impl FnOnce(&mut Writer) -> Option<()>) -> bool {
        self.put_text(|text| key.write(text), write)
    }

    /// Write a cell's entry; one without anything is gone.
    fn put_cell(&mut self, id: &CellId, cell: Option<&Cell>) {
        self.put_text(
            |text| put_cell(text, id),
            |to| {
                match cell {
                    Some(cell) => put_parts(to, cell.parts()),
                    None => to.nil(),
                }
                Some(())
            },
        );
        self.present -= usize::from(cell.is_none());
    }

    fn put_text(&mut self, key: impl FnOnce(&mut String), write: impl FnOnce(&mut Writer) -> Option<()>) -> bool {
        let before = self.to.0.len();
        self.text.clear();
        key(&mut self.text);
        self.to.str(&self.text);
        let is_there = write(&mut self.to).is_some();
        if !is_there {
            self.to.0.truncate(before);
            return false;
        }
        if self.to.0.len() > MOST && self.held > 0 {
            let last = self.to.0.split_off(before);
            self.close();
            self.to.0.extend_from_slice(&last);
        }
        self.held += 1;
        self.present += 1;
        true
    }

    /// Write an entry that is gone.
    fn gone(&mut self, key: &Key) {
        self.put(key, |to| {
            to.nil();
            Some(())
        });
        self.present -= 1;
    }

    fn close(&mut self) {
        let map = &mut self.to.0;
        map[1..HEAD.len()].copy_from_slice(&self.held.to_be_bytes());
        (self.taker)(map);
        self.longest = self.longest.max(map.len());
        map.truncate(HEAD.len());
        self.held = 0;
    }

    /// Hand the last map out, which may be the only one and empty; return the buffer and the bytes of the longest map.
    fn done(mut self) -> (Vec<u8>, usize) {
        self.close();
        (self.to.0, self.longest)
    }
}

impl Floor {
    /// Drop ids that are over; return the keys of the entries that are gone.
    pub fn drop_ids(&mut self) -> Vec<Key> {
        let mark = self.clock.watermark;
        let mut gone: Vec<Key> = self.ids.drop_old(mark).into_iter().map(Key::Ids).collect();
        gone.extend(self.business_ids.drop_old(mark).into_iter().map(Key::BusinessIds));
        self.books.set("ids_evicted", self.ids.evicted + self.business_ids.evicted);
        gone
    }

    /// Hand out what changed since the last call: readings, and entries, none where nobody keeps them. Return how many are not gone.
    ///
    /// `over`: cells that expired; `dropped`: ids.
    pub fn changed(&mut self, stamp: Stamp, now: Ms, over: Vec<CellId>, dropped: Vec<Key>, taker: Taker<'_>) -> (Readings, usize) {
        let mut entries = Packed::new(taker);
        let mut handed = std::mem::take(&mut self.handed);
        handed.take(&mut self.touched);
        let kept = self.keeps_entries;
        let readings = self.books.readings(stamp, now, &over, &self.rules, |id, cell| {
            if kept {
                entries.put_cell(id, cell);
            }
        });
        if kept {
            let sessions = handed.sessions.iter().cloned().map(Key::Session);
            for key in sessions.chain(handed.keys.iter().cloned()).chain(self.books.changed_keys()) {
                if !self.put_entry(&key, &mut entries) {
                    entries.gone(&key);
                }
            }
            let dropped_cells = self.books.dropped_keys();
            for key in over.into_iter().map(Key::Cell).chain(dropped).chain(dropped_cells) {
                entries.gone(&key);
            }
        }
        let kinds: [(fn(_) -> Key, _); 2] = [(Key::Ids, &mut self.ids), (Key::BusinessIds, &mut self.business_ids)];
        for (key_of, ids) in kinds {
            ids.chunks(|id, chunk| {
                if kept {
                    let key = key_of(id);
                    entries.put(&key, |to| {
                        to.bin(chunk);
                        Some(())
                    });
                    handed.keys.insert(key);
                }
            });
        }
        if kept {
            self.put_entry(&Key::Meta, &mut entries);
        }
        self.books.forget_changes(&mut handed);
        self.handed = handed;
        let present = entries.present;
        let (buffer, used) = entries.done();
        SPARE.with(|spare| spare.put(buffer, used));
        (readings, present)
    }

    /// Begin a cycle of the rolling snapshot with all entries that there are; return how many.
    pub fn begin_cycle(&mut self) -> usize {
        self.cycle = self.entry_keys();
        self.cycle.len()
    }

    /// Hand out the next entries of the cycle as they are now, without what is gone or stands in the last flush.
    pub fn piece(&mut self, size: usize, taker: Taker<'_>) {
        let mut entries = Packed::new(taker);
        let keys = self.cycle.split_off(self.cycle.len() - size.min(self.cycle.len()));
        for key in &keys {
            if !self.handed.has(key) {
                self.put_entry(key, &mut entries);
            }
        }
        let (buffer, _) = entries.done();
        SPARE.with(|spare| spare.put_back(buffer));
    }

    fn put_entry(&mut self, key: &Key, entries: &mut Packed<'_>) -> bool {
        entries.put(key, |to| self.write_entry(key, to))
    }

    /// Write the present value of an entry; None if it is gone.
    pub fn write_entry(&mut self, key: &Key, to: &mut Writer) -> Option<()> {
        match key {
            Key::Session(name) => self.sessions.get(name)?.freeze(to),
            Key::Agent(name) => self.agent_book.freeze_agent(name, to)?,
            Key::Told(Target::Agent, agent, session) => self.agent_book.freeze_hold(agent, session, to)?,
            Key::Told(Target::Customer, customer, session) => self.customers.freeze(customer, session, to)?,
            Key::Told(Target::Reviewer, reviewer, session) => self.reviewers.freeze(reviewer, session, to)?,
            Key::Complaint(name) => self.complaints.freeze(name, to)?,
            Key::Settings => to.0.extend_from_slice(&self.settings),
            Key::Meta => self.write_meta(to),
            Key::Ids(chunk) => to.bin(self.ids.chunk(*chunk)?),
            Key::BusinessIds(chunk) => to.bin(self.business_ids.chunk(*chunk)?),
            Key::Cell(_) | Key::Totals(_) | Key::Levels(_) | Key::Known(_) => self.books.write_entry(key, to)?,
        }
        Some(())
    }

    fn write_meta(&self, to: &mut Writer) {
        to.array(7);
        self.clock.freeze(to);
        to.map(self.counts.iter().flatten().count());
        for (topic, counts) in TOPICS.iter().zip(&self.counts) {
            if let Some(counts) = counts {
                to.str(topic.text());
                to.map(4);
                for (name, count) in counts.named() {
                    to.str(name);
                    to.int(count);
                }
            }
        }
        to.map(self.books.counters.len());
        for (name, count) in &self.books.counters {
            to.str(name);
            to.int(*count);
        }
        to.array(6);
        for bound in self.books.cells.first {
            to.int(bound);
        }
        to.int(self.books.cells.first_sketch);
        to.int(self.books.cells.now);
        self.expiry.freeze(to);
        to.array(2);
        for ids in [&self.ids, &self.business_ids] {
            to.array(2);
            to.int(ids.first);
            to.int(ids.evicted);
        }
        to.array(3);
        to.int(self.customers.settled);
        to.int(self.reviewers.closed);
        to.int(self.complaints.looked_at);
    }

    /// The keys of all entries.
    pub fn entry_keys(&self) -> Vec<Key> {
        let told = |kind: Target| move |(target, session): (Name, Name)| Key::Told(kind, target, session);
        let mut keys: Vec<Key> = self.sessions.keys().cloned().map(Key::Session).collect();
        keys.extend(self.agent_book.agents.keys().cloned().map(Key::Agent));
        keys.extend(self.agent_book.holds().into_iter().map(told(Target::Agent)));
        keys.extend(self.customers.known().into_iter().map(told(Target::Customer)));
        keys.extend(self.reviewers.known().into_iter().map(told(Target::Reviewer)));
        keys.extend(self.complaints.known().into_iter().map(Key::Complaint));
        self.books.entry_keys(&mut keys);
        keys.extend(self.ids.chunk_ids().map(Key::Ids));
        keys.extend(self.business_ids.chunk_ids().map(Key::BusinessIds));
        keys.extend([Key::Settings, Key::Meta]);
        keys
    }

    /// Take all entries in; `unpublished`: keys of those whose readings may not have gone out.
    ///
    /// `before`: the settings by which they had been booked, where those are others than now.
    pub fn restore<'a>(
        &mut self,
        entries: &[(&str, &'a [u8])],
        unpublished: &[String],
        before: Option<&Rules>,
    ) -> Result<(), Malformed> {
        let addresses = &mut self.addresses;
        let known =
            |(text, value): &(&str, &'a [u8])| Key::of(text, addresses).map(|key| (key, *value)).ok_or(Malformed("unknown key"));
        let entries = entries.iter().map(known).collect::<Result<Vec<(Key, &[u8])>, Malformed>>()?;
        for (key, value) in &entries {
            match key {
                Key::Session(name) => drop(self.sessions.insert(name.clone(), Session::thaw(&mut Reader::new(value))?)),
                Key::Agent(name) => self.agent_book.thaw_agent(name, value)?,
                Key::Cell(_) | Key::Totals(_) | Key::Levels(_) | Key::Known(_) => self.books.restore_entry(key, value)?,
                Key::Meta => self.restore_meta(&mut Reader::new(value))?,
                _ => {}
            }
        }
        let (mut chunks, mut of_business) = (Vec::new(), Vec::new());
        for (key, value) in &entries {
            match key {
                Key::Told(Target::Agent, agent, session) => self.agent_book.thaw_hold(agent, session, value)?,
                Key::Told(Target::Customer, customer, session) => self.customers.thaw(customer, session, value, &self.rules)?,
                Key::Told(Target::Reviewer, reviewer, session) => {
                    self.reviewers.thaw(reviewer, session, value, &mut self.addresses, &self.rules)?
                }
                Key::Complaint(name) => self.complaints.thaw(name, value, &mut self.books, &mut self.addresses)?,
                Key::Ids(id) => chunks.push((*id, Reader::new(value).bin()?.to_vec())),
                Key::BusinessIds(id) => of_business.push((*id, Reader::new(value).bin()?.to_vec())),
                _ => {}
            }
        }
        let newest = |topics: &[Topic]| topics.iter().filter_map(|topic| self.clock.newest[*topic as usize]).max().unwrap_or(0);
        self.ids.restore(chunks, newest(&[Topic::Sessions, Topic::Queues, Topic::Status]));
        self.business_ids.restore(of_business, newest(&[Topic::Business]));
        let closed = self.expiry.agents_before;
        self.agent_book.restored(before, closed, &self.rules, &mut self.addresses, &mut self.books);
        self.restore_sessions();
        self.books.restored(unpublished, &mut self.addresses);
        Ok(())
    }

    fn restore_meta(&mut self, from: &mut Reader<'_>) -> Result<(), Malformed> {
        from.array()?;
        self.clock.thaw(from)?;
        for _ in 0..from.map()? {
            let topic = Topic::of(from.str()?).ok_or(Malformed("unknown topic"))?;
            let mut counts = Outcomes::default();
            for _ in 0..from.map()? {
                let count = counts.of(from.str()?).ok_or(Malformed("unknown outcome"))?;
                *count = from.int()?;
            }
            self.counts[topic as usize] = Some(counts);
        }
        self.books.counters.clear();
        for _ in 0..from.map()? {
            let name = from.str()?.to_owned();
            self.books.counters.insert(name, from.int()?);
        }
        let bounds = (0..from.array()?).map(|_| from.int()).collect::<Result<Vec<i64>, Malformed>>()?;
        let cells = &mut self.books.cells;
        for (first, bound) in cells.first.iter_mut().zip(&bounds) {
            *first = *bound;
        }
        if let [.., first_sketch, now] = bounds[..] {
            cells.first_sketch = first_sketch;
            cells.now = now;
        }
        self.expiry.thaw(from)?;
        from.array()?;
        for ids in [&mut self.ids, &mut self.business_ids] {
            from.array()?;
            ids.first = from.int()?;
            ids.evicted = from.int()?;
        }
        from.array()?;
        self.customers.settled = from.int()?;
        self.reviewers.closed = from.int()?;
        self.complaints.looked_at = from.int()?;
        Ok(())
    }

    /// Put the open sessions back into the gauges, and all under watch.
    fn restore_sessions(&mut self) {
        self.books.keep_gauges();
        for (session_id, session) in &mut self.sessions {
            self.expiry.watch_again(session_id, session, &self.rules);
            let derived = derive(session, &self.rules, &mut self.addresses);
            self.books.show(&Shown::default(), &derived.shown);
            session.rest();
        }
    }
}

impl Outcomes {
    /// The counts with their names.
    pub fn named(&self) -> [(&'static str, i64); 4] {
        [("applied", self.applied), ("duplicate", self.duplicate), ("late", self.late), ("invalid", self.invalid)]
    }

    fn of(&mut self, name: &str) -> Option<&mut i64> {
        Some(match name {
            "applied" => &mut self.applied,
            "duplicate" => &mut self.duplicate,
            "late" => &mut self.late,
            "invalid" => &mut self.invalid,
            _ => return None,
        })
    }
}
