//! Litestream's command line: which flags take a value, which commands need a
//! configuration or the control socket. Go stops at the first positional, so what
//! a user wrote in any order is put in the order that Go reads.

use std::ffi::{OsStr, OsString};

use crate::litestream::binary::feature::Feature;

/// What a command works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaches {
    /// The replica and the local files, by a configuration (`-config`).
    Configuration,
    /// The daemon, by its control socket (`-socket`).
    Daemon,
    /// Nothing.
    Nothing,
}

/// A command of litestream.
#[derive(Debug)]
pub(crate) struct Verb {
    /// Its name.
    pub name: &'static str,
    /// What it works on.
    pub reaches: Reaches,
    /// The flags that take a value.
    values: &'static [&'static str],
    /// What it came with; none for what every version has.
    pub since: Option<Feature>,
    /// One line for the list of commands.
    pub about: &'static str,
}

/// Every command of litestream 0.5.17 or 0.3.13 that is passed on.
pub(crate) const VERBS: &[Verb] = &[
    verb(
        "databases",
        Reaches::Configuration,
        &["config"],
        None,
        "List the databases of the configuration",
    ),
    verb(
        "generations",
        Reaches::Configuration,
        &["config", "replica"],
        None,
        "List generations (litestream 0.3)",
    ),
    verb(
        "info",
        Reaches::Daemon,
        &["socket", "timeout"],
        Some(Feature::Info),
        "Show the running daemon",
    ),
    verb(
        "list",
        Reaches::Daemon,
        &["socket", "timeout"],
        Some(Feature::List),
        "List the databases of the running daemon",
    ),
    verb(
        "ltx",
        Reaches::Configuration,
        &["config", "level"],
        Some(Feature::Ltx),
        "List the transaction files of a replica",
    ),
    verb(
        "register",
        Reaches::Daemon,
        &["replica", "timeout", "socket"],
        Some(Feature::Register),
        "Add a database to the running daemon",
    ),
    verb(
        "replicate",
        Reaches::Configuration,
        // `wait` is lsrun's.
        &["config", "exec", "log-level", "wait"],
        None,
        "Run the daemon, alone or beside an application",
    ),
    verb(
        "reset",
        Reaches::Configuration,
        &["config"],
        Some(Feature::Reset),
        "Forget the local replication state of a database",
    ),
    verb(
        "snapshots",
        Reaches::Configuration,
        &["config", "replica"],
        None,
        "List snapshots (litestream 0.3)",
    ),
    verb(
        "start",
        Reaches::Daemon,
        &["timeout", "socket"],
        Some(Feature::Start),
        "Start the replication of a database",
    ),
    verb(
        "status",
        Reaches::Configuration,
        &["config"],
        Some(Feature::Status),
        "Show the local replication state",
    ),
    verb(
        "stop",
        Reaches::Daemon,
        &["timeout", "socket"],
        Some(Feature::Stop),
        "Stop the replication of a database",
    ),
    verb(
        "sync",
        Reaches::Daemon,
        &["timeout", "socket"],
        Some(Feature::Sync),
        "Replicate a database now",
    ),
    verb(
        "unregister",
        Reaches::Daemon,
        &["timeout", "socket"],
        Some(Feature::Unregister),
        "Remove a database from the running daemon",
    ),
    verb("version", Reaches::Nothing, &[], None, "Show the versions of lsrun and litestream"),
    verb(
        "wal",
        Reaches::Configuration,
        &["config", "level", "replica", "generation"],
        None,
        "List transaction files by their old name",
    ),
];

/// `restore` with words of litestream 0.3, which only a 0.3 binary understands.
pub(crate) const RESTORE_OF_03: Verb = verb(
    "restore",
    Reaches::Configuration,
    &["config", "o", "replica", "generation", "index", "timestamp", "parallelism"],
    None,
    "",
);

impl CommandLine {
    /// Whether it has a flag that only litestream 0.3 knows.
    #[must_use]
    pub(crate) fn is_of_03(&self) -> bool {
        ["replica", "generation", "index"].iter().any(|flag| self.has(flag))
    }
}

const fn verb(
    name: &'static str,
    reaches: Reaches,
    values: &'static [&'static str],
    since: Option<Feature>,
    about: &'static str,
) -> Verb {
    Verb { name, reaches, values, since, about }
}

/// A command line, parsed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CommandLine {
    /// Flags with their values, as they were written.
    pub flags: Vec<OsString>,
    /// What is not a flag.
    pub positionals: Vec<OsString>,
    /// What comes after `--`.
    pub rest: Vec<OsString>,
    /// A flag at the end that takes a value, and has none.
    pub without_value: Option<String>,
}

