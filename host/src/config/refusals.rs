//! What a configuration may not say, because data would be lost or Litestream would refuse
//! it, and what is odd about it.

use std::path::Path;

use super::destination::Destination;
use super::keys::TYPES;
use super::listed::Listed;
use super::sites::{Site, Sites};
use super::tree::Map;
use super::{Config, first_of};
use crate::error::Error;
use crate::nearest::nearest;
use crate::path::Identities;
use crate::project::Entry;

impl Config {
    /// Conflicts of entries with each other or within themselves.
    pub(super) fn check(&mut self, problems: &mut Vec<Error>, identities: &mut Identities) {
        problems.extend(self.socket().and_then(|socket| too_long(&socket)));
        let all: Vec<Site> =
            self.entries.iter().map(|listed| self.site(listed, identities)).collect();
        let sites = Sites::of(&all);
        for (listed, site) in self.entries.iter().zip(&all) {
            check_keys(listed, problems);
            for replica in listed.replicas() {
                check_replica(listed, replica, problems);
            }
            let folders = site.places.iter().filter(|place| place.kind == "file");
            problems.extend(folders.filter_map(|place| overwrites(site, place, &sites)));
        }
        problems.extend(sites.clashes());
        let warnings: Vec<String> = self
            .entries
            .iter()
            .zip(&all)
            .flat_map(|(listed, site)| self.odd(listed, site, &sites))
            .collect();
        self.warnings.extend(warnings);
    }

    pub(super) fn site(&self, listed: &Listed, identities: &mut Identities) -> Site {
        let text = self.lookup_text();
        let state = listed.entry.database().map(|database| {
            let folder = self.state_folder(&listed.keys, &database.path);
            identities.of(&folder)
        });
        let mut place = |replica| {
            let mut place = self.view(replica, &text).destination();
            if place.kind == "file" && !place.path.is_empty() {
                place.path = identities.of(Path::new(&place.path)).display().to_string();
            }
            place
        };
        let places = listed.replicas().into_iter().map(&mut place).collect();
        Site { name: listed.name(), path: identities.of(listed.path()), state, places }
    }

    /// Warnings about one entry.
    pub(super) fn odd(&self, listed: &Listed, site: &Site, sites: &Sites<'_>) -> Vec<String> {
        let mut warnings = Vec::new();
        let name = listed.name();
        if let Some(letter) = listed.entry.database().and_then(|it| misread(&it.path)) {
            warnings.push(format!(
                "the path of {name} has a `{letter}`: Litestream 0.5.17 opens a file of another \
                 name instead and cannot replicate this one; rename it"
            ));
        }
        for replica in listed.replicas() {
            let text = self.lookup_text();
            let kind = self.view(replica, &text).kind();
            if !TYPES.contains(&kind.as_str()) && !kind.contains('$') {
                let hint = nearest(&kind, TYPES).map(|close| format!("; did you mean `{close}`?"));
                warnings.push(format!(
                    "the replica of {name} is of the type `{kind}`, which Litestream 0.5.17 does \
                     not know{}",
                    hint.unwrap_or_default()
                ));
            }
            if kind == "file" && self.view(replica, &text).folder().is_none() {
                warnings
                    .push(format!("the replica of {name} has no `path`: Litestream refuses it"));
            }
        }
        if let Entry::Directory { .. } = listed.entry {
            let below = sites.below(site);
            if !below.is_empty() {
                let verb = if below.len() == 1 { "backup" } else { "backups" };
                warnings.push(format!(
                    "the {verb} of {} would be below that of {name}: a database of that name \
                     in the folder would overwrite it",
                    first_of(&below)
                ));
            }
        }
        warnings
    }
}

/// The error for a control socket whose path the system does not take: what is asked at
/// it would wait for an answer that never comes.
fn too_long(socket: &Path) -> Option<Error> {
    /// `sockaddr_un.sun_path` without the zero at its end.
    const MOST: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
    let bytes = socket.as_os_str().len();
    (bytes > MOST).then(|| {
        Error::project("the path of litestream.socket is too long for a socket")
            .cause(format!("{} has {bytes} bytes, at most {MOST} are possible", socket.display()))
            .hint("name a shorter path, such as /run/litestream.sock")
    })
}

fn check_replica(listed: &Listed, replica: &Map, problems: &mut Vec<Error>) {
    let name = listed.name();
    if replica.get("url").is_some() && replica.get("path").is_some() {
        problems.push(
            Error::project(format!("the replica of {name} has both `url` and `path`"))
                .hint("put the path into the URL, or use `type` and `path` instead of the URL"),
        );
    }
    if replica.text("path").is_some_and(|path| path.as_written().contains("://")) {
        problems.push(
            Error::project(format!("the `path` of the replica of {name} is a URL"))
                .hint("name it `url`"),
        );
    }
}

/// The error for a file replica that would be inside a database's own folders.
fn overwrites(site: &Site, place: &Destination, sites: &Sites<'_>) -> Option<Error> {
    let (what, of) = sites.overwritten(Path::new(&place.path))?;
    let name = &site.name;
    let whose = if of == name { String::new() } else { format!(" {of}") };
    let error = Error::project(format!(
        "the replica of {name} would be inside {}, {what}{whose}",
        place.path
    ));
    Some(error.hint("give it a separate folder, preferably on another disk"))
}

pub(super) fn without_replica(name: &str) -> Error {
    Error::project(format!("{name} has no `replica`"))
        .hint("Litestream refuses such an entry: give it a `replica`")
}

/// Keys of one entry that exclude or need each other.
fn check_keys(listed: &Listed, problems: &mut Vec<Error>) {
    let name = listed.name();
    let replicas = listed.replicas().len();
    if listed.keys.get("replica").is_some() && listed.keys.get("replicas").is_some() {
        problems.push(
            Error::project(format!("{name} has both `replica` and `replicas`"))
                .hint("Litestream takes one replica: keep `replica`"),
        );
    } else if replicas > 1 {
        problems.push(
            Error::project(format!("{name} has {replicas} replicas"))
                .hint("Litestream 0.5 takes one replica for a database: keep one"),
        );
    }
    match listed.entry {
        Entry::Directory { .. } if listed.keys.get("pattern").is_none() => problems.push(
            Error::project(format!("{name} has no `pattern`"))
                .hint("say which files are databases: `pattern: \"*.db\"`"),
        ),
        Entry::Directory { .. } => {}
        Entry::Database { .. } => {
            for key in ["pattern", "recursive", "watch", "meta-dir"] {
                if listed.keys.get(key).is_some() {
                    problems.push(Error::project(format!(
                        "{name} has `{key}`, which belongs to an entry with `dir`"
                    )));
                }
            }
        }
    }
}

/// The character of a path that Litestream's SQLite driver reads as part of a
/// URI: with `x#y.db` it creates and opens `x`.
fn misread(path: &Path) -> Option<char> {
    let text = path.to_string_lossy();
    let escape = text.split('%').skip(1).any(|after| {
        after.get(..2).is_some_and(|digits| digits.chars().all(|digit| digit.is_ascii_hexdigit()))
    });
    text.chars().find(|letter| "#?".contains(*letter)).or_else(|| escape.then_some('%'))
}
