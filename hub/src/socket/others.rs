//! Other hubs of this machine, as far as the kernel tells of them to everybody: hubs that the web server uses and this process does
//! not reach.
//!
//! The table of sockets tells paths, which anybody may choose. So nothing is read or connected to at them: a hub counts only if
//! the kernel also tells that its user runs one, and workers of a web server's PHP, whose parent is root's.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::Path;

use crate::sys::processes::{self, ProcessStatus};

/// Maximum bytes read of the table of sockets.
const MAX_TABLE: u64 = 8 << 20;

/// Beginnings of the names of programs whose workers run PHP for a web server.
const SERVERS: [&str; 4] = ["php-fpm", "apache2", "httpd", "frankenphp"];

/// A hub that the web server uses and this process does not reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignHub {
    /// The user that it runs as.
    pub user: u32,
    /// Name of the program that runs this user's PHP. `None`: the hub is of this process's user, behind this process's own path.
    pub server: Option<String>,
    /// Its path, as far as it can be told.
    pub path: Option<String>,
}

impl fmt::Display for ForeignHub {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user;
        let path = self.path.as_deref().unwrap_or("a path that this user can't see");
        match &self.server {
            Some(server) => write!(out, "the web server's PHP ({server}, user {user}) has its hub at {path}"),
            None => write!(
                out,
                "a hub of this user listens at the same path {path} where this process can't see it (the web server's service has a \
                 temporary folder of its own, PrivateTmp=yes, or is in a container)"
            ),
        }
    }
}

impl ForeignHub {
    /// What to do to reach it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self.server {
            Some(_) => {
                format!("run this as that user (sudo -u '#{}' php …), or give both the same sse.socket", self.user)
            }
            None => "give both the same sse.socket, in a folder that both see, such as /run/php-sse/hub.sock".into(),
        }
    }
}

/// A process, as far as the kernel tells of it to everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    pid: u32,
    parent: u32,
    user: u32,
    name: String,
}

/// Finds a hub that the web server uses, for a process of user `own` whose own hub is at `socket`, and answers there or not.
#[must_use]
pub fn find(socket: &Path, own: u32, answers: bool) -> Option<ForeignHub> {
    let mut table = Vec::new();
    fs::File::open("/proc/net/unix").ok()?.take(MAX_TABLE).read_to_end(&mut table).ok()?;
    let table = String::from_utf8_lossy(&table);
    let hubs = hubs(&table);
    // Mostly there is none, and no process needs to be looked at.
    if hubs.is_empty() {
        return None;
    }
    let processes: Vec<Process> = processes::ids().filter_map(process).collect();
    choose(&hubs, &processes, socket, (own, answers), owner)
}

/// Paths of the hubs in the table of sockets: of those that listen and have the socket of notifications beside them.
fn hubs(table: &str) -> Vec<&str> {
    let (mut listening, mut datagrams) = (Vec::new(), HashSet::new());
    for line in table.lines().skip(1) {
        // Num RefCount Protocol Flags Type St Inode Path
        let fields: Vec<&str> = line.splitn(8, ' ').collect();
        let [_, _, _, flags, kind, _, _, path] = fields[..] else { continue };
        let path = path.trim_start_matches(|letter: char| letter == ' ' || letter.is_ascii_digit());
        if !path.starts_with('/') {
            continue;
        }
        match (flags, kind) {
            ("00010000", "0001") => listening.push(path),
            (_, "0002") => {
                datagrams.insert(path);
            }
            _ => {}
        }
    }
    listening.retain(|path| datagrams.contains(&*format!("{path}.notify")));
    listening.sort_unstable();
    listening
}

/// The hub among these that the web server uses, if this process, of user `own`, does not use it as well.
fn choose(
    hubs: &[&str],
    processes: &[Process],
    socket: &Path,
    (own, answers): (u32, bool),
    owner: impl Fn(&Path) -> Option<u32>,
) -> Option<ForeignHub> {
    let runs_hub = |user: u32| processes.iter().any(|process| process.user == user && process.name == "sse-hub");
    if !answers && runs_hub(own) && hubs.iter().any(|path| Path::new(path) == socket) {
        return Some(ForeignHub { user: own, server: None, path: Some(shown(&socket.to_string_lossy())) });
    }
    let workers = || processes.iter().filter(|process| is_worker(process, processes));
    if workers().any(|worker| worker.user == own) {
        return None;
    }
    let worker = workers().find(|worker| runs_hub(worker.user))?;
    let user = worker.user;
    let default = format!("/php-sse-{user}");
    let is_of_user = |path: &&&str| {
        let folder = Path::new(**path).parent();
        let named = folder.is_some_and(|folder| folder.to_string_lossy().ends_with(&default));
        named || folder.and_then(&owner) == Some(user)
    };
    let of_user: Vec<&str> = hubs.iter().filter(is_of_user).copied().collect();
    if of_user.iter().any(|path| Path::new(path) == socket) {
        return None;
    }
    let path = of_user.first().map(|path| shown(path));
    Some(ForeignHub { user, server: Some(worker.name.clone()), path })
}

