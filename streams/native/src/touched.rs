//! Which entries beside those of cells changed since the last flush.

use rustc_hash::FxHashSet;

use crate::keys::Key;
use crate::names::Name;

/// Keys of entries, and ids of sessions, that changed.
pub struct Touched {
    pub keys: FxHashSet<Key>,
    pub sessions: FxHashSet<Name>,
}

impl Touched {
    /// Start with the settings: whoever begins writes them down.
    pub fn new() -> Touched {
        Touched { keys: FxHashSet::from_iter([Key::Settings]), sessions: FxHashSet::default() }
    }
}
