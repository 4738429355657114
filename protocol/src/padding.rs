//! Comments that fill up what is written, for a web server that passes output on only once it has enough of it.

use crate::wire::Framing;

/// Range of such a server's threshold, in bytes.
pub const THRESHOLD: std::ops::RangeInclusive<u16> = 64..=32_768;

const LONGEST: usize = *THRESHOLD.end() as usize;

/// Each ending of it is a comment line, too.
static COMMENT: [u8; LONGEST] = {
    let mut bytes = [b':'; LONGEST];
    bytes[LONGEST - 1] = b'\n';
    bytes
};

/// A comment line of that many bytes, at most the longest threshold; nothing for fewer than two bytes.
#[must_use]
pub fn comment(len: usize) -> &'static [u8] {
    match len {
        0 | 1 => &[],
        _ => &COMMENT[LONGEST - len.min(LONGEST)..],
    }
}

/// Bytes of the comment that must follow `written` bytes so that a server with this threshold passes all of them on; 0 without a
/// threshold, and where nothing was written.
///
/// Together they have the threshold's length. What is at least that long is passed on in pieces, of which the last one may be
/// of any length, so it needs a whole threshold behind it.
#[must_use]
pub fn needed(threshold: u16, written: usize) -> usize {
    let threshold = usize::from(threshold).min(LONGEST);
    match threshold.checked_sub(written) {
        _ if threshold == 0 || written == 0 => 0,
        // The server counts a few bytes of its own as well, and may pass on all but the last bytes.
        Some(missing) if missing > 0 => missing.max(usize::from(*THRESHOLD.start())),
        _ => threshold,
    }
}

/// Whether a stream's own client reads what is framed so. PHP processes read the other framings, and get no comments.
#[must_use]
pub fn is_read_by_client(framing: Framing) -> bool {
    !matches!(framing, Framing::Message | Framing::Wake)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_one_line_of_the_length_asked_for() {
        for len in [2, 3, 64, 4096, LONGEST] {
            let comment = comment(len);
            assert_eq!(comment.len(), len);
            assert_eq!((comment[0], comment[len - 1]), (b':', b'\n'));
            assert_eq!(comment.iter().filter(|byte| **byte == b'\n').count(), 1);
        }
        assert!(comment(0).is_empty() && comment(1).is_empty());
        assert_eq!(comment(usize::MAX).len(), LONGEST);
    }

    #[test]
    fn what_is_shorter_than_the_threshold_is_filled_up_to_it() {
        assert_eq!(needed(4096, 100), 3996);
        assert_eq!(needed(4096, 4090), 64);
        assert_eq!(needed(4096, 4096), 4096);
        assert_eq!(needed(4096, 10_000), 4096);
        assert_eq!(needed(4096, 0), 0);
        assert_eq!(needed(0, 100), 0);
        assert_eq!(needed(u16::MAX, 1), LONGEST - 1);
    }
}
