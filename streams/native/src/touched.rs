//! Which entries beside those of cells changed since the last flush.

use rustc_hash::FxHashSet;

use crate::keys::joined;
use crate::names::Name;

/// Keys of entries, and ids of sessions, that changed.
pub struct Touched {
    pub keys: FxHashSet<String>,
    pub sessions: FxHashSet<Name>,
}

impl Touched {
    /// Start with the settings: whoever begins writes them down.
    pub fn new() -> Touched {
        Touched { keys: FxHashSet::from_iter(["r".to_owned()]), sessions: FxHashSet::default() }
    }

    /// Note an entry of one name.
    pub fn one(&mut self, letter: &str, name: &str) {
        self.keys.insert(joined(letter, &[name]));
    }

    /// Note an entry of two names.
    pub fn two(&mut self, letter: &str, first: &str, second: &str) {
        self.keys.insert(joined(letter, &[first, second]));
    }
}
