//! The head of a response: everything before its first blank line.

use serde::{Deserialize, Serialize};

/// Longest head that is kept, in bytes; the status of a longer one stays unknown.
const LIMIT: usize = 64 << 10;

/// The part of a head that has arrived.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Head {
    bytes: Vec<u8>,
    complete: bool,
}

impl Head {
    /// Takes the next bytes, up to the blank line.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        if self.complete || self.bytes.len() >= LIMIT {
            return;
        }
        // The blank line may span two reads.
        let before = self.bytes.len().saturating_sub(3);
        let room = LIMIT - self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let fresh = &self.bytes[before..];
        let blank = [find(fresh, b"\r\n\r\n"), find(fresh, b"\n\n")].into_iter().flatten().min();
        if let Some(end) = blank {
            self.bytes.truncate(before + end);
            self.complete = true;
        }
    }

    /// The head without its blank line, once it is complete.
    pub(crate) fn complete(&self) -> Option<&[u8]> {
        self.complete.then_some(&self.bytes)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// The number at the start of a text, after white space.
pub(crate) fn number(text: &[u8]) -> Option<u16> {
    let text = text.trim_ascii_start();
    let digits = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    std::str::from_utf8(&text[..digits]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_at_the_first_blank_line_wherever_it_is_cut() {
        let bytes = b"A: b\r\nC: d\r\n\r\nbody\r\n\r\n";
        for cut in 0..bytes.len() {
            let mut head = Head::default();
            head.feed(&bytes[..cut]);
            head.feed(&bytes[cut..]);
            assert_eq!(head.complete(), Some(&b"A: b\r\nC: d"[..]), "cut at {cut}");
        }
        let mut head = Head::default();
        head.feed(b"A: b\n\nbody");
        assert_eq!(head.complete(), Some(&b"A: b"[..]));
    }

    #[test]
    fn an_endless_head_is_not_kept() {
        let mut head = Head::default();
        for _ in 0..100 {
            head.feed(&[b'x'; 4096]);
        }
        assert_eq!((head.complete(), head.bytes.len()), (None, LIMIT));
    }
}
