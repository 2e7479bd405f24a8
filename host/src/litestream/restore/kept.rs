//! A database that a restore has replaced and kept, and how it is brought back.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::code::Code;
use crate::error::{Error, Result};
use crate::litestream::daemon::identity;
use crate::litestream::restore::copy::RestoredCopy;
use crate::litestream::restore::folder::Folder;
use crate::litestream::restore::links::locate;
use crate::litestream::restore::place::CopyPlace;
use crate::litestream::restore::refusal::io;
use crate::litestream::restore::request::{PlannedPoint, Request};
use crate::litestream::restore::rights::Rights;
use crate::litestream::restore::{folder, retention};
use crate::path::Sidecar;

/// A database that a restore has replaced.
pub(crate) struct KeptDatabase {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Where it is brought back to.
    target: PathBuf,
}

/// The newest one of the request's target.
pub(crate) fn newest_kept(request: &Request) -> Result<KeptDatabase> {
    let Some(given) = &request.target else {
        return Err(Error::usage("a kept database is brought back to a target"));
    };
    let target = locate(given)?;
    // A second name of the database itself is what a killed restore has left.
    let own = identity(&target);
    let mut all = retention::all(&target);
    all.retain(|kept| identity(kept) != own);
    let Some(path) = all.pop() else {
        return Err(Error::new(
            Code::NotFound,
            format!("there is no kept copy of {}", target.display()),
        )
        .hint("restore -force keeps the database that it replaces"));
    };
    for sidecar in [Sidecar::Wal, Sidecar::Journal] {
        if std::fs::metadata(sidecar.of(&path)).is_ok_and(|it| it.len() > 0) {
            return Err(Error::new(
                Code::Sqlite,
                format!(
                    "{} was kept with a log that SQLite could not checkpoint into it",
                    path.display()
                ),
            )
            .cause(sidecar.of(&path).display())
            .hint("copy both elsewhere and try sqlite3's .recover there"));
        }
    }
    Ok(KeptDatabase { path, target })
}

impl KeptDatabase {
    /// Its size, and when it was last written to.
    pub(crate) fn point(&self) -> PlannedPoint {
        let metadata = std::fs::metadata(&self.path).ok();
        let written = metadata.as_ref().and_then(|it| it.modified().ok());
        PlannedPoint {
            txid: None,
            timestamp: written.and_then(|time| time.try_into().ok()),
            bytes: metadata.map(|it| it.len()),
        }
    }

    /// A copy of it, staged for a replacement.
    pub(crate) fn copy_to(
        self,
        path: PathBuf,
        request: Request,
        place: CopyPlace,
    ) -> Result<RestoredCopy> {
        let started = Instant::now();
        let from = self.open()?;
        folder::create(&path)
            .and_then(|mut to| std::io::copy(&mut &from, &mut to))
            .map_err(|error| io("copy", &self.path, &error))?;
        let written = from.metadata().and_then(|it| it.modified()).ok();
        let written = written.and_then(|time| time.try_into().ok());
        Ok(RestoredCopy::made(path, request, written, started.elapsed(), place))
    }

    /// Opens it with the rights of the one whose database it is: whoever can put a file
    /// of root's under its name must not be able to read it.
    fn open(&self) -> Result<std::fs::File> {
        use std::os::unix::fs::MetadataExt;
        let failed = |error: std::io::Error| io("open", &self.path, &error);
        let folder = Folder::of(&self.path).map_err(failed)?;
        let held = |path: &Path| folder.at(&folder::name_of(path));
        let target = folder::Pinned::at(&held(&self.target), &self.target)?;
        let rights = Rights::in_folder(&folder, &self.target, target.as_ref())?;
        let path = held(&self.path);
        let file = rights.run(|| folder::open_regular(&path)).map_err(failed)?.map_err(failed)?;
        let kept = file.metadata().map_err(failed)?;
        // A restore gives what it keeps the owner and the mode of what it replaces.
        let alike = match &target {
            Some(target) => {
                let of = |it: &std::fs::Metadata| (it.uid(), it.mode() & 0o777);
                of(&kept) == of(&target.metadata)
            }
            None => kept.uid() == folder.owner().0,
        };
        match alike || folder.is_own() {
            true => Ok(file),
            false => Err(Error::new(Code::Io, format!(
                "{} is not as a restore kept it",
                self.path.display()
            ))
            .cause("its owner or its mode is not that of the database, and others can rename files in its folder")
            .hint("examine the file; copy it to the database's path yourself, if it is what you want")),
        }
    }
}
