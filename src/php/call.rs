//! Calls from the engine into this extension and back: who has the right to run PHP code, and bailouts.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ext_php_rs::zend::{ExecutorGlobals, bailout, try_catch};

use super::engine::Engine;

/// The calls of this thread. They belong to the engine's stack, not to a request.
struct Calls {
    /// Whether code of this extension runs with an [`Engine`] that it has not lent to a call into the engine.
    held: Cell<bool>,
    /// A caught bailout that must continue.
    deferred: Cell<bool>,
}

thread_local! {
    static CALLS: Calls = const { Calls { held: Cell::new(false), deferred: Cell::new(false) } };
}

/// The engine left the code by a bailout (a fatal error, a memory limit, a client that is gone). It continues when this
/// extension's function ends.
#[derive(Debug)]
pub struct Bailout;

/// Runs engine code that may run user code or write to the client. `code` must own nothing that needs a destructor,
/// because a bailout jumps over its frame. A caller that gets a [`Bailout`] drops all it owns and returns to the engine
/// through [`resume_bailout`].
pub fn guarded<R>(_: &mut Engine, code: impl FnOnce() -> R) -> Result<R, Bailout> {
    // Whatever runs meanwhile may call this extension anew.
    let held = CALLS.with(|calls| calls.held.replace(false));
    let result = try_catch(AssertUnwindSafe(code));
    CALLS.with(|calls| {
        calls.held.set(held);
        result.map_err(|_| {
            calls.deferred.set(true);
            Bailout
        })
    })
}

/// How a piece of work that had the engine has ended.
pub(super) enum Completion<R> {
    /// It returned.
    Returned(R),
    /// It panicked, with this.
    Panicked(Box<dyn Any + Send>),
    /// It was left by a bailout in the engine's own code (memory has run out), which must continue.
    Left,
}

/// Whether there is an [`Engine`] that is not lent to the engine: then there must be no second one.
pub(super) fn is_held() -> bool {
    CALLS.with(|calls| calls.held.get())
}

/// Runs `work` with the engine. No panic and no bailout passes this.
///
/// # Safety
/// The engine has called this extension, or nothing of this extension is [held](is_held).
pub(super) unsafe fn enter<R>(work: impl FnOnce(&mut Engine) -> R) -> Completion<R> {
    let held = CALLS.with(|calls| calls.held.replace(true));
    // SAFETY: the caller's promise: no other token of this thread is in use until this one is gone.
    let mut engine = unsafe { Engine::entered() };
    let ended = try_catch(AssertUnwindSafe(|| catch_unwind(AssertUnwindSafe(|| work(&mut engine)))));
    CALLS.with(|calls| {
        calls.held.set(held);
        match ended {
            Ok(Ok(result)) => Completion::Returned(result),
            Ok(Err(panic)) => Completion::Panicked(panic),
            Err(_) => {
                calls.deferred.set(true);
                Completion::Left
            }
        }
    })
}

/// Continues a bailout that [`guarded`] or [`enter`] has caught, if any.
///
/// # Safety
/// A request is running, and no frame of this extension since the engine's last call owns anything that needs a
/// destructor: the bailout jumps over all of them.
pub(super) unsafe fn resume_bailout() {
    if CALLS.with(|calls| calls.deferred.replace(false)) {
        // SAFETY: the caller's promise. PHP always has a handler set while a request runs.
        unsafe { bailout() }
    }
}

/// Whether a bailout was caught that must continue.
pub fn is_bailing_out() -> bool {
    CALLS.with(|calls| calls.deferred.get())
}

/// Forgets a bailout that was caught, where the request ends anyway.
pub fn forget_bailout() {
    CALLS.with(|calls| calls.deferred.set(false));
}

/// Forgets all that the request before has left.
///
/// # Safety
/// No code of this extension runs on this thread.
pub(super) unsafe fn forget_all() {
    CALLS.with(|calls| {
        calls.held.set(false);
        calls.deferred.set(false);
    });
}

/// Whether code that ran meanwhile did not return normally: an exception or a bailout is pending.
pub fn interrupted() -> bool {
    is_bailing_out() || exception_pending()
}

/// Whether an exception is pending. `exit` counts as one.
pub fn exception_pending() -> bool {
    ExecutorGlobals::has_exception()
}
