//! Output buffers that PHP itself has started: `output_buffering` and `zlib.output_compression`.
//!
//! They are told from those of a script by a pointer that the handlers of both leave unused.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::rc::Rc;

use ext_php_rs::ffi;
use ext_php_rs::types::Zval;

use super::call::{Bailout, guarded};
use super::engine::{Engine, Value};

/// `main/php_output.h`, the same in 8.1–8.6: a buffer's handler has run.
const PHP_OUTPUT_HANDLER_STARTED: i32 = 0x1000;
/// `main/php_output.h`, the same in 8.1–8.6: a buffer's handler has failed and is skipped.
const PHP_OUTPUT_HANDLER_DISABLED: i32 = 0x2000;

/// The handler of `zlib.output_compression`.
const COMPRESSING: &[u8] = b"zlib output compression";

/// The handler of `output_buffering`.
const PLAIN: &[u8] = b"default output handler";

type Buffer = ffi::php_output_handler;

/// What PHP's own buffers carry unless it is a [`PlainBuffer`]; a script's buffer carries nothing.
static MARK: u8 = 0;

/// The buffer of `output_buffering`, until it ends.
#[derive(Debug)]
pub struct PlainBuffer {
    buffer: Rc<Cell<Option<NonNull<Buffer>>>>,
    size: usize,
}

impl PlainBuffer {
    /// Marks the uppermost buffer as PHP's own. Call it before the script runs. `None` if there is none, or none of
    /// `output_buffering`.
    pub fn claim() -> Option<Self> {
        // SAFETY: no handler runs before the script. The engine calls the destructor, with what is carried, before it frees
        // the buffer.
        unsafe {
            let buffer = ffi::php_output_get_active_handler().as_mut().filter(|buffer| buffer.opaq.is_null())?;
            if buffer.dtor.is_some() || top(PLAIN).is_none() {
                mark(buffer);
                return None;
            }
            let size = buffer.size;
            let shared = Rc::new(Cell::new(Some(NonNull::from(&mut *buffer))));
            buffer.opaq = Rc::into_raw(Rc::clone(&shared)).cast_mut().cast();
            buffer.dtor = Some(forget);
            Some(Self { buffer: shared, size })
        }
    }

    /// Has it pass on each write, or hold as much as it did at first.
    pub fn pass_at_once(&self, does: bool) {
        if let Some(buffer) = self.buffer.get() {
            // SAFETY: not freed yet, see `forget`.
            unsafe { (*buffer.as_ptr()).size = if does { 1 } else { self.size } };
        }
    }
}

/// The end of a claimed buffer.
unsafe extern "C" fn forget(carried: *mut c_void) {
    // SAFETY: what `claim` has put there; the engine calls this once.
    let shared = unsafe { Rc::from_raw(carried.cast::<Cell<Option<NonNull<Buffer>>>>().cast_const()) };
    shared.set(None);
}

/// # Safety
/// The buffer exists, and its handler keeps nothing there.
unsafe fn mark(buffer: *mut Buffer) {
    // SAFETY: the caller's promise.
    unsafe { (*buffer).opaq = (&raw const MARK).cast_mut().cast() };
}

/// The uppermost buffer, if it has this handler.
fn top(name: &[u8]) -> Option<*mut Buffer> {
    // SAFETY: null or the engine's own structure; every handler has a name.
    unsafe {
        let buffer = ffi::php_output_get_active_handler();
        (!buffer.is_null() && (*(*buffer).name).as_bytes() == name).then_some(buffer)
    }
}

/// Whether the uppermost buffer is a script's, or there is none.
pub fn is_unmarked() -> bool {
    // SAFETY: the engine's own structure, if there is one.
    unsafe { ffi::php_output_get_active_handler().as_ref() }.is_some_and(|buffer| buffer.opaq.is_null())
}

/// Whether the uppermost buffer compresses, and has not begun to.
pub fn will_compress() -> bool {
    // SAFETY: the engine's own structure.
    top(COMPRESSING).is_some_and(|buffer| unsafe {
        (*buffer).flags & (PHP_OUTPUT_HANDLER_DISABLED | PHP_OUTPUT_HANDLER_STARTED) == 0
    })
}

/// Has the uppermost buffer, a plain one of PHP itself, pass on each write.
fn pass_at_once() {
    if let Some(buffer) = top(PLAIN) {
        // SAFETY: it exists. One of one byte's size is passed on after each write. A claimed one carries its own mark.
        unsafe {
            if (*buffer).opaq.is_null() {
                mark(buffer);
            }
            (*buffer).size = 1;
        }
    }
}

/// Puts a plain buffer in place of the uppermost one, and returns what that held, so that the script finds as many as before.
/// Ending one that compresses regularly would begin a compressed body.
///
/// # Errors
/// [`Bailout`] of its callback.
pub fn replace_by_plain(engine: &mut Engine) -> Result<Value, Bailout> {
    let mut held = Zval::new();
    let target = &raw mut held;
    // SAFETY: the engine fills the value with a copy of the buffer. What is uppermost then exists.
    let replaced = guarded(engine, || unsafe {
        ffi::php_output_get_contents(target);
        ffi::php_output_discard();
        pass_at_once();
        ffi::php_output_start_default();
        pass_at_once();
    });
    let held = Value::from(held);
    replaced.map(|()| held)
}
