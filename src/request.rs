//! The beginning and the end of each request.

use crate::{rendering, signatures};

/// Called by the engine before the script.
pub extern "C" fn start(_type: i32, _module: i32) -> i32 {
    signatures::complete();
    rendering::begin();
    0
}

/// Called by the engine after the script, its shutdown functions and its destructors.
pub extern "C" fn end(_type: i32, _module: i32) -> i32 {
    rendering::end();
    0
}
