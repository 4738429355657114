//! Active subscriptions of Mercure's: the topics of the updates that tell of them.

use std::sync::LazyLock;

use crate::mercure::places::ByteSet;
use crate::mercure::{
    self, EXACT, MAX_LEN, MercureError, SelectorSyntax, SelectorUse, URL_PATTERN, decode, percent_encode, selector_of,
};

/// Path of the hub's own topics, by which subscriptions are told of.
const SUBSCRIPTIONS: &str = "/.well-known/mercure/subscriptions";

/// Whether a pattern subscribes to what a selector of Mercure's matches.
#[must_use]
pub fn is_subscription(pattern: &str) -> bool {
    selector_of(pattern).is_some_and(|(used, ..)| used == SelectorUse::Subscribed)
}

/// The matcher of a checked pattern that subscribes: its type in Mercure 1.0, and its text.
#[must_use]
pub fn matcher(pattern: &str) -> (&'static str, String) {
    let (kind, encoded) =
        selector_of(pattern).map_or((SelectorSyntax::Exact, ""), |(_, kind, encoded)| (kind, encoded));
    let kind = if kind == SelectorSyntax::UrlPattern { URL_PATTERN } else { EXACT };
    (kind, String::from_utf8_lossy(&decode(encoded)).into_owned())
}

/// The topic of the update that tells of a subscription, in Mercure's own text; `standard`: of version 1.0.
#[must_use]
pub fn subscription_topic(pattern: &str, subscriber: &str, standard: bool) -> String {
    let (kind, text) = matcher(pattern);
    let mut topic = SUBSCRIPTIONS.to_owned();
    if standard {
        topic.push('/');
        topic.push_str(kind);
    }
    for segment in [&text, subscriber] {
        topic.push('/');
        // RFC 6570, 3.2.2: simple string expansion.
        percent_encode(&mut topic, segment.as_bytes(), |byte| ByteSet::Unreserved.has(byte));
    }
    topic
}

/// Whether a topic of an event is one by which a hub tells of a subscription.
#[must_use]
pub fn is_of_subscription(topic: &str) -> bool {
    static BEGINNING: LazyLock<String> = LazyLock::new(|| mercure::topic(&[SUBSCRIPTIONS, "/"].concat(), true));
    topic.starts_with(&**BEGINNING)
}

/// Checks that a subscriber's subscriptions by these checked patterns can be told of.
///
/// # Errors
/// [`MercureError::LongSubscription`].
pub fn check_subscriber<'a>(patterns: impl IntoIterator<Item = &'a str>, subscriber: &str) -> Result<(), MercureError> {
    let subscribed = patterns.into_iter().filter(|pattern| is_subscription(pattern));
    let longest = subscribed.map(|pattern| subscription_topic(pattern, subscriber, true).len()).max();
    match longest.filter(|len| *len > MAX_LEN) {
        Some(len) => Err(MercureError::LongSubscription(len)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mercure::subscription;

    #[test]
    fn a_subscription_has_a_topic_that_fits() {
        let pattern = subscription("https://example.com/{id}?é");
        assert_eq!(
            subscription_topic(&pattern, "urn:1", false),
            "/.well-known/mercure/subscriptions/https%3A%2F%2Fexample.com%2F%7Bid%7D%3F%C3%A9/urn%3A1"
        );
        let all = subscription("*");
        assert_eq!(subscription_topic(&all, "a", true), "/.well-known/mercure/subscriptions/exact/%2A/a");
        let long = subscription(&"/".repeat(341));
        assert_eq!(check_subscriber([all.as_str(), "a"], "u"), Ok(()));
        assert_eq!(check_subscriber([all.as_str(), &long], "u"), Err(MercureError::LongSubscription(1066)));
    }
}
