//! What comparing a topic with the templates of all streams takes, against `sse.template_steps` and the share of each client.
//!
//! A topic is compared with the templates whose literal beginning it has, each once, however many streams have one that matches
//! the same. So the steps that count are those of beginnings that one text may have together: no topic takes more.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use crate::quota::address;
use crate::quota::budget::{Exhausted, SHARES};
use crate::quota::ways::Ways;
use sse_protocol::mercure::{self, Selector};

/// Name of the setting, for errors.
const SETTING: &str = "sse.template_steps";

/// The templates of all streams.
#[derive(Debug)]
pub(crate) struct TemplateSteps {
    limit: usize,
    hasher: RandomState,
    all: KnownTemplates,
    /// By the client's [number](address::number), without 0.
    of_clients: HashMap<u64, KnownTemplates>,
    streams: HashMap<u64, StreamTemplates>,
}

/// The templates of a stream.
#[derive(Debug)]
pub(crate) struct StreamTemplates {
    /// The client's number.
    client: u64,
    templates: Box<[ChargedTemplate]>,
}

/// A template, or `*`.
#[derive(Debug)]
struct ChargedTemplate {
    beginning: Arc<[u8]>,
    /// The same for those that match the same and are used for the same.
    kind: u64,
    steps: u32,
}

/// Templates of streams, each once.
#[derive(Debug, Default)]
struct KnownTemplates {
    /// How many streams have each, by kind.
    streams: HashMap<u64, u32>,
    ways: Ways,
}

impl KnownTemplates {
    /// Adds a template of a stream; returns whether it is new.
    fn add(&mut self, template: &ChargedTemplate, hasher: &RandomState) -> bool {
        let streams = self.streams.entry(template.kind).or_default();
        *streams += 1;
        let is_new = *streams == 1;
        if is_new {
            self.weigh(template, template.steps as isize, hasher);
        }
        is_new
    }

    fn remove(&mut self, template: &ChargedTemplate, hasher: &RandomState) {
        let Some(streams) = self.streams.get_mut(&template.kind) else { return };
        *streams -= 1;
        if *streams == 0 {
            self.streams.remove(&template.kind);
            self.weigh(template, -(template.steps as isize), hasher);
        }
        if self.streams.len() < self.streams.capacity() / 8 {
            self.streams.shrink_to(2 * self.streams.len());
        }
    }

    fn weigh(&mut self, template: &ChargedTemplate, weight: isize, hasher: &RandomState) {
        self.ways.change(&template.beginning, weight, |beginning, is_end| hasher.hash_one((beginning, is_end)));
    }
}

