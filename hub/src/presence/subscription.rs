//! Mercure's active subscriptions: a stream with a member that subscribes to a selector of Mercure's. Each beginning and end is
//! published as a private update, and all that are active can be listed.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::ops::Bound;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::presence::PresenceTable;
use crate::presence::member::Person;
use sse_protocol::mercure;

/// Most bytes of documents in an answer; the script asks again for the rest.
const BYTES: usize = 256 << 10;

/// Most subscriptions in an answer, and twice as many are looked at.
const SUBSCRIPTIONS: usize = 1000;

/// A subscription that has begun or ended at this hub. What it keeps is charged to the stream's client as long as it waits.
#[derive(Debug)]
pub(crate) struct SubscriptionChange {
    /// The pattern that the stream watches.
    pub(crate) pattern: Arc<str>,
    /// The subscriber; the info has version and payload.
    pub(crate) person: Arc<Person>,
    pub(crate) active: bool,
}

/// What is told of a subscription.
pub(crate) struct SubscriptionUpdate {
    /// The topic of the update that tells of it, in Mercure's own text.
    pub(crate) topic: String,
    /// The type of that update; `None`: none, as in Mercure 0.x.
    pub(crate) event_type: Option<&'static str>,
    /// Of Mercure 1.0, or the JSON-LD of 0.x.
    pub(crate) document: String,
}

impl SubscriptionChange {
    /// The update that tells of it.
    pub(crate) fn update(&self) -> SubscriptionUpdate {
        update(&self.pattern, &self.person, self.active)
    }
}

/// Which subscriptions are to be listed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SubscriptionQuery<'a> {
    /// Those by this pattern only.
    pub(crate) pattern: Option<&'a str>,
    /// That of this subscriber only.
    pub(crate) subscriber: Option<&'a str>,
    /// Those up to this one are left out: pattern and subscriber, with a space in between.
    pub(crate) after: Option<&'a str>,
    pub(crate) limit: usize,
}

/// Some active subscriptions.
#[derive(Debug, Default)]
pub(crate) struct SubscriptionPage {
    /// Documents, separated by commas.
    pub(crate) json: String,
    pub(crate) count: u32,
    /// The last one, if more follow.
    pub(crate) last: Option<String>,
}

/// What a member's info says of subscriptions.
#[derive(Default)]
struct SubscriptionInfo {
    /// Whether it is told as in Mercure 1.0, and not as in 0.x.
    is_standard: bool,
    /// For all patterns that `payloads` does not name.
    payload: Option<Value>,
    payloads: Map<String, Value>,
}

fn info(person: &Person) -> SubscriptionInfo {
    let Ok(Value::Object(mut info)) = serde_json::from_str(&person.info) else { return SubscriptionInfo::default() };
    let payloads = match info.remove("payloads") {
        Some(Value::Object(payloads)) => payloads,
        _ => Map::new(),
    };
    let is_standard = info.get("version").is_some_and(|version| version == "1.0");
    SubscriptionInfo { is_standard, payload: info.remove("payload"), payloads }
}

fn update(pattern: &str, person: &Person, active: bool) -> SubscriptionUpdate {
    let SubscriptionInfo { is_standard, payload, mut payloads } = info(person);
    let topic = mercure::subscription_topic(pattern, &person.id, is_standard);
    let (kind, text) = mercure::matcher(pattern);
    let mut document = if is_standard {
        json!({ "id": &topic, "type": "subscription", "match_type": kind, "match": text })
    } else {
        json!({ "@context": "https://mercure.rocks/", "id": &topic, "type": "Subscription", "topic": text })
    };
    document["subscriber"] = (*person.id).into();
    document["active"] = active.into();
    if let Some(payload) = payloads.remove(pattern).or(payload) {
        document["payload"] = payload;
    }
    SubscriptionUpdate { topic, event_type: is_standard.then_some("mercure"), document: document.to_string() }
}

impl PresenceTable {
    /// A stream of a member begins or ceases to watch a pattern.
    pub(super) fn subscribed(&mut self, pattern: &Arc<str>, person: &Arc<Person>, active: bool) {
        if mercure::is_subscription(pattern) {
            let (pattern, person) = (Arc::clone(pattern), Arc::clone(person));
            self.subscriptions.push_back(SubscriptionChange { pattern, person, active });
        }
    }

    /// Takes the oldest subscription that is to be told of.
    pub(crate) fn take_subscription(&mut self) -> Option<SubscriptionChange> {
        let change = self.subscriptions.pop_front();
        if self.subscriptions.is_empty() {
            // Frees the memory of the busiest hour.
            self.subscriptions = VecDeque::new();
        }
        change
    }

    /// Whether there are subscriptions to tell of.
    pub(crate) fn has_subscriptions_to_tell(&self) -> bool {
        !self.subscriptions.is_empty()
    }

