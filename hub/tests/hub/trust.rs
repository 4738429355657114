//! Who may talk to a hub. These need root, to become three different users; without it they say so and pass.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_bytes::Bytes;
use serde_json::json;
use sse_protocol::client::{Client, ClientError};
use sse_protocol::event::NewEvent;
use sse_protocol::wire::{self, Attach, Framing, OriginalRequest, PREFIX, Protocol, Replay, Reply, Request, Whose};

use crate::support::{self, Hub, PATIENCE, server};

const PATH: &str = "SSE_HUB_TEST_PATH";

const SCENE: &str = "SSE_HUB_TEST_SCENE";

/// A greeting with this begins a take-over (`hub/src/upgrade/mod.rs`); with the other one the hub is asked to end.
const TAKE_OVER: u32 = 0x5353_4555;
const LEAVE: u32 = 0x5353_454c;

/// Not a test: what another user's process runs.
#[test]
#[ignore = "not a test: the process of a peer that the tests start"]
fn peer_process() {
    let path = PathBuf::from(std::env::var_os(PATH).expect("a path"));
    match std::env::var(SCENE).expect("a scene").as_str() {
        "cursor" => tell(call(&mut connect(&path, None), &Request::Cursor)),
        "rights" => use_rights(&path),
        "owner" => {
            let mut client = connect(&path, Some(std::process::id()));
            tell(call(&mut client, &Request::Cursor));
            // Until the test has looked.
            let _ = std::io::stdin().read(&mut [0]);
        }
        "crowd" => {
            let mut kept = Vec::new();
            loop {
                let mut client = connect(&path, None);
                if client.call(&Request::Cursor, None, PATIENCE).is_err() {
                    break;
                }
                kept.push(client);
            }
            tell(Ok(format!("{} connections, and one that is refused", kept.len())));
            let _ = std::io::stdin().read(&mut [0]);
        }
        "replay" => replay_elsewhere(&path),
        "notify" => {
            let sent =
                UnixDatagram::unbound().expect("a socket").send_to(b"WAKEUP news", sse_hub::udp::notify::path(&path));
            tell(sent.map(|_| "sent".into()).map_err(ClientError::from));
        }
        "replace" => {
            let (near, far) = UnixStream::pair().expect("a pair");
            let user = Some(wire::User { key: "alice", limit: 1, replace: true });
            let wanted = Request::Attach(Attach { patterns: vec!["news"], user, ..Attach::default() });
            let mut client = connect(&path, None);
            tell(client.call(&wanted, Some(near.as_fd()), PATIENCE).map(|_| "attached".into()));
            drop(far);
        }
        "key" => {
            let event = NewEvent { topics: vec!["news"], data: b"x", key: Some("order-1-paid"), ..NewEvent::default() };
            tell(call(&mut connect(&path, None), &Request::Publish { event, answer: true }));
        }
        "listen" => {
            let _listener = UnixListener::bind(&path).expect("a folder of everybody's");
            tell(Ok("listens".into()));
            let _ = std::io::stdin().read(&mut [0]);
        }
        other => panic!("no scene {other}"),
    }
}

fn connect(path: &Path, owner: Option<u32>) -> Client {
    Client::connect(path, owner, PATIENCE).expect("the file's mode lets everybody in")
}

fn call(client: &mut Client, request: &Request<'_>) -> Result<String, ClientError> {
    client.call(request, None, PATIENCE).map(|reply| format!("{reply:?}"))
}

fn tell(result: Result<String, ClientError>) {
    match result {
        Ok(reply) => println!("answer: {reply}"),
        Err(ClientError::Hub { code, message }) => println!("error: {code:?}: {message}"),
        Err(error) => println!("error: {error}"),
    }
}