impl TemplateSteps {
    /// Creates a table without templates.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            hasher: RandomState::new(),
            all: KnownTemplates::default(),
            of_clients: HashMap::new(),
            streams: HashMap::new(),
        }
    }

    /// Most steps that comparing a topic takes now, for each 64 bytes of it or less.
    pub(crate) fn most(&self) -> usize {
        self.all.ways.heaviest_of_all()
    }

    /// Checks whether a new stream may have these patterns. What it returns is for [`enter`](Self::enter), in the same turn.
    ///
    /// # Errors
    /// The limit that would be exceeded.
    pub(crate) fn check<'a>(
        &mut self,
        client: Option<IpAddr>,
        patterns: impl IntoIterator<Item = &'a str>,
    ) -> Result<StreamTemplates, Exhausted> {
        let templates = self.compile(address::number(client), patterns);
        let checked = self.add(client, &templates);
        self.remove(&templates);
        checked.map(|()| templates)
    }

    /// Records the templates of a new stream, whatever the limits.
    pub(crate) fn enter(&mut self, stream: u64, templates: StreamTemplates) {
        let _checked_before = self.add(None, &templates);
        self.keep(stream, templates);
    }

    /// Records the patterns of a stream in place of those it had, whatever the limits.
    ///
    /// # Errors
    /// The limit that is exceeded.
    pub(crate) fn watch<'a>(
        &mut self,
        stream: u64,
        client: Option<IpAddr>,
        patterns: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Exhausted> {
        self.record(stream, (address::number(client), client), patterns)
    }

    /// Records the patterns of a stream in place of those it had, if the limits allow it.
    ///
    /// # Errors
    /// The limit that would be exceeded; nothing changes then.
    pub(crate) fn try_watch<'a>(
        &mut self,
        stream: u64,
        client: Option<IpAddr>,
        patterns: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Exhausted> {
        let templates = self.compile(address::number(client), patterns);
        let before = self.take(stream);
        let added = self.add(client, &templates);
        if added.is_ok() {
            self.keep(stream, templates);
            return Ok(());
        }
        self.remove(&templates);
        if let Some(before) = before {
            self.enter(stream, before);
        }
        added
    }

    /// Records the patterns of a stream of the old hub, whatever the limits, by its client's [number](address::number).
    pub(crate) fn restore<'a>(&mut self, stream: u64, client: u64, patterns: impl IntoIterator<Item = &'a str>) {
        let _known_before = self.record(stream, (client, None), patterns);
    }

    /// Forgets the templates of a stream.
    pub(crate) fn release(&mut self, stream: u64) {
        self.take(stream);
    }

    fn record<'a>(
        &mut self,
        stream: u64,
        (number, client): (u64, Option<IpAddr>),
        patterns: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Exhausted> {
        self.take(stream);
        let templates = self.compile(number, patterns);
        let added = self.add(client, &templates);
        self.keep(stream, templates);
        added
    }

    /// The templates among the patterns of a stream, by its client's [number](address::number).
    fn compile<'a>(&self, client: u64, patterns: impl IntoIterator<Item = &'a str>) -> StreamTemplates {
        let open = patterns.into_iter().filter(|pattern| mercure::is_open(pattern));
        let templates = open.filter_map(Selector::new).filter_map(|selector| {
            let used = selector.used();
            let (beginning, shape) = selector.into_shape()?;
            let kind = self.hasher.hash_one((used, &beginning, &shape));
            Some(ChargedTemplate {
                beginning: beginning.into(),
                kind,
                steps: u32::try_from(shape.steps()).unwrap_or(u32::MAX),
            })
        });
        StreamTemplates { client, templates: templates.collect() }
    }

    /// Adds all templates; the error is the first limit that one of them, which nobody had before, exceeds.
    fn add(&mut self, client: Option<IpAddr>, of_stream: &StreamTemplates) -> Result<(), Exhausted> {
        let StreamTemplates { client: number, templates } = of_stream;
        let Self { limit, hasher, all, of_clients, .. } = self;
        let (limit, share) = (*limit, *limit / SHARES);
        let mut exhausted = Ok(());
        for template in &**templates {
            let is_over = |known: &mut KnownTemplates, limit: usize| {
                known.add(template, hasher) && known.ways.heaviest(&template.beginning) > limit
            };
            if is_over(all, limit) {
                exhausted = exhausted.and(Err(Exhausted::Whole { setting: SETTING, limit }));
            }
            if *number != 0
                && is_over(of_clients.entry(*number).or_default(), share)
                && let Some(client) = client
            {
                exhausted =
                    exhausted.and(Err(Exhausted::Client { setting: SETTING, unit: "steps", limit: share, client }));
            }
        }
        exhausted
    }

    fn remove(&mut self, StreamTemplates { client, templates }: &StreamTemplates) {
        for template in &**templates {
            self.all.remove(template, &self.hasher);
            if let Some(of_client) = self.of_clients.get_mut(client) {
                of_client.remove(template, &self.hasher);
                if of_client.streams.is_empty() {
                    self.of_clients.remove(client);
                }
            }
        }
        if self.of_clients.is_empty() {
            // Frees the memory of the busiest hour.
            self.of_clients = HashMap::new();
        }
    }

    fn keep(&mut self, stream: u64, templates: StreamTemplates) {
        if !templates.templates.is_empty() {
            self.streams.insert(stream, templates);
        }
    }

    fn take(&mut self, stream: u64) -> Option<StreamTemplates> {
        let taken = self.streams.remove(&stream)?;
        self.remove(&taken);
        if self.streams.is_empty() {
            self.streams = HashMap::new();
        }
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sse_protocol::mercure::Matcher;
    use std::net::Ipv4Addr;

    const LIMIT: usize = 1 << 15;

    fn client(nth: u32) -> Option<IpAddr> {
        Some(Ipv4Addr::from_bits(0xC000_0200 + nth).into())
    }

    /// Has a client open streams with one template each, until one is refused; returns how many it has, and why.
    fn open(table: &mut TemplateSteps, nth: u32, template: impl Fn(usize) -> String) -> (usize, Option<Exhausted>) {
        for number in 0..10_000 {
            let pattern = mercure::subscription(&template(number));
            match table.check(client(nth), [&*pattern]) {
                Ok(templates) => table.enter(u64::from(nth) << 32 | number as u64, templates),
                Err(exhausted) => return (number, Some(exhausted)),
            }
        }
        (10_000, None)
    }

    /// Attack: thousands of templates, of one address or of many, each of which an update is compared with.
    #[test]
    fn no_topic_takes_more_steps_than_the_limit_and_an_eighth_of_it_for_one_address() {
        let narrow = |nth: usize| format!("https://example.com/books/{{a}}{nth}{{b}}");
        let wide = |nth: usize| format!("{{+a}}x{nth}{{b}}");
        // Each has another beginning of the same topics.
        let nested = |nth: usize| format!("https://example.com/books/{}{{a}}", "1".repeat(nth));
        let mut table = TemplateSteps::new(LIMIT);
        for (nth, template) in [&narrow as &dyn Fn(usize) -> String, &wide, &nested].into_iter().enumerate() {
            let (count, why) = open(&mut table, nth as u32, template);
            assert!((200..500).contains(&count), "{count}");
            assert!(matches!(why, Some(Exhausted::Client { limit, .. }) if limit == LIMIT / 8));
        }
        let text = format!("https://example.com/books/{}", "1".repeat(900));
        let steps = |of: u32, template: &dyn Fn(usize) -> String| {
            let mut matcher = Matcher::of(text.as_bytes());
            let streams = table.streams.keys().filter(|stream| (*stream >> 32) as u32 == of).count();
            for nth in 0..streams {
                let selector = Selector::new(&mercure::subscription(&template(nth))).expect("a selector");
                let _ = selector.matches(&mut matcher);
            }
            matcher.take_steps() - text.len()
        };
        let taken = steps(0, &narrow) + steps(1, &wide) + steps(2, &nested);
        let most = table.most() * (text.len() / 64 + 1);
        assert!(taken <= most && table.most() <= 3 * LIMIT / 8, "{taken} {most}");
        // Others have room, until it is too much together.
        let others = (3..20).map(|nth| open(&mut table, nth, |number| format!("{{a}}-{nth}-{number}{{b}}")));
        let others: Vec<_> = others.collect();
        assert!(others[0].0 > 200 && matches!(others[16], (0, Some(Exhausted::Whole { limit: LIMIT, .. }))));
        assert!(table.most() <= LIMIT);
        // What somebody has costs nothing more, and what is gone nothing at all.
        let known = mercure::subscription(&wide(0).replace('a', "other"));
        assert_eq!(table.check(client(30), [&*known]).map(drop), Ok(()));
        let streams: Vec<u64> = table.streams.keys().copied().collect();
        streams.into_iter().for_each(|stream| table.release(stream));
        assert!(table.all.streams.is_empty() && table.all.ways.is_empty());
        assert!(table.of_clients.is_empty() && table.most() == 0);
    }

    #[test]
    fn templates_of_different_topics_and_of_many_streams_are_not_too_much() {
        let mut table = TemplateSteps::new(LIMIT);
        assert_eq!(open(&mut table, 1, |nth| format!("https://example.com/users/{nth}/{{?topic}}")), (10_000, None));
        assert_eq!(open(&mut table, 2, |_| "https://example.com/{kind}/1".into()), (10_000, None));
    }

    #[test]
    fn a_change_that_is_refused_changes_nothing() {
        let mut table = TemplateSteps::new(8 * 19);
        let [one, other, more] = ["/{a}", "/{a}-", "/{a}-{b}"].map(mercure::subscription);
        assert_eq!(table.watch(1, client(1), [&*one, &*other, "a.b"]), Ok(()));
        assert_eq!(table.most(), 18);
        let refused = table.try_watch(1, client(1), [&*one, &*more]).expect_err("too much");
        assert!(
            refused.to_string().starts_with("192.0.2.1 takes the eighth of sse.template_steps (19 of its steps) that"),
            "{refused}"
        );
        assert_eq!(table.most(), 18);
        assert_eq!(table.try_watch(1, client(1), [&*more]), Ok(()));
        assert_eq!(table.most(), 11);
        // A run of its script has named others, which it watches already.
        assert!(table.watch(1, client(1), [&*one, &*more]).is_err());
        assert_eq!(table.most(), 20);
        let mut next = TemplateSteps::new(8 * 10);
        next.restore(1, address::number(client(1)), [&*one, &*more]);
        assert_eq!(next.most(), 20);
        assert_eq!(next.check(client(1), [&*one]).map(drop), Ok(()), "it is known");
        assert!(next.check(client(1), [&*other]).is_err());
    }
}
