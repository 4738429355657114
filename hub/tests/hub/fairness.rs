//! Renders wait for nobody else's locks: a client has its share of the places, and one that keeps its script waiting gives
//! them up.

use serde_json::{Value, json};

use crate::support::server::{Asked, OpenStream, Owner, Server};
use crate::support::{Hub, trigger};

fn streams(hub: &Hub, server: &Server, topic: &str, owners: &[Owner<'_>]) -> Vec<OpenStream> {
    owners.iter().map(|owner| server.stream(hub, topic, *owner)).collect()
}

fn session(id: &str) -> Owner<'_> {
    Owner { session: Some(id), ..Owner::default() }
}

/// Somebody at another address than all others.
const VICTIM: Owner<'_> =
    Owner { address: "198.51.100.1", cookie: None, session: None, user: None, render: true, reauthorize: 0 };

/// Waits until so many renders wait, run, and are late.
fn until(hub: &Hub, queued: u64, running: u64, late: u64) {
    let found = |renders: &Value| ["queued", "running", "late"].map(|name| renders[name].as_u64());
    hub.until(&format!("{queued} are queued, {running} run and {late} are late"), |stats| {
        found(&stats["renders"]) == [Some(queued), Some(running), Some(late)]
    });
}

/// The attack: a client holds the lock of his own session, and the scripts of his streams wait for it with all the places
/// that there are.
#[test]
fn a_client_whose_scripts_hang_has_half_of_the_places_and_gives_them_up() {
    let evils = [
        // However they are made to look like different clients.
        [Owner { cookie: Some("a=1"), ..session("s") }, Owner { address: "192.0.2.9", ..session("s") }],
        [Owner { user: Some("u"), ..session("s") }, Owner { user: Some("u"), ..session("t") }],
        [Owner { cookie: Some("a=1"), ..Owner::default() }; 2],
    ];
    for evil in evils {
        let hub = Hub::with(json!({ "render_concurrency": 2 }));
        let server = Server::new();
        let mut client = hub.client();
        let _evil = streams(&hub, &server, "evil", &evil);
        let _victims = streams(&hub, &server, "victim", &[VICTIM; 2]);
        trigger(&client, &["evil"]);
        let hangs = server.asked();
        trigger(&client, &["victim"]);
        let mut arrived = Vec::new();
        // Half of the places are for others, and what hangs gives its own up.
        for _ in 0..2 {
            let asked = server.asked();
            assert_eq!(asked.topic(), "victim");
            asked.run(&mut client);
            arrived.push(asked);
        }
        until(&hub, 1, 3, 1);
        arrived.into_iter().for_each(|asked| asked.answer(200));
        until(&hub, 1, 1, 1);
        hangs.answer(500);
        assert_eq!(server.asked().topic(), "evil", "its turn comes when it lets go");
    }
}

/// The attack: a client has many sessions, and holds the locks of all of them. His scripts would have all places, those for late
/// ones included, for as long as he likes.
#[test]
fn many_sessions_of_one_address_have_half_of_the_places_while_some_of_them_hang() {
    let mut hub = Hub::with(json!({ "render_concurrency": 2 }));
    let server = Server::new();
    let mut client = hub.client();
    let ids: Vec<String> = (0..5).map(|number| format!("s{number}")).collect();
    let _evil = streams(&hub, &server, "evil", &ids.iter().map(|id| session(id)).collect::<Vec<_>>());
    let _victim = server.stream(&hub, "victim", VICTIM);
    trigger(&client, &["evil"]);
    let mut hanging: Vec<Asked> = (0..3).map(|_| server.asked()).collect();
    until(&hub, 2, 3, 2);
    for upgraded in [false, true] {
        if upgraded {
            hub.upgrade(&json!({}));
            until(&hub, 2, 3, 2);
        }
        trigger(&hub.client(), &["victim"]);
        let asked = server.asked();
        assert_eq!(asked.topic(), "victim");
        asked.run(&mut client);
        asked.answer(200);
        until(&hub, 2, 3, 2);
    }
    // When none of them hangs any more they have all places that others leave.
    for asked in &mut hanging {
        asked.reach(&mut client);
    }
    hanging.into_iter().for_each(|asked| asked.answer(500));
    assert_eq!([server.asked().topic(), server.asked().topic()], ["evil"; 2]);
}

