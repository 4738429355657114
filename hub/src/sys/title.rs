//! The process title, which `ps` shows.

use crate::sys::processes::ProcessStat;

/// Sets the name of the process, and overwrites its command line as far as there is room.
pub fn set_title(name: &str) {
    if let Ok(short) = std::ffi::CString::new(name) {
        let _ = rustix::thread::set_name(&short);
    }
    let Some((start, end)) = command_line() else { return };
    let room = end.saturating_sub(start);
    let text = &name.as_bytes()[..name.len().min(room.saturating_sub(1))];
    let mut line = vec![0; room];
    line[..text.len()].copy_from_slice(text);
    let from = libc::iovec { iov_base: line.as_mut_ptr().cast(), iov_len: room };
    let to = libc::iovec { iov_base: std::ptr::with_exposed_provenance_mut(start), iov_len: room };
    // SAFETY: the kernel copies to the range that it reports itself for the arguments, and refuses what can't be written to;
    // `ps` then still shows the parent's title. (/proc/self/mem is closed to processes that have changed their user.)
    unsafe { libc::process_vm_writev(libc::getpid(), &raw const from, 1, &raw const to, 1, 0) };
}

/// Address range of the arguments: fields 48 and 49 of `/proc/self/stat` (proc(5)).
fn command_line() -> Option<(usize, usize)> {
    let stat = ProcessStat::of("self")?;
    let (start, end) = (stat.number(48)?, stat.number(49)?);
    (start > 0 && end > start).then_some((start, end))
}
