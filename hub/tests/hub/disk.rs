//! A history on disk survives the hub, and a file that can't be written stops publishers only.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::{Value, json};
use sse_protocol::client::{Client, ClientError};
use sse_protocol::event::NewEvent;
use sse_protocol::wire::{self, ErrorCode, Framing, Reply, Request};
use tempfile::TempDir;

use crate::support::{self, Hub, PATIENCE, Reader, commit, publish, until};

/// A folder with a history's file in it.
struct Disk(TempDir);

impl Disk {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn file(&self) -> std::path::PathBuf {
        self.0.path().join("sse.db")
    }

    /// A hub that keeps its history here.
    fn hub(&self, mut settings: Value) -> Hub {
        settings["history_file"] = json!(self.file());
        if settings["history_events"].is_null() {
            settings["history_events"] = json!(100_000);
        }
        if settings["history_bytes"].is_null() {
            settings["history_bytes"] = json!(1 << 30);
        }
        Hub::with(settings)
    }

    fn sqlite(&self) -> Connection {
        Connection::open(self.file()).expect("a file of SQLite's")
    }

    fn count(&self) -> i64 {
        self.sqlite().query_row("SELECT count(*) FROM event", [], |row| row.get(0)).expect("a number")
    }
}

fn resumed(hub: &Hub, patterns: &[&str], last_event_id: &str) -> Reader {
    let mut client = hub.client();
    let (stream, far) = support::attach_after(&mut client, patterns, last_event_id);
    commit(&client, stream, Framing::Raw);
    Reader::new(far, stream, client)
}

/// Publishes with an id of the hub's; the message of the error if that fails.
fn try_publish(client: &mut Client, topic: &str, data: &str) -> Result<String, String> {
    let request = Request::Publish {
        event: NewEvent { topics: vec![topic], data: data.as_bytes(), ..NewEvent::default() },
        answer: true,
    };
    match client.call(&request, None, PATIENCE) {
        Ok(Reply::Published { id }) => Ok(id.into()),
        Err(ClientError::Hub { code: ErrorCode::NotKept, message }) => Err(message),
        other => panic!("neither published nor refused: {other:?}"),
    }
}

/// Waits until publishing works again.
fn until_published(client: &mut Client, topic: &str, data: &str) {
    until("the file can be written again", || try_publish(client, topic, data).is_ok());
}

fn file_report(hub: &Hub) -> Value {
    hub.stats()["history"]["file"].clone()
}

