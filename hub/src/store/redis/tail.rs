//! The tail thread: reads the stream, so that all hubs deliver its events in the same order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Value, cmd, pipe};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::event::Event;
use crate::store::redis::connection::{BusError, RedisConnection, TIMEOUT};
use crate::store::redis::entry::{self, BusEntry, Origin};
use crate::store::redis::last_values;
use crate::store::redis::life::{Continuity, Life, RedisStreamInfo};
use crate::store::redis::pause::Pause;
use crate::store::redis::state::{BusCounts, RedisLink};
use crate::store::redis::{LOST, RedisContext};
use crate::store::report::{Loaded, StoreEvent, Stored};
use sse_protocol::id::{Id, now_ms};

/// How long Redis waits for entries before it answers that there are none.
const BLOCK: Duration = Duration::from_secs(1);

/// Interval of the full check that the stream is the same; each answer has a cheaper check.
const CHECK: Duration = Duration::from_secs(1);

/// Smallest and largest number of entries requested at once.
const FEW: usize = 10;
const MANY: usize = 1000;

/// Approximate bytes wanted in one answer.
const PORTION: usize = 2 << 20;

/// A position in the stream of a certain server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TailPosition {
    /// Id of the last entry read.
    pub(crate) position: Id,
    /// How many entries were ever added up to there, if known.
    pub(crate) ordinal: Option<u64>,
    life: Life,
    /// Counters at that time.
    pub(crate) counts: BusCounts,
}

struct Tail<'a> {
    context: &'a RedisContext,
    /// Id of the last entry read.
    position: Id,
    /// How many entries were ever added up to there, if known.
    ordinal: Option<u64>,
    /// The server's life during the last read; `None` before the first one.
    life: Option<Life>,
    /// Number of entries to request.
    count: usize,
    checked: Instant,
    /// The outbox's mark before the last look at the stream.
    mark: u64,
    /// After a gap the last values must be read again, also those of entries up to this id, which are not in the stream any more.
    values_lost: Option<Id>,
}

/// Runs until the hub ends.
pub(super) fn run(context: &RedisContext) {
    let mut pause = Pause::default();
    let mut tail = Tail {
        context,
        position: Id::default(),
        ordinal: None,
        life: None,
        count: FEW,
        checked: Instant::now(),
        mark: 0,
        values_lost: None,
    };
    if let Some(TailPosition { position, ordinal, life, .. }) = context.place().clone() {
        (tail.position, tail.ordinal, tail.life) = (position, ordinal, Some(life));
    }
    loop {
        let why = match context.nodes.open().and_then(|mut connection| tail.follow(&mut connection, &mut pause)) {
            Ok(()) | Err(BusError::Stopped) => return,
            Err(error) => context.nodes.explained(&error),
        };
        context.state.down(RedisLink::Tail, &context.address, &why);
        if context.stop.wait(pause.next()) {
            return;
        }
    }
}

