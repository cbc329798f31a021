//! Names and addresses: where facts belong.
//!
//! A name is shared text. An address (dimension, name, channel) is shared, too, and carries its hash, so that a look-up
//! neither copies nor reads the text; two addresses of equal text are equal whoever made them.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHasher};

/// Shared text.
pub type Name = Arc<str>;
/// Event time, or a duration, in ms.
pub type Ms = i64;

/// What an address is one of; the order is that of the texts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Dimension {
    Agent,
    Floor,
    Group,
    Queue,
    Slots,
}

impl Dimension {
    /// The text of it in keys.
    pub fn text(self) -> &'static str {
        match self {
            Dimension::Agent => "agent",
            Dimension::Floor => "floor",
            Dimension::Group => "group",
            Dimension::Queue => "queue",
            Dimension::Slots => "slots",
        }
    }

    /// The dimension of a text.
    pub fn of(text: &str) -> Option<Dimension> {
        Some(match text {
            "agent" => Dimension::Agent,
            "floor" => Dimension::Floor,
            "group" => Dimension::Group,
            "queue" => Dimension::Queue,
            "slots" => Dimension::Slots,
            _ => return None,
        })
    }
}

/// Where facts belong, with the text of it that each reading repeats.
#[derive(Debug)]
struct Place {
    dimension: Dimension,
    name: Name,
    channel: Name,
    hash: u64,
    /// Dimension, name and channel as JSON, separated by commas.
    json: Box<str>,
}

impl Place {
    fn new(dimension: Dimension, name: Name, channel: Name, hash: u64) -> Place {
        let mut json = String::new();
        for (before, text) in [("", dimension.text()), (",", &name), (",", &channel)] {
            json.push_str(before);
            put_json(&mut json, text);
        }
        Place { dimension, name, channel, hash, json: json.into_boxed_str() }
    }
}

/// Write a text as JSON; names hold no control characters, but may hold quotes and backslashes.
fn put_json(to: &mut String, text: &str) {
    to.push('"');
    for char in text.chars() {
        if char == '"' || char == '\\' {
            to.push('\\');
        }
        to.push(char);
    }
    to.push('"');
}

/// (dimension, name, channel); cheap to clone, to compare and to look up.
#[derive(Clone, Debug)]
pub struct Address(Arc<Place>);

fn hash_of(dimension: Dimension, name: &str, channel: &str) -> u64 {
    let mut hasher = FxHasher::default();
    (dimension, name, channel).hash(&mut hasher);
    hasher.finish()
}

impl Address {
    /// Make an address; `Addresses::of` gives the same object for the same text.
    pub fn new(dimension: Dimension, name: Name, channel: Name) -> Address {
        let hash = hash_of(dimension, &name, &channel);
        Address(Arc::new(Place::new(dimension, name, channel, hash)))
    }

    pub fn dimension(&self) -> Dimension {
        self.0.dimension
    }

    pub fn name(&self) -> &Name {
        &self.0.name
    }

    pub fn channel(&self) -> &Name {
        &self.0.channel
    }

    /// Dimension, name and channel as JSON, separated by commas.
    pub fn json(&self) -> &[u8] {
        self.0.json.as_bytes()
    }

    /// A number that equal addresses share, and others hardly ever.
    pub fn hash_number(&self) -> u64 {
        self.0.hash
    }

    /// Whether both are the same object: quick, and false for equal ones that were made apart.
    pub fn is(&self, other: &Address) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Address) -> bool {
        self.is(other)
            || (self.0.hash == other.0.hash
                && self.0.dimension == other.0.dimension
                && self.0.name == other.0.name
                && self.0.channel == other.0.channel)
    }
}

impl Eq for Address {}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Address) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Address {
    fn cmp(&self, other: &Address) -> Ordering {
        let key = |a: &Address| (a.0.dimension, a.0.name.clone(), a.0.channel.clone());
        key(self).cmp(&key(other))
    }
}

/// So many addresses are remembered; beyond it all are forgotten and made anew.
const KNOWN: usize = 65_536;

/// Gives the same object for the same address.
#[derive(Default)]
pub struct Addresses {
    known: FxHashMap<u64, Vec<Address>>,
    count: usize,
}

impl Addresses {
    /// Return the address of these names.
    pub fn of(&mut self, dimension: Dimension, name: &Name, channel: &Name) -> Address {
        self.known_or(dimension, (name, channel), || (name.clone(), channel.clone()))
    }

    /// Return the address of these texts.
    pub fn of_text(&mut self, dimension: Dimension, name: &str, channel: &str) -> Address {
        self.known_or(dimension, (name, channel), || (Name::from(name), Name::from(channel)))
    }

    fn known_or(&mut self, dimension: Dimension, (name, channel): (&str, &str), names: impl FnOnce() -> (Name, Name)) -> Address {
        let hash = hash_of(dimension, name, channel);
        if let Some(found) = self.known.get(&hash) {
            for address in found {
                if address.0.dimension == dimension && *address.0.name == *name && *address.0.channel == *channel {
                    return address.clone();
                }
            }
        }
        if self.count >= KNOWN {
            self.known.clear();
            self.count = 0;
        }
        let (name, channel) = names();
        let address = Address(Arc::new(Place::new(dimension, name, channel, hash)));
        self.known.entry(hash).or_default().push(address.clone());
        self.count += 1;
        address
    }

    /// Return the address of a queue on a channel.
    pub fn queue(&mut self, queue: &Name, channel: &Name) -> Address {
        self.of(Dimension::Queue, queue, channel)
    }

    /// Return the address of a group.
    pub fn group(&mut self, group: &Name) -> Address {
        self.of(Dimension::Group, group, &empty())
    }
}

thread_local! {
    static EMPTY: Name = Arc::from("");
    static UNASSIGNED: Name = Arc::from("unassigned");
}

/// The empty name.
pub fn empty() -> Name {
    EMPTY.with(Name::clone)
}

/// The name of what has none.
pub fn unassigned() -> Name {
    UNASSIGNED.with(Name::clone)
}

/// Gives the same object for the same name, so that a million sessions share the names of their queues and agents.
#[derive(Default)]
pub struct Names(FxHashMap<Box<str>, Name>);

impl Names {
    /// Return a name.
    pub fn of(&mut self, text: &str) -> Name {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        if self.0.len() >= KNOWN {
            self.0.clear();
        }
        let name = Name::from(text);
        self.0.insert(text.into(), name.clone());
        name
    }
}
