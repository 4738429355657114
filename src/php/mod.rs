//! A sound Rust interface to the engine: the signature of each function shows whether it may run user code.

pub mod engine;
