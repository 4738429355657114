//! HTTP/1.1 client for upstreams with PHP built in: encodes requests and parses the status of responses.

use serde::{Deserialize, Serialize};

use crate::render::http::head::{self, Head};

/// Appends a header line.
pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Encodes a request. It asks the server to close the connection after the response, which marks its end.
#[must_use]
pub fn request(method: &str, target: &str, fields: &[u8], body: &[u8]) -> Vec<u8> {
    let mut out = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    out.extend_from_slice(fields);
    field(&mut out, b"Connection", b"close");
    if !body.is_empty() {
        field(&mut out, b"Content-Length", body.len().to_string().as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out
}

/// Parses the status of a response and ignores the rest.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Http1Response {
    head: Head,
}

impl Http1Response {
    /// Takes the next bytes of the response.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.head.feed(bytes);
    }

    /// The status, once the head is complete; `None` if it is not HTTP.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        let rest = self.head.complete()?.strip_prefix(b"HTTP/1.")?;
        head::number(rest.get(1..)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_how_long_its_body_is_and_that_the_connection_ends() {
        let mut fields = Vec::new();
        field(&mut fields, b"Host", b"a.b");
        assert_eq!(
            String::from_utf8(request("POST", "/x?y=1", &fields, b"z=2")).expect("text"),
            "POST /x?y=1 HTTP/1.1\r\nHost: a.b\r\nConnection: close\r\nContent-Length: 3\r\n\r\nz=2"
        );
        assert!(!request("GET", "/", &fields, b"").windows(14).any(|w| w == b"Content-Length"));
    }

    #[test]
    fn the_status_is_known_once_the_head_is_complete() {
        let mut response = Http1Response::default();
        response.feed(b"HTTP/1.0 403 Forbidden\r\nA: b\r\n");
        assert_eq!(response.status(), None);
        response.feed(b"\r\nHTTP/1.1 200 OK\r\n\r\n");
        assert_eq!(response.status(), Some(403));
        let mut response = Http1Response::default();
        response.feed(b"SSH-2.0\r\n\r\n");
        assert_eq!(response.status(), None);
    }
}
