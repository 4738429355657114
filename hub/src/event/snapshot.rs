//! The state of an event in an upgrade.

use std::sync::OnceLock;

use serde_bytes::Bytes;

use crate::event::{Data, Event, with_header};
use crate::stream::pinned::Keepers;
use crate::upgrade::state::{DataState, EventState};
use sse_protocol::framing;

impl Event {
    /// The event's state for the new hub.
    pub(crate) fn state(&self) -> EventState<'_> {
        let Self { id, topics, name, retry, record: _, data, message: _, keepers: _ } = self;
        EventState {
            id,
            topics: topics.iter().map(AsRef::as_ref).collect(),
            name: name.as_deref(),
            retry: *retry,
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
            name: state.name.map(Into::into),
            retry: state.retry,
            record: with_header([&[0; framing::HEADER], &state.frame[..]].concat()),
            data,
            message: OnceLock::new(),
            keepers: Keepers::default(),
        })
    }
}
