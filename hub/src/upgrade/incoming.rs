//! The new hub's tables of events and blobs, which parts refer to by number.

use std::io;
use std::sync::Arc;

use serde_bytes::Bytes;

use crate::event::Event;
use crate::event::frames::Frames;
use crate::event::snapshot::EventState;

/// Events and blobs received so far, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    events: Vec<Arc<Event>>,
    blobs: Vec<Arc<Frames>>,
}

impl Tables {
    /// Adds events in the order of their numbers.
    pub(crate) fn add_events(&mut self, events: &[EventState<'_>]) -> io::Result<()> {
        for event in events {
            self.events.push(Arc::new(Event::restore(event).ok_or_else(|| wrong("an event"))?));
        }
        Ok(())
    }

    /// Adds blobs in the order of their numbers.
    pub(crate) fn add_blobs(&mut self, blobs: &[&Bytes]) {
        self.blobs.extend(blobs.iter().map(|blob| Arc::new(Arc::<[u8]>::from(blob.as_ref()).into())));
    }

    /// The event with this number.
    pub(crate) fn event(&self, number: u32) -> io::Result<Arc<Event>> {
        self.events.get(number as usize).map(Arc::clone).ok_or_else(|| wrong("the number of an event"))
    }

    /// The blob with this number.
    pub(crate) fn blob(&self, number: u32) -> io::Result<Arc<[u8]>> {
        self.frames(number).map(|frames| Arc::clone(frames.bytes()))
    }

    /// The blob with this number, for streams.
    pub(crate) fn frames(&self, number: u32) -> io::Result<Arc<Frames>> {
        self.blobs.get(number as usize).map(Arc::clone).ok_or_else(|| wrong("the number of some bytes"))
    }
}

/// Error for received data that can't be right: a bug of one of the two hubs.
pub(crate) fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} makes no sense; this is a bug of php-sse"))
}
