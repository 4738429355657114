//! What a connection may ask for: one table for all requests.
//!
//! The hub acts with the rights of its own user: it connects to servers, has scripts run, and ends with its owners. So only
//! processes that have these rights anyway may ask for that. Others, whom `sse.socket_group` or `sse.socket_mode` lets in,
//! publish and watch.

use crate::sys::Credentials;
use sse_protocol::wire::{Attach, MAGIC, Request};

/// What a connection is to the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The hub's own user, or root.
    Owner,
    /// Another user, let in by the settings.
    Subscriber,
}

impl Role {
    /// The role of the process with these credentials at a hub of this user.
    pub(crate) fn of(connection: Credentials, hub: u32) -> Self {
        if connection.uid == hub || connection.uid == 0 { Self::Owner } else { Self::Subscriber }
    }
}

/// Whether a connection of this role may ask for this.
///
/// # Errors
/// What it may not do, as the end of "but may not".
pub(crate) fn allowed(role: Role, request: &Request<'_>) -> Result<(), &'static str> {
    if role == Role::Owner {
        return Ok(());
    }
    match request {
        // A hub that takes over gets every connection there is.
        Request::Hello { magic, .. } if *magic != MAGIC => Err("take over from it, or ask it to end"),
        // The hub ends with its owners.
        Request::Hello { owner: Some(_), .. } => Err("name processes that it ends with"),
        Request::Hello { owner: None, .. } => Ok(()),
        // The hub would connect to the server that the connection's descriptor names, and send there what the connection has written.
        Request::Attach(Attach { replay: Some(_), .. }) => {
            Err("have scripts run again ($render of sse_stream(), and its option reauthorize)")
        }
        Request::Attach(Attach { replay: None, .. }) => Ok(()),
        // Of streams that were attached on the same connection.
        Request::Commit { .. } | Request::Abort { .. } => Ok(()),
        Request::Publish { .. } | Request::Trigger { .. } | Request::Cursor => Ok(()),
        // Of runs that the hub has asked its own user's servers for.
        Request::Replayed { .. } | Request::Render { .. } | Request::Rendered { .. } | Request::NotRendered { .. } => {
            Err("answer for scripts that are run again")
        }
        // They tell of all sites that use this hub.
        Request::Stats | Request::Metrics => Err("read its counters"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upgrade::{LEAVE, TAKE_OVER};
    use serde_bytes::Bytes;
    use sse_protocol::wire::{Framing, OriginalRequest, Protocol, Replay, Whose};

    fn connection(uid: u32) -> Credentials {
        Credentials { pid: 1, uid, gid: 33 }
    }

    #[test]
    fn the_hubs_user_and_root_are_owners_and_all_others_members() {
        assert_eq!(Role::of(connection(33), 33), Role::Owner);
        assert_eq!(Role::of(connection(0), 33), Role::Owner);
        assert_eq!(Role::of(connection(34), 33), Role::Subscriber);
        // A hub of root is not everybody's.
        assert_eq!(Role::of(connection(33), 0), Role::Subscriber);
    }

    fn hello(magic: u32, owner: Option<u32>) -> Request<'static> {
        Request::Hello { magic, protocol: 1, version: "1", owner }
    }

    fn replay() -> Replay<'static> {
        Replay {
            render: false,
            only_changes: false,
            poll: 0,
            reauthorize: 1,
            share: None,
            request: OriginalRequest {
                script: "/a.php",
                protocol: Protocol::FastCgi,
                fields: Vec::new(),
                body: Bytes::new(b""),
                remote: ("", ""),
                last_event_id: None,
                session: None,
            },
        }
    }

    fn rendered(whose: Whose<'_>, answer: bool) -> Request<'_> {
        let (share, patterns, last_id, frames) = (None, vec!["a"], None, b"".as_slice());
        Request::Rendered { whose, render: true, share, patterns, last_id, frames, answer }
    }

    fn publish() -> Request<'static> {
        Request::Publish { topics: vec!["a"], name: None, id: None, retry: None, data: b"", answer: true }
    }

    /// Every request, and whether a subscriber may make it.
    fn table() -> Vec<(Request<'static>, bool)> {
        vec![
            (hello(MAGIC, None), true),
            (hello(MAGIC, Some(7)), false),
            (hello(TAKE_OVER, None), false),
            (hello(LEAVE, None), false),
            (Request::Attach(Attach::default()), true),
            (Request::Attach(Attach { replay: Some(replay()), ..Attach::default() }), false),
            (Request::Commit { stream: 1, framing: Framing::Raw }, true),
            (Request::Abort { stream: 1 }, true),
            (publish(), true),
            (Request::Trigger { topics: vec!["a"] }, true),
            (Request::Replayed { token: "t" }, false),
            (Request::Render { token: "t", patterns: vec!["a"] }, false),
            (rendered(Whose::Token("t"), true), false),
            (rendered(Whose::Stream(1), false), false),
            (Request::NotRendered { token: "t", reason: "r" }, false),
            (Request::Cursor, true),
            (Request::Stats, false),
            (Request::Metrics, false),
        ]
    }

    /// The place of a request's kind. A new kind does not compile here: it gets a place, and a line in the table above.
    fn kind(request: &Request<'_>) -> usize {
        match request {
            Request::Hello { .. } => 0,
            Request::Attach(_) => 1,
            Request::Commit { .. } => 2,
            Request::Abort { .. } => 3,
            Request::Publish { .. } => 4,
            Request::Trigger { .. } => 5,
            Request::Replayed { .. } => 6,
            Request::Render { .. } => 7,
            Request::Rendered { .. } => 8,
            Request::NotRendered { .. } => 9,
            Request::Cursor => 10,
            Request::Stats => 11,
            Request::Metrics => 12,
        }
    }
    const KINDS: usize = 13;

    /// Attack: a subscriber of the group has the hub do with the hub's rights what it could not do itself.
    #[test]
    fn a_member_publishes_and_watches_and_nothing_else() {
        let mut seen = [false; KINDS];
        for (request, subscriber) in table() {
            seen[kind(&request)] = true;
            assert_eq!(allowed(Role::Owner, &request), Ok(()), "{request:?}");
            assert_eq!(allowed(Role::Subscriber, &request).is_ok(), subscriber, "{request:?}");
        }
        assert_eq!(seen, [true; KINDS], "every kind of request has a line in the table");
    }
}
