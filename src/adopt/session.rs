//! The session of an adopted script: let go while it sleeps, so that other pages of the visitor are answered. What the
//! script changes afterwards is written at its end, by the last shutdown function: later, the session handler may be
//! destroyed, and the session extension may have ended before this one.

use super::state::AdoptionPhase;
use super::{is_owner, phase, with};
use crate::php::engine::Engine;
use crate::php::{closure, zend};
use crate::response::{self, Interrupted};

/// The session's entries as text, to find later what the script has changed. Null without a session, and for entries that
/// can't be made text.
const KEEP: &str = r"(static function () {
    try {
        return session_status() === PHP_SESSION_ACTIVE ? array_map('serialize', $_SESSION) : null;
    } catch (\Throwable) {
        return null;
    }
})()";

/// Writes those entries that differ from the kept ones into the session as it is by now. Not into one that has ended
/// meanwhile (a logout), and not where the session extension itself has ended: it has no id then.
const MERGE: &str = r"static function (array $kept) {
    $now = $_SESSION ?? [];
    if (!is_array($now) || session_status() !== PHP_SESSION_NONE || session_id() === '') {
        return;
    }
    $changed = array_filter($now, static fn ($value, $key) => ($kept[$key] ?? null) !== serialize($value), ARRAY_FILTER_USE_BOTH);
    $removed = array_diff_key($kept, $now);
    if (!$changed && !$removed || !@session_start()) {
        return;
    }
    if ($kept && !$_SESSION) {
        session_abort();
        return;
    }
    foreach ($changed as $key => $value) {
        $_SESSION[$key] = $value;
    }
    foreach ($removed as $key => $value) {
        unset($_SESSION[$key]);
    }
    session_write_close();
}";

/// Without these the session stays locked until PHP writes it: it can't be told what was changed, or not in time.
const NEEDED: [&str; 2] = ["session_status", REGISTER];

const REGISTER: &str = "register_shutdown_function";

/// [`AtShutdown`] is declared like this function.
const WRITE_CLOSE: &str = "session_write_close";

/// Lets the session go, if there is one, at the first sleep of a stream that has begun.
///
/// # Errors
/// [`Interrupted`] if a user's session handler did not return.
pub fn let_go(engine: &mut Engine) -> Result<(), Interrupted> {
    if phase() != AdoptionPhase::Streaming
        || with(|adoption| adoption.session.is_free.replace(true))
        || !NEEDED.into_iter().all(zend::function_exists)
    {
        return Ok(());
    }
    let kept = zend::evaluate(engine, KEEP);
    if zend::interrupted() {
        return Err(Interrupted);
    }
    // What can't be compared later stays locked until the script's end: its changes would be lost.
    let Some(kept) = kept.filter(|kept| kept.look(engine).is_array()) else { return Ok(()) };
    with(|adoption| adoption.session.kept.set(Some(kept)));
    register(engine);
    response::close_session(engine)
}

/// Has PHP call [`AtShutdown`] after the shutdown functions that it knows by now.
fn register(engine: &mut Engine) {
    if let Some(closure) = closure::like::<AtShutdown>(engine, WRITE_CLOSE) {
        let _ = zend::call(engine, REGISTER, &[&closure]);
    }
}

/// A shutdown function. It is called twice: the script's own, which it may register later than this, come between.
struct AtShutdown;

impl closure::Body for AtShutdown {
    fn run(engine: &mut Engine) {
        if with(|adoption| adoption.session.is_last.replace(true)) { merge(engine) } else { register(engine) }
    }
}

/// Writes what the script has changed since. A forked child leaves that to its parent.
fn merge(engine: &mut Engine) {
    let Some(kept) = with(|adoption| adoption.session.kept.take()).filter(|_| is_owner()) else { return };
    // The stream is complete: what a session handler prints must not follow it.
    response::muted(engine, |engine| {
        // PHP starts no session once headers are sent. Those that this one adds go nowhere.
        let sent = zend::set_headers_sent(false);
        let unsent = zend::set_no_headers(true);
        if let Some(merge) = zend::evaluate(engine, MERGE) {
            let _ = zend::call_value(engine, &merge, vec![kept]);
        }
        zend::set_no_headers(unsent);
        zend::set_headers_sent(sent);
    });
}

/// Ends what [`let_go`] began, after a script whose shutdown functions were not all called: one called `exit`.
pub fn end(engine: &mut Engine) {
    merge(engine);
    with(|adoption| {
        adoption.session.is_free.set(false);
        adoption.session.is_last.set(false);
    });
}
