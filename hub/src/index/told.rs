//! Which topics of an event a stream watches. Mercure's templates are compared once for all streams of an event, or those of one
//! stream only.

use std::cell::RefCell;

use sse_protocol::mercure::{self, Matcher, Selector, SelectorUse};
use sse_protocol::topic;

use crate::index::{Index, IndexPlace};

/// The patterns that match the topics of one event, for all streams.
#[derive(Debug)]
pub(crate) struct EventMatches<'a> {
    index: &'a Index,
    /// Each of Mercure's topics with the sorted entries that match it.
    topics: Vec<(&'a str, Vec<u32>)>,
}

/// The patterns of one stream, for many events.
#[derive(Debug)]
pub(crate) struct StreamPatterns<'a> {
    index: &'a Index,
    places: &'a [IndexPlace],
    /// Those that are Mercure's and may match several topics.
    selectors: Vec<Selector>,
    matcher: RefCell<Matcher>,
}

impl Index {
    /// Finds the patterns that match the topics of an event.
    pub(crate) fn matches_of<'a>(&'a self, topics: &'a [Box<str>]) -> EventMatches<'a> {
        let topics = topics.iter().map(AsRef::as_ref).filter(|topic| mercure::is_mercure(topic)).map(|topic| {
            let mut entries = Vec::new();
            self.each_entry(topic, |entry| entries.push(entry as u32));
            entries.sort_unstable();
            (topic, entries)
        });
        EventMatches { index: self, topics: topics.collect() }
    }

    /// Compiles the patterns of the stream with these places.
    pub(crate) fn patterns_of<'a>(&'a self, places: &'a [IndexPlace]) -> StreamPatterns<'a> {
        let open = places.iter().map(|place| self.pattern(*place)).filter(|pattern| mercure::is_open(pattern));
        let selectors = open.filter_map(Selector::new).filter(|selector| selector.used() == SelectorUse::Subscribed);
        StreamPatterns { index: self, places, selectors: selectors.collect(), matcher: RefCell::default() }
    }

    /// Whether the stream with these places watches a topic that is not Mercure's.
    fn is_watched(&self, places: &[IndexPlace], topic: &str) -> bool {
        places.iter().any(|place| topic::matches(self.pattern(*place), topic))
    }
}

impl EventMatches<'_> {
    /// Calls `found` for each watcher of one of Mercure's topics, several times for a stream that watches it by several patterns.
    pub(crate) fn each(&self, topic: &str, found: impl FnMut(u32)) {
        let entries = self.entries(topic).unwrap_or_default();
        entries.iter().flat_map(|entry| self.index.watchers(*entry as usize)).for_each(found);
    }

    /// Whether the stream with these places watches a topic of the event.
    pub(crate) fn is_watched(&self, places: &[IndexPlace], topic: &str) -> bool {
        match self.entries(topic) {
            Some(entries) => places.iter().any(|place| entries.binary_search(&place.entry).is_ok()),
            None => self.index.is_watched(places, topic),
        }
    }

    fn entries(&self, topic: &str) -> Option<&[u32]> {
        self.topics.iter().find(|(known, _)| *known == topic).map(|(_, entries)| &**entries)
    }
}

impl StreamPatterns<'_> {
    /// Whether the stream watches a topic.
    pub(crate) fn watch(&self, topic: &str) -> bool {
        let Some(exact) = mercure::exactly(topic) else { return self.index.is_watched(self.places, topic) };
        if self.places.iter().any(|place| self.index.pattern(*place) == exact) {
            return true;
        }
        let mut matcher = self.matcher.borrow_mut();
        matcher.read(&mercure::text(topic).unwrap_or_default());
        self.selectors.iter().any(|selector| selector.matches(&mut matcher))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Watcher;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn index(streams: &[Vec<String>]) -> (Index, Vec<Vec<IndexPlace>>) {
        let mut index = Index::new(Arc::default());
        let mut places = Vec::new();
        for (stream, patterns) in (0..).zip(streams) {
            let own = (0..).zip(patterns).map(|(nth, pattern)| index.insert(pattern, Watcher { stream, nth }));
            places.push(own.collect());
        }
        (index, places)
    }

    /// Attack: a thousand streams that are told their topics, and as many templates, so that each update or missed event is
    /// compared with each template once for each stream.
    #[test]
    fn templates_are_compared_once_for_all_streams_or_only_the_streams_own() {
        let selector = |nth: usize| mercure::subscription(&format!("/books/{{id}}-{nth}-{{other}}"));
        let streams: Vec<Vec<String>> = (0..1000).map(|nth| vec![selector(nth)]).collect();
        let (index, places) = index(&streams);
        let topics = ["/books/1-7-1", "/books/1-8-1"].map(|topic| mercure::topic(topic, false).into_boxed_str());
        let matches = index.matches_of(&topics);
        let once = index.selectors.take_steps();
        assert!(once > 2 * 1000, "all were compared: {once}");
        for (nth, topic) in topics.iter().enumerate() {
            let watching = (0..1000).filter(|stream| matches.is_watched(&places[*stream], topic));
            assert_eq!(watching.collect::<Vec<_>>(), [7 + nth]);
            let mut found = Vec::new();
            matches.each(topic, |stream| found.push(stream as usize));
            assert_eq!(found, [7 + nth]);
        }
        let own = index.patterns_of(&places[7]);
        assert!(own.watch(&topics[0]) && !own.watch(&topics[1]));
        assert!(own.matcher.borrow_mut().take_steps() < once / 100);
        assert_eq!(index.selectors.take_steps(), 0, "the others were not compared again");
    }

    proptest! {
        #[test]
        fn what_a_stream_watches_is_what_its_patterns_match(
            patterns in proptest::collection::vec(proptest::collection::btree_set("(/[ab]){1,2}(/\\{[+/]?a\\})?|\\*|[ab](\\.\\*)?", 1..5), 1..6),
            texts in proptest::collection::vec("(/[ab]){1,3}", 1..5),
            plain in proptest::collection::vec("[ab](\\.[ab])?", 1..3),
        ) {
            let name = |nth: usize, text: &String| match text.starts_with(['/', '*']) {
                true if nth % 3 == 2 => mercure::right(text),
                true => mercure::subscription(text),
                false => text.clone(),
            };
            let of = |patterns: &std::collections::BTreeSet<String>| patterns.iter().enumerate().map(|(nth, text)| name(nth, text)).collect();
            let streams: Vec<Vec<String>> = patterns.iter().map(of).collect();
            let (index, places) = index(&streams);
            let topics = texts.iter().map(|text| mercure::topic(text, true)).chain(plain);
            let topics: Vec<Box<str>> = topics.map(String::into_boxed_str).collect();
            let matches = index.matches_of(&topics);
            for (places, patterns) in places.iter().zip(&streams) {
                let own = index.patterns_of(places);
                for topic in &topics {
                    let watched = patterns.iter().any(|pattern| topic::matches(pattern, topic));
                    prop_assert_eq!((matches.is_watched(places, topic), own.watch(topic)), (watched, watched), "{}", topic);
                }
            }
        }
    }
}
