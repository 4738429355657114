//! The new hub's end: what parts refer to.

use std::io;
use std::sync::Arc;

use serde_bytes::Bytes;

use crate::event::Event;
use crate::stream::Frames;
use crate::upgrade::state::EventState;

/// Events and bytes that have come, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    events: Vec<Arc<Event>>,
    blobs: Vec<Arc<Frames>>,
}

impl Tables {
    /// Takes events.
    pub(crate) fn add_events(&mut self, events: &[EventState<'_>]) -> io::Result<()> {
        for event in events {
            self.events.push(Arc::new(Event::restore(event).ok_or_else(|| wrong("an event"))?));
        }
        Ok(())
    }

    /// Takes bytes.
    pub(crate) fn add_blobs(&mut self, blobs: &[&Bytes]) {
        self.blobs.extend(blobs.iter().map(|blob| Arc::new(Arc::<[u8]>::from(blob.as_ref()).into())));
    }

    /// The event with this number.
    pub(crate) fn event(&self, number: u32) -> io::Result<Arc<Event>> {
        self.events.get(number as usize).map(Arc::clone).ok_or_else(|| wrong("the number of an event"))
    }

    /// The bytes with this number.
    pub(crate) fn blob(&self, number: u32) -> io::Result<Arc<[u8]>> {
        self.frames(number).map(|frames| Arc::clone(frames.bytes()))
    }

    /// The same, for streams.
    pub(crate) fn frames(&self, number: u32) -> io::Result<Arc<Frames>> {
        self.blobs.get(number as usize).map(Arc::clone).ok_or_else(|| wrong("the number of some bytes"))
    }
}

/// What has come can't be: a bug of one of the two.
pub(crate) fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} makes no sense; this is a bug of php-sse"))
}
