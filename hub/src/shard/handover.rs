//! A shard that stands still, and its streams on their way to another hub.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use mio::unix::SourceFd;
use mio::{Interest, Token};

use super::{Due, Shard};
use crate::handover::outgoing::{ITEMS, Outgoing};
use crate::handover::state::Part;
use crate::shard::index::Place;
use crate::stream::Stream;

impl Shard {
    /// Passes all its streams on. They stay what they are here.
    pub(super) fn pass_on(&self, outgoing: &mut Outgoing<'_>) -> io::Result<()> {
        let now = self.second();
        let streams: Vec<&Stream> = self.streams.iter().map(|(_, stream)| stream).collect();
        for group in streams.chunks(ITEMS) {
            let states = group.iter().map(|stream| {
                let patterns = stream.places.iter().map(|&place: &Place| self.index.pattern(place));
                stream.state(patterns.collect(), now, outgoing)
            });
            let part = Part::Streams(states.collect());
            let sockets: Vec<_> = group.iter().map(|stream| stream.socket()).collect();
            outgoing.part(&part, &sockets)?;
        }
        Ok(())
    }

    /// Takes a stream that another hub has passed on. Nothing is read or written before this shard's thread runs.
    pub(super) fn adopt(&mut self, stream: Stream, patterns: &[Box<str>]) -> io::Result<()> {
        let Stream { id, heartbeat, active, followed, .. } = stream;
        let (held, queued) = (stream.is_held(), stream.queued());
        let key = self.streams.insert(stream) as u32;
        self.watch(key, patterns);
        self.stats.queued_bytes.add(queued);
        if held || followed {
            self.known.insert(id, key);
        }
        if held {
            return Ok(());
        }
        if heartbeat > 0 {
            self.wheel.insert(active.saturating_add(heartbeat), Due { key, id });
        }
        let socket = self.streams[key as usize].socket().as_fd().as_raw_fd();
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut SourceFd(&socket), Token(key as usize), interest)
    }
}
