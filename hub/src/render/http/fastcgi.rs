//! FastCGI client: encodes requests and parses the status of responses.
//!
//! "FastCGI Specification", version 1: a record is a header of 8 bytes, its content, and padding.

use serde::{Deserialize, Serialize};

use crate::render::http::head::{Head, number};

/// Id of the only request on a connection.
const REQUEST: u16 = 1;

const BEGIN_REQUEST: u8 = 1;
const END_REQUEST: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;

const HEADER: usize = 8;
/// Role FCGI_RESPONDER, and no FCGI_KEEP_CONN: the server closes the connection after the response.
const RESPONDER: [u8; 8] = [0, 1, 0, 0, 0, 0, 0, 0];

/// Appends a name-value pair. Lengths over 127 take four bytes, the first with its high bit set.
pub fn pair(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for len in [name.len(), value.len()] {
        match u8::try_from(len) {
            Ok(len @ ..128) => out.push(len),
            _ => out.extend_from_slice(&(len as u32 | 1 << 31).to_be_bytes()),
        }
    }
    out.extend_from_slice(name);
    out.extend_from_slice(value);
}

/// Encodes a request with these name-value pairs and this body.
#[must_use]
pub fn request(pairs: &[u8], body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(pairs.len() + body.len() + 8 * HEADER);
    record(&mut out, BEGIN_REQUEST, &RESPONDER);
    stream(&mut out, PARAMS, pairs);
    stream(&mut out, STDIN, body);
    out
}

/// Appends a stream of records, which ends with an empty one.
fn stream(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
    for part in content.chunks(usize::from(u16::MAX)) {
        record(out, kind, part);
    }
    record(out, kind, &[]);
}

fn record(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
    let [id1, id0] = REQUEST.to_be_bytes();
    let [len1, len0] = (content.len() as u16).to_be_bytes();
    out.extend_from_slice(&[1, kind, id1, id0, len1, len0, 0, 0]);
    out.extend_from_slice(content);
}

/// Parses the status and the end of a response and ignores the rest.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct FastCgiResponse {
    head: Head,
    header: [u8; HEADER],
    /// Bytes of `header` that have arrived.
    filled: usize,
    /// Bytes of the current record's content and padding still to come.
    content: usize,
    padding: usize,
    ended: bool,
}

