//! Helpers that know nothing of streams.

pub(crate) mod backlog;
pub(crate) mod beginnings;
pub(crate) mod log;
pub(crate) mod memory;
pub(crate) mod one_line;
pub(crate) mod program;
pub mod random;
pub(crate) mod throttle;
pub(crate) mod timer;
pub mod topic_map;
