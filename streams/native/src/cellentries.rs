//! Journal entries of cells, totals, levels and known addresses.

use rustc_hash::FxHashSet;

use crate::books::Books;
use crate::cell::Cell;
use crate::cells::{Ahead, CellId};
use crate::keys::Key;
use crate::names::{Address, Addresses, Dimension};
use crate::pack::{Malformed, Reader, Writer};
use crate::parts::{Level, Part};
use crate::readings::shows_sessions;
use crate::touched::{swapped, Handed};

/// Write the parts of a cell.
pub fn put_parts(to: &mut Writer, parts: &[(Part, i64)]) {
    to.map(parts.len());
    for (part, value) in parts {
        to.str(part.name());
        to.int(*value);
    }
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
    /// The keys of totals, levels and addresses that changed; cells are told with their readings.
    pub fn changed_keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self.totals.changed.iter().cloned().map(Key::Totals).collect();
        keys.extend(self.cells.changed_levels.iter().cloned().map(Key::Levels));
        keys.extend(self.fresh_addresses.iter().cloned().map(Key::Known));
        keys
    }

    /// The keys of all that is gone with an address that was given up.
    pub fn dropped_keys(&self) -> Vec<Key> {
        let of_one = |(address, ids): (&Address, &Vec<CellId>)| -> Vec<Key> {
            let beside = [Key::Totals, Key::Levels, Key::Known].map(|key_of: fn(Address) -> Key| key_of(address.clone()));
            ids.iter().cloned().map(Key::Cell).chain(beside).collect()
        };
        self.dropped.iter().flat_map(of_one).collect()
    }

    /// Forget what changed, once entries and readings are made of it: it is handed out.
    pub fn forget_changes(&mut self, handed: &mut Handed) {
        swapped(&mut handed.cells, &mut self.cells.changed);
        swapped(&mut handed.levels, &mut self.cells.changed_levels);
        swapped(&mut handed.totals, &mut self.totals.changed);
        handed.keys.extend(self.fresh_addresses.drain().map(Key::Known));
        self.dropped.clear();
    }

    /// Append the keys of all these entries.
    pub fn entry_keys(&self, to: &mut Vec<Key>) {
        to.extend(self.cells.ids().map(Key::Cell));
        to.extend(self.totals.cells.keys().cloned().map(Key::Totals));
        to.extend(self.cells.levels.keys().cloned().map(Key::Levels));
        to.extend(self.addresses.iter().cloned().map(Key::Known));
    }

    /// Write the present value of one of these entries; None if it is gone.
    pub fn write_entry(&self, key: &Key, to: &mut Writer) -> Option<()> {
        match key {
            Key::Cell(id) => put_parts(to, self.cells.get(id)?.parts()),
            Key::Totals(address) => put_parts(to, self.totals.cells.get(address)?.parts()),
            Key::Levels(address) => self.put_levels(address, to)?,
            Key::Known(address) => to.int(self.addresses.get(address).map(|_| 1)?),
            _ => return None,
        }
        Some(())
    }

    fn put_levels(&self, address: &Address, to: &mut Writer) -> Option<()> {
        let (levels, ahead) = (self.cells.levels.get(address), self.cells.ahead_of(address));
        if levels.is_none() && ahead.is_empty() {
            return None; // steps that took each other back
        }
        to.array(2);
        put_parts(to, levels.map_or(&[], |cell| cell.parts()));
        to.array(ahead.len());
        for (at, level, step) in ahead {
            to.array(3);
            to.int(at);
            to.str(level);
            to.int(step);
        }
        Some(())
    }

    /// Take one of these entries in.
    pub fn restore_entry(&mut self, key: &Key, value: &[u8]) -> Result<(), Malformed> {
        let from = &mut Reader::new(value);
        match key {
            Key::Cell(id) => self.cells.put(id.clone(), read_parts(from)?),
            Key::Totals(address) => drop(self.totals.cells.insert(address.clone(), read_parts(from)?)),
            Key::Levels(address) => self.restore_levels(address.clone(), from)?,
            Key::Known(address) => drop(self.addresses.insert(address.clone())),
            _ => {}
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
    pub fn restored(&mut self, unpublished: &[String], addresses: &mut Addresses) {
        self.totals.changed = self.totals.cells.keys().cloned().collect();
        self.cells.changed_levels = self.cells.levels.keys().cloned().collect();
        let dropped: FxHashSet<&Address> = self.dropped.keys().collect();
        for key in unpublished.iter().filter_map(|text| Key::of(text, addresses)) {
            if let Key::Cell(id) = key {
                if !dropped.contains(&id.address) {
                    self.cells.changed.insert(id);
                }
            }
        }
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
