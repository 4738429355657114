//! The request that opened a stream, kept for replays.

use std::net::IpAddr;
use std::sync::Arc;

use crate::quota::budget::{Account, Reservation};
use crate::render::fields::{FieldInterner, PartId};
use crate::render::http::{fastcgi, http1};
use sse_protocol::wire::{OriginalRequest, Protocol};

/// The FastCGI parameter for the token: clients can't set it, as all of their headers begin with `HTTP_`.
const TOKEN_PARAMETER: &[u8] = b"SSE_RENDER_TOKEN";

/// The header for the token, over HTTP: a client may set it, but can't know a valid token.
const TOKEN_HEADER: &[u8] = b"Sse-Render-Token";

/// A request whose fields are interned.
#[derive(Debug)]
pub(crate) struct ReplayRequest {
    /// The script's path.
    pub(crate) script: Arc<str>,
    /// The client's address and port, for servers that would see the hub's instead.
    pub(crate) remote: Option<Box<(Box<str>, Box<str>)>>,
    /// The request's Last-Event-ID.
    pub(crate) last_event_id: Option<Box<str>>,
    /// Encoded parameters or headers.
    pub(crate) fields: Box<[PartId]>,
    pub(crate) body: Option<Box<[u8]>>,
    /// Method and target; `None` for FastCGI, whose parameters contain them.
    pub(crate) http: Option<Box<(Box<str>, Box<str>)>>,
    pub(crate) reservation: Reservation,
}

impl ReplayRequest {
    /// Interns the fields of a request and charges its memory.
    pub(crate) fn new(
        original: &OriginalRequest<'_>,
        script: Arc<str>,
        interner: &mut FieldInterner,
        account: &Account,
    ) -> Self {
        let pair = |(one, two): (&str, &str)| Some(Box::new((one.into(), two.into())));
        let (http, remote) = match original.protocol {
            Protocol::FastCgi => (None, None),
            Protocol::Http { method, target } => (pair((method, target)), pair(original.remote)),
        };
        let mut part = Vec::new();
        let fields = original.fields.iter().map(|(name, value)| {
            part.clear();
            match original.protocol {
                Protocol::FastCgi => fastcgi::pair(&mut part, name, value),
                Protocol::Http { .. } => http1::field(&mut part, name, value),
            }
            interner.take(&part, account)
        });
        Self {
            script,
            remote,
            last_event_id: original.last_event_id.map(Into::into),
            fields: fields.collect(),
            body: (!original.body.is_empty()).then(|| original.body.to_vec().into_boxed_slice()),
            http,
            reservation: account.take(0),
        }
        .counted()
    }

    /// Charges its memory, apart from the interned fields.
    pub(crate) fn counted(mut self) -> Self {
        let Self { script: _, remote, last_event_id, fields, body, http, reservation } = &mut self;
        let pairs = [remote, http].into_iter().flatten().map(|pair| pair.0.len() + pair.1.len());
        let texts = pairs.sum::<usize>() + last_event_id.as_ref().map_or(0, |id| id.len());
        let body = body.as_ref().map_or(0, |body| body.len());
        reservation.set(size_of::<Self>() + size_of_val(&**fields) + body + texts);
        self
    }

    /// Where its client is, as far as that is known.
    pub(crate) fn client(&self) -> Option<IpAddr> {
        self.reservation.client()
    }

    /// Gives the shared parts back.
    pub(crate) fn release(self, interner: &mut FieldInterner) {
        for part in self.fields {
            interner.give_back(part);
        }
    }

    /// Whether its upstream speaks FastCGI.
    pub(crate) fn is_fastcgi(&self) -> bool {
        self.http.is_none()
    }

    /// Encodes a replay with this token and Last-Event-ID.
    pub(crate) fn bytes(&self, interner: &FieldInterner, token: &str, last_event_id: Option<&str>) -> Vec<u8> {
        let mut fields = Vec::new();
        for part in &self.fields {
            fields.extend_from_slice(interner.bytes(*part));
        }
        let body = self.body.as_deref().unwrap_or_default();
        match &self.http {
            None => {
                fastcgi::pair(&mut fields, TOKEN_PARAMETER, token.as_bytes());
                if let Some(id) = last_event_id {
                    fastcgi::pair(&mut fields, b"HTTP_LAST_EVENT_ID", id.as_bytes());
                }
                fastcgi::request(&fields, body)
            }
            Some(line) => {
                http1::field(&mut fields, TOKEN_HEADER, token.as_bytes());
                if let Some(id) = last_event_id {
                    http1::field(&mut fields, b"Last-Event-ID", id.as_bytes());
                }
                http1::request(&line.0, &line.1, &fields, body)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::budget::Budget;
    use serde_bytes::Bytes;

    fn original<'a>(protocol: Protocol<'a>, fields: &[(&'a str, &'a str)]) -> OriginalRequest<'a> {
        let bytes = |text: &'a str| Bytes::new(text.as_bytes());
        OriginalRequest {
            script: "/a.php",
            protocol,
            fields: fields.iter().map(|(name, value)| (bytes(name), bytes(value))).collect(),
            body: Bytes::new(b"b=1"),
            remote: ("192.0.2.7", "5000"),
            last_event_id: Some("7"),
            session: None,
        }
    }

    #[test]
    fn what_is_sent_again_has_the_token_and_the_id_of_now() {
        let budget = Budget::new("", 0);
        let (mut interner, account) = (FieldInterner::default(), budget.of_all());
        let http = Protocol::Http { method: "POST", target: "/a.php?x" };
        let request = ReplayRequest::new(
            &original(http, &[("Host", "h"), ("Cookie", "c")]),
            "/a.php".into(),
            &mut interner,
            &account,
        );
        let text = String::from_utf8(request.bytes(&interner, "t0", Some("9"))).expect("text");
        let expected = "POST /a.php?x HTTP/1.1\r\nHost: h\r\nCookie: c\r\nSse-Render-Token: t0\r\nLast-Event-ID: 9\r\n\
             Connection: close\r\nContent-Length: 3\r\n\r\nb=1";
        assert_eq!(text, expected);

        let request =
            ReplayRequest::new(&original(Protocol::FastCgi, &[("A", "b")]), "/a.php".into(), &mut interner, &account);
        let bytes = request.bytes(&interner, "t0", None);
        assert!(
            bytes.windows(21).any(|w| w == b"\x01\x01Ab\x10\x02SSE_RENDER_TOKEN"[..].get(..21).unwrap_or_default())
        );
        assert!(!bytes.windows(13).any(|w| w == b"LAST_EVENT_ID"));
        assert_eq!(request.remote, None);
    }

    #[test]
    fn equal_parts_of_requests_are_kept_once() {
        let budget = Budget::new("", 0);
        let (mut interner, account) = (FieldInterner::default(), budget.of_all());
        let one = ReplayRequest::new(
            &original(Protocol::FastCgi, &[("A", "b"), ("C", "1")]),
            "/a".into(),
            &mut interner,
            &account,
        );
        let two = ReplayRequest::new(
            &original(Protocol::FastCgi, &[("A", "b"), ("C", "2")]),
            "/a".into(),
            &mut interner,
            &account,
        );
        assert_eq!(one.fields[0], two.fields[0]);
        assert_ne!(one.fields[1], two.fields[1]);
        let used = budget.used();
        one.release(&mut interner);
        assert_eq!(interner.bytes(two.fields[0]), b"\x01\x01Ab");
        assert!((1..used).contains(&budget.used()));
        two.release(&mut interner);
        assert_eq!(budget.used(), 0);
    }
}
