//! A Redis whose master Sentinels choose: the hubs follow them, and never write to a replica.

use std::io::Write;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use sse_protocol::wire::Framing;

use crate::bus_access::{certificates, problem, works};
use crate::support::bus::{away, give, on, resumed};
use crate::support::flow::{Flow, GAP};
use crate::support::redis::Redis;
use crate::support::sentinel::{MASTER, Sentinel, Watched};
use crate::support::{free_port, until};

/// Makes the replica the master by killing that. With `SSE_SOAK_ROUNDS` there and back again so often.
#[test]
fn hubs_follow_a_failover_and_lose_and_double_nothing_that_redis_has() {
    let rounds = std::env::var("SSE_SOAK_ROUNDS").ok().map_or(1, |rounds| rounds.parse().expect("a number"));
    let mut watched = Watched::new(&[], "");
    watched.ready();
    let url = watched.url("", "");
    let (a, b) = (on(&url, json!({})), on(&url, json!({})));
    for round in 0..rounds {
        let (old, new) = (round % 2, (round + 1) % 2);
        assert_eq!(a.stats()["bus"]["node"], json!(watched.node(old)));
        // One Sentinel that does not answer must not matter.
        watched.sentinels[0].signal(Signal::STOP);
        let flow = Flow::through([&a, &b], || {
            watched.servers[old].kill();
            for hub in [&a, &b] {
                let node = watched.node(new);
                hub.until("the new master is found", |stats| stats["bus"]["node"] == json!(node));
            }
        });
        let lost = flow.check(&watched.servers[new], "sse");
        assert!(flow.gaps().iter().all(|gaps| *gaps > 0), "nobody can prove that nothing was lost");
        eprintln!("round {round}: {lost} acknowledged events lost by Redis, {} errors", flow.errors.len());
        for error in &flow.errors {
            assert!(error.contains("not known"), "{error}");
        }
        if round + 1 < rounds {
            watched.sentinels[0].signal(Signal::CONT);
            watched.servers[old].restart();
            until("the old master follows", || {
                watched.servers[old].call::<String>("INFO replication").contains("master_link_status:up")
            });
        }
    }
}

/// A master that the Sentinels have replaced may go on for a hub that still reaches it: what it takes then would be lost.
#[test]
fn a_master_that_was_replaced_gets_nothing_more_even_while_it_thinks_that_it_is_one() {
    let watched = Watched::new(&["--user", "hub", "on", ">pass", "~*", "&*", "+@all"], "");
    watched.ready();
    let (a, b) = (on(&watched.url("hub:pass@", ""), json!({})), on(&watched.url("hub:pass@", ""), json!({})));
    give(&a, "t", "before");
    let [old, new] = &watched.servers;
    // For the Sentinels, which are other users, it does not answer any more, and does not obey.
    let _: String = old.call("ACL SETUSER default -ping -multi -replicaof -slaveof");
    for hub in [&a, &b] {
        let node = json!(watched.node(1));
        hub.until("they follow", |stats| stats["bus"]["node"] == node && stats["bus"]["state"] == "connected");
    }
    assert!(old.call::<String>("INFO replication").contains("role:master"), "it was told nothing");
    let kept: usize = old.call("XLEN sse");
    let mut reader = b.stream(&["t"], Framing::Message);
    let id = give(&a, "t", "after");
    // The tail may be told of the new master only now.
    let messages = std::iter::from_fn(|| Some(reader.message())).find(|message| message != GAP);
    assert_eq!(messages, Some(format!("event {id} t - after")));
    assert_eq!((old.call::<usize>("XLEN sse"), new.call::<usize>("XLEN sse")), (kept, kept + 1));
}

#[test]
fn a_replica_that_sentinels_name_is_not_used() {
    let watched = Watched::new(&[], "");
    let hub = on(&watched.url("", ""), json!({}));
    let master = &watched.servers[0];
    let _: String = master.call("REPLICAOF 127.0.0.1 1");
    let why = away(&hub)["problem"].take();
    hub.until("its role is seen", |stats| {
        stats["bus"]["problem"].as_str().is_some_and(|why| why.contains("it is no master (ROLE: slave)"))
    });
    assert!(why.is_string());
    let id = thread::scope(|scope| {
        let waiting = scope.spawn(|| give(&hub, "t", "waits"));
        hub.until("it waits", |stats| stats["bus"]["waiting"] == json!(1));
        let _: String = master.call("REPLICAOF NO ONE");
        waiting.join().expect("published")
    });
    let mut reader = resumed(&hub, "t", &id);
    let next = give(&hub, "t", "next");
    let messages = std::iter::from_fn(|| Some(reader.message())).find(|message| message != GAP);
    assert_eq!(messages, Some(format!("event {next} t - next")));
}

/// Attack: one Sentinel, or what answers at its address, sends a byte of its answer now and then, and the others are never asked.
#[test]
fn a_sentinel_whose_answer_has_no_end_does_not_keep_the_hub_from_the_others() {
    let watched = Watched::new(&[], "");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endless = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            thread::spawn(move || {
                while socket.write_all(b"+").is_ok() {
                    thread::sleep(Duration::from_millis(20));
                }
            });
        }
    });
    works(&watched.url("", "").replacen("://", &format!("://{endless},"), 1));
}

#[test]
fn sentinels_have_a_login_of_their_own_and_no_password_is_shown() {
    let lines = format!("requirepass s3cret-s\nsentinel sentinel-pass s3cret-s\nsentinel auth-pass {MASTER} s3cret-m");
    let watched = Watched::new(&["--requirepass", "s3cret-m", "--masterauth", "s3cret-m"], &lines);
    let with = |login: &str, parameters: &str| watched.url(login, parameters);
    works(&with(":s3cret-m@", "sentinel_pass=s3cret-s"));
    works(&with("default:s3cret-m@", "sentinel_user=default&sentinel_pass=s3cret-s"));
    for (url, said) in [
        (with(":s3cret-m@", ""), "Redis says: NOAUTH"),
        (with(":s3cret-m@", "sentinel_pass=wr0ng"), "Redis says: WRONGPASS"),
        (with(":wr0ng@", "sentinel_pass=s3cret-s"), "Redis says: WRONGPASS"),
        (with(":s3cret-m@", "sentinel_pass=s3cret-s").replace(MASTER, "other"), "it watches no master 'other'"),
    ] {
        let problem = problem(&url);
        assert!(problem.starts_with("no master '") && problem.contains(said), "{problem}");
    }
}

#[test]
fn sentinels_and_the_master_may_want_tls() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    certificates(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (certificate, key, ca) = (path("server.pem"), path("server.key"), path("ca.pem"));
    let [port, sentinel] = [free_port().to_string(), free_port().to_string()];
    let files = ["--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
    let _master = Redis::with(&[&["--tls-port", &port, "--tls-auth-clients", "no"], &files[..]].concat());
    let mut lines = format!("tls-port {sentinel}\ntls-auth-clients no\ntls-replication yes");
    files.chunks(2).for_each(|pair| lines = format!("{lines}\n{} {}", &pair[0][2..], pair[1]));
    let _sentinel = Sentinel::of(port.parse().expect("a port"), &lines);
    works(&format!("rediss+sentinel://localhost:{sentinel}/{MASTER}?ca={ca}"));
    let said = problem(&format!("rediss+sentinel://localhost:{sentinel}/{MASTER}"));
    assert!(said.contains("certificate"), "{said}");
}
