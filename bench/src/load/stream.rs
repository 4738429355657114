//! One stream: its connection, its response, and what its events show.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use mio::net::TcpStream;
use socket2::{Domain, SockAddr, Socket, Type};

use super::chunks::Chunks;
use super::events::{Event, Parser};
use super::order::Order;
use crate::publisher;

/// Longest head of a response.
const HEAD: usize = 16 << 10;

/// A stream of the load client.
pub struct Stream {
    /// Its connection; none once it has ended.
    pub socket: Option<TcpStream>,
    /// Its number, for `{n}` in the request.
    number: u64,
    /// When it was begun, on CLOCK_MONOTONIC.
    begun: u64,
    state: State,
    parser: Parser,
    order: Order,
    /// Events since [`Stream::forget`].
    pub events: u64,
}

enum State {
    /// The request is not sent yet.
    Connecting,
    /// So much of the response's head is here.
    Head(Vec<u8>),
    /// Its body, as it is or in chunks.
    Raw,
    Chunked(Chunks),
    /// The body of an ordinary page.
    Page,
}

/// What reading showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing that changes anything: events, or a part of them.
    Same,
    /// The stream has begun: its response is one of the right kind. Of a page: it has come to its end.
    Begun,
}

/// Where what streams show is added up.
#[derive(Default)]
pub struct Tally {
    /// See [`super::Received`].
    pub bytes: u64,
    /// When the first event came, on CLOCK_MONOTONIC.
    pub first: Option<u64>,
    /// When the last event came.
    pub last: u64,
    /// From publishing to reading, in nanoseconds.
    pub latency: super::Spans,
    /// From connecting to the first byte.
    pub first_byte: super::Spans,
    /// Events must be numbered.
    pub checked: bool,
    /// These are no streams, but ordinary pages.
    pub pages: bool,
}

impl Stream {
    /// Begins to connect, from this address.
    ///
    /// # Errors
    /// The system has no descriptor or port for it.
    pub fn connect(number: u64, server: SocketAddr, from: SocketAddr) -> Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking().cloexec(), None).context("no socket")?;
        socket.set_reuse_address(true)?;
        socket.bind(&from.into()).with_context(|| format!("can't bind to {from}"))?;
        match socket.connect(&SockAddr::from(server)) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => {
                return Err(error).context("can't connect");
            }
            _ => {}
        }
        Ok(Self {
            socket: Some(TcpStream::from_std(socket.into())),
            number,
            begun: publisher::now(),
            state: State::Connecting,
            parser: Parser::default(),
            order: Order::default(),
            events: 0,
        })
    }

    /// Whether its response has begun.
    pub fn is_open(&self) -> bool {
        self.socket.is_some() && matches!(self.state, State::Raw | State::Chunked(_))
    }

    /// Events that were lost, doubled and out of order since [`Stream::forget`].
    pub fn wrong(&self) -> (u64, u64, u64) {
        (self.order.lost, self.order.doubled, self.order.disordered)
    }

    /// Comments since [`Stream::forget`].
    pub fn comments(&self) -> u64 {
        self.parser.comments
    }

    /// Counts from nothing again.
    pub fn forget(&mut self) {
        self.events = 0;
        self.parser.comments = 0;
        self.order.forget();
    }

    /// Sends the request, if it is connected and has not yet.
    ///
    /// # Errors
    /// It can't connect, or the server does not take the request.
    pub fn send(&mut self, request: &str, host: SocketAddr, pages: bool) -> Result<()> {
        let (State::Connecting, Some(socket)) = (&self.state, &mut self.socket) else { return Ok(()) };
        if let Some(error) = socket.take_error()? {
            return Err(error).context("can't connect");
        }
        if socket.peer_addr().is_err() {
            return Ok(());
        }
        let path = request.replace("{n}", &self.number.to_string());
        let more = if pages { "Connection: close" } else { "Accept: text/event-stream" };
        let text = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n\r\n");
        // It fits into an empty buffer.
        if socket.write(text.as_bytes()).context("can't send the request")? < text.len() {
            bail!("can't send the request at once");
        }
        self.state = State::Head(Vec::new());
        Ok(())
    }

    /// Reads what there is.
    ///
    /// # Errors
    /// The stream has ended, or is not one, or its events are not as they should be.
    pub fn read(&mut self, ended: bool, buffer: &mut [u8], tally: &mut Tally) -> Result<Progress> {
        let mut progress = Progress::Same;
        loop {
            let Some(socket) = &mut self.socket else { return Ok(progress) };
            let count = match socket.read(buffer) {
                Ok(0) if matches!(self.state, State::Page) => {
                    self.socket = None;
                    return Ok(Progress::Begun);
                }
                Ok(0) => bail!("closed by the server"),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(progress),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("reading failed"),
            };
            if self.take(&buffer[..count], publisher::now(), tally)? == Progress::Begun {
                progress = Progress::Begun;
            }
            // Less than there was room for: there is no more, so no need to ask (epoll(7)); what comes now is told anew.
            if count < buffer.len() && !ended {
                return Ok(progress);
            }
        }
    }

    fn take(&mut self, bytes: &[u8], now: u64, tally: &mut Tally) -> Result<Progress> {
        tally.bytes += bytes.len() as u64;
        if let State::Head(head) = &mut self.state {
            if head.is_empty() {
                tally.first_byte.record(now.saturating_sub(self.begun));
            }
            head.extend_from_slice(bytes);
            let Some((length, state)) = begin(head, tally.pages)? else { return Ok(Progress::Same) };
            if tally.pages {
                self.state = state;
                return Ok(Progress::Same);
            }
            let rest = head.split_off(length);
            self.state = state;
            self.body(&rest, now, tally)?;
            return Ok(Progress::Begun);
        }
        self.body(bytes, now, tally)?;
        Ok(Progress::Same)
    }

    fn body(&mut self, bytes: &[u8], now: u64, tally: &mut Tally) -> Result<()> {
        let Self { state, parser, order, events, .. } = self;
        let mut wrong = None;
        let mut dispatch = |event: &Event<'_>| {
            *events += 1;
            tally.first.get_or_insert(now);
            tally.last = now;
            match numbers(event.data) {
                Some((number, published)) => {
                    if tally.checked {
                        order.came(number);
                    }
                    tally.latency.record(now.saturating_sub(published));
                }
                None if tally.checked => wrong = Some(String::from_utf8_lossy(event.data).into_owned()),
                None => {}
            }
        };
        match state {
            State::Chunked(chunks) => {
                chunks.feed(bytes, |content| parser.feed(content, &mut dispatch))?;
                if matches!(chunks, Chunks::Over) {
                    bail!("ended by the server");
                }
            }
            _ => parser.feed(bytes, &mut dispatch),
        }
        match wrong {
            Some(data) => bail!("an event without a number and a time: '{data}'"),
            None => Ok(()),
        }
    }
}

