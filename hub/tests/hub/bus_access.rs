//! The ways to Redis: passwords, users, sockets, TLS; and that no password is ever shown.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use sse_protocol::event::NewEvent;
use sse_protocol::wire::{Framing, Request};

use crate::presence::{members, of, open};
use crate::support::bus::{away, back, give, on, tried};
use crate::support::redis::Redis;
use crate::support::{self, Hub, PATIENCE, read_to_string, skipped, trigger, until};

/// All that the bus needs a user to be allowed.
const ALLOWED: &str = "~sse &sse:wakes &sse:control +ping +info +xadd +xread +xrange +xrevrange +xinfo|stream +publish \
                       +subscribe";

/// What publications with a key need beyond that.
const KEYS: &str = "~sse:keys ~sse:key-ids +eval +time +hget +hset +hdel +zadd +zcard +zrange +zrangebyscore +zrem +zscore \
                    +pexpire";

/// What last values need beyond that.
const RETAINED: &str =
    "~sse:retained ~sse:retained-events ~sse:retained-uses +eval +hget +hset +hdel +hincrby +hmget +hscan";

/// What presence needs beyond that.
const PRESENCE: &str = "~sse:presence ~sse:presence:* &sse:presence +eval +hget +hset +hdel +hscan +sadd +srem +smembers \
                        +pexpire +rename +del";

/// Publishes on one hub and reads on another, both by this URL.
pub fn works(url: &str) {
    let (a, b) = (on(url, json!({})), on(url, json!({})));
    let mut reader = b.stream(&["t"], Framing::Message);
    let id = give(&a, "t", "x");
    assert_eq!(reader.message(), format!("event {id} t - x"));
    trigger(&a.client(), &["t"]);
    assert_eq!(reader.message(), "trigger t");
    assert_eq!(b.stats()["bus"]["gaps"], json!(0));
}

/// Why this URL doesn't work, after it was seen that the log has no more of it than it should.
pub fn problem(url: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("hub.log");
    let hub = Hub::with(json!({ "bus": url, "log": log, "log_level": "trace" }));
    let bus = away(&hub);
    let told = tried(&Hub::with(json!({ "bus": url, "bus_outage_ms": 0 })), "t", "x");
    for text in [bus.to_string(), read_to_string(&log), told.expect_err("it is away")] {
        assert!(!text.contains("s3cret") && !text.contains("wr0ng"), "{text}");
    }
    bus["problem"].as_str().expect("a problem").into()
}

#[test]
fn a_password_and_a_user_are_used_and_never_shown() {
    let redis = Redis::with(&["--requirepass", "s3cret@/#"]);
    let port = redis.port;
    works(&format!("redis://:s3cret%40%2F%23@127.0.0.1:{port}"));
    let said = problem(&format!("redis://:wr0ng@127.0.0.1:{port}"));
    assert!(said.starts_with("Redis says: WRONGPASS"), "{said}");
    let said = problem(&format!("redis://127.0.0.1:{port}"));
    assert!(said.starts_with("Redis says: NOAUTH"), "{said}");
    let said = problem(&format!("redis://me:s3cret@127.0.0.1:{port}"));
    assert!(said.starts_with("Redis says: WRONGPASS"), "{said}");
}

#[test]
fn a_user_needs_no_more_rights_than_documented() {
    let redis = Redis::new();
    let _: String = redis.call(&format!("ACL SETUSER shop on >s3cret {ALLOWED}"));
    works(&format!("redis://shop:s3cret@127.0.0.1:{}", redis.port));
    // Where wakes are not allowed, events work all the same, and the other way round; and it is said.
    let _: String = redis.call("ACL SETUSER shop resetchannels");
    let hub = Hub::with(json!({ "bus": format!("redis://shop:s3cret@127.0.0.1:{}", redis.port) }));
    assert!(away(&hub)["problem"].as_str().is_some_and(|why| why.contains("NOPERM")));
    let mut reader = hub.stream(&["t"], Framing::Message);
    trigger(&hub.client(), &["t"]);
    assert_eq!(reader.message(), "trigger t");
    let id = give(&hub, "t", "x");
    assert_eq!(reader.message(), format!("event {id} t - x"));
    let _: String = redis.call("ACL SETUSER shop &sse:wakes &sse:control -xadd");
    back(&hub);
    let error = tried(&hub, "t", "x").expect_err("it may not");
    assert!(error.contains("Redis has refused the event: NOPERM"), "{error}");
    let _: String = redis.call("ACL SETUSER shop +xadd");
    let keyed = |number: u32| {
        let key = format!("k{}", number % 2);
        let event = NewEvent { topics: vec!["t"], data: b"x", key: Some(&key), ..NewEvent::default() };
        match hub.client().call(&Request::Publish { event, answer: true }, None, PATIENCE) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    };
    let error = keyed(0).expect_err("it may not");
    assert!(error.contains("Redis has refused the event: NOPERM"), "{error}");
    let _: String = redis.call(&format!("ACL SETUSER shop {KEYS}"));
    // The third and the fourth find keys.
    (0..4).for_each(|number| keyed(number).expect("it may"));
    let retain = |data: &str| {
        let event = NewEvent { topics: vec!["t"], data: data.as_bytes(), retain: true, ..NewEvent::default() };
        match hub.client().call(&Request::Publish { event, answer: true }, None, PATIENCE) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    };
    assert!(retain("x").expect_err("it may not").contains("NOPERM"));
    let _: String = redis.call(&format!("ACL SETUSER shop {RETAINED}"));
    ["x", "y", "", "z"].into_iter().for_each(|data| retain(data).expect("it may"));
    let url = format!("redis://shop:s3cret@127.0.0.1:{}", redis.port);
    let later = on(&url, json!({}));
    assert_eq!(later.stats()["retained"]["topics"], json!(1));
    // Without rights, everybody who is at this hub is present, and all else works.
    let _u = open(&later, &of("u", &["t"]));
    let stats = later.until("it is said", |stats| stats["bus"]["presence"]["state"] == "away");
    assert!(stats["bus"]["presence"]["problem"].as_str().is_some_and(|why| why.contains("NOPERM")), "{stats}");
    assert_eq!((members(&later, "t"), &stats["bus"]["state"]), (vec!["u".into()], &json!("connected")));
    drop(hub);
    let _: String = redis.call(&format!("ACL SETUSER shop {PRESENCE}"));
    let other = on(&url, json!({ "presence_ttl_ms": 1000 }));
    for hub in [&later, &other] {
        hub.until("they hear each other", |stats| stats["bus"]["presence"]["hubs"] == json!(1));
    }
    until("it is known", || members(&other, "t") == ["u"]);
    drop(later);
    until("its hash has expired", || redis.call::<Vec<String>>("KEYS sse:presence:*").len() == 1);
    let _third = on(&url, json!({}));
    until("what is left of it is removed", || redis.call::<usize>("SCARD sse:presence") == 2);
}

