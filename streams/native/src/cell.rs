//! One cell: parts with their values, and the same as a few bytes.
//!
//! Theory. A part with its value takes 16 bytes, so that it can be found and changed quickly. Where nothing is changed any more three or
//! four do: the part as the distance to the one before, and the value with its sign in the lowest bit, both in groups of
//! seven bits, the lowest first (LEB128), for most are small.

use crate::parts::Part;

/// Parts with their values, none of them 0, in order.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Cell(Vec<(Part, i64)>);

impl Cell {
    /// Add to a part; one that comes to 0 is gone.
    pub fn add(&mut self, part: Part, amount: i64) {
        match self.0.binary_search_by_key(&part, |known| known.0) {
            Ok(place) => {
                self.0[place].1 += amount;
                if self.0[place].1 == 0 {
                    self.0.remove(place);
                }
            }
            Err(place) if amount != 0 => self.0.insert(place, (part, amount)),
            Err(_) => {}
        }
    }

    pub fn has(&self, part: Part) -> bool {
        self.0.binary_search_by_key(&part, |known| known.0).is_ok()
    }

    pub fn parts(&self) -> &[(Part, i64)] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Take the sketch buckets out; return whether there were any.
    pub fn without_sketch(&mut self) -> bool {
        let before = self.0.len();
        self.0.retain(|(part, _)| part.bucket_of().is_none());
        self.0.len() < before
    }

    /// Append the cell as bytes.
    pub fn pack(&self, to: &mut Vec<u8>) {
        let mut before = 0;
        for (part, value) in &self.0 {
            put_number(to, u64::from(part.0 - before));
            put_number(to, ((value << 1) ^ (value >> 63)) as u64);
            before = part.0;
        }
    }

    /// The cell that these bytes are.
    pub fn unpacked(bytes: &[u8]) -> Cell {
        let (mut parts, mut rest, mut before) = (Vec::with_capacity(places_of(bytes)), bytes, 0);
        while !rest.is_empty() {
            before += take_number(&mut rest) as u32;
            let value = take_number(&mut rest);
            parts.push((Part(before), (value >> 1) as i64 ^ -((value & 1) as i64)));
        }
        Cell(parts)
    }

    /// The vector of parts, for the room that it takes.
    pub fn places(&self) -> &Vec<(Part, i64)> {
        &self.0
    }
}

/// How many parts these bytes are: each is two numbers, and each number has one byte below 128, its last.
fn places_of(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte < 128).count() / 2
}

fn put_number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 128 {
        to.push(number as u8 | 128);
        number >>= 7;
    }
    to.push(number as u8);
}

fn take_number(from: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    while let Some((byte, rest)) = from.split_first() {
        *from = rest;
        number |= u64::from(byte & 127) << shift;
        if *byte < 128 {
            break;
        }
        shift += 7;
    }
    number
}
