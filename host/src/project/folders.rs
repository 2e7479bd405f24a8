//! The databases in the folders of `dir:` entries: found on disk, as Litestream
//! finds them.

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::path::Identities;
use super::{Database, Entry, Project};
use crate::error::{Error, Result};

/// What every SQLite database begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

impl Project {
    /// [`Self::databases`], and behind them what lies in the folders of `dir:`
    /// entries now, by path.
    ///
    /// Fails (exit 20) as that does, and when such a folder cannot be read.
    pub fn every_database(&self) -> Result<Vec<Database>> {
        let mut databases = self.databases()?;
        let mut identities = Identities::default();
        let mut known: HashSet<PathBuf> =
            databases.iter().map(|database| identities.of(&database.path)).collect();
        let roll = self.roll();
        for entry in roll.entries.iter().flatten() {
            let Entry::Directory { index, .. } = entry else { continue };
            for path in self.files_of(entry)? {
                if !is_database(&path) {
                    continue;
                }
                let identity = identities.of(&path);
                let database = match roll.names.by_file(&identity) {
                    Some(database) => database.clone(),
                    None => {
                        let label = roll.label(&self.root, &path);
                        Database { alias: None, label, path, create_from: None, entry: None }
                    }
                };
                if known.insert(identity) {
                    databases.push(Database { entry: Some(*index), ..database });
                }
            }
        }
        Ok(databases)
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
            .hint("it is the dir of an entry of litestream.dbs, or lies in one")
    };
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() {
            // Litestream's own state lies beside each database.
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

fn is_database(path: &Path) -> bool {
    let mut start = [0; 16];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == *MAGIC
}
