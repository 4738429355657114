//! Replacements for the PHP functions that an event stream's loop calls.
//!
//! The module installs them at its start, before any server forks, even where `sse.adopt` is off: opcache's JIT stores
//! function addresses in memory that all processes share, so an address must be right in each process. A request that is
//! not adopted pays one comparison per call.

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

/// A PHP function and its replacement.
struct Hook {
    name: &'static str,
    ours: Handler,
    /// The handler found at installation, of PHP or of another extension. Null until then.
    original: AtomicPtr<()>,
}

static SLEEP: Hook = Hook::new("sleep", sleep);
static USLEEP: Hook = Hook::new("usleep", usleep);
static TIME_NANOSLEEP: Hook = Hook::new("time_nanosleep", time_nanosleep);
static FLUSH: Hook = Hook::new("flush", flush);
static OB_FLUSH: Hook = Hook::new("ob_flush", ob_flush);

/// What remains to do after a replacement has run.
enum Then {
    /// Call the original function.
    Original,
    /// Nothing.
    Return,
}

impl Hook {
    const fn new(name: &'static str, ours: Handler) -> Self {
        Self { name, ours, original: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// The engine's slot for the function. `None` if the function is disabled or is not internal.
    fn place(&self) -> Option<*mut Option<Handler>> {
        // SAFETY: the function table lives as long as the module. It holds pointers to functions; each begins with its
        // type, and an internal function has the declared layout.
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
        // SAFETY: no other thread runs yet. `original` is stored before the replacement can be called.
        unsafe {
            if let Some(original) = (*place).filter(|handler| *handler as usize != self.ours as usize) {
                self.original.store(original as *mut (), Ordering::Release);
                *place = Some(self.ours);
            }
        }
    }

    /// Restores the function, unless another extension has replaced it since.
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
        // SAFETY: the pointer is null or the function that `install` found.
        unsafe { std::mem::transmute::<*mut (), Option<Handler>>(self.original.load(Ordering::Acquire)) }
    }

    /// Calls the original function. The caller must own nothing: if the client has gone, the call may end the script.
    unsafe fn original(&self, call: Call, result: *mut Zval) {
        match self.found() {
            // SAFETY: the arguments come from the engine.
            Some(original) => unsafe { original(call, result) },
            // Unreachable: `install` stores the original first. A sleep that did nothing would make the loop spin.
            None => missing(self.name),
        }
    }

    /// Runs a replacement in requests that may be adopted. Panics stop here; a bailout continues only from here.
    unsafe fn enter(&self, call: Call, result: *mut Zval, ours: fn(&mut Engine, Call, &mut Zval) -> Then) {
        // SAFETY: the arguments come from the engine. The result outlives the call.
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

/// Installs all replacements at module start. A function that is disabled, now or later, stays disabled.
pub fn install() {
    ALL.iter().for_each(|hook| hook.install());
}

/// Restores all functions at module end.
pub fn uninstall() {
    ALL.iter().for_each(|hook| hook.uninstall());
}

fn missing(name: &str) {
    let message = format!("php-sse has taken the place of {name}() and does not know what was there");
    PhpException::from_message(message).throw();
}

unsafe extern "C" fn sleep(call: Call, result: *mut Zval) {
    // SAFETY: called by the engine, with its own arguments. So are the functions below.
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
            // The script must not notice that its buffer was removed.
            result.set_bool(BUFFERS_TAKEN.get());
            Then::Return
        });
    }
}

fn begin_if_due(engine: &mut Engine) {
    if look() == Phase::Listening && output::is_open() {
        // On failure, a bailout or an exception is pending, and `Hook::enter` continues it.
        let _ = begin(engine);
    }
}

/// Sleeps in an adopted response. PHP's own function reports arguments outside the range that is handled here.
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

/// Reads the integer arguments of a call. `None` if they are no integers; an exception is then pending.
fn numbers<const N: usize>(engine: &mut Engine, call: Call) -> Option<[i64; N]> {
    let mut numbers = [0; N];
    let (count, first) = (count(call), numbers.as_mut_ptr());
    // SAFETY: one target for each letter; the engine reads the arguments of the running function. Its warnings may run
    // user code.
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
    // SAFETY: the engine's frame of the running call.
    unsafe { (*call).This.u2.num_args }
}

/// The return value of `time_nanosleep()` after a signal.
fn seconds_and_nanoseconds(left: Duration) -> ZBox<ZendHashTable> {
    let mut table = ZendHashTable::new();
    let parts = [("seconds", left.as_secs().cast_signed()), ("nanoseconds", left.subsec_nanos().into())];
    for (name, value) in parts {
        let mut number = Zval::new();
        number.set_long(value);
        // A table accepts any number.
        let _ = table.insert(name, number);
    }
    table
}
