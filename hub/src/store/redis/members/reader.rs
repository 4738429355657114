//! The thread that hears from the other hubs who is at them.

use std::collections::HashMap;
use std::mem;
use std::time::{Duration, Instant};

use redis::{Pipeline, Value, cmd, pipe};
use tracing::{info, warn};

use crate::presence::elsewhere::ElsewhereChange;
use crate::presence::sharing::OwnPresence;
use crate::store::redis::RedisContext;
use crate::store::redis::connection::{BusError, RedisConnection, TIMEOUT};
use crate::store::redis::entry::text;
use crate::store::redis::hub_name::{hub_of, name};
use crate::store::redis::members::message::{self, HubMessage, MARKER, Marker};
use crate::store::redis::members::others::{BEFORE, OtherMembers};
use crate::store::redis::members::state::MemberLink;
use crate::store::redis::members::{self, KnownMembers, MemberContext, channel, hash};
use crate::store::redis::pause::Pause;
use crate::store::report::StoreEvent;

/// How long the channel may be quiet before a PING checks the connection; also between two looks at who is gone.
const QUIET: Duration = Duration::from_secs(1);

/// Most changes of one report, which the ordering thread learns without a pause.
const CHANGES: usize = 256;

/// Fields that one call reads, about.
const FIELDS: usize = 200;

/// Most hubs that are heard.
const HUBS: usize = 1000;

/// Readings of a hub that writes its members anew meanwhile.
const READINGS: usize = 5;

/// How long after a reading that was too much the next one may be.
const PATIENCE: Duration = Duration::from_secs(10);

/// Another hub.
#[derive(Debug)]
struct OtherHub {
    /// Up to where it was read; `None`: not yet.
    marker: Option<Marker>,
    /// Number of times that it was read.
    round: u32,
    /// When it was heard of last, or could have been.
    heard: Instant,
    /// It has ended in good order, and its users are gone then.
    ends: Option<Instant>,
    /// Members for which there was no room.
    left_out: u64,
}

/// Runs until the hub ends.
pub(in crate::store::redis) fn run(context: &RedisContext) {
    let mut pause = Pause::default();
    let start = mem::take(&mut *context.known());
    let mut reader = MemberReader::new(context, start);
    loop {
        let opened = context.nodes.open();
        let why = match opened.and_then(|listener| reader.follow(listener, &mut pause)) {
            Ok(()) | Err(BusError::Stopped) => return,
            Err(error) => context.nodes.explained(&error),
        };
        reader.tell();
        context.members.stats.down(MemberLink::Reader, &why);
        // Who waits for the first answer does not wait for this.
        context.tell(StoreEvent::MembersRead);
        if context.stop.wait(members::pause(&why, &mut pause)) {
            return;
        }
    }
}

struct MemberReader<'a> {
    context: &'a RedisContext,
    members: &'a MemberContext,
    hubs: HashMap<u64, OtherHub>,
    others: OtherMembers,
    /// When it was looked who is gone.
    looked: Instant,
    /// When those hubs may be read again whose members were too many.
    retry: Instant,
}

impl<'a> MemberReader<'a> {
    fn new(context: &'a RedisContext, known: KnownMembers) -> Self {
        let members = &context.members;
        let mut others = OtherMembers::new(members.limit);
        others.know(known);
        let now = Instant::now();
        Self { context, members, hubs: HashMap::new(), others, looked: now, retry: now }
    }

    /// Reads what all hubs have told, and then hears what changes, until the connection breaks or the hub ends.
    fn follow(&mut self, mut listener: RedisConnection, pause: &mut Pause) -> Result<(), BusError> {
        let context = self.context;
        listener.call(cmd("SUBSCRIBE").arg(channel(&context.address)))?;
        let mut reading = context.nodes.open()?;
        self.read_all(&mut reading)?;
        context.members.stats.up(MemberLink::Reader);
        context.tell(StoreEvent::MembersRead);
        pause.over();
        let mut ping: Pipeline = pipe();
        ping.cmd("PING");
        let mut pinged = false;
        loop {
            context.nodes.check(&listener)?;
            context.nodes.check(&reading)?;
            let is_due = self.looked.elapsed() >= QUIET;
            let timeout = match (is_due, pinged) {
                // Only what is there already.
                (true, false) => Duration::ZERO,
                (_, true) => TIMEOUT,
                (false, false) => QUIET,
            };
            match listener.message(Instant::now() + timeout)? {
                Some(message) => {
                    pinged = false;
                    if let Some(text) = message_of(&message) {
                        self.hear(&mut reading, text)?;
                        self.tell();
                    }
                }
                None if pinged => return Err(BusError::Silent),
                None if is_due => {
                    // Nothing that a hub has said waits.
                    self.look(&mut reading)?;
                    self.tell();
                }
                None => {
                    listener.send_all(&ping)?;
                    // The other connection must not be idle for so long that it is closed.
                    reading.call(&cmd("PING"))?;
                    pinged = true;
                }
            }
        }
    }

