//! The databases in the folders of `dir:` entries: found on disk, as Litestream
//! finds them.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Database, Entry, Project, identity};
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
        let mut known: std::collections::BTreeSet<PathBuf> =
            databases.iter().map(|database| identity(&database.path)).collect();
        for entry in self.entries().into_iter().flatten() {
            let Entry::Directory { index, path: folder, recursive, .. } = &entry else { continue };
            let mut files = Vec::new();
            walk(folder, *recursive, &mut files)?;
            files.sort();
            for path in files {
                if entry.holds(&path) && is_database(&path) && known.insert(identity(&path)) {
                    let named = self.sqlite().find(|(it, _)| it.path == path);
                    let database = match named {
                        Some((database, _)) => database.clone(),
                        None => Database { alias: None, path, create_from: None, entry: None },
                    };
                    databases.push(Database { entry: Some(*index), ..database });
                }
            }
        }
        Ok(databases)
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
