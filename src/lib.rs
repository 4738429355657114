//! php-sse: live server-sent event streams for PHP that free their worker.
//!
//! This crate is the PHP extension, and the only one with unsafe calls into PHP. The crate in `hub/` holds the streams.

#![allow(missing_docs, reason = "nothing of a cdylib is public to Rust; the macros generate undocumented items")]

mod adopt;
mod api;
mod blocking;
mod commit;
mod deliveries;
mod fork;
mod handoff;
mod hiding;
mod info;
mod ini;
mod original;
mod patience;
mod php;
mod remembered;
mod rendering;
mod request;
mod response;
mod signals;
mod signatures;
mod spawn;
mod successor;
mod upgrade;
mod variables;
mod zend;

use ext_php_rs::prelude::*;

/// Starts the module. Runs before any server forks.
fn startup(_type: i32, module: i32) -> i32 {
    spawn::remember_process();
    successor::remember_extension();
    ini::register(module);
    let registered = api::exceptions::register().and_then(|()| api::event::register());
    // Only on success: a module that fails to start is unloaded, and the engine keeps these addresses.
    if registered.is_ok() {
        adopt::begin_module();
        hiding::startup();
    }
    i32::from(registered.is_err())
}

/// Ends the module.
extern "C" fn shutdown(_type: i32, _module: i32) -> i32 {
    adopt::end_module();
    0
}

/// The extension.
#[php_module]
#[php(startup = "startup")]
pub fn module(module: ModuleBuilder) -> ModuleBuilder {
    let module = module
        .name("sse")
        .request_startup_function(request::start)
        .request_shutdown_function(request::end)
        .shutdown_function(shutdown)
        .info_function(info::print);
    api::declare(module)
}
