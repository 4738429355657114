//! Mercure's topics and topic selectors, as topics and patterns of this hub.
//!
//! Mercure's topics are arbitrary strings, mostly IRIs. Percent-encoded, each is the third segment of a topic of the hub's own:
//!
//! | name | is |
//! |---|---|
//! | `$mercure.public.TOPIC` | topic of a public update |
//! | `$mercure.private.TOPIC` | topic of a private update |
//! | `$mercure.match.SELECTOR` | pattern: the stream subscribes to what the selector matches |
//! | `$mercure.allow.SELECTOR` | pattern: the stream may get private updates with a topic that the selector matches |
//! | `$mercure.match_urlpattern.PATTERN`, `$mercure.allow_urlpattern.PATTERN` | the same by a URL pattern of Mercure 1.0 |
//! | `$mercure.match_exact.TOPIC`, `$mercure.allow_exact.TOPIC` | the same by a topic with a brace, which is no URI template here |
//!
//! A stream gets a public update if one of its topics is matched, and a private one if also one of its topics, maybe another, is
//! allowed (Mercure 0.x, "Authorization", "Subscribers").

mod pieces;
mod places;
mod selector;
mod subscription;
mod template;
mod url_pattern;

pub use selector::{Matcher, Selector, SelectorShape, matches};
pub use subscription::{check_subscriber, is_of_subscription, is_subscription, matcher, subscription_topic};

use std::borrow::Cow;
use std::fmt::Write as _;

use thiserror::Error;

use crate::mercure::url_pattern::UrlPatternError;

/// Longest topic or selector, in bytes, as Mercure's clients write it.
pub const MAX_LEN: usize = 1024;

/// Most URI templates among a stream's selectors.
pub const MAX_TEMPLATES: usize = 32;

/// Most variables of one URI template.
pub const MAX_VARIABLES: usize = 16;

/// The last event id that asks for all that is kept.
pub const EARLIEST: &str = "earliest";

/// The first segment of all these names, with its dot.
pub const NAMESPACE: &str = "$mercure.";

const PUBLIC: &str = "$mercure.public.";
const PRIVATE: &str = "$mercure.private.";
const MATCH: &str = "$mercure.match.";
const ALLOW: &str = "$mercure.allow.";

/// The selector that matches all topics, encoded.
const ALL: &str = "%2A";

/// What URI templates have, encoded.
const BRACE: &str = "%7B";

/// The types of matchers of Mercure 1.0.
const EXACT: &str = "exact";
const URL_PATTERN: &str = "urlpattern";

/// Why a name in Mercure's namespace was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MercureError {
    /// No topic or selector.
    #[error("a topic or selector of Mercure must not be empty")]
    Empty,
    /// Longer than [`MAX_LEN`].
    #[error("a topic or selector of Mercure has {0} bytes; at most {MAX_LEN} are allowed")]
    TooLong(usize),
    /// A name of another form.
    #[error(
        "'{0}' is no name in Mercure's namespace: it is '$mercure.public.' or '$mercure.private.' and a topic to publish to, \
         '$mercure.match.' or '$mercure.allow.' and a selector to watch, percent-encoded but for A-Z a-z 0-9 - _ ~"
    )]
    Form(String),
    /// Topics that belong to different kinds of events.
    #[error("the topics of an update must all be Mercure's, and all public or all private")]
    Mixed,
    /// What Mercure's updates can't be.
    #[error(
        "an update of Mercure can be neither a last value (retain) nor the last event of its topics (sse_finish())"
    )]
    Kept,
    /// More than [`MAX_VARIABLES`].
    #[error("a URI template has more than {MAX_VARIABLES} variables, which is the limit")]
    Variables,
    /// The topic of the update that tells of a subscription is longer than [`MAX_LEN`].
    #[error(
        "a selector makes a topic of {0} bytes for the update that tells of its subscription; at most {MAX_LEN} are allowed: \
         use a shorter one"
    )]
    LongSubscription(usize),
    /// A URL pattern that is none, or of a kind that is not taken.
    #[error("the URL pattern '{0}' is not taken: {1}")]
    UrlPattern(String, UrlPatternError),
    /// More than [`MAX_TEMPLATES`].
    #[error("{0} URI templates given; a stream may have {MAX_TEMPLATES} among its selectors")]
    Templates(usize),
}

