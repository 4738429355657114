//! `sse_watchers()`: how many streams would get an event of a topic, on all machines.

use std::time::Instant;

use crate::broker::Broker;
use crate::broker::inquiry::{Answered, Asker, Findings};
use crate::broker::refusal::StreamRefusal;
use crate::broker::steering::streams::StreamPage;
use crate::connection::ProcessSession;
use crate::shard::command::{Command, ShardQuestion};
use crate::store::Store;
use crate::store::report::Ticket;
use sse_protocol::topic;
use sse_protocol::wire::{ErrorCode, Reply};

impl Broker {
    /// Answers a script that asks how many clients' streams watch a topic, or has it wait for the shards and, unless `local`, for
    /// the other hubs on the bus.
    pub(crate) fn watchers(&mut self, session: &mut ProcessSession, topic: &str, local: bool) {
        if let Err(error) = topic::check_topic(topic) {
            session.error(ErrorCode::Invalid, &error.to_string());
            return;
        }
        let number = self.inquiries.number();
        let bus = match &self.store {
            Store::Bus(bus) if !local => match bus.ask_watchers(number, topic) {
                Ok(hub) => Some(hub),
                Err(why) => {
                    let refused = StreamRefusal::NotAsked(why.to_string());
                    session.error(refused.code(), &refused.to_string());
                    return;
                }
            },
            _ => None,
        };
        let (shards, streams) = self.count_watchers(number, &[topic.into()], 0);
        if shards.is_empty() && bus.is_none() {
            session.reply(&Reply::Watchers { streams });
        } else {
            self.inquiries.add(number, Asker::Script(session.wait()), shards, bus, Findings::Watchers(streams));
        }
    }

    /// Counts for another hub. This one's own question comes back, too: its streams are counted already.
    pub(crate) fn watchers_for(&mut self, hub: u64, question: u64, topic: &str) {
        let Store::Bus(bus) = &self.store else { return };
        if hub == bus.hub() {
            self.inquiries.told(question, hub, 0);
        } else if self.inquiries.has_room() {
            let number = self.inquiries.number();
            let (shards, streams) = self.count_watchers(number, &[topic.into()], 0);
            self.inquiries.add(number, Asker::Hub { hub, question }, shards, None, Findings::Watchers(streams));
        }
    }

    /// Asks the shards that may have a stream which an event of these topics goes to, other than the stream `except`. Returns their
    /// numbers, and how many streams have a callback that is told of it: the shards do not know these.
    pub(crate) fn count_watchers(&mut self, inquiry: u64, topics: &[Box<str>], except: u64) -> (Vec<u32>, u64) {
        let mut asked = Vec::new();
        for (shard, nth) in self.shards.iter_mut().zip(0..) {
            if topics.iter().any(|topic| shard.may_watch(topic)) {
                let question = ShardQuestion { inquiry, shard: nth };
                shard.send(Command::Count { question, topics: topics.into(), except });
                asked.push(nth);
            }
        }
        let (streams, jobs) = self.renders.count_watching(topics, except);
        self.turns.step(jobs);
        (asked, streams)
    }

    /// Calls `answer` for the scripts whose inquiries are over, and answers other hubs.
    pub(crate) fn answer_inquiries(&mut self, mut answer: impl FnMut(Ticket, &Reply<'_>)) {
        for Answered { asker, found } in self.inquiries.take_answered(Instant::now()) {
            match (asker, found) {
                (Asker::Script(ticket), Ok(Findings::Watchers(streams))) => {
                    answer(ticket, &Reply::Watchers { streams });
                }
                (Asker::Script(ticket), Ok(Findings::Delivered { id, streams })) => {
                    answer(ticket, &Reply::Receipt { id: &id, watchers: streams, duplicate: false });
                }
                (Asker::Script(ticket), Ok(Findings::Streams(found))) => {
                    let StreamPage { json, count, last } = self.page_of(found);
                    answer(ticket, &Reply::Streams { json: &json, count, last: last.as_deref() });
                }
                (Asker::Script(ticket), Err(why)) => {
                    let late = StreamRefusal::NotAnswered(why);
                    answer(ticket, &Reply::Error { code: late.code(), message: &late.to_string() });
                }
                (Asker::Hub { hub, question }, Ok(Findings::Watchers(streams))) => {
                    if let Store::Bus(bus) = &self.store {
                        bus.tell_watchers(hub, question, streams);
                    }
                }
                // That hub waits no longer either; it can't ask for streams.
                (Asker::Hub { .. }, _) => {}
            }
        }
    }
}
