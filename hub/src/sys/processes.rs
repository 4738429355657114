//! Processes of this machine, as the kernel tells of them to everybody: proc(5).

use std::fmt::Display;
use std::fs;
use std::str::FromStr;

/// Ids of all processes that this one can see.
pub(crate) fn ids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// `/proc/PID/status` of a process.
#[derive(Debug)]
pub(crate) struct ProcessStatus(String);

impl ProcessStatus {
    /// That of a process; `None` if there is no such process any more.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        fs::read_to_string(format!("/proc/{pid}/status")).ok().map(Self)
    }

    /// The value of a line.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }

    /// The first number of a line.
    pub(crate) fn number<T: FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.split_whitespace().next()?.parse().ok()
    }

    /// The user who has started the process. The owner of its folder would not do: that is root where the process has forbidden
    /// others to trace it.
    pub(crate) fn user(&self) -> Option<u32> {
        self.number("Uid")
    }
}

/// `/proc/PID/stat` of a process.
#[derive(Debug)]
pub struct ProcessStat(String);

impl ProcessStat {
    /// That of a process, by its id or `self`; `None` if there is no such process any more.
    #[must_use]
    pub fn of(process: impl Display) -> Option<Self> {
        fs::read_to_string(format!("/proc/{process}/stat")).ok().map(Self)
    }

    /// A field behind the name, from 3 on; they are separated by spaces.
    #[must_use]
    pub fn number<T: FromStr>(&self, field: usize) -> Option<T> {
        // The name, in parentheses, may have any characters.
        let (_, after_name) = self.0.rsplit_once(") ")?;
        after_name.split_whitespace().nth(field.checked_sub(3)?)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_as_the_system_calls_tell() {
        let (own, parent) = (std::process::id(), std::os::unix::process::parent_id());
        assert!(ids().any(|pid| pid == own));
        let status = ProcessStatus::of(own).expect("this process");
        assert_eq!(status.user(), Some(rustix::process::getuid().as_raw()));
        assert_eq!((status.number("PPid"), status.text("Pid")), (Some(parent), Some(&*own.to_string())));
        for stat in [ProcessStat::of(own), ProcessStat::of("self")] {
            assert_eq!(stat.and_then(|stat| stat.number(4)), Some(parent));
        }
    }

    #[test]
    fn a_name_may_look_like_the_fields_behind_it() {
        let stat = ProcessStat("7 (a) S 1 (b) R 2 3\n".into());
        assert_eq!((stat.number(4), stat.number(5), stat.number::<u32>(2)), (Some(2), Some(3), None));
    }
}
