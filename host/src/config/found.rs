//! Finding the entry of a database: by its path, by its file, by the folder of a
//! `dir:` entry.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::path::{Identities, identity};
use crate::project::{Entry, Folders};

/// The places of the entries in their list.
#[derive(Debug, Clone, Default)]
pub(super) struct EntryIndex {
    paths: HashMap<PathBuf, usize>,
    files: HashMap<PathBuf, usize>,
    folders: Folders,
}

impl EntryIndex {
    pub(super) fn add(&mut self, entry: &Entry, index: usize, identities: &mut Identities) {
        match entry {
            Entry::Database { database, .. } => {
                self.paths.entry(database.path.clone()).or_insert(index);
                self.files.entry(identities.of(&database.path)).or_insert(index);
            }
            Entry::Directory { path, .. } => self.folders.add(path, index),
        }
    }

    /// The entry that names the database at `path`.
    pub(super) fn named(&self, path: &Path) -> Option<usize> {
        let known = self.paths.get(path).copied();
        known.or_else(|| self.files.get(&identity(path)).copied())
    }

    /// The `dir:` entry that `holds` it.
    pub(super) fn holding(&self, path: &Path, holds: impl Fn(usize) -> bool) -> Option<usize> {
        self.folders.of(path, holds)
    }
}
