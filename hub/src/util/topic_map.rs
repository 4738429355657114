//! Maps script paths to topics: `sse.adopt_topics`.
//!
//! Entries are separated by commas. Each is a pattern of script paths, `=`, and topics separated by spaces:
//! `chat/*.php=chat.** users.*, report.php=reports`. In a path pattern `*` matches any characters, and the
//! pattern must match the end of a path, from any of its slashes on. The first match counts.

use crate::config::ConfigError;
use sse_protocol::topic;

const NAME: &str = "sse.adopt_topics";

/// The entries of a map, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicMap<'a> {
    entries: Vec<(&'a str, Vec<&'a str>)>,
}

impl<'a> TopicMap<'a> {
    /// Parses the setting.
    ///
    /// # Errors
    /// An entry is not `PATTERN=TOPIC …`, or has an invalid topic; the error names it.
    pub fn parse(value: &'a str) -> Result<Self, ConfigError> {
        let entries = value.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(entry);
        Ok(Self { entries: entries.collect::<Result<_, _>>()? })
    }

    /// Topics of the script at this path: those of the first entry that matches. None without one.
    #[must_use]
    pub fn topics(&self, path: &str) -> Vec<&'a str> {
        let found = self.entries.iter().find(|(pattern, _)| ends_like(pattern, path));
        found.map(|(_, topics)| topics.clone()).unwrap_or_default()
    }
}

fn entry(text: &str) -> Result<(&str, Vec<&str>), ConfigError> {
    let problem = |problem: &str| ConfigError::new(NAME, text, problem);
    let (pattern, topics) = text
        .split_once('=')
        .ok_or_else(|| problem("has no '='; write a script and its topics, such as chat.php=chat.** users.*"))?;
    let pattern = pattern.trim();
    if pattern.is_empty() {
        return Err(problem("names no script before '='; write one, such as chat.php, or * for all"));
    }
    let topics: Vec<&str> = topics.split_whitespace().collect();
    if topics.is_empty() {
        return Err(problem("names no topic after '='; write at least one, or ** for all"));
    }
    for name in &topics {
        topic::check_pattern(name).map_err(|error| problem(&format!("has a topic that can't be one: {error}")))?;
    }
    Ok((pattern, topics))
}

/// Whether the pattern matches a path, or its end from one of its slashes on.
fn ends_like(pattern: &str, path: &str) -> bool {
    let bytes = path.as_bytes();
    let begins = |at: &usize| *at == 0 || bytes[*at] == b'/' || bytes[*at - 1] == b'/';
    (0..bytes.len().max(1)).filter(begins).any(|at| is_like(pattern.as_bytes(), &bytes[at..]))
}

/// Backtracks to the last `*`: linear in practice, and never worse than the product of both lengths.
fn is_like(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                t = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn topics<'a>(map: &'a str, path: &str) -> Vec<&'a str> {
        TopicMap::parse(map).expect("a map").topics(path)
    }

    #[test]
    fn a_script_has_the_topics_of_the_first_entry_that_fits() {
        let map = "chat/*.php = chat.** users.*, /srv/www/report.php=reports,*=other";
        assert_eq!(topics(map, "/srv/www/chat/stream.php"), ["chat.**", "users.*"]);
        assert_eq!(topics(map, "/srv/www/report.php"), ["reports"]);
        assert_eq!(topics(map, "/srv/www/old/report.php"), ["other"]);
    }

    #[test]
    fn a_script_without_an_entry_has_no_topics() {
        assert!(topics("", "/srv/www/chat.php").is_empty());
        assert!(topics("stream.php=a,", "/srv/www/chat.php").is_empty());
    }

    #[test]
    fn a_pattern_begins_at_a_slash() {
        assert_eq!(topics("stream.php=a", "/www/stream.php"), ["a"]);
        assert_eq!(topics("/stream.php=a", "/www/stream.php"), ["a"]);
        assert_eq!(topics("stream.php=a", "stream.php"), ["a"]);
        assert!(topics("stream.php=a", "/www/my-stream.php").is_empty());
        assert_eq!(topics("*stream.php=a", "/www/my-stream.php"), ["a"]);
        assert_eq!(topics("*=a", ""), ["a"]);
        assert_eq!(topics("www/*=a", "/www/deep/down/stream.php"), ["a"]);
    }

    #[test]
    fn an_entry_that_makes_no_sense_is_named() {
        let text = |value| TopicMap::parse(value).expect_err("this map should be refused").to_string();
        assert_eq!(
            text("a.php=a, chat.php"),
            "sse.adopt_topics: 'chat.php' has no '='; write a script and its topics, such as chat.php=chat.** users.*"
        );
        assert!(text("=a").ends_with("names no script before '='; write one, such as chat.php, or * for all"));
        assert!(text("a.php= ").ends_with("names no topic after '='; write at least one, or ** for all"));
        assert!(
            text("a.php=a..b")
                .contains("'a.php=a..b' has a topic that can't be one: topic 'a..b' has an empty segment")
        );
    }

    proptest! {
        #[test]
        fn stars_stand_for_any_characters(parts in proptest::collection::vec("[a-c/]{0,4}", 1..5), fill in "[a-c/]{0,4}") {
            prop_assert!(is_like(parts.join("*").as_bytes(), parts.join(&fill).as_bytes()));
        }

        #[test]
        fn any_text_is_read_or_refused(value in "\\PC{0,60}", path in "\\PC{0,60}") {
            if let Ok(map) = TopicMap::parse(&value) {
                prop_assert!(map.entries.iter().all(|(_, topics)| !topics.is_empty()));
                let _ = map.topics(&path);
            }
        }
    }
}