/// Whether a topic or pattern is in Mercure's namespace.
#[must_use]
pub fn is_mercure(name: &str) -> bool {
    name.starts_with(NAMESPACE)
}

/// Whether this is a topic of a private update.
#[must_use]
pub fn is_private(topic: &str) -> bool {
    topic.starts_with(PRIVATE)
}

/// The topic of an update with this topic of Mercure's.
#[must_use]
pub fn topic(topic: &str, private: bool) -> String {
    [if private { PRIVATE } else { PUBLIC }, &encode(topic.as_bytes())].concat()
}

/// The pattern of a stream that subscribes to what the selector matches.
#[must_use]
pub fn subscription(selector: &str) -> String {
    [MATCH, &encode(selector.as_bytes())].concat()
}

/// The pattern of a stream that may get private updates with a topic that the selector matches.
#[must_use]
pub fn right(selector: &str) -> String {
    [ALLOW, &encode(selector.as_bytes())].concat()
}

/// The encoded topic in the name of an update's topic.
fn published(topic: &str) -> Option<&str> {
    topic.strip_prefix(PUBLIC).or_else(|| topic.strip_prefix(PRIVATE))
}

/// Mercure's own text of an update's topic.
#[must_use]
pub fn text(topic: &str) -> Option<Cow<'_, [u8]>> {
    published(topic).map(decode)
}

/// The pattern of a stream that subscribes to what a matcher of Mercure 1.0 matches, by its type; `None`: there is no such type.
#[must_use]
pub fn subscription_of(kind: &str, text: &str) -> Option<String> {
    let plain = text == "*" || kind == EXACT && !text.contains('{');
    match kind {
        EXACT | URL_PATTERN if plain => Some(subscription(text)),
        EXACT | URL_PATTERN => Some(format!("{NAMESPACE}match_{kind}.{}", encode(text.as_bytes()))),
        _ => None,
    }
}

/// The names of the topic that a checked pattern matches, if its selector matches one only: of public updates, and of private ones.
#[must_use]
pub fn topics_of(pattern: &str) -> [String; 2] {
    let encoded = selector_of(pattern).map_or("", |(.., encoded)| encoded);
    [[PUBLIC, encoded].concat(), [PRIVATE, encoded].concat()]
}

/// The pattern that subscribes to exactly this topic of an update.
#[must_use]
pub fn exactly(topic: &str) -> Option<String> {
    published(topic).map(|encoded| [MATCH, encoded].concat())
}

/// The pattern that allows exactly this topic of an update.
#[must_use]
pub fn exactly_allowed(topic: &str) -> Option<String> {
    published(topic).map(|encoded| [ALLOW, encoded].concat())
}

/// Whether a checked pattern has to be compared with topics: `*`, what has a brace, as URI templates do, or a URL pattern.
#[must_use]
pub fn is_open(pattern: &str) -> bool {
    selector_of(pattern).is_some_and(|(_, kind, encoded)| {
        kind == SelectorSyntax::UrlPattern || encoded == ALL || encoded.contains(BRACE)
    })
}

/// Most bytes that a checked pattern takes beside its text: its place among the selectors, and what it is compiled to.
#[must_use]
pub fn compiled_size(pattern: &str) -> usize {
    if !is_open(pattern) {
        return 0;
    }
    let count = |what: &str| pattern.matches(what).count();
    // Variables have a brace or comma before them, groups of URL patterns a colon, and wildcards are stars.
    256 + pattern.len() + 96 * [BRACE, "%2C", "%3A", ALL].map(count).iter().sum::<usize>()
}

