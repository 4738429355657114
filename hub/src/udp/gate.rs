//! Parses and authenticates notification datagrams, and rejects replays.

use std::collections::{HashSet, VecDeque};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use sse_protocol::topic;

/// Maximum length of a datagram, in bytes.
pub const MAX_LEN: usize = 1024;

/// Maximum difference between a datagram's time and this machine's clock, in milliseconds.
pub const WINDOW_MS: u64 = 30_000;

/// Maximum number of MACs remembered. Beyond it the oldest can be replayed, which costs a superfluous notification.
const MAX_SEEN: usize = 16_384;

type Code = [u8; 32];

/// Result of checking a datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatagramVerdict<'a> {
    /// A notification of these topics; an empty list means all topics.
    Wake(Vec<&'a str>),
    /// Not a notification.
    Garbage,
    /// A notification with a missing or wrong MAC.
    Unauthenticated,
    /// An authentic notification whose MAC was used before, or whose time differs by more than [`WINDOW_MS`].
    Replayed,
}

/// Checks datagrams, and accepts each authenticated one once.
#[derive(Debug, Default)]
pub struct Gate {
    /// `None`: every notification passes, signed or not.
    key: Option<Hmac<Sha256>>,
    seen: HashSet<Code>,
    /// The MACs in `seen` in order of arrival, each with the time until which it must be remembered.
    order: VecDeque<(u64, Code)>,
}

/// A parsed datagram.
struct Wake<'a> {
    topics: Vec<&'a str>,
    proof: Option<Proof<'a>>,
}

struct Proof<'a> {
    /// The bytes that the MAC covers.
    signed: &'a [u8],
    time: u64,
    code: Code,
}

impl Gate {
    /// Creates a gate for datagrams with this key; an empty key counts as none.
    #[must_use]
    pub fn new(key: Option<&[u8]>) -> Self {
        let key = key.filter(|key| !key.is_empty()).and_then(|key| Hmac::new_from_slice(key).ok());
        Self { key, ..Self::default() }
    }

    /// Checks a datagram that arrived at `now`, in milliseconds since 1970.
    pub fn judge<'a>(&mut self, datagram: &'a [u8], now: u64) -> DatagramVerdict<'a> {
        let Some(Wake { topics, proof }) = parse(datagram) else { return DatagramVerdict::Garbage };
        let Some(key) = &self.key else { return DatagramVerdict::Wake(topics) };
        let Some(Proof { signed, time, code }) = proof else { return DatagramVerdict::Unauthenticated };
        // `verify_slice` compares in constant time.
        if key.clone().chain_update(signed).verify_slice(&code).is_err() {
            return DatagramVerdict::Unauthenticated;
        }
        if time.abs_diff(now) > WINDOW_MS || !self.remember(code, time, now) {
            return DatagramVerdict::Replayed;
        }
        DatagramVerdict::Wake(topics)
    }

    /// The remembered MACs, each with the time until which it must be remembered.
    pub(crate) fn used(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.order.iter().map(|(until, code)| (*until, &code[..]))
    }

    /// Remembers a MAC that another hub accepted; `None` if it has the wrong length.
    pub(crate) fn use_up(&mut self, until: u64, code: &[u8]) -> Option<()> {
        let code = Code::try_from(code).ok()?;
        self.seen.insert(code);
        self.order.push_back((until, code));
        Some(())
    }

    /// Remembers a MAC; false if it was remembered already.
    fn remember(&mut self, code: Code, time: u64, now: u64) -> bool {
        if self.seen.contains(&code) {
            return false;
        }
        while self.order.front().is_some_and(|(until, _)| *until < now) || self.order.len() >= MAX_SEEN {
            let Some((_, oldest)) = self.order.pop_front() else { break };
            self.seen.remove(&oldest);
        }
        self.seen.insert(code);
        self.order.push_back((time.saturating_add(WINDOW_MS), code));
        true
    }
}

