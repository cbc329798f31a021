//! Readings as bytes: the keys and values of `schemas/readings.py`, made without anything in between.

use crate::books::Books;
use crate::cell::Cell;
use crate::cells::{is_length, CellId};
use crate::names::{Address, Dimension, Ms, Name};
use crate::numbers::digits;
use crate::parts::{self, Part};
use crate::rules::Rules;
use crate::spare::Spare;

/// Readings of one flush, one behind the other.
///
/// Theory. There are thousands, of some hundred bytes to some KB, each written without knowing how long it gets. In blocks of their own they
/// would grow five times each, and be let go of all at once: holes of the sizes to which they grew. So there is one buffer.
pub struct Readings {
    stamp: Stamp,
    bytes: Vec<u8>,
    /// Where the key of each ends, and its value; None: it is a tombstone.
    ends: Vec<(usize, Option<usize>)>,
}

const VERSION: i64 = 1;

/// Whose flush it is: each value says so.
#[derive(Clone, Copy)]
pub struct Stamp {
    pub partition: u32,
    pub epoch: i64,
    pub seq: i64,
}

fn put_int(to: &mut Vec<u8>, value: i64) {
    digits(value, |text| to.extend_from_slice(text));
}

thread_local! {
    static SPARE: Spare = Spare::default();
}

impl Readings {
    fn new(stamp: Stamp, bytes: Vec<u8>) -> Readings {
        Readings { stamp, bytes, ends: Vec::new() }
    }

    /// Leave the buffer to the readings of the next flush.
    pub fn leave(self) {
        let used = self.bytes.len();
        SPARE.with(|spare| spare.put(self.bytes, used));
    }

    /// Begin a reading, which is a tombstone until it has a value.
    fn key(&mut self, kind: &str, address: &Address, slice: Option<(Ms, Ms)>) {
        put_key(&mut self.bytes, self.stamp.partition, kind, address, slice);
        self.ends.push((self.bytes.len(), None));
    }

    fn slice_key(&mut self, id: &CellId) {
        self.key("slice", &id.address, Some((id.length, id.number * id.length)));
    }

    /// Give the last reading its value.
    fn value<'a>(&mut self, parts: impl Iterator<Item = &'a (Part, i64)>, ahead: &[(Ms, &'static str, i64)]) {
        self.stamp.put_value(&mut self.bytes, parts, ahead);
        if let Some(last) = self.ends.last_mut() {
            last.1 = Some(self.bytes.len());
        }
    }

    /// (record key, record value) of each; a value of None is a tombstone.
    pub fn records(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let mut start = 0;
        self.ends.iter().map(move |(key_end, value_end)| {
            let key = &self.bytes[start..*key_end];
            start = value_end.unwrap_or(*key_end);
            (key, value_end.map(|value_end| &self.bytes[*key_end..value_end]))
        })
    }
}

fn put_key(to: &mut Vec<u8>, partition: u32, kind: &str, address: &Address, slice: Option<(Ms, Ms)>) {
    to.extend_from_slice(b"[\"");
    to.extend_from_slice(kind.as_bytes());
    to.extend_from_slice(b"\",");
    put_int(to, i64::from(partition));
    to.push(b',');
    to.extend_from_slice(address.json());
    if let Some((length, start)) = slice {
        for number in [length, start] {
            to.push(b',');
            put_int(to, number);
        }
    }
    to.push(b']');
}

impl Stamp {
    fn put_value<'a>(&self, to: &mut Vec<u8>, parts: impl Iterator<Item = &'a (Part, i64)>, ahead: &[(Ms, &'static str, i64)]) {
        for (name, number) in [("{\"v\":", VERSION), (",\"epoch\":", self.epoch), (",\"seq\":", self.seq)] {
            to.extend_from_slice(name.as_bytes());
            put_int(to, number);
        }
        to.extend_from_slice(b",\"parts\":");
        let mut before = b'{';
        for (part, number) in parts {
            to.push(before);
            to.extend_from_slice(part.json().as_bytes());
            put_int(to, *number);
            before = b',';
        }
        if before == b'{' {
            to.push(b'{');
        }
        to.push(b'}');
        if !ahead.is_empty() {
            to.extend_from_slice(b",\"ahead\":");
            let mut before = b'[';
            for (at, name, step) in ahead {
                to.extend_from_slice(&[before, b'[']);
                put_int(to, *at);
                to.extend_from_slice(b",\"");
                to.extend_from_slice(name.as_bytes());
                to.extend_from_slice(b"\",");
                put_int(to, *step);
                to.push(b']');
                before = b',';
            }
            to.push(b']');
        }
        to.push(b'}');
    }
}

impl Books {
    /// Return the readings of everything that changed; retired cells become tombstones.
    ///
    /// `each` is shown every cell that changed, None for one without anything: found once, it is read by both who tell of it.
    pub fn readings(
        &mut self,
        stamp: Stamp,
        now: Ms,
        gone: &[CellId],
        rules: &Rules,
        mut each: impl FnMut(&CellId, Option<&Cell>),
    ) -> Readings {
        let mut readings = Readings::new(stamp, SPARE.with(Spare::take));
        for id in &self.cells.changed {
            readings.slice_key(id);
            let cell = self.cells.get(id);
            if cell.is_some() || !self.cells.is_over(id) {
                readings.value(cell.as_ref().map_or(&[][..], |cell| cell.parts()).iter(), &[]);
            }
            each(id, cell.as_deref());
        }
        gone.iter().for_each(|id| readings.slice_key(id));
        for (address, ids) in &self.dropped {
            ids.iter().for_each(|id| readings.slice_key(id));
            ["now", "total"].iter().for_each(|kind| readings.key(kind, address, None));
        }
        for address in &self.totals.changed {
            if let Some(cell) = self.totals.cells.get(address) {
                readings.key("total", address, None);
                readings.value(cell.parts().iter(), &[]);
            }
        }
        self.gauges.changes(now, rules, |address, body| {
            readings.key("now", address, None);
            readings.value(body.iter(), &[]);
        });
        for address in &self.cells.changed_levels {
            readings.key("now", address, None);
            self.put_levels_value(&mut readings, address);
        }
        readings
    }

