//! A heap of the compiled core's own, and large blocks apart from it.
//!
//! Theory. The C library keeps everything in one heap, where Python's buffers of a moment lie between the core's blocks that stay for an
//! hour or for days. What comes between two that stay settles there, however small, and then nothing larger fits in, nor can the
//! room be given back: a worker's heap grew for hours by holes. So the core has a heap of its own, by mimalloc: blocks of about
//! the same length share pages, where each fits into the room of any other that went, and a page that is empty is given back.
//!
//! Large blocks are mapped, each by itself, and given back when freed; to grow one, the kernel moves pages instead of bytes.
//! Tables of ids, of millions of bytes, are made anew every few minutes. To tell the C library to do so (`M_MMAP_THRESHOLD`) would hold
//! for what the rest of the process uses for a moment, too: answers of the broker, records on their way; on a backlog that took
//! 17 % more CPU, in page faults.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use libmimalloc_sys::{mi_good_size, mi_process_info};
use mimalloc::MiMalloc;

/// Blocks from this size on are mapped.
const LARGE: usize = 128 << 10;
/// What a mapping is aligned to, at least.
const PAGE: usize = 4096;

/// Bytes that are mapped now.
static MAPPED: AtomicUsize = AtomicUsize::new(0);

/// The allocator of the compiled core: mimalloc's below `LARGE`.
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
            MiMalloc.alloc(layout)
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_large(&layout) {
            map(layout.size())
        } else {
            MiMalloc.alloc_zeroed(layout)
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_large(&layout) {
            libc::munmap(block.cast(), layout.size());
            MAPPED.fetch_sub(taken(layout.size()), Relaxed);
        } else {
            MiMalloc.dealloc(block, layout);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let grown = Layout::from_size_align_unchecked(size, layout.align());
        match (is_large(&layout), is_large(&grown)) {
            (false, false) => MiMalloc.realloc(block, layout, size),
            (true, true) => {
                let moved = or_null(libc::mremap(block.cast(), layout.size(), size, libc::MREMAP_MAYMOVE));
                if !moved.is_null() {
                    MAPPED.fetch_add(taken(size), Relaxed);
                    MAPPED.fetch_sub(taken(layout.size()), Relaxed);
                }
                moved
            }
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
    let mapped = or_null(libc::mmap(std::ptr::null_mut(), size, access, kind, -1, 0));
    if !mapped.is_null() {
        MAPPED.fetch_add(taken(size), Relaxed);
    }
    mapped
}

fn or_null(mapped: *mut libc::c_void) -> *mut u8 {
    if mapped == libc::MAP_FAILED {
        std::ptr::null_mut()
    } else {
        mapped.cast()
    }
}

/// Bytes that an allocation takes.
pub fn taken(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        LARGE.. => (bytes + PAGE - 1) & !(PAGE - 1),
        // SAFETY: it only reckons.
        _ => unsafe { mi_good_size(bytes) },
    }
}

/// Bytes of the core's own heap that can be written to, used or not; large blocks are not among them.
pub fn committed() -> usize {
    let (mut found, none) = (0, std::ptr::null_mut());
    // SAFETY: what is null is not written.
    unsafe { mi_process_info(none, none, none, none, none, &mut found, none, none) };
    found
}

/// Bytes of the core's large blocks.
pub fn large() -> usize {
    MAPPED.load(Relaxed)
}