    /// Reads all hubs that have told something.
    fn read_all(&mut self, reading: &mut RedisConnection) -> Result<(), BusError> {
        let answer = reading.call(cmd("SMEMBERS").arg(channel(&self.context.address)))?;
        let (Value::Array(names) | Value::Set(names)) = &answer else { return Err(BusError::senseless("SMEMBERS")) };
        let hubs: Vec<u64> = names.iter().filter_map(|name| hub_of(text(name)?)).collect();
        for hub in hubs {
            if hub != self.members.hub && !self.read(reading, hub)? {
                // It was killed, and its hash has expired.
                reading.call(cmd("SREM").arg(channel(&self.context.address)).arg(name(hub)))?;
            }
        }
        // Nobody could be heard while there was no connection.
        let now = Instant::now();
        self.hubs.values_mut().for_each(|hub| hub.heard = now);
        self.others.forget(BEFORE, None);
        self.tell();
        Ok(())
    }

    /// Reads all that a hub has told; false if there is nothing.
    fn read(&mut self, reading: &mut RedisConnection, hub: u64) -> Result<bool, BusError> {
        let hash = hash(&self.context.address, hub);
        for _ in 0..READINGS {
            let Some(marker) = marker(reading, &hash)? else { return Ok(false) };
            if !self.hubs.contains_key(&hub) && self.hubs.len() >= HUBS {
                return Ok(true);
            }
            let now = Instant::now();
            let new = OtherHub { marker: None, round: 0, heard: now, ends: None, left_out: 0 };
            let known = self.hubs.entry(hub).or_insert(new);
            if known.marker == Some(marker) && known.left_out == 0 {
                return Ok(true);
            }
            known.round += 1;
            known.left_out = 0;
            let round = known.round;
            let mut cursor = "0".to_owned();
            loop {
                let answer = reading.call(cmd("HSCAN").arg(&hash).arg(&cursor).arg("COUNT").arg(FIELDS))?;
                let (next, pairs) = scanned(&answer).ok_or_else(|| BusError::senseless("HSCAN"))?;
                for (field, value) in pairs {
                    let (Some((topic, id)), Some((info, here))) = (message::names(field), message::figures(value))
                    else {
                        continue;
                    };
                    self.set(hub, round, topic, id, &info, here);
                }
                cursor = next;
                self.tell_many();
                if cursor == "0" {
                    break;
                }
            }
            // What has changed meanwhile comes by messages, unless all was written anew.
            let after = self::marker(reading, &hash)?;
            if after.is_some_and(|after| after.epoch == marker.epoch) {
                self.others.forget(hub, Some(round));
                if let Some(known) = self.hubs.get_mut(&hub) {
                    known.marker = Some(marker);
                    known.heard = Instant::now();
                }
                self.tell();
                return Ok(true);
            }
        }
        Ok(true)
    }

    fn set(&mut self, hub: u64, round: u32, topic: &str, id: &str, info: &str, here: OwnPresence) {
        let Some(person) = message::person(topic, id, info) else { return };
        if !self.others.set(hub, round, topic, person, here)
            && let Some(known) = self.hubs.get_mut(&hub)
        {
            known.left_out += 1;
        }
    }

