//! PHP's own functions that an event stream's loop is made of, and what stands in their place.
//!
//! They are replaced when the module starts, before any server forks, and whether or not `sse.adopt` is on anywhere:
//! opcache's JIT keeps the address of a function in memory that all processes share, so that it has to be the right one in
//! each of them. Requests that are not adopted pay for a look at a number.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use ext_php_rs::boxed::ZBox;
use ext_php_rs::exception::PhpException;
use ext_php_rs::ffi;
use ext_php_rs::types::{ZendHashTable, Zval};

use super::rest::{self, Rest};
use super::{BUFFERS_TAKEN, PHASE, Phase, begin, is_concerned, look, output};
use crate::php::engine::Engine;
use crate::{handoff, zend};

type Call = *mut ffi::zend_execute_data;
type Handler = unsafe extern "C" fn(Call, *mut Zval);

/// A function of PHP and its stand-in.
struct Hook {
    name: &'static str,
    ours: Handler,
    /// PHP's own, or that of an extension that was loaded before; null until it is replaced.
    original: AtomicPtr<()>,
}

static SLEEP: Hook = Hook::new("sleep", sleep);
static USLEEP: Hook = Hook::new("usleep", usleep);
static TIME_NANOSLEEP: Hook = Hook::new("time_nanosleep", time_nanosleep);
static FLUSH: Hook = Hook::new("flush", flush);
static OB_FLUSH: Hook = Hook::new("ob_flush", ob_flush);

/// What is left to do after a stand-in.
enum Then {
    /// PHP's own function does what it always does.
    Original,
    /// Nothing.
    Return,
}

