//! A hub in the foreground: its process stays as long as there is a hub, whichever that is.

use rustix::process::Signal;
use serde_json::{Value, json};
use sse_protocol::wire::Framing;

use crate::support::{Hub, Successor, publish};

/// A hub in the foreground, and the last of those that have taken over from it, one after the other.
fn taken_over(times: usize) -> (Hub, Vec<Successor>) {
    let hub = Hub::with(json!({ "foreground": true }));
    let mut successors = Vec::new();
    let mut reader = hub.stream(&["a"], Framing::Raw);
    reader.expect(b":\n\n");
    for nth in 0..times {
        let mut successor = hub.successor(&json!({ "foreground": false, "idle_exit_ms": 1 }));
        let report = successor.report();
        assert_eq!((&report["error"], &report["streams"]), (&Value::Null, &json!(1)));
        assert_eq!(hub.stats()["pid"], json!(successor.pid()));
        publish(&mut hub.client(), &["a"], &nth.to_string(), "x");
        reader.expect(format!("id: {nth}\ndata: x\n\n").as_bytes());
        successors.push(successor);
    }
    (hub, successors)
}

#[test]
fn its_process_ends_the_hub_that_has_taken_over_and_then_itself() {
    for (times, signal) in [(1, Signal::TERM), (3, Signal::INT)] {
        let (mut hub, mut successors) = taken_over(times);
        // Those between have ended, the first one and the last one have not.
        let last = successors.pop().expect("at least one");
        for mut between in successors {
            assert!(between.ended().success());
        }
        let mut reader = hub.stream(&["a"], Framing::Chunked);
        reader.expect(b"3\r\n:\n\n\r\n");
        hub.signal(signal);
        assert!(hub.ended().success());
        reader.expect(b"0\r\n\r\n");
        reader.expect_end();
        assert!({ last }.ended().success());
        assert!(!hub.socket.exists());
    }
}

#[test]
fn its_process_fails_when_the_hub_that_has_taken_over_is_killed() {
    let (mut hub, mut successors) = taken_over(2);
    let mut reader = hub.stream(&["a"], Framing::Raw);
    reader.expect(b":\n\n");
    successors.pop().expect("the last").kill();
    // It has kept no descriptor of what it passed on.
    reader.expect_end();
    assert!(!hub.ended().success());
}
