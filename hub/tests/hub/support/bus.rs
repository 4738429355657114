//! Hubs that share a Redis.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};
use sse_protocol::event::NewEvent;
use sse_protocol::wire::{Attach, Framing, Reply, Request};

use super::redis::Redis;
use super::{Hub, PATIENCE, Reader, commit};

/// A hub on this Redis.
pub fn hub(redis: &Redis) -> Hub {
    on(&redis.url(""), json!({}))
}

/// A hub on the Redis of this URL, with more settings.
pub fn on(url: &str, more: Value) -> Hub {
    let mut settings = json!({ "bus": url, "history_events": 1000 });
    if let (Value::Object(settings), Value::Object(more)) = (&mut settings, more) {
        settings.extend(more);
    }
    let hub = Hub::with(settings);
    hub.until("the bus is there", |stats| stats["bus"]["state"] == "connected");
    hub
}

/// Where a page that is made now starts from.
pub fn cursor(hub: &Hub) -> String {
    match hub.client().call(&Request::Cursor, None, PATIENCE) {
        Ok(Reply::Cursor { id }) => id.into(),
        other => panic!("no cursor: {other:?}"),
    }
}

/// A request to publish.
pub fn event<'a>(topic: &'a str, data: &'a str) -> Request<'a> {
    Request::Publish {
        event: NewEvent { topics: vec![topic], data: data.as_bytes(), ..NewEvent::default() },
        answer: true,
    }
}

/// Publishes and gives the id.
pub fn give(hub: &Hub, topic: &str, data: &str) -> String {
    tried(hub, topic, data).expect("published")
}

/// Publishes, and gives the id or why not.
pub fn tried(hub: &Hub, topic: &str, data: &str) -> Result<String, String> {
    match hub.client().call(&event(topic, data), None, PATIENCE) {
        Ok(Reply::Published { id }) => Ok(id.into()),
        Ok(other) => panic!("no answer to a publication: {other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

/// A reader of messages that comes back.
pub fn resumed(hub: &Hub, topic: &str, last_event_id: &str) -> Reader {
    let mut client = hub.client();
    let (near, far) = UnixStream::pair().expect("a pair");
    let request =
        Request::Attach(Attach { patterns: vec![topic], last_event_id: Some(last_event_id), ..Default::default() });
    let stream = match client.call(&request, Some(near.as_fd()), PATIENCE) {
        Ok(Reply::Attached { stream, .. }) => stream,
        other => panic!("not attached: {other:?}"),
    };
    drop(near);
    commit(&client, stream, Framing::Message);
    Reader::new(far, stream, client)
}

/// Waits until the hub has noticed that Redis is away.
pub fn away(hub: &Hub) -> Value {
    hub.until("Redis is missed", |stats| stats["bus"]["state"] == "away")["bus"].take()
}

/// Waits until the hub has Redis again.
pub fn back(hub: &Hub) -> Value {
    hub.until("Redis is back", |stats| stats["bus"]["state"] == "connected")["bus"].take()
}
