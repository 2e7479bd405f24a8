//! What the entries of `dbs` must not have in common: the same database, backups
//! in one location or in a database's own folder. Every question is answered
//! by an index, so that the cost is linear in the number of entries.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::destination::Destination;
use crate::error::Error;

/// What is compared between entries, with symbolic links resolved.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// The folder of Litestream's state; of a database only.
    pub(super) state: Option<PathBuf>,
    pub(super) places: Vec<Destination>,
}

/// All entries, in order.
pub(super) struct Sites<'s> {
    all: &'s [Site],
    /// The first entry, by what a replica's folder must not be.
    files: HashMap<&'s Path, usize>,
    states: HashMap<&'s Path, usize>,
    parents: HashMap<&'s Path, usize>,
    /// The entries whose backup is stored in a location.
    places: BTreeMap<(&'s str, &'s str, &'s str, &'s str), Vec<usize>>,
}

impl<'s> Sites<'s> {
    pub(super) fn of(all: &'s [Site]) -> Self {
        let (mut files, mut states) = (HashMap::new(), HashMap::new());
        let (mut parents, mut places) = (HashMap::new(), BTreeMap::new());
        for (index, site) in all.iter().enumerate() {
            // An entry with `dir` has no state of its own.
            if let Some(state) = &site.state {
                files.entry(site.path.as_path()).or_insert(index);
                states.entry(state.as_path()).or_insert(index);
                if let Some(parent) = site.path.parent() {
                    parents.entry(parent).or_insert(index);
                }
            }
            for place in &site.places {
                places.entry(place.key()).or_insert_with(Vec::new).push(index);
            }
        }
        Self { all, files, states, parents, places }
    }

    /// What a replica in `folder` would overwrite, and the name of its database.
    pub(super) fn overwritten(&self, folder: &Path) -> Option<(&'static str, &str)> {
        let found = [
            (self.files.get(folder), "the file of the database"),
            (self.states.get(folder), "the folder of Litestream's own state"),
            (self.parents.get(folder), "the folder of the database itself"),
        ];
        let first = found.into_iter().filter_map(|(index, what)| Some((*index?, what)));
        let (index, what) = first.min_by_key(|(index, _)| *index)?;
        Some((what, self.all.get(index)?.name.as_str()))
    }

    /// Every entry that replicates the database of an earlier one, or to where an
    /// earlier one does.
    pub(super) fn clashes(&self) -> Vec<Error> {
        let mut problems = Vec::new();
        let mut paths: HashMap<&Path, &Site> = HashMap::new();
        let mut places: HashMap<&Destination, &Site> = HashMap::new();
        for site in self.all {
            if let Some(other) = paths.get(site.path.as_path()) {
                problems.push(
                    Error::project(format!(
                        "two entries of `dbs` replicate {}: {} and {}",
                        site.path.display(),
                        other.name,
                        site.name
                    ))
                    .hint("remove one of them"),
                );
                continue;
            }
            paths.insert(&site.path, site);
            for place in &site.places {
                let Some(other) = places.get(place) else {
                    places.insert(place, site);
                    continue;
                };
                problems.push(
                    Error::project(format!(
                        "the backups of {} and {} would be stored in the same location: {}",
                        other.name,
                        site.name,
                        place.describe()
                    ))
                    .hint(
                        "each would overwrite the other: give one of them a `replica` with \
                         another path",
                    ),
                );
            }
        }
        problems
    }

    /// The names of the entries whose backup is below that of `site`.
    pub(super) fn below(&self, site: &Site) -> Vec<&str> {
        let mut found: Vec<usize> = Vec::new();
        for place in &site.places {
            let (kind, host, bucket, path) = place.key();
            let start = if path.is_empty() { String::new() } else { format!("{path}/") };
            let from = (kind, host, bucket, start.as_str());
            let within = self.places.range::<(&str, &str, &str, &str), _>(from..);
            let within = within.take_while(|((of_kind, of_host, of_bucket, of_path), _)| {
                (*of_kind, *of_host, *of_bucket) == (kind, host, bucket)
                    && of_path.starts_with(&start)
            });
            let other = within.filter(|((_, _, _, of_path), _)| *of_path != path);
            found.extend(other.flat_map(|(_, indexes)| indexes));
        }
        found.sort_unstable();
        found.dedup();
        found.iter().filter_map(|index| self.all.get(*index)).map(|it| it.name.as_str()).collect()
    }
}