/// Parses `WAKEUP[ topic…][ t=<milliseconds> h=<hex>]`, with or without a line end.
fn parse(datagram: &[u8]) -> Option<Wake<'_>> {
    if datagram.len() > MAX_LEN {
        return None;
    }
    let text = std::str::from_utf8(datagram).ok()?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    let (words, proof) = match proof(text) {
        Some((words, proof)) => (words, Some(proof)),
        None => (text, None),
    };
    let topics = words.strip_prefix("WAKEUP")?;
    let topics: Vec<&str> = match topics.strip_prefix(' ') {
        Some(topics) => topics.split(' ').collect(),
        None if topics.is_empty() => Vec::new(),
        None => return None,
    };
    topics.iter().all(|topic| topic::check_topic(topic).is_ok()).then_some(Wake { topics, proof })
}

/// Splits a text into the words before ` t=` and the proof; `None` without a proof.
fn proof(text: &str) -> Option<(&str, Proof<'_>)> {
    let (signed, hex) = text.rsplit_once(" h=")?;
    let (words, time) = signed.rsplit_once(" t=")?;
    let digits = !time.is_empty() && time.bytes().all(|b| b.is_ascii_digit());
    let time = digits.then(|| time.parse().ok()).flatten()?;
    Some((words, Proof { signed: signed.as_bytes(), time, code: code(hex)? }))
}

