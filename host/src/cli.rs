//! The command line: global options, then a command, then what belongs to it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory, Parser};

use crate::error::{Error, Result};
use crate::litestream::line::{VERBS, Verb};
use crate::nearest::nearest;
use crate::plugin::BUILTIN;
use crate::terminal::{Color, Format};

/// What `lsrun history` is for.
pub(crate) const HISTORY: &str = "Show what earlier verifications found out";

/// What `lsrun points` is for.
pub(crate) const POINTS: &str = "Show the points in time that a backup can be restored to";

/// Proves that SQLite backups restore.
#[derive(Debug, Parser)]
#[command(name = "lsrun", version, disable_help_subcommand = true, arg_required_else_help = true)]
#[command(override_usage = "lsrun [OPTIONS] COMMAND [ARGUMENTS]")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub global: Global,
    /// The command and everything behind it.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND",
        hide = true
    )]
    pub command: Vec<OsString>,
}

/// The options that every command knows.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Global {
    /// The project: a folder with an lsrun.yml, such a file, or a Litestream
    /// configuration [env: LSRUN_PROJECT]
    #[arg(short = 'C', long, value_name = "PATH")]
    pub project: Option<PathBuf>,
    /// How results are written
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Only results, warnings and errors
    #[arg(short, long)]
    pub quiet: bool,
    /// When colours are used (NO_COLOR is respected)
    #[arg(long, value_enum, value_name = "WHEN")]
    pub color: Option<Color>,
}

impl Global {
    /// These, where they are given, else those of `before`.
    #[must_use]
    pub(crate) fn or(self, before: &Self) -> Self {
        Self {
            project: self.project.or_else(|| before.project.clone()),
            format: self.format.or(before.format),
            quiet: self.quiet || before.quiet,
            color: self.color.or(before.color),
        }
    }
}

/// The command line with the list of commands in its help.
#[must_use]
pub(crate) fn command() -> clap::Command {
    let mut help = String::from("Commands:\n");
    for builtin in BUILTIN {
        let about = builtin.manifest().map(|manifest| manifest.about).unwrap_or_default();
        help.push_str(&format!("  {:<12} {about}\n", builtin.name));
    }
    help.push_str(&format!("  {:<12} {HISTORY}\n", "history"));
    help.push_str(&format!("  {:<12} {POINTS}\n", "points"));
    help.push_str("\nLitestream's commands, with aliases where a database is wanted:\n");
    for verb in VERBS.iter().filter(|verb| !verb.is_of_03()) {
        help.push_str(&format!("  {:<12} {}\n", verb.name, verb.about));
    }
    help.push_str("\nA plugin that is a command is called by its name, like these.\n");
    help.push_str("`lsrun COMMAND --help` says more about one.\n");
    Cli::command().after_help(help)
}

/// Whether lsrun has a command of this name without any plugin.
#[must_use]
pub(crate) fn is_own(name: &str) -> bool {
    matches!(name, "help" | "history" | "plugin" | "points") || Verb::named(name).is_some()
}

/// The error for a command that is most likely a mistyped one; none for a word
/// that is like no command, which a newer litestream may have.
#[must_use]
pub(crate) fn mistyped(name: &str, plugins: &[String]) -> Option<Error> {
    let known = BUILTIN.iter().map(|builtin| builtin.name).chain(["history", "points"]);
    let known = known.chain(VERBS.iter().map(|verb| verb.name));
    let near = nearest(name, known.chain(plugins.iter().map(String::as_str)))?;
    Some(Error::usage(format!("no such command: {name}")).hint(format!("did you mean {near}?")))
}

/// What a word of a command line is read as: Litestream's single-dash options
/// (`-if-replica-exists`) are taken like those with two.
pub(crate) fn two_dashes(arguments: Vec<OsString>, long: &[impl AsRef<str>]) -> Vec<OsString> {
    let mut verbatim = false;
    arguments
        .into_iter()
        .map(|argument| {
            let Some(text) = argument.to_str() else { return argument };
            verbatim |= text == "--";
            let Some(name) = text.strip_prefix('-').filter(|name| !name.starts_with('-')) else {
                return argument;
            };
            let bare = name.split_once('=').map_or(name, |(bare, _)| bare);
            if verbatim || bare.len() < 2 || !long.iter().any(|name| name.as_ref() == bare) {
                return argument;
            }
            format!("--{name}").into()
        })
        .collect()
}

/// The command with Litestream's `-config` as another name of `--project`, unless it
/// has an option of that name.
#[must_use]
pub(crate) fn with_config(command: clap::Command) -> clap::Command {
    if command.get_arguments().any(|argument| argument.get_long() == Some("config")) {
        return command;
    }
    command.mut_arg("project", |project| project.visible_alias("config"))
}

/// Every long option of a command, for [`two_dashes`].
#[must_use]
pub(crate) fn long_options(command: &clap::Command) -> Vec<String> {
    let names = command.get_arguments().flat_map(|argument| {
        let others = argument.get_all_aliases().unwrap_or_default();
        argument.get_long().into_iter().chain(others).map(str::to_owned).collect::<Vec<_>>()
    });
    names.chain(["help".to_owned()]).collect()
}

/// A duration on the command line: `30s`, `5m`, `1h`.
pub(crate) fn duration(text: &str) -> Result<std::time::Duration> {
    crate::quantity::parse_duration(text).ok_or_else(|| {
        Error::usage(format!("{text} is no duration")).hint("write it like 30s, 5m or 1h")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn single_dashes_are_taken_for_known_options_only() {
        let words = |words: &[&str]| words.iter().map(Into::into).collect::<Vec<OsString>>();
        let got = two_dashes(
            words(&["-if-replica-exists", "-o", "x", "-txid=5", "-x", "--force", "--", "-txid"]),
            &["if-replica-exists", "txid", "o"],
        );
        let want =
            words(&["--if-replica-exists", "-o", "x", "--txid=5", "-x", "--force", "--", "-txid"]);
        assert_eq!(got, want);
    }
}
