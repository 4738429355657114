//! Presence: who watches a topic, as a stream declares it, and the topics on which the hub tells of it.

use thiserror::Error;

use crate::mercure::{self, MercureError};
use crate::topic::{self, printable};

/// First segment of the topics on which the hub tells who joins and leaves, with its dot: `$presence.chat` is about `chat`.
pub const PREFIX: &str = "$presence.";

/// Longest id of a member, in bytes.
pub const MAX_ID: usize = 255;

/// Longest info of a member, in bytes of JSON.
pub const MAX_INFO: usize = 4096;

/// Longest topic that can have members, in bytes: the topic with the prefix is a topic as well.
pub const MAX_TOPIC: usize = topic::MAX_LEN - PREFIX.len();

/// Most bytes of members that one event has; the rest comes in later ones, or on request.
pub const MEMBERS_BYTES: usize = 64 << 10;

/// Type of the event with the members who are there already.
pub const LIST: &str = "presence.list";

/// Type of the event with those who have come.
pub const JOIN: &str = "presence.join";

/// Type of the event with those who have left.
pub const LEAVE: &str = "presence.leave";

/// Why a stream can't have a member.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PresenceError {
    /// An empty id.
    #[error("the id of a member must not be empty")]
    EmptyId,
    /// An id longer than [`MAX_ID`].
    #[error("the id of a member is {0} bytes long; at most {MAX_ID} are allowed")]
    LongId(usize),
    /// Info longer than [`MAX_INFO`].
    #[error("the info of a member is {0} bytes of JSON long; at most {MAX_INFO} are allowed")]
    LongInfo(usize),
    /// Info that is no JSON.
    #[error("the info of a member is not valid JSON")]
    NoJson,
    /// A topic longer than [`MAX_TOPIC`].
    #[error("topic '{0}…' is {1} bytes long; presence allows at most {MAX_TOPIC}")]
    LongTopic(String, usize),
    /// A selector of Mercure's whose subscriptions can't be told of.
    #[error(transparent)]
    Mercure(#[from] MercureError),
}

/// The topic on which the hub tells who joins and leaves this one.
#[must_use]
pub fn topic_of(topic: &str) -> String {
    [PREFIX, topic].concat()
}

/// Those of checked patterns that have members: plain topics, except reserved ones, and what is subscribed to by Mercure's rules.
pub fn exact<'a, 'b>(patterns: &'b [&'a str]) -> impl Iterator<Item = &'a str> + 'b {
    let plain = |pattern: &str| !topic::is_wild(pattern) && !topic::is_reserved(pattern);
    patterns.iter().copied().filter(move |pattern| plain(pattern) || mercure::is_subscription(pattern))
}

/// Checks the lengths of a member's id and info.
///
/// # Errors
/// A [`PresenceError`] that names the limit.
pub fn check_member(id: &str, info: &str) -> Result<(), PresenceError> {
    match (id.len(), info.len()) {
        (0, _) => Err(PresenceError::EmptyId),
        (len, _) if len > MAX_ID => Err(PresenceError::LongId(len)),
        (_, len) if len > MAX_INFO => Err(PresenceError::LongInfo(len)),
        _ => Ok(()),
    }
}

/// Checks that these checked patterns can have members.
///
/// # Errors
/// A topic that is too long.
pub fn check_patterns<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<(), PresenceError> {
    let long = |topic: &&str| !topic::is_wild(topic) && !topic::is_reserved(topic) && topic.len() > MAX_TOPIC;
    match patterns.into_iter().find(long) {
        Some(topic) => {
            let start: String = topic.chars().take(40).collect();
            Err(PresenceError::LongTopic(printable(&start), topic.len()))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_topics_have_lengths() {
        assert_eq!(check_member("u", "{}"), Ok(()));
        assert_eq!(check_member("", "{}"), Err(PresenceError::EmptyId));
        assert_eq!(check_member(&"x".repeat(256), ""), Err(PresenceError::LongId(256)));
        assert_eq!(check_member("u", &"x".repeat(4097)), Err(PresenceError::LongInfo(4097)));
        let long = "x".repeat(MAX_TOPIC + 1);
        assert!(check_patterns([long.as_str()]).is_err_and(|error| error.to_string().contains("at most 245")));
        assert_eq!(check_patterns([&long[1..], &format!("{long}.*")]), Ok(()));
        assert!(topic::check_pattern(&topic_of(&long[1..])).is_ok());
    }

    #[test]
    fn plain_topics_have_members() {
        let patterns = ["a", "a.*", "**", "$presence.a", "b.c", "$mercure.allow.a", "$mercure.match.%2A"];
        assert_eq!(exact(&patterns).collect::<Vec<_>>(), ["a", "b.c", "$mercure.match.%2A"]);
    }
}
