//! What a search's selectors of Mercure's match. One comparison of a topic with a template is a step; a turn may end between any
//! two of them.

use std::sync::Arc;

use crate::event::Event;
use crate::store::slice::Slice;
use sse_protocol::id::Id;
use sse_protocol::mercure::{self, Matcher, Selector};

/// Steps of a comparison with a template that count as one more step of a search.
pub(super) const COMPARED: usize = 256;

/// The selectors of one search.
#[derive(Debug, Default)]
pub(super) struct SearchSelectors {
    /// Subscriptions that may match several topics.
    open: Vec<Selector>,
    /// The client may get some private updates.
    allows: bool,
    /// Those of what it may get that may match several topics.
    allowed: Vec<Selector>,
    matcher: Matcher,
    comparisons: Comparisons,
}

/// What is compared with the selectors, and how far that is.
#[derive(Debug, Default)]
struct Comparisons {
    item: Option<SearchItem>,
    /// A topic of the item is subscribed to: the comparisons are with what the client may get.
    wanted: bool,
    /// Comparisons done, of each topic with each selector; none of them matched.
    done: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum SearchItem {
    Name(Arc<str>),
    Event(Id),
}

impl Comparisons {
    /// Begins anew with another item: the one before may be gone since the last turn.
    fn of(&mut self, item: SearchItem) {
        if self.item.as_ref() != Some(&item) {
            *self = Self { item: Some(item), ..Self::default() };
        }
    }
}

/// The steps of one name or event. The first one is spent already.
struct ItemSteps<'a> {
    slice: &'a mut Slice,
    is_first: bool,
}

impl<'a> ItemSteps<'a> {
    fn new(slice: &'a mut Slice) -> Self {
        Self { slice, is_first: true }
    }

    fn spend(&mut self) -> bool {
        std::mem::take(&mut self.is_first) || self.slice.spend()
    }
}

impl SearchSelectors {
    /// Adds a right. The names of private updates are searched then, too.
    pub(super) fn allow(&mut self, pattern: &str, selector: Selector) {
        self.allows = true;
        if mercure::is_open(pattern) {
            self.allowed.push(selector);
        }
    }

    /// Adds a subscription that may match several topics.
    pub(super) fn subscribe(&mut self, selector: Selector) {
        self.open.push(selector);
    }

    /// Whether the client may get some private updates.
    pub(super) fn allows_any(&self) -> bool {
        self.allows
    }

    /// Whether a subscription that may match several topics matches this one; `None`: the steps are spent before that is known.
    pub(super) fn matches_name(&mut self, name: &Arc<str>, slice: &mut Slice) -> Option<bool> {
        self.comparisons.of(SearchItem::Name(Arc::clone(name)));
        let Self { open, matcher, comparisons, .. } = self;
        selects(&[&**name], |_| false, open, matcher, &mut comparisons.done, &mut ItemSteps::new(slice))
    }

    /// Whether the client watches an event, by a subscription if not otherwise, and may get it. `patterns` are all of the
    /// client's. `None`: the steps are spent before that is known.
    pub(super) fn is_wanted(
        &mut self,
        event: &Event,
        stamp: Id,
        is_watched: impl FnOnce() -> bool,
        patterns: &[Box<str>],
        slice: &mut Slice,
    ) -> Option<bool> {
        let mut steps = ItemSteps::new(slice);
        self.comparisons.of(SearchItem::Event(stamp));
        if !self.comparisons.wanted {
            let Self { open, matcher, comparisons, .. } = self;
            let is_known = |topic: &str| mercure::exactly(topic).is_some_and(|exact| has(patterns, &exact));
            let wanted =
                is_watched() || selects(event.topics(), is_known, open, matcher, &mut comparisons.done, &mut steps)?;
            if !wanted {
                return Some(false);
            }
            (comparisons.wanted, comparisons.done) = (true, 0);
        }
        self.is_allowed(event, stamp, patterns, &mut steps)
    }

    /// Whether the client may get an event that it watches; `None`: the steps are spent before that is known.
    pub(super) fn may_get(
        &mut self,
        event: &Event,
        stamp: Id,
        patterns: &[Box<str>],
        slice: &mut Slice,
    ) -> Option<bool> {
        self.is_allowed(event, stamp, patterns, &mut ItemSteps::new(slice))
    }

    /// That is any but a private update of which no topic is allowed.
    fn is_allowed(
        &mut self,
        event: &Event,
        stamp: Id,
        patterns: &[Box<str>],
        steps: &mut ItemSteps<'_>,
    ) -> Option<bool> {
        if !event.topics().iter().any(|topic| mercure::is_private(topic)) {
            return Some(true);
        }
        self.comparisons.of(SearchItem::Event(stamp));
        let Self { allowed, matcher, comparisons, .. } = self;
        let is_known = |topic: &str| mercure::exactly_allowed(topic).is_some_and(|exact| has(patterns, &exact));
        selects(event.topics(), is_known, allowed, matcher, &mut comparisons.done, steps)
    }
}

/// Whether the sorted patterns have this one.
pub(super) fn has(patterns: &[Box<str>], pattern: &str) -> bool {
    patterns.binary_search_by(|other| (**other).cmp(pattern)).is_ok()
}

/// Whether one of Mercure's topics is known by its name, or matched by a selector. `done` comparisons were in vain before. `None`:
/// the steps are spent before that is known.
fn selects(
    topics: &[impl AsRef<str>],
    is_known: impl Fn(&str) -> bool,
    selectors: &[Selector],
    matcher: &mut Matcher,
    done: &mut usize,
    steps: &mut ItemSteps<'_>,
) -> Option<bool> {
    let topics = topics.iter().map(AsRef::as_ref).filter(|topic| mercure::is_mercure(topic));
    for (nth, topic) in topics.enumerate() {
        let before = done.saturating_sub(nth * selectors.len());
        if before >= selectors.len() && !selectors.is_empty() {
            continue;
        }
        if is_known(topic) {
            return Some(true);
        }
        matcher.read(&mercure::text(topic).unwrap_or_default());
        for selector in &selectors[before..] {
            if !steps.spend() {
                return None;
            }
            *done += 1;
            let matched = selector.matches(matcher);
            steps.slice.charge(matcher.take_steps() / COMPARED);
            if matched {
                return Some(true);
            }
        }
    }
    Some(false)
}
