//! What a guest's requests take of the host's memory before they are sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::plugin::limits::HTTP_HELD;

/// The bytes that are left. Clones share them.
#[derive(Debug, Clone)]
pub(in crate::plugin) struct RequestMemory(Arc<AtomicUsize>);

impl Default for RequestMemory {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(HTTP_HELD)))
    }
}

/// Bytes that were taken of it. Dropped, they are given back.
#[derive(Debug)]
pub(in crate::plugin) struct HeldBytes {
    room: RequestMemory,
    bytes: usize,
}

impl RequestMemory {
    /// Nothing yet.
    pub(in crate::plugin) fn held(&self) -> HeldBytes {
        HeldBytes { room: self.clone(), bytes: 0 }
    }
}

impl HeldBytes {
    /// Takes this many more, unless there is no room for them.
    pub(in crate::plugin) fn take(&mut self, bytes: usize) -> bool {
        let left = |left: usize| left.checked_sub(bytes);
        let taken = self.room.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok();
        if taken {
            self.bytes += bytes;
        }
        taken
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.room.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_makes_room() {
        let room = RequestMemory::default();
        let (mut one, mut other) = (room.held(), room.clone().held());
        assert!(one.take(HTTP_HELD - 1));
        assert!(!other.take(2) && other.take(1) && !other.take(1));
        drop(one);
        assert!(other.take(HTTP_HELD - 1));
    }
}
