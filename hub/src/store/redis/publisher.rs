//! The publisher thread: sends events, notifications and questions for the newest id to Redis.

use std::time::{Duration, Instant};

use redis::{Pipeline, Value, cmd, pipe};

use crate::store::redis::connection::{BusError, RedisConnection, TIMEOUT};
use crate::store::redis::control;
use crate::store::redis::control_queue::{self, ControlKind, QueuedControl};
use crate::store::redis::entry;
use crate::store::redis::hub_name::name;
use crate::store::redis::last_values;
use crate::store::redis::pause::Pause;
use crate::store::redis::state::RedisLink;
use crate::store::redis::work::{FailedPublishers, Publication, QueuedNotifications, Work};
use crate::store::redis::{LOST, RedisContext};
use crate::store::report::StoreEvent;
use sse_protocol::event::MAX_LINE_LEN;
use sse_protocol::id::Id;
use sse_protocol::topic;

/// How long the connection may be quiet before a PING checks it.
const QUIET: Duration = Duration::from_secs(1);

/// How long after an outage other hubs may still be on their way back. They miss what is sent meanwhile, so orders to end streams
/// are sent once more then. An order ends no stream that began after it, so those who have it already end nothing.
const RETURNING: Duration = Duration::from_secs(10);

/// Topics per notification message.
const TOPICS_A_MESSAGE: usize = 64;

/// Error codes with which Redis refuses for now, or leads to another server, without having done anything. A slot that moves
/// (ASK, TRYAGAIN) is at one node again soon.
const LATER: [&str; 10] = [
    "LOADING",
    "READONLY",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "BUSY",
    "NOREPLICAS",
    "UNBLOCKED",
    "MOVED ",
    "ASK ",
];

/// The answer of Redis to a publication.
enum PublishReply {
    Taken(Option<Id>),
    /// An event with the same key was published before, with this id.
    Repeated(Box<str>),
    Refused(String),
    Later(String),
}

/// Runs until the hub ends.
pub(super) fn run(context: &RedisContext) {
    let mut pause = Pause::default();
    loop {
        let why = match context.nodes.open().and_then(|mut connection| {
            context.outbox.back(newest(context, &mut connection)?);
            context.state.up(RedisLink::Publisher, &context.address);
            serve(context, &mut connection, &mut pause)
        }) {
            Ok(()) | Err(BusError::Stopped) => return,
            Err(error) => context.nodes.explained(&error),
        };
        context.state.down(RedisLink::Publisher, &context.address, &why);
        let FailedPublishers { unsent, unknown } = context.outbox.away(&why);
        context.fail(unsent, &format!("Redis can't be reached: {why}; the event was not sent"));
        context.fail(unknown, LOST);
        if context.stop.wait(pause.next()) {
            return;
        }
    }
}

/// Does the queued work until the hub ends.
fn serve(context: &RedisContext, connection: &mut RedisConnection, pause: &mut Pause) -> Result<(), BusError> {
    let mut unheard = Vec::new();
    let done = serve_hearing(context, connection, pause, &mut unheard);
    if done.is_err() {
        context.outbox.wake_again(&QueuedNotifications::default(), &unheard);
    }
    done
}

/// `unheard`: orders that were sent while other hubs may have been on their way back.
fn serve_hearing(
    context: &RedisContext,
    connection: &mut RedisConnection,
    pause: &mut Pause,
    unheard: &mut Vec<QueuedControl>,
) -> Result<(), BusError> {
    let opened = Instant::now();
    while let Some(mut work) = context.outbox.work(QUIET) {
        let all_are_back = opened.elapsed() >= RETURNING;
        if all_are_back {
            work.controls.append(unheard);
        }
        let usable = if connection.is_closed() { Err(BusError::Closed) } else { context.nodes.check(connection) };
        if usable.is_err() {
            // Nothing of the batch was sent.
            context.outbox.put_back(work.publications);
            context.outbox.wake_again(&work.wakes, &work.controls);
            return usable;
        }
        if work.is_empty() {
            connection.call(&cmd("PING"))?;
            pause.over();
            continue;
        }
        let (wakes, controls) = (std::mem::take(&mut work.wakes), std::mem::take(&mut work.controls));
        let done = send(context, connection, work, (&wakes, &controls));
        if done.is_err() {
            // A repeated notification does no harm.
            context.outbox.wake_again(&wakes, &controls);
        }
        done?;
        if !all_are_back {
            let room = control_queue::WAITING.saturating_sub(unheard.len());
            unheard.extend(controls.into_iter().filter(|control| control.kind == ControlKind::Order).take(room));
        }
        pause.over();
    }
    Ok(())
}

