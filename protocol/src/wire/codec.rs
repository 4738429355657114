//! Encoding: a message is its length (u32, little endian) and that many bytes of [postcard].

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Length of the prefix before each message, in bytes.
pub const PREFIX: usize = 4;

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// Longer than the receiver accepts.
    #[error("a message of {size} bytes was announced; at most {limit} are accepted")]
    TooLarge {
        /// Bytes announced.
        size: usize,
        /// Bytes accepted.
        limit: usize,
    },
    /// The length is valid, the content is not.
    #[error("a message could not be decoded: {0}")]
    Malformed(#[from] postcard::Error),
}

/// Initial capacity of a message, in bytes: enough for most.
const USUAL: usize = 256;

/// Encodes a message, length first.
///
/// # Panics
/// Never, as [`append`].
#[must_use]
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL);
    append(&mut bytes, message);
    bytes
}

/// Appends an encoded message to `bytes`, length first.
///
/// # Panics
/// Never: the messages of this module always serialize, and none reaches 4 GiB.
pub fn append<T: Serialize>(bytes: &mut Vec<u8>, message: &T) {
    let start = bytes.len();
    let mut all = std::mem::take(bytes);
    all.extend([0; PREFIX]);
    all = postcard::to_extend(message, all).expect("these messages contain nothing postcard can't write");
    let length = u32::try_from(all.len() - start - PREFIX).expect("messages are bounded by sse.max_event_size");
    all[start..start + PREFIX].copy_from_slice(&length.to_le_bytes());
    *bytes = all;
}

/// The length of the first message in `bytes`, without its prefix; `None` while the prefix is incomplete.
///
/// # Errors
/// `TooLarge` if the announced length is over `limit`, before any content is stored.
pub fn announced(bytes: &[u8], limit: usize) -> Result<Option<usize>, WireError> {
    let Some(prefix) = bytes.first_chunk::<PREFIX>() else { return Ok(None) };
    let size = u32::from_le_bytes(*prefix) as usize;
    if size > limit { Err(WireError::TooLarge { size, limit }) } else { Ok(Some(size)) }
}

/// Decodes the content of one message (without its length).
///
/// # Errors
/// `Malformed` if the bytes are no such message.
pub fn decode<'a, T: Deserialize<'a>>(content: &'a [u8]) -> Result<T, WireError> {
    Ok(postcard::from_bytes(content)?)
}
