//! The parts of commands that are not bytes, or that many commands share: how they cross the pipe to a shard process.
//!
//! A missed event is sent once, and commands refer to its number. Frames are sent once for all streams that get them in turn.
//! A socket goes along as a descriptor.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use serde_bytes::Bytes;

use crate::event::Event;
use crate::event::frames::Frames;
use crate::event::snapshot::EventState;
use crate::shard::command::Convert;
use crate::shard::process::interned::InternedEvents;
use crate::shard::process::message::CommandPart;
use crate::shard::process::receiver::CommandReceiver;
use crate::shard::process::sender::CommandSender;
use crate::upgrade::incoming::wrong;

/// What the ordering thread knows of a shard process.
#[derive(Debug, Default)]
pub(crate) struct SentParts {
    pub(crate) interned: InternedEvents,
    /// The frames sent last.
    pub(crate) frames: Option<Arc<Frames>>,
    /// Socket of the command that is being encoded.
    pub(crate) socket: Option<OwnedFd>,
}

impl Convert<Arc<Event>, Arc<Event>, Arc<Frames>, OwnedFd> for CommandSender {
    type Event = Arc<Event>;
    type Missed = u64;
    type Frames = ();
    type Socket = ();
    type Error = Infallible;

    fn event(&mut self, event: Arc<Event>) -> Result<Arc<Event>, Infallible> {
        Ok(event)
    }

    fn missed(&mut self, event: Arc<Event>) -> Result<u64, Infallible> {
        let (number, fresh) = self.parts.interned.number(&event);
        if fresh {
            if self.parts.interned.are_many() {
                self.forget();
            }
            self.part(CommandPart::Event(number, event.state()));
        }
        Ok(number)
    }

    fn frames(&mut self, frames: Arc<Frames>) -> Result<(), Infallible> {
        if !self.parts.frames.as_ref().is_some_and(|last| Arc::ptr_eq(last, &frames)) {
            self.part(CommandPart::Frames(Bytes::new(frames.bytes())));
            self.parts.frames = Some(frames);
        }
        Ok(())
    }

    fn connection(&mut self, socket: OwnedFd) -> Result<(), Infallible> {
        self.parts.socket = Some(socket);
        Ok(())
    }
}

/// What a shard process keeps for later commands.
#[derive(Debug, Default)]
pub(crate) struct ReceivedParts {
    /// Events by number that new streams may have missed. Only queues count them as kept: the history is in the main process.
    interned: HashMap<u64, Arc<Event>>,
    /// The frames received last.
    frames: Arc<Frames>,
}

impl ReceivedParts {
    /// Keeps a part for later commands, or drops some.
    ///
    /// # Errors
    /// The event is invalid.
    pub(crate) fn keep(&mut self, part: CommandPart<'_>) -> io::Result<()> {
        match part {
            CommandPart::Event(number, state) => drop(self.interned.insert(number, restored(&state)?)),
            CommandPart::Forget(numbers) => numbers.iter().for_each(|number| drop(self.interned.remove(number))),
            CommandPart::Frames(bytes) => self.frames = Arc::new(Arc::<[u8]>::from(bytes.as_ref()).into()),
        }
        Ok(())
    }
}

fn restored(event: &EventState<'_>) -> io::Result<Arc<Event>> {
    Event::restore(event).map(Arc::new).ok_or_else(|| wrong("an event"))
}

