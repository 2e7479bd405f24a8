//! The database or replica URL whose backup is meant.

use crate::error::Result;
use crate::litestream::Session;
use crate::project::Database;

/// Whose backup.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// That of a database of the project.
    Database(Database),
    /// The one at a replica URL.
    Url(String),
}

impl Source {
    /// For people; no secret.
    pub(crate) fn describe(&self, session: &Session) -> Result<String> {
        Ok(match self {
            Self::Database(database) => session.config()?.replica(database)?.description,
            Self::Url(url) => redact(url),
        })
    }
}

/// A URL without its password and its secret parameters.
#[must_use]
pub(crate) fn redact(url: &str) -> String {
    crate::redact::hide_in_url(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        assert_eq!(redact("sftp://me:secret@host:22/a"), "sftp://me:***@host:22/a");
        assert_eq!(redact("s3://bucket/path"), "s3://bucket/path");
        assert_eq!(redact("s3://bucket?x=a@b"), "s3://bucket?x=a@b");
    }
}
