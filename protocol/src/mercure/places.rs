//! A topic, prepared for comparisons: each of its places is a bit, so that 64 of them are compared at once.
//!
//! A comparison is at some places. A byte of a template leads from those that have this byte to the next ones; a variable leads on
//! as far as bytes go that its value may have, which is one addition: its carries run through them. So no topic makes a comparison
//! slow. (R. Cameron et al., "Bitwise Data Parallelism in Regular Expression Matching", PACT 2014.)

/// A set of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ByteSet {
    /// RFC 3986: "unreserved  = ALPHA / DIGIT / "-" / "." / "_" / "~"".
    Unreserved,
    /// The same and the comma, which joins the items of a list.
    List,
    /// The same and what RFC 3986 reserves.
    Reserved,
}

impl ByteSet {
    const ALL: [Self; 3] = [Self::Unreserved, Self::List, Self::Reserved];

    pub(super) fn has(self, byte: u8) -> bool {
        let unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        match self {
            Self::Unreserved => unreserved,
            Self::List => unreserved || byte == b',',
            Self::Reserved => unreserved || b":/?#[]@!$&'()*+,;=".contains(&byte),
        }
    }
}

/// What is between the items of a list: RFC 6570, appendix A, "sep".
const SEPARATORS: [u8; 5] = *b",./;&";

/// A topic, and its places: that before its first byte, and so on to that after its last. A row has a bit for each place.
#[derive(Debug, Default)]
pub(super) struct TopicRows {
    text: Vec<u8>,
    /// Words of a row; 0: there are no rows yet.
    words: usize,
    /// For each byte the places that have it next.
    bytes: Vec<u64>,
    /// For each set the places that have one of its bytes next, or are at or within a percent-encoded byte.
    sets: Vec<u64>,
    /// Places within a percent-encoded byte. No value ends there.
    within: Vec<u64>,
    /// For each separator two rows of [`ListPlaces`]; empty: not known yet.
    lists: Vec<u64>,
    pub(super) steps: usize,
}

/// Places in lists with one kind of separator.
pub(super) struct ListPlaces<'a> {
    /// Those behind a `=`, with no separator between.
    pub(super) valued: &'a [u64],
    /// Those at which a list goes on if it began before the last `=`.
    pub(super) inner: &'a [u64],
}

impl TopicRows {
    /// Begins with another topic.
    pub(super) fn read(&mut self, text: &[u8]) {
        self.text.clear();
        self.text.extend_from_slice(text);
        self.words = 0;
        self.lists.clear();
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Finds the rows, with those of lists if they are asked for, unless that is done.
    pub(super) fn prepare(&mut self, with_lists: bool) {
        if self.words == 0 {
            self.find_bytes();
        }
        if with_lists && self.lists.is_empty() {
            self.find_lists();
        }
    }

    pub(super) fn of(&self, byte: u8) -> &[u64] {
        row(&self.bytes, byte.into(), self.words)
    }

    pub(super) fn of_set(&self, set: ByteSet) -> &[u64] {
        row(&self.sets, set as usize, self.words)
    }

    pub(super) fn within(&self) -> &[u64] {
        &self.within
    }

    pub(super) fn of_list(&self, separator: u8) -> ListPlaces<'_> {
        let nth = 2 * SEPARATORS.iter().position(|&one| one == separator).unwrap_or(0);
        ListPlaces { valued: row(&self.lists, nth, self.words), inner: row(&self.lists, nth + 1, self.words) }
    }

    fn find_bytes(&mut self) {
        let Self { text, words, bytes, sets, within, steps, .. } = self;
        *steps += text.len();
        *words = text.len() / 64 + 1;
        for (rows, count) in [(&mut *bytes, 256), (sets, ByteSet::ALL.len()), (within, 1)] {
            rows.clear();
            rows.resize(count * *words, 0);
        }
        let mut encoded = 0;
        for (at, &byte) in text.iter().enumerate() {
            add(bytes, byte.into(), *words, at);
            let is_within = encoded > 0;
            if is_within {
                encoded -= 1;
                add(within, 0, *words, at);
            } else if is_encoded(&text[at..]) {
                encoded = 2;
            }
            let is_part = is_within || encoded > 0;
            for set in ByteSet::ALL.into_iter().filter(|set| is_part || set.has(byte)) {
                add(sets, set as usize, *words, at);
            }
        }
    }

    /// Items have at most one `=` between two separators, and in a query exactly one. Which of a topic's `=` and separators follow
    /// these rules does not depend on where a list begins, but for its first `=`.
    fn find_lists(&mut self) {
        let Self { text, words, sets, lists, steps, .. } = self;
        *steps += SEPARATORS.len() * text.len();
        lists.resize(2 * SEPARATORS.len() * *words, 0);
        for (nth, separator) in SEPARATORS.into_iter().enumerate() {
            let mut is_valued = false;
            for (at, &byte) in text.iter().enumerate() {
                let is_value = sets[ByteSet::Unreserved as usize * *words + at / 64] >> (at % 64) & 1 > 0;
                let goes_on = match byte {
                    b'=' => !is_valued,
                    _ if byte == separator => is_valued || separator != b'&',
                    _ => is_value,
                };
                if is_valued {
                    add(lists, 2 * nth, *words, at);
                }
                if goes_on {
                    add(lists, 2 * nth + 1, *words, at);
                }
                is_valued = byte == b'=' || is_valued && is_value && byte != separator;
            }
            if is_valued {
                add(lists, 2 * nth, *words, text.len());
            }
        }
    }
}

fn row(rows: &[u64], nth: usize, words: usize) -> &[u64] {
    &rows[nth * words..][..words]
}

fn add(rows: &mut [u64], nth: usize, words: usize, place: usize) {
    rows[nth * words + place / 64] |= 1 << (place % 64);
}

fn is_encoded(text: &[u8]) -> bool {
    matches!(text, [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}
