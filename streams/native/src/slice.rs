//! The cells of one slice of time, open or closed.
//!
//! Theory. While events of a slice come in, its cells change and grow, each in blocks of its own. When it is over hardly anything changes,
//! but it stays: for an hour, for 15 days. Thousands of small blocks that stay lie between others that go, and keep the
//! heap from using the room for what is larger, nor can the room be given back: the heap grows for hours by holes. So a slice that has
//! been left alone for a while is closed: all its cells are packed into one block. What comes late opens it again.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use crate::cell::Cell;
use crate::kept::{allocated, of_places, of_table};
use crate::names::Address;

/// Cells by address.
pub enum Slice {
    Open { cells: FxHashMap<Address, Cell>, is_touched: bool },
    Closed(Closed),
}

/// Addresses in the order of their hashes, each with where its cell ends among the bytes.
pub struct Closed {
    ends: Box<[(Address, usize)]>,
    bytes: Box<[u8]>,
}

impl Default for Slice {
    fn default() -> Slice {
        Slice::Open { cells: FxHashMap::default(), is_touched: true }
    }
}

impl Slice {
    /// The cells, which are about to change.
    pub fn open(&mut self) -> &mut FxHashMap<Address, Cell> {
        if let Slice::Closed(closed) = self {
            let cells = closed.places().map(|(address, bytes)| (address.clone(), Cell::unpacked(bytes))).collect();
            *self = Slice::Open { cells, is_touched: true };
        }
        match self {
            Slice::Open { cells, is_touched } => {
                *is_touched = true;
                cells
            }
            Slice::Closed(_) => unreachable!("it was opened"),
        }
    }

    /// A cell that is about to change; one that was not there is empty.
    pub fn cell(&mut self, address: &Address) -> &mut Cell {
        let cells = self.open();
        if !cells.contains_key(address) {
            cells.insert(address.clone(), Cell::default());
        }
        cells.get_mut(address).expect("it was put there")
    }

    /// Close it, if it was left alone since the last call.
    pub fn rest(&mut self) {
        let Slice::Open { cells, is_touched } = self else { return };
        if std::mem::replace(is_touched, false) {
            return;
        }
        let mut sorted: Vec<(Address, Cell)> = cells.drain().collect();
        sorted.sort_unstable_by_key(|(address, _)| address.hash_number());
        let (mut ends, mut bytes) = (Vec::with_capacity(sorted.len()), Vec::new());
        for (address, cell) in sorted {
            cell.pack(&mut bytes);
            ends.push((address, bytes.len()));
        }
        *self = Slice::Closed(Closed { ends: ends.into_boxed_slice(), bytes: bytes.into_boxed_slice() });
    }

    pub fn get(&self, address: &Address) -> Option<Cow<'_, Cell>> {
        match self {
            Slice::Open { cells, .. } => cells.get(address).map(Cow::Borrowed),
            Slice::Closed(closed) => closed.bytes_of(address).map(|bytes| Cow::Owned(Cell::unpacked(bytes))),
        }
    }

    /// Take a cell out; return whether it was there.
    pub fn remove(&mut self, address: &Address) -> bool {
        match self {
            Slice::Open { cells, .. } => cells.remove(address).is_some(),
            Slice::Closed(closed) if closed.bytes_of(address).is_none() => false,
            Slice::Closed(_) => self.open().remove(address).is_some(),
        }
    }

    /// The addresses of all cells that hold something.
    pub fn held(&self) -> Box<dyn Iterator<Item = &Address> + '_> {
        match self {
            Slice::Open { cells, .. } => Box::new(cells.iter().filter(|(_, cell)| !cell.is_empty()).map(|(address, _)| address)),
            Slice::Closed(closed) => Box::new(closed.places().filter(|(_, bytes)| !bytes.is_empty()).map(|(address, _)| address)),
        }
    }

    /// The addresses of all cells.
    pub fn into_addresses(self) -> Vec<Address> {
        match self {
            Slice::Open { cells, .. } => cells.into_keys().collect(),
            Slice::Closed(closed) => closed.ends.into_vec().into_iter().map(|(address, _)| address).collect(),
        }
    }

    /// Its bytes, as the allocator gives them out.
    pub fn bytes(&self) -> usize {
        match self {
            Slice::Open { cells, .. } => of_table(cells) + cells.values().map(|cell| of_places(cell.places())).sum::<usize>(),
            Slice::Closed(closed) => allocated(std::mem::size_of_val(&*closed.ends)) + allocated(closed.bytes.len()),
        }
    }
}

impl Closed {
    /// All addresses, each with the bytes of its cell.
    fn places(&self) -> impl Iterator<Item = (&Address, &[u8])> {
        self.ends.iter().enumerate().map(|(place, (address, _))| (address, self.bytes_at(place)))
    }

    fn bytes_at(&self, place: usize) -> &[u8] {
        let start = if place == 0 { 0 } else { self.ends[place - 1].1 };
        &self.bytes[start..self.ends[place].1]
    }

    fn bytes_of(&self, address: &Address) -> Option<&[u8]> {
        let hash = address.hash_number();
        let first = self.ends.partition_point(|(known, _)| known.hash_number() < hash);
        let alike = self.ends[first..].iter().take_while(|(known, _)| known.hash_number() == hash);
        let place = first + alike.map(|(known, _)| known).position(|known| known == address)?;
        Some(self.bytes_at(place))
    }
}
