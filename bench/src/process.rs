//! Processes that the benchmark starts: none outlives it, however it ends.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, set_parent_process_death_signal};

/// A process that is ended when this is dropped, and by the kernel when this program ends.
pub struct Running(Child);

impl Running {
    /// Starts it.
    ///
    /// # Errors
    /// The program is not there, or can't be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let die = || set_parent_process_death_signal(Some(Signal::TERM)).map_err(Into::into);
        // SAFETY: one system call and nothing else between fork and exec.
        unsafe { command.pre_exec(die) };
        Ok(Self(command.spawn().with_context(|| format!("can't start {}", command.get_program().display()))?))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// The process itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// It has not within that time.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let pid = Pid::from_raw(self.pid().cast_signed()).context("a process without an id")?;
        // Not yet waited for, so the id is still its own. Polled: looking again and again would take time from what is measured.
        if let Ok(end) = pidfd_open(pid, PidfdFlags::empty()) {
            let time = Timespec::try_from(patience).context("a time that is too long")?;
            retry_on_intr(|| poll(&mut [PollFd::new(&end, PollFlags::IN)], Some(&time)))?;
        }
        match self.0.try_wait()? {
            Some(status) => Ok(status),
            None => bail!("process {} has not ended within {} s", self.pid(), patience.as_secs()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_alive() {
            // Asked first: it may have processes of its own to end.
            if let Some(pid) = Pid::from_raw(self.pid().cast_signed()) {
                let _ = kill_process(pid, Signal::TERM);
            }
            if self.wait(Duration::from_secs(5)).is_err() {
                let _ = self.0.kill();
                let _ = self.0.wait();
            }
        }
    }
}

/// The path of this program, whose other subcommands are the processes of a run.
///
/// # Errors
/// The system does not say.
pub fn this_program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("SSE_BENCH") {
        return Ok(path.into());
    }
    std::env::current_exe().context("can't find this program")
}

/// Gives the session of this process the niceness that the benchmark was started with. Linux shares the processors among
/// sessions first (autogroup, see sched(7)), so on a busy machine a hub, which has a session of its own, would otherwise wait
/// for every other session while servers in the benchmark's do not.
pub fn favour(pid: u32) {
    if let Ok(nice) = rustix::process::getpriority_process(None)
        && nice != 0
    {
        // Not all kernels have it, and not every user may: then it is as it was.
        let _ = std::fs::write(format!("/proc/{pid}/autogroup"), nice.to_string());
    }
}

/// Waits until `condition` is true.
///
/// # Errors
/// It has not become true within that time; the text says that it waited for `what`.
pub fn until(what: &str, patience: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + patience;
    while !condition()? {
        if Instant::now() >= deadline {
            bail!("waited {} s in vain until {what}", patience.as_secs());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
