//! How a hub begins and ends.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use sse_hub::socket;
use sse_protocol::wire::{Framing, Request};

use crate::support::owner::Owner;
use crate::support::{self, Hub, PATIENCE, attach, read_to_string, until};

#[test]
fn sigterm_and_sigint_end_it_in_good_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut hub = Hub::new();
        let mut open = hub.stream(&["a"], Framing::Chunked);
        let (near, mut held) = UnixStream::pair().expect("a pair");
        attach(&mut open.client, near.into(), &["a"], 0).expect("attached");
        open.expect(b"3\r\n:\n\n\r\n");
        hub.signal(signal);
        open.expect(b"0\r\n\r\n");
        open.expect_end();
        support::expect_end(&mut held);
        assert!(hub.ended().success());
        assert!(!hub.socket.exists(), "its socket file is gone");
    }
}

#[test]
fn a_client_that_does_not_read_does_not_hold_up_the_end() {
    let mut hub = Hub::new();
    let mut reader = hub.stream(&["a"], Framing::Raw);
    support::publish(&mut reader.client, &["a"], "1", &"x".repeat(2 << 20));
    hub.until("it is behind", |stats| stats["queued_bytes"].as_u64() > Some(0));
    hub.signal(Signal::TERM);
    assert!(hub.ended().success());
}

#[test]
fn its_threads_leave_other_signals_alone() {
    let hub = Hub::with(json!({ "processes": 1 }));
    hub.stats();
    let own = 1 << (1 - 1) | 1 << (2 - 1) | 1 << (15 - 1);
    assert_eq!(blocked(&hub, "sse-ordering") & own, 0, "SIGHUP, SIGINT and SIGTERM");
    assert_ne!(blocked(&hub, "sse-ordering") & 1 << (10 - 1), 0, "SIGUSR1");
    for shard in ["sse-shard-0", "sse-shard-1"] {
        assert_eq!(blocked(&hub, shard) & (own | 1 << (10 - 1)), own | 1 << (10 - 1));
    }
}

/// The signals that a thread of the hub blocks.
fn blocked(hub: &Hub, thread: &str) -> u64 {
    let mut status = None;
    // A new thread gives itself its name.
    until("there is a thread of that name", || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", hub.pid())).expect("the hub is there");
        let mut statuses = tasks.map(|task| read_to_string(&task.expect("a thread").path().join("status")));
        status = statuses.find(|status| status.starts_with(&format!("Name:\t{thread}\n")));
        status.is_some()
    });
    let status = status.expect("just seen");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).expect("a mask");
    u64::from_str_radix(mask, 16).expect("hex")
}

#[test]
fn it_ends_with_the_last_of_its_owners() {
    let mut hub = Hub::new();
    let mut owners = [Owner::new(), Owner::new()];
    let mut clients: Vec<_> = owners.iter().map(|owner| hub.client_of(Some(owner.pid()))).collect();
    // The same one from two workers.
    clients.push(hub.client_of(Some(owners[0].pid())));
    for client in &mut clients {
        client.call(&Request::Cursor, None, PATIENCE).expect("answered");
    }
    let mut reader = hub.stream(&["a"], Framing::Chunked);
    drop(clients);
    owners[0].end();
    support::publish(&mut hub.client(), &["a"], "1", "one");
    reader.expect(b"3\r\n:\n\n\r\n11\r\nid: 1\ndata: one\n\n\r\n");
    owners[1].end();
    reader.expect(b"0\r\n\r\n");
    assert!(hub.ended().success());
    assert!(!hub.socket.exists());
}

#[test]
fn it_follows_a_server_that_becomes_another_process() {
    let mut hub = Hub::new();
    let title = 1_000_000 + std::process::id();
    let mut server = Owner::titled(title, false);
    hub.client_of(Some(server.pid())).call(&Request::Cursor, None, PATIENCE).expect("answered");
    let _worker = Owner::titled(title, false);
    let mut daemon = Owner::titled(title, true);
    until("it is a daemon", || read_to_string(format!("/proc/{}/cmdline", daemon.pid()).as_ref()).starts_with("sleep"));
    let mut reader = hub.stream(&["a"], Framing::Chunked);
    server.end();
    support::publish(&mut hub.client(), &["a"], "1", "one");
    reader.expect(b"3\r\n:\n\n\r\n11\r\nid: 1\ndata: one\n\n\r\n");
    daemon.end();
    reader.expect(b"0\r\n\r\n");
    assert!(hub.ended().success());
}

