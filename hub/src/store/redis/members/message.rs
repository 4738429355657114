//! What hubs write into Redis for each other: markers, fields, values and messages. Another program may have written it.

use serde::{Deserialize, Serialize};

use crate::presence::is_json;
use crate::presence::member::Person;
use crate::presence::sharing::OwnPresence;
use crate::store::redis::hub_name::hub_of;
use sse_protocol::mercure;
use sse_protocol::presence::{check_member, check_patterns};
use sse_protocol::topic;

/// The field of the marker; no topic is empty.
pub(crate) const MARKER: &str = " ";

/// Which writing of all members it is, and the number of the last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marker {
    pub(crate) epoch: u64,
    pub(crate) number: u64,
}

impl Marker {
    /// As it stands in the hash.
    pub(crate) fn text(self) -> String {
        format!("{:016x}-{}", self.epoch, self.number)
    }

    /// Reads it; `None`: it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (epoch, number) = text.split_once('-')?;
        Some(Self { epoch: u64::from_str_radix(epoch, 16).ok()?, number: number.parse().ok()? })
    }
}

/// A message of a hub.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HubMessage {
    /// The hub's number, as it is written.
    pub(crate) from: String,
    /// The marker after this; empty: the hub is still writing.
    pub(crate) at: String,
    /// Who is there: topic, id, info, since, newest, streams.
    pub(crate) set: Vec<(String, String, String, u64, u64, u32)>,
    /// Who has left: topic, id.
    pub(crate) gone: Vec<(String, String)>,
    /// The hub ends in good order.
    pub(crate) ends: bool,
}

impl HubMessage {
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(crate) fn parse(text: &str) -> Option<(u64, Self)> {
        let message: Self = serde_json::from_str(text).ok()?;
        Some((hub_of(&message.from)?, message))
    }
}

/// The field of a member: no topic has a space.
pub(crate) fn field(topic: &str, id: &str) -> String {
    format!("{topic} {id}")
}

/// The value of a member.
pub(crate) fn value(info: &str, here: OwnPresence) -> String {
    serde_json::to_string(&(info, here.since, here.newest, here.streams)).unwrap_or_default()
}

/// Topic and id of a field.
pub(crate) fn names(field: &str) -> Option<(&str, &str)> {
    field.split_once(' ').filter(|(topic, _)| !topic.is_empty())
}

/// Info and figures of a value.
pub(crate) fn figures(value: &str) -> Option<(String, OwnPresence)> {
    let (info, since, newest, streams) = serde_json::from_str(value).ok()?;
    Some((info, OwnPresence { since, newest, streams }))
}

/// A member of a topic, if this may be one: what is told of it goes to clients.
pub(crate) fn person(topic: &str, id: &str, info: &str) -> Option<Person> {
    if mercure::is_subscription(topic) {
        mercure::check_pattern(topic).ok()?;
        mercure::check_subscriber([topic], id).ok()?;
    } else {
        topic::check_topic(topic).ok()?;
    }
    check_patterns([topic]).ok()?;
    check_member(id, info).ok()?;
    is_json(info).then(|| Person::new(id, info, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::redis::hub_name::name;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read() {
        let marker = Marker { epoch: u64::MAX, number: 7 };
        assert_eq!(Marker::parse(&marker.text()), Some(marker));
        let here = OwnPresence { since: 1, newest: 2, streams: 3 };
        assert_eq!(figures(&value("{\"a\":\"\\n\"}", here)), Some(("{\"a\":\"\\n\"}".into(), here)));
        assert_eq!(names(&field("a.b", "x y")), Some(("a.b", "x y")));
        assert_eq!(names(MARKER), None);
        let message = HubMessage {
            from: name(5),
            at: marker.text(),
            set: vec![("a".into(), "u".into(), "{}".into(), 1, 2, 3)],
            gone: vec![("b".into(), "v".into())],
            ends: false,
        };
        assert_eq!(HubMessage::parse(&message.text()), Some((5, message)));
    }

    #[test]
    fn what_is_no_member_is_not_taken() {
        assert!(person("a.b", "u", "{}").is_some() && person("$mercure.match.%2A", "u", "{}").is_some());
        for (topic, id, info) in [
            ("", "u", "1"),
            ("a.*", "u", "1"),
            ("$presence.a", "u", "1"),
            ("$mercure.match.*", "u", "1"),
            ("$mercure.allow.a", "u", "1"),
            ("a", "", "1"),
            ("a", "u", "{"),
            ("a", "u", r#""\ud800""#),
        ] {
            assert!(person(topic, id, info).is_none(), "{topic} {id} {info}");
        }
        assert!(person("a", &"x".repeat(256), "1").is_none() && person(&"x".repeat(250), "u", "1").is_none());
    }

    proptest! {
        #[test]
        fn no_text_can_crash_the_reader(text in ".{0,200}") {
            let _ = (HubMessage::parse(&text), Marker::parse(&text), names(&text), figures(&text));
        }
    }
}
