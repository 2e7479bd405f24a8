//! The Litestream configuration of a project: what `lsrun config` prints, and the
//! private form that a child process gets. Starting that child is not done here,
//! and nothing is contacted.

mod chain;
mod child;
mod daemon;
mod destination;
mod found;
mod keys;
mod listed;
mod printed;
mod problem;
mod read;
mod refusals;
mod render;
mod replica;
mod scalar;
mod server;
mod settings;
mod sites;
mod tree;
mod url;
mod variables;
mod view;

#[cfg(test)]
mod acceptance;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub(crate) use self::child::{ChildConfig, Purpose};
pub(crate) use self::daemon::DEFAULT_SOCKET;
use self::found::EntryIndex;
use self::keys::{ENTRY, TOP};
use self::listed::Listed;
use self::printed::Printer;
pub(crate) use self::problem::{Problem, Severity, examine};
use self::read::Reader;
use self::refusals::without_replica;
pub(crate) use self::replica::Replica;
pub(crate) use self::settings::{ReplicaOrigin, ReplicaSettings, Unsupported};
use self::tree::{Map, Node, Text, TextRole};
use self::variables::{CREDENTIALS, lookup};
use self::view::View;
use crate::environment::Environment;
use crate::error::{Error, Result, gather};
use crate::path::{Identities, absolute, expand_home};
use crate::project::{Entry, Project};
use crate::reference::resolve;

/// The checked configuration.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// What the user should know, one line each.
    pub warnings: Vec<String>,
    /// The keys at the top, without `dbs`.
    top: Map,
    /// How many of them come before `dbs`.
    before: usize,
    entries: Vec<Listed>,
    index: EntryIndex,
    /// The keys at the top that lsrun added.
    added: Vec<&'static str>,
    root: PathBuf,
    environment: Environment,
}

impl Config {
    /// Builds and checks the configuration of `project`. Needs neither credentials
    /// nor the litestream binary.
    ///
    /// Fails (exit 20) with everything that would lose data or that Litestream
    /// would refuse.
    pub(crate) fn of(project: &Project, environment: &Environment) -> Result<Self> {
        let (config, problems) = Self::build(project, environment);
        gather(problems, |count| {
            format!("{count} things are wrong with the Litestream configuration")
        })?;
        Ok(config)
    }

    fn build(project: &Project, environment: &Environment) -> (Self, Vec<Error>) {
        let mut reader = Reader { expand: project.expands(), ..Reader::default() };
        let mut config = Self {
            warnings: Vec::new(),
            top: Map::default(),
            before: 0,
            entries: Vec::new(),
            index: EntryIndex::default(),
            added: Vec::new(),
            root: project.root.clone(),
            environment: environment.clone(),
        };
        if let Some(section) = project.litestream() {
            config.top = reader.map(&section, &TOP);
            let keys = section.entries("a mapping").unwrap_or_default();
            let before: Vec<&str> =
                keys.iter().map(|(key, _)| *key).take_while(|key| *key != "dbs").collect();
            config.before = config
                .top
                .0
                .iter()
                .take_while(|(name, _)| {
                    before.iter().any(|key| key == name || key.replace('_', "-") == *name)
                })
                .count();
        }
        let prefix = config.prefix(project, &mut reader);
        let mut automatic = false;
        let items = project.dbs().and_then(|dbs| dbs.items("a list").ok());
        let mut identities = Identities::default();
        for (index, entry) in project.entries().iter().enumerate() {
            let entry = match entry {
                Ok(entry) => entry.clone(),
                Err(error) => {
                    reader.problems.push(error.clone());
                    continue;
                }
            };
            let item = items.as_ref().and_then(|items| items.get(index));
            let mut keys = item.map(|item| reader.map(item, &ENTRY)).unwrap_or_default();
            let (key, path) = match &entry {
                Entry::Database { database, warning } => {
                    reader.warnings.extend(warning.clone());
                    ("path", database.path.clone())
                }
                Entry::Directory { path, .. } => ("dir", path.clone()),
            };
            keys.set(key, Node::Text(Text::literal(path.display().to_string(), TextRole::Path)));
            let mut listed = Listed { entry, keys };
            if project.is_of_litestream() {
                // Litestream refuses it: nothing may be made up here.
                if listed.replicas().is_empty() {
                    reader.problems.push(without_replica(&listed.name()));
                }
            } else {
                automatic |= listed.add_replica(&prefix);
            }
            listed.settle_replicas();
            config.index.add(&listed.entry, config.entries.len(), &mut identities);
            config.entries.push(listed);
        }
        if automatic {
            for (key, variable) in CREDENTIALS {
                if config.top.get(key).is_none() {
                    config.top.set(key, Node::Text(Text::reference(variable, TextRole::Secret)));
                    config.added.push(key);
                }
            }
        }
        if project.dbs().is_none() && config.entries.is_empty() {
            reader.problems.push(project.no_databases());
        }
        config.warnings = reader.warnings;
        let mut problems = reader.problems;
        config.check(&mut problems, &mut identities);
        (config, problems)
    }

