//! A trie of patterns with wildcards, by segment.
//!
//! Nodes exist only for beginnings that patterns have in common: a pattern without company below a node is a leaf there,
//! whatever its number of segments. Patterns have few segments ([`topic::MAX_WILD_SEGMENTS`]), so a client can't create many
//! nodes with few patterns.

use std::collections::HashMap;

use slab::Slab;

use sse_protocol::topic;

/// Finds the patterns that match a topic and visits matching paths only. The trie stores entry numbers; callers pass a function
/// that returns an entry's pattern.
#[derive(Debug)]
pub(crate) struct Trie {
    nodes: Slab<Node>,
    root: u32,
}

/// A common beginning of several patterns.
#[derive(Debug, Default)]
struct Node {
    /// Branches by the next segment's name.
    named: HashMap<Box<str>, Branch>,
    /// Branch of the segment `*`.
    star: Option<Branch>,
    /// Entry of the pattern that ends here.
    here: Option<u32>,
    /// Entry of the pattern that ends here with `**`.
    deep: Option<u32>,
}

/// What follows a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Branch {
    /// Entry of a single pattern, to be compared as a whole.
    Leaf(u32),
    /// Node of several patterns.
    Node(u32),
}

/// Next segment of a pattern below a node.
#[derive(Debug, Clone, Copy)]
enum TrieStep<'a> {
    Named(&'a str),
    Star,
    Here,
    Deep,
}

impl<'a> TrieStep<'a> {
    fn of(segment: Option<&'a str>) -> Self {
        match segment {
            None => Self::Here,
            Some("**") => Self::Deep,
            Some("*") => Self::Star,
            Some(name) => Self::Named(name),
        }
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        self.named.is_empty() && self.star.is_none() && self.here.is_none() && self.deep.is_none()
    }

    /// Returns the branch of a segment.
    fn branch(&self, step: TrieStep<'_>) -> Option<Branch> {
        match step {
            TrieStep::Named(name) => self.named.get(name).copied(),
            TrieStep::Star => self.star,
            TrieStep::Here => self.here.map(Branch::Leaf),
            TrieStep::Deep => self.deep.map(Branch::Leaf),
        }
    }

    fn set(&mut self, step: TrieStep<'_>, branch: Branch) {
        match (step, branch) {
            (TrieStep::Named(name), branch) => {
                self.named.insert(name.into(), branch);
            }
            (TrieStep::Star, branch) => self.star = Some(branch),
            (TrieStep::Here, Branch::Leaf(entry)) => self.here = Some(entry),
            (TrieStep::Deep, Branch::Leaf(entry)) => self.deep = Some(entry),
            // The end of a pattern has nothing below it.
            (TrieStep::Here | TrieStep::Deep, Branch::Node(_)) => {}
        }
    }

    fn clear(&mut self, step: TrieStep<'_>) {
        match step {
            TrieStep::Named(name) => {
                self.named.remove(name);
            }
            TrieStep::Star => self.star = None,
            TrieStep::Here => self.here = None,
            TrieStep::Deep => self.deep = None,
        }
    }

    /// Returns the entry of the only pattern at or below this node; `None` if there are several or none.
    fn only(&self) -> Option<u32> {
        let ends = [self.here, self.deep].map(|end| end.map(Branch::Leaf));
        let mut branches = self.named.values().copied().chain(self.star).chain(ends.into_iter().flatten());
        match (branches.next(), branches.next()) {
            (Some(Branch::Leaf(entry)), None) => Some(entry),
            _ => None,
        }
    }
}

impl Trie {
    /// Creates an empty trie.
    pub(crate) fn new() -> Self {
        let mut nodes = Slab::new();
        let root = nodes.insert(Node::default()) as u32;
        Self { nodes, root }
    }

