//! What a URI template is made of, and which places of a topic each part leads to.

use crate::mercure::places::{ByteSet, TopicRows};

/// Steps of a comparison that every template takes, whatever it is made of.
pub(super) const COMPARISON: usize = 8;

/// Steps of the items of an exploded variable.
const ITEMS: usize = 4;

/// A part of a template.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum SelectorPiece {
    /// These bytes.
    Literal(Box<[u8]>),
    /// Any number of bytes of a set, or percent-encoded.
    Value(ByteSet),
    /// None, or up to `most` values, each after the separator: as nothing tells the variables apart, only their number matters.
    Segments { separator: u8, set: ByteSet, most: u8 },
    /// Items of a list, and names with their values.
    Items { separator: u8, naming: Naming },
    /// Some of the variables in their order, the first one after `first` and each other one after the separator; or none.
    Variables { first: u8, separator: u8, naming: Naming, variables: Box<[PieceVariable]> },
    /// Bytes but for these delimiters, and not none if so many are needed.
    Until { delimiters: &'static [u8], is_needed: bool },
    /// Nothing, or one of these bytes and anything behind it.
    Rest(&'static [u8]),
}

/// How an expression names its variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Naming {
    /// Not at all.
    None,
    /// An empty value has no `=`.
    Parameter,
    /// Each value has one.
    Query,
}

/// A variable of [`SelectorPiece::Variables`].
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum PieceVariable {
    /// A value without a name.
    Value,
    /// A value with a name.
    Named(Box<[u8]>),
    /// The items of a list, or names with their values.
    Items,
}

impl SelectorPiece {
    /// Most steps that it takes for each 64 bytes of a topic.
    pub(super) fn steps(&self) -> usize {
        match self {
            Self::Literal(bytes) => bytes.len(),
            Self::Value(_) => 1,
            Self::Segments { most, .. } => 2 * usize::from(*most),
            Self::Items { .. } => ITEMS,
            Self::Variables { variables, .. } => {
                1 + variables.iter().map(|variable| 1 + variable.steps()).sum::<usize>()
            }
            Self::Until { delimiters, .. } => delimiters.len() + 2,
            Self::Rest(begins) => begins.len() + 1,
        }
    }

    /// Whether it is about lists.
    pub(super) fn has_items(&self) -> bool {
        match self {
            Self::Literal(_) | Self::Value(_) | Self::Segments { .. } | Self::Until { .. } | Self::Rest(_) => false,
            Self::Items { .. } => true,
            Self::Variables { variables, .. } => variables.contains(&PieceVariable::Items),
        }
    }

    /// Bytes that it takes beside itself.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Literal(bytes) => bytes.len() + ALLOCATION,
            Self::Value(_) | Self::Segments { .. } | Self::Items { .. } | Self::Until { .. } | Self::Rest(_) => 0,
            Self::Variables { variables, .. } => {
                let names = variables.iter().filter_map(|variable| match variable {
                    PieceVariable::Named(name) => Some(name.len() + ALLOCATION),
                    PieceVariable::Value | PieceVariable::Items => None,
                });
                size_of_val(&**variables) + ALLOCATION + names.sum::<usize>()
            }
        }
    }
}

/// Bytes that an allocation takes beside its content.
#[cfg(test)]
pub(super) const ALLOCATION: usize = 16;

impl PieceVariable {
    fn steps(&self) -> usize {
        match self {
            Self::Value => 1,
            Self::Named(name) => name.len() + 2,
            Self::Items => ITEMS,
        }
    }
}

/// Rows that a comparison needs at the same time.
const ROWS: usize = 6;

/// Whether the pieces lead from one place of the topic to another, and in how many steps that was found. A step is at most one for
/// each word of a row.
pub(super) fn lead(
    pieces: &[SelectorPiece],
    topic: &TopicRows,
    (from, to): (usize, usize),
    memory: &mut Vec<u64>,
) -> (bool, usize) {
    let first = from / 64;
    let words = to / 64 + 1 - first;
    memory.resize(memory.len().max(ROWS * words), 0);
    let (at, free) = memory.split_at_mut(words);
    at.fill(0);
    at[0] = 1 << (from % 64);
    let mut comparison = Comparison { topic, first, steps: 0 };
    let reached = pieces.iter().all(|piece| comparison.piece(piece, at, free));
    (reached && at[words - 1] >> (to % 64) & 1 > 0, comparison.steps * words)
}

