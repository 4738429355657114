//! The start and the end of each request, for all parts of the extension.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::php::engine::Engine;
use crate::php::requests::Requests;
use crate::php::{signatures, zend};
use crate::{adopt, commit, handoff, replay, request};

/// All parts of the extension.
pub struct Lifecycle;

impl Requests for Lifecycle {
    fn start(engine: &mut Engine) {
        zend::forget_exit_status();
        request::begin();
        signatures::complete();
        handoff::close_on_exec();
        replay::begin(engine);
        adopt::begin_request();
    }

    fn end(engine: &mut Engine) {
        // A panic in one part is not the end of the others.
        let _ = catch_unwind(replay::end);
        let _ = catch_unwind(AssertUnwindSafe(|| adopt::end_request(engine)));
        // Last, because it may wait.
        commit::end_request(engine);
    }
}