    /// Learns what a hub says.
    fn hear(&mut self, reading: &mut RedisConnection, text: &str) -> Result<(), BusError> {
        let Some((hub, message)) =
            HubMessage::parse(text).filter(|(hub, _)| *hub != self.members.hub && *hub != BEFORE)
        else {
            return Ok(());
        };
        let HubMessage { at, set, gone, ends, .. } = message;
        let Some(known) = self.hubs.get_mut(&hub) else {
            // A hub that is new, or that was thought to be gone.
            if !ends && !at.is_empty() {
                self.read(reading, hub)?;
            }
            return Ok(());
        };
        known.heard = Instant::now();
        known.ends = ends.then(|| known.heard + self.members.grace);
        let (Some(at), Some(marker)) = (Marker::parse(&at), known.marker) else {
            if !at.is_empty() {
                self.read(reading, hub)?;
            }
            return Ok(());
        };
        let is_next = at.epoch == marker.epoch && marker.number.checked_add(1) == Some(at.number);
        if is_next {
            let round = known.round;
            known.marker = Some(at);
            for (topic, id, info, since, newest, streams) in set {
                let here = OwnPresence { since, newest, streams };
                self.set(hub, round, &topic, &id, &info, here);
            }
            for (topic, id) in gone {
                self.others.gone(hub, &topic, &id);
            }
        } else if at.epoch != marker.epoch || at.number > marker.number {
            self.read(reading, hub)?;
        }
        Ok(())
    }

    /// Forgets hubs that are gone, and reads those again of whose members some had no room.
    fn look(&mut self, reading: &mut RedisConnection) -> Result<(), BusError> {
        let now = Instant::now();
        self.looked = now;
        let ttl = self.members.ttl;
        let is_gone = |hub: &OtherHub| now.duration_since(hub.heard) > ttl || hub.ends.is_some_and(|at| at <= now);
        let gone: Vec<u64> = self.hubs.iter().filter(|(_, hub)| is_gone(hub)).map(|(hub, _)| *hub).collect();
        for hub in gone {
            self.hubs.remove(&hub);
            self.others.forget(hub, None);
            info!(hub = name(hub), "another hub is gone, and so are its members");
            self.tell();
        }
        if self.retry <= now && self.others.has_room() {
            let some: Vec<u64> = self.hubs.iter().filter(|(_, hub)| hub.left_out > 0).map(|(hub, _)| *hub).collect();
            for hub in some {
                self.read(reading, hub)?;
                self.retry = Instant::now() + PATIENCE;
            }
        }
        Ok(())
    }

    /// Reports what has changed, if it is much.
    fn tell_many(&mut self) {
        if self.others.changes() >= CHANGES {
            self.tell();
        }
    }

    /// Reports what has changed.
    fn tell(&mut self) {
        let (members, bytes) = self.others.figures();
        let left_out = self.hubs.values().map(|hub| hub.left_out).sum();
        if self.members.stats.know(self.hubs.len(), members, bytes, left_out) {
            warn!(
                left_out,
                limit = self.members.limit,
                "members of other hubs are left out, as sse.presence_bytes has no room for them"
            );
        }
        let changes = self.others.take_changes();
        if changes.is_empty() {
            return;
        }
        for some in changes.chunks(CHANGES) {
            let bytes = some.iter().map(weight).sum();
            self.context.tell(StoreEvent::Members { changes: some.to_vec(), bytes });
            self.members.lead.read(bytes);
        }
    }
}

/// Bytes that a change keeps on its way.
fn weight(change: &ElsewhereChange) -> usize {
    128 + change.person.id.len() + change.person.info.len()
}

fn marker(reading: &mut RedisConnection, hash: &str) -> Result<Option<Marker>, BusError> {
    let answer = reading.call(cmd("HGET").arg(hash).arg(MARKER))?;
    Ok(text(&answer).and_then(Marker::parse))
}

/// Text of a message; `None` for answers to PING and SUBSCRIBE.
fn message_of(message: &Value) -> Option<&str> {
    let Value::Array(parts) = message else { return None };
    match &parts[..] {
        [kind, _, payload] if text(kind) == Some("message") => text(payload),
        _ => None,
    }
}

/// The next cursor, and the fields with their values.
fn scanned(answer: &Value) -> Option<(String, impl Iterator<Item = (&str, &str)>)> {
    let Value::Array(parts) = answer else { return None };
    let [next, Value::Array(pairs)] = &parts[..] else { return None };
    let pairs = pairs.chunks_exact(2).filter_map(|pair| Some((text(&pair[0])?, text(&pair[1])?)));
    Some((text(next)?.to_owned(), pairs))
}
