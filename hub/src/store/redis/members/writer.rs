//! The thread that tells the other hubs who is at this one.

use std::time::Instant;

use redis::{Cmd, Value, cmd};

use crate::presence::member::Person;
use crate::presence::sharing::{OwnChange, OwnMember};
use crate::store::redis::RedisContext;
use crate::store::redis::connection::{BusError, RedisConnection};
use crate::store::redis::hub_name::name;
use crate::store::redis::members::message::{HubMessage, MARKER, Marker, field, value};
use crate::store::redis::members::outbox::MemberWork;
use crate::store::redis::members::state::MemberLink;
use crate::store::redis::members::{self, MemberContext, channel, hash};
use crate::store::redis::pause::Pause;
use crate::store::report::StoreEvent;
use crate::util::random;

/// Changes a hub's hash, if it is the one that the hub has written, and tells the others. Arguments: the marker before and after, the
/// time to live, the message or nothing, the hub, the number of members who are there, their fields and values, and the fields of
/// those who have left.
const CHANGE: &str = "
if redis.call('HGET', KEYS[1], ' ') ~= ARGV[1] then return 0 end
if ARGV[2] ~= ARGV[1] then redis.call('HSET', KEYS[1], ' ', ARGV[2]) end
local last = 6 + 2 * tonumber(ARGV[6])
if last > 6 then redis.call('HSET', KEYS[1], unpack(ARGV, 7, last)) end
if #ARGV > last then redis.call('HDEL', KEYS[1], unpack(ARGV, last + 1)) end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if ARGV[4] ~= '' then
  redis.call('SADD', KEYS[2], ARGV[5])
  redis.call('PUBLISH', KEYS[2], ARGV[4])
end
return 1
";

