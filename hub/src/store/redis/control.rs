//! What hubs tell each other to do, by a channel of its own:
//!
//! ```text
//! PUBLISH sse:control '{"disconnect":{"user":"alice","retry":5000}}'      any program may do so
//! PUBLISH sse:control '{"disconnect":{"user":"alice","waited":90000}}'    not those that began in these 90 seconds
//! PUBLISH sse:control '{"from":"HUB","watchers":{"question":1,"topic":"a"}}'
//! PUBLISH sse:control '{"from":"OTHER","watched":{"to":"HUB","question":1,"streams":2}}'
//! ```
//!
//! Answers go by the same channel, as a user of Redis with few rights may have no other.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::store::redis::control_queue::{ControlKind, QueuedControl};
use crate::store::redis::hub_name::{hub_of, name};
use sse_protocol::event::MAX_RETRY;
use sse_protocol::topic;
use sse_protocol::wire::{MAX_KEY, Whom};

/// Longest message, in bytes; an escaped key is the longest part.
const MAX_LEN: usize = 4096;

/// A message of another hub, or of another program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BusControl {
    /// End streams in good order.
    Disconnect {
        /// Which ones.
        whom: OwnedWhom,
        /// Reconnection time for their clients, in milliseconds; `None`: unchanged.
        retry: Option<u32>,
        /// Milliseconds that the order has waited for Redis: streams that began meanwhile stay.
        waited: u64,
    },
    /// A hub, maybe this one, asks all hubs how many of their streams watch a topic.
    Watchers {
        /// The asking hub.
        hub: u64,
        /// Its number of the question.
        question: u64,
        /// The topic.
        topic: Box<str>,
    },
    /// A hub answers a question of this one.
    Watched {
        /// The hub that answers.
        hub: u64,
        /// This hub's number of the question.
        question: u64,
        /// How many of its streams watch the topic.
        streams: u64,
    },
}

/// Whose streams end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OwnedWhom {
    User(Box<str>),
    Stream(Box<str>),
    Topic(Box<str>),
}

impl OwnedWhom {
    /// The same, borrowed.
    pub(crate) fn borrowed(&self) -> Whom<'_> {
        match self {
            Self::User(key) => Whom::User(key),
            Self::Stream(public) => Whom::Stream(public),
            Self::Topic(topic) => Whom::Topic(topic),
        }
    }

    fn of(whom: Whom<'_>) -> Self {
        match whom {
            Whom::User(key) => Self::User(key.into()),
            Whom::Stream(public) => Self::Stream(public.into()),
            Whom::Topic(topic) => Self::Topic(topic.into()),
        }
    }
}

/// A message as it is on the channel.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct ControlMessage {
    /// The sending hub.
    #[serde(skip_serializing_if = "String::is_empty")]
    from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnect: Option<Disconnect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    watchers: Option<AskedWatchers>,
    #[serde(skip_serializing_if = "Option::is_none")]
    watched: Option<ToldWatchers>,
}

#[derive(Debug, Serialize, Deserialize)]
struct AskedWatchers {
    question: u64,
    topic: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct ToldWatchers {
    /// The hub that has asked.
    to: String,
    question: u64,
    streams: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Disconnect {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u32>,
    /// Milliseconds, so that machines need not have the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    waited: Option<u64>,
}

/// The message by which a hub has the others end streams.
pub(crate) fn disconnect(hub: u64, whom: Whom<'_>, retry: Option<u32>) -> String {
    let mut disconnect = Disconnect { retry, ..Disconnect::default() };
    let (field, value) = match whom {
        Whom::User(key) => (&mut disconnect.user, key),
        Whom::Stream(public) => (&mut disconnect.stream, public),
        Whom::Topic(topic) => (&mut disconnect.topic, topic),
    };
    *field = Some(value.into());
    text(&ControlMessage { from: name(hub), disconnect: Some(disconnect), ..ControlMessage::default() })
}

/// What is sent of a message that has waited: an order to end streams tells how long, or it would also end those that the same
/// user has opened meanwhile.
pub(crate) fn sent(message: &QueuedControl) -> Cow<'_, str> {
    let waited = u64::try_from(message.waited().as_millis()).unwrap_or(u64::MAX);
    if message.kind == ControlKind::Order && waited >= 1000 {
        late(&message.text, waited)
    } else {
        message.text.as_str().into()
    }
}

fn late(order: &str, waited: u64) -> Cow<'_, str> {
    match serde_json::from_str::<ControlMessage>(order) {
        Ok(ControlMessage { from, disconnect: Some(disconnect), .. }) => {
            let disconnect = Some(Disconnect { waited: Some(waited), ..disconnect });
            text(&ControlMessage { from, disconnect, ..ControlMessage::default() }).into()
        }
        _ => order.into(),
    }
}

/// The message by which a hub asks all others how many of their streams watch a topic.
pub(crate) fn watchers(hub: u64, question: u64, topic: &str) -> String {
    let asked = AskedWatchers { question, topic: topic.into() };
    text(&ControlMessage { from: name(hub), watchers: Some(asked), ..ControlMessage::default() })
}