/// Whether it is a worker of a server that root has started. Nobody else can make such a pair.
fn is_worker(process: &Process, all: &[Process]) -> bool {
    process.user != 0
        && SERVERS.iter().any(|server| process.name.starts_with(server))
        && all.iter().any(|one| one.pid == process.parent && one.user == 0 && one.name == process.name)
}

/// The user who owns a folder that this process can see.
fn owner(folder: &Path) -> Option<u32> {
    rustix::fs::lstat(folder).ok().map(|stat| stat.st_uid)
}

/// A path that anybody may have chosen, for one line of a log.
fn shown(path: &str) -> String {
    path.escape_debug().to_string()
}

fn process(pid: u32) -> Option<Process> {
    let status = ProcessStatus::of(pid)?;
    Some(Process { pid, parent: status.number("PPid")?, user: status.user()?, name: status.text("Name")?.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 20001 /run/dbus/socket
0000000000000000: 00000002 00000000 00010000 0001 01   101 /tmp/php-sse-33/hub.sock
0000000000000000: 00000002 00000000 00000000 0002 01   102 /tmp/php-sse-33/hub.sock.notify
0000000000000000: 00000003 00000000 00000000 0001 03 20002 /tmp/php-sse-33/hub.sock
0000000000000000: 00000002 00000000 00010000 0001 01 20003 @/tmp/dbus
0000000000000000: 00000003 00000000 00000000 0001 03 20004
0000000000000000: 00000002 00000000 00010000 0001 01 201 /run/my hub/a.sock
0000000000000000: 00000002 00000000 00000000 0002 01 202 /run/my hub/a.sock.notify
";

    fn process(pid: u32, parent: u32, user: u32, name: &str) -> Process {
        Process { pid, parent, user, name: name.into() }
    }

    /// FPM with a worker of user 33 and its hub; `server` runs the master.
    fn site(server: u32) -> Vec<Process> {
        vec![
            process(10, 1, server, "php-fpm8.2"),
            process(11, 10, 33, "php-fpm8.2"),
            process(12, 1, 33, "sse-hub"),
            process(13, 1, 1000, "bash"),
        ]
    }

    fn chosen(processes: &[Process], socket: &str, own: u32) -> Option<ForeignHub> {
        choose(&hubs(TABLE), processes, Path::new(socket), (own, false), |_| None)
    }

    #[test]
    fn hubs_are_told_from_other_sockets() {
        assert_eq!(hubs(TABLE), ["/run/my hub/a.sock", "/tmp/php-sse-33/hub.sock"]);
        assert_eq!(hubs(""), Vec::<&str>::new());
    }

    #[test]
    fn the_hub_of_the_web_servers_user_is_found_for_another_user() {
        let path = || Some("/tmp/php-sse-33/hub.sock".into());
        let found = Some(ForeignHub { user: 33, server: Some("php-fpm8.2".into()), path: path() });
        assert_eq!(chosen(&site(0), "/tmp/php-sse-0/hub.sock", 0), found);
        assert_eq!(chosen(&site(0), "/tmp/php-sse-1000/hub.sock", 1000), found);
        // A process of the same user that does not see the folder that the hub is in.
        let hidden = Some(ForeignHub { user: 33, server: None, path: path() });
        assert_eq!(chosen(&site(0), "/tmp/php-sse-33/hub.sock", 33), hidden);
        assert_eq!(
            chosen(&site(0), "/other/php-sse-33/hub.sock", 33),
            None,
            "its own pool, which may have one by setting"
        );
    }

    #[test]
    fn a_path_in_a_folder_of_the_user_is_its_hubs() {
        let of_33 = |folder: &Path| (folder == Path::new("/run/my hub")).then_some(33);
        let found = choose(&["/run/my hub/a.sock"], &site(0), Path::new("/tmp/x"), (0, true), of_33).expect("found");
        assert_eq!(found.path.as_deref(), Some("/run/my hub/a.sock"));
        let unknown =
            choose(&["/run/my hub/a.sock"], &site(0), Path::new("/tmp/x"), (0, true), |_| None).expect("found");
        assert_eq!(unknown.path, None);
        let chosen = Path::new("/run/my hub/a.sock");
        assert_eq!(choose(&["/run/my hub/a.sock"], &site(0), chosen, (0, true), of_33), None, "both have the same one");
    }

    /// Attack: a user of the machine names processes like a server's and a hub, to have the command line of others refuse to publish.
    #[test]
    fn nobody_but_root_can_say_that_a_web_server_runs() {
        let mut forged = site(33);
        assert_eq!(chosen(&forged, "/tmp/php-sse-0/hub.sock", 0), None);
        forged[1].parent = 1;
        assert_eq!(chosen(&forged, "/tmp/php-sse-0/hub.sock", 0), None);
        let without_hub: Vec<_> = site(0).into_iter().filter(|one| one.name != "sse-hub").collect();
        assert_eq!(chosen(&without_hub, "/tmp/php-sse-0/hub.sock", 0), None);
    }

    #[test]
    fn a_path_can_forge_no_line_of_the_log() {
        assert_eq!(shown("/tmp/a\nb\u{1b}[1m"), "/tmp/a\\nb\\u{1b}[1m");
    }
}
