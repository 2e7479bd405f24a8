//! The backup that a command was called for: that of a database, or a replica URL.

use crate::error;
use crate::host::litestream::RestoreRequest;
use crate::host::types::{Database, Error, Invocation};
use crate::words;

/// The error for an SQL that was denied because it does more than read: the command line is
/// wrong.
#[must_use]
pub fn only_reads(denied: Error) -> Error {
    Error {
        code: "invalid".into(),
        message: "a backup can only be read, and this SQL does more than that".into(),
        ..denied
    }
}

/// Where copies come from.
pub struct Backup(Source);

enum Source {
    Database(Database),
    Url(String),
}

impl Backup {
    /// The one of a command whose manifest says `per-database`, and perhaps `takes-urls`.
    pub fn of(invocation: &Invocation) -> Result<Self, Error> {
        let url = || invocation.argument("url").into_iter().next();
        match invocation.databases().into_iter().next() {
            Some(database) => Ok(Self(Source::Database(database))),
            None => match url() {
                Some(url) => Ok(Self(Source::Url(url))),
                None => Err(error("invalid", "no database was given")),
            },
        }
    }

    /// A request for its newest point.
    pub fn request(&self) -> Result<RestoreRequest, Error> {
        match &self.0 {
            Source::Database(database) => Ok(RestoreRequest::new(database)),
            Source::Url(url) => RestoreRequest::from_url(url),
        }
    }

    /// The name of the database, if there is one.
    #[must_use]
    pub fn alias(&self) -> Option<String> {
        match &self.0 {
            Source::Database(database) => Some(database.name()),
            Source::Url(_) => None,
        }
    }

    /// Its name on a command line: of the database, or the URL.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.0 {
            Source::Database(database) => database.name(),
            Source::Url(url) => url.clone(),
        }
    }

    /// The commands that restore this point: into a new file, and over the database.
    #[must_use]
    pub fn commands(&self, txid: &str) -> Vec<(&'static str, String)> {
        let name = words::shell(&self.name());
        let mut commands = vec![(
            "to a new file",
            format!("lsrun restore -o restored-copy.sqlite3 -txid {txid} {name}"),
        )];
        if self.alias().is_some() {
            commands.push(("in place", format!("lsrun restore -force -txid {txid} {name}")));
        }
        commands
    }
}
