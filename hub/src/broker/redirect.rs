//! Streams that the web server fetches from the hub: their tickets, and their beginning.

use std::time::{Duration, Instant};

use serde_bytes::Bytes;

use crate::broker::Broker;
use crate::broker::refusal::StreamRefusal;
use crate::http::head;
use crate::http::thread::Redeemed;
use crate::http::tickets::RedirectTicket;
use crate::shard::command::Command;

impl Broker {
    /// Issues a ticket for a held stream; returns its name. `held`: the stream is the connection's.
    pub(crate) fn redirect(
        &mut self,
        held: bool,
        stream: u64,
        address: Option<&str>,
        headers: &[&Bytes],
    ) -> Result<Box<str>, StreamRefusal> {
        if !held {
            return Err(StreamRefusal::Over);
        }
        self.http.open().map_err(StreamRefusal::NoRedirect)?;
        let lines: Vec<&[u8]> = headers.iter().map(AsRef::as_ref).collect();
        let headers = head::headers(&lines).ok_or(StreamRefusal::Headers)?;
        let kept = self.http.budget.account(address).reserve(RedirectTicket::bytes(headers.len()));
        let kept = kept.inspect_err(|exhausted| {
            self.counts.refused_redirect_bytes += 1;
            self.warn_full(&exhausted.to_string());
        })?;
        let until = Instant::now() + self.http.config.timeout;
        let ticket = RedirectTicket { stream, headers, until, kept };
        let name = self.http.tickets.issue(ticket);
        let name = name.map_err(|error| StreamRefusal::NoRedirect(format!("no random bytes for a ticket: {error}")))?;
        self.counts.redirects += 1;
        Ok(name)
    }

    /// Opens the streams that the web server has fetched, for about `time`.
    pub(crate) fn learn_redeemed(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() <= time
            && let Some(Redeemed { stream, framing, socket }) = self.http.redeemed()
        {
            let Some(socket) = socket else {
                self.abandon(&[stream]);
                continue;
            };
            self.counts.redirects_followed += 1;
            self.pass_notifications();
            self.shard(stream).send(Command::Redeem { stream, framing, socket });
            self.renders.open(stream);
        }
    }

    /// Ends the streams that the web server has not fetched in time.
    pub(crate) fn expire_tickets(&mut self, now: Instant) {
        let over = self.http.tickets.expire(now);
        self.counts.redirects_expired += over.len() as u64;
        self.abandon(&over);
    }
}
