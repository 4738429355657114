//! Mercure's topic selectors, compiled to be compared with many topics.

use crate::mercure::pieces::{self, COMPARISON, SelectorPiece};
use crate::mercure::places::TopicRows;
use crate::mercure::template::{self, Template};
use crate::mercure::url_pattern::{self, UrlPattern};
use crate::mercure::{
    PRIVATE, PUBLIC, SelectorSyntax, SelectorUse, decode, encode, is_subscription, selector_of, text,
};

/// Whether a checked pattern matches a topic of an update, whoever may get it. For many topics use a [`Selector`].
#[must_use]
pub fn matches(pattern: &str, topic: &str) -> bool {
    let Some(text) = text(topic) else { return false };
    is_subscription(pattern) && Selector::new(pattern).is_some_and(|selector| selector.matches(&mut Matcher::of(&text)))
}

/// A compiled selector.
#[derive(Debug)]
pub struct Selector {
    used: SelectorUse,
    /// Of a URL pattern only its literal beginning.
    text: Box<[u8]>,
    /// Whether it matches its own text, whatever else.
    matches_itself: bool,
    /// `None`: it is no template, and matches itself only.
    open: Option<Open>,
}

/// A selector that may match several topics.
#[derive(Debug)]
struct Open {
    /// Bytes of the selector's text with which all that it matches begin.
    prefix: usize,
    shape: SelectorShape,
}

/// What a selector matches after its literal beginning. Selectors that differ in names of variables only have equal ones.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SelectorShape {
    /// With what all that it matches ends.
    suffix: Box<[u8]>,
    /// What comes before; `None`: anything, as the selector is `*`.
    pieces: Option<Box<[SelectorPiece]>>,
    has_items: bool,
}

impl SelectorShape {
    fn of(suffix: &[u8], pieces: Box<[SelectorPiece]>) -> Self {
        let has_items = pieces.iter().any(SelectorPiece::has_items);
        Self { suffix: suffix.into(), pieces: Some(pieces), has_items }
    }

    /// Whether it matches what follows so many bytes of the topic, which are its beginning.
    #[must_use]
    pub fn matches(&self, beginning: usize, matcher: &mut Matcher) -> bool {
        let Matcher { topic, memory } = matcher;
        topic.steps += COMPARISON;
        let Some(pieces) = &self.pieces else { return true };
        let rest = &topic.text()[beginning..];
        // Mostly decided by the last byte.
        if rest.len() < self.suffix.len()
            || self.suffix.iter().rev().zip(rest.iter().rev()).any(|(one, other)| one != other)
        {
            return false;
        }
        let end = beginning + rest.len() - self.suffix.len();
        topic.prepare(self.has_items);
        let (matched, steps) = pieces::lead(pieces, topic, (beginning, end), memory);
        topic.steps += steps;
        matched
    }

    /// Most steps of a comparison, for each 64 bytes of the topic or less.
    #[must_use]
    pub fn steps(&self) -> usize {
        COMPARISON + self.pieces.iter().flatten().map(SelectorPiece::steps).sum::<usize>()
    }
}

/// A topic that is compared with selectors. Another one after it needs less memory than a new matcher.
#[derive(Debug, Default)]
pub struct Matcher {
    topic: TopicRows,
    memory: Vec<u64>,
}

impl Matcher {
    /// A matcher that begins with this topic, given as Mercure's own text.
    #[must_use]
    pub fn of(topic: &[u8]) -> Self {
        let mut matcher = Self::default();
        matcher.read(topic);
        matcher
    }

    /// Begins with another topic, given as Mercure's own text.
    pub fn read(&mut self, topic: &[u8]) {
        self.topic.read(topic);
    }

    /// The steps of comparisons since the last call.
    pub fn take_steps(&mut self) -> usize {
        std::mem::take(&mut self.topic.steps)
    }
}

impl Selector {
    /// Compiles the selector of a checked pattern; `None` if the pattern is not Mercure's.
    #[must_use]
    pub fn new(pattern: &str) -> Option<Self> {
        let (used, kind, encoded) = selector_of(pattern)?;
        let text = String::from_utf8(decode(encoded).into_owned()).ok()?;
        match kind {
            SelectorSyntax::Template => Some(Self::of(used, text)),
            SelectorSyntax::Exact => {
                let open = Open { prefix: text.len(), shape: SelectorShape::of(&[], Box::default()) };
                Some(Self { used, text: text.into_bytes().into(), matches_itself: true, open: Some(open) })
            }
            SelectorSyntax::UrlPattern => {
                let UrlPattern { beginning, pieces } = url_pattern::compile(&text)?;
                let open = Open { prefix: beginning.len(), shape: SelectorShape::of(&[], pieces) };
                Some(Self { used, text: beginning, matches_itself: false, open: Some(open) })
            }
        }
    }

