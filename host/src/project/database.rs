//! The `databases:` part of the project file: aliases and their files.
//! Which of them are replicated, and where to, is not known here.

use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::url;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::path::{absolute, expand_home};
use crate::reference::{parse, resolve};
use crate::yaml::Cursor;

/// The name that a project gives to a database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Alias(String);

impl Alias {
    pub(super) fn new(name: String) -> Self {
        Self(name)
    }

    /// The name as text.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A database of the project. It is resolved once, and whoever has it has the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Database(Arc<Resolved>);

/// What is known of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// Its name in `databases`, if it has one.
    pub alias: Option<Alias>,
    /// What it is called without an alias: a short path, unique in the project.
    pub label: Option<String>,
    /// Absolute and clean: the exact text that Litestream knows it by.
    pub path: PathBuf,
    /// A SQL script that creates it when it is missing.
    pub create_from: Option<PathBuf>,
    /// The index of its entry in `litestream.dbs` (or of the `dir:` entry that
    /// it is in); `None` when no entry names it. Without any `dbs` the index
    /// among the SQLite databases of `databases`.
    pub entry: Option<usize>,
}

impl From<Resolved> for Database {
    fn from(resolved: Resolved) -> Self {
        Self(Arc::new(resolved))
    }
}

impl Deref for Database {
    type Target = Resolved;

    fn deref(&self) -> &Resolved {
        &self.0
    }
}

impl Database {
    /// The same at this entry of `litestream.dbs`.
    #[must_use]
    pub(crate) fn at_entry(&self, entry: usize) -> Self {
        Resolved { entry: Some(entry), ..Resolved::clone(self) }.into()
    }

    /// What is found out while the project is read.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Resolved)) {
        change(Arc::make_mut(&mut self.0));
    }

    /// The alias, else the label, else the path.
    #[must_use]
    pub(crate) fn name(&self) -> String {
        match (&self.alias, &self.label) {
            (Some(alias), _) => alias.as_str().to_owned(),
            (None, Some(label)) => label.clone(),
            (None, None) => self.path.display().to_string(),
        }
    }
}

/// One entry of `databases`.
#[derive(Debug, Clone)]
pub(super) enum Declared {
    /// A SQLite database, with its path as the user wrote it.
    Sqlite { database: Database, written: String },
    /// Of another engine, and ignored.
    Skipped { alias: String, engine: String },
}

/// Reads one entry: a path, or a mapping as Django's `DATABASES` has them.
pub(super) fn declared(
    alias: &str,
    entry: &Cursor<'_>,
    root: &Path,
    environment: &Environment,
) -> Result<Declared> {
    if alias.trim().is_empty() {
        return Err(entry.wrong("has an empty name"));
    }
    if entry.value().is_mapping() {
        let engine = entry.get("engine").or_else(|| entry.get("ENGINE"));
        if let Some(engine) =
            engine.map(|engine| engine.text("the name of an engine")).transpose()?
            && !is_sqlite(&engine)
        {
            // Its other keys (HOST, USER, …) are for that engine.
            return Ok(Declared::Skipped { alias: alias.to_owned(), engine });
        }
        for (key, value) in entry.entries("a mapping")? {
            if !matches!(key, "path" | "NAME" | "engine" | "ENGINE" | "create_from") {
                return Err(value.unknown_key("a database", ["path", "engine", "create_from"]));
            }
        }
    }
    let named = if entry.value().is_mapping() {
        if entry.get("path").is_some() && entry.get("NAME").is_some() {
            return Err(entry.wrong("has both `path` and `NAME`"));
        }
        entry
            .get("path")
            .or_else(|| entry.get("NAME"))
            .ok_or_else(|| entry.wrong("has no `path`").hint("write the path of the database"))?
    } else {
        entry.clone()
    };
    let written = named.text("a path")?;
    let path = file_path(&named, &written, root, environment)?;
    let create_from = entry
        .get("create_from")
        .map(|script| {
            let text = script.text("a path")?;
            plain_path(&script, &text, root, environment)
        })
        .transpose()?;
    let alias = Some(Alias(alias.to_owned()));
    let database = Resolved { alias, label: None, path, create_from, entry: None }.into();
    Ok(Declared::Sqlite { database, written })
}

/// Whether the last dotted part of an engine's name is one of SQLite's.
fn is_sqlite(engine: &str) -> bool {
    let last = engine.rsplit('.').next().unwrap_or(engine).to_ascii_lowercase();
    last.starts_with("sqlite") || last == "spatialite"
}

/// The absolute path of a database file, which may be written as a URL. Refuses
/// what is not a file of its own.
pub(super) fn file_path(
    place: &Cursor<'_>,
    written: &str,
    root: &Path,
    environment: &Environment,
) -> Result<PathBuf> {
    let resolved = resolve(&parse(written), &|name| environment.get(name))
        .map_err(|name| unset(place, &name))?;
    let path = url::file(place, &resolved.text)?;
    Ok(absolute(root, &expand_home(&path, environment)))
}

/// A path of the project file: `~/`, `$VAR`, `${VAR}` and `${VAR:-default}` put in,
/// relative to the project's folder.
pub(super) fn plain_path(
    place: &Cursor<'_>,
    written: &str,
    root: &Path,
    environment: &Environment,
) -> Result<PathBuf> {
    let resolved = resolve(&parse(written), &|name| environment.get(name))
        .map_err(|name| unset(place, &name))?;
    if resolved.text.trim().is_empty() {
        return Err(place.wrong("is an empty path"));
    }
    Ok(absolute(root, &expand_home(&resolved.text, environment)))
}

/// The error for a variable that a path needs.
pub(super) fn unset(place: &Cursor<'_>, name: &str) -> Error {
    place
        .wrong(format!("needs the environment variable {name}, which is not set"))
        .hint(format!("set {name}, or give a default: ${{{name}:-…}}"))
}
