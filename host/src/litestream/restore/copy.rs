//! A restored database in a private folder.

use std::path::PathBuf;
use std::time::Duration;

use crate::code::Code;
use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::litestream::replica::listing;
use crate::litestream::replica::reading::FilesRead;
use crate::litestream::replica::source::Source;
use crate::litestream::replica::txid::Txid;
use crate::litestream::restore::place::CopyPlace;
use crate::litestream::restore::request::Request;

/// A restored database in a private folder, removed when dropped.
#[derive(Debug)]
pub(crate) struct RestoredCopy {
    /// The database file.
    pub path: PathBuf,
    /// What was restored; none for a backup of litestream 0.3.
    pub txid: Option<Txid>,
    /// Its size.
    pub bytes: u64,
    /// The time that it took.
    pub duration: Duration,
    /// What lsrun's own reader read; none if it was not the one that restored.
    pub read: Option<FilesRead>,
    /// What it is to replace.
    pub target: Option<PathBuf>,
    /// As in the request.
    pub even_if_in_use: bool,
    /// The point that was asked for: a TXID, or a time in RFC 3339; none for the newest.
    pub requested: Option<String>,
    /// What it was restored from.
    pub(super) from: CopyOrigin,
    #[expect(dead_code, reason = "held for its destructor")]
    pub(super) place: CopyPlace,
}

/// Where the content of a copy comes from, for what is asked about it later.
#[derive(Debug)]
pub(crate) enum CopyOrigin {
    Replica {
        source: Source,
        patience: Duration,
    },
    /// A file that a restore had kept, last written to at this time.
    Kept(Option<jiff::Timestamp>),
}

impl RestoredCopy {
    /// One that was not restored by litestream, and took this time.
    pub(crate) fn made(
        path: PathBuf,
        request: Request,
        written: Option<jiff::Timestamp>,
        duration: Duration,
        place: CopyPlace,
    ) -> Self {
        Self {
            requested: None,
            from: CopyOrigin::Kept(written),
            bytes: std::fs::metadata(&path).map_or(0, |metadata| metadata.len()),
            path,
            txid: None,
            duration,
            read: None,
            target: request.target,
            even_if_in_use: request.even_if_in_use,
            place,
        }
    }

    /// When its last transaction was written, as far as the backup says.
    pub(crate) async fn written(&self, session: &Session) -> Option<jiff::Timestamp> {
        match &self.from {
            CopyOrigin::Kept(written) => *written,
            CopyOrigin::Replica { source, patience } => {
                let files = listing::list(session, source, *patience).await.ok()?;
                files.written(self.txid?)
            }
        }
    }
}

/// Keeps a copy in the temporary folder, readable by this user.
pub(crate) fn keep(copy: &RestoredCopy) -> Result<PathBuf> {
    let mut names = tempfile::Builder::new();
    names.prefix("kept-by-lsrun-").suffix(".sqlite3");
    let keep = || -> std::io::Result<PathBuf> {
        let mut from = std::fs::File::open(&copy.path)?;
        from.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        // A second name costs nothing; another file system needs a second file. Neither is
        // made under a name that another process has taken.
        match names.make(|name| std::fs::hard_link(&copy.path, name)) {
            Ok(link) => Ok(link.into_temp_path().keep()?),
            Err(_apart) => {
                let (mut file, path) = names.tempfile()?.keep()?;
                std::io::copy(&mut from, &mut file)?;
                Ok(path)
            }
        }
    };
    keep().map_err(|error| {
        Error::new(Code::Io, "cannot keep the copy in the temporary folder").cause(error)
    })
}
