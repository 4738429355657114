//! Wakes by UDP.

mod support;

use std::net::UdpSocket;
use std::process::Command;

use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use sse_hub::id::now_ms;
use sse_hub::wire::Framing;
use support::{Hub, read_to_string, trigger};

/// A hub that listens at a port of its own, and where that is.
fn listening(mut settings: Value) -> (Hub, String) {
    settings["udp"] = json!("127.0.0.1:0");
    let hub = Hub::with(settings);
    let address = hub.stats()["udp"]["listening"].as_str().expect("it listens").to_string();
    (hub, address)
}

fn send(address: &str, datagram: &[u8]) {
    UdpSocket::bind("127.0.0.1:0").expect("a free port").send_to(datagram, address).expect("loopback");
}

fn signed(words: &str, time: u64) -> Vec<u8> {
    let text = format!("{words} t={time}");
    let mac = Hmac::<Sha256>::new_from_slice(b"secret").expect("any key").chain_update(&text).finalize().into_bytes();
    let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{text} h={hex}").into_bytes()
}

fn udp(stats: &Value) -> Value {
    let mut udp = stats["udp"].clone();
    udp.as_object_mut().expect("an object").remove("listening");
    support::nonzero(&udp)
}

#[test]
fn a_datagram_wakes_a_topic_or_everything() {
    let (hub, address) = listening(json!({}));
    let mut reader = hub.stream(&["chat.*", "end"], Framing::Message);
    send(&address, b"WAKEUP chat.general other");
    assert_eq!(reader.message(), "trigger chat.general");
    send(&address, b"WAKEUP\n");
    assert_eq!(reader.message(), "trigger **");
    send(&address, b"GET / HTTP/1.1");
    send(&address, b"WAKEUP end");
    assert_eq!(reader.message(), "trigger end");
    assert_eq!(udp(&hub.stats()), json!({"received": 4, "wakes": 3, "garbage": 1}));
}

#[test]
fn with_a_key_only_fresh_signed_datagrams_count_and_only_once() {
    let (hub, address) = listening(json!({"udp_key": "secret"}));
    let mut reader = hub.stream(&["**"], Framing::Message);
    let now = now_ms();
    send(&address, b"WAKEUP plain");
    send(&address, &signed("WAKEUP old", now - 31_000));
    send(&address, &signed("WAKEUP future", now + 40_000));
    send(&address, &signed("nonsense", now));
    send(&address, &signed("WAKEUP a", now));
    send(&address, &signed("WAKEUP a", now));
    assert_eq!(reader.message(), "trigger a");
    send(&address, &signed("WAKEUP", now));
    assert_eq!(reader.message(), "trigger **");
    let expected = json!({"received": 7, "wakes": 2, "garbage": 1, "unauthenticated": 1, "replayed": 3});
    assert_eq!(udp(&hub.stats()), expected);
}

#[test]
fn the_shell_lines_of_the_manual_work() {
    let manual = include_str!("../src/udp.rs");
    let line = |start: &str| {
        let line = manual.lines().find_map(|line| line.strip_prefix("//! ").filter(|line| line.starts_with(start)));
        line.expect("the manual has it")
    };
    for (start, settings) in [("echo -n", json!({})), ("m=", json!({"udp_key": "secret"}))] {
        let (hub, address) = listening(settings);
        let mut reader = hub.stream(&["chat.general"], Framing::Message);
        let command = line(start).replace("127.0.0.1/8099", &address.replace(':', "/"));
        let shell = Command::new("bash").args(["-c", &command]).env("KEY", "secret").status();
        assert!(shell.expect("bash runs").success(), "{command}");
        assert_eq!(reader.message(), "trigger chat.general");
    }
}

/// A nudge may be merged, never lost.
#[test]
fn datagrams_that_the_kernel_drops_wake_everything() {
    let (hub, address) = listening(json!({}));
    let mut reader = hub.stream(&["x"], Framing::Message);
    hub.until("it is open", |stats| stats["streams"]["open"] == json!(1));
    hub.signal(rustix::process::Signal::STOP);
    for _ in 0..5000 {
        send(&address, b"WAKEUP something.else");
    }
    hub.signal(rustix::process::Signal::CONT);
    assert_eq!(reader.message(), "trigger **");
    let stats = hub.until("all are accounted for", |stats| {
        stats["udp"]["received"].as_u64().unwrap_or(0) + stats["udp"]["dropped"].as_u64().unwrap_or(0) == 5000
    });
    assert!(stats["udp"]["dropped"].as_u64() > Some(0));
}

#[test]
fn a_hub_whose_port_is_taken_says_so_and_works_without() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("hub.log");
    let hub = Hub::in_folder(folder, json!({"udp": address, "log": log, "log_level": "warn"}));
    assert_eq!(hub.stats()["udp"]["listening"], Value::Null);
    let mut reader = hub.stream(&["a"], Framing::Message);
    trigger(&hub.client(), &["a"]);
    assert_eq!(reader.message(), "trigger a");
    let text = read_to_string(&log);
    let expected = format!(
        "WARN sse.udp: {address} is taken by another process, perhaps the hub of another user or namespace; this hub runs \
         without UDP wakes. Set sse.udp to another port, or to nothing"
    );
    assert!(text.contains(&expected), "{text}");
}

#[test]
fn beyond_this_machine_a_key_is_needed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = folder.path().join("hub.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).expect("a new socket");
    let config = support::config(&json!({"socket": socket, "udp": "0.0.0.0:0"}));
    let error = sse_hub::run(config, listener).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "sse.udp: '0.0.0.0:0' is not loopback; set sse.udp_key to listen beyond this machine"
    );
}
