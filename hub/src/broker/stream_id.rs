//! Public ids of streams: what a page is told of its own stream, and names it by in later requests.
//!
//! A public id is one block of AES-128, the hub's own number of the stream and eight bytes of zero, under a key that only this
//! hub has. So there is no table, and no stream costs a byte for its id; nobody can guess the id of a stream, and the hub knows
//! an id that it has not made, such as a forged one, another hub's, or that of a hub that has ended. An upgrade passes the key on.

use std::fmt;
use std::io;

use aes::Aes128;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::util::random;

/// Bytes of a key.
pub(crate) const KEY: usize = 16;

/// Bytes of a block.
const BLOCK: usize = 16;

/// Makes and reads the public ids of this hub's streams.
pub(crate) struct StreamIds {
    key: [u8; KEY],
    cipher: Aes128,
}

impl StreamIds {
    /// Ids under a new random key.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self::of_key(random::secret()?))
    }

    /// Ids under the key of the hub before an upgrade.
    pub(crate) fn of_key(key: [u8; KEY]) -> Self {
        Self { key, cipher: Aes128::new(&key.into()) }
    }

    /// The key, for the next hub.
    pub(crate) fn key(&self) -> [u8; KEY] {
        self.key
    }

    /// The public id of a stream: 22 characters of URL-safe base64.
    pub(crate) fn public(&self, stream: u64) -> String {
        let mut block = [0; BLOCK];
        block[..8].copy_from_slice(&stream.to_le_bytes());
        let mut block = block.into();
        self.cipher.encrypt_block(&mut block);
        URL_SAFE_NO_PAD.encode(block)
    }

    /// Whether a text has the shape of a public id, of whatever hub.
    pub(crate) fn is_id(text: &str) -> bool {
        URL_SAFE_NO_PAD.decode_slice(text, &mut [0; BLOCK]) == Ok(BLOCK)
    }

    /// The number of the stream with this public id; `None` if this hub has not made the id.
    pub(crate) fn stream(&self, public: &str) -> Option<u64> {
        let mut bytes = [0; BLOCK];
        if URL_SAFE_NO_PAD.decode_slice(public, &mut bytes) != Ok(BLOCK) {
            return None;
        }
        let mut block = bytes.into();
        self.cipher.decrypt_block(&mut block);
        let (number, check) = block.split_first_chunk::<8>()?;
        (check == [0; BLOCK - 8]).then_some(u64::from_le_bytes(*number))
    }
}

impl fmt::Debug for StreamIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is a secret.
        f.write_str("StreamIds")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_is_known_again_by_its_own_hub_only(stream in any::<u64>(), key in any::<[u8; KEY]>()) {
            let ids = StreamIds::of_key(key);
            let public = ids.public(stream);
            prop_assert_eq!(public.len(), 22);
            prop_assert!(public.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            prop_assert_eq!(ids.stream(&public), Some(stream));
            prop_assert_eq!(StreamIds::of_key(ids.key()).stream(&public), Some(stream));
            let other = StreamIds::new().expect("random bytes");
            prop_assert_eq!(other.stream(&public), None);
        }

        /// Attack: a client invents ids to reach the streams of others.
        #[test]
        fn what_the_hub_has_not_made_is_no_stream(text in "[A-Za-z0-9_-]{0,30}", any in ".{0,40}") {
            let ids = StreamIds::new().expect("random bytes");
            prop_assert_eq!((ids.stream(&text), ids.stream(&any)), (None, None));
        }
    }

    #[test]
    fn an_id_has_one_spelling() {
        let ids = StreamIds::new().expect("random bytes");
        let public = ids.public(7);
        for other in [format!("{public}="), format!("{public}=="), format!(" {public}"), public[..21].into()] {
            assert_eq!(ids.stream(&other), None, "{other}");
        }
    }
}
