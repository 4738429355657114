//! The rights of a connection: one table for all requests.
//!
//! The hub acts with the rights of its own user: it connects to servers, runs scripts, and ends with its owners. So only
//! processes that have these rights anyway may request that. Other users, whom `sse.socket_group` or `sse.socket_mode` admits,
//! publish and watch.

use crate::sys::Credentials;
use sse_protocol::topic;
use sse_protocol::wire::{Attach, MAGIC, Presence, Request};

/// The role of a connection, from which its rights follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A process of the hub's own user, or of root.
    Owner,
    /// A process of another user, admitted by the settings.
    Member,
}

impl Role {
    /// The role of a process with these credentials at a hub of user `hub`.
    pub(crate) fn of(process: Credentials, hub: u32) -> Self {
        if process.uid == hub || process.uid == 0 { Self::Owner } else { Self::Member }
    }
}

/// Checks that a connection of this role may make this request.
///
/// # Errors
/// What it may not do, as the end of a sentence after "but may not".
pub(crate) fn allowed(role: Role, request: &Request<'_>) -> Result<(), &'static str> {
    if role == Role::Owner {
        return Ok(());
    }
    match request {
        // An upgrade passes every connection to the new hub.
        Request::Hello { magic, .. } if *magic != MAGIC => Err("take over from it, or ask it to end"),
        // The hub ends with its owners.
        Request::Hello { owner: Some(_), .. } => Err("name processes that it ends with"),
        Request::Hello { owner: None, .. } => Ok(()),
        // The hub would connect to the server that the client's connection names, and send it a request of the member's
        // choice.
        Request::Attach(Attach { replay: Some(_), .. }) => {
            Err("have scripts run again ($render of sse_stream(), and its option reauthorize)")
        }
        // Others would take what a member says for the site's own word, and members' names for what the site tells.
        Request::Attach(Attach { presence, patterns, .. })
            if *presence != Presence::default() || patterns.iter().any(|pattern| topic::is_reserved(pattern)) =>
        {
            Err("be present, or see who is (the options presence and presence_events, and topics that begin with '$')")
        }
        Request::Presence { .. } | Request::PresenceCount { .. } | Request::Subscriptions { .. } => {
            Err("ask who is present")
        }
        // What others watch is theirs.
        Request::Watchers { .. } | Request::Streams { .. } | Request::PublishReported { .. } => Err("ask who watches"),
        Request::Attach(Attach { replay: None, .. }) => Ok(()),
        // These concern only streams attached on the same connection.
        Request::Commit { .. } | Request::Redirect { .. } | Request::Abort { .. } => Ok(()),
        Request::Publish { event, .. } if event.finishes => Err("finish topics"),
        // Mercure's rights to publish are the site's to check.
        Request::Publish { event, .. } if event.topics.iter().any(|topic| topic::is_reserved(topic)) => {
            Err("publish to topics that begin with '$'")
        }
        Request::Publish { .. }
        | Request::Trigger { .. }
        | Request::Finished { .. }
        | Request::Retained { .. }
        | Request::Cursor => Ok(()),
        // These answer replays, which the hub requested from its own user's servers.
        Request::Replayed { .. } | Request::Render { .. } | Request::Rendered { .. } | Request::NotRendered { .. } => {
            Err("answer for scripts that are run again")
        }
        // They may be anybody's.
        Request::Disconnect { .. } | Request::Retopic { .. } => Err("change or end open streams"),
        // The counters cover all sites that use this hub.
        Request::Stats | Request::Metrics => Err("read its counters"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upgrade::{LEAVE, TAKE_OVER};
    use serde_bytes::Bytes;
    use sse_protocol::event::NewEvent;
    use sse_protocol::wire::{Framing, Member, OriginalRequest, Protocol, Replay, Whom, Whose};

    fn process(uid: u32) -> Credentials {
        Credentials { pid: 1, uid, gid: 33 }
    }

    #[test]
    fn the_hubs_user_and_root_are_owners_and_all_others_members() {
        assert_eq!(Role::of(process(33), 33), Role::Owner);
        assert_eq!(Role::of(process(0), 33), Role::Owner);
        assert_eq!(Role::of(process(34), 33), Role::Member);
        // A hub of root admits only root as owner.
        assert_eq!(Role::of(process(33), 0), Role::Member);
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
        Request::Rendered { whose, render: true, share, patterns, last_id, ends: false, frames, answer }
    }

    fn presence(id: Option<&'static str>, events: bool) -> Presence<'static> {
        Presence { member: id.map(|id| Member { id, info: "null" }), events }
    }

    fn publish_to(topic: &'static str) -> Request<'static> {
        Request::Publish { event: NewEvent { topics: vec![topic], data: b"", ..NewEvent::default() }, answer: true }
    }

    fn finish() -> Request<'static> {
        let event = NewEvent { topics: vec!["a"], finishes: true, ..NewEvent::default() };
        Request::Publish { event, answer: true }
    }

    /// Every request, and whether a member may make it.
    fn table() -> Vec<(Request<'static>, bool)> {
        vec![
            (hello(MAGIC, None), true),
            (hello(MAGIC, Some(7)), false),
            (hello(TAKE_OVER, None), false),
            (hello(LEAVE, None), false),
            (Request::Attach(Attach::default()), true),
            (Request::Attach(Attach { replay: Some(replay()), ..Attach::default() }), false),
            (Request::Attach(Attach { patterns: vec!["$presence.a"], ..Attach::default() }), false),
            (Request::Attach(Attach { presence: presence(None, true), ..Attach::default() }), false),
            (Request::Attach(Attach { presence: presence(Some("u"), false), ..Attach::default() }), false),
            (Request::Presence { topic: "a", after: None, limit: 1 }, false),
            (Request::PresenceCount { topic: "a" }, false),
            (Request::Subscriptions { pattern: None, subscriber: None, after: None, limit: 1 }, false),
            (Request::Watchers { topic: "a", local: true }, false),
            (Request::Streams { whose: None, after: None, limit: 1 }, false),
            (Request::Commit { stream: 1, framing: Framing::Raw }, true),
            (Request::Abort { stream: 1 }, true),
            (Request::Redirect { stream: 1, address: None, headers: vec![] }, true),
            (publish_to("a"), true),
            (Request::PublishReported { event: NewEvent::default() }, false),
            (finish(), false),
            (publish_to("$mercure.public.a"), false),
            (Request::Trigger { topics: vec!["a"] }, true),
            (Request::Replayed { token: "t" }, false),
            (Request::Render { token: "t", patterns: vec!["a"] }, false),
            (rendered(Whose::Token("t"), true), false),
            (rendered(Whose::Stream(1), false), false),
            (Request::NotRendered { token: "t", reason: "r" }, false),
            (Request::Finished { patterns: vec!["a"], last_event_id: None }, true),
            (Request::Retained { topic: "a" }, true),
            (Request::Disconnect { whom: Whom::Topic("a"), retry: None }, false),
            (Request::Retopic { stream: "s", add: vec!["a"], remove: vec![], user: None }, false),
            (Request::Cursor, true),
            (Request::Stats, false),
            (Request::Metrics, false),
        ]
    }

    /// Index of a request's kind. A new kind does not compile until it has an index here; add it to the table above, too.
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
            Request::Finished { .. } => 10,
            Request::Cursor => 11,
            Request::Stats => 12,
            Request::Metrics => 13,
            Request::Retained { .. } => 14,
            Request::Presence { .. } => 15,
            Request::PresenceCount { .. } => 16,
            Request::Disconnect { .. } => 17,
            Request::Retopic { .. } => 18,
            Request::Watchers { .. } => 19,
            Request::Streams { .. } => 20,
            Request::Subscriptions { .. } => 21,
            Request::PublishReported { .. } => 22,
            Request::Redirect { .. } => 23,
        }
    }
    const KINDS: usize = 24;

    /// Attack: a member makes the hub do, with the hub's rights, what the member may not do.
    #[test]
    fn a_member_publishes_and_watches_and_nothing_else() {
        let mut seen = [false; KINDS];
        for (request, member) in table() {
            seen[kind(&request)] = true;
            assert_eq!(allowed(Role::Owner, &request), Ok(()), "{request:?}");
            assert_eq!(allowed(Role::Member, &request).is_ok(), member, "{request:?}");
        }
        assert_eq!(seen, [true; KINDS], "every kind of request has a line in the table");
    }
}