    /// Active subscriptions at this hub and those on its bus, in the order of their patterns.
    pub(crate) fn subscriptions_page(&self, query: &SubscriptionQuery<'_>) -> SubscriptionPage {
        let mut page = SubscriptionPage::default();
        let after = query.after.and_then(|after| after.split_once(' '));
        let mut last: Option<(&str, &str)> = after;
        let (mut steps, mut read) = (0, 0);
        let first = after.map(|(pattern, _)| pattern).or(query.pattern).unwrap_or(mercure::NAMESPACE);
        let topics = self.topics.range::<str, _>((Bound::Included(first), Bound::Unbounded));
        let wanted = |pattern: &str| query.pattern.is_none_or(|wanted| wanted == pattern);
        for (pattern, found) in topics.take_while(|(pattern, _)| wanted(pattern) && mercure::is_mercure(pattern)) {
            let after = after.filter(|(before, _)| *before == &**pattern).map(|(_, subscriber)| subscriber);
            let from = match (query.subscriber, after) {
                (Some(subscriber), Some(after)) if subscriber <= after => Bound::Excluded(after),
                (Some(subscriber), _) => Bound::Included(subscriber),
                (None, Some(after)) => Bound::Excluded(after),
                (None, None) => Bound::Unbounded,
            };
            // Each pattern is looked at, whether the subscriber has it or not.
            if query.subscriber.is_some() {
                if steps >= 2 * SUBSCRIPTIONS {
                    page.last = last.map(|(pattern, subscriber)| format!("{pattern} {subscriber}"));
                    return page;
                }
                steps += 1;
            }
            for (key, member) in found.members.range::<str, _>((from, Bound::Unbounded)) {
                if query.subscriber.is_some_and(|wanted| wanted != &*key.0.id) {
                    break;
                }
                if page.count as usize >= query.limit.min(SUBSCRIPTIONS)
                    || steps >= 2 * SUBSCRIPTIONS
                    || page.json.len() >= BYTES
                    || read >= BYTES
                {
                    page.last = last.map(|(pattern, subscriber)| format!("{pattern} {subscriber}"));
                    return page;
                }
                steps += 1;
                last = Some((pattern, &key.0.id));
                if member.is_present() {
                    // All of what a member says of itself is parsed, however little of it the document has.
                    read += member.person(key).info.len();
                    let comma = if page.count > 0 { "," } else { "" };
                    let SubscriptionUpdate { document, .. } = update(pattern, member.person(key), true);
                    // A string takes everything.
                    let _ = write!(page.json, "{comma}{document}");
                    page.count += 1;
                }
            }
            if let Some(subscriber) = query.subscriber {
                last = Some((pattern, subscriber));
            }
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::topics::TopicCharges;
    use std::time::{Duration, Instant};

    fn table() -> PresenceTable {
        PresenceTable::new(Duration::from_secs(3600))
    }

    fn told(table: &mut PresenceTable) -> Vec<String> {
        std::iter::from_fn(|| table.take_subscription().map(|change| change.update().document)).collect()
    }

    #[test]
    fn a_subscription_is_told_of_as_its_version_says() {
        let (mut table, now) = (table(), Instant::now());
        let pattern = mercure::subscription("https://example.com/{id}");
        let payloads = json!({ "payload": 1, "payloads": { &pattern: { "a": [] } } }).to_string();
        table.enter(1, Some(Person::new("urn:1", &payloads, None)), &[&pattern, "a"], false, now);
        let standard = Person::new("urn:2", r#"{"version":"1.0","payload":{"b":{}}}"#, None);
        table.enter(2, Some(standard), &[&mercure::subscription("a")], false, now);
        table.enter(3, Some(Person::new("urn:3", "null", None)), &[&mercure::subscription("*")], false, now);
        let path = "/.well-known/mercure/subscriptions";
        let encoded = "https%3A%2F%2Fexample.com%2F%7Bid%7D";
        assert_eq!(
            told(&mut table),
            [
                format!(
                    r#"{{"@context":"https://mercure.rocks/","id":"{path}/{encoded}/urn%3A1","type":"Subscription","topic":"https://example.com/{{id}}","subscriber":"urn:1","active":true,"payload":{{"a":[]}}}}"#
                ),
                format!(
                    r#"{{"id":"{path}/exact/a/urn%3A2","type":"subscription","match_type":"exact","match":"a","subscriber":"urn:2","active":true,"payload":{{"b":{{}}}}}}"#
                ),
                format!(
                    r#"{{"@context":"https://mercure.rocks/","id":"{path}/%2A/urn%3A3","type":"Subscription","topic":"*","subscriber":"urn:3","active":true}}"#
                ),
            ]
        );
        table.leave(1, now);
        let [ended] = &told(&mut table)[..] else { panic!("it has no grace") };
        assert!(ended.contains(r#""active":false"#), "{ended}");
        assert!(!table.has_subscriptions_to_tell());
    }

    #[test]
    fn all_are_listed_page_by_page_and_no_other_members() {
        let (mut table, now) = (table(), Instant::now());
        let patterns = ["a", "b", "c"].map(mercure::subscription);
        let names: Vec<&str> = patterns.iter().map(String::as_str).chain(["$presence.a", "z", "A"]).collect();
        for nth in 0..5 {
            table.enter(nth, Some(Person::new(&format!("u{nth}"), "null", None)), &names, false, now);
        }
        table.leave(4, now);
        let all = SubscriptionQuery { pattern: None, subscriber: None, after: None, limit: 5 };
        let mut ids = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = table.subscriptions_page(&SubscriptionQuery { after: after.as_deref(), ..all });
            let documents: Vec<Value> = serde_json::from_str(&format!("[{}]", page.json)).expect("JSON");
            assert_eq!(documents.len(), page.count as usize);
            ids.extend(documents.iter().map(|one| format!("{} {}", one["topic"], one["subscriber"]).replace('"', "")));
            after = page.last;
            if after.is_none() {
                break;
            }
        }
        let expected = ["a", "b", "c"].iter().flat_map(|topic| (0..4).map(move |nth| format!("{topic} u{nth}")));
        assert_eq!(ids, expected.collect::<Vec<_>>());
        let one = SubscriptionQuery { pattern: Some(&patterns[1]), subscriber: Some("u2"), ..all };
        let page = table.subscriptions_page(&one);
        assert!(page.count == 1 && page.json.contains("/b/u2") && page.last.is_none(), "{page:?}");
        assert_eq!(table.subscriptions_page(&SubscriptionQuery { subscriber: Some("u4"), ..one }).count, 0);
        assert_eq!(table.subscriptions_page(&SubscriptionQuery { pattern: Some("$mercure.match.d"), ..all }).count, 0);
    }

    /// Attack: one question about a subscriber has the ordering thread look at the patterns of all others.
    #[test]
    fn a_subscriber_is_looked_for_in_parts() {
        let (mut table, now) = (table(), Instant::now());
        let patterns: Vec<String> =
            (0..3 * SUBSCRIPTIONS).map(|nth| mercure::subscription(&format!("{nth:04}"))).collect();
        let names: Vec<&str> = patterns.iter().map(String::as_str).collect();
        table.enter(1, Some(Person::new("u1", "null", None)), &names, false, now);
        table.enter(2, Some(Person::new("u2", "null", None)), &[names[1], names[names.len() - 1]], false, now);
        let first = SubscriptionQuery { pattern: None, subscriber: Some("u2"), after: None, limit: 9 };
        let page = table.subscriptions_page(&first);
        assert!(page.count == 1 && page.json.contains("/0001/u2") && page.last.is_some(), "{page:?}");
        let page = table.subscriptions_page(&SubscriptionQuery { after: page.last.as_deref(), ..first });
        assert!(page.count == 1 && page.json.contains("/2999/u2") && page.last.is_none(), "{page:?}");
    }

    /// Attack: members say much of themselves, for patterns that they do not have, and the ordering thread reads all of it at once.
    #[test]
    fn what_members_say_of_themselves_is_read_in_parts() {
        let (mut table, now) = (table(), Instant::now());
        let pattern = mercure::subscription("a");
        let info = json!({ "payloads": { "b": "x".repeat(4000) } }).to_string();
        for nth in 0..300 {
            table.enter(nth, Some(Person::new(&format!("u{nth:03}"), &info, None)), &[&pattern], false, now);
        }
        let all = SubscriptionQuery { pattern: None, subscriber: None, after: None, limit: 1000 };
        let (mut counts, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = table.subscriptions_page(&SubscriptionQuery { after: after.as_deref(), ..all });
            counts.push(page.count as usize);
            after = page.last;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(counts.iter().sum::<usize>(), 300);
        assert!(counts.iter().all(|count| *count <= BYTES / 4000 + 1), "{counts:?}");
    }

    /// Streams may end after the old hub has told of the others, and before its state is passed on.
    #[test]
    fn an_upgrade_passes_on_what_is_still_to_be_told() {
        let (mut old, mut new, now) = (table(), table(), Instant::now());
        let charges = TopicCharges::new(1 << 20);
        let patterns = ["a", "b"].map(mercure::subscription);
        old.enter(1, Some(Person::new("urn:1", "null", None)), &[&patterns[0]], false, now);
        old.enter(2, Some(Person::new("urn:2", "null", None)), &[&patterns[1]], false, now);
        assert_eq!(told(&mut old).len(), 2);
        old.leave(1, now);
        let state: Vec<_> = old.state(now).collect();
        state.iter().for_each(|state| new.restore(state, &charges, now));
        let expected = told(&mut old);
        assert!(expected[0].contains("/a/urn%3A1"), "{expected:?}");
        assert_eq!((told(&mut new), expected.len()), (expected, 1));
    }
}
