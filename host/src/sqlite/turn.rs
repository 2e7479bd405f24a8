//! A connection's turn: it does one thing at a time, and whatever is under way
//! keeps it busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::code::Code;
use crate::error::{Error, Result};

/// Whether something of a connection is under way.
#[derive(Default)]
pub(super) struct JobTurns(Arc<AtomicBool>);

/// Keeps the connection busy until it is dropped.
pub(super) struct JobTurn(Arc<AtomicBool>);

impl JobTurns {
    /// Fails with the code `busy` while there is another one.
    pub(super) fn take(&self) -> Result<JobTurn> {
        if self.0.swap(true, Ordering::AcqRel) {
            return Err(Error::new(Code::Busy, "the last query of this connection has not ended")
                .hint("read it to its end, drop it, or open a second connection"));
        }
        Ok(JobTurn(Arc::clone(&self.0)))
    }
}

impl Drop for JobTurn {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
