//! A Redis Cluster: the hubs use the node of their stream's slot, wherever that is.

use serde_json::json;
use sse_protocol::event::NewEvent;
use sse_protocol::wire::{Framing, Request};

use crate::presence::{members, of, open};
use crate::support::bus::{away, on};
use crate::support::cluster::{Cluster, STREAM};
use crate::support::flow::{Flow, GAP};
use crate::support::{Hub, PATIENCE, trigger};

fn hubs(cluster: &Cluster) -> [Hub; 2] {
    [on(&cluster.url(""), json!({})), on(&cluster.url(""), json!({}))]
}

fn node(hub: &Hub, cluster: &Cluster, nth: usize) {
    let node = json!(cluster.node(nth));
    hub.until("the node is found", |stats| stats["bus"]["node"] == node && stats["bus"]["state"] == "connected");
}

#[test]
fn hubs_follow_the_replica_that_takes_over_the_slot() {
    let mut cluster = Cluster::new();
    let [a, b] = hubs(&cluster);
    let owner = cluster.owner();
    node(&a, &cluster, owner);
    let flow = Flow::through([&a, &b], || {
        cluster.nodes[owner].kill();
        [&a, &b].into_iter().for_each(|hub| node(hub, &cluster, 3));
    });
    flow.check(&cluster.nodes[3], STREAM);
    assert!(flow.gaps().iter().all(|gaps| *gaps > 0), "nobody can prove that nothing was lost");
    flow.errors.iter().for_each(|error| assert!(error.contains("not known"), "{error}"));
}

#[test]
fn hubs_follow_a_slot_that_moves_and_all_that_is_beside_the_stream_moves_with_it() {
    let cluster = Cluster::new();
    let [a, b] = hubs(&cluster);
    let (from, to) = (cluster.owner(), (cluster.owner() + 1) % 3);
    let special = |data: &[u8]| {
        let event = NewEvent { topics: vec!["last"], data, key: Some("k"), retain: true, ..NewEvent::default() };
        let reply = a.client().call(&Request::Publish { event, answer: true }, None, PATIENCE).map(|_| ());
        reply.expect("published");
    };
    special(b"one");
    let _user = open(&a, &of("u", &["room"]));
    b.until("the other hub knows", |_| members(&b, "room") == ["u"]);
    let flow = Flow::through([&a, &b], || {
        // What is published between waits: it would be written to a node that does not have the slot yet.
        cluster.move_slot(from, to, || [&a, &b].into_iter().for_each(|hub| drop(away(hub))));
        [&a, &b].into_iter().for_each(|hub| node(hub, &cluster, to));
    });
    assert_eq!((flow.check(&cluster.nodes[to], STREAM), &flow.errors), (0, &vec![]));
    special(b"two");
    for hub in [&a, &b] {
        hub.until("the last value is there", |stats| stats["retained"]["topics"] == json!(1));
        hub.until("users are there", |stats| {
            stats["bus"]["presence"]["state"] == "connected" && members(hub, "room") == ["u"]
        });
    }
    let mut reader = b.stream(&["t"], Framing::Message);
    trigger(&a.client(), &["t"]);
    // A connection that learns only now that the slot has moved wakes everything, as it can't know what it has missed.
    let told = reader.message();
    assert!(told == GAP || told == "trigger t", "{told}");
}