/// Everything that a member may, and everything that it may not.
fn use_rights(path: &Path) {
    let mut client = connect(path, None);
    let (near, mut far) = UnixStream::pair().expect("a pair");
    let stream = support::attach(&mut client, near.into(), &["news"], 0).expect("it may watch");
    support::commit(&client, stream, Framing::Raw);
    let publish = Request::Publish {
        event: NewEvent { topics: vec!["news"], data: b"told", ..NewEvent::default() },
        answer: true,
    };
    tell(call(&mut client, &publish).map(|_| "published".into()));
    let mut text = String::new();
    while !text.contains("told") {
        let mut bytes = [0; 256];
        let count = far.read(&mut bytes).expect("the stream is open");
        text.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    let (share, patterns, last_id, frames) = (None, vec!["news"], None, b"data: x\n\n".as_slice());
    let rendered = |whose, answer| Request::Rendered {
        whose,
        render: true,
        share,
        patterns: patterns.clone(),
        last_id,
        ends: false,
        frames,
        answer,
    };
    // Without an answer, so that the next one is that of the next request.
    client.post(&rendered(Whose::Token("t"), false)).expect("sent");
    for request in [
        Request::Stats,
        Request::Metrics,
        Request::Replayed { token: "t" },
        Request::Render { token: "t", patterns: vec!["news"] },
        rendered(Whose::Stream(stream), true),
        Request::NotRendered { token: "t", reason: "r" },
        Request::Cursor,
    ] {
        tell(call(&mut client, &request).map(|reply| reply.split(' ').next().unwrap_or_default().to_owned()));
    }
    for magic in [TAKE_OVER, LEAVE] {
        let mut socket = UnixStream::connect(path).expect("the file's mode lets everybody in");
        let hello = Request::Hello { magic, protocol: 1, version: "1", owner: None };
        socket.write_all(&wire::encode(&hello)).expect("sent");
        let mut prefix = [0; PREFIX];
        socket.read_exact(&mut prefix).expect("an answer");
        let mut bytes = vec![0; u32::from_le_bytes(prefix) as usize];
        socket.read_exact(&mut bytes).expect("all of it");
        println!("answer: {:?}", wire::decode::<Reply<'_>>(&bytes).expect("a reply"));
    }
}

/// Offers a connection that was accepted at a path which then is a link to `fpm.sock` beside the hub, with a request of its own.
fn replay_elsewhere(path: &Path) {
    let folder = PathBuf::from(std::env::var_os("SSE_HUB_TEST_FOLDER").expect("a folder of everybody's"));
    let trap = folder.join("trap.sock");
    let listener = UnixListener::bind(&trap).expect("a folder of everybody's");
    let _server = UnixStream::connect(&trap).expect("own listener");
    let (accepted, _) = listener.accept().expect("connected");
    std::fs::remove_file(&trap).expect("own file");
    std::os::unix::fs::symlink(path.with_file_name("fpm.sock"), &trap).expect("a folder of everybody's");
    let mut client = connect(path, None);
    let request = Request::Attach(attach_with_replay());
    tell(client.call(&request, Some(accepted.as_fd()), PATIENCE).map(|reply| format!("{reply:?}")));
}

fn attach_with_replay() -> Attach<'static> {
    let request = OriginalRequest {
        script: "/evil.php",
        protocol: Protocol::FastCgi,
        fields: vec![(Bytes::new(b"SCRIPT_FILENAME"), Bytes::new(b"/evil.php"))],
        ..server::original_request()
    };
    let replay = Replay { poll: 1, request, ..server::replay() };
    Attach { patterns: vec!["news"], replay: Some(replay), ..Attach::default() }
}

/// A hub of user 33 whose socket file anybody can open: what stands between is the hub's own check.
fn hub(mode: u32, group: Option<u32>) -> Option<Hub> {
    hub_with(json!({"socket_mode": mode, "socket_group": group}))
}

fn hub_with(mut settings: serde_json::Value) -> Option<Hub> {
    if !rustix::process::geteuid().is_root() {
        support::skipped("root: only root can become other users");
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("own folder");
    std::os::unix::fs::chown(folder.path(), Some(33), None).expect("root may");
    settings["user"] = json!(33);
    let hub = Hub::in_folder(folder, settings);
    std::fs::set_permissions(&hub.socket, PermissionsExt::from_mode(0o666)).expect("own file");
    hub.stats();
    Some(hub)
}

/// A process of this user and these groups, which plays this scene.
fn peer(path: &Path, user: u32, group: u32, groups: &str, scene: &str, folder: &Path) -> Child {
    let groups = if groups.is_empty() { "--clear-groups".into() } else { format!("--groups={groups}") };
    // The test binary stands where other users may not look: it is handed over open.
    let binary = std::fs::File::open(std::env::current_exe().expect("this test")).expect("own binary");
    let own = format!("/proc/self/fd/{}", binary.as_raw_fd());
    let mut command = Command::new("setpriv");
    // In this child alone: what other tests start gets nothing of it.
    // SAFETY: only a system call that is allowed between fork and exec, and no memory is touched.
    unsafe {
        command.pre_exec(move || Ok(rustix::io::fcntl_setfd(&binary, rustix::io::FdFlags::empty())?));
    }
    command
        .args([format!("--reuid={user}"), format!("--regid={group}"), groups, own])
        .args(["--exact", "trust::peer_process", "--ignored", "--nocapture"])
        .envs([(PATH, path.as_os_str()), (SCENE, scene.as_ref()), ("SSE_HUB_TEST_FOLDER", folder.as_os_str())])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("setpriv runs")
}

/// What it said: with one CPU, what a test prints stands behind its name.
fn said(line: &str) -> Option<String> {
    ["answer: ", "error: "].iter().find_map(|word| line.find(word)).map(|at| line[at..].to_owned())
}

/// All that it said.
fn all_said(child: Child) -> Vec<String> {
    let Output { stdout, stderr, .. } = child.wait_with_output().expect("own child");
    let text = String::from_utf8_lossy(&stdout).into_owned();
    let lines: Vec<_> = text.lines().filter_map(said).collect();
    assert!(!lines.is_empty(), "no answer: {text}{}", String::from_utf8_lossy(&stderr));
    lines
}

/// What it says first; it goes on until its standard input is closed.
fn first_said(child: &mut Child) -> String {
    let output = child.stdout.as_mut().expect("piped");
    let line = BufReader::new(output).lines().map_while(Result::ok).find_map(|line| said(&line));
    line.expect("it says something")
}

/// What a process of this user and these groups gets from the hub.
fn asked_by(hub: &Hub, user: u32, group: u32, groups: &str) -> String {
    all_said(peer(&hub.socket, user, group, groups, "cursor", hub.folder.path())).remove(0)
}

/// Processes whose end the hub waits for.
fn owners(hub: &Hub) -> usize {
    let folder = std::fs::read_dir(format!("/proc/{}/fd", hub.pid())).expect("the hub's process is there");
    let links = folder.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| link.to_string_lossy().contains("pidfd")).count()
}

#[test]
fn another_user_is_refused_and_told_what_to_set() {
    let Some(hub) = hub(0o600, None) else { return };
    assert!(asked_by(&hub, 33, 33, "").starts_with("answer: Cursor"));
    assert_eq!(
        asked_by(&hub, 1000, 33, "33"),
        "error: this hub belongs to user 33, and user 1000 may not use it; to allow it on purpose, set sse.socket_group to \
         a group of that user and sse.socket_mode to 0660, and restart PHP"
    );
    assert_eq!(hub.stats()["refused"]["connections"], json!(1));
}

#[test]
fn a_member_of_the_group_is_let_in_on_purpose() {
    let Some(hub) = hub(0o660, Some(50)) else { return };
    assert!(asked_by(&hub, 1000, 50, "").starts_with("answer: Cursor"));
    assert!(asked_by(&hub, 1000, 1000, "4,50").starts_with("answer: Cursor"));
    assert!(asked_by(&hub, 1000, 1000, "4").starts_with("error: this hub belongs to user 33"));
}

/// Attack: a member of the group has the hub run code, tell what it knows, end, or give all streams away.
#[test]
fn a_member_publishes_and_watches_and_gets_nothing_else() {
    let Some(hub) = hub(0o660, Some(50)) else { return };
    let lines = all_said(peer(&hub.socket, 1000, 50, "", "rights", hub.folder.path()));
    let denied = |what: &str| {
        format!(
            "error: Denied: this hub belongs to user 33; user 1000, whom sse.socket_group or sse.socket_mode lets in, may \
             publish to it and watch, but may not {what}; for that set sse.socket to a hub of user 1000's own, or to nothing"
        )
    };
    let refused = "answer: Refused { reason: \"this hub belongs to user 33; user 1000 can't start one that takes over from it\" }";
    let answers = "answer for scripts that are run again";
    assert_eq!(
        lines,
        [
            "answer: published".into(),
            denied("read its counters"),
            denied("read its counters"),
            denied(answers),
            denied(answers),
            denied(answers),
            denied(answers),
            "answer: Cursor".into(),
            refused.into(),
            refused.into(),
        ]
    );
    assert_eq!(hub.stats()["refused"]["connections"], json!(7));
}

/// Attack: a member names a user of the owner's scripts, and his streams end for that.
#[test]
fn the_users_of_a_members_scripts_are_not_the_owners() {
    let Some(hub) = hub(0o660, Some(50)) else { return };
    let mut client = hub.client();
    let (near, far) = UnixStream::pair().expect("a pair");
    let user = Some(wire::User { key: "alice", limit: 1, replace: false });
    let wanted = Request::Attach(Attach { patterns: vec!["news"], user, ..Attach::default() });
    let Ok(Reply::Attached { stream, .. }) = client.call(&wanted, Some(near.as_fd()), PATIENCE) else {
        panic!("the owner attaches");
    };
    drop(near);
    support::commit(&client, stream, Framing::Raw);
    hub.until("it is open", |stats| stats["streams"]["open"] == 1);
    let said = all_said(peer(&hub.socket, 1000, 50, "", "replace", hub.folder.path()));
    assert_eq!(said, ["answer: attached"]);
    support::publish(&mut client, &["news"], "1", "still here");
    let mut far = support::patient(far);
    let mut text = String::new();
    while !text.contains("still here") {
        let mut bytes = [0; 256];
        let count = far.read(&mut bytes).expect("the stream goes on");
        assert!(count > 0, "the stream has ended: {text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
}

/// Attack: a member publishes with a key that it has guessed, and the owner's event with that key is dropped.
#[test]
fn the_keys_of_a_members_publications_are_not_the_owners() {
    let Some(hub) = hub(0o660, Some(50)) else { return };
    let by_member = || all_said(peer(&hub.socket, 1000, 50, "", "key", hub.folder.path()));
    let first = by_member();
    assert!(first[0].starts_with("answer: Published"), "{first:?}");
    assert_eq!(by_member(), first, "the member's own key");
    let event = NewEvent { topics: vec!["news"], data: b"y", key: Some("order-1-paid"), ..NewEvent::default() };
    let own = call(&mut hub.client(), &Request::Publish { event, answer: true }).expect("it is published");
    assert_ne!(format!("answer: {own}"), first[0]);
    assert_eq!(hub.stats()["published"], 2);
}

/// Attack: a member's connections, which ask for nothing, take all descriptors, and no worker gets one.
#[test]
fn members_leave_the_hubs_own_user_its_connections() {
    let Some(hub) = hub_with(json!({"socket_mode": 0o660, "socket_group": 50, "processes": 1, "descriptors": 256}))
    else {
        return;
    };
    let mut member = peer(&hub.socket, 1000, 50, "", "crowd", hub.folder.path());
    assert_eq!(first_said(&mut member), "answer: 64 connections, and one that is refused");
    support::publish(&mut hub.client(), &["news"], "1", "still here");
    // Another one finds no room, until the first has gone.
    let full = asked_by(&hub, 1001, 50, "");
    assert!(full.starts_with("error: Full: other users than the hub's own have 64 connections"), "{full}");
    drop(member.stdin.take());
    member.wait().expect("own child");
    hub.until("they have gone", |stats| stats["connections"] == 1);
    assert!(asked_by(&hub, 1001, 50, "").starts_with("answer: Cursor"));
}

/// Attack: a member names a process of its own as the hub's owner, and ends that.
#[test]
fn the_hub_does_not_end_with_a_members_process() {
    let Some(hub) = hub(0o660, Some(50)) else { return };
    let mut member = peer(&hub.socket, 1000, 50, "", "owner", hub.folder.path());
    assert!(first_said(&mut member).starts_with("answer: Cursor"), "it is let in all the same");
    assert_eq!(owners(&hub), 0);
    let mut own = peer(&hub.socket, 33, 33, "", "owner", hub.folder.path());
    assert!(first_said(&mut own).starts_with("answer: Cursor"));
    assert_eq!(owners(&hub), 1);
    for mut child in [member, own] {
        drop(child.stdin.take());
        child.wait().expect("own child");
    }
}

/// A folder that anybody may write to, and in which nobody can touch another one's files.
fn everybodys() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o1777)).expect("own folder");
    folder
}

