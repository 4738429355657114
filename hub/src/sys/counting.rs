//! A counting allocator, for tests of memory use.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use crate::sys::heap::allocated;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static IN_USE: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

/// Bytes that this thread has allocated and not freed, with the allocator's overhead.
pub(crate) fn in_use() -> isize {
    IN_USE.get()
}

fn count(size: usize, sign: isize) {
    // The counter may be gone at the thread's end.
    let _ = IN_USE.try_with(|in_use| in_use.set(in_use.get() + sign * allocated(size).cast_signed()));
}

// SAFETY: the system's allocator does everything, with unchanged arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller keeps the same promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: the caller keeps the same promises.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), -1);
        count(size, 1);
        // SAFETY: the caller keeps the same promises.
        unsafe { System.realloc(memory, layout, size) }
    }
}
