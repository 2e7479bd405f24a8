//! Which databases a project has, and which of them a name means.

use std::path::PathBuf;

use super::Project;
use super::database::{Database, Resolved};
use super::entry::Entry;
use super::roll::Roll;
use crate::code::Code;
use crate::error::{Error, Result, gather};
use crate::path::{absolute, expand_home, identity};

impl Project {
    pub(super) fn roll(&self) -> &Roll {
        self.roll.get_or_init(|| Roll::of(self))
    }

    /// The aliases of the SQLite databases, in order.
    pub(crate) fn aliases(&self) -> impl Iterator<Item = &str> {
        self.roll().names.aliases()
    }

    /// The databases that have a name, in order, replicated or not.
    pub(crate) fn declared(&self) -> impl Iterator<Item = &Database> {
        self.roll().names.all.iter().map(|(database, _)| database)
    }

    /// One item for each entry of `dbs`, in order; without `dbs`, one for each
    /// SQLite database of `databases`.
    pub(crate) fn entries(&self) -> &[Result<Entry>] {
        &self.roll().entries
    }

    /// Whether this is a Litestream configuration and not an lsrun.yml.
    pub(crate) fn is_of_litestream(&self) -> bool {
        self.of_litestream
    }

    /// The database of an alias or a path, which may be absolute or relative to the
    /// working directory or to the project file. A path must be one of the project:
    /// in `databases`, in `litestream.dbs` or in the folder of a `dir:` entry.
    ///
    /// Fails (exit 20) with the nearest alias when there is none.
    pub(crate) fn database(&self, name: &str) -> Result<Database> {
        let roll = self.roll();
        if let Some(database) = roll.names.by_alias(name)? {
            return Ok(database.clone());
        }
        let plain = super::entries::without_scheme(name);
        let written = expand_home(plain, &self.environment);
        let candidates = [absolute(&self.cwd, &written), absolute(&self.root, &written)];
        for candidate in &candidates {
            let wanted = identity(candidate);
            let found = roll.names.by_file(&wanted).or_else(|| roll.listed(&wanted));
            if let Some(database) = found {
                return Ok(database.clone());
            }
        }
        for path in candidates.into_iter().chain(roll.labelled(name)) {
            if let Some(index) = roll.holding(&path).filter(|_| path.is_file()) {
                let (label, entry) = (roll.label(&self.root, &path), Some(index));
                return Ok(Resolved { alias: None, label, path, create_from: None, entry }.into());
            }
        }
        Err(self.unknown(name))
    }

    pub(super) fn unknown(&self, name: &str) -> Error {
        let aliases: Vec<&str> = self.aliases().collect();
        let message = match &self.file {
            Some(file) => format!("unknown database `{name}` in {}", file.display()),
            None => format!("unknown database `{name}`: there is no lsrun.yml"),
        };
        super::settings::did_you_mean(Error::new(Code::UnknownDatabase, message), name, &aliases)
    }

    /// Every database that this project has Litestream replicate, in the order of
    /// `litestream.dbs`, or, without `dbs`, of `databases`. What is in the
    /// folders of `dir:` entries is not among them: see [`Self::every_database`].
    ///
    /// Fails (exit 20) when an entry names no database, or when there is neither a
    /// database nor a folder.
    pub(crate) fn databases(&self) -> Result<Vec<Database>> {
        let mut databases = Vec::new();
        let mut problems = Vec::new();
        let mut folders = false;
        for entry in self.entries() {
            match entry {
                Ok(Entry::Database { database, .. }) => databases.push(database.clone()),
                Ok(Entry::Directory { .. }) => folders = true,
                Err(error) => problems.push(error.clone()),
            }
        }
        gather(problems, |count| self.count(count))?;
        if databases.is_empty() && !folders && self.dbs().is_none() {
            return Err(self.no_databases());
        }
        Ok(databases)
    }

    pub(crate) fn no_databases(&self) -> Error {
        let Some(file) = &self.file else {
            return Error::project("no database is named, and there is no lsrun.yml");
        };
        let of = if self.declared.is_empty() { "no databases" } else { "no SQLite database" };
        Error::project(format!("{of} in {}", file.display()))
            .hint("add one:\ndatabases:\n  default: db.sqlite3")
    }

    /// The folders of the `dir:` entries, absolute; entries that are wrong are left
    /// out.
    #[must_use]
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        self.entries()
            .iter()
            .flatten()
            .filter_map(|entry| match entry {
                Entry::Directory { path, .. } => Some(path.clone()),
                Entry::Database { .. } => None,
            })
            .collect()
    }
}
