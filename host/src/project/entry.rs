//! What an entry of `litestream.dbs` replicates.

use std::path::{Path, PathBuf};

use super::database::Database;

/// What an entry replicates.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    Database {
        database: Database,
        /// The path may be a mistyped alias.
        warning: Option<String>,
    },
    Directory {
        index: usize,
        path: PathBuf,
        /// Also what is in folders below.
        recursive: bool,
        pattern: Option<String>,
    },
}

impl Entry {
    pub(crate) fn database(&self) -> Option<&Database> {
        match self {
            Self::Database { database, .. } => Some(database),
            Self::Directory { .. } => None,
        }
    }

    /// Whether `path` is in the folder of this entry and has a name that it
    /// replicates.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        let Self::Directory { path: folder, recursive, pattern, .. } = self else { return false };
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
        let within = if *recursive {
            path.starts_with(folder)
        } else {
            path.parent() == Some(folder.as_path())
        };
        within && pattern.as_deref().is_some_and(|pattern| matches(pattern, name))
    }
}

/// Go's `filepath.Match` for the syntax of database patterns: `*`, `?`.
/// Anything rarer counts as no match.
fn matches(pattern: &str, name: &str) -> bool {
    let mut pattern_letters = pattern.chars();
    match pattern_letters.next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = pattern_letters.as_str();
            matches(rest, name)
                || name.char_indices().any(|(at, letter)| {
                    name.get(at + letter.len_utf8()..).is_some_and(|tail| matches(rest, tail))
                })
        }
        Some(wanted) => {
            let mut letters = name.chars();
            letters.next().is_some_and(|letter| wanted == '?' || letter == wanted)
                && matches(pattern_letters.as_str(), letters.as_str())
        }
    }
}
