//! Memory shared by several processes.

use std::io;

use rustix::mm::{MapFlags, ProtFlags};

use crate::stats::ShardStats;

/// Creates counters that this process shares with the children it forks from now on. They live as long as one of these does.
pub(crate) fn counters(count: usize) -> io::Result<&'static [ShardStats]> {
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
    // SAFETY: a new mapping overlaps nothing; it is page-aligned, and never unmapped by this process. It holds atomic numbers
    // without pointers, which mean the same to each process that shares it.
    unsafe {
        let size = count.max(1) * size_of::<ShardStats>();
        let start: *mut ShardStats = rustix::mm::mmap_anonymous(std::ptr::null_mut(), size, protection, flags)?.cast();
        (0..count).for_each(|nth| start.add(nth).write(ShardStats::default()));
        Ok(std::slice::from_raw_parts(start, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_process_counts_for_its_parent() {
        let counters = counters(2).expect("memory");
        let (_near, far) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let child = crate::sys::fork_worker(far.into(), None, counters, |_, counters| {
            counters[1].opened.add(7);
            true
        });
        let child = child.expect("forked");
        let (_, status) = rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty())
            .expect("own child")
            .expect("it has ended");
        assert_eq!(status.exit_status(), Some(0));
        assert_eq!(counters.iter().map(|stats| stats.opened.get()).collect::<Vec<_>>(), [0, 7]);
    }
}
