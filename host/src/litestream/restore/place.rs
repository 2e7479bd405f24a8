//! Where a restored copy is: next to its target, or in a temporary folder.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::code::Code;
use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::litestream::restore::folder::Folder;
use crate::litestream::restore::links::locate;
use crate::litestream::restore::request::Request;
use crate::litestream::restore::rights::Rights;
use crate::litestream::room::Room;
use crate::scratch::Scratch;

/// Where a copy is, and the room that it has there.
#[derive(Debug)]
#[expect(dead_code, reason = "held for their destructors")]
pub(crate) struct CopyPlace {
    pub(crate) home: Home,
    pub(crate) room: Room,
}

#[derive(Debug)]
#[expect(dead_code, reason = "held for their destructors")]
pub(crate) enum Home {
    Temporary(tempfile::TempDir),
    Beside(Scratch),
}

/// Where the copy goes: a folder beside its target, else a temporary one.
pub(crate) fn home(session: &Session, request: &Request) -> Result<(Home, PathBuf)> {
    if let Some(target) = &request.target {
        let scratch = beside(target)?;
        if scratch.swept() > 0 {
            session.notes.note(&format!(
                "an earlier restore of {} was cut off before it was done; its copy was removed",
                target.display()
            ));
        }
        let folder = scratch.path().to_owned();
        return Ok((Home::Beside(scratch), folder));
    }
    let folder = tempfile::Builder::new().prefix("copy-").tempdir_in(session.scratch()?.path())?;
    let path = folder.path().to_owned();
    Ok((Home::Temporary(folder), path))
}

/// A private folder for a copy that is to replace `target`: on the file system of the
/// file behind a link, or in the temporary folder where others could exchange it.
fn beside(target: &Path) -> Result<Scratch> {
    let target = &locate(target)?;
    let io = |what: &str, path: &Path, error: &dyn std::fmt::Display| {
        Error::new(Code::Io, format!("cannot {what} {}", path.display())).cause(error)
    };
    let folder = target.parent().unwrap_or_else(|| Path::new("/"));
    make(folder).map_err(|error| io("make the folder", folder, &error))?;
    let held = Folder::of(target).map_err(|error| io("open the folder of", target, &error))?;
    if held.keeps_ours() {
        return Scratch::beside(target);
    }
    // The same folder for every restore of this target, so that the next one finds what
    // a killed one has left.
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let key = blake3::hash(target.as_os_str().as_encoded_bytes()).to_hex();
    Scratch::within(&std::env::temp_dir(), &format!(".{name}.{}.lsrun-", &key[..16]))
}

/// Makes a folder and those above it that are missing, with the rights for the first
/// of them that is there.
fn make(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let make = || std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    let missing = folder.ancestors().take_while(|it| std::fs::symlink_metadata(it).is_err());
    let rights = match missing.last() {
        Some(first) => Rights::in_folder(&Folder::of(first)?, first, None)?,
        None => Rights::Own,
    };
    Ok(rights.run(make)??)
}