/// Attack: whoever may publish attaches a connection of its own with a request of its own, which the hub sends, with its own
/// rights, to whatever the path leads to by then: FPM's socket, which runs any file as the hub's user.
#[test]
fn nobody_has_the_hub_connect_where_only_the_hub_may() {
    let folder = everybodys();
    for (user, group, error) in [
        (1000, 50, "error: Denied: this hub belongs to user 33; user 1000, whom sse.socket_group"),
        // Nor is the hub's own user led there. What stands in the server's place is a neighbour's doing: no reason to stay in a worker.
        (33, 33, "error: Busy: the hub does not find the server at "),
    ] {
        let Some(hub) = hub(0o660, Some(50)) else { return };
        let fpm = hub.folder.path().join("fpm.sock");
        let server = UnixListener::bind(&fpm).expect("own folder");
        std::os::unix::fs::chown(&fpm, Some(33), Some(33)).expect("root may");
        server.set_nonblocking(true).expect("a socket");
        let said = all_said(peer(&hub.socket, user, group, "", "replay", folder.path())).remove(0);
        assert!(said.starts_with(error), "{said}");
        assert!(server.accept().is_err(), "nobody has connected");
        assert_eq!(hub.stats()["streams"]["held"], json!(0));
        std::fs::remove_file(folder.path().join("trap.sock")).expect("root may");
    }
}

