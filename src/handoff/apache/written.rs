//! Proves that Apache has written a response's head: a filter (mod_security2, mod_ext_filter) may hold back what PHP has
//! flushed, and the client would get the hub's bytes without any head.

use crate::php::descriptor::Descriptor;

/// Bytes that any head of a stream exceeds, with its own headers, and no interim response (`100 Continue`).
const LEAST: u64 = 100;

/// How many bytes a connection has ever been given to send.
#[derive(Debug, Clone, Copy)]
pub(in crate::handoff) struct WrittenBytes(u64);

impl WrittenBytes {
    /// `None` if the kernel does not tell.
    pub(super) fn of(socket: Descriptor) -> Option<Self> {
        // Bytes may be acknowledged between the two questions, and would be missing.
        let mut acknowledged = socket.acknowledged()?;
        loop {
            let waiting = socket.unacknowledged()?;
            let again = socket.acknowledged()?;
            if again == acknowledged {
                return Some(Self(acknowledged + waiting));
            }
            acknowledged = again;
        }
    }

    /// Whether a head may have been written since.
    pub(super) fn head_since(self, before: Self) -> bool {
        self.0.saturating_sub(before.0) > LEAST
    }
}
