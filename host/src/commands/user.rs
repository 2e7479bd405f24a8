//! A command of the project: a component of its plugins folders, called by its name.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Start, arguments, component, terminal};
use crate::cli::Global;
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::plugin::registry::{self, Found};
use crate::project::Project;

/// What a search for a command came to.
pub(super) enum Search {
    /// It has this name.
    Found(Box<Command>),
    /// The commands that there are.
    Others(Box<Context>, Vec<String>),
}

/// A command that was found, and the run that it gets.
pub(super) struct Command {
    context: Context,
    found: Found,
}

/// Looks for a command of this name in the project that the command line means.
/// Global options may stand behind the command.
pub(super) fn search(name: &str, start: &Start) -> Result<Search> {
    let global = Global { project: project_behind(&start.arguments), ..Global::default() };
    let global = global.or(&start.global);
    let project = Project::load(global.project.as_deref(), &start.cwd, &start.environment)?;
    let context = Context::new(
        project,
        start.environment.clone(),
        start.cwd.clone(),
        terminal(&global, start),
        start.stop.clone(),
    );
    let mut names = Vec::new();
    for found in registry::scan(&context) {
        match found {
            Ok(found) if !found.is_command() => {}
            Ok(found) if found.name == name => {
                return Ok(Search::Found(Box::new(Command { context, found })));
            }
            Ok(other) => names.push(other.name),
            Err(unusable) if unusable.name.as_deref() == Some(name) => return Err(unusable.error),
            // Another plugin's trouble; this command may be there all the same.
            Err(unusable) => context.terminal.warning(&unusable.error.one_line()),
        }
    }
    Ok(Search::Others(Box::new(context), names))
}

/// The command of the project that takes the place of one of lsrun's
/// (`override: true`), if there is one.
///
/// What is wrong with the project is said by the command that needs it.
pub(super) fn in_place_of(name: &str, start: &Start) -> Option<Box<Command>> {
    let at = project_behind(&start.arguments);
    let at = at.as_deref().or(start.global.project.as_deref());
    // Read twice only where it may say so.
    if !Project::mentions("override", at, &start.cwd, &start.environment) {
        return None;
    }
    match search(name, start) {
        Ok(Search::Found(command)) => {
            let setting = command.context.project.plugins().setting(name);
            setting.override_.then_some(command)
        }
        _ => None,
    }
}

impl Command {
    /// Reads the words behind it and runs it. An error comes with the global options
    /// that it is shown with.
    pub(super) async fn run(
        self,
        name: &str,
        start: &Start,
    ) -> std::result::Result<u8, (Global, crate::error::Error)> {
        let Self { context, found } = self;
        let parsed = arguments::parse(name, &found.manifest, &start.arguments)
            .map_err(|error| (start.global.clone(), error))?;
        let global = parsed.global.clone().or(&start.global);
        let context = context.onto(terminal(&global, start));
        if let Some(help) = parsed.help {
            context.terminal.data(help.as_bytes());
            return Ok(Exit::Success.code());
        }
        for note in &context.project.notes {
            context.terminal.note(note);
        }
        let context = Arc::new(context);
        let run = component::run(&context, |context| found.load(context), parsed).await;
        run.map(Exit::code).map_err(|error| (global, error))
    }
}

/// `-C` and `--project` behind a command whose own options are not known yet.
fn project_behind(words: &[OsString]) -> Option<PathBuf> {
    let mut words = words.iter().take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        let text = word.to_str().unwrap_or_default();
        if matches!(text, "-C" | "--project" | "-project") {
            return words.next().map(PathBuf::from);
        }
        let value = text.strip_prefix("--project=").or_else(|| text.strip_prefix("-C"));
        if let Some(value) = value {
            return Some(PathBuf::from(value.trim_start_matches('=')));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_may_be_named_behind_the_command() {
        let of = |words: &[&str]| {
            project_behind(&words.iter().map(Into::into).collect::<Vec<OsString>>())
        };
        for words in [&["x", "-C", "there"][..], &["-Cthere"], &["--project=there", "x"]] {
            assert_eq!(of(words), Some("there".into()), "{words:?}");
        }
        assert_eq!(of(&["x", "--", "-C", "there"]), None);
    }
}
