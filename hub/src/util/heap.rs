//! What a piece of memory takes.

/// Of so many bytes, with what the allocator adds: its own size before it, in steps of 16 bytes.
pub(crate) fn allocated(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { (bytes + 8).next_multiple_of(16).max(32) }
}