/// What a pattern is for, and its encoded selector.
fn selector_of(pattern: &str) -> Option<(SelectorUse, SelectorSyntax, &str)> {
    let (name, encoded) = pattern.strip_prefix(NAMESPACE)?.split_once('.')?;
    let (used, kind) = match name {
        "match" => (SelectorUse::Subscribed, SelectorSyntax::Template),
        "match_exact" => (SelectorUse::Subscribed, SelectorSyntax::Exact),
        "match_urlpattern" => (SelectorUse::Subscribed, SelectorSyntax::UrlPattern),
        "allow" => (SelectorUse::Allowed, SelectorSyntax::Template),
        "allow_exact" => (SelectorUse::Allowed, SelectorSyntax::Exact),
        "allow_urlpattern" => (SelectorUse::Allowed, SelectorSyntax::UrlPattern),
        _ => return None,
    };
    Some((used, kind, encoded))
}

/// Checks the topics of an update.
///
/// # Errors
/// A [`MercureError`] that names the rule.
pub fn check_topics(topics: &[&str]) -> Result<(), MercureError> {
    for topic in topics {
        check_encoded(topic, published(topic))?;
    }
    let private = topics.iter().filter(|topic| is_private(topic)).count();
    if private == 0 || private == topics.len() { Ok(()) } else { Err(MercureError::Mixed) }
}

/// Checks a pattern in Mercure's namespace.
///
/// # Errors
/// A [`MercureError`] that names the rule.
pub fn check_pattern(pattern: &str) -> Result<(), MercureError> {
    let found = selector_of(pattern);
    let text = check_encoded(pattern, found.map(|(.., encoded)| encoded))?;
    match found.map_or(SelectorSyntax::Template, |(_, kind, _)| kind) {
        SelectorSyntax::Template => template::check(&text),
        // What one selector matches has one name.
        SelectorSyntax::Exact if text.contains('{') => Ok(()),
        SelectorSyntax::UrlPattern if text != "*" => {
            let shown = || text.chars().take(60).flat_map(char::escape_debug).collect();
            url_pattern::parse(&text).map(drop).map_err(|why| MercureError::UrlPattern(shown(), why))
        }
        SelectorSyntax::Exact | SelectorSyntax::UrlPattern => {
            Err(MercureError::Form(pattern.chars().take(60).collect()))
        }
    }
}

/// Checks the number of templates among the patterns of a stream.
///
/// # Errors
/// [`MercureError::Templates`].
pub fn check_patterns<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<(), MercureError> {
    let templates = patterns.into_iter().filter(|pattern| is_open(pattern)).count();
    if templates > MAX_TEMPLATES { Err(MercureError::Templates(templates)) } else { Ok(()) }
}

fn check_encoded(name: &str, encoded: Option<&str>) -> Result<String, MercureError> {
    let form = || MercureError::Form(name.chars().take(60).flat_map(char::escape_debug).collect());
    let encoded = encoded.ok_or_else(form)?;
    let text = decode(encoded);
    if text.is_empty() {
        return Err(MercureError::Empty);
    }
    if text.len() > MAX_LEN {
        return Err(MercureError::TooLong(text.len()));
    }
    // One topic has one name, by which it is found.
    if encode(&text) != encoded {
        return Err(form());
    }
    String::from_utf8(text.into_owned()).map_err(|_| form())
}

fn encode(text: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len() * 3 / 2);
    percent_encode(&mut encoded, text, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~'));
    encoded
}

/// Appends a text, percent-encoded but for some bytes.
fn percent_encode(encoded: &mut String, text: &[u8], is_kept: impl Fn(u8) -> bool) {
    for &byte in text {
        if is_kept(byte) {
            encoded.push(byte.into());
        } else {
            // A string takes everything.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
}

/// Decodes what [`encode`] made; anything else becomes something that it does not make this of.
fn decode(encoded: &str) -> Cow<'_, [u8]> {
    let bytes = encoded.as_bytes();
    if !bytes.contains(&b'%') {
        return Cow::Borrowed(bytes);
    }
    let digit = |at: usize| bytes.get(at).and_then(|&byte| char::from(byte).to_digit(16));
    let mut text = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                text.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                text.push(byte);
                at += 1;
            }
        }
    }
    Cow::Owned(text)
}

/// What a stream has a selector for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SelectorUse {
    /// It subscribes to what the selector matches.
    Subscribed,
    /// It may get private updates that the selector matches.
    Allowed,
}

