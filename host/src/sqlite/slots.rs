//! How many connections one call of a guest may have, and how many threads: a
//! connection that was dropped keeps its thread until it is closed.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections that one call may hold.
pub(crate) const MOST_CONNECTIONS: usize = 8;
/// Threads of one call, those that are closing included.
const MOST_THREADS: usize = 2 * MOST_CONNECTIONS;

/// The threads that one call may have.
#[derive(Debug, Clone)]
pub(crate) struct Slots(Arc<Semaphore>);

/// One of them, given back when its thread ends.
pub(super) struct Slot(#[expect(dead_code, reason = "held")] Option<OwnedSemaphorePermit>);

impl Default for Slots {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_THREADS)))
    }
}

impl Slots {
    /// Waits for a thread that is closing when all are taken.
    pub(super) async fn take(&self) -> Slot {
        // The semaphore is never closed.
        Slot(Arc::clone(&self.0).acquire_owned().await.ok())
    }

    /// How many are not taken.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.0.available_permits()
    }
}
