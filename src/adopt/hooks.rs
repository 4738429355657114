//! Replacements for the PHP functions that an event stream's loop calls.
//!
//! The module installs them at its start, before any server forks, even where `sse.adopt` is off: opcache's JIT stores
//! function addresses in memory that all processes share, so an address must be right in each process. A request that is
//! not adopted pays one comparison per call.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ext_php_rs::boxed::ZBox;
use ext_php_rs::types::{ZendHashTable, Zval};

use super::rest::{self, Rest};
use super::state::AdoptionPhase;
use super::{is_concerned, look, output, session};
use crate::handoff;
use crate::php::engine::Engine;
use crate::php::hook::{Arguments, Hook, Replacement, Then};

static SLEEP: Hook = Hook::new::<Sleep>("sleep");
static USLEEP: Hook = Hook::new::<Usleep>("usleep");
static TIME_NANOSLEEP: Hook = Hook::new::<TimeNanosleep>("time_nanosleep");
static TIME_SLEEP_UNTIL: Hook = Hook::new::<TimeSleepUntil>("time_sleep_until");
static FLUSH: Hook = Hook::new::<Flush>("flush");
static OB_FLUSH: Hook = Hook::new::<ObFlush>("ob_flush");

static ALL: [&Hook; 6] = [&SLEEP, &USLEEP, &TIME_NANOSLEEP, &TIME_SLEEP_UNTIL, &FLUSH, &OB_FLUSH];

/// Installs all replacements at module start. A function that is disabled, now or later, stays disabled.
pub fn install() {
    ALL.iter().for_each(|hook| hook.install());
}

/// Restores all functions at module end.
pub fn uninstall() {
    ALL.iter().for_each(|hook| hook.uninstall());
}

/// `sleep()`.
struct Sleep;

impl Replacement for Sleep {
    fn hook() -> &'static Hook {
        &SLEEP
    }

    fn is_concerned() -> bool {
        is_concerned()
    }

    fn run(engine: &mut Engine, arguments: Arguments<'_>, result: &mut Zval) -> Then {
        let seconds = |[seconds]: [i64; 1]| u32::try_from(seconds).ok().map(|s| Duration::from_secs(s.into()));
        rested(engine, arguments, seconds, |rest| match rest {
            Rest::Interrupted(left) => result.set_long(left.as_secs().cast_signed()),
            _ => result.set_long(0),
        })
    }
}

/// `usleep()`.
struct Usleep;

impl Replacement for Usleep {
    fn hook() -> &'static Hook {
        &USLEEP
    }

    fn is_concerned() -> bool {
        is_concerned()
    }

    fn run(engine: &mut Engine, arguments: Arguments<'_>, _: &mut Zval) -> Then {
        let microseconds = |[count]: [i64; 1]| u32::try_from(count).ok().map(|c| Duration::from_micros(c.into()));
        rested(engine, arguments, microseconds, |_| {})
    }
}

/// `time_nanosleep()`.
struct TimeNanosleep;

impl Replacement for TimeNanosleep {
    fn hook() -> &'static Hook {
        &TIME_NANOSLEEP
    }

    fn is_concerned() -> bool {
        is_concerned()
    }

    fn run(engine: &mut Engine, arguments: Arguments<'_>, result: &mut Zval) -> Then {
        let both = |[seconds, nanoseconds]: [i64; 2]| {
            let nanoseconds = u32::try_from(nanoseconds).ok().filter(|count| *count < 1_000_000_000)?;
            Some(Duration::new(u32::try_from(seconds).ok()?.into(), nanoseconds))
        };
        rested(engine, arguments, both, |rest| match rest {
            Rest::Interrupted(left) => result.set_hashtable(seconds_and_nanoseconds(left)),
            _ => result.set_bool(true),
        })
    }
}

/// `time_sleep_until()`.
struct TimeSleepUntil;

impl Replacement for TimeSleepUntil {
    fn hook() -> &'static Hook {
        &TIME_SLEEP_UNTIL
    }

    fn is_concerned() -> bool {
        is_concerned()
    }

    fn run(engine: &mut Engine, arguments: Arguments<'_>, result: &mut Zval) -> Then {
        if !sleeps_here() {
            return Then::Original;
        }
        let Some(at) = arguments.fraction(engine) else { return Then::Return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        // PHP's own function warns of a time that has passed.
        let time = Duration::try_from_secs_f64(at - now).ok().filter(|time| !time.is_zero());
        let Some(mut time) = time else { return Then::Original };
        if session::let_go(engine).is_ok() {
            // As PHP's own, it goes on after a signal, whose handler runs when it returns.
            while let Rest::Interrupted(left) = rest::rest(engine, time) {
                time = left;
            }
            result.set_bool(true);
        }
        Then::Return
    }
}

/// `flush()`.
struct Flush;

impl Replacement for Flush {
    fn hook() -> &'static Hook {
        &FLUSH
    }

    fn is_concerned() -> bool {
        is_concerned()
    }

    fn run(engine: &mut Engine, arguments: Arguments<'_>, _: &mut Zval) -> Then {
        if arguments.count() == 0 && is_adopted() {
            output::pass_on(engine);
        }
        Then::Original
    }
}

/// `ob_flush()`.
struct ObFlush;

impl Replacement for ObFlush {
    fn hook() -> &'static Hook {
        &OB_FLUSH
    }

    fn is_concerned() -> bool {
        is_concerned()
    }

    fn run(engine: &mut Engine, arguments: Arguments<'_>, _: &mut Zval) -> Then {
        if arguments.count() == 0 && is_adopted() {
            output::open_buffers(engine);
        }
        Then::Original
    }
}

fn is_adopted() -> bool {
    matches!(look(), AdoptionPhase::Listening | AdoptionPhase::Streaming) && output::is_open()
}

/// Whether a sleep is one of an adopted response that is still open.
fn sleeps_here() -> bool {
    is_adopted() && !handoff::is_complete()
}

/// Sleeps in an adopted response. PHP's own function reports arguments outside the range that is handled here.
fn rested<const N: usize>(
    engine: &mut Engine,
    arguments: Arguments<'_>,
    time: impl FnOnce([i64; N]) -> Option<Duration>,
    done: impl FnOnce(Rest),
) -> Then {
    if !sleeps_here() {
        return Then::Original;
    }
    let Some(numbers) = arguments.integers(engine) else { return Then::Return };
    let Some(time) = time(numbers) else { return Then::Original };
    if session::let_go(engine).is_ok() {
        done(rest::rest(engine, time));
    }
    Then::Return
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
