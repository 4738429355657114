//! Mercure's subscriptions: publishes that they have begun and ended, and lists them.

use crate::broker::Broker;
use crate::connection::ProcessSession;
use crate::presence::subscription::{SubscriptionQuery, SubscriptionUpdate};
use crate::store::Store;
use crate::util::random;
use sse_protocol::event::NewEvent;
use sse_protocol::mercure;
use sse_protocol::wire::{ErrorCode, Reply};

/// Most subscriptions that are told of in a turn.
const TOLD_A_TURN: usize = 64;

impl Broker {
    /// Publishes what has become of subscriptions, a part of it in a turn.
    pub(crate) fn tell_subscriptions(&mut self) {
        for _ in 0..TOLD_A_TURN {
            let Some(change) = self.presence.take_subscription() else { return };
            let SubscriptionUpdate { topic, event_type, document } = change.update();
            let (topic, id) = (mercure::topic(&topic, true), random::urn());
            let new = NewEvent {
                topics: vec![&topic],
                data: document.as_bytes(),
                event_type,
                id: Some(&id),
                ..NewEvent::default()
            };
            self.publish_own(&new);
            self.turns.step(1);
        }
    }

    /// Answers a script that asks for active subscriptions.
    pub(crate) fn subscriptions(&self, session: &mut ProcessSession, query: &SubscriptionQuery<'_>) {
        if let Some(Err(error)) = query.pattern.map(mercure::check_pattern) {
            session.error(ErrorCode::Invalid, &error.to_string());
            return;
        }
        let page = self.presence.subscriptions_page(query);
        let none = matches!(self.store, Store::Memory) && self.counts.published == 0;
        let newest = if none { mercure::EARLIEST.to_owned() } else { self.newest() };
        let (json, last, newest) = (&page.json, page.last.as_deref(), &newest);
        session.reply(&Reply::Subscriptions { json, count: page.count, last, newest });
    }
}
