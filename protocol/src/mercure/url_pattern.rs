//! URL patterns (URL Pattern Standard), of which named groups and wildcards are taken, compiled to what they match.
//!
//! A pattern begins with a scheme and `://`, or with `/`; a topic is compared with it as it is written, and not as a URL parser
//! would write it. `:name` matches one or more bytes without the delimiter of its part (`/` in a path, `.` in a host), `*` any number
//! of bytes of its part. What is not said of search and fragment matches any, and of the path, if the pattern has a host only.

use std::collections::BTreeSet;

use crate::mercure::MAX_VARIABLES;
use crate::mercure::pieces::SelectorPiece;

/// Why a text is no URL pattern that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlPatternError {
    /// It could be relative to anything.
    #[error("it has to begin with a scheme and '://', or with '/'")]
    Beginning,
    /// A part that would take more than linear time, or that hardly anybody uses.
    #[error("only named groups (':id') and the wildcard '*' are taken: '{0}' has to be escaped by '\\', or left out")]
    Syntax(char),
    /// A group without a name.
    #[error("a ':' without a name behind it has to be escaped by '\\'")]
    NoName,
    /// Two groups of one name.
    #[error("two of its groups have the same name")]
    SameName,
    /// Two groups with nothing in between.
    #[error("two of its groups stand side by side")]
    Neighbours,
    /// Too many groups and wildcards.
    #[error("it has more than {MAX_VARIABLES} groups and wildcards, which is the limit")]
    Groups,
}

/// What part of a pattern something stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Component {
    Host,
    Path,
    Search,
    Fragment,
}

impl Component {
    /// What ends it, and what ends a group in it.
    fn delimiters(self) -> (&'static [u8], &'static [u8]) {
        match self {
            Self::Host => (b"/?#:@", b"./?#:@"),
            Self::Path => (b"?#", b"/?#"),
            Self::Search => (b"#", b"#"),
            Self::Fragment => (b"", b""),
        }
    }
}

/// A compiled pattern.
pub(super) struct UrlPattern {
    /// The bytes with which all that it matches begin.
    pub(super) beginning: Box<[u8]>,
    /// What follows.
    pub(super) pieces: Box<[SelectorPiece]>,
}

/// Compiles a text; `None` if it is not taken.
pub(super) fn compile(text: &str) -> Option<UrlPattern> {
    let mut pieces = parse(text).ok()?;
    // There is no pattern without a beginning.
    match pieces.remove(0) {
        SelectorPiece::Literal(beginning) => Some(UrlPattern { beginning, pieces: pieces.into() }),
        _ => None,
    }
}

/// What a text is made of.
///
/// # Errors
/// Why it is not taken.
pub(super) fn parse(text: &str) -> Result<Vec<SelectorPiece>, UrlPatternError> {
    let mut parser =
        Parser { pieces: Vec::new(), literal: Vec::new(), names: BTreeSet::new(), component: Component::Path };
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => {
            parser.literal.extend_from_slice(format!("{}://", scheme.to_ascii_lowercase()).as_bytes());
            parser.component = Component::Host;
            rest
        }
        _ if text.starts_with('/') => text,
        _ => return Err(UrlPatternError::Beginning),
    };
    parser.run(rest)?;
    parser.end();
    let groups = parser.pieces.iter().filter(|piece| matches!(piece, SelectorPiece::Until { .. })).count();
    if groups > MAX_VARIABLES { Err(UrlPatternError::Groups) } else { Ok(parser.pieces) }
}

/// RFC 3986: "scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )".
fn is_scheme(text: &str) -> bool {
    let rest = |char: char| char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.');
    text.starts_with(|char: char| char.is_ascii_alphabetic()) && text.chars().all(rest)
}

struct Parser<'a> {
    pieces: Vec<SelectorPiece>,
    /// Bytes that are no piece yet.
    literal: Vec<u8>,
    names: BTreeSet<&'a str>,
    component: Component,
}