fn code(hex: &str) -> Option<Code> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let mut code = Code::default();
    if hex.len() != 2 * code.len() {
        return None;
    }
    for (byte, pair) in code.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(datagram: &[u8]) -> DatagramVerdict<'_> {
        Gate::new(None).judge(datagram, 0)
    }

    fn signed(key: &[u8], words: &str, time: u64) -> Vec<u8> {
        let text = format!("{words} t={time}");
        let mac = Hmac::<Sha256>::new_from_slice(key).expect("any key will do").chain_update(&text).finalize();
        let hex: String = mac.into_bytes().iter().map(|b| format!("{b:02x}")).collect();
        format!("{text} h={hex}").into_bytes()
    }

    #[test]
    fn a_wake_is_the_word_and_topics() {
        assert_eq!(plain(b"WAKEUP"), DatagramVerdict::Wake(vec![]));
        assert_eq!(plain(b"WAKEUP\n"), DatagramVerdict::Wake(vec![]));
        assert_eq!(plain(b"WAKEUP chat.general"), DatagramVerdict::Wake(vec!["chat.general"]));
        assert_eq!(plain(b"WAKEUP a b.c\r\n"), DatagramVerdict::Wake(vec!["a", "b.c"]));
    }

    #[test]
    fn anything_else_is_garbage() {
        for garbage in [
            &b""[..],
            b"wakeup",
            b"WAKEUP ",
            b"WAKEUPS",
            b"WAKEUP  a",
            b"WAKEUP a ",
            b"WAKEUP a\n\n",
            b"WAKEUP a.*",
            b"WAKEUP \xff",
            b"WAKEUP a..b",
            &[b'x'; 2000],
        ] {
            assert_eq!(plain(garbage), DatagramVerdict::Garbage, "{:?}", garbage.escape_ascii().to_string());
        }
        let longest = [b"WAKEUP ", &[b'x'; 255][..], &b" yy".repeat(254)].concat();
        assert_eq!(longest.len(), MAX_LEN);
        assert!(matches!(plain(&longest), DatagramVerdict::Wake(topics) if topics.len() == 255));
        assert_eq!(plain(&[&longest[..], b"\n"].concat()), DatagramVerdict::Garbage);
    }

    #[test]
    fn with_a_key_only_its_owner_wakes() {
        let mut gate = Gate::new(Some(b"secret"));
        assert_eq!(gate.judge(b"WAKEUP a", 0), DatagramVerdict::Unauthenticated);
        assert_eq!(gate.judge(&signed(b"other", "WAKEUP a", 1), 1), DatagramVerdict::Unauthenticated);
        assert_eq!(gate.judge(&signed(b"secret", "WAKEUP a", 1), 1), DatagramVerdict::Wake(vec!["a"]));
        assert_eq!(gate.judge(&signed(b"secret", "WAKEUP", 1), 1), DatagramVerdict::Wake(vec![]));
        let upper = signed(b"secret", "WAKEUP b", 1);
        let upper =
            upper.iter().map(|b| if b"abcdef".contains(b) { b.to_ascii_uppercase() } else { *b }).collect::<Vec<_>>();
        assert!(!matches!(gate.judge(&upper, 1), DatagramVerdict::Wake(_)));
    }

    /// The MAC comes from `openssl dgst -sha256 -hmac secret`.
    #[test]
    fn the_code_is_hmac_sha256_of_all_before_it() {
        let datagram = b"WAKEUP chat.general t=1700000000000 h=HEX";
        let hex = "757036b3d757d9cf18c48b5df45d3da6a458e8417e3964c46596b435c76347f7";
        let text = String::from_utf8_lossy(datagram).replace("HEX", hex);
        let mut gate = Gate::new(Some(b"secret"));
        assert_eq!(gate.judge(text.as_bytes(), 1_700_000_000_000), DatagramVerdict::Wake(vec!["chat.general"]));
    }

    /// Attack: an eavesdropper changes a datagram, or sends it again now or later, to cause notifications at will.
    #[test]
    fn an_overheard_datagram_is_worth_nothing() {
        let mut gate = Gate::new(Some(b"secret"));
        let datagram = signed(b"secret", "WAKEUP a", 100_000);
        assert_eq!(gate.judge(&datagram, 130_000), DatagramVerdict::Wake(vec!["a"]));
        assert_eq!(gate.judge(&datagram, 130_000), DatagramVerdict::Replayed);
        assert_eq!(gate.judge(&[&datagram[..], b"\n"].concat(), 130_000), DatagramVerdict::Replayed);
        assert_eq!(gate.judge(&datagram, 130_001), DatagramVerdict::Replayed);
        assert_eq!(gate.judge(&datagram, 69_999), DatagramVerdict::Replayed);
        let changed = String::from_utf8_lossy(&datagram).replace("WAKEUP a", "WAKEUP b");
        assert_eq!(gate.judge(changed.as_bytes(), 100_000), DatagramVerdict::Unauthenticated);
        let later = String::from_utf8_lossy(&datagram).replace("t=100000", "t=160000");
        assert_eq!(gate.judge(later.as_bytes(), 160_000), DatagramVerdict::Unauthenticated);
    }

    #[test]
    fn without_a_key_a_signed_datagram_is_a_wake_too() {
        assert_eq!(plain(&signed(b"any", "WAKEUP a", 1)), DatagramVerdict::Wake(vec!["a"]));
        assert_eq!(plain(b"WAKEUP a t=1 h=2"), DatagramVerdict::Wake(vec!["a", "t=1", "h=2"]));
    }

    #[test]
    fn memory_is_bounded_and_forgets_what_is_out_of_the_window() {
        let mut gate = Gate::new(Some(b"secret"));
        for time in 0..MAX_SEEN as u64 + 10 {
            assert!(gate.remember(signed_code(time), 0, 0));
        }
        assert_eq!((gate.seen.len(), gate.order.len()), (MAX_SEEN, MAX_SEEN));
        assert!(!gate.remember(signed_code(10), 0, 0), "only the oldest are forgotten");
        assert!(gate.remember(signed_code(1 << 40), 0, WINDOW_MS + 1));
        assert_eq!((gate.seen.len(), gate.order.len()), (1, 1));
    }

    fn signed_code(number: u64) -> Code {
        let mut code = Code::default();
        code[..8].copy_from_slice(&number.to_le_bytes());
        code
    }

    proptest! {
        #[test]
        fn no_datagram_can_crash_it_and_none_passes_without_the_key(
            start in prop_oneof![Just(""), Just("WAKEUP"), Just("WAKEUP a t=5 h=")],
            rest in prop_oneof![proptest::collection::vec(any::<u8>(), 0..200), "[0-9a-f]{64}".prop_map(String::into_bytes)],
        ) {
            let datagram = [start.as_bytes(), &rest].concat();
            let _ = plain(&datagram);
            prop_assert!(!matches!(Gate::new(Some(b"secret")).judge(&datagram, 5), DatagramVerdict::Wake(_)));
        }
    }
}
