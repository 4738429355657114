//! A radix tree: values by a text's beginning. Finds those of all beginnings of a text in one walk along it.

/// What a tree keeps for a beginning.
pub(crate) trait BeginningValue: Default {
    /// Whether nothing is kept, so that the tree may forget the beginning.
    fn is_empty(&self) -> bool;
}

/// Values by beginnings. The longest is as long as the tree is deep, so callers bound it.
#[derive(Debug)]
pub(crate) struct Beginnings<V> {
    root: BeginningNode<V>,
}

#[derive(Debug)]
struct BeginningNode<V> {
    /// What follows the parent's beginning. Only the root has none.
    label: Box<[u8]>,
    value: V,
    /// Sorted by the first byte, which is different in each.
    children: Vec<BeginningNode<V>>,
}

impl<V: BeginningValue> Default for Beginnings<V> {
    fn default() -> Self {
        Self { root: BeginningNode::new(&[]) }
    }
}

impl<V: BeginningValue> Beginnings<V> {
    /// Whether nothing is kept.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.root.value.is_empty() && self.root.children.is_empty()
    }

    /// Changes what is kept for a beginning.
    pub(crate) fn change(&mut self, beginning: &[u8], change: impl FnOnce(&mut V)) {
        self.root.change(beginning, change);
    }

    /// Calls `found` with each beginning's length and value that the text has, the shortest first.
    pub(crate) fn each(&self, text: &[u8], mut found: impl FnMut(usize, &V)) {
        let (mut node, mut length) = (&self.root, 0);
        loop {
            found(length, &node.value);
            let rest = &text[length..];
            let Some(child) = node.child(rest).map(|nth| &node.children[nth]) else { return };
            if !rest.starts_with(&child.label) {
                return;
            }
            length += child.label.len();
            node = child;
        }
    }
}

impl<V: BeginningValue> BeginningNode<V> {
    fn new(label: &[u8]) -> Self {
        Self { label: label.into(), value: V::default(), children: Vec::new() }
    }

    /// The child whose label begins as the text does.
    fn child(&self, text: &[u8]) -> Option<usize> {
        let first = *text.first()?;
        self.children.binary_search_by_key(&first, |child| child.label[0]).ok()
    }

    fn change(&mut self, rest: &[u8], change: impl FnOnce(&mut V)) {
        if rest.is_empty() {
            change(&mut self.value);
        } else {
            let place = self.children.binary_search_by_key(&rest[0], |child| child.label[0]);
            let (Ok(nth) | Err(nth)) = place;
            if place.is_err() {
                self.children.insert(nth, Self::new(rest));
            }
            let child = &mut self.children[nth];
            let common = child.label.iter().zip(rest).take_while(|(one, other)| one == other).count();
            if common < child.label.len() {
                child.split(common);
            }
            child.change(&rest[common..], change);
            if child.value.is_empty() && child.children.len() < 2 {
                match child.children.pop() {
                    None => drop(self.children.remove(nth)),
                    Some(only) => child.become_one_with(only),
                }
                self.shrink();
            }
        }
    }

    /// Puts a node before this one, for the first bytes of its label.
    fn split(&mut self, at: usize) {
        let before = Self::new(&self.label[..at]);
        let mut after = std::mem::replace(self, before);
        after.label = after.label[at..].into();
        self.children = vec![after];
    }

    /// Takes the place of its only child, while it has nothing of its own.
    fn become_one_with(&mut self, mut only: Self) {
        only.label = [&*self.label, &only.label].concat().into_boxed_slice();
        *self = only;
    }

    /// Gives up memory of children that are gone.
    fn shrink(&mut self) {
        if self.children.len() < self.children.capacity() / 4 {
            self.children.shrink_to(2 * self.children.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    impl BeginningValue for usize {
        fn is_empty(&self) -> bool {
            *self == 0
        }
    }

    fn nodes(node: &BeginningNode<usize>) -> usize {
        1 + node.children.iter().map(nodes).sum::<usize>()
    }

    proptest! {
        #[test]
        fn it_has_what_was_kept_and_forgets_the_rest(
            changes in proptest::collection::vec(("[ab]{0,6}", 0_usize..4), 1..40),
            texts in proptest::collection::vec("[ab]{0,8}", 1..10),
        ) {
            let (mut tree, mut expected) = (Beginnings::default(), BTreeMap::new());
            for (beginning, value) in &changes {
                tree.change(beginning.as_bytes(), |kept| *kept = *value);
                expected.insert(beginning.as_str(), *value);
                expected.retain(|_, value| *value > 0);
                prop_assert!(nodes(&tree.root) <= 1 + 2 * expected.len());
            }
            prop_assert_eq!(tree.is_empty(), expected.is_empty());
            let of_text = |text: &str| -> Vec<(usize, usize)> {
                let kept = expected.iter().filter(|(beginning, _)| text.starts_with(**beginning));
                kept.map(|(beginning, value)| (beginning.len(), *value)).collect()
            };
            for text in &texts {
                let mut found = Vec::new();
                tree.each(text.as_bytes(), |length, value| found.extend((*value > 0).then_some((length, *value))));
                prop_assert_eq!(found, of_text(text));
            }
        }
    }
}
