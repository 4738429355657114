//! Streams without the extension: nginx and PHP-FPM with 20 workers, and in each stream a loop that asks a database every
//! two seconds (or as told) whether there is something new. What PHP sites that have no event server do.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::child::Child;
use super::folder::Folder;
use super::fpm::Fpm;
use super::nginx::Nginx;
use super::php::Settings;
use super::{Process, Server, http, programs, user};
use crate::publisher::Paced;

/// How many workers PHP-FPM has.
pub const WORKERS: usize = 20;

/// How long nginx waits for PHP. Its default is 60 seconds; less, so that waiting for it takes less of the bench's time.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// What the database needs.
const MODULES: [&str; 2] = ["pdo", "pdo_sqlite"];

/// The script that publishes.
const PACED: &str = include_str!("../../php/loop-paced.php");

/// See the module's text.
#[derive(Debug)]
pub struct Loops {
    nginx: Child,
    address: SocketAddr,
    fpm: Fpm,
    database: PathBuf,
    _folder: Folder,
}

impl Loops {
    /// Starts them.
    ///
    /// # Errors
    /// A program is not there, or something does not start.
    pub fn start() -> Result<Self> {
        let folder = Folder::new()?;
        let database = folder.of_workers("data")?.join("events.db");
        let fpm = Fpm::start(&folder, WORKERS, &Settings::new(&MODULES)?)?;
        let database_of_scripts = format!("fastcgi_param LOOP_DATABASE {};", database.display());
        let location = fpm.location(&format!("{}s", PATIENCE.as_secs()), &database_of_scripts);
        let server = format!("root {};\n{location}", folder.scripts()?.display());
        let (nginx, address) = Nginx { server: &server, ..Nginx::default() }.start(&folder, "nginx")?;
        http::ok(address, "/loop-ready.php")?;
        Ok(Self { nginx, address, fpm, database, _folder: folder })
    }

    /// The path of a stream that looks every so many seconds.
    #[must_use]
    pub fn polling(topic: &str, seconds: u64) -> String {
        format!("/loop.php?topic={topic}&poll={seconds}")
    }
}

impl Server for Loops {
    fn name(&self) -> &'static str {
        "loops"
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn request(&self, topic: &str) -> String {
        Self::polling(topic, 2)
    }

    fn hello(&self) -> Option<String> {
        Some("/hello.php".to_owned())
    }

    fn publisher(&self, paced: &Paced) -> Result<Command> {
        let mut command = Command::new(programs::php()?);
        command.args(Settings::new(&MODULES)?.with("display_errors", "stderr").arguments()).args([
            "-r",
            PACED.trim_start_matches("<?php"),
            "--",
        ]);
        command.arg(&self.database).arg(&paced.topic);
        command.args([paced.first, paced.events, paced.rate, paced.bytes as u64].map(|number| number.to_string()));
        if let Some((user, group)) = user::ids_of_workers()? {
            command.uid(user).gid(group);
        }
        Ok(command)
    }

    fn processes(&self) -> Result<Vec<Process>> {
        let mut processes = Process::tree("nginx", self.nginx.pid())?;
        processes.extend(Process::tree("fpm", self.fpm.child.pid())?);
        Ok(processes)
    }

    fn versions(&self) -> Result<Vec<(String, String)>> {
        Ok(vec![("nginx".to_owned(), programs::nginx_version()?)])
    }
}