    fn put_levels_value(&self, readings: &mut Readings, address: &Address) {
        let (levels, fixed) = (self.cells.levels.get(address), self.cells.fixed.get(address));
        let parts = [levels, fixed].into_iter().flatten().flat_map(|cell| cell.parts());
        readings.value(parts, &self.cells.ahead_of(address));
    }

    /// Return a reading as it is after the last flush; a tombstone where what its key names is over.
    ///
    /// A slice that is only empty now has no tombstone: what is over is over for ever, and facts may come back to this one.
    pub fn reading(&self, stamp: Stamp, kind: &str, address: &Address, slice: (Ms, Ms), now: Ms, rules: &Rules) -> Readings {
        let mut reading = Readings::new(stamp, Vec::new());
        if kind == "slice" {
            let (length, start) = slice;
            reading.key(kind, address, Some(slice));
            if !is_length(length) {
                return reading;
            }
            let id = CellId { length, number: start.div_euclid(length), address: address.clone() };
            let over = self.cells.is_over(&id) || !self.addresses.contains(address);
            match self.cells.get(&id) {
                Some(cell) => reading.value(cell.parts().iter(), &[]),
                None if over => {}
                None => reading.value([].iter(), &[]),
            }
            return reading;
        }
        reading.key(kind, address, None);
        match (kind, address.dimension()) {
            ("now", Dimension::Queue) => reading.value(self.gauges.body(address, now, rules).iter(), &[]),
            ("now", _) if self.cells.levels.contains_key(address) => self.put_levels_value(&mut reading, address),
            ("now", _) => {}
            _ => {
                if let Some(cell) = self.totals.cells.get(address) {
                    reading.value(cell.parts().iter(), &[]);
                }
            }
        }
        reading
    }
}

/// The address of a reading's key; None where there is no such dimension.
pub fn address_of(dimension: &str, name: &str, channel: &str) -> Option<Address> {
    Some(Address::new(Dimension::of(dimension)?, Name::from(name), Name::from(channel)))
}

/// Whether a session was ever booked at an address, so that its gauges are shown for ever.
pub fn shows_sessions(totals: &crate::cell::Cell) -> bool {
    totals.has(parts::OFFERED) || totals.has(parts::CONNECTED)
}
