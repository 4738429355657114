//! The state of an event in an upgrade.

use std::sync::OnceLock;

use serde_bytes::Bytes;

use crate::event::pinned::References;
use crate::event::{Data, Event, RareParts, topics_name, with_header};
use serde::{Deserialize, Serialize, Serializer};
use sse_protocol::framing;

/// An event. Its bytes are passed as they are: a stream may have written some of them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EventState<'a> {
    pub(crate) id: &'a str,
    #[serde(borrow)]
    pub(crate) topics: Vec<&'a str>,
    pub(crate) event_type: Option<&'a str>,
    pub(crate) retry: Option<u32>,
    pub(crate) finishes: bool,
    pub(crate) latest: bool,
    pub(crate) spread: u32,
    pub(crate) traceparent: Option<&'a str>,
    pub(crate) frame: &'a Bytes,
    pub(crate) data: DataState<'a>,
}

/// Where an event's data is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum DataState<'a> {
    /// Byte range within the frame: from, to.
    InFrame(u64, u64),
    Beside(#[serde(borrow)] &'a Bytes),
}

/// As its state, `EventState`.
impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.state().serialize(serializer)
    }
}

impl Event {
    /// The event's state for the new hub.
    pub(crate) fn state(&self) -> EventState<'_> {
        let Self {
            id,
            topics,
            event_type,
            retry,
            finishes,
            latest,
            spread,
            rare: _,
            record: _,
            data,
            message: _,
            references: _,
        } = self;
        EventState {
            id,
            topics: topics.iter().map(AsRef::as_ref).collect(),
            event_type: event_type.as_deref(),
            retry: *retry,
            finishes: *finishes,
            latest: latest.is_some(),
            spread: *spread,
            traceparent: self.traceparent(),
            frame: Bytes::new(self.frame()),
            data: match data {
                Data::InFrame(range) => DataState::InFrame(range.start as u64, range.end as u64),
                Data::Beside(data) => DataState::Beside(Bytes::new(data)),
            },
        }
    }

    /// Rebuilds an event from its state; `None` if the state is invalid.
    pub(crate) fn restore(state: &EventState<'_>) -> Option<Self> {
        let data = match state.data {
            DataState::InFrame(from, to) => {
                let range = usize::try_from(from).ok()?..usize::try_from(to).ok()?;
                state.frame.get(range.clone())?;
                Data::InFrame(range)
            }
            DataState::Beside(data) => Data::Beside(data.to_vec().into()),
        };
        Some(Self {
            id: state.id.into(),
            topics: state.topics.iter().map(|&topic| topic.into()).collect(),
            event_type: state.event_type.map(Into::into),
            retry: state.retry,
            finishes: state.finishes,
            latest: state.latest.then(|| topics_name(state.topics.clone())),
            spread: state.spread,
            // The event has reached all streams that it was for, so that none is excepted.
            rare: RareParts::new(None, state.traceparent),
            record: with_header([&[0; framing::HEADER], &state.frame[..]].concat()),
            data,
            message: OnceLock::new(),
            references: References::default(),
        })
    }
}