/// Without INFO the hub can't tell one server from another.
#[test]
fn a_user_without_info_works_until_the_connection_breaks_and_then_has_a_gap() {
    let redis = Redis::new();
    let _: String = redis.call(&format!("ACL SETUSER shop on >s3cret {ALLOWED} -info"));
    let url = format!("redis://shop:s3cret@127.0.0.1:{}", redis.port);
    works(&url);
    let hub = on(&url, json!({}));
    let mut reader = hub.stream(&["t"], Framing::Raw);
    reader.expect(b":\n\n");
    let _: i64 = redis.call("CLIENT KILL TYPE normal");
    reader.expect(b"event: gap\ndata: {\"oldest\":null,\"requested\":null}\n\n");
}

#[test]
fn a_unix_socket_and_another_database_work() {
    let redis = Redis::with(&["--requirepass", "s3cret"]);
    works(&format!("unix://{}?pass=s3cret&db=3", redis.socket().display()));
    works(&format!("valkey://:s3cret@localhost:{}/3", redis.port));
    let entries: i64 = redis::Client::open(format!("redis://:s3cret@127.0.0.1:{}/3", redis.port))
        .and_then(|client| client.get_connection())
        .and_then(|mut connection| redis::cmd("XLEN").arg("sse").query(&mut connection))
        .expect("an answer");
    assert_eq!(entries, 2);
    let said = problem(&format!("unix://{}/none?pass=s3cret", redis.folder.path().display()));
    assert!(said.starts_with("connecting failed: No such file"), "{said}");
}

fn openssl(folder: &Path, arguments: &str) {
    let status = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).stderr(Stdio::null()).status();
    assert!(status.expect("openssl is installed").success(), "openssl {arguments}");
}

/// A certificate authority, a certificate of it for `localhost`, and one for a client.
pub fn certificates(folder: &Path) {
    openssl(folder, "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority");
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1").expect("a file");
    for name in ["server", "client"] {
        let subject = format!("req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}");
        openssl(folder, &subject);
        let sign = format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 2 -extfile names"
        );
        openssl(folder, &sign);
    }
}

#[test]
fn tls_is_used_and_certificates_are_checked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    certificates(folder);
    let path = |name: &str| folder.join(name).display().to_string();
    let (certificate, key, ca) = (path("server.pem"), path("server.key"), path("ca.pem"));
    let port = support::free_port().to_string();
    let mut options = vec!["--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key];
    options.extend(["--tls-ca-cert-file", &ca, "--requirepass", "s3cret"]);
    let strict = Redis::with(&options);
    let with = |more: &str| format!("rediss://:s3cret@localhost:{port}/0?ca={ca}{more}");
    works(&with(&format!("&cert={}&key={}", path("client.pem"), path("client.key"))));
    let said = problem(&with(""));
    assert!(!said.is_empty(), "a server that wants a certificate");
    drop(strict);
    options.extend(["--tls-auth-clients", "no"]);
    let _redis = Redis::with(&options);
    works(&with(""));
    works(&with("").replace("localhost", "127.0.0.1"));
    let said = problem(&format!("rediss://:s3cret@localhost:{port}"));
    assert!(said.contains("certificate"), "{said}");
    let said = problem(&with("").replace("localhost", "localhost.localdomain"));
    assert!(said.contains("certificate") || said.contains("connecting failed"), "{said}");
    let other = tempfile::tempdir().expect("a temporary folder");
    certificates(other.path());
    let foreign = with("").replace(&ca, &other.path().join("ca.pem").display().to_string());
    assert!(problem(&foreign).contains("certificate"));
}

#[test]
fn valkey_works_too_where_it_is_installed() {
    if Command::new("valkey-server").arg("--version").stdout(Stdio::null()).status().is_err() {
        skipped("valkey: there is no valkey-server on this system");
        return;
    }
    let valkey = Redis::of("valkey-server", &[]);
    works(&valkey.url(""));
}
