//! The PHP API: functions and classes, one file per noun.

pub mod arguments;
pub mod callback;
pub mod data;
pub mod event;
pub mod exceptions;
pub mod hub;
pub mod options;
pub mod publish;
pub mod refusal;
pub mod render;
pub mod stats;
pub mod stream;
pub mod subscription;
pub mod trigger;

use ext_php_rs::builders::ModuleBuilder;

/// Adds the functions and classes to the module, except those registered at module start.
pub fn declare(module: ModuleBuilder<'_>) -> ModuleBuilder<'_> {
    let module = hub::declare(publish::declare(render::declare(stats::declare(stream::declare(module)))));
    module.class::<trigger::SseTrigger>().class::<subscription::SseSubscription>()
}
