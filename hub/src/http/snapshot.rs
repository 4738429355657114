//! The listener and its tickets in an upgrade: a ticket that a web server has not used yet holds at the new hub.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use crate::http::listener::HttpListener;
use crate::http::thread::PartialRequest;
use crate::http::tickets::RedirectTicket;
use crate::upgrade::incoming::wrong;
use crate::upgrade::outgoing::{ITEMS, Outgoing};
use crate::upgrade::part::PartKind;

/// The listener.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HttpState<'a> {
    /// Its address; `None`: there is none.
    pub(crate) place: Option<&'a str>,
    /// Requests without a valid ticket.
    pub(crate) unknown: u64,
}

/// An unused ticket.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TicketState<'a> {
    pub(crate) name: &'a str,
    pub(crate) stream: u64,
    pub(crate) client: Option<IpAddr>,
    pub(crate) headers: &'a Bytes,
    pub(crate) left: Duration,
}

impl HttpListener {
    /// Sends all to the new hub. The thread is paused.
    pub(crate) fn pass_on(&self, outgoing: &mut Outgoing<'_>) -> io::Result<()> {
        let parts = self.parts();
        let place = parts.as_ref().map(|(place, ..)| place.as_str());
        let listener: Vec<_> = parts.iter().map(|(_, listener, _)| listener.as_fd()).collect();
        outgoing.part(PartKind::Http, &HttpState { place, unknown: self.tickets.unknown() }, &listener)?;
        let requests = parts.as_ref().map_or(&[][..], |(.., requests)| requests);
        for group in requests.chunks(ITEMS) {
            let bytes: Vec<_> = group.iter().map(|request| Bytes::new(&request.bytes)).collect();
            let sockets: Vec<_> = group.iter().map(|request| request.socket.as_fd()).collect();
            outgoing.part(PartKind::Requests, &bytes, &sockets)?;
        }
        let mut sent = Ok(());
        self.tickets.each(Instant::now(), |name, ticket, left| {
            let RedirectTicket { stream, headers, .. } = ticket;
            let state =
                TicketState { name, stream: *stream, client: ticket.client(), headers: Bytes::new(headers), left };
            if sent.is_ok() {
                sent = outgoing.part(PartKind::Tickets, &vec![state], &[]);
            }
        });
        sent
    }

    /// Restores the listener.
    pub(crate) fn restore(&mut self, state: &HttpState<'_>, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        self.tickets.add_unknown(state.unknown);
        match (state.place, descriptors.into_iter().next()) {
            (Some(place), Some(listener)) => self.inherit(place, listener),
            (None, None) => {}
            _ => return Err(wrong("the number of descriptors")),
        }
        Ok(())
    }

    /// Restores requests that have not come in full.
    pub(crate) fn restore_requests(&mut self, bytes: &[&Bytes], sockets: Vec<OwnedFd>) -> io::Result<()> {
        if bytes.len() != sockets.len() {
            return Err(wrong("the number of descriptors"));
        }
        let requests = bytes.iter().zip(sockets);
        self.inherit_requests(requests.map(|(bytes, socket)| PartialRequest { socket, bytes: bytes.to_vec() }));
        Ok(())
    }

    /// Restores a ticket.
    pub(crate) fn restore_ticket(&mut self, state: &TicketState<'_>) {
        let TicketState { name, stream, client, headers, left } = state;
        let kept = self.budget.of_client(*client).take(RedirectTicket::bytes(headers.len()));
        let headers: Box<[u8]> = headers.to_vec().into();
        let ticket = RedirectTicket { stream: *stream, headers, until: Instant::now() + *left, kept };
        self.tickets.keep((*name).into(), ticket);
    }
}