#[test]
fn an_owner_that_never_was_changes_nothing() {
    let hub = Hub::new();
    let mut gone = Owner::new();
    let pid = gone.pid();
    gone.end();
    for owner in [pid, 0, u32::MAX] {
        hub.client_of(Some(owner)).call(&Request::Cursor, None, PATIENCE).expect("answered");
    }
    hub.stats();
}

#[test]
fn it_ends_when_nobody_has_been_there_for_a_while() {
    let mut hub = Hub::with(json!({"idle_exit_ms": 300}));
    assert!(hub.ended().success());
    assert!(!hub.socket.exists());
}

#[test]
fn a_stream_or_an_owner_is_somebody() {
    let mut hub = Hub::with(json!({"idle_exit_ms": 50}));
    let reader = {
        let reader = hub.stream(&["a"], Framing::Raw);
        // Its worker has gone.
        drop(reader.client);
        reader.socket
    };
    let mut owner = Owner::new();
    hub.client_of(Some(owner.pid())).call(&Request::Cursor, None, PATIENCE).expect("answered");
    std::thread::sleep(Duration::from_millis(200));
    drop(reader);
    std::thread::sleep(Duration::from_millis(200));
    hub.stats();
    owner.end();
    assert!(hub.ended().success());
}

#[test]
fn an_idle_hub_stays_while_somebody_holds_the_lock() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lock = socket::lock(&folder.path().join("hub.sock"), Duration::ZERO).expect("free");
    let mut hub = Hub::in_folder(folder, json!({"idle_exit_ms": 50}));
    std::thread::sleep(Duration::from_millis(300));
    hub.stats();
    drop(lock);
    assert!(hub.ended().success());
}

#[test]
fn it_ends_when_another_has_taken_its_place_and_leaves_that_alone() {
    let mut hub = Hub::new();
    let mut reader = hub.stream(&["a"], Framing::Chunked);
    reader.expect(b"3\r\n:\n\n\r\n");
    std::fs::remove_file(&hub.socket).expect("there");
    let _other = UnixListener::bind(&hub.socket).expect("a new socket");
    reader.expect(b"0\r\n\r\n");
    assert!(hub.ended().success());
    assert!(hub.socket.exists());
}

#[test]
fn the_log_is_for_its_owner_and_without_what_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("hub.log");
    let settings =
        json!({"log": log, "log_level": "trace", "stream_buffer": 10, "udp": "127.0.0.1:0", "udp_key": "s3cret"});
    let mut hub = Hub::in_folder(folder, settings);
    let mut reader = hub.stream(&["a"], Framing::Raw);
    support::publish(&mut reader.client, &["a"], "1", "words nobody else should see");
    reader.expect(b":\n\nid: 1\ndata: words nobody else should see\n\n");
    hub.signal(Signal::TERM);
    hub.ended();
    let text = read_to_string(&log);
    assert!(text.contains(" INFO the hub has started") && text.contains("DEBUG open stream=1"), "{text}");
    assert!(!text.contains("words") && !text.contains("s3cret"), "{text}");
    assert!(
        text.lines().all(|line| line.get(..28).is_some_and(|time| time.contains('T') && time.contains('Z'))),
        "{text}"
    );
    let mode = std::fs::metadata(&log).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn it_raises_its_descriptor_limit() {
    // The test process lowers the soft limit to half of the hard one first.
    let hub = Hub::with(json!({"descriptors": 1000}));
    hub.stats();
    let limits = read_to_string(format!("/proc/{}/limits", hub.pid()).as_ref());
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    assert_eq!(line.split_whitespace().nth(3), Some("1000"), "{line}");
}

/// A hub that an administrator has started serves one web server after the other.
#[test]
fn a_hub_of_its_own_does_not_end_with_the_servers_that_use_it() {
    let hub = Hub::with(json!({"follow_owners": false}));
    let mut owner = Owner::new();
    let mut client =
        sse_protocol::client::Client::connect(&hub.socket, Some(owner.pid()), support::PATIENCE).expect("it listens");
    client.call(&Request::Cursor, None, PATIENCE).expect("answered");
    owner.end();
    // An ended owner is noticed in the turn of the loop that its end wakes; these questions take later turns.
    for _ in 0..3 {
        client.call(&Request::Cursor, None, PATIENCE).expect("still there");
    }
    assert_eq!(hub.stats()["pid"], json!(hub.pid()));
}
