//! Redis, for publishing to beside: it holds no streams of HTTP clients.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use anyhow::Result;

use super::child::Child;
use super::folder::Folder;
use super::{Process, port, programs};

/// A Redis that keeps nothing on the disk.
#[derive(Debug)]
pub struct Redis {
    redis: Child,
    folder: Folder,
}

impl Redis {
    /// Starts it.
    ///
    /// # Errors
    /// It is not there, or does not start.
    pub fn start() -> Result<Self> {
        let folder = Folder::new()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()?));
        let mut command = Command::new(programs::find(&["redis-server"])?);
        command.args([
            "--bind",
            "127.0.0.1",
            "--port",
            &address.port().to_string(),
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.arg("--dir").arg(folder.path()).arg("--unixsocket").arg(folder.path().join("redis.sock"));
        let mut redis = Child::start(&mut command, &folder.path().join("redis.log"))?;
        redis.wait_until("Redis listens", || port::listens(address))?;
        Ok(Self { redis, folder })
    }

    /// Its Unix socket.
    #[must_use]
    pub fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// Its process.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        vec![Process::new("redis", self.redis.pid())]
    }

    /// What was measured.
    #[must_use]
    pub fn versions(&self) -> Vec<(String, String)> {
        vec![("Redis".to_owned(), programs::debian_version("redis-server"))]
    }
}
