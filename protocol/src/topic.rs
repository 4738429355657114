//! Topics, which events are published to, and patterns, which streams watch.
//!
//! A topic is one or more segments joined by dots: `orders.42.status`. A pattern is a topic in which `*` matches exactly
//! one segment and `**`, only as the last segment, one or more.

use thiserror::Error;

use crate::mercure::{self, MercureError};

/// Longest topic or pattern, in bytes. Only one in Mercure's namespace may be longer: see [`check_bytes`].
pub const MAX_LEN: usize = 255;

/// Most segments of a pattern with a wildcard: each one may cost the hub memory, and time for every event.
pub const MAX_WILD_SEGMENTS: usize = 16;

/// The pattern that matches every topic.
pub const ALL: &str = "**";

/// Why a topic or a pattern was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TopicError {
    /// An empty text.
    #[error("a topic must not be empty")]
    Empty,
    /// Longer than [`MAX_LEN`].
    #[error("topic '{0}…' is {1} bytes long; at most {MAX_LEN} are allowed")]
    TooLong(String, usize),
    /// Two dots in a row, or a dot at an end.
    #[error("topic '{0}' has an empty segment; write names joined by single dots, such as 'chat.general'")]
    EmptySegment(String),
    /// A white space or control character.
    #[error("topic '{0}' contains white space or a control character, which topics can't have")]
    Character(String),
    /// A wildcard in a topic to publish to.
    #[error("topic '{0}' contains '*'; wildcards are for watching only, give a full topic")]
    Wildcard(String),
    /// A wildcard that is only part of a segment.
    #[error("pattern '{0}': '*' must be a whole segment, as in 'orders.*.status'")]
    PartialWildcard(String),
    /// A wildcard pattern of more than [`MAX_WILD_SEGMENTS`] segments.
    #[error("pattern '{0}' has {1} segments; at most {MAX_WILD_SEGMENTS} are allowed where there is a wildcard")]
    TooManySegments(String, usize),
    /// A topic that only the hub publishes to.
    #[error("topic '{0}' begins with '$'; such topics are the hub's own, nobody else publishes to them")]
    Reserved(String),
    /// `**` before the end.
    #[error("pattern '{0}': '**' may only be the last segment, as in 'orders.**'")]
    DeepWildcard(String),
    /// Topics or patterns that are too long together.
    #[error("topics of {0} bytes given; {1} are allowed, which is sse.max_topics times {MAX_LEN}")]
    Bytes(usize, usize),
    /// Something wrong with a name in Mercure's namespace.
    #[error(transparent)]
    Mercure(#[from] MercureError),
}

/// Checks a topic to publish to.
///
/// # Errors
/// A [`TopicError`] that names the value and the rule.
pub fn check_topic(topic: &str) -> Result<(), TopicError> {
    check_shape(topic)?;
    if topic.contains('*') {
        return Err(TopicError::Wildcard(printable(topic)));
    }
    if is_reserved(topic) {
        return Err(TopicError::Reserved(printable(topic)));
    }
    Ok(())
}

/// Checks a topic or pattern to watch.
///
/// # Errors
/// A [`TopicError`] that names the value and the rule.
pub fn check_pattern(pattern: &str) -> Result<(), TopicError> {
    if mercure::is_mercure(pattern) {
        return Ok(mercure::check_pattern(pattern)?);
    }
    check_shape(pattern)?;
    let mut segments = pattern.split('.').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "*" => {}
            "**" if segments.peek().is_none() => {}
            "**" => return Err(TopicError::DeepWildcard(printable(pattern))),
            other if other.contains('*') => {
                return Err(TopicError::PartialWildcard(printable(pattern)));
            }
            _ => {}
        }
    }
    let count = pattern.split('.').count();
    if is_wild(pattern) && count > MAX_WILD_SEGMENTS {
        return Err(TopicError::TooManySegments(printable(pattern), count));
    }
    Ok(())
}

