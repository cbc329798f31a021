//! Buffers that are written anew with every flush.
//!
//! Theory. A flush under backlog writes tens of megabytes of entries and readings, once, to be copied for Python. In new pages each of
//! them costs a page fault, in which the kernel clears it: that took more time than to write what comes into it. So a thread
//! keeps a buffer for the next flush, unless that one needed much less: a worker that is not behind keeps little.

use std::cell::RefCell;

/// A buffer that is larger than this is not kept.
const MOST: usize = 16 << 20;
/// One of which a smaller part than this was used is not kept either.
const PART: usize = 4;

/// A buffer for the next time.
#[derive(Default)]
pub struct Spare(RefCell<Vec<u8>>);

impl Spare {
    /// Take the buffer, or another one; it is empty.
    pub fn take(&self) -> Vec<u8> {
        self.0.take()
    }

    /// Leave a buffer, of which so many bytes were used, for the next time.
    pub fn put(&self, mut buffer: Vec<u8>, used: usize) {
        let is_kept = buffer.capacity() <= MOST && buffer.capacity() / PART <= used;
        buffer.clear();
        self.0.replace(if is_kept { buffer } else { Vec::new() });
    }
}
