//! Heap memory that allocations take.

/// Bytes that the allocator takes for `bytes`: with 8 bytes for its size, in steps of 16, at least 32.
pub(crate) fn allocated(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { (bytes + 8).next_multiple_of(16).max(32) }
}
