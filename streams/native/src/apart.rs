//! Large blocks apart from the heap.
//!
//! Theory. The C library maps a block apart only where it is larger than any block that was ever freed, up to 32 MiB. Tables of ids, of
//! millions of bytes, are made anew every few minutes; in the heap each lies elsewhere than the last, since small blocks that stay
//! have settled where that was. So the heap grows for hours by holes. Here whatever is large, also what a flush of a live worker hands
//! out, is mapped by itself and given back when it is freed; to grow it, the kernel moves pages instead of bytes. To tell the C library
//! to do so (`M_MMAP_THRESHOLD`) would hold for what the rest of the process uses for a moment, too: answers of the broker, records on
//! their way; on a backlog that took 17 % more CPU, in page faults.

use std::alloc::{GlobalAlloc, Layout, System};

/// Blocks from this size on are mapped.
const LARGE: usize = 128 << 10;
/// What a mapping is aligned to, at least.
const PAGE: usize = 4096;

/// The allocator of the compiled core: the system's below `LARGE`.
pub struct Apart;

fn is_large(layout: &Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= PAGE
}

// SAFETY: which of the two a block came from is told by its layout alone, which the caller gives again; a mapping is private,
// readable, writable and of the size asked for, and is null where there is none.
unsafe impl GlobalAlloc for Apart {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(&layout) {
            map(layout.size())
        } else {
            System.alloc(layout)
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_large(&layout) {
            map(layout.size())
        } else {
            System.alloc_zeroed(layout)
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_large(&layout) {
            libc::munmap(block.cast(), layout.size());
        } else {
            System.dealloc(block, layout);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let grown = Layout::from_size_align_unchecked(size, layout.align());
        match (is_large(&layout), is_large(&grown)) {
            (false, false) => System.realloc(block, layout, size),
            (true, true) => or_null(libc::mremap(block.cast(), layout.size(), size, libc::MREMAP_MAYMOVE)),
            _ => {
                let moved = self.alloc(grown);
                if !moved.is_null() {
                    std::ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                moved
            }
        }
    }
}

unsafe fn map(size: usize) -> *mut u8 {
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    or_null(libc::mmap(std::ptr::null_mut(), size, access, kind, -1, 0))
}

fn or_null(mapped: *mut libc::c_void) -> *mut u8 {
    if mapped == libc::MAP_FAILED {
        std::ptr::null_mut()
    } else {
        mapped.cast()
    }
}
