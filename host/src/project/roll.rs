//! The databases and folders of a project, resolved once, and found by alias, by
//! file and by folder. Where they are replicated to belongs to
//! [`crate::config`].

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Project;
use super::database::{Alias, Database, Declared};
use super::entry::Entry;
use crate::error::{Error, Result};
use crate::path::Identities;

/// What [`Project`] looks up; made at the first question.
#[derive(Debug, Default)]
pub(super) struct Roll {
    /// The databases that have a name.
    pub(super) names: Names,
    /// One item for each entry of `dbs`, in order; without `dbs`, one for each
    /// database of `databases`.
    pub(super) entries: Vec<Result<Entry>>,
    /// The entry of a file, by its identity.
    by_file: HashMap<PathBuf, usize>,
    folders: Folders,
    elsewhere: Elsewhere,
}

/// The databases of `databases`.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// In their order, each with its path as the user wrote it.
    pub(super) all: Vec<(Database, String)>,
    aliases: HashMap<String, usize>,
    written: HashMap<String, usize>,
    files: HashMap<PathBuf, usize>,
    /// The engines of the databases that are not SQLite's.
    skipped: HashMap<String, String>,
}

impl Names {
    fn of(declared: &[Declared], identities: &mut Identities) -> Self {
        let mut names = Self::default();
        for one in declared {
            match one {
                Declared::Sqlite { database, written } => {
                    names.add(database.clone(), written.clone(), identities);
                }
                Declared::Skipped { alias, engine } => {
                    names.skipped.insert(alias.clone(), engine.clone());
                }
            }
        }
        names
    }

    fn add(&mut self, database: Database, written: String, identities: &mut Identities) {
        let index = self.all.len();
        if let Some(alias) = &database.alias {
            self.aliases.entry(alias.as_str().to_owned()).or_insert(index);
        }
        self.written.entry(written.clone()).or_insert(index);
        self.files.entry(identities.of(&database.path)).or_insert(index);
        self.all.push((database, written));
    }

    /// `None` when there is no such alias; an error when it is of another engine.
    pub(super) fn by_alias(&self, name: &str) -> Result<Option<&Database>> {
        if let Some(engine) = self.skipped.get(name) {
            return Err(Error::project(format!(
                "`{name}` is not a SQLite database: its engine is {engine}"
            )));
        }
        Ok(self.aliases.get(name).and_then(|index| self.at(*index)))
    }

    /// The database whose path is written in `databases` with exactly these letters.
    pub(super) fn by_written(&self, text: &str) -> Option<&Database> {
        self.at(*self.written.get(text)?)
    }

    /// The database of a file, by its identity.
    pub(super) fn by_file(&self, identity: &Path) -> Option<&Database> {
        self.at(*self.files.get(identity)?)
    }

    fn at(&self, index: usize) -> Option<&Database> {
        self.all.get(index).map(|(database, _)| database)
    }

    /// The aliases, in order.
    pub(super) fn aliases(&self) -> impl Iterator<Item = &str> {
        self.all.iter().filter_map(|(database, _)| database.alias.as_ref().map(Alias::as_str))
    }
}

/// The `dir:` entries, by their folder.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folders(HashMap<PathBuf, Vec<usize>>);

impl Folders {
    /// `index` is what [`Folders::of`] will give.
    pub(crate) fn add(&mut self, folder: &Path, index: usize) {
        self.0.entry(folder.to_owned()).or_default().push(index);
    }

    /// The first entry whose folder `path` is in and that `holds` it.
    pub(crate) fn of(&self, path: &Path, holds: impl Fn(usize) -> bool) -> Option<usize> {
        if self.0.is_empty() {
            return None;
        }
        let above = path.ancestors().skip(1).filter_map(|folder| self.0.get(folder));
        above.flatten().copied().filter(|index| holds(*index)).min()
    }
}

/// The names of folders outside of the project, each of one folder alone.
#[derive(Debug, Default)]
struct Elsewhere(HashMap<OsString, Option<PathBuf>>);

impl Elsewhere {
    fn of(root: &Path, entries: &[Result<Entry>]) -> Self {
        let mut names = Self::default();
        for entry in entries.iter().flatten() {
            let (path, is_folder) = match entry {
                Entry::Database { database, .. } => (&database.path, false),
                Entry::Directory { path, .. } => (path, true),
            };
            match path.strip_prefix(root) {
                // What is in the project is called by its path from there.
                Ok(below) => {
                    if let Some(first) = below.iter().next() {
                        names.0.insert(first.to_owned(), None);
                    }
                }
                Err(_elsewhere) if is_folder => {
                    let Some(name) = path.file_name() else { continue };
                    let place = names.0.entry(name.to_owned());
                    place
                        .and_modify(|known| *known = known.take().filter(|known| known == path))
                        .or_insert_with(|| Some(path.clone()));
                }
                Err(_elsewhere) => {}
            }
        }
        names
    }

