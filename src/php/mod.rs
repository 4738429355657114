//! The engine as sound Rust: what may run user code says so in its signature.

pub mod engine;
