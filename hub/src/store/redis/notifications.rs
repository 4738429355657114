//! The thread that receives notifications from other hubs, and from any program that writes to the channel:
//!
//! ```text
//! PUBLISH sse:wakes "chat.general orders.7"         redis-cli; `**` stands for all topics
//! ```

use std::time::{Duration, Instant};

use redis::{Pipeline, Value, cmd, pipe};

use crate::store::redis::RedisContext;
use crate::store::redis::connection::{BusError, RedisConnection, TIMEOUT};
use crate::store::redis::control;
use crate::store::redis::entry::text;
use crate::store::redis::hub_name::name;
use crate::store::redis::pause::Pause;
use crate::store::redis::state::RedisLink;
use crate::store::report::StoreEvent;
use sse_protocol::topic;

/// How long the channel may be quiet before a PING checks the connection.
const QUIET: Duration = Duration::from_secs(1);

/// Runs until the hub ends.
pub(super) fn run(context: &RedisContext) {
    let mut pause = Pause::default();
    loop {
        let why = match context.nodes.open().and_then(|mut connection| listen(context, &mut connection, &mut pause)) {
            Ok(()) | Err(BusError::Stopped) => return,
            Err(error) => context.nodes.explained(&error),
        };
        context.state.down(RedisLink::Wakes, &context.address, &why);
        if context.stop.wait(pause.next()) {
            return;
        }
    }
}

fn listen(context: &RedisContext, connection: &mut RedisConnection, pause: &mut Pause) -> Result<(), BusError> {
    let channel = context.address.channel();
    let control = context.address.control_channel();
    connection.call(cmd("SUBSCRIBE").arg(&channel))?;
    connection.call(cmd("SUBSCRIBE").arg(&control))?;
    context.state.up(RedisLink::Wakes, &context.address);
    pause.over();
    // From here on no notification is lost; earlier ones may be.
    context.tell(StoreEvent::Listening);
    let mut ping: Pipeline = pipe();
    ping.cmd("PING");
    let mut pinged = false;
    loop {
        context.nodes.check(connection)?;
        let timeout = if pinged { TIMEOUT } else { QUIET };
        match connection.message(Instant::now() + timeout)? {
            Some(message) => {
                pinged = false;
                match message_of(&message) {
                    Some((from, payload)) if from == control => obey(context, payload),
                    Some((_, payload)) => hear(context, payload),
                    None => {}
                }
            }
            None if pinged => return Err(BusError::Silent),
            None => {
                connection.send_all(&ping)?;
                pinged = true;
            }
        }
    }
}

/// Channel and text of a message; `None` for answers to PING and SUBSCRIBE.
fn message_of(message: &Value) -> Option<(&str, &str)> {
    let Value::Array(parts) = message else { return None };
    match &parts[..] {
        [kind, channel, payload] if text(kind) == Some("message") => Some((text(channel)?, text(payload)?)),
        _ => None,
    }
}

fn obey(context: &RedisContext, payload: &str) {
    if let Some(control) = control::read(context.outbox.hub(), payload) {
        context.tell(StoreEvent::Control(control));
    }
}

fn hear(context: &RedisContext, payload: &str) {
    let own = format!("from={}", name(context.outbox.hub()));
    let mut words = payload.split_ascii_whitespace().peekable();
    if words.next_if(|word| word.starts_with("from=")).is_some_and(|from| from == own) {
        return;
    }
    context.state.wakes_received.add(1);
    let known = |word: &&str| *word == topic::ALL || topic::check_topic(word).is_ok();
    let topics = words.filter(known).map(Into::into);
    if context.heard.add(topics) {
        context.tell(StoreEvent::Wakes);
    }
}
