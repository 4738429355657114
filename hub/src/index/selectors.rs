//! The index of Mercure's selectors that may match several topics.
//!
//! Each selector has a literal beginning. A topic is compared only with selectors whose beginning it has, and once with all that
//! match the same, however many streams have them. How much that is, `sse.template_steps` limits, before a stream is attached.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use crate::util::beginnings::{BeginningValue, Beginnings};
use sse_protocol::mercure::{Matcher, Selector, SelectorShape, SelectorUse};

/// Selectors by how what they match begins.
#[derive(Debug, Default)]
pub(crate) struct Selectors {
    by_beginning: Beginnings<SelectorShapes>,
    matcher: RefCell<Matcher>,
}

/// The numbers that the selectors of each use and shape were added with.
#[derive(Debug, Default)]
struct SelectorShapes(HashMap<SelectorKind, BTreeSet<u32>>);

type SelectorKind = (SelectorUse, SelectorShape);

impl BeginningValue for SelectorShapes {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Selectors {
    /// Adds the selector of a checked pattern of Mercure's, with the number of its entry. What matches only itself is left out:
    /// it is found by its text.
    pub(crate) fn insert(&mut self, pattern: &str, entry: u32) {
        if let Some((beginning, kind)) = compiled(pattern) {
            self.by_beginning.change(&beginning, |shapes| {
                shapes.0.entry(kind).or_default().insert(entry);
            });
        }
    }

    /// Removes what was added with this pattern and number.
    pub(crate) fn remove(&mut self, pattern: &str, entry: u32) {
        let Some((beginning, kind)) = compiled(pattern) else { return };
        self.by_beginning.change(&beginning, |SelectorShapes(shapes)| {
            let Some(entries) = shapes.get_mut(&kind) else { return };
            entries.remove(&entry);
            if entries.is_empty() {
                shapes.remove(&kind);
            }
            if shapes.capacity() > 16 && shapes.len() < shapes.capacity() / 4 {
                shapes.shrink_to(2 * shapes.len());
            }
        });
    }

    /// Calls `found` with the number of each selector for this use that matches a topic, given as Mercure's own text, unless it
    /// matches only as it is the same text.
    pub(crate) fn each(&self, topic: &[u8], used: SelectorUse, mut found: impl FnMut(u32)) {
        // What is found may lead to another search, which then uses one of its own.
        let mut matcher = self.matcher.take();
        matcher.read(topic);
        self.by_beginning.each(topic, |beginning, SelectorShapes(shapes)| {
            for ((of, shape), entries) in shapes {
                if *of == used && shape.matches(beginning, &mut matcher) {
                    entries.iter().copied().for_each(&mut found);
                }
            }
        });
        self.matcher.replace(matcher);
    }

    /// The steps of comparisons since the last call.
    #[cfg(test)]
    pub(crate) fn take_steps(&self) -> usize {
        self.matcher.borrow_mut().take_steps()
    }
}

/// The literal beginning of a pattern's selector, its use and its shape.
fn compiled(pattern: &str) -> Option<(Box<[u8]>, SelectorKind)> {
    let selector = Selector::new(pattern)?;
    let used = selector.used();
    selector.into_shape().map(|(beginning, shape)| (beginning, (used, shape)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sse_protocol::mercure;
    use std::collections::BTreeSet;

    /// Attack: one template under a thousand names, each of which every update is compared with.
    #[test]
    fn what_matches_the_same_is_compared_once() {
        let mut index = Selectors::default();
        let pattern = |nth: u32| match nth % 3 {
            0 => mercure::subscription(&format!("/{{+a{nth}}}")),
            1 => mercure::subscription(&format!("/{{+a{nth}}}{{b}}{{?c,d}}")),
            _ => mercure::subscription(&format!("/{{#a{nth}}}{{+b,c}}")),
        };
        (0..1000).for_each(|nth| index.insert(&pattern(nth), nth));
        let found = |index: &Selectors| {
            let mut found = BTreeSet::new();
            index.each(b"/books/1", SelectorUse::Subscribed, |nth| assert!(found.insert(nth)));
            (found, index.take_steps())
        };
        let (all, steps) = found(&index);
        assert_eq!(all, (0..1000).collect());
        let of_one = {
            let mut one = Selectors::default();
            one.insert(&pattern(0), 0);
            found(&one).1
        };
        assert_eq!(steps, of_one);
        (1..1000).for_each(|nth| index.remove(&pattern(nth), nth));
        assert_eq!(found(&index), (BTreeSet::from([0]), of_one));
        index.remove(&pattern(0), 0);
        assert!(index.by_beginning.is_empty());
    }

    proptest! {
        #[test]
        fn it_finds_what_matches_and_nothing_else(
            selectors in proptest::collection::vec("(/[ab]){0,3}(/?\\{[+/]?a\\}b?|\\*)", 1..12),
            gone in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
            topics in proptest::collection::vec("(/?[abc]){0,5}", 1..12),
        ) {
            let mut index = Selectors::default();
            let pattern = |nth: usize| {
                if nth.is_multiple_of(2) { mercure::subscription(&selectors[nth]) } else { mercure::right(&selectors[nth]) }
            };
            let mut left: BTreeSet<usize> = (0..selectors.len()).filter(|nth| mercure::is_open(&pattern(*nth))).collect();
            left.iter().for_each(|&nth| index.insert(&pattern(nth), nth as u32));
            for nth in gone.iter().map(|nth| nth.index(selectors.len())) {
                if left.remove(&nth) {
                    index.remove(&pattern(nth), nth as u32);
                }
            }
            for topic in &topics {
                for (parity, used) in [(0, SelectorUse::Subscribed), (1, SelectorUse::Allowed)] {
                    let mut found = BTreeSet::new();
                    index.each(topic.as_bytes(), used, |nth| {
                        found.insert(nth as usize);
                    });
                    let of_use = left.iter().copied().filter(|nth| nth % 2 == parity);
                    let expected = of_use.filter(|nth| mercure::matches(&mercure::subscription(&selectors[*nth]), &mercure::topic(topic, false)));
                    prop_assert_eq!(found, expected.collect::<BTreeSet<usize>>());
                }
            }
        }
    }
}
