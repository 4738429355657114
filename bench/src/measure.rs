//! What processes have used: CPU time, context switches, memory; from /proc.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result};

use crate::server::Process;

/// What processes have used until now.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    by_pid: BTreeMap<u32, Used>,
}

/// What one process has used.
#[derive(Debug, Clone, Default)]
struct Used {
    role: String,
    /// CPU time in nanoseconds.
    cpu: u64,
    /// Context switches, voluntary and not.
    switches: u64,
}

/// What was used between two looks, by role.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spent {
    /// CPU time in nanoseconds.
    pub cpu: BTreeMap<String, f64>,
    /// Context switches, voluntary and not.
    pub switches: BTreeMap<String, f64>,
}

impl Usage {
    /// Looks at these processes now.
    ///
    /// # Errors
    /// One of them has ended.
    pub fn of(processes: &[Process]) -> Result<Self> {
        let mut by_pid = BTreeMap::new();
        for Process { role, pid } in processes {
            by_pid.insert(*pid, Used { role: role.clone(), cpu: cpu(*pid)?, switches: switches(*pid)? });
        }
        Ok(Self { by_pid })
    }

    /// What was used since then; a process that was not there then counts from its beginning.
    ///
    /// # Errors
    /// One that was there then is not any more, so that what it used is not known.
    pub fn since(&self, earlier: &Self) -> Result<Spent> {
        if let Some((pid, used)) = earlier.by_pid.iter().find(|(pid, _)| !self.by_pid.contains_key(pid)) {
            anyhow::bail!("process {pid} ({}) ended while it was measured", used.role);
        }
        let mut spent = Spent::default();
        for (pid, used) in &self.by_pid {
            let before = earlier.by_pid.get(pid).cloned().unwrap_or_default();
            *spent.cpu.entry(used.role.clone()).or_default() += used.cpu.saturating_sub(before.cpu) as f64;
            *spent.switches.entry(used.role.clone()).or_default() +=
                used.switches.saturating_sub(before.switches) as f64;
        }
        Ok(spent)
    }
}

/// CPU time of a process in nanoseconds, all its threads together.
///
/// # Errors
/// It has ended.
pub fn cpu(pid: u32) -> Result<u64> {
    // schedstat is exact, stat counts in ticks but knows of threads that have ended.
    let mut exact = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid} has ended"))? {
        if let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) {
            exact += text.split(' ').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid} has ended"))?;
    // The name, in parentheses, may contain anything: count from behind it.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace().collect();
    let ticks: u64 = [11, 12].iter().filter_map(|index| fields.get(*index)?.parse::<u64>().ok()).sum();
    let ticked = ticks * 1_000_000_000 / rustix::param::clock_ticks_per_second();
    // More than a few ticks apart: threads have ended, whose time only stat has.
    Ok(if ticked > exact + 50_000_000 { ticked } else { exact })
}

/// Context switches of a process, all its threads together.
///
/// # Errors
/// It has ended.
pub fn switches(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid} has ended"))? {
        let Ok(text) = fs::read_to_string(thread?.path().join("status")) else { continue };
        let counts = text.lines().filter(|line| line.contains("ctxt_switches:"));
        sum += counts.filter_map(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()).sum::<u64>();
    }
    Ok(sum)
}

/// Memory of the user's own that a process has: private anonymous pages, in bytes.
///
/// # Errors
/// It has ended.
pub fn memory(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("can't read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap_or_default();
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024)
}

/// [`memory`] of these processes, by role.
///
/// # Errors
/// One of them has ended.
pub fn memory_by_role(processes: &[Process]) -> Result<BTreeMap<String, f64>> {
    let mut by_role = BTreeMap::new();
    for Process { role, pid } in processes {
        *by_role.entry(role.clone()).or_default() += memory(*pid)? as f64;
    }
    Ok(by_role)
}

/// CPU time in nanoseconds of all processes that this one has started and that have ended.
pub fn children() -> u64 {
    // SAFETY: getrusage writes the whole structure, which is plain numbers.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let nanoseconds = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1_000;
    nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime)
}
