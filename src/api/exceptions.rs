//! `SseException`, its subclasses, and the errors that become them.

use ext_php_rs::builders::ClassBuilder;
use ext_php_rs::exception::PhpException;
use ext_php_rs::zend::ce;
use sse_hub::config::ConfigError;
use sse_hub::socket::SocketError;
use sse_protocol::client::ClientError;
use sse_protocol::event::EventError;
use sse_protocol::topic::TopicError;
use sse_protocol::wire::ErrorCode;
use thiserror::Error;

use crate::ini::AddressError;
use crate::php::class::{Class, runtime_exception};
use crate::php::function::Throw;
use crate::php::zend::NoValue;
use crate::spawn::SpawnError;

static EXCEPTION: Class = Class::new();
static UNAVAILABLE: Class = Class::new();
static INVALID_ARGUMENT: Class = Class::new();

/// An error of a call, by the exception that PHP code catches.
#[derive(Debug, Error)]
pub enum Problem {
    /// `SseInvalidArgument`: the caller's mistake.
    #[error("{0}")]
    Argument(String),
    /// `TypeError`: an argument of the wrong type.
    #[error("{0}")]
    Type(String),
    /// `SseUnavailable`: no hub, or the hub does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// `SseException`: anything else.
    #[error("{0}")]
    Other(String),
    /// PHP code that ran meanwhile has thrown an exception.
    #[error("an exception was thrown meanwhile")]
    Pending,
}

impl Throw for Problem {
    fn exception(self) -> Option<PhpException> {
        match self {
            Self::Pending => None,
            other => Some(other.into()),
        }
    }
}

impl Problem {
    /// Describes why a PHP function that the extension needs returned no value.
    pub fn no_value(function: &str, why: NoValue) -> Self {
        match why {
            NoValue::Interrupted => Self::Pending,
            NoValue::Missing => {
                Self::Other(format!("php-sse needs {function}(), which this PHP does not have; see disable_functions"))
            }
        }
    }
}

impl From<Problem> for PhpException {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Argument(message) => Self::new(message, 0, INVALID_ARGUMENT.get()),
            Problem::Type(message) => Self::new(message, 0, ce::type_error()),
            Problem::Unavailable(message) => Self::new(message, 0, UNAVAILABLE.get()),
            Problem::Other(message) => Self::new(message, 0, EXCEPTION.get()),
            // Only `Throw` expects `Pending`. If nothing is pending after all, there must still be a message.
            Problem::Pending => Self::new("an exception was thrown meanwhile".into(), 0, EXCEPTION.get()),
        }
    }
}

impl From<TopicError> for Problem {
    fn from(error: TopicError) -> Self {
        Self::Argument(error.to_string())
    }
}

impl From<EventError> for Problem {
    fn from(error: EventError) -> Self {
        Self::Argument(error.to_string())
    }
}

impl From<ConfigError> for Problem {
    fn from(error: ConfigError) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<SocketError> for Problem {
    fn from(error: SocketError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<AddressError> for Problem {
    fn from(error: AddressError) -> Self {
        SpawnError::from(error).into()
    }
}

impl From<SpawnError> for Problem {
    fn from(error: SpawnError) -> Self {
        match error {
            SpawnError::Config(error) => error.into(),
            SpawnError::Client(error) => error.into(),
            error => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Hub { code: ErrorCode::Invalid, message } => Self::Argument(message),
            ClientError::Hub { code: ErrorCode::Denied, message } => Self::Other(message),
            error => Self::Unavailable(error.to_string()),
        }
    }
}

/// Registers the classes. They inherit the engine's constructor, which fills in file, line and trace.
///
/// # Errors
/// If the engine refuses a class.
pub fn register() -> ext_php_rs::error::Result<()> {
    ClassBuilder::new("SseException")
        .extends((runtime_exception, "\\RuntimeException"))
        .registration(|c, _| EXCEPTION.set(c))
        .register()?;
    let base = || EXCEPTION.get();
    let child = |name: &str| ClassBuilder::new(name).extends((base, "\\SseException"));
    child("SseUnavailable").registration(|c, _| UNAVAILABLE.set(c)).register()?;
    child("SseInvalidArgument").registration(|c, _| INVALID_ARGUMENT.set(c)).register()
}