/// Attack: while the server is away, another user listens at its path, to get the requests and their cookies.
#[test]
fn a_request_is_not_sent_to_another_users_listener() {
    let folder = everybodys();
    let path = folder.path().join("fpm.sock");
    let server = UnixListener::bind(&path).expect("own folder");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).expect("own file");
    let accepted = || {
        let client = UnixStream::connect(&path).expect("it listens");
        (client, server.accept().expect("connected").0)
    };
    let attach = |accepted: &UnixStream| {
        let hub = hub(0o600, None)?;
        let mut client = hub.client();
        let answer = client.call(&Request::Attach(attach_with_replay()), Some(accepted.as_fd()), PATIENCE);
        Some(answer.map(|reply| format!("{reply:?}")).unwrap_or_else(|error| error.to_string()))
    };
    let (first, second) = (accepted(), accepted());
    let Some(answer) = attach(&first.1) else { return };
    assert!(answer.starts_with("Attached"), "root's listener is trusted: {answer}");
    std::fs::remove_file(&path).expect("own file");
    let mut stranger = peer(&path, 1000, 1000, "", "listen", folder.path());
    assert_eq!(first_said(&mut stranger), "answer: listens");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).expect("root may");
    let path = path.display();
    assert_eq!(
        attach(&second.1).as_deref(),
        Some(&*format!("the hub does not find the server at {path}: user 1000 listens there, and not root or user 33"))
    );
    drop(stranger.stdin.take());
    stranger.wait().expect("own child");
}

/// Attack: another user wakes what only this one may wake without bounds; by the file's mode, or where that is wrong.
#[test]
fn another_user_does_not_notify() {
    let Some(hub) = hub(0o660, Some(50)) else { return };
    let mut reader = hub.stream(&["**"], Framing::Message);
    let notify = |user, group| all_said(peer(&hub.socket, user, group, "", "notify", hub.folder.path())).remove(0);
    assert!(notify(1000, 50).contains("Permission denied"));
    let path = sse_hub::udp::notify::path(&hub.socket);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).expect("root may");
    assert_eq!(notify(1000, 50), "answer: sent");
    hub.until("it was received", |stats| stats["notify"]["refused"] == json!(1));
    assert_eq!(notify(33, 33), "answer: sent");
    assert_eq!(reader.message(), "trigger news");
    assert_eq!(hub.stats()["notify"]["wakes"], json!(1));
}
