//! What happened lately, by name: which topics are busy, which scripts are slow.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Most names that a report lists.
const LISTED: usize = 20;

/// Counts by name in the current window of time, and in the one before it. It keeps a fixed number of names, whatever comes: the
/// rest of a window is only counted. A name that comes often is soon among the first ones of a window.
#[derive(Debug)]
pub(crate) struct Recent<V> {
    /// The least length of a window.
    window: Duration,
    /// Most names in a window.
    room: usize,
    now: Window<V>,
    /// The window before.
    last: Option<(Duration, Window<V>)>,
}

/// Counts of one window of time.
#[derive(Debug)]
struct Window<V> {
    begun: Instant,
    counts: HashMap<Box<str>, V>,
    /// How many times a name came for which there was no room.
    left_out: u64,
}

impl<V> Window<V> {
    fn new(begun: Instant) -> Self {
        Self { begun, counts: HashMap::new(), left_out: 0 }
    }
}

impl<V: Default + Copy + AddAssign> Recent<V> {
    /// Begins the first window.
    pub(crate) fn new(window: Duration, room: usize, now: Instant) -> Self {
        Self { window, room, now: Window::new(now), last: None }
    }

    /// Adds the counts of something that happened `now` under a name.
    pub(crate) fn add(&mut self, name: &str, now: Instant, what: V) {
        let length = now.saturating_duration_since(self.now.begun);
        if length >= self.window {
            let over = std::mem::replace(&mut self.now, Window::new(now));
            self.last = Some((length, over));
        }
        if let Some(count) = self.now.counts.get_mut(name) {
            *count += what;
        } else if self.now.counts.len() < self.room {
            self.now.counts.insert(name.into(), what);
        } else {
            self.now.left_out += 1;
        }
    }

    /// The names that have the highest rank in this window and the one before, as JSON: the `seconds` that both last, the list
    /// under `key`, and how many occurrences were `left_out`.
    pub(crate) fn report(
        &self,
        now: Instant,
        key: &str,
        rank: impl Fn(&V) -> u64,
        entry: impl Fn(&str, &V) -> Value,
    ) -> Value {
        let current = now.saturating_duration_since(self.now.begun);
        // A window that is over only waits for what begins the next one.
        let last = self.last.as_ref().filter(|_| current < self.window);
        let mut length = current;
        let mut left_out = self.now.left_out;
        let mut sums: HashMap<&str, V> = self.now.counts.iter().map(|(name, count)| (&**name, *count)).collect();
        if let Some((before, window)) = last {
            length += *before;
            left_out += window.left_out;
            for (name, count) in &window.counts {
                *sums.entry(name).or_default() += *count;
            }
        }
        let mut counts: Vec<_> = sums.iter().collect();
        // By name where the rank is the same, so that a page that lists them stays as it is.
        counts.sort_unstable_by_key(|(name, count)| (Reverse(rank(count)), *name));
        counts.truncate(LISTED);
        let list: Vec<_> = counts.into_iter().map(|(name, count)| entry(name, count)).collect();
        json!({ "seconds": length.as_secs_f64(), key: list, "left_out": left_out })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(5);

    fn report(recent: &Recent<u64>, now: Instant) -> Value {
        recent.report(now, "list", |count| *count, |name, count| json!([name, count]))
    }

    #[test]
    fn a_window_is_reported_with_the_one_before_until_it_is_over() {
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let mut recent = Recent::new(WINDOW, 9, begin);
        for name in ["b", "a", "b"] {
            recent.add(name, at(1), 1);
        }
        let first = json!([["b", 2], ["a", 1]]);
        assert_eq!(report(&recent, at(2)), json!({ "seconds": 2.0, "list": first, "left_out": 0 }));
        recent.add("c", at(6), 1);
        assert_eq!(
            report(&recent, at(10)),
            json!({ "seconds": 10.0, "list": [["b", 2], ["a", 1], ["c", 1]], "left_out": 0 })
        );
        // Nothing came since: what was before is no news.
        assert_eq!(report(&recent, at(16)), json!({ "seconds": 10.0, "list": [["c", 1]], "left_out": 0 }));
    }

    #[test]
    fn however_many_names_come_only_so_many_are_kept_and_listed() {
        let now = Instant::now();
        let mut recent = Recent::new(WINDOW, 100, now);
        for name in 0..1000 {
            recent.add(&format!("{name:03}"), now, 1);
        }
        recent.add("050", now, 1);
        assert_eq!(recent.now.counts.len(), 100);
        let report = report(&recent, now);
        assert_eq!(report["left_out"], 900);
        assert_eq!(report["list"].as_array().map(Vec::len), Some(LISTED));
        assert_eq!(report["list"][0], json!(["050", 2]));
    }
}
