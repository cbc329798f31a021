//! Keys of entries: which piece of the state an entry of the journal is, and how that is said as text.
//!
//! The text is a letter, then names, separated by the unit separator, which no name may hold; `streams/core/output.py` has the
//! letters. Within the core a key is what it stands for, so that none is put together or taken apart but at the border.

use crate::cells::{is_length, CellId};
use crate::ids::ChunkId;
use crate::names::{Address, Addresses, Dimension, Name};
use crate::numbers::digits;
use crate::told::Target;

/// What separates the letter and the names.
const SEPARATOR: char = '\x1f';

/// Which piece of the state an entry is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Key {
    Session(Name),
    Agent(Name),
    /// What relay records say of a session, of an agent's hands, a customer or a reviewer.
    Told(Target, Name, Name),
    Complaint(Name),
    Cell(CellId),
    Totals(Address),
    Levels(Address),
    Known(Address),
    Ids(ChunkId),
    BusinessIds(ChunkId),
    Settings,
    Meta,
}

impl Key {
    /// Append the text of it.
    pub fn write(&self, to: &mut String) {
        match self {
            Key::Session(name) => put(to, "s", &[name]),
            Key::Agent(name) => put(to, "a", &[name]),
            Key::Told(kind, target, session) => put(to, kind.letter(), &[target, session]),
            Key::Complaint(name) => put(to, "x", &[name]),
            Key::Cell(id) => put_cell(to, id),
            Key::Totals(address) => put_address(to, "t", address),
            Key::Levels(address) => put_address(to, "l", address),
            Key::Known(address) => put_address(to, "n", address),
            Key::Ids(chunk) => put_chunk(to, "d", *chunk),
            Key::BusinessIds(chunk) => put_chunk(to, "b", *chunk),
            Key::Settings => to.push('r'),
            Key::Meta => to.push('m'),
        }
    }

    /// The text of it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    /// The key of a text; None if it is none.
    pub fn of(text: &str, addresses: &mut Addresses) -> Option<Key> {
        let (letter, names) = text.split_once(SEPARATOR).unwrap_or((text, ""));
        let one = || Name::from(names);
        if let Some(kind) = Target::of(letter) {
            let (target, session) = names.split_once(SEPARATOR)?;
            return Some(Key::Told(kind, Name::from(target), Name::from(session)));
        }
        Some(match letter {
            "s" => Key::Session(one()),
            "a" => Key::Agent(one()),
            "x" => Key::Complaint(one()),
            "c" => {
                let mut texts = names.splitn(3, SEPARATOR);
                let length = texts.next()?.parse().ok().filter(|length| is_length(*length))?;
                let number = texts.next()?.parse().ok()?;
                Key::Cell(CellId { length, number, address: address_of(texts.next()?, addresses)? })
            }
            "t" => Key::Totals(address_of(names, addresses)?),
            "l" => Key::Levels(address_of(names, addresses)?),
            "n" => Key::Known(address_of(names, addresses)?),
            "d" => Key::Ids(chunk_of(names)?),
            "b" => Key::BusinessIds(chunk_of(names)?),
            "r" => Key::Settings,
            "m" => Key::Meta,
            _ => return None,
        })
    }
}

/// Append the text of a cell's key.
pub fn put_cell(to: &mut String, id: &CellId) {
    put_numbers(to, "c", [id.length, id.number]);
    put_address(to, "", &id.address);
}

fn put_numbers(to: &mut String, letter: &str, numbers: [i64; 2]) {
    to.push_str(letter);
    for number in numbers {
        to.push(SEPARATOR);
        digits(number, |text| to.extend(text.iter().map(|digit| char::from(*digit))));
    }
}

fn put(to: &mut String, letter: &str, names: &[&str]) {
    to.push_str(letter);
    for name in names {
        to.push(SEPARATOR);
        to.push_str(name);
    }
}

fn put_address(to: &mut String, letter: &str, address: &Address) {
    put(to, letter, &[address.dimension().text(), address.name(), address.channel()]);
}

fn put_chunk(to: &mut String, letter: &str, (number, position): ChunkId) {
    put_numbers(to, letter, [number, position as i64]);
}

fn address_of(names: &str, addresses: &mut Addresses) -> Option<Address> {
    let mut texts = names.splitn(3, SEPARATOR);
    let dimension = Dimension::of(texts.next()?)?;
    Some(addresses.of_text(dimension, texts.next()?, texts.next()?))
}

fn chunk_of(names: &str) -> Option<ChunkId> {
    let (number, position) = names.split_once(SEPARATOR)?;
    Some((number.parse().ok()?, position.parse().ok()?))
}
