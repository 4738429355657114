//! The load client with real connections: against the floor, and against a server that makes mistakes.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use serde_json::{Value, json};

const BENCH: &str = env!("CARGO_BIN_EXE_sse-bench");

/// A process that ends with the test, and whose output can be read.
struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(BENCH);
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// A process of the load client.
    fn load(address: &str) -> Self {
        let plan = json!({"address": address, "request": "/", "concurrency": 20, "checked": true, "patience": 30});
        Self::start(&["load", &plan.to_string()])
    }

    fn ask(&mut self, request: &Value) -> Value {
        writeln!(self.input, "{request}").unwrap();
        serde_json::from_str(&self.line()).unwrap()
    }

    fn open(&mut self, streams: u64) -> Value {
        self.ask(&json!({"Open": {"first": 0, "streams": streams}}))["Opened"].take()
    }

    fn receive(&mut self, events: u64) -> Value {
        let patience = 60_000_000_000_u64;
        self.ask(&json!({"Receive": {"events": events, "patience": patience}}))["Received"].take()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn publish(address: &str, first: u64, events: u64, bytes: u64) {
    let arguments = ["publish", "--form", "datagram", "--address", address, "--rate", "100"];
    let numbers = [("--first", first), ("--events", events), ("--bytes", bytes)];
    let numbers = numbers.iter().flat_map(|(name, number)| [(*name).to_owned(), number.to_string()]);
    assert!(Command::new(BENCH).args(arguments).args(numbers).status().unwrap().success());
}

#[test]
fn all_events_of_the_floor_come_to_all_streams() {
    let mut floor = Process::start(&["floor"]);
    let address = floor.line();
    let mut load = Process::load(&address);
    let opened = load.open(200);
    assert_eq!((&opened["opened"], &opened["failed"]), (&json!(200), &json!({})));

    for (round, bytes) in [(0, 100), (1, 10_240)] {
        assert_eq!(load.ask(&json!("Forget")), json!("Forgotten"));
        publish(&address, round * 10, 10, bytes);
        let received = load.receive(10);
        for (what, value) in
            [("events", 2_000), ("least", 10), ("most", 10), ("lost", 0), ("doubled", 0), ("disordered", 0)]
        {
            assert_eq!(received[what], json!(value), "{what}: {received}");
        }
        assert_eq!(received["bytes"], json!(2_000 * (bytes + "data: \n\n".len() as u64)));
        let latencies: u64 = received["latency"].as_array().unwrap().iter().map(|pair| pair[1].as_u64().unwrap()).sum();
        assert_eq!(latencies, 2_000);
    }
}

/// What a client finds whose server sends `begin`, and `end` when the stream is open, and is told to wait for so many events.
fn found(begin: &'static [u8], end: Option<&'static [u8]>, events: u64) -> (Value, Value) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut load = Process::load(&listener.local_addr().unwrap().to_string());
    let (go_on, is_open) = mpsc::channel();
    let server = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let _ = client.read(&mut [0; 4096]).unwrap();
        // A byte at a time: whatever is cut anywhere is put together again.
        client.set_nodelay(true).unwrap();
        begin.iter().for_each(|byte| client.write_all(&[*byte]).unwrap());
        if let Some(end) = end {
            is_open.recv().unwrap();
            client.write_all(end).unwrap();
            // It stays open until the client has said what it found.
            let _ = is_open.recv();
        }
    });
    let opened = load.open(1);
    let _ = go_on.send(());
    let received = if events > 0 { load.receive(events) } else { Value::Null };
    drop(go_on);
    server.join().unwrap();
    (opened, received)
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

#[test]
fn loss_doubling_and_disorder_are_found() {
    let events = b"data: 0 1 \n\ndata: 1 1 \n\ndata: 1 1 \n\ndata: 5 1 \n\ndata: 3 1 \n\n";
    let (opened, received) = found(HEAD, Some(events), 5);
    assert_eq!(opened["opened"], json!(1));
    for (what, value) in [("events", 5), ("lost", 2), ("doubled", 1), ("disordered", 1)] {
        assert_eq!(received[what], json!(value), "{what}: {received}");
    }
}

#[test]
fn an_event_without_a_number_ends_its_stream() {
    let (_, received) = found(HEAD, Some(b"data: hello\n\n"), 1);
    assert_eq!(received["ended"], json!({"an event without a number and a time: 'hello'": 1}));
}

#[test]
fn a_chunked_stream_is_read_and_its_end_is_told() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (_, received) = found(head, Some(b"7\r\ndata: 0\r\n5\r\n 1 \n\n\r\n"), 1);
    assert_eq!(received["events"], json!(1));
    let (_, received) = found(head, Some(b"0\r\n\r\n"), 1);
    assert_eq!(received["ended"], json!({"ended by the server": 1}));
}

#[test]
fn what_is_no_stream_is_told() {
    let busy = b"HTTP/1.1 503 Service Unavailable\r\n\r\n";
    assert_eq!(found(busy, None, 0).0["failed"], json!({"status 503": 1}));
    assert_eq!(found(b"", None, 0).0["failed"], json!({"closed by the server": 1}));
}
