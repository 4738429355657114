//! How many system calls processes make, counted by `perf stat`: a figure that a busy machine doesn't change. Counting costs a
//! little for each call, so nothing else is measured meanwhile.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::process::Running;
use crate::server::Process;

/// How long `perf` may take to begin or to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Calls that are being counted.
pub struct Calls {
    /// One `perf` for each role.
    counters: Vec<Counter>,
    _folder: TempDir,
}

struct Counter {
    role: String,
    perf: Running,
}

impl Calls {
    /// Begins to count; none where `perf` is not there, or may not count.
    ///
    /// # Errors
    /// No file can be written.
    pub fn begin(processes: &[Process]) -> Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        let mut roles = BTreeMap::<&str, Vec<String>>::new();
        for process in processes {
            roles.entry(&process.role).or_default().push(process.pid.to_string());
        }
        let mut counters = Vec::new();
        for (role, pids) in roles {
            match Counter::begin(folder.path(), role, &pids.join(","))? {
                Some(counter) => counters.push(counter),
                None => return Ok(None),
            }
        }
        Ok(Some(Self { counters, _folder: folder }))
    }

    /// Ends counting; calls by role.
    ///
    /// # Errors
    /// `perf` does not say.
    pub fn end(self) -> Result<BTreeMap<String, f64>> {
        self.counters.into_iter().map(|counter| Ok((counter.role.clone(), counter.end()?))).collect()
    }
}

impl Counter {
    fn begin(folder: &Path, role: &str, pids: &str) -> Result<Option<Self>> {
        let [orders, answers] = ["orders", "answers"].map(|name| folder.join(format!("{role}.{name}")));
        let (mut orders_end, mut answers_end) = (fifo(&orders)?, fifo(&answers)?);
        let mut command = Command::new("perf");
        command.args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-D", "-1", "-p", pids, "--control"]);
        command.arg(format!("fifo:{},{}", orders.display(), answers.display()));
        let Ok(mut perf) = Running::start(command.stdout(Stdio::null()).stderr(Stdio::piped())) else {
            return Ok(None);
        };
        orders_end.write_all(b"enable\n")?;
        // It answers when it counts.
        let deadline = std::time::Instant::now() + PATIENCE;
        let mut answer = [0; 16];
        while answers_end.read(&mut answer).unwrap_or(0) == 0 {
            if !perf.is_alive() || std::time::Instant::now() > deadline {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(Some(Self { role: role.to_owned(), perf }))
    }

    fn end(mut self) -> Result<f64> {
        let pid = Pid::from_raw(self.perf.pid().cast_signed()).context("perf has no process id")?;
        kill_process(pid, Signal::INT).context("perf has ended too early")?;
        self.perf.wait(PATIENCE)?;
        let mut text = String::new();
        self.perf.child().stderr.take().context("no pipe from perf")?.read_to_string(&mut text)?;
        let line = text.lines().find(|line| line.contains("raw_syscalls")).unwrap_or_default();
        match line.split(',').next() {
            Some("<not counted>") => Ok(0.0),
            Some(count) => count.parse().with_context(|| format!("perf says: {text}")),
            None => bail!("perf says: {text}"),
        }
    }
}

/// A fifo, and an end of it that neither waits for the other end nor for bytes.
fn fifo(path: &Path) -> Result<File> {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    let mut options = OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    Ok(options.read(true).write(true).open(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_a_process_are_counted_where_perf_may() {
        let mut dd = Command::new("cat");
        let mut cat = Running::start(dd.stdin(Stdio::piped()).stdout(Stdio::piped())).unwrap();
        let process = Process { role: "cat".to_owned(), pid: cat.pid() };
        let Some(calls) = Calls::begin(&[process]).unwrap() else { return };
        for _ in 0..50 {
            cat.child().stdin.as_mut().unwrap().write_all(b"x").unwrap();
            cat.child().stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        }
        let counted = calls.end().unwrap()["cat"];
        // A read and a write each.
        assert!((98.0..=102.0).contains(&counted), "{counted}");
    }
}