    fn of(used: SelectorUse, text: String) -> Self {
        let open = if text == "*" {
            Some(Open { prefix: 0, shape: SelectorShape { suffix: Box::default(), pieces: None, has_items: false } })
        } else {
            template::compile(&text).map(|Template { prefix, suffix, pieces }| Open {
                prefix,
                shape: SelectorShape::of(&text.as_bytes()[text.len() - suffix..], pieces),
            })
        };
        Self { used, text: text.into_bytes().into_boxed_slice(), matches_itself: true, open }
    }

    /// What the stream has it for.
    #[must_use]
    pub fn used(&self) -> SelectorUse {
        self.used
    }

    /// With what everything that it matches begins. (Itself, too.)
    fn prefix(&self) -> &[u8] {
        self.open.as_ref().map_or(&self.text, |open| &self.text[..open.prefix])
    }

    /// Beginnings of the names of all topics that it matches: of public updates, and of private ones.
    #[must_use]
    pub fn topic_prefixes(&self) -> [String; 2] {
        let encoded = encode(self.prefix());
        [[PUBLIC, &encoded].concat(), [PRIVATE, &encoded].concat()]
    }

    /// With what everything that it matches but itself begins, and what follows; `None` if it matches nothing but itself.
    #[must_use]
    pub fn into_shape(self) -> Option<(Box<[u8]>, SelectorShape)> {
        let Self { text, open, .. } = self;
        open.map(|Open { prefix, shape }| (text[..prefix].into(), shape))
    }

