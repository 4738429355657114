//! `sse_streams()`: which streams are open on this machine, and what is known of each.

use serde_json::json;

use crate::broker::Broker;
use crate::broker::inquiry::{Asker, Findings, FoundStreams};
use crate::broker::refusal::StreamRefusal;
use crate::connection::ProcessSession;
use crate::quota;
use crate::quota::address;
use crate::shard::command::{Command, ListedStreams, ShardQuestion};
use crate::shard::report::ListedStream;
use sse_protocol::id::now_ms;
use sse_protocol::topic;
use sse_protocol::wire::{Framing, User, Whom};

/// Most streams in an answer; the script asks again for the rest.
const STREAMS: u32 = 500;

/// Bytes of an answer beyond which it has no further stream.
const PAGE: usize = 64 << 10;

/// Most patterns of a callback's stream that are told, as those of any other.
const PATTERNS: usize = 100;

/// An answer to a script that asks which streams are open.
pub(crate) struct StreamPage {
    /// The members of a JSON object, without its braces.
    pub(crate) json: String,
    pub(crate) count: u32,
    /// The last one's public id, if more follow.
    pub(crate) last: Option<String>,
}

impl Broker {
    /// Has the shards describe streams, for a script that waits.
    ///
    /// # Errors
    /// If what names the streams breaks a rule, or too many scripts ask.
    pub(crate) fn streams_page(
        &mut self,
        session: &mut ProcessSession,
        whose: Option<Whom<'_>>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<(), StreamRefusal> {
        match whose {
            Some(Whom::User(key)) => quota::check_user(Some(User { key, limit: 0, replace: false }))?,
            Some(Whom::Topic(topic)) => topic::check_topic(topic)?,
            Some(Whom::Stream(_)) | None => {}
        }
        let after = after.map(|public| self.stream_ids.stream(public).ok_or(StreamRefusal::NoId)).transpose()?;
        let (after, limit) = (after.unwrap_or(0), limit.clamp(1, STREAMS));
        if !self.inquiries.has_room_for_list() {
            return Err(StreamRefusal::Lists);
        }
        let watched = if let Some(Whom::Topic(topic)) = whose { Some(topic) } else { None };
        let mut of_shards = whose.map(|whose| self.first_named(whose, after, limit as usize));
        let inquiry = self.inquiries.number();
        let mut asked = Vec::new();
        for (shard, nth) in self.shards.iter_mut().zip(0..) {
            let streams = match &mut of_shards {
                None => ListedStreams::All,
                Some(of_shards) if matches!(whose, Some(Whom::Stream(_))) => match of_shards[nth as usize].pop() {
                    Some(stream) => ListedStreams::One(stream),
                    None => continue,
                },
                Some(of_shards) => {
                    let ids = std::mem::take(&mut of_shards[nth as usize]);
                    let topic = watched.filter(|topic| shard.may_watch(topic));
                    if ids.is_empty() && topic.is_none() {
                        continue;
                    }
                    ListedStreams::Some(topic.map(Into::into), ids)
                }
            };
            shard.send(Command::List { question: ShardQuestion { inquiry, shard: nth }, streams, after, limit });
            asked.push(nth);
        }
        let found = FoundStreams { streams: Vec::new(), complete_to: u64::MAX, limit: limit as usize };
        self.inquiries.add(inquiry, Asker::Script(session.wait()), asked, None, Findings::Streams(found));
        Ok(())
    }

    /// The first streams after one that are known here to be asked for, by their shards.
    fn first_named(&mut self, whose: Whom<'_>, after: u64, limit: usize) -> Vec<Vec<u64>> {
        let mut streams = self.named(whose);
        streams.retain(|stream| *stream > after);
        // One more says that more follow.
        if streams.len() > limit + 1 {
            streams.select_nth_unstable(limit);
            streams.truncate(limit + 1);
        }
        self.by_shard(streams)
    }

    /// The answer of what the shards have described.
    pub(crate) fn page_of(&mut self, found: FoundStreams) -> StreamPage {
        let FoundStreams { mut streams, complete_to, limit } = found;
        let all = streams.len();
        streams.retain(|stream| stream.id <= complete_to);
        streams.sort_unstable_by_key(|stream| stream.id);
        let (mut json, mut count, mut last) = (String::new(), 0, None);
        for stream in streams.iter().take(limit) {
            if json.len() >= PAGE {
                break;
            }
            let public = self.stream_ids.public(stream.id);
            let comma = if count > 0 { "," } else { "" };
            json.push_str(&format!("{comma}\"{public}\":{}", self.described(stream)));
            (count, last) = (count + 1, Some(public));
        }
        self.turns.step(count);
        let more = count < all || complete_to < u64::MAX;
        StreamPage { json, count: u32::try_from(count).unwrap_or(u32::MAX), last: last.filter(|_| more) }
    }

    fn described(&self, stream: &ListedStream) -> serde_json::Value {
        let ListedStream { id, patterns: (patterns, count), age, sent, queued, framing } = stream;
        let callback = self.renders.has_callback(*id);
        // What a callback watches is not known to the shards.
        let of_callback = if callback { self.renders.patterns(*id) } else { Vec::new() };
        let (topics, count) = match callback {
            true => (&of_callback[..of_callback.len().min(PATTERNS)], of_callback.len()),
            false => (&patterns[..], *count as usize),
        };
        json!({
            "topics": topics,
            "topic_count": count,
            "user": self.quota.user_of(*id),
            "address": self.topics.client_of(*id).map(address::shown),
            "since": (now_ms() / 1000).saturating_sub(u64::from(*age)),
            "bytes": sent,
            "queue": queued,
            "callback": callback,
            "framing": framing.map(|framing| match framing {
                Framing::Raw => "raw",
                Framing::Chunked => "chunked",
                Framing::FastCgi { .. } => "fastcgi",
                Framing::Message | Framing::Wake => "php",
            }),
        })
    }
}
