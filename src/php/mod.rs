//! A sound Rust interface to the engine: the signature of each function shows whether it may run user code. All unsafe code of
//! the extension is here.

pub mod apache;
pub mod arguments;
pub mod buffer;
pub mod call;
pub mod class;
pub mod closure;
pub mod connection;
pub mod descriptor;
pub mod engine;
pub mod fork;
pub mod fpm;
pub mod function;
pub mod header_callback;
pub mod headers;
pub mod hook;
pub mod info;
pub mod library;
pub mod output;
pub mod requests;
pub mod sapi_functions;
pub mod server_functions;
pub mod setting;
pub mod signals;
pub mod signatures;
pub mod variables;
pub mod zend;
