//! A Redis Cluster of three masters, each with a third of the slots, and one replica; it ends with its test.

use super::redis::Redis;
use super::{free_port, until};

/// The key of the stream by default.
pub const STREAM: &str = "{sse}";

const SLOTS: u32 = 16384;

pub struct Cluster {
    /// Three masters and a replica.
    pub nodes: Vec<Redis>,
    /// The slot of [`STREAM`].
    slot: u32,
}

impl Cluster {
    pub fn new() -> Self {
        let ports: Vec<String> = (0..4).map(|_| free_port().to_string()).collect();
        let nodes: Vec<Redis> = ports
            .iter()
            .map(|port| {
                let options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-port", port];
                Redis::with(&options)
            })
            .collect();
        for (nth, node) in nodes.iter().enumerate().take(3) {
            let nth = u32::try_from(nth).expect("few");
            let (first, last) = (SLOTS * nth / 3, SLOTS * (nth + 1) / 3 - 1);
            let _: String = node.call(&format!("CLUSTER ADDSLOTSRANGE {first} {last}"));
            let _: String = node.call(&format!("CLUSTER SET-CONFIG-EPOCH {}", nth + 1));
        }
        for (node, port) in nodes.iter().zip(&ports).skip(1) {
            let _: String = nodes[0].call(&format!("CLUSTER MEET 127.0.0.1 {} {port}", node.port));
        }
        let cluster = Self { slot: nodes[0].call(&format!("CLUSTER KEYSLOT {STREAM}")), nodes };
        cluster.until("all know each other", "cluster_known_nodes:4");
        let master = cluster.id(cluster.owner());
        let _: String = cluster.nodes[3].call(&format!("CLUSTER REPLICATE {master}"));
        cluster.until("the cluster works", "cluster_state:ok");
        until("the replica follows", || {
            cluster.nodes[3].call::<String>("INFO replication").contains("master_link_status:up")
        });
        // The other masters elect the replica only if they know whose it is.
        until("all know of the replica", || {
            let known = |node: &Redis| node.call::<String>("CLUSTER NODES").contains(&format!("slave {master}"));
            cluster.nodes.iter().all(known)
        });
        cluster
    }

    fn until(&self, what: &str, line: &str) {
        until(what, || self.nodes.iter().all(|node| node.call::<String>("CLUSTER INFO").contains(line)));
    }

    fn id(&self, nth: usize) -> String {
        self.nodes[nth].call("CLUSTER MYID")
    }

    /// Which node has the stream at first.
    pub fn owner(&self) -> usize {
        (self.slot * 3 / SLOTS) as usize
    }

    /// A URL of two of the masters, of which one does not have the stream.
    pub fn url(&self, parameters: &str) -> String {
        let [owner, other] = [self.owner(), (self.owner() + 1) % 3].map(|nth| self.nodes[nth].port);
        format!("redis+cluster://127.0.0.1:{other},127.0.0.1:{owner}?{parameters}")
    }

    /// How `sse_stats()` names a node.
    pub fn node(&self, nth: usize) -> String {
        format!("redis://127.0.0.1:{}", self.nodes[nth].port)
    }

    /// Begins to move the stream's slot; `between` is called when its keys have moved, and nobody knows it yet.
    pub fn move_slot(&self, from: usize, to: usize, between: impl FnOnce()) {
        let (slot, [source, target]) = (self.slot, [from, to].map(|nth| self.id(nth)));
        let _: String = self.nodes[to].call(&format!("CLUSTER SETSLOT {slot} IMPORTING {source}"));
        let _: String = self.nodes[from].call(&format!("CLUSTER SETSLOT {slot} MIGRATING {target}"));
        loop {
            let keys: Vec<String> = self.nodes[from].call(&format!("CLUSTER GETKEYSINSLOT {slot} 100"));
            if keys.is_empty() {
                break;
            }
            let port = self.nodes[to].port;
            // NOKEY where one has expired meanwhile.
            let _: String =
                self.nodes[from].call(&format!("MIGRATE 127.0.0.1 {port} {} 0 5000 KEYS {}", "", keys.join(" ")));
        }
        between();
        for nth in [to, from] {
            let _: String = self.nodes[nth].call(&format!("CLUSTER SETSLOT {slot} NODE {target}"));
        }
    }
}