impl Verb {
    /// Whether only litestream 0.3 has it, so that no list of commands offers it.
    #[must_use]
    pub(crate) fn is_of_03(&self) -> bool {
        matches!(self.name, "generations" | "snapshots")
    }

    /// The command of this name.
    #[must_use]
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        VERBS.iter().find(|verb| verb.name == name)
    }

    /// Parses the words after the command. A flag that lsrun does not know
    /// is assumed to take no value, unless it has a `=`.
    #[must_use]
    pub(crate) fn read(&self, words: &[OsString]) -> CommandLine {
        read(self.values, words)
    }
}

/// [`Verb::read`] with these flags taking a value.
#[must_use]
fn read(values: &[&str], words: &[OsString]) -> CommandLine {
    let mut line = CommandLine::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(name) = flag(word) else {
            if word == "--" {
                line.rest = words.cloned().collect();
                break;
            }
            line.positionals.push(word.clone());
            continue;
        };
        line.flags.push(word.clone());
        if values.contains(&name.as_str()) && !word.to_string_lossy().contains('=') {
            match words.next() {
                Some(value) => line.flags.push(value.clone()),
                // In the order that Go reads, the next positional would be its value.
                None => line.without_value = Some(name),
            }
        }
    }
    line
}

impl CommandLine {
    /// Whether a flag is there, in any of its forms.
    #[must_use]
    pub(crate) fn has(&self, name: &str) -> bool {
        self.flags.iter().any(|word| flag(word).is_some_and(|it| it == name))
    }

    /// The value of a flag that takes one; the last one counts, as in Go.
    #[must_use]
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        let mut found = None;
        let mut words = self.flags.iter();
        while let Some(word) = words.next() {
            if flag(word).is_some_and(|it| it == name) {
                let text = word.to_string_lossy();
                found = match text.split_once('=') {
                    Some((_, value)) => Some(value.to_owned()),
                    None => words.next().map(|value| value.to_string_lossy().into_owned()),
                };
            }
        }
        found
    }

    /// Takes a flag away, with its value when it `takes_value`.
    pub(crate) fn remove(&mut self, name: &str, takes_value: bool) {
        let mut kept = Vec::with_capacity(self.flags.len());
        let mut words = std::mem::take(&mut self.flags).into_iter();
        while let Some(word) = words.next() {
            if flag(&word).is_none_or(|it| it != name) {
                kept.push(word);
            } else if takes_value && !word.to_string_lossy().contains('=') {
                let _value = words.next();
            }
        }
        self.flags = kept;
    }

    /// The words in the order that Go reads: flags, then positionals.
    pub(crate) fn words(&self) -> impl Iterator<Item = &OsString> {
        self.flags.iter().chain(&self.positionals)
    }
}

/// The name of a flag: `-json`, `--json` and `-json=true` are `json`.
fn flag(word: &OsStr) -> Option<String> {
    let text = word.to_string_lossy();
    let name = text.strip_prefix("--").or_else(|| text.strip_prefix('-'))?;
    let name = name.split_once('=').map_or(name, |(name, _)| name);
    (!name.is_empty()).then(|| name.to_owned())
}

/// Whether a word is a replica URL.
#[must_use]
pub(crate) fn is_url(word: &OsStr) -> bool {
    word.to_string_lossy().contains("://")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(Into::into).collect()
    }

    #[test]
    fn flags_come_before_positionals_in_any_order_and_style() {
        let sync = Verb::named("sync").unwrap();
        let line = sync.read(&words(&["default", "--timeout", "5", "-wait", "-socket=/s", "-new"]));
        let sorted: Vec<_> = line.words().cloned().collect();
        assert_eq!(sorted, words(&["--timeout", "5", "-wait", "-socket=/s", "-new", "default"]));
        assert!(line.has("wait") && line.has("socket") && !line.has("json"));
        assert_eq!(line.value("timeout").as_deref(), Some("5"));
        assert_eq!(line.value("socket").as_deref(), Some("/s"));
    }

    #[test]
    fn what_stands_behind_two_dashes_is_left_alone() {
        let replicate = Verb::named("replicate").unwrap();
        let line = replicate.read(&words(&["-once", "--", "app", "-exec", "x"]));
        assert_eq!(line.flags, words(&["-once"]));
        assert_eq!(line.rest, words(&["app", "-exec", "x"]));
    }

    #[test]
    fn a_flag_is_removed_with_its_value() {
        let mut line = read(&["exec"], &words(&["-exec", "app -x", "-once", "--exec=y"]));
        line.remove("exec", true);
        assert_eq!(line.flags, words(&["-once"]));
    }
}
