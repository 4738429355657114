//! The PHP API: functions and classes, one file per noun.

pub mod arguments;
pub mod callback;
pub mod data;
pub mod disconnect;
pub mod end;
pub mod event;
pub mod exceptions;
pub mod finish;
pub mod hub;
pub mod mercure;
mod offer;
pub mod options;
pub mod other_server;
pub mod pages;
pub mod presence;
pub mod publish;
pub mod receipt;
mod redirect;
pub mod refusal;
pub mod render;
pub mod retained;
pub mod retopic;
pub mod stats;
pub mod stream;
pub mod streams;
pub mod subscription;
pub mod trigger;
pub mod watchers;

use ext_php_rs::builders::ModuleBuilder;

/// Adds the functions and classes to the module, except those registered at module start.
pub fn declare(module: ModuleBuilder<'_>) -> ModuleBuilder<'_> {
    let module = finish::declare(module);
    let module = mercure::declare(presence::declare(module));
    let module = hub::declare(publish::declare(render::declare(stats::declare(stream::declare(module)))));
    let module = disconnect::declare(retopic::declare(retained::declare(streams::declare(watchers::declare(module)))));
    module.class::<trigger::SseTrigger>().class::<subscription::SseSubscription>()
}
