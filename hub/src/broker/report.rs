//! Reports the counters as JSON: `sse_stats()`.

use serde_json::{Map, Value, json};

use crate::broker::Broker;
use crate::stats::{EndReason, ShardStats};
use crate::store::Store;
use crate::sys::processes::ProcessStatus;
use crate::udp::UdpStats;
use sse_protocol::wire::VERSION;

/// The report, a JSON object. Its keys are a public interface: add keys, but never change one. Each needs a line in
/// [`metrics`](crate::stats::openmetrics), the source of docs/reference/statistics.md, and a word in stubs/sse.stub.php.
pub(crate) fn report(broker: &Broker) -> Value {
    let counts = &broker.counts;
    let opened = broker.sum(ShardStats::begun);
    let ended_held = broker.sum(|stats| stats.ended_held.get());
    let ended = broker.sum(ShardStats::ended_all);
    let closed: Map<String, Value> =
        EndReason::ALL.iter().map(|why| (why.name().into(), broker.sum(|stats| stats.ended(*why)).into())).collect();
    let no_udp = UdpStats::default();
    let udp = broker.udp.as_ref().map_or(&no_udp, |udp| &udp.stats);
    let notify = broker.notify.as_ref().map(|notify| notify.stats).unwrap_or_default();
    let (presence_topics, members) = broker.presence.len();
    let processes = broker.processes();
    let others: u64 = processes.iter().flatten().filter_map(|process| process["resident_bytes"].as_u64()).sum();
    let mut report = json!({
        "version": VERSION,
        "pid": std::process::id(),
        "uptime": broker.started.elapsed().as_secs(),
        "resident_bytes": resident(std::process::id()).unwrap_or_default() + others,
        "upgrades": broker.upgrades,
        "shards": broker.shards.len(),
        "connections": broker.connections,
        "streams": {
            "open": (opened + ended_held).saturating_sub(ended),
            "held": counts.attached.saturating_sub(opened + ended_held),
            "opened": opened,
            "closed": closed,
        },
        "refused": {
            "full": counts.refused_full,
            "per_ip": counts.refused_per_ip,
            "per_user": counts.refused_per_user,
            "topic_bytes": counts.refused_topic_bytes,
            "template_steps": counts.refused_template_steps,
            "redirect_bytes": counts.refused_redirect_bytes,
            "descriptors": counts.refused_descriptors,
            "connections": counts.refused_connections,
            "protocol": counts.refused_protocol,
        },
        "quota_keys": broker.quota.len(),
        "topics": broker.names.len() as u64 + broker.sum(|stats| stats.topics.get()),
        "topic_bytes": broker.topics.used(),
        "presence": {
            "topics": presence_topics,
            "members": members,
            "joins": broker.presence.counts.joins,
            "leaves": broker.presence.counts.leaves,
        },
        "published": counts.published,
        "published_bytes": counts.published_bytes,
        "publish_refused": counts.publish_refused,
        "keys": broker.keys.report(),
        "retained": broker.retained.report(),
        "disconnects": counts.disconnects,
        "retopics": counts.retopics,
        "triggers": counts.triggers,
        "triggers_refused": counts.triggers_refused,
        "delivered": broker.sum(|stats| stats.delivered.get()),
        "delivered_bytes": broker.sum(|stats| stats.delivered_bytes.get()),
        "superseded": broker.sum(|stats| stats.superseded.get()),
        "heartbeats": broker.sum(|stats| stats.heartbeats.get()),
        "finished": finished(broker),
        "history": history(broker),
        "renders": broker.renders.report(),
        "turns": broker.turns.report(),
        "queued_bytes": broker.sum(|stats| stats.queued_bytes.get()),
        "pinned_bytes": broker.pinned(),
        "udp": {
            "listening": broker.udp.as_ref().map(|udp| udp.address().to_string()),
            "received": udp.received,
            "wakes": udp.wakes,
            "garbage": udp.garbage,
            "unauthenticated": udp.unauthenticated,
            "replayed": udp.replayed,
            "dropped": udp.dropped,
            "delayed": udp.delayed,
        },
        "notify": {
            "listening": broker.notify.as_ref().map(|notify| notify.path().display().to_string()),
            "received": notify.received,
            "wakes": notify.wakes,
            "garbage": notify.garbage,
            "refused": notify.refused,
        },
    });
    // `json!` takes no more members.
    report["busiest"] = broker.busy_topics.report();
    report["descriptor_limit"] = broker.descriptors.into();
    report["redirects"] = redirects(broker);
    report["settings"] = broker.config.report();
    report["template_steps"] = broker.templates.most().into();
    report["published_unwatched"] = counts.published_unwatched.into();
    report["padding_bytes"] = broker.sum(|stats| stats.padding_bytes.get()).into();
    report["spread"] = broker.sum(|stats| stats.spread.get()).into();
    if let Store::Bus(bus) = &broker.store {
        report["bus"] = bus.report();
    }
    if let Some(processes) = processes {
        report["processes"] = json!({ "lost": counts.processes_lost, "each": processes });
    }
    report
}

/// Resident memory of a process, in bytes.
pub(crate) fn resident(pid: u32) -> Option<u64> {
    let kilobytes: u64 = ProcessStatus::of(pid)?.number("VmRSS")?;
    Some(kilobytes << 10)
}

fn redirects(broker: &Broker) -> Value {
    let (counts, http) = (&broker.counts, &broker.http);
    json!({
        "issued": counts.redirects,
        "waiting": http.tickets.len(),
        "bytes": http.budget.used(),
        "followed": counts.redirects_followed,
        "expired": counts.redirects_expired,
        "unknown": http.tickets.unknown(),
    })
}

fn finished(broker: &Broker) -> Value {
    let mut report = broker.finished.report();
    report["answered"] = broker.counts.over.into();
    report
}

fn history(broker: &Broker) -> Value {
    let mut report = broker.history.report();
    report["given_up"] = broker.counts.resumes_given_up.into();
    if let Store::Disk(disk) = &broker.store {
        report["file"] = disk.report();
    }
    report
}
