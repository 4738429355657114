//! The last values in Redis, in three hashes beside the stream: `:retained`, from a topic to the id of its entry;
//! `:retained-events`, from an id to the event as JSON; `:retained-uses`, from an id to its number of topics.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use redis::{Cmd, Pipeline, Value, cmd};
use serde::Deserialize;
use serde_json::json;

use crate::config::bus_address::BusAddress;
use crate::event::Event;
use crate::store::redis::connection::{BusError, RedisConnection};
use crate::store::redis::entry::text;
use crate::store::redis::publisher::is_for_later;
use crate::store::retained::LastValue;
use sse_protocol::event::NewEvent;
use sse_protocol::id::Id;
use sse_protocol::topic;
use sse_protocol::wire::{MAX_EVENT_SIZE, MAX_TOPICS};

/// Removes topics that still have the value of this id: pairs of both.
const FORGET: &str = "
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', KEYS[1], ARGV[i])
    if redis.call('HINCRBY', KEYS[3], ARGV[i + 1], -1) < 1 then
      redis.call('HDEL', KEYS[2], ARGV[i + 1])
      redis.call('HDEL', KEYS[3], ARGV[i + 1])
    end
  end
end
return 1
";

/// Topics that one call removes.
const AT_ONCE: usize = 100;

/// Events that one call reads. Each may have [`MAX_EVENT_SIZE`].
const EVENTS: usize = 8;

/// The names of the three hashes.
pub(super) fn names(address: &BusAddress) -> [String; 3] {
    ["retained", "retained-events", "retained-uses"].map(|name| address.beside(name))
}

/// The event as it is kept; empty if it removes the values of its topics.
pub(super) fn encode(new: &NewEvent<'_>) -> Vec<u8> {
    if new.data.is_empty() {
        return Vec::new();
    }
    let data = String::from_utf8_lossy(new.data);
    json!({ "topics": new.topics, "data": data, "event": new.event_type, "id": new.id, "retry": new.retry })
        .to_string()
        .into_bytes()
}

/// What a hub reads of it. Another program may have written it.
#[derive(Debug, Deserialize)]
struct StoredValue {
    topics: Vec<String>,
    data: String,
    event: Option<String>,
    id: Option<String>,
    retry: Option<u32>,
}

fn decode(stamp: Id, value: &Value) -> Option<Event> {
    let StoredValue { topics, data, event, id, retry } = serde_json::from_str(text(value)?).ok()?;
    let topics = topics.iter().map(String::as_str).collect();
    let (event_type, id) = (event.as_deref(), id.as_deref());
    let new = NewEvent { topics, event_type, id, retry, data: data.as_bytes(), ..NewEvent::default() };
    new.check(MAX_EVENT_SIZE as usize, MAX_TOPICS as usize).ok()?;
    let id = id.map_or_else(|| stamp.to_string(), Into::into);
    Some(Event::new(&new, &id).without_id())
}

/// Adds the commands that remove topics; returns their number.
pub(super) fn forget(address: &BusAddress, topics: &[(Box<str>, Id)], commands: &mut Pipeline) -> usize {
    for some in topics.chunks(AT_ONCE) {
        let command = commands.cmd("EVAL").arg(FORGET).arg(3);
        command.arg(&names(address));
        for (topic, stamp) in some {
            command.arg(&**topic).arg(stamp.to_string());
        }
    }
    topics.len().div_ceil(AT_ONCE)
}

/// Reads the values that are not newer than `position`, the newest ones up to about `limit` bytes.
pub(super) fn load(
    address: &BusAddress,
    connection: &mut RedisConnection,
    position: Id,
    limit: usize,
) -> Result<Vec<LastValue>, BusError> {
    let [current, events, _] = names(address);
    let mut topics: HashMap<Box<str>, Id> = HashMap::new();
    let (mut cursor, mut bytes) = ("0".to_owned(), 0);
    while bytes < limit {
        let answer = said(connection, cmd("HSCAN").arg(&current).arg(&cursor).arg("COUNT").arg(100))?;
        let Some((next, pairs)) = answer.as_ref().and_then(scanned) else { break };
        for (name, id) in pairs {
            if topic::check_topic(name).is_ok() && id <= position {
                bytes += name.len() + 64;
                topics.insert(name.into(), id);
            }
        }
        cursor = next.into();
        if cursor == "0" {
            break;
        }
    }
    let mut by_id: BTreeMap<Id, Vec<Box<str>>> = BTreeMap::new();
    for (name, id) in topics {
        by_id.entry(id).or_default().push(name);
    }
    let ids: Vec<Id> = by_id.keys().rev().copied().collect();
    let mut values = Vec::new();
    for some in ids.chunks(EVENTS) {
        if bytes >= limit {
            break;
        }
        let mut read = cmd("HMGET");
        read.arg(&events);
        for id in some {
            read.arg(id.to_string());
        }
        let Some(Value::Array(found)) = said(connection, &read)? else { break };
        for (&stamp, value) in some.iter().zip(&found) {
            let Some(event) = decode(stamp, value) else { continue };
            bytes += event.memory();
            let topics = by_id.remove(&stamp).unwrap_or_default();
            values.push(LastValue { stamp, event: Arc::new(event), topics });
        }
    }
    values.reverse();
    Ok(values)
}

/// The answer; `None` if Redis refuses the command, as to a user who may not use it. One that it may answer later is an error:
/// no values would be taken for those that there are.
fn said(connection: &mut RedisConnection, command: &Cmd) -> Result<Option<Value>, BusError> {
    unless_refused(connection.call(command))
}

fn unless_refused(answer: Result<Value, BusError>) -> Result<Option<Value>, BusError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(BusError::Said(reason)) if !is_for_later(&reason) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The next cursor, and the topics with their ids.
fn scanned(answer: &Value) -> Option<(&str, impl Iterator<Item = (&str, Id)>)> {
    let Value::Array(parts) = answer else { return None };
    let [next, Value::Array(pairs)] = &parts[..] else { return None };
    let pairs = pairs.chunks_exact(2).filter_map(|pair| Some((text(&pair[0])?, Id::parse(text(&pair[1])?)?)));
    Some((text(next)?, pairs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_may_answer_later_is_not_that_there_are_no_values() {
        let said = |reason: &str| unless_refused(Err(BusError::Said(reason.into())));
        assert!(matches!(said("NOPERM this user has no permissions to run the 'hscan' command"), Ok(None)));
        for reason in [
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
            "LOADING Redis is loading the dataset in memory",
        ] {
            assert!(matches!(said(reason), Err(BusError::Said(_))), "{reason}");
        }
    }
}