    fn get(&self, name: &OsStr) -> Option<&Path> {
        self.0.get(name)?.as_deref()
    }
}

impl Roll {
    pub(super) fn of(project: &Project) -> Arc<Self> {
        let mut identities = Identities::default();
        let names = Names::of(&project.declared, &mut identities);
        let entries = project.resolved(&names, &mut identities);
        let elsewhere = Elsewhere::of(&project.root, &entries);
        let mut roll = Self { names, entries, elsewhere, ..Self::default() };
        if project.of_litestream {
            roll.call_by_stem(&mut identities);
        }
        for (index, entry) in roll.entries.iter().enumerate() {
            match entry {
                Ok(Entry::Database { database, .. }) => {
                    roll.by_file.entry(identities.of(&database.path)).or_insert(index);
                }
                Ok(Entry::Directory { path, .. }) => roll.folders.add(path, index),
                Err(_wrong) => {}
            }
        }
        let label = |entry: &Result<Entry>| {
            let database = entry.as_ref().ok()?.database()?;
            database.alias.is_none().then(|| roll.label(&project.root, &database.path))?
        };
        let labels: Vec<Option<String>> = roll.entries.iter().map(label).collect();
        for (entry, label) in roll.entries.iter_mut().zip(labels) {
            if let Ok(Entry::Database { database, .. }) = entry {
                database.change(|it| it.label = label);
            }
        }
        for (database, _) in &mut roll.names.all {
            let listed = roll.by_file.get(&identities.of(&database.path)).copied();
            let entry = listed.or_else(|| holding(&roll.folders, &roll.entries, &database.path));
            database.change(|it| it.entry = entry);
        }
        Arc::new(roll)
    }

    /// In a Litestream configuration a database is called by the stem of its file,
    /// if no other has the same.
    fn call_by_stem(&mut self, identities: &mut Identities) {
        let stem = |database: &Database| {
            let stem = database.path.file_stem()?.to_str()?;
            (!stem.trim().is_empty()).then(|| stem.to_owned())
        };
        let databases = || self.entries.iter().flatten().filter_map(Entry::database);
        let mut count: HashMap<String, usize> = HashMap::new();
        for stem in databases().filter_map(stem) {
            *count.entry(stem).or_default() += 1;
        }
        for entry in self.entries.iter_mut().flatten() {
            let Entry::Database { database, .. } = entry else { continue };
            if let Some(stem) = stem(database).filter(|stem| count.get(stem) == Some(&1)) {
                database.change(|it| it.alias = Some(Alias::new(stem)));
                let written = database.path.display().to_string();
                self.names.add(database.clone(), written, identities);
            }
        }
    }

    /// The entry that replicates the file of this identity.
    pub(super) fn listed(&self, identity: &Path) -> Option<&Database> {
        self.entries.get(*self.by_file.get(identity)?)?.as_ref().ok()?.database()
    }

    /// The `dir:` entry that holds `path`.
    pub(super) fn holding(&self, path: &Path) -> Option<usize> {
        holding(&self.folders, &self.entries, path)
    }

    /// How a database without an alias is called: by its path from `root`, or, in a
    /// folder of a `dir:` entry elsewhere, by that from the folder above.
    pub(super) fn label(&self, root: &Path, path: &Path) -> Option<String> {
        let label = match path.strip_prefix(root) {
            Ok(below) => below.to_str()?,
            Err(_elsewhere) => {
                let Ok(Entry::Directory { path: folder, .. }) =
                    self.entries.get(self.holding(path)?)?
                else {
                    return None;
                };
                let own = self.elsewhere.get(folder.file_name()?) == Some(folder);
                path.strip_prefix(folder.parent().filter(|_| own)?).ok()?.to_str()?
            }
        };
        (!label.is_empty() && !self.names.aliases.contains_key(label)).then(|| label.to_owned())
    }

    /// The path that has this label, of a folder elsewhere.
    pub(super) fn labelled(&self, label: &str) -> Option<PathBuf> {
        let (first, _) = label.split_once('/')?;
        Some(self.elsewhere.get(first.as_ref())?.parent()?.join(label))
    }
}

fn holding(folders: &Folders, entries: &[Result<Entry>], path: &Path) -> Option<usize> {
    let holds = |index: usize| {
        entries.get(index).is_some_and(|entry| entry.as_ref().is_ok_and(|it| it.holds(path)))
    };
    folders.of(path, holds)
}
