//! Which databases a command is run for: aliases, paths, patterns, all of them,
//! and of those one shard.

use std::collections::BTreeSet;
use std::path::Path;

use glob::{MatchOptions, Pattern};

use super::arguments::{Parsed, is_url};
use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::plugin::manifest;
use crate::project::{Database, PluginSetting, Project};

/// One call of the component.
#[derive(Debug)]
pub(super) enum Target {
    /// For a database of the project.
    Database(Database),
    /// For a replica URL.
    Url(String),
    /// The command is not run per database.
    Whole,
}

impl Target {
    /// Whether a plugin with this setting may have to do with it.
    pub(super) fn concerns(&self, setting: &PluginSetting) -> bool {
        match self {
            Self::Database(database) => setting.selects(database),
            Self::Url(_) | Self::Whole => true,
        }
    }
}

/// The error if a project has no database to choose: exit 4, with where one is missing.
pub(super) fn nothing(context: &Context) -> Error {
    let none = |what: String| Error::new(Code::NothingSelected, what);
    if let Some(folder) = context.project.directories().first() {
        return none(format!("there is no SQLite database in {}", folder.display()))
            .hint("check dir, pattern and recursive in lsrun.yml");
    }
    if context.project.unlisted().next().is_some() {
        return none("no database of the project is replicated".to_owned()).hint(
            "add `- path: …` to `litestream.dbs`, or remove `dbs` to replicate every database",
        );
    }
    none("the project has no SQLite database".to_owned())
        .hint("add one under databases in lsrun.yml, and remove the empty `dbs`")
}

/// What the command line selects, in its order; each database once. Empty only
/// when a shard has none.
///
/// Fails with exit 4 when the project has no database or a pattern fits none, and
/// with exit 20 when a word names no database.
pub(super) fn select(
    context: &Context,
    described: &manifest::CommandManifest,
    parsed: &Parsed,
) -> Result<Vec<Target>> {
    if !described.per_database {
        return Ok(vec![Target::Whole]);
    }
    let mut targets = Vec::new();
    if parsed.selected.is_empty() {
        if described.requires_selection && !parsed.all {
            return Err(Error::usage(format!("lsrun {} needs a database", parsed.name))
                .hint("name one, or use --all"));
        }
        let mut databases = every(context)?;
        if described.records {
            // Named, so that nobody believes that they were proved.
            databases.extend(context.project.unlisted().cloned());
        }
        if databases.is_empty() {
            return Err(nothing(context));
        }
        targets.extend(databases.into_iter().map(Target::Database));
    } else {
        named(context, described, parsed, &mut targets)?;
    }
    if let Some(shard) = &parsed.shard {
        targets.retain(|target| shard.has(&key(&context.project, target)));
    }
    Ok(targets)
}

/// Every database of the project; what was left out is named.
fn every(context: &Context) -> Result<Vec<Database>> {
    let found = context.project.found()?;
    for refused in &found.refused {
        context.notes.warning(refused);
    }
    Ok(found.databases)
}

fn named(
    context: &Context,
    described: &manifest::CommandManifest,
    parsed: &Parsed,
    targets: &mut Vec<Target>,
) -> Result<()> {
    let mut seen = BTreeSet::new();
    for word in &parsed.selected {
        if is_url(word) {
            if !described.takes_urls {
                return Err(Error::usage(format!(
                    "lsrun {} takes databases, not replica URLs: {word}",
                    parsed.name
                )));
            }
            targets.push(Target::Url(word.clone()));
            continue;
        }
        let databases = match context.project.database(word) {
            Ok(database) => vec![database],
            Err(_unknown) if word.contains(['*', '?', '[']) => matching(context, word)?,
            Err(error) => return Err(error),
        };
        for database in databases {
            if seen.insert(database.path.clone()) {
                targets.push(Target::Database(database));
            }
        }
    }
    Ok(())
}

/// The databases whose alias, or whose path, matches a pattern. A path is taken from
/// the working directory, from the project's folder, or whole; without an alias the
/// name of the file is enough, with or without its extension.
fn matching(context: &Context, word: &str) -> Result<Vec<Database>> {
    let pattern = Pattern::new(word).map_err(|error| {
        Error::usage(format!("{word:?} is not a valid pattern: {}", error.msg))
            .hint("a pattern has *, ? and [a-z]")
    })?;
    let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
    let fits = |text: &str| pattern.matches_with(text, options);
    let below = |folder: &Path, path: &Path| {
        path.strip_prefix(folder).is_ok_and(|path| path.to_str().is_some_and(fits))
    };
    // What has no alias is known by its file: `tenants/acme.db` is `acme.db` and `acme`.
    let short = |database: &Database| {
        let parts = [database.path.file_name(), database.path.file_stem()];
        parts.into_iter().flatten().filter_map(|part| part.to_str()).any(fits)
            || fits(&database.name())
    };
    let found: Vec<Database> = every(context)?
        .into_iter()
        .filter(|database| {
            database.alias.as_ref().is_some_and(|alias| fits(alias.as_str()))
                || database.path.to_str().is_some_and(fits)
                || below(&context.cwd, &database.path)
                || below(&context.project.root, &database.path)
                || database.alias.is_none() && short(database)
        })
        .collect();
    if found.is_empty() {
        return Err(Error::new(Code::NothingSelected, format!("no database matches {word}"))
            .hint("a pattern is compared with aliases, file names and paths"));
    }
    Ok(found)
}

/// The same on every machine that has the project, wherever it is there.
fn key(project: &Project, target: &Target) -> String {
    match target {
        Target::Database(database) => match &database.alias {
            Some(alias) => alias.as_str().to_owned(),
            None => database
                .path
                .strip_prefix(&project.root)
                .unwrap_or(&database.path)
                .display()
                .to_string(),
        },
        Target::Url(url) => url.clone(),
        Target::Whole => String::new(),
    }
}