impl<'a> Parser<'a> {
    fn run(&mut self, text: &'a str) -> Result<(), UrlPatternError> {
        let mut rest = text;
        // What stands right behind a group would change it.
        let mut is_behind_group = false;
        while let Some(char) = rest.chars().next() {
            rest = &rest[char.len_utf8()..];
            let is_modifier = std::mem::take(&mut is_behind_group);
            match char {
                '\\' => {
                    let escaped = rest.chars().next().ok_or(UrlPatternError::Syntax(char))?;
                    rest = &rest[escaped.len_utf8()..];
                    self.char(escaped);
                }
                '(' | ')' | '{' | '}' => return Err(UrlPatternError::Syntax(char)),
                '+' | '?' | '*' if is_modifier => return Err(UrlPatternError::Syntax(char)),
                ':' if self.component == Component::Host && is_port(rest) => self.char(char),
                '*' => {
                    self.group(false)?;
                    is_behind_group = true;
                }
                ':' => {
                    let name = name(rest).ok_or(UrlPatternError::NoName)?;
                    rest = &rest[name.len()..];
                    if !self.names.insert(name) {
                        return Err(UrlPatternError::SameName);
                    }
                    self.group(true)?;
                    is_behind_group = true;
                }
                '/' if self.component == Component::Host => self.enter(Component::Path, char),
                '?' if self.component < Component::Search => self.enter(Component::Search, char),
                '#' if self.component < Component::Fragment => self.enter(Component::Fragment, char),
                char => self.char(char),
            }
        }
        Ok(())
    }

    fn group(&mut self, is_named: bool) -> Result<(), UrlPatternError> {
        let (of_wildcard, of_group) = self.component.delimiters();
        if self.literal.is_empty() {
            return Err(UrlPatternError::Neighbours);
        }
        self.take_literal();
        self.pieces.push(SelectorPiece::Until {
            delimiters: if is_named { of_group } else { of_wildcard },
            is_needed: is_named,
        });
        Ok(())
    }

    fn take_literal(&mut self) {
        if !self.literal.is_empty() {
            self.pieces.push(SelectorPiece::Literal(std::mem::take(&mut self.literal).into()));
        }
    }

    fn enter(&mut self, component: Component, begins: char) {
        if self.component == Component::Host && component > Component::Path {
            // A path that is empty is "/".
            self.char('/');
        }
        self.component = component;
        self.char(begins);
    }

    fn end(&mut self) {
        self.take_literal();
        self.pieces.push(SelectorPiece::Rest(match self.component {
            Component::Host => b"/?#",
            Component::Path => b"?#",
            Component::Search => b"#",
            Component::Fragment => return,
        }));
    }

