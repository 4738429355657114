//! What servers with php-sse have in common: the hub behind them, and publishing from PHP.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::{fs, io};

use anyhow::{Context as _, Result};

use super::php::Settings;
use super::{Process, http, programs, user};
use crate::process::{favour, until};
use crate::publisher::Paced;

/// The script that publishes at a steady pace.
const PACED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/php/paced.php");

/// The hub of a server, which PHP has started.
#[derive(Debug, Clone)]
pub struct Hub {
    /// Where it listens.
    pub socket: PathBuf,
    pid: u32,
    /// Whom it runs as, where that is not who runs the bench.
    user: Option<(u32, u32)>,
}

impl Hub {
    /// Has the PHP at `address` start its hub, whose `sse.socket` is this one. It runs as the workers' user, or as who
    /// runs the bench.
    ///
    /// # Errors
    /// PHP can't start it, or there is no such user.
    pub fn start(address: SocketAddr, socket: PathBuf, as_workers: bool) -> Result<Self> {
        let mut last = String::new();
        let ready = || {
            last = http::ok(address, "/ready.php")?;
            Ok(last.lines().last().is_some_and(|line| line.parse::<u32>().is_ok()))
        };
        // More than once: on a machine that is busy otherwise, a hub may take longer to start than `sse.timeout`.
        let told = until("ready.php tells the hub's process", Duration::from_secs(20), ready);
        told.with_context(|| format!("the last answer was: {last}"))?;
        let pid = last.lines().last().unwrap_or_default().parse()?;
        favour(pid);
        Ok(Self { socket, pid, user: if as_workers { user::ids_of_workers()? } else { None } })
    }

    /// Its processes: the one that listens, and those that it has started.
    ///
    /// # Errors
    /// /proc can't be read.
    pub fn processes(&self) -> Result<Vec<Process>> {
        Process::tree("hub", self.pid)
    }

    /// A command of PHP that reaches this hub, and never starts one.
    ///
    /// # Errors
    /// PHP is not there, or the extension is not built.
    pub fn php(&self, modules: &[&str]) -> io::Result<Command> {
        let mut command = Command::new(programs::php()?);
        command.args(
            Settings::new(modules)?
                .extension(&self.socket)?
                .with("sse.spawn", "off")
                // A machine that is too busy for what is measured gives bad figures, not none.
                .with("sse.timeout", 20_000)
                .with("display_errors", "stderr")
                .arguments(),
        );
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        Ok(command)
    }

    /// What `sse_stats()` says.
    ///
    /// # Errors
    /// The hub does not answer.
    pub fn stats(&self) -> Result<serde_json::Value> {
        let output = self.php(&[])?.args(["-r", "echo json_encode(sse_stats());"]).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let why = || format!("sse_stats(): {text}{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&text).with_context(why)
    }

    /// A process that publishes as `paced` says.
    ///
    /// # Errors
    /// As [`Hub::php`], or the script can't be read.
    pub fn publisher(&self, paced: &Paced) -> Result<Command> {
        let mut command = self.php(&[])?;
        // The text, not the file: its user may not be able to enter the folder of this checkout.
        let script = fs::read_to_string(PACED).with_context(|| format!("can't read {PACED}"))?;
        command.arg("-r").arg(script.trim_start_matches("<?php")).arg("--").arg(&paced.topic);
        command.args([paced.first, paced.events, paced.rate, paced.bytes as u64].map(|number| number.to_string()));
        Ok(command)
    }
}