/// Puts a hash that is written completely in the place of the one before.
const REPLACE: &str = "
if redis.call('HGET', KEYS[3], ' ') ~= ARGV[1] then return 0 end
redis.call('RENAME', KEYS[3], KEYS[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('SADD', KEYS[2], ARGV[4])
redis.call('PUBLISH', KEYS[2], ARGV[3])
return 1
";

/// Runs until the hub ends.
pub(in crate::store::redis) fn run(context: &RedisContext) {
    let mut pause = Pause::default();
    loop {
        let opened = context.nodes.open();
        let why = match opened.and_then(|connection| MemberWriter::new(context, connection).serve(&mut pause)) {
            Ok(()) | Err(BusError::Stopped) => break,
            Err(error) => context.nodes.explained(&error),
        };
        context.members.outbox.away();
        context.members.stats.down(MemberLink::Writer, &why);
        if context.stop.wait(members::pause(&why, &mut pause)) {
            break;
        }
    }
    context.members.outbox.over();
}

struct MemberWriter<'a> {
    context: &'a RedisContext,
    members: &'a MemberContext,
    connection: RedisConnection,
    hash: String,
    /// The one that is being written.
    draft: String,
    marker: Marker,
    /// All members are written.
    whole: bool,
}

impl<'a> MemberWriter<'a> {
    fn new(context: &'a RedisContext, connection: RedisConnection) -> Self {
        let members = &context.members;
        let hash = hash(&context.address, members.hub);
        let draft = format!("{hash}:new");
        let marker = Marker { epoch: random::number(), number: 0 };
        Self { context, members, connection, hash, draft, marker, whole: false }
    }

    /// Writes all members, and then what changes, until the hub ends.
    fn serve(mut self, pause: &mut Pause) -> Result<(), BusError> {
        self.begin_draft()?;
        self.members.outbox.begin(self.marker.epoch);
        self.context.tell(StoreEvent::MembersWanted { connection: self.marker.epoch });
        let interval = self.members.interval();
        let mut sign = Instant::now();
        loop {
            let (work, was_full) = self.members.outbox.work(sign.saturating_duration_since(Instant::now()));
            if was_full {
                let _ = self.context.ordering_thread.wake();
            }
            match work {
                MemberWork::End(for_ever) => return if for_ever { self.say_farewell() } else { Ok(()) },
                MemberWork::Changes(changes) if changes.is_empty() => {
                    self.live_on()?;
                    sign = Instant::now() + interval;
                }
                MemberWork::Changes(mut changes) => {
                    let last = changes.pop_if(|change| !matches!(change, OwnChange::Member(_)));
                    self.write(&changes)?;
                    match last {
                        Some(OwnChange::Anew) => {
                            // The other hubs see by its epoch that it is another hash, and read it.
                            (self.marker, self.whole) = (Marker { epoch: random::number(), number: 0 }, false);
                            self.begin_draft()?;
                        }
                        Some(OwnChange::Whole) if !self.whole => {
                            self.replace()?;
                            self.context.members.stats.up(MemberLink::Writer);
                            pause.over();
                        }
                        _ => {}
                    }
                    if sign <= Instant::now() {
                        self.live_on()?;
                        sign = Instant::now() + interval;
                    }
                }
            }
        }
    }

    /// Begins a hash that takes the place of the one before once all members are in it.
    fn begin_draft(&mut self) -> Result<(), BusError> {
        self.connection.call(cmd("DEL").arg(&self.draft))?;
        self.connection.call(cmd("HSET").arg(&self.draft).arg(MARKER).arg(self.marker.text()))?;
        Ok(())
    }

    fn message(&self) -> HubMessage {
        let at = if self.whole { self.marker.text() } else { String::new() };
        HubMessage { from: name(self.members.hub), at, ..HubMessage::default() }
    }

    /// Writes changes, and tells them once all members are written.
    fn write(&mut self, changes: &[OwnChange]) -> Result<(), BusError> {
        if changes.is_empty() {
            return Ok(());
        }
        let before = self.marker;
        self.marker.number += u64::from(self.whole);
        let mut message = self.message();
        let (mut there, mut gone) = (Vec::new(), Vec::new());
        for change in changes {
            let OwnChange::Member(OwnMember { topic, person, here }) = change else { continue };
            let Person { id, info, .. } = &**person;
            match *here {
                Some(here) => {
                    there.extend([field(topic, id), value(info, here)]);
                    let (topic, id, info) = (topic.to_string(), id.to_string(), info.to_string());
                    message.set.push((topic, id, info, here.since, here.newest, here.streams));
                }
                None => {
                    gone.push(field(topic, id));
                    message.gone.push((topic.to_string(), id.to_string()));
                }
            }
        }
        let text = if self.whole { message.text() } else { String::new() };
        let mut command = self.change(before, &text);
        command.arg(there.len() / 2).arg(there).arg(gone);
        self.done(&command)
    }

    /// A script that changes the hash, but for the members.
    fn change(&self, before: Marker, message: &str) -> Cmd {
        let hash = if self.whole { &self.hash } else { &self.draft };
        let mut command = cmd("EVAL");
        command.arg(CHANGE).arg(2).arg(hash).arg(channel(&self.context.address));
        command.arg(before.text()).arg(self.marker.text()).arg(self.ttl()).arg(message).arg(name(self.members.hub));
        command
    }

    fn replace(&mut self) -> Result<(), BusError> {
        self.whole = true;
        let mut command = cmd("EVAL");
        command.arg(REPLACE).arg(3).arg(&self.hash).arg(channel(&self.context.address)).arg(&self.draft);
        command.arg(self.marker.text()).arg(self.ttl()).arg(self.message().text()).arg(name(self.members.hub));
        self.done(&command)
    }

    /// Says that this hub is still there.
    fn live_on(&mut self) -> Result<(), BusError> {
        if self.connection.is_closed() {
            return Err(BusError::Closed);
        }
        self.context.nodes.check(&self.connection)?;
        if !self.whole {
            // The other hubs go by the one before until all members are written again, however long that takes.
            self.connection.call(cmd("PEXPIRE").arg(&self.hash).arg(self.ttl()))?;
        }
        let mut command = self.change(self.marker, &self.message().text());
        command.arg(0);
        self.done(&command)
    }

    fn say_farewell(&mut self) -> Result<(), BusError> {
        let message = HubMessage { ends: true, ..self.message() }.text();
        let mut command = self.change(self.marker, &message);
        command.arg(0);
        self.done(&command)
    }

    fn ttl(&self) -> u64 {
        u64::try_from(self.members.ttl.as_millis()).unwrap_or(u64::MAX)
    }

    /// Runs a script, which finds what it expects, or all must be written anew.
    fn done(&mut self, command: &Cmd) -> Result<(), BusError> {
        match self.connection.call(command)? {
            Value::Int(1) => Ok(()),
            _ => Err(BusError::Broken(
                "Redis does not have any more what this hub has written; it writes it anew".into(),
            )),
        }
    }
}
