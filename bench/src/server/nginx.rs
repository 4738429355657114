//! nginx with a configuration that stands on its own: the same head for every server that is one.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use super::child::Child;
use super::folder::Folder;
use super::{children, port, programs, user};

/// How it is run.
#[derive(Debug, Default)]
pub struct Nginx<'a> {
    /// Lines before everything, such as `load_module`.
    pub top: &'a str,
    /// Lines in `http`.
    pub http: &'a str,
    /// Lines in its one `server`, beside `listen`.
    pub server: &'a str,
    /// Worker processes; 0 is one a core.
    pub workers: usize,
    /// Connections that each worker may have; 0 is as many as descriptors are allowed.
    pub connections: u64,
}

impl Nginx<'_> {
    /// Starts it on a free port of loopback, with its files in `folder`, and waits until it answers there.
    ///
    /// # Errors
    /// When it is not installed, or does not start; the text says why.
    pub fn start(&self, folder: &Folder, name: &str) -> io::Result<(Child, SocketAddr)> {
        let port = port::free()?;
        let own = folder.path().join(name);
        std::fs::create_dir(&own)?;
        let own = own.display();
        let user = if user::is_root() { format!("user {};", user::WORKERS) } else { String::new() };
        let workers = if self.workers == 0 { std::thread::available_parallelism()?.get() } else { self.workers };
        let descriptors = descriptors();
        let connections = if self.connections == 0 { descriptors } else { self.connections.min(descriptors) };
        let Self { top, http, server, .. } = self;
        let configuration = format!(
            "{top}
{user}
daemon off;
pid {own}/pid;
error_log {own}/error.log warn;
worker_processes {workers};
worker_rlimit_nofile {descriptors};
events {{
    worker_connections {connections};
    multi_accept on;
}}
http {{
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path {own}/body;
    fastcgi_temp_path {own}/fastcgi;
    proxy_temp_path {own}/proxy;
    scgi_temp_path {own}/scgi;
    uwsgi_temp_path {own}/uwsgi;
    {http}
    server {{
        # A socket for each worker, so that the kernel spreads connections evenly over them.
        listen 127.0.0.1:{port} backlog=4096 reuseport;
        {server}
    }}
}}
"
        );
        let file = folder.file(&format!("{name}.conf"), configuration)?;
        let log = folder.path().join(format!("{name}.log"));
        let mut command = Command::new(programs::find(&["nginx"])?);
        command.arg("-p").arg(folder.path().join(name)).arg("-e").arg(&log).arg("-c").arg(file);
        let mut child = Child::start(&mut command, &log)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let pid = child.pid();
        // It listens before its workers are there.
        child.wait_until("nginx has its workers", || children(pid).is_ok_and(|all| all.len() == workers))?;
        Ok((child, address))
    }
}

/// How many descriptors a process may have here.
pub fn descriptors() -> u64 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.maximum.unwrap_or(1_000_000)
}
