//! Jobs that wait for their turn: their clients take turns, and none of them has more places than its share.
//!
//! Who has many sessions is many clients, and could have them all wait at once. So an address whose scripts keep places for late
//! ones has no more of the others than one client's share. Only such an address: all clients of a proxy that is not declared
//! have one.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use crate::render::client::ClientHash;

/// A job's key and serial.
pub(crate) type WaitingJob = (u32, u64);

/// The jobs of all clients. However many one client queues, the next turn of another comes no later.
#[derive(Debug)]
pub(crate) struct Queue {
    /// Most slots of one client.
    share: usize,
    /// Clients with waiting jobs or slots.
    lines: HashMap<ClientHash, Line>,
    /// Clients that may have a turn, in order. `pop` skips one whose share is used up by then.
    ring: VecDeque<ClientHash>,
    /// What those addresses have that have places.
    addresses: HashMap<IpAddr, AddressLoad>,
    /// Jobs of all lines.
    len: usize,
}

/// The jobs and slots of one client.
#[derive(Debug, Default)]
struct Line {
    jobs: VecDeque<WaitingJob>,
    /// Slots that the client has.
    running: usize,
    /// It is in the ring, or in its address's.
    listed: bool,
    /// Where its last job came from.
    address: Option<IpAddr>,
}

/// What one address has.
#[derive(Debug, Default)]
struct AddressLoad {
    /// Ordinary places.
    running: usize,
    /// Those for late ones.
    late: usize,
    /// Its clients whose turn has come while it had no more.
    ring: VecDeque<ClientHash>,
}

impl Queue {
    /// A queue for this many slots; one client's share is half of them, rounded up.
    pub(crate) fn new(places: usize) -> Self {
        Self {
            share: places.div_ceil(2),
            lines: HashMap::new(),
            ring: VecDeque::new(),
            addresses: HashMap::new(),
            len: 0,
        }
    }

    /// Number of waiting jobs, stale ones included.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a job of this client.
    pub(crate) fn push(&mut self, client: ClientHash, address: Option<IpAddr>, job: WaitingJob) {
        let line = self.lines.entry(client).or_default();
        line.jobs.push_back(job);
        line.address = address;
        self.len += 1;
        self.list(client);
    }

    /// Takes the next job of the client whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<WaitingJob> {
        while let Some(client) = self.ring.pop_front() {
            let Some(line) = self.lines.get_mut(&client) else { continue };
            let held = line.address.and_then(|address| self.addresses.get_mut(&address));
            if let Some(held) = held.filter(|held| held.is_full(self.share)) {
                held.ring.push_back(client);
                continue;
            }
            line.listed = false;
            if line.running >= self.share {
                continue;
            }
            let job = line.jobs.pop_front();
            self.len -= usize::from(job.is_some());
            self.list(client);
            if job.is_some() {
                return job;
            }
        }
        None
    }

    /// Whether a client may have one more slot.
    pub(crate) fn has_room(&self, client: ClientHash) -> bool {
        self.lines.get(&client).is_none_or(|line| line.running < self.share)
    }

    /// A client has one more place.
    pub(crate) fn began(&mut self, client: ClientHash, address: Option<IpAddr>, late: bool) {
        self.lines.entry(client).or_default().running += 1;
        if let Some(address) = address {
            *self.addresses.entry(address).or_default().places(late) += 1;
        }
    }

    /// A place of an address is one for late ones now.
    pub(crate) fn late(&mut self, address: Option<IpAddr>) {
        self.change(address, |held| {
            held.running = held.running.saturating_sub(1);
            held.late += 1;
        });
    }

    /// A client has one place less.
    pub(crate) fn ended(&mut self, client: ClientHash, address: Option<IpAddr>, late: bool) {
        self.change(address, |held| *held.places(late) = held.places(late).saturating_sub(1));
        if let Some(line) = self.lines.get_mut(&client) {
            line.running = line.running.saturating_sub(1);
        }
        self.list(client);
    }

    /// Removes stale jobs.
    pub(crate) fn sweep(&mut self, wanted: impl Fn(WaitingJob) -> bool) {
        self.lines.values_mut().for_each(|line| line.jobs.retain(|job| wanted(*job)));
        self.lines.retain(|_, line| !line.jobs.is_empty() || line.running > 0);
        let rings = self.addresses.values_mut().map(|held| &mut held.ring);
        for ring in rings.chain([&mut self.ring]) {
            ring.retain(|client| self.lines.contains_key(client));
        }
        self.len = self.lines.values().map(|line| line.jobs.len()).sum();
    }

    /// All jobs; each client's are in their order.
    pub(crate) fn jobs(&self) -> Vec<WaitingJob> {
        let unlisted = self.lines.iter().filter(|(_, line)| !line.listed).map(|(client, _)| client);
        let held = self.addresses.values().flat_map(|held| &held.ring);
        let clients = self.ring.iter().chain(held).chain(unlisted);
        clients.filter_map(|client| self.lines.get(client)).flat_map(|line| &line.jobs).copied().collect()
    }

    /// Changes what an address has. If it may have more then, its clients have turns again.
    fn change(&mut self, address: Option<IpAddr>, change: impl FnOnce(&mut AddressLoad)) {
        let Some(Entry::Occupied(mut entry)) = address.map(|address| self.addresses.entry(address)) else { return };
        let held = entry.get_mut();
        change(held);
        if !held.is_full(self.share) {
            self.ring.append(&mut held.ring);
        }
        if (held.running, held.late) == (0, 0) {
            entry.remove();
        }
    }

    /// Puts a client into the ring if it has reason to be there, and forgets one that has nothing.
    fn list(&mut self, client: ClientHash) {
        let Entry::Occupied(mut entry) = self.lines.entry(client) else { return };
        let line = entry.get_mut();
        if line.jobs.is_empty() {
            if line.running == 0 && !line.listed {
                entry.remove();
            }
        } else if line.running < self.share && !line.listed {
            line.listed = true;
            self.ring.push_back(client);
        }
    }
}

