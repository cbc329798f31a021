//! Buffers that are written anew with every flush.
//!
//! Theory. A flush under backlog writes tens of megabytes of entries and readings, once, a few at a time, to be copied for Python. Each new
//! page costs a fault, in which the kernel clears it. So a thread keeps a buffer, of 16 MiB at most, for the next flush, unless the one
//! that leaves it has needed much less: a worker that is not behind keeps little.

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
    pub fn put(&self, buffer: Vec<u8>, used: usize) {
        if buffer.capacity() / PART <= used {
            self.put_back(buffer);
        }
    }

    /// Leave a buffer however little of it was used: somebody else decides.
    pub fn put_back(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= MOST {
            buffer.clear();
            self.0.replace(buffer);
        }
    }
}
