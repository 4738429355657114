//! A pool of PHP-FPM.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use super::child::Child;
use super::folder::Folder;
use super::php::Settings;
use super::{programs, user};

/// A static pool behind a Unix socket.
#[derive(Debug)]
pub struct Fpm {
    /// Its master.
    pub child: Child,
    /// Where it listens.
    pub socket: PathBuf,
}

impl Fpm {
    /// Starts a pool with so many workers, and waits until it listens.
    ///
    /// # Errors
    /// When PHP-FPM is not installed, or does not start; the text says why.
    pub fn start(folder: &Folder, workers: usize, settings: &Settings) -> io::Result<Self> {
        let path = folder.path().display();
        let socket = folder.path().join("fpm.sock");
        let identity = if user::is_root() {
            let user = user::WORKERS;
            format!("user = {user}\ngroup = {user}\nlisten.owner = {user}\nlisten.group = {user}\n")
        } else {
            String::new()
        };
        let file = folder.file(
            "fpm.conf",
            format!(
                "[global]
error_log = {path}/fpm.log
pid = {path}/fpm.pid
daemonize = no
[bench]
{identity}listen = {}
listen.backlog = 4096
pm = static
pm.max_children = {workers}
",
                socket.display()
            ),
        )?;
        let mut command = Command::new(programs::php_fpm()?);
        command.arg("--nodaemonize").arg("--fpm-config").arg(file).args(settings.arguments());
        let mut child = Child::start(&mut command, &folder.path().join("fpm.log"))?;
        child.wait_until("FPM listens", || std::os::unix::net::UnixStream::connect(&socket).is_ok())?;
        Ok(Self { child, socket })
    }

    /// The lines of nginx that send every path that ends in .php there; `patience` is how long a script may be silent,
    /// `more` what is said besides.
    #[must_use]
    pub fn location(&self, patience: &str, more: &str) -> String {
        let socket = self.socket.display();
        format!(
            "location ~ \\.php$ {{
            fastcgi_pass unix:{socket};
            fastcgi_read_timeout {patience};
            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
            fastcgi_param SCRIPT_NAME $fastcgi_script_name;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param REQUEST_URI $request_uri;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param SERVER_PROTOCOL $server_protocol;
            fastcgi_param REMOTE_ADDR $remote_addr;
            fastcgi_param REMOTE_PORT $remote_port;
            fastcgi_param SERVER_NAME $server_name;
            fastcgi_param SERVER_PORT $server_port;
            {more}
        }}"
        )
    }
}