/// A comparison. Each step goes from the places that it is at, in `at`, to others; `free` is memory for more rows.
struct Comparison<'a> {
    topic: &'a TopicRows,
    /// The word of the topic's rows with which those of the comparison begin.
    first: usize,
    steps: usize,
}

impl<'a> Comparison<'a> {
    /// Whether the piece leads anywhere.
    fn piece(&mut self, piece: &SelectorPiece, at: &mut [u64], free: &mut [u64]) -> bool {
        match piece {
            SelectorPiece::Literal(bytes) => return self.literal(bytes, at),
            SelectorPiece::Value(set) => self.flood(at, self.topic.of_set(*set)),
            SelectorPiece::Segments { separator, set, most } => {
                let (last, _) = copy(at, free);
                for _ in 0..*most {
                    if !self.advance(last, *separator) {
                        break;
                    }
                    self.flood(last, self.topic.of_set(*set));
                    join(at, last);
                }
            }
            SelectorPiece::Items { separator, naming } => return self.items((*separator, *naming), at, free),
            SelectorPiece::Variables { first, separator, naming, variables } => {
                let (begun, free) = copy(at, free);
                if self.advance(begun, *first) {
                    self.variables((*separator, *naming), variables, (at, begun), free);
                }
            }
            SelectorPiece::Until { delimiters, is_needed } => return self.until(delimiters, *is_needed, at, free),
            SelectorPiece::Rest(begins) => self.rest(begins, at, free),
        }
        true
    }

    fn variables(
        &mut self,
        list: (u8, Naming),
        variables: &[PieceVariable],
        (at, begun): (&mut [u64], &[u64]),
        free: &mut [u64],
    ) {
        let (done, free) = copy(at, free);
        done.fill(0);
        for variable in variables {
            let (next, free) = copy(done, free);
            self.advance(next, list.0);
            join(next, begun);
            let leads = match variable {
                PieceVariable::Value => {
                    self.flood(next, self.topic.of_set(ByteSet::List));
                    true
                }
                PieceVariable::Items => self.items(list, next, free),
                PieceVariable::Named(name) => self.literal(name, next) && self.named(list.1, next, free),
            };
            if leads {
                join(done, next);
            }
        }
        join(at, done);
    }

    /// What follows a name.
    fn named(&mut self, naming: Naming, at: &mut [u64], free: &mut [u64]) -> bool {
        let (value, _) = copy(at, free);
        let has_value = self.advance(value, b'=');
        self.flood(value, self.topic.of_set(ByteSet::List));
        if naming == Naming::Parameter {
            join(at, value);
            return true;
        }
        at.copy_from_slice(value);
        has_value
    }

    fn items(&mut self, (separator, naming): (u8, Naming), at: &mut [u64], free: &mut [u64]) -> bool {
        let list = self.topic.of_list(separator);
        // The first `=` may follow another one before the list.
        let (first, _) = copy(at, free);
        self.flood(first, self.topic.of_set(ByteSet::Unreserved));
        let has_first = self.advance(first, b'=');
        self.flood(first, list.inner);
        if naming == Naming::Query {
            first.iter_mut().zip(&list.valued[self.first..]).for_each(|(word, valued)| *word &= valued);
            at.copy_from_slice(first);
            return has_first;
        }
        self.flood(at, list.inner);
        join(at, first);
        true
    }

    fn until(&mut self, delimiters: &[u8], is_needed: bool, at: &mut [u64], free: &mut [u64]) -> bool {
        self.steps += delimiters.len() + 2;
        let (bytes, _) = copy(at, free);
        bytes.fill(u64::MAX);
        for &delimiter in delimiters {
            let found = &self.topic.of(delimiter)[self.first..];
            bytes.iter_mut().zip(found).for_each(|(word, found)| *word &= !found);
        }
        let goes_on = !is_needed || go(at, bytes);
        flow(at, bytes);
        goes_on
    }

    fn rest(&mut self, begins: &[u8], at: &mut [u64], free: &mut [u64]) {
        let (begun, free) = copy(at, free);
        begun.fill(0);
        for &byte in begins {
            let (next, _) = copy(at, free);
            self.advance(next, byte);
            join(begun, next);
        }
        let (all, _) = copy(at, free);
        all.fill(u64::MAX);
        self.steps += 1;
        flow(begun, all);
        join(at, begun);
    }

