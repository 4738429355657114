//! Caches values of settings that every call needs, until a setting changes.

use std::cell::Cell;
use std::time::Duration;

use sse_hub::config::PublishMode;

use crate::php::setting::Listener;

/// The settings that every call needs. They belong to the process (in a thread-safe PHP, to the thread), not to a request:
/// what one request has read holds for the next as long as no setting changes.
pub struct RememberedSettings {
    changes: Cell<u64>,
    /// `sse.timeout`.
    pub timeout: RememberedSetting<Duration>,
    /// `sse.publish`.
    pub publish: RememberedSetting<PublishMode>,
    /// `sse.max_event_size`.
    pub max_event_size: RememberedSetting<usize>,
    /// `sse.max_topics`.
    pub max_topics: RememberedSetting<usize>,
}

thread_local! {
    static SETTINGS: RememberedSettings = const {
        RememberedSettings {
            changes: Cell::new(0),
            timeout: RememberedSetting::new(),
            publish: RememberedSetting::new(),
            max_event_size: RememberedSetting::new(),
            max_topics: RememberedSetting::new(),
        }
    };
}

/// Looks at the settings read last.
pub fn with<R>(look: impl FnOnce(&RememberedSettings) -> R) -> R {
    SETTINGS.with(look)
}

/// The number of changes of settings: by `ini_set()`, by a request's configuration, and by the restore at its end.
pub fn changes() -> u64 {
    with(|settings| settings.changes.get())
}

/// Counts changes.
pub struct Changes;

impl Listener for Changes {
    fn changes() {
        with(|settings| settings.changes.set(settings.changes.get() + 1));
    }
}

/// A cached value that depends on settings.
pub struct RememberedSetting<T>(Cell<Option<(u64, T)>>);

impl<T: Copy> RememberedSetting<T> {
    /// An empty cache.
    pub const fn new() -> Self {
        Self(Cell::new(None))
    }

    /// Returns the cached value, or the result of `read` if a setting has changed since.
    ///
    /// # Errors
    /// Those of `read`, which are not cached.
    pub fn get<E>(&self, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let changes = changes();
        if let Some((at, value)) = self.0.get()
            && at == changes
        {
            return Ok(value);
        }
        let value = read()?;
        self.0.set(Some((changes, value)));
        Ok(value)
    }
}
