//! Keys of entries: a letter, then names, separated by the unit separator, which no name may hold.

/// What separates the letter and the names.
pub const SEPARATOR: char = '\x1f';

/// Put a key together.
pub fn joined(letter: &str, names: &[&str]) -> String {
    let room = letter.len() + names.iter().map(|name| name.len() + 1).sum::<usize>();
    let mut key = String::with_capacity(room);
    key.push_str(letter);
    for name in names {
        key.push(SEPARATOR);
        key.push_str(name);
    }
    key
}

/// The letter of a key and what follows it; or a name and what follows that.
pub fn parted(key: &str) -> (&str, &str) {
    key.split_once(SEPARATOR).unwrap_or((key, ""))
}