fn send(
    context: &RedisContext,
    connection: &mut RedisConnection,
    work: Work,
    (wakes, controls): (&QueuedNotifications, &[QueuedControl]),
) -> Result<(), BusError> {
    let Work { publications, gone, question, .. } = work;
    let mut commands = pipe();
    for publication in &publications {
        add(context, &mut commands, publication);
    }
    let messages = messages(context.outbox.hub(), wakes);
    let channel = context.address.channel();
    for message in &messages {
        commands.cmd("PUBLISH").arg(&channel).arg(message);
    }
    let forgotten = last_values::forget(&context.address, &gone, &mut commands);
    for control in controls {
        commands.cmd("PUBLISH").arg(context.address.control_channel()).arg(&*control::sent(control));
    }
    if !publications.is_empty() || !wakes.is_empty() || !controls.is_empty() || forgotten > 0 {
        connection.send_all(&commands)?;
    }
    let mut later = Vec::new();
    let mut why = None;
    for publication in publications {
        match reply(connection.answer(Instant::now() + TIMEOUT))? {
            PublishReply::Taken(id) => {
                context.state.published.add(1);
                context.outbox.taken(publication.number, id);
            }
            PublishReply::Repeated(id) => {
                let ticket = context.outbox.not_added(publication.number);
                context.tell(StoreEvent::Repeated { ticket, id });
            }
            PublishReply::Refused(reason) => {
                let ticket = context.outbox.not_added(publication.number);
                context.fail(vec![ticket], &format!("Redis has refused the event: {reason}"));
            }
            PublishReply::Later(reason) => {
                later.push(publication);
                why = Some(reason);
            }
        }
    }
    context.outbox.put_back(later);
    for nth in 0..messages.len() + controls.len() {
        match connection.answer(Instant::now() + TIMEOUT) {
            Ok(_) if nth < messages.len() => context.state.wakes_sent.add(1),
            Ok(receivers) => {
                if let ControlKind::Question(question) = controls[nth - messages.len()].kind
                    && let Value::Int(receivers) = receivers
                {
                    let receivers = usize::try_from(receivers).unwrap_or_default();
                    context.tell(StoreEvent::Asked { question, receivers });
                }
            }
            Err(BusError::Said(reason)) if is_for_later(&reason) => why = Some(reason),
            Err(BusError::Said(reason)) => context.complain(1, &format!("Redis refuses wakes: {reason}")),
            Err(error) => return Err(error),
        }
    }
    for _ in 0..forgotten {
        match connection.answer(Instant::now() + TIMEOUT) {
            Ok(_) => {}
            Err(BusError::Said(reason)) => {
                context.complain(1, &format!("Redis refuses to forget last values: {reason}"));
            }
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

/// Adds an event, unless one with its key was added before: then returns that one's id, in an array. The keys and their times
/// are in two values beside the stream, which keep so many of them at most and vanish when no event has a key any more. Makes the
/// event the last value of its topics, if it is one (`last_values.rs`). Redis does not undo what a script has done before it
/// fails, so each value is read before the event is added: another program's value of another kind makes it fail then.
const ADD: &str = "
local key, value, topics, at = ARGV[1], ARGV[6], tonumber(ARGV[7]), 1
local times, ids, ttl, now
if key ~= '' then
  times, ids, ttl, at = KEYS[2], KEYS[3], tonumber(ARGV[3]), 3
  local clock = redis.call('TIME')
  now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  local before = redis.call('ZSCORE', times, key)
  local known = redis.call('HGET', ids, key)
  if known and before and before + ttl > now then return {known} end
end
for i = at + 1, at + (topics > 0 and 3 or 0) do redis.call('HGET', KEYS[i], '') end
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[5], '*', unpack(ARGV, 8 + topics))
if key ~= '' then
  redis.call('ZADD', times, now, key)
  redis.call('HSET', ids, key, ARGV[2] ~= '' and ARGV[2] or id)
  local over = redis.call('ZRANGEBYSCORE', times, '-inf', now - ttl, 'LIMIT', 0, 8)
  if #over == 0 and redis.call('ZCARD', times) > tonumber(ARGV[4]) then over = redis.call('ZRANGE', times, 0, 0) end
  if #over > 0 then
    redis.call('ZREM', times, unpack(over))
    redis.call('HDEL', ids, unpack(over))
  end
  redis.call('PEXPIRE', times, ttl)
  redis.call('PEXPIRE', ids, ttl)
end
if topics > 0 then
  local current, events, uses = KEYS[at + 1], KEYS[at + 2], KEYS[at + 3]
  for i = 8, 7 + topics do
    local old = redis.call('HGET', current, ARGV[i])
    if old and redis.call('HINCRBY', uses, old, -1) < 1 then
      redis.call('HDEL', uses, old)
      redis.call('HDEL', events, old)
    end
    if value == '' then
      redis.call('HDEL', current, ARGV[i])
    else
      redis.call('HSET', current, ARGV[i], id)
      redis.call('HINCRBY', uses, id, 1)
    end
  end
  if value ~= '' then redis.call('HSET', events, id, value) end
end
return id
";

fn add(context: &RedisContext, commands: &mut Pipeline, publication: &Publication) {
    let Publication { key, retained, fields, .. } = publication;
    if key.is_some() || retained.is_some() {
        let address = &context.address;
        let mut names = vec![address.stream.clone()];
        if key.is_some() {
            names.extend([address.beside("keys"), address.beside("key-ids")]);
        }
        if retained.is_some() {
            names.extend(last_values::names(address));
        }
        let values = |wanted: &'static str| fields.iter().filter(move |(name, _)| *name == wanted);
        let topics: Vec<&[u8]> = values("topic").filter(|_| retained.is_some()).map(|(_, topic)| &topic[..]).collect();
        let command = commands.cmd("EVAL").arg(ADD).arg(names.len()).arg(names);
        command.arg(key.as_deref().unwrap_or_default());
        command.arg(values("id").next().map_or(&[][..], |(_, id)| id));
        command.arg(context.keys.ttl.as_millis() as u64).arg(context.keys.count).arg(address.max_len);
        command.arg(retained.as_deref().unwrap_or_default()).arg(topics.len()).arg(topics);
        for (name, value) in fields {
            command.arg(name).arg(&value[..]);
        }
        return;
    }
    let command = commands.cmd("XADD").arg(&context.address.stream).arg("MAXLEN").arg("~").arg(context.address.max_len);
    command.arg("*");
    for (name, value) in fields {
        command.arg(name).arg(&value[..]);
    }
}

fn reply(answer: Result<Value, BusError>) -> Result<PublishReply, BusError> {
    match answer {
        Ok(Value::Array(known)) => match known.first().and_then(entry::text) {
            Some(id) if id.len() <= MAX_LINE_LEN => Ok(PublishReply::Repeated(id.into())),
            _ => Ok(PublishReply::Refused("what is kept for its key is no id".into())),
        },
        Ok(id) => Ok(PublishReply::Taken(entry::text(&id).and_then(Id::parse))),
        Err(BusError::Said(reason)) if is_for_later(&reason) => Ok(PublishReply::Later(reason)),
        Err(BusError::Said(reason)) => Ok(PublishReply::Refused(reason)),
        Err(error) => Err(error),
    }
}

/// Whether Redis has done nothing, and may do it later. Before version 7, the error of a command in a script comes within
/// another one: `ERR Error running script (call to f_…): @user_script:16: @user_script: 16: -READONLY …`.
pub(super) fn is_for_later(reason: &str) -> bool {
    let inner = reason.strip_prefix("ERR Error running script").and_then(|rest| rest.split_once(": -"));
    let reason = inner.map_or(reason, |(_, inner)| inner);
    LATER.iter().any(|code| reason.starts_with(code))
}

/// Reads the id of the newest entry.
fn newest(context: &RedisContext, connection: &mut RedisConnection) -> Result<Id, BusError> {
    let answer =
        connection.call(cmd("XREVRANGE").arg(&context.address.stream).arg("+").arg("-").arg("COUNT").arg(1))?;
    let Value::Array(entries) = &answer else { return Err(BusError::senseless("XREVRANGE")) };
    Ok(entries.first().and_then(entry::id).unwrap_or_default())
}

/// Encodes notifications for the channel: the sending hub, then topics, separated by spaces.
fn messages(hub: u64, wakes: &QueuedNotifications) -> Vec<String> {
    let from = |topics: &str| format!("from={} {topics}", name(hub));
    if wakes.all {
        return vec![from(topic::ALL)];
    }
    let topics: Vec<&str> = wakes.topics.iter().map(AsRef::as_ref).collect();
    topics.chunks(TOPICS_A_MESSAGE).map(|topics| from(&topics.join(" "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Redis 6.2.14 and 7.0.15 have answered.
    #[test]
    fn a_server_that_has_become_a_replica_gets_nothing_more_also_by_a_script() {
        let of_6 = "ERR Error running script (call to f_5c5f471137c7e8c50da193e0808b26d5aa4eba22): @user_script:2: \
                    @user_script: 2: -READONLY You can't write against a read only replica.";
        let of_7 = "READONLY You can't write against a read only replica. script: f_5c5f47, on @user_script:2.";
        assert!(is_for_later(of_6) && is_for_later(of_7));
        let other =
            "ERR Error running script (call to f_5c5f47): @user_script:2: @user_script: 2: -WRONGTYPE Operation";
        assert!(!is_for_later(other) && !is_for_later("ERR unknown command 'READONLY'"));
    }

    #[test]
    fn wakes_are_few_messages() {
        let mut wakes = QueuedNotifications::default();
        assert!(messages(1, &wakes).is_empty());
        wakes.topics = (0..100).map(|number| format!("t{number}").into()).collect();
        let messages_of_many = messages(1, &wakes);
        assert_eq!(messages_of_many.len(), 2);
        assert!(messages_of_many.iter().all(|message| message.starts_with("from=0000000000000001 t")));
        let words = messages_of_many.iter().flat_map(|message| message.split(' ').skip(1));
        assert_eq!(words.collect::<std::collections::HashSet<_>>().len(), 100);
        wakes = QueuedNotifications { all: true, ..QueuedNotifications::default() };
        assert_eq!(messages(1, &wakes), ["from=0000000000000001 **"]);
    }
}