    fn literal(&mut self, bytes: &[u8], at: &mut [u64]) -> bool {
        bytes.iter().all(|&byte| self.advance(at, byte))
    }

    /// Goes from each place that has this byte next to the one after it. Returns whether there is any.
    fn advance(&mut self, at: &mut [u64], byte: u8) -> bool {
        self.steps += 1;
        let bytes = &self.topic.of(byte)[self.first..];
        // Most topics are that short, and this is several times as fast.
        if let ([word], [bytes, ..]) = (&mut *at, bytes) {
            *word = (*word & bytes) << 1;
            return *word > 0;
        }
        go(at, bytes)
    }

    /// Goes on as far as these bytes go, to all places on the way but those within a percent-encoded byte.
    fn flood(&mut self, at: &mut [u64], bytes: &[u64]) {
        self.steps += 1;
        let (bytes, within) = (&bytes[self.first..], &self.topic.within()[self.first..]);
        if let ([word], [bytes, ..], [within, ..]) = (&mut *at, bytes, within) {
            *word = (*word | bytes.wrapping_add(*word & bytes) ^ bytes) & !within;
            return;
        }
        flow(at, bytes);
        at.iter_mut().zip(within).for_each(|(word, within)| *word &= !within);
    }
}

/// Goes from each place that is one of these bytes' to the next. Returns whether there is any.
fn go(at: &mut [u64], bytes: &[u64]) -> bool {
    let (mut carry, mut any) = (0, 0);
    for (word, bytes) in at.iter_mut().zip(bytes) {
        let taken = *word & bytes;
        *word = taken << 1 | carry;
        carry = taken >> 63;
        any |= taken;
    }
    any > 0
}

/// Goes on from each place as far as these bytes go, to all places on the way.
fn flow(at: &mut [u64], bytes: &[u64]) {
    let mut carry = false;
    for (word, bytes) in at.iter_mut().zip(bytes) {
        let (sum, over) = bytes.overflowing_add(*word & bytes);
        let (sum, over_again) = sum.overflowing_add(carry.into());
        carry = over || over_again;
        *word |= sum ^ bytes;
    }
}

/// Copies a row; returns the copy and what is free behind it.
fn copy<'a>(row: &[u64], free: &'a mut [u64]) -> (&'a mut [u64], &'a mut [u64]) {
    let (copy, free) = free.split_at_mut(row.len());
    copy.copy_from_slice(row);
    (copy, free)
}

