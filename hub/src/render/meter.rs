//! How many bytes are kept for streams with callbacks, all together.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts what is kept, and knows how much may be.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    used: Arc<AtomicUsize>,
    limit: usize,
}

/// Bytes that count until this is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    used: Arc<AtomicUsize>,
    bytes: usize,
}

/// Something that counts once, however many share it, until the last of them has dropped it.
#[derive(Debug)]
pub(crate) struct Metered<T> {
    value: Arc<T>,
    _charge: Charge,
}

impl Meter {
    /// Of nothing yet.
    pub(crate) fn new(limit: usize) -> Self {
        Self { used: Arc::default(), limit }
    }

    /// The bytes that are kept.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The bytes that may be kept.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Whether more is kept than may be.
    pub(crate) fn is_over(&self) -> bool {
        self.used() > self.limit
    }

    /// Counts bytes.
    pub(crate) fn charge(&self, bytes: usize) -> Charge {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        Charge { used: Arc::clone(&self.used), bytes }
    }

    /// Counts the bytes of something that others may keep as well.
    pub(crate) fn keep<T>(&self, value: &Arc<T>, bytes: usize) -> Arc<Metered<T>> {
        Arc::new(Metered { value: Arc::clone(value), _charge: self.charge(bytes) })
    }
}

impl Charge {
    /// It is so many bytes now.
    pub(crate) fn set(&mut self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

impl<T> Metered<T> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_counts_once_and_until_the_last_has_dropped_it() {
        let meter = Meter::new(100);
        let one = meter.keep(&Arc::new("x"), 100);
        let other = Arc::clone(&one);
        assert_eq!((meter.used(), meter.is_over()), (100, false));
        let mut charge = meter.charge(1);
        assert!(meter.is_over());
        charge.set(20);
        drop(one);
        assert_eq!(meter.used(), 120);
        drop(other);
        assert_eq!(meter.used(), 20);
        drop(charge);
        assert_eq!(meter.used(), 0);
    }
}
