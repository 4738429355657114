//! Upgrades: moves the streams of a paused shard from the old hub to the new one.

use std::collections::HashMap;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd};

use mio::unix::SourceFd;
use mio::{Interest, Token};

use crate::index::IndexPlace;
use crate::shard::Shard;
use crate::shard::timers::{Due, PARTING};
use crate::stream::Stream;
use crate::upgrade::outgoing::{ITEMS, Outgoing};
use crate::upgrade::part::PartKind;

impl Shard {
    /// Sends all streams to the new hub. The shard keeps its copies, unchanged, as the upgrade may still fail.
    pub(crate) fn pass_on(&self, outgoing: &mut Outgoing<'_>) -> io::Result<()> {
        let now = self.second();
        // Only the timer wheel has the ends of lifetimes.
        let ends: HashMap<u64, u32> =
            self.wheel.entries().filter_map(|due| Some((due.id, due.ends?.get().saturating_sub(now)))).collect();
        let streams: Vec<&Stream> = self.streams.iter().map(|(_, stream)| stream).collect();
        for group in streams.chunks(ITEMS) {
            let states = group.iter().map(|stream| {
                let patterns = stream.places.iter().map(|&place: &IndexPlace| self.index.pattern(place));
                stream.state(patterns.collect(), now, ends.get(&stream.id).copied(), &mut outgoing.numbers)
            });
            let states: Vec<_> = states.collect();
            let sockets: Vec<_> = group.iter().map(|stream| stream.socket()).collect();
            outgoing.part(PartKind::Streams, &states, &sockets)?;
        }
        Ok(())
    }

    /// Adds a stream of the old hub. The shard reads and writes nothing before its thread starts.
    pub(crate) fn adopt(&mut self, stream: Stream, patterns: &[Box<str>], ends: Option<u32>) -> io::Result<()> {
        let Stream { id, spec, active, followed, .. } = stream;
        let (held, queued, closing) = (stream.is_held(), stream.queued(), stream.closing.is_some());
        let key = self.streams.insert(stream) as u32;
        self.watch(key, patterns);
        self.stats.queued_bytes.add(queued);
        if held || followed {
            self.known.insert(id, key);
        }
        if let Some(left) = ends {
            let second = self.now.saturating_add(left);
            // A stream that was already closing gets the full closing time again.
            let due = if closing { self.now.saturating_add(PARTING) } else { second };
            self.wheel.insert(due, Due { key, ends: NonZeroU32::new(second.max(1)), id });
        }
        if held {
            return Ok(());
        }
        if spec.heartbeat > 0 {
            self.wheel.insert(active.saturating_add(spec.heartbeat), Due { key, ends: None, id });
        }
        let stream = &mut self.streams[key as usize];
        if let Some(until) = stream.paused() {
            self.alarms.borrow_mut().set(key, stream, until);
        }
        stream.watches_room = queued > 0;
        let socket = stream.socket().as_fd().as_raw_fd();
        let interest = if queued > 0 { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        self.poll.registry().register(&mut SourceFd(&socket), Token(key as usize), interest)
    }
}
