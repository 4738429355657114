//! Servers that are PHP programs on the command line: what a script writes does not go to their clients, and a stream that waits
//! in it stops the whole process.

use super::exceptions::Problem;
use crate::php::engine::{Engine, Value};
use crate::php::zend::{self, NoValue};

/// `DEBUG_BACKTRACE_IGNORE_ARGS`.
const WITHOUT_ARGUMENTS: i64 = 2;

/// What the names of classes and functions begin with that call a script from an event loop, and what that belongs to.
const LOOPS: [(&str, &str); 8] = [
    ("Swoole\\", "Swoole"),
    ("OpenSwoole\\", "OpenSwoole"),
    ("React\\EventLoop\\", "ReactPHP"),
    ("React\\Async\\", "ReactPHP"),
    ("Amp\\Loop", "AMPHP"),
    ("Revolt\\EventLoop", "Revolt, AMPHP's event loop,"),
    ("Workerman\\", "Workerman"),
    ("Spiral\\RoadRunner\\", "RoadRunner"),
];

/// Whether a coroutine runs. Its callers are not those of the server.
const IN_COROUTINE: &str = "(\\class_exists('Swoole\\Coroutine', false) && \\Swoole\\Coroutine::getCid() > 0) \
    || (\\class_exists('OpenSwoole\\Coroutine', false) && \\OpenSwoole\\Coroutine::getCid() > 0)";

/// Checks that no such server runs this script.
///
/// # Errors
/// `Other`, which names the server and what to do; `Pending` if PHP code that ran meanwhile did not return.
pub fn check(engine: &mut Engine) -> Result<(), Problem> {
    if !zend::is_command_line() {
        return Ok(());
    }
    match find(engine)? {
        None => Ok(()),
        Some(name) => Err(Problem::Other(format!(
            "sse_stream() can't stream here: {name} runs this script on the command line, so what PHP writes does not reach the \
             client, and waiting for events would stop all of the process; have PHP-FPM answer the URL of the stream, and \
             publish from here"
        ))),
    }
}

fn find(engine: &mut Engine) -> Result<Option<&'static str>, Problem> {
    // RoadRunner's workers get their requests by standard input, or by a socket.
    if ["RR_MODE", "RR_RELAY"].iter().any(|name| std::env::var_os(name).is_some()) {
        return Ok(Some("RoadRunner"));
    }
    if zend::constant("SWOOLE_VERSION").is_some() {
        let inside = zend::evaluate(engine, IN_COROUTINE).ok_or(Problem::Pending)?;
        if inside.look(engine).bool() == Some(true) {
            return Ok(Some("Swoole"));
        }
    }
    match zend::call(engine, "debug_backtrace", &[&WITHOUT_ARGUMENTS]) {
        Ok(frames) => Ok(caller(engine, &frames)),
        Err(NoValue::Missing) => Ok(None),
        Err(NoValue::Interrupted) => Err(Problem::Pending),
    }
}

/// The first caller that is an event loop.
fn caller(engine: &Engine, frames: &Value) -> Option<&'static str> {
    let frames = frames.look(engine).array()?;
    let names =
        frames.values().filter_map(|frame| frame.array()).flat_map(|frame| [frame.get("class"), frame.get("function")]);
    names.flatten().filter_map(|name| name.str()).find_map(of_loop)
}

fn of_loop(name: &str) -> Option<&'static str> {
    LOOPS.iter().find_map(|(beginning, server)| name.starts_with(beginning).then_some(*server))
}
