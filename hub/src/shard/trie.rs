//! Patterns with wildcards, by their segments.

use std::collections::HashMap;

use slab::Slab;

/// Finds the patterns that match a topic, at the cost of the matching paths only.
#[derive(Debug)]
pub(crate) struct Trie {
    nodes: Slab<Node>,
    root: usize,
}

/// A place in the trie: some first segments of a pattern have been read.
#[derive(Debug, Default)]
struct Node {
    /// Where a segment leads.
    named: HashMap<Box<str>, usize>,
    /// Where `*` leads.
    star: Option<usize>,
    /// The pattern that ends here.
    here: Option<usize>,
    /// The pattern that ends here with `**`.
    deep: Option<usize>,
}

impl Node {
    fn is_empty(&self) -> bool {
        self.named.is_empty() && self.star.is_none() && self.here.is_none() && self.deep.is_none()
    }
}

impl Trie {
    /// A trie without patterns.
    pub(crate) fn new() -> Self {
        let mut nodes = Slab::new();
        let root = nodes.insert(Node::default());
        Self { nodes, root }
    }

    /// Keeps `entry` for a checked pattern, which is not in the trie yet.
    pub(crate) fn insert(&mut self, pattern: &str, entry: usize) {
        let mut at = self.root;
        for segment in pattern.split('.') {
            at = match segment {
                "**" => {
                    self.nodes[at].deep = Some(entry);
                    return;
                }
                "*" => self.nodes[at].star.unwrap_or_else(|| {
                    let new = self.nodes.insert(Node::default());
                    self.nodes[at].star = Some(new);
                    new
                }),
                name => self.nodes[at].named.get(name).copied().unwrap_or_else(|| {
                    let new = self.nodes.insert(Node::default());
                    self.nodes[at].named.insert(name.into(), new);
                    new
                }),
            };
        }
        self.nodes[at].here = Some(entry);
    }

    /// Forgets a pattern, and every place that nothing else needs.
    pub(crate) fn remove(&mut self, pattern: &str) {
        let mut path = vec![(self.root, "")];
        for segment in pattern.split('.') {
            let at = path.last().map_or(self.root, |(node, _)| *node);
            let next = match segment {
                "**" => {
                    self.nodes[at].deep = None;
                    break;
                }
                "*" => self.nodes[at].star,
                name => self.nodes[at].named.get(name).copied(),
            };
            let Some(next) = next else { return };
            path.push((next, segment));
        }
        if !pattern.ends_with("**")
            && let Some((last, _)) = path.last()
        {
            self.nodes[*last].here = None;
        }
        while let Some((node, segment)) = path.pop() {
            let Some((parent, _)) = path.last() else { return };
            if !self.nodes[node].is_empty() {
                return;
            }
            self.nodes.remove(node);
            match segment {
                "*" => self.nodes[*parent].star = None,
                name => {
                    self.nodes[*parent].named.remove(name);
                }
            }
        }
    }

    /// Calls `found` with the entry of every pattern that matches the topic.
    pub(crate) fn each(&self, topic: &str, found: &mut impl FnMut(usize)) {
        // Most hubs know no wildcards at all.
        if !self.nodes[self.root].is_empty() {
            self.walk(self.root, Some(topic), found);
        }
    }

    /// At `node`, with what is left of the topic. A topic is at most 255 bytes long, so this is at most 128 deep.
    fn walk(&self, node: usize, rest: Option<&str>, found: &mut impl FnMut(usize)) {
        let node = &self.nodes[node];
        let Some(rest) = rest else {
            node.here.into_iter().for_each(found);
            return;
        };
        if let Some(entry) = node.deep {
            found(entry);
        }
        let (segment, rest) = rest.split_once('.').map_or((rest, None), |(segment, rest)| (segment, Some(rest)));
        if let Some(next) = node.star {
            self.walk(next, rest, found);
        }
        if let Some(&next) = node.named.get(segment) {
            self.walk(next, rest, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_removed_leaves_nothing_behind() {
        let mut trie = Trie::new();
        let patterns = ["a.*", "a.**", "*.b.*", "**", "a.*.c.**"];
        for (entry, pattern) in patterns.iter().enumerate() {
            trie.insert(pattern, entry);
        }
        let mut found = Vec::new();
        trie.each("a.b.c.d", &mut |entry| found.push(entry));
        found.sort_unstable();
        assert_eq!(found, [1, 3, 4]);
        for pattern in patterns {
            trie.remove(pattern);
        }
        assert_eq!(trie.nodes.len(), 1);
        trie.each("a.b", &mut |_| panic!("nothing is left"));
    }
}
