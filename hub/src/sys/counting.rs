//! An allocator that counts, for tests of what is kept.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use crate::util::heap::allocated;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static IN_USE: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

/// Bytes that this thread has allocated and not given back, with what the allocator adds to each piece.
pub(crate) fn in_use() -> isize {
    IN_USE.get()
}

fn count(size: usize, sign: isize) {
    // At a thread's end there may be no counter any more.
    let _ = IN_USE.try_with(|in_use| in_use.set(in_use.get() + sign * allocated(size).cast_signed()));
}

// SAFETY: everything is done by the system's allocator, with the arguments as they came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: as the caller has promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: as the caller has promised.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), -1);
        count(size, 1);
        // SAFETY: as the caller has promised.
        unsafe { System.realloc(memory, layout, size) }
    }
}
