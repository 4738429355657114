//! A shard that stands still, and its streams on their way to another hub.

use std::collections::HashMap;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd};

use mio::unix::SourceFd;
use mio::{Interest, Token};

use crate::shard::index::Place;
use crate::shard::{Due, PARTING, Shard};
use crate::stream::Stream;
use crate::upgrade::outgoing::{ITEMS, Outgoing};
use crate::upgrade::state::Part;

impl Shard {
    /// Passes all its streams on. They stay what they are here.
    pub(crate) fn pass_on(&self, outgoing: &mut Outgoing<'_>) -> io::Result<()> {
        let now = self.second();
        // Only the timer knows.
        let ends: HashMap<u64, u32> =
            self.wheel.entries().filter_map(|due| Some((due.id, due.ends?.get().saturating_sub(now)))).collect();
        let streams: Vec<&Stream> = self.streams.iter().map(|(_, stream)| stream).collect();
        for group in streams.chunks(ITEMS) {
            let states = group.iter().map(|stream| {
                let patterns = stream.places.iter().map(|&place: &Place| self.index.pattern(place));
                stream.state(patterns.collect(), now, ends.get(&stream.id).copied(), &mut outgoing.numbers)
            });
            let part = Part::Streams(states.collect());
            let sockets: Vec<_> = group.iter().map(|stream| stream.socket()).collect();
            outgoing.part(&part, &sockets)?;
        }
        Ok(())
    }

    /// Takes a stream that another hub has passed on. Nothing is read or written before this shard's thread runs.
    pub(crate) fn adopt(&mut self, stream: Stream, patterns: &[Box<str>], ends: Option<u32>) -> io::Result<()> {
        let Stream { id, heartbeat, active, followed, .. } = stream;
        let (held, queued, closing) = (stream.is_held(), stream.queued(), stream.closing.is_some());
        let key = self.streams.insert(stream) as u32;
        self.watch(key, patterns);
        self.stats.queued_bytes.add(queued);
        if held || followed {
            self.known.insert(id, key);
        }
        if let Some(left) = ends {
            let second = self.now.saturating_add(left);
            // One that has begun to end gets the whole time for that once more.
            let due = if closing { self.now.saturating_add(PARTING) } else { second };
            self.wheel.insert(due, Due { key, ends: NonZeroU32::new(second.max(1)), id });
        }
        if held {
            return Ok(());
        }
        if heartbeat > 0 {
            self.wheel.insert(active.saturating_add(heartbeat), Due { key, ends: None, id });
        }
        let stream = &mut self.streams[key as usize];
        stream.watches_room = queued > 0;
        let socket = stream.socket().as_fd().as_raw_fd();
        let interest = if queued > 0 { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        self.poll.registry().register(&mut SourceFd(&socket), Token(key as usize), interest)
    }
}
