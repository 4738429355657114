//! A master, its replica and three Sentinels, that end with their test.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use redis::cmd;
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::redis::Redis;
use super::{free_port, until};

/// The name of the master.
pub const MASTER: &str = "my-master";

/// A Redis with a replica, whose master Sentinels choose.
pub struct Watched {
    pub servers: [Redis; 2],
    pub sentinels: Vec<Sentinel>,
}

/// A Sentinel.
pub struct Sentinel {
    child: Child,
    pub port: u16,
    _folder: TempDir,
}

impl Watched {
    /// With these options of both servers, and these lines of the Sentinels' configuration.
    pub fn new(options: &[&str], lines: &str) -> Self {
        let master = Redis::with(options);
        let port = master.port.to_string();
        let replica = Redis::with(&[options, &["--replicaof", "127.0.0.1", &port]].concat());
        let sentinels = (0..3).map(|_| Sentinel::of(master.port, lines)).collect();
        Self { servers: [master, replica], sentinels }
    }

    /// Waits until the Sentinels know each other and the replica: earlier ones could not replace the master.
    pub fn ready(&self) {
        for sentinel in &self.sentinels {
            until("the Sentinels know all", || {
                let known = sentinel.master();
                let number = |name: &str| {
                    known.iter().position(|field| field == name).and_then(|place| known.get(place + 1)?.parse().ok())
                };
                number("num-slaves") == Some(1) && number("num-other-sentinels") == Some(2)
            });
        }
        until("the replica follows", || {
            self.servers[1].call::<String>("INFO replication").contains("master_link_status:up")
        });
    }

    /// A URL with this login and these parameters.
    pub fn url(&self, login: &str, parameters: &str) -> String {
        let hosts: Vec<_> = self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
        format!("redis+sentinel://{login}{}/{MASTER}/0?{parameters}", hosts.join(","))
    }

    /// How `sse_stats()` names one of the servers.
    pub fn node(&self, nth: usize) -> String {
        format!("redis://127.0.0.1:{}", self.servers[nth].port)
    }
}

impl Sentinel {
    /// One of the master at this port, with these lines of its configuration.
    pub fn of(master: u16, lines: &str) -> Self {
        let (folder, port) = (tempfile::tempdir().expect("a temporary folder"), free_port());
        let file = folder.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nlogfile sentinel.log\nsentinel monitor {MASTER} 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds {MASTER} 500\nsentinel failover-timeout {MASTER} 3000\n{lines}\n",
            folder.path().display()
        );
        std::fs::write(&file, text).expect("written");
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel").stdout(Stdio::null()).stdin(Stdio::null());
        // SAFETY: only a system call that is allowed between fork and exec, and no memory is touched.
        unsafe {
            command.pre_exec(|| {
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                Ok(())
            });
        }
        Self { child: command.spawn().expect("redis-server is installed (tools/setup test)"), port, _folder: folder }
    }

    /// What it knows of the master: names and values.
    fn master(&self) -> Vec<String> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).expect("a URL");
        let Ok(mut connection) = client.get_connection() else { return Vec::new() };
        cmd("SENTINEL").arg("MASTER").arg(MASTER).query(&mut connection).unwrap_or_default()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32).expect("a process");
        rustix::process::kill_process(pid, signal).expect("it is there");
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
