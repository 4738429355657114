//! Receives notifications and passes them on to shards, render jobs and the bus.

use std::sync::Arc;
use std::time::Instant;

use crate::broker::Broker;
use crate::broker::notifications;
use crate::shard::command::Command;
use crate::store::Store;
use crate::stream::Trigger;
use sse_protocol::topic;

/// Reads of an ending hub: enough for all that the kernel buffers, and bounded however busy a sender is.
const LAST_TURNS: usize = 16;

impl Broker {
    pub(crate) fn trigger(&mut self, topics: &[&str]) {
        if topics.is_empty() {
            self.counts.triggers += 1;
            self.notifications.add_all();
        }
        // This many topics become a notification of all topics, unchecked.
        if topics.len() > notifications::MAX_TOPICS {
            self.counts.triggers += topics.len() as u64;
            self.notifications.add_all();
            return;
        }
        for topic in topics {
            if topic::check_topic(topic).is_ok() {
                self.counts.triggers += 1;
                self.notifications.add(topic);
            } else {
                self.counts.triggers_refused += 1;
            }
        }
    }

    /// Receives the notifications that arrived as datagrams.
    pub(crate) fn receive_wakes(&mut self, now_ms: u64) {
        let Self { udp, notify, notifications, .. } = self;
        let mut wake = |topics: &[&str]| match topics {
            [] => notifications.add_all(),
            topics => topics.iter().for_each(|topic| notifications.add(topic)),
        };
        if let Some(udp) = udp {
            udp.receive(now_ms, &mut wake);
        }
        if let Some(notify) = notify {
            notify.receive(&mut wake);
        }
    }

    /// Receives the last notifications and removes the datagram socket, because the hub ends.
    pub(crate) fn stop_notify(&mut self) {
        let Some(mut notify) = self.notify.take() else { return };
        notify.remove();
        notify.ready = true;
        let notifications = &mut self.notifications;
        for _ in 0..LAST_TURNS {
            notify.receive(|topics| match topics {
                [] => notifications.add_all(),
                topics => topics.iter().for_each(|topic| notifications.add(topic)),
            });
        }
    }

    /// Passes this turn's notifications on. Callers do so before they act on anything that came later.
    pub(crate) fn pass_notifications(&mut self) {
        if self.notifications.is_empty() && self.heard.is_empty() {
            return;
        }
        let notifications: Vec<_> = self.notifications.take().map(Arc::new).collect();
        if let Store::Bus(bus) = &self.store {
            notifications.iter().for_each(|trigger| bus.wake(trigger.topic()));
        }
        self.pass(&notifications);
        let heard: Vec<_> = self.heard.take().map(Arc::new).collect();
        self.pass(&heard);
    }

    fn pass(&mut self, triggers: &[Arc<Trigger>]) {
        self.renders.triggers(triggers);
        let now = Instant::now();
        for trigger in triggers {
            self.busy_topics.notification(trigger.topic(), now);
            for shard in &mut self.shards {
                if trigger.topic() == topic::ALL || shard.may_watch(trigger.topic()) {
                    shard.send(Command::Trigger(Arc::clone(trigger)));
                }
            }
        }
    }
}
