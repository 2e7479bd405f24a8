//! The entries of `litestream.dbs`: which database or folder each one is. Their
//! other keys are [`crate::config`]'s.

use std::path::{Path, PathBuf};

use super::database::{Database, check_is_file, unset};
use super::document::Cursor;
use super::nearest::nearest;
use super::path::{absolute, expand_home, identity};
use super::reference::{Style, parse, resolve};
use super::settings::did_you_mean;
use super::{Alias, Project};
use crate::error::Result;

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
        /// Also what lies in folders below.
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

    pub(super) fn index(&self) -> usize {
        match self {
            Self::Database { database, .. } => database.entry.unwrap_or_default(),
            Self::Directory { index, .. } => *index,
        }
    }

    /// Whether `path` lies in the folder of this entry and has a name that it
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

/// Go's `filepath.Match` for what patterns of databases are made of: `*`, `?`.
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

/// Litestream takes a path with the scheme of SQLite before it.
pub(super) fn without_scheme(text: &str) -> &str {
    text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite3://")).unwrap_or(text)
}

impl Project {
    /// One item for each entry of `dbs`, in order; without `dbs`, one for each
    /// SQLite database of `databases`.
    pub(crate) fn entries(&self) -> Vec<Result<Entry>> {
        let Some(dbs) = self.dbs() else {
            return self
                .sqlite()
                .enumerate()
                .map(|(index, (database, _))| {
                    let database = Database { entry: Some(index), ..database.clone() };
                    Ok(Entry::Database { database, warning: None })
                })
                .collect();
        };
        match dbs.items("a list of databases") {
            Ok(items) => {
                items.iter().enumerate().map(|(index, item)| self.entry(index, item)).collect()
            }
            Err(error) => vec![Err(error)],
        }
    }

    fn entry(&self, index: usize, item: &Cursor<'_>) -> Result<Entry> {
        item.entries("a mapping with `path`")
            .map_err(|error| error.hint("write `- path: default`"))?;
        match (item.get("path"), item.get("dir")) {
            (Some(_), Some(_)) => Err(item.wrong("has both `path` and `dir`")),
            (None, None) => Err(item
                .wrong("names no database")
                .hint("give it a `path`, which is an alias or a path, or a `dir`")),
            (Some(path), None) => self.listed(index, &path),
            (None, Some(dir)) => {
                let text = dir.text("the path of a folder")?;
                if text.trim().is_empty() {
                    return Err(dir.wrong("is an empty path"));
                }
                Ok(Entry::Directory {
                    index,
                    path: self.litestream_path(&dir, &text)?,
                    recursive: item
                        .get("recursive")
                        .is_some_and(|value| value.value().as_bool() == Some(true)),
                    pattern: item
                        .get("pattern")
                        .map(|pattern| pattern.text("a pattern"))
                        .transpose()?,
                })
            }
        }
    }

    /// The database that the `path` of an entry means.
    fn listed(&self, index: usize, place: &Cursor<'_>) -> Result<Entry> {
        let text = place.text("an alias or a path")?;
        let known = |mut database: Database| {
            database.entry = Some(index);
            Ok(Entry::Database { database, warning: None })
        };
        if let Some(database) = self.by_alias(&text).map_err(|error| {
            let message = error.message().to_owned();
            error.context(place.wrong("cannot be replicated").message()).cause(message)
        })? {
            return known(database);
        }
        if let Some((database, _)) = self.sqlite().find(|(_, written)| *written == text) {
            return known(database.clone());
        }
        check_is_file(place, &text)?;
        let aliases: Vec<&str> = self.aliases().collect();
        if !text.contains(['/', '.', '$', '~', '\\']) {
            let error = place.wrong(format!("is `{text}`, which is no alias in `databases`"));
            return Err(match did_you_mean(error.clone(), &text, &aliases) {
                hinted if hinted.hint_text().is_some() => hinted,
                _ => error.hint(format!("for a file of that name write `./{text}`")),
            });
        }
        let path = self.litestream_path(place, without_scheme(&text))?;
        let last = path.file_name().map(|name| name.to_string_lossy().into_owned());
        check_is_file(place, last.as_deref().unwrap_or_default())?;
        let wanted = identity(&path);
        if let Some((database, _)) =
            self.sqlite().find(|(database, _)| identity(&database.path) == wanted)
        {
            return known(database.clone());
        }
        let warning = nearest(&text, aliases.iter().copied()).map(|alias| {
            format!("{} is the path `{text}`; did you mean the alias `{alias}`?", place.dotted())
        });
        let database =
            Database { alias: None::<Alias>, path, create_from: None, entry: Some(index) };
        Ok(Entry::Database { database, warning })
    }

    /// A path of the `litestream` part, where `$NAME` is a reference as well.
    fn litestream_path(&self, place: &Cursor<'_>, text: &str) -> Result<PathBuf> {
        let resolved = if self.expand {
            resolve(&parse(text, Style::Litestream), &|name| self.environment.get(name))
                .map_err(|name| unset(place, &name))?
                .text
        } else {
            text.to_owned()
        };
        Ok(absolute(&self.root, &expand_home(&resolved, &self.environment)))
    }
}