/// The length of the head, and how the body comes; none while the head is not whole.
fn begin(head: &[u8], page: bool) -> Result<Option<(usize, State)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(head).context("the response is not HTTP")? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial if head.len() > HEAD => bail!("the response's head does not end"),
        httparse::Status::Partial => return Ok(None),
    };
    let header = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        String::from_utf8_lossy(found.map_or(b"", |header| header.value)).to_ascii_lowercase()
    };
    if response.code != Some(200) {
        bail!("status {}", response.code.unwrap_or(0));
    }
    if page {
        return Ok(Some((length, State::Page)));
    }
    if !header("content-type").starts_with("text/event-stream") {
        bail!("type '{}'", header("content-type"));
    }
    if !header("content-encoding").is_empty() {
        bail!("encoding '{}'", header("content-encoding"));
    }
    let chunked = header("transfer-encoding") == "chunked";
    Ok(Some((length, if chunked { State::Chunked(Chunks::default()) } else { State::Raw })))
}

/// The number and the time that the data of an event begins with; see [`crate::publisher`].
fn numbers(data: &[u8]) -> Option<(u64, u64)> {
    let (number, rest) = number(data)?;
    Some((number, self::number(rest)?.0))
}

/// The decimal number at the beginning, and what follows the space behind it.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=19).contains(&digits) {
        return None;
    }
    let value = text[..digits].iter().fold(0, |value: u64, digit| value * 10 + u64::from(digit - b'0'));
    Some((value, text.get(digits + 1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn how(head: &str) -> Result<Option<usize>> {
        Ok(begin(head.as_bytes(), false)?.map(|(length, _)| length))
    }

    #[test]
    fn a_stream_begins_with_status_200_and_the_right_type() {
        let good = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream;charset=UTF-8\r\n\r\n";
        assert_eq!(how(&format!("{good}data: x")).unwrap(), Some(good.len()));
        assert_eq!(how(&good[..good.len() - 1]).unwrap(), None);
        for (wrong, why) in [
            ("HTTP/1.1 503 Busy\r\n\r\n", "status 503"),
            ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "type 'text/html'"),
            ("SSH-2.0-OpenSSH_9.2\r\n", "the response is not HTTP"),
        ] {
            assert_eq!(how(wrong).unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn a_chunked_response_is_noticed() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\ntransfer-encoding: Chunked\r\n\r\n";
        assert!(matches!(begin(head, false).unwrap(), Some((_, State::Chunked(_)))));
    }

    #[test]
    fn events_are_numbered_and_timed() {
        assert_eq!(numbers(b"12 345 xxx"), Some((12, 345)));
        assert_eq!(numbers(b"12 345"), Some((12, 345)));
        for wrong in [b"".as_slice(), b"12", b"x 1", b"12 x", b"99999999999999999999 1"] {
            assert_eq!(numbers(wrong), None);
        }
    }
}
