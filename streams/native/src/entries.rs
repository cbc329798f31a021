//! What a floor hands out and takes back in as entries of the journal; `streams/core/output.py` has the letters.

use crate::cellentries::Entry;
use crate::cells::CellId;
use crate::derive::derive;
use crate::facts::{Shown, Topic, TOPICS};
use crate::floor::{Floor, Outcomes};
use crate::keys::{joined, parted};
use crate::names::Name;
use crate::pack::{Malformed, Reader, Writer};
use crate::rules::Rules;
use crate::session::Session;

impl Floor {
    /// Drop ids that are over; return the keys of the entries that are gone.
    pub fn drop_ids(&mut self) -> Vec<String> {
        let mark = self.clock.watermark;
        let gone = self.ids.drop_old(mark).into_iter().map(|key| joined("d", &[&key]));
        let of_business: Vec<String> = self.business_ids.drop_old(mark).into_iter().map(|key| joined("b", &[&key])).collect();
        let gone = gone.chain(of_business).collect();
        self.books.set("ids_evicted", self.ids.evicted + self.business_ids.evicted);
        gone
    }

    /// The entries that changed since the last call, None for those that are gone; none where nobody keeps them.
    pub fn changed_entries(&mut self, gone: &[CellId], dropped: Vec<String>) -> Vec<Entry> {
        let mut entries = Vec::new();
        let keys = std::mem::take(&mut self.touched.keys);
        let sessions = std::mem::take(&mut self.touched.sessions);
        let keeps = self.keeps_entries;
        if keeps {
            for name in sessions {
                let value = self.sessions.get(&name).map(frozen);
                entries.push((joined("s", &[&name]), value));
            }
            for key in keys {
                let value = self.entry(&key);
                entries.push((key, value));
            }
            self.books.changed_entries(gone, &mut entries);
        }
        for (letter, ids) in [("d", &mut self.ids), ("b", &mut self.business_ids)] {
            ids.chunks(|key, chunk| {
                if keeps {
                    entries.push((joined(letter, &[&key]), Some(packed(|to| to.bin(chunk)))));
                }
            });
        }
        if keeps {
            entries.extend(dropped.into_iter().map(|key| (key, None)));
            entries.push(("m".to_owned(), Some(self.meta())));
        }
        self.books.forget_changes();
        entries
    }

    fn meta(&self) -> Vec<u8> {
        packed(|to| {
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
        })
    }

    /// The keys of all entries.
    pub fn entry_keys(&self) -> Vec<String> {
        let two = |letter: &str, (first, second): &(Name, Name)| joined(letter, &[first, second]);
        let mut keys: Vec<String> = self.sessions.keys().map(|name| joined("s", &[name])).collect();
        keys.extend(self.agent_book.agents.keys().map(|name| joined("a", &[name])));
        keys.extend(self.agent_book.holds().iter().map(|names| two("h", names)));
        keys.extend(self.customers.known().iter().map(|names| two("k", names)));
        keys.extend(self.reviewers.known().iter().map(|names| two("v", names)));
        keys.extend(self.complaints.known().iter().map(|name| joined("x", &[name])));
        self.books.entry_keys(&mut keys);
        keys.extend(self.ids.chunk_keys().map(|key| joined("d", &[&key])));
        keys.extend(self.business_ids.chunk_keys().map(|key| joined("b", &[&key])));
        keys.push("r".to_owned());
        keys.push("m".to_owned());
        keys
    }

    /// The present value of an entry, None if it is gone.
    pub fn entry(&mut self, key: &str) -> Option<Vec<u8>> {
        let (letter, name) = parted(key);
        let two = || parted(name);
        match letter {
            "s" => self.sessions.get(name).map(frozen),
            "a" => self.agent_book.freeze_agent(name),
            "h" => self.agent_book.freeze_hold(two().0, two().1),
            "k" => self.customers.freeze(two().0, two().1),
            "v" => self.reviewers.freeze(two().0, two().1),
            "x" => self.complaints.freeze(name),
            "r" => Some(self.settings.clone()),
            "m" => Some(self.meta()),
            "d" => self.ids.chunk(name).map(|chunk| packed(|to| to.bin(chunk))),
            "b" => self.business_ids.chunk(name).map(|chunk| packed(|to| to.bin(chunk))),
            _ => self.books.entry_value(key),
        }
    }

    /// Take all entries in; `unpublished`: keys of those whose readings may not have gone out.
    ///
    /// `before`: the settings by which they had been booked, where those are others than now.
    pub fn restore(&mut self, entries: &[(&str, &[u8])], unpublished: &[String], before: Option<&Rules>) -> Result<(), Malformed> {
        let of = |letter: &'static str| entries.iter().filter(move |(key, _)| parted(key).0 == letter);
        for (key, value) in of("s") {
            self.sessions.insert(Name::from(parted(key).1), Session::thaw(&mut Reader::new(value))?);
        }
        for (key, value) in of("a") {
            self.agent_book.thaw_agent(parted(key).1, value)?;
        }
        for letter in ["c", "t", "l", "n"] {
            for (key, value) in of(letter) {
                self.books.restore_entry(key, value)?;
            }
        }
        for (key, value) in of("h") {
            let (agent_id, session_id) = parted(parted(key).1);
            self.agent_book.thaw_hold(agent_id, session_id, value)?;
        }
        for (letter, ids) in [("d", &mut self.ids), ("b", &mut self.business_ids)] {
            let mut chunks = Vec::new();
            for (key, value) in of(letter) {
                chunks.push((parted(key).1.to_owned(), Reader::new(value).bin()?.to_vec()));
            }
            ids.restore(chunks);
        }
        for (_, value) in of("m") {
            self.restore_meta(&mut Reader::new(value))?;
        }
        for (key, value) in of("x") {
            self.complaints.thaw(parted(key).1, value, &mut self.books, &mut self.addresses)?;
        }
        for (key, value) in of("k") {
            let (customer, session_id) = parted(parted(key).1);
            self.customers.thaw(customer, session_id, value, &self.rules)?;
        }
        for (key, value) in of("v") {
            let (reviewer, session_id) = parted(parted(key).1);
            self.reviewers.thaw(reviewer, session_id, value)?;
        }
        let closed = self.expiry.agents_before;
        self.agent_book.restored(before, closed, &self.rules, &mut self.addresses, &mut self.books);
        self.restore_sessions();
        self.books.restored(unpublished);
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

fn packed(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut to = Writer::new();
    write(&mut to);
    to.0
}

fn frozen(session: &Session) -> Vec<u8> {
    let mut to = Writer(Vec::with_capacity(64 * (1 + session.size())));
    session.freeze(&mut to);
    to.0
}
