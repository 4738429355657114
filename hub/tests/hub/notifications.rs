//! Wakes by UDP.

use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use sse_protocol::id::now_ms;
use sse_protocol::wire::Framing;

use crate::support::{self, Hub, read_to_string, trigger};

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
    let manual = include_str!("../../src/udp/mod.rs");
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

/// A notification may be merged, never lost.
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

/// Attack: without a key anybody on the machine can have every script of the site run, as often as he sends a datagram.
#[test]
fn without_a_key_wakes_are_bounded_and_merged() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("hub.log");
    let hub = Hub::in_folder(folder, json!({"udp": "127.0.0.1:0", "udp_rate": 5, "log": log, "log_level": "warn"}));
    let address = hub.stats()["udp"]["listening"].as_str().expect("it listens").to_string();
    let mut reader = hub.stream(&["**"], Framing::Message);
    let begin = Instant::now();
    let mut told = Vec::new();
    for turn in 0..20 {
        send(&address, b"WAKEUP");
        for topic in 0..10 {
            send(&address, format!("WAKEUP flood.{topic}").as_bytes());
        }
        hub.until("all were received", |stats| stats["udp"]["received"].as_u64() >= Some((turn + 1) * 11));
    }
    // Everything was told once, at the beginning; what came last is told by itself, or with everything once more.
    send(&address, b"WAKEUP end");
    let all = |told: &[String]| told.iter().filter(|message| *message == "trigger **").count();
    while all(&told) < 2 && told.last().is_none_or(|last| last != "trigger end") {
        told.push(reader.message());
    }
    let (seconds, all) = (begin.elapsed().as_secs() as usize + 1, all(&told));
    assert!(
        told.len() <= 5 * (seconds + 1) && all <= seconds + 1,
        "{} in {seconds} s, of everything {all}",
        told.len()
    );
    let stats = hub.stats();
    assert_eq!(stats["udp"]["wakes"], json!(221));
    assert!(stats["udp"]["delayed"].as_u64() > Some(100), "{}", stats["udp"]);
    assert_eq!(read_to_string(&log).matches("set sse.udp_key").count(), 1);
}

#[test]
fn with_a_key_wakes_are_not_bounded() {
    let (hub, address) = listening(json!({"udp_key": "secret", "udp_rate": 1}));
    let mut reader = hub.stream(&["**"], Framing::Message);
    let now = now_ms();
    for turn in 0..20 {
        send(&address, &signed("WAKEUP same", now + turn));
        assert_eq!(reader.message(), "trigger same");
    }
    assert_eq!(udp(&hub.stats()), json!({"received": 20, "wakes": 20}));
}

/// What is held back by the hub before is not lost with it.
#[test]
fn a_hub_that_takes_over_tells_what_was_held_back() {
    let mut hub = Hub::with(json!({"udp": "127.0.0.1:0"}));
    let address = hub.stats()["udp"]["listening"].as_str().expect("it listens").to_string();
    let mut reader = hub.stream(&["**"], Framing::Message);
    for _ in 0..2 {
        send(&address, b"WAKEUP");
    }
    assert_eq!(reader.message(), "trigger **");
    hub.until("it is held back", |stats| stats["udp"]["delayed"] == json!(1));
    hub.upgrade(&json!({"udp": address}));
    assert_eq!(reader.message(), "trigger **");
}

fn notify_path(hub: &Hub) -> PathBuf {
    sse_hub::udp::notify::path(&hub.socket)
}

#[test]
fn a_process_of_the_same_user_wakes_without_bounds() {
    let mut hub = Hub::new();
    let mut reader = hub.stream(&["**"], Framing::Message);
    let path = notify_path(&hub);
    assert_eq!(hub.stats()["notify"]["listening"], json!(path));
    assert_eq!(std::fs::metadata(&path).expect("it listens").permissions().mode() & 0o777, 0o600);
    let sender = UnixDatagram::unbound().expect("a socket");
    sender.connect(&path).expect("it listens");
    for turn in 0..3 {
        for topic in ["a", "b"] {
            sender.send(format!("WAKEUP {topic}").as_bytes()).expect("sent");
            assert_eq!(reader.message(), format!("trigger {topic}"));
        }
        sender.send(b"WAKEUP\n").expect("sent");
        assert_eq!(reader.message(), "trigger **");
        sender.send(b"WAKEUP a.*").expect("sent");
        sender.send(&[b'x'; 2000]).expect("sent");
        if turn < 2 {
            hub.upgrade(&json!({}));
        }
    }
    let stats = hub.until("all were received", |stats| stats["notify"]["received"] == json!(15));
    assert_eq!((&stats["notify"]["wakes"], &stats["notify"]["garbage"]), (&json!(9), &json!(6)));
    hub.signal(rustix::process::Signal::TERM);
    assert!(hub.ended().success());
    assert!(!path.exists(), "it is gone with the hub");
}

#[test]
fn the_shell_lines_for_the_same_user_work() {
    let hub = Hub::new();
    let manual = include_str!("../../src/udp/notify.rs");
    for (start, program) in [("php -r", "php"), ("printf", "socat")] {
        let line = manual.lines().find_map(|line| line.strip_prefix("//! ").filter(|line| line.starts_with(start)));
        let command = line.expect("the manual has it");
        let command = command.replace("/run/php-sse/hub.sock.notify", &notify_path(&hub).display().to_string());
        if program == "socat" && Command::new(program).arg("-V").output().is_err() {
            support::skipped("socat: not here, so the line for it was not tried");
            continue;
        }
        let mut reader = hub.stream(&["chat.general"], Framing::Message);
        let shell = Command::new("bash").args(["-c", &command]).status();
        assert!(shell.expect("bash runs").success(), "{command}");
        assert_eq!(reader.message(), "trigger chat.general");
    }
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
