//! Journal entries of cells, totals, levels and known addresses; the letters are those of `streams/core/output.py`.

use rustc_hash::FxHashSet;

use crate::books::Books;
use crate::cells::{is_length, Ahead, Cell, CellId};
use crate::keys::{joined, SEPARATOR};
use crate::names::{Address, Dimension, Name};
use crate::pack::{Malformed, Reader, Writer};
use crate::parts::{Level, Part};
use crate::readings::shows_sessions;

/// (key, msgpack of the value); None = gone.
pub type Entry = (String, Option<Vec<u8>>);

fn address_key(letter: &str, address: &Address) -> String {
    joined(letter, &[address.dimension().text(), address.name(), address.channel()])
}

fn cell_key(length: i64, number: i64, address: &Address) -> String {
    let (length, number) = (length.to_string(), number.to_string());
    joined("c", &[&length, &number, address.dimension().text(), address.name(), address.channel()])
}

fn key_of(id: &CellId) -> String {
    cell_key(id.length, id.number, &id.address)
}

/// The address at the end of a key.
fn address_in<'a>(mut texts: impl Iterator<Item = &'a str>) -> Option<Address> {
    let dimension = Dimension::of(texts.next()?)?;
    Some(Address::new(dimension, Name::from(texts.next()?), Name::from(texts.next()?)))
}

/// The address of a key of the letters t, l and n.
fn address_of(key: &str) -> Option<Address> {
    address_in(key.split(SEPARATOR).skip(1))
}

fn cell_id(key: &str) -> Option<CellId> {
    let mut texts = key.split(SEPARATOR).skip(1);
    let length = texts.next()?.parse().ok().filter(|length| is_length(*length))?;
    let number = texts.next()?.parse().ok()?;
    Some(CellId { length, number, address: address_in(texts)? })
}

fn put_parts(to: &mut Writer, cell: Option<&Cell>) {
    let parts = cell.map_or(&[][..], |cell| cell.parts());
    to.map(parts.len());
    for (part, value) in parts {
        to.str(part.name());
        to.int(*value);
    }
}

fn packed(cell: &Cell) -> Vec<u8> {
    let mut to = Writer::new();
    put_parts(&mut to, Some(cell));
    to.0
}

fn read_parts(from: &mut Reader<'_>) -> Result<Cell, Malformed> {
    let mut cell = Cell::default();
    for _ in 0..from.map()? {
        let part = Part::of(from.str()?).ok_or(Malformed("unknown part of a cell"))?;
        cell.add(part, from.int()?);
    }
    Ok(cell)
}

impl Books {
    fn levels_entry(&self, address: &Address) -> Vec<u8> {
        let mut to = Writer::new();
        to.array(2);
        put_parts(&mut to, self.cells.levels.get(address));
        let ahead = self.cells.ahead_of(address);
        to.array(ahead.len());
        for (at, level, step) in ahead {
            to.array(3);
            to.int(at);
            to.str(level);
            to.int(step);
        }
        to.0
    }

    /// Append the entries of cells, totals, levels and addresses that changed; `gone`: cells that expired.
    pub fn changed_entries(&self, gone: &[CellId], to: &mut Vec<Entry>) {
        let cells = &self.cells;
        to.extend(cells.changed.iter().map(|id| (key_of(id), cells.get(id).map(packed))));
        to.extend(gone.iter().map(|id| (key_of(id), None)));
        for address in &self.totals.changed {
            to.push((address_key("t", address), self.totals.cells.get(address).map(packed)));
        }
        for address in &cells.changed_levels {
            to.push((address_key("l", address), Some(self.levels_entry(address))));
        }
        to.extend(self.fresh_addresses.iter().map(|address| (address_key("n", address), Some(vec![1]))));
        for (address, ids) in &self.dropped {
            to.extend(ids.iter().map(|id| (key_of(id), None)));
            to.extend(["t", "l", "n"].map(|letter| (address_key(letter, address), None)));
        }
    }

    /// Forget what changed, once entries and readings are made of it.
    pub fn forget_changes(&mut self) {
        self.dropped.clear();
        self.cells.changed.clear();
        self.cells.changed_levels.clear();
        self.totals.changed.clear();
        self.fresh_addresses.clear();
    }

    /// Append the keys of all these entries.
    pub fn entry_keys(&self, to: &mut Vec<String>) {
        to.extend(self.cells.all().map(|(length, number, address, _)| cell_key(length, number, address)));
        to.extend(self.totals.cells.keys().map(|address| address_key("t", address)));
        to.extend(self.cells.levels.keys().map(|address| address_key("l", address)));
        to.extend(self.addresses.iter().map(|address| address_key("n", address)));
    }

    /// The present value of one of these entries, None if it is gone.
    pub fn entry_value(&self, key: &str) -> Option<Vec<u8>> {
        match key.split(SEPARATOR).next()? {
            "c" => self.cells.get(&cell_id(key)?).map(packed),
            "t" => self.totals.cells.get(&address_of(key)?).map(packed),
            "l" => Some(self.levels_entry(&address_of(key)?)),
            "n" => self.addresses.contains(&address_of(key)?).then(|| vec![1]),
            _ => None,
        }
    }

    /// Take one of these entries in.
    pub fn restore_entry(&mut self, key: &str, value: &[u8]) -> Result<(), Malformed> {
        let known = || address_of(key).ok_or(Malformed("not the key of an address"));
        let from = &mut Reader::new(value);
        match key.split(SEPARATOR).next() {
            Some("c") => self.cells.put(cell_id(key).ok_or(Malformed("not the key of a cell"))?, read_parts(from)?),
            Some("t") => {
                self.totals.cells.insert(known()?, read_parts(from)?);
            }
            Some("l") => self.restore_levels(known()?, from)?,
            _ => {
                self.addresses.insert(known()?);
            }
        }
        Ok(())
    }

    fn restore_levels(&mut self, address: Address, from: &mut Reader<'_>) -> Result<(), Malformed> {
        from.array()?;
        let levels = read_parts(from)?;
        let mut ahead = Ahead::default();
        for _ in 0..from.array()? {
            from.array()?;
            let at = from.int()?;
            let level = Part::of(from.str()?).and_then(Level::of_value).ok_or(Malformed("unknown level"))?;
            ahead.insert((at, level), from.int()?);
        }
        if !ahead.is_empty() {
            self.cells.ahead.insert(address.clone(), ahead);
        }
        self.cells.levels.insert(address, levels);
        Ok(())
    }

    /// Let what was not published count as changed, and all totals and levels, too.
    pub fn restored(&mut self, unpublished: &[String]) {
        self.totals.changed = self.totals.cells.keys().cloned().collect();
        self.cells.changed_levels = self.cells.levels.keys().cloned().collect();
        let cells = unpublished.iter().filter(|key| key.starts_with("c\x1f")).filter_map(|key| cell_id(key));
        let dropped: FxHashSet<&Address> = self.dropped.keys().collect();
        self.cells.changed.extend(cells.filter(|id| !dropped.contains(&id.address)));
    }

    /// Show the gauges of every place where sessions ever were, or complaints.
    pub fn keep_gauges(&mut self) {
        for (address, totals) in &self.totals.cells {
            if shows_sessions(totals) {
                self.gauges.keep(address);
            }
        }
        for address in &self.addresses {
            if address.dimension() == Dimension::Queue && &**address.channel() == "unassigned" {
                self.gauges.complaint(address, 0);
            }
        }
    }
}