#[test]
fn what_was_accepted_survives_kill_and_comes_once_and_in_order() {
    let disk = Disk::new();
    let mut hub = disk.hub(json!({}));
    publish(&mut hub.client(), &["a"], "first", "x");
    let publishers: Vec<JoinHandle<(Vec<String>, String)>> = (0..8)
        .map(|publisher| {
            let mut client = hub.client();
            thread::spawn(move || {
                let mut accepted = Vec::new();
                for number in 0.. {
                    let id = format!("{publisher}.{number}");
                    let topics = vec!["a"];
                    let request = Request::Publish {
                        event: NewEvent { topics, id: Some(&id), data: b"x", ..NewEvent::default() },
                        answer: true,
                    };
                    match client.call(&request, None, PATIENCE) {
                        Ok(Reply::Published { id }) => accepted.push(id.to_owned()),
                        Err(ClientError::Closed | ClientError::Unanswered) => return (accepted, id),
                        other => panic!("neither published nor closed: {other:?}"),
                    }
                }
                unreachable!("the hub is killed")
            })
        })
        .collect();
    hub.until("much is published", |stats| stats["published"].as_u64() > Some(2000));
    hub.signal(Signal::KILL);
    hub.ended();
    let published: Vec<_> = publishers.into_iter().map(|thread| thread.join().expect("no panic")).collect();

    let hub = disk.hub(json!({}));
    let mut reader = resumed(&hub, &["a"], "first");
    publish(&mut hub.client(), &["a"], "last", "x");
    let mut text = String::new();
    until("the last event has come", || {
        let mut buffer = [0; 1 << 16];
        let count = std::io::Read::read(&mut reader.socket, &mut buffer).expect("the stream is open");
        text.push_str(std::str::from_utf8(&buffer[..count]).expect("ASCII"));
        text.ends_with("id: last\ndata: x\n\n")
    });
    assert!(!text.contains("event: gap"), "nothing was forgotten");
    let came: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    for (publisher, (accepted, unanswered)) in published.iter().enumerate() {
        let of_publisher = format!("{publisher}.");
        let mut own: Vec<&str> = came.iter().copied().filter(|id| id.starts_with(&of_publisher)).collect();
        // What was on its way may have been written or not.
        if own.last() == Some(&unanswered.as_str()) {
            own.pop();
        }
        assert_eq!(own, accepted.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn events_come_back_byte_by_byte_and_ids_go_on() {
    let disk = Disk::new();
    let mut hub = disk.hub(json!({}));
    let mut client = hub.client();
    let first = try_publish(&mut client, "a", "start").expect("published");
    let request = Request::Publish {
        event: NewEvent {
            topics: vec!["a", "b.ü\"\\"],
            event_type: Some("näme"),
            id: Some("own id"),
            retry: Some(77),
            data: "one\r\ntwo\nth\0ree €".as_bytes(),
            ..NewEvent::default()
        },
        answer: true,
    };
    assert!(matches!(client.call(&request, None, PATIENCE), Ok(Reply::Published { id: "own id" })));
    let expected = ":\n\nid: own id\nevent: näme\nretry: 77\ndata: one\ndata: two\ndata: th\0ree €\n\n";
    resumed(&hub, &["b.*"], &first).expect(expected.as_bytes());
    hub.signal(Signal::KILL);
    hub.ended();

    let hub = disk.hub(json!({}));
    resumed(&hub, &["b.*"], &first).expect(expected.as_bytes());
    let mut reader = resumed(&hub, &["a"], "own id");
    let next = try_publish(&mut hub.client(), "a", "next").expect("published");
    reader.expect(format!(":\n\nid: {next}\ndata: next\n\n").as_bytes());
    let number = |id: &str| id.split_once('-').map(|(ms, _)| ms.parse::<u64>().expect("a number"));
    assert!(number(&next) >= number(&first));
}

#[test]
fn the_file_forgets_what_the_history_does_and_gaps_are_as_exact_after_a_restart() {
    let disk = Disk::new();
    let mut hub = disk.hub(json!({ "history_events": 3 }));
    let mut client = hub.client();
    let quiet = try_publish(&mut client, "quiet", "x").expect("published");
    let busy: Vec<String> = (0..500).map(|_| try_publish(&mut client, "busy", "x").expect("published")).collect();
    let over = try_publish(&mut client, "other", "x").expect("published");
    until("the file has forgotten", || disk.count() == 5);
    hub.signal(Signal::KILL);
    hub.ended();

    let hub = disk.hub(json!({ "history_events": 3 }));
    let gap = |reader: &mut Reader| reader.expect(b":\n\nevent: gap\n");
    let none = |reader: &mut Reader, next: &str| reader.expect(format!(":\n\nid: {next}\n").as_bytes());
    gap(&mut resumed(&hub, &["busy"], &busy[0]));
    gap(&mut resumed(&hub, &["busy"], &busy[495]));
    none(&mut resumed(&hub, &["busy"], &busy[496]), &busy[497]);
    none(&mut resumed(&hub, &["quiet", "other"], &quiet), &over);
    gap(&mut resumed(&hub, &["*"], &quiet));
    gap(&mut resumed(&hub, &["quiet"], "1-0"));
}

#[test]
fn publishers_that_wait_share_a_commit() {
    const PEERS: usize = 50;
    let disk = Disk::new();
    let hub = disk.hub(json!({}));
    let mut client = hub.client();
    let mut peers: Vec<UnixStream> = (0..PEERS).map(|_| hub.raw()).collect();
    for peer in &mut peers {
        support::send(peer, &support::hello());
        assert!(support::answer(peer).starts_with("Welcome"));
    }
    // The hub waits a second for a lock: where all don't come to wait within that, it is tried again.
    let (before, after) = (0..20)
        .find_map(|round| {
            publish(&mut client, &["a"], &format!("{round}"), "x");
            let before = file_report(&hub);
            let other = disk.sqlite();
            other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
            for (number, peer) in peers.iter_mut().enumerate() {
                support::send(peer, &wire::encode(&support::bus::event("a", &format!("{round}-{number}"))));
            }
            hub.until("all wait", |stats| {
                let file = &stats["history"]["file"];
                file["waiting"] == json!(PEERS) || file["problem"] != Value::Null
            });
            other.execute_batch("COMMIT").expect("no lock");
            let answers: Vec<String> = peers.iter_mut().map(support::answer).collect();
            answers.iter().all(|answer| answer.starts_with("Published")).then(|| (before, file_report(&hub)))
        })
        .expect("all wait together once");
    let more = |name: &str| after[name].as_u64().expect("a number") - before[name].as_u64().expect("a number");
    assert_eq!(more("written"), PEERS as u64);
    assert!(more("commits") <= 2, "{after}");
}

#[test]
fn a_locked_file_is_an_error_for_publishers_and_nothing_of_it_is_delivered() {
    let disk = Disk::new();
    let hub = disk.hub(json!({}));
    let mut client = hub.client();
    let mut reader = hub.stream(&["a"], Framing::Raw);
    reader.expect(b":\n\n");
    publish(&mut client, &["a"], "1", "x");
    let other = disk.sqlite();
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let error = try_publish(&mut client, "a", "never").expect_err("locked");
    assert!(error.starts_with("sse.history: ") && error.ends_with("; another program keeps it locked"), "{error}");
    assert!(file_report(&hub)["problem"].as_str().is_some_and(|problem| problem == error));
    other.execute_batch("COMMIT").expect("no lock");
    publish(&mut client, &["a"], "2", "x");
    assert_eq!(file_report(&hub)["problem"], Value::Null);
    reader.expect(b"id: 1\ndata: x\n\nid: 2\ndata: x\n\n");
}

/// A small file system in a folder; unmounted when the test is over, however that ends.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    /// `None`, and a line on standard error, where this user or container may not mount.
    fn on(folder: &'a Path, options: &str) -> Option<Self> {
        if mount(folder, options) {
            return Some(Self(folder));
        }
        support::skipped(
            "mount: a small file system can't be mounted here (root is needed, and in a container CAP_SYS_ADMIN)",
        );
        None
    }

    fn options(&self, options: &str) {
        assert!(mount(self.0, options), "mounting with {options}");
    }
}

fn mount(folder: &Path, options: &str) -> bool {
    let mut command = Command::new("mount");
    command.args(["-o", options, "-t", "tmpfs", "tmpfs"]).arg(folder).stderr(Stdio::null());
    command.status().expect("mount runs").success()
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

#[test]
fn a_full_or_read_only_disk_stops_publishers_only_and_for_as_long_as_it_lasts() {
    let disk = Disk::new();
    let Some(mount) = Mount::on(disk.0.path(), "size=1m") else { return };
    let hub = disk.hub(json!({}));
    let mut client = hub.client();
    let mut reader = hub.stream(&["a"], Framing::Raw);
    reader.expect(b":\n\n");
    let large = "x".repeat(50_000);
    let mut accepted = Vec::new();
    let error = loop {
        match try_publish(&mut client, "a", &large) {
            Ok(id) => accepted.push(id),
            Err(error) => break error,
        }
        assert!(accepted.len() < 100, "5 MB don't fit into one");
    };
    assert!(error.ends_with("; make room on the disk"), "{error}");
    let delivered: String = accepted.iter().map(|id| format!("id: {id}\ndata: {large}\n\n")).collect();
    reader.expect(delivered.as_bytes());
    resumed(&hub, &["a"], &accepted[0]).expect(format!(":\n\nid: {}\ndata: {large}\n\n", accepted[1]).as_bytes());

    mount.options("remount,size=8m");
    until_published(&mut client, "a", "room");

    // As the system does it only when nobody writes, the next hub is the one that meets it.
    drop(hub);
    until("nobody has the file open", || self::mount(disk.0.path(), "remount,ro"));
    let hub = disk.hub(json!({}));
    let mut client = hub.client();
    let error = try_publish(&mut client, "a", "never").expect_err("read-only");
    assert!(error.contains("Read-only file system") && error.contains("the hub's user may write to it"), "{error}");
    let mut reader = hub.stream(&["a"], Framing::Raw);
    mount.options("remount,rw");
    until_published(&mut client, "a", "again");
    reader.expect(b":\n\nid: ");
    drop(hub);
    assert_eq!(disk.count(), accepted.len() as i64 + 2);
}

#[test]
fn a_damaged_file_stops_publishers_until_it_is_moved_away() {
    let disk = Disk::new();
    std::fs::write(disk.file(), "no database at all, and long enough to be read as one".repeat(50)).expect("written");
    let hub = disk.hub(json!({}));
    let mut client = hub.client();
    let mut reader = hub.stream(&["a"], Framing::Raw);
    let error = try_publish(&mut client, "a", "never").expect_err("damaged");
    assert!(error.contains("file is not a database; move it away"), "{error}");
    std::fs::rename(disk.file(), disk.0.path().join("damaged")).expect("moved");
    publish(&mut client, &["a"], "1", "x");
    reader.expect(b":\n\nid: 1\ndata: x\n\n");

    // Moved away while it is in use: the hub goes on in a new one.
    for name in ["sse.db", "sse.db-wal", "sse.db-shm"] {
        std::fs::rename(disk.0.path().join(name), disk.0.path().join(format!("{name}.old"))).expect("moved");
    }
    publish(&mut client, &["a"], "2", "x");
    assert_eq!(disk.count(), 1);
    reader.expect(b"id: 2\ndata: x\n\n");
}

#[test]
fn a_file_of_another_hub_program_or_version_is_left_alone() {
    let disk = Disk::new();
    let first = disk.hub(json!({}));
    publish(&mut first.client(), &["a"], "1", "x");
    let second = disk.hub(json!({}));
    let error = try_publish(&mut second.client(), "a", "never").expect_err("in use");
    assert!(error.ends_with("is in use by another hub; give each sse.namespace a file of its own"), "{error}");
    drop((first, second));

    let sqlite = disk.sqlite();
    sqlite.pragma_update(None, "user_version", 99).expect("set");
    let error = try_publish(&mut disk.hub(json!({})).client(), "a", "never").expect_err("another version");
    assert!(error.contains("its tables are version 99, this one's 1"), "{error}");
    sqlite.pragma_update(None, "application_id", 7).expect("set");
    let error = try_publish(&mut disk.hub(json!({})).client(), "a", "never").expect_err("another program");
    assert!(error.ends_with("is a database of another program; choose another path"), "{error}");
    assert_eq!(disk.count(), 1);
}

/// A hub that ends may still have it, or the disk is full when the next one begins.
#[test]
fn a_file_that_can_not_be_read_at_first_is_read_as_soon_as_it_can() {
    let disk = Disk::new();
    let mut hub = disk.hub(json!({}));
    let first = try_publish(&mut hub.client(), "a", "one").expect("published");
    let second = try_publish(&mut hub.client(), "a", "two").expect("published");
    hub.signal(Signal::KILL);
    hub.ended();
    let lock = std::fs::File::create(disk.0.path().join("sse.db.lock")).expect("a file");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("a lock");
    let hub = disk.hub(json!({}));
    let mut client = hub.client();
    assert!(try_publish(&mut client, "a", "never").expect_err("in use").contains("is in use by another hub"));
    resumed(&hub, &["a"], &first).expect(b":\n\nevent: gap\n");
    let cursor = match hub.client().call(&Request::Cursor, None, PATIENCE) {
        Ok(Reply::Cursor { id }) => id.to_owned(),
        other => panic!("no cursor: {other:?}"),
    };

    drop(lock);
    hub.until("the file is read", |stats| stats["history"]["events"] == json!(2));

    resumed(&hub, &["a"], &first).expect(format!(":\n\nid: {second}\ndata: two\n\n").as_bytes());
    let mut reader = resumed(&hub, &["a"], &cursor);
    let third = try_publish(&mut client, "a", "three").expect("published");
    reader.expect(format!(":\n\nid: {third}\ndata: three\n\n").as_bytes());
    assert_eq!(disk.count(), 3);
}

#[test]
fn a_hub_that_begins_while_another_program_locks_the_file_reads_it_all_the_same() {
    let disk = Disk::new();
    let mut hub = disk.hub(json!({}));
    let first = try_publish(&mut hub.client(), "a", "one").expect("published");
    let second = try_publish(&mut hub.client(), "a", "two").expect("published");
    let other = disk.sqlite();
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    hub.signal(Signal::KILL);
    hub.ended();

    let hub = disk.hub(json!({}));

    resumed(&hub, &["a"], &first).expect(format!(":\n\nid: {second}\ndata: two\n\n").as_bytes());
    assert!(try_publish(&mut hub.client(), "a", "never").expect_err("locked").ends_with("keeps it locked"));
    other.execute_batch("COMMIT").expect("no lock");
    until_published(&mut hub.client(), "a", "three");
}

#[test]
fn it_can_be_read_while_it_is_used_and_a_hub_that_ends_leaves_one_file() {
    let disk = Disk::new();
    let mut hub = disk.hub(json!({}));
    let mut client = hub.client();
    publish(&mut client, &["a", "b"], "1", "x");
    let sqlite = disk.sqlite();
    let mut statement = sqlite.prepare("SELECT id, topics, data FROM event").expect("the documented table");
    let mut rows = statement.query([]).expect("rows");
    let row = rows.next().expect("readable").expect("a row");
    // A reader in the middle of its query does not stop the hub.
    publish(&mut client, &["a"], "2", "x");
    assert_eq!(row.get::<_, String>(1), Ok(r#"["a","b"]"#.into()));
    drop(rows);
    drop(statement);
    drop(sqlite);
    hub.signal(Signal::TERM);
    hub.ended();
    assert!(!disk.0.path().join("sse.db-wal").exists());
    assert_eq!(disk.count(), 2);
}

#[test]
fn publications_of_one_process_share_commits_and_are_answered_in_order() {
    const COUNT: usize = 1000;
    let disk = Disk::new();
    let hub = disk.hub(json!({}));
    let mut client = hub.client();
    let event = |number: usize| {
        let id = number.to_string();
        // One of them can't be published.
        let topic = if number == 500 { "a b" } else { "a" };
        wire::encode(&Request::Publish {
            event: NewEvent { topics: vec![topic], id: Some(&id), data: b"x", ..NewEvent::default() },
            answer: true,
        })
    };
    let mut requests: Vec<Vec<u8>> = (0..COUNT).map(event).collect();
    requests.push(wire::encode(&Request::Cursor));
    let mut answers = Vec::new();
    for batch in requests.chunks(64) {
        let read = |reply: Reply<'_>| match reply {
            Reply::Published { id } | Reply::Cursor { id } => answers.push(id.to_owned()),
            Reply::Error { code, .. } => answers.push(format!("{code:?}")),
            other => panic!("no answer to a publication: {other:?}"),
        };
        client.call_all(batch, PATIENCE, read).expect("all are answered");
    }
    let mut expected: Vec<String> = (0..COUNT).map(|number| number.to_string()).collect();
    expected[500] = "Invalid".into();
    // What was asked last is answered when those before it are.
    let cursor = answers.pop().expect("an answer");
    assert_eq!(answers, expected);
    let last = disk.sqlite().query_row("SELECT ms || '-' || seq FROM event WHERE id = '999'", [], |row| row.get(0));
    assert_eq!(last, Ok(cursor));
    assert_eq!(disk.count(), COUNT as i64 - 1);
    let report = file_report(&hub);
    // How many share one is up to the machine; one of their own each is what must not be.
    assert!(report["commits"].as_u64() < report["written"].as_u64(), "{report}");
    assert_eq!(hub.stats()["publish_refused"], 1);
}
