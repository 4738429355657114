//! The publisher thread: sends events, notifications and questions for the newest id to Redis.

use std::time::{Duration, Instant};

use redis::{Pipeline, Value, cmd, pipe};

use crate::store::StoreEvent;
use crate::store::redis::connection::{BusError, PATIENCE, RedisConnection};
use crate::store::redis::entry;
use crate::store::redis::outbox::{Outcome, Publication, Wakes, Work};
use crate::store::redis::pause::Pause;
use crate::store::redis::state::Link;
use crate::store::redis::{Context, LOST};
use sse_protocol::id::Id;
use sse_protocol::topic;

/// How long the connection may be quiet before a PING checks it.
const QUIET: Duration = Duration::from_secs(1);

/// Topics per notification message.
const TOPICS_A_MESSAGE: usize = 64;

/// Error codes with which Redis refuses for now, without having done anything.
const LATER: [&str; 8] =
    ["LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "NOREPLICAS", "UNBLOCKED"];

/// The answer of Redis to a publication.
enum Reply {
    Taken(Option<Id>),
    Refused(String),
    Later(String),
}

/// Runs until the hub ends.
pub(super) fn run(context: &Context) {
    let mut pause = Pause::default();
    loop {
        let why = match RedisConnection::open(&context.address, &context.stop).and_then(|mut connection| {
            context.outbox.back(newest(context, &mut connection)?);
            context.state.up(Link::Publisher, &context.address);
            serve(context, &mut connection, &mut pause)
        }) {
            Ok(()) | Err(BusError::Stopped) => return,
            Err(error) => error.to_string(),
        };
        context.state.down(Link::Publisher, &context.address, &why);
        let Outcome { unsent, unknown } = context.outbox.away(&why);
        context.fail(unsent, &format!("Redis can't be reached: {why}; the event was not sent"));
        context.fail(unknown, LOST);
        if context.stop.wait(pause.next()) {
            return;
        }
    }
}

/// Does the queued work until the hub ends.
fn serve(context: &Context, connection: &mut RedisConnection, pause: &mut Pause) -> Result<(), BusError> {
    while let Some(mut work) = context.outbox.work(QUIET) {
        if connection.is_closed() {
            // Nothing of the batch was sent.
            context.outbox.put_back(work.publications);
            context.outbox.wake_again(&work.wakes);
            return Err(BusError::Broken("Redis has closed the connection".into()));
        }
        if work.is_empty() {
            connection.call(&cmd("PING"))?;
            pause.over();
            continue;
        }
        let wakes = std::mem::take(&mut work.wakes);
        let done = send(context, connection, work, &wakes);
        if done.is_err() {
            // A repeated notification does no harm.
            context.outbox.wake_again(&wakes);
        }
        done?;
        pause.over();
    }
    Ok(())
}

fn send(context: &Context, connection: &mut RedisConnection, work: Work, wakes: &Wakes) -> Result<(), BusError> {
    let Work { publications, question, .. } = work;
    let mut commands = pipe();
    for publication in &publications {
        add(context, &mut commands, publication);
    }
    let messages = messages(context.outbox.hub(), wakes);
    let channel = context.address.channel();
    for message in &messages {
        commands.cmd("PUBLISH").arg(&channel).arg(message);
    }
    if !publications.is_empty() || !messages.is_empty() {
        connection.send_all(&commands)?;
    }
    let mut later = Vec::new();
    let mut why = None;
    for publication in publications {
        match reply(connection.answer(Instant::now() + PATIENCE))? {
            Reply::Taken(id) => {
                context.state.published.add(1);
                context.outbox.taken(publication.number, id);
            }
            Reply::Refused(reason) => {
                let ticket = context.outbox.refused(publication.number);
                context.fail(vec![ticket], &format!("Redis has refused the event: {reason}"));
            }
            Reply::Later(reason) => {
                later.push(publication);
                why = Some(reason);
            }
        }
    }
    context.outbox.put_back(later);
    for _ in &messages {
        match connection.answer(Instant::now() + PATIENCE) {
            Ok(_) => context.state.wakes_sent.add(1),
            Err(BusError::Said(reason)) if is_for_later(&reason) => why = Some(reason),
            Err(BusError::Said(reason)) => context.complain(1, &format!("Redis refuses wakes: {reason}")),
            Err(error) => return Err(error),
        }
    }
    if let Some(number) = question {
        let newest = newest(context, connection)?;
        context.tell(StoreEvent::Newest { question: number, id: newest });
    }
    // Reconnect: another server may be the master now.
    why.map_or(Ok(()), |why| Err(BusError::Said(why)))
}

fn add(context: &Context, commands: &mut Pipeline, publication: &Publication) {
    let command = commands.cmd("XADD").arg(&context.address.stream).arg("MAXLEN").arg("~").arg(context.address.max_len);
    command.arg("*");
    for (name, value) in &publication.fields {
        command.arg(name).arg(&value[..]);
    }
}

fn reply(answer: Result<Value, BusError>) -> Result<Reply, BusError> {
    match answer {
        Ok(id) => Ok(Reply::Taken(entry::text(&id).and_then(Id::parse))),
        Err(BusError::Said(reason)) if is_for_later(&reason) => Ok(Reply::Later(reason)),
        Err(BusError::Said(reason)) => Ok(Reply::Refused(reason)),
        Err(error) => Err(error),
    }
}

fn is_for_later(reason: &str) -> bool {
    LATER.iter().any(|code| reason.starts_with(code))
}

/// Reads the id of the newest entry.
fn newest(context: &Context, connection: &mut RedisConnection) -> Result<Id, BusError> {
    let answer =
        connection.call(cmd("XREVRANGE").arg(&context.address.stream).arg("+").arg("-").arg("COUNT").arg(1))?;
    let Value::Array(entries) = &answer else { return Err(BusError::senseless("XREVRANGE")) };
    Ok(entries.first().and_then(entry::id).unwrap_or_default())
}

/// Encodes notifications for the channel: the sending hub, then topics, separated by spaces.
fn messages(hub: u64, wakes: &Wakes) -> Vec<String> {
    let from = |topics: &str| format!("from={hub:016x} {topics}");
    if wakes.all {
        return vec![from(topic::ALL)];
    }
    let topics: Vec<&str> = wakes.topics.iter().map(AsRef::as_ref).collect();
    topics.chunks(TOPICS_A_MESSAGE).map(|topics| from(&topics.join(" "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wakes_are_few_messages() {
        let mut wakes = Wakes::default();
        assert!(messages(1, &wakes).is_empty());
        wakes.topics = (0..100).map(|number| format!("t{number}").into()).collect();
        let messages_of_many = messages(1, &wakes);
        assert_eq!(messages_of_many.len(), 2);
        assert!(messages_of_many.iter().all(|message| message.starts_with("from=0000000000000001 t")));
        let words = messages_of_many.iter().flat_map(|message| message.split(' ').skip(1));
        assert_eq!(words.collect::<std::collections::HashSet<_>>().len(), 100);
        wakes = Wakes { all: true, ..Wakes::default() };
        assert_eq!(messages(1, &wakes), ["from=0000000000000001 **"]);
    }
}
