//! Topics of events, sent to clients that watch several topics by one stream.
//!
//! A client learns only those of an event's topics that its stream watches.

use std::sync::Arc;

use serde_json::json;

use crate::event::Event;
use crate::stream::Frames;
use sse_protocol::wire::TopicsAs;

/// Encodes an event with those of its topics for which `watches` returns true.
pub(crate) fn told(event: &Event, topics_as: TopicsAs, watches: impl Fn(&str) -> bool) -> Arc<Frames> {
    let mut topics = event.topics().iter().map(AsRef::as_ref).filter(|topic| watches(topic));
    let frame: Arc<[u8]> = match topics_as {
        TopicsAs::Field => {
            let mut frame = Vec::with_capacity(event.frame().len() + 64);
            for topic in topics {
                frame.extend_from_slice(format!("topic: {topic}\n").as_bytes());
            }
            frame.extend_from_slice(event.frame());
            frame.into()
        }
        TopicsAs::Envelope => {
            let data = String::from_utf8_lossy(event.data());
            let topics: Vec<&str> = topics.by_ref().collect();
            let envelope = json!({ "topics": topics, "event": event.name(), "data": data });
            let retry = event.retry().map_or_else(String::new, |retry| format!("retry: {retry}\n"));
            format!("id: {}\n{retry}data: {envelope}\n\n", event.id()).into_bytes().into()
        }
    };
    Arc::new(frame.into())
}

/// Encodes the start of a stream: the id of the newest event.
pub(crate) fn cursor(topics_as: TopicsAs, id: &str) -> Arc<[u8]> {
    match topics_as {
        TopicsAs::Field => format!("cursor: {id}\n\n"),
        TopicsAs::Envelope => format!("data: {}\n\n", json!({ "cursor": id })),
    }
    .into_bytes()
    .into()
}

/// Encodes what follows the missed events. A field `id` without data sets the last event ID and dispatches nothing.
pub(crate) fn reached(topics_as: TopicsAs, id: &str) -> Arc<[u8]> {
    match topics_as {
        TopicsAs::Field => format!("id: {id}\nreached: {id}\n\n"),
        TopicsAs::Envelope => format!("id: {id}\ndata: {}\n\n", json!({ "reached": id })),
    }
    .into_bytes()
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sse_protocol::event::NewEvent;

    fn text(topics_as: TopicsAs, new: &NewEvent<'_>) -> String {
        let frame = told(&Event::new(new, "7-0"), topics_as, |topic| topic != "secret");
        String::from_utf8(frame.bytes().to_vec()).expect("frames are UTF-8")
    }

    #[test]
    fn topics_that_are_watched_are_told_and_no_other() {
        let new = NewEvent { topics: vec!["a", "secret", "b.c"], name: Some("n"), data: b"x\ny", ..Default::default() };
        assert_eq!(text(TopicsAs::Field, &new), "topic: a\ntopic: b.c\nid: 7-0\nevent: n\ndata: x\ndata: y\n\n");
        assert_eq!(
            text(TopicsAs::Envelope, &new),
            "id: 7-0\ndata: {\"data\":\"x\\ny\",\"event\":\"n\",\"topics\":[\"a\",\"b.c\"]}\n\n"
        );
    }

    /// Attack: a line end of any kind in the data ends the envelope's line, and the publisher forges lines of the stream.
    #[test]
    fn an_envelope_is_one_line_whatever_the_data() {
        let data = "\r\n\rid: 1\n\n\u{2028}\0\"\\";
        let new = NewEvent { topics: vec!["a"], retry: Some(5), data: data.as_bytes(), ..Default::default() };
        let frame = text(TopicsAs::Envelope, &new);
        let line = frame.strip_prefix("id: 7-0\nretry: 5\ndata: ").and_then(|rest| rest.strip_suffix("\n\n"));
        let line = line.expect("three lines");
        assert!(!line.contains(['\r', '\n', '\0']));
        let envelope: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(envelope, json!({ "topics": ["a"], "event": null, "data": data }));
    }
}
