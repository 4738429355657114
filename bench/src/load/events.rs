//! The event stream as the HTML standard has it ("Server-sent events", parsing and interpreting an event stream), fed with
//! pieces that begin and end anywhere. It keeps no more of an event than checks need, and allocates nothing: there is one of
//! these for each of very many streams.

use memchr::{memchr, memchr2};

/// How much of an event's data and of its type is kept; the rest is only counted.
const KEPT_DATA: usize = 48;
/// See [`KEPT_DATA`].
const KEPT_KIND: usize = 15;

/// An event that was dispatched.
#[derive(Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its type; empty for "message".
    pub kind: &'a [u8],
    /// The beginning of its data.
    pub data: &'a [u8],
    /// The length of all its data.
    pub length: usize,
}

/// What a stream has shown until now.
#[derive(Debug, Default)]
pub struct Parser {
    /// Bytes of the byte order mark that were seen; `BOM_OVER` once it is out of the question.
    bom: u8,
    /// The last line ended in CR: a LF that follows belongs to it.
    after_cr: bool,
    line: Line,
    data: Kept<KEPT_DATA>,
    kind: Kept<KEPT_KIND>,
    /// Lines of data that the event has: without any, it is not dispatched.
    has_data: bool,
    /// Comments since the beginning: heartbeats.
    pub comments: u64,
}

/// Where in a line the parser is.
#[derive(Debug, Default)]
enum Line {
    /// Before its first byte.
    #[default]
    Begin,
    /// In its field name, of which this is known.
    Name(Kept<6>),
    /// Behind the colon: the value may begin with one space that is not part of it.
    Colon(Field),
    /// In its value.
    Value(Field),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Data,
    Event,
    Comment,
    /// `id` and `retry` mean nothing to who doesn't reconnect; anything else means nothing at all.
    Other,
}

/// The beginning of some bytes, and how many they are.
#[derive(Debug)]
struct Kept<const N: usize> {
    bytes: [u8; N],
    length: u32,
}

const BOM: &[u8] = b"\xEF\xBB\xBF";
const BOM_OVER: u8 = 4;

impl Parser {
    /// Takes the next bytes, and calls `dispatch` for each event that they complete.
    pub fn feed(&mut self, mut bytes: &[u8], dispatch: &mut impl FnMut(&Event<'_>)) {
        while self.bom < BOM_OVER && !bytes.is_empty() {
            bytes = self.skip_bom(bytes);
        }
        loop {
            if self.after_cr && !bytes.is_empty() {
                self.after_cr = false;
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
            let Some(end) = memchr2(b'\n', b'\r', bytes) else {
                self.piece(bytes);
                return;
            };
            self.piece(&bytes[..end]);
            self.end_line(dispatch);
            self.after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
        }
    }

    /// "The UTF-8 decode algorithm strips one leading UTF-8 Byte Order Mark (BOM), if any."
    fn skip_bom<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let seen = usize::from(self.bom);
        if seen == BOM.len() {
            self.bom = BOM_OVER;
            return bytes;
        }
        if bytes[0] == BOM[seen] {
            self.bom += 1;
            return &bytes[1..];
        }
        self.bom = BOM_OVER;
        self.piece(&BOM[..seen]);
        bytes
    }

    /// Takes a piece of a line.
    fn piece(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.line {
                Line::Begin => self.line = Line::Name(Kept::default()),
                Line::Name(name) => {
                    let Some(colon) = memchr(b':', bytes) else {
                        name.push(bytes);
                        return;
                    };
                    name.push(&bytes[..colon]);
                    bytes = &bytes[colon + 1..];
                    let field = Field::named(name);
                    self.line = Line::Colon(field);
                    self.begin_value(field);
                }
                Line::Colon(field) => {
                    self.line = Line::Value(*field);
                    bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
                }
                Line::Value(field) => {
                    match field {
                        Field::Data => self.data.push(bytes),
                        Field::Event => self.kind.push(bytes),
                        Field::Comment | Field::Other => {}
                    }
                    return;
                }
            }
        }
    }

    fn begin_value(&mut self, field: Field) {
        match field {
            Field::Data => {
                if self.has_data {
                    self.data.push(b"\n");
                }
                self.has_data = true;
            }
            Field::Event => self.kind.clear(),
            Field::Comment | Field::Other => {}
        }
    }

