//! Why an LTX file is not used.

use std::io;

/// What is wrong with an LTX file, for people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LtxFault {
    /// The file, or what it continues, has something that this reader does not know.
    #[error("{0}")]
    Unknown(String),
    /// Only litestream can tell what it would restore.
    #[error("only litestream can tell what it would restore")]
    Undecided,
    /// The file is not as it was written.
    #[error("{0}")]
    Damaged(String),
    /// It went away, or its store does not answer.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// The copy cannot be written.
    #[error("the copy cannot be written: {0}")]
    Unwritable(io::Error),
    /// Nobody wants the result any more.
    #[error("the reading was stopped")]
    Stopped,
}

impl LtxFault {
    pub(super) fn unknown(what: impl Into<String>) -> Self {
        Self::Unknown(what.into())
    }

    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }

    /// A file that ends before it should is damaged, whatever the reader calls that.
    pub(super) fn of_reading(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::damaged("the file ends too early"),
            _ => Self::Unreadable(error),
        }
    }
}
