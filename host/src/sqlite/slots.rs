//! How many connections one call of a guest may have, and how many threads: a
//! connection that was dropped keeps its thread until it is closed.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::threads::{Counted, Threads};

/// Connections that one call may hold.
pub(crate) const MOST_CONNECTIONS: usize = 8;
/// Threads of one call, those that are closing included.
const MOST_THREADS: usize = 2 * MOST_CONNECTIONS;

/// The threads that one call may have, of those of its run.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    free: Arc<Semaphore>,
    run: Threads,
}

/// One of them, given back when its thread ends.
pub(super) struct Slot {
    _taken: Option<OwnedSemaphorePermit>,
    _counted: Counted,
}

impl Slots {
    /// Those of a call that belongs to this run.
    #[must_use]
    pub(crate) fn of(run: &Threads) -> Self {
        Self { free: Arc::new(Semaphore::new(MOST_THREADS)), run: run.clone() }
    }

    /// Waits for a thread that is closing when all are taken.
    pub(super) async fn take(&self) -> Slot {
        // The semaphore is never closed.
        let taken = Arc::clone(&self.free).acquire_owned().await.ok();
        Slot { _taken: taken, _counted: self.run.count() }
    }

    /// How many are not taken.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.free.available_permits()
    }
}
