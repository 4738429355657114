//! Who may talk to a hub. These need root, to become three different users; without it they say so and pass.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use serde_json::json;
use sse_hub::client::Client;
use sse_hub::wire::Request;
use support::{Hub, PATIENCE};

const PATH: &str = "SSE_HUB_TEST_PATH";

/// Not a test: what another user's process runs.
#[test]
#[ignore = "the process of a peer that the other tests start"]
fn peer_process() {
    let path = std::env::var_os(PATH).expect("a path");
    let mut client =
        Client::connect(path.as_ref(), None, support::PATIENCE).expect("the file's mode lets everybody in");
    match client.call(&Request::Cursor, None, PATIENCE) {
        Ok(reply) => println!("answer: {reply:?}"),
        Err(error) => println!("error: {error}"),
    }
}

/// A hub of user 33 whose socket file anybody can open: what stands between is the hub's own check.
fn hub(mode: u32, group: Option<u32>) -> Option<Hub> {
    if !rustix::process::geteuid().is_root() {
        support::skipped("only root can become other users");
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("own folder");
    let hub = Hub::in_folder(folder, json!({"socket_mode": mode, "socket_group": group, "user": 33}));
    std::fs::set_permissions(&hub.socket, PermissionsExt::from_mode(0o666)).expect("own file");
    hub.stats();
    Some(hub)
}

/// What a process of this user and these groups gets from the hub.
fn asked_by(hub: &Hub, user: u32, group: u32, groups: &str) -> String {
    let groups = if groups.is_empty() { "--clear-groups".into() } else { format!("--groups={groups}") };
    // The test binary stands where other users may not look: it is handed over open.
    let binary = std::fs::File::open(std::env::current_exe().expect("this test")).expect("own binary");
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&binary));
    rustix::io::fcntl_setfd(&binary, rustix::io::FdFlags::empty()).expect("own descriptor");
    let Output { stdout, stderr, .. } = Command::new("setpriv")
        .args([format!("--reuid={user}"), format!("--regid={group}"), groups, path])
        .args(["--exact", "peer_process", "--ignored", "--nocapture"])
        .env(PATH, &hub.socket)
        .output()
        .expect("setpriv runs");
    let text = String::from_utf8_lossy(&stdout).into_owned();
    // With one CPU, what the test prints stands behind its name.
    let said =
        |line: &str| ["answer: ", "error: "].iter().find_map(|word| line.find(word)).map(|at| line[at..].to_owned());
    text.lines().find_map(said).unwrap_or_else(|| panic!("no answer: {text}{}", String::from_utf8_lossy(&stderr)))
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
    assert_eq!(hub.stats()["refused"]["peers"], json!(1));
}

#[test]
fn a_member_of_the_group_is_let_in_on_purpose() {
    let Some(hub) = hub(0o660, Some(50)) else { return };
    assert!(asked_by(&hub, 1000, 50, "").starts_with("answer: Cursor"));
    assert!(asked_by(&hub, 1000, 1000, "4,50").starts_with("answer: Cursor"));
    assert!(asked_by(&hub, 1000, 1000, "4").starts_with("error: this hub belongs to user 33"));
}