impl FastCgiResponse {
    /// Takes the next bytes of the response; ignores those after its end.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.ended {
            if self.filled < HEADER {
                let count = bytes.len().min(HEADER - self.filled);
                self.header[self.filled..self.filled + count].copy_from_slice(&bytes[..count]);
                self.filled += count;
                bytes = &bytes[count..];
                if self.filled == HEADER {
                    self.content = usize::from(u16::from_be_bytes([self.header[4], self.header[5]]));
                    self.padding = usize::from(self.header[6]);
                    self.finish_record();
                }
                continue;
            }
            let count = bytes.len().min(self.content);
            let (content, rest) = bytes.split_at(count);
            if self.header[1] == STDOUT {
                self.head.feed(content);
            }
            self.content -= count;
            let skipped = rest.len().min(self.padding);
            self.padding -= skipped;
            bytes = &rest[skipped..];
            self.finish_record();
        }
    }

    fn finish_record(&mut self) {
        if self.content == 0 && self.padding == 0 {
            self.ended = self.header[1] == END_REQUEST;
            self.filled = 0;
        }
    }

    /// Whether the server has marked the end of the request.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// The status, once the head is complete: that of CGI's "Status:" line or of a status line, as PHP writes one with
    /// `cgi.rfc2616_headers`. Without both, web servers take a response with "Location:" for a redirect, and any other for 200.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        let head = self.head.complete()?;
        let field = |name: &str| {
            head.split(|byte| *byte == b'\n').find_map(|line| {
                let (own, value) = line.split_at_checked(name.len())?;
                own.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
            })
        };
        let of_line = || number(head.strip_prefix(b"HTTP/1.")?.get(1..)?);
        let implied = || if field("Location:").is_some() { 302 } else { 200 };
        Some(field("Status:").and_then(number).or_else(of_line).unwrap_or_else(implied))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records(of: &[(u8, &[u8], u8)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (kind, content, padding) in of {
            let start = out.len();
            record(&mut out, *kind, content);
            out[start + 6] = *padding;
            out.extend(std::iter::repeat_n(0, usize::from(*padding)));
        }
        out
    }

    #[test]
    fn a_request_is_what_the_specification_says() {
        let mut pairs = Vec::new();
        pair(&mut pairs, b"AB", b"c");
        let expected = [
            &[1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..],
            &[1, 4, 0, 1, 0, 5, 0, 0, 2, 1, b'A', b'B', b'c', 1, 4, 0, 1, 0, 0, 0, 0],
            &[1, 5, 0, 1, 0, 1, 0, 0, b'x', 1, 5, 0, 1, 0, 0, 0, 0],
        ];
        assert_eq!(request(&pairs, b"x"), expected.concat());
    }

    #[test]
    fn long_values_have_long_lengths_and_many_take_several_records() {
        let mut pairs = Vec::new();
        pair(&mut pairs, b"A", &[b'v'; 200]);
        assert_eq!(pairs[..6], [1, 0x80, 0, 0, 200, b'A']);
        let bytes = request(&[7; 70_000], b"");
        assert_eq!(bytes[16..24], [1, 4, 0, 1, 0xff, 0xff, 0, 0]);
        assert_eq!(bytes[16 + 8 + 65_535..][..8], [1, 4, 0, 1, 0x11, 0x71, 0, 0]);
    }

    proptest! {
        #[test]
        fn the_status_is_found_however_the_bytes_come(
            cuts in proptest::collection::vec(1..30_usize, 0..40),
            status in 100..600_u16,
            padding in 0..9_u8,
        ) {
            let head = format!("X-Powered-By: PHP\r\nstatus: {status} Some Words\r\n\r\nbody");
            let (one, two) = head.as_bytes().split_at(20);
            let bytes = records(&[(7, b"PHP message: Status: 1", 3), (STDOUT, one, padding), (STDOUT, two, 0), (END_REQUEST, &[0; 8], padding)]);
            let mut response = FastCgiResponse::default();
            let mut rest = &bytes[..];
            for cut in cuts {
                let (part, after) = rest.split_at(cut.min(rest.len()));
                response.feed(part);
                rest = after;
            }
            response.feed(rest);
            prop_assert!(response.is_ended());
            prop_assert_eq!(response.status(), Some(status));
        }

        #[test]
        fn no_bytes_can_crash_it(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut response = FastCgiResponse::default();
            response.feed(&bytes);
            let _ = (response.is_ended(), response.status());
        }
    }

    #[test]
    fn without_a_status_it_is_200_and_without_a_head_there_is_none() {
        let mut response = FastCgiResponse::default();
        response.feed(&records(&[(STDOUT, b"Content-type: text/html\r\n\r\n", 0)]));
        assert_eq!((response.status(), response.is_ended()), (Some(200), false));
        for (head, status) in [
            (&b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n"[..], 302),
            (b"HTTP/1.1 403 Forbidden\r\nContent-type: text/html\r\n\r\n", 403),
            (b"Location: /login\r\n\r\n", 302),
            (b"Location: /made\r\nStatus: 201 Created\r\n\r\n", 201),
            (b"Content-Location: /a\r\n\r\n", 200),
        ] {
            let mut response = FastCgiResponse::default();
            response.feed(&records(&[(STDOUT, head, 0)]));
            assert_eq!(response.status(), Some(status), "{}", head.escape_ascii());
        }
        let mut response = FastCgiResponse::default();
        response.feed(&records(&[(STDOUT, b"Content-type", 0), (END_REQUEST, &[0; 8], 0)]));
        assert_eq!((response.status(), response.is_ended()), (None, true));
    }
}
