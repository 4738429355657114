//! Memory accounting of values that several jobs share.

use std::ops::Deref;
use std::sync::Arc;

use crate::quota::budget::{Account, Reservation};

/// A shared value that is charged once, until its last owner drops it.
#[derive(Debug)]
pub(crate) struct Metered<T> {
    value: Arc<T>,
    _reservation: Reservation,
}

impl<T> Metered<T> {
    /// Charges `bytes` to `account` for a value that others may keep as well.
    pub(crate) fn new(value: &Arc<T>, bytes: usize, account: &Account) -> Arc<Self> {
        Arc::new(Self { value: Arc::clone(value), _reservation: account.take(bytes) })
    }

    /// The value.
    pub(crate) fn value(&self) -> &Arc<T> {
        &self.value
    }
}

impl<T> Deref for Metered<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