    fn end_line(&mut self, dispatch: &mut impl FnMut(&Event<'_>)) {
        match std::mem::take(&mut self.line) {
            Line::Begin => self.end_event(dispatch),
            // A line without a colon is a field with an empty value.
            Line::Name(name) => self.begin_value(Field::named(&name)),
            Line::Colon(Field::Comment) | Line::Value(Field::Comment) => self.comments += 1,
            Line::Colon(_) | Line::Value(_) => {}
        }
    }

    fn end_event(&mut self, dispatch: &mut impl FnMut(&Event<'_>)) {
        // "If the data buffer is an empty string, set the data buffer and the event type buffer to the empty string and
        // return." A single empty line of data leaves the buffer as "\n", which is not empty.
        if self.has_data {
            dispatch(&Event { kind: self.kind.known(), data: self.data.known(), length: self.data.length as usize });
        }
        self.has_data = false;
        self.data.clear();
        self.kind.clear();
    }
}

impl Field {
    fn named(name: &Kept<6>) -> Self {
        match name.known() {
            b"" => Self::Comment,
            b"data" => Self::Data,
            b"event" => Self::Event,
            _ => Self::Other,
        }
    }
}

impl<const N: usize> Default for Kept<N> {
    fn default() -> Self {
        Self { bytes: [0; N], length: 0 }
    }
}

impl<const N: usize> Kept<N> {
    fn push(&mut self, bytes: &[u8]) {
        let begin = (self.length as usize).min(N);
        let count = bytes.len().min(N - begin);
        self.bytes[begin..begin + count].copy_from_slice(&bytes[..count]);
        self.length = self.length.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    }

    fn clear(&mut self) {
        self.length = 0;
    }

    fn known(&self) -> &[u8] {
        &self.bytes[..(self.length as usize).min(N)]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Type and data of the events in a stream that comes in these pieces.
    fn events<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<(String, String)> {
        let mut parser = Parser::default();
        let mut found = Vec::new();
        for piece in pieces {
            parser.feed(piece, &mut |event: &Event<'_>| {
                let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                found.push((text(event.kind), text(event.data)));
            });
        }
        found
    }

    fn data(stream: &str) -> Vec<String> {
        events([stream.as_bytes()]).into_iter().map(|(_, data)| data).collect()
    }

    /// The examples of the standard, "Interpreting an event stream".
    #[test]
    fn the_standards_examples_are_understood() {
        assert_eq!(data("data: YHOO\ndata: +2\ndata: 10\n\n"), ["YHOO\n+2\n10"]);
        let four = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
        assert_eq!(data(four), ["first event", "second event", " third event"]);
        assert_eq!(data("data\n\ndata\ndata\n\ndata:"), ["", "\n"]);
        assert_eq!(data("data:test\n\ndata: test\n\n"), ["test", "test"]);
    }

    #[test]
    fn the_standards_example_of_types_is_understood() {
        let found = events([b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\ndata: 1\n\n".as_slice()]);
        let expected = [("add", "73857293"), ("remove", "2153"), ("", "1")];
        assert_eq!(found, expected.map(|(kind, data)| (kind.to_owned(), data.to_owned())));
    }

    #[test]
    fn lines_end_in_lf_cr_or_both() {
        assert_eq!(data("data: a\r\rdata: b\r\n\r\ndata: c\n\n"), ["a", "b", "c"]);
    }

    #[test]
    fn an_event_without_data_is_none_and_an_unfinished_one_neither() {
        assert_eq!(data("id: 5\n\nevent: x\n\ndata: y\n\ndata: cut"), ["y"]);
        assert_eq!(events([b"event: x\n\ndata: y\n\n".as_slice()]), [(String::new(), "y".to_owned())]);
    }

    #[test]
    fn the_last_type_of_an_event_counts() {
        let found = events([b"event: one\nevent: two\ndata: y\n\n".as_slice()]);
        assert_eq!(found, [("two".to_owned(), "y".to_owned())]);
        let found = events([b"event: one\nevent\ndata: y\n\n".as_slice()]);
        assert_eq!(found, [(String::new(), "y".to_owned())]);
    }

    #[test]
    fn one_byte_order_mark_is_skipped() {
        assert_eq!(data("\u{feff}data: a\n\n"), ["a"]);
        assert_eq!(data("\u{feff}\u{feff}data: a\n\n"), Vec::<String>::new());
        assert_eq!(data("data: a\n\n\u{feff}data: b\n\n"), ["a"]);
    }

    #[test]
    fn comments_are_counted() {
        let mut parser = Parser::default();
        parser.feed(b":\n\n: beat\n\ndata: :\n\n", &mut |_| {});
        assert_eq!(parser.comments, 2);
    }

    #[test]
    fn of_long_data_the_beginning_is_kept_and_the_length() {
        let long = format!("data: {}\n\n", "y".repeat(10_000));
        let mut found = Vec::new();
        Parser::default().feed(long.as_bytes(), &mut |event: &Event<'_>| found.push((event.data.len(), event.length)));
        assert_eq!(found, [(KEPT_DATA, 10_000)]);
    }

    proptest! {
        #[test]
        fn where_pieces_begin_and_end_changes_nothing(
            lines in prop::collection::vec(
                (prop::sample::select(vec![
                    "", "data", "data:", "data: a", "data:  b: c", "event: e", "event", "id: 4", ": comment", ":",
                    "retry: 10", "datax: no", "dat", "\u{feff}", "\u{feff}data: z", "data: \u{feff}é",
                ]), prop::sample::select(vec!["\n", "\r", "\r\n"])), 0..20),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let stream: String = lines.iter().flat_map(|(line, end)| [*line, *end]).collect();
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            places.extend([0, stream.len()]);
            places.sort_unstable();
            let pieces = places.windows(2).map(|pair| &stream.as_bytes()[pair[0]..pair[1]]);
            prop_assert_eq!(events(pieces), events([stream.as_bytes()]));
            prop_assert_eq!(events(stream.as_bytes().chunks(1)), events([stream.as_bytes()]));
        }
    }
}
