//! `lsrun plugin`: the plugins of the project, one file for each action.

mod add;
mod build;
mod inspect;
mod list;
mod lock;
mod new;
mod pack;
mod test;

use clap::{Args, Subcommand};

use super::native::Native;
use crate::cli::Global;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::plugin::inspect::{InspectedPlugin, json};
use crate::report::event::Event;
use crate::shown;

#[derive(Debug, Args)]
struct PluginArguments {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    global: Global,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Action {
    /// Show every plugin of the project, and why one does not run
    List,
    /// Show everything about one plugin: what it can do, asks for and was granted
    Inspect(inspect::InspectArguments),
    /// Add a plugin from a file, a URL or a registry, and lock it
    Add(add::AddArguments),
    /// Create the project of a new plugin, with a working example
    New(new::NewArguments),
    /// Build the project of a plugin with its language's own tools
    Build(build::BuildArguments),
    /// Write the manifest into a component
    Pack(pack::PackArguments),
    /// Run a plugin in the real sandbox, against a scratch database and replica
    Test(test::TestArguments),
    /// Write lsrun.lock: which plugins run with --locked, as they are now
    Lock(lock::LockArguments),
}

const EXAMPLES: &str = "Examples:
  lsrun plugin list                    every plugin, and why one does not run
  lsrun plugin inspect row-count       what it can do, what it asks for, what is granted
  lsrun plugin add row-count.wasm      add one, and lock it
  lsrun plugin lock                    write lsrun.lock
  lsrun --format json plugin list      for machines
  lsrun plugin new has-users --kind check --lang python
  lsrun plugin build has-users && lsrun plugin test has-users/has-users.wasm";

/// The command.
pub(super) const COMMAND: Native = Native {
    name: "plugin",
    about: "Show, make, try, lock and add plugins",
    examples: EXAMPLES,
    run: |run| {
        Box::pin(async move {
            let Some(arguments) = COMMAND.parse::<PluginArguments>(run)? else {
                return Ok(Exit::Success);
            };
            if arguments.global.no_plugins {
                return Err(Error::usage(
                    "lsrun plugin is about plugins, which --no-plugins leaves out",
                )
                .hint("run it without --no-plugins"));
            }
            let project = arguments.global.project.as_deref();
            match arguments.action {
                Action::List => list::run(&run.context(project, false)?),
                Action::Add(own) => add::run(&run.context(project, false)?, &own).await,
                Action::Lock(own) => lock::run(&run.context(project, false)?, &own),
                Action::Inspect(own) => inspect::run(&run.context(project, false)?, &own),
                Action::New(own) => new::run(run, &own),
                Action::Build(own) => build::run(run, &own).await,
                Action::Pack(own) => pack::run(run, &own),
                Action::Test(own) => test::run(run, own).await,
            }
        })
    },
};

/// Reports these plugins, for people as `human` says. One that does not run is the end's
/// exit code.
fn shown(context: &Context, plugins: &[InspectedPlugin], human: &dyn Fn() -> String) -> Exit {
    context.reporter.report(Event::Answer { human, json: &|| json::render(plugins), lines: None });
    let broken = plugins.iter().any(|plugin| plugin.obstacle().is_some());
    if broken { Exit::Plugin } else { Exit::Success }
}

fn kinds(plugin: &InspectedPlugin) -> String {
    if plugin.kinds.is_empty() { "-".to_owned() } else { plugin.kinds.join(", ") }
}

fn status(plugin: &InspectedPlugin) -> String {
    if let Some(problem) = plugin.obstacle() {
        return format!("does not run: {}", shown::line(&problem.message));
    }
    let missing: Vec<&str> = plugin.not_granted().collect();
    match missing.as_slice() {
        [] => "runs".to_owned(),
        missing => format!("runs, without {}", shown::line(&missing.join(", "))),
    }
}
