//! Presence of three machines while streams break, hubs are killed and upgraded, and Redis is cut off.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use serde_json::{Value, json};

use crate::presence::{members, of, open, reader};
use crate::support::bus::on;
use crate::support::redis::{Door, Redis};
use crate::support::{Hub, Reader, until};

const HUBS: usize = 3;
const USERS: usize = 200;

/// Numbers that look random, and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % count
    }
}

/// A client that is told who is there.
struct Watcher {
    reader: Reader,
    here: BTreeSet<String>,
    /// Joins and leaves that it was told.
    changes: usize,
}

impl Watcher {
    fn new(hub: &Hub) -> Self {
        Self { reader: open(hub, &reader(&["room"])), here: BTreeSet::new(), changes: 0 }
    }

    /// Learns what it was told meanwhile: each join of who is not there, and each leave of who is.
    fn learn(&mut self) {
        while has_more(&self.reader) {
            let frame = self.reader.frame();
            let line = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
            let Some(kind) = line("event: presence.") else { continue };
            let data: Value = serde_json::from_str(line("data: ").expect("data")).expect("JSON");
            for member in data["members"].as_array().expect("a list") {
                let id = member["id"].as_str().expect("a text").to_owned();
                self.changes += usize::from(kind != "list");
                let was_other = if kind == "leave" { self.here.remove(&id) } else { self.here.insert(id.clone()) };
                assert!(was_other, "{kind} of {id} once more");
            }
        }
    }
}

fn has_more(reader: &Reader) -> bool {
    let mut watched = [PollFd::new(&reader.socket, PollFlags::IN)];
    rustix::event::poll(&mut watched, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

struct Site {
    redis: Redis,
    doors: Vec<Door>,
    hubs: Vec<Hub>,
    watchers: Vec<Watcher>,
    /// Streams of each user, and at which hub.
    users: Vec<Vec<(usize, Reader)>>,
    dice: Dice,
}

impl Site {
    fn new() -> Self {
        let redis = Redis::new();
        let doors: Vec<Door> = (0..HUBS).map(|_| Door::to(redis.port)).collect();
        let hubs: Vec<Hub> = doors.iter().map(start).collect();
        let watchers = hubs.iter().map(Watcher::new).collect();
        let users = (0..USERS).map(|_| Vec::new()).collect();
        Self { redis, doors, hubs, watchers, users, dice: Dice(14) }
    }

    fn open(&mut self, user: usize, hub: usize) {
        let stream = open(&self.hubs[hub], &of(&format!("u{user:03}"), &["room"]));
        self.users[user].push((hub, stream));
    }

    /// Users come, go, move, and open second tabs.
    fn stir(&mut self, count: usize) {
        for _ in 0..count {
            let (user, hub) = (self.dice.below(USERS), self.dice.below(HUBS));
            match self.dice.below(4) {
                0 => self.users[user].clear(),
                1 => {
                    // Comes to the other machine only when the first stream is gone.
                    self.users[user].clear();
                    self.open(user, hub);
                }
                _ if self.users[user].len() < 3 => self.open(user, hub),
                _ => drop(self.users[user].remove(0)),
            }
        }
        self.watchers.iter_mut().for_each(Watcher::learn);
    }

    /// A hub is killed; some of its users come to others, and another hub starts in its place.
    fn kill(&mut self, hub: usize) {
        self.hubs[hub].kill();
        for user in 0..USERS {
            let before = self.users[user].len();
            self.users[user].retain(|(place, _)| *place != hub);
            if self.users[user].len() < before && self.dice.below(3) > 0 {
                self.open(user, (hub + 1) % HUBS);
            }
        }
        self.hubs[hub] = start(&self.doors[hub]);
        self.watchers[hub] = Watcher::new(&self.hubs[hub]);
    }

    /// These hubs are cut off from Redis for so long, and until they have noticed it; users come and go meanwhile.
    fn cut(&mut self, hubs: &[usize], time: Duration) {
        hubs.iter().for_each(|hub| self.doors[*hub].lead_to(1));
        for hub in hubs {
            self.hubs[*hub].until("it is noticed", |stats| stats["bus"]["presence"]["state"] == "away");
        }
        self.stir(30);
        thread::sleep(time);
        hubs.iter().for_each(|hub| self.doors[*hub].lead_to(self.redis.port));
        for hub in hubs {
            // What is published and what is known must both be back, for an upgrade.
            self.hubs[*hub].until("it is back", |stats| {
                stats["bus"]["state"] == "connected" && stats["bus"]["presence"]["state"] == "connected"
            });
        }
    }

    /// In the end everybody agrees on who is really there.
    fn settle(&mut self) {
        let there = |(user, streams): (usize, &Vec<_>)| (!streams.is_empty()).then(|| format!("u{user:03}"));
        let there: BTreeSet<String> = self.users.iter().enumerate().filter_map(there).collect();
        assert!(there.len() > USERS / 10, "{}", there.len());
        for (nth, hub) in self.hubs.iter().enumerate() {
            until(&format!("hub {nth} knows who is there"), || {
                members(hub, "room").into_iter().eq(there.iter().cloned())
            });
        }
        for (nth, watcher) in self.watchers.iter_mut().enumerate() {
            until(&format!("the client at hub {nth} knows who is there"), || {
                watcher.learn();
                watcher.here == there
            });
        }
    }
}

fn start(door: &Door) -> Hub {
    let hub = on(&door.url(""), json!({ "presence_grace_ms": 300, "presence_ttl_ms": 4000 }));
    hub.until("presence is there", |stats| stats["bus"]["presence"]["state"] == "connected");
    hub
}

fn chaos(rounds: usize, cut: Duration) {
    let mut site = Site::new();
    for user in 0..USERS {
        site.open(user, user % HUBS);
    }
    site.settle();
    for round in 0..rounds {
        let hub = round % HUBS;
        site.stir(40);
        site.kill(hub);
        site.stir(40);
        site.hubs[(hub + 1) % HUBS].upgrade(&json!({}));
        site.stir(40);
        site.cut(&[(hub + 2) % HUBS], Duration::ZERO);
        site.stir(40);
        site.cut(&[0, 1, 2], cut);
        site.stir(40);
    }
    site.settle();
    let changes: Vec<usize> = site.watchers.iter().map(|watcher| watcher.changes).collect();
    println!("joins and leaves that the clients were told: {changes:?}");
}

/// `SSE_SOAK_ROUNDS=6` for longer, then with cuts of ten seconds.
#[test]
fn everybody_agrees_on_who_is_there_after_kills_upgrades_and_cuts() {
    let rounds: Option<usize> = std::env::var("SSE_SOAK_ROUNDS").ok().map(|rounds| rounds.parse().expect("a number"));
    chaos(rounds.unwrap_or(1), rounds.map_or(Duration::ZERO, |_| Duration::from_secs(10)));
}
