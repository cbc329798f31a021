//! Which entries beside those of cells changed since the last flush, and which a flush has handed out.

use rustc_hash::FxHashSet;

use crate::cells::CellId;
use crate::keys::Key;
use crate::names::{Address, Name};

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

/// What the last flush handed out: its piece of the rolling snapshot need not repeat that.
#[derive(Default)]
pub struct Handed {
    pub keys: FxHashSet<Key>,
    pub sessions: FxHashSet<Name>,
    pub cells: FxHashSet<CellId>,
    pub totals: FxHashSet<Address>,
    pub levels: FxHashSet<Address>,
}

impl Handed {
    /// Take what changed, and leave it empty; what was handed out before is forgotten.
    pub fn take(&mut self, touched: &mut Touched) {
        swapped(&mut self.keys, &mut touched.keys);
        swapped(&mut self.sessions, &mut touched.sessions);
    }

    /// Whether an entry is among it.
    pub fn has(&self, key: &Key) -> bool {
        match key {
            Key::Session(name) => self.sessions.contains(name),
            Key::Cell(id) => self.cells.contains(id),
            Key::Totals(address) => self.totals.contains(address),
            Key::Levels(address) => self.levels.contains(address),
            Key::Meta => true,
            _ => self.keys.contains(key),
        }
    }
}

/// Change places with a set, and let it be empty; the room of both is used again.
pub fn swapped<T>(handed: &mut FxHashSet<T>, changed: &mut FxHashSet<T>) {
    std::mem::swap(handed, changed);
    changed.clear();
}
