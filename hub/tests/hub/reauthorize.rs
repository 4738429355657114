//! Streams whose scripts are asked whether their clients may still have them.

use serde_json::json;

use crate::support::server::{Owner, Server};
use crate::support::{Hub, expect, expect_end, publish};

/// Of a stream that gets the events themselves, asked about every second.
const ASKED: Owner<'static> =
    Owner { address: "192.0.2.1", cookie: None, session: None, user: None, render: false, reauthorize: 1 };

/// The attack: a user is logged out, and the script shows him a login form. With status 200 that is no refusal, and he would
/// hear everything for ever.
#[test]
fn a_stream_ends_whose_script_does_not_confirm_it_and_one_that_is_confirmed_goes_on() {
    let hub = Hub::with(json!({ "render_timeout_ms": 1000 }));
    let server = Server::new();
    let mut client = hub.client();
    let mut good = server.stream(&hub, "good", ASKED);
    let mut bad = server.stream(&hub, "bad", ASKED);
    let mut confirmed = 0;
    while hub.stats()["streams"]["closed"]["unconfirmed"] == json!(0) || confirmed < 4 {
        let asked = server.asked();
        asked.reach(&mut client);
        if asked.topic() == "good" {
            asked.confirm(&mut client, "good");
            confirmed += 1;
        }
        asked.answer(200);
    }
    publish(&mut client, &["good", "bad"], "1", "x");
    expect(&mut bad.socket, b":\n\n");
    expect_end(&mut bad.socket);
    expect(&mut good.socket, b":\n\nid: 1\ndata: x\n\n");
    assert_eq!(hub.stats()["streams"]["open"], json!(1));
}

/// The same, by a client that sees to it himself that his script never gets to an answer: he holds his session's lock.
#[test]
fn a_stream_whose_script_does_not_answer_ends_as_well() {
    let hub = Hub::with(json!({ "render_timeout_ms": 1000 }));
    let server = Server::new();
    let mut stream = server.stream(&hub, "a", ASKED);
    let hanging = server.asked();
    expect(&mut stream.socket, b":\n\n");
    expect_end(&mut stream.socket);
    hub.until("it is counted", |stats| stats["streams"]["closed"]["unconfirmed"] == json!(1));
    drop(hanging);
}

/// Rights to one topic were taken away, those to another one are left.
#[test]
fn a_stream_keeps_no_topic_that_its_script_does_not_ask_for_any_more() {
    let hub = Hub::new();
    let server = Server::new();
    let mut client = hub.client();
    let mut stream = server.stream(&hub, "secret", ASKED);
    let asked = server.asked();
    asked.reach(&mut client);
    asked.confirm(&mut client, "public");
    asked.answer(200);
    publish(&mut client, &["secret"], "1", "x");
    publish(&mut client, &["public"], "2", "y");
    expect(&mut stream.socket, b":\n\nid: 2\ndata: y\n\n");
}
