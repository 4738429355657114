//! The queue of render jobs: clients take turns, and none has more than its share of the slots.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use crate::render::client::Client;

/// A job's key and serial.
pub(crate) type Waiting = (u32, u64);

/// The jobs of all clients. However many one client queues, the next turn of another comes no later.
#[derive(Debug)]
pub(crate) struct Queue {
    /// Most slots of one client.
    share: usize,
    /// Clients with waiting jobs or slots.
    lines: HashMap<Client, Line>,
    /// Clients that may have a turn, in order. `pop` skips one whose share is used up by then.
    ring: VecDeque<Client>,
    /// Number of jobs in all lines.
    len: usize,
}

/// The jobs and slots of one client.
#[derive(Debug, Default)]
struct Line {
    jobs: VecDeque<Waiting>,
    /// Slots that the client has.
    running: usize,
    /// Whether the client is in the ring.
    listed: bool,
}

impl Queue {
    /// A queue for this many slots; one client's share is half of them, rounded up.
    pub(crate) fn new(places: usize) -> Self {
        Self { share: places.div_ceil(2), lines: HashMap::new(), ring: VecDeque::new(), len: 0 }
    }

    /// Number of waiting jobs, stale ones included.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a job of a client.
    pub(crate) fn push(&mut self, client: Client, job: Waiting) {
        self.lines.entry(client).or_default().jobs.push_back(job);
        self.len += 1;
        self.list(client);
    }

    /// Takes the next job of the client whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<Waiting> {
        while let Some(client) = self.ring.pop_front() {
            let Some(line) = self.lines.get_mut(&client) else { continue };
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
    pub(crate) fn has_room(&self, client: Client) -> bool {
        self.lines.get(&client).is_none_or(|line| line.running < self.share)
    }

    /// Counts one more slot for a client.
    pub(crate) fn began(&mut self, client: Client) {
        self.lines.entry(client).or_default().running += 1;
    }

    /// Counts one slot less for a client.
    pub(crate) fn ended(&mut self, client: Client) {
        if let Some(line) = self.lines.get_mut(&client) {
            line.running = line.running.saturating_sub(1);
        }
        self.list(client);
    }

    /// Removes stale jobs.
    pub(crate) fn sweep(&mut self, wanted: impl Fn(Waiting) -> bool) {
        self.lines.values_mut().for_each(|line| line.jobs.retain(|job| wanted(*job)));
        self.lines.retain(|_, line| !line.jobs.is_empty() || line.running > 0);
        self.ring.retain(|client| self.lines.contains_key(client));
        self.len = self.lines.values().map(|line| line.jobs.len()).sum();
    }

    /// All jobs; each client's are in their order.
    pub(crate) fn jobs(&self) -> Vec<Waiting> {
        let unlisted = self.lines.iter().filter(|(_, line)| !line.listed).map(|(client, _)| client);
        let clients = self.ring.iter().chain(unlisted);
        clients.filter_map(|client| self.lines.get(client)).flat_map(|line| &line.jobs).copied().collect()
    }

    /// Puts a client into the ring if it may have a turn, and removes one without jobs and slots.
    fn list(&mut self, client: Client) {
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
            queue.push(client(of), (key, of));
        }
        queue
    }

    /// Takes all jobs that may start and returns their keys.
    fn start(queue: &mut Queue) -> Vec<u32> {
        std::iter::from_fn(|| {
            let (key, of) = queue.pop()?;
            queue.began(client(of));
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
            queue.push(client(B), (5000, B));
            assert_eq!(start(&mut queue), [5000], "nobody else waits for it");
            queue.ended(client(A));
            assert_eq!(start(&mut queue), [share as u32]);
        }
    }

    #[test]
    fn what_nobody_wants_any_more_takes_no_memory() {
        let mut queue = queue(2, &[(A, 1), (A, 2), (A, 3), (B, 10)]);
        assert_eq!(queue.pop(), Some((1, A)));
        queue.began(client(A));
        queue.sweep(|(key, _)| key == 3);
        assert_eq!((queue.len(), queue.lines.len()), (1, 1));
        assert_eq!(queue.pop(), None, "it has its share");
        queue.ended(client(A));
        assert_eq!(start(&mut queue), [3]);
        queue.ended(client(A));
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
