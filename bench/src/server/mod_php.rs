//! php-sse in Apache, prefork with PHP inside, two processes. The hub writes to the clients' sockets itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use anyhow::Result;

use super::child::Child;
use super::folder::Folder;
use super::php::Settings;
use super::php_sse::Hub;
use super::{Process, Server, children, port, programs, user};
use crate::publisher::Paced;

/// How many processes Apache has.
pub const WORKERS: usize = 2;

/// Where Debian has Apache's modules.
const MODULES: &str = "/usr/lib/apache2/modules";

/// See the module's text.
#[derive(Debug)]
pub struct ModPhp {
    apache: Child,
    address: SocketAddr,
    hub: Hub,
    _folder: Folder,
}

impl ModPhp {
    /// Starts it.
    ///
    /// # Errors
    /// Apache or its PHP is not there, the extension not built, or it does not start.
    pub fn start() -> Result<Self> {
        let folder = Folder::new()?;
        let path = folder.path().display().to_string();
        let socket = folder.of_workers("hub")?.join("hub.sock");
        folder.file("php.ini", Settings::new(&[])?.extension(&socket)?.text())?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()?));
        let module = |name: &str| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n");
        let modules: String = ["mpm_prefork", "authz_core", "mime"].map(module).concat();
        let identity = if user::is_root() { format!("User {0}\nGroup {0}", user::WORKERS) } else { String::new() };
        let file = folder.file(
            "apache.conf",
            format!(
                "ServerRoot {path}
ServerName 127.0.0.1
DefaultRuntimeDir {path}
PidFile {path}/apache.pid
ErrorLog {path}/apache.log
LogLevel warn
{modules}LoadModule php_module {}
{identity}
PHPIniDir {path}
Listen {address}
ListenBacklog 4096
ServerLimit {WORKERS}
MaxRequestWorkers {WORKERS}
StartServers {WORKERS}
MinSpareServers {WORKERS}
MaxSpareServers {WORKERS}
TypesConfig /dev/null
DocumentRoot {}
<FilesMatch \"\\.php$\">
    SetHandler application/x-httpd-php
</FilesMatch>
",
                programs::php_of_apache()?.display(),
                folder.scripts()?.display(),
            ),
        )?;
        let mut command = Command::new(programs::find(&["apache2"])?);
        // No settings but those of its PHPIniDir.
        command.env("PHP_INI_SCAN_DIR", "").arg("-d").arg(&path).arg("-f").arg(file).arg("-DFOREGROUND");
        let mut apache = Child::start(&mut command, &folder.path().join("apache.log"))?;
        apache.wait_until("Apache listens", || port::listens(address))?;
        let hub = Hub::start(address, socket, true)?;
        Ok(Self { apache, address, hub, _folder: folder })
    }
}

impl Server for ModPhp {
    fn name(&self) -> &'static str {
        "mod-php"
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
        let apache = children(self.apache.pid())?.into_iter().chain([self.apache.pid()]);
        processes.extend(apache.filter(|pid| !hub.contains(pid)).map(|pid| Process::new("apache", pid)));
        Ok(processes)
    }

    fn versions(&self) -> Result<Vec<(String, String)>> {
        let mut versions = programs::php_versions()?;
        versions.push(("Apache".to_owned(), programs::debian_version("apache2")));
        Ok(versions)
    }
}
