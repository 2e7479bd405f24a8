//! A command of the project: a component in one of its plugins folders, run by its name.

use std::sync::Arc;

use super::{Run, Start, arguments, component};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::plugin::registry::{self, PluginFile};
use crate::project::Project;
use crate::report::event::Event;

/// The result of a search for a command.
pub(super) enum Search {
    /// It has this name.
    Found(Box<ProjectCommand>),
    /// The commands that there are.
    Others(Box<Context>, Vec<String>),
}

/// A command that was found, and the run that it gets.
pub(super) struct ProjectCommand {
    context: Context,
    found: PluginFile,
}

/// Looks for a command of this name in the project that the command line means.
pub(super) fn search(name: &str, run: &Run) -> Result<Search> {
    let Start { cwd, environment, .. } = &run.start;
    let project = Project::load(run.global.project.as_deref(), cwd, environment)?;
    let context = run.silently_within(project);
    let mut names = Vec::new();
    if context.plugins.none {
        if registry::names(&context).iter().any(|own| own == name) {
            return Err(Error::usage(format!("no such command: {name}"))
                .cause(format!("--no-plugins leaves out the plugin {name}"))
                .hint("run it without --no-plugins"));
        }
        return Ok(Search::Others(Box::new(context), names));
    }
    for found in registry::scan(&context) {
        match found {
            Ok(found) if !found.is_command() => {}
            Ok(found) if found.name == name => {
                return Ok(Search::Found(Box::new(ProjectCommand { context, found })));
            }
            Ok(other) => names.push(other.name),
            Err(unusable) if unusable.name.as_deref() == Some(name) => return Err(unusable.error),
            // Another plugin's problem; this command may still exist.
            Err(unusable) => context.notes.warning(&unusable.error.one_line()),
        }
    }
    Ok(Search::Others(Box::new(context), names))
}

/// The command of the project that takes the place of one of lsrun's
/// (`override: true`), if there is one.
///
/// What is wrong with the project is reported by the command that needs it.
pub(super) fn in_place_of(name: &str, run: &Run) -> Option<Box<ProjectCommand>> {
    let at = run.global.project.as_deref();
    // Read twice only if it may say so.
    if !Project::mentions("override", at, &run.start.cwd, &run.start.environment) {
        return None;
    }
    match search(name, run) {
        Ok(Search::Found(command)) => {
            let setting = command.context.project.plugins().setting(name);
            setting.override_.then_some(command)
        }
        _ => None,
    }
}

impl ProjectCommand {
    /// Reads the words after it and runs it.
    pub(super) async fn run(self, name: &str, run: &Run) -> Result<Exit> {
        let Self { context, found } = self;
        let parsed = arguments::parse(name, &found.manifest, &run.start.arguments)?;
        if let Some(help) = parsed.help {
            context.reporter.report(Event::Data(help.as_bytes()));
            return Ok(Exit::Success);
        }
        context.say_notes();
        component::run(&Arc::new(context), |context, engine| found.load(context, engine), parsed)
            .await
    }
}