/// How a selector is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum SelectorSyntax {
    /// `*`, a topic, or a URI template: of Mercure 0.x.
    Template,
    /// A topic.
    Exact,
    /// A URL pattern.
    UrlPattern,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_says_what_it_is_for() {
        let iri = "https://example.com/books/1?a=*&b=ü d";
        let (public, private) = (topic(iri, false), topic(iri, true));
        assert_eq!(public, "$mercure.public.https%3A%2F%2Fexample%2Ecom%2Fbooks%2F1%3Fa%3D%2A%26b%3D%C3%BC%20d");
        assert_eq!((text(&public).as_deref(), is_private(&public)), (Some(iri.as_bytes()), false));
        assert_eq!((text(&private).as_deref(), is_private(&private)), (Some(iri.as_bytes()), true));
        for (pattern, name) in [(subscription(iri), exactly(&private)), (right(iri), exactly_allowed(&private))] {
            assert_eq!(check_pattern(&pattern), Ok(()));
            assert_eq!(name, Some(pattern));
        }
        assert_eq!(check_topics(&[&public, &public]), Ok(()));
        assert_eq!(check_topics(&[&private, &private]), Ok(()));
        assert_eq!(check_topics(&[&public, &private]), Err(MercureError::Mixed));
        assert!(matches(&subscription("*"), &private) && !matches(&right("*"), &private));
        assert!(!matches(&subscription("*"), "a"));
    }

    /// Attack: a second name of a topic, which rights or subscriptions by its first one would not match.
    #[test]
    fn a_topic_has_one_name() {
        for name in ["%61", "%2f", "a.b", "a%", "a%2", "a%zz", "%FF", "a*", "a b", "ü"] {
            for kind in ["public.", "private."] {
                let name = format!("$mercure.{kind}{name}");
                assert!(matches!(check_topics(&[&name]), Err(MercureError::Form(_))), "{name}");
            }
            for kind in ["match.", "allow."] {
                let name = format!("$mercure.{kind}{name}");
                assert!(matches!(check_pattern(&name), Err(MercureError::Form(_))), "{name}");
            }
        }
        for name in
            ["$mercure.**", "$mercure.*", "$mercure.public.a", "$mercure.private.a", "$mercure.", "$mercure.a.b"]
        {
            assert!(matches!(check_pattern(name), Err(MercureError::Form(_))), "{name}");
        }
        assert!(matches!(check_topics(&["$mercure.match.a"]), Err(MercureError::Form(_))));
        assert_eq!(check_topics(&["$mercure.public."]), Err(MercureError::Empty));
    }

    #[test]
    fn there_are_limits() {
        let (longest, long) = ("/".repeat(MAX_LEN), "/".repeat(MAX_LEN + 1));
        assert_eq!(check_topics(&[&topic(&longest, false)]), Ok(()));
        assert_eq!(check_topics(&[&topic(&long, false)]), Err(MercureError::TooLong(MAX_LEN + 1)));
        assert_eq!(check_pattern(&subscription(&long)), Err(MercureError::TooLong(MAX_LEN + 1)));
        assert_eq!(check_pattern(&right(&"{a}{/b,c}".repeat(5))), Ok(()));
        assert_eq!(check_pattern(&right(&"{a}{/b,c}".repeat(6))), Err(MercureError::Variables));
        let templates = (0..=MAX_TEMPLATES).map(|nth| subscription(&format!("{nth}/{{a}}"))).collect::<Vec<_>>();
        let names = || templates.iter().map(String::as_str);
        assert_eq!(check_patterns(names().skip(1)), Ok(()));
        assert_eq!(check_patterns(names()), Err(MercureError::Templates(MAX_TEMPLATES + 1)));
    }

    proptest! {
        #[test]
        fn every_text_has_a_name_and_is_found_in_it(iri in "\\PC{1,40}") {
            let name = topic(&iri, false);
            let found = text(&name);
            prop_assert_eq!(found.as_deref(), Some(iri.as_bytes()));
            prop_assert_eq!(check_topics(&[&name]), Ok(()));
            prop_assert!(crate::topic::check_pattern(&subscription(&iri)).is_ok());
        }
    }
}