/// The message by which a hub answers the question of hub `to`.
pub(crate) fn watched(hub: u64, to: u64, question: u64, streams: u64) -> String {
    let told = ToldWatchers { to: name(to), question, streams };
    text(&ControlMessage { from: name(hub), watched: Some(told), ..ControlMessage::default() })
}

fn text(message: &ControlMessage) -> String {
    serde_json::to_string(message).unwrap_or_default()
}

/// Reads a message; `None` if it is not for this hub, or none that makes sense. Of its own ones only a question is for it.
pub(crate) fn read(hub: u64, text: &str) -> Option<BusControl> {
    if text.len() > MAX_LEN {
        return None;
    }
    let ControlMessage { from, disconnect, watchers, watched } = serde_json::from_str(text).ok()?;
    match (disconnect, watchers, watched) {
        (Some(disconnect), None, None) if from != name(hub) => checked(disconnect),
        (None, Some(AskedWatchers { question, topic }), None) if topic::check_topic(&topic).is_ok() => {
            Some(BusControl::Watchers { hub: hub_of(&from)?, question, topic: topic.into() })
        }
        (None, None, Some(ToldWatchers { to, question, streams })) if to == name(hub) => {
            Some(BusControl::Watched { hub: hub_of(&from)?, question, streams })
        }
        _ => None,
    }
}

fn checked(disconnect: Disconnect) -> Option<BusControl> {
    let Disconnect { user, stream, topic, retry, waited } = disconnect;
    let whom = match (&user, &stream, &topic) {
        (Some(key), None, None) if (1..=MAX_KEY).contains(&key.len()) => Whom::User(key),
        (None, Some(public), None) => Whom::Stream(public),
        (None, None, Some(topic)) if topic::check_topic(topic).is_ok() => Whom::Topic(topic),
        _ => return None,
    };
    let is_valid = retry.is_none_or(|retry| retry <= MAX_RETRY);
    is_valid.then(|| BusControl::Disconnect { whom: OwnedWhom::of(whom), retry, waited: waited.unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_read_by_all_hubs_but_its_own() {
        for whom in [Whom::User("a \"b\""), Whom::Stream("s"), Whom::Topic("a.b")] {
            for retry in [None, Some(7)] {
                let text = disconnect(1, whom, retry);
                let order = |waited| Some(BusControl::Disconnect { whom: OwnedWhom::of(whom), retry, waited });
                assert_eq!((read(2, &text), read(2, &late(&text, 5000))), (order(0), order(5000)));
                assert_eq!((read(1, &text), read(1, &late(&text, 5000))), (None, None));
            }
        }
        let longest = "\u{1}".repeat(MAX_KEY);
        assert!(read(2, &disconnect(1, Whom::User(&longest), Some(MAX_RETRY))).is_some());
    }

    #[test]
    fn what_another_program_writes_is_checked() {
        assert!(read(1, r#"{"disconnect":{"user":"alice"}}"#).is_some());
        for text in [
            "",
            "{}",
            r#"{"disconnect":{}}"#,
            r#"{"disconnect":{"user":""}}"#,
            r#"{"disconnect":{"user":"a","topic":"b"}}"#,
            r#"{"disconnect":{"topic":"a.*"}}"#,
            r#"{"disconnect":{"user":"a","retry":86400001}}"#,
            r#"{"disconnect":{"user":"a","retry":-1}}"#,
        ] {
            assert_eq!(read(1, text), None, "{text}");
        }
        let key = "k".repeat(MAX_KEY + 1);
        assert_eq!(read(1, &disconnect(2, Whom::User(&key), None)), None);
    }

    #[test]
    fn a_question_is_for_all_hubs_and_its_answer_for_the_one_that_asks() {
        let question = watchers(1, 5, "a.b");
        for hub in [1, 2] {
            let asked = BusControl::Watchers { hub: 1, question: 5, topic: "a.b".into() };
            assert_eq!(read(hub, &question), Some(asked));
        }
        let answer = watched(2, 1, 5, 9);
        assert_eq!(read(1, &answer), Some(BusControl::Watched { hub: 2, question: 5, streams: 9 }));
        assert_eq!((read(2, &answer), read(3, &answer)), (None, None));
        for text in [
            r#"{"watchers":{"question":1,"topic":"a"}}"#,
            r#"{"from":"00000000000000x1","watchers":{"question":1,"topic":"a"}}"#,
            r#"{"from":"+000000000000001","watchers":{"question":1,"topic":"a"}}"#,
            r#"{"from":"0000000000000001","watchers":{"question":1,"topic":"a.*"}}"#,
            r#"{"from":"0000000000000001","watchers":{"question":-1,"topic":"a"}}"#,
            r#"{"from":"0000000000000001","watchers":{"question":1,"topic":"a"},"disconnect":{"user":"a"}}"#,
            r#"{"from":"0000000000000002","watched":{"to":"0000000000000001","question":1}}"#,
        ] {
            assert_eq!(read(1, text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_can_crash_the_reader(text in ".{0,200}") {
            let _ = read(1, &text);
        }
    }
}