    /// `path_prefix` with a trailing slash, or nothing.
    fn prefix(&self, project: &Project, reader: &mut Reader) -> Option<Text> {
        let section = project.litestream()?;
        let value = section.get("path_prefix").or_else(|| section.get("path-prefix"))?;
        match value.text("a text") {
            Ok(text) => {
                let text = text.trim_end_matches('/');
                (!text.is_empty()).then(|| {
                    let text = format!("{text}/");
                    if reader.expand {
                        Text::with_references(&text, TextRole::Plain)
                    } else {
                        Text::literal(text, TextRole::Plain)
                    }
                })
            }
            Err(error) => {
                reader.problems.push(error);
                None
            }
        }
    }

    /// What `lsrun config` prints, in Litestream's own language: variables stay where
    /// they mean the same there. Without `reveal`, secrets written in the project
    /// file are shown as `***`.
    #[must_use]
    pub(crate) fn to_yaml(&self, reveal: bool) -> String {
        let printer = self.printer(reveal);
        render::yaml(&self.document(), &mut |text| printer.yaml(text))
    }

    /// The same as [`Self::to_yaml`], as JSON.
    #[must_use]
    pub(crate) fn to_json(&self, reveal: bool) -> String {
        render::json(&self.document(), &self.printer(reveal))
    }

    fn printer(&self, reveal: bool) -> Printer<'_> {
        Printer { root: &self.root, environment: &self.environment, reveal }
    }

    /// The whole configuration, `dbs` where the user had it.
    fn document(&self) -> Map {
        let entries = self.entries.iter().map(|listed| Node::Map(listed.keys.clone())).collect();
        let mut document = self.top.clone();
        let at = self.before.min(document.0.len());
        document.0.insert(at, ("dbs".to_owned(), Node::List(entries)));
        document
    }

    /// The keys of the entry of the database at `path`; for one in the folder of a
    /// `dir:` entry, the ones that Litestream makes up for it.
    fn keys_of(&self, path: &Path, alias: Option<&str>) -> Result<Map> {
        let at = |index: usize| self.entries.get(index);
        if let Some(listed) = self.index.named(path).and_then(at) {
            return Ok(listed.keys.clone());
        }
        let holds = |index: usize| at(index).is_some_and(|listed| listed.entry.holds(path));
        let holding = self.index.holding(path, holds).and_then(at);
        let relative =
            holding.and_then(|listed| Some((listed, path.strip_prefix(listed.path()).ok()?)));
        match relative {
            Some((listed, relative)) => Ok(listed.member(path, relative)),
            None => Err(not_replicated(alias.unwrap_or(&path.display().to_string()))),
        }
    }

    /// A path of the local disk, as a child gets it.
    fn local(&self, text: &Text) -> PathBuf {
        let words = self.lookup_text()(text);
        absolute(&self.root, &expand_home(&words, &self.environment))
    }

    /// Text with its references replaced, or as written when one is not set.
    fn lookup_text(&self) -> impl Fn(&Text) -> String {
        |text| {
            resolve(&text.pieces, &|name| lookup(&self.environment, name))
                .map_or_else(|_| text.as_written(), |resolved| resolved.text)
        }
    }

    fn view<'a>(&'a self, replica: &'a Map, text: &'a dyn Fn(&Text) -> String) -> View<'a> {
        View { replica, top: &self.top, root: &self.root, environment: &self.environment, text }
    }
}

/// The first few names.
pub(crate) fn first_of(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    match names.get(..SHOWN).filter(|_| names.len() > SHOWN + 1) {
        Some(first) => format!("{} and {} more", first.join(", "), names.len() - SHOWN),
        None => names.join(", "),
    }
}

fn not_replicated(name: &str) -> Error {
    Error::project(format!("{name} is not replicated: no entry of `litestream.dbs` names it"))
        .hint("add `- path: …` to `litestream.dbs`, or remove `dbs` to replicate every database")
}
