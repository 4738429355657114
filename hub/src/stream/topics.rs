//! Topics of events, sent to clients that watch several topics by one stream.
//!
//! A client learns only those of an event's topics that its stream watches.

use std::sync::Arc;

use serde_json::json;

use crate::event::Event;
use crate::event::frames::Frames;
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
            if event.finishes() {
                frame.extend_from_slice(b"finished: 1\n");
            }
            if let Some(id) = last_value(event) {
                frame.extend_from_slice(format!("retained: {id}\n").as_bytes());
            }
            frame.extend_from_slice(event.frame());
            frame.into()
        }
        TopicsAs::Envelope => {
            let data = String::from_utf8_lossy(event.data());
            let topics: Vec<&str> = topics.by_ref().collect();
            let mut envelope = json!({ "data": data, "event": event.event_type(), "topics": topics });
            if event.finishes() {
                envelope["finished"] = true.into();
            }
            if let Some(id) = last_value(event) {
                envelope["retained"] = id.into();
            }
            let retry = event.retry().map_or_else(String::new, |retry| format!("retry: {retry}\n"));
            let id = if event.has_id() { format!("id: {}\n", event.id()) } else { String::new() };
            format!("{id}{retry}data: {envelope}\n\n").into_bytes().into()
        }
    };
    let frames = Frames::from(frame);
    frames.set_latest(event.latest());
    Arc::new(frames)
}

/// The id of an event that the client gets as a last value: its frame has no id, and the client may have had the event before.
fn last_value(event: &Event) -> Option<&str> {
    (!event.has_id() && !event.id().is_empty()).then(|| event.id())
}

/// Encodes the start of a stream: the id of the newest event, and the seconds between heartbeats, after which a client may miss one;
/// the browser's EventSource, which reads envelopes, does not see them.
pub(crate) fn cursor(topics_as: TopicsAs, id: &str, heartbeat: u32) -> Arc<[u8]> {
    match topics_as {
        TopicsAs::Field => format!("heartbeat: {}\ncursor: {id}\n\n", u64::from(heartbeat) * 1000),
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
        let new =
            NewEvent { topics: vec!["a", "secret", "b.c"], event_type: Some("n"), data: b"x\ny", ..Default::default() };
        assert_eq!(text(TopicsAs::Field, &new), "topic: a\ntopic: b.c\nid: 7-0\nevent: n\ndata: x\ndata: y\n\n");
        assert_eq!(
            text(TopicsAs::Envelope, &new),
            "id: 7-0\ndata: {\"data\":\"x\\ny\",\"event\":\"n\",\"topics\":[\"a\",\"b.c\"]}\n\n"
        );
    }

    #[test]
    fn a_last_value_is_told_with_the_id_that_its_frame_does_not_have() {
        let new = NewEvent { topics: vec!["a"], data: b"x", ..Default::default() };
        let value = Event::new(&new, "7-0").without_id();
        let text = |event: &Event, topics_as| {
            String::from_utf8(told(event, topics_as, |_| true).bytes().to_vec()).expect("frames are UTF-8")
        };
        assert_eq!(text(&value, TopicsAs::Field), "topic: a\nretained: 7-0\ndata: x\n\n");
        let envelope = "data: {\"data\":\"x\",\"event\":null,\"topics\":[\"a\"],\"retained\":\"7-0\"}\n\n";
        assert_eq!(text(&value, TopicsAs::Envelope), envelope);
        let own = Event::unnumbered(&new);
        assert_eq!(text(&own, TopicsAs::Field), "topic: a\ndata: x\n\n");
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
