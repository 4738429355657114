//! The start and the end of each request, as the engine announces them.

use super::call::{enter, forget_all};
use super::engine::Engine;

/// What the extension does then. A panic stops there, because it would end the server's process.
pub trait Requests {
    /// Before the script.
    fn start(engine: &mut Engine);
    /// After the script, its shutdown functions and its destructors.
    fn end(engine: &mut Engine);
}

/// # Safety
/// Only the engine calls it.
pub unsafe extern "C" fn start<R: Requests>(_type: i32, _module: i32) -> i32 {
    // SAFETY: the engine calls it, with no code of this extension around.
    let _ = unsafe {
        forget_all();
        enter(R::start)
    };
    0
}

/// # Safety
/// Only the engine calls it.
pub unsafe extern "C" fn end<R: Requests>(_type: i32, _module: i32) -> i32 {
    // SAFETY: the engine calls it.
    let _ = unsafe { enter(R::end) };
    0
}
