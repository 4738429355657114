//! A Redis Cluster: the stream and all keys beside it have one hash tag, and so one slot, which one node has at a time.
//!
//! Any node tells by MOVED which one that is. All connections of all hubs lead to that node, also those that only listen: of a
//! message it counts the receivers that are connected to itself.

use redis::cmd;

use crate::config::bus_address::servers::Endpoint;
use crate::store::redis::connection::{BusError, RedisConnection};
use crate::store::redis::life::RedisStreamInfo;
use crate::store::redis::nodes::Nodes;

/// Most nodes that are followed one after the other: they may disagree for a moment while a slot moves.
const HOPS: usize = 5;

/// Connects to the node that has the stream's slot. `known`: nodes of the cluster.
pub(super) fn open(nodes: &Nodes, known: &[Endpoint]) -> Result<RedisConnection, BusError> {
    let before = nodes.current();
    let others = known.iter().filter(|node| before.as_ref() != Some(node));
    let mut why = BusError::Broken("no node was asked".into());
    let mut away = Vec::new();
    for node in before.iter().chain(others) {
        match follow(nodes, node, &mut away) {
            Err(BusError::Stopped) => return Err(BusError::Stopped),
            // Another node may know that this one has been replaced.
            Err(error) => why = error,
            connection => return connection,
        }
    }
    Err(why)
}

/// Connects to a node, or to the one to which it leads. `away`: nodes that were tried in vain, which the others may still name.
fn follow(nodes: &Nodes, first: &Endpoint, away: &mut Vec<Endpoint>) -> Result<RedisConnection, BusError> {
    let mut next = first.clone();
    for _ in 0..HOPS {
        if away.contains(&next) {
            return Err(BusError::Broken(format!("{first} leads to {next}, which can't be reached")));
        }
        let at = |error| match error {
            BusError::Stopped => BusError::Stopped,
            error => BusError::Broken(format!("{next}: {error}")),
        };
        let mut connection = match nodes.connect(&next) {
            Ok(connection) => connection,
            Err(error) => {
                away.push(next.clone());
                return Err(at(error));
            }
        };
        let answer = connection.call(cmd("XINFO").arg("STREAM").arg(&nodes.address.stream));
        match RedisStreamInfo::read(answer) {
            Ok(_) => return Ok(connection),
            Err(BusError::Said(reason)) => match moved(&reason, &next) {
                Some(node) => next = node,
                None => return Err(at(BusError::Said(reason))),
            },
            Err(error) => return Err(at(error)),
        }
    }
    Err(BusError::Broken(format!("the cluster's nodes lead to each other, {first} first")))
}

/// Where an answer `MOVED SLOT HOST:PORT` leads; without a host it is the one that has answered.
fn moved(reason: &str, from: &Endpoint) -> Option<Endpoint> {
    let mut words = reason.strip_prefix("MOVED ")?.split(' ');
    let (_, node) = (words.next()?, words.next()?);
    let (host, port) = node.rsplit_once(':')?;
    let host = if host.is_empty() { from.host()? } else { host };
    Some(from.at(host.into(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_leads_to_another_one() {
        let tcp = |host: &str, port| Endpoint::Tcp { host: host.into(), port };
        let from = tcp("one", 7000);
        assert_eq!(moved("MOVED 3999 10.0.0.2:6381", &from), Some(tcp("10.0.0.2", 6381)));
        assert_eq!(moved("MOVED 3999 :6381", &from), Some(tcp("one", 6381)));
        assert_eq!(moved("MOVED 3999 ::1:6381", &from), Some(tcp("::1", 6381)));
        for other in ["ASK 3999 10.0.0.2:6381", "MOVED", "MOVED 1 host", "MOVED 1 host:port", "CLUSTERDOWN"] {
            assert_eq!(moved(other, &from), None, "{other}");
        }
    }
}
