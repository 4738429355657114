//! A hub in a thread. In a binary of its own, as this hub handles the signals of its whole process, raises its limit of
//! descriptors and installs its log.

#[path = "hub/support/mod.rs"]
mod support;

use std::os::unix::net::UnixListener;

use serde_json::{Value, json};
use sse_protocol::client::Client;
use sse_protocol::wire::Request;
use support::owner::Owner;
use support::{PATIENCE, config, until};

/// In a process that has other threads, and signals of its own.
#[test]
fn it_runs_in_a_thread_as_well() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("hub.sock");
    let listener = UnixListener::bind(&path).expect("a new socket");
    let settings: Value = json!({"socket": path});
    let hub = std::thread::spawn(move || sse_hub::run(config(&settings), listener));
    let mut owner = Owner::new();
    let mut client = Client::connect(&path, Some(owner.pid()), PATIENCE).expect("it listens");
    client.call(&Request::Cursor, None, PATIENCE).expect("answered");
    owner.end();
    until("it has ended", || hub.is_finished());
    hub.join().expect("no panic").expect("no error");
}
