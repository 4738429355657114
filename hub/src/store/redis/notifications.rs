//! The thread that receives notifications from other hubs, and from any program that writes to the channel:
//!
//! ```text
//! PUBLISH sse:wakes "chat.general orders.7"         redis-cli; `**` stands for all topics
//! ```

use std::time::{Duration, Instant};

use redis::{Pipeline, Value, cmd, pipe};

use crate::store::StoreEvent;
use crate::store::redis::Context;
use crate::store::redis::connection::{BusError, PATIENCE, RedisConnection};
use crate::store::redis::entry::text;
use crate::store::redis::pause::Pause;
use crate::store::redis::state::Link;
use sse_protocol::topic;

/// How long the channel may be quiet before a PING checks the connection.
const QUIET: Duration = Duration::from_secs(1);

/// Runs until the hub ends.
pub(super) fn run(context: &Context) {
    let mut pause = Pause::default();
    loop {
        let why = match RedisConnection::open(&context.address, &context.stop)
            .and_then(|mut connection| listen(context, &mut connection, &mut pause))
        {
            Ok(()) | Err(BusError::Stopped) => return,
            Err(error) => error.to_string(),
        };
        context.state.down(Link::Wakes, &context.address, &why);
        if context.stop.wait(pause.next()) {
            return;
        }
    }
}

fn listen(context: &Context, connection: &mut RedisConnection, pause: &mut Pause) -> Result<(), BusError> {
    let channel = context.address.channel();
    connection.call(cmd("SUBSCRIBE").arg(&channel))?;
    context.state.up(Link::Wakes, &context.address);
    pause.over();
    // From here on no notification is lost; earlier ones may be.
    context.tell(StoreEvent::Listening);
    let mut ping: Pipeline = pipe();
    ping.cmd("PING");
    let mut pinged = false;
    loop {
        let patience = if pinged { PATIENCE } else { QUIET };
        match connection.message(Instant::now() + patience)? {
            Some(message) => {
                pinged = false;
                if let Some(payload) = payload(&message) {
                    hear(context, payload);
                }
            }
            None if pinged => return Err(BusError::Broken("Redis does not answer any more".into())),
            None => {
                connection.send_all(&ping)?;
                pinged = true;
            }
        }
    }
}

/// The text of a channel message; `None` for answers to PING.
fn payload(message: &Value) -> Option<&str> {
    let Value::Array(parts) = message else { return None };
    match &parts[..] {
        [kind, _, payload] if text(kind) == Some("message") => text(payload),
        _ => None,
    }
}

fn hear(context: &Context, payload: &str) {
    let own = format!("from={:016x}", context.outbox.hub());
    let mut words = payload.split_ascii_whitespace().peekable();
    if words.next_if(|word| word.starts_with("from=")).is_some_and(|from| from == own) {
        return;
    }
    context.state.wakes_received.add(1);
    let known = |word: &&str| *word == topic::ALL || topic::check_topic(word).is_ok();
    let topics: Vec<Box<str>> = words.filter(known).map(Into::into).collect();
    if !topics.is_empty() {
        context.tell(StoreEvent::Wakes(topics));
    }
}
