//! Who is on a topic, for a script that asks.

use std::fmt::Write as _;
use std::ops::Bound;

use crate::presence::PresenceTable;
use crate::presence::events::quoted;

/// Most bytes of members in an answer; the script asks again for the rest.
const BYTES: usize = 256 << 10;

/// Most members in an answer.
const MEMBERS: usize = 1000;

/// Part of a topic's members, in the order of their ids.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// The members of a JSON object, without its braces.
    pub(crate) json: String,
    pub(crate) count: u32,
    /// The last one's id, if more follow.
    pub(crate) last: Option<String>,
}

impl PresenceTable {
    /// Number of members of a topic.
    pub(crate) fn count(&self, topic: &str) -> usize {
        self.topics.get(topic).map_or(0, |found| found.present)
    }

    /// At most `limit` members of a topic after the one with this id.
    pub(crate) fn page(&self, topic: &str, after: Option<&str>, limit: usize) -> Page {
        let mut page = Page::default();
        let Some(found) = self.topics.get(topic) else { return page };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let members = found.members.range::<str, _>((from, Bound::Unbounded));
        let mut last = None;
        for (steps, (key, member)) in members.enumerate() {
            if page.count as usize >= limit.min(MEMBERS) || steps >= 2 * MEMBERS || page.json.len() >= BYTES {
                page.last = last.or(after).map(str::to_owned);
                break;
            }
            last = Some(&*key.0.id);
            if !member.is_present() {
                continue;
            }
            let comma = if page.count > 0 { "," } else { "" };
            let (id, info, streams) = (quoted(&key.0.id), &member.person(key).info, member.all_streams());
            let since = member.since();
            let (seconds, rest) = (since / 1000, since % 1000);
            let _ = write!(
                page.json,
                "{comma}{id}:{{\"info\":{info},\"since\":{seconds}.{rest:03},\"streams\":{streams}}}"
            );
            page.count += 1;
        }
        page
    }
}
