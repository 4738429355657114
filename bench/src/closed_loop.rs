//! A PHP process that publishes in a closed loop: `php/publish.php`, and what came of it.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::measure::Usage;
use crate::process::Running;
use crate::server::php::Settings;
use crate::server::{Process, programs};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/php/publish.php");

/// Modules that the script may need, where they are not built in. phpredis needs igbinary first.
const MODULES: &[&str] = &["sockets", "curl", "igbinary", "redis"];

/// How much longer than planned it may take: for the last call, and for starting PHP.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the script is told; its head says more.
#[derive(Debug, Clone)]
pub struct ClosedLoop {
    /// How.
    pub way: &'static str,
    /// Where to.
    pub target: String,
    /// How long, at most.
    pub seconds: f64,
    /// Of each event's data.
    pub bytes: u64,
    /// How many calls, at most; `None`: any number.
    pub calls: Option<u64>,
    /// Topics to take in turn, `%d` being the number; "bench" is one topic.
    pub topics: (String, u64),
}

/// What it says.
#[derive(Debug, Clone, Deserialize)]
struct Said {
    calls: u64,
    failed: u64,
    ns: u64,
    user_ns: u64,
    system_ns: u64,
}

/// What came of a loop.
#[derive(Debug, Clone)]
pub struct Published {
    /// Events that were taken.
    pub calls: u64,
    failed: u64,
    seconds: f64,
    /// CPU time in nanoseconds by role; that of the PHP process is the role `publisher`.
    cpu: BTreeMap<String, f64>,
}

impl ClosedLoop {
    /// One topic, no data, a second.
    pub fn new(way: &'static str, target: &str) -> Self {
        let topics = ("bench".to_owned(), 1);
        Self { way, target: target.to_owned(), seconds: 1.0, bytes: 0, calls: None, topics }
    }

    /// PHP without this extension.
    ///
    /// # Errors
    /// It is not there.
    pub fn plain_php() -> Result<Command> {
        let mut command = Command::new(programs::php()?);
        command.args(Settings::new(MODULES)?.arguments());
        Ok(command)
    }

    /// Runs it with this PHP, and sees what the processes of a server use meanwhile.
    ///
    /// # Errors
    /// It fails, or a process of the server ends.
    pub fn run(&self, mut php: Command, processes: impl Fn() -> Result<Vec<Process>>) -> Result<Published> {
        let calls = self.calls.unwrap_or(u64::MAX >> 1);
        php.arg(SCRIPT).args([self.way, &self.seconds.to_string(), &self.bytes.to_string(), &self.target]);
        php.args([&calls.to_string(), &self.topics.0, &self.topics.1.to_string()]);
        let before = Usage::of(&processes()?)?;
        let mut publisher = Running::start(php.stdin(Stdio::null()).stdout(Stdio::piped()))?;
        let status = publisher.wait(Duration::from_secs_f64(self.seconds) + PATIENCE)?;
        let spent = Usage::of(&processes()?)?.since(&before)?;
        let mut said = String::new();
        // A line, which the pipe has held.
        publisher.child().stdout.take().context("no pipe from PHP")?.read_to_string(&mut said)?;
        if !status.success() {
            bail!("publishing by {} ended with {status}: {said}", self.way);
        }
        let said: Said = serde_json::from_str(&said).with_context(|| format!("publishing by {}: {said}", self.way))?;
        let mut cpu = spent.cpu;
        cpu.insert("publisher".to_owned(), (said.user_ns + said.system_ns) as f64);
        Ok(Published { calls: said.calls, failed: said.failed, seconds: said.ns as f64 / 1e9, cpu })
    }
}

impl Published {
    /// Events that were taken: the calls, and one before the clock started.
    pub fn events(&self) -> u64 {
        self.calls + 1
    }

    /// Events a second that were taken.
    pub fn rate(&self) -> f64 {
        self.calls as f64 / self.seconds
    }

    /// Percent of the calls that were refused.
    pub fn refused(&self) -> f64 {
        100.0 * self.failed as f64 / (self.calls + self.failed) as f64
    }

    /// CPU time of a call in microseconds by role.
    pub fn cpu_by_role(&self) -> BTreeMap<String, f64> {
        let calls = (self.calls + self.failed) as f64;
        self.cpu.iter().map(|(role, time)| (role.clone(), time / calls / 1e3)).collect()
    }
}