/// Checks the bytes of the topics or patterns of one event or stream, of which `max_topics` are allowed: some may be longer
/// than [`MAX_LEN`], but not on average.
///
/// # Errors
/// [`TopicError::Bytes`].
pub fn check_bytes<'a>(topics: impl IntoIterator<Item = &'a str>, max_topics: usize) -> Result<(), TopicError> {
    let (bytes, limit) = (topics.into_iter().map(str::len).sum(), max_topics * MAX_LEN);
    if bytes > limit { Err(TopicError::Bytes(bytes, limit)) } else { Ok(()) }
}

/// Checks the patterns of one stream, of which there are no more than `max_topics`.
///
/// # Errors
/// A [`TopicError`] that names the value and the rule.
pub fn check_patterns(patterns: &[&str], max_topics: usize) -> Result<(), TopicError> {
    patterns.iter().try_for_each(|pattern| check_pattern(pattern))?;
    check_bytes(patterns.iter().copied(), max_topics)?;
    Ok(mercure::check_patterns(patterns.iter().copied())?)
}

/// Whether a checked pattern has a wildcard; if not, it is a plain topic.
#[must_use]
pub fn is_wild(pattern: &str) -> bool {
    pattern.contains('*')
}

/// Whether a topic or pattern is about the hub's own topics, which begin with `$`.
#[must_use]
pub fn is_reserved(topic: &str) -> bool {
    topic.starts_with('$')
}

/// Whether a checked pattern matches a checked topic. A pattern that begins with a wildcard matches no topic of the hub's own.
#[must_use]
pub fn matches(pattern: &str, topic: &str) -> bool {
    if is_reserved(topic) && (pattern.starts_with('*') || mercure::is_mercure(topic)) {
        return mercure::matches(pattern, topic);
    }
    let mut topic = topic.split('.');
    for segment in pattern.split('.') {
        match (segment, topic.next()) {
            (_, None) => return false,
            ("**", Some(_)) => return true,
            ("*", Some(_)) => {}
            (literal, Some(found)) if literal == found => {}
            _ => return false,
        }
    }
    topic.next().is_none()
}

fn check_shape(topic: &str) -> Result<(), TopicError> {
    if topic.is_empty() {
        return Err(TopicError::Empty);
    }
    if topic.len() > MAX_LEN {
        let start = topic.chars().take(40).collect::<String>();
        return Err(TopicError::TooLong(printable(&start), topic.len()));
    }
    if topic.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(TopicError::Character(printable(topic)));
    }
    if topic.split('.').any(str::is_empty) {
        return Err(TopicError::EmptySegment(printable(topic)));
    }
    Ok(())
}

