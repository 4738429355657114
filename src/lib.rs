//! php-sse: live server-sent event streams for PHP that free their worker.
//!
//! This crate is the PHP extension, and the only one with unsafe calls into PHP. The crate in `hub/` holds the streams.

#![allow(missing_docs, reason = "nothing of a cdylib is public to Rust; the macros generate undocumented items")]
// Unsafe code is in `php` only.
#![deny(unsafe_code)]

mod adopt;
mod api;
mod commit;
mod deadline;
mod deliveries;
mod handoff;
mod hub_connection;
mod in_worker;
mod info;
mod ini;
mod lifecycle;
#[allow(unsafe_code, reason = "calls the engine, for all others")]
mod php;
mod replay;
mod request;
mod response;
mod spawn;
mod stream;

use ext_php_rs::prelude::*;

use crate::info::SseSection;
use crate::lifecycle::Lifecycle;
use crate::php::requests;

/// Starts the module. Runs before any server forks.
fn startup(_type: i32, module: i32) -> i32 {
    spawn::remember_process();
    spawn::command_line::remember_extension();
    if let Err(error) = spawn::command_line::take_settings() {
        php::zend::log(&format!("sse: the settings on the standard input can't be read: {error}"));
        return 1;
    }
    ini::register(module);
    let registered = api::exceptions::register()
        .and_then(|()| api::event::register())
        .and_then(|()| api::end::register())
        .and_then(|()| api::receipt::register());
    // Only on success: a module that fails to start is unloaded, and the engine keeps these addresses.
    if registered.is_ok() {
        adopt::begin_module();
        replay::begin_module();
    }
    i32::from(registered.is_err())
}

/// Ends the module.
extern "C" fn shutdown(_type: i32, _module: i32) -> i32 {
    adopt::end_module();
    replay::end_module();
    0
}

/// The extension.
#[php_module]
#[php(startup = "startup")]
pub fn module(module: ModuleBuilder) -> ModuleBuilder {
    let module = module
        .name("sse")
        .request_startup_function(requests::start::<Lifecycle>)
        .request_shutdown_function(requests::end::<Lifecycle>)
        .shutdown_function(shutdown)
        .info_function(php::info::print::<SseSection>);
    api::declare(module)
}
