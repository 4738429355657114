//! `sse_disconnect()`: ends streams in good order, on all machines.

use std::time::Duration;

use tracing::info;

use crate::broker::Broker;
use crate::broker::refusal::StreamRefusal;
use crate::broker::stream_id::StreamIds;
use crate::quota;
use crate::shard::command::{Command, DisconnectedStreams};
use crate::store::Store;
use sse_protocol::event::MAX_RETRY;
use sse_protocol::topic;
use sse_protocol::wire::{User, Whom};

impl Broker {
    /// Ends streams, also on the other machines of a bus. Returns how many of this hub's; `None`: only the shards know.
    ///
    /// # Errors
    /// If what names the streams breaks a rule, or the bus can't take it.
    pub(crate) fn disconnect(&mut self, whom: Whom<'_>, retry: Option<u32>) -> Result<Option<u64>, StreamRefusal> {
        match whom {
            Whom::User(key) => quota::check_user(Some(User { key, limit: 0, replace: false }))?,
            Whom::Topic(topic) => topic::check_topic(topic)?,
            // Mostly a client says it, as long as it likes, and other machines need not hear of what is no hub's.
            Whom::Stream(public) if !StreamIds::is_id(public) => return Ok(Some(0)),
            Whom::Stream(_) => {}
        }
        if let Some(retry) = retry.filter(|retry| *retry > MAX_RETRY) {
            return Err(StreamRefusal::Retry(retry));
        }
        let own = if let Whom::Stream(public) = whom { self.stream_ids.stream(public) } else { None };
        if let Store::Bus(bus) = &self.store
            && own.is_none()
        {
            bus.disconnect(whom, retry).map_err(|why| StreamRefusal::Bus(why.to_string()))?;
        }
        Ok(self.disconnect_here(whom, retry, Duration::ZERO))
    }

    /// Ends streams of this hub, by an order that has waited: those that began meanwhile stay.
    pub(crate) fn disconnect_here(&mut self, whom: Whom<'_>, retry: Option<u32>, waited: Duration) -> Option<u64> {
        let age = u32::try_from(waited.as_secs()).unwrap_or(u32::MAX);
        self.counts.disconnects += 1;
        // In order: what was told before this is for these streams, too.
        self.pass_notifications();
        let watched = if let Whom::Topic(topic) = whom { Some(topic) } else { None };
        if let Some(topic) = watched {
            for shard in self.shards.iter_mut().filter(|shard| shard.may_watch(topic)) {
                let streams = DisconnectedStreams::Watching(topic.into());
                shard.send(Command::Disconnect { streams, retry, age });
            }
        }
        let streams = self.named(whom);
        if let (Whom::Stream(_), [stream]) = (whom, &streams[..]) {
            // Of sse_streams() a script may have the id of a stream that is not followed.
            let streams = DisconnectedStreams::One(*stream);
            self.shard(*stream).send(Command::Disconnect { streams, retry, age });
            info!(stream, "disconnected by a script");
            return Some(1);
        }
        let count = watched.is_none().then_some(streams.len() as u64);
        info!(streams = count, "disconnected by a script");
        let of_shards = self.by_shard(streams);
        for (shard, streams) in self.shards.iter_mut().zip(of_shards).filter(|(_, streams)| !streams.is_empty()) {
            shard.send(Command::Disconnect { streams: DisconnectedStreams::These(streams), retry, age });
        }
        count
    }
}
