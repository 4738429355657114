//! php-sse on `php -S`: PHP's built-in server, one process, no web server before it. The hub writes to the clients'
//! sockets itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use anyhow::Result;

use super::child::Child;
use super::folder::Folder;
use super::php::Settings;
use super::php_sse::Hub;
use super::{Process, Server, port, programs};
use crate::publisher::Paced;

/// See the module's text.
#[derive(Debug)]
pub struct PhpS {
    php: Child,
    address: SocketAddr,
    hub: Hub,
    _folder: Folder,
}

impl PhpS {
    /// Starts it.
    ///
    /// # Errors
    /// PHP is not there, the extension not built, or it does not start.
    pub fn start() -> Result<Self> {
        Self::with(|settings| settings)
    }

    /// Starts it with further settings of PHP.
    ///
    /// # Errors
    /// As [`PhpS::start`].
    pub fn with(more: impl FnOnce(Settings) -> Settings) -> Result<Self> {
        let folder = Folder::new()?;
        let socket = folder.path().join("hub.sock");
        let settings = more(Settings::new(&[])?.extension(&socket)?);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()?));
        let mut command = Command::new(programs::php()?);
        // -q: no line for each request.
        command.args(settings.arguments()).args(["-q", "-S", &address.to_string(), "-t"]).arg(folder.scripts()?);
        let mut php = Child::start(&mut command, &folder.path().join("php.log"))?;
        php.wait_until("php -S listens", || port::listens(address))?;
        let hub = Hub::start(address, socket, false)?;
        Ok(Self { php, address, hub, _folder: folder })
    }
}

impl Server for PhpS {
    fn name(&self) -> &'static str {
        "php-s"
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
        processes.push(Process::new("php", self.php.pid()));
        Ok(processes)
    }

    fn versions(&self) -> Result<Vec<(String, String)>> {
        Ok(programs::php_versions()?)
    }
}