    fn char(&mut self, char: char) {
        let char = if self.component == Component::Host { char.to_ascii_lowercase() } else { char };
        self.literal.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// Whether what follows a colon in a host is a port: digits up to the host's end.
fn is_port(text: &str) -> bool {
    let end = text.find(['/', '?', '#']).unwrap_or(text.len());
    end > 0 && text[..end].bytes().all(|byte| byte.is_ascii_digit())
}

/// The name that a text begins with.
fn name(text: &str) -> Option<&str> {
    let first = |char: char| char.is_alphabetic() || matches!(char, '_' | '$');
    let end = text.find(|char: char| !first(char) && !char.is_numeric()).unwrap_or(text.len());
    (text.starts_with(first) && end > 0).then(|| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mercure::{MAX_LEN, check_pattern, matches, subscription_of, topic};

    fn pattern(text: &str) -> String {
        subscription_of("urlpattern", text).expect("a type")
    }

    #[test]
    fn a_url_pattern_matches_by_its_groups_and_wildcards() {
        let all = "https://example.com";
        for (text, matched, others) in [
            (
                "https://example.com/books/:id",
                &[
                    "https://example.com/books/1",
                    "https://example.com/books/a@b,c?x=/y#/z",
                    "https://example.com/books/:id",
                ][..],
                &[
                    "https://example.com/books/",
                    "https://example.com/books/1/2",
                    "http://example.com/books/1",
                    "/books/1",
                ][..],
            ),
            ("/a/:b/c-:d", &["/a/1/c-2", "/a/1/c-c-2?x"], &["/a//c-2", "/a/1/c-", "/a/1/2/c-2", "/a/1/c-2/"]),
            ("/users/42/*", &["/users/42/", "/users/42/a/b?c#d"], &["/users/42", "/users/43/a", "/users/4"]),
            ("*", &["anything", "*", "/"], &[]),
            (
                all,
                &[all, "https://example.com/", "https://example.com/a?b#c", "https://example.com#"],
                &["https://example.com.evil/", "https://example.com:81/"],
            ),
            (
                "HTTPS://Example.com:8443/A",
                &["https://example.com:8443/A", "https://example.com:8443/A?b"],
                &["https://example.com:8443/a"],
            ),
            (
                "https://:sub.example.com/*",
                &["https://a.example.com/x"],
                &["https://a.b.example.com/x", "https://.example.com/x", "https://a/.example.com/x"],
            ),
            (
                "https://*.example.com/",
                &["https://a.b.example.com/"],
                &["https://evil/.example.com/", "https://evil?.example.com/"],
            ),
            ("/a?page=:n", &["/a?page=1&x=/", "/a?page=1#x"], &["/a", "/a?page=", "/a?page=#1"]),
            ("/a?*#b", &["/a?x#b", "/a?#b"], &["/a#b", "/a?x#bc", "/a?x"]),
            (
                "https://example.com?a",
                &["https://example.com/?a", "https://example.com/?a#x"],
                &["https://example.com/?ab", "https://example.com?a"],
            ),
            ("/a/\\:b\\{c\\}\\*", &["/a/:b{c}*", "/a/:b{c}*?x"], &["/a/x", "/a/:b{c}x"]),
            ("/é/:ü", &["/é/1"], &["/e/1"]),
        ] {
            assert_eq!(check_pattern(&pattern(text)), Ok(()), "{text}");
            for other in matched {
                assert!(matches(&pattern(text), &topic(other, false)), "{text} {other}");
            }
            for other in others {
                assert!(!matches(&pattern(text), &topic(other, false)), "{text} {other}");
            }
        }
    }

    #[test]
    fn what_is_not_taken_is_said() {
        for (text, why) in [
            ("books/:id", UrlPatternError::Beginning),
            (":scheme://a/", UrlPatternError::Beginning),
            ("urn:books:id", UrlPatternError::Beginning),
            ("/a/(\\d+)", UrlPatternError::Syntax('(')),
            ("/a/:id(\\d+)", UrlPatternError::Syntax('(')),
            ("/a/{b}?", UrlPatternError::Syntax('{')),
            ("/a/:b?", UrlPatternError::Syntax('?')),
            ("/a/:b+", UrlPatternError::Syntax('+')),
            ("/a/:b*", UrlPatternError::Syntax('*')),
            ("/a/**", UrlPatternError::Syntax('*')),
            ("/a/\\", UrlPatternError::Syntax('\\')),
            ("/a/:", UrlPatternError::NoName),
            ("/a/:1", UrlPatternError::NoName),
            ("/:a/:a", UrlPatternError::SameName),
            ("/a/:b:c", UrlPatternError::Neighbours),
            ("/:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/:k/:l/:m/:n/:o/:p/*", UrlPatternError::Groups),
        ] {
            assert_eq!(parse(text).map(drop), Err(why), "{text}");
        }
        assert!(check_pattern(&pattern(&"/".repeat(MAX_LEN + 1))).is_err());
        assert_eq!(subscription_of("regexp", "a"), None);
    }

    /// Attack: a topic for which braces are a right to others' updates.
    #[test]
    fn an_exact_topic_is_no_template_and_has_one_name() {
        let exact = |text| subscription_of("exact", text).expect("a type");
        assert!(
            exact("/a/{id}").starts_with("$mercure.match_exact.") && exact("/a/:id").starts_with("$mercure.match.")
        );
        assert!(
            matches(&exact("/a/{id}"), &topic("/a/{id}", true)) && !matches(&exact("/a/{id}"), &topic("/a/1", true))
        );
        assert!(
            !matches(&exact("/a/{id}"), &topic("/a/{id}b", true)) && !matches(&exact("/a/:id"), &topic("/a/1", true))
        );
        assert!(matches(&exact("*"), &topic("a", true)));
        assert_eq!(check_pattern(&exact("/a/{id}")), Ok(()));
        for name in
            ["$mercure.match_exact.a", "$mercure.allow_urlpattern.%2A", "$mercure.match_regexp.a", "$mercure.match_"]
        {
            assert!(check_pattern(name).is_err(), "{name}");
        }
    }
}
