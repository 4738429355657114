//! Heads of HTTP/1 messages: reads a request's, and writes a response's.

use sse_protocol::wire::Framing;

/// Maximum length of a request's head, in bytes.
pub(crate) const MAX_REQUEST: usize = 32 << 10;

/// Maximum number of fields in a request's head.
const MAX_FIELDS: usize = 128;

/// Maximum length of all headers of a response, in bytes.
pub(crate) const MAX_HEADERS: usize = 32 << 10;

/// Headers that belong to the connection, which is the hub's.
const OF_CONNECTION: [&str; 8] = [
    "Connection",
    "Content-Length",
    "Keep-Alive",
    "Proxy-Connection",
    "Status",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
];

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted<'a> {
    /// The stream of the ticket with this name: the last segment of the path.
    Stream(&'a str, Framing),
    /// Whether the hub is there.
    Health,
    /// Something that the hub does not have.
    Nothing,
}

/// Reads a request's head; `None` if there must be more of it.
///
/// # Errors
/// It is no request of HTTP/1, or too long.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<Wanted<'_>>, httparse::Error> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    if request.parse(bytes)?.is_partial() {
        return if bytes.len() < MAX_REQUEST { Ok(None) } else { Err(httparse::Error::TooManyHeaders) };
    }
    let (Some("GET"), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Ok(Some(Wanted::Nothing));
    };
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    Ok(Some(match path.rsplit_once('/') {
        Some(("", "health")) => Wanted::Health,
        // "A server MUST NOT send a response containing Transfer-Encoding unless the corresponding request indicates HTTP/1.1"
        // (RFC 9112, 6.1).
        Some((_, name)) => Wanted::Stream(name, if version == 0 { Framing::Raw } else { Framing::Chunked }),
        None => Wanted::Nothing,
    }))
}

/// Joins the headers of a response; `None` if one is no header, or all are too long. Those of the connection are left out.
pub(crate) fn headers(lines: &[&[u8]]) -> Option<Box<[u8]>> {
    let mut joined = Vec::new();
    for line in lines {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let is_name = |byte: &u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(byte);
        let is_value = |byte: &u8| !matches!(byte, b'\r' | b'\n' | b'\0');
        if name.is_empty() || name.len() == line.len() || !name.iter().all(is_name) || !line.iter().all(is_value) {
            return None;
        }
        if OF_CONNECTION.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes())) {
            continue;
        }
        joined.extend_from_slice(line);
        joined.extend_from_slice(b"\r\n");
    }
    (joined.len() <= MAX_HEADERS).then(|| joined.into())
}

/// The head of a stream's response with these headers.
pub(crate) fn stream(headers: &[u8], framing: Framing) -> Vec<u8> {
    let (status, coding): (&[u8], &[u8]) = match framing {
        Framing::Chunked => (b"HTTP/1.1 200 OK\r\n", b"Transfer-Encoding: chunked\r\n"),
        _ => (b"HTTP/1.0 200 OK\r\n", b""),
    };
    [status, headers, coding, b"Connection: close\r\n\r\n"].concat()
}

/// A whole response with a short text.
pub(crate) fn text(status: &str, text: &str) -> Vec<u8> {
    let length = text.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\nContent-Length: {length}\r\nConnection: \
         close\r\n\r\n{text}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_its_ticket_by_the_end_of_its_path() {
        assert_eq!(read(b"GET /.sse/abc?x=/y HTTP/1.0\r\n\r\n"), Ok(Some(Wanted::Stream("abc", Framing::Raw))));
        assert_eq!(read(b"GET /abc HTTP/1.1\r\nHost: x\r\n\r\n"), Ok(Some(Wanted::Stream("abc", Framing::Chunked))));
        assert_eq!(read(b"GET /health HTTP/1.1\r\n\r\n"), Ok(Some(Wanted::Health)));
        assert_eq!(read(b"POST /.sse/abc HTTP/1.1\r\n\r\n"), Ok(Some(Wanted::Nothing)));
        assert_eq!(read(b"GET /.sse/abc HT"), Ok(None));
        assert!(read(b"\x16\x03\x01").is_err());
    }

    /// Attack: a request without an end, to make the hub keep it.
    #[test]
    fn a_request_has_a_greatest_length() {
        let long = [b"GET /a HTTP/1.1\r\nX: ".as_slice(), &vec![b'x'; MAX_REQUEST]].concat();
        assert!(read(&long).is_err());
        let many = [b"GET /a HTTP/1.1\r\n".to_vec(), b"X: y\r\n".repeat(MAX_FIELDS + 1)].concat();
        assert!(read(&many).is_err());
    }

    /// Attack: a header with a line break, or one of the connection, begins another response.
    #[test]
    fn headers_are_checked_and_those_of_the_connection_left_out() {
        let lines: [&[u8]; 4] = [b"Set-Cookie: a=b", b"content-length: 5", b"Transfer-Encoding: x", b"X-A: \xE9"];
        assert_eq!(headers(&lines).as_deref(), Some(&b"Set-Cookie: a=b\r\nX-A: \xE9\r\n"[..]));
        for bad in [&b"X: a\r\nY: b"[..], b"X: a\nb", b"X: a\0", b"X", b": a", b"X Y: a", b""] {
            assert_eq!(headers(&[bad]), None, "{}", bad.escape_ascii());
        }
        let long = [b"X: ".as_slice(), &vec![b'x'; MAX_HEADERS]].concat();
        assert_eq!(headers(&[&long]), None);
        assert_eq!(
            stream(b"A: b\r\n", Framing::Chunked),
            b"HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(stream(b"A: b\r\n", Framing::Raw), b"HTTP/1.0 200 OK\r\nA: b\r\nConnection: close\r\n\r\n");
    }
}
