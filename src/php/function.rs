//! The body of a function that PHP code calls.

use std::panic::resume_unwind;

use ext_php_rs::exception::{PhpException, PhpResult};

use super::call::{self, Completion, enter, is_bailing_out, is_held};
use super::engine::Engine;

/// An error of a function's body.
pub trait Throw {
    /// The exception to throw. `None` if one is pending, or a bailout is on its way.
    fn exception(self) -> Option<PhpException>;
}

/// Runs the whole body of a function that PHP has called: nothing of that function may be left to drop. If PHP code that ran
/// meanwhile left by a bailout, the bailout continues here; after an exception, the engine ignores the value, which is then
/// the default one.
///
/// # Errors
/// The exception to throw.
pub fn run<T: Default, E: Throw>(body: impl FnOnce(&mut Engine) -> Result<T, E>) -> PhpResult<T> {
    // Not reached by a call from PHP code: that runs only while the engine has what another function of ours held.
    if is_held() {
        return Err(PhpException::from_message("php-sse: a function was called inside another one of php-sse".into()));
    }
    // SAFETY: nothing is held.
    let outcome = match unsafe { enter(body) } {
        Completion::Returned(outcome) => outcome.map_err(Throw::exception),
        Completion::Panicked(panic) => resume_unwind(panic),
        Completion::Left => Err(None),
    };
    settle(outcome)
}

/// Continues a bailout, if one was caught; otherwise returns the outcome.
fn settle<T: Default>(outcome: Result<T, Option<PhpException>>) -> PhpResult<T> {
    if is_bailing_out() {
        drop(outcome);
        // SAFETY: PHP has called this function's caller, whose body this is. The frames between are that function's, which has
        // nothing left, and that of ext-php-rs's handler, which catches the bailout and passes it on.
        unsafe { call::resume_bailout() };
        return Ok(T::default());
    }
    match outcome {
        Ok(value) => Ok(value),
        Err(None) => Ok(T::default()),
        Err(Some(exception)) => Err(exception),
    }
}
