//! The threads of a run's connections: counted from their start until SQLite has closed
//! the database.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How many connections of one run have a thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct Threads(Arc<(Mutex<usize>, Condvar)>);

/// Counts one of them until it is dropped.
pub(super) struct Counted(Threads);

impl Threads {
    pub(super) fn count(&self) -> Counted {
        let (open, _change) = &*self.0;
        *open.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Counted(self.clone())
    }

    /// Waits until every dropped connection is closed, at most for `patience`: a
    /// process that ends before leaves the log and its index beside the database.
    pub(crate) fn settle(&self, patience: Duration) {
        let (open, change) = &*self.0;
        let open = open.lock().unwrap_or_else(PoisonError::into_inner);
        let _late = change.wait_timeout_while(open, patience, |open| *open > 0);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let (open, change) = &*self.0.0;
        *open.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        change.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_run_waits_for_its_own_threads_and_for_no_others() {
        let (run, other) = (Threads::default(), Threads::default());
        let _of_another = other.count();
        let first = run.count();
        let ending = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            drop(first);
        });
        let before = Instant::now();
        run.settle(Duration::from_secs(60));
        assert!(before.elapsed() < Duration::from_secs(30));
        ending.join().unwrap();
        let before = Instant::now();
        other.settle(Duration::from_millis(50));
        assert!(before.elapsed() >= Duration::from_millis(50));
    }
}
