//! What `lsrun config --check` examines: the configuration, the files of the
//! databases, the storage of the replicas, the plugins. It writes nothing, and says what it did
//! not try.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;

use crate::config::{self, Problem, Replica, Severity, first_of};
use crate::litestream::Session;
use crate::litestream::replica::reach::{connect, writable};
use crate::project::{Database, Entry, Project};

/// What every SQLite database begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Everything that is wrong or odd, the worst first, and at the end what was tried
/// and what was not. Replicas are tried in parallel, each server once. `others` are
/// problems of what litestream has nothing to do with.
pub(crate) async fn problems(
    session: &Session,
    others: Vec<Problem>,
    timeout: Duration,
) -> Vec<Problem> {
    let examined = config::examine(&session.project, &session.environment);
    let mut problems = examined.problems;
    problems.extend(files(&session.project));
    problems.extend(unlisted(&session.project));
    problems.extend(others);
    let tried = replicas(&examined.replicas, timeout).await;
    problems.extend(tried);
    problems.extend(examined.note.map(|note| Problem::new(Severity::Note, "keys", note)));
    problems.sort_by_key(|problem| problem.severity);
    problems
}

/// Databases that no entry of `litestream.dbs` names.
fn unlisted(project: &Project) -> Option<Problem> {
    let names: Vec<String> = project.unlisted().map(Database::name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    (!names.is_empty()).then(|| {
        Problem::new(
            Severity::Warning,
            "project",
            format!(
                "{} {verb} not replicated: no entry of `litestream.dbs` names it",
                first_of(&names)
            ),
        )
        .hint("add `- path: …` to `litestream.dbs`, or remove `dbs` to replicate every database")
    })
}

/// What the file of a database is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum File {
    Missing,
    Empty,
    Other,
    Folder,
    Unreadable(String),
}

impl File {
    /// `None` for a SQLite database.
    fn at(path: &Path) -> Option<Self> {
        let unreadable = |error: std::io::Error| Some(Self::Unreadable(error.to_string()));
        let kind = match std::fs::metadata(path) {
            Ok(kind) => kind,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Some(Self::Missing);
            }
            Err(error) => return unreadable(error),
        };
        if kind.is_dir() {
            return Some(Self::Folder);
        }
        // Opening a pipe would wait for whoever writes to it.
        if !kind.is_file() {
            return Some(Self::Other);
        }
        if kind.len() == 0 {
            return Some(Self::Empty);
        }
        let mut start = [0; 16];
        match std::fs::File::open(path).map(|mut file| file.read_exact(&mut start)) {
            Ok(Ok(())) if start == *MAGIC => None,
            Ok(_short_or_other) => Some(Self::Other),
            Err(error) => unreadable(error),
        }
    }

    fn problem(&self, names: &[&str]) -> Problem {
        let who = first_of(names);
        let several = names.len() > 1;
        let say = |one: &str, many: &str| format!("{who}: {}", if several { many } else { one });
        let warning = |message| Problem::new(Severity::Warning, "project", message);
        let error = |message| Problem::new(Severity::Error, "project", message);
        match self {
            Self::Missing => warning(say("the file does not exist", "the files do not exist"))
                .hint("check the path; an application may still create it"),
            Self::Empty => warning(say("the file is empty", "the files are empty"))
                .hint("litestream replicates a database as soon as it has a table"),
            Self::Other => error(say(
                "the file is not a SQLite database",
                "the files are not SQLite databases",
            ))
            .hint("check the path; an encrypted database cannot be replicated"),
            Self::Folder => error(say("the path is a folder", "the paths are folders"))
                .hint("for the databases in a folder write an entry with `dir` and `pattern`"),
            Self::Unreadable(why) => error(format!("{who}: cannot be read: {why}"))
                .hint("run this as the user who runs litestream"),
        }
    }
}

/// The databases whose files are missing or are not SQLite's, by what they are.
fn files(project: &Project) -> Vec<Problem> {
    let mut odd: BTreeMap<File, Vec<String>> = BTreeMap::new();
    let mut folders = Vec::new();
    for entry in project.entries().iter().flatten() {
        match entry {
            Entry::Database { database, .. } => {
                let to_come = database.create_from.is_some();
                let file = File::at(&database.path);
                if let Some(file) = file.filter(|file| !(to_come && *file == File::Missing)) {
                    odd.entry(file).or_default().push(named(database));
                }
            }
            Entry::Directory { .. } => match project.files_of(entry) {
                Ok(files) => {
                    for path in files {
                        if let Some(file) = File::at(&path) {
                            odd.entry(file).or_default().push(path.display().to_string());
                        }
                    }
                }
                Err(error) => folders.push(Problem::from(&error)),
            },
        }
    }
    let files = odd.iter().map(|(file, names)| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        file.problem(&names)
    });
    files.chain(folders).collect()
}

