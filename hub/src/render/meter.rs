//! What several streams with callbacks keep together.

use std::ops::Deref;
use std::sync::Arc;

use crate::quota::budget::{Account, Reservation};

/// Something that counts once, however many share it, until the last of them has dropped it.
#[derive(Debug)]
pub(crate) struct Metered<T> {
    value: Arc<T>,
    _reservation: Reservation,
}

impl<T> Metered<T> {
    /// Counts the bytes of something that others may keep as well.
    pub(crate) fn new(value: &Arc<T>, bytes: usize, account: &Account) -> Arc<Self> {
        Arc::new(Self { value: Arc::clone(value), _reservation: account.take(bytes) })
    }

    /// What is counted.
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
