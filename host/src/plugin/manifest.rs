//! What a plugin says about itself: read from the custom section
//! `lsrun:manifest` of the component, or from `<name>.yml` beside it, without
//! running it.

use serde::Deserialize;

use super::outline::Outline;
use crate::code::Code;
use crate::error::{Error, Result};

/// A plugin's manifest.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Manifest {
    /// What the plugin calls itself. Its name is its file's stem.
    pub name: Option<String>,
    /// The plugin's version.
    #[serde(default)]
    pub version: String,
    /// One line for `--help`.
    #[serde(default)]
    pub about: String,
    /// The permissions asked for, such as `litestream:sync`.
    #[serde(default)]
    pub permissions: Vec<String>,
    /// Present when the component is a command.
    pub command: Option<CommandManifest>,
    /// What the plugin needs beyond the defaults.
    #[serde(default)]
    pub limits: LimitsManifest,
}

/// How a command is called.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct CommandManifest {
    /// Run once for each selected database, in parallel.
    #[serde(default)]
    pub per_database: bool,
    /// Without a database named: all of them, or an error.
    #[serde(default)]
    pub requires_selection: bool,
    /// The databases have to be there: one with `create_from` is created.
    #[serde(default)]
    pub needs_databases: bool,
    /// Replica URLs are accepted in place of a database.
    #[serde(default)]
    pub takes_urls: bool,
    /// The word for a good outcome, such as `verified`.
    #[serde(default = "done")]
    pub success: String,
    /// The word for work that could not be done, such as `not-restored`, with a hyphen
    /// for a space; that of the outcome without.
    pub failure: Option<String>,
    /// Its report is a proof: it goes into the history, and results can be written
    /// and sent (`--junit`, `--prometheus`, `--ping`, …).
    #[serde(default)]
    pub records: bool,
    /// The ids of checks that it reports, of a command of lsrun: no plugin may be called
    /// like one of them.
    #[serde(default)]
    pub checks: Vec<String>,
    /// Its data goes to standard output as it comes, without a limit, one database after
    /// the other; for a command that is run once for each.
    #[serde(default)]
    pub streams: bool,
    /// Its arguments besides the databases.
    #[serde(default)]
    pub arguments: Vec<Argument>,
    /// Lines for the end of `--help`.
    #[serde(default)]
    pub examples: Vec<String>,
}

/// One argument of a command: an option with a value, unless it is a flag.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Argument {
    /// `--name`, and the name under which the guest asks for it.
    pub name: String,
    /// `-c`.
    pub short: Option<char>,
    /// One line for `--help`.
    #[serde(default)]
    pub about: String,
    /// It takes no value.
    #[serde(default)]
    pub flag: bool,
    /// It is the last word of the command line, after the databases, and required.
    #[serde(default)]
    pub positional: bool,
    /// With it exactly one database may be selected.
    #[serde(default)]
    pub single: bool,
    /// For several databases its value has to be a folder, with a trailing slash.
    #[serde(default)]
    pub folder: bool,
    /// It may be given several times.
    #[serde(default)]
    pub repeat: bool,
    /// What its value is; the guest gets a duration in milliseconds.
    #[serde(default, rename = "type")]
    pub kind: Type,
    /// The value when it is not given.
    pub default: Option<String>,
    /// The allowed values; any without.
    #[serde(default)]
    pub values: Vec<String>,
    /// The name of the value in `--help`.
    pub placeholder: Option<String>,
}

/// What the value of an argument is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Type {
    /// Anything.
    #[default]
    Text,
    /// Such as `30s`, `5m` or `1h`.
    Duration,
    /// A whole number of at least one.
    Count,
}

/// What a plugin asks for one call; the defaults and the maxima are in `limits`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct LimitsManifest {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Milliseconds of computing in the guest itself; waiting for the host does not
    /// count.
    pub cpu_ms: Option<u64>,
    /// Milliseconds from the start of the call to its end, also while it waits.
    pub timeout_ms: Option<u64>,
    /// Bytes of log lines, and of each of its own two streams, that are shown.
    pub output: Option<u64>,
    /// Rows of one query.
    pub rows: Option<u64>,
}

fn done() -> String {
    "done".to_owned()
}

/// The manifest in a component, if there is one.
///
/// The section of a core module inside counts as well: that is where a Rust
/// guest's `#[link_section]` ends up.
pub(crate) fn of(outline: &Outline, name: &str) -> Result<Option<Manifest>> {
    let section = outline.manifest.as_deref();
    section.map(|yaml| parse(&String::from_utf8_lossy(yaml), name)).transpose()
}

/// A manifest in YAML.
pub(crate) fn parse(yaml: &str, name: &str) -> Result<Manifest> {
    serde_yaml::from_str(yaml).map_err(|error| {
        Error::new(Code::UnusablePlugin, format!("the manifest of {name} is wrong")).cause(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn a_manifest_says_what_a_command_takes() {
        let manifest = parse(
            "name: x\npermissions: [litestream:sync]\ncommand:\n  per-database: true\n  arguments:\n  - {name: fast, flag: true}\n",
            "x.wasm",
        )
        .unwrap();
        let command = manifest.command.unwrap();
        assert!(command.per_database && command.arguments[0].flag);
        assert_eq!(command.success, "done");
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_plugin() {
        let error = parse("permission: [x]\n", "row-count.wasm").unwrap_err();
        assert_eq!(error.exit(), Exit::Plugin);
        assert!(error.one_line().contains("row-count.wasm"), "{error:?}");
        assert!(error.one_line().contains("permission"), "{error:?}");
    }
}
