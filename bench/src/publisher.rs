//! Publishing at a steady pace. The data of each event is `SEQUENCE NANOSECONDS xxx…`: the number of the event in its topic,
//! from 0, and CLOCK_MONOTONIC when it was published (PHP: `hrtime(true)`); x up to the size wanted.
//!
//! A publisher is a process of its own, so that its CPU time is not the server's nor the load client's. A server that PHP
//! publishes to has a PHP script for it; this one speaks HTTP and UDP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// What to publish, and when.
#[derive(Debug, Clone)]
pub struct Paced {
    /// The topic of all events.
    pub topic: String,
    /// The number of the first event: that of the events that were published to this topic before.
    pub first: u64,
    /// How many events.
    pub events: u64,
    /// How many a second; 0: as fast as they are taken.
    pub rate: u64,
    /// Length of each one's data.
    pub bytes: usize,
}

/// How an event is sent to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// A datagram that is the data (the floor).
    Datagram,
    /// POST with the data as its body (nchan).
    Body,
    /// POST of Pushpin's JSON.
    Pushpin,
}

/// What `sse-bench publish` is told.
#[derive(clap::Args)]
pub struct Options {
    /// Where to.
    #[arg(long)]
    address: SocketAddr,
    /// The path to POST to.
    #[arg(long, default_value = "/")]
    path: String,
    /// How an event is sent.
    #[arg(long)]
    form: Form,
    /// The topic.
    #[arg(long, default_value = "bench")]
    topic: String,
    /// The number of the first event.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// How many events.
    #[arg(long, default_value_t = 100)]
    events: u64,
    /// How many a second; 0: as fast as they are taken.
    #[arg(long, default_value_t = 10)]
    rate: u64,
    /// Length of each one's data.
    #[arg(long, default_value_t = 100)]
    bytes: usize,
}

/// The command that publishes so from this program.
///
/// # Errors
/// This program can't be found.
pub fn command(paced: &Paced, form: Form, address: SocketAddr, path: &str) -> Result<Command> {
    let mut command = Command::new(crate::process::this_program()?);
    let form = match form {
        Form::Datagram => "datagram",
        Form::Body => "body",
        Form::Pushpin => "pushpin",
    };
    command.args(["publish", "--form", form, "--path", path, "--topic", &paced.topic]);
    command.args(["--address", &address.to_string(), "--first", &paced.first.to_string()]);
    command.args(["--events", &paced.events.to_string(), "--rate", &paced.rate.to_string()]);
    command.args(["--bytes", &paced.bytes.to_string()]);
    Ok(command)
}

/// CLOCK_MONOTONIC in nanoseconds.
pub fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The data of an event, `bytes` long, or as long as number and time need.
pub fn data(sequence: u64, bytes: usize) -> Vec<u8> {
    let mut data = format!("{sequence} {} ", now()).into_bytes();
    data.resize(bytes.max(data.len()), b'x');
    data
}

/// Where events go.
enum Sink {
    Datagrams(UdpSocket),
    Http { address: SocketAddr, connection: Option<TcpStream>, head: String, form: Form, topic: String },
}

/// `sse-bench publish`.
///
/// # Errors
/// The server does not take an event.
pub fn run(options: &Options) -> Result<()> {
    let mut sink = Sink::open(options)?;
    let begin = now();
    for number in 0..options.events {
        if let Some(nanoseconds) = (number * 1_000_000_000).checked_div(options.rate) {
            // By the plan, not by the last event: what takes long once is not put off for all the rest.
            let due = begin + nanoseconds;
            std::thread::sleep(Duration::from_nanos(due.saturating_sub(now())));
        }
        sink.send(options.first + number, options.bytes)?;
    }
    Ok(())
}

impl Sink {
    fn open(options: &Options) -> Result<Self> {
        if options.form == Form::Datagram {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.connect(options.address).with_context(|| format!("can't reach {}", options.address))?;
            return Ok(Self::Datagrams(socket));
        }
        let kind = if options.form == Form::Pushpin { "application/json" } else { "text/plain" };
        let head = format!("POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: {kind}\r\n", options.path, options.address);
        Ok(Self::Http {
            address: options.address,
            connection: None,
            head,
            form: options.form,
            topic: options.topic.clone(),
        })
    }

    fn send(&mut self, sequence: u64, bytes: usize) -> Result<()> {
        let data = data(sequence, bytes);
        match self {
            Self::Datagrams(socket) => socket.send(&data).map(drop).context("the server takes no datagram"),
            Self::Http { address, connection, head, form, topic } => {
                let body = match form {
                    Form::Pushpin => pushpin(topic, &data),
                    _ => data,
                };
                let mut message = format!("{head}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
                message.extend(body);
                // Kept where the server keeps it (Pushpin closes it after each event).
                let mut open = match connection.take() {
                    Some(open) => open,
                    None => connect(*address)?,
                };
                open.write_all(&message)?;
                if answer(&mut open)? {
                    *connection = Some(open);
                }
                Ok(())
            }
        }
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let connection = TcpStream::connect(address).with_context(|| format!("can't reach {address}"))?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(connection)
}

/// <https://pushpin.org/docs/usage/#publishing>
fn pushpin(topic: &str, data: &[u8]) -> Vec<u8> {
    let content = format!("data: {}\n\n", String::from_utf8_lossy(data));
    let item = serde_json::json!({"channel": topic, "formats": {"http-stream": {"content": content}}});
    serde_json::json!({"items": [item]}).to_string().into_bytes()
}

/// Reads one answer, and fails unless it says that all is well; whether the connection can be used again.
fn answer(connection: &mut TcpStream) -> Result<bool> {
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(end) = text.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&text[..end]).to_ascii_lowercase();
            if !head.starts_with("http/1.1 2") {
                bail!("the server does not take an event: {head}");
            }
            let chunked = head.contains("transfer-encoding: chunked");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(Ok(0), |length| length.trim().parse())?;
            let body = &text[end + 4..];
            if (chunked && body.ends_with(b"0\r\n\r\n")) || (!chunked && body.len() >= length) {
                return Ok(!head.contains("connection: close"));
            }
        }
        match connection.read(&mut piece)? {
            0 => bail!("the server closed the connection that events are published on"),
            count => text.extend(&piece[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_as_long_as_asked_for_and_begins_with_its_number() {
        let event = data(7, 100);
        assert_eq!(event.len(), 100);
        assert!(event.starts_with(b"7 "));
        assert!(data(7, 1).len() > 3);
    }
}
