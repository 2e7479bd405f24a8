//! Standard output: what is written there, and whether that worked. A reader that
//! has gone away is ignored; any other error ends the run.

use std::io::{ErrorKind, Write};
use std::sync::OnceLock;

use crate::code::Code;
use crate::error::Error;

/// Standard output of a run.
#[derive(Debug, Default)]
pub(crate) struct Output {
    failed: OnceLock<Error>,
}

impl Output {
    /// Writes everything. After a failure nothing more is written: half a document
    /// with an end to it looks whole.
    pub(crate) fn write(&self, bytes: &[u8]) {
        if self.failed.get().is_some() {
            return;
        }
        let mut out = std::io::stdout().lock();
        let written = out.write_all(bytes).and_then(|()| out.flush());
        if let Some(error) = Self::unwritable(written) {
            let _first = self.failed.set(error);
        }
    }

    /// The first failure.
    #[must_use]
    pub(crate) fn failure(&self) -> Option<Error> {
        self.failed.get().cloned()
    }

    /// The error (exit 1) of a text that could not be written.
    #[must_use]
    pub(crate) fn unwritable(written: std::io::Result<()>) -> Option<Error> {
        let error = written.err().filter(|error| error.kind() != ErrorKind::BrokenPipe)?;
        let text = match error.kind() {
            ErrorKind::StorageFull => "No space left on device".to_owned(),
            _ => error.to_string(),
        };
        Some(
            Error::new(Code::Unexpected, format!("cannot write the report: {text}"))
                .hint("the output is incomplete; free some space and run it again"),
        )
    }
}