impl Convert<EventState<'_>, u64, (), ()> for CommandReceiver {
    type Event = Arc<Event>;
    type Missed = Arc<Event>;
    type Frames = Arc<Frames>;
    type Socket = OwnedFd;
    type Error = io::Error;

    fn event(&mut self, event: EventState<'_>) -> io::Result<Arc<Event>> {
        restored(&event)
    }

    fn missed(&mut self, number: u64) -> io::Result<Arc<Event>> {
        self.parts.interned.get(&number).cloned().ok_or_else(|| wrong("the number of an event"))
    }

    fn frames(&mut self, (): ()) -> io::Result<Arc<Frames>> {
        Ok(Arc::clone(&self.parts.frames))
    }

    fn connection(&mut self, (): ()) -> io::Result<OwnedFd> {
        self.descriptor()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    use rustix::net::sockopt;
    use sse_protocol::event::NewEvent;
    use sse_protocol::stream::StreamSpec;
    use sse_protocol::wire::{Framing, TopicsAs};

    use crate::shard::command::{
        Command, DisconnectedStreams, FinishTime, ListedStreams, NewStream, Relieve, ShardQuestion, Which,
    };
    use crate::shard::process::message::{self, ProcessMessage, ReceivedCommand};
    use crate::stats::EndReason;
    use crate::store::history::Missed;
    use crate::stream::Trigger;

    /// Sends commands through a pipe; returns what a shard gets at its other end, and how many messages it took.
    fn through_a_pipe(commands: impl IntoIterator<Item = Command>) -> (Vec<Command>, usize) {
        let (near, far) = UnixStream::pair().expect("a pair");
        let (mut sender, mut receiver) = (CommandSender::new(near.into(), 1), CommandReceiver::new(far.into()));
        commands.into_iter().for_each(|command| sender.command(command));
        sender.flush().expect("the other end is there");
        assert!(sender.is_empty(), "all fits into the socket");
        while receiver.receive().expect("the other end is there").more {}
        let bytes = std::mem::take(&mut receiver.bytes);
        let (mut got, mut rest, mut messages) = (Vec::new(), bytes.as_slice(), 0);
        while let Some((message, size)) =
            message::first::<ProcessMessage<'_, ReceivedCommand<'_>>>(rest).expect("messages")
        {
            match message {
                ProcessMessage::Command(command) => {
                    got.push(command.convert(&mut receiver).expect("all parts are there"));
                }
                ProcessMessage::Part(part) => receiver.parts.keep(part).expect("a part"),
                ProcessMessage::Control(other) => panic!("{other:?}"),
            }
            (rest, messages) = (&rest[size..], messages + 1);
        }
        assert!(rest.is_empty());
        (got, messages)
    }

    fn event(id: &str) -> Arc<Event> {
        let new = NewEvent {
            topics: vec!["a", "b"],
            event_type: Some("c"),
            retry: Some(5),
            data: b"d\ne",
            traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            ..Default::default()
        };
        Arc::new(Event::new(&new, id))
    }

    #[test]
    fn a_command_arrives_as_it_was() {
        let frames = Arc::new(Frames::from(Arc::<[u8]>::from(*b"data: x\n\n")));
        let commands = || {
            [
                Command::Commit { stream: 1, framing: Framing::FastCgi { request: 7 } },
                Command::Abort { stream: 2 },
                Command::Tell { stream: 9, event: event("2-0") },
                Command::Frames { stream: 3, frames: Arc::clone(&frames) },
                Command::Watch { stream: 4, patterns: vec!["a.*".into(), "b".into()] },
                Command::End { stream: 5, why: EndReason::Replaced },
                Command::Disconnect { streams: DisconnectedStreams::These(vec![6, 7]), retry: Some(8), age: 9 },
                Command::Disconnect { streams: DisconnectedStreams::Watching("a".into()), retry: None, age: 0 },
                Command::EventExcept { event: event("3-0"), stream: 10 },
                Command::Event(event("1-0")),
                Command::Finish { topic: "a".into(), when: FinishTime::Before },
                Command::List {
                    question: ShardQuestion { inquiry: 12, shard: 1 },
                    streams: ListedStreams::Some(Some("a".into()), vec![13]),
                    after: 14,
                    limit: 15,
                },
                Command::Disconnect { streams: DisconnectedStreams::One(16), retry: None, age: 0 },
                Command::Count {
                    question: ShardQuestion { inquiry: 11, shard: 1 },
                    topics: ["a".into(), "b".into()].into(),
                    except: 17,
                },
                Command::Trigger(Arc::new(Trigger::new("a"))),
                Command::Pause,
                Command::Gap(Arc::from(*b"event: gap\n\n")),
                Command::Relieve(Relieve { round: 1, which: Which { share: 2, stalled: None }, target: 3 }),
                Command::Stop { spread: 6 },
            ]
        };
        assert_eq!(format!("{:?}", through_a_pipe(commands()).0), format!("{:?}", commands()));
    }

    #[test]
    fn a_stream_that_is_fetched_gets_its_own_socket() {
        let socket: OwnedFd = UnixStream::pair().expect("a pair").0.into();
        sockopt::set_socket_send_buffer_size(&socket, 8192).expect("a socket");
        let size = sockopt::socket_send_buffer_size(&socket).expect("a socket");
        let (got, _) = through_a_pipe([Command::Redeem { stream: 1, framing: Framing::Chunked, socket }]);
        let [Command::Redeem { stream: 1, framing: Framing::Chunked, socket }] = &got[..] else { panic!("{got:?}") };
        assert_eq!(sockopt::socket_send_buffer_size(socket), Ok(size));
    }

    #[test]
    fn streams_share_what_they_have_missed_and_each_gets_its_own_socket() {
        let events = [event("1-0"), event("2-0")];
        let sockets: Vec<OwnedFd> = (1..=2)
            .map(|size| {
                let socket: OwnedFd = UnixStream::pair().expect("a pair").0.into();
                sockopt::set_socket_send_buffer_size(&socket, size * 8192).expect("a socket");
                socket
            })
            .collect();
        let buffer = |socket: &OwnedFd| sockopt::socket_send_buffer_size(socket).expect("a socket");
        let sizes: Vec<usize> = sockets.iter().map(buffer).collect();
        let attach = |(socket, id)| {
            let missed = Missed { gap: Some(Arc::from(*b"gap")), events: events.to_vec(), ..Missed::default() };
            let spec = StreamSpec { retry: id as u32, topics_as: Some(TopicsAs::Envelope), ..StreamSpec::default() };
            let newest = Some("2-0".into());
            let patterns = vec!["a".into()];
            Command::Attach(NewStream {
                id,
                client: 9,
                socket,
                patterns,
                spec,
                first: Some("id: 1\n".into()),
                missed,
                newest,
                followed: true,
            })
        };
        let (got, messages) = through_a_pipe(sockets.into_iter().zip(1..).map(attach));
        assert_eq!(messages, 2 + 2, "each event is sent once");
        let mut known: Vec<*const Event> = Vec::new();
        for ((command, id), size) in got.into_iter().zip(1..).zip(sizes) {
            let Command::Attach(attach) = command else { panic!("{command:?}") };
            let NewStream { client, socket, patterns, spec, first, missed, newest, followed, .. } = attach;
            assert_eq!((attach.id, client, followed, first.as_deref()), (id, 9, true, Some("id: 1\n")));
            assert_eq!((&*patterns[0], newest.as_deref()), ("a", Some("2-0")));
            assert_eq!((spec.retry, spec.topics_as), (id as u32, Some(TopicsAs::Envelope)));
            assert_eq!(missed.gap.as_deref(), Some(&b"gap"[..]));
            assert_eq!(format!("{:?}", missed.events), format!("{events:?}"));
            assert_eq!(buffer(&socket), size, "its own socket");
            known.extend(missed.events.iter().map(Arc::as_ptr));
        }
        assert_eq!(known[..2], known[2..], "the process has each event once");
    }

    #[test]
    fn frames_for_many_streams_are_sent_once() {
        let one = Arc::new(Frames::from(Arc::<[u8]>::from(*b"data: 1\n\n")));
        let two = Arc::new(Frames::from(Arc::<[u8]>::from(*b"data: 2\n\n")));
        let order = [&one, &one, &one, &two, &one];
        let commands = order.map(|frames| Command::Frames { stream: 1, frames: Arc::clone(frames) });
        let (got, messages) = through_a_pipe(commands);
        assert_eq!(messages, 5 + 3);
        let bytes = got.iter().map(|command| match command {
            Command::Frames { frames, .. } => frames.bytes().to_vec(),
            other => panic!("{other:?}"),
        });
        assert!(bytes.eq(order.map(|frames| frames.bytes().to_vec())));
    }

    #[test]
    fn a_command_without_its_parts_is_refused() {
        let mut receiver = CommandReceiver::new(UnixStream::pair().expect("a pair").0.into());
        let error = receiver.missed(7).expect_err("no such event");
        assert!(error.to_string().contains("the number of an event"), "{error}");
        let error = receiver.connection(()).expect_err("no descriptor");
        assert!(error.to_string().contains("the number of descriptors"), "{error}");
    }
}