/// The name, and where it is when the name does not say it.
fn named(database: &Database) -> String {
    match &database.alias {
        Some(alias) => format!("{alias} ({})", database.path.display()),
        None => database.path.display().to_string(),
    }
}

/// The replicas that do not answer, and notes about those that do and those that
/// nobody asked.
async fn replicas(replicas: &[(String, Replica)], timeout: Duration) -> Vec<Problem> {
    let mut servers: BTreeMap<(String, u16), Vec<&(String, Replica)>> = BTreeMap::new();
    let (mut problems, mut good, mut by_network) = (Vec::new(), 0, false);
    let mut not_tried: Vec<&(String, Replica)> = Vec::new();
    for one in replicas {
        let (name, replica) = one;
        if let Some(folder) = &replica.folder {
            match writable(folder) {
                Ok(()) => good += 1,
                Err(why) => problems.push(
                    Problem::new(
                        Severity::Error,
                        "unreachable",
                        format!(
                            "the backup of {name} cannot be written to {}: {why}",
                            folder.display()
                        ),
                    )
                    .hint("create the folder for this user, or run this as the user who runs litestream"),
                ),
            }
        } else if let Some(endpoint) = &replica.endpoint {
            by_network = true;
            servers.entry(endpoint.clone()).or_default().push(one);
        } else {
            by_network = true;
            not_tried.push(one);
        }
    }
    let tried = servers
        .iter()
        .map(|((host, port), all)| async move { (all, connect(host, *port, timeout).await) });
    for (all, answer) in join_all(tried).await {
        let Err(why) = answer else {
            good += all.len();
            continue;
        };
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        let place = all.first().map(|(_, replica)| replica.description.as_str());
        let place = place.filter(|_| all.len() == 1).map(|place| format!(": {place}"));
        problems.push(
            Problem::new(
                Severity::Error,
                "unreachable",
                format!(
                    "the backup of {} cannot be reached: the replica does not answer{}: {why}",
                    first_of(&names),
                    place.unwrap_or_default()
                ),
            )
            .hint("check its address and the network"),
        );
    }
    problems.push(Problem::new(Severity::Note, "replicas", tally(good, not_tried.len())));
    if !not_tried.is_empty() {
        let places: Vec<&str> =
            not_tried.iter().map(|(_, replica)| replica.description.as_str()).collect();
        problems.push(Problem::new(
            Severity::Note,
            "not-tried",
            format!(
                "not tried: {}: no endpoint is configured, or a proxy is between; `lsrun verify` \
                 shows whether it works",
                first_of(&places)
            ),
        ));
    }
    if by_network {
        problems.push(Problem::new(
            Severity::Note,
            "not-tried",
            "not tried: whether the keys are right; `lsrun verify` shows it",
        ));
    }
    problems
}

/// `3 replicas answer, 1 was not tried`.
fn tally(good: usize, not_tried: usize) -> String {
    let noun = |count: usize| if count == 1 { "replica" } else { "replicas" };
    let was = |count: usize| if count == 1 { "was" } else { "were" };
    match (good, not_tried) {
        (0, 0) => "no replica was tried".to_owned(),
        (0, rest) => format!("{rest} {} {} not tried", noun(rest), was(rest)),
        (good, 0) => {
            format!("{good} {} {}", noun(good), if good == 1 { "answers" } else { "answer" })
        }
        (good, rest) => format!(
            "{good} {} {}, {rest} {} not tried",
            noun(good),
            if good == 1 { "answers" } else { "answer" },
            was(rest)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{File, tally};

    #[test]
    fn the_tally_reads_well() {
        assert_eq!(tally(1, 0), "1 replica answers");
        assert_eq!(tally(3, 1), "3 replicas answer, 1 was not tried");
        assert_eq!(tally(0, 2), "2 replicas were not tried");
    }

    #[test]
    fn a_file_is_told_by_its_first_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (name, content, want) in [
            ("good", &b"SQLite format 3\0..."[..], None),
            ("empty", b"", Some(File::Empty)),
            ("short", b"SQLite", Some(File::Other)),
            ("text", b"this is a longer text", Some(File::Other)),
        ] {
            std::fs::write(path(name), content).unwrap();
            assert_eq!(File::at(&path(name)), want, "{name}");
        }
        assert_eq!(File::at(&path("gone")), Some(File::Missing));
        assert_eq!(File::at(folder.path()), Some(File::Folder));
    }
}
