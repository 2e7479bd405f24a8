//! `lsrun plugin`: what the project's plugins are, and what they may do.

use std::fmt::Write;

use clap::{Args, ValueEnum};

use super::Run;
use super::native::Native;
use crate::cli::Global;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::plugin::inspect::{self, InspectedPlugin};
use crate::report::event::Event;
use crate::shown;

#[derive(Debug, Args)]
struct PluginArguments {
    /// `list`: every plugin of the project. `inspect`: everything about one
    #[arg(value_name = "ACTION")]
    action: Action,
    /// With `inspect`: its name, or its file in a plugins folder
    #[arg(value_name = "PLUGIN")]
    plugin: Option<String>,
    #[command(flatten)]
    global: Global,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Action {
    List,
    Inspect,
}

const EXAMPLES: &str = "Examples:
  lsrun plugin list                    every plugin, and why one does not run
  lsrun plugin inspect row-count       what it can do, what it asks for, what is granted
  lsrun --format json plugin list      for machines";

/// The command.
pub(super) const COMMAND: Native = Native {
    name: "plugin",
    about: "Show the plugins of the project and what they may do",
    examples: EXAMPLES,
    run,
};

fn run(run: &Run) -> Result<Exit> {
    let Some(arguments) = COMMAND.parse::<PluginArguments>(run)? else { return Ok(Exit::Success) };
    let context = run.context(arguments.global.project.as_deref(), false)?;
    let plugins = match (arguments.action, &arguments.plugin) {
        (Action::List, None) => inspect::all(&context),
        (Action::Inspect, Some(name)) => vec![inspect::named(&context, name)?],
        (Action::List, Some(_)) => {
            return Err(Error::usage("lsrun plugin list takes no name")
                .hint("lsrun plugin inspect NAME shows one"));
        }
        (Action::Inspect, None) => {
            return Err(Error::usage("lsrun plugin inspect needs the name of a plugin")
                .hint("lsrun plugin list shows all of them"));
        }
    };
    let human = || match arguments.action {
        Action::List => table(&plugins),
        Action::Inspect => plugins.iter().map(details).collect(),
    };
    context.reporter.report(Event::Answer {
        human: &human,
        json: &|| inspect::json::render(&plugins),
        lines: None,
    });
    let broken = plugins.iter().any(|plugin| plugin.obstacle().is_some());
    Ok(if broken { Exit::Plugin } else { Exit::Success })
}

/// A line for each.
fn table(plugins: &[InspectedPlugin]) -> String {
    if plugins.is_empty() {
        return "this project has no plugins\n".to_owned();
    }
    let cells = |plugin: &InspectedPlugin| {
        let name = if plugin.name.is_empty() { "-" } else { &plugin.name };
        (shown::line(name).into_owned(), kinds(plugin), status(plugin))
    };
    let rows: Vec<_> = plugins.iter().map(cells).collect();
    let name = rows.iter().map(|row| row.0.chars().count()).chain([4]).max().unwrap_or_default();
    let kind = rows.iter().map(|row| row.1.chars().count()).chain([4]).max().unwrap_or_default();
    let mut text = format!("{:<name$}  {:<kind$}  STATUS\n", "NAME", "KIND");
    for (own, kinds, status) in rows {
        let _infallible = writeln!(text, "{own:<name$}  {kinds:<kind$}  {status}");
    }
    text
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

/// Everything about one.
fn details(plugin: &InspectedPlugin) -> String {
    let mut text = String::new();
    let mut add = |what: &str, value: &str| {
        if !value.is_empty() {
            let _infallible = writeln!(text, "{what:<12}  {}", shown::line(value));
        }
    };
    add("name", &plugin.name);
    add("kind", &kinds(plugin));
    add("version", &plugin.version);
    add("about", &plugin.about);
    add("status", &status(plugin));
    add("file", &plugin.path.as_ref().map(|it| it.display().to_string()).unwrap_or_default());
    add("sha256", plugin.digest.as_deref().unwrap_or_default());
    let databases = plugin.databases.as_ref().map_or("all".to_owned(), |all| all.join(", "));
    add("databases", &databases);
    for (index, power) in plugin.powers().into_iter().enumerate() {
        add(if index == 0 { "can" } else { "" }, power);
    }
    for (index, one) in plugin.permissions.iter().enumerate() {
        let granted = match one.granted.as_slice() {
            [] => "not granted".to_owned(),
            granted => format!("granted: {}", granted.join(", ")),
        };
        add(if index == 0 { "asks for" } else { "" }, &format!("{} ({granted})", one.asked));
    }
    let missing: Vec<String> = plugin.not_granted().map(|word| format!("\"{word}\"")).collect();
    if !missing.is_empty() {
        let grant = missing.join(", ");
        add(
            "to grant",
            &format!("plugins: {{settings: {{{}: {{grant: [{grant}]}}}}}}", plugin.name),
        );
    }
    for problem in &plugin.problems {
        add("problem", &problem.message);
        add("", &problem.hint.as_ref().map(|hint| format!("hint: {hint}")).unwrap_or_default());
    }
    text
}