/// The value for error messages, without what would end its line, steer a terminal or change the direction of the text after it.
pub fn printable(value: &str) -> String {
    value.chars().flat_map(|c| if is_unsafe(c) { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// The beginning of a value of any length, for error messages.
pub fn shortened(value: &str) -> String {
    let rest = value.char_indices().nth(64).map_or("", |(end, _)| &value[end..]);
    let start = printable(&value[..value.len() - rest.len()]);
    if rest.is_empty() { start } else { start + "…" }
}

/// Whether a character would break a line of a log: a control character, or one that changes the direction of text.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_topics_are_longer_but_not_all_of_a_message() {
        let selector = mercure::subscription(&"/".repeat(200));
        assert_eq!(check_patterns(&[&selector], 3), Ok(()));
        let bytes = 2 * selector.len();
        assert_eq!(check_patterns(&[&selector, &selector], 3), Err(TopicError::Bytes(bytes, 3 * MAX_LEN)));
        assert_eq!(check_patterns(&[&selector, &selector], 5), Ok(()));
    }

    /// The attack: a value of megabytes, or one that rewrites the line of the log that tells of it.
    #[test]
    fn what_a_message_shows_of_a_value_is_short_and_harmless() {
        assert_eq!(printable("a\n\u{202e}b\u{2028}\u{200f}é"), "a\\n\\u{202e}b\\u{2028}\\u{200f}é");
        assert_eq!(shortened("é\0"), "é\\u{0}");
        assert_eq!(shortened(&"é".repeat(64)), "é".repeat(64));
        assert_eq!(shortened(&"é".repeat(1 << 20)), "é".repeat(64) + "…");
    }

    #[test]
    fn topics_are_names_joined_by_dots() {
        for good in
            ["chat", "chat.general", "orders.42.status", "notifications_timestamp_user_7", "räume.ü", "a@b:c/d-e"]
        {
            assert_eq!(check_topic(good), Ok(()), "{good}");
        }
        assert_eq!(check_topic(""), Err(TopicError::Empty));
        for bad in [".a", "a.", "a..b", "."] {
            assert_eq!(check_topic(bad), Err(TopicError::EmptySegment(bad.into())));
        }
        for bad in ["a b", "a\n", "a\0", "\u{a0}"] {
            assert!(matches!(check_topic(bad), Err(TopicError::Character(_))), "{bad:?}");
        }
        assert_eq!(check_topic("a.*"), Err(TopicError::Wildcard("a.*".into())));
        assert_eq!(check_topic(&"x".repeat(MAX_LEN)), Ok(()));
        assert!(matches!(check_topic(&"x".repeat(MAX_LEN + 1)), Err(TopicError::TooLong(_, 256))));
    }

    #[test]
    fn wildcards_are_whole_segments() {
        for good in ["*", "**", "a.*", "*.b", "a.*.c", "a.**", "*.**"] {
            assert_eq!(check_pattern(good), Ok(()), "{good}");
        }
        assert_eq!(check_pattern("a*"), Err(TopicError::PartialWildcard("a*".into())));
        assert_eq!(check_pattern("***"), Err(TopicError::PartialWildcard("***".into())));
        assert_eq!(check_pattern("**.a"), Err(TopicError::DeepWildcard("**.a".into())));
    }

    #[test]
    fn a_pattern_has_few_segments_and_a_topic_has_any_number() {
        let of = |count: usize, last: &str| format!("{}{last}", "a.".repeat(count - 1));
        for last in ["*", "**"] {
            assert_eq!(check_pattern(&of(MAX_WILD_SEGMENTS, last)), Ok(()));
            let refused = check_pattern(&of(MAX_WILD_SEGMENTS + 1, last)).expect_err("too many");
            assert_eq!(
                refused.to_string(),
                format!(
                    "pattern '{}' has 17 segments; at most 16 are allowed where there is a wildcard",
                    of(MAX_WILD_SEGMENTS + 1, last)
                )
            );
        }
        assert_eq!(check_pattern(&of(100, "a")), Ok(()));
        assert_eq!(check_topic(&of(100, "a")), Ok(()));
    }

    #[test]
    fn a_star_is_one_segment_and_two_are_one_or_more() {
        assert!(matches("a.b", "a.b"));
        assert!(!matches("a.b", "a"));
        assert!(!matches("a", "a.b"));
        assert!(matches("a.*", "a.b"));
        assert!(!matches("a.*", "a.b.c"));
        assert!(!matches("a.*", "a"));
        assert!(matches("*.b", "a.b"));
        assert!(matches("a.**", "a.b.c"));
        assert!(!matches("a.**", "a"));
        assert!(matches("**", "a"));
        assert!(matches("**", "a.b.c"));
        assert!(!matches("*", "a.b"));
    }

    #[test]
    fn the_hubs_own_topics_are_watched_by_name_only() {
        assert_eq!(check_topic("$presence.a"), Err(TopicError::Reserved("$presence.a".into())));
        assert_eq!(check_topic("a.$b"), Ok(()));
        assert_eq!(check_pattern("$presence.*"), Ok(()));
        for pattern in ["*", "**", "*.a", "*.**"] {
            assert!(!matches(pattern, "$presence.a"), "{pattern}");
        }
        assert!(matches("$presence.*", "$presence.a") && matches("$presence.**", "$presence.a.b"));
    }

    #[test]
    fn errors_show_control_characters_escaped() {
        assert_eq!(
            check_topic("a\nb").map_err(|e| e.to_string()),
            Err("topic 'a\\nb' contains white space or a control character, which topics can't have".into())
        );
    }
}