fn join(row: &mut [u64], other: &[u64]) {
    row.iter_mut().zip(other).for_each(|(word, other)| *word |= other);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mercure::{template, url_pattern};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// The places that a piece leads to, found without any haste.
    fn ends(piece: &SelectorPiece, text: &[u8], from: &BTreeSet<usize>) -> BTreeSet<usize> {
        let literal = |bytes: &[u8], from: &BTreeSet<usize>| -> BTreeSet<usize> {
            from.iter().filter(|at| text[**at..].starts_with(bytes)).map(|at| at + bytes.len()).collect()
        };
        let value = |set: &[u8], from: &BTreeSet<usize>| {
            closure(from, |at| match &text[at..] {
                [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => Some(at + 3),
                [byte, ..] if byte.is_ascii_alphanumeric() || set.contains(byte) => Some(at + 1),
                _ => None,
            })
        };
        let (unreserved, list) = (&b"-._~"[..], &b"-._~,"[..]);
        let of_set = |set: &ByteSet| match set {
            ByteSet::Unreserved => unreserved,
            ByteSet::List => list,
            ByteSet::Reserved => b"-._~:/?#[]@!$&'()*+,;=",
        };
        let items = |separator: u8, naming: &Naming, from: &BTreeSet<usize>| {
            let (mut ends, mut begun) = (BTreeSet::new(), from.clone());
            while !begun.is_empty() {
                let alone = value(unreserved, &begun);
                let mut item = value(unreserved, &literal(b"=", &alone));
                if *naming != Naming::Query {
                    item.extend(alone);
                }
                let more: BTreeSet<usize> = item.difference(&ends).copied().collect();
                begun = literal(&[separator], &more);
                ends.extend(more);
            }
            ends
        };
        match piece {
            SelectorPiece::Literal(bytes) => literal(bytes, from),
            SelectorPiece::Value(set) => value(of_set(set), from),
            SelectorPiece::Items { separator, naming } => items(*separator, naming, from),
            SelectorPiece::Until { delimiters, is_needed } => {
                let next = |at: usize| text.get(at).filter(|byte| !delimiters.contains(byte)).map(|_| at + 1);
                let begun = from.iter().copied().filter_map(next).collect();
                closure(if *is_needed { &begun } else { from }, next)
            }
            SelectorPiece::Rest(begins) => {
                let begun = from.iter().filter(|at| text.get(**at).is_some_and(|byte| begins.contains(byte)));
                let rest = begun.min().map_or(text.len() + 1, |at| at + 1);
                from.iter().copied().chain(rest..=text.len()).collect()
            }
            SelectorPiece::Segments { separator, set, most } => {
                let mut all = vec![from.clone()];
                for nth in 0..usize::from(*most) {
                    all.push(value(of_set(set), &literal(&[*separator], &all[nth])));
                }
                all.into_iter().flatten().collect()
            }
            SelectorPiece::Variables { first, separator, naming, variables } => {
                let mut done = BTreeSet::new();
                for variable in variables {
                    let mut begun = literal(&[*first], from);
                    begun.extend(literal(&[*separator], &done));
                    done.extend(match variable {
                        PieceVariable::Value => value(list, &begun),
                        PieceVariable::Items => items(*separator, naming, &begun),
                        PieceVariable::Named(name) => {
                            let named = literal(name, &begun);
                            let mut valued = value(list, &literal(b"=", &named));
                            if *naming == Naming::Parameter {
                                valued.extend(named);
                            }
                            valued
                        }
                    });
                }
                done.union(from).copied().collect()
            }
        }
    }

    fn closure(from: &BTreeSet<usize>, next: impl Fn(usize) -> Option<usize>) -> BTreeSet<usize> {
        let mut all = from.clone();
        let mut new: Vec<usize> = from.iter().copied().collect();
        while let Some(at) = new.pop() {
            new.extend(next(at).filter(|next| all.insert(*next)));
        }
        all
    }

    proptest! {
        #[test]
        fn all_places_of_url_patterns_at_once_are_those_of_one_after_the_other(
            pattern in "(/|https://)[ab/.?#:*-]{0,12}",
            texts in proptest::collection::vec("(/|https://)([ab/.?#:-]|a{60}){0,8}", 6),
        ) {
            let Ok(pieces) = url_pattern::parse(&pattern) else { return Ok(()) };
            for text in texts {
                let mut topic = TopicRows::default();
                topic.read(text.as_bytes());
                topic.prepare(false);
                let mut expected = BTreeSet::from([0]);
                for piece in &pieces {
                    expected = ends(piece, text.as_bytes(), &expected);
                }
                for to in 0..=text.len() {
                    let (matched, steps) = lead(&pieces, &topic, (0, to), &mut Vec::new());
                    prop_assert_eq!(matched, expected.contains(&to), "{} {} {}", pattern, text, to);
                    let most: usize = pieces.iter().map(SelectorPiece::steps).sum();
                    prop_assert!(steps <= most * (text.len() / 64 + 1), "{} {}: {}", pattern, text, steps);
                }
            }
        }

        #[test]
        fn all_places_at_once_are_those_of_one_after_the_other(
            template in "(\\{[+#./;?&]?[ab]\\*?(,[ab]\\*?){0,3}\\}|[/a.,=&%]|%4a){1,6}\\{a\\}",
            texts in proptest::collection::vec("([ab./;?&=#,%4-]|%4a|a=|b=|[?;./&]a=|é|a{60}){0,8}", 6),
        ) {
            let Some(template) = template::compile(&template) else { return Ok(()) };
            for text in texts {
                let mut topic = TopicRows::default();
                topic.read(text.as_bytes());
                topic.prepare(true);
                let mut expected = BTreeSet::from([0]);
                for piece in &template.pieces {
                    expected = ends(piece, text.as_bytes(), &expected);
                }
                for to in 0..=text.len() {
                    let (matched, _) = lead(&template.pieces, &topic, (0, to), &mut Vec::new());
                    prop_assert_eq!(matched, expected.contains(&to), "{} {}", text, to);
                }
            }
        }
    }
}
