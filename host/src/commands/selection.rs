//! Which databases a command is run for: aliases, paths, patterns, all of them,
//! and of those one shard.

use std::collections::BTreeSet;
use std::path::Path;

use glob::{MatchOptions, Pattern};
use sha2::{Digest, Sha256};

use super::arguments::{Parsed, is_url};
use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::plugin::manifest;
use crate::project::{Database, Project};

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

/// The error where a project has no database to choose: exit 4, with where one is missing.
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
    described: &manifest::Command,
    parsed: &Parsed,
) -> Result<Vec<Target>> {
    if !described.per_database {
        return Ok(vec![Target::Whole]);
    }
    let mut targets = Vec::new();
    if parsed.selected.is_empty() {
        if described.requires_selection && !parsed.all {
            return Err(Error::usage(format!("lsrun {} needs a database", parsed.name))
                .hint("name one, or say --all"));
        }
        let mut databases = every(context)?;
        if described.records {
            // Named, so that nobody takes them for proved.
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
        context.terminal.warning(refused);
    }
    Ok(found.databases)
}

fn named(
    context: &Context,
    described: &manifest::Command,
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

/// The same on every machine that has the project, wherever it lies there.
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

/// One part of a selection, for one of several runners.
///
/// A database's part depends on its name and on nothing else: runners that see
/// different lists, because a tenant came or went meanwhile, still leave out none
/// of the others and do none of them twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shard {
    number: u32,
    of: u32,
}

impl Shard {
    /// `2/5` is the second of five. Fails with exit 2 when it is not that.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0);
        let read = text.split_once('/').and_then(|(one, of)| Some((number(one)?, number(of)?)));
        match read {
            Some((number, of)) if number <= of => Ok(Self { number, of }),
            _ => Err(Error::usage(format!("{text:?} is not a valid shard"))
                .hint("write it like 2/5: the second of five")),
        }
    }

    fn has(self, key: &str) -> bool {
        let digest = Sha256::digest(key.as_bytes());
        let number = digest.iter().take(8).fold(0, |all, byte| all << 8 | u64::from(*byte));
        number % u64::from(self.of) == u64::from(self.number - 1)
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn a_database_is_in_exactly_one_shard_and_every_shard_has_its_part() {
        let shards: Vec<Shard> =
            (1..=5).map(|number| Shard::parse(&format!("{number}/5")).unwrap()).collect();
        let mut sizes = [0; 5];
        for index in 0..1000 {
            let key = format!("tenant-{index}");
            let of: Vec<usize> = (0..5).filter(|at| shards[*at].has(&key)).collect();
            assert_eq!(of.len(), 1, "{key}");
            sizes[of[0]] += 1;
        }
        assert!(sizes.iter().all(|size| (150..250).contains(size)), "{sizes:?}");
        // Released: a runner of another version has to divide the same way.
        assert!(
            Shard::parse("2/2").unwrap().has("default")
                != Shard::parse("1/2").unwrap().has("default")
        );
    }

    #[test]
    fn what_is_no_shard_is_a_usage_error() {
        for wrong in ["", "1", "0/2", "3/2", "1/0", "a/b", "1/2/3", "-1/2"] {
            assert_eq!(Shard::parse(wrong).unwrap_err().exit(), Exit::Usage, "{wrong}");
        }
        assert_eq!(Shard::parse("5/5").unwrap().to_string(), "5/5");
    }
}