impl Tail<'_> {
    /// Follows the stream until the connection breaks or the hub ends.
    fn follow(&mut self, connection: &mut RedisConnection, pause: &mut Pause) -> Result<(), BusError> {
        self.mark = self.context.outbox.mark();
        let life = life(connection)?;
        let look = look(self.context, connection)?;
        match &self.life {
            None => self.load(connection, look)?,
            Some(before) => {
                let same = before.is(&life);
                let verdict = look.judge(same, self.position, self.ordinal);
                self.obey(verdict, &look);
            }
        }
        self.life = Some(life);
        self.reached();
        self.context.state.up(RedisLink::Tail, &self.context.address);
        loop {
            self.context.nodes.check(connection)?;
            self.read(connection)?;
            pause.over();
        }
    }

    /// Reads the next entries, and checks that none is missing before them.
    fn read(&mut self, connection: &mut RedisConnection) -> Result<(), BusError> {
        if let Some(gone) = self.values_lost {
            let (context, upto) = (self.context, self.position.max(gone));
            let values = last_values::load(&context.address, connection, upto, context.retain_bytes)?;
            context.tell(StoreEvent::Retained(values));
            self.values_lost = None;
        }
        self.mark = self.context.outbox.mark();
        let stream = &self.context.address.stream;
        let mut commands = pipe();
        let read = commands.cmd("XREAD").arg("COUNT").arg(self.count).arg("BLOCK").arg(BLOCK.as_millis() as u64);
        read.arg("STREAMS").arg(stream).arg(self.position.to_string());
        let check = self.checked.elapsed() >= CHECK;
        if check {
            commands.cmd("XINFO").arg("STREAM").arg(stream).cmd("INFO").arg("replication");
        } else {
            commands.cmd("XRANGE").arg(stream).arg("-").arg("+").arg("COUNT").arg(1);
        }
        connection.send_all(&commands)?;
        let answer = connection.answer(Instant::now() + BLOCK + TIMEOUT)?;
        let answer = entry::of_stream(&answer).and_then(|entries| entry::entries(entries, self.context.limits));
        let entries = answer.ok_or_else(|| BusError::senseless("XREAD"))?;
        let until = Instant::now() + TIMEOUT;
        let (look, same) = if check {
            let look = RedisStreamInfo::read(connection.answer(until))?;
            let role = connection.answer(until).ok();
            (Some(look), self.life.as_ref().is_none_or(|life| life.has_role(role.as_ref())))
        } else {
            let first = connection.answer(until)?;
            let Value::Array(first) = &first else { return Err(BusError::senseless("XRANGE")) };
            let known = first.first().and_then(entry::id).is_some_and(|first| first <= self.position);
            (if known { None } else { Some(look(self.context, connection)?) }, true)
        };
        let Some(look) = look else {
            self.deliver(entries);
            return Ok(());
        };
        self.checked = Instant::now();
        let verdict = look.judge(same, self.position, self.ordinal);
        let before = self.position;
        self.obey(verdict, &look);
        // If reading continues elsewhere, it reads these entries again.
        if self.position == before {
            self.deliver(entries);
        }
        if !same {
            return Err(BusError::Broken("the server is now another one's replica, or none any more".into()));
        }
        if look.exists && look.last == self.position {
            if let Continuity::Gap(_) = look.judge(true, self.position, self.ordinal) {
                self.obey(Continuity::Gap(self.position), &look);
            }
            self.ordinal = look.ordinal(self.position);
        }
        Ok(())
    }

    /// Reports entries to the ordering thread.
    fn deliver(&mut self, entries: Vec<BusEntry>) {
        if entries.is_empty() {
            self.reached();
            return;
        }
        let context = self.context;
        let (count, bytes) = (entries.len(), entries.iter().map(|entry| entry.size).sum::<usize>());
        context.state.read.add(count);
        self.ordinal = self.ordinal.map(|ordinal| ordinal + count as u64);
        self.position = entries.last().map_or(self.position, |entry| entry.id);
        self.count = (PORTION / (bytes / count).max(1)).clamp(FEW, (self.count * 2).min(MANY));
        let mut events = Vec::with_capacity(count);
        for BusEntry { id, origin, retain, event, .. } in entries {
            match event {
                Ok(event) => events.push(self.kept(id, origin, retain, event)),
                Err(invalid) => context.refuse(id, &invalid),
            }
        }
        context.tell(StoreEvent::Read { events, bytes, position: self.position });
        self.reached();
        context.lead.read(bytes);
    }

    /// Pairs an event with the request of this hub that waits for it.
    fn kept(&self, id: Id, origin: Option<Origin>, retain: bool, event: Event) -> Stored {
        let outbox = &self.context.outbox;
        let own = origin.filter(|origin| origin.hub == outbox.hub());
        let ticket = own.and_then(|origin| outbox.delivered(origin.number));
        Stored { stamp: id, event: Arc::new(event), ticket, key: None, retain }
    }

    /// Reports a gap, if the verdict is one, and continues where it says.
    fn obey(&mut self, verdict: Continuity, look: &RedisStreamInfo) {
        let Continuity::Gap(position) = verdict else { return };
        self.values_lost = Some(look.first.map_or(look.last, Id::before));
        let context = self.context;
        warn!(
            stream = context.address.stream,
            read = %self.position,
            oldest = look.first.map(tracing::field::display),
            newest = %look.last,
            "events were lost between Redis and this hub, or may have been; its streams are told of a gap"
        );
        context.state.gaps.add(1);
        context.outbox.settle_at(look.last, self.mark);
        self.position = position;
        self.ordinal = look.ordinal(position);
        context.tell(StoreEvent::Gap { position });
    }

    fn reached(&self) {
        if let Some(life) = &self.life {
            let (position, ordinal) = (self.position, self.ordinal);
            *self.context.place() =
                Some(TailPosition { position, ordinal, life: life.clone(), counts: BusCounts::default() });
        }
        let tickets = self.context.outbox.reached(self.position);
        self.context.fail(tickets, LOST);
    }

    /// Loads the newest part of the stream at the first read, backwards, up to the history's limits.
    fn load(&mut self, connection: &mut RedisConnection, look: RedisStreamInfo) -> Result<(), BusError> {
        let context = self.context;
        let limits = context.history;
        let oldest = now_ms().saturating_sub(u64::try_from(limits.ttl.as_millis()).unwrap_or(u64::MAX));
        let (mut events, mut bytes, mut count, mut found) = (Vec::new(), 0, FEW, 0);
        let mut end = look.last.to_string();
        let mut began = look.last;
        let mut more = limits.events > 0;
        while more {
            let mut range = cmd("XREVRANGE");
            range.arg(&context.address.stream).arg(&end).arg("-").arg("COUNT").arg(count);
            let answer = entry::entries(&connection.call(&range)?, context.limits);
            let entries = answer.ok_or_else(|| BusError::senseless("XREVRANGE"))?;
            more = entries.len() == count;
            found += entries.len();
            let size: usize = entries.iter().map(|entry| entry.size).sum();
            bytes += size;
            count = (PORTION / (size / entries.len().max(1)).max(1)).clamp(FEW, (count * 2).min(MANY));
            for BusEntry { id, origin, retain, event, .. } in entries {
                end = format!("({id}");
                began = id.before();
                more &= id.ms >= oldest && bytes < limits.bytes;
                match event {
                    Ok(event) => events.push(self.kept(id, origin, retain, event)),
                    Err(invalid) => context.refuse(id, &invalid),
                }
            }
        }
        events.reverse();
        // Nothing was ever removed from the stream, and all of it was read.
        let whole = !look.exists || look.added == Some(look.length) && look.length == found as u64;
        let began = if whole && events.is_empty() { Id::default() } else { began };
        info!(
            stream = context.address.stream,
            events = events.len(),
            bytes,
            whole,
            newest = %look.last,
            "the bus was read for the first time"
        );
        self.position = look.last;
        self.ordinal = look.ordinal(look.last);
        let retained = last_values::load(&context.address, connection, look.last, context.retain_bytes)?;
        context.tell(StoreEvent::Loaded(Loaded { began, whole, newest: look.last, events, retained }));
        Ok(())
    }
}

fn look(context: &RedisContext, connection: &mut RedisConnection) -> Result<RedisStreamInfo, BusError> {
    RedisStreamInfo::read(connection.call(cmd("XINFO").arg("STREAM").arg(&context.address.stream)))
}

/// Reads the server's life. A server that refuses INFO counts as another one after each interruption.
fn life(connection: &mut RedisConnection) -> Result<Life, BusError> {
    let mut info = |section: &str| match connection.call(cmd("INFO").arg(section)) {
        Err(BusError::Said(reason)) => {
            warn!(reason, "INFO is refused, so that after an interruption of the bus a gap is told in any case");
            Ok(None)
        }
        other => other.map(Some),
    };
    let (server, replication) = (info("server")?, info("replication")?);
    Ok(Life::read(server.as_ref(), replication.as_ref()))
}
