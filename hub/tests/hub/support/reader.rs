//! The client's end of a stream, and what comes by it.

use std::io::Read;
use std::os::unix::net::UnixStream;

use sse_protocol::client::Client;
use sse_protocol::wire::{self, Delivery, PREFIX};

use super::PATIENCE;

/// The client's end of a stream.
pub struct Reader {
    pub socket: UnixStream,
    pub stream: u64,
    pub client: Client,
}

impl Reader {
    pub fn new(socket: UnixStream, stream: u64, client: Client) -> Self {
        Self { socket: patient(socket), stream, client }
    }

    /// The next bytes are exactly these.
    pub fn expect(&mut self, bytes: &[u8]) {
        expect(&mut self.socket, bytes);
    }

    /// The connection has ended, and nothing came before that.
    pub fn expect_end(&mut self) {
        expect_end(&mut self.socket);
    }

    /// The next event of a raw stream, up to its blank line.
    pub fn frame(&mut self) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\n\n") {
            let mut byte = [0];
            self.socket.read_exact(&mut byte).expect("an event");
            bytes.push(byte[0]);
        }
        String::from_utf8(bytes).expect("UTF-8")
    }

    /// The next message of a [`Framing::Message`] stream, as text.
    pub fn message(&mut self) -> String {
        let mut prefix = [0; PREFIX];
        self.socket.read_exact(&mut prefix).expect("a message");
        let mut content = vec![0; u32::from_le_bytes(prefix) as usize];
        self.socket.read_exact(&mut content).expect("all of it");
        match wire::decode::<Delivery<'_>>(&content).expect("a delivery") {
            Delivery::Event { id, topics, event_type, data, traceparent } => {
                let trace = traceparent.map(|traceparent| format!(" {traceparent}")).unwrap_or_default();
                format!("event {id} {} {} {}{trace}", topics.join(","), event_type.unwrap_or("-"), data.escape_ascii())
            }
            Delivery::Trigger { topic } => format!("trigger {topic}"),
            Delivery::Heartbeat => "heartbeat".into(),
            Delivery::Replaced { retry } => format!("replaced {retry}"),
            Delivery::Retry { retry } => format!("retry {retry}"),
        }
    }
}

pub fn expect(socket: &mut impl Read, bytes: &[u8]) {
    let mut found = vec![0; bytes.len()];
    let mut len = 0;
    while len < found.len() {
        match socket.read(&mut found[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) => panic!("{error} after {}", found[..len].escape_ascii()),
        }
    }
    assert!(found[..len] == *bytes, "got      {}\nexpected {}", short(&found[..len]), short(bytes));
}

pub fn expect_end(socket: &mut impl Read) {
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).expect("the end");
    assert_eq!(short(&rest), "");
}

/// The connection has ended, in order or not: who sends what nobody reads gets a reset.
pub fn expect_gone(socket: &mut UnixStream) {
    match socket.read(&mut [0; 16]) {
        Ok(0) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        other => panic!("the connection is still there: {other:?}"),
    }
}

fn short(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string();
    if text.len() > 2000 { format!("{}… ({} bytes)", &text[..2000], bytes.len()) } else { text }
}

pub fn patient(socket: UnixStream) -> UnixStream {
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}
