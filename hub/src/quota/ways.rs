//! Weights of beginnings, and the most that all beginnings of one text weigh together.
//!
//! Where a beginning begins, its weight is added, and where the last text ends that has it, it is taken away again: so the sum of
//! all that comes before a text, in the order of bytes, is what its beginnings weigh. A balanced tree keeps these places with the
//! sum and the largest sum of each part of it. So a change takes time by the logarithm of how many there are, however long they
//! are and however they begin alike.

use std::cmp::Ordering;
use std::mem;
use std::sync::Arc;

/// Weights of beginnings.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    root: WayTree,
}

type WayTree = Option<Box<WayNode>>;

/// A place among all texts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct WayPlace {
    beginning: Arc<[u8]>,
    /// Behind all texts that have the beginning; otherwise before them.
    is_end: bool,
}

/// Places in the order of texts, which is also a heap by their ranks: nobody can choose these, so the tree is as good as balanced.
#[derive(Debug)]
struct WayNode {
    place: WayPlace,
    rank: u64,
    weight: isize,
    total: WayTotal,
    left: WayTree,
    right: WayTree,
}

/// Weights of places that follow each other.
#[derive(Debug, Default, Clone, Copy)]
struct WayTotal {
    sum: isize,
    /// The largest sum of the first places, or of none.
    most: isize,
}

impl Ord for WayPlace {
    fn cmp(&self, other: &Self) -> Ordering {
        let (own, others) = (&*self.beginning, &*other.beginning);
        let common = own.len().min(others.len());
        own[..common].cmp(&others[..common]).then_with(|| match own.len().cmp(&others.len()) {
            Ordering::Equal => self.is_end.cmp(&other.is_end),
            Ordering::Less if self.is_end => Ordering::Greater,
            Ordering::Greater if other.is_end => Ordering::Less,
            shorter_first => shorter_first,
        })
    }
}

impl PartialOrd for WayPlace {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl WayTotal {
    fn of(weight: isize) -> Self {
        Self { sum: weight, most: weight.max(0) }
    }

    fn then(self, next: Self) -> Self {
        Self { sum: self.sum + next.sum, most: self.most.max(self.sum + next.most) }
    }
}

impl Ways {
    /// Adds to the weight of a beginning, or takes away from it. `rank` returns a number for each of two places, always the same and
    /// known to nobody else.
    pub(crate) fn change(&mut self, beginning: &Arc<[u8]>, weight: isize, rank: impl Fn(&[u8], bool) -> u64) {
        for (is_end, weight) in [(false, weight), (true, -weight)] {
            let place = WayPlace { beginning: Arc::clone(beginning), is_end };
            add(&mut self.root, place, rank(beginning, is_end), weight);
        }
    }

    /// The most that all beginnings of one text weigh together, of any text that has this beginning.
    pub(crate) fn heaviest(&self, beginning: &Arc<[u8]>) -> usize {
        let [start, end] = [false, true].map(|is_end| WayPlace { beginning: Arc::clone(beginning), is_end });
        let above = total(&self.root, None, Some(&start));
        (above.sum + total(&self.root, Some(&start), Some(&end)).most).unsigned_abs()
    }

    /// The most that all beginnings of one text weigh together.
    pub(crate) fn heaviest_of_all(&self) -> usize {
        total(&self.root, None, None).most.unsigned_abs()
    }

    /// Whether nothing is kept.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.root.is_none()
    }
}

/// The total of the places in a tree that are not before `from` and before `to`.
fn total(tree: &WayTree, from: Option<&WayPlace>, to: Option<&WayPlace>) -> WayTotal {
    let Some(node) = tree else { return WayTotal::default() };
    if from.is_none() && to.is_none() {
        node.total
    } else if from.is_some_and(|from| node.place < *from) {
        total(&node.right, from, to)
    } else if to.is_some_and(|to| node.place >= *to) {
        total(&node.left, from, to)
    } else {
        total(&node.left, from, None).then(WayTotal::of(node.weight)).then(total(&node.right, None, to))
    }
}