/// The pool must not be flooded.
#[test]
fn whoever_hangs_no_more_than_twice_as_many_run() {
    let hub = Hub::with(json!({ "render_concurrency": 2 }));
    let server = Server::new();
    let mut client = hub.client();
    let addresses: Vec<String> = (0..7).map(|number| format!("192.0.2.{number}")).collect();
    let evil: Vec<_> = addresses.iter().map(|address| Owner { address, ..session(address) }).collect();
    let _evil = streams(&hub, &server, "evil", &evil);
    trigger(&client, &["evil"]);
    let mut hanging: Vec<Asked> = (0..4).map(|_| server.asked()).collect();
    until(&hub, 3, 4, 2);
    hanging[0].reach(&mut client);
    hanging.remove(0).answer(500);
    hanging.push(server.asked());
    // One of the two in the ordinary places had hung for longer than is punctual, and has moved.
    hub.until("four run again", |stats| stats["renders"]["running"] == 4 && stats["renders"]["late"] == 2);
}

/// It waits for nothing of its client's any more.
#[test]
fn a_script_that_has_arrived_in_time_keeps_its_place_until_it_ends() {
    let hub = Hub::with(json!({ "render_concurrency": 2 }));
    let server = Server::new();
    let mut client = hub.client();
    let topics = [("slow", "192.0.2.1"), ("hangs", "192.0.2.2"), ("next", "192.0.2.3"), ("last", "192.0.2.4")];
    let _streams = topics.map(|(topic, address)| server.stream(&hub, topic, Owner { address, ..session(topic) }));
    trigger(&client, &["slow"]);
    let slow = server.asked();
    slow.run(&mut client);
    trigger(&client, &["hangs"]);
    let hangs = server.asked();
    trigger(&client, &["next"]);
    let next = server.asked();
    next.run(&mut client);
    trigger(&client, &["last"]);
    // It has begun before the one that is late.
    until(&hub, 1, 3, 1);
    slow.answer(200);
    assert_eq!(server.asked().topic(), "last");
    drop((hangs, next));
}

#[test]
fn clients_take_turns_however_many_streams_one_of_them_has() {
    let hub = Hub::with(json!({ "render_concurrency": 40 }));
    let server = Server::new();
    let _many = streams(&hub, &server, "many", &[session("many"); 30]);
    let _other = server.stream(&hub, "other", session("other"));
    trigger(&hub.client(), &["many", "other"]);
    let asked: Vec<Asked> = (0..21).map(|_| server.asked()).collect();
    let topics: Vec<&str> = asked.iter().map(Asked::topic).collect();
    assert_eq!(topics.iter().position(|topic| *topic == "other"), Some(1), "{topics:?}");
    hub.until("the rest waits", |stats| stats["renders"]["queued"] == 10 && stats["renders"]["running"] == 21);
}

/// Neither the client's share nor who is late is forgotten.
#[test]
fn another_hub_goes_on_with_the_same_shares() {
    let mut hub = Hub::with(json!({ "render_concurrency": 2 }));
    let server = Server::new();
    let mut client = hub.client();
    let _evil = streams(&hub, &server, "evil", &[session("s"); 3]);
    let _victim = server.stream(&hub, "victim", Owner::default());
    trigger(&client, &["evil"]);
    let hangs = server.asked();
    until(&hub, 2, 1, 1);
    hub.upgrade(&json!({}));
    until(&hub, 2, 1, 1);
    trigger(&hub.client(), &["victim"]);
    let victim = server.asked();
    assert_eq!(victim.topic(), "victim");
    victim.run(&mut client);
    victim.answer(200);
    hangs.reach(&mut client);
    hangs.answer(500);
    assert_eq!(server.asked().topic(), "evil");
}
