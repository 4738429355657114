//! php-sse behind nginx and PHP-FPM with two workers: how PHP is mostly run. The hub writes to nginx, nginx to the clients.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;

use super::child::Child;
use super::folder::Folder;
use super::fpm::Fpm;
use super::nginx::{self, Nginx};
use super::php::Settings;
use super::php_sse::Hub;
use super::{Process, Server, children, programs};
use crate::publisher::Paced;

/// How many workers PHP-FPM has.
pub const WORKERS: usize = 2;

/// See the module's text.
#[derive(Debug)]
pub struct NginxFpm {
    nginx: Child,
    address: SocketAddr,
    fpm: Fpm,
    hub: Hub,
    _folder: Folder,
}

impl NginxFpm {
    /// Starts it.
    ///
    /// # Errors
    /// A program is not there, the extension not built, or something does not start.
    pub fn start() -> Result<Self> {
        Self::with(WORKERS, |settings| settings)
    }

    /// Starts it with so many workers, and further settings of PHP.
    ///
    /// # Errors
    /// As [`NginxFpm::start`].
    pub fn with(workers: usize, more: impl FnOnce(Settings) -> Settings) -> Result<Self> {
        Self::start_with(0, workers, more)
    }

    /// The same, with as many workers of nginx as so many streams need.
    ///
    /// # Errors
    /// As [`NginxFpm::start`].
    pub fn for_streams(streams: u64, workers: usize, more: impl FnOnce(Settings) -> Settings) -> Result<Self> {
        // Two connections each; the kernel does not spread them quite evenly.
        let needed = (streams * 2).div_ceil(nginx::descriptors() * 9 / 10);
        Self::start_with(usize::try_from(needed)?, workers, more)
    }

    fn start_with(of_nginx: usize, workers: usize, more: impl FnOnce(Settings) -> Settings) -> Result<Self> {
        let folder = Folder::new()?;
        let socket = folder.of_workers("hub")?.join("hub.sock");
        let fpm = Fpm::start(&folder, workers, &more(Settings::new(&[])?.extension(&socket)?))?;
        let root = folder.scripts()?;
        // A stream is silent between events and heartbeats.
        let server = format!("root {};\n{}", root.display(), fpm.location("1h", ""));
        let (nginx, address) =
            Nginx { server: &server, workers: of_nginx, ..Nginx::default() }.start(&folder, "nginx")?;
        let hub = Hub::start(address, socket, true)?;
        Ok(Self { nginx, address, fpm, hub, _folder: folder })
    }
}

impl Server for NginxFpm {
    fn name(&self) -> &'static str {
        "nginx-fpm"
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn request(&self, topic: &str) -> String {
        format!("/stream.php?topic={topic}")
    }

    fn hello(&self) -> Option<String> {
        Some("/hello.php".to_owned())
    }

    fn hub(&self) -> Option<&Hub> {
        Some(&self.hub)
    }

    fn publisher(&self, paced: &Paced) -> Result<Command> {
        self.hub.publisher(paced)
    }

    fn processes(&self) -> Result<Vec<Process>> {
        let mut processes = self.hub.processes()?;
        let hub: Vec<u32> = processes.iter().map(|process| process.pid).collect();
        processes.extend(Process::tree("nginx", self.nginx.pid())?);
        // The hub was started by a worker, and is none.
        let fpm = children(self.fpm.child.pid())?.into_iter().chain([self.fpm.child.pid()]);
        processes.extend(fpm.filter(|pid| !hub.contains(pid)).map(|pid| Process::new("fpm", pid)));
        Ok(processes)
    }

    fn versions(&self) -> Result<Vec<(String, String)>> {
        let mut versions = programs::php_versions()?;
        versions.push(("nginx".to_owned(), programs::nginx_version()?));
        Ok(versions)
    }
}
