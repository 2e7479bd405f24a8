//! The databases in the folders of `dir:` entries: found on disk, as Litestream
//! finds them.
//!
//! Others, such as tenants, may write to these folders. So what is in them is
//! examined before it is opened, nothing is waited for, and a link does not lead out
//! of the folder, to another user's database.

use std::collections::HashSet;
use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::database::Resolved;
use super::{Database, Entry, Project};
use crate::error::{Error, Result};
use crate::path::Identities;

/// What every SQLite database begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// The size of a database's header; nothing smaller is one.
const HEADER: u64 = 100;

/// What is in the folders of a project.
#[derive(Debug, Default)]
pub(crate) struct FoundDatabases {
    /// The databases, also those that are not in a folder of a `dir:` entry.
    pub databases: Vec<Database>,
    /// What was left out and might have been intended, one sentence each.
    pub refused: Vec<String>,
}

impl Project {
    /// [`Self::databases`], and after them what is in the folders of `dir:`
    /// entries now, by path.
    ///
    /// Fails (exit 20) as that does, and when such a folder cannot be read.
    pub(crate) fn every_database(&self) -> Result<Vec<Database>> {
        Ok(self.found()?.databases)
    }

    /// The same, with what was left out because it is not a file of such a folder.
    pub(crate) fn found(&self) -> Result<FoundDatabases> {
        let mut databases = self.databases()?;
        let mut refused = Vec::new();
        let mut identities = Identities::default();
        let mut known: HashSet<PathBuf> =
            databases.iter().map(|database| identities.of(&database.path)).collect();
        let roll = self.roll();
        for entry in roll.entries.iter().flatten() {
            let Entry::Directory { index, path: folder, .. } = entry else { continue };
            let inside = std::fs::canonicalize(folder).unwrap_or_else(|_gone| folder.clone());
            for path in self.files_of(entry)? {
                match is_database(&path, &inside) {
                    Ok(true) => {}
                    Ok(false) => continue,
                    Err(why) => {
                        refused.push(format!("{} is left out: {why}", path.display()));
                        continue;
                    }
                }
                let identity = identities.of(&path);
                let database = match roll.names.by_file(&identity) {
                    Some(database) => database.clone(),
                    None => {
                        let label = roll.label(&self.root, &path);
                        Resolved { alias: None, label, path, create_from: None, entry: None }.into()
                    }
                };
                if known.insert(identity) {
                    databases.push(database.at_entry(*index));
                }
            }
        }
        Ok(FoundDatabases { databases, refused })
    }
}

impl Project {
    /// The files in the folder of a `dir:` entry that its pattern matches, sorted;
    /// nothing for another entry.
    ///
    /// Fails (exit 20) when the folder cannot be read.
    pub(crate) fn files_of(&self, entry: &Entry) -> Result<Vec<PathBuf>> {
        let Entry::Directory { path, recursive, .. } = entry else { return Ok(Vec::new()) };
        let mut files = Vec::new();
        walk(path, *recursive, &mut files)?;
        files.retain(|path| entry.holds(path));
        files.sort();
        Ok(files)
    }

    /// The databases of `databases` that no entry of `litestream.dbs` names, in order.
    pub(crate) fn unlisted(&self) -> impl Iterator<Item = &Database> {
        self.declared().filter(|database| database.entry.is_none())
    }
}

fn walk(folder: &Path, recursive: bool, files: &mut Vec<PathBuf>) -> Result<()> {
    let unreadable = |error: std::io::Error| {
        Error::project(format!("cannot read the folder {}", folder.display()))
            .cause(error)
            .hint("it is the dir of an entry of litestream.dbs, or is inside one")
    };
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() {
            // Litestream's own state is beside each database.
            let own = entry.file_name().to_string_lossy().ends_with("-litestream");
            if recursive && !own {
                walk(&entry.path(), true, files)?;
            }
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Whether a file begins as a database does. The reason why a link, or what is not a
/// file, is not looked into.
fn is_database(path: &Path, folder: &Path) -> std::result::Result<bool, String> {
    let Ok(own) = std::fs::symlink_metadata(path) else { return Ok(false) };
    let file = if own.is_symlink() {
        let Ok(file) = std::fs::canonicalize(path) else { return Ok(false) };
        if !file.starts_with(folder) {
            return Err(format!("it is a link out of its folder, to {}", file.display()));
        }
        file
    } else {
        path.to_owned()
    };
    let Ok(metadata) = std::fs::symlink_metadata(&file) else { return Ok(false) };
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if metadata.len() < HEADER {
        return Ok(false);
    }
    // Closing it would drop the locks of this process's own connections.
    Ok(is_open_here(&metadata) || begins_with_magic(&file))
}

fn begins_with_magic(file: &Path) -> bool {
    // It may have become a FIFO or a link by now.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut start = [0; 16];
    let mut read = || -> std::io::Result<()> {
        let mut file: File =
            OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(file)?;
        match file.metadata()?.is_file() {
            true => file.read_exact(&mut start),
            false => Err(std::io::ErrorKind::InvalidInput.into()),
        }
    };
    read().is_ok() && start == *MAGIC
}

/// Whether this process has a SQLite connection to the file.
fn is_open_here(metadata: &Metadata) -> bool {
    if !crate::sqlite::descriptors::any_open() {
        return false;
    }
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let same = |it: Metadata| (it.dev(), it.ino()) == (metadata.dev(), metadata.ino());
    open.map(|entry| entry.path()).any(|path| std::fs::metadata(path).is_ok_and(same))
}
