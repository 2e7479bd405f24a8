//! The commands: what a word of the command line means, and the list in the help.

use clap::CommandFactory;

use super::native::Native;
use super::user::{self, Search};
use super::{Run, history, plugin};
use crate::cli::Cli;
use crate::error::{Error, Result};
use crate::litestream::process::line::{RESTORE_OF_03, VERBS, Verb};
use crate::nearest::nearest;
use crate::plugin::{BUILTIN, Builtin};

/// The commands that are the host's own, in the order of the help.
const NATIVE: [&Native; 2] = [&history::COMMAND, &plugin::COMMAND];

/// What a word means.
pub(super) enum Command {
    /// One that comes with lsrun as a component.
    Builtin(&'static Builtin),
    /// A component of the project.
    Project(Box<user::ProjectCommand>),
    /// One of the host's own.
    Native(&'static Native),
    /// One of litestream's.
    Litestream(&'static Verb),
    /// A word that a newer litestream may know.
    Unknown(Box<crate::context::Context>),
}

impl Command {
    /// What `name` means on this command line. Fails when it is most likely mistyped.
    pub(super) fn named(name: &str, run: &Run) -> Result<Self> {
        if let Some(command) = user::in_place_of(name, run) {
            return Ok(Self::Project(command));
        }
        if name == RESTORE_OF_03.name && RESTORE_OF_03.read(&run.start.arguments).is_of_03() {
            return Ok(Self::Litestream(&RESTORE_OF_03));
        }
        if let Some(builtin) = Builtin::named(name) {
            return Ok(Self::Builtin(builtin));
        }
        if let Some(native) = NATIVE.into_iter().find(|native| native.name == name) {
            return Ok(Self::Native(native));
        }
        if let Some(verb) = Verb::named(name) {
            return Ok(Self::Litestream(verb));
        }
        match user::search(name, run) {
            Ok(Search::Found(command)) => Ok(Self::Project(command)),
            Ok(Search::Others(context, names)) => match mistyped(name, &names) {
                Some(error) => Err(error),
                None => Ok(Self::Unknown(context)),
            },
            // Without a project there are no plugins; the word may be mistyped.
            Err(error) => Err(mistyped(name, &[]).unwrap_or(error)),
        }
    }
}

/// The command line with the list of commands in its help.
#[must_use]
pub(crate) fn command_line() -> clap::Command {
    let mut help = String::from("Commands:\n");
    let mut line = |name: &str, about: &str| help.push_str(&format!("  {name:<12} {about}\n"));
    for builtin in &BUILTIN {
        let about = builtin.manifest().map_or("", |manifest| &manifest.about);
        line(builtin.name, about);
    }
    for native in NATIVE {
        line(native.name, native.about);
    }
    help.push_str("\nLitestream's commands, with aliases for databases:\n");
    for verb in VERBS.iter().filter(|verb| !verb.is_of_03()) {
        help.push_str(&format!("  {:<12} {}\n", verb.name, verb.about));
    }
    help.push_str("\nA plugin that is a command is run by its name, like these.\n");
    help.push_str("`lsrun COMMAND --help` shows more about one.\n");
    Cli::command().after_help(help)
}

/// The error for a command that is most likely a mistyped one; none for a word
/// that is like no command, which a newer litestream may have.
fn mistyped(name: &str, plugins: &[String]) -> Option<Error> {
    let known = BUILTIN.iter().map(|builtin| builtin.name).chain(NATIVE.map(|native| native.name));
    let known = known.chain(VERBS.iter().map(|verb| verb.name));
    let near = nearest(name, known.chain(plugins.iter().map(String::as_str)))?;
    Some(Error::usage(format!("no such command: {name}")).hint(format!("did you mean {near}?")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::names;

    #[test]
    fn the_command_line_is_consistent() {
        command_line().debug_assert();
    }

    #[test]
    fn plugins_cannot_take_the_names_of_native_commands() {
        assert!(NATIVE.iter().all(|native| names::NATIVE.contains(&native.name)));
    }
}
