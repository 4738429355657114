//! The beginning and the end of each request.

use std::panic::catch_unwind;

use crate::api::stream;
use crate::{adopt, commit, patience, rendering, signatures};

/// Called by the engine before the script. A panic ends here: it would take the server's process with it.
pub extern "C" fn start(_type: i32, _module: i32) -> i32 {
    let _ = catch_unwind(|| {
        signatures::complete();
        patience::reset();
        commit::begin_request();
        stream::reset();
        rendering::begin();
        adopt::begin_request();
    });
    0
}

/// Called by the engine after the script, its shutdown functions and its destructors.
pub extern "C" fn end(_type: i32, _module: i32) -> i32 {
    let _ = catch_unwind(rendering::end);
    let _ = catch_unwind(adopt::end_request);
    // Last, since it may wait.
    let _ = catch_unwind(commit::end_request);
    0
}
