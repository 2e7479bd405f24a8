//! The entries of `litestream.dbs`: which database or folder each one is. Their
//! other keys belong to [`crate::config`].

use super::database::{Database, Resolved, unset};
use super::entry::Entry;
use super::roll::Names;
use super::settings::did_you_mean;
use super::{Project, url};
use crate::error::Result;
use crate::nearest::nearest;
use crate::path::{Identities, absolute, expand_home};
use crate::reference::{parse, resolve};
use crate::yaml::Cursor;

/// Litestream takes a path with the scheme of SQLite before it.
pub(super) fn without_scheme(text: &str) -> &str {
    text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite3://")).unwrap_or(text)
}

/// With more aliases than these, a path is not compared with each of them.
const FEW: usize = 500;

impl Project {
    /// One item for each entry of `dbs`, in order; without `dbs`, one for each
    /// SQLite database of `databases`.
    pub(super) fn resolved(
        &self,
        names: &Names,
        identities: &mut Identities,
    ) -> Vec<Result<Entry>> {
        let Some(dbs) = self.dbs() else {
            let all = names.all.iter().enumerate();
            return all
                .map(|(index, (database, _))| {
                    let database = database.at_entry(index);
                    Ok(Entry::Database { database, warning: None })
                })
                .collect();
        };
        match dbs.items("a list of databases") {
            Ok(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| self.entry(index, item, names, identities))
                .collect(),
            Err(error) => vec![Err(error)],
        }
    }

    fn entry(
        &self,
        index: usize,
        item: &Cursor<'_>,
        names: &Names,
        identities: &mut Identities,
    ) -> Result<Entry> {
        item.entries("a mapping with `path`")
            .map_err(|error| error.hint("write `- path: default`"))?;
        match (item.get("path"), item.get("dir")) {
            (Some(_), Some(_)) => Err(item.wrong("has both `path` and `dir`")),
            (None, None) => Err(item
                .wrong("does not name a database")
                .hint("give it a `path`, which is an alias or a path, or a `dir`")),
            (Some(path), None) => self.listed(index, &path, names, identities),
            (None, Some(dir)) => {
                let text = dir.text("the path of a folder")?;
                if text.trim().is_empty() {
                    return Err(dir.wrong("is an empty path"));
                }
                let folder = self.put_in(&dir, &text)?;
                let pattern = item.get("pattern").map(|pattern| {
                    let text = pattern.text("a pattern")?;
                    self.put_in(&pattern, &text)
                });
                Ok(Entry::Directory {
                    index,
                    path: absolute(&self.root, &expand_home(&folder, &self.environment)),
                    recursive: match item.get("recursive") {
                        Some(value) => self.truth(&value)?,
                        None => false,
                    },
                    pattern: pattern.transpose()?,
                })
            }
        }
    }

    /// A truth value as Litestream reads it: YAML 1.1's, perhaps of a variable.
    fn truth(&self, place: &Cursor<'_>) -> Result<bool> {
        if let Some(truth) = place.value().as_bool() {
            return Ok(truth);
        }
        let text = self.put_in(place, &place.text("true or false")?)?;
        match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" | "true" => Ok(true),
            "no" | "off" | "n" | "false" => Ok(false),
            _ => Err(place.expected("true or false")),
        }
    }

    /// The database that the `path` of an entry means.
    fn listed(
        &self,
        index: usize,
        place: &Cursor<'_>,
        names: &Names,
        identities: &mut Identities,
    ) -> Result<Entry> {
        let text = place.text("an alias or a path")?;
        let known = |database: &Database| {
            let database = database.at_entry(index);
            Ok(Entry::Database { database, warning: None })
        };
        if let Some(database) = names.by_alias(&text).map_err(|error| {
            let message = error.message().to_owned();
            error.context(place.wrong("cannot be replicated").message()).cause(message)
        })? {
            return known(database);
        }
        if let Some(database) = names.by_written(&text) {
            return known(database);
        }
        let aliases = || names.aliases().collect::<Vec<_>>();
        let is_path = self.of_litestream || text.contains(['/', '.', '$', '~', '\\', ':']);
        if !is_path && !text.trim().is_empty() {
            let error = place.wrong(format!("is `{text}`, which is not an alias in `databases`"));
            return Err(match did_you_mean(error.clone(), &text, &aliases()) {
                hinted if hinted.hint_text().is_some() => hinted,
                _ => error.hint(format!("for a file of that name write `./{text}`")),
            });
        }
        let filled = self.put_in(place, &text)?;
        // Litestream itself reads `sqlite:///x` as `/x`.
        let filled = if self.of_litestream { without_scheme(&filled).to_owned() } else { filled };
        let path = url::file(place, &filled)?;
        let path = absolute(&self.root, &expand_home(&path, &self.environment));
        if let Some(database) = names.by_file(&identities.of(&path)) {
            return known(database);
        }
        let aliases = if names.all.len() <= FEW { aliases() } else { Vec::new() };
        let warning = nearest(&text, aliases.iter().copied()).map(|alias| {
            format!("{} is the path `{text}`; did you mean the alias `{alias}`?", place.dotted())
        });
        let (alias, label, create_from, entry) = (None, None, None, Some(index));
        let database = Resolved { alias, label, path, create_from, entry }.into();
        Ok(Entry::Database { database, warning })
    }

    /// A text of the `litestream` part with its references put in.
    fn put_in(&self, place: &Cursor<'_>, text: &str) -> Result<String> {
        if !self.expand {
            return Ok(text.to_owned());
        }
        resolve(&parse(text), &|name| self.environment.get(name))
            .map(|resolved| resolved.text)
            .map_err(|name| unset(place, &name))
    }
}
