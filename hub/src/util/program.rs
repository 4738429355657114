//! Runs a [`Program`]: the command line that starts a hub for a process that must not fork one.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use crate::config::Program;
use sse_protocol::topic;

/// Maximum bytes kept of the program's stderr.
const COMPLAINT: usize = 2048;

/// Result of running a program.
#[derive(Debug)]
pub struct Ran {
    /// Whether the exit code was 0.
    pub succeeded: bool,
    /// What the program wrote to stdout.
    pub output: String,
    /// What the program wrote to stderr, shortened to one line.
    pub complaint: String,
}

impl Program {
    /// Runs the program to its end, or kills it at `until`.
    ///
    /// # Errors
    /// The program can't be run, or `TimedOut`; `ECHILD`: another waiter in this process has reaped it.
    pub fn run(&self, until: Option<Instant>) -> io::Result<Ran> {
        let mut child = Command::new(&self.path)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            // A program that doesn't read its input reports why.
            let _ = input.write_all(&self.input);
        }
        let heard = hear(&mut child, until);
        if heard.is_err() {
            let _ = child.kill();
        }
        let status = child.wait();
        let [output, complaint] = heard?;
        Ok(Ran {
            succeeded: status?.success(),
            output: String::from_utf8_lossy(&output).into_owned(),
            complaint: topic::printable(String::from_utf8_lossy(&complaint).trim()),
        })
    }
}

/// Reads all of stdout and the beginning of stderr.
fn hear(child: &mut Child, until: Option<Instant>) -> io::Result<[Vec<u8>; 2]> {
    let (mut output, mut errors) = (child.stdout.take(), child.stderr.take());
    let (mut printed, mut complaint) = (Vec::new(), Vec::new());
    while output.is_some() || errors.is_some() {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.map(|left| Timespec::try_from(left).unwrap_or_default());
        let sources = [output.as_ref().map(AsFd::as_fd), errors.as_ref().map(AsFd::as_fd)];
        let mut polled: Vec<PollFd<'_>> =
            sources.iter().flatten().map(|source| PollFd::new(source, PollFlags::IN)).collect();
        match rustix::event::poll(&mut polled, timeout.as_ref()) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Err(Errno::INTR) => continue,
            polled => polled?,
        };
        // In the order of `sources`, of which one may be missing.
        let ready: Vec<bool> = polled.iter().map(|source| !source.revents().is_empty()).collect();
        let (of_output, of_errors) = (output.is_some() && ready[0], errors.is_some() && ready[ready.len() - 1]);
        if of_output && !read(&mut output, &mut printed)? {
            output = None;
        }
        if of_errors && !read(&mut errors, &mut complaint)? {
            errors = None;
        }
        complaint.truncate(COMPLAINT);
    }
    Ok([printed, complaint])
}

/// Reads the bytes available; false at the end of the file.
fn read(source: &mut Option<impl Read>, into: &mut Vec<u8>) -> io::Result<bool> {
    let Some(source) = source else { return Ok(false) };
    let mut chunk = [0; 4096];
    match source.read(&mut chunk) {
        Ok(count) => {
            into.extend_from_slice(&chunk[..count]);
            Ok(count > 0)
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn shell(script: &str) -> Program {
        Program { path: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()], input: "what it reads\n".into() }
    }

    #[test]
    fn what_it_says_is_heard() {
        let ran = shell("read line; echo \"$line\"; echo 'a  complaint' >&2; exit 3").run(None).expect("runs");
        assert_eq!((ran.succeeded, ran.output.as_str()), (false, "what it reads\n"));
        assert_eq!(ran.complaint, "a  complaint");
    }

    #[test]
    fn complaints_without_end_are_not_kept() {
        let ran = shell("exec >&-; yes | head -c 1000000 >&2").run(None).expect("runs");
        assert!(ran.succeeded && ran.output.is_empty());
        assert!(ran.complaint.len() >= COMPLAINT / 2 && ran.complaint.len() <= 2 * COMPLAINT);
    }

    #[test]
    fn one_that_does_not_end_is_killed() {
        let until = Instant::now() + Duration::from_millis(50);
        let error = shell("exec sleep 1000").run(Some(until)).expect_err("it sleeps");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
