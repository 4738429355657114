//! The greeting of a connection, and the refusal of what a connection may not do.

use std::time::Instant;

use tracing::debug;
use tracing::info;
use tracing::warn;

use crate::broker::Broker;
use crate::connection::ProcessSession;
use crate::connection::rights;
use crate::upgrade::{FORMAT, LEAVE, TAKE_OVER};
use sse_protocol::wire::{ErrorCode, MAGIC, PROTOCOL, Reply, Request, VERSION, WireError};

impl Broker {
    pub(crate) fn greet(&mut self, session: &mut ProcessSession, request: &Request<'_>) {
        match request {
            Request::Hello { magic: MAGIC, protocol: PROTOCOL, version, owner } => {
                session.greeted = true;
                // A pid of 0 means another pid namespace, whose ids mean nothing here. A server of another user also names
                // itself as owner, before it knows whose hub this is; the hub ignores that and greets it.
                let may_name = session.credentials.pid != 0 && rights::allowed(session.role, request).is_ok();
                self.new_owners.extend(owner.filter(|_| self.config.follow_owners && may_name));
                session.reply(&Reply::Welcome { protocol: PROTOCOL, version: VERSION, pid: std::process::id() });
                debug!(pid = session.credentials.pid, uid = session.credentials.uid, version, "a connection has come");
            }
            Request::Hello { magic: magic @ (TAKE_OVER | LEAVE), protocol, version, .. } => {
                self.greet_successor(session, *magic, *protocol, version);
            }
            Request::Hello { magic: MAGIC, protocol, version, .. } => {
                let reason = format!(
                    "this process is php-sse {version} (protocol {protocol}), the hub that runs is php-sse {VERSION} \
                     (protocol {PROTOCOL}); restart PHP so that both come from one sse.so"
                );
                self.refuse(session, &reason);
            }
            _ => self.refuse(session, "the first message was no php-sse greeting"),
        }
    }

    /// Accepts a new hub for an upgrade, or a request to leave, from this hub's own user only.
    pub(crate) fn greet_successor(&mut self, session: &mut ProcessSession, magic: u32, format: u16, version: &str) {
        let (own, uid) = (rustix::process::geteuid().as_raw(), session.credentials.uid);
        if uid != own {
            let reason = format!("this hub belongs to user {own}; user {uid} can't start one that takes over from it");
            self.refuse(session, &reason);
            return;
        }
        info!(pid = session.credentials.pid, version, format, "another hub asks to take over");
        session.reply(&Reply::Welcome { protocol: FORMAT, version: VERSION, pid: std::process::id() });
        // A new hub of another format will send `LEAVE` instead.
        session.takes_over = magic == TAKE_OVER && format == FORMAT;
        self.is_asked_to_leave |= magic == LEAVE;
    }

    /// Refuses a request that the connection's role does not allow.
    pub(crate) fn deny(&mut self, session: &mut ProcessSession, request: &Request<'_>, what: &str) {
        let (own, uid) = (rustix::process::geteuid().as_raw(), session.credentials.uid);
        let reason = format!(
            "this hub belongs to user {own}; user {uid}, whom sse.socket_group or sse.socket_mode lets in, may publish to it \
             and watch, but may not {what}; for that set sse.socket to a hub of user {uid}'s own, or to nothing"
        );
        // No process reads an answer that it did not ask for.
        if !matches!(request, Request::Rendered { answer: false, .. }) {
            session.error(ErrorCode::Denied, &reason);
        }
        self.distrusted(&reason);
    }

    /// Refuses a malformed message; the rest of the input is unusable.
    pub(crate) fn malformed(&mut self, session: &mut ProcessSession, error: &WireError) {
        if session.greeted {
            session.error(ErrorCode::Invalid, &error.to_string());
            session.refused = true;
            self.counts.refused_protocol += 1;
            self.warn_refused(&error.to_string());
        } else {
            self.refuse(session, "the first bytes were no php-sse greeting");
        }
    }

    pub(crate) fn refuse(&mut self, session: &mut ProcessSession, reason: &str) {
        self.counts.refused_protocol += 1;
        session.refuse(reason);
        self.warn_refused(reason);
    }

    /// Counts and logs a process that may not use the hub.
    pub(crate) fn distrusted(&mut self, reason: &str) {
        self.counts.refused_connections += 1;
        self.warn_refused(reason);
    }

    pub(crate) fn warn_refused(&mut self, reason: &str) {
        if let Some(kept_back) = self.refused.due(Instant::now()) {
            warn!(reason, before = kept_back, "a connection was refused");
        }
    }
}
