//! Lines of the log that stay one line, whatever a client, a script or a server has put into them.

use std::borrow::Cow;

use sse_protocol::topic::is_unsafe;

/// A line, which may end in a line feed, without other control characters, which would end it or steer the terminal that shows it,
/// and without those that change the direction of text. They are escaped as in JSON, so a line of JSON means the same afterwards.
pub(crate) fn escape(line: &[u8]) -> Cow<'_, [u8]> {
    let text = String::from_utf8_lossy(line);
    let (inside, end) = text.strip_suffix('\n').map_or((&*text, ""), |inside| (inside, "\n"));
    if !inside.contains(is_unsafe) {
        return line.into();
    }
    let mut escaped = String::with_capacity(line.len() + 16);
    for c in inside.chars() {
        match c {
            '\n' => escaped += "\\n",
            c if is_unsafe(c) => escaped += &format!("\\u{:04x}", u32::from(c)),
            c => escaped.push(c),
        }
    }
    (escaped + end).into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line() {
        let escaped = |line: &str| String::from_utf8(escape(line.as_bytes()).into_owned()).expect("text");
        assert!(matches!(escape("é plain \"x\"\n".as_bytes()), Cow::Borrowed(_)));
        assert_eq!(escaped("a\nb\r\u{1b}[2J\u{85}\u{202e}\n"), "a\\nb\\u000d\\u001b[2J\\u0085\\u202e\n");
        assert_eq!(escaped("without an end\0"), "without an end\\u0000");
    }
}
