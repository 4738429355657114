//! The old hub's end: sends parts, and before each of them the events and blobs that it refers to.

use std::collections::HashMap;
use std::io;
use std::mem;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use serde::Serialize;
use serde_bytes::Bytes;

use crate::event::Event;
use crate::upgrade::GOT;
use crate::upgrade::channel::Channel;
use crate::upgrade::part::PartKind;

/// Maximum number of items in a part: each has a descriptor.
pub(crate) const ITEMS: usize = 200;

/// Bytes of events or blobs after which a new part begins.
const ENOUGH: usize = 1 << 20;

/// Sends parts, and tracks what the new hub acknowledged.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    channel: &'a Channel,
    /// Numbers of what parts refer to.
    pub(crate) numbers: Numbers,
    /// Whether the last part is not acknowledged yet.
    unanswered: bool,
}

/// Events and blobs that many parts refer to, each sent once.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    events: NumberedItems<Event>,
    blobs: NumberedItems<[u8]>,
}

/// Items by their numbers.
#[derive(Debug)]
struct NumberedItems<T: ?Sized> {
    /// Numbers by address.
    known: HashMap<usize, u32>,
    /// All items, kept so that no address is used twice.
    items: Vec<Arc<T>>,
    sent: usize,
}

impl<T: ?Sized> Default for NumberedItems<T> {
    fn default() -> Self {
        Self { known: HashMap::new(), items: Vec::new(), sent: 0 }
    }
}

impl<T: ?Sized> NumberedItems<T> {
    fn number(&mut self, item: &Arc<T>) -> u32 {
        let next = self.items.len() as u32;
        let number = *self.known.entry(Arc::as_ptr(item).cast::<u8>().addr()).or_insert(next);
        if number == next {
            self.items.push(Arc::clone(item));
        }
        number
    }

    /// Items that were not sent yet; from now on they count as sent.
    fn fresh(&mut self) -> &[Arc<T>] {
        let before = mem::replace(&mut self.sent, self.items.len());
        &self.items[before..]
    }
}

impl Numbers {
    /// The number of an event.
    pub(crate) fn event(&mut self, event: &Arc<Event>) -> u32 {
        self.events.number(event)
    }

    /// The number of a blob.
    pub(crate) fn blob(&mut self, blob: &Arc<[u8]>) -> u32 {
        self.blobs.number(blob)
    }

    /// The events numbered since the last call, in the order of their numbers.
    pub(crate) fn fresh_events(&mut self) -> &[Arc<Event>] {
        self.events.fresh()
    }

    /// The blobs numbered since the last call, likewise.
    pub(crate) fn fresh_blobs(&mut self) -> &[Arc<[u8]>] {
        self.blobs.fresh()
    }
}

impl<'a> Outgoing<'a> {
    /// Creates a sender that has sent nothing.
    pub(crate) fn new(channel: &'a Channel) -> Self {
        Self { channel, numbers: Numbers::default(), unanswered: false }
    }

    /// The number of an event.
    pub(crate) fn event(&mut self, event: &Arc<Event>) -> u32 {
        self.numbers.event(event)
    }

    /// The number of a blob.
    pub(crate) fn blob(&mut self, blob: &Arc<[u8]>) -> u32 {
        self.numbers.blob(blob)
    }

    /// Sends a part, after everything that it refers to.
    pub(crate) fn part(
        &mut self,
        kind: PartKind,
        content: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let mut numbers = mem::take(&mut self.numbers);
        let sent = self.referred(&mut numbers);
        self.numbers = numbers;
        sent?;
        self.send(kind, content, descriptors)
    }

    fn referred(&mut self, numbers: &mut Numbers) -> io::Result<()> {
        for group in groups(numbers.fresh_events(), |event| event.frame().len()) {
            let group: Vec<_> = group.iter().map(|event| event.state()).collect();
            self.send(PartKind::Events, &group, &[])?;
        }
        for group in groups(numbers.fresh_blobs(), |blob| blob.len()) {
            let group: Vec<_> = group.iter().map(|blob| Bytes::new(blob)).collect();
            self.send(PartKind::Blobs, &group, &[])?;
        }
        Ok(())
    }

    /// Sends one message. The new hub works on one part while the next is made.
    fn send(&mut self, kind: PartKind, content: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.answered()?;
        self.channel.send(&(kind, content), descriptors)?;
        self.unanswered = true;
        Ok(())
    }

    /// Waits until the new hub has acknowledged the last part.
    pub(crate) fn answered(&mut self) -> io::Result<()> {
        if mem::take(&mut self.unanswered) { self.channel.expect(GOT) } else { Ok(()) }
    }
}

/// Splits a list into groups of a bounded size.
fn groups<T>(mut items: &[T], size: impl Fn(&T) -> usize) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let within = |item: &&T| {
            let fits = bytes < ENOUGH;
            bytes += size(item) + 64;
            fits
        };
        let count = items.iter().take_while(within).count();
        let (group, rest) = items.split_at(count);
        items = rest;
        (!group.is_empty()).then_some(group)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_ends_when_it_is_large_and_nothing_is_left_out() {
        let sizes = [10, ENOUGH, 5, 2 * ENOUGH, 1, 1];
        let parts: Vec<&[usize]> = groups(&sizes, |size| *size).collect();
        assert_eq!(parts, [&[10, ENOUGH][..], &[5, 2 * ENOUGH], &[1, 1]]);
        assert_eq!(groups(&[0; 0], |size| *size).count(), 0);
    }

    #[test]
    fn the_same_thing_has_one_number() {
        let mut table = NumberedItems::<[u8]>::default();
        let (one, two): (Arc<[u8]>, Arc<[u8]>) = (b"a"[..].into(), b"a"[..].into());
        assert_eq!([table.number(&one), table.number(&two), table.number(&one)], [0, 1, 0]);
        assert_eq!((table.fresh().len(), table.fresh().len()), (2, 0));
    }
}
