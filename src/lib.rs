//! php-sse: live server-sent event streams for PHP that free their worker.
//!
//! This crate is the PHP face of it, and the only place that is unsafe about PHP; `hub/` holds the streams.

#![allow(missing_docs, reason = "nothing of a cdylib is public to Rust; the macros generate undocumented items")]

mod adopt;
mod api;
mod blocking;
mod handoff;
mod info;
mod ini;
mod response;
mod signals;
mod signatures;
mod spawn;
mod title;
mod zend;

use ext_php_rs::prelude::*;

/// Runs when the module starts, before any server forks.
fn startup(_type: i32, module: i32) -> i32 {
    spawn::remember_process();
    ini::register(module);
    let registered = api::exceptions::register().and_then(|()| api::event::register());
    i32::from(registered.is_err())
}

/// Runs when a request starts.
extern "C" fn begin_request(_type: i32, _module: i32) -> i32 {
    let _ = std::panic::catch_unwind(|| {
        signatures::complete();
        adopt::begin_request();
    });
    0
}

/// Runs when a request ends.
extern "C" fn end_request(_type: i32, _module: i32) -> i32 {
    let _ = std::panic::catch_unwind(adopt::end_request);
    0
}

/// The extension.
#[php_module]
#[php(startup = "startup")]
pub fn module(module: ModuleBuilder) -> ModuleBuilder {
    let module = module
        .name("sse")
        .request_shutdown_function(end_request)
        .request_startup_function(begin_request)
        .info_function(info::print);
    api::declare(module)
}