    /// Whether it matches the topic.
    #[must_use]
    pub fn matches(&self, matcher: &mut Matcher) -> bool {
        let topic = matcher.topic.text();
        let is_same = self.matches_itself && *self.text == *topic;
        match &self.open {
            Some(Open { prefix, shape }) if topic.starts_with(&self.text[..*prefix]) => {
                shape.matches(*prefix, matcher) || is_same
            }
            _ => {
                matcher.topic.steps += COMPARISON;
                is_same
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mercure::{MAX_VARIABLES, check_pattern, compiled_size, subscription};
    use proptest::prelude::*;

    fn selects(selector: &str, topic: &str) -> bool {
        Selector::of(SelectorUse::Subscribed, selector.into()).matches(&mut Matcher::of(topic.as_bytes()))
    }

    #[test]
    fn a_selector_matches_all_or_itself_or_what_its_template_expands_to() {
        for (selector, topic, matched) in [
            ("*", "anything at all", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("*a", "ba", false),
            ("https://example.com/books/{id}", "https://example.com/books/1", true),
            ("https://example.com/books/{id}", "https://example.com/books/", true),
            ("https://example.com/books/{id}", "https://example.com/books/1/2", false),
            ("https://example.com/books/{id}", "https://example.com/books/a b", false),
            // "This allows comparison of a URI Template with another one."
            ("https://example.com/books/{id}", "https://example.com/books/{id}", true),
            ("https://example.com/books/{id}", "https://example.com/books/{other}", false),
            ("https://example.com/books/{id}.jsonld", "https://example.com/books/1.jsonld", true),
            ("https://example.com/books/{id}.jsonld", "https://example.com/books/1.json", false),
            ("ab{c}bc", "abc", false),
            ("ab{c}bc", "abbc", true),
            ("{+a}", "https://example.com/a?b#c", true),
            ("{a}", "https://example.com/", false),
            ("/users/foo/{?topic}", "/users/foo/?topic=https%3A%2F%2Fexample.com%2Fbooks%2F1", true),
            ("/users/foo/{?topic}", "/users/foo/?other=1", false),
            ("/users/foo/{?topic}", "/users/foo/", true),
            // No template: it only is what it is.
            ("a{", "a{", true),
            ("a{", "ab", false),
            ("a{b", "ab", false),
            ("{|a}", "b", false),
            ("{a:3}", "1234", true),
            ("{a:}", "1", false),
            ("/{a,b}.{c}", "/1,2,3.x", true),
            ("/{a*}", "/1,k=2", true),
            ("/{a}", "/k=2", false),
            ("/a{/b,c}", "/a", true),
            ("/a{/b,c}", "/a/1", true),
            ("/a{/b,c}", "/a/1/2", true),
            ("/a{/b,c}", "/a/1/2/3", false),
            ("/a{/b*}", "/a/1/2/3", true),
            ("/a{;b,c}", "/a;b=1;c", true),
            ("/a{;b,c}", "/a;c=1", true),
            ("/a{;b,c}", "/a;c;b", false),
            ("/a{?b,c}", "/a?b=1&c=", true),
            ("/a{?b,c}", "/a?c=1", true),
            ("/a{?b,c}", "/a?b", false),
            ("/a{?b,c}", "/a&b=1", false),
            ("/a?x=1{&b*}", "/a?x=1&k=1&l=2", true),
            ("/a{#b}", "/a#b/c?d", true),
            ("/a{#b}", "/ab", false),
            ("/a{.b,c}", "/a.b.c", true),
            ("/a/{b}", "/a/%C3%A9", true),
            ("/a/{b}", "/a/%C3%A", false),
            ("/a/{b}", "/a/%zz", false),
        ] {
            assert_eq!(selects(selector, topic), matched, "{selector} {topic}");
        }
    }

    /// Attack: thousands of templates that match the same, each of which every update is compared with.
    #[test]
    fn templates_that_match_the_same_are_one() {
        let shape = |text: &str| Selector::of(SelectorUse::Subscribed, text.into()).into_shape();
        for (one, other) in [
            ("{+a}{+b}{+c}{+d}{+e}{+f}{+g}{+h}{+i}{+j}{+k}{+l}{+m}{+n}{+o}{+p}", "{+x}"),
            ("{+a,b*}", "{+x}"),
            ("{a}{?b}{+c}{/d*}{#e}", "{+x}"),
            ("/{#a}{#b,c}", "/{#x}"),
            ("/{a}{b}-{c,d}", "/{x}-{y}"),
            ("/a{/b}{/c,d}", "/a{/x,y,z}"),
            ("/a{.b}{.c,d}", "/a{.x}"),
            ("/a{?b*,c*}", "/a{?x*}"),
            ("/{a:3}", "/{x}"),
        ] {
            assert!(shape(one).is_some() && shape(one) == shape(other), "{one} {other}");
        }
        for (one, other) in [("/a{?b}", "/a{?c}"), ("/{a}{b*}", "/{a*}"), ("/{a}-{b}", "/{a}"), ("/{a*}{b*}", "/{a*}")]
        {
            assert_ne!(shape(one), shape(other), "{one} {other}");
        }
    }

    /// Attack: a template that is at hundreds of places at once, which makes a comparison slow.
    #[test]
    fn a_comparison_takes_the_steps_of_the_template_for_each_64_bytes_of_any_topic() {
        let sixteen = |variable: &str| vec![variable; MAX_VARIABLES].join(",");
        for selector in [
            "{a}-".repeat(8),
            "{a*}-".repeat(2),
            "{?a*}-{?a*}".into(),
            "{.a*}{.b*}".into(),
            "{/a*,b,c*,d}".into(),
            "{?a,a,a,a}".into(),
            "{+a}-".repeat(16),
            "{+a}-{+b}-{/c,d*,e}-{/c,d*,e}-{/c,e}-{/e}-{f}-{g}".into(),
            "{?a*}-".repeat(16),
            format!("{{?{}}}", sixteen("a")),
            format!("{{;{}}}", sixteen("a")),
            format!("{{/{}}}", sixteen("a")),
            format!("{{?{},b*,a,c*}}", vec!["a"; 13].join(",")),
        ] {
            assert_eq!(check_pattern(&subscription(&selector)), Ok(()), "{selector}");
            for begin in ["", "?", "?a=", ";a=", "/", "."] {
                for rest in ["a", "-", ".", "/", "a=1&", ".-=", "a=;", "/-a", "a=&"] {
                    let topic = [begin, &rest.repeat(1000 / rest.len())].concat();
                    let (taken, most) = steps(&selector, &topic);
                    assert!(taken <= most && most < 250 * 16, "{selector} {begin}{rest}: {taken}, {most}");
                }
            }
        }
        assert_eq!(steps("/books/{id}", "/books/1"), (9, 9));
        assert_eq!(steps("/books/{id}", &format!("/books/{}", "1".repeat(100))), (10, 18));
    }

    /// Steps of a comparison, and most of them.
    fn steps(selector: &str, topic: &str) -> (usize, usize) {
        let selector = Selector::of(SelectorUse::Subscribed, selector.into());
        let mut matcher = Matcher::of(topic.as_bytes());
        matcher.topic.prepare(true);
        matcher.take_steps();
        let _ = selector.matches(&mut matcher);
        let most = selector.open.as_ref().map_or(COMPARISON, |open| open.shape.steps());
        (matcher.take_steps(), most * (topic.len() / 64 + 1))
    }

    proptest! {
        #[test]
        fn no_comparison_takes_more_steps_than_are_said(
            selector in "(/a/)?(\\{[+#./;?&]?[ab]\\*?(,[ab]\\*?){0,5}\\}[-/a.=&]?){1,8}",
            topic in "(/a/)?[?;.#&]?(a=|b=)?([ab./;=&,-]{1,6}){3}",
        ) {
            let topic = [&topic[..topic.len() / 2], &topic[topic.len() / 2..].repeat(40)].concat();
            let (taken, most) = steps(&selector, &topic);
            prop_assert!(taken <= most, "{} {}: {}, {}", selector, topic, taken, most);
        }

        #[test]
        fn no_selector_takes_more_than_it_is_charged_for(selector in "(\\{[+#./;?&]?[a-c](,[a-c]\\*?){0,3}\\}|[a/]{0,3}){1,8}") {
            let compiled = Selector::of(SelectorUse::Subscribed, selector.clone());
            let pieces = compiled.open.and_then(|open| open.shape.pieces).unwrap_or_default();
            let size = size_of_val(&*pieces) + pieces.iter().map(SelectorPiece::size).sum::<usize>();
            prop_assert!(size <= compiled_size(&subscription(&selector)), "{} bytes", size);
        }
    }
}
