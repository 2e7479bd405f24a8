//! The threads of connections: counted from their start until SQLite has closed the
//! database.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How many connections have a thread.
static OPEN: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// Counts a connection from its start until it is closed.
pub(super) struct Open;

impl Open {
    pub(super) fn count() -> Self {
        *OPEN.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        *OPEN.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        OPEN.1.notify_all();
    }
}

/// Whether this process has a connection to any database.
#[must_use]
pub(crate) fn any_open() -> bool {
    *OPEN.0.lock().unwrap_or_else(PoisonError::into_inner) > 0
}

/// Waits until every dropped connection is closed, at most for `patience`: a
/// process that ends before leaves the log and its index beside the database.
pub(crate) fn settle(patience: Duration) {
    let open = OPEN.0.lock().unwrap_or_else(PoisonError::into_inner);
    let _late = OPEN.1.wait_timeout_while(open, patience, |open| *open > 0);
}
