//! HTTP/1.1's chunked coding, fed with pieces that begin and end anywhere (RFC 9112, 7.1).

use anyhow::{Result, bail};

/// Where in a chunked body the reader is.
#[derive(Debug)]
pub enum Chunks {
    /// In the size, of which this is known; and whether a digit was seen.
    Size(u64, bool),
    /// Behind the size, in what is to be ignored, up to LF.
    Extension(u64),
    /// In its data, of which so much is to come.
    Data(u64),
    /// Behind its data, before LF.
    DataEnd,
    /// In the trailers; whether the line has any byte.
    Trailers(bool),
    /// The body is over.
    Over,
}

impl Default for Chunks {
    fn default() -> Self {
        Self::Size(0, false)
    }
}

impl Chunks {
    /// Takes the next bytes and passes on those that are content.
    ///
    /// # Errors
    /// This is not the chunked coding.
    pub fn feed(&mut self, mut bytes: &[u8], mut content: impl FnMut(&[u8])) -> Result<()> {
        while let Some(first) = bytes.first().copied() {
            if let Self::Data(left) = self {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                content(&bytes[..count]);
                bytes = &bytes[count..];
                *left -= count as u64;
                if *left == 0 {
                    *self = Self::DataEnd;
                }
                continue;
            }
            bytes = &bytes[1..];
            *self = match (&*self, first) {
                (Self::Size(size, _), digit) if digit.is_ascii_hexdigit() => {
                    let digit = u64::from(char::from(digit).to_digit(16).unwrap_or(0));
                    match size.checked_mul(16) {
                        Some(size) => Self::Size(size + digit, true),
                        None => bail!("a chunk is longer than anything can be"),
                    }
                }
                (Self::Size(size, true) | Self::Extension(size), b'\n') => match size {
                    0 => Self::Trailers(false),
                    size => Self::Data(*size),
                },
                (Self::Size(size, true), b'\r' | b';' | b' ' | b'\t') | (Self::Extension(size), _) => {
                    Self::Extension(*size)
                }
                (Self::DataEnd, b'\r') => Self::DataEnd,
                (Self::DataEnd, b'\n') => Self::default(),
                (Self::Trailers(false), b'\n') => Self::Over,
                (Self::Trailers(any), b'\r') => Self::Trailers(*any),
                (Self::Trailers(_), b'\n') => Self::Trailers(false),
                (Self::Trailers(_), _) => Self::Trailers(true),
                (state, byte) => bail!("byte {byte:#04x} in {state:?} of a chunked response"),
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool)> {
        let mut chunks = Chunks::default();
        let mut found = Vec::new();
        for piece in pieces {
            chunks.feed(piece, |bytes| found.extend_from_slice(bytes))?;
        }
        Ok((found, matches!(chunks, Chunks::Over)))
    }

    #[test]
    fn sizes_extensions_and_trailers_are_taken_off() {
        let whole = b"5\r\nhello\r\n1;name=value\r\n,\r\n6 \r\n world\r\n0\r\nServer-Timing: x\r\n\r\n";
        assert_eq!(content(&[whole]).unwrap(), (b"hello, world".to_vec(), true));
        assert_eq!(content(&[b"A\r\n0123456789\r\n"]).unwrap(), (b"0123456789".to_vec(), false));
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for wrong in [b"data: x\n\n".as_slice(), b"\r\n", b"2\r\nabc\r\n", b"fffffffffffffffff\r\n"] {
            assert!(content(&[wrong]).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
    }

    proptest! {
        #[test]
        fn where_pieces_begin_and_end_changes_nothing(parts in prop::collection::vec("[a-z\r\n]{1,40}", 0..6), step in 1usize..9) {
            let mut whole: String = parts.iter().map(|part| format!("{:x}\r\n{part}\r\n", part.len())).collect();
            whole += "0\r\n\r\n";
            let pieces: Vec<&[u8]> = whole.as_bytes().chunks(step).collect();
            prop_assert_eq!(content(&pieces).unwrap(), (parts.concat().into_bytes(), true));
        }
    }
}
