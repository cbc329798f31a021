//! What is kept for days by intention, in bytes as the allocator gives them out.
//!
//! Quarter-hours, dates and the roster's hours come and stay for 15 or 31 days, an agent's changes and reviews for as long as they may be
//! corrected, complaints until they are closed, a contact whose end never comes, and those of its customer after it, for 400. A soak sees them grow, and must be able to tell that from a leak (`tests/soak/counted.py`).
//! Names and addresses are shared with what is not kept, and left out.

use std::mem::size_of;

use rustc_hash::FxHashMap;

use crate::floor::Floor;
use crate::names::Name;

#[cfg(target_os = "linux")]
pub use crate::apart::taken as allocated;

/// Bytes of an allocation: where the system's allocator is used, what was asked for.
#[cfg(not(target_os = "linux"))]
pub fn allocated(bytes: usize) -> usize {
    bytes
}

/// Bytes of a vector's places.
pub fn of_places<T>(vector: &Vec<T>) -> usize {
    allocated(vector.capacity() * size_of::<T>())
}

/// Bytes of a text of its own, with its two counts.
pub fn of_name(name: &Name) -> usize {
    allocated(name.len() + 2 * size_of::<usize>())
}

/// Bytes of a table's places: seven of eight may be filled, each has a byte of control.
pub fn of_table<K, V>(table: &FxHashMap<K, V>) -> usize {
    if table.capacity() == 0 {
        return 0;
    }
    let places = (table.capacity() * 8 / 7).next_power_of_two();
    allocated(places * (size_of::<(K, V)>() + 1) + 16)
}

/// Bytes by part of what a floor keeps for days.
pub fn kept_of(floor: &Floor) -> Vec<(&'static str, usize)> {
    let changes = |agent: &crate::agents::Agent| -> usize {
        of_places(&agent.changes) + agent.changes.iter().map(|change| change.bytes()).sum::<usize>()
    };
    vec![
        ("slices of days", floor.books.cells.bytes_of_days()),
        ("agents' changes", floor.agent_book.agents.values().map(changes).sum()),
        ("reviewers", floor.reviewers.bytes()),
        ("open complaints", floor.complaints.bytes()),
        ("customers with an open contact", floor.customers.bytes_of_open()),
    ]
}