impl AddressLoad {
    fn places(&mut self, late: bool) -> &mut usize {
        if late { &mut self.late } else { &mut self.running }
    }

    /// Whether it may have no more places for now.
    fn is_full(&self, share: usize) -> bool {
        self.late > 0 && self.running >= share
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::client::tests::client;

    const A: u64 = 1;
    const B: u64 = 2;

    /// A queue for this many slots with these jobs; a job's serial is its client.
    fn queue(places: usize, jobs: &[(u64, u32)]) -> Queue {
        let mut queue = Queue::new(places);
        for &(of, key) in jobs {
            queue.push(client(of), None, (key, of));
        }
        queue
    }

    /// Takes all jobs that may start and returns their keys.
    fn start(queue: &mut Queue) -> Vec<u32> {
        std::iter::from_fn(|| {
            let (key, of) = queue.pop()?;
            queue.began(client(of), None, false);
            Some(key)
        })
        .collect()
    }

    #[test]
    fn clients_take_turns_however_much_one_of_them_queues() {
        let mut queue = queue(100, &[(A, 1), (A, 2), (A, 3), (B, 10), (B, 11)]);
        assert_eq!(start(&mut queue), [1, 10, 2, 11, 3]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_client_has_half_of_the_places_rounded_up_and_no_more() {
        for (places, share) in [(1, 1), (2, 1), (3, 2), (4, 2), (256, 128)] {
            let jobs: Vec<_> = (0..1000).map(|key| (A, key)).collect();
            let mut queue = queue(places, &jobs);
            assert_eq!(start(&mut queue).len(), share);
            assert!(!queue.has_room(client(A)) && queue.has_room(client(B)));
            queue.push(client(B), None, (5000, B));
            assert_eq!(start(&mut queue), [5000], "nobody else waits for it");
            queue.ended(client(A), None, false);
            assert_eq!(start(&mut queue), [share as u32]);
        }
    }

    /// The attack: one with many sessions holds the locks of all of them.
    #[test]
    fn an_address_with_late_runs_has_half_of_the_ordinary_places_whoever_its_clients_are() {
        let evil = Some(IpAddr::from([192, 0, 2, 9]));
        let mut queue = Queue::new(2);
        for of in 1..=5 {
            queue.push(client(of), evil, (of as u32, of));
        }
        let next = |queue: &mut Queue, address| {
            let (_, of) = queue.pop()?;
            queue.began(client(of), address, false);
            Some(of)
        };
        assert_eq!([next(&mut queue, evil), next(&mut queue, evil)], [Some(1), Some(2)], "nobody else wants them");
        queue.late(evil);
        queue.late(evil);
        assert_eq!([next(&mut queue, evil), next(&mut queue, evil)], [Some(3), None]);
        queue.push(client(9), None, (9, 9));
        assert_eq!(next(&mut queue, None), Some(9), "the other half is everybody's");
        assert_eq!(queue.jobs().len(), 2, "those that are held back are there");
        queue.ended(client(3), evil, false);
        assert_eq!([next(&mut queue, evil), next(&mut queue, evil)], [Some(4), None]);
        queue.ended(client(1), evil, true);
        assert_eq!(next(&mut queue, evil), None, "one is still late");
        queue.ended(client(2), evil, true);
        assert_eq!(next(&mut queue, evil), Some(5));
        queue.ended(client(4), evil, false);
        queue.ended(client(5), evil, false);
        queue.ended(client(9), None, false);
        assert_eq!((queue.len(), queue.lines.len(), queue.ring.len(), queue.addresses.len()), (0, 0, 0, 0));
    }

    #[test]
    fn what_nobody_wants_any_more_takes_no_memory() {
        let mut queue = queue(2, &[(A, 1), (A, 2), (A, 3), (B, 10)]);
        assert_eq!(queue.pop(), Some((1, A)));
        queue.began(client(A), None, false);
        queue.sweep(|(key, _)| key == 3);
        assert_eq!((queue.len(), queue.lines.len()), (1, 1));
        assert_eq!(queue.pop(), None, "it has its share");
        queue.ended(client(A), None, false);
        assert_eq!(start(&mut queue), [3]);
        queue.ended(client(A), None, false);
        assert_eq!((queue.len(), queue.lines.len(), queue.ring.len()), (0, 0, 0));
    }

    #[test]
    fn another_hub_goes_on_with_the_same_order_of_each_client() {
        let mut queue = queue(2, &[(A, 1), (A, 2), (A, 3), (B, 10), (B, 11)]);
        assert_eq!(start(&mut queue), [1, 10]);
        let jobs = queue.jobs();
        let of = |client| jobs.iter().filter(|(_, of)| *of == client).map(|(key, _)| *key).collect::<Vec<_>>();
        assert_eq!((of(A), of(B)), (vec![2, 3], vec![11]));
    }
}
