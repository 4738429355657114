//! The start and end of each request.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::api::stream;
use crate::php::engine::Engine;
use crate::{adopt, commit, handoff, patience, rendering, signatures, zend};

/// Called by the engine before the script. Panics stop here, because they would end the server's process.
pub extern "C" fn start(_type: i32, _module: i32) -> i32 {
    // SAFETY: the engine calls this function.
    let engine = &mut unsafe { Engine::entered() };
    let _ = catch_unwind(AssertUnwindSafe(|| {
        zend::forget_bailout();
        signatures::complete();
        handoff::close_on_exec();
        patience::reset();
        commit::begin_request();
        stream::reset();
        rendering::begin(engine);
        adopt::begin_request();
    }));
    0
}

/// Called by the engine after the script, its shutdown functions and its destructors.
pub extern "C" fn end(_type: i32, _module: i32) -> i32 {
    // SAFETY: as above.
    let engine = &mut unsafe { Engine::entered() };
    let _ = catch_unwind(AssertUnwindSafe(|| rendering::end(engine)));
    let _ = catch_unwind(adopt::end_request);
    // Last, because it may wait.
    let _ = catch_unwind(AssertUnwindSafe(|| commit::end_request(engine)));
    0
}
