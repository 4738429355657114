//! A server's process, which ends with the bench whatever happens to it.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child as Started, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use rustix::process::{Pid, Signal, kill_process, kill_process_group, set_parent_process_death_signal};

/// How long a server may take to start, on a machine that has much else to do.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// How long a server may take to end by itself.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// How often a condition is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A process with a group of its own. Dropped, it gets SIGTERM, and after a while its whole group SIGKILL.
#[derive(Debug)]
pub struct Child {
    started: Started,
    log: PathBuf,
}

impl Child {
    /// Starts a command, to be called by the thread that lives as long as the bench (the kernel ends the child with the
    /// thread that started it). What the command prints goes to the file `log`.
    ///
    /// # Errors
    /// When the log can't be written or the command not be run.
    pub fn start(command: &mut Command, log: &Path) -> io::Result<Self> {
        let output = fs::File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        // SAFETY: one system call, which allocates nothing and takes no lock.
        unsafe { command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::TERM))?)) };
        let started = command
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", command.get_program().display())))?;
        Ok(Self { started, log: log.to_owned() })
    }

    /// The process's id, which is its group's as well.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.started.id()
    }

    /// Waits until `condition` says so.
    ///
    /// # Errors
    /// When the process ends before, or [`STARTS_WITHIN`] passes; the text ends with what the process has printed last.
    pub fn wait_until(&mut self, what: &str, mut condition: impl FnMut() -> bool) -> io::Result<()> {
        let deadline = Instant::now() + STARTS_WITHIN;
        while !condition() {
            if let Some(status) = self.started.try_wait()? {
                return Err(io::Error::other(format!("ended with {status} before {what}: {}", self.last_words())));
            }
            if Instant::now() > deadline {
                let text = format!("not within {STARTS_WITHIN:?}: {what}: {}", self.last_words());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// The end of the log, for error texts.
    fn last_words(&self) -> String {
        let text = String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join(" / ")
    }

    fn raw_pid(&self) -> Option<Pid> {
        Pid::from_raw(self.started.id().try_into().ok()?)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let Some(pid) = self.raw_pid() else { return };
        // What fails here has ended already.
        let _ = kill_process(pid, Signal::TERM);
        let deadline = Instant::now() + ENDS_WITHIN;
        while matches!(self.started.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(LOOK_AGAIN);
        }
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = self.started.wait();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_child_and_those_that_it_started_end_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' TERM; sleep 1000 & echo $!; wait"]);
        let log = folder.path().join("log");
        let mut child = Child::start(&mut shell, &log).unwrap();
        child
            .wait_until("it has started another", || fs::read_to_string(&log).is_ok_and(|text| text.ends_with('\n')))
            .unwrap();
        let other = fs::read_to_string(&log).unwrap();
        // It ignores SIGTERM; only its group's end helps, for which the test does not wait.
        kill_process_group(child.raw_pid().unwrap(), Signal::KILL).unwrap();
        drop(child);
        let gone =
            || fs::read_to_string(format!("/proc/{}/stat", other.trim())).map_or(true, |stat| stat.contains(") Z "));
        let deadline = Instant::now() + STARTS_WITHIN;
        while !gone() {
            assert!(Instant::now() < deadline, "{other} lives");
            thread::sleep(LOOK_AGAIN);
        }
    }

    #[test]
    fn why_a_server_did_not_start_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo the port is taken; exit 3"]);
        let mut child = Child::start(&mut shell, &folder.path().join("log")).unwrap();
        let error = child.wait_until("it listens", || false).unwrap_err().to_string();
        assert!(error.contains("exit status: 3 before it listens: the port is taken"), "{error}");
    }
}
