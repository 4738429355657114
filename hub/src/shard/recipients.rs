//! The streams of a shard that an event goes to: for those who write it, and for those who count.

use slab::Slab;

use crate::index::Index;
use crate::index::told::EventMatches;
use crate::stream::Stream;
use sse_protocol::mercure;

/// The streams that watch one of an event's topics, and may get it.
pub(super) struct Recipients<'a> {
    index: &'a Index,
    topics: &'a [Box<str>],
    /// Which patterns match these topics, if there are several.
    several: Option<EventMatches<'a>>,
    /// Id of a stream that gets nothing; 0: there is none.
    except: u64,
}

impl<'a> Recipients<'a> {
    /// The recipients of an event with these topics.
    pub(super) fn new(index: &'a Index, topics: &'a [Box<str>], except: u64) -> Self {
        let several = (topics.len() > 1).then(|| index.matches_of(topics));
        Self { index, topics, several, except }
    }

    /// Whether a stream watches a topic of the event, which has several.
    pub(super) fn is_watched_by(&self, stream: &Stream, topic: &str) -> bool {
        self.several.as_ref().is_some_and(|all| all.is_watched(&stream.places, topic))
    }

    /// Calls `reach` for each recipient, once. A private update of Mercure's goes only to those that may get it. `fan_out` is the
    /// number of this look at the streams, which no earlier one had.
    pub(super) fn each(&self, streams: &mut Slab<Stream>, fan_out: u64, mut reach: impl FnMut(u32, &mut Stream)) {
        let private = self.topics.iter().any(|topic| mercure::is_private(topic));
        if private {
            for topic in self.topics {
                self.index.each_allowed(topic, |key| {
                    if let Some(stream) = streams.get_mut(key as usize) {
                        stream.allowed = fan_out;
                    }
                });
            }
        }
        for topic in self.topics {
            let once = |key: u32| {
                let Some(stream) = streams.get_mut(key as usize) else { return };
                if stream.seen == fan_out || stream.id == self.except || private && stream.allowed != fan_out {
                    return;
                }
                stream.seen = fan_out;
                reach(key, stream);
            };
            match &self.several {
                Some(all) if mercure::is_mercure(topic) => all.each(topic, once),
                _ => self.index.each(topic, once),
            }
        }
    }
}