impl Hook {
    const fn new(name: &'static str, ours: Handler) -> Self {
        Self { name, ours, original: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// Where the engine has the function; `None` if it is disabled, or is no function of the engine's.
    fn place(&self) -> Option<*mut Option<Handler>> {
        // SAFETY: the table of functions is there for as long as the module; it holds pointers to functions, which begin
        // with their type, and an internal one is as declared.
        unsafe {
            let functions = (*ffi::ext_php_rs_compiler_globals()).function_table.as_ref()?;
            let function: *mut ffi::zend_function = functions.get(self.name)?.ptr()?;
            let is_internal = u32::from((*function).type_) == ffi::ZEND_INTERNAL_FUNCTION;
            is_internal.then(|| &raw mut (*function).internal_function.handler)
        }
    }

    /// Replaces the function.
    fn install(&self) {
        let Some(place) = self.place() else { return };
        // SAFETY: no other thread runs yet. What is called by way of the stand-in is known before that is in its place.
        unsafe {
            if let Some(original) = (*place).filter(|handler| *handler as usize != self.ours as usize) {
                self.original.store(original as *mut (), Ordering::Release);
                *place = Some(self.ours);
            }
        }
    }

    /// Puts the function back, unless another extension has replaced the stand-in.
    fn uninstall(&self) {
        let Some(place) = self.place() else { return };
        // SAFETY: no other thread runs any more.
        unsafe {
            if (*place).is_some_and(|handler| handler as usize == self.ours as usize) {
                *place = self.found();
            }
        }
    }

    fn found(&self) -> Option<Handler> {
        // SAFETY: null, or the function that `install` has found.
        unsafe { std::mem::transmute::<*mut (), Option<Handler>>(self.original.load(Ordering::Acquire)) }
    }

    /// Does what PHP always does. The caller must own nothing: the client may have gone, which ends the script.
    unsafe fn original(&self, call: Call, result: *mut Zval) {
        match self.found() {
            // SAFETY: with the engine's own arguments.
            Some(original) => unsafe { original(call, result) },
            // Never seen, as nobody knows of the stand-in by then. A sleep that does nothing would be a loop without one.
            None => missing(self.name),
        }
    }

    /// Runs a stand-in, in requests that may be adopted. No panic gets to the engine, and a bailout only from here.
    unsafe fn enter(&self, call: Call, result: *mut Zval, ours: fn(&mut Engine, Call, &mut Zval) -> Then) {
        // SAFETY: with the engine's own arguments; the result is there for as long as the call.
        unsafe {
            if !is_concerned() {
                return self.original(call, result);
            }
            let engine = &mut Engine::entered();
            let then = catch_unwind(AssertUnwindSafe(|| ours(engine, call, &mut *result))).unwrap_or(Then::Original);
            zend::resume_bailout(engine);
            if matches!(then, Then::Original) && !zend::exception_pending() {
                self.original(call, result);
            }
        }
    }
}

static ALL: [&Hook; 5] = [&SLEEP, &USLEEP, &TIME_NANOSLEEP, &FLUSH, &OB_FLUSH];

/// Replaces all of them, when the module starts. What is disabled by then or later stays so.
pub fn install() {
    ALL.iter().for_each(|hook| hook.install());
}

/// Puts all of them back, when the module ends.
pub fn uninstall() {
    ALL.iter().for_each(|hook| hook.uninstall());
}

fn missing(name: &str) {
    let message = format!("php-sse has taken the place of {name}() and does not know what was there");
    PhpException::from_message(message).throw();
}

unsafe extern "C" fn sleep(call: Call, result: *mut Zval) {
    // SAFETY: as the engine calls it; so below.
    unsafe {
        SLEEP.enter(call, result, |engine, call, result| {
            let seconds = |[seconds]: [i64; 1]| u32::try_from(seconds).ok().map(|s| Duration::from_secs(s.into()));
            rested(engine, call, seconds, |rest| match rest {
                Rest::Interrupted(left) => result.set_long(left.as_secs().cast_signed()),
                _ => result.set_long(0),
            })
        });
    }
}

unsafe extern "C" fn usleep(call: Call, result: *mut Zval) {
    // SAFETY: as above.
    unsafe {
        USLEEP.enter(call, result, |engine, call, _| {
            let microseconds = |[count]: [i64; 1]| u32::try_from(count).ok().map(|c| Duration::from_micros(c.into()));
            rested(engine, call, microseconds, |_| {})
        });
    }
}

unsafe extern "C" fn time_nanosleep(call: Call, result: *mut Zval) {
    // SAFETY: as above.
    unsafe {
        TIME_NANOSLEEP.enter(call, result, |engine, call, result| {
            let both = |[seconds, nanoseconds]: [i64; 2]| {
                let nanoseconds = u32::try_from(nanoseconds).ok().filter(|count| *count < 1_000_000_000)?;
                Some(Duration::new(u32::try_from(seconds).ok()?.into(), nanoseconds))
            };
            rested(engine, call, both, |rest| match rest {
                Rest::Interrupted(left) => result.set_hashtable(seconds_and_nanoseconds(left)),
                _ => result.set_bool(true),
            })
        });
    }
}

unsafe extern "C" fn flush(call: Call, result: *mut Zval) {
    // SAFETY: as above.
    unsafe {
        FLUSH.enter(call, result, |engine, call, _| {
            if count(call) == 0 {
                begin_if_due(engine);
            }
            Then::Original
        });
    }
}

unsafe extern "C" fn ob_flush(call: Call, result: *mut Zval) {
    // SAFETY: as above.
    unsafe {
        OB_FLUSH.enter(call, result, |engine, call, result| {
            if count(call) != 0 {
                return Then::Original;
            }
            begin_if_due(engine);
            if output::is_buffered() || !matches!(PHASE.get(), Phase::Streaming | Phase::Left) {
                return Then::Original;
            }
            // To the script, a buffer that was taken away is still there.
            result.set_bool(BUFFERS_TAKEN.get());
            Then::Return
        });
    }
}

fn begin_if_due(engine: &mut Engine) {
    if look() == Phase::Listening && output::is_open() {
        // Where it did not come through, the engine is told by what waits to go on.
        let _ = begin(engine);
    }
}

/// Sleeps in an adopted response. Arguments that are beyond what is slept here are PHP's own to complain about.
fn rested<const N: usize>(
    engine: &mut Engine,
    call: Call,
    time: impl FnOnce([i64; N]) -> Option<Duration>,
    done: impl FnOnce(Rest),
) -> Then {
    if !matches!(look(), Phase::Listening | Phase::Streaming) || !output::is_open() || handoff::is_complete() {
        return Then::Original;
    }
    let Some(numbers) = numbers(engine, call) else { return Then::Return };
    let Some(time) = time(numbers) else { return Then::Original };
    done(rest::rest(engine, time));
    Then::Return
}

/// The arguments of a call, which are numbers; `None` if they are not, and an exception that says so waits to be thrown.
fn numbers<const N: usize>(engine: &mut Engine, call: Call) -> Option<[i64; N]> {
    let mut numbers = [0; N];
    let (count, first) = (count(call), numbers.as_mut_ptr());
    // SAFETY: one place for each letter, and the engine looks at the arguments of the function that runs. Its warnings may
    // run a user's code.
    let status = zend::guarded(engine, || unsafe {
        if N == 2 {
            ffi::zend_parse_parameters(count, c"ll".as_ptr(), first, first.add(1))
        } else {
            ffi::zend_parse_parameters(count, c"l".as_ptr(), first)
        }
    });
    (status.is_ok_and(|status| status == ffi::ZEND_RESULT_CODE_SUCCESS) && !zend::interrupted()).then_some(numbers)
}

fn count(call: Call) -> u32 {
    // SAFETY: the engine's own frame of the running call.
    unsafe { (*call).This.u2.num_args }
}

/// What `time_nanosleep()` returns when a signal has come.
fn seconds_and_nanoseconds(left: Duration) -> ZBox<ZendHashTable> {
    let mut table = ZendHashTable::new();
    let parts = [("seconds", left.as_secs().cast_signed()), ("nanoseconds", left.subsec_nanos().into())];
    for (name, value) in parts {
        let mut number = Zval::new();
        number.set_long(value);
        // Numbers are values of every table.
        let _ = table.insert(name, number);
    }
    table
}
