//! Sentinels tell which server is the master now.
//!
//! One Sentinel may know of a failover later than the others, or not at all if the network is cut. So what most of them say
//! counts, and a server that is not a master by its own answer is not used.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use redis::{Value, cmd};
use tracing::warn;

use crate::config::bus_address::servers::{BusServers, Endpoint, SentinelGroup};
use crate::store::redis::RedisContext;
use crate::store::redis::connection::{BusError, RedisConnection};
use crate::store::redis::entry::text;
use crate::store::redis::nodes::Nodes;

/// How long a Sentinel may take to answer, with connecting.
const ASKING: Duration = Duration::from_millis(500);

/// How often the Sentinels are asked whether the master is still the same.
const WATCHING: Duration = Duration::from_secs(1);

/// A bit for each Sentinel that did not answer the last time: it is asked after the others, as each costs up to [`ASKING`].
#[derive(Debug, Default)]
pub(crate) struct MuteSentinels(AtomicU32);

/// What the Sentinels say.
#[derive(Debug, Default)]
struct Votes {
    /// Masters, and how many Sentinels have named each.
    masters: Vec<(Endpoint, usize)>,
    /// Why a Sentinel has named none.
    problem: Option<String>,
}

/// Connects to the master.
pub(super) fn open(nodes: &Nodes, group: &SentinelGroup) -> Result<RedisConnection, BusError> {
    let Votes { masters, problem } = ask(nodes, group)?;
    let missing = |why| BusError::NoMaster { master: group.master.clone(), why };
    let mut why = missing(problem.unwrap_or_else(|| "no Sentinel has named one".into()));
    for (endpoint, _) in &masters {
        match nodes.connect(endpoint).and_then(|mut connection| is_master(&mut connection).map(|()| connection)) {
            Err(BusError::Stopped) => return Err(BusError::Stopped),
            Err(error) => why = missing(format!("{endpoint}: {error}")),
            connection => return connection,
        }
    }
    Err(why)
}

/// Asks the Sentinels again and again, until the hub ends: a master that they have replaced may still be reached, and what it
/// takes then is lost.
pub(super) fn watch(context: &RedisContext) {
    let BusServers::Sentinel(group) = &context.address.servers else { return };
    while !context.stop.wait(WATCHING) {
        let Ok(Votes { masters, .. }) = ask(&context.nodes, group) else { return };
        if let Some((master, votes)) = masters.first()
            && *votes * 2 > group.sentinels.len()
            && context.nodes.current().is_some()
        {
            context.nodes.found(master);
        }
    }
}

/// Asks Sentinels until most of them agree, and then returns only that master, or until all were asked. Fails only if the hub ends.
fn ask(nodes: &Nodes, group: &SentinelGroup) -> Result<Votes, BusError> {
    let mut votes = Votes::default();
    let mute = nodes.mute.0.load(Ordering::Relaxed);
    let is_mute = |nth: &usize| mute & (1 << nth) != 0;
    let mut order: Vec<usize> = (0..group.sentinels.len()).collect();
    order.sort_by_key(is_mute);
    for nth in order {
        let sentinel = &group.sentinels[nth];
        let bit = 1_u32 << nth;
        match master(nodes, group, sentinel) {
            Ok((host, port)) => {
                nodes.mute.0.fetch_and(!bit, Ordering::Relaxed);
                let endpoint = sentinel.at(host, port);
                let count = votes.add(&endpoint);
                if count * 2 > group.sentinels.len() {
                    // Even if this hub can't reach it: what another one takes is lost.
                    return Ok(Votes { masters: vec![(endpoint, count)], problem: None });
                }
            }
            Err(BusError::Stopped) => return Err(BusError::Stopped),
            Err(error) => {
                let before = nodes.mute.0.fetch_or(bit, Ordering::Relaxed);
                let why = format!("Sentinel {sentinel}: {error}");
                if before & bit == 0 {
                    warn!(bus = %nodes.address, reason = why, "a Sentinel does not tell the master of the bus");
                }
                votes.problem = Some(why);
            }
        }
    }
    votes.masters.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Ok(votes)
}

/// Asks one Sentinel for host and port of the master.
fn master(nodes: &Nodes, group: &SentinelGroup, sentinel: &Endpoint) -> Result<(String, u16), BusError> {
    let until = Instant::now() + ASKING;
    let mut connection = RedisConnection::open(sentinel, &group.login, 0, &nodes.stop, until)?;
    let mut question = cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(&group.master);
    let answer = connection.call_by(&question, until)?;
    match &answer {
        Value::Nil => Err(BusError::Said(format!("it watches no master '{}'", group.master))),
        Value::Array(parts) => match &parts[..] {
            [host, port] => text(host).map(Into::into).zip(text(port).and_then(|port| port.parse().ok())),
            _ => None,
        }
        .ok_or_else(|| BusError::senseless("SENTINEL")),
        _ => Err(BusError::senseless("SENTINEL")),
    }
}

/// Whether the server is a master by its own answer. One that was replaced by another one may be so for a moment when it is back,
/// but the Sentinels do not name it any more.
fn is_master(connection: &mut RedisConnection) -> Result<(), BusError> {
    let answer = connection.call(&cmd("ROLE"))?;
    let Value::Array(parts) = &answer else { return Err(BusError::senseless("ROLE")) };
    match parts.first().and_then(text) {
        Some("master") => Ok(()),
        Some(role) => Err(BusError::Broken(format!("it is no master (ROLE: {role}), so nothing is written to it"))),
        None => Err(BusError::senseless("ROLE")),
    }
}

impl Votes {
    /// Counts a Sentinel's answer; returns how many have given it.
    fn add(&mut self, endpoint: &Endpoint) -> usize {
        match self.masters.iter_mut().find(|(known, _)| known == endpoint) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                self.masters.push((endpoint.clone(), 1));
                1
            }
        }
    }
}