fn add(tree: &mut WayTree, place: WayPlace, rank: u64, weight: isize) {
    let Some(node) = tree else {
        let total = WayTotal::of(weight);
        *tree = Some(Box::new(WayNode { place, rank, weight, total, left: None, right: None }));
        return;
    };
    let above = node.rank;
    match place.cmp(&node.place) {
        Ordering::Less => {
            add(&mut node.left, place, rank, weight);
            if let Some(mut left) = node.left.take_if(|left| left.rank > above) {
                mem::swap(node, &mut left);
                left.left = node.right.take();
                left.sum_up();
                node.right = Some(left);
            }
        }
        Ordering::Greater => {
            add(&mut node.right, place, rank, weight);
            if let Some(mut right) = node.right.take_if(|right| right.rank > above) {
                mem::swap(node, &mut right);
                right.right = node.left.take();
                right.sum_up();
                node.left = Some(right);
            }
        }
        Ordering::Equal => {
            node.weight += weight;
            if node.weight == 0 {
                *tree = joined(node.left.take(), node.right.take());
            }
        }
    }
    if let Some(node) = tree {
        node.sum_up();
    }
}

/// One tree of two, of which one has only places before those of the other.
fn joined(left: WayTree, right: WayTree) -> WayTree {
    match (left, right) {
        (None, one) | (one, None) => one,
        (Some(mut left), Some(mut right)) => {
            if left.rank > right.rank {
                left.right = joined(left.right.take(), Some(right));
                left.sum_up();
                Some(left)
            } else {
                right.left = joined(Some(left), right.left.take());
                right.sum_up();
                Some(right)
            }
        }
    }
}

impl WayNode {
    fn sum_up(&mut self) {
        let of = |tree: &WayTree| tree.as_ref().map(|node| node.total).unwrap_or_default();
        self.total = of(&self.left).then(WayTotal::of(self.weight)).then(of(&self.right));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::hash::{BuildHasher, RandomState};

    fn depth(tree: &WayTree) -> usize {
        tree.as_ref().map_or(0, |node| 1 + depth(&node.left).max(depth(&node.right)))
    }

    /// Attack: beginnings that go on from each other, a byte at a time, and others that leave that way at each byte: whoever opens
    /// a stream has the hub go along all of it.
    #[test]
    fn beginnings_that_go_on_from_each_other_make_no_long_way() {
        let (mut ways, hasher) = (Ways::default(), RandomState::new());
        let rank = |beginning: &[u8], is_end| hasher.hash_one((beginning, is_end));
        let text = "1".repeat(700);
        let all = (0..text.len()).flat_map(|at| ["", "A", "B", "C"].map(|more| format!("{}{more}", &text[..at])));
        let all: Vec<Arc<[u8]>> = all.map(|beginning| beginning.into_bytes().into()).collect();
        all.iter().for_each(|beginning| ways.change(beginning, 2, rank));
        assert_eq!(ways.heaviest_of_all(), 2 * 701);
        assert!(depth(&ways.root) < 100, "{}", depth(&ways.root));
        all.iter().for_each(|beginning| ways.change(beginning, -2, rank));
        assert!(ways.is_empty());
    }

    proptest! {
        #[test]
        fn what_the_beginnings_of_a_text_weigh_is_known(
            changes in proptest::collection::vec(("[ab]{0,6}", 0_isize..4), 1..40),
            texts in proptest::collection::vec("[ab]{0,8}", 1..10),
        ) {
            let (mut ways, mut expected, hasher) = (Ways::default(), BTreeMap::new(), RandomState::new());
            for (beginning, weight) in &changes {
                let before = expected.insert(beginning.as_str(), *weight).unwrap_or(0);
                if before != *weight {
                    ways.change(&beginning.as_bytes().into(), weight - before, |text, is_end| hasher.hash_one((text, is_end)));
                }
                expected.retain(|_, weight| *weight > 0);
            }
            prop_assert_eq!(ways.is_empty(), expected.is_empty());
            let weight = |text: &str| {
                let kept = expected.iter().filter(|(beginning, _)| text.starts_with(**beginning));
                kept.map(|(_, weight)| weight.unsigned_abs()).sum::<usize>()
            };
            for text in texts.iter().map(String::as_str).chain([""]) {
                let longer = expected.keys().filter(|beginning| beginning.starts_with(text));
                let heaviest = longer.map(|beginning| weight(beginning)).chain([weight(text)]).max();
                prop_assert_eq!(Some(ways.heaviest(&text.as_bytes().into())), heaviest, "{}", text);
            }
            prop_assert_eq!(ways.heaviest_of_all(), ways.heaviest(&b""[..].into()));
        }
    }
}