    /// Adds `entry` for a valid pattern that is not in the trie yet.
    pub(crate) fn insert<'a>(&mut self, pattern: &'a str, entry: u32, text: impl Fn(u32) -> &'a str) {
        let mut at = self.root;
        let mut segments = pattern.split('.');
        for depth in 1.. {
            let step = TrieStep::of(segments.next());
            let node = &mut self.nodes[at as usize];
            at = match node.branch(step) {
                None => {
                    node.set(step, Branch::Leaf(entry));
                    return;
                }
                Some(Branch::Node(next)) => next,
                // Two patterns meet here: move the existing leaf one segment down.
                Some(Branch::Leaf(other)) => {
                    let mut below = Node::default();
                    below.set(TrieStep::of(text(other).split('.').nth(depth)), Branch::Leaf(other));
                    let next = self.nodes.insert(below) as u32;
                    self.nodes[at as usize].set(step, Branch::Node(next));
                    next
                }
            };
        }
    }

    /// Removes a pattern and the nodes that only it needed.
    pub(crate) fn remove(&mut self, pattern: &str) {
        let mut path = Vec::new();
        let mut at = self.root;
        let mut segments = pattern.split('.');
        loop {
            let step = TrieStep::of(segments.next());
            path.push((at, step));
            match self.nodes[at as usize].branch(step) {
                None => return,
                Some(Branch::Node(next)) => at = next,
                Some(Branch::Leaf(_)) => break,
            }
        }
        let Some((node, step)) = path.pop() else { return };
        self.nodes[node as usize].clear(step);
        let mut below = node;
        while let Some((node, step)) = path.pop() {
            let left = &self.nodes[below as usize];
            if let Some(entry) = left.only() {
                self.nodes[node as usize].set(step, Branch::Leaf(entry));
            } else if left.is_empty() {
                self.nodes[node as usize].clear(step);
            } else {
                return;
            }
            self.nodes.remove(below as usize);
            below = node;
        }
    }

    /// Calls `found` with the entry of each pattern that matches the topic.
    pub(crate) fn each<'a>(&self, topic: &str, text: impl Fn(u32) -> &'a str + Copy, found: &mut impl FnMut(u32)) {
        // Skips the walk: most hubs have no wildcard patterns.
        if !self.nodes[self.root as usize].is_empty() {
            let mut matching = |entry| {
                if topic::matches(text(entry), topic) {
                    found(entry);
                }
            };
            self.walk(self.root, Some(topic), &mut matching);
        }
    }

    /// Visits `node` with the rest of the topic. The recursion is at most as deep as a pattern has segments.
    fn walk(&self, node: u32, rest: Option<&str>, maybe: &mut impl FnMut(u32)) {
        let node = &self.nodes[node as usize];
        let Some(rest) = rest else {
            node.here.into_iter().for_each(maybe);
            return;
        };
        if let Some(entry) = node.deep {
            maybe(entry);
        }
        let (segment, rest) = rest.split_once('.').map_or((rest, None), |(segment, rest)| (segment, Some(rest)));
        for branch in [node.star, node.named.get(segment).copied()].into_iter().flatten() {
            match branch {
                Branch::Leaf(entry) => maybe(entry),
                Branch::Node(next) => self.walk(next, rest, maybe),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trie(patterns: &[&'static str]) -> Trie {
        let mut trie = Trie::new();
        for (entry, pattern) in patterns.iter().enumerate() {
            trie.insert(pattern, entry as u32, |entry| patterns[entry as usize]);
        }
        trie
    }

    #[test]
    fn what_is_removed_leaves_nothing_behind() {
        let patterns = ["a.*", "a.**", "*.b.*", "**", "a.*.c.**"];
        let mut trie = trie(&patterns);
        let mut found = Vec::new();
        trie.each("a.b.c.d", |entry| patterns[entry as usize], &mut |entry| found.push(entry));
        found.sort_unstable();
        assert_eq!(found, [1, 3, 4]);
        for pattern in patterns {
            trie.remove(pattern);
        }
        assert_eq!(trie.nodes.len(), 1);
        trie.each("a.b", |entry| patterns[entry as usize], &mut |_| panic!("nothing is left"));
    }

    #[test]
    fn nodes_are_for_beginnings_that_patterns_have_in_common() {
        let patterns = ["u.7.a.b.c.d.e.*", "v.*", "u.7.a.b.*"];
        assert_eq!(trie(&patterns[..2]).nodes.len(), 1);
        // Nodes: the root and those of u, u.7, u.7.a and u.7.a.b.
        let mut trie = trie(&patterns);
        assert_eq!(trie.nodes.len(), 5);
        trie.remove(patterns[2]);
        assert_eq!(trie.nodes.len(), 1);
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_matches_and_nodes_are_fewer_than_patterns_need(
            patterns in proptest::collection::btree_set("(a|b|\\*)(\\.(a|b|\\*)){0,4}(\\.\\*\\*)?", 1..12),
            leaving in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12),
            topics in proptest::collection::vec("(a|b)(\\.(a|b)){0,5}", 1..6),
        ) {
            let patterns: Vec<String> = patterns.into_iter().collect();
            let text = |entry: u32| patterns[entry as usize].as_str();
            let mut trie = Trie::new();
            let mut present: Vec<bool> = vec![true; patterns.len()];
            for (entry, pattern) in patterns.iter().enumerate() {
                trie.insert(pattern, entry as u32, text);
            }
            for leaves in leaving.iter().map(|leaves| leaves.index(patterns.len())) {
                if std::mem::replace(&mut present[leaves], false) {
                    trie.remove(&patterns[leaves]);
                }
            }
            for topic in &topics {
                let mut found = Vec::new();
                trie.each(topic, text, &mut |entry| found.push(entry));
                found.sort_unstable();
                let expected = (0..patterns.len()).filter(|nth| present[*nth] && topic::matches(&patterns[*nth], topic));
                prop_assert_eq!(found, expected.map(|nth| nth as u32).collect::<Vec<_>>());
            }
            let left = present.iter().filter(|present| **present).count();
            prop_assert!(trie.nodes.len() <= 1 + 6 * left / 2, "{} nodes for {left} patterns", trie.nodes.len());
        }
    }
}
