//! Readings as bytes: the keys and values of `schemas/readings.py`, made without anything in between.

use crate::books::Books;
use crate::cells::{is_length, CellId};
use crate::names::{Address, Dimension, Ms, Name};
use crate::parts::{self, Part};
use crate::rules::Rules;

/// (record key, record value); a value of None is a tombstone.
pub type Published = (Vec<u8>, Option<Vec<u8>>);

const VERSION: i64 = 1;

/// Whose flush it is: each value says so.
#[derive(Clone, Copy)]
pub struct Stamp {
    pub partition: u32,
    pub epoch: i64,
    pub seq: i64,
}

fn put_int(to: &mut Vec<u8>, value: i64) {
    let mut digits = [0u8; 20];
    let mut place = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        place -= 1;
        digits[place] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        to.push(b'-');
    }
    to.extend_from_slice(&digits[place..]);
}

/// Write a text as JSON; names hold no control characters, but may hold quotes and backslashes.
fn put_text(to: &mut Vec<u8>, text: &str) {
    to.push(b'"');
    if text.bytes().any(|byte| byte == b'"' || byte == b'\\') {
        for byte in text.bytes() {
            if byte == b'"' || byte == b'\\' {
                to.push(b'\\');
            }
            to.push(byte);
        }
    } else {
        to.extend_from_slice(text.as_bytes());
    }
    to.push(b'"');
}

impl Stamp {
    fn key(&self, kind: &str, address: &Address, slice: Option<(Ms, Ms)>) -> Vec<u8> {
        let mut key = Vec::with_capacity(64);
        key.extend_from_slice(b"[\"");
        key.extend_from_slice(kind.as_bytes());
        key.extend_from_slice(b"\",");
        put_int(&mut key, i64::from(self.partition));
        for text in [address.dimension().text(), address.name(), address.channel()] {
            key.push(b',');
            put_text(&mut key, text);
        }
        if let Some((length, start)) = slice {
            for number in [length, start] {
                key.push(b',');
                put_int(&mut key, number);
            }
        }
        key.push(b']');
        key
    }

    fn slice_key(&self, id: &CellId) -> Vec<u8> {
        self.key("slice", &id.address, Some((id.length, id.number * id.length)))
    }

    fn value<'a>(&self, parts: impl Iterator<Item = &'a (Part, i64)>, ahead: &[(Ms, &'static str, i64)]) -> Vec<u8> {
        let mut value = Vec::with_capacity(128);
        for (name, number) in [("{\"v\":", VERSION), (",\"epoch\":", self.epoch), (",\"seq\":", self.seq)] {
            value.extend_from_slice(name.as_bytes());
            put_int(&mut value, number);
        }
        value.extend_from_slice(b",\"parts\":");
        let mut before = b'{';
        for (part, number) in parts {
            value.extend_from_slice(&[before, b'"']);
            value.extend_from_slice(part.name().as_bytes());
            value.extend_from_slice(b"\":");
            put_int(&mut value, *number);
            before = b',';
        }
        if before == b'{' {
            value.push(b'{');
        }
        value.push(b'}');
        if !ahead.is_empty() {
            value.extend_from_slice(b",\"ahead\":");
            let mut before = b'[';
            for (at, name, step) in ahead {
                value.extend_from_slice(&[before, b'[']);
                put_int(&mut value, *at);
                value.extend_from_slice(b",\"");
                value.extend_from_slice(name.as_bytes());
                value.extend_from_slice(b"\",");
                put_int(&mut value, *step);
                value.push(b']');
                before = b',';
            }
            value.push(b']');
        }
        value.push(b'}');
        value
    }
}

impl Books {
    /// Return the readings of everything that changed; retired cells become tombstones.
    pub fn readings(&mut self, stamp: Stamp, now: Ms, gone: &[CellId], rules: &Rules) -> Vec<Published> {
        let mut readings = Vec::new();
        for id in &self.cells.changed {
            let cell = self.cells.get(id);
            let over = cell.is_none() && self.cells.is_over(id);
            let parts = cell.as_ref().map_or(&[][..], |cell| cell.parts());
            readings.push((stamp.slice_key(id), (!over).then(|| stamp.value(parts.iter(), &[]))));
        }
        readings.extend(gone.iter().map(|id| (stamp.slice_key(id), None)));
        for (address, ids) in &self.dropped {
            readings.extend(ids.iter().map(|id| (stamp.slice_key(id), None)));
            readings.extend(["now", "total"].map(|kind| (stamp.key(kind, address, None), None)));
        }
        for address in &self.totals.changed {
            if let Some(cell) = self.totals.cells.get(address) {
                readings.push((stamp.key("total", address, None), Some(stamp.value(cell.parts().iter(), &[]))));
            }
        }
        self.gauges.changes(now, rules, |address, body| {
            readings.push((stamp.key("now", address, None), Some(stamp.value(body.iter(), &[]))));
        });
        for address in &self.cells.changed_levels {
            readings.push((stamp.key("now", address, None), Some(self.levels_value(stamp, address))));
        }
        readings
    }

    fn levels_value(&self, stamp: Stamp, address: &Address) -> Vec<u8> {
        let parts = |cell: Option<&'_ crate::cell::Cell>| cell.map_or(Vec::new(), |cell| cell.parts().to_vec());
        let mut all = parts(self.cells.levels.get(address));
        all.extend(parts(self.cells.fixed.get(address)));
        stamp.value(all.iter(), &self.cells.ahead_of(address))
    }

    /// Return a reading as it is after the last flush; a tombstone where what its key names is over.
    ///
    /// A slice that is only empty now has no tombstone: what is over is over for ever, and facts may come back to this one.
    pub fn reading(&self, stamp: Stamp, kind: &str, address: &Address, slice: (Ms, Ms), now: Ms, rules: &Rules) -> Published {
        if kind == "slice" {
            let (length, start) = slice;
            let key = stamp.key(kind, address, Some(slice));
            if !is_length(length) {
                return (key, None);
            }
            let id = CellId { length, number: start.div_euclid(length), address: address.clone() };
            let over = self.cells.is_over(&id) || !self.addresses.contains(address);
            return match self.cells.get(&id) {
                Some(cell) => (key, Some(stamp.value(cell.parts().iter(), &[]))),
                None => (key, (!over).then(|| stamp.value([].iter(), &[]))),
            };
        }
        let key = stamp.key(kind, address, None);
        let value = match (kind, address.dimension()) {
            ("now", Dimension::Queue) => Some(stamp.value(self.gauges.body(address, now, rules).iter(), &[])),
            ("now", _) => self.cells.levels.contains_key(address).then(|| self.levels_value(stamp, address)),
            _ => self.totals.cells.get(address).map(|cell| stamp.value(cell.parts().iter(), &[])),
        };
        (key, value)
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
