//! The floor: a bare epoll server, one thread, one `send()` a reader and event, nothing else. Whatever delivers events can't
//! be cheaper than this without fewer system calls.
//!
//! It answers any request with a stream of the one topic there is, takes a datagram as an event's data, and closes a
//! reader whose socket is full.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use mio::net::{TcpStream, UdpSocket};
use mio::{Events, Interest, Poll, Token};

use super::{Process, Server};
use crate::process::{Running, this_program};
use crate::publisher::{self, Form, Paced};

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n";
const CLIENTS: Token = Token(usize::MAX - 1);
const PUBLISHER: Token = Token(usize::MAX);

/// What `sse-bench floor` is told.
#[derive(clap::Args)]
pub struct Options {
    /// Where clients connect (TCP) and where events come in, each a datagram (UDP).
    #[arg(long, default_value = "127.0.0.1:0")]
    address: SocketAddr,
}

/// The floor in a process of its own.
struct Floor {
    process: Running,
    address: SocketAddr,
}

/// Starts one.
///
/// # Errors
/// It can't be started.
pub fn start() -> Result<Box<dyn Server>> {
    let mut process = Running::start(Command::new(this_program()?).arg("floor").stdout(Stdio::piped()))?;
    let output = process.child().stdout.take().context("no pipe from the floor")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let address = line.trim().parse().context("the floor does not say where it listens")?;
    Ok(Box::new(Floor { process, address }))
}

impl Server for Floor {
    fn name(&self) -> &'static str {
        "floor"
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn request(&self, _topic: &str) -> String {
        "/".to_owned()
    }

    fn publisher(&self, paced: &Paced) -> Result<Command> {
        publisher::command(paced, Form::Datagram, self.address, "/")
    }

    fn processes(&self) -> Result<Vec<Process>> {
        Ok(vec![Process { role: "floor".to_owned(), pid: self.process.pid() }])
    }
}

/// `sse-bench floor`: prints its address, and serves until it is killed.
///
/// # Errors
/// It can't listen.
pub fn run(options: &Options) -> Result<()> {
    let listener = socket2::Socket::new(socket2::Domain::for_address(options.address), socket2::Type::STREAM, None)?;
    listener.set_reuse_address(true)?;
    listener.bind(&options.address.into()).with_context(|| format!("can't listen at {}", options.address))?;
    listener.listen(4096)?;
    listener.set_nonblocking(true)?;
    let mut listener = mio::net::TcpListener::from_std(listener.into());
    let address = listener.local_addr()?;
    let mut publisher = UdpSocket::bind(address).with_context(|| format!("can't hear datagrams at {address}"))?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, CLIENTS, Interest::READABLE)?;
    poll.registry().register(&mut publisher, PUBLISHER, Interest::READABLE)?;
    println!("{address}");

    let mut readers: Vec<Option<TcpStream>> = Vec::new();
    let mut free = Vec::new();
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            match event.token() {
                CLIENTS => {
                    while let Ok((mut reader, _)) = listener.accept() {
                        reader.set_nodelay(true)?;
                        let index = free.pop().unwrap_or(readers.len());
                        poll.registry().register(&mut reader, Token(index), Interest::READABLE)?;
                        if index == readers.len() {
                            readers.push(None);
                        }
                        readers[index] = Some(reader);
                    }
                }
                PUBLISHER => {
                    while let Ok(length) = publisher.recv(&mut buffer) {
                        let event = [b"data: ", &buffer[..length], b"\n\n"].concat();
                        send(&mut readers, &event, &mut free);
                    }
                }
                Token(index) => {
                    let Some(reader) = readers[index].as_mut() else { continue };
                    // What it says can only be a request, or that it leaves.
                    if !matches!(reader.read(&mut buffer), Ok(1..)) || reader.write(HEAD).is_err() {
                        readers[index] = None;
                        free.push(index);
                    }
                }
            }
        }
    }
}

fn send(readers: &mut [Option<TcpStream>], event: &[u8], free: &mut Vec<usize>) {
    for (index, reader) in readers.iter_mut().enumerate() {
        let Some(socket) = reader else { continue };
        if socket.write(event).ok() != Some(event.len()) {
            *reader = None;
            free.push(index);
        }
    }
}
