//! `fastcgi_finish_request()` in a replay: the hub sees the response end, and must know before why nothing comes. A response
//! whose output the hub has ends with the request instead: until then its worker is busy, and the hub counts it as such.

use ext_php_rs::types::Zval;

use crate::php::engine::Engine;
use crate::php::hook::{Arguments, Hook, Replacement, Then};

static FINISH: Hook = Hook::new::<FinishRequest>("fastcgi_finish_request");

/// Installs the replacement. Runs before any server forks.
pub fn begin_module() {
    FINISH.install();
}

/// Restores the function at module end.
pub fn end_module() {
    FINISH.uninstall();
}

struct FinishRequest;

impl Replacement for FinishRequest {
    fn hook() -> &'static Hook {
        &FINISH
    }

    fn run(_: &mut Engine, _: Arguments<'_>, result: &mut Zval) -> Then {
        if super::has_rendered() {
            result.set_bool(true);
            return Then::Return;
        }
        super::end_response();
        Then::Original
    }
}
