//! The owner of a stream, for a fair distribution of render slots.

use sha2::{Digest, Sha256};

use sse_protocol::wire::{OriginalRequest, Protocol, User};

/// Request fields that identify the sender, by the names of FastCGI and of HTTP.
const IDENTIFYING: [[&[u8]; 2]; 2] = [[b"HTTP_COOKIE", b"HTTP_AUTHORIZATION"], [b"Cookie", b"Authorization"]];

/// A client: a lock that it holds delays all of its renders. The hash hides who it is, and is the same in each hub of an
/// upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClientHash(u64);

impl ClientHash {
    /// Identifies a client by what it can't choose at will, as far as the script named that: its user, or the session whose
    /// lock its scripts wait for. Without both, by address and cookies: by address alone, all clients of an undeclared
    /// proxy would be one. A stream without any of these is a client of its own, as it can't hold a lock.
    pub(crate) fn of(
        stream: u64,
        user: Option<User<'_>>,
        address: Option<&str>,
        request: &OriginalRequest<'_>,
    ) -> Self {
        if let Some(user) = user {
            return Self::hashed("user", [user.key.as_bytes()]);
        }
        if let Some(session) = request.session {
            return Self::hashed("session", [session.as_bytes()]);
        }
        let names = IDENTIFYING[usize::from(request.protocol != Protocol::FastCgi)];
        let fields = request.fields.iter().filter(|(name, _)| names.iter().any(|own| name.eq_ignore_ascii_case(own)));
        let mut words: Vec<&[u8]> = fields.map(|(_, value)| value.as_ref()).collect();
        if words.is_empty() {
            return Self::hashed("stream", [stream.to_le_bytes().as_slice()]);
        }
        words.push(address.unwrap_or_default().as_bytes());
        Self::hashed("address", words)
    }

    /// The client for an upgrade.
    pub(crate) fn state(self) -> u64 {
        self.0
    }

    /// The client that the old hub sent.
    pub(crate) fn restore(state: u64) -> Self {
        Self(state)
    }

    fn hashed<'a>(kind: &'a str, words: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        for word in std::iter::once(kind.as_bytes()).chain(words) {
            hash.update((word.len() as u64).to_le_bytes());
            hash.update(word);
        }
        Self(hash.finalize().first_chunk().map_or(0, |first| u64::from_le_bytes(*first)))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_bytes::Bytes;

    /// A client for tests.
    pub(crate) fn client(number: u64) -> ClientHash {
        ClientHash(number)
    }

    fn request<'a>(session: Option<&'a str>, cookie: Option<&'a str>) -> OriginalRequest<'a> {
        let cookie = cookie.map(|cookie| (Bytes::new(b"cookie"), Bytes::new(cookie.as_bytes())));
        OriginalRequest {
            script: "/a.php",
            protocol: Protocol::Http { method: "GET", target: "/" },
            fields: cookie.into_iter().collect(),
            body: Bytes::new(b""),
            remote: ("", ""),
            last_event_id: None,
            session,
        }
    }

    fn user(key: &str) -> Option<User<'_>> {
        Some(User { key, limit: 0, replace: false })
    }

    /// Attack: a visitor adds cookies of its own choice, to count as another client and get more slots.
    #[test]
    fn a_session_is_one_client_whatever_else_it_sends_and_wherever_from() {
        let one = ClientHash::of(1, None, Some("192.0.2.1"), &request(Some("s"), Some("PHPSESSID=s; a=1")));
        assert_eq!(one, ClientHash::of(2, None, Some("192.0.2.2"), &request(Some("s"), Some("PHPSESSID=s; a=2"))));
        assert_ne!(one, ClientHash::of(2, None, Some("192.0.2.1"), &request(Some("t"), Some("PHPSESSID=t"))));
    }

    #[test]
    fn a_user_is_one_client_in_all_his_sessions() {
        let one = ClientHash::of(1, user("u"), Some("192.0.2.1"), &request(Some("s"), None));
        assert_eq!(one, ClientHash::of(2, user("u"), Some("192.0.2.2"), &request(Some("t"), None)));
        assert_ne!(one, ClientHash::of(1, user("v"), Some("192.0.2.1"), &request(Some("s"), None)));
        assert_ne!(
            ClientHash::of(1, user("s"), None, &request(None, None)),
            ClientHash::of(1, None, None, &request(Some("s"), None))
        );
    }

    #[test]
    fn without_both_an_address_and_its_cookies_are_and_behind_a_proxy_nobody_is_taken_for_somebody_else() {
        let at = |address, cookie, stream| ClientHash::of(stream, None, Some(address), &request(None, cookie));
        assert_eq!(at("192.0.2.1", Some("a=1"), 1), at("192.0.2.1", Some("a=1"), 2));
        assert_ne!(at("192.0.2.1", Some("a=1"), 1), at("192.0.2.1", Some("a=2"), 1));
        assert_ne!(at("192.0.2.1", Some("a=1"), 1), at("192.0.2.2", Some("a=1"), 1));
        assert_ne!(at("192.0.2.1", None, 1), at("192.0.2.1", None, 2));
    }
}
